"""Landmarks as vertices of the subdivided head: iBUG-68, WFLW-98 and a dense set (docs/landmarks.md shows them).

Lid points come from the lid loops, lip points from the lip parts, brow points from the hair's own line, the others from
positions on the template in mm (x toward the subject's left, y up, z forward, from the eyes' middle), snapped to the
nearest vertex. The left half is found, the right half is its mirror image. The jaw is the 3-D ("x-ray") jaw: fixed
points from the tragus down the ramus and along the mandible's edge. `contour.py` finds the visible one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from facewright.eye.lids import INNER_EDGE, LATERAL, LOWER, MEDIAL, UPPER
from facewright.face.basis import head_basis
from facewright.face.hair import BROW_LINE
from facewright.face.topology import Topology, topology

Array = np.ndarray

JAW_YZ = ((2, -61), (-14, -57), (-31, -54), (-48, -52), (-63, -46), (-78, -35), (-92, -20), (-104, -4))
"""Jaw points 0-7 (and 16-9): from the tragus down the ramus and along the mandible's edge; point 8 is the chin."""
BROW_X, BROW_RISE_MM = (51, 42, 32, 22, 13), 2.0
"""Right brow 17-21, lateral to medial: |x|, and the height above the middle of the hair."""
BRIDGE_Y = (0, -11, -22)
BASE_XY = ((13.5, -42.5), (6.5, -45.5))
OUTER_LIP = (0.6, 0.22), (0.62, 0.32)
"""Points of the upper and of the lower lip between corner and middle: |x| as a share of the mouth's half width."""
INNER_LIP = 0.35
INNER_CORNER = 0.9


@cache
def ibug68() -> Array:
    """Return the 68 vertex indices, valid at every subdivision level >= topology.LEVEL."""
    head = topology()
    rest = head.rest
    face, skin = head.vertices_of("skin", "nose"), head.vertices_of("skin")
    jaw = [_lateral(rest, skin, y, z) for y, z in JAW_YZ]
    chin = _midline(
        rest,
        head.vertices_of("skin", "neck"),
        lambda p: np.where(p[:, 2] > -5, p[:, 2] - 1.2 * p[:, 1], -1e9),
        (-118, -95),
    )
    brow = [_nearest(rest, face, x, np.interp(x, *BROW_LINE.T) + BROW_RISE_MM) for x in BROW_X]
    bridge = [_nearest(rest, face, 0, y) for y in BRIDGE_Y]
    tip = _midline(rest, head.vertices_of("nose"), lambda p: p[:, 2], (-45, -20))
    columella = _midline(rest, face, lambda p: -np.abs(p[:, 1] + 46.5), (-52, -42))
    base = [_nearest(rest, face, x, y) for x, y in BASE_XY]
    upper, lower, inner_upper, inner_lower = _lips(head)
    eye = _eye(rest)
    right = mirror(rest)
    return np.array(
        [
            *right[jaw],
            chin,
            *jaw[::-1],
            *right[brow],
            *brow[::-1],
            *bridge,
            tip,
            *right[base],
            columella,
            *base[::-1],
            *right[eye[[3, 2, 1, 0, 5, 4]]],
            *eye,
            *right[upper[:-1]],
            *upper[::-1],
            *lower,
            *right[lower[-2::-1]],
            *right[inner_upper[:-1]],
            *inner_upper[::-1],
            *inner_lower,
            *right[inner_lower[-2::-1]],
        ]
    )


@cache
def wflw98() -> Array:
    """Return 96 vertex indices: WFLW-98 without its pupils, 96 and 97.

    The contour is the jaw of iBUG-68 and the vertices nearest to the middles between its points; brows have a lower
    edge as far below the middle of the hair as the upper one is above; eyes have the middles of both lids too.
    """
    head, points = topology(), ibug68()
    rest, right = head.rest, mirror(head.rest)
    skin, face = head.vertices_of("skin"), head.vertices_of("skin", "nose")
    half = [_closest(rest, skin, 0.5 * (rest[points[k]] + rest[points[k + 1]])) for k in range(8)]  # the right side
    between = [*half, *right[half[::-1]]]
    contour = np.stack([points[:16], between], axis=1).ravel()
    lower = np.array([_nearest(rest, face, x, np.interp(x, *BROW_LINE.T) - BROW_RISE_MM) for x in BROW_X[:0:-1]])
    upper_middle, lower_middle = _eye(rest, (1 / 2,))[[1, 3]]
    eye = points[42:48]
    left_eye = [*eye[:2], upper_middle, *eye[2:5], lower_middle, eye[5]]
    return np.array(
        [
            *contour,
            points[16],
            *points[17:22],
            *right[lower],
            *points[22:27],
            *lower[::-1],
            *points[27:36],
            *right[left_eye][[4, 3, 2, 1, 0, 7, 6, 5]],
            *left_eye,
            *points[48:68],
        ]
    )


