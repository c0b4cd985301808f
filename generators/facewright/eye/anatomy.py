"""The globe: optics in numbers, and meshes of sclera, cornea, iris and pupil in eye axes.

Eye axes: origin in the centre of rotation (the centre of the scleral sphere), z along the optical axis, y up,
x toward the subject's left; millimetres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from facewright.eye.parameters import (
    AQUEOUS_INDEX,
    CORNEA_INDEX,
    CORNEA_POSTERIOR_RADIUS_MM,
    CORNEA_THICKNESS_MM,
    Eye,
)
from facewright.geometry.mesh import Mesh
from facewright.geometry.refraction import Conicoid
from facewright.geometry.rotations import between
from facewright.schema import side_label

Array = np.ndarray

PERIPHERAL_THICKNESS_MM = 0.68
"""Corneal thickness at the limbus (Atchison & Smith 2000, sec. 2.2: about 0.7 mm)."""
ROOT_BELOW_LIMBUS_MM = 0.9
"""Depth of the iris root below the plane of the limbus: the anterior chamber angle."""


@dataclass(frozen=True)
class Globe:
    """One eye's optics. `side` is "right" or "left"; `nasal` the sign of x toward the nose.

    `radius` of the scleral sphere, `limbus_r` and `limbus_z` of the limbal circle, `apex_z` of the cornea, `pupil_z`
    of the pupil plane; `anterior` and `posterior` are the corneal surfaces; `pupil_centre` (3,) and `pupil_axes`
    (major, minor semi-axes) with `pupil_axis` rad describe the pupil margin; all mm in eye axes.
    """

    side: str
    radius: float
    limbus_r: float
    limbus_z: float
    apex_z: float
    pupil_z: float
    anterior: Conicoid
    posterior: Conicoid
    pupil_centre: Array
    pupil_axes: tuple[float, float]
    pupil_axis: float
    visual_axis: Array

    @property
    def nasal(self) -> float:
        """Return -1 for the left eye and +1 for the right: the x direction of the nose."""
        return -1.0 if self.side == "left" else 1.0

    @property
    def surfaces(self) -> tuple[Conicoid, Conicoid]:
        """Return the corneal surfaces in the order in which light from outside meets them."""
        return self.anterior, self.posterior

    @property
    def cornea_centre(self) -> Array:
        """Return the centre of curvature (3,) of the corneal apex."""
        return np.array([0, 0, self.apex_z - self.anterior.radius])

    def surface_radius(self, directions: Array) -> Array:
        """Return the distance (N,) from the centre to the outer surface (sclera or cornea) along unit (N, 3)."""
        r = np.hypot(directions[:, 0], directions[:, 1])
        cosine = directions[:, 2]
        q, R, apex = 1 + self.anterior.asphericity, self.anterior.radius, self.apex_z
        a = r * r + q * cosine * cosine
        b = R * cosine - q * apex * cosine
        c = q * apex * apex - 2 * R * apex
        cornea = (-b + np.sqrt(np.maximum(b * b - a * c, 0))) / a
        over_cornea = cosine > self.limbus_z / math.hypot(self.limbus_z, self.limbus_r)
        return np.where(over_cornea, cornea, self.radius)

    def pupil_margin(self, count: int = 64) -> Array:
        """Return (count, 3) points on the pupil margin, counter-clockwise seen from in front."""
        t = np.linspace(0, 2 * math.pi, count, endpoint=False)
        a, b = self.pupil_axes
        c, s = math.cos(self.pupil_axis), math.sin(self.pupil_axis)
        x, y = a * np.cos(t), b * np.sin(t)
        return self.pupil_centre + np.stack([c * x - s * y, s * x + c * y, 0 * x], axis=1)

    def limbus(self, count: int = 64) -> Array:
        """Return (count, 3) points on the limbal circle, from +x counter-clockwise about +z."""
        t = np.linspace(0, 2 * math.pi, count, endpoint=False)
        return np.stack([self.limbus_r * np.cos(t), self.limbus_r * np.sin(t), np.full(count, self.limbus_z)], axis=1)


def globe(eye: Eye, side: str) -> Globe:
    """Return the optics of one eye.

    The scleral radius R follows from the axial length: R + sqrt(R^2 - r^2) + sag(r) = axial length, r the limbus.
    """
    r = eye.limbus_mm / 2
    anterior = Conicoid(eye.cornea_radius_mm, eye.cornea_asphericity, 0.0, 1.0, CORNEA_INDEX)
    sag = float(anterior.sag(np.array(r)))
    depth = eye.axial_length_mm - sag
    radius = (depth * depth + r * r) / (2 * depth)
    limbus_z = math.sqrt(radius * radius - r * r)
    apex = limbus_z + sag
    back_sag = sag + PERIPHERAL_THICKNESS_MM - CORNEA_THICKNESS_MM
    back_r = CORNEA_POSTERIOR_RADIUS_MM
    back_q = (back_r**2 - (r * r / back_sag - back_r) ** 2) / (r * r) - 1
    nasal = -1.0 if side == "left" else 1.0
    pupil_mm = eye.pupil_mm + (0.5 if side == "left" else -0.5) * eye.anisocoria_mm
    pupil = min(max(pupil_mm, 1.5), eye.limbus_mm - 3) / 2
    pupil_z = apex - CORNEA_THICKNESS_MM - eye.chamber_mm
    kappa, alpha = math.radians(eye.kappa_nasal_deg), math.radians(eye.kappa_superior_deg)
    visual = np.array([nasal * math.sin(kappa) * math.cos(alpha), math.sin(alpha), math.cos(kappa) * math.cos(alpha)])
    return Globe(
        side,
        radius,
        r,
        limbus_z,
        apex,
        pupil_z,
        Conicoid(eye.cornea_radius_mm, eye.cornea_asphericity, apex, 1.0, CORNEA_INDEX),
        Conicoid(back_r, back_q, apex - CORNEA_THICKNESS_MM, CORNEA_INDEX, AQUEOUS_INDEX),
        np.array([nasal * eye.pupil_nasal_mm, eye.pupil_superior_mm, pupil_z]),
        (pupil, pupil * (1 - eye.pupil_ellipticity)),
        nasal * math.radians(eye.pupil_axis_deg),
        visual,
    )


def eye_rotation(target: Array, visual_axis: Array) -> Array:
    """Return the rotation (3, 3) eye -> head that points the visual axis at `target` (3,), from the eye's centre.

    Listing's law: the optical axis leaves the primary position (head z) by the smallest rotation, without torsion.
    """
    goal = target / np.linalg.norm(target)
    forward = np.array([0.0, 0.0, 1.0])
    optical = goal
    for _ in range(30):
        rotation = between(forward, optical)
        seen = rotation @ visual_axis
        if np.linalg.norm(seen - goal) < 1e-13:
            break
        optical = between(seen, goal) @ optical
    return between(forward, optical)


def meshes(eye: Globe, segments: int = 96) -> list[Mesh]:
    """Return sclera, cornea, posterior cornea, iris and pupil of one eye in eye axes.

    The limbal wall between cornea rim and iris root belongs to the iris, so that the visible outline of the iris is
    the limbal circle. Vertex attribute `polar` (V, 3): cosine and sine of the angle about the axis, so that nothing
    jumps at 2 pi, and for the iris the radius 0 (pupil) .. 1 (limbus), for the sclera the polar angle / pi.
    """
    t = np.linspace(0, 2 * math.pi, segments, endpoint=False)
    ring = np.stack([np.cos(t), np.sin(t)], axis=1)
    side = eye.side

    rim = math.atan2(eye.limbus_r, eye.limbus_z)
    theta = rim + (math.pi - rim) * np.linspace(0, 1, 40) ** 1.3
    profile = eye.radius * np.stack([np.sin(theta), np.cos(theta)], axis=1)
    sclera, faces = _revolve(profile, ring)
    polar = np.column_stack([np.tile(ring, (len(theta), 1)), np.repeat(theta / math.pi, segments)])
    parts = [
        Mesh(f"{side}_sclera", sclera, faces, _filled(faces, side_label(side, "sclera")), "sclera", {"polar": polar})
    ]

    r = eye.limbus_r * np.sin(np.linspace(0, math.pi / 2, 28)[1:])
    for name, surface in (("cornea", eye.anterior), ("cornea_back", eye.posterior)):
        profile = np.stack([r, surface.apex_z - surface.sag(r)], axis=1)[::-1]
        vertices, faces = _revolve(profile, ring, tip=surface.apex_z)
        parts.append(Mesh(f"{side}_{name}", vertices, faces, _filled(faces, 0), name))

    parts += _iris(eye, ring)
    return parts


def _iris(eye: Globe, ring: Array) -> list[Mesh]:
    """Build iris and pupil; rows run from the margin's pigment ruff to the root and up the limbal wall."""
    segments = len(ring)
    margin = eye.pupil_margin(segments)
    # the margin is parametrised by its own ellipse; turn it so that column k lies near ring[k].
    shift = round(eye.pupil_axis / (2 * math.pi) * segments)
    margin = np.roll(margin, shift, axis=0)
    root_z = eye.limbus_z - ROOT_BELOW_LIMBUS_MM
    root = np.concatenate([ring * (eye.limbus_r + 0.02), np.full((segments, 1), root_z)], axis=1)
    steps = np.linspace(0, 1, 25)
    rows = [margin * (1 - s) + root * s for s in steps]
    for row, s in zip(rows, steps, strict=True):
        row[:, 2] = (
            eye.pupil_z + (root_z - eye.pupil_z) * s**1.5 + 0.12 * math.sin(math.pi * min(1.0, 2.2 * s)) * (s < 0.45)
        )
    ruff = margin.copy()
    ruff[:, :2] = eye.pupil_centre[:2] + (margin[:, :2] - eye.pupil_centre[:2]) * 1.02
    ruff[:, 2] -= 0.15
    wall = root.copy()
    wall[:, :2] = ring * eye.limbus_r
    wall[:, 2] = eye.limbus_z
    rows = [ruff, *rows, wall]
    radius = np.concatenate([[-0.02], steps * 0.96, [1.0]])
    vertices = np.concatenate(rows)
    faces = _grid(len(rows), segments)[:, ::-1]
    polar = np.column_stack([np.tile(ring, (len(rows), 1)), np.repeat(radius, segments)])
    iris = Mesh(
        f"{eye.side}_iris", vertices, faces, _filled(faces, side_label(eye.side, "iris")), "iris", {"polar": polar}
    )
    edge = ruff.copy()
    edge[:, :2] = eye.pupil_centre[:2] + (margin[:, :2] - eye.pupil_centre[:2]) * 1.25
    middle = eye.pupil_centre - [0, 0, 0.3]
    edge[:, 2] = middle[2]
    disc = np.concatenate([edge, middle[None]])
    k = np.arange(segments)
    triangles = np.stack([k, (k + 1) % segments, np.full(segments, segments), np.full(segments, segments)], axis=1)
    pupil = Mesh(f"{eye.side}_pupil", disc, triangles, _filled(triangles, side_label(eye.side, "pupil")), "pupil")
    return [iris, pupil]


