"""Beards, moustaches and stubble: where they grow on the template, and their strands.

Template coordinates as in haircuts.py; lips lie between y = -57 and -79, the jaw's edge falls from -69 below the ear
to -112 at the chin.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from facewright import rng
from facewright.face.growth import ended, grey_share
from facewright.face.headshape import HeadShape
from facewright.face.parameters import Hair
from facewright.face.winding import frames, group_mean
from facewright.geometry.noise import value_noise
from facewright.geometry.strands import Strands
from facewright.geometry.vectors import unit
from facewright.schema import Label

Array = np.ndarray


@dataclass(frozen=True)
class Beard:
    """`zones` by name (see `zone`), range of `length_mm`, `cheek` the share of it on the cheeks, `density`."""

    zones: tuple[str, ...]
    length_mm: tuple[float, float]
    cheek: float = 1.0
    density: float = 1.0


ALL = ("moustache", "corner", "chin", "jaw", "cheek", "neck", "sideburn")
BEARDS: dict[str, Beard] = {
    "stubble": Beard(ALL, (0.6, 3.0), 0.9, 0.75),
    "moustache": Beard(("moustache",), (7, 15)),
    "horseshoe": Beard(("moustache", "corner"), (6, 13)),
    "goatee": Beard(("chin",), (6, 28)),
    "circle": Beard(("moustache", "corner", "chin"), (5, 16)),
    "van_dyke": Beard(("moustache", "chin"), (6, 24)),
    "chin_curtain": Beard(("jaw", "chin_edge", "neck", "sideburn"), (8, 30), 0.7),
    "short_boxed": Beard(ALL, (4, 11), 0.7),
    "full": Beard(ALL, (14, 42), 0.5),
    "sideburns": Beard(("sideburn", "chop"), (5, 12)),
}
"""Every beard; judged on contact sheets."""

HAIRS_PER_MM2, HAIR_MM = 0.6, 0.13
"""Density and width of beard hairs; reasoned after 40 to 70 hairs in a square centimetre of cheek to chin."""
POINTS = 10

_CHEEK_LINE = np.array([[-75, 8], [-55, -10], [-30, -30], [0, -48], [18, -57], [40, -60]], float)
_JAW_EDGE = np.array([[-85, -66], [-70, -72], [-50, -86], [-30, -101], [-18, -110], [0, -113], [25, -112]], float)
_LIP_TOP = np.array([[0, -57], [4, -56], [12, -55.5], [20, -59], [26, -63]], float)


def zones(names: Iterable[str], rest: Array, soft: float = 1.0) -> Array:
    """Return how much (V,) in [0, 1] of the zones `names` together covers template points `rest` (V, 3).

    Lips are not skin; `soft` widens the borders.
    """
    uneven = 5 * (value_noise(rest, 0.12, 2, 9.0) - 0.5)
    return np.max([_zone(name, rest, uneven, soft) for name in names], axis=0)


def _zone(name: str, rest: Array, uneven: Array, soft: float) -> Array:
    """Return one zone; `uneven` (V,) mm ravels its borders."""

    def over(distance: Array, width: float) -> Array:
        """Return 0 to 1 as `distance` in mm rises through zero over `width` mm, times `soft`."""
        return np.clip(distance / (width * soft) + 0.5, 0, 1)

    x, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
    cheek_line = np.interp(z, *_CHEEK_LINE.T) + uneven
    edge = np.interp(z, *_JAW_EDGE.T)
    front = over(z - 2, 4)
    if name == "moustache":
        return (
            front
            * over(y - np.interp(x, *_LIP_TOP.T) - 0.5, 1.5)
            * over(-48.0 - y - 0.25 * np.maximum(x - 14, 0), 2)
            * over(30 - x + uneven, 4)
        )
    if name == "corner":
        return front * over(x - 24, 3) * over(35 - x + uneven, 4) * over(-56 - y, 4) * over(y + 90, 6)
    if name == "chin":
        patch = over(6 - x, 3) * over(-79.5 - y, 1.5)
        below = over(26 - x + uneven, 5) * over(-86 - y, 3)
        return over(z + 22, 6) * np.maximum(patch, below)
    if name == "chin_edge":
        return over(z + 22, 6) * over(30 - x, 5) * over(-98 - y + uneven, 4)
    if name == "jaw":
        return over(edge + 26 + uneven - y, 5) * over(x - 22, 6) * over(y - edge + 8, 5) * over(z + 72, 5)
    if name == "cheek":
        mouth = over(np.hypot((x - 0) / 1.25, (y + 68) * 1.3) - 25, 4)
        return over(cheek_line - y, 5) * over(y - edge + 8, 5) * over(z + 66, 5) * mouth
    if name == "neck":
        floor = np.interp(z, [-70, -50, -20, 20], [-84, -104, -124, -136])
        return over(edge + 4 - y, 5) * over(y - floor + 2 * uneven, 8) * over(z + 68, 6)
    if name == "sideburn":
        return over(z + 61, 4) * over(-44 - z, 5) * over(y + 34, 6) * over(22 - y, 6)
    return over(cheek_line - y, 5) * over(y - edge + 4, 4) * over(z + 66, 5) * over(-16 - z + uneven, 6)  # chop


def beard_weight(hair: Hair, rest: Array) -> Array:
    """Return the density (V,) in [0, 1] of the subject's beard at template points."""
    if hair.beard == "none":
        return np.zeros(len(rest))
    found = zones(BEARDS[hair.beard].zones, rest)
    patchy = value_noise(rest, 0.06, 2, hair.texture + 5)
    return found * np.clip(hair.beard_density * (0.55 + 0.9 * patchy), 0, 1)


