"""Are the labels right? Random frames of eye and face recipes against computations that share nothing with Cycles.

    python benchmarks/label_audit.py [eye_rgb eye_nir face] [--frames 250] [--seed 11] [--minutes 30]

Per frame: visible ids against ray casting with Snell's law through lenses and corneas (tests/raycast.py), outside a
band of one pixel round every boundary and where no strand covers; the rendered pupil's and iris's centres against
their analytic outlines; every whole glint's centre against its mirror point; the least distance of lids from the globe;
and whether the frame would have been quarantined. Of faces also the
share of frames that show each of CelebAMask-HQ's classes, and the seconds that strands took to build. Rows of other
recipes in benchmarks/results/label_audit.json are kept. Writes benchmarks/results/label_audit.json and .md.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from raycast import cast, coloured, edges

from facewright import Recipe, sample
from facewright.check import check_frame, glint_errors
from facewright.figure import build_figure, strands
from facewright.scene import CyclesRenderer
from facewright.schema import CELEBAMASK_HQ, MAPPINGS, SIDES

LEAST_PIXELS = 8
"""A class with fewer pixels does not occur."""
CLASSES = np.zeros(256, np.uint8)
for ours, theirs in MAPPINGS["celebamask_hq"].items():
    CLASSES[ours] = theirs

RECIPES = {"eye_rgb": (240, 180), "eye_nir": (150, 240), "face": (224, 224)}


def main() -> None:
    args = arguments()
    found: dict[str, dict] = {}
    start = time.monotonic()
    with CyclesRenderer(device="cpu", threads=args.threads) as renderer:
        recipes = {
            name: Recipe.load(name, [f"image.width={w}", f"image.height={h}", "image.samples=1", "image.denoise=false"])
            for name, (w, h) in RECIPES.items()
            if name in args.recipes
        }
        found = {name: defaultdict(list) for name in recipes}
        for index in range(args.frames):
            for name, recipe in recipes.items():
                audit(renderer(sample(recipe, args.seed, index), (*recipe.outputs, "canonical")), found[name])
            if index % 10 == 9:
                write(found, args, renderer.about["blender"])
                print(index + 1, round(time.monotonic() - start), flush=True)
            if time.monotonic() - start > 60 * args.minutes:
                break
        write(found, args, renderer.about["blender"])


def audit(frame, found: dict) -> None:
    figure = build_figure(frame.sample)
    label = cast(figure)
    decided = (
        (label >= 0)
        & ~edges(label)
        & ~edges(frame.seg)
        & (frame.coverage.max(axis=2) == 0)
        & (frame.matte[..., 0] == 0)
        & (coloured(frame) < 0.45)
    )
    wrong = decided & (frame.seg != label)
    found["pixels compared"].append(int(decided.sum()))
    found["wrong ids"].append(int(wrong.sum()))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        found["examples"].append(
            [frame.sample.index, int(row), int(column), int(frame.seg[row, column]), int(label[row, column])]
        )
    checks = check_frame(frame)
    found["quarantined"].append(any(not check.ok for check in checks))
    found["failed checks"] += [
        f"{frame.sample.index}: {check.name} {check.value:.3g}" for check in checks if not check.ok
    ]
    for name in ("pupil centre off", "iris centre off"):
        found[name] += [check.value for check in checks if name in check.name]
    for side in SIDES:
        if len(frame.truth.leds_mm):
            found["glint off"] += np.linalg.norm(glint_errors(frame, side), axis=1).tolist()
        found["lid clearance"].append(frame.truth.eyes[side].clearance_mm)
    if frame.sample.camera.target == "face":
        found["classes"].append(np.bincount(CLASSES[frame.seg].ravel(), minlength=256)[:19] >= LEAST_PIXELS)
        start = time.process_time()
        strands(figure)
        found["strands"].append(time.process_time() - start)
    found["glasses"].append(frame.sample.subject.wear.glasses.kind != "none")


def write(found: dict[str, dict], args: argparse.Namespace, blender: str) -> None:
    folder = Path(__file__).parent / "results"
    known = folder / "label_audit.json"
    rows = json.loads(known.read_text())["rows"] if known.exists() else {}
    for name, values in found.items():
        row = {
            "frames": len(values["wrong ids"]),
            "with glasses": int(sum(values["glasses"])),
            "pixels compared": int(sum(values["pixels compared"])),
            "wrong ids": int(sum(values["wrong ids"])),
            "frames with wrong ids": int(np.count_nonzero(values["wrong ids"])),
            "quarantined": int(sum(values["quarantined"])),
            "least lid clearance mm": round(min(values["lid clearance"]), 4),
            "examples [index, row, column, rendered, cast]": values["examples"][:20],
            "failed checks": values["failed checks"][:20],
        }
        for key in ("pupil centre off", "iris centre off", "glint off"):
            if values[key]:
                numbers = np.array(values[key])
                row[f"{key} px"] = {
                    "count": len(numbers),
                    "mean": round(float(numbers.mean()), 3),
                    "p95": round(float(np.percentile(numbers, 95)), 3),
                    "max": round(float(numbers.max()), 3),
                }
        if values["classes"]:
            shares = 100 * np.mean(values["classes"], axis=0)
            row["frames with each class %"] = dict(zip(CELEBAMASK_HQ, shares.round(1).tolist(), strict=True))
            row["strands CPU s"] = {
                "count": len(values["strands"]),
                "mean": round(float(np.mean(values["strands"])), 3),
                "p95": round(float(np.percentile(values["strands"], 95)), 3),
                "max": round(float(np.max(values["strands"])), 3),
            }
        rows[name] = row
    result = {
        "seed": args.seed,
        "size": {name: list(size) for name, size in RECIPES.items()},
        "rows": rows,
        "machine": {"blender": blender, "python": platform.python_version(), "numpy": np.__version__},
    }
    (folder / "label_audit.json").write_text(json.dumps(result, indent=1) + "\n")
    lines = [
        "# Label audit",
        "",
        f"Random frames, seed {args.seed}, from index 0 on, nothing left out.",
        "",
        f"| | {' | '.join(rows)} |",
        f"|---|{'---|' * len(rows)}",
    ]
    known = dict.fromkeys(key for row in rows.values() for key in row)
    keys = [key for key in known if not key.startswith(("examples", "failed", "frames with each"))]
    for key in keys:
        cells = [row.get(key, "") for row in rows.values()]
        text = [
            f"{c['mean']} mean, {c['p95']} p95, {c['max']} max of {c['count']}" if isinstance(c, dict) else str(c)
            for c in cells
        ]
        lines.append(f"| {key} | {' | '.join(text)} |")
    for name, row in rows.items():
        if shares := row.get("frames with each class %"):
            lines += ["", f"Frames of `{name}` with at least {LEAST_PIXELS} pixels of each CelebAMask-HQ class, %:", ""]
            lines.append(", ".join(f"{key} {value}" for key, value in shares.items()))
    lines += ["", ", ".join(f"{key} {value}" for key, value in result["machine"].items()), ""]
    (folder / "label_audit.md").write_text("\n".join(lines))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=list(RECIPES), help="of " + ", ".join(RECIPES))
    parser.add_argument("--frames", type=int, default=250, help="of each recipe")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--minutes", type=float, default=60, help="stop after this long, and record what was seen")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
