"""UnityEyes: imgs/{n}.jpg and imgs/{n}.json, as its loaders read them.

Unity's axes are left-handed: x right, y up, z forward; its screen has (0, 0) in the lower left corner. UnityEyes knows
one eye, with the nose at image-left: the subject's left one. Right eyes are mirrored, picture and labels.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from facewright.dataset.layout import dump
from facewright.dataset.reader import Dataset
from facewright.exports.view import Format, Take, View, evenly, jpeg, package
from facewright.truth import CameraTruth

Array = np.ndarray

MARGIN_POINTS, OUTER_CORNER = 16, 8
"""Points of `interior_margin_2d` and the index of the lateral canthus among them."""
PCA_COEFFICIENTS = 20
_MIRROR = np.diag([-1.0, 1.0, 1.0])


@contextlib.contextmanager
def writer(folder: Path, dataset: Dataset) -> Iterator[Take]:
    """Yield what writes one eye as imgs/{n}.jpg and .json, n = 1, 2 ..."""
    package("PIL.Image", "unityeyes")
    images = folder / "imgs"
    images.mkdir()
    number = 0

    def take(view: View) -> None:
        nonlocal number
        view.require_open()
        view.require_facing()
        view.require_seen(view.eye.box.reshape(2, 2))
        number += 1
        picture = view.picture[:, ::-1] if view.side == "right" else view.picture
        (images / f"{number}.jpg").write_bytes(jpeg(picture, "unityeyes"))
        (images / f"{number}.json").write_bytes(dump(annotation(view), indent=1))

    yield take


FORMAT = Format("eye pictures with UnityEyes' JSON (right eyes mirrored)", (), True, writer)


def annotation(view: View) -> dict[str, Any]:
    """Return the JSON of one eye: every number a string, tuples as strings of four decimals."""
    eye, sample, mirrored = view.eye, view.frame.sample, view.side == "right"
    sign = -1 if mirrored else 1
    ring = eye.limbus_2d[(len(eye.limbus_2d) // 2 - np.arange(len(eye.limbus_2d))) % len(eye.limbus_2d)]
    ring = ring if mirrored else eye.limbus_2d  # so that both begin laterally and run counter-clockwise
    light = sample.light

    def look(axis: Array) -> str:
        return _tuple((sign * axis[0], -axis[1], axis[2], 0.0))

    def screen(points: Array, depth_mm: Array) -> list[str]:
        x, y = points.T
        x = view.camera.width - x if mirrored else x
        return [_tuple(row) for row in np.stack([x, view.camera.height - y, depth_mm / 10], axis=1)]

    margin = lid_margin(eye.lid_upper, eye.lid_lower)
    return {
        "interior_margin_2d": screen(view.camera.project(margin), margin[:, 2]),
        "caruncle_2d": screen(eye.caruncle_2d, np.full(len(eye.caruncle_2d), margin[0, 2])),
        "iris_2d": screen(ring, _depth_on_plane(ring, view.camera, eye.pupil_centre_mm, eye.optical_axis)),
        "eye_details": {
            "look_vec": look(eye.optical_axis),
            "visual_vec": look(eye.visual_axis),
            "pupil_size": f"{eye.pupil_mm / eye.limbus_mm:.7f}",
            "iris_size": f"{eye.limbus_mm / 12:.7f}",
            "iris_texture": "facewright",
        },
        "lighting_details": {
            "skybox_texture": light.hdri,
            "skybox_exposure": f"{light.hdri_strength:.4g}",
            "skybox_rotation": f"{light.hdri_rotation_deg:.0f}",
            "ambient_intensity": f"{light.hdri_strength:.4g}",
            "light_rotation": _tuple((light.key_elevation_deg, (180 - sign * light.key_azimuth_deg) % 360, 0.0)),
            "light_intensity": f"{light.key_strength:.4g}",
        },
        "eye_region_details": {
            "pca_shape_coeffs": [f"{value:.7f}" for value in sample.subject.head.identity[:PCA_COEFFICIENTS]],
            "primary_skin_texture": "facewright",
        },
        "head_pose": _tuple(camera_euler_deg(view.truth.head.rotation, mirrored)),
        "facewright": {"index": str(view.index), "subject": str(view.subject), "side": view.side},
    }


def lid_margin(upper: Array, lower: Array) -> Array:
    """Return (16, 3) mm: 0 medial canthus, 1-7 upper lid, 8 lateral canthus, 9-15 lower lid back; even along each lid.

    `upper` and `lower` (N, 3) run from the medial to the lateral canthus.
    """
    half = MARGIN_POINTS // 2
    return np.concatenate([evenly(upper, half + 1), evenly(lower, half + 1)[half - 1 : 0 : -1]])


def camera_euler_deg(head_rotation: Array, mirrored: bool) -> tuple[float, float, float]:
    """Return Unity's Euler angles (x, y, z) in [0, 360) of the camera that sees a head turned by `head_rotation`.

    `head_rotation` (3, 3) maps head axes to camera axes. Unity turns by z, then x, then y; frontal is (0, 180, 0).
    """
    unity_from_head, unity_camera_from_camera = np.diag([-1.0, 1.0, 1.0]), np.diag([1.0, -1.0, 1.0])
    turn = unity_from_head @ head_rotation.T @ unity_camera_from_camera
    if mirrored:
        turn = _MIRROR @ turn @ _MIRROR
    x = math.asin(max(-1.0, min(1.0, -turn[1, 2])))
    y, z = math.atan2(turn[0, 2], turn[2, 2]), math.atan2(turn[1, 0], turn[1, 1])
    pitch, yaw, roll = (math.degrees(angle) % 360 for angle in (x, y, z))
    return pitch, yaw, roll


def _depth_on_plane(points: Array, camera: CameraTruth, origin: Array, normal: Array) -> Array:
    """Return z (N,) mm where the rays through `points` (N, 2) px meet the plane through `origin` (3,) mm."""
    rays = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ np.linalg.inv(camera.K).T
    return (origin @ normal) / (rays @ normal)


def _tuple(values: Any) -> str:
    return "(" + ", ".join(f"{value:.4f}" for value in values) + ")"