def shadow_weight(rest: Array) -> Array:
    """Return where (V,) in [0, 1] a shaved beard shows."""
    return zones(ALL, rest, 3.0) * (0.6 + 0.4 * value_noise(rest, 0.08, 2, 4.0))


def beard_width_mm(hair: Hair, area_mm2: float) -> float:
    """Return the sum of the widths of the beard's hairs over an area weighted by `beard_weight`."""
    return area_mm2 * HAIRS_PER_MM2 * HAIR_MM * BEARDS[hair.beard].density


def grow_beard(
    hair: Hair,
    roots: Array,
    normals: Array,
    rest: Array,
    shape: HeadShape,
    lips: Array,
    seed: tuple[int, int],
    radius_mm: float,
) -> Strands:
    """Return the beard from `roots` (N, 3) with skin `normals` (N, 3), head mm; `rest` (N, 3) on the template.

    `lips` (L, 3) are points of both lips, head mm: hairs end where they would hang before them.
    """
    style = BEARDS[hair.beard]
    n = len(roots)
    u = rng.numbers(*seed, "beard.strands", 8, n)
    x, y, _ = rest.T
    lip = np.clip((y + 82) / 6, 0, 1) * np.clip((34 - np.abs(x)) / 6, 0, 1)
    low = np.clip((-80 - y) / 25, 0, 1)
    cheek = 1 + (style.cheek - 1) * (1 - low) * (1 - lip)
    length = style.length_mm[0] + (style.length_mm[1] - style.length_mm[0]) * hair.beard_length
    length = length * cheek * (0.7 + 0.4 * u[0])
    if style.length_mm[1] > 12:
        length = np.where(lip > 0.5, np.minimum(length, 9 + 5 * u[1]), length)
    side = np.clip(x / 6, -1, 1)
    comb = np.stack([side * (0.75 * lip + 0.1), -1 + 0.3 * lip, 0.25 * low - 0.2 * (1 - low) * (1 - lip)], axis=1)
    comb += 0.55 * (u[2:5].T - 0.5)
    comb += 0.5 * np.stack([value_noise(rest, 0.09, 2, hair.texture + 30 * k) - 0.5 for k in range(3)], axis=1)
    comb -= (comb * normals).sum(1, keepdims=True) * normals
    heading = unit(unit(comb) + 0.45 * normals)
    step = (length / (POINTS - 2))[:, None]
    here, points = roots, [roots - 0.3 * normals, roots]
    for _ in range(POINTS - 2):
        here = here + step * heading
        gap, out = shape.skull_clearance(here)
        here = here + np.clip(0.4 - gap, 0, 3)[:, None] * out
        points.append(here)
        heading = unit(heading + step / 60 * np.array([0, -1.0, 0.15]) - 0.04 * normals)
    line = np.stack(points, axis=1)
    if length.mean() > 4:
        line = _curled(line, hair, rest, length, u)
    line = ended(line, before_lips(line, lips))
    grey = u[6] < grey_share(min(1.0, 1.25 * hair.grey), np.full((n, 3), 1e3)) * (0.75 + 0.5 * low)
    taper = np.interp(np.linspace(0, 1, POINTS), [0, 0.7, 1], [1, 0.9, 0.4])
    radius = radius_mm * taper * (0.75 + 0.5 * u[7])[:, None]
    return Strands("beard", line, radius, Label.BEARD, "beard", grey + 0.999 * u[5])


def before_lips(line: Array, lips: Array) -> Array:
    """Return which points of strands (N, K, 3) lie before the mouth: between the outlines of `lips` (L, 3)."""
    edges = np.linspace(lips[:, 0].min() - 1e-6, lips[:, 0].max() + 1e-6, 25)
    column = np.digitize(lips[:, 0], edges) - 1
    top, bottom = np.full(24, -np.inf), np.full(24, np.inf)
    np.maximum.at(top, column, lips[:, 1])
    np.minimum.at(bottom, column, lips[:, 1])
    middle = 0.5 * (edges[1:] + edges[:-1])
    known = np.isfinite(top)
    x, y, z = line[..., 0], line[..., 1], line[..., 2]
    high, low = np.interp(x, middle[known], top[known]), np.interp(x, middle[known], bottom[known])
    within = (x > edges[0]) & (x < edges[-1]) & (z > lips[:, 2].min() - 15)
    return within & (y < high - 0.8) & (y > low + 0.5)


def _curled(line: Array, hair: Hair, rest: Array, length: Array, u: Array) -> Array:
    """Return strands in locks of 5 mm, wound: beards curl more than the head's hair."""
    along = np.linspace(0, 1, line.shape[1])[None]
    cell = np.floor((rest + 3 * u[2:5].T) / 5.0).astype(np.int64) + 1000
    _, group = np.unique((cell[:, 0] * 4096 + cell[:, 1]) * 4096 + cell[:, 2], return_inverse=True)
    pull = (0.45 * along**1.5)[..., None]
    line = line + pull * (group_mean(line, group) - line)
    curl = min(1.0, 0.25 + 0.7 * hair.curl)
    normal, other = frames(line)
    angle = 2 * math.pi * (length[:, None] * along / (32 - 22 * curl) + u[5][:, None])
    size = np.minimum(0.3 + 1.6 * curl, 0.12 * length)[:, None] * along**0.7
    return line + (size * np.cos(angle))[..., None] * normal + (size * np.sin(angle))[..., None] * other
