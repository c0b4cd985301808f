"""One worker: index in, record or quarantine out.

A worker holds one renderer (one Blender) and at most one refiner. It takes its indices from a supervisor's pipe
(`local.py`), or, run alone as `facewright worker DIR` on any machine that sees the folder, claims what is not done.
"""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import os
import platform
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

import facewright
from facewright.dataset.claim import LEASE_S
from facewright.dataset.layout import RECIPE
from facewright.dataset.writer import Writer
from facewright.errors import CheckError, DatasetError, UserError
from facewright.farm.plan import plan
from facewright.progress import Emit
from facewright.recipe import Recipe
from facewright.refining import OpenRefiner
from facewright.render import Frame, Renderer
from facewright.sample import Sample, sample

RENDERERS = ("cycles", "mock")
PICTURES = ("rgb", "refined")
"""Layers of every frame, whatever its recipe wants."""
BATCH = 8
"""Frames that are refined together where several are at hand; reasoned: they fit any GPU."""
GPUS = ("cuda", "optix", "hip", "metal", "oneapi")
DEVICES = ("auto", "cpu", *GPUS)


@dataclass(frozen=True)
class Station:
    """What a worker works with.

    `threads` 0 means all, `refiner_python` is the Python that has torch (None: this one), and `timeout` the seconds
    after which a worker that says nothing is killed (0: as local.patience has it).
    """

    renderer: str = "cycles"
    device: str = "auto"
    threads: int = 0
    refiner_python: str | None = None
    timeout: int = 0

    def to_args(self) -> list[str]:
        """Return the command line options that mean this station."""
        args = ["--renderer", self.renderer, "--device", self.device, "--threads", str(self.threads)]
        args += ["--timeout", str(self.timeout)]
        return args + (["--refiner-python", self.refiner_python] if self.refiner_python else [])

    def open_renderer(self, recipe: Recipe) -> Renderer:
        """Return the renderer, not yet entered. Raises UserError where Blender is missing or too old."""
        if self.renderer == "mock":
            from facewright.mock import MockRenderer

            return MockRenderer()
        from facewright.scene import CyclesRenderer

        return CyclesRenderer(self.device, recipe.hdri_folder, self.threads or None, recipe.backdrop_folder)


class Turn(NamedTuple):
    """The index to render now, and the one that will likely be next, where that is known."""

    now: int
    following: int | None = None

    @staticmethod
    def parse(line: str) -> Turn:
        """Return the turn that `line` means."""
        return Turn(*map(int, line.split()))

    def __str__(self) -> str:
        return " ".join(str(index) for index in self if index is not None)


class Ahead:
    """Drafts samples in a thread of its own, the next one while this one is rendered: sampling leaves cores idle.

    At most one draft is ahead. What is wanted next after all may be another sample: then it was in vain.
    """

    def __init__(self, draft: Callable[[Sample], Any]) -> None:
        self._draft, self._thread = draft, ThreadPoolExecutor(1)
        self._next: tuple[Sample, Future[Any]] | None = None

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *exc: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def take(self, sample: Sample, following: Sample | None) -> Any:
        """Return the draft of `sample` and begin that of `following`.

        None where it failed: the renderer makes it once more, so that its error is that of its own frame.
        """
        begun, mine = self._next or (None, None)
        if mine is None or begun != sample:
            mine = self._thread.submit(self._draft, sample)
        self._next = (following, self._thread.submit(self._draft, following)) if following else None
        return None if mine.exception() else mine.result()


def versions() -> dict[str, str]:
    """Return the versions that every dataset card names."""
    return {"facewright": facewright.__version__, "python": platform.python_version(), "numpy": np.__version__}


