"""Segmentation of eyes and of faces: a small U-Net, judged by F1 of classes over all pixels of the test set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from facewright_refiner.readers.base import Labelled
from facewright_refiner.tasks.augment import Augment, with_ids
from facewright_refiner.tasks.base import Array, Task
from facewright_refiner.tasks.networks import UNet

IGNORE = 255
COMMON = 0.25
"""Classes that lie in this share of the training pictures are scored: rarer ones would be noise of a few pictures."""
LEAST_PIXELS = 8
"""A class with fewer pixels of a picture, at the task's size, does not lie in it."""
WEIGHING = 0.25
"""How much more pixels of small classes weigh in the loss: where all weigh alike, whether a short training ever finds
mouths is a matter of its seed; at 0.5 small classes are found where they are not (benchmarks/gap/README.md)."""
RAREST = 1e-3
"""Share of a batch below which a class weighs no more in the loss: four pixels in a picture of 64 (reasoned)."""


@dataclass(frozen=True)
class SegmentationTask(Task):
    """Mean F1 (Dice) of the classes numbered `scored`, in points of 100; the background is never scored."""

    height: int = 96
    width: int = 96
    classes: tuple[str, ...] = ()
    scored: tuple[int, ...] = ()
    title: str = "parsing"

    unit = "F1 points"

    @property
    def name(self) -> str:  # type: ignore[override]
        """The task's name: "parsing" or "eyeseg"."""
        return self.title

    def target(self, item: Labelled) -> Tensor:
        """Return ids (H, W) uint8 at the task's size, by the nearest pixel."""
        if item.seg is None:
            raise self.lacks(item, "map of class ids")
        ids = torch.from_numpy(np.ascontiguousarray(item.seg))[None, None]
        return F.interpolate(ids, size=(self.height, self.width), mode="nearest-exact")[0, 0]

    def network(self) -> nn.Module:
        """Return a U-Net."""
        return UNet(len(self.classes))

    def augment(self) -> Augment:
        """Return affine maps, mirroring with sides swapped, and light."""
        return with_ids(self.classes)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return weighted cross entropy, and one minus the mean Dice of the classes that occur."""
        return region_loss(output, target)

    def marks(self, output: Tensor, target: Tensor) -> Array:
        """Return (N, 3 C): pixels of each class that are found, found wrongly, and missed."""
        count = len(self.classes)
        found = output.argmax(1)
        rows = []
        for given, wanted in zip(found, target, strict=True):
            known = wanted != IGNORE
            a, b = given[known].long(), wanted[known].long()
            table = torch.bincount(a * count + b, minlength=count**2).reshape(count, count)
            right = table.diagonal()
            rows.append(torch.stack([right, table.sum(1) - right, table.sum(0) - right], 1).flatten())
        return torch.stack(rows).double().cpu().numpy()

    def score(self, sums: Array) -> Array:
        """Return the mean F1 of the scored classes, 100 at best; a class that neither has is left out."""
        return np.nanmean(self._f1(sums)[..., list(self.scored or range(1, len(self.classes)))], axis=-1)

    def details(self, sums: Array) -> dict[str, float]:
        """Return the mean IoU of the scored classes, and every scored class's F1."""
        scored = list(self.scored or range(1, len(self.classes)))
        f1 = self._f1(sums)
        iou = f1 / (200 - f1) * 100
        return {"mean IoU": float(np.nanmean(iou[scored]))} | {self.classes[n]: float(f1[n]) for n in scored}

    def _f1(self, sums: Array) -> Array:
        """Return F1 (..., C) in points, NaN for classes that neither has."""
        right, wrong, missed = np.moveaxis(sums.reshape(*sums.shape[:-1], -1, 3), -1, 0)
        every = 2 * right + wrong + missed
        return np.where(every > 0, 200 * right / np.maximum(every, 1), np.nan)

    def about(self) -> dict[str, Any]:
        """Return what identifies the task."""
        return super().about() | {"classes": list(self.classes), "scored": list(self.scored)}


def region_loss(output: Tensor, target: Tensor) -> Tensor:
    """Return cross entropy of logits (B, C, H, W) with ids (B, H, W), and one minus the mean Dice of what occurs.

    In the entropy a pixel weighs its class's share of the batch to the power of -WEIGHING.
    """
    known = target != IGNORE
    ids = torch.where(known, target, 0).long()
    pixels = torch.bincount(ids[known], minlength=output.shape[1]).to(output.dtype)
    weight = (pixels / pixels.sum()).clamp(min=RAREST) ** -WEIGHING
    entropy = F.cross_entropy(output, torch.where(known, ids, -100), weight=weight)
    given = output.softmax(1) * known[:, None]
    wanted = F.one_hot(ids, output.shape[1]).permute(0, 3, 1, 2) * known[:, None]
    both, either = (given * wanted).sum((0, 2, 3)), (given + wanted).sum((0, 2, 3))
    there = wanted.sum((0, 2, 3)) > 0
    return entropy + 1 - (2 * both[there] / either[there]).mean()


def common_classes(targets: Tensor, classes: tuple[str, ...]) -> tuple[int, ...]:
    """Return the classes but the background that lie in at least COMMON of the targets (N, H, W)."""
    return tuple(
        value
        for value in range(1, len(classes))
        if ((targets == value).sum((1, 2)) >= LEAST_PIXELS).float().mean() >= COMMON
    )
