"""Seconds per labelled frame by stage, and peak memory, beside bare Cycles sampling of the same scenes.

    python benchmarks/frames.py [--frames 6] [--threads N] [--refine webcam]

Renders eye 640 x 480, infrared eye 400 x 640 and face 512 x 512 with the built-in recipes' own settings. "beauty" is
Blender's render call for the picture: synchronisation, BVH, sampling and denoising; "bare" repeats it with nothing
else done, which is what any generator on Cycles must pay. Writes benchmarks/results/frames.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "generators"), str(ROOT / "refiner")]

from facewright import Recipe, __version__, sample  # noqa: E402
from facewright.check import check_frame  # noqa: E402
from facewright.dataset.layout import encode_layer, layer_file, write_atomic  # noqa: E402
from facewright.figure import build_figure  # noqa: E402
from facewright.refining import open_refiner  # noqa: E402
from facewright.scene import CyclesRenderer  # noqa: E402

RECIPES = {"eye_rgb": (640, 480, "webcam"), "eye_nir": (400, 640, "nir_eye"), "face": (512, 512, "phone")}
STAGES = ("figure", "build", "beauty", "labels", "read", "check", "write", "refine")


def measure(name: str, frames: int, renderer: CyclesRenderer) -> dict[str, float]:
    """Return mean seconds by stage over `frames` frames after one warm-up frame."""
    width, height, profile = RECIPES[name]
    recipe = Recipe.load(name, [f"image.width={width}", f"image.height={height}"])
    rows = []
    with open_refiner(profile) as refiner, tempfile.TemporaryDirectory() as folder:
        for index in range(frames + 1):
            one = sample(recipe, 0, index)
            start = time.perf_counter()
            frame = renderer(one, recipe.outputs)
            mark = time.perf_counter()
            frame.checks = check_frame(frame)
            row = dict(frame.seconds, total=mark - start, check=time.perf_counter() - mark)
            mark = time.perf_counter()
            for layer, values in frame.layers.items():
                write_atomic(Path(folder) / layer_file(index, layer), encode_layer(layer, values))
            row["write"] = time.perf_counter() - mark
            mark = time.perf_counter()
            refiner.refine(frame)
            row["refine"] = time.perf_counter() - mark
            rows.append(row)
        bare = []
        for index in range(1, frames + 1):
            renderer._clear()
            scene, _ = renderer.build(build_figure(sample(recipe, 0, index)))
            start = time.perf_counter()
            renderer._render(scene, "bare")
            bare.append(time.perf_counter() - start)
    mean = {stage: float(np.mean([row[stage] for row in rows[1:]])) for stage in STAGES}
    return mean | {"total": sum(mean.values()), "bare": float(np.mean(bare))}


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    with CyclesRenderer(device="cpu", threads=options.threads) as renderer:
        table = {name: measure(name, options.frames, renderer) for name in RECIPES}
        about = renderer.about
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    machine = {
        "cpu": platform.machine(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[2],
        "facewright": __version__,
        "numpy": np.__version__,
        **about,
    }
    lines = [
        f"# Seconds per labelled frame ({options.frames} frames each, after one warm-up)",
        "",
        f"{machine}",
        f"Peak memory of the process, renderer and refiner together: {peak:.0f} MB.",
        "",
        "| scene | " + " | ".join(STAGES) + " | total | bare Cycles | total / bare |",
        "|---|" + "---|" * (len(STAGES) + 3),
    ]
    for name, row in table.items():
        width, height, profile = RECIPES[name]
        cells = " | ".join(f"{row[stage]:.2f}" for stage in STAGES)
        lines.append(
            f"| {name} {width}x{height}, {profile} | {cells} | {row['total']:.2f} | {row['bare']:.2f} | "
            f"{row['total'] / row['bare']:.2f} |"
        )
    print("\n".join(lines))
    out = ROOT / "benchmarks" / "results"
    out.mkdir(exist_ok=True)
    (out / "frames.md").write_text("\n".join(lines) + "\n")
    (out / "frames.json").write_text(json.dumps({"machine": machine, "peak_mb": peak, "table": table}, indent=1) + "\n")


if __name__ == "__main__":
    main()
