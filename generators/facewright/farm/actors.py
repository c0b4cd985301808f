"""What runs on the nodes of a Ray cluster: actors that render, actors that refine, and how a frame travels.

Nothing here imports Ray before an actor runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import facewright
from facewright.dataset import claim
from facewright.dataset.layout import LOCK
from facewright.dataset.writer import Writer, encode, record_of
from facewright.errors import UserError, package
from facewright.farm.worker import Sink, Station, attempt, open_finisher, open_maker, open_renderer, versions
from facewright.progress import Event
from facewright.recipe import Recipe
from facewright.render import Frame
from facewright.sample import sample


@dataclasses.dataclass(frozen=True)
class Job:
    """What an actor must know: what to draw, with what, and how to tell that it sees the very folder of the driver.

    `mark` is who holds the folder's lock; `probe` the digest of the first sample, which every machine must draw alike.
    With `needs`, layers that refine actors must be given, those that render leave refining to them; None: they do both.
    """

    recipe: dict[str, Any]
    seed: int
    refine: str
    station: Station
    folder: Path
    mark: dict[str, Any]
    probe: str
    needs: tuple[str, ...] | None = None

    @staticmethod
    def of(writer: Writer, recipe: Recipe, station: Station) -> Job:
        """Return the job of continuing `writer`'s dataset."""
        card, folder = writer.card, writer.folder.resolve()
        return Job(card.recipe, card.seed, card.refine, station, folder, mark(folder), probe(recipe, card.seed))

    def join(self) -> Writer | None:
        """Return the dataset's writer where this machine sees its folder."""
        return Writer.join(self.folder) if self.mark and mark(self.folder) == self.mark else None


def mark(folder: Path) -> dict[str, Any]:
    """Return who holds the lock of the dataset in `folder`: the same on every machine that sees it."""
    return claim.holder(folder / LOCK)


def probe(recipe: Recipe, seed: int) -> str:
    """Return the digest of sample 0: machines with another Facewright, or other packs, draw another."""
    return hashlib.sha256(json.dumps(sample(recipe, seed, 0).to_data()).encode()).hexdigest()


class Parcel:
    """A Sink that travels: what is to be done with a Writer, done by `deliver` where there is one."""

    def __init__(self) -> None:
        self.call: tuple[str, tuple[Any, ...]] = ("", ())

    def write(self, frame: Frame) -> None:
        """Take a good frame, encoded."""
        self.call = ("put", (frame.sample.index, encode(frame), record_of(frame)))

    def quarantine(self, index: int, error: str, sample: dict[str, Any], frame: Frame | None = None) -> None:
        """Take a failed index."""
        self.call = ("quarantine", (index, error, sample, frame))

    def deliver(self, writer: Writer) -> None:
        """Do with `writer` what was asked."""
        name, arguments = self.call
        getattr(writer, name)(*arguments)


class Kept:
    """A Sink that keeps a good frame for whoever refines it; what failed goes on to another."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.frame: Frame | None = None

    def write(self, frame: Frame) -> None:
        """Keep the frame."""
        self.frame = frame

    def quarantine(self, index: int, error: str, sample: dict[str, Any], frame: Frame | None = None) -> None:
        """Pass a failed index on."""
        self.sink.quarantine(index, error, sample, frame)


class _Actor:
    """What both kinds share. They answer with data: what no retry can cure is a `fatal` event."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.stack = contextlib.ExitStack()

    def _sink(self) -> tuple[Sink, Parcel | None]:
        """Return where a frame goes, and the parcel if that is one."""
        parcel = None if self.writer else Parcel()
        return self.writer or parcel, parcel  # type: ignore[return-value]

    def _opened(self, begin: Callable[[list[Event]], dict[str, Any]]) -> list[Event]:
        """Return the events up to `worker`, or `fatal`; `begin` opens what it works with and tells what that is."""
        events = list[Event]()
        try:
            self.recipe = Recipe.from_data(self.job.recipe)
            events.append({"event": "worker", "about": begin(events)})
            self.writer = self.job.join()
        except UserError as error:
            events.append(_fatal(error))
        return events


class RenderActor(_Actor):
    """A renderer on some node."""

    def open(self) -> tuple[list[Event], str]:
        """Open the renderer; return the events up to `worker`, or `fatal`, and the node's id."""
        return self._opened(self._begin), _node()

    def _begin(self, events: list[Event]) -> dict[str, Any]:
        job = self.job
        if probe(self.recipe, job.seed) != job.probe:
            raise UserError(
                f"Facewright {facewright.__version__} there draws other samples than the one here; install the "
                "same Facewright, and the same asset folders, on every node"
            )
        if job.needs is None:
            opening = open_maker(job.station, self.recipe, job.refine, events.append)
        else:
            opening = open_renderer(job.station, self.recipe, job.needs, events.append)
        self.make, about = self.stack.enter_context(opening)
        return about

    def render(self, index: int) -> tuple[tuple[Event, Parcel | None], Frame | None]:
        """Render `index`; return its event with the frame, encoded, where it could not be written from here.

        Where others refine, the event of a good frame is `rendered`, and it comes beside, as rendered.
        """
        sink, parcel = self._sink()
        try:
            drawn = sample(self.recipe, self.job.seed, index)
            if self.job.needs is None:
                return (attempt(sink, drawn, self.recipe.outputs, self.make), parcel), None
            kept = Kept(sink)
            event = attempt(kept, drawn, self.recipe.outputs, self.make)
            return (event | {"event": "rendered"} if kept.frame else event, parcel), kept.frame
        except UserError as error:
            return (_fatal(error), None), None


class RefineActor(_Actor):
    """A refiner on some node, on its GPU where it was given one."""

    needs: tuple[str, ...] = ()

    def open(self) -> tuple[list[Event], str, tuple[str, ...]]:
        """Open the refiner; return the events up to `worker`, or `fatal`, the node's id, and what layers it needs."""
        return self._opened(self._begin), _node(), self.needs

    def _begin(self, events: list[Event]) -> dict[str, Any]:
        device = "cuda" if package("ray", "an actor").get_gpu_ids() else "cpu"
        opening = open_finisher(self.job.refine, self.job.station.refiner_python, device)
        self.finish = self.stack.enter_context(opening)
        self.needs = self.finish.needs
        return versions() | self.finish.about

    def refine(self, *frames: Frame) -> list[tuple[Event, Parcel | None]]:
        """Refine rendered frames in one batch; return for each what RenderActor.render does."""
        start, found = time.perf_counter(), list[tuple[Event, Parcel | None]]()
        try:
            finished = self.finish(frames, self.recipe.outputs)
            took = (time.perf_counter() - start) / len(frames)
            for frame, done in zip(frames, finished, strict=True):
                sink, parcel = self._sink()
                event = attempt(sink, frame.sample, self.recipe.outputs, partial(_hand_over, done))
                found.append((event | {"seconds": round(took + event.get("seconds", 0.0), 3)}, parcel))
        except UserError as error:
            return [(_fatal(error), None)]
        return found


def _hand_over(done: Frame | Exception, *_: object) -> Frame:
    """Return a finished frame, or raise why there is none."""
    if isinstance(done, Exception):
        raise done
    return done


def _node() -> str:
    """Return the id of the node that an actor is on."""
    return package("ray", "an actor").get_runtime_context().get_node_id()


def _fatal(error: UserError) -> Event:
    return {"event": "fatal", "error": f"node {platform.node()}: {error}"}
