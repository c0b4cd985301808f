"""Shirts and jackets: the torso's skin, lifted off the body and hemmed at the neck; collars, lapels and ties."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

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
"""Height of a shirt's neckline at the side of the neck, mm below the eyes' middle on the template."""
JACKET, JACKET_NECK_MM, OVER_MM = "jacket", -143.0, 5.0
"""A jacket's neckline, its height, and how far the jacket stands off the shirt."""


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
    top = (rest[used][:, 1] > -240) | ((rest[used][:, 1] > -290) & (np.abs(rest[used][:, 0]) < 80))
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
    """Return the height of the neckline at template x, z: higher at the nape; Vs and a scoop dip in front."""
    line = NECKLINE.get(style, JACKET_NECK_MM) + 0.3 * (-60 - z)
    if style == "scoop":
        line = line - 27 * (1 + np.cos(np.pi * np.clip(x / 92, -1, 1))) * np.clip((z + 100) / 40, 0, 1)
    if style == "v_neck":
        line = line - 55 * np.clip(1 - np.abs(x) / 42, 0, 1) * np.clip((z + 75) / 20, 0, 1)
    if style == JACKET:
        line = line - 105 * np.clip(1 - np.abs(x) / 66, 0, 1) * np.clip((z + 85) / 25, 0, 1)
    return line


RIM_PASSES = 3
"""How often a neckline is evened along itself: it follows quads of up to 15 mm."""
HANG_MM = 5.0
"""Cloth hangs from the shoulders: it follows the head a little less than the skin that it lies on; reasoned."""
STAND_MM, LEAF_MM, POINT_MM = 24.0, 36.0, 24.0
"""Height of a collar's stand, depth of its leaf at the nape, and how much longer its points are."""


def thickness(wear: Wear) -> float:
    """Return how far hair lies off the shoulders' skin, mm: on the shirt, or on the lapels of a jacket."""
    return OFFSET_MM + 1.0 + (0.0 if wear.jacket.kind == "none" else OVER_MM + LEAF_OFF_MM)


class _Garment(NamedTuple):
    """Cloth over the torso, and its neckline: places (n, 3), outward normals (n, 3), shares of the head's turn (n,)."""

    mesh: Mesh
    rim: Array
    normals: Array
    follow: Array


def worn_cloth(wear: Wear, body: Array) -> list[Mesh]:
    """Return shirt, collar, tie and jacket, whatever is worn, over resting-topology vertices `body` (V, 3) head mm.

    Cloth follows the head's turn as the template's skin HANG_MM below it does.
    """
    shirt = _garment("shirt", wear.shirt, body, OFFSET_MM, "cloth")
    parts = [shirt.mesh]
    if wear.shirt == "collar":
        parts.append(_collar(shirt.rim, shirt.follow))
    if wear.jacket.kind == "blazer":
        jacket = _garment("jacket", JACKET, body, OFFSET_MM + OVER_MM, "jacket")
        parts += [jacket.mesh, _lapels(jacket)]
        if wear.jacket.tie and wear.shirt == "collar":
            parts.append(_tie(shirt))
    return parts


def _garment(name: str, style: str, body: Array, offset_mm: float, material: str) -> _Garment:
    """Return cloth `offset_mm` off the skin under the neckline of `style`."""
    used, quads, steps, rim, foot, drop, beside = _pattern(style)
    skin = body[used]
    normals = vertex_normals(skin, quads)
    outer = skin + offset_mm * normals
    template = (head_basis().template - head_basis().origin)[used]
    outer[rim, 1] += drop * _stretch(quads, template[:, 1], skin[:, 1])[rim]
    for _ in range(RIM_PASSES):
        outer[rim] = 0.5 * outer[rim] + 0.25 * outer[rim[beside]].sum(axis=1)
    hem = outer[rim] - (HEM_MM + 1.0) * normals[rim] - np.array([0, 2.0, 0])
    below = outer[foot] - np.array([0, SKIRT_MM, 0])
    vertices = np.concatenate([outer, hem, below])
    under = np.concatenate([template, template[rim], template[foot] - np.array([0, SKIRT_MM, 0])])
    rest = np.concatenate([body[used], hem, below])
    for step in steps:
        vertices, under, rest = step.positions(vertices), step.positions(under), step.linear(rest)
    share = neck_share(under - np.array([0, HANG_MM, 0]))
    mesh = _cloth(name, vertices, steps[-1].faces, share, rest, material)
    return _Garment(mesh, outer[rim], normals[rim], neck_share(template[rim] - np.array([0, HANG_MM, 0])))


def _stretch(quads: Array, template: Array, height: Array) -> Array:
    """Return how many mm of `height` (V,) lie in one mm of `template` height (V,) round each vertex of `quads`."""
    a, b = quads.ravel(), np.roll(quads, -1, axis=1).ravel()
    rise, ours = template[a] - template[b], height[a] - height[b]
    both, own = np.zeros(len(template)), np.full(len(template), 1e-9)
    for ends in (a, b):
        np.add.at(both, ends, rise * ours)
        np.add.at(own, ends, rise * rise)
    return both / own


def _collar(rim: Array, follow: Array) -> Mesh:
    """Return a turned-down collar on the shirt's `rim` (n, 3), whose head share is `follow` (n,): open in front."""
    line, share, at = _along(rim, follow[:, None], 0.16)
    out = (line - rim.mean(axis=0)) * [1, 0, 1]
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
    vertices = np.concatenate(rows)
    return _cloth("collar", vertices, _sheet(len(rows), len(line)), np.tile(share[:, 0], len(rows)), vertices)


