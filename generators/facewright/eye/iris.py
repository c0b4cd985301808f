"""Iris and sclera textures, painted in numpy in the tissue's own polar coordinates.

Column = angle, row = radius from pupil margin (0) to limbus (1), so that dilation squeezes the texture as it does the
tissue. Colours are linear Rec.709 albedo.
"""

from __future__ import annotations

import math

import numpy as np

from facewright import rng
from facewright.eye.parameters import Iris, Sclera

Array = np.ndarray

IRIS_SIZE = (192, 1024)
"""Rows (radius) and columns (angle) of the iris texture."""
SCLERA_SIZE = (512, 1024)

MELANIN_RAMP = np.array(
    [
        # melanin, cool albedo, warm albedo (linear): judged beside photographs
        [0.00, 0.150, 0.250, 0.360, 0.200, 0.270, 0.250],
        [0.20, 0.140, 0.200, 0.240, 0.200, 0.210, 0.120],
        [0.38, 0.170, 0.160, 0.100, 0.230, 0.160, 0.060],
        [0.55, 0.160, 0.090, 0.045, 0.190, 0.090, 0.030],
        [0.75, 0.085, 0.045, 0.026, 0.100, 0.045, 0.018],
        [1.00, 0.028, 0.017, 0.012, 0.034, 0.018, 0.010],
    ]
)


def iris_colour(melanin: Array | float, warmth: float) -> Array:
    """Return the linear albedo (..., 3) of iris stroma with `melanin` in [0, 1]."""
    m = np.asarray(melanin, float)
    low = np.stack([np.interp(m, MELANIN_RAMP[:, 0], MELANIN_RAMP[:, k]) for k in (1, 2, 3)], axis=-1)
    high = np.stack([np.interp(m, MELANIN_RAMP[:, 0], MELANIN_RAMP[:, k]) for k in (4, 5, 6)], axis=-1)
    return low + warmth * (high - low)


def iris_albedo(iris: Iris, spectrum: str) -> tuple[Array, Array]:
    """Return (albedo (R, C, 3) linear, height (R, C) in [0, 1]) of the iris.

    Near infrared: melanin hardly absorbs at 850 nm, so all irises are bright grey and the stroma's relief shows.
    """
    rows, columns = IRIS_SIZE
    r = np.linspace(0, 1, rows)[:, None]
    seed = int(iris.texture * 1000)
    fine = _fibres(seed, rows, columns, 300, 0.10)
    coarse = _fibres(seed + 1, rows, columns, 90, 0.22)
    wavy = _periodic(seed + 2, rows, columns, 26, 5)
    fibre = np.clip(0.5 + 1.7 * (0.62 * fine + 0.38 * coarse - 0.45), 0, 1)
    edge = iris.collarette + 0.05 * (_periodic(seed + 3, 1, columns, 40, 1) - 0.5) * 2 + 0.03 * (wavy - 0.5)
    inner = 1 / (1 + np.exp((r - edge) / 0.02))
    ridge = np.exp(-0.5 * ((r - edge) / 0.028) ** 2)
    crypt_field = 0.6 * _periodic(seed + 4, rows, columns, 46, 5) + 0.4 * _periodic(seed + 6, rows, columns, 90, 9)
    crypts = np.clip((crypt_field - (0.74 - 0.13 * iris.crypts)) * 7, 0, 1)
    crypts = crypts * np.exp(-0.5 * ((r - edge - 0.09) / 0.15) ** 2)
    furrows = 0.5 + 0.5 * np.cos(2 * math.pi * (r * 5.5 + 0.25 * wavy))
    furrows = (furrows**6) * np.clip((r - 0.62) * 4, 0, 1) * iris.furrows
    height = 0.45 + 0.3 * (fibre - 0.5) * iris.fibres + 0.25 * ridge - 0.35 * crypts - 0.2 * furrows
    height -= 0.25 * np.exp(-r / 0.02)

    melanin = iris.melanin + 0.22 * (fibre - 0.5) * iris.fibres * (0.35 + iris.melanin * (1.3 - iris.melanin))
    melanin = melanin + inner * iris.collarette_contrast * (0.22 if iris.melanin < 0.5 else -0.13)
    patches = _periodic(seed + 5, rows, columns, 9, 3)
    melanin = melanin + 0.16 * (patches - 0.5) * (iris.melanin < 0.7)
    melanin = np.clip(melanin, 0, 1)
    if spectrum == "nir":
        grey = 0.33 - 0.10 * iris.melanin + 0.20 * (fibre - 0.5) * iris.fibres + 0.02 * ridge
        colour = np.repeat(grey[..., None], 3, axis=2)
    else:
        colour = iris_colour(melanin, iris.warmth)
        colour = colour * (1 + 1.15 * (fibre[..., None] - 0.5) * iris.fibres * (1.1 - 0.5 * iris.melanin))
    shade = 1 - 0.45 * crypts - 0.2 * furrows + 0.12 * ridge
    ruff = np.clip((r - 0.006) / 0.022, 0.0, 1.0)
    ring = 1 - (0.72 if spectrum == "rgb" else 0.45) * iris.limbal_ring * np.clip((r - 0.82) / 0.15, 0, 1) ** 1.3
    colour = colour * (shade * (0.12 + 0.88 * ruff) * ring)[..., None]
    return np.clip(colour, 0.002, 0.9), np.clip(height, 0, 1)


