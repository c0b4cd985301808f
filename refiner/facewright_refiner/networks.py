"""The two networks of SimGAN (Shrivastava et al., CVPR 2017): a refiner that keeps the size, a local discriminator.

Pictures are (B, C, H, W) float32 in [-1, 1], the range of the refiner's tanh. No layer normalises over a batch, so a
picture is refined alike alone and in company, and both networks take any size.

The paper does not print its padding; both networks are padded with zeros by half a kernel, which gives its map of
9 x 14 patches for 35 x 55 px.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

REAL, REFINED = 0, 1
"""Classes of the discriminator's two maps."""
FAMILIES = ("eye", "depth")
"""The paper's two pairs of networks: for eyes of 35 x 55 px, and for depth maps of hands, 224 x 224 px."""


class Block(nn.Module):
    """A residual block of two 3 x 3 convolutions."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(features, features, 3, padding=1)
        self.second = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, features, H, W) of the same."""
        return torch.relu(x + self.second(torch.relu(self.first(x))))


class Refiner(nn.Module):
    """A convolution, residual blocks, a 1 x 1 convolution, tanh; nothing strides or pools.

    `kernel` is that of the first convolution: 3 for eyes, 7 for depth. A result's pixel sees kernel + 4 * blocks px.
    """

    def __init__(self, channels: int, blocks: int = 4, kernel: int = 3, features: int = 64) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, features, kernel, padding=kernel // 2)
        self.blocks = nn.Sequential(*(Block(features) for _ in range(blocks)))
        self.head = nn.Conv2d(features, channels, 1)

    def forward(self, picture: Tensor) -> Tensor:
        """Return refined pictures (B, C, H, W) in [-1, 1] of such pictures."""
        return torch.tanh(self.head(self.blocks(torch.relu(self.stem(picture)))))


class Discriminator(nn.Module):
    """Looks at overlapping patches (23 x 23 px of an eye) and says of each whether it is real or refined."""

    def __init__(self, channels: int, family: str = "eye") -> None:
        super().__init__()
        first, second, pool, third = _DISCRIMINATORS[family]
        self.layers = nn.Sequential(
            _conv(channels, 96, *first),
            nn.ReLU(),
            _conv(96, 64, *second),
            nn.ReLU(),
            nn.MaxPool2d(3, pool, padding=1),
            _conv(64, 32, *third),
            nn.ReLU(),
            nn.Conv2d(32, 32, 1),
            nn.ReLU(),
            nn.Conv2d(32, 2, 1),
        )

    def forward(self, picture: Tensor) -> Tensor:
        """Return (B, 2, h, w) logits of pictures (B, C, H, W): the maps of REAL and of REFINED."""
        return self.layers(picture)


class Features(nn.Module):
    """A learned psi: what a picture shows, whatever its light, contrast and noise.

    The encoder of a denoising autoencoder (Vincent et al., ICML 2008) of pictures whose channels have mean 0 and
    deviation 1. After `measure`, features of two pictures differ as much as the pictures do, so that a weight means
    about the same as with psi `identity`.
    """

    unit: Tensor

    def __init__(self, channels: int, features: int = 32) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, features // 2, 3, padding=1, padding_mode="reflect"),
            nn.SiLU(),
            nn.Conv2d(features // 2, features, 3, stride=2, padding=1),
        )
        self.decoder = nn.Sequential(nn.SiLU(), nn.Conv2d(features, 4 * channels, 3, padding=1), nn.PixelShuffle(2))
        self.register_buffer("unit", torch.ones(()))

    def forward(self, picture: Tensor) -> Tensor:
        """Return features (B, features, (H + 1) // 2, (W + 1) // 2) of pictures (B, C, H, W)."""
        return self.encoder(standardised(picture)) * self.unit

    def restored(self, noisy: Tensor) -> Tensor:
        """Return what pictures (B, C, H, W) were before noise, of the same shape, standardised."""
        height, width = noisy.shape[-2:]
        return self.decoder(self.encoder(noisy))[..., :height, :width]

    @torch.no_grad()
    def measure(self, pictures: Tensor) -> None:
        """Set the unit by how much these pictures (B > 1) differ from each other."""
        seen = self.encoder(standardised(pictures))
        self.unit.copy_((pictures - pictures.flip(0)).abs().mean() / (seen - seen.flip(0)).abs().mean().clamp(min=1e-6))


def standardised(picture: Tensor) -> Tensor:
    """Return pictures (B, C, H, W) whose channels have mean 0 and deviation 1."""
    centred = picture - picture.mean((2, 3), keepdim=True)
    return centred / (centred.square().mean((2, 3), keepdim=True) + 1e-6).sqrt()


_DISCRIMINATORS = {
    "eye": ((3, 2), (3, 2), 1, (3, 1)),
    "depth": ((7, 4), (5, 2), 2, (3, 2)),
}
"""Kernel and stride of the first two convolutions, stride of the 3 x 3 pool, kernel and stride of the third."""


def refiner_of(family: str, channels: int, blocks: int, features: int = 64) -> Refiner:
    """Return a new refiner of one of FAMILIES."""
    return Refiner(channels, blocks, {"eye": 3, "depth": 7}[family], features)


def parameter_count(network: nn.Module) -> int:
    """Return the number of trained values."""
    return sum(parameter.numel() for parameter in network.parameters())


def _conv(channels: int, features: int, kernel: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels, features, kernel, stride, padding=kernel // 2)
