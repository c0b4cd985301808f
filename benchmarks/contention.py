"""What one core takes from the other: kernels of one thread on core 0, each beside each kind of work on core 1.

    python benchmarks/contention.py [--seconds 4]

Two processes of one thread can make twice the work of one only as far as cores share nothing. Here each kernel is timed
in pieces of about a millisecond beside a process that does nothing but count, or the same kernel, or another. A piece
counts if both processes ran all the while, so that the machine may be busy with other things. The least that a core can
do to another is the reference: a Python loop that lives in its own cache. Were the cores two threads of one core, even
`multiply` beside `multiply` would run at half the speed. Linux only. Writes benchmarks/results/contention.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import platform
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

from facewright import __version__

MB = 1 << 20
GAP_NS = 2_000_000
"""A pause longer than this between two pieces means that somebody else had the core."""
PIECES = 40
"""Fewer undisturbed pieces than this say nothing."""


def count() -> Callable[[], object]:
    def run() -> int:
        total = 0
        for i in range(8000):
            total += i * i
        return total

    return run


def multiply() -> Callable[[], object]:
    a = np.random.default_rng(0).random((64, 64))

    def run() -> None:
        for _ in range(20):
            a @ a

    return run


def chase(size: int) -> Callable[[], object]:
    """Gather 20,000 numbers at random out of `size` bytes: what a cache of that size answers."""
    rng = np.random.default_rng(0)
    table = np.arange(size // 8)
    places = rng.integers(0, len(table), (64, 20_000))
    turn = iter(range(1 << 60))
    return lambda: table.take(places[next(turn) % 64])


def copy() -> Callable[[], object]:
    """Copy 4 MB pieces of 100 MB."""
    source, target = np.ones(100 * MB // 8), np.ones(100 * MB // 8)
    turn, piece = iter(range(1 << 60)), 4 * MB // 8

    def run() -> None:
        at = next(turn) % 25 * piece
        target[at : at + piece] = source[at : at + piece]

    return run


def fault() -> Callable[[], object]:
    """Take 512 kB of fresh memory from the kernel, touch its pages and give it back."""
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS

    def run() -> None:
        with mmap.mmap(-1, MB // 2, flags=private) as fresh:
            np.frombuffer(fresh, np.uint8)[::4096] = 1

    return run


def temporaries() -> Callable[[], object]:
    """Evaluate an expression of numpy over 100,000 numbers."""
    x = np.linspace(0, 1, 100_000)
    return lambda: np.sqrt(x * x + 2 * x) + np.where(x > 0.5, x, -x)


def rays() -> Callable[[], object]:
    """Shoot 500 rays at a mesh of 20,000 triangles with Embree, as Cycles does, in no order."""
    import trimesh

    ball = trimesh.creation.icosphere(5)
    rng = np.random.default_rng(0)
    origins = rng.normal(size=(500, 3))
    origins *= 3 / np.linalg.norm(origins, axis=1, keepdims=True)
    aims = rng.normal(scale=0.4, size=(500, 3)) - origins
    return lambda: ball.ray.intersects_first(origins, aims)


KERNELS: dict[str, Callable[[], Callable[[], object]]] = {
    "count": count,
    "multiply": multiply,
    "gather in 8 MB": lambda: chase(8 * MB),
    "copy": copy,
    "fault": fault,
    "temporaries": temporaries,
    "rays": rays,
}


@contextmanager
def beside(kernel: str, shared: np.ndarray) -> Iterator[None]:
    """Run `kernel` on core 1; `shared` says when it last ended a piece, and when it last had been away."""
    shared[:] = 0
    pid = os.fork()
    if not pid:
        os.sched_setaffinity(0, {1})
        run, last = KERNELS[kernel](), time.monotonic_ns()
        while os.getppid() != 1:
            run()
            now = time.monotonic_ns()
            if now - last > 4 * GAP_NS:
                shared[1] = now
            shared[0] = last = now
        os._exit(0)
    try:
        while not shared[0]:
            time.sleep(0.01)
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def measure(kernel: str, other: str, seconds: float, shared: np.ndarray) -> tuple[float, int]:
    """Return the milliseconds of an undisturbed piece of `kernel` beside `other` (their lower quartile), and how many.

    The quartile, since a piece that was interrupted for a moment counts too.
    """
    run, found = KERNELS[kernel](), list[int]()
    run()
    with beside(other, shared):
        end = time.monotonic_ns() + int(seconds * 1e9)
        while (begun := time.monotonic_ns()) < end:
            run()
            now = time.monotonic_ns()
            if shared[1] < begun and now - shared[0] < 4 * GAP_NS:
                found.append(now - begun)
    return (float(np.percentile(found, 25)) / 1e6 if found else float("nan")), len(found)


def markdown(result: dict) -> str:
    """Return the table."""
    lines = ["# Contention", "", f"{result['machine']}", ""]
    lines += ["Speed of the kernel on core 0 beside what core 1 does, 1 = beside `count`.", ""]
    lines += ["| core 0 | ms beside `count` | " + " | ".join(f"beside `{name}`" for name in KERNELS) + " |"]
    lines += ["|---|---|" + "---|" * len(KERNELS)]
    for name, row in result["ms"].items():
        cells = " | ".join(f"{row['count'] / value:.2f}" if value and row["count"] else "-" for value in row.values())
        lines.append(f"| {name} | {row['count'] or float('nan'):.2f} | {cells} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args()
    shared = np.frombuffer(mmap.mmap(-1, 4096), np.int64)[:2]
    os.sched_setaffinity(0, {0})
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    machine = {
        "cpu": model.partition(": ")[2],
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    machine |= {"facewright": __version__, "load_before": round(os.getloadavg()[0], 1)}
    table: dict[str, dict[str, float | None]] = {}
    for kernel in KERNELS:
        table[kernel] = {}
        for other in KERNELS:
            value, pieces = measure(kernel, other, options.seconds, shared)
            table[kernel][other] = round(value, 4) if pieces >= PIECES else None
            print(kernel, "beside", other, table[kernel][other], pieces, flush=True)
    result = {"machine": machine, "ms": table}
    folder = Path(__file__).resolve().parent / "results"
    (folder / "contention.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "contention.md").write_text(markdown(result))
    print(markdown(result))


if __name__ == "__main__":
    main()
