"""From a recipe to a dataset: render what is missing, retry what failed, pack, report."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from pathlib import Path
from typing import Any

from facewright.dataset.card import Card
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
    def card(self) -> Card:
        """The card of a new dataset that holds just this."""
        card = Card.of(self.recipe, self.seed, self.refine).extended(self.start, self.start + self.count)
        return dataclasses.replace(card, shard_records=SHARD_RECORDS if self.tar else 0)


def generate(order: Order, folder: Path, station: Station, workers: int, emit: Emit) -> int:
    """Make the order's frames that `folder` lacks and return how many wanted frames it still lacks.

    What is in quarantine, from this run or an earlier one, is tried once more at the end. `workers` 0 only prepares
    the folder for `facewright worker`. Raises UserError.
    """
    with open_for_writing(folder, order.card) as writer:
        writer.clean()
        wanted = range(order.start, order.start + order.count)
        state = plan(writer, wanted)
        ledger = _Ledger(emit)
        ledger({"event": "start", "total": len(wanted), "done": len(state.done), "folder": str(folder)})
        start = time.monotonic()
        if workers == 0:
            return 0
        try:
            local.run(writer, order.recipe, state.pending, station, workers, ledger)
            if failed := plan(writer, wanted).failed:
                ledger({"event": "warning", "message": f"trying the {len(failed)} failed frames once more"})
                local.run(writer, order.recipe, failed, station, min(workers, len(failed)), ledger)
        finally:
            writer.clean()
            writer.save_card(ledger.sign(writer.card))
        state = plan(writer, wanted)
        if state.pending:
            ledger({"event": "warning", "message": f"{len(state.pending)} frames are claimed by other workers"})
        if order.tar:
            writer.pack()
        emit(
            {
                "event": "done",
                "made": ledger.counts["frame"],
                "failed": len(state.failed),
                "seconds": round(time.monotonic() - start, 1),
            }
        )
        return len(state.failed) + len(state.pending)


def missing(order: Order, folder: Path) -> list[int]:
    """Return the order's indices that `folder` lacks, changing nothing. Raises UserError as `generate` would."""
    wanted = range(order.start, order.start + order.count)
    if not probe(folder, order.card):
        return list(wanted)
    state = plan(Writer.join(folder), wanted)
    return sorted(state.pending + state.failed)


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