def sclera_albedo(sclera: Sclera, spectrum: str, limbus: float, limbal_mm: float, radius_mm: float) -> Array:
    """Return the albedo (R, C, 3) linear of the white over angle (columns) and polar angle / pi (rows).

    `limbus` is the polar angle / pi of the limbal circle. Vessels branch from the fornix toward the limbus; the
    limbal transition reaches `limbal_mm` outward.
    """
    rows, columns = SCLERA_SIZE
    polar = np.linspace(0, 1, rows)[:, None]
    white = np.array([0.72, 0.68, 0.65])
    yellow = np.array([0.76, 0.66, 0.47])
    base = white + sclera.yellowing * 0.55 * (yellow - white)
    cloud = _periodic(int(sclera.texture), rows, columns, 14, 12)[..., None]
    colour = base * (0.94 + 0.1 * cloud)
    back = np.clip((polar - limbus) / 0.30, 0, 1)[..., None]
    pink = np.array([0.78, 0.36, 0.30])
    colour = colour + (pink - colour) * (back**1.3) * (0.35 + 0.4 * sclera.redness)
    fine, thick = _vessels(sclera, limbus)
    blood = np.array([0.52, 0.10, 0.075])
    strength = 0.3 + 0.75 * sclera.redness
    alpha = np.clip(strength * (0.7 * fine + 1.1 * thick) * (0.35 + 0.65 * back[..., 0] ** 0.6), 0, 0.85)[..., None]
    colour = colour + (blood - colour) * alpha
    flush = (0.06 + 0.2 * sclera.redness) * _periodic(int(sclera.texture) + 9, rows, columns, 8, 5)[..., None]
    colour = colour + (np.array([0.74, 0.42, 0.38]) - colour) * flush * (0.3 + 0.7 * back)
    near = np.clip(1 - (polar - limbus) * math.pi * radius_mm / limbal_mm, 0, 1)[..., None]
    colour = colour * (1 - 0.62 * near**1.7 * np.array([1.0, 0.95, 0.86]))
    if spectrum == "nir":
        grey = 0.62 - 0.10 * alpha - 0.12 * back
        colour = np.repeat(grey * (1 - 0.3 * near**2), 3, axis=2)
    return np.clip(colour, 0.01, 0.95)


