"""Resident memory over many tiny frames of ever new subjects: it must stay flat.

    python benchmarks/memory.py [--frames 300]

Renders face and eye frames in turn at 64 x 64 and 1 sample, all label passes included. Writes
benchmarks/results/memory.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "generators"), str(ROOT / "refiner")]

from facewright import Recipe, sample  # noqa: E402
from facewright.check import check_frame  # noqa: E402
from facewright.scene import CyclesRenderer  # noqa: E402

SIZE = ["image.width=64", "image.height=64", "image.samples=1", "image.denoise=false"]


def resident_mb() -> float:
    """Return this process's resident memory."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def main() -> None:
    """Render, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=300)
    count = parser.parse_args().frames
    recipes = [Recipe.load(name, SIZE) for name in ("face", "eye_rgb", "eye_nir")]
    curve, failed, start = {}, 0, time.perf_counter()
    with CyclesRenderer(device="cpu") as renderer:
        for index in range(count):
            recipe = recipes[index % 3]
            frame = renderer(sample(recipe, 1, index), recipe.outputs)
            failed += any(not check.ok for check in check_frame(frame))
            if index + 1 in (10, 50, 100) or (index + 1) % 100 == 0:
                curve[index + 1] = round(resident_mb(), 1)
                print(index + 1, curve[index + 1], "MB", flush=True)
        about = renderer.about
    rate = (time.perf_counter() - start) / count
    lines = [
        f"# Resident memory over {count} frames of new subjects",
        "",
        str(about),
        f"{failed} frames failed a check; {rate:.2f} s per frame.",
        "",
        "| frame | " + " | ".join(map(str, curve)) + " |",
        "|---|" + "---|" * len(curve),
        "| MB | " + " | ".join(map(str, curve.values())) + " |",
    ]
    out = ROOT / "benchmarks" / "results"
    out.mkdir(exist_ok=True)
    (out / "memory.md").write_text("\n".join(lines) + "\n")
    data = {"about": about, "failed": failed, "seconds_per_frame": rate, "resident_mb": curve}
    (out / "memory.json").write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
