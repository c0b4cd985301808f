"""The head's subdivided topology: computed once, shared by every subject.

`rest` is the template in mm from the eyes' middle (x subject's left, y up, z forward); it serves as texture space, so
noise sticks to the skin, and as the space in which regions are defined by smooth curves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from facewright.face.basis import head_basis
from facewright.geometry.mesh import Subdivision, face_normals

Array = np.ndarray

LEVEL = 2
"""Catmull-Clark steps of every head; eye scenes take one more near the eye."""
NEAR_MM, LID_MM = 52.0, 23.0
"""Radii round the eye that get one more step, and within which the lids' skin gets two."""


@dataclass(frozen=True)
class Topology:
    """`faces` (F, 4) of the subdivided head, `part` (F,) codes of basis.part_names, `rest` (V, 3) mm, `steps`."""

    steps: list[Subdivision]
    faces: Array
    part: Array
    rest: Array

    def positions(self, vertices: Array) -> Array:
        """Return subdivided positions of basis vertices (V0, 3)."""
        for step in self.steps:
            vertices = step.positions(vertices)
        return vertices

    def linear(self, values: Array) -> Array:
        """Return basis-vertex values interpolated to the subdivided mesh."""
        for step in self.steps:
            values = step.linear(values)
        return values

    def vertices_of(self, *parts: str) -> Array:
        """Return the sorted vertex ids of the named parts."""
        names = head_basis().part_names
        used = np.zeros(len(self.rest), bool)
        used[self.faces[np.isin(self.part, [names.index(part) for part in parts])]] = True
        return np.flatnonzero(used)


@cache
def topology(near: str | None = None) -> Topology:
    """Return the topology after LEVEL steps, with nose, neck and lips cut anew on the fine mesh.

    `near` ("left" or "right") adds a step within NEAR_MM of that eye and another within LID_MM; vertex indices of the
    coarser mesh stay valid.
    """
    basis = head_basis()
    rest, faces, part, steps = basis.template - basis.origin, basis.faces, basis.part, []
    for _ in range(LEVEL):
        step = Subdivision(faces, len(rest))
        rest, faces, part = step.positions(rest), step.faces, part[step.parent]
        steps.append(step)
    if near is not None:
        eye = np.array([31.0 if near == "left" else -31.0, 0, 0])
        lid = np.isin(np.arange(len(basis.part_names)), [basis.part_names.index(n) for n in ("skin", f"{near}_margin")])
        for reach, wanted in ((NEAR_MM, np.ones_like(lid)), (LID_MM, lid)):
            fine = (np.linalg.norm(rest[faces].mean(axis=1) - eye, axis=1) < reach) & wanted[part]
            step = Subdivision(faces[fine], len(rest), pinned=True)
            rest = step.positions(rest)
            faces = np.concatenate([step.faces, faces[~fine]])
            part = np.concatenate([part[fine][step.parent], part[~fine]])
            steps.append(step)
    return Topology(steps, faces, _recut(faces, part, rest, steps), rest)


def _recut(faces: Array, part: Array, rest: Array, steps: list[Subdivision]) -> Array:
    """Return part codes in which curves bound nose, nostrils and neck, and the lower lip is what goes with the jaw."""
    basis = head_basis()
    code = {name: k for k, name in enumerate(basis.part_names)}
    centre, normal = rest[faces].mean(axis=1), face_normals(rest, faces)
    part = part.copy()
    part[np.isin(part, (code["nose"], code["neck"]))] = code["skin"]
    free = part == code["skin"]
    part[free & in_nose(centre)] = code["nose"]
    part[free & in_nostril(centre, normal)] = code["nostril"]
    part[free & below_jaw(centre)] = code["neck"]
    jaw = basis.express({"jawOpen": 1.0})
    for step in steps:
        jaw = step.positions(jaw)
    lip = np.isin(part, (code["upper_lip"], code["lower_lip"]))
    lower = jaw[faces].mean(axis=1)[:, 1] < np.interp(np.abs(centre[:, 0]), [0, 22], JAW_SPLIT_MM)
    part[lip] = np.where(lower[lip], code["lower_lip"], code["upper_lip"])
    return part


JAW_SPLIT_MM = (-17.0, -12.0)
"""Drop at jawOpen that parts the lips, at the midline and at the corners: halfway between the two lips' drops."""


