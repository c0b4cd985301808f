"""Render actors on a Ray cluster. The folder stays the queue: Ray moves the work, and remembers nothing.

Each actor holds one renderer, as a local worker does. Where it sees the dataset's folder it writes there; else the
encoded frame travels through Ray's object store, and the driver writes it. Actors are asked for as work demands, none
is assumed to come, and the idle are given back, so that a cluster that scales itself can. An actor's death, or its
node's, costs its frames in flight, which go to another.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import platform
import re
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import facewright
from facewright.dataset import claim
from facewright.dataset.layout import LOCK
from facewright.dataset.writer import Writer, encode, record_of
from facewright.errors import UserError, package
from facewright.farm import local
from facewright.farm.plan import blocks
from facewright.farm.worker import GPUS, Sink, Station, attempt, open_maker
from facewright.progress import Emit, Event
from facewright.recipe import Recipe
from facewright.render import Frame
from facewright.sample import sample

IN_FLIGHT = 2
"""Frames asked of an actor at a time: one is rendered while the next one's order travels. Bounds the object store."""
PUTTERS = 8
"""Frames that the driver writes at a time: a disk syncs many files in the time of one."""
LONELY_S = 30.0
"""The run says so where no actor has come for this long: a cluster takes minutes to grow, and a wrong wish for ever."""
REACH_S = 5.0
"""A cluster's port that does not answer in this time is not there."""
HTTP2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000 04 00 00000000")
"""What a client of gRPC says first: the preface of HTTP/2 and a frame of SETTINGS, which the server answers with one
of its own (RFC 9113, 3.4). Its fourth byte is the frame's type."""
SETTINGS = 4


@dataclasses.dataclass(frozen=True)
class Job:
    """What an actor must know: what to draw, with what, and how to tell that it sees the very folder of the driver.

    `mark` is who holds the folder's lock; `probe` the digest of the first sample, which every machine must draw alike.
    """

    recipe: dict[str, Any]
    seed: int
    refine: str
    station: Station
    folder: Path
    mark: dict[str, Any]
    probe: str

    @staticmethod
    def of(writer: Writer, recipe: Recipe, station: Station) -> Job:
        """Return the job of continuing `writer`'s dataset."""
        card, folder = writer.card, writer.folder.resolve()
        return Job(card.recipe, card.seed, card.refine, station, folder, mark(folder), probe(recipe, card.seed))


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


class RenderActor:
    """A renderer on some node. It answers with data: what no retry can cure is a `fatal` event."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.stack = contextlib.ExitStack()

    def open(self) -> tuple[list[Event], str]:
        """Open the renderer; return the events up to `worker`, or `fatal`, and the node's id."""
        ray = package("ray", "an actor")
        job, events = self.job, list[Event]()
        try:
            self.recipe = Recipe.from_data(job.recipe)
            if probe(self.recipe, job.seed) != job.probe:
                raise UserError(
                    f"Facewright {facewright.__version__} there draws other samples than the one here; install the "
                    "same Facewright, and the same asset folders, on every node"
                )
            maker = open_maker(job.station, self.recipe, job.refine, events.append)
            self.make, about = self.stack.enter_context(maker)
            self.writer = Writer.join(job.folder) if job.mark and mark(job.folder) == job.mark else None
            events.append({"event": "worker", "about": about})
        except UserError as error:
            events.append(_fatal(error))
        return events, ray.get_runtime_context().get_node_id()

    def render(self, index: int) -> tuple[Event, Parcel | None]:
        """Render `index`; return its event, and the frame where it could not be written from here."""
        parcel = None if self.writer else Parcel()
        sink: Sink = self.writer or parcel  # type: ignore[assignment]
        try:
            drawn = sample(self.recipe, self.job.seed, index)
            return attempt(sink, drawn, self.recipe.outputs, self.make), parcel
        except UserError as error:
            return _fatal(error), None


def _fatal(error: UserError) -> Event:
    return {"event": "fatal", "error": f"node {platform.node()}: {error}"}


