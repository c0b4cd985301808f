"""Small networks for the tasks: honest baselines that train on a processor, not the best there is.

All take pictures (N, 3, H, W) in [0, 1] and centre them themselves. Batch normalisation, as in the published baselines:
group normalisation, which keeps no statistics of the set trained on, learnt faces' parts half as well in 400 steps.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

MEAN, DEVIATION = 0.45, 0.25
"""What pictures are centred by: about the mean and spread of photographs, the same for all channels and sets."""


class LeNet(nn.Module):
    """Two convolutions and two layers, as in MPIIGaze's first baseline, on grey; (N, 2) pitch and yaw in radians."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 20, 5), nn.BatchNorm2d(20), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(20, 50, 5), nn.BatchNorm2d(50), nn.ReLU(), nn.MaxPool2d(2)),
        )
        cells = ((height - 4) // 2 - 4) // 2 * (((width - 4) // 2 - 4) // 2)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(50 * cells, 500), nn.ReLU(), nn.Linear(500, 2))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (N, 2)."""
        return self.head(self.features(_grey(pictures)))


class Block(nn.Module):
    """Two 3 x 3 convolutions beside an identity, the first with `stride`."""

    def __init__(self, taken: int, given: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(taken, given, 3, stride, 1, bias=False), nn.BatchNorm2d(given), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(given, given, 3, 1, 1, bias=False), nn.BatchNorm2d(given))
        self.skip = nn.Conv2d(taken, given, 1, stride) if stride > 1 or taken != given else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, given, H / stride, W / stride)."""
        return torch.relu(self.second(self.first(x)) + self.skip(x))


class SmallResNet(nn.Module):
    """Four residual blocks that halve the picture, mean over places, one layer: (N, `outputs`)."""

    def __init__(self, outputs: int, width: int = 24) -> None:
        super().__init__()
        sizes = (width, width * 2, width * 3, width * 4)
        self.stem = nn.Conv2d(3, width, 3, 1, 1)
        self.blocks = nn.Sequential(*(Block(a, b, 2) for a, b in zip((width, *sizes[:-1]), sizes, strict=True)))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d((2, 3)), nn.Flatten(), nn.Linear(6 * sizes[-1], outputs))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (N, outputs)."""
        return self.head(self.blocks(self.stem(_centred(pictures))))


class UNet(nn.Module):
    """A U-Net whose finest level has half the picture's size, with the scene's mean at the bottom as in BiSeNet.

    Returns logits (N, `classes`, H, W); H and W are multiples of 8.
    """

    def __init__(self, classes: int, width: int = 16) -> None:
        super().__init__()
        w = width
        self.stem = nn.Sequential(nn.Conv2d(5, w, 5, 2, 2, bias=False), nn.BatchNorm2d(w), nn.ReLU())
        self.fine, self.middle, self.coarse = Block(w, w), Block(w, 2 * w, 2), Block(2 * w, 4 * w, 2)
        self.scene = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4 * w, 4 * w, 1), nn.Sigmoid())
        self.up_middle, self.up_fine = Block(6 * w, 2 * w), Block(3 * w, w)
        self.head = nn.Conv2d(w, classes, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits (N, classes, H, W)."""
        fine = self.fine(self.stem(_placed(_centred(pictures))))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        x = coarse * self.scene(coarse)
        x = self.up_middle(torch.cat([_doubled(x), middle], 1))
        x = self.up_fine(torch.cat([_doubled(x), fine], 1))
        return _doubled(self.head(x))


def _placed(x: Tensor) -> Tensor:
    """Return x with two more channels, the place across and down in [-1, 1]: what is left and right is learnt soon."""
    down, across = (torch.linspace(-1, 1, size, device=x.device) for size in x.shape[-2:])
    places = torch.stack(torch.meshgrid(across, down, indexing="xy")).expand(len(x), -1, -1, -1)
    return torch.cat([x, places], 1)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _centred(pictures: Tensor) -> Tensor:
    return (pictures - MEAN) / DEVIATION


def _grey(pictures: Tensor) -> Tensor:
    return _centred((pictures * pictures.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True))
