"""The refine actors of a run on a Ray cluster, as its driver knows them.

What was rendered waits here, by reference: frames go from node to node, never through the driver. It leaves in batches,
as large as there are frames waiting when a refiner is free, so that neither waits for the other.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from facewright.farm import local
from facewright.farm.actors import Job, RefineActor
from facewright.farm.worker import BATCH
from facewright.progress import Event

IN_FLIGHT = 2
"""Batches asked of a refiner at a time: one is refined while the next one's frames travel."""
IDLE_S = 30.0
"""An actor that has had no work for this long goes back to the cluster, but for the last one: to start one takes half
that."""


@dataclass(frozen=True)
class Raw:
    """A rendered frame: its index, what was said of it, and Ray's reference to it."""

    index: int
    event: Event
    frame: Any


class Refiner:
    """One refine actor: the batches it was asked for, oldest first; `node` is "" until it has opened.

    The first thing asked is to open, as an empty batch.
    """

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.asked: deque[tuple[Any, list[Raw]]] = deque([(actor.open.remote(), [])])
        self.node, self.worn = "", False
        self.heard = time.monotonic()

    def ask(self, batch: list[Raw]) -> None:
        """Ask for a batch."""
        self.heard = self.heard if self.unfinished else time.monotonic()
        self.asked.append((self.actor.refine.remote(*(raw.frame for raw in batch)), batch))

    @property
    def unfinished(self) -> list[Raw]:
        """What was asked for and not answered."""
        return [raw for _, batch in self.asked for raw in batch]


class Refinery:
    """At most `most` refine actors, with a GPU each where the cluster has any, and what waits for them."""

    def __init__(self, ray: Any, job: Job, most: int) -> None:
        self.ray, self.most, self.job = ray, most, job
        self._job = ray.put(job) if most else None
        self.wish = {"num_cpus": 1, "num_gpus": int(ray.cluster_resources().get("GPU", 0) > 0)}
        self.refiners: list[Refiner] = []
        self.waiting: deque[Raw] = deque()
        self.suspects: set[int] = set()
        self.deaths: Counter[int] = Counter()
        self.longest_s = 0.0

    @property
    def busy(self) -> bool:
        """Whether a frame waits or is being refined."""
        return bool(self.waiting) or any(refiner.unfinished for refiner in self.refiners)

    @property
    def full(self) -> bool:
        """Whether so many frames wait that no more should be rendered: they lie in the memory of the nodes."""
        return len(self.waiting) >= IN_FLIGHT * BATCH * max(1, len(self.refiners))

    def hire(self) -> None:
        """Ask the cluster for a first actor, and for more as frames wait; give back those that are worn or idle."""
        wanted = min(self.most, 1 + len(self.waiting) // BATCH)
        for refiner in [refiner for refiner in self.refiners if refiner.node and not refiner.unfinished]:
            idle = time.monotonic() - refiner.heard > IDLE_S and len(self.refiners) > wanted
            if refiner.worn or idle:
                self.dismiss(refiner)
        for _ in range(wanted - len(self.refiners)):
            actor = self.ray.remote(RefineActor).options(**self.wish).remote(self._job)
            self.refiners.append(Refiner(actor))

    def feed(self) -> None:
        """Give what waits to actors that are free, and full batches to those that will be.

        Frames that were with an actor when it died go alone, so that the one that kills can be told.
        """
        for refiner in self.refiners:
            while refiner.node and not refiner.worn and len(refiner.asked) < IN_FLIGHT and self.waiting:
                if refiner.asked and len(self.waiting) < BATCH:
                    break
                batch = [self.waiting.popleft()]
                while (
                    self.waiting and len(batch) < BATCH and not self.suspects & {batch[0].index, self.waiting[0].index}
                ):
                    batch.append(self.waiting.popleft())
                refiner.ask(batch)

    def hung(self) -> Iterable[Refiner]:
        """Return the actors that have been over a batch for too long."""
        limit = local.patience(self.job.station, self.longest_s)
        return [one for one in self.refiners if one.unfinished and time.monotonic() - one.heard > limit]

    def dismiss(self, refiner: Refiner) -> list[Raw]:
        """Give an actor back; return what it had not finished."""
        self.refiners.remove(refiner)
        self.ray.kill(refiner.actor)
        return refiner.unfinished

    def lose(self, refiner: Refiner, guilty: bool) -> Raw | None:
        """Take leave of an actor and let its frames wait again; return the one that has now killed too many, if it did.

        `guilty` says that it died over its oldest batch, not with its node.
        """
        oldest, killer = refiner.asked[0][1], None
        lost = self.dismiss(refiner)
        if guilty and len(oldest) == 1:
            self.deaths[oldest[0].index] += 1
            killer = lost.pop(0) if self.deaths[oldest[0].index] >= local.DEATHS else None
        elif guilty:
            self.suspects |= {raw.index for raw in oldest}
        self.waiting.extendleft(reversed(lost))
        return killer
