"""Shirts: the torso's skin, lifted off the body and hemmed at the neck, and collars."""

from __future__ import annotations

from functools import cache

import numpy as np

from facewright.face.basis import head_basis
from facewright.face.parameters import Wear
from facewright.face.topology import neck_share
from facewright.geometry.mesh import Mesh, Subdivision, vertex_normals
from facewright.schema import Label

Array = np.ndarray

OFFSET_MM, HEM_MM = 5.0, 3.5
"""Distance of the cloth from the skin, and depth of the folded hem."""
SKIRT_MM = 320.0
"""How far the cloth hangs below the cut of the torso, so that small bodies fill a picture framed for adults."""
NECKLINE = {
    "crew": -143.0, "v_neck": -146.0, "high": -124.0, "collar": -141.0, "scoop": -152.0, "off_shoulder": -212.0
}  # fmt: skip
"""Height of the neckline at the side of the neck, mm below the eyes' middle on the template."""


@cache
def _pattern(style: str) -> tuple[Array, Array, list[Subdivision], Array, Array, Array, Array]:
    """Return used basis vertices, cloth quads over them and subdivisions of these with hem and skirt.

    Then the vertices of the neck's rim (n,) and of the foot, how far the rim moves down (or up) in mm (n,), and which
    two of it are a rim vertex's neighbours (n, 2).
    """
    basis = head_basis()
    rest = basis.template - basis.origin
    x, y, z = rest[basis.faces].mean(axis=1).T
    parts = [basis.part_names.index(name) for name in ("neck", "torso")]
    quads = basis.faces[(y < _neckline(style, x, z)) & np.isin(basis.part, parts)]
    used, quads = np.unique(quads, return_inverse=True)
    quads = quads.reshape(-1, 4)
    ends = np.stack([quads, np.roll(quads, -1, axis=1)], axis=2).reshape(-1, 2)
    keys, counts = np.unique(np.sort(ends, axis=1), axis=0, return_counts=True)
    border = {tuple(edge) for edge in keys[counts == 1].tolist()}
    top = rest[used][:, 1] > -240
    border_edges = np.array([edge for edge in ends.tolist() if tuple(sorted(edge)) in border])
    rim_edges = border_edges[top[border_edges].all(axis=1)]
    rim, hem = _strip(rim_edges, len(used))
    foot, skirt = _strip(border_edges[~top[border_edges].all(axis=1)], len(used) + len(rim))
    faces = np.concatenate([quads, hem, skirt])
    steps = []
    count = len(used) + len(rim) + len(foot)
    for _ in range(2):
        steps.append(Subdivision(faces, count))
        count += len(steps[-1].edges) + len(faces)
        faces = steps[-1].faces
    x, y, z = rest[used[rim]].T
    drop = np.clip(_neckline(style, x, z) - y, -14, 14)
    beside = np.empty((len(rim), 2), int)
    first, second = np.searchsorted(rim, rim_edges).T
    beside[first, 0], beside[second, 1] = second, first
    return used, quads, steps, rim, foot, drop, beside


def _strip(edges: Array, first: int) -> tuple[Array, Array]:
    """Return the vertices of border `edges` (n, 2) and quads from them to new vertices numbered from `first`."""
    ids = np.unique(edges)
    new = first + np.searchsorted(ids, edges)
    return ids, np.stack([edges[:, 1], edges[:, 0], new[:, 0], new[:, 1]], axis=1)


def _neckline(style: str, x: Array, z: Array) -> Array:
    """Return the height of the neckline at template x, z: higher at the nape; a V and a scoop dip in front."""
    line = NECKLINE[style] + 0.3 * (-60 - z)
    if style == "scoop":
        line = line - 27 * (1 + np.cos(np.pi * np.clip(x / 92, -1, 1))) * np.clip((z + 100) / 40, 0, 1)
    if style == "v_neck":
        line = line - 55 * np.clip(1 - np.abs(x) / 42, 0, 1) * np.clip((z + 75) / 20, 0, 1)
    return line


