"""Rotation matrices (3, 3) acting on column vectors."""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray


def about(axis: Array, angle: float) -> Array:
    """Return the right-handed rotation by `angle` rad about `axis` (3,) (Rodrigues)."""
    x, y, z = np.asarray(axis, float) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def between(a: Array, b: Array) -> Array:
    """Return the smallest rotation that takes direction `a` to direction `b` (not opposite)."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    axis = np.cross(a, b)
    sine = np.linalg.norm(axis)
    return np.eye(3) if sine < 1e-12 else about(axis, math.atan2(float(sine), float(a @ b)))


def head_rotation(yaw: float, pitch: float, roll: float) -> Array:
    """Return the rotation of a head in its own axes (x subject's left, y up, z forward) from label-signed angles.

    Rolled first, then pitched, then yawed (intrinsic yaw-pitch-roll): +yaw turns the face to image-left of a frontal
    image (the subject's right), +pitch up, +roll clockwise in the image.
    """
    return about(np.array([0, 1, 0]), -yaw) @ about(np.array([1, 0, 0]), -pitch) @ about(np.array([0, 0, 1]), -roll)


def head_angles(rotation: Array) -> tuple[float, float, float]:
    """Return (yaw, pitch, roll) in rad; inverse of `head_rotation`."""
    x, y, z = rotation[:, 2]
    yaw, pitch = math.atan2(-x, z), math.asin(max(-1.0, min(1.0, y)))
    rest = head_rotation(yaw, pitch, 0.0).T @ rotation
    return yaw, pitch, -math.atan2(rest[1, 0], rest[0, 0])
