"""The visible jaw: where people who annotate photographs put the contour when the head turns.

Each jaw point owns a line on the skin: the level cross-section of the template through it, forward to the midline; the
chin's own runs up the midline. Where the point's skin is turned away from the camera, the contour lies where its line
first turns toward the camera: on the rim. Of several rims the outermost counts. A point that faces the camera stays,
unless a rim farther out hides it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from facewright.face.landmarks import mirror, wflw98
from facewright.face.topology import topology
from facewright.geometry.mesh import vertex_normals

Array = np.ndarray

AXIS_Z_MM = -70.0
"""Depth of the vertical axis round which a cross-section's points are put in order: inside every face."""
CHIN_TOP_MM = -84.0
"""Height at which the chin's line ends, below the lower lip."""
HIDDEN_MM = 1.0
"""How much farther out a rim is that hides a point which faces the camera; less is not seen; reasoned."""
CONTOUR_POINTS = 33
"""As in WFLW; every other one is iBUG-68's."""


class Line(NamedTuple):
    """Points along a skin line, from the jaw to the front: `low + share * (high - low)`, rows of `Lines.vertices`."""

    low: Array
    high: Array
    share: Array


@dataclass(frozen=True)
class Lines:
    """`vertices` (N,) of the head that the lines need, `faces` (F, 4) among these for their normals, 33 `lines`."""

    vertices: Array
    faces: Array
    lines: tuple[Line, ...]


@cache
def jaw_lines() -> Lines:
    """Return the lines of the 33 contour points of WFLW-98, from the subject's right to the left."""
    mesh = topology()
    rest, points = mesh.rest, wflw98()[:CONTOUR_POINTS]
    edges = _edges(
        mesh.faces, np.isin(np.arange(len(rest)), mesh.vertices_of("skin", "nose", "upper_lip", "lower_lip"))
    )
    half = CONTOUR_POINTS // 2
    other = mirror(rest)
    left = [_level(rest, edges, int(v)) for v in points[:half:-1]]  # from the ear down
    right = [(other[low], other[high], share) for low, high, share in left]
    found = [*right, _midline(rest, mesh.vertices_of("skin"), int(points[half])), *left[::-1]]
    used = np.unique(np.concatenate([ends for low, high, _ in found for ends in (low, high)]))
    faces = mesh.faces[np.isin(mesh.faces, used).any(axis=1)]
    vertices = np.unique(faces)
    place = np.full(len(rest), -1)
    place[vertices] = np.arange(len(vertices))
    return Lines(vertices, place[faces], tuple(Line(place[low], place[high], share) for low, high, share in found))


def visible_jaw(skin: Array, pinhole: Array) -> Array:
    """Return the contour (33, 3) that a camera at `pinhole` (3,) sees; `skin` (N, 3) are `jaw_lines().vertices`."""
    known = jaw_lines()
    normals = vertex_normals(skin, known.faces)
    starts = np.array([_at(skin, line)[0] for line in known.lines])
    across = starts - starts[::-1]  # outward, from the other side's point
    across[CONTOUR_POINTS // 2] = starts[CONTOUR_POINTS // 2] - starts[[0, -1]].mean(axis=0)
    return np.array(
        [_rim(_at(skin, line), _at(normals, line), pinhole, out) for line, out in zip(known.lines, across, strict=True)]
    )


def _rim(points: Array, normals: Array, pinhole: Array, outward: Array) -> Array:
    """Return the outermost of the points at which the line turns toward the pinhole, or its first if that faces it.

    But skin before an ear may face the camera behind a cheek that hides it: whose rim is HIDDEN_MM farther out.
    """
    facing = (normals * (pinhole - points)).sum(axis=1)
    turns = np.nonzero((facing[:-1] < 0) & (facing[1:] >= 0))[0]
    share = (facing[turns] / (facing[turns] - facing[turns + 1]))[:, None]
    rims = points[turns] + share * (points[turns + 1] - points[turns])
    away = np.linalg.norm(pinhole - points[0])
    ends = np.concatenate([points[:1], rims])
    sight = (ends - pinhole) / np.linalg.norm(ends - pinhole, axis=1, keepdims=True)
    reach = away * sight @ outward / np.linalg.norm(outward)
    reach[0] += HIDDEN_MM if facing[0] >= 0 else -np.inf
    return ends[np.argmax(reach)] if len(rims) or facing[0] >= 0 else points[-1]


def _at(values: Array, line: Line) -> Array:
    return values[line.low] + line.share[:, None] * (values[line.high] - values[line.low])


def _edges(faces: Array, wanted: Array) -> Array:
    """Return the distinct edges (E, 2) whose ends are both `wanted` (V,)."""
    ends = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
    ends = ends[wanted[ends].all(axis=1)]
    return np.unique(ends, axis=0)


def _level(rest: Array, edges: Array, vertex: int) -> tuple[Array, Array, Array]:
    """Return the left level line from `vertex` to the midline: edge ends and shares, in order round the head."""
    height = rest[vertex, 1] + 1e-6  # through no vertex, so that every crossing is on one edge
    low, high = edges.T
    cut = (rest[low, 1] - height) * (rest[high, 1] - height) < 0
    low, high = low[cut], high[cut]
    share = (height - rest[low, 1]) / (rest[high, 1] - rest[low, 1])
    x, _, z = (rest[low] + share[:, None] * (rest[high] - rest[low])).T
    angle = np.arctan2(x, z - AXIS_Z_MM)
    start = np.arctan2(rest[vertex, 0], rest[vertex, 2] - AXIS_Z_MM)
    keep = (angle < start) & (x > -0.01)
    order = np.argsort(-angle[keep], kind="stable")
    low, high, share = (
        np.concatenate([[first], v[keep][order]]) for first, v in ((vertex, low), (vertex, high), (0.0, share))
    )
    return low.astype(int), high.astype(int), share


def _midline(rest: Array, ids: Array, chin: int) -> tuple[Array, Array, Array]:
    """Return the line from the chin up the midline to below the lower lip."""
    front = ids[(np.abs(rest[ids, 0]) < 0.01) & (rest[ids, 1] > rest[chin, 1]) & (rest[ids, 1] < CHIN_TOP_MM)]
    front = front[rest[front, 2] > -20]
    line = np.concatenate([[chin], front[np.argsort(rest[front, 1], kind="stable")]])
    return line, line, np.zeros(len(line))