def _revolve(profile: Array, ring: Array, tip: float | None = None) -> tuple[Array, Array]:
    """Revolve (r, z) rows about z; normals point outward for rows that run toward -z, inward rows need a tip."""
    rows, segments = len(profile), len(ring)
    vertices = np.concatenate([np.concatenate([ring * r, np.full((segments, 1), z)], axis=1) for r, z in profile])
    faces = _grid(rows, segments)
    if tip is None:
        return vertices, faces[:, ::-1]
    k = (rows - 1) * segments + np.arange(segments)
    following = (rows - 1) * segments + (np.arange(segments) + 1) % segments
    cap = np.stack([k, following, np.full(segments, len(vertices)), np.full(segments, len(vertices))], axis=1)
    return np.concatenate([vertices, [[0, 0, tip]]]), np.concatenate([faces, cap])


def _grid(rows: int, segments: int) -> Array:
    """Return quads between consecutive rows of a closed ring, wound so that inner-to-outer rows face -z."""
    r, k = np.meshgrid(np.arange(rows - 1), np.arange(segments), indexing="ij")
    a, b = r * segments + k, r * segments + (k + 1) % segments
    return np.stack([a, b, b + segments, a + segments], axis=2).reshape(-1, 4)


def _filled(faces: Array, label: int) -> Array:
    return np.full(len(faces), int(label), np.uint8)
