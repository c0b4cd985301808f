"""Supervised workers on this machine: fed by pipe, recycled by count and memory, restarted when they crash.

Every worker is a process of its own, even when there is one: Blender may crash, leak or hang, and none of these may
end the run. An index that kills two workers is quarantined.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from facewright.dataset import layout
from facewright.dataset.writer import Writer
from facewright.errors import UserError
from facewright.farm.plan import blocks
from facewright.farm.worker import GPUS, Station, Turn
from facewright.progress import Emit
from facewright.recipe import Recipe
from facewright.sample import sample

WORKER_MB = 2400
"""Memory that one worker may need: 0.7 GB at 64 px, 1.6 GB at 512 px with a refiner, 0.3 GB more for a draft ahead, and
room (measured)."""
THREADS = 2
"""Threads of a worker where the user does not say."""
GPU_WORKERS = 4
"""Workers that share a GPU: while one renders, others build and check (reasoned; no GPU was at hand)."""
GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""What Linux shows where a GPU is that Cycles may find."""
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
"""Of a worker, where the user's says nothing: more threads of OpenBLAS spin beside Cycles, and with an arena for every
thread glibc keeps what the thread that drafts has freed (benchmarks/memory.py)."""
RECYCLE_FRAMES = 500
"""A worker is replaced after this many frames: Blender's memory grows slowly whatever one does."""
RECYCLE_MEMORY_MB = 6000
"""A worker whose resident memory exceeds this after a frame is replaced."""
DEATHS = 2
"""An index that has killed this many workers is quarantined."""
PATIENCE_S, PATIENCE = 600.0, 20.0
"""A worker hangs that takes longer over a frame than this, and than so many times the longest frame so far (reasoned:
machines are shared, and the cost of heads varies tenfold)."""
FIRST_S = 1800.0
"""The same until a frame is known, and while it starts: a GPU's kernels may have to be compiled first."""
LAST_WORDS_S = 3.0
"""How long a worker that hangs has to write down where, before it is killed."""


def run(writer: Writer, recipe: Recipe, indices: Sequence[int], station: Station, workers: int, emit: Emit) -> None:
    """Render `indices` with `workers` processes. Raises UserError for what no retry can cure."""
    if not indices:
        return
    crew = _Crew(writer, recipe, indices, station, workers, emit)
    threads = [threading.Thread(target=crew.tend, args=(number,), daemon=True) for number in range(workers)]
    for thread in threads:
        thread.start()
    try:
        while crew.busy:  # not join(): a join that Ctrl-C interrupts takes the thread for dead
            time.sleep(0.05)
    finally:
        crew.stop()
        for thread in threads:
            thread.join(10)
    if crew.fatal:
        raise crew.fatal