LAPEL_MM = np.array([[0.0, 2], [0.4, 30], [0.74, 58], [0.79, 22], [0.85, 22], [0.88, 40], [1.0, 36]])
"""Width of a blazer's lapel and collar by height, from the button 0 to the nape 1, with the notch between them."""
LEAF_OFF_MM = 3.0
"""How far lapels lie off the jacket at least."""


def _lapels(jacket: _Garment) -> Mesh:
    """Return a blazer's collar and lapels, folded outward from its neckline onto the jacket."""
    line, along, _ = _along(jacket.rim, np.concatenate([jacket.normals, jacket.follow[:, None]], axis=1), 0.02)
    normal, share = along[:, :3] / np.linalg.norm(along[:, :3], axis=1, keepdims=True), along[:, 3]
    away = np.cross(normal, np.gradient(line, axis=0))
    away *= np.sign((away * (line - line.mean(axis=0)) * [1, 0, 1]).sum()) / np.linalg.norm(away, axis=1, keepdims=True)
    height = line[:, 1]
    high = np.clip((height - height.min()) / (np.percentile(height, 85) - height.min()), 0, 1)
    wide = np.interp(high, *LAPEL_MM.T)[:, None]
    stand = np.interp(high, [0.75, 1], [0, 17])[:, None] * np.array([0, 1.0, 0])
    rows = [
        line - 3.0 * normal,
        line + 0.6 * stand + 1.5 * normal,
        line + stand + 4.0 * normal,
        line + 0.7 * stand + 0.2 * wide * away + 6.5 * normal,
        line + 0.3 * stand + 0.6 * wide * away + 5.5 * normal,
        line + wide * away + 4.5 * normal,
        line + (wide - 0.5) * away + 1.5 * normal,
    ]
    ground, faces = jacket.mesh.vertices, jacket.mesh.faces
    normals = vertex_normals(ground, faces)
    for k in (3, 4, 5):
        near = _nearest(rows[k], ground)
        gap = ((rows[k] - ground[near]) * normals[near]).sum(axis=1)
        rows[k] = rows[k] + np.maximum(LEAF_OFF_MM - gap, 0)[:, None] * normals[near]
    vertices = np.concatenate(rows)
    return _cloth("lapels", vertices, _sheet(len(rows), len(line)), np.tile(share, len(rows)), vertices, "jacket")


TIE_MM = np.array([[-17.0, 13], [-9, 16], [6, 11.5], [12, 8.5], [17, 10], [60, 19], [130, 31]])
"""Half the width of a tie by the depth below the front of its shirt's neckline: the knot, then the blade."""


def _tie(shirt: _Garment) -> Mesh:
    """Return a tie on a closed shirt: a knot between the collar's points and a blade that lies on the shirt."""
    front = shirt.rim[shirt.rim[:, 2].argmax()]
    across, down = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(TIE_MM[0, 0], TIE_MM[-1, 0], 40))
    half = np.interp(down, *TIE_MM.T)
    points = np.stack([half * across, front[1] - down, np.zeros_like(half)], axis=-1).reshape(-1, 3)
    ground = shirt.mesh.vertices
    before = ground[:, 2] > shirt.rim[:, 2].mean()
    near = np.nonzero(before)[0][_nearest(points[:, :2], ground[before, :2])]
    knot = np.interp(down, [-17, -10, 6, 13], [4.0, 10.0, 8.0, 0]).ravel() * (1 - across.ravel() ** 2)
    points[:, 2] = ground[near, 2] + 3.0 + knot
    share = shirt.mesh.points["head"][near]
    return _cloth("tie", points, _sheet(*down.shape), share, points, "tie")


def _along(rim: Array, values: Array, gap: float) -> tuple[Array, Array, Array]:
    """Return 90 points of a neckline `rim` (n, 3), evened, from the left of the throat over the nape to its right.

    Then `values` (n, C) there, and the points' azimuths in radians; `gap` is left open to either side of the front.
    """
    middle = rim.mean(axis=0)
    angle = np.arctan2(rim[:, 0] - middle[0], rim[:, 2] - middle[2])
    order = np.argsort(angle)
    at = np.linspace(gap, 2 * np.pi - gap, 90)
    turn = np.where(at > np.pi, at - 2 * np.pi, at)
    both = np.concatenate([rim, values], axis=1)[order]
    found = np.stack([np.interp(turn, angle[order], column, period=2 * np.pi) for column in both.T], axis=1)
    line = found[:, :3]
    for _ in range(5):
        line[1:-1] = 0.5 * line[1:-1] + 0.25 * (line[2:] + line[:-2])
    return line, found[:, 3:], at


def _sheet(rows: int, columns: int) -> Array:
    """Return the quads of a sheet of vertices numbered row by row."""
    r, k = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = (r * columns + k).ravel()
    return np.stack([a, a + 1, a + 1 + columns, a + columns], axis=1)


def _nearest(points: Array, ground: Array) -> Array:
    """Return for each of points (N, D) the nearest of `ground` (M, D)."""
    return np.array([((ground - point) ** 2).sum(axis=1).argmin() for point in points])


def _cloth(name: str, vertices: Array, faces: Array, share: Array, rest: Array, material: str = "cloth") -> Mesh:
    labels = np.full(len(faces), int(Label.CLOTH), np.uint8)
    return Mesh(name, vertices, faces, labels, material, {"head": share, "rest": rest})
