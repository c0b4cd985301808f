"""The 68 landmarks of iBUG: a small residual network on the face's box, judged by the error over the eyes' distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from facewright_refiner.readers.base import Labelled
from facewright_refiner.tasks.augment import Augment, mirrored_points, with_points
from facewright_refiner.tasks.base import Array, Task, cut
from facewright_refiner.tasks.networks import SmallResNet

OUTER_CORNERS = (36, 45)
MARGIN = 1.3
"""Edge of the cut-out over the larger side of the landmarks' box, as detectors' boxes leave about that much."""
FAILURE = 0.10


@dataclass(frozen=True)
class LandmarkTask(Task):
    """Normalised mean error: mean distance over that of the outer eye corners, in %."""

    height: int = 96
    width: int = 96

    name = "landmarks"
    unit = "NME %"
    sign = -1

    def fitted(self, item: Labelled) -> Labelled:
        """Return the square about the landmarks, a little larger than their box."""
        if item.landmarks is None:
            raise self.lacks(item, "landmarks")
        low, high = item.landmarks.min(axis=0), item.landmarks.max(axis=0)
        edge = max(8, round(float((high - low).max()) * MARGIN))
        x, y = np.round((low + high - edge) / 2).astype(int)
        return cut(item, int(x), int(y), edge, edge)

    def target(self, item: Labelled) -> Tensor:
        """Return points (68, 2) float32 over the cut-out's edge."""
        if item.landmarks is None:
            raise self.lacks(item, "landmarks")
        return torch.from_numpy((item.landmarks / item.picture.shape[1]).astype(np.float32))

    def network(self) -> nn.Module:
        """Return a small ResNet that moves points from the middle."""
        return nn.Sequential(SmallResNet(136), _Points())

    def augment(self) -> Augment:
        """Return affine maps, mirroring with sides swapped, and light."""
        return with_points(mirrored_points())

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean distance over the outer eye corners' distance."""
        return (distances(output, target) / between_eyes(target)[:, None]).mean()

    def marks(self, output: Tensor, target: Tensor) -> Array:
        """Return (N, 3): NME, whether it is above FAILURE, 1."""
        error = (distances(output, target) / between_eyes(target)[:, None]).mean(1)
        return torch.stack([error, (error > FAILURE).float(), torch.ones_like(error)], 1).double().cpu().numpy()

    def score(self, sums: Array) -> Array:
        """Return the mean NME in %."""
        return 100 * sums[..., 0] / sums[..., 2]

    def details(self, sums: Array) -> dict[str, float]:
        """Return the failure rate."""
        return {f"failures at {FAILURE:g}, %": 100 * float(sums[1] / sums[2])}


class _Points(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 0.5 + x.reshape(len(x), 68, 2) / 10


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Return distances (N, P) of points (N, P, 2)."""
    return (a - b).square().sum(-1).clamp(min=1e-12).sqrt()


def between_eyes(points: Tensor) -> Tensor:
    """Return the distance (N,) of the outer eye corners of points (N, 68, 2)."""
    right, left = OUTER_CORNERS
    return (points[:, right] - points[:, left]).norm(dim=-1)
