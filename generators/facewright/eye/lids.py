"""Lids: the globe is seated behind them, they follow the gaze, blink, and touch the globe without being cut by it.

hm08's sockets were made for balls of about 30 mm. We widen the fissure, seat our 24 mm globe so that its front touches
the lids' middle, and then, on the subdivided mesh of every frame, slide each column of the lid along the eye's radius
until the inner margin edge lies a tear film away from the globe. At the medial canthus the lid leaves the globe, as it
does in nature; caruncle and plica fill that gap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from facewright.eye.anatomy import Globe
from facewright.face.basis import HeadBasis, Neutral
from facewright.geometry.mesh import Subdivision

Array = np.ndarray

TEAR_FILM_MM = 0.2
"""Gap between lid vertices and globe. The tear film itself is 3 um; the rest lets flat faces clear the round globe."""
COLUMNS = 28
MEDIAL, LATERAL = 0, 14
UPPER, LOWER = np.arange(1, 14), np.arange(27, 14, -1)
"""Columns of the upper and lower lid from medial to lateral; UPPER[k] faces LOWER[k]."""
_CONTACT = np.minimum(np.abs(np.arange(COLUMNS)), COLUMNS - np.arange(COLUMNS))
CONTACT = np.interp(_CONTACT, [0, 1, 2, 3, 4], [0.0, 0.1, 0.45, 0.85, 1.0])
"""How far each column is pulled onto the globe: none at the medial canthus."""
FALLOFF = np.interp(np.arange(-3, 13), [4, 8, 12], [1.0, 0.55, 0.0])
"""Share of the column's slide by ring: the margin moves whole, the surrounding skin less and less."""
INNER_EDGE, LASH_LINE = 1 + 3, 3 + 3
"""Rows of `basis.rings[side]`: inner margin edge and outer margin edge."""
UPPER_SHARE = 0.7
"""Share of closing that the upper lid does; reasoned: a blink is nearly all the upper lid's."""
LOOK_UP_DEG, LOOK_DOWN_DEG, LOOK_SIDE_DEG = 28.0, 32.0, 35.0
"""Rotation at which the ARKit eyeLook unit is at full strength."""


LID_CURVE = np.interp(
    np.arange(1, 14) / 14, [0.3, 0.36, 0.45, 0.55, 0.65, 0.75, 1], [1.4, 1.2, 1.0, 0.73, 0.5, 0.45, 0.56]
)
"""Height of the resting fissure at the columns UPPER, relative to hm08's, whose upper lid is highest lateral of the
pupil, where people's is highest medially. By hand, toward heights along the eye in masks of photographs
(benchmarks/gap/results/proportions.md)."""


def widen(neutral: Neutral, basis: HeadBasis, fissure_mm: float) -> Array:
    """Return the (V, 3) resting vertices with both fissures `fissure_mm` wide (canthus to canthus), before any globe.

    Canthi move apart, the medial one 60 % of the way, with a Gaussian falloff of 9 mm. Changes beyond -4..+16 mm are
    cut there: the basis cannot carry them. Between them lids take LID_CURVE.
    """
    vertices = neutral.vertices.copy()
    for side in ("right", "left"):
        ring = basis.rings[side][INNER_EDGE + 1]
        medial, lateral = neutral.vertices[ring[MEDIAL]], neutral.vertices[ring[LATERAL]]
        across = lateral - medial
        width = float(np.linalg.norm(across))
        change = min(max(fissure_mm - width, -4.0), 16.0) * across / width
        for corner, share in ((medial, -0.6), (lateral, 0.4)):
            distance = np.linalg.norm(neutral.vertices - corner, axis=1)
            vertices += share * np.exp(-0.5 * (distance / 9.0) ** 2)[:, None] * change
        edge = neutral.vertices[basis.rings[side][INNER_EDGE], 1]
        taller = (LID_CURVE - 1) * np.maximum(edge[UPPER] - edge[LOWER], 0)
        rise = np.zeros(COLUMNS)
        rise[UPPER], rise[LOWER] = UPPER_SHARE * taller, (UPPER_SHARE - 1) * taller
        vertices[basis.rings[side], 1] += FALLOFF[:, None] * rise
    return vertices


