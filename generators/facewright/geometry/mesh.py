"""Quad meshes as arrays, and Catmull-Clark subdivision as a linear map that is computed once per topology."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from facewright.geometry.vectors import cross, norm

Array = np.ndarray


@dataclass(frozen=True)
class Mesh:
    """`vertices` (V, 3) mm, `faces` (F, 4) int (a triangle repeats its last index), `labels` (F,) uint8 class ids.

    `points` holds named per-vertex attributes (V,) or (V, k) float; `material` the name of the material function.
    """

    name: str
    vertices: Array
    faces: Array
    labels: Array
    material: str
    points: dict[str, Array] = field(default_factory=dict)

    def moved(self, vertices: Array) -> Mesh:
        """Return the mesh with other vertex positions."""
        return replace(self, vertices=vertices)

    def triangles(self) -> Array:
        """Return (T, 3) vertex indices; quads are split along corners 0-2."""
        first, second = self.faces[:, [0, 1, 2]], self.faces[:, [0, 2, 3]]
        return np.concatenate([first, second[second[:, 1] != second[:, 2]]])


def face_normals(vertices: Array, faces: Array) -> Array:
    """Return (F, 3) unit normals of quads (cross product of the diagonals)."""
    p = vertices[faces]
    normal = cross(p[:, 2] - p[:, 0], p[:, 3] - p[:, 1])
    return normal / np.maximum(norm(normal), 1e-12)[:, None]


def vertex_normals(vertices: Array, faces: Array) -> Array:
    """Return (V, 3) area-weighted unit vertex normals."""
    p = vertices[faces]
    normal = cross(p[:, 2] - p[:, 0], p[:, 3] - p[:, 1])
    total = scatter_sum(faces.ravel(), np.repeat(normal, 4, axis=0), len(vertices))
    return total / np.maximum(norm(total), 1e-12)[:, None]


def scatter_sum(index: Array, values: Array, count: int) -> Array:
    """Return (count, k) sums of `values` (n, k) over equal `index` (n,)."""
    return np.stack([np.bincount(index, values[:, k], count) for k in range(values.shape[1])], axis=1)


class Subdivision:
    """One Catmull-Clark step for fixed `faces` (F, 4) over `count` vertices.

    Original vertices keep their indices; then come edge points, then face points. Boundary edges and vertices follow
    the crease rule, or stay where they are if `pinned`, so that coarser neighbours still fit; vertices that no face
    uses stay. `faces` (4F, 4) is the new topology and `parent` (4F,) the quad each came from.
    """

    def __init__(self, faces: Array, count: int, pinned: bool = False) -> None:
        faces = np.asarray(faces, np.int64)
        self.coarse, self.count = faces, count
        ends = np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2)
        ordered = np.sort(ends, axis=1)
        edges, inverse = np.unique(ordered[:, 0] * count + ordered[:, 1], return_inverse=True)
        self.edges = np.stack([edges // count, edges % count], axis=1)
        self.face_edges = inverse.reshape(-1, 4)
        self.edge_uses = np.bincount(self.face_edges.ravel(), minlength=len(edges))
        e0, f0 = count, count + len(edges)
        corner = faces
        following = e0 + self.face_edges
        preceding = e0 + np.roll(self.face_edges, 1, axis=1)
        middle = np.broadcast_to((f0 + np.arange(len(faces)))[:, None], faces.shape)
        self.faces = np.stack([corner, following, middle, preceding], axis=2).reshape(-1, 4)
        self.parent = np.repeat(np.arange(len(faces)), 4)
        self._inner = self.edge_uses == 2
        border = self.edges[~self._inner]
        self._on_border = np.zeros(count, bool)
        self._on_border[border.ravel()] = True
        self._border, self._pinned = border, pinned
        self._valence = np.bincount(self.edges.ravel(), minlength=count)
        self._face_count = np.bincount(faces.ravel(), minlength=count)

    def positions(self, vertices: Array) -> Array:
        """Return the smoothed (V + E + F, k) positions."""
        face_points, middles = _means(vertices, self.coarse), _means(vertices, self.edges)
        sums = scatter_sum(self.face_edges.ravel(), np.repeat(face_points, 4, axis=0), len(self.edges))
        edge_points = np.where(self._inner[:, None], 0.5 * middles + 0.25 * sums, middles)
        n = np.maximum(self._valence, 1)[:, None].astype(float)
        around_f = scatter_sum(self.coarse.ravel(), np.repeat(face_points, 4, axis=0), self.count)
        around_f /= np.maximum(self._face_count, 1)[:, None]
        around_e = scatter_sum(self.edges.ravel(), np.repeat(middles, 2, axis=0), self.count) / n
        smooth = (around_f + 2 * around_e + (n - 3) * vertices) / n
        if self._pinned:
            smooth = np.where(self._on_border[:, None], vertices, smooth)
        elif len(self._border):
            ends = np.concatenate([self._border, self._border[:, ::-1]])
            neighbours = scatter_sum(ends[:, 0], vertices[ends[:, 1]], self.count)
            degree = np.maximum(np.bincount(ends[:, 0], minlength=self.count), 1)[:, None]
            crease = 0.75 * vertices + 0.25 * neighbours / degree
            smooth = np.where(self._on_border[:, None], crease, smooth)
        smooth = np.where((self._valence == 0)[:, None], vertices, smooth)
        return np.concatenate([smooth, edge_points, face_points])

    def linear(self, values: Array) -> Array:
        """Return values (V,) or (V, k) interpolated without smoothing: for masks and texture coordinates."""
        return np.concatenate([values, _means(values, self.edges), _means(values, self.coarse)])


def _means(values: Array, ids: Array) -> Array:
    """Return the means (N, ...) of `values` at each row of `ids` (N, k)."""
    total = values[ids[:, 0]]
    for column in ids[:, 1:].T:
        total = total + values[column]
    return total / ids.shape[1]
