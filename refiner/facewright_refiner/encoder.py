"""A small encoder that learns from pictures without labels, in minutes and on any machine: no weights are downloaded.

VICReg (Bardes et al., ICLR 2022): two views of a picture shall have one embedding (invariance), every number of which
varies over the batch (variance) and says something of its own (covariance). Views differ in crop, light and camera, so
the encoder learns what is in a picture; its trunk also serves the estimators.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812
from kornia.augmentation import (
    AugmentationSequential,
    ColorJiggle,
    RandomGaussianBlur,
    RandomGaussianNoise,
    RandomResizedCrop,
)
from torch import Tensor, nn

from facewright.rng import stream

INPUT = (48, 64)
"""Height and width in px that every picture is brought to; the aspect is the set's own and equal for all of them."""
FEATURES = 128
EMBEDDING = 256
STEPS = 250
BATCH = 64
INVARIANCE, VARIANCE, COVARIANCE = 25.0, 25.0, 1.0
"""Weights of the three terms, the paper's."""


class Trunk(nn.Sequential):
    """Four strided convolutions: (B, 3, *INPUT) in [0, 1] to (B, FEATURES, 3, 4)."""

    def __init__(self) -> None:
        sizes = (3, 24, 48, 96, FEATURES)
        super().__init__(*(block for pair in pairwise(sizes) for block in _block(*pair)))


def _block(before: int, after: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(8, after), nn.SiLU()


def resized(pictures: Tensor) -> Tensor:
    """Return (N, 3, H, W) as (N, 3, *INPUT)."""
    return F.interpolate(pictures, size=INPUT, mode="bilinear", antialias=True, align_corners=False)


def train_encoder(pictures: Tensor, seed: int = 0, steps: int = 0) -> Trunk:
    """Return a trunk trained on (N, 3, H, W) sRGB in [0, 1], N >= 2, for `steps` (0: STEPS); equal if these are."""
    steps = steps or STEPS
    pictures = resized(pictures)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trunk = Trunk()
        head = nn.Sequential(nn.Linear(FEATURES, EMBEDDING), nn.SiLU(), nn.Linear(EMBEDDING, EMBEDDING))
        augment = _augmentation()
        optimiser = torch.optim.AdamW([*trunk.parameters(), *head.parameters()], lr=1e-3, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=max(steps, 2))
        for step in range(steps):
            batch = pictures[stream(seed, step, "encoder.batch").permutation(len(pictures))[:BATCH]]
            a, b = (head(_pooled(trunk(augment(batch)))) for _ in range(2))
            optimiser.zero_grad()
            vicreg(a, b).backward()
            optimiser.step()
            schedule.step()
    return trunk.eval()


@torch.inference_mode()
def encode(trunk: Trunk, pictures: Tensor) -> Tensor:
    """Return features (N, FEATURES) of (N, 3, H, W) in [0, 1]."""
    return torch.cat([_pooled(trunk(resized(part))) for part in pictures.split(BATCH)])


def vicreg(a: Tensor, b: Tensor) -> Tensor:
    """Return the loss of two embeddings (B, E) of the same B >= 2 pictures."""
    count, size = a.shape
    spread, overlap = a.new_zeros(()), a.new_zeros(())
    for x in (a, b):
        x = x - x.mean(0)
        spread = spread + F.relu(1 - torch.sqrt(x.var(0) + 1e-4)).mean() / 2
        covariance = x.T @ x / (count - 1)
        overlap = overlap + (covariance.square().sum() - covariance.diagonal().square().sum()) / size
    return INVARIANCE * F.mse_loss(a, b) + VARIANCE * spread + COVARIANCE * overlap


def _pooled(maps: Tensor) -> Tensor:
    return maps.mean((2, 3))


def _augmentation() -> AugmentationSequential:
    """Return what may differ between two views: at most a fifth of the framing, some light, the camera."""
    return AugmentationSequential(
        RandomResizedCrop(INPUT, scale=(0.65, 1.0), ratio=(1.2, 1.48)),
        ColorJiggle(0.3, 0.3, 0.3, 0.03, p=0.8),
        RandomGaussianBlur((5, 5), (0.1, 1.5), p=0.5),
        RandomGaussianNoise(0.0, 0.03, p=0.5),
    )
