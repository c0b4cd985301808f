"""Resident memory over many tiny frames of ever new subjects: it must stay flat.

    python benchmarks/memory.py [--frames 300]

Renders face and eye frames in turn at 64 x 64 and 1 sample, all label passes included, the next frame drafted ahead in
a thread as in a worker. Once with malloc as glibc has it, and once with one arena for all threads, as workers have it
(farm/local.py), at the same time. Writes benchmarks/results/memory.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "generators"), str(ROOT / "refiner")]

from facewright import Recipe, sample  # noqa: E402
from facewright.check import check_frame  # noqa: E402
from facewright.farm.worker import Ahead, memory_mb  # noqa: E402
from facewright.scene import CyclesRenderer  # noqa: E402

SIZE = ["image.width=64", "image.height=64", "image.samples=1", "image.denoise=false"]
ARENAS = {"glibc's own": {}, "one arena": {"MALLOC_ARENA_MAX": "1"}}
WINDOW = 12
"""Frames over which memory is averaged."""


def child(count: int) -> dict:
    """Render, and return what was seen."""
    recipes = [Recipe.load(name, SIZE) for name in ("face", "eye_rgb", "eye_nir")]
    drawn = [sample(recipes[index % 3], 1, index) for index in range(count + 1)]
    memory, failed, start = [], 0, time.process_time()
    with CyclesRenderer(device="cpu", threads=1) as renderer, Ahead(renderer.draft) as ahead:
        for index in range(count):
            draft = ahead.take(drawn[index], drawn[index + 1])
            frame = renderer(drawn[index], recipes[index % 3].outputs, draft)
            failed += any(not check.ok for check in check_frame(frame))
            memory.append(memory_mb())
        about = renderer.about
    means = [round(sum(memory[at : at + WINDOW]) / WINDOW) for at in range(0, count - WINDOW + 1, WINDOW)]
    return {"about": about, "failed": failed, "cpu_s": (time.process_time() - start) / count, "memory_mb": means}


def main() -> None:
    """Render, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(child(options.frames)))
        return
    command = [sys.executable, __file__, "--frames", str(options.frames), "--child"]
    running = {
        name: subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | changes)
        for name, changes in ARENAS.items()
    }
    found = {name: json.loads(process.communicate()[0].splitlines()[-1]) for name, process in running.items()}
    lines = [
        f"# Resident memory over {options.frames} frames of new subjects",
        "",
        str(next(iter(found.values()))["about"]),
        "",
        f"| malloc | frames that failed a check | CPU s a frame | MB, means of {WINDOW} frames |",
        "|---|---|---|---|",
    ]
    for name, row in found.items():
        lines.append(f"| {name} | {row['failed']} | {row['cpu_s']:.2f} | {', '.join(map(str, row['memory_mb']))} |")
    out = ROOT / "benchmarks" / "results"
    (out / "memory.md").write_text("\n".join(lines) + "\n")
    (out / "memory.json").write_text(json.dumps(found, indent=1) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
