"""Pinhole projection in the label contract's pixels (corner origin, centres at .5)."""

from __future__ import annotations

import numpy as np

Array = np.ndarray

WORLD_FROM_HEAD = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""Head axes (x left, y up, z forward) to Blender world axes (x right, y away, z up) for an upright frontal head."""

CAMERA_FROM_BLENDER = np.diag([1.0, -1.0, -1.0])
"""Blender camera-local axes (x right, y up, z backward) to OpenCV axes (x right, y down, z forward)."""


def intrinsics(focal_px: float, width: int, height: int, shift: tuple[float, float] = (0.0, 0.0)) -> Array:
    """Return K (3, 3): square pixels, principal point at the image centre plus `shift` px."""
    return np.array([[focal_px, 0, width / 2 + shift[0]], [0, focal_px, height / 2 + shift[1]], [0, 0, 1.0]])


def look_at(position: Array, target: Array, up: Array, roll: float) -> Array:
    """Return the rotation (3, 3) world -> camera (OpenCV axes) of a camera at `position` that looks at `target`.

    `roll` in rad turns the picture clockwise. `up` must not be parallel to the line of sight.
    """
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    return np.stack([c * right - s * down, s * right + c * down, forward])


def project(points: Array, K: Array) -> Array:
    """Return (..., 2) px of camera-space `points` (..., 3)."""
    uvw = np.asarray(points) @ K.T
    return uvw[..., :2] / uvw[..., 2:]
