"""What a task is: pictures and targets of one size, a network, a loss, and marks that any subset can be scored by."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from facewright.errors import DatasetError
from facewright_refiner.readers.base import Labelled, Real
from facewright_refiner.tasks.augment import Augment

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Prepared:
    """Pictures (N, 3, H, W) uint8, targets (N, ...), and the names and groups of the pictures."""

    pictures: Tensor
    targets: Tensor
    names: tuple[str, ...]
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pictures)

    def take(self, places: Sequence[int]) -> Prepared:
        """Return the pictures at `places`."""
        where = torch.as_tensor(list(places), dtype=torch.long)
        names, groups = (tuple(words[n] for n in places) for words in (self.names, self.groups))
        return Prepared(self.pictures[where], self.targets[where], names, groups)

    @property
    def digest(self) -> str:
        """Content hash (16 hex digits) of pictures and targets."""
        found = hashlib.blake2b(digest_size=8)
        for tensor in (self.pictures, self.targets):
            found.update(str(tuple(tensor.shape)).encode() + tensor.numpy().tobytes())
        return found.hexdigest()


@dataclass(frozen=True)
class Task(ABC):
    """A task at a size in px. `score` is a number of `unit`; `sign` is 1 where more is better, -1 where less is."""

    height: int
    width: int

    name = ""
    unit = ""
    sign = 1

    @abstractmethod
    def target(self, item: Labelled) -> Tensor:
        """Return the target of a picture that `fitted` has cut. Raises DatasetError where it lacks the label."""

    @abstractmethod
    def network(self) -> nn.Module:
        """Return a new network, its weights drawn by torch's seed."""

    @abstractmethod
    def augment(self) -> Augment:
        """Return what augments pictures and targets together."""

    @abstractmethod
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss () of a batch."""

    @abstractmethod
    def marks(self, output: Tensor, target: Tensor) -> Array:
        """Return (N, M) float64 numbers of each picture whose sums over any pictures `score` turns into the score."""

    @abstractmethod
    def score(self, sums: Array) -> Array:
        """Return the score (...) of summed marks (..., M)."""

    @abstractmethod
    def details(self, sums: Array) -> dict[str, float]:
        """Return further numbers of summed marks (M,), by name."""

    def fitted(self, item: Labelled) -> Labelled:
        """Return the item with picture and labels cut to the middle of the task's shape (not yet scaled)."""
        height, width = item.picture.shape[:2]
        w = min(width, round(height * self.width / self.height))
        h = min(height, round(width * self.height / self.width))
        return cut(item, (width - w) // 2, (height - h) // 2, w, h)

    def prepare(self, real: Real) -> Prepared:
        """Return all pictures of `real` at the task's size. Raises DatasetError without them."""
        pictures, targets = [], []
        for item in real:
            part = self.fitted(item)
            pictures.append(scaled(part.picture, self.height, self.width))
            targets.append(self.target(part))
        if not pictures:
            raise DatasetError(f"there is no picture to prepare for the task {self.name}; give more")
        names, groups = (tuple(getattr(entry, key) for entry in real.entries) for key in ("name", "group"))
        return Prepared(torch.stack(pictures), torch.stack(targets), names, groups)

    def lacks(self, item: Labelled, label: str) -> DatasetError:
        """Return the error of a picture without its label."""
        return DatasetError(
            f"{item.name}: has no {label}, which the task {self.name} needs; choose another task or set"
        )

    def about(self) -> dict[str, Any]:
        """Return what identifies the task, JSON-able."""
        return {"task": self.name, "height": self.height, "width": self.width}


def cut(item: Labelled, x: int, y: int, width: int, height: int) -> Labelled:
    """Return the part of an item from (x, y) px on, which may reach beyond the picture: black, and ignored ids."""
    full_height, full_width = item.picture.shape[:2]
    before, behind = (max(0, -y), max(0, -x)), (max(0, y + height - full_height), max(0, x + width - full_width))
    pad = ((before[0], behind[0]), (before[1], behind[1]))
    rows, columns = np.s_[y + before[0] : y + before[0] + height], np.s_[x + before[1] : x + before[1] + width]
    return Labelled(
        item.name,
        np.pad(item.picture, (*pad, (0, 0)))[rows, columns],
        None if item.seg is None else np.pad(item.seg, pad, constant_values=255)[rows, columns],
        item.gaze,
        item.head,
        None if item.landmarks is None else item.landmarks - (x, y),
    )


def scaled(picture: Array, height: int, width: int) -> Tensor:
    """Return (3, height, width) uint8 of a picture (H, W, 3) uint8, antialiased."""
    image = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float()
    small = F.interpolate(image, size=(height, width), mode="bilinear", antialias=True, align_corners=False)
    return small[0].round().clamp(0, 255).to(torch.uint8)
