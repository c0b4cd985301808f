"""Infrared LEDs round the camera."""

from __future__ import annotations

import math

import numpy as np

from facewright.truth import CameraTruth
from facewright.world.parameters import Light

Array = np.ndarray


def led_positions(light: Light, camera: CameraTruth) -> list[tuple[Array, Array]]:
    """Return (position, outward axis) of each LED in world mm; the axis points from the eye to the LED's back.

    ring: all round the lens; arc: the lower half; pair: left and right of the lens.
    """
    if light.leds == "none":
        return []
    if light.leds == "pair":
        angles = [0.0, math.pi]
    else:
        span = 2 * math.pi if light.leds == "ring" else math.pi
        step = span / light.led_count if light.leds == "ring" else span / max(1, light.led_count - 1)
        angles = [k * step for k in range(light.led_count)]
    position = -camera.rotation.T @ camera.translation_mm
    back = -camera.rotation[2]
    right, down = camera.rotation[0], camera.rotation[1]
    return [(position + light.led_radius_mm * (math.cos(a) * right + math.sin(a) * down), back) for a in angles]
