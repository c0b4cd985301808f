"""Strands: hairs as polylines with radius."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from facewright.schema import Label

Array = np.ndarray


@dataclass(frozen=True)
class Strands:
    """`points` (N, k, 3) mm from root to tip, `radius` (N, k) mm, one class `label`, and the coverage `channel` they
    belong to; `tint` (N,) in [0, 1] varies colour from strand to strand; 1 + tint marks grey hairs.
    """

    name: str
    points: Array
    radius: Array
    label: Label
    channel: str
    tint: Array = field(default_factory=lambda: np.zeros(0))

    def moved(self, points: Array) -> Strands:
        """Return the strands with other positions."""
        return replace(self, points=points)
