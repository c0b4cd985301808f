"""The networks of the preset `modern`: a refiner that changes tone and detail within bounds, a critic, and a judge.

The refiner sees the picture, noise to make detail of, and the guide (guides.py). What it may do is bounded by
construction: a smooth tone (gain and offset on a coarse grid), a tone for each group of classes, whose borders are the
labels themselves, and a residual of at most RESIDUAL, which fades to FLOOR of that beside outlines of an eye. All heads
begin at zero: a new refiner is the identity, bit for bit. No layer normalises, so nothing depends on a batch.

Pictures are (B, C, H, W) in [-1, 1], guides (B, guides.CHANNELS, H, W), noise (B, NOISE, H, W) standard normal; H and
W are multiples of `multiple_of(levels)`.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from facewright_refiner import guides

NOISE = 2
"""Channels of noise."""
RESIDUAL = 0.2
"""Largest residual, of full contrast. Reasoned: skin's pores and sensors' stripes stay below 0.1, glints do not."""
GAIN, OFFSET = 0.5, 0.2
"""Largest change by tone: log gain (a factor of 1.65), and offset as a share of full contrast. Reasoned."""
FLOOR = 0.1
"""What is left of the residual on an outline."""
BAND = 5
"""Width in px of the band round outlines in which the residual fades; 2 px to each side."""


def multiple_of(levels: int) -> int:
    """Return what height and width must be multiples of: pixel-unshuffling halves them, each level after it again."""
    return 2**levels


class Modulated(nn.Module):
    """A residual block whose features are scaled and shifted, pixel by pixel, by 1 x 1 convolutions of the guide."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = _conv(features, features)
        self.second = _conv(features, features)
        self.guide = nn.Conv2d(guides.CHANNELS, 2 * features, 1)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """Return (B, features, h, w) of the same and of the guide (B, CHANNELS, h, w)."""
        scale, shift = self.guide(guide).chunk(2, dim=1)
        return x + self.second(F.silu(self.first(F.silu(x)) * (1 + scale) + shift))


class ModernRefiner(nn.Module):
    """A small U-Net behind a pixel-unshuffle, see above. `levels` resolutions, `features` maps at the finest."""

    def __init__(self, channels: int, features: int = 32, levels: int = 3) -> None:
        super().__init__()
        self.channels = channels
        widths = [min(features * 2**n, 4 * features) for n in range(levels)]
        self.stem = _conv(4 * (channels + NOISE), features)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in itertools.pairwise(widths))
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in itertools.pairwise(widths))
        self.encoder = nn.ModuleList(Modulated(width) for width in widths)
        self.decoder = nn.ModuleList(Modulated(width) for width in widths[:-1])
        self.detail = _zero(nn.Conv2d(features, 4 * channels, 1))
        self.tone = _zero(nn.Conv2d(widths[-1], 2 * channels, 1))
        self.tones = _zero(nn.Linear(widths[-1], 2 * channels * len(guides.GROUPS)))

    def forward(self, picture: Tensor, guide: Tensor, noise: Tensor) -> Tensor:
        """Return refined pictures (B, C, H, W) in [-1, 1]."""
        x = self.stem(F.pixel_unshuffle(torch.cat([picture, noise], dim=1), 2))
        seen = [F.avg_pool2d(guide, 2)]
        skips = []
        for n, block in enumerate(self.encoder):
            if n:
                x = self.down[n - 1](x)
                seen.append(F.avg_pool2d(seen[-1], 2))
            x = block(x, seen[n])
            skips.append(x)
        gain, offset = self._tone(x, guide)
        for n in reversed(range(len(self.decoder))):
            x = skips[n] + F.interpolate(self.up[n](x), scale_factor=2.0, mode="nearest")
            x = self.decoder[n](x, seen[n])
        residual = F.pixel_shuffle(self.detail(F.silu(x)), 2).float()
        light = (picture + 1) / 2
        change = light * torch.expm1(gain) + offset + RESIDUAL * torch.tanh(residual) * freedom(guide)
        return (picture + 2 * change).clamp(-1, 1)

    def _tone(self, coarse: Tensor, guide: Tensor) -> tuple[Tensor, Tensor]:
        """Return log gain and offset, (B, C, H, W) each: the grid's and the groups' together, within their bounds."""
        features = F.silu(coarse)
        height, width = guide.shape[-2:]
        grid = F.interpolate(self.tone(features).float(), size=(height, width), mode="bilinear", align_corners=False)
        groups = self.tones(features.mean((2, 3))).float().unflatten(1, (2 * self.channels, len(guides.GROUPS)))
        shares = guide[:, : len(guides.GROUPS)]
        gain, offset = (grid + torch.einsum("bcg,bghw->bchw", groups, shares)).chunk(2, dim=1)
        return GAIN * torch.tanh(gain), OFFSET * torch.tanh(offset)


def freedom(guide: Tensor) -> Tensor:
    """Return how much of the residual is allowed, (B, 1, H, W): FLOOR on outlines of the eye, 1 away from them."""
    shares = guide[:, guides.EYE]
    high, low = (F.max_pool2d(sign * shares, BAND, stride=1, padding=BAND // 2) for sign in (1, -1))
    edge = (high + low).amax(1, keepdim=True).clamp(0, 1)
    return 1 - (1 - FLOOR) * F.avg_pool2d(edge, 3, stride=1, padding=1, count_include_pad=False)


class Critic(nn.Module):
    """Scores patches of two scales; with a patch it sees what the judge sees in it, so that it knows skin from iris."""

    def __init__(self, channels: int, features: int = 32) -> None:
        super().__init__()
        self.scales = nn.ModuleList(_critic(channels + len(guides.GROUPS), features) for _ in range(SCALES))

    def forward(self, patches: list[Tensor]) -> Tensor:
        """Return (B, n) scores of patches (B, C + groups, S, S), one tensor for each scale."""
        return torch.cat([scale(x).flatten(1) for scale, x in zip(self.scales, patches, strict=True)], dim=1)


SCALES = 2


class Judge(nn.Module):
    """Says which of GROUPS a pixel shows: (B, groups, H, W) logits of (B, C, H, W). About 30,000 values."""

    def __init__(self, channels: int, features: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, features // 2, 3, padding=1, padding_mode="reflect"),
            nn.SiLU(),
            nn.Conv2d(features // 2, features, 3, stride=2, padding=1),
            nn.SiLU(),
            *(layer for reach in (2, 4, 2) for layer in (_dilated(features, reach), nn.SiLU())),
            nn.Conv2d(features, len(guides.GROUPS), 1),
        )

    def forward(self, picture: Tensor) -> Tensor:
        """Return logits at the picture's own size."""
        return F.interpolate(self.layers(picture), size=picture.shape[-2:], mode="bilinear", align_corners=False)


def _critic(channels: int, features: int) -> nn.Sequential:
    widths = (features, 2 * features, 4 * features)
    layers: list[nn.Module] = []
    for before, width in zip((channels, *widths), widths):
        layers += [nn.Conv2d(before, width, 3, padding=1, stride=2), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 1))


def _conv(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1, padding_mode="reflect")


def _dilated(features: int, reach: int) -> nn.Conv2d:
    return nn.Conv2d(features, features, 3, padding=reach, dilation=reach)


def _zero(layer: Any) -> Any:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