@contextlib.contextmanager
def connect(address: str) -> Iterator[Fleet]:
    """Yield the Fleet of the cluster at `address`: "local", "auto", host:port or ray://host:port.

    "local" starts a cluster of this machine and ends it; a program that is on a cluster already stays on it. Raises
    UserError where Ray is missing, or the cluster, or it is one of another Ray or Python.
    """
    ray = package("ray", "--ray")
    if ray.is_initialized():
        yield Fleet(ray)
        return
    with contextlib.ExitStack() as stack:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address == "local":
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fw-ray-", ignore_cleanup_errors=True))
            options |= {"include_dashboard": False, "_temp_dir": folder}
            stack.enter_context(_own_paths())
        else:
            _reach(address)
        stack.callback(ray.shutdown)  # also of what an init that failed has left
        try:
            with _own_sigterm():
                ray.init(address=address, **options)
        except (ConnectionError, RuntimeError, ValueError, ImportError, OSError) as error:
            raise UserError(f"--ray {address}: {_advice(error)}") from None
        yield Fleet(ray)


def _reach(address: str) -> None:
    """Raise UserError where a host:port does not answer as a cluster does: Ray itself would try for minutes."""
    found = re.fullmatch(r"(?:ray://)?([^:/]+|\[[\da-fA-F:]+\]):(\d+)", address)
    if address == "auto":
        return
    if not found:
        raise UserError(f"--ray {address}: expected local, auto, HOST:PORT or ray://HOST:PORT")
    try:
        with socket.create_connection((found[1].strip("[]"), int(found[2])), REACH_S) as reached:
            good = _speaks_grpc(reached)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"--ray {address}: no cluster answers there ({error}); `ray start --head` starts one, and --ray local one "
            "of this machine alone"
        ) from None
    if not good:
        raise UserError(
            f"--ray {address}: what listens there is no Ray cluster; `ray start --head` starts one and names its port"
        )


def _speaks_grpc(reached: socket.socket) -> bool:
    """Return whether gRPC, which every cluster speaks, is at the other end; with TLS that is left to Ray."""
    if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
        return True
    reached.settimeout(REACH_S)
    try:
        reached.sendall(HTTP2_HELLO)
        answer = reached.makefile("rb").read(9)
    except OSError:  # silence, or a port that hangs up
        return False
    return len(answer) == 9 and answer[3] == SETTINGS


