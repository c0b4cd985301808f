"""Iris and sclera textures, painted in numpy in the tissue's own polar coordinates.

Column = angle, row = radius from pupil margin (0) to limbus (1), so that dilation squeezes the texture as it does the
tissue. Colours are linear Rec.709 albedo.
"""

from __future__ import annotations

import math

import numpy as np

from facewright import rng
from facewright.eye.parameters import Iris, Sclera
from facewright.geometry.noise import periodic

Array = np.ndarray

IRIS_SIZE = (192, 1024)
"""Rows (radius) and columns (angle) of the iris texture."""
SCLERA_SIZE = (512, 1024)

MELANIN_RAMP = np.array(
    [
        # melanin, cool albedo, warm albedo (linear): judged on crops of faces, L* against the skin, beside photographs
        [0.00, 0.0975, 0.1688, 0.2625, 0.1425, 0.1950, 0.1800],
        [0.20, 0.0938, 0.1387, 0.1650, 0.1387, 0.1500, 0.0788],
        [0.38, 0.1200, 0.1087, 0.0600, 0.1650, 0.1087, 0.0338],
        [0.55, 0.0938, 0.0435, 0.0142, 0.1237, 0.0510, 0.0105],
        [0.75, 0.0420, 0.0180, 0.0067, 0.0540, 0.0203, 0.0053],
        [1.00, 0.0165, 0.0090, 0.0053, 0.0210, 0.0097, 0.0045],
    ]
)


def iris_colour(melanin: Array | float, warmth: float) -> Array:
    """Return the linear albedo (..., 3) float32 of iris stroma with `melanin` in [0, 1]."""
    ramp = MELANIN_RAMP[:, 1:4] + warmth * (MELANIN_RAMP[:, 4:7] - MELANIN_RAMP[:, 1:4])
    return np.stack([np.interp(melanin, MELANIN_RAMP[:, 0], ramp[:, k]).astype(np.float32) for k in range(3)], axis=-1)


