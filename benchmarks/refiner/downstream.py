"""Does refining help a model? An iris detector is trained on renders, refined or not, and tested on real pictures.

    python benchmarks/refiner/downstream.py --train DATASET --real DIR --index CSV --pool DIR
        --refiners identity fitted=eyes_camera.yaml "modern=run/best.safetensors" ... [--seeds 3] [--steps 400]

All pictures are of single eyes at --width x --height px. `--real` are held-out pictures, of people that no refiner saw;
`--index` names for each `file` the centre of its iris, `iris_x` and `iris_y` in px of the file, and `eye_width_px`, as
a face mesh found them (so the floor of the error is that mesh's own, about 1.6 % of an eye's width). The detector is
detector.py's, with its disturbances of light, blur and noise for every row: it is hard to help. Errors are in % of an
eye's width. Intervals are 95 %, over people and seeds. Writes results/downstream_NAME.json and .md.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import compare
import detector as detectors
import numpy as np
import torch
from refiner_sensor import machine

from facewright_refiner import drift, guides, sensor
from facewright_refiner.apply import to_image, to_tensor
from facewright_refiner.pictures import groups_of, read_files
from facewright_refiner.profile import View

FAR = 10.0
"""% of an eye's width beyond which an iris counts as missed; half an iris."""
NOTHING = 100.0
"""The error where no iris is found."""
DRAWS = 1000


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    size = (args.height, args.width)
    trains = compare.renders(args.train, size)
    luma, exact, width, groups = real_eyes(args, size)
    rows = {}
    for name, spec in (compare.named(text) for text in args.refiners):
        made = compare.refined(spec, trains, args.pool)
        shown = torch.from_numpy(np.stack([drift.luma(image) for image in made])).float()[:, None]
        iris = torch.from_numpy(np.stack([r.guide[guides.IRIS].sum(0) for r in trains]))[:, None]
        errors = []
        for seed in range(args.seeds):
            trained = detectors.train(shown, iris, args.steps, seed)
            found, _ = detectors.centres(trained, luma)
            error = np.linalg.norm(found - exact, axis=1) / width * 100
            errors.append(np.where(np.isnan(error), NOTHING, error))
        rows[name] = summary(np.array(errors), groups)
        print(name, json.dumps(rows[name]), flush=True)
    result = {
        "name": args.name,
        "train": len(trains),
        "test": len(exact),
        "people": len(set(groups)),
        "seeds": args.seeds,
        "steps": args.steps,
        "size": [args.width, args.height],
        "rows": rows,
        "machine": machine(args.threads),
    }
    folder = Path(__file__).parent / "results"
    (folder / f"downstream_{args.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / f"downstream_{args.name}.md").write_text(markdown(result))
    print(markdown(result))


def real_eyes(
    args: argparse.Namespace, size: tuple[int, int]
) -> tuple[torch.Tensor, np.ndarray, np.ndarray, list[str]]:
    """Return luma (N, 1, h, w), irises' centres (N, 2) and eyes' widths (N,) in its px, and whose they are."""
    told = {row["file"]: row for row in csv.DictReader(args.index.open())}
    paths = [path for path in sorted(args.real.iterdir()) if path.name in told]
    pictures = read_files(paths)
    luma, exact, width = [], [], []
    for path, image in zip(pictures.paths, pictures.images, strict=True):
        picture, matrix = sensor.view(to_tensor([image]), View(), size)
        row = told[path.name]
        luma.append(drift.luma(to_image(picture)[0]))
        exact.append((matrix @ [float(row["iris_x"]), float(row["iris_y"]), 1])[:2])
        width.append(float(row["eye_width_px"]) * float(matrix[0, 0]))
    stack = torch.from_numpy(np.stack(luma)).float()[:, None]
    return stack, np.array(exact), np.array(width), groups_of(pictures.paths)


def summary(errors: np.ndarray, groups: list[str]) -> dict[str, Any]:
    """Return median error and share of misses of (seeds, N) errors, each with its 95 % interval."""
    random = np.random.default_rng(0)
    names = sorted(set(groups))
    members = {name: [n for n, other in enumerate(groups) if other == name] for name in names}
    drawn = []
    for _ in range(DRAWS):
        places = [n for name in random.choice(names, len(names)) for n in members[name]]
        taken = errors[random.integers(0, len(errors), len(errors))][:, places]
        drawn.append((np.median(taken), 100 * (taken > FAR).mean()))
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    found = (np.median(errors), 100 * (errors > FAR).mean())
    return {
        key: [round(float(x), 2) for x in three]
        for key, *three in zip(("median", "missed"), found, low, high, strict=True)
    }


def markdown(result: dict[str, Any]) -> str:
    lines = [
        f"# What refining is worth to an iris detector: {result['name']}",
        "",
        f"Trained on {result['train']} renders, {result['steps']} steps, {result['seeds']} seeds; tested on "
        f"{result['test']} real pictures of {result['people']} people, {result['size'][0]} x {result['size'][1]} px. "
        f"Error of the iris's centre in % of the eye's width, and share of irises missed by more than {FAR:g} %, with "
        "95 % intervals over people and seeds.",
        "",
        "| trained on | median error, % | missed, % |",
        "|---|---|---|",
    ]
    for name, row in result["rows"].items():
        cells = [f"{row[k][0]:.2f} ({row[k][1]:.2f} to {row[k][2]:.2f})" for k in ("median", "missed")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    facts = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    return "\n".join([*lines, "", facts, ""])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("train", "real", "index", "pool"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--refiners", nargs="+", required=True)
    parser.add_argument("--name", default="eyes")
    for name, default in (("width", 80), ("height", 48), ("steps", 400), ("seeds", 3), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


if __name__ == "__main__":
    main()
