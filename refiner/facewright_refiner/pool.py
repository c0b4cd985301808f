"""The history of refined pictures: what the discriminator must not forget."""

from __future__ import annotations

import torch
from torch import Tensor

from facewright.rng import stream


class HistoryPool:
    """At most `capacity` refined pictures of the past, in float16 on the CPU.

    Its random choices are those of named streams, numbered by how often it was used: `state` holds all there is.
    """

    def __init__(self, capacity: int, shape: tuple[int, int, int], seed: int) -> None:
        self.seed = seed
        self.uses = self.count = 0
        self.pictures = torch.zeros(capacity, *shape, dtype=torch.float16)

    def mix(self, fresh: Tensor) -> Tensor:
        """Return a batch like `fresh` (B, C, H, W), the second half of it from the pool, and remember half of `fresh`.

        While the pool holds less than half a batch, `fresh` itself is returned. A full pool forgets as many random
        pictures as it is given.
        """
        random = stream(self.seed, self.uses, "refiner.pool")
        half = len(fresh) // 2
        mixed = fresh
        if half and self.count >= half:
            chosen = torch.from_numpy(random.permutation(self.count)[:half])
            mixed = torch.cat([fresh[: len(fresh) - half], self.pictures[chosen].to(fresh)])
        self._remember(fresh[:half].detach(), random.permutation(len(self.pictures)))
        self.uses += 1
        return mixed

    def _remember(self, pictures: Tensor, places: object) -> None:
        free = min(len(self.pictures) - self.count, len(pictures))
        replaced = torch.as_tensor(places)[: len(pictures) - free]
        self.pictures[self.count : self.count + free] = pictures[:free].half().cpu()
        self.pictures[replaced] = pictures[free : free + len(replaced)].half().cpu()
        self.count += free

    def state(self) -> tuple[dict[str, Tensor], dict[str, int]]:
        """Return what `restore` takes: the pictures there are, and the counters."""
        return {"pictures": self.pictures[: self.count].clone()}, {"uses": self.uses, "count": self.count}

    def restore(self, tensors: dict[str, Tensor], counters: dict[str, int]) -> None:
        """Continue as the pool whose `state` this was."""
        self.uses, self.count = counters["uses"], counters["count"]
        self.pictures[: self.count] = tensors["pictures"]