def iris_albedo(iris: Iris, spectrum: str) -> tuple[Array, Array]:
    """Return (albedo (R, C, 3) linear, height (R, C) in [0, 1]) of the iris, both float32.

    Near infrared: melanin hardly absorbs at 850 nm, so all irises are bright grey and the stroma's relief shows.
    """
    rows, columns = IRIS_SIZE
    r = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    seed = int(iris.texture * 1000)
    fine = _fibres(seed, rows, columns, 300, 0.10)
    coarse = _fibres(seed + 1, rows, columns, 90, 0.22)
    wavy = periodic(seed + 2, rows, columns, 26, 5)
    fibre = np.clip(0.5 + 1.7 * (0.62 * fine + 0.38 * coarse - 0.45), 0, 1)
    edge = iris.collarette + 0.05 * (periodic(seed + 3, 1, columns, 40, 1) - 0.5) * 2 + 0.03 * (wavy - 0.5)
    inner = 1 / (1 + np.exp((r - edge) / 0.02))
    ridge = np.exp(-0.5 * ((r - edge) / 0.028) ** 2)
    crypt_field = 0.6 * periodic(seed + 4, rows, columns, 46, 5) + 0.4 * periodic(seed + 6, rows, columns, 90, 9)
    crypts = np.clip((crypt_field - (0.74 - 0.13 * iris.crypts)) * 7, 0, 1)
    crypts = crypts * np.exp(-0.5 * ((r - edge - 0.09) / 0.15) ** 2)
    furrows = 0.5 + 0.5 * np.cos(2 * math.pi * (r * 5.5 + 0.25 * wavy))
    broken = np.clip(3 * (periodic(seed + 7, rows, columns, 11, 6) - 0.42), 0, 1)
    furrows = (furrows**8) * np.clip((r - 0.58) * 4, 0, 1) * iris.furrows * broken
    velvet = 0.5 * periodic(seed + 9, rows, columns, 130, 22) + 0.5 * periodic(seed + 10, rows, columns, 50, 8) - 0.5
    dark = iris.melanin**1.5
    height = 0.45 + 0.3 * (fibre - 0.5) * iris.fibres + (0.22 - 0.14 * dark) * ridge - 0.35 * crypts - 0.2 * furrows
    height += 0.22 * dark * velvet
    height -= 0.25 * np.exp(-r / 0.02)

    melanin = iris.melanin + 0.22 * (fibre - 0.5) * iris.fibres * (0.35 + iris.melanin * (1.3 - iris.melanin))
    melanin = melanin + inner * iris.collarette_contrast * (0.22 if iris.melanin < 0.5 else -0.13)
    patches = periodic(seed + 5, rows, columns, 9, 3)
    melanin = melanin + 0.16 * (patches - 0.5) * (iris.melanin < 0.7)
    melanin = melanin + 0.42 * iris.central * np.clip((edge + 0.16 - r + 0.25 * (fibre - 0.5)) / 0.18, 0, 1)
    bearing = (np.arange(columns, dtype=np.float32) + 0.5) / columns * 360 - iris.sector_deg
    bearing = np.abs((bearing + 180) % 360 - 180)[None, :] + 30 * (coarse - 0.5) + 20 * (wavy - 0.5)
    melanin = melanin + iris.sector * 0.5 * np.clip((32 - bearing) / 8, 0, 1)
    nevus = np.clip((periodic(seed + 8, rows, columns, 60, 9) - 0.86) * 18, 0, 1) * (iris.melanin < 0.6)
    melanin = np.clip(melanin + 0.5 * nevus, 0, 1)
    if spectrum == "nir":
        grey = (0.20 - 0.06 * iris.melanin) * (1 + 1.3 * (fibre - 0.5) * iris.fibres + 0.12 * ridge + 0.5 * velvet)
        colour = np.repeat(grey[..., None], 3, axis=2)
    else:
        colour = iris_colour(melanin, iris.warmth)
        colour = colour * (1 + 1.15 * (fibre[..., None] - 0.5) * iris.fibres * (1.1 - 0.35 * iris.melanin))
        colour = colour * np.exp(1.5 * dark * velvet[..., None] * np.array([0.8, 1.0, 1.1], np.float32))
    shade = 1 - 0.45 * crypts - 0.2 * furrows + 0.12 * ridge
    ruff = np.clip((r - 0.006) / 0.022, 0.0, 1.0)
    ring = 1 - (0.72 if spectrum == "rgb" else 0.45) * iris.limbal_ring * np.clip((r - 0.82) / 0.15, 0, 1) ** 1.3
    colour = colour * (shade * (0.12 + 0.88 * ruff) * ring)[..., None]
    return np.clip(colour, 0.002, 0.9), np.clip(height, 0, 1)


