"""Registration of another head model to our topology: a head pack out of its neutral face and identity shapes.

Both heads get the iBUG-68 landmarks. A similarity (Umeyama 1991) and thin-plate splines (Bookstein 1989) lay the other
surface over our average head, closest points refine it, and each of our vertices then reads what the other surface
does under it. Needs scipy and trimesh (extra `packs`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from facewright.errors import UserError, package
from facewright.face.basis import head_basis
from facewright.face.landmarks import ibug68
from facewright.face.packs import HeadPack
from facewright.face.topology import topology
from facewright.geometry.mesh import face_normals, vertex_normals

Array = np.ndarray

APART_MM = 15.0
"""Mean distance of landmarks after alignment that no two faces have: they differ by 4 mm or so (reasoned)."""
FIRM = np.r_[8, 17:68]
"""Landmarks that two models place alike: chin, brows, nose, eyes and lips. The other jaw points slide along the jaw."""
ROUNDS = 3
"""Refinements by closest points: each about halves what is left."""
ANCHORS = 500
"""Closest-point pairs of a refinement, spread over the face."""
SMOOTHING = 1.0
"""Of splines, mm: what pairs may be off."""
NEAR_MM, FAR_MM = 4.0, 12.0
"""A vertex trusts the surface nearer than the one, and beyond the other takes what trusted vertices nearby do."""
LEAST = 0.4
"""Share of skin vertices that must be trusted: a face without skull, neck and ears has about half of ours."""
REACH_MM = 60.0
"""How far the trusted are followed: over teeth and sockets, and fading on a bare skull; reasoned."""
NECK_MM = (-150.0, -105.0)
"""Heights over which a pack fades to nothing: shoulders and shirts are the embedded head's."""
CANDIDATES = 12
"""Nearest triangles, by their centres, that a closest point is sought on."""
SKIN = ("skin", "nose", "neck", "right_ear", "left_ear", "upper_lip", "lower_lip")


@dataclass(frozen=True)
class Other:
    """Another head model: `vertices` (N, 3) and `modes` (K, N, 3; shapes less neutral, one sd each) in its own unit and
    axes (right-handed), `triangles` (T, 3), `landmarks` (68,) vertex ids in iBUG's order (subject's right first).
    """

    vertices: Array
    triangles: Array
    modes: Array
    landmarks: Array

    @staticmethod
    def load(neutral: Path, modes: Sequence[Path], landmarks: Path) -> Other:
        """Read OBJ files and a text file of 68 vertex ids. Raises UserError where they do not fit each other."""
        vertices, triangles = _obj(neutral)
        shapes = []
        for path in modes:
            shape, _ = _obj(path)
            if shape.shape != vertices.shape:
                raise UserError(
                    f"{path} has {len(shape)} vertices and {neutral} {len(vertices)}; give shapes of one mesh"
                )
            shapes.append(shape - vertices)
        if not shapes:
            raise UserError("--modes: give at least one identity shape")
        try:
            ids = np.array([int(word) for word in landmarks.read_text().replace(",", " ").split()])
        except (OSError, ValueError) as error:
            raise UserError(f"--landmarks {landmarks}: expected 68 vertex numbers from 0 ({error})") from None
        if len(ids) != 68 or ids.min() < 0 or ids.max() >= len(vertices):
            raise UserError(
                f"--landmarks {landmarks}: expected 68 vertex numbers below {len(vertices)}, got {len(ids)}"
            )
        return Other(vertices, triangles, np.array(shapes), ids)


@dataclass(frozen=True)
class Fit:
    """How well a registration lies: distances in mm of trusted skin vertices from the other surface."""

    trusted: float
    median_mm: float
    worst_mm: float


