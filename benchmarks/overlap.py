"""What a change makes of one worker's two cores: checkouts in turn, on a machine that may be busy with other things.

    python benchmarks/overlap.py CHECKOUT [CHECKOUT ...] [--frames 5] [--pixels 128] [--rounds 2]

Each runs `facewright generate face` with one worker of two threads. On a busy machine wall seconds say more of the
others than of us, so a sampler looks every 20 ms which of the worker's threads could run. CPU time spent while one
could passes alone, on however many cores; that spent while more could is shared by two. "free" is what a frame would
take with two cores to itself: all of the first and half of the second. It flatters: threads that wait for a core seem
parallel. Linux only. Writes benchmarks/results/overlap.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

KEYS = ("wall_s", "cpu_s", "alone_s", "shared_s", "free_s", "memory_mb", "load")


class Sampler(threading.Thread):
    """Adds up a process's CPU seconds by whether one of its threads could run, or more."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.tasks, self.counts, self.over = Path(f"/proc/{pid}/task"), False, threading.Event()
        self.alone_s = self.shared_s = 0.0

    def run(self) -> None:
        """Look until told that it is over."""
        last = self.look()[0]
        while not self.over.wait(0.02):
            now, runnable = self.look()
            spent = sum(ns - last.get(task, 0) for task, ns in now.items()) / 1e9
            last |= now
            if self.counts and runnable > 1:
                self.shared_s += spent
            elif self.counts:
                self.alone_s += spent

    def look(self) -> tuple[dict[str, int], int]:
        """Return nanoseconds so far by thread, and how many threads run or wait for a core."""
        spent, runnable = {}, 0
        for task in self.tasks.iterdir():
            try:
                state = (task / "stat").read_text().rpartition(")")[2].split()[0]
                spent[task.name] = int((task / "schedstat").read_text().split()[0])
            except OSError:  # it has ended
                continue
            runnable += state == "R"
        return spent, runnable


def measure(checkout: Path, frames: int, pixels: int) -> dict[str, float]:
    """Return a row of KEYS: seconds a frame, after one that warms up."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "facewright", "generate", "face", "-o", f"{folder}/set"]
        command += ["--count", str(frames + 1), "--workers", "1", "--threads", "2", "--device", "cpu", "--json-events"]
        command += ["--set", f"image.width={pixels}", "--set", f"image.height={pixels}"]
        env = os.environ | {"PYTHONPATH": f"{checkout / 'generators'}:{checkout / 'refiner'}"}
        times, memory, sampler = list[float](), 0, None
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
            assert process.stdout
            for line in process.stdout:
                event = json.loads(line)
                if event["event"] == "worker":
                    lists = Path(f"/proc/{process.pid}/task").glob("*/children")
                    (pid,) = [int(child) for path in lists for child in path.read_text().split()]
                    sampler = Sampler(pid)
                    sampler.start()
                elif event["event"] == "frame":
                    assert sampler
                    times.append(time.perf_counter())
                    memory = max(memory, event["memory_mb"])
                    sampler.counts = len(times) <= frames
                    if not sampler.counts:
                        sampler.over.set()
        assert process.returncode == 0, command
        assert sampler
    alone, shared = sampler.alone_s / frames, sampler.shared_s / frames
    wall = (times[-1] - times[0]) / frames
    values = (wall, alone + shared, alone, shared, alone + shared / 2, memory, os.getloadavg()[0])
    return {key: round(value, 2) for key, value in zip(KEYS, values, strict=True)}


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkouts", type=Path, nargs="+")
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--pixels", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    rows = []
    for _ in range(options.rounds):
        for checkout in options.checkouts:
            rows.append({"checkout": checkout.name, **measure(checkout.resolve(), options.frames, options.pixels)})
            print(rows[-1], flush=True)
    machine = {"cpu": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    machine |= {"recipe": "face", "pixels": options.pixels, "frames": options.frames}
    lines = ["# Overlap: one worker of two threads, in turn", "", f"{machine}", ""]
    lines += ["Seconds a frame; what they mean stands in benchmarks/overlap.py.", ""]
    lines += ["| checkout | " + " | ".join(KEYS) + " |", "|---|" + "---|" * len(KEYS)]
    lines += ["| " + " | ".join(str(value) for value in row.values()) + " |" for row in rows]
    folder = Path(__file__).resolve().parent / "results"
    (folder / "overlap.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    (folder / "overlap.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
