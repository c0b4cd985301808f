"""Where hairs grow on a head, how many, and how much of the skin under them is coloured like them.

`near` says which topology the head has (face/topology.py). What hairs then look like is up to hair, growth and beard
in face/.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from facewright import rng
from facewright.face import hair as hair_module
from facewright.face.basis import head_basis
from facewright.face.beard import BEARDS, beard_weight, beard_width_mm, grow_beard
from facewright.face.cloth import thickness
from facewright.face.growth import grow, strand_budget
from facewright.face.haircuts import STYLES
from facewright.face.headshape import HeadShape
from facewright.face.topology import Topology, topology
from facewright.geometry.mesh import vertex_normals
from facewright.geometry.strands import Strands
from facewright.sample import Sample
from facewright.schema import SIDES

Array = np.ndarray

HAIRY = ("skin", "nose", "neck")
"""Parts that hairs grow from."""
HAIR_WIDTH_MM, EYE_WIDTH_MM = 5200.0, 1800.0
"""Sum of the widths of all hairs of a full head: 100 000 of 0.07 mm are 7000 mm, of which many lie in each other's
shadow; less in eye scenes, where head hair hardly enters the picture. Judged on contact sheets."""


def hairs(sample: Sample, near: str | None, head: Array) -> list[Strands]:
    """Return brows and head hair in head mm; the number of strands adapts to the picture's scale."""
    subject, mesh = sample.subject, topology(near)
    seed = (sample.seed, sample.subject_index)
    normals = vertex_normals(head, mesh.faces)
    brow_count = int(2300 * subject.hair.brow_density)
    skin = topology().vertices_of("skin", "nose")  # brows need no finer surface than the common mesh, and no socket
    found = [
        hair_module.brows(
            subject.hair, mesh.rest[skin], head[skin], normals[skin], side, seed, brow_count, subject.head.gender
        )
        for side in SIDES
    ]
    style = STYLES[subject.hair.style]
    width, limit = (EYE_WIDTH_MM, 10000) if sample.scene == "eye" else (HAIR_WIDTH_MM, 40000)
    count, radius = strand_budget(width * style.density, sample.camera.field_mm / sample.image.width, limit)
    weight = _scalp(subject.hair.style, near)
    names = head_basis().part_names
    skin_faces = mesh.faces[np.isin(mesh.part, [names.index("skin"), names.index("neck")])]
    roots, root_normals, rest_roots = _scatter(skin_faces, mesh.rest, weight, head, normals, count, seed, "hair")
    shape = _head_shape(mesh, head, thickness(sample.subject.wear))
    found.append(grow(subject.hair, roots, root_normals, rest_roots, shape, seed, radius))
    if subject.hair.beard != "none":
        found.append(_beard(sample, mesh, skin_faces, head, normals, shape))
    return found


def _beard(sample: Sample, mesh: Topology, faces: Array, head: Array, normals: Array, shape: HeadShape) -> Strands:
    """Return the beard in head mm, grown on `faces` of the face and neck."""
    hair, seed = sample.subject.hair, (sample.seed, sample.subject_index)
    weight = beard_weight(hair, mesh.rest)
    area = float(_face_areas(faces, mesh.rest, weight).sum())
    pixel_mm = sample.camera.field_mm / sample.image.width
    count, radius = strand_budget(beard_width_mm(hair, area), pixel_mm, 4000 if sample.scene == "eye" else 20000)
    roots, root_normals, rest_roots = _scatter(faces, mesh.rest, weight, head, normals, count, seed, "beard")
    lips = head[mesh.vertices_of("upper_lip", "lower_lip")]
    return grow_beard(hair, roots, root_normals, rest_roots, shape, lips, seed, radius)


def _head_shape(mesh: Topology, head: Array, cloth_mm: float) -> HeadShape:
    """Return the surface that hair lies on, ears and `cloth_mm` of clothes included."""
    skull = mesh.vertices_of("skin", "neck", "nose", "right_ear", "left_ear")
    body = head[mesh.vertices_of("neck", "torso")]
    vault = mesh.vertices_of("skin")
    low, high = np.percentile(mesh.rest[vault], [2, 98], axis=0), np.percentile(head[vault], [2, 98], axis=0)
    scale = (high[1] - high[0]) / (low[1] - low[0])
    offset = high[0] - scale * low[0]
    offset[0] = 0.0
    return HeadShape(head[skull], body, scale, offset, cloth_mm)


def _face_areas(faces: Array, rest: Array, weight: Array) -> Array:
    """Return the areas (F,) in mm2 of quads on the template, times the mean `weight` (V,) of their corners."""
    p = rest[faces]
    area = 0.5 * np.linalg.norm(np.cross(p[:, 2] - p[:, 0], p[:, 3] - p[:, 1]), axis=1)
    return area * weight[faces].mean(axis=1)


def _scatter(
    faces: Array,
    rest: Array,
    weight: Array,
    surface: Array,
    normals: Array,
    count: int,
    seed: tuple[int, int],
    name: str,
) -> tuple[Array, Array, Array]:
    """Return `count` points (N, 3) on `surface`, their normals, and the same points on the template.

    They are drawn by area and `weight` on the resting topology, so expression does not move hairs about.
    """
    total = np.cumsum(_face_areas(faces, rest, weight))
    u = rng.numbers(*seed, f"{name}.roots", count, 3)
    strata = (np.arange(count) + u[:, 0]) / count
    face = faces[np.searchsorted(total, strata * total[-1], side="right").clip(max=len(faces) - 1)]
    s, t = u[:, 1:2], u[:, 2:3]

    def blend(values: Array) -> Array:
        corners = values[face]
        return (
            (1 - s) * (1 - t) * corners[:, 0]
            + s * (1 - t) * corners[:, 1]
            + s * t * corners[:, 2]
            + (1 - s) * t * corners[:, 3]
        )

    normal = blend(normals)
    return blend(surface), normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9), blend(rest)


def under_hair(sample: Sample, near: str | None) -> Array:
    """Return the share (V, 3) of the skin that is coloured like the hair, brow and beard that grow from it.

    It stands in for hairs finer than the strands: it is dark and dull, and labels count it (labels.with_strands). A
    beard's share comes first, then the brow's; together they never pass 1.
    """
    hair, rest = sample.subject.hair, topology(near).rest
    scalp = 0.8 * _scalp(hair.style, near) * min(1.0, STYLES[hair.style].density)
    brow = 0.6 * hair.brow_density * hair_module.brow_weight(rest, hair.brow_width, hair.brow_arch)
    beard = 0.55 * beard_weight(hair, rest)
    if hair.beard != "none":
        beard *= BEARDS[hair.beard].density
    shares = np.stack([scalp * (1 - brow) * (1 - beard), brow * (1 - beard), beard], axis=1)
    return shares * _hairy(near)[:, None]


@lru_cache(maxsize=4)
def _hairy(near: str | None) -> Array:
    """Return which vertices (V,) of `topology(near)` hair can grow from: neither ears nor lips."""
    mesh = topology(near)
    hairy = np.zeros(len(mesh.rest), bool)
    hairy[mesh.vertices_of(*HAIRY)] = True
    return hairy


@lru_cache(maxsize=4)
def _scalp(style: str, near: str | None) -> Array:
    """Return the density of head hair (V,) on `topology(near)` under a style's hairline."""
    rest = topology(near).rest
    weight = hair_module.scalp_weight(rest, STYLES[style].receding)
    return weight * np.clip((40 - rest[:, 1]) / 10, 0, 1) if style == "bald" else weight
