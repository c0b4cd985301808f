"""Where the camera stands, and its pinhole; and what parameters a given pinhole has."""

from __future__ import annotations

import math

import numpy as np

from facewright.geometry.camera import WORLD_FROM_HEAD, intrinsics, look_at
from facewright.truth import CameraTruth
from facewright.world.parameters import Camera, Image

Array = np.ndarray

FACE_CENTRE_MM = np.array([0.0, -28.0, -10.0])
"""What a camera aimed at the face looks at, in head axes."""


def place(camera: Camera, image: Image, target: Array, head_rotation: Array, upright: Array) -> CameraTruth:
    """Return the pinhole of `camera` aimed at `target` (3,) world mm.

    `head_rotation` and `upright` (3, 3) map head axes to world for the posed and for the upright head; the camera is
    mounted on one of them.
    """
    frame = head_rotation if camera.mount == "head" else upright
    azimuth, elevation = math.radians(camera.azimuth_deg), math.radians(camera.elevation_deg)
    direction = np.array(
        [math.sin(azimuth) * math.cos(elevation), math.sin(elevation), math.cos(azimuth) * math.cos(elevation)]
    )
    position = target + camera.distance_mm * (frame @ direction)
    up = frame @ np.array([0.0, 1.0, 0.0])
    roll = math.radians(camera.roll_deg)
    aim = look_at(position, target, up, roll)
    offset = camera.field_mm * (camera.shift_x * aim[0] + camera.shift_y * aim[1])
    rotation = look_at(position, target - offset, up, roll)
    focal = image.width * camera.distance_mm / camera.field_mm
    return CameraTruth(
        image.width, image.height, intrinsics(focal, image.width, image.height), rotation, -rotation @ position
    )


def describe(position: Array, rotation: Array, focal: float, width: int, target: Array) -> dict[str, float]:
    """Return the parameters of the upright camera that `place` aims at `target` (3,) world mm: its inverse.

    `position` (3,) world mm, `rotation` (3, 3) world -> camera and `focal` px, for pictures of `width` px, are a
    pinhole's that looks at its picture's centre.
    """
    away = position - target
    distance = float(np.linalg.norm(away))
    x, y, z = WORLD_FROM_HEAD.T @ away / distance
    up = WORLD_FROM_HEAD @ np.array([0.0, 1.0, 0.0])
    level = look_at(position, position + rotation[2], up, 0.0)
    roll = math.atan2(-rotation[0] @ level[1], rotation[0] @ level[0])
    aim = look_at(position, target, up, roll)
    field = width * distance / focal
    seen = position + rotation[2] * distance / (rotation[2] @ aim[2])
    shift_x, shift_y = aim[:2] @ (target - seen) / field
    return {
        "azimuth_deg": math.degrees(math.atan2(x, z)),
        "elevation_deg": math.degrees(math.asin(y)),
        "roll_deg": math.degrees(roll),
        "distance_mm": distance,
        "field_mm": field,
        "shift_x": float(shift_x),
        "shift_y": float(shift_y),
    }
