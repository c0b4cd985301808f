"""Gaze: pitch and yaw of an eye's or a face's picture, judged by the angle between directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from facewright_refiner.readers.base import Labelled
from facewright_refiner.tasks.augment import Augment, with_angles
from facewright_refiner.tasks.base import Array, Task
from facewright_refiner.tasks.networks import LeNet, SmallResNet

NEAR_DEG = 7.0
"""The share of pictures that err less is reported: SimGAN's measure."""


@dataclass(frozen=True)
class GazeTask(Task):
    """Mean angular error in degrees; `net` is "lenet" (as in MPIIGaze and SimGAN, grey) or "resnet"."""

    height: int = 36
    width: int = 60
    net: str = "lenet"

    name = "gaze"
    unit = "degrees"
    sign = -1

    def target(self, item: Labelled) -> Tensor:
        """Return (pitch, yaw) (2,) float32 in radians."""
        if item.gaze is None:
            raise self.lacks(item, "gaze")
        return torch.from_numpy(np.asarray(item.gaze, np.float32))

    def network(self) -> nn.Module:
        """Return a LeNet or a small ResNet."""
        return LeNet(self.height, self.width) if self.net == "lenet" else SmallResNet(2)

    def augment(self) -> Augment:
        """Return shifts, scales, mirroring and light."""
        return with_angles()

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the smooth L1 distance of the angles, quadratic below 0.1 rad."""
        return F.smooth_l1_loss(output, target, beta=0.1)

    def marks(self, output: Tensor, target: Tensor) -> Array:
        """Return (N, 5): angle in degrees, whether below NEAR_DEG, 1, and the errors of pitch and yaw in degrees."""
        angle = torch.rad2deg(angles_between(output, target))
        parts = [angle, (angle < NEAR_DEG).float(), torch.ones_like(angle), *torch.rad2deg(output - target).T]
        return torch.stack(parts, 1).double().cpu().numpy()

    def score(self, sums: Array) -> Array:
        """Return the mean angular error in degrees."""
        return sums[..., 0] / sums[..., 2]

    def details(self, sums: Array) -> dict[str, float]:
        """Return the share below NEAR_DEG, and the mean errors of pitch and yaw."""
        share, pitch, yaw = (float(sums[n] / sums[2]) for n in (1, 3, 4))
        return {f"below {NEAR_DEG:g} degrees, %": 100 * share, "pitch bias, degrees": pitch, "yaw bias, degrees": yaw}

    def about(self) -> dict[str, Any]:
        """Return what identifies the task."""
        return super().about() | {"net": self.net}


def angles_between(a: Tensor, b: Tensor) -> Tensor:
    """Return the angles (N,) in radians between directions (pitch, yaw) (N, 2)."""
    return torch.acos((_direction(a) * _direction(b)).sum(1).clamp(-1, 1))


def _direction(angles: Tensor) -> Tensor:
    pitch, yaw = angles.double().T
    return -torch.stack([pitch.cos() * yaw.sin(), pitch.sin(), pitch.cos() * yaw.cos()], 1)
