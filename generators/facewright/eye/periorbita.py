"""Relief and colour of the skin round the eye, painted in lid coordinates (see eye/folds.py) finer than any mesh.

Column = the lid's column as a share of the way round the fissure (0 medial canthus, 0.25 middle of the upper lid, 0.5
lateral canthus), row = depth in mm from the lash line, from DEPTHS_MM[0] (on the margin) outward.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from facewright import rng
from facewright.eye.parameters import Lids
from facewright.face.parameters import MakeUp, Skin
from facewright.geometry.noise import periodic

Array = np.ndarray

SIZE = (448, 1536)
DEPTHS_MM = (-2.5, 26.0)
AROUND_MM = 100.0
"""Length of the way round at a depth of about 10 mm: what one texture width stands for."""


@lru_cache(maxsize=2)
def periorbita(lids: Lids, skin: Skin, make_up: MakeUp, squint: float, spectrum: str) -> tuple[Array, Array]:
    """Return (relief (R, C) mm outward, tint (R, C, 3), which multiplies the skin's linear albedo), both float32.

    `squint` in [0, 1] is how far cheek and lids are drawn up: it deepens crow's feet and lines below the eye.
    """
    rows, columns = SIZE
    d = np.linspace(*DEPTHS_MM, rows, dtype=np.float32)[:, None]
    t = ((np.arange(columns, dtype=np.float32) + 0.5) / columns)[None, :]
    seed = int(skin.texture * 1000)
    return _relief(d, t, seed, skin, squint), _tint(d, t, seed, lids, skin, make_up, spectrum)


def _relief(d: Array, t: Array, seed: int, skin: Skin, squint: float) -> Array:
    rows, columns = SIZE
    wavy = periodic(seed, rows, columns, 22, 9) - 0.5
    fine = periodic(seed + 1, rows, columns, 160, 40) - 0.5
    age = skin.wrinkles
    upper, lower = _arc(t, 0.04, 0.47), _arc(t, 0.54, 0.97)

    height = np.zeros(SIZE, np.float32)
    # fine lines of the lids: along the lid, 0.5 to 1 mm apart, on the thinnest skin of the body
    for where, spacing, reach, slant, depth in ((upper, 0.62, 13.0, 0.0, 0.030), (lower, 0.75, 13.0, 5.0, 0.036)):
        phase = (d + slant * (t - 0.75) + 1.7 * wavy + 0.35 * fine) / spacing
        lines = np.abs(np.sin(math.pi * phase)) ** 0.7 - 0.6
        broken = np.clip(0.35 + 2.2 * (periodic(seed + 2, rows, columns, 40, 20) - 0.4), 0, 1)
        span = where * np.clip((d - 0.6) / 1.5, 0, 1) * np.clip((reach - d) / 5, 0, 1)
        height += depth * (0.5 + 1.3 * age) * lines * broken * span

    u = rng.numbers(seed, 0, "periorbita", 30, 8).astype(np.float32)
    # lines under the eye, from the medial corner outward and down
    for k in range(2 + int(5 * age)):
        a = u[k]
        start, middle = 2.5 + 9 * a[0], 0.62 + 0.28 * a[1]
        path = start + (3.0 + 5 * a[2]) * (0.93 - t) + 0.7 * np.sin(9 * t + 6 * a[3])
        strength = (
            lower
            * (0.025 + 0.20 * age * (0.5 + a[4]) + 0.07 * squint)
            * np.exp(-(((t - middle) / (0.07 + 0.08 * a[5])) ** 2))
        )
        width = 0.30 + 0.22 * age
        _, c = _box(strength > FAINT)
        r, _ = _box(np.abs(d - path[:, c]).min(axis=1, keepdims=True) < GROOVE_WIDTHS * width + 0.35)
        height[r, c] -= strength[:, c] * groove(d[r] - path[:, c] - 0.35 * wavy[r, c], width)
    # crow's feet: from the lateral canthus outward
    for k in range(3 + int(5 * age + 2 * squint)):
        a = u[10 + k]
        heading, bow = 0.415 + 0.16 * (k + a[0]) / (3 + int(5 * age + 2 * squint)), 0.03 * (a[1] - 0.5)
        path = heading + bow * ((d - 12) / 14) ** 2 + 0.003 * np.sin(d / (1.6 + 2 * a[5]) + 6 * a[6]) * np.ones_like(t)
        begin, end = 6.0 + 5 * a[2], 15 + 11 * a[3]
        strength = (
            (0.01 + 0.14 * age * (0.4 + a[4]) + 0.07 * squint)
            * np.clip((d - begin) / 3, 0, 1)
            * np.clip((end - d) / 9, 0, 1)
        )
        r, _ = _box(strength > FAINT)
        away, width = (t - path[r]) * AROUND_MM * (0.6 + d[r] / 18), 0.28 + 0.3 * age
        _, c = _box(np.abs(away).min(axis=0, keepdims=True) < GROOVE_WIDTHS * width)
        height[r, c] -= strength[r] * groove(away[:, c], width)
    fade = np.clip((DEPTHS_MM[1] - 0.5 - d) / 3, 0, 1)
    # follicles of the lashes, orifices of the Meibomian glands along the margin
    follicle = _dots(t, 110, u[25]) * np.exp(-(((d - 0.35) / 0.3) ** 2))
    gland = _dots(t, 60, u[26]) * np.exp(-(((d + 0.85) / 0.14) ** 2))
    return (height + 0.03 * follicle - 0.05 * gland) * fade


def _tint(d: Array, t: Array, seed: int, lids: Lids, skin: Skin, make_up: MakeUp, spectrum: str) -> Array:
    rows, columns = SIZE
    upper, lower = _arc(t, -0.02, 0.52), _arc(t, 0.5, 1.0)
    grain = periodic(seed + 4, rows, columns, 70, 30)
    blotch = periodic(seed + 5, rows, columns, 14, 8)
    tint = np.ones((*SIZE, 3), np.float32)
    # roots under the skin and the shade between lashes: every lash line is darker than its lid
    roots = (0.95 * upper + 0.5 * lower) * np.exp(-(((d - 0.1) / 1.1) ** 2)) * (0.65 + 0.6 * grain)
    tint *= 1 - np.minimum(roots, 1)[..., None] * np.array([0.85, 0.95, 1.0], np.float32)
    if spectrum == "rgb":
        blood = (0.10 * upper + 0.07 * lower) * np.clip((11 - d) / 6, 0, 1) * np.clip(d, 0, 1) * (0.4 + 1.2 * blotch)
        blood += 0.10 * np.exp(-(((d - lids.crease_mm) / 0.8) ** 2)) * upper
        blood *= 1 - 0.6 * skin.melanin
        veins = 0.08 * _veins(d, t, seed) * (upper + 0.7 * lower) * (1 - skin.melanin) ** 2
        brown = 0.22 * skin.dark_circles * lower * np.exp(-(((d - 7.5) / 5.5) ** 2)) * (0.7 + 0.5 * blotch)
        for k, (b, v, m) in enumerate(((0.35, 1.3, 0.8), (1.5, 0.8, 1.15), (1.25, 0.45, 1.2))):  # red, green, blue
            tint[..., k] *= np.exp(-(b * blood + v * veins + m * brown))
        margin = np.clip(-d / 0.7, 0, 1)
        tint *= 1 + margin[..., None] * (0.04 - 0.22 * np.exp(-(((d + 0.95) / 0.16) ** 2)))[..., None]
    tint *= _paint(d, t, grain, lids, make_up, spectrum)
    fade = np.clip((DEPTHS_MM[1] - 0.5 - d) / 5, 0, 1)[..., None]
    return 1 + (tint - 1) * fade


TONES = np.array(
    [
        (0.58, 0.40, 0.24),
        (0.42, 0.27, 0.20),
        (0.16, 0.14, 0.14),
        (0.34, 0.17, 0.27),
        (0.14, 0.25, 0.50),
        (0.24, 0.38, 0.28),
    ]
)
TONES_AT = (0.0, 0.25, 0.5, 0.7, 0.85, 1.0)
"""Eye shadows by `shadow_tone`, as what they leave of the skin's albedo: bronze, brown, charcoal, plum, blue, green."""


def _paint(d: Array, t: Array, grain: Array, lids: Lids, make_up: MakeUp, spectrum: str) -> Array:
    """Return the tint of eyeliner and eye shadow: carbon black is black in infrared too, organic pigments are not."""
    liner, shadow = make_up.liner, make_up.shadow
    wing = np.clip((t - 0.34) / 0.15, 0, 1) * (t < 0.53)
    width = (0.5 + 1.5 * liner) * (1 + 1.1 * wing)
    over = _arc(t, 0.06, 0.53) * np.clip((width - d) / 0.35 + 0.5, 0, 1) * np.clip((d + 0.9) / 0.4, 0, 1)
    thick = 0.3 + 0.5 * liner
    under = 0.8 * _arc(t, 0.52, 0.92) * np.clip((thick - np.abs(d - 0.1)) / 0.3 + 0.5, 0, 1)
    line = np.clip(2 * liner, 0, 1) * np.maximum(over, under * np.clip(4 * liner - 1, 0, 1)) * (0.82 + 0.18 * grain)
    tint = np.repeat(1 - 0.93 * line[..., None], 3, axis=2)
    if spectrum == "rgb" and shadow > 0:
        reach = lids.crease_mm + 5.0
        rim = np.clip((d + 0.5) / 0.8, 0, 1)
        lid = _arc(t, 0.05, 0.55) * np.clip((reach + 4 * wing - d) / 5, 0, 1) * rim
        smudge = np.clip(2 * shadow - 1, 0, 1) * _arc(t, 0.5, 0.95) * np.clip((3.5 - d) / 3, 0, 1) * rim
        tone = np.array([np.interp(make_up.shadow_tone, TONES_AT, TONES[:, k]) for k in range(3)], np.float32)
        cloud = shadow * np.maximum(lid, 0.8 * smudge)[..., None] * (0.8 + 0.2 * grain[..., None])
        tint = tint * (1 + cloud * (tone - 1))
    return tint


def _arc(t: Array, low: float, high: float, soft: float = 0.05) -> Array:
    """Return 1 for columns in (low, high), with smooth ends inside."""
    x = np.clip(np.minimum(t - low, high - t) / soft, 0, 1)
    return x * x * (3 - 2 * x)


def groove(distance: Array, width: float) -> Array:
    """Return a groove's profile at `distance` mm from its bottom: sharp below, with a raised shoulder beside it."""
    x = distance / width
    return np.exp(-(np.abs(x) ** 1.3)) - 0.35 * np.exp(-((np.abs(x) - 2.2) ** 2))


GROOVE_WIDTHS = 5.0
"""Where a groove has ended, in its widths: less than a thousandth of its depth is left."""
FAINT = 1e-4
"""Depth of a line, in mm, that nobody sees."""


def _box(inside: Array) -> tuple[slice, slice]:
    """Return the rows and columns from the first to the last that hold any of `inside` (R, C) bool."""
    rows, columns = np.nonzero(inside)
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def _dots(t: Array, count: int, u: Array) -> Array:
    return np.clip(np.cos(2 * math.pi * (t * count + 0.35 * np.sin(2 * math.pi * (7 * t + u[0])))), 0, 1) ** 3


def _veins(d: Array, t: Array, seed: int) -> Array:
    rows, columns = SIZE
    field = periodic(seed + 7, rows, columns, 12, 5) + 0.35 * periodic(seed + 8, rows, columns, 30, 12)
    band = np.exp(-(((field - 0.67) / 0.022) ** 2)) + 0.5 * np.exp(-(((field - 0.5) / 0.014) ** 2))
    return band * np.clip((d - 1) / 3, 0, 1) * np.clip((20 - d) / 6, 0, 1)
