"""The iBUG-68 landmarks as vertices of the subdivided head (docs/landmarks.md shows each of them on the mesh).

Lid points come from the lid loops, lip points from the lip parts, the others from positions on the template in mm
(x toward the subject's left, y up, from the eyes' middle), snapped to the nearest front vertex. The jaw is the 3-D
("x-ray") contour: fixed points of the mandible's outline in a frontal view.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from facewright.eye.lids import INNER_EDGE, LATERAL, MEDIAL
from facewright.face.basis import head_basis
from facewright.face.topology import Topology, topology

Array = np.ndarray

JAW_Y = (2, -14, -31, -48, -63, -78, -92, -104)
"""Heights of jaw points 0-7 (and 16-9); point 8 is the chin."""
BROW_XY = ((52, 15), (43, 22.5), (33, 24.5), (23, 22), (13, 18))
"""Right brow 17-21, lateral to medial, as |x|, y; the upper edge of the hair."""
BRIDGE_Y = (0, -11, -22)
BASE_XY = ((13.5, -42.5), (6.5, -45.5))


@cache
def ibug68() -> Array:
    """Return the 68 vertex indices, valid at every subdivision level >= topology.LEVEL."""
    head = topology()
    basis, rest = head_basis(), head.rest
    face, skin = head.vertices_of("skin", "nose", "upper_lip", "lower_lip"), head.vertices_of("skin")
    jaw = [_outermost(rest, skin, y, -1) for y in JAW_Y]
    jaw_left = [_outermost(rest, skin, y, +1) for y in JAW_Y]
    chin = _midline(rest, head.vertices_of("skin", "neck"),
                    lambda p: np.where(p[:, 2] > -5, p[:, 2] - 1.2 * p[:, 1], -1e9), (-118, -95))
    brow_right = [_nearest(rest, face, -x, y) for x, y in BROW_XY]
    brow_left = [_nearest(rest, face, x, y) for x, y in reversed(BROW_XY)]
    bridge = [_nearest(rest, face, 0, y) for y in BRIDGE_Y]
    tip = _midline(rest, head.vertices_of("nose"), lambda p: p[:, 2], (-45, -20))
    columella = _midline(rest, face, lambda p: -np.abs(p[:, 1] + 46.5), (-52, -42))
    base = [*(_nearest(rest, face, -x, y) for x, y in BASE_XY), columella,
            *(_nearest(rest, face, x, y) for x, y in reversed(BASE_XY))]
    ids = [*jaw, chin, *jaw_left[::-1], *brow_right, *brow_left, *bridge, tip, *base]
    for side in ("right", "left"):
        inner, corner = basis.rings[side][INNER_EDGE], basis.rings[side][INNER_EDGE + 1]
        order = [corner[LATERAL], inner[9], inner[5], corner[MEDIAL], inner[23], inner[19]]
        if side == "left":
            order = [corner[MEDIAL], inner[5], inner[9], corner[LATERAL], inner[19], inner[23]]
        ids += order
    return np.array([*ids, *_lips(head, rest)])


def _lips(head: Topology, rest: Array) -> list[int]:
    upper, lower = head.vertices_of("upper_lip"), head.vertices_of("lower_lip")
    both = np.union1d(upper, lower)
    width = float(np.abs(rest[both, 0]).max())
    right, left = int(both[np.argmin(rest[both, 0])]), int(both[np.argmax(rest[both, 0])])

    def at(ids: Array, share: float, score: Array) -> int:
        near = np.abs(rest[ids, 0] - share * width)
        return int(ids[np.argmin(near * 1.5 - score)])

    top = [at(upper, s, rest[upper, 1]) for s in (-0.6, -0.22, 0.0, 0.22, 0.6)]
    bottom = [at(lower, s, -rest[lower, 1]) for s in (0.62, 0.32, 0.0, -0.32, -0.62)]
    front_upper = upper[rest[upper, 2] > np.percentile(rest[upper, 2], 25)]
    front_lower = lower[rest[lower, 2] > np.percentile(rest[lower, 2], 25)]
    seam_top = [at(front_upper, s, -rest[front_upper, 1]) for s in (-0.35, 0.0, 0.35)]
    seam_bottom = [at(front_lower, s, rest[front_lower, 1]) for s in (0.35, 0.0, -0.35)]
    level = rest[[right, left], 1].mean()
    corner = [at(both, s, -0.5 * np.abs(rest[both, 1] - level) + 0.3 * rest[both, 2]) for s in (-0.9, 0.9)]
    return [right, *top, left, *bottom, corner[0], *seam_top, corner[1], *seam_bottom]


def _nearest(rest: Array, ids: Array, x: float, y: float) -> int:
    front = ids[rest[ids, 2] > -60]
    flat = np.hypot(rest[front, 0] - x, rest[front, 1] - y)
    return int(front[np.argmin(flat - 0.05 * rest[front, 2])])


def _outermost(rest: Array, ids: Array, y: float, sign: int) -> int:
    ids = ids[(rest[ids, 2] > -75) & (rest[ids, 0] * sign > 0)]
    score = rest[ids, 0] * sign - 5 * np.abs(rest[ids, 1] - y) + 0.12 * rest[ids, 2]
    return int(ids[np.argmax(score)])


def _midline(rest: Array, ids: Array, score: Callable[[Array], Array], y_range: tuple[float, float]) -> int:
    low, high = y_range
    ids = ids[(np.abs(rest[ids, 0]) < 0.5) & (rest[ids, 1] > low) & (rest[ids, 1] < high)]
    return int(ids[np.argmax(score(rest[ids]))])