@dataclass(frozen=True)
class Masks:
    """Soft per-vertex regions (V,) in [0, 1] for shading: blood, under_eye, lip, margin, sebum, ear."""

    lip: Array
    margin: Array
    sebum: Array
    ear: Array
    blood: Array
    under_eye: Array
    head: Array


@cache
def masks(near: str | None = None) -> Masks:
    """Return the shading regions of `topology(near)`; `head` is the share of head rotation that a vertex follows."""
    basis, mesh = head_basis(), topology(near)

    def part_mask(*parts: str) -> Array:
        codes = [basis.part_names.index(part) for part in parts]
        members = np.isin(basis.part, codes)
        inside = np.bincount(basis.faces[members].ravel(), minlength=len(basis.template))
        total = np.bincount(basis.faces.ravel(), minlength=len(basis.template))
        return np.clip(mesh.linear((inside / np.maximum(total, 1))[:, None])[:, 0] * 1.6 - 0.3, 0, 1)

    def blob(x: float, y: float, rx: float, ry: float) -> Array:
        p = mesh.rest
        return np.exp(-0.5 * (((np.abs(p[:, 0]) - x) / rx) ** 2 + ((p[:, 1] - y) / ry) ** 2)) * (p[:, 2] > -70)

    blood = np.clip(
        0.9 * blob(40, -32, 17, 14)
        + 0.9 * blob(0, -32, 11, 9)
        + 0.35 * blob(0, -98, 12, 9)
        + 0.25 * blob(0, 50, 30, 14),
        0,
        1,
    )
    # most on forehead and nose, less on chin and cheekbones (casual sebum level: Youn et al., Skin Res Technol 2005)
    sebum = np.clip(
        0.9 * blob(0, 50, 30, 18) + blob(0, -20, 10, 22) + 0.6 * blob(0, -98, 15, 10) + 0.5 * blob(42, -18, 13, 9),
        0.1,
        1.0,
    )
    under = np.clip(blob(28, -11, 13, 5) + 0.8 * blob(15, -3, 5, 7) + 0.5 * blob(32, 8, 14, 4), 0, 1)
    return Masks(
        part_mask("upper_lip", "lower_lip"),
        part_mask("right_margin", "left_margin"),
        sebum,
        part_mask("right_ear", "left_ear"),
        blood,
        under,
        neck_share(mesh.rest),
    )


def in_nose(p: Array) -> Array:
    """Return which template points (N, 3) lie on the outer nose: from the nasion to the alar base."""
    x, y, z = p.T
    half = np.interp(y, [-50, -45, -38, -27, -12, 2, 6], [6.0, 14.5, 19.5, 19.0, 12.5, 8.0, 5.5])
    front = np.interp(y, [-46, -27, 0], [10, 4, 2])
    return (y > -46.5 + 0.02 * x * x) & (y < 4) & (np.abs(x) < half) & (z > front)


def in_nostril(p: Array, normal: Array) -> Array:
    """Return which template points (N, 3) with `normal` (N, 3) line a nostril: its front wall, which faces back, its
    floor and its sides.
    """
    x, y, z = p.T
    opening = np.hypot((np.abs(x) - 8.4) / 3.7, (y + 42.7) / 1.9) < 1
    return in_nose(p) & ((opening & (z < 33)) | ((np.abs(x) < 14) & (y < -36) & (normal[:, 2] < 0.05)))


def below_jaw(p: Array) -> Array:
    """Return which template points (N, 3) lie below the mandible's edge, on neck or nape."""
    return p[:, 1] < jaw_line(p[:, 2])


def jaw_line(z: Array) -> Array:
    """Return the height (N,) mm of the mandible's lower edge, and of the nape's hairline behind it, at template z."""
    return np.interp(z, [-190, -165, -105, -90, -70, -45, -20, 0, 15], [-40, -40, -36, -38, -66, -91, -104, -111, -113])


NECK_BEND_MM = 70.0
"""Over how much of the neck below the jaw the head's turn fades: chin and jaw follow the skull, shoulders do not."""


def neck_share(p: Array) -> Array:
    """Return the share (N,) of the head's turn that points (N, 3) in template or head mm follow."""
    share = 1 - np.clip((jaw_line(p[:, 2]) - p[:, 1]) / NECK_BEND_MM, 0, 1)
    return share * share * (3 - 2 * share)