RIM_PASSES = 3
"""How often a neckline is evened along itself: it follows quads of up to 15 mm."""
HANG_MM = 5.0
"""Cloth hangs from the shoulders: it follows the head a little less than the skin that it lies on; reasoned."""
STAND_MM, LEAF_MM, POINT_MM = 24.0, 36.0, 24.0
"""Height of a collar's stand, depth of its leaf at the nape, and how much longer its points are."""


def shirt(wear: Wear, body: Array) -> list[Mesh]:
    """Return the shirt, and its collar if it has one, over resting-topology vertices `body` (V, 3) head mm.

    Cloth follows the head's turn as the template's skin HANG_MM below it does.
    """
    used, quads, steps, rim, foot, drop, beside = _pattern(wear.shirt)
    skin = body[used]
    normals = vertex_normals(skin, quads)
    outer = skin + OFFSET_MM * normals
    outer[rim, 1] += drop
    for _ in range(RIM_PASSES):
        outer[rim] = 0.5 * outer[rim] + 0.25 * outer[rim[beside]].sum(axis=1)
    hem = outer[rim] - (HEM_MM + 1.0) * normals[rim] - np.array([0, 2.0, 0])
    below = outer[foot] - np.array([0, SKIRT_MM, 0])
    vertices = np.concatenate([outer, hem, below])
    template = (head_basis().template - head_basis().origin)[used]
    under = np.concatenate([template, template[rim], template[foot] - np.array([0, SKIRT_MM, 0])])
    rest = np.concatenate([body[used], hem, below])
    for step in steps:
        vertices, under, rest = step.positions(vertices), step.positions(under), step.linear(rest)
    share = neck_share(under - np.array([0, HANG_MM, 0]))
    parts = [_cloth("shirt", vertices, steps[-1].faces, share, rest)]
    if wear.shirt == "collar":
        parts.append(_collar(outer[rim], neck_share(template[rim] - np.array([0, HANG_MM, 0]))))
    return parts


def _collar(rim: Array, follow: Array) -> Mesh:
    """Return a turned-down collar on the shirt's `rim` (n, 3), whose head share is `follow` (n,): open in front."""
    middle = rim.mean(axis=0)
    angle = np.arctan2(rim[:, 0] - middle[0], rim[:, 2] - middle[2])
    order = np.argsort(angle)
    at = np.linspace(0.16, 2 * np.pi - 0.16, 90)  # from the left of the throat over the nape to its right
    turn = np.where(at > np.pi, at - 2 * np.pi, at)
    line = np.stack([np.interp(turn, angle[order], rim[order, k], period=2 * np.pi) for k in range(3)], axis=1)
    share = np.interp(turn, angle[order], follow[order], period=2 * np.pi)
    for _ in range(5):
        line[1:-1] = 0.5 * line[1:-1] + 0.25 * (line[2:] + line[:-2])
    out = (line - middle) * [1, 0, 1]
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    front = np.exp(-((np.pi - np.abs(at - np.pi)) ** 2) / 0.5)[:, None]
    up = np.array([0, 1.0, 0])
    stand = STAND_MM * (1 - 0.35 * front)
    leaf = LEAF_MM + POINT_MM * front
    rows = [
        line - 2.0 * up,
        line + 0.5 * stand * up - 1.0 * out,
        line + stand * up - 1.5 * out,
        line + (stand + 1.5) * up + 0.5 * out,
        line + (stand - 3.0) * up + 3.5 * out,
        line + (stand - 0.5 * leaf) * up + 7.0 * out,
        line + (stand - leaf) * up + (11.0 + 8.0 * front) * out,
        line + (stand - leaf + 0.5) * up + (9.0 + 8.0 * front) * out,
    ]
    n = len(line)
    r, k = np.meshgrid(np.arange(len(rows) - 1), np.arange(n - 1), indexing="ij")
    a = (r * n + k).ravel()
    vertices = np.concatenate(rows)
    return _cloth(
        "collar", vertices, np.stack([a, a + 1, a + 1 + n, a + n], axis=1), np.tile(share, len(rows)), vertices
    )


def _cloth(name: str, vertices: Array, faces: Array, share: Array, rest: Array) -> Mesh:
    labels = np.full(len(faces), int(Label.CLOTH), np.uint8)
    return Mesh(name, vertices, faces, labels, "cloth", {"head": share, "rest": rest})
