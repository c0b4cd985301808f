"""300W-LP and AFLW2000-3D: a picture and a .mat with head pose and 68 landmarks for each face."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facewright.dataset.reader import Dataset
from facewright.exports.view import Format, Take, View, jpeg, matlab, package, require_faces
from facewright.truth import Truth

Array = np.ndarray

UPRIGHT = np.diag([1.0, -1.0, -1.0])
"""From camera axes (x right, y down, z forward) to 300W-LP's (x right, y up, z toward the camera)."""


@contextlib.contextmanager
def writer(folder: Path, dataset: Dataset) -> Iterator[Take]:
    """Yield what writes one face as image{n}.jpg and image{n}.mat, n = 00000, 00001 ..."""
    package("scipy.io", "300w_lp")
    require_faces(dataset, "300w_lp")
    number = 0

    def take(view: View) -> None:
        nonlocal number
        (folder / f"image{number:05d}.jpg").write_bytes(jpeg(view.picture, "300w_lp"))
        (folder / f"image{number:05d}.mat").write_bytes(matlab(annotation(view.truth), "300w_lp"))
        number += 1

    yield take


FORMAT = Format("pictures, and head pose and landmarks as .mat (scene face)", (), False, writer)


def annotation(truth: Truth) -> dict[str, Array]:
    """Return the variables of a .mat: Pose_Para (1, 7), pt2d (2, 68), pt3d_68 (3, 68), roi (1, 4)."""
    pixels_per_mm = truth.camera.K[0, 0] / truth.head.translation_mm[2]
    straight = truth.landmarks_2d - 0.5
    depth = (truth.head.translation_mm[2] - truth.landmarks_3d_mm[:, 2]) * pixels_per_mm
    x, y = truth.camera.project(truth.head.translation_mm) - 0.5
    pitch, yaw, roll = euler(truth.head.rotation)
    return {
        "Pose_Para": np.array([[pitch, yaw, roll, x, y, 0.0, pixels_per_mm]]),
        "pt2d": (truth.landmarks_contour_2d - 0.5).T,
        "pt3d_68": np.column_stack([straight, depth]).T,
        "roi": np.array([truth.face_box - 0.5]),
    }


def euler(rotation: Array) -> tuple[float, float, float]:
    """Return (pitch, yaw, roll) in radians of a head: rotation = Rx(pitch) Ry(yaw) Rz(roll) as 300W-LP composes them.

    Pitch is + up, yaw + toward image-left, roll + clockwise in the picture. They differ from `HeadPose`'s where more
    than one turns, because those turn in another order.
    """
    r = UPRIGHT @ rotation
    yaw = math.asin(max(-1.0, min(1.0, -r[0, 2])))
    return math.atan2(r[1, 2], r[2, 2]), yaw, math.atan2(r[0, 1], r[0, 0])
