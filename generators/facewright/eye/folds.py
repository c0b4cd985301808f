"""What the lids' skin does apart from the globe: crease, hood, epicanthal fold, bags, and the width of the margin.

Works on the subdivided, posed head in lid coordinates: `depth` d in mm from the lash line along the template's skin,
`turn` the lid's column as a share of the way round the fissure (0 medial canthus, 0.5 lateral, upper lid first).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from facewright.eye.anatomy import Globe
from facewright.eye.lids import COLUMNS, LASH_LINE, clearance
from facewright.eye.parameters import Lids
from facewright.face.basis import HeadBasis
from facewright.geometry.mesh import Subdivision

Array = np.ndarray

REACH_MM = 26.0
"""Skin farther from the lash line stays as it is."""
LID_MM = 1.2
"""Least thickness of a lid between its skin and the globe (reasoned after Wolff's Anatomy of the Eye: 1-2 mm)."""
OPEN_MM = 9.0
"""Aperture at which the crease is folded in whole; it unrolls as the lid comes down."""
SOFT_MM = 1.2
"""How softly the globe lifts the lid: a lid that just touches it is lifted by half of this."""


@dataclass(frozen=True)
class LidChart:
    """Lid coordinates of the vertices `ids` (n,): `depth` (n,) mm, `turn` (n,) in [0, 1), `inside` (n,) in [0, 1] is 0
    on the margin and 1 from the lash line outward.
    """

    ids: Array
    depth: Array
    turn: Array
    inside: Array


def lid_chart(basis: HeadBasis, side: str, steps: list[Subdivision], rest: Array) -> LidChart:
    """Return the chart of `side` after `steps` of subdivision; `rest` (V, 3) is the subdivided template in mm."""
    rings = basis.rings[side][LASH_LINE - 2 :]
    count = int(basis.faces.max()) + 1
    travel = np.linalg.norm(np.diff(basis.template[rings], axis=0), axis=2)
    depth = np.concatenate([np.zeros((1, COLUMNS)), np.cumsum(travel, axis=0)])
    depth -= depth[2]
    angle = 2 * math.pi * np.arange(COLUMNS) / COLUMNS
    values = np.zeros((count, 5))
    for row, ring in enumerate(rings):
        values[ring] = np.stack(
            [np.ones(COLUMNS), depth[row], np.cos(angle), np.sin(angle), np.full(COLUMNS, min(row / 2, 1.0))], axis=1
        )
    smooth = values[:, :4]
    for step in steps:
        values, smooth = step.linear(values), step.positions(smooth)
    ids = np.nonzero(values[:, 0] > 0.999)[0]
    inside = values[ids, 4]
    d, cosine, sine = (smooth[ids, 1:] / smooth[ids, :1]).T  # smooth as the surface is: lines drawn here have no kinks
    column = np.arctan2(sine, cosine) / (2 * math.pi) % 1.0
    return LidChart(ids, d, np.where(d > 0, _fan(rest[rings[2]], rest[ids]), column), inside)


def _fan(loop: Array, points: Array) -> Array:
    """Return the way round (n,) in [0, 1) of template `points` (n, 3) outside the lash line `loop` (28, 3).

    Confocal coordinates of the canthi: their hyperbolas leave the lids at right angles and fan out at the corners, as
    crow's feet do. On the loop itself the way round is that of its columns.
    """
    medial, lateral = loop[0], loop[COLUMNS // 2]
    width = float(np.linalg.norm(lateral - medial))
    across = (lateral - medial) / width
    front = np.cross(across, [0.0, 1.0, 0.0]) * (1 if across[0] > 0 else -1)
    front /= np.linalg.norm(front)
    up = np.cross(front, across) * (1 if across[0] > 0 else -1)

    def angle(place: Array) -> Array:
        off = place - 0.5 * (medial + lateral)
        recess = np.maximum(-off @ front, 0)
        a, b = off @ across, off @ up
        plane = a + 0.6 * recess * np.sign(a) + 1j * b
        return (math.pi - np.arccosh(plane / (0.42 * width) + 1e-9j).imag) / (2 * math.pi) % 1.0

    known = np.unwrap(angle(loop), period=1.0)
    known -= np.round(known[0])
    turns = np.arange(COLUMNS) / COLUMNS
    around = np.concatenate([known - 1, known, known + 1, known[:1] + 2])
    return np.interp(angle(points), around, np.concatenate([turns - 1, turns, turns + 1, [2.0]])) % 1.0


def fold(
    head: Array, chart: LidChart, lash: Array, inner: Array, lids: Lids, eye: Globe, centre: Array, rotation: Array
) -> Array:
    """Return `head` (V, 3) mm with the lids' own shape; `lash` and `inner` (m, 3) are the closed loops of the lash line
    and of the margin's inner edge on `head`; the globe `eye` lies at `centre` (3,), turned by `rotation` (eye -> head).

    Upper lid: below the crease the skin lies back, above it hangs forward and down over it; the more the lid closes
    the more this unrolls. Hooding hangs farther, most laterally (dermatochalasis); the epicanthal fold draws the skin
    above the medial canthus down over the caruncle. Lower lid: pretarsal roll, bag and tear trough.
    """
    points, t, d = head[chart.ids], chart.turn, chart.depth
    edge = _on_loop(lash, t)
    width = _on_loop(inner, t) - edge
    narrow = np.clip(1 - lids.margin_mm / np.maximum(np.linalg.norm(width, axis=1), 1e-6), -0.2, 0.75)
    share = np.where(d < 0, chart.inside, np.clip(1 - d / 6, 0, 1) ** 2) * _between(t, 0.045, 0.455)
    points = points + (narrow * share)[:, None] * width

    out = points - centre
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    down = _on_loop(lash, t) - points
    down -= np.sum(down * out, axis=1, keepdims=True) * out
    down /= np.maximum(np.linalg.norm(down, axis=1, keepdims=True), 0.3)
    upper = (t < 0.5) * _between(t, 0.0, 0.5)
    medial, lateral = np.exp(-((t / 0.12) ** 2)), np.exp(-(((t - 0.46) / 0.16) ** 2))
    n = len(lash)
    aperture = float((lash[n // 4] - lash[3 * n // 4])[1])
    unrolled = np.clip(aperture / OPEN_MM, 0.0, 1.0) ** 0.8
    rolled = 0.12 + 0.88 * unrolled

    crease = lids.crease_mm * (0.55 + 0.45 * np.sin(math.pi * np.clip((t + 0.03) / 0.53, 0, 1)) ** 0.7)
    crease = np.maximum(crease - lids.epicanthus * 2.2 * medial, 0.8)
    x = d - crease
    ends = _between(t, 0.0, 0.5, 0.06) * (t < 0.5)
    lip = np.where(x > 0, (1 - np.exp(-x / 0.45)) * np.exp(-((x / 6.0) ** 2)), 0.0)
    groove = -np.where(x < 0, np.exp(x / 1.1), np.exp(-x / 0.25))
    deep = lids.crease_depth * rolled * ends
    outward = deep * (0.75 * lip + 0.55 * groove * np.clip(d / 1.5, 0, 1))
    hang = deep * 0.7 * np.where(x > 0, np.exp(-((x / 3.0) ** 2)), 0.0)

    hood = lids.hood * unrolled * (0.45 + 0.75 * lateral - 0.3 * medial).clip(0) * ends
    fall = np.where(x > -0.3, np.exp(-(((x - 0.6) / 4.5) ** 2)), 0.0)
    hang += hood * (0.55 * lids.crease_mm + 1.4) * fall
    outward += hood * 1.1 * np.exp(-(((x - 2.0) / 4.5) ** 2)) * np.clip(d / 2, 0, 1)

    puffy = lids.fat * np.exp(-(((d - 8.0) / 5.0) ** 2)) * upper
    outward += 1.3 * puffy - 1.6 * lids.hollow * np.exp(-(((d - 13.0) / 5.0) ** 2)) * upper * (0.4 + unrolled * 0.6)

    signed = np.where(t < 0.5, t, t - 1) - 0.02
    corner = np.exp(-((signed / np.where(signed > 0, 0.06, 0.03)) ** 2))
    fold_over = lids.epicanthus * corner * np.exp(-(((d - 2.0) / 3.2) ** 2)) * np.clip((d + 0.2) / 0.8, 0, 1)
    hang += 2.6 * fold_over
    outward += 0.9 * fold_over

    lower = (t > 0.5) * _between(t, 0.5, 1.0, 0.08)
    outward += (
        lower
        * lids.bags
        * (
            1.0 * np.exp(-(((d - 9.0) / 4.2) ** 2))
            - 0.9 * np.exp(-(((d - 16.5) / 2.6) ** 2)) * (0.6 + 0.6 * (t > 0.75))
        )
    )
    outward += lower * lids.roll * 0.7 * (np.exp(-(((d - 3.0) / 1.8) ** 2)) - 0.6 * np.exp(-(((d - 6.4) / 1.3) ** 2)))
    keep = np.clip((REACH_MM - d) / 8, 0, 1) * chart.inside**4
    points = points + keep[:, None] * (outward[:, None] * out + hang[:, None] * down)
    thickness = LID_MM * np.clip(d / 1.5, 0, 1) - clearance(points, eye, centre, rotation)
    out = points - centre
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    shaped = head.copy()
    soft = SOFT_MM * np.clip(d / 3, 0, 1)  # the cornea lifts a shut lid as a dome without an edge
    lift = np.where(d > 0, 0.5 * (thickness + np.sqrt(thickness**2 + soft**2)), 0.0)
    shaped[chart.ids] = points + lift[:, None] * out
    return shaped


def _on_loop(loop: Array, turn: Array) -> Array:
    """Return points (n, 3) of a closed loop (m, 3) at shares `turn` (n,) of its columns."""
    place = turn * len(loop)
    low = place.astype(int) % len(loop)
    share = (place - np.floor(place))[:, None]
    return loop[low] * (1 - share) + loop[(low + 1) % len(loop)] * share


def _between(t: Array, low: float, high: float, soft: float = 0.05) -> Array:
    """Return 1 inside (low, high) and its mirror (1 - high, 1 - low), falling smoothly to 0 at the ends."""
    near = np.minimum(
        np.minimum(np.abs(t - low), np.abs(t - high)), np.minimum(np.abs(t - 1 + low), np.abs(t - 1 + high))
    )
    x = np.clip(near / soft, 0, 1)
    return x * x * (3 - 2 * x)
