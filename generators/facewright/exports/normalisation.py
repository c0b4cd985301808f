"""Data normalisation for gaze estimation (Zhang, Sugano & Bulling, ETRA 2018), in numpy.

A virtual camera at a fixed distance looks straight at the eye or face, without roll against the head: the picture is
warped by W = C_n S R C^-1, and directions turn by R. S scales the distance and does not touch directions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from facewright.exports.view import Skip
from facewright.geometry.camera import intrinsics
from facewright.truth import CameraTruth, HeadPose, pitch_yaw

Array = np.ndarray


@dataclass(frozen=True)
class NormalCamera:
    """The virtual camera: focal length in px, distance to the point it looks at in mm, patch size in px."""

    focal_px: float
    distance_mm: float
    width: int
    height: int

    @property
    def matrix(self) -> Array:
        """Its intrinsics (3, 3) in our pixels; the principal point is (width / 2, height / 2) in OpenCV's."""
        return intrinsics(self.focal_px, self.width, self.height, (0.5, 0.5))


class Normalised(NamedTuple):
    """`rotation` (3, 3): camera axes to normalised axes; `homography` (3, 3): W, pixels to patch pixels, both ours."""

    rotation: Array
    homography: Array


def normalise(normal: NormalCamera, camera: CameraTruth, head: Array, centre_mm: Array) -> Normalised:
    """Return how `camera`'s picture becomes that of `normal`, which looks at `centre_mm` (3,) in camera mm.

    `head` (3, 3) is `face_model_rotation`; its x axis lies in the normalised xz plane.
    """
    distance = float(np.linalg.norm(centre_mm))
    forward = centre_mm / distance
    down = np.cross(forward, head[:, 0])
    down /= np.linalg.norm(down)
    rotation = np.stack([np.cross(down, forward), down, forward])
    scale = np.diag([1.0, 1.0, normal.distance_mm / distance])
    return Normalised(rotation, normal.matrix @ scale @ rotation @ np.linalg.inv(camera.K))


def face_model_rotation(head: HeadPose) -> Array:
    """Return the rotation (3, 3) to camera axes of the head as MPIIGaze has it: x image-right, y down, z into it."""
    return head.rotation @ np.diag([1.0, -1.0, -1.0])


def head_pitch_yaw(rotation: Array) -> tuple[float, float]:
    """Return (pitch, yaw) in radians of a head turned by `rotation` (3, 3, as face_model_rotation), with gaze signs."""
    return pitch_yaw(-rotation[:, 2])


def warp(picture: Array, homography: Array, width: int, height: int) -> Array:
    """Return the patch (height, width[, C]) uint8 of `picture` (H, W[, C]) uint8 under `homography` (3, 3).

    Each patch pixel is the mean of a grid of bilinear samples, as many as it covers picture pixels across, so that
    shrinking does not alias. Raises Skip where the patch reaches beyond the picture.
    """
    back = np.linalg.inv(homography)
    corners = transform(back, np.array([[0.0, 0.0], [width, 0.0], [0.0, height], [width, height]]))
    if not ((corners >= 0) & (corners <= picture.shape[1::-1])).all():
        raise Skip("patch reaches beyond the picture")
    steps = np.linalg.norm(corners[1] - corners[0]) / width, np.linalg.norm(corners[2] - corners[0]) / height
    grid = max(1, math.ceil(max(steps) - 1e-6))
    place = (np.arange(grid) + 0.5) / grid
    x, y = (np.arange(width)[:, None] + place).ravel(), (np.arange(height)[:, None] + place).ravel()
    at = transform(back, np.stack(np.meshgrid(x, y), axis=-1))
    fine = _bilinear(picture.astype(np.float64), at)
    patch = fine.reshape(height, grid, width, grid, *picture.shape[2:]).mean(axis=(1, 3))
    return np.round(patch).astype(np.uint8)


def transform(homography: Array, points: Array) -> Array:
    """Return `points` (..., 2) under `homography` (3, 3)."""
    mapped = points @ homography[:, :2].T + homography[:, 2]
    return mapped[..., :2] / mapped[..., 2:]


def equalise(grey: Array) -> Array:
    """Return `grey` (H, W) uint8 with its histogram spread over 0 to 255, as OpenCV's equalizeHist does."""
    counts = np.bincount(grey.ravel(), minlength=256)
    first = int(np.flatnonzero(counts)[0])
    rest = grey.size - counts[first]
    if rest == 0:
        return grey
    above = np.cumsum(counts) - counts[first]
    return np.round(np.maximum(above, 0) * (255 / rest)).astype(np.uint8)[grey]


def _bilinear(picture: Array, at: Array) -> Array:
    """Return `picture` (H, W[, C]) at the points `at` (..., 2) px; the edge pixels go on outward."""
    height, width = picture.shape[:2]
    x, y = np.clip(at[..., 0] - 0.5, 0, width - 1), np.clip(at[..., 1] - 0.5, 0, height - 1)
    left, top = np.minimum(x.astype(int), width - 2), np.minimum(y.astype(int), height - 2)
    u, v = x - left, y - top
    if picture.ndim == 3:
        u, v = u[..., None], v[..., None]
    above = picture[top, left] * (1 - u) + picture[top, left + 1] * u
    below = picture[top + 1, left] * (1 - u) + picture[top + 1, left + 1] * u
    return above * (1 - v) + below * v
