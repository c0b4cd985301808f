"""What a frame costs when several are made of one person: CPU seconds by stage over image.frames_per_subject.

    python benchmarks/amortisation.py [--frames 12] [--pixels 256]

CPU seconds of the process, so that a busy machine changes little; the first frames warm up and are not counted.
Writes benchmarks/results/amortisation.md.
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path

from facewright import Recipe, sample
from facewright.scene import CyclesRenderer

SHARED = (1, 2, 4, 12)
"""Frames per subject."""


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--pixels", type=int, default=256)
    options = parser.parse_args()
    size = [f"image.{edge}={options.pixels}" for edge in ("width", "height")]
    lines = [
        "# Frames of one person",
        "",
        f"Recipe `face`, {options.pixels} x {options.pixels}, {options.frames} frames each, seed 0, 1 thread.",
        "",
        "| frames per subject | CPU s a frame | before rendering | rendering and labels |",
        "|---|---|---|---|",
    ]
    with CyclesRenderer(device="cpu", threads=1) as renderer:
        for shared in (SHARED[0], *SHARED):
            changes = [f"frames_per_subject={shared}", "subject.wear.glasses.kind=none"]
            recipe = Recipe.load("face", [*size, *changes])
            rows = []
            for index in range(options.frames):
                start = time.process_time()
                frame = renderer(sample(recipe, 0, index), recipe.outputs)
                total = time.process_time() - start
                rows.append((total, frame.seconds["figure"] + frame.seconds["build"]))
            total, before = (sum(column) / len(rows) for column in zip(*rows, strict=True))
            row = f"| {shared} | {total:.2f} | {before:.2f} | {total - before:.2f} |"
            print(row, flush=True)
            lines.append(row)
        about = renderer.about
    del lines[6]  # the warm-up
    lines += ["", f"Blender {about['blender']}, Python {platform.python_version()}, {platform.machine()}", ""]
    (Path(__file__).parent / "results/amortisation.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