def sclera_albedo(sclera: Sclera, spectrum: str, limbus: float, limbal_mm: float, radius_mm: float) -> Array:
    """Return the albedo (R, C, 3) float32, linear, of the white over angle (columns) and polar angle / pi (rows).

    `limbus` is the polar angle / pi of the limbal circle. Vessels branch from the fornix toward the limbus; the
    limbal transition reaches `limbal_mm` outward.
    """
    rows, columns = SCLERA_SIZE
    polar = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    white = np.array([0.52, 0.50, 0.495], np.float32)
    yellow = np.array([0.56, 0.475, 0.34], np.float32)
    base = white + sclera.yellowing * 0.55 * (yellow - white)
    seed = int(sclera.texture)
    cloud = 0.6 * periodic(seed, rows, columns, 14, 12) + 0.4 * periodic(seed + 3, rows, columns, 60, 50)
    colour = base * (0.86 + 0.22 * cloud[..., None])
    # thin sclera lets the uvea through as a grey-blue shade round the cornea; fat makes yellow islands at its sides
    away = np.clip((polar - limbus) * math.pi * radius_mm, 0, None)[..., None]
    colour = colour * (1 - 0.10 * np.exp(-(((away - 1.2) / 1.6) ** 2)) * np.array([1.0, 0.8, 0.55], np.float32))
    side = np.cos(2 * math.pi * np.arange(columns, dtype=np.float32) / columns)[None, :] ** 8
    island = sclera.yellowing * side[..., None] * np.exp(-(((away - 2.6) / 1.5) ** 2)) * (0.5 + cloud[..., None])
    colour = colour + 0.5 * island * (np.array([0.66, 0.50, 0.24], np.float32) - colour)
    back = np.clip((polar - limbus) / 0.26, 0, 1)[..., None]
    pink = np.array([0.66, 0.30, 0.25], np.float32)
    colour = colour + (pink - colour) * (back**1.2) * (0.28 + 0.5 * sclera.redness)
    fine, thick = _vessels(sclera, limbus)
    blood = np.array([0.46, 0.075, 0.055], np.float32)
    strength = 0.5 + 0.9 * sclera.redness
    alpha = np.clip(strength * (0.75 * fine + 1.25 * thick) * (0.35 + 0.65 * back[..., 0] ** 0.5), 0, 0.9)[..., None]
    colour = colour + (blood - colour) * alpha
    flush = (0.02 + 0.24 * sclera.redness) * periodic(seed + 9, rows, columns, 9, 6)[..., None]
    colour = colour + (np.array([0.64, 0.34, 0.30], np.float32) - colour) * flush * (0.3 + 0.7 * back)
    near = np.clip(1 - (polar - limbus) * math.pi * radius_mm / limbal_mm, 0, 1)[..., None]
    colour = colour * (1 - 0.62 * near**1.7 * np.array([1.0, 0.95, 0.86], np.float32))
    if spectrum == "nir":
        grey = 0.40 + 0.08 * cloud[..., None] - 0.15 * alpha - 0.12 * back
        colour = np.repeat(grey * (1 - 0.3 * near**2), 3, axis=2)
    return np.clip(colour, 0.01, 0.95)


def _fibres(seed: int, rows: int, columns: int, count: int, wander: float) -> Array:
    """Return radial streaks in [0, 1]: angular noise whose phase wanders slowly along the radius."""
    u = rng.numbers(seed, 0, f"fibres{count}", 2, count)
    table = np.interp(np.arange(columns) * count / columns, np.arange(count + 1), np.append(u[0], u[0][0]))
    table = table.astype(np.float32)
    shift = (periodic(seed + 11, rows, columns, 30, 6) - 0.5) * 2 * wander * columns / count * 6
    place = (np.arange(columns, dtype=np.float32)[None, :] + shift) % columns
    low = place.astype(np.int32) % columns
    frac = place - np.floor(place)
    streak = table[low] * (1 - frac) + table[(low + 1) % columns] * frac
    fade = periodic(seed + 12, rows, columns, count // 2, 4)
    return np.clip(streak * (0.55 + 0.9 * (fade - 0.5)) + 0.22, 0, 1)


def _vessels(sclera: Sclera, limbus: float) -> tuple[Array, Array]:
    """Return masks (fine, thick) of branching vessels as (rows, columns) in [0, 1]."""
    rows, columns = SCLERA_SIZE
    seed = int(sclera.texture * 1000)
    trunks = 26 + int(34 * sclera.redness)
    masks = []
    for level, (count, width, steps) in enumerate(((trunks, 2.1, 260), (trunks * 5, 0.95, 190))):
        u = rng.numbers(seed, level, "vessels", 4, count)
        turns = rng.numbers(seed, level, "vessel.turns", count, steps) - 0.5
        angle = u[0] * 2 * math.pi
        polar = limbus + (0.34 if level == 0 else 0.30) * (0.35 + 0.65 * u[1])
        heading = np.zeros(count)
        image = np.zeros((rows, columns), np.float32)
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
