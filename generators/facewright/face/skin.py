"""Skin and hair colour from their pigments (linear Rec.709)."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np

from facewright import rng
from facewright.face.complexion import Drives, complexion, lip_mask
from facewright.face.parameters import Hair, MakeUp, Skin
from facewright.face.topology import masks, topology
from facewright.geometry.noise import periodic2, value_noise

Array = np.ndarray

BLOODLESS = np.array([0.86, 0.76, 0.68])
"""Albedo of skin without melanin and blood; with the absorptions below it spans measured skin tones by eye."""
MELANIN_ABSORPTION = np.array([1.25, 2.15, 3.05])
BLOOD_ABSORPTION = np.array([0.06, 0.62, 0.52])
CAROTENE_ABSORPTION = np.array([0.0, 0.05, 0.42])
"""Absorption per unit of each pigment parameter; ratios follow the pigments' spectra (Donner & Jensen 2006)."""
LIP_ABSORPTION = np.array([0.24, 0.88, 0.58])
"""Absorption of the red of full-blooded lips over their blood as skin: vessels under thin mucosa, which swallow some
red light too; judged beside photographs."""
NIR_ALBEDO = 0.62
"""Skin albedo near 850 nm, where melanin and blood absorb little (Jacques 2013, reasoned)."""


def absorption(skin: Skin) -> tuple[Array, Array]:
    """Return (log albedo at rest (3,), log change per unit of blood (3,)); see `paint` for the map."""
    rest = (
        np.log(BLOODLESS)
        - skin.melanin * MELANIN_ABSORPTION
        - 0.75 * skin.haemoglobin * BLOOD_ABSORPTION
        - skin.carotene * CAROTENE_ABSORPTION * (1 - skin.melanin)
    )
    return rest, -BLOOD_ABSORPTION * (0.35 + 0.6 * skin.haemoglobin) * (1 - 0.45 * skin.melanin)


@lru_cache(maxsize=4)
def paint(skin: Skin, near: str | None, spectrum: str) -> Array:
    """Return the albedo (V, 3) of every vertex of `topology(near)`: pigments over regions, in patches.

    What is finer than the mesh, and the lips, are face/complexion.py's.
    """
    rest, region = topology(near).rest.astype(np.float32), masks(near)
    t = skin.texture
    broad = value_noise(rest, 0.035, 2, t) - 0.5
    patch = value_noise(rest, 0.17, 3, t + 40) - 0.5
    speck = value_noise(rest, 0.8, 2, t + 80) - 0.5
    mottle = 0.5 * patch + 0.8 * speck
    if spectrum == "nir":
        grey = mean_albedo(skin, "nir")[0] * (1 + 0.22 * mottle * skin.mottling)
        return np.repeat(grey[:, None], 3, axis=1)
    blood = (
        1.1 * skin.mottling * mottle
        + 0.8 * region.blood
        + 0.7 * region.margin
        + 0.45 * region.ear
        + (0.25 + 0.4 * skin.dark_circles) * region.under_eye
    )
    melanin = (
        0.3 * skin.mottling * (0.25 + skin.melanin) * broad
        + 0.15 * skin.dark_circles * region.under_eye
        + 0.10 * skin.mottling * (0.3 + skin.melanin) * speck
    )
    at_rest, per_blood = absorption(skin)
    return np.exp(at_rest + blood[:, None] * per_blood - melanin[:, None] * MELANIN_ABSORPTION).clip(0.005, 0.95)


LIPSTICK = ((0.36, 0.10, 0.09), (0.42, 0.012, 0.020), (0.30, 0.012, 0.05), (0.16, 0.008, 0.022), (0.55, 0.12, 0.10))
"""Albedos of lipsticks from nude over red, pink-red and berry to coral; `MakeUp.lipstick_tone` runs through them."""


def complexion_tint(skin: Skin, make_up: MakeUp, drawn: Drives, spectrum: str) -> Array:
    """Return what multiplies the skin's albedo (R, C, 3) on the map of face/complexion.py."""
    _, melanin, blood = complexion(skin, make_up, drawn, spectrum)
    if spectrum == "nir":
        return np.repeat(np.exp(-0.25 * melanin - 0.1 * blood)[..., None], 3, axis=2)
    at_rest, per_blood = absorption(skin)
    red = (0.45 + 0.55 * skin.haemoglobin) * lip_mask(skin)
    shares = np.stack([per_blood, -MELANIN_ABSORPTION, -LIP_ABSORPTION], axis=1).astype(np.float32)
    tint = np.exp(np.stack([blood * b + melanin * m + red * r for b, m, r in shares], axis=2))
    if make_up.lipstick > 0:
        tones = np.array(LIPSTICK)
        place = make_up.lipstick_tone * (len(tones) - 1)
        low = min(int(place), len(tones) - 2)
        colour = (tones[low] + (place - low) * (tones[low + 1] - tones[low])) / np.exp(at_rest)
        share = make_up.lipstick * np.clip(1.3 * lip_mask(skin), 0, 1)[..., None]
        tint = tint + 0.92 * share * (colour.astype(np.float32) - tint)
    return tint


RELIEF_TILE_MM, RELIEF_TILE_PX = 16.0, 512


