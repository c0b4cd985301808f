"""From a recipe to a dataset: render what is missing, retry what failed, pack, report."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from facewright.dataset.card import Card
from facewright.dataset.spool import done_at, open_spool
from facewright.dataset.writer import SHARD_RECORDS, Writer, open_for_writing, probe
from facewright.farm import local
from facewright.farm.plan import plan
from facewright.farm.worker import Station
from facewright.progress import Emit, Event
from facewright.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Order:
    """What is wanted: frames [start, start + count) of `recipe` under `seed`, refined, as files or shards."""

    recipe: Recipe
    seed: int = 0
    start: int = 0
    count: int = 24
    refine: str = "none"
    tar: bool = False

    @property
    def indices(self) -> range:
        """The wanted indices."""
        return range(self.start, self.start + self.count)

    @property
    def card(self) -> Card:
        """The card of a new dataset that holds just this."""
        card = Card.of(self.recipe, self.seed, self.refine).extended(self.start, self.start + self.count)
        return dataclasses.replace(card, shard_records=SHARD_RECORDS if self.tar else 0)


def generate(
    order: Order,
    folder: Path,
    station: Station,
    workers: int,
    emit: Emit,
    run: Callable[..., None] = local.run,
    url: str = "",
) -> int:
    """Make the order's frames that `folder` lacks and return how many of its frames failed.

    `run` renders some of them: on this machine, or on a cluster as `ray.Fleet.run` does. Frames that other workers have
    claimed are waited for; what is in quarantine, from this run or an earlier one, is tried once more at the end.
    `workers` 0 only prepares the folder for `facewright worker`. With a `url`, what is finished moves there, and what
    lies there is done. Raises UserError.
    """
    ledger = _Ledger(emit)
    start = time.monotonic()
    with open_spool(folder, order.card, url, ledger) if url else open_for_writing(folder, order.card) as writer:
        writer.clean()
        done = len(plan(writer, order.indices).done)
        ledger({"event": "start", "total": order.count, "done": done, "folder": url or str(folder)})
        if workers == 0:
            return 0
        try:
            _render(writer, order, partial(run, writer, order.recipe, station=station, emit=ledger), workers, ledger)
        finally:
            writer.clean()
            writer.save_card(ledger.sign(writer.card))
        if order.tar:
            writer.pack()
        failed = len(plan(writer, order.indices).failed)
    seconds = round(time.monotonic() - start, 1)
    ledger({"event": "done", "made": ledger.counts["frame"], "failed": failed, "seconds": seconds})
    return failed


def _render(writer: Writer, order: Order, run: Callable[..., None], workers: int, emit: Emit) -> None:
    while True:
        begun = time.monotonic()
        pending = plan(writer, order.indices).pending
        took = time.monotonic() - begun
        if not pending:
            break
        claimed = writer.claimed()
        free = [index for index in pending if index not in claimed]
        run(free, workers=workers)
        if not free:
            emit({"event": "warning", "message": "waiting for frames that other workers have claimed"})
            time.sleep(max(1.0, 10 * took))  # a look at millions of files takes a while
    if failed := plan(writer, order.indices).failed:
        emit({"event": "warning", "message": f"trying the {len(failed)} failed frames once more"})
        run(failed, workers=min(workers, len(failed)))


def missing(order: Order, folder: Path, url: str = "") -> list[int]:
    """Return the order's indices that `folder` lacks, and `url`, changing nothing. Raises UserError as `generate`."""
    done = done_at(url, order.card) if url else set()
    if probe(folder, order.card):
        done |= Writer.join(folder).done()
    return [index for index in order.indices if index not in done]


class _Ledger:
    """Passes events on and notes what the dataset card wants to know."""

    def __init__(self, emit: Emit) -> None:
        self.emit = emit
        self.counts: Counter[str] = Counter()
        self.makers: list[dict[str, Any]] = []
        self.checks: dict[str, float] = {}
        self.warned: set[str] = set()

    def __call__(self, event: Event) -> None:
        if event["event"] == "warning":
            if event["message"] in self.warned:
                return  # every worker has the same complaint
            self.warned.add(event["message"])
        self.counts[event["event"]] += 1
        if event["event"] == "worker" and event["about"] not in self.makers:
            self.makers.append(event["about"])
        self.checks |= event.get("checks", {})
        self.emit(event)

    def sign(self, card: Card) -> Card:
        """Return the card with the makers and check limits seen."""
        for about in self.makers:
            card = card.with_maker(about)
        return dataclasses.replace(card, checks={**card.checks, **self.checks})