def places(station: Station) -> int:
    """Return how many workers of `station` this machine holds, as far as memory and a shared GPU go.

    One for THREADS cores: only sampling uses several, and yet two workers of one thread were slower than one of two
    (benchmarks/results/throughput.md).
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = cores // (station.threads or THREADS)
    if station.renderer == "cycles":
        seen = sys.platform != "linux" or any(Path(name).exists() for name in GPU_FILES)
        if station.device in GPUS or (station.device == "auto" and seen):
            found = min(found, GPU_WORKERS)
        if hasattr(os, "sysconf"):
            found = min(found, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (WORKER_MB << 20))
    return max(1, found)


def worker_command(arguments: Sequence[str]) -> list[str]:
    """Return the command that runs `facewright ARGUMENTS` in a new process of this very Python or Blender."""
    bpy: Any = sys.modules.get("bpy")
    blender = getattr(getattr(bpy, "app", None), "binary_path", "")
    paths = sys.path
    if bpy and not blender:  # bpy has put its own scripts there, in which a new process would find another "bpy"
        paths = [path for path in paths if not Path(path).is_relative_to(bpy.utils.resource_path("LOCAL"))]
    entry = f"import sys; sys.path[:] = {paths!r}; from facewright.__main__ import run; run()"
    if blender:
        return [blender, "--background", "--factory-startup", "--python-expr", entry, "--", *arguments]
    return [sys.executable, "-c", entry, *arguments]


class _Crew:
    """The shared state of the threads that tend one worker process each."""

    def __init__(
        self, writer: Writer, recipe: Recipe, indices: Sequence[int], station: Station, workers: int, emit: Emit
    ) -> None:
        self.writer, self.recipe, self.station, self.report = writer, recipe, station, emit
        self.queue = deque(blocks(indices, recipe.frames_per_subject, workers))
        self.reserved: dict[int, list[int]] = {}
        self.deaths: Counter[int] = Counter()
        self.lock = threading.Lock()
        self.fatal: UserError | BrokenPipeError | None = None
        self.stopped = False
        self.busy = workers
        self.longest_s = 0.0
        self.processes: dict[int, _Process] = {}

    def emit(self, event: dict[str, Any]) -> None:
        """Pass an event on, one at a time."""
        with self.lock:
            self.report(event)

    def stop(self) -> None:
        """End all worker processes now."""
        self.stopped = True
        for process in list(self.processes.values()):
            process.kill()

    def tend(self, number: int) -> None:
        """Feed one worker until nothing is left, replacing it when it is worn or dead."""
        try:
            while not self.stopped and (block := self._take(number)):
                while block and not self.stopped:
                    self._one(number, block)
        except (UserError, BrokenPipeError) as error:  # nobody reads what we say: there is nothing to explain
            self.fatal = self.fatal or error
            self.stop()
        except Exception as error:  # a thread must not die unheard
            self.fatal = self.fatal or UserError(f"the supervisor of worker {number} failed: {error!r}")
            self.stop()
        finally:
            process = self.processes.pop(number, None)
            if process:
                process.close()
            with self.lock:
                self.busy -= 1

    def _take(self, number: int) -> list[int] | None:
        """Return the block reserved for the worker, or the next in line, or at the end one reserved for another."""
        with self.lock:
            if number in self.reserved:
                return self.reserved.pop(number)
            if self.queue:
                return self.queue.popleft()
            return self.reserved.popitem()[1] if self.reserved else None

    def _following(self, number: int, block: list[int]) -> int | None:
        """Return what the worker will do after the first index of `block`, and reserve it."""
        if len(block) > 1:
            return block[1]
        with self.lock:
            if number not in self.reserved and self.queue:
                self.reserved[number] = self.queue.popleft()
            return self.reserved[number][0] if number in self.reserved else None

    def _one(self, number: int, block: list[int]) -> None:
        """Render the first index of `block`, which leaves the block unless its worker died for the first time."""
        process = self.processes.get(number) or self._hire(number)
        if process is None:
            return
        index = block[0]
        begun = time.monotonic()
        turn = Turn(index, self._following(number, block))
        event = process.render(turn, self.emit, patience(self.station, self.longest_s))
        if event is None:
            self.processes.pop(number).close()
            if not self.stopped:
                self._mourn(index, block, process)
            return
        block.pop(0)
        self.longest_s = max(self.longest_s, time.monotonic() - begun)
        self.emit(event)
        if process.frames >= RECYCLE_FRAMES or event.get("memory_mb", 0) > RECYCLE_MEMORY_MB:
            self.processes.pop(number).close()

    def _hire(self, number: int) -> _Process | None:
        for _ in range(DEATHS):
            process = _Process(self.writer.folder, number, self.station)
            self.processes[number] = process
            if self.stopped:
                process.kill()
            ready = process.wait_until_ready(self.emit, FIRST_S)
            if ready or self.stopped:
                return process if ready else None
            process.close()
        last = self.processes[number]
        raise UserError(f"worker processes die while they start; the log is {last.log}, its end: {last.tail()}")

    def _mourn(self, index: int, block: list[int], process: _Process) -> None:
        self.deaths[index] += 1
        self.emit({"event": "warning", "message": f"a worker died at frame {index} ({process.ending()})"})
        if self.deaths[index] < DEATHS:
            return
        block.pop(0)
        error = f"frame {index} killed {DEATHS} workers ({process.ending()})"
        drawn = sample(self.recipe, self.writer.card.seed, index)
        self.writer.quarantine(index, f"{error}\n\n{process.tail(50)}\n", drawn.to_data())
        self.emit({"event": "quarantine", "index": index, "error": error})


def patience(station: Station, longest_s: float) -> float:
    """Return after how many seconds over one frame a worker hangs, when the longest frame so far took `longest_s`."""
    if station.timeout:
        return station.timeout
    return max(PATIENCE_S, PATIENCE * longest_s) if longest_s else FIRST_S


class _Process:
    """One worker process and its two pipes; what it prints otherwise goes to a log."""

    def __init__(self, folder: Path, number: int, station: Station) -> None:
        self.log = folder / layout.LOGS / f"worker-{number}.log"
        self.frames = 0
        self.hung = ""
        command = worker_command(["worker", str(folder), "--feed", *station.to_args()])
        environment = ENVIRONMENT | os.environ
        with layout.writing(self.log), self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                text=True,
                encoding="utf-8",
                start_new_session=os.name == "posix",
            )

    def wait_until_ready(self, emit: Emit, patience_s: float) -> bool:
        """Return whether the worker has opened its renderer. Raises UserError where it says why it cannot."""
        event = self._wait_for(("worker",), emit, patience_s)
        if event:
            emit(event)
        return event is not None

    def render(self, turn: Turn, emit: Emit, patience_s: float) -> dict[str, Any] | None:
        """Return the event of the rendered index, None if the worker died or was killed because it hung."""
        assert self.popen.stdin
        self.frames += 1
        try:
            self.popen.stdin.write(f"{turn}\n")
            self.popen.stdin.flush()
        except OSError:
            return None
        return self._wait_for(("frame", "quarantine", "skip"), emit, patience_s)

    def _wait_for(self, kinds: tuple[str, ...], emit: Emit, patience_s: float) -> dict[str, Any] | None:
        watchdog = threading.Timer(patience_s, self._give_up, (patience_s,))
        watchdog.daemon = True
        watchdog.start()
        try:
            return self._next_of(kinds, emit)
        finally:
            watchdog.cancel()

    def _next_of(self, kinds: tuple[str, ...], emit: Emit) -> dict[str, Any] | None:
        assert self.popen.stdout
        for line in self.popen.stdout:
            if not line.startswith('{"event"') or not line.endswith("\n"):
                continue  # Blender's banner, printed before we take stdout away from it; or last words cut short
            event = json.loads(line)
            if event["event"] == "fatal":
                raise UserError(event["error"])
            if event["event"] in kinds:
                return event
            emit(event)
        return None

    def close(self) -> None:
        """Let the worker finish and end."""
        assert self.popen.stdin
        assert self.popen.stdout
        with contextlib.suppress(OSError):
            self.popen.stdin.close()
        try:
            self.popen.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            self.popen.wait()
        self.popen.stdout.close()

    def kill(self) -> None:
        """End the worker now, and its refiner; its claim is stale at once, its unfinished record does not exist."""
        self._signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)

    def _signal(self, number: int) -> None:
        if os.name != "posix":
            self.popen.send_signal(number)
        elif self.popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.popen.pid, number)

    def _give_up(self, patience_s: float) -> None:
        """End a worker that hangs; asked to abort, it writes to its log where it was (see commands.worker)."""
        self.hung = f"hung for {patience_s:.0f} s"
        if os.name == "posix":
            self._signal(signal.SIGABRT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(LAST_WORDS_S)
        self.kill()

    def ending(self) -> str:
        """Return how the process ended, e.g. "signal 11" or "hung for 600 s"."""
        if self.hung:
            return self.hung
        code = self.popen.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def tail(self, lines: int = 3) -> str:
        """Return the last lines of the log."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "(no log)"
        return ("\n" if lines > 3 else " / ").join(text.strip().splitlines()[-lines:]) or "(empty)"