@contextlib.contextmanager
def open_maker(
    station: Station, recipe: Recipe, refine: str, emit: Emit
) -> Iterator[tuple[Callable[..., Frame], dict[str, Any]]]:
    """Yield `make(sample, outputs, following) -> Frame`, which renders, checks and refines, and what it is made of.

    `make` raises CheckError where a truth check fails; its errors carry the frame so far as `frame`.
    """
    with (
        open_finisher(refine, station.refiner_python) as finish,
        open_renderer(station, recipe, finish.needs, emit) as (render, about),
    ):

        def make(drawn: Sample, outputs: tuple[str, ...], following: Sample | None = None) -> Frame:
            (done,) = finish([render(drawn, outputs, following)], outputs)
            if isinstance(done, Exception):
                raise done
            return done

        yield make, about | finish.about


@contextlib.contextmanager
def open_renderer(
    station: Station, recipe: Recipe, needs: tuple[str, ...], emit: Emit
) -> Iterator[tuple[Callable[..., Frame], dict[str, Any]]]:
    """Yield `render(sample, outputs, following) -> Frame`, which renders and checks, and what it is made of.

    Frames hold the layers that a refiner `needs`, too. The renderer's warnings become events. A sample `following` is
    drafted while this one is rendered. `render` raises as `make` of `open_maker` does.
    """
    from facewright.check import check_frame

    with contextlib.ExitStack() as stack:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            renderer = stack.enter_context(station.open_renderer(recipe))
        for warning in caught:
            emit({"event": "warning", "message": str(warning.message)})
        about = {**versions(), **renderer.about}
        ahead = stack.enter_context(Ahead(renderer.draft))

        def render(drawn: Sample, outputs: tuple[str, ...], following: Sample | None = None) -> Frame:
            draft = ahead.take(drawn, following)
            frame = renderer(drawn, (*outputs, *(name for name in needs if name not in outputs)), draft)
            try:
                start = time.perf_counter()
                frame.checks = [*frame.checks, *check_frame(frame)]
                frame.seconds["check"] = time.perf_counter() - start
                judge(frame)
            except Exception as error:
                vars(error)["frame"] = frame  # for the quarantine
                raise
            frame.about = about
            return frame

        yield render, about


@contextlib.contextmanager
def open_finisher(refine: str, python: str | None = None, device: str = "cpu") -> Iterator[Finisher]:
    """Yield the Finisher of refiner `refine`, see refining.open_refiner."""
    if refine == "none":
        yield Finisher(refine, None)
        return
    from facewright.refining import open_refiner

    with open_refiner(refine, python, device) as refiner:
        yield Finisher(refine, refiner)


class Finisher:
    """Refines rendered frames, judges them, and leaves out what only the refiner needed.

    `needs` are the layers that it must be given beside PICTURES, `about` what a dataset card says of it.
    """

    def __init__(self, spec: str, refiner: OpenRefiner | None) -> None:
        self._spec, self._refiner = spec, refiner
        self.needs = tuple(name for name in refiner.needs if name not in PICTURES) if refiner else ()
        self.about: dict[str, Any] = {"refiner": {"spec": spec, **refiner.about}} if refiner else {}

    def __call__(self, frames: Sequence[Frame], outputs: tuple[str, ...]) -> list[Frame | Exception]:
        """Return the finished frames in order, or why one cannot be; such an error carries the frame as `frame`."""
        return [self._judged(*pair, outputs) for pair in zip(frames, self._refined(frames), strict=True)]

    def _refined(self, frames: Sequence[Frame]) -> list[Frame | Exception]:
        if self._refiner is None:
            return list(frames)
        try:
            return list(self._refiner.refine_many(frames))
        except UserError:
            raise
        except Exception as error:  # whatever one frame does, the others are refined
            if len(frames) > 1:
                return [done for frame in frames for done in self._refined([frame])]
            vars(error)["frame"] = frames[0]
            return [error]

    def _judged(self, frame: Frame, refined: Frame | Exception, outputs: tuple[str, ...]) -> Frame | Exception:
        if isinstance(refined, Exception):
            return refined
        try:
            judge(refined)
        except CheckError as error:
            vars(error)["frame"] = refined
            return error
        refined.about = frame.about | self.about | refined_by(self._spec, refined)
        refined.layers = {name: values for name, values in refined.layers.items() if name in (*PICTURES, *outputs)}
        return refined


