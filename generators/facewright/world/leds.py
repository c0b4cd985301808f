"""Where the infrared LEDs are, and how strong."""

from __future__ import annotations

import math

import numpy as np

from facewright.truth import CameraTruth
from facewright.world.parameters import Light

Array = np.ndarray

LED_RADIUS_MM = 1.0
"""Radius of an LED as the eye sees it: half the lens of a small SMD emitter (packages are 1 to 3 mm wide)."""


def led_positions(light: Light, camera: CameraTruth, eye: Array, head_rotation: Array) -> Array:
    """Return (N, 3) world mm of the LEDs of `light`.

    The layout lies round the pinhole in the camera's plane, or `led_distance_mm` in front of `eye` (3,) world mm,
    across the forward axis of the head, whose axes `head_rotation` (3, 3) maps to the world.
    """
    pinhole = -camera.rotation.T @ camera.translation_mm
    if light.leds == "list":
        return pinhole + np.reshape(light.led_positions_mm, (-1, 3)) @ camera.rotation
    if light.led_mount == "headset":
        centre, plane = eye + light.led_distance_mm * head_rotation[:, 2], head_rotation[:, :2].T * [[1], [-1]]
    else:
        centre, plane = pinhole, camera.rotation[:2]
    c, s = math.cos(math.radians(light.led_roll_deg)), math.sin(math.radians(light.led_roll_deg))
    turned = _layout(light.leds, light.led_count) @ np.array([[c, s], [-s, c]])
    return centre + light.led_radius_mm * turned @ plane


def _layout(name: str, count: int) -> Array:
    """Return (N, 2) places of a layout within the unit square: x right, y down as the camera sees it."""
    if name == "none":
        return np.zeros((0, 2))
    if name == "pair":
        return np.array([[1.0, 0.0], [-1.0, 0.0]])
    if name == "L":
        row, column = count // 2 + 1, (count + 1) // 2
        below = np.stack([np.linspace(-1, 1, row), np.ones(row)], axis=1)
        left = np.stack([-np.ones(column), np.linspace(1, -1, column)], axis=1)
        return np.concatenate([below, left[1:]])
    angles = np.linspace(0, math.pi, count) if name == "arc" else np.arange(count) * 2 * math.pi / count
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def led_power(light: Light, leds: Array, eye: Array) -> float:
    """Return the radiant power (W) of each LED: at `eye` (3,) their irradiance is pi times the strength."""
    squares = np.square(leds - eye).sum(axis=1) * 1e-6
    return light.led_strength * 4 * math.pi**2 / float(np.sum(1 / np.maximum(squares, 1e-4)))