@lru_cache(maxsize=2)
def relief_tile(skin: Skin) -> Array:
    """Return the relief (RELIEF_TILE_PX, RELIEF_TILE_PX) mm of RELIEF_TILE_MM of skin, repeatable in both directions.

    Small polygons parted by furrows, pores and grain: 20-100 um deep, cells of 0.4-0.8 mm (reasoned after skin
    replicas). Painted once instead of shaded, because subsurface scattering asks for the relief at every exit point.
    """
    size = RELIEF_TILE_PX
    seed = int(skin.texture * 977)
    bend = [periodic2(seed + k, size, 14) - 0.5 for k in (0, 1)]
    nearest, second = _cells(seed, size, 26, [4.0 * b for b in bend])
    furrow = np.clip((second - nearest) / 0.45, 0, 1)
    hole, _ = _cells(seed + 1, size, 13, bend)
    pore = np.clip((hole - 0.06) / 0.14, 0, 1)
    grain = np.sum([0.55**k * periodic2(seed + 20 + k, size, 22 * 2**k) for k in range(4)], axis=0)
    height = (0.20 + 0.20 * skin.wrinkles) * furrow + 0.55 * skin.pores * pore + 0.85 * (grain - grain.mean())
    return (0.045 + 0.02 * skin.wrinkles) * height


def _cells(seed: int, size: int, count: int, bend: list[Array]) -> tuple[Array, Array]:
    """Return distances (size, size) to the nearest and second of count x count jittered points of a torus, in cells.

    `bend` (2 of (size, size)) moves places by less than half a cell, 0.22 times what it holds.
    """
    y, x = (np.mgrid[0:size, 0:size] / size * count).astype(np.float32)
    y, x = y + 0.22 * bend[0], x + 0.22 * bend[1]
    jitter = rng.numbers(seed, 0, "skin.cells", 2, count, count).astype(np.float32)
    jitter = np.pad(jitter, ((0, 0), (2, 2), (2, 2)), mode="wrap").reshape(2, -1)
    row, column = np.floor(y), np.floor(x)
    first = ((row + 2) * (count + 4) + column + 2).astype(np.int32)
    up, right = row - y, column - x
    nearest = second = np.full((size, size), np.inf, np.float32)
    for dr in (-1, 0, 1):
        for dc in (-1, 0, 1):
            cell = first + dr * (count + 4) + dc
            off = (up + dr + jitter[0][cell]) ** 2 + (right + dc + jitter[1][cell]) ** 2
            second = np.minimum(second, np.maximum(nearest, off))
            nearest = np.minimum(nearest, off)
    return np.sqrt(nearest), np.sqrt(second)


def mean_albedo(skin: Skin, spectrum: str) -> Array:
    """Return the mean skin albedo (3,) linear."""
    if spectrum == "nir":
        return np.full(3, NIR_ALBEDO - 0.18 * skin.melanin)
    return np.exp(absorption(skin)[0])


def hair_colour(hair: Hair, spectrum: str) -> Array:
    """Return the albedo (3,) linear of ungreyed hair: eumelanin darkens, pheomelanin reddens."""
    if spectrum == "nir":
        return np.full(3, 0.30 - 0.2 * hair.melanin)
    light, brown, black = (
        np.array([0.54, 0.36, 0.165]),
        np.array([0.088, 0.040, 0.017]),
        np.array([0.014, 0.0095, 0.0065]),
    )
    m = hair.melanin
    base = light + (brown - light) * min(1.0, m / 0.55) if m < 0.55 else brown + (black - brown) * (m - 0.55) / 0.45
    red = np.array([0.30, 0.085, 0.025])
    return base + (red - base) * hair.redness * (1 - 0.7 * m)


def brow_colour(hair: Hair, spectrum: str) -> Array:
    """Return the albedo (3,) of ungreyed brows: darker than the head's hair, most where that is fair; reasoned."""
    return hair_colour(dataclasses.replace(hair, melanin=hair.melanin + BROW_DARKER * (1 - hair.melanin)), spectrum)


BROW_DARKER = 0.35
"""Share of the way to black that brows are darker; so that they stand out from the skin as in photographs."""


def beard_colour(hair: Hair, spectrum: str) -> Array:
    """Return the albedo (3,) of ungreyed beard hair: darker than the head's, and redder (more pheomelanin)."""
    if spectrum == "nir":
        return hair_colour(hair, spectrum)
    return hair_colour(hair, spectrum) * [0.92, 0.76, 0.66]


DYE_COLOURS = {
    "bleached": (0.62, 0.46, 0.24),
    "highlights": (0.50, 0.35, 0.17),
    "red": (0.28, 0.012, 0.016),
    "copper": (0.36, 0.10, 0.022),
    "blue": (0.02, 0.07, 0.32),
    "pink": (0.62, 0.13, 0.27),
    "purple": (0.13, 0.025, 0.22),
    "green": (0.03, 0.20, 0.09),
}
"""Albedo of dyed hair, linear; judged on contact sheets."""


def dye_colour(hair: Hair, spectrum: str) -> Array:
    """Return the albedo (3,) of dyed hair: dyes are made for visible light, in infrared only bleaching shows."""
    if spectrum == "nir":
        return np.full(3, 0.34) if hair.dye in ("bleached", "highlights") else hair_colour(hair, spectrum)
    return np.array(DYE_COLOURS[hair.dye])


GREY_HAIR = np.array([0.50, 0.49, 0.47])