def refined_by(spec: str, frame: Frame) -> dict[str, Any]:
    """Return the frame's own account of its refiner (parameters, outcome, drift) under the key of a record."""
    account = frame.about.get("refiner")
    return {"refiner": {"spec": spec, **account}} if account else {}


def judge(frame: Frame) -> None:
    """Raise CheckError where a check of the frame fails."""
    bad = [f"{check.name} is {check.value:.4g}, limit {check.limit:.4g}" for check in frame.checks if not check.ok]
    if bad:
        raise CheckError(f"frame {frame.sample.index}: " + "; ".join(bad))


def work(folder: Path, station: Station, emit: Emit, feed: Iterable[Turn] | None = None) -> bool:
    """Render the turns of `feed`, or else all that is not done, failed or claimed; return whether none failed.

    Nobody may watch a worker: one that hangs over a frame ends itself when its claim has run out twice.
    Emits a `worker` event, then one `frame` or `quarantine` event for each index. Raises UserError for what would
    fail every frame: no Blender, no torch, a full disk.
    """
    writer = Writer.join(folder)
    recipe = Recipe.load(folder / RECIPE)
    if recipe.digest != writer.card.digest:
        raise DatasetError(f"{folder / RECIPE}: is not the dataset's recipe; run `facewright check {folder} --repair`")
    turns = map(Turn, plan(writer, writer.card.wanted).pending) if feed is None else feed
    good = True
    with open_maker(station, recipe, writer.card.refine, emit) as (make, about):
        emit({"event": "worker", "about": about})
        for index, following in turns:
            if not writer.claim(index):
                emit({"event": "skip", "index": index})
                continue
            faulthandler.dump_traceback_later(2 * (station.timeout or LEASE_S), exit=True, file=2)
            try:
                gone = writer.exists(index)  # another worker was quicker
                if gone:
                    event = {"event": "skip", "index": index}
                else:
                    drawn = sample(recipe, writer.card.seed, index)
                    coming = None if following is None else sample(recipe, writer.card.seed, following)
                    event = attempt(writer, drawn, recipe.outputs, partial(make, following=coming))
            finally:
                faulthandler.cancel_dump_traceback_later()
                writer.release(index)
            good &= event["event"] != "quarantine"
            emit(event)
    return good


class Sink(Protocol):
    """Where frames go: a dataset's Writer, or a parcel on its way to one."""

    def write(self, frame: Frame) -> None:
        """Take a good frame."""
        ...

    def quarantine(self, index: int, error: str, sample: dict[str, Any], frame: Frame | None = None) -> None:
        """Take a failed index: its sample, why, and what layers there were."""
        ...


def attempt(sink: Sink, drawn: Sample, outputs: tuple[str, ...], make: Callable[..., Frame]) -> dict[str, Any]:
    """Make the frame of sample `drawn`, hand it to `sink`, and return the event: `frame` or `quarantine`."""
    start = time.perf_counter()
    try:
        frame = make(drawn, outputs)
        sink.write(frame)
    except UserError:
        raise
    except Exception as error:  # whatever one frame does, the run goes on
        text = str(error) if isinstance(error, CheckError) else traceback.format_exc()
        sink.quarantine(drawn.index, text, drawn.to_data(), getattr(error, "frame", None))
        return {
            "event": "quarantine",
            "index": drawn.index,
            "error": str(error) or type(error).__name__,
            "memory_mb": memory_mb(),
        }
    return {
        "event": "frame",
        "index": drawn.index,
        "seconds": round(time.perf_counter() - start, 3),
        "stages": {name: round(value, 3) for name, value in frame.seconds.items()},
        "checks": {check.name: check.limit for check in frame.checks},
        "memory_mb": memory_mb(),
    }


def memory_mb() -> int:
    """Return the resident memory of this process in MB (its peak outside Linux, 0 where it cannot be known)."""
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") >> 20
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> (20 if sys.platform == "darwin" else 10)


def station_of(args: Any) -> Station:
    """Return the Station of parsed command line options."""
    return Station(**{field.name: getattr(args, field.name) for field in dataclasses.fields(Station)})