@dataclass(frozen=True)
class Dense:
    """The dense set: `vertices` (468,) of the head, then five points on each iris make 478.

    `triangles` (T, 3) and `mirror` (478,) index all 478; `groups` name ranges of them.
    """

    vertices: Array
    triangles: Array
    mirror: Array
    groups: dict[str, range]


@cache
def dense478() -> Dense:
    """Return the table that tools/build_dense_landmarks.py computed from the template."""
    data = json.loads((resources.files("facewright") / "data" / "dense478.json").read_text(encoding="utf-8"))
    groups = {name: range(start, stop) for name, (start, stop) in data["groups"].items()}
    return Dense(np.array(data["vertices"]), np.array(data["triangles"]), np.array(data["mirror"]), groups)


def mirror(rest: Array) -> Array:
    """Return for each template vertex (V, 3) its partner on the other side; the template is exactly symmetric."""
    key = np.round(rest, 3) + 0.0
    there, here = np.lexsort((key * [-1, 1, 1] + 0.0).T), np.lexsort(key.T)
    partner = np.empty(len(rest), int)
    partner[there] = here
    return partner


def _eye(rest: Array, shares: tuple[float, ...] = (1 / 3, 2 / 3)) -> Array:
    """Return the left eye round from the medial canthus: canthi, and lid edges at `shares` of the way between them."""
    inner, corner = (head_basis().rings["left"][INNER_EDGE + k] for k in (0, 1))
    medial, lateral = corner[MEDIAL], corner[LATERAL]
    share = (rest[inner, 0] - rest[medial, 0]) / (rest[lateral, 0] - rest[medial, 0])
    upper, lower = ([lid[np.argmin(np.abs(share[lid] - s))] for s in shares] for lid in (UPPER, LOWER))
    return np.array([medial, *inner[upper], lateral, *inner[lower[::-1]]])


def _lips(head: Topology) -> tuple[list[int], ...]:
    """Return the left halves 54-51, 55-57, 64-62 and 65-66, each toward the midline."""
    rest = head.rest
    upper, lower = head.vertices_of("upper_lip"), head.vertices_of("lower_lip")
    both = np.union1d(upper, lower)
    corner = int(both[np.argmax(rest[both, 0])])
    x, y, _ = rest[corner]

    def at(ids: Array, share: float, score: Array) -> int:
        return int(ids[np.argmax(score[ids] - 1.5 * np.abs(rest[ids, 0] - share * x))])

    height, depth = rest[:, 1], rest[:, 2]
    front_upper, front_lower = (ids[depth[ids] > np.percentile(depth[ids], 25)] for ids in (upper, lower))
    inner_corner = at(both, INNER_CORNER, 0.3 * depth - 0.5 * np.abs(height - y))
    return (
        [corner, *(at(upper, s, height) for s in (*OUTER_LIP[0], 0))],
        [at(lower, s, -height) for s in (*OUTER_LIP[1], 0)],
        [inner_corner, *(at(front_upper, s, -height) for s in (INNER_LIP, 0))],
        [at(front_lower, s, height) for s in (INNER_LIP, 0)],
    )


def _nearest(rest: Array, ids: Array, x: float, y: float) -> int:
    front = ids[rest[ids, 2] > -60]
    flat = np.hypot(rest[front, 0] - x, rest[front, 1] - y)
    return int(front[np.argmin(flat - 0.05 * rest[front, 2])])


def _closest(rest: Array, ids: Array, place: Array) -> int:
    return int(ids[np.argmin(np.square(rest[ids] - place).sum(axis=1))])


def _lateral(rest: Array, ids: Array, y: float, z: float) -> int:
    ids = ids[rest[ids, 0] > 20]
    return int(ids[np.argmin(np.hypot(rest[ids, 1] - y, rest[ids, 2] - z))])


def _midline(rest: Array, ids: Array, score: Callable[[Array], Array], y_range: tuple[float, float]) -> int:
    low, high = y_range
    ids = ids[(np.abs(rest[ids, 0]) < 0.01) & (rest[ids, 1] > low) & (rest[ids, 1] < high)]
    return int(ids[np.argmax(score(rest[ids]))])