def _fibres(seed: int, rows: int, columns: int, count: int, wander: float) -> Array:
    """Return radial streaks in [0, 1]: angular noise whose phase wanders slowly along the radius."""
    u = np.array(rng.uniforms(seed, 0, f"fibres{count}", count * 2)).reshape(2, count)
    table = np.interp(np.arange(columns) * count / columns, np.arange(count + 1), np.append(u[0], u[0][0]))
    shift = (_periodic(seed + 11, rows, columns, 30, 6) - 0.5) * 2 * wander * columns / count * 6
    place = (np.arange(columns)[None, :] + shift) % columns
    low = place.astype(int) % columns
    frac = place - np.floor(place)
    streak = table[low] * (1 - frac) + table[(low + 1) % columns] * frac
    fade = _periodic(seed + 12, rows, columns, count // 2, 4)
    return np.clip(streak * (0.55 + 0.9 * (fade - 0.5)) + 0.22, 0, 1)


def _periodic(seed: int, rows: int, columns: int, around: int, along: int) -> Array:
    """Return smooth noise (rows, columns) in [0, 1], periodic in the columns."""
    grid = np.array(rng.uniforms(seed, 1, f"noise{around}x{along}", around * (along + 1))).reshape(along + 1, around)
    x, y = np.arange(columns) * around / columns, np.linspace(0, along, rows)
    i, j = x.astype(int), np.minimum(y.astype(int), along - 1) if along else np.zeros(rows, int)
    fx, fy = x - i, y - j
    fx, fy = fx * fx * (3 - 2 * fx), (fy * fy * (3 - 2 * fy))[:, None]
    top = grid[j][:, i] * (1 - fx) + grid[j][:, (i + 1) % around] * fx
    below = grid[np.minimum(j + 1, along)][:, i] * (1 - fx) + grid[np.minimum(j + 1, along)][:, (i + 1) % around] * fx
    return top * (1 - fy) + below * fy


def _vessels(sclera: Sclera, limbus: float) -> tuple[Array, Array]:
    """Return masks (fine, thick) of branching vessels as (rows, columns) in [0, 1]."""
    rows, columns = SCLERA_SIZE
    seed = int(sclera.texture * 1000)
    trunks = 26 + int(34 * sclera.redness)
    masks = []
    for level, (count, width, steps) in enumerate(((trunks, 1.5, 260), (trunks * 5, 0.75, 190))):
        u = np.array(rng.uniforms(seed, level, "vessels", count * 4)).reshape(4, count)
        turns = np.array(rng.uniforms(seed, level, "vessel.turns", count * steps)).reshape(count, steps) - 0.5
        angle = u[0] * 2 * math.pi
        polar = limbus + (0.34 if level == 0 else 0.30) * (0.35 + 0.65 * u[1])
        heading = np.zeros(count)
        image = np.zeros((rows, columns))
        for k in range(steps):
            heading = 0.93 * heading + 0.55 * turns[:, k] * (1.6 if level else 1.1)
            polar = polar - 0.0014 * np.cos(heading)
            angle = angle + 0.0095 * np.sin(heading)
            alive = (polar > limbus + 0.004 + 0.10 * u[2]) & (polar < 1)
            fade = np.clip((polar - limbus - 0.10 * u[2]) / 0.12, 0.15, 1) * (0.5 + 0.5 * u[3]) * alive
            _splat(image, polar * (rows - 1), (angle / (2 * math.pi)) % 1 * columns, fade * width)
        masks.append(np.clip(image, 0, 1))
    return masks[1], masks[0]


def _splat(image: Array, row: Array, column: Array, amount: Array) -> None:
    """Add `amount` at fractional positions, bilinearly; columns wrap."""
    r, c = np.floor(row).astype(int), np.floor(column).astype(int)
    fr, fc = row - r, column - c
    for dr, wr in ((0, 1 - fr), (1, fr)):
        for dc, wc in ((0, 1 - fc), (1, fc)):
            rr = np.clip(r + dr, 0, image.shape[0] - 1)
            np.maximum.at(image, (rr, (c + dc) % image.shape[1]), amount * wr * wc)