def seat(vertices: Array, basis: HeadBasis, side: str, eye: Globe, socket: Array) -> Array:
    """Return the eyeball centre (3,): `socket`'s x and y, and the depth at which the lids' middle rests on it."""
    ring = vertices[basis.rings[side][INNER_EDGE]]
    middle = ring[np.concatenate([UPPER[4:9], LOWER[4:9]])]
    reach = eye.radius + 0.35
    offset = reach**2 - np.square(middle[:, :2] - socket[:2]).sum(axis=1)
    depth = float(np.median(middle[:, 2] - np.sqrt(np.maximum(offset, 4.0))))
    return np.array([socket[0], socket[1], depth])


def fissure(vertices: Array, basis: HeadBasis, side: str, eye: Globe, centre: Array) -> float:
    """Return how wide, mm, the fissure of resting, subdivided `vertices` (V, 3) will be once its lids lie on the globe.

    The lateral canthus is drawn back and in by that, by one to four millimetres.
    """
    edge, corner = (vertices[basis.rings[side][INNER_EDGE + k]] for k in (0, 1))
    slide, _ = _gap(edge, eye, centre, np.eye(3))
    slide = np.where(slide < 0, slide * CONTACT, slide)[[MEDIAL, LATERAL]]
    near = corner[[MEDIAL, LATERAL]] - centre
    medial, lateral = near + near / np.linalg.norm(near, axis=1, keepdims=True) * slide[:, None]
    return float(np.linalg.norm(lateral - medial))


def lid_units(side: str, rotation: Array, aperture: float) -> dict[str, float]:
    """Return ARKit units by which the lids follow an eye turned by `rotation` (eye -> head), blink apart."""
    x, y, z = rotation[:, 2]
    pitch = math.degrees(math.asin(y))
    outward = math.degrees(math.atan2(x, z)) * (1 if side == "left" else -1)
    name = side.capitalize()
    units = {
        f"eyeLookUp{name}": pitch / LOOK_UP_DEG,
        f"eyeLookDown{name}": -pitch / LOOK_DOWN_DEG,
        f"eyeLookOut{name}": outward / LOOK_SIDE_DEG,
        f"eyeLookIn{name}": -outward / LOOK_SIDE_DEG,
        f"eyeWide{name}": max(0.0, aperture - 1),
        f"eyeBlink{name}": 0.5 * max(0.0, 1 - aperture),
    }
    return {unit: min(weight, 1.2) for unit, weight in units.items() if weight > 0}


def blink_weight(vertices: Array, closing: Array, basis: HeadBasis, side: str, blink: float) -> float:
    """Return the eyeBlink weight that leaves (1 - blink) of the present aperture; exact because units are linear.

    `closing` (V, 3) is the displacement of the unit at weight 1.
    """
    ring = basis.rings[side][INNER_EDGE]
    upper, lower = ring[UPPER[4:9]], ring[LOWER[4:9]]
    now = float((vertices[upper, 1] - vertices[lower, 1]).mean())
    change = float((closing[upper, 1] - closing[lower, 1]).mean())
    return max(0.0, blink * now / -change) if now > 0 and change < 0 else 0.0


PRESS_MM = 0.15
"""How far shut lids press into each other, mm, so that no slit is left where the globe shapes them; reasoned."""


@dataclass(frozen=True)
class LidMap:
    """Which vertices of a subdivided mesh move with which lid column: `ids` (n,), `weights` (n, 28)."""

    ids: Array
    weights: Array
    columns: Array
    contact: Array


def lid_map(basis: HeadBasis, side: str, steps: list[Subdivision]) -> LidMap:
    """Return the map of `side` after `steps` of subdivision; `columns` (28,) are the inner edge's vertices."""
    weights = np.zeros((int(basis.faces.max()) + 1, COLUMNS))
    spread = np.eye(COLUMNS)
    for depth, (row, share) in enumerate(zip(basis.rings[side], FALLOFF, strict=True)):
        if depth > LASH_LINE:  # skin away from the margin takes the mean of its neighbours' slides: no ridge between
            spread = 0.5 * spread + 0.25 * (np.roll(spread, 1, axis=1) + np.roll(spread, -1, axis=1))
        weights[row] = share * spread
    for step in steps:
        weights = step.linear(weights)
    ids = np.nonzero(weights.any(axis=1))[0]
    return LidMap(ids, weights[ids], basis.rings[side][INNER_EDGE], CONTACT)