def register(other: Other, source: str, licence: str) -> tuple[HeadPack, Fit]:
    """Return the head pack that `other` becomes, and how well it lies. Raises UserError where it does not."""
    spline = package("scipy.interpolate", "making head packs").RBFInterpolator
    basis = head_basis()
    ours = basis.template - basis.origin
    marks = topology().rest[ibug68()]
    scale, turn, shift = similarity(other.vertices[other.landmarks[FIRM]], marks[FIRM])
    surface = scale * other.vertices @ turn.T + shift
    apart = float(np.linalg.norm(surface[other.landmarks[FIRM]] - marks[FIRM], axis=1).mean())
    if apart > APART_MM:
        raise UserError(
            f"the landmarks lie {apart:.0f} mm from ours after alignment, people's lie within {APART_MM:g} mm; check "
            "that --landmarks has iBUG's order, the subject's right first, and that the axes are right-handed"
        )
    surface = surface + _bent(spline, surface[other.landmarks[FIRM]], marks[FIRM], surface)

    names = basis.part_names
    skin = np.unique(basis.faces[np.isin(basis.part, [names.index(part) for part in SKIN])])
    facing = vertex_normals(ours, basis.faces)[skin]
    triangles = _outward(other.triangles, surface, ours[skin], facing)
    for number in range(ROUNDS):
        place, _, _, away = _closest(ours[skin], facing, surface, triangles)
        good = np.nonzero(away < FAR_MM)[0]
        some = good[number :: max(1, len(good) // ANCHORS)]
        surface = surface + _bent(spline, place[some], ours[skin[some]], surface)
    place, triangle, share, away = _closest(ours[skin], facing, surface, triangles)
    trust = np.clip((FAR_MM - away) / (FAR_MM - NEAR_MM), 0, 1)
    good = away < NEAR_MM
    if good.mean() < LEAST:
        raise UserError(
            f"{100 * good.mean():.0f} % of our face lies within {NEAR_MM:g} mm of the neutral shape, at least "
            f"{100 * LEAST:.0f} % must; give the shape of a whole, neutral face"
        )

    moved = np.einsum("knj,ij->kni", other.modes, scale * turn)
    read = np.einsum("ksci,sc->ski", moved[:, triangles[triangle]], share)  # (skin, K, 3)
    known = skin[good]
    fill = spline(ours[known], read[good].reshape(len(known), -1), neighbors=24, kernel="linear", smoothing=SMOOTHING)
    axes = fill(ours).reshape(len(ours), -1, 3)
    far = np.array(_tree(ours[known]).query(ours)[0])
    axes *= np.clip(1 - far / REACH_MM, 0, 1)[:, None, None]
    axes[skin] = trust[:, None, None] * read + (1 - trust)[:, None, None] * axes[skin]
    low, high = NECK_MM
    axes *= np.clip((ours[:, 1] - low) / (high - low), 0, 1)[:, None, None]
    eyes = np.stack([axes[basis.rings[side][1]].mean(axis=0) for side in ("right", "left")], axis=1)
    fit = Fit(float(good.mean()), float(np.median(away[good])), float(away[good].max()))
    return HeadPack(axes.transpose(1, 0, 2), eyes, source, licence), fit


def similarity(points: Array, wanted: Array) -> tuple[float, Array, Array]:
    """Return scale, rotation (3, 3) and shift (3,) that bring `points` (N, 3) nearest to `wanted` (Umeyama 1991)."""
    middle, aim = points.mean(axis=0), wanted.mean(axis=0)
    out, goal = points - middle, wanted - aim
    u, sizes, vt = np.linalg.svd(goal.T @ out)
    flip = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    turn = u * flip @ vt
    scale = float((sizes * flip).sum() / (out**2).sum())
    return scale, turn, aim - scale * turn @ middle


def _bent(spline: Any, start: Array, goal: Array, points: Array) -> Array:
    """Return the displacement (N, 3) at `points` of the thin-plate spline that brings `start` to `goal`."""
    return spline(start, goal - start, kernel="thin_plate_spline", smoothing=SMOOTHING)(points)


def _outward(triangles: Array, vertices: Array, points: Array, facing: Array) -> Array:
    """Return `triangles` wound so that most look where the nearest of `points` (N, 3) face."""
    near = _tree(points).query(vertices[triangles].mean(axis=1))[1]
    normals = face_normals(vertices, triangles[:, [0, 1, 2, 2]])
    return triangles if (normals * facing[near]).sum() > 0 else triangles[:, ::-1]


def _closest(points: Array, facing: Array, vertices: Array, triangles: Array) -> tuple[Array, Array, Array, Array]:
    """Return the closest place (N, 3), its triangle (N,), barycentric shares (N, 3) and distance (N,) of each point.

    Triangles that look away from `facing` (N, 3) count as FAR_MM farther: the inside of a mouth is no lip.
    """
    triangle = package("trimesh.triangles", "making head packs")
    corners = vertices[triangles]
    normals = face_normals(vertices, triangles[:, [0, 1, 2, 2]])
    near = np.asarray(_tree(corners.mean(axis=1)).query(points, k=CANDIDATES)[1])
    flat = near.ravel()
    place = triangle.closest_point(corners[flat], np.repeat(points, CANDIDATES, axis=0)).reshape(*near.shape, 3)
    away = np.linalg.norm(place - points[:, None], axis=2)
    away += FAR_MM * (np.einsum("nki,ni->nk", normals[near], facing) < 0)
    best = away.argmin(axis=1)
    row = np.arange(len(points))
    chosen, place = near[row, best], place[row, best]
    return place, chosen, triangle.points_to_barycentric(corners[chosen], place), away[row, best]


def _obj(path: Path) -> tuple[Array, Array]:
    """Return vertices (N, 3) and fan triangles (T, 3) of a Wavefront file, in the file's order.

    Libraries split vertices at texture seams; landmarks and shapes count them as they stand.
    """
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
        vertices = np.array([[float(word) for word in line[1:4]] for line in lines if line[:1] == ["v"]])
        loops = [[int(word.partition("/")[0]) for word in line[1:]] for line in lines if line[:1] == ["f"]]
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: expected a Wavefront .obj file ({error})") from None
    triangles = np.array([(loop[0], a, b) for loop in loops for a, b in pairwise(loop[1:])], np.int64) - 1
    if vertices.ndim != 2 or not np.isfinite(vertices).all() or not len(triangles):
        raise UserError(f"{path}: expected a Wavefront .obj file with finite vertices and faces")
    if triangles.min() < 0 or triangles.max() >= len(vertices):
        raise UserError(f"{path}: a face names a vertex that the file does not have")
    return vertices, triangles


def _tree(points: Array) -> Any:
    """Return what finds the nearest of `points` (N, 3)."""
    return package("scipy.spatial", "making head packs").KDTree(points)
