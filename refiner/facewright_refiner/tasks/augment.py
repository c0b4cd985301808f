"""Augmentation by kornia that moves labels with their pictures; every row of a comparison gets the same.

Pictures (N, 3, H, W) in [0, 1]. What comes in from outside is reflected, in labels too. Left and right change places
when a picture is mirrored. Randomness is torch's own: `training.train` seeds it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import kornia.augmentation as K  # noqa: N812
import torch
from kornia.constants import DataKey, Resample
from torch import Tensor

from facewright.schema import IBUG68

DEGREES, SHIFT, SCALE = 12.0, 0.06, (0.85, 1.18)
"""Roll, shift over the size and scale of the random affine: reasoned, what a face detector's box leaves open."""

_FLIPS = (("r_", "l_"), ("right_", "left_"))


def photometric() -> K.AugmentationSequential:
    """Return what changes light, focus and noise of pictures."""
    return K.AugmentationSequential(
        K.ColorJiggle(0.25, 0.25, 0.25, 0.03, p=0.8),
        K.RandomGrayscale(p=0.15),
        K.RandomGaussianBlur((5, 5), (0.3, 1.2), p=0.25),
        K.RandomGaussianNoise(std=0.02, p=0.4),
        data_keys=[DataKey.INPUT],
    )


def _affine(key: DataKey) -> K.AugmentationSequential:
    return K.AugmentationSequential(
        K.RandomAffine(DEGREES, (SHIFT, SHIFT), SCALE, padding_mode="reflection", p=0.9),
        data_keys=[DataKey.INPUT, key],
        extra_args={DataKey.MASK: {"resample": Resample.NEAREST, "align_corners": None}},
    )


Augment = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def with_ids(classes: Sequence[str]) -> Augment:
    """Return what augments pictures with class ids (N, H, W) uint8 of `classes`."""
    light, moved, swap = photometric(), _affine(DataKey.MASK), mirrored_ids(classes)

    def augment(pictures: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        flip = _coin(pictures)
        pictures = torch.where(flip[:, None, None, None], pictures.flip(-1), pictures)
        ids = torch.where(flip[:, None, None], swap.to(ids.device)[ids.flip(-1).long()], ids)
        pictures, mask = moved(pictures, ids[:, None].float())
        return light(pictures).clamp(0, 1), mask[:, 0].round().to(torch.uint8)

    return augment


def with_points(mirror: Sequence[int]) -> Augment:
    """Return what augments pictures with points (N, P, 2) over the size, in [0, 1]; `mirror` swaps their sides."""
    light, moved, order = photometric(), _affine(DataKey.KEYPOINTS), torch.tensor(mirror)

    def augment(pictures: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        flip = _coin(pictures)
        size = points.new_tensor([pictures.shape[-1], pictures.shape[-2]])
        other = points[:, order] * points.new_tensor([-1, 1]) + points.new_tensor([1, 0])
        pictures = torch.where(flip[:, None, None, None], pictures.flip(-1), pictures)
        points = torch.where(flip[:, None, None], other, points)
        pictures, pixels = moved(pictures, points * size - 0.5)  # kornia counts from the first pixel's centre
        return light(pictures).clamp(0, 1), (pixels + 0.5) / size

    return augment


def with_angles() -> Augment:
    """Return what augments pictures with (pitch, yaw) (N, 2): shifts and scales, which turn no gaze, and mirroring."""
    light = photometric()
    moved = K.RandomAffine(0.0, (SHIFT, SHIFT), SCALE, padding_mode="reflection", p=0.9)

    def augment(pictures: Tensor, angles: Tensor) -> tuple[Tensor, Tensor]:
        flip = _coin(pictures)
        pictures = torch.where(flip[:, None, None, None], pictures.flip(-1), pictures)
        angles = torch.where(flip[:, None], angles * angles.new_tensor([1, -1]), angles)
        return light(moved(pictures)).clamp(0, 1), angles

    return augment


def _coin(pictures: Tensor) -> Tensor:
    return torch.rand(len(pictures), device=pictures.device) < 0.5


def mirrored_ids(classes: Sequence[str]) -> Tensor:
    """Return (256,) uint8: the id of each class in a mirrored picture; left and right change places."""
    table = torch.arange(256, dtype=torch.uint8)
    for value, name in enumerate(classes):
        for right, left in _FLIPS:
            for one, other in ((right, left), (left, right)):
                twin = other + name.removeprefix(one)
                if name.startswith(one) and twin in classes and (right + name.removeprefix(one)) in classes:
                    table[value] = list(classes).index(twin)
    return table


def mirrored_points() -> list[int]:
    """Return for each iBUG-68 point of a mirrored face which point of the face it is."""
    order = list(range(68))
    jaw, bridge = list(IBUG68["jaw"]), list(IBUG68["nose_bridge"])
    pairs = list(zip(jaw, reversed(jaw), strict=True)) + [(n, n) for n in bridge]
    pairs += list(zip(IBUG68["nose_base"], reversed(IBUG68["nose_base"]), strict=True))
    pairs += list(zip(IBUG68["right_brow"], reversed(IBUG68["left_brow"]), strict=True))
    pairs += [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
    pairs += [(48, 54), (49, 53), (50, 52), (51, 51), (55, 59), (56, 58), (57, 57)]
    pairs += [(60, 64), (61, 63), (62, 62), (65, 67), (66, 66)]
    for one, other in pairs:
        order[one], order[other] = other, one
    return order
