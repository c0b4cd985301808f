"""The bright pupil: light that an LED near the line of sight sends through the pupil comes back the same way."""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray

NODAL_MM = 17.0
"""Nodal point to retina (Gullstrand's schematic eye: 16.7 to 17.1 mm)."""
SCATTER_DEG = 2.5
"""Width of the retina's own blur: infrared light spreads in the choroid before it returns (reasoned; pupils stop being
bright some 2.5 deg off the axis, also for remote cameras on which the eye is focused)."""
FAR_POINT_D = 1.0
"""Where the eye is focused, in dioptres: about a metre."""
BRIGHTEST = 1.0
"""Largest albedo: where the eye focuses the light better than a white surface would send it back, cameras saturate."""


def pupil_albedo(reflectance: float, pupil_mm: float, pinhole: Array, leds: Array) -> float:
    """Return the albedo that the pupil seems to have for a camera at `pinhole` (3,), lit by `leds` (N, 3).

    Both in mm from the pupil. Eccentric photorefraction (Bobier & Braddick, Am. J. Optom. Physiol. Opt. 62, 1985) with
    discs: the LED lights a disc of the retina, as wide as the eye is out of focus for its distance; the camera sees a
    disc of that width, moved by the angle between LED and camera. The share that overlaps is bright, by the pupil's
    area over the disc's, on which the pupil gathers the light.
    """
    if not len(leds):
        return 0.0
    distance = np.linalg.norm(leds, axis=1)
    cosine = leds @ pinhole / (distance * np.linalg.norm(pinhole))
    angle = np.arccos(np.clip(cosine, -1, 1))
    width = np.hypot(math.radians(SCATTER_DEG), 1e-3 * pupil_mm * np.maximum(1e3 / distance - FAR_POINT_D, 0))
    apart = np.minimum(angle / width, 1)
    overlap = (np.arccos(apart) - apart * np.sqrt(1 - apart * apart)) * 2 / math.pi
    gathered = reflectance * np.square(pupil_mm / (NODAL_MM * width)) * overlap
    share = 1 / np.square(distance)
    return min(BRIGHTEST, float((gathered * share).sum() / share.sum()))
