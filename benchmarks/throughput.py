"""Where the seconds of a labelled frame go, beside bare Cycles, and how they grow.

    python benchmarks/throughput.py [--frames 4] [--only stages curves workers] [--recipes face ...]

stages   CPU seconds by stage of each built-in recipe at its own size and samples, encoding and writing included. "bare"
         is the picture's render call on the same built scene once more: what any generator on Cycles must pay. They are
         measured in turn, frame by frame. `overhead` is all of a frame over that; where the two calls, which do the
         same, differ, `beside` is steadier: all but the picture, over it. Rows of recipes that were not asked for stay,
         each says at which commit it was made.
curves   cost against resolution, samples, hair and frames per subject (recipe `face`, 192 px, 8 samples, one at a time)
workers  wall and CPU seconds of `facewright generate` with one and two processes of one thread, and with one process of
         two threads; and from its start to the first frame. A process of one thread still uses two cores, one to draft
         the next frame: so it is also held to one core. In turn, the median of three rounds: a machine's speed changes
         with its neighbours (contention.py)

One thread and CPU seconds of the process, so that a busy machine changes little; the first frame warms up and is not
counted. Dataset sizes are dataset_size.py's. Writes benchmarks/results/throughput.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from types import SimpleNamespace

from facewright import Recipe, __version__, sample
from facewright.check import check_frame
from facewright.dataset.layout import encode_layer, layer_file, write_atomic
from facewright.farm.worker import memory_mb
from facewright.process import few_cores
from facewright.scene import CyclesRenderer, session

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ("eye_rgb", "eye_nir", "face")
STAGES = ("draft", "build", "beauty", "labels", "read", "check", "encode", "write")
ROUNDS = 3
SMALL = {"image.width": 192, "image.height": 192, "image.samples": 8}
CURVES: dict[str, list[dict[str, object]]] = {
    "pixels (both edges)": [{"image.width": n, "image.height": n} for n in (64, 128, 256, 512)],
    "samples": [{"image.samples": n} for n in (1, 4, 16, 64)],
    "hair": [{"subject.hair.style": style} for style in ("bald", "short", "bob", "long", "afro")],
    "frames per subject": [{"frames_per_subject": n} for n in (1, 2, 4, 12)],
}


@contextmanager
def cpu_clock() -> Iterator[None]:
    """Let the renderer's stages count CPU seconds."""
    saved, session.time = session.time, SimpleNamespace(perf_counter=time.process_time)
    try:
        yield
    finally:
        session.time = saved


def frames(renderer: CyclesRenderer, recipe: Recipe, count: int, bare: bool) -> list[dict[str, float]]:
    """Return CPU seconds by stage of `count` frames after one that warms up."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for index in range(count + 1):
            frame = renderer(sample(recipe, 0, index), recipe.outputs)
            row = dict(frame.seconds)
            mark = time.process_time()
            frame.checks = check_frame(frame)
            row["check"] = time.process_time() - mark
            mark = time.process_time()
            files = {layer_file(index, name): encode_layer(name, values) for name, values in frame.layers.items()}
            row["encode"] = time.process_time() - mark
            mark = time.process_time()
            for name, data in files.items():
                write_atomic(Path(folder) / name, data)
            row["write"] = time.process_time() - mark
            if bare:
                mark = time.process_time()
                renderer._render(renderer.bpy.context.scene, "bare")
                row["bare"] = time.process_time() - mark
            rows.append(row)
    return rows[1:]


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each stage, and their total."""
    found = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    return found | {"total": sum(found[name] for name in STAGES)}