def _advice(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "ersion mismatch" in text:
        return f"{text[:300]}; use the same Ray and Python here as there"
    if isinstance(error, ConnectionError):
        return "no cluster runs here; `ray start --head` starts one, and --ray local one of this machine alone"
    return text[:300]


@contextlib.contextmanager
def _own_paths() -> Iterator[None]:
    """Let the processes that are started inside find what this one finds, this very Facewright first."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    try:
        yield
    finally:
        os.environ.pop("PYTHONPATH")
        os.environ |= {} if before is None else {"PYTHONPATH": before}


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep the SIGTERM handler that we have: Ray puts its own in its place."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


@dataclasses.dataclass(frozen=True)
class Fleet:
    """A cluster that we are on."""

    ray: Any

    def places(self, station: Station) -> int:
        """Return how many actors of `station` the nodes that are there now hold, at least 1."""
        has = self.ray.cluster_resources()
        wishes = zip(("CPU", "GPU"), _wish(station).values(), strict=True)
        return max(1, min(int(has.get(name, 0) / wish) for name, wish in wishes if wish))

    def run(
        self, writer: Writer, recipe: Recipe, indices: Sequence[int], station: Station, workers: int, emit: Emit
    ) -> None:
        """Render `indices` with at most `workers` actors. Raises UserError for what no retry can cure."""
        if not indices:
            return
        station = dataclasses.replace(
            station, threads=_wish(station)["num_cpus"], device="cpu" if station.device == "auto" else station.device
        )
        crew = _Crew(self.ray, writer, recipe, indices, station, workers, emit)
        try:
            while crew.busy:
                crew.hire()
                crew.feed()
                crew.collect()
        finally:
            crew.close()


def _wish(station: Station) -> dict[str, int]:
    """Return the resources of one actor: a processor for each thread, one where the user does not say."""
    return {"num_cpus": station.threads or 1, "num_gpus": int(station.device in GPUS)}


class _Hand:
    """One actor as the driver knows it: what it was asked, oldest first, and what is left of its block.

    The first thing asked is to open, as index -1. `node` is "" until it has.
    """

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.asked = deque([(actor.open.remote(), -1)])
        self.block: list[int] = []
        self.frames, self.worn = 0, False
        self.node = ""
        self.heard = time.monotonic()

    def ask(self, index: int) -> None:
        """Ask for a frame."""
        self.heard = self.heard if self.unfinished else time.monotonic()
        self.asked.append((self.actor.render.remote(index), index))
        self.frames += 1
        self.worn = self.frames >= local.RECYCLE_FRAMES

    @property
    def unfinished(self) -> list[int]:
        """The indices asked for and not answered."""
        return [index for _, index in self.asked if index >= 0]


class _Crew:
    """The actors of one run, and what they still have to do."""

    def __init__(
        self,
        ray: Any,
        writer: Writer,
        recipe: Recipe,
        indices: Sequence[int],
        station: Station,
        workers: int,
        emit: Emit,
    ) -> None:
        self.ray, self.writer, self.recipe, self.workers, self.emit = ray, writer, recipe, workers, emit
        self.queue = deque(blocks(indices, recipe.frames_per_subject, workers))
        self.job = ray.put(Job.of(writer, recipe, station))
        self.station = station
        self.hands: list[_Hand] = []
        self.deaths: dict[int, list[str]] = {}
        self.stillborn = 0
        self.longest_s = 0.0
        self.lonely_since = time.monotonic()
        self.pool = ThreadPoolExecutor(PUTTERS)
        self.puts: deque[tuple[Future[None], int, Event]] = deque()

    @property
    def busy(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.queue or self.puts) or any(hand.unfinished or hand.block for hand in self.hands)

    def hire(self) -> None:
        """Ask the cluster for as many actors as have work, and give back those that have none."""
        for hand in [
            hand for hand in self.hands if not hand.unfinished and (hand.worn or not (hand.block or self.queue))
        ]:
            if hand.block:
                self.queue.appendleft(hand.block)
            self._dismiss(hand)
        working = sum(bool(hand.unfinished or hand.block) for hand in self.hands)
        for _ in range(min(self.workers, working + len(self.queue)) - len(self.hands)):
            wish = self.ray.remote(RenderActor).options(**_wish(self.station))
            self.hands.append(_Hand(wish.remote(self.job)))

    def feed(self) -> None:
        """Keep each actor that has opened supplied with frames, a subject's with the same one."""
        for hand in self.hands:
            while hand.node and not hand.worn and len(hand.asked) < IN_FLIGHT and (hand.block or self.queue):
                hand.block = hand.block or self.queue.popleft()
                index = hand.block.pop(0)
                if not self.writer.claim(index):
                    self.emit({"event": "skip", "index": index})
                elif self.writer.exists(index):  # another worker was quicker
                    self.writer.release(index)
                    self.emit({"event": "skip", "index": index})
                else:
                    hand.ask(index)

    def collect(self) -> None:
        """Take what was answered; wait a moment where nothing was."""
        oldest = {hand.asked[0][0]: hand for hand in self.hands if hand.asked}
        while self.puts and (self.puts[0][0].done() or not oldest or len(self.puts) > IN_FLIGHT * PUTTERS):
            put, index, event = self.puts.popleft()
            put.result()
            self._finish(index, event)
        if not oldest:
            return
        self.ray.wait(list(oldest), timeout=0.05 if self.puts else 1)
        for ref in self.ray.wait(list(oldest), num_returns=len(oldest), timeout=0)[0]:
            self._take(oldest[ref])
        self._watch()

    def _take(self, hand: _Hand) -> None:
        try:
            answer = self.ray.get(hand.asked[0][0])
        except self.ray.exceptions.RayTaskError as error:
            raise UserError(f"an actor of --ray failed: {_last_line(error)}") from None
        except self.ray.exceptions.RayError as error:
            self._mourn(hand, error)
            return
        took, hand.heard = time.monotonic() - hand.heard, time.monotonic()
        _, index = hand.asked.popleft()
        if index < 0:
            events, hand.node = answer
            self.stillborn = 0
            for event in events:
                self._pass_on(event)
            return
        self.longest_s = max(self.longest_s, took)
        event, parcel = answer
        hand.worn = hand.worn or event.get("memory_mb", 0) > local.RECYCLE_MEMORY_MB
        if parcel:
            self.puts.append((self.pool.submit(parcel.deliver, self.writer), index, event))
        else:
            self._finish(index, event)

    def _finish(self, index: int, event: Event) -> None:
        self.writer.release(index)
        self._pass_on(event)

    def _pass_on(self, event: Event) -> None:
        if event["event"] == "fatal":
            raise UserError(event["error"])
        self.emit(event)

    def _mourn(self, hand: _Hand, error: Exception) -> None:
        """Take leave of an actor: its frames go back, but for one that has killed too many."""
        why, lost = _last_line(error), hand.unfinished
        guilty = isinstance(error, self.ray.exceptions.ActorDiedError) and "node has died" not in str(error)
        self._dismiss(hand)
        if not hand.node:
            self.stillborn += guilty
            if self.stillborn >= local.DEATHS:
                advice = "; install this Facewright on every node" if "No module named" in why else ""
                raise UserError(f"actors of --ray die while they start: {why}{advice}")
        elif guilty and lost:
            self.emit({"event": "warning", "message": f"an actor died at frame {lost[0]} ({why})"})
            if self._kills(lost[0], hand.node) >= local.DEATHS:
                self._quarantine(lost.pop(0), why)
        else:
            self.emit({"event": "warning", "message": f"an actor was lost ({why}); its frames go to another"})
        if lost or hand.block:
            self.queue.appendleft(lost + hand.block)

    def _kills(self, index: int, node: str) -> int:
        """Return how many actors frame `index` has killed, now one on `node`: those whose node died do not count."""
        self.deaths.setdefault(index, []).append(node)
        alive = {node["NodeID"] for node in self.ray.nodes() if node["Alive"]}
        return sum(node in alive for node in self.deaths[index])

    def _quarantine(self, index: int, why: str) -> None:
        error = f"frame {index} killed {local.DEATHS} actors ({why})"
        self.writer.quarantine(index, error, sample(self.recipe, self.writer.card.seed, index).to_data())
        self.emit({"event": "quarantine", "index": index, "error": error})

    def _watch(self) -> None:
        """End actors that hang, and say when none comes."""
        now = time.monotonic()
        for hand in self.hands:
            if hand.unfinished and now - hand.heard > local.patience(self.station, self.longest_s):
                self.ray.kill(hand.actor)  # its death is heard of in the next round
        if any(hand.node for hand in self.hands):
            self.lonely_since = now
        elif now - self.lonely_since > LONELY_S:
            self.lonely_since = float("inf")
            wish, free = _wish(self.station), self.ray.available_resources()
            message = (
                f"no actor has started for {LONELY_S:.0f} s: each needs {wish['num_cpus']} processors and "
                f"{wish['num_gpus']} GPUs of one node, and {free.get('CPU', 0):g} and {free.get('GPU', 0):g} are free "
                "in all; waiting for the cluster to grow"
            )
            self.emit({"event": "warning", "message": message})

    def _dismiss(self, hand: _Hand) -> None:
        self.hands.remove(hand)
        self.ray.kill(hand.actor)
        for index in hand.unfinished:
            self.writer.release(index)

    def close(self) -> None:
        """Give every actor back; what has arrived is written."""
        for hand in list(self.hands):
            self._dismiss(hand)
        self.pool.shutdown()
        for _, index, _ in self.puts:
            self.writer.release(index)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next((line for line in lines if "has died" in line or "Error:" in line), lines[-1] if lines else "no reason")
    return told.partition(" Worker exit detail")[0][:200].rstrip(".")
