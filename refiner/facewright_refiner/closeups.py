"""A second look: the face or eye that was found, cut out upright and at one size, for a network that sees it closer.

In a portrait that is looked at as a whole, a mouth is some px wide. What it does, and where eyes look, shows only here.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from facewright_refiner.keypoints import Views, mirrored

REACH = 2.1
"""Half the edge, in the points' standard deviation: from the hairline to the chin, and from ear to ear."""
CLOSE = Views(96, 12.0, 1.2, 0.06, 0.5)
"""Of close-ups: a face's mouth is then some 30 px wide; turned and shifted as far as found points are off. What is
always in one place is learnt sooner."""


def places_of(points: np.ndarray, scene: str) -> np.ndarray:
    """Return what takes points, in widths of a picture, to widths of its close-up, (N, 2, 3), by key points (N, P, 2).

    Upright is what the axis across says, from points to their counterparts on the other side: steady for faces that
    are seen from the front, the less so the more they are turned away.
    """
    middle = points.mean(1)
    size = np.sqrt(((points - middle[:, None]) ** 2).sum(2).mean(1) / 2).clip(1e-3)
    order = np.array(mirrored(scene))
    left = np.flatnonzero(np.arange(len(order)) < order)
    across = (points[:, order[left]] - points[:, left]).sum(1)
    across *= np.where(across[:, :1] < 0, -1, 1)  # never upside down
    length = np.linalg.norm(across, axis=1, keepdims=True)
    across = np.where(length > 1e-9, across / length.clip(1e-9), (1.0, 0.0))
    turn = np.stack([across, np.stack([-across[:, 1], across[:, 0]], 1)], 1) / (2 * REACH * size)[:, None, None]
    return np.concatenate([turn, 0.5 - turn @ middle[..., None]], 2)


def moved(points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return points (N, P, 2), in widths of the pictures, in widths of the close-ups."""
    return np.einsum("nij,npj->npi", places[..., :2], points) + places[:, None, :, 2]


def closeups(pictures: Tensor, places: np.ndarray, mode: str = "bilinear") -> Tensor:
    """Return (N, C, E, E) of (N, C, H, W), as places_of and CLOSE say; beyond the border lies its reflection."""
    height, width = pictures.shape[-2:]
    back = np.linalg.inv(places[..., :2])
    axis = (np.arange(CLOSE.edge) + 0.5) / CLOSE.edge
    there = np.stack(np.meshgrid(axis, axis), -1) - places[:, None, None, :, 2]
    grid = 2 * np.einsum("nij,nhwj->nhwi", back, there) * (1, width / height) - 1
    return F.grid_sample(
        pictures, torch.from_numpy(grid).float(), mode=mode, padding_mode="reflection", align_corners=False
    )
