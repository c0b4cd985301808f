"""A run on a Ray cluster, from its driver. The folder stays the queue: Ray moves the work, and remembers nothing.

Each actor (actors.py) holds one renderer, as a local worker does, and refines what it renders, or leaves that to refine
actors (refinery.py). Where an actor sees the dataset's folder it writes there; else the encoded frame travels through
Ray's object store, and the driver writes it. Actors are asked for as work demands, none is assumed to come, and the
idle are given back, so that a cluster that scales itself can. An actor's death, or its node's, costs its frames in
flight, which go to another.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from facewright.dataset.writer import Writer
from facewright.errors import UserError, package
from facewright.farm import local
from facewright.farm.actors import Job, Parcel, RenderActor
from facewright.farm.plan import blocks
from facewright.farm.refinery import Raw, Refiner, Refinery
from facewright.farm.worker import GPUS, Station
from facewright.progress import Emit, Event
from facewright.recipe import Recipe
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


@contextlib.contextmanager
def connect(address: str, refiners: int = 0) -> Iterator[Fleet]:
    """Yield the Fleet of the cluster at `address`: "local", "auto", host:port or ray://host:port.

    "local" starts a cluster of this machine and ends it; a program that is on a cluster already stays on it. Raises
    UserError where Ray is missing, or the cluster, or it is one of another Ray or Python.
    """
    ray = package("ray", "--ray")
    if ray.is_initialized():
        yield Fleet(ray, refiners)
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
        yield Fleet(ray, refiners)


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
    """A cluster that we are on. With `refiners`, as many actors at most refine what the others render."""

    ray: Any
    refiners: int = 0

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
        crew = _Crew(self.ray, writer, recipe, indices, station, workers, emit, self.refiners)
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

    The first thing asked is to open, as index -1. `node` is "" until it has. Beside each answer Ray's reference to the
    frame is kept, for whoever refines it.
    """

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.asked: deque[tuple[Any, int, Any]] = deque([(actor.open.remote(), -1, None)])
        self.block: list[int] = []
        self.frames, self.worn = 0, False
        self.node = ""
        self.heard = time.monotonic()

    def ask(self, index: int) -> None:
        """Ask for a frame."""
        self.heard = self.heard if self.unfinished else time.monotonic()
        answer, frame = self.actor.render.options(num_returns=2).remote(index)
        self.asked.append((answer, index, frame))
        self.frames += 1
        self.worn = self.frames >= local.RECYCLE_FRAMES

    @property
    def unfinished(self) -> list[int]:
        """The indices asked for and not answered."""
        return [index for _, index, _ in self.asked if index >= 0]


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
        refiners: int = 0,
    ) -> None:
        self.ray, self.writer, self.recipe, self.workers, self.emit = ray, writer, recipe, workers, emit
        self.queue = deque(blocks(indices, recipe.frames_per_subject, workers))
        job = Job.of(writer, recipe, station)
        self.refinery = Refinery(ray, job, refiners)
        self.job = None if refiners else ray.put(job)
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
        at_work = any(hand.unfinished or hand.block for hand in self.hands)
        return bool(self.queue or self.puts) or at_work or self.refinery.busy

    def hire(self) -> None:
        """Ask the cluster for as many actors as have work, and give back those that have none."""
        self.refinery.hire()
        if self.job is None:  # until a refiner has said what it needs to be given
            return
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
        self.refinery.feed()
        for hand in self.hands if not self.refinery.full else ():
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
        oldest: dict[Any, Callable[[], None]] = {
            hand.asked[0][0]: partial(self._take, hand) for hand in self.hands if hand.asked
        }
        refiners = [refiner for refiner in self.refinery.refiners if refiner.asked]
        oldest |= {refiner.asked[0][0]: partial(self._take_refined, refiner) for refiner in refiners}
        while self.puts and (self.puts[0][0].done() or not oldest or len(self.puts) > IN_FLIGHT * PUTTERS):
            put, index, event = self.puts.popleft()
            put.result()
            self._finish(index, event)
        if not oldest:
            return
        self.ray.wait(list(oldest), timeout=0.05 if self.puts else 1)
        for ref in self.ray.wait(list(oldest), num_returns=len(oldest), timeout=0)[0]:
            oldest[ref]()
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
        _, index, frame = hand.asked.popleft()
        if index < 0:
            events, hand.node = answer
            self.stillborn = 0
            for event in events:
                self._pass_on(event)
            return
        self.longest_s = max(self.longest_s, took)
        event, parcel = answer
        hand.worn = hand.worn or event.get("memory_mb", 0) > local.RECYCLE_MEMORY_MB
        if event["event"] == "rendered":
            self.refinery.waiting.append(Raw(index, event, frame))
        else:
            self._deliver(index, event, parcel)

    def _take_refined(self, refiner: Refiner) -> None:
        try:
            answer = self.ray.get(refiner.asked[0][0])
        except self.ray.exceptions.ObjectLostError as error:  # frames lay on a node that died: others render them anew
            lost = [raw.index for raw in refiner.asked.popleft()[1]]
            self._send_back(lost, f"the node that held rendered frames was lost ({_last_line(error)})")
            return
        except self.ray.exceptions.RayTaskError as error:
            raise UserError(f"a refine actor of --ray failed: {_last_line(error)}") from None
        except self.ray.exceptions.RayError as error:
            self._mourn_refiner(refiner, error)
            return
        took, refiner.heard = time.monotonic() - refiner.heard, time.monotonic()
        _, batch = refiner.asked.popleft()
        if not batch:
            events, refiner.node, needs = answer
            self.stillborn = 0
            for event in events:
                self._pass_on(event)
            self.job = self.job or self.ray.put(dataclasses.replace(self.refinery.job, needs=needs))
            return
        self.refinery.longest_s = max(self.refinery.longest_s, took)
        for raw, (event, parcel) in zip(batch, answer, strict=False):  # of a fatal event there is one
            refiner.worn = refiner.worn or event.get("memory_mb", 0) > local.RECYCLE_MEMORY_MB
            if event["event"] == "frame":
                event["seconds"] = round(raw.event["seconds"] + event["seconds"], 3)
            self._deliver(raw.index, event, parcel)

    def _deliver(self, index: int, event: Event, parcel: Parcel | None) -> None:
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
        why, lost, guilty = _last_line(error), hand.unfinished, self._is_guilty(error)
        self._dismiss(hand)
        if not hand.node:
            self._count_stillborn(guilty, why)
        elif guilty and lost:
            self.emit({"event": "warning", "message": f"an actor died at frame {lost[0]} ({why})"})
            if self._kills(lost[0], hand.node) >= local.DEATHS:
                self._quarantine(lost.pop(0), why)
        else:
            self.emit({"event": "warning", "message": f"an actor was lost ({why}); its frames go to another"})
        if lost or hand.block:
            self.queue.appendleft(lost + hand.block)

    def _mourn_refiner(self, refiner: Refiner, error: Exception) -> None:
        """Take leave of a refine actor: its frames wait again, but for one that has killed too many."""
        why, guilty = _last_line(error), self._is_guilty(error)
        killer = self.refinery.lose(refiner, guilty)
        if not refiner.node:
            self._count_stillborn(guilty, why)
            return
        self.emit({"event": "warning", "message": f"a refine actor died ({why}); its frames go to another"})
        if killer:
            self._quarantine(killer.index, why)
            self.writer.release(killer.index)

    def _is_guilty(self, error: Exception) -> bool:
        """Return whether an actor's death was its own, not its node's."""
        return isinstance(error, self.ray.exceptions.ActorDiedError) and "node has died" not in str(error)

    def _count_stillborn(self, guilty: bool, why: str) -> None:
        self.stillborn += guilty
        if self.stillborn >= local.DEATHS:
            advice = "; install this Facewright on every node" if "No module named" in why else ""
            raise UserError(f"actors of --ray die while they start: {why}{advice}")

    def _send_back(self, lost: list[int], why: str) -> None:
        """Let frames that were rendered and lost be rendered anew."""
        self.emit({"event": "warning", "message": f"{why}; they go to another"})
        for index in lost:
            self.writer.release(index)
        self.queue.appendleft(lost)

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
        for refiner in self.refinery.hung():
            self.ray.kill(refiner.actor)
        if any(hand.node for hand in self.hands) or (not self.hands and self.job):
            self.lonely_since = now
        elif now - self.lonely_since > LONELY_S:
            self.lonely_since = float("inf")
            wish = _wish(self.station) if self.job else self.refinery.wish
            free = self.ray.available_resources()
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
        unrefined = [raw for refiner in list(self.refinery.refiners) for raw in self.refinery.dismiss(refiner)]
        for raw in (*unrefined, *self.refinery.waiting):
            self.writer.release(raw.index)
        self.pool.shutdown()
        for _, index, _ in self.puts:
            self.writer.release(index)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next((line for line in lines if "has died" in line or "Error:" in line), lines[-1] if lines else "no reason")
    return told.partition(" Worker exit detail")[0][:200].rstrip(".")
