"""A detector of irises for the benchmark only: another network and other disturbances than the trained judge's.

It sees luma of eyes at one size and says of every pixel whether it is iris or pupil, the visible part. Its shift
between two pictures is that of the centre of what it found.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

BATCH = 16
LR = 3e-3


class Detector(nn.Module):
    """An hourglass of three resolutions, group-normalised; (B, 1, H, W) luma in [0, 1] to (B, 1, H, W) logits."""

    def __init__(self, features: int = 16) -> None:
        super().__init__()
        widths = (features, 2 * features, 4 * features)
        self.down = nn.ModuleList(
            block(a, b, stride) for a, b, stride in zip((1, *widths), widths, (1, 2, 2), strict=False)
        )
        self.up = nn.ModuleList(block(a + b, b, 1) for a, b in ((widths[2], widths[1]), (widths[1], widths[0])))
        self.head = nn.Conv2d(features, 1, 1)

    def forward(self, luma: Tensor) -> Tensor:
        x = (luma - luma.mean((2, 3), keepdim=True)) / (luma.std((2, 3), keepdim=True) + 0.05)
        skips = []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        for layer, skip in zip(self.up, skips[-2::-1], strict=True):
            x = layer(torch.cat([F.interpolate(x, size=skip.shape[-2:], mode="bilinear"), skip], 1))
        return self.head(x)


def block(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1),
        nn.GroupNorm(4, after),
        nn.ReLU(),
        nn.Conv2d(after, after, 3, padding=1),
        nn.GroupNorm(4, after),
        nn.ReLU(),
    )


def train(luma: Tensor, iris: Tensor, steps: int, seed: int) -> Detector:
    """Return a detector trained on luma (N, 1, H, W) and exact shares of iris and pupil, likewise."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    detector = Detector()
    optimiser = torch.optim.AdamW(detector.parameters(), LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LR, total_steps=steps)
    for _ in range(steps):
        picked = random.integers(0, len(luma), BATCH)
        x, y = moved(luma[picked], iris[picked], random)
        loss = F.binary_cross_entropy_with_logits(detector(disturbed(x)), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return detector.eval().requires_grad_(False)


def moved(x: Tensor, y: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return both under the same mirroring, rotation, scale and shift."""
    angle, scale = random.uniform(-0.25, 0.25, len(x)), random.uniform(0.85, 1.15, len(x))
    flip = random.choice([-1.0, 1.0], len(x))
    ratio = x.shape[-1] / x.shape[-2]
    theta = np.zeros((len(x), 2, 3))
    theta[:, 0, 0], theta[:, 0, 1] = flip * scale * np.cos(angle), -scale * np.sin(angle) / ratio
    theta[:, 1, 0], theta[:, 1, 1] = flip * scale * np.sin(angle) * ratio, scale * np.cos(angle)
    theta[:, :, 2] = random.uniform(-0.15, 0.15, (len(x), 2))
    grid = F.affine_grid(torch.from_numpy(theta).float(), list(x.shape), align_corners=False)
    sampled = F.grid_sample(torch.cat([x, y], 1), grid, padding_mode="reflection", align_corners=False)
    return sampled[:, :1], sampled[:, 1:]


def disturbed(x: Tensor) -> Tensor:
    """Return luma under blur, gamma, contrast, light ramps, noise that is fine or coarse, and fewer levels."""
    count, _, height, width = x.shape

    def per_picture(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, 1)

    sigma = float(per_picture(0.2, 1.6)[0])
    taps = torch.exp(-(torch.arange(-3.0, 4.0) ** 2) / (2 * sigma**2))
    taps = taps / taps.sum()
    soft = F.conv2d(F.pad(x, (3, 3, 3, 3), "reflect"), taps[None, None, None] * taps[None, None, :, None])
    x = torch.where(per_picture(0, 1) < 0.5, soft, x)
    x = x.clamp(1e-3, 1) ** torch.exp(per_picture(-0.8, 0.8))
    ramp = torch.linspace(-1, 1, width)[None, None, None] * per_picture(-0.4, 0.4)
    ramp = ramp + torch.linspace(-1, 1, height)[None, None, :, None] * per_picture(-0.4, 0.4)
    x = x * torch.exp(ramp)
    coarse = F.interpolate(torch.randn(count, 1, height // 2, width // 2), size=(height, width), mode="bilinear")
    noise = torch.where(per_picture(0, 1) < 0.5, torch.randn_like(x), coarse)
    x = x + per_picture(0, 0.08) * noise
    steps = torch.exp2(per_picture(4, 8)).round()
    mean = x.mean((2, 3), keepdim=True)
    return (((x - mean) * per_picture(0.6, 1.4) + mean) * steps).round() / steps


def centres(detector: Detector, luma: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, 2) centres in px of what is found, and the (N, H, W) bool masks; NaN where nothing is."""
    with torch.inference_mode():
        share = torch.cat([detector(part) for part in luma.split(64)]).sigmoid()[:, 0]
    mask = share > 0.5
    weight = (share * mask).double()
    area = weight.sum((1, 2))
    x = torch.arange(luma.shape[-1]) + 0.5
    y = torch.arange(luma.shape[-2]) + 0.5
    found = torch.stack([(weight.sum(1) * x).sum(1), (weight.sum(2) * y).sum(1)], 1) / area[:, None]
    found[mask.sum((1, 2)) < math.pi * 2**2] = math.nan
    return found.numpy(), mask.numpy()


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return intersection over union (N,) of two sets of masks; NaN where both are empty."""
    either = (a | b).sum((1, 2))
    return np.where(either > 0, (a & b).sum((1, 2)) / np.maximum(either, 1), np.nan)