def fit(vertices: Array, lids: LidMap, eye: Globe, centre: Array, rotation: Array) -> Array:
    """Return `vertices` (V, 3) head mm with the lids on the globe at `centre`, turned by `rotation` (eye -> head)."""
    fitted = vertices.copy()
    slide, _ = _gap(vertices[lids.columns], eye, centre, rotation)
    slide = np.where(slide < 0, slide * lids.contact, slide)
    near = fitted[lids.ids] - centre
    distance = np.linalg.norm(near, axis=1, keepdims=True)
    fitted[lids.ids] += near / distance * (lids.weights @ slide)[:, None]
    return push_out(fitted, eye, centre, rotation)


def even(vertices: Array, lids: LidMap, open_mm: Array, blink: float) -> Array:
    """Return `vertices` (V, 3) with every column of the lids closed alike: to (1 - blink) of `open_mm` (28,).

    The unit shuts the fissure in the mean; without this, shut lids would gape and cross by a millimetre. The upper lid
    makes up UPPER_SHARE of the difference, which counts by the square of the blink; shut lids press together.
    """
    gap = openings(vertices[lids.columns])
    excess = blink**2 * (gap - (1 - blink) * open_mm + PRESS_MM)
    shift = np.zeros(COLUMNS)
    shift[UPPER], shift[LOWER] = -UPPER_SHARE * excess[UPPER], (1 - UPPER_SHARE) * excess[LOWER]
    moved = vertices.copy()
    moved[lids.ids, 1] += lids.weights @ shift
    return moved


def openings(edge: Array) -> Array:
    """Return how far (28,) mm above or below each column of the inner edge (28, 3) the other lid's edge is.

    Negative where lids cross; 0 at the canthi. Columns that face each other at rest drift apart as lids shut, so the
    edges are compared as lines.
    """
    gap = np.zeros(COLUMNS)
    upper, lower = edge[MEDIAL : LATERAL + 1], np.concatenate([edge[LATERAL:], edge[:1]])
    gap[UPPER], gap[LOWER] = height(edge[UPPER], lower), -height(edge[LOWER], upper)
    return gap


def height(points: Array, line: Array) -> Array:
    """Return how far (N,) mm `points` (N, 3) head mm lie above the lid line (M, 3) at the same x."""
    along = line[np.argsort(line[:, 0])]
    return points[:, 1] - np.interp(points[:, 0], along[:, 0], along[:, 1])


def line_socket(vertices: Array, socket: Array, eye: Globe, centre: Array, rotation: Array) -> Array:
    """Return `vertices` with the conjunctival sac `socket` (ids) drawn in to the globe: no lid lies behind it."""
    excess, outward = _gap(vertices[socket], eye, centre, rotation)
    moved = vertices.copy()
    moved[socket] += outward * np.minimum(excess + 0.25, 0)[:, None]
    return moved


def push_out(vertices: Array, eye: Globe, centre: Array, rotation: Array) -> Array:
    """Return `vertices` with all that lie inside the globe moved along the radius to its surface."""
    ids = np.nonzero(np.square(vertices - centre).sum(axis=1) < (eye.apex_z + 1) ** 2)[0]
    excess, outward = _gap(vertices[ids], eye, centre, rotation)
    moved = vertices.copy()
    moved[ids] += outward * np.maximum(excess, 0)[:, None]
    return moved


def clearance(points: Array, eye: Globe, centre: Array, rotation: Array) -> Array:
    """Return the radial distance (N,) mm of points to the globe's outer surface; negative inside."""
    return -_gap(points, eye, centre, rotation)[0] + TEAR_FILM_MM


def _gap(points: Array, eye: Globe, centre: Array, rotation: Array) -> tuple[Array, Array]:
    """Return how far (N,) mm points must move outward to lie a tear film off the globe, and the unit radii (N, 3)."""
    out = points - centre
    distance = np.linalg.norm(out, axis=1)
    outward = out / distance[:, None]
    return eye.surface_radius(outward @ rotation) + TEAR_FILM_MM - distance, outward
