"""A trained refiner on frames of any size.

It changes a picture at the resolution it was trained at: the frame is scaled to as many px as its training view gave
it, refined there, and the *change* is scaled back and added. At its own resolution that is the network's output, above
it what the network cannot see stays as it was rendered. Both scalings map corners on corners, so they move nothing.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from facewright_refiner import sensor
from facewright_refiner.checkpoint import Checkpoint
from facewright_refiner.presets import Config
from facewright_refiner.profile import View
from facewright_refiner.training_set import viewed

LEAST_SIDE = 8
"""A frame is never scaled below this many px."""


def grid_scale(config: Config, height: int, width: int) -> float:
    """Return px of the network per px of a frame of that size, as in training."""
    cut = min(width * config.crop, height * config.width / config.height)
    return max(config.width / cut, LEAST_SIDE / min(height, width))


def change_of(checkpoint: Checkpoint, picture: Tensor) -> Tensor:
    """Return what refinement adds to a picture (1, C, H, W) in [-1, 1], of the same shape."""
    size = picture.shape[-2:]
    scale = grid_scale(checkpoint.config, *size)
    small = sensor.resample(picture, (round(size[0] * scale), round(size[1] * scale)))
    return sensor.resample(checkpoint.refiner(small) - small, size)


def refine_image(checkpoint: Checkpoint, image: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """Return the refined picture (H, W, 3) uint8 of such an image; `strength` scales the change.

    A refiner of grey pictures returns grey ones.
    """
    device = next(checkpoint.refiner.parameters()).device
    with torch.inference_mode():
        picture = viewed(image, checkpoint.config.look, View()).to(device)
        refined = (picture + strength * change_of(checkpoint, picture)).clamp(-1, 1)
        levels = ((refined[0] + 1) * 127.5).round().to(torch.uint8).expand(3, -1, -1)
    return levels.permute(1, 2, 0).contiguous().cpu().numpy()