def stages(renderer: CyclesRenderer, count: int, names: list[str]) -> list[dict]:
    """Return a row for each of the built-in recipes `names`."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    found = []
    for name in names:
        recipe = Recipe.load(name)
        image = sample(recipe, 0, 0).image
        row = mean(frames(renderer, recipe, count, bare=True))
        about = {"recipe": name, "size": f"{image.width} x {image.height}", "samples": image.samples, "commit": commit}
        found.append({**about, "frames": count, **row})
        print(found[-1], flush=True)
    return found


def curves(renderer: CyclesRenderer, count: int) -> list[dict]:
    """Return a row for each point of each curve."""
    found = []
    for curve, points in CURVES.items():
        for changes in points:
            given = SMALL | {"subject.wear.glasses.kind": "none"} | changes
            recipe = Recipe.load("face", [f"{path}={value}" for path, value in given.items()])
            row = mean(frames(renderer, recipe, max(count, int(changes.get("frames_per_subject", 1))), bare=False))
            found.append({"curve": curve, "point": next(iter(changes.values())), "memory_mb": memory_mb(), **row})
            print(found[-1], flush=True)
    return found


def generate(folder: str, count: int, workers: int, threads: int, cores: int) -> tuple[float, float, float]:
    """Return wall seconds to the first and last frame of `facewright generate` at 128 px, and all CPU seconds."""
    command = [sys.executable, "-m", "facewright", "generate", "face", "-o", folder, "--count", str(count)]
    command += ["--set", "image.width=128", "--set", "image.height=128", "--workers", str(workers)]
    command += ["--threads", str(threads), "--device", "cpu", "--json-events"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'generators'}:{ROOT / 'refiner'}"}
    start, first, before = time.perf_counter(), 0.0, os.times()
    with few_cores(cores):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    with process:
        assert process.stdout
        for line in process.stdout:
            if '"event": "frame"' in line and not first:
                first = time.perf_counter() - start
    assert process.returncode == 0, command
    spent = os.times()
    cpu = spent.children_user + spent.children_system - before.children_user - before.children_system
    return first, time.perf_counter() - start, cpu


def workers(count: int) -> list[dict]:
    """Return a row for each layout of processes and threads; times count from the first frame on."""
    layouts = ((1, 1, 1), (1, 1, 2), (2, 1, 2), (1, 2, 2))
    found: dict[tuple[int, ...], list[tuple[float, ...]]] = {layout: [] for layout in layouts}
    for _ in range(ROUNDS):
        for layout in layouts:
            with tempfile.TemporaryDirectory() as folder:
                first, last, cpu = generate(f"{folder}/set", count, *layout)
            found[layout].append((first, (count - layout[0]) / (last - first), cpu / count))
            print(layout, found[layout][-1], flush=True)
    names = ("processes", "threads", "cores", "first_s", "frames_per_s", "cpu_s")
    return [
        dict(zip(names, (*layout, *map(median, zip(*rows, strict=True))), strict=True))
        for layout, rows in found.items()
    ]


def markdown(result: dict) -> str:
    """Return the tables."""
    lines = ["# Throughput", "", f"{result['machine']}"]
    if "stages" in result:
        lines += ["", "## Stages: CPU seconds a frame, recipes as they are", ""]
        lines += [
            "| recipe | " + " | ".join(STAGES) + " | total | bare | overhead | beside | labels' share | commit, n |"
        ]
        lines += ["|---|" + "---|" * (len(STAGES) + 6)]
        for row in result["stages"]:
            cells = " | ".join(f"{row[name]:.2f}" for name in STAGES)
            over, share = row["total"] / row["bare"] - 1, row["labels"] / row["total"]
            beside = (row["total"] - row["beauty"]) / row["bare"]
            lines.append(
                f"| {row['recipe']} {row['size']}, {row['samples']} samples | {cells} | {row['total']:.2f} | "
                f"{row['bare']:.2f} | {over:.0%} | {beside:.0%} | {share:.0%} | {row['commit']}, {row['frames']} |"
            )
    if "curves" in result:
        lines += ["", "## Curves: recipe `face`, 192 x 192, 8 samples, no glasses, one change at a time", ""]
        lines += ["| curve | point | before rendering | picture | labels | rest | total | MB |"]
        lines += ["|---|---|---|---|---|---|---|---|"]
        for row in result["curves"]:
            before = row["draft"] + row["build"]
            rest = row["total"] - before - row["beauty"] - row["labels"]
            lines.append(
                f"| {row['curve']} | {row['point']} | {before:.2f} | {row['beauty']:.2f} | {row['labels']:.2f} | "
                f"{rest:.2f} | {row['total']:.2f} | {row['memory_mb']} |"
            )
    if "workers" in result:
        lines += ["", "## Processes and threads: `generate`, recipe `face` at 128 px, wall seconds", ""]
        lines += [
            "| processes | threads each | cores | start to first frame | frames a second after it | CPU s a frame |"
        ]
        lines += ["|---|---|---|---|---|---|"]
        for row in result["workers"]:
            lines.append(
                f"| {row['processes']} | {row['threads']} | {row['cores']} | {row['first_s']:.1f} | "
                f"{row['frames_per_s']:.3f} | {row['cpu_s']:.1f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--only", nargs="+", default=["stages", "curves", "workers"])
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    options = parser.parse_args()
    folder = ROOT / "benchmarks/results"
    path = folder / "throughput.json"
    result = json.loads(path.read_text()) if path.exists() else {}
    for part in ("stages", "curves"):  # rows of other stages than today's go
        if any(name not in row for row in result.get(part, []) for name in STAGES):
            del result[part]
    with cpu_clock(), CyclesRenderer(device="cpu", threads=1) as renderer:
        about = {**renderer.about, "facewright": __version__, "cpu": platform.machine(), "cores": os.cpu_count()}
        result["machine"] = {**about, "load_before": round(os.getloadavg()[0], 1)}
        if "stages" in options.only:
            rows = {row["recipe"]: row for row in result.get("stages", [])}
            rows |= {row["recipe"]: row for row in stages(renderer, options.frames, options.recipes)}
            result["stages"] = [rows[name] for name in RECIPES if name in rows]
        if "curves" in options.only:
            result["curves"] = curves(renderer, options.frames)
    if "workers" in options.only:
        result["workers"] = workers(8 * options.frames)
    path.write_text(json.dumps(result, indent=1) + "\n")
    (folder / "throughput.md").write_text(markdown(result))
    print(markdown(result))


if __name__ == "__main__":
    main()
