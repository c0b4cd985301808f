"""How much of a real set do our pictures cover, before and after matching?

    python benchmarks/gap/coverage.py NAME --real DIR --before DATASET [--after DATASET] [--match DIR] [--labels CSV]
        [--exclude WORD ...] [--sheet PNG]

The datasets are compared with the same real pictures, at equal numbers and through one encoder that taught itself on
all sets. `--match` is the work folder of `facewright match`, whose fits are listed; `--labels` a table of the
real pictures with the columns `file` and `head_yaw` or `head_pitch` in degrees, by which its estimates are checked.
Writes benchmarks/gap/results/coverage_NAME.json and .md: numbers only. `--sheet` draws real | before | after.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from refiner_sensor import machine

from facewright_refiner.diversity import compare
from facewright_refiner.encoder import train_encoder
from facewright_refiner.estimators import LABELS
from facewright_refiner.pictures import find_pictures
from facewright_refiner.views import Real, Renders, real_in_view, renders_in_view

CHECKED = {"head yaw": "head_yaw", "head pitch": "head_pitch"}


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    paths = [path for path in find_pictures(args.real) if not any(word in path.name for word in args.exclude)]
    real = real_in_view(paths, args.seed, args.most)
    sets = {
        name: renders_in_view(getattr(args, name), real.size) for name in ("before", "after") if getattr(args, name)
    }
    count = min(len(found.indices) for found in sets.values())
    everything = torch.cat([real.pictures, *(found.pictures[:count] for found in sets.values())])
    trunk = train_encoder(everything, args.seed)
    rows = {
        name: compare(real.pictures, found.pictures[:count], real.groups, args.seed, trunk=trunk).to_data()
        for name, found in sets.items()
    }
    result = {"real": len(real.paths), "size": list(real.size[::-1]), "renders": count, "rows": rows}
    if args.match:
        result["match"] = json.loads((args.match / "match.json").read_text())
        if args.labels:
            result["check"] = check(args, sets)
    result |= {"machine": machine(args.threads), "seed": args.seed, "command": args.shown}
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"coverage_{args.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / f"coverage_{args.name}.md").write_text(markdown(args.name, result))
    if args.sheet:
        sheet(real, sets, args.sheet)
    print(markdown(args.name, result))


def check(args: argparse.Namespace, sets: dict[str, Renders]) -> dict:
    """Return how estimates of the real pictures agree with a table of theirs, and what spread each recipe has."""
    known: dict[str, list[dict]] = {}
    for row in csv.DictReader(args.labels.open()):
        stem = Path(row["file"]).stem.removesuffix("_L").removesuffix("_R")
        known.setdefault(stem, []).append(row)
    real = real_in_view(find_pictures(args.real), args.seed)  # as `match` read them
    estimates = np.load(args.match / "readings.npz")["real"]
    found = {}
    for label, column in CHECKED.items():
        pairs = [
            (np.mean([float(row[column]) for row in rows]), estimates[n, list(LABELS).index(label)])
            for n, path in enumerate(real.paths)
            for rows in ([rows for stem, rows in known.items() if stem.endswith(path.stem)][:1])
        ]
        told, read = np.array(pairs).T
        place = list(LABELS).index(label)
        found[label] = {
            "pictures": len(pairs),
            "correlation": float(np.corrcoef(told, read)[0, 1]),
            "sd": {"told": float(told.std()), "estimated": float(read.std())}
            | {name: float(one.labels[:, place].std()) for name, one in sets.items()},
        }
    return found


def sheet(real: Real, sets: dict[str, Renders], path: Path, rows: int = 8, columns: int = 8) -> None:
    """Draw some of each set side by side."""
    blocks = []
    for pictures in (real.pictures, *(found.pictures for found in sets.values())):
        pictures = pictures[: rows * columns]
        pictures = torch.cat([pictures, pictures.new_ones(rows * columns - len(pictures), *pictures.shape[1:])])
        grid = pictures.unflatten(0, (rows, columns)).permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
        blocks += [grid, grid.new_ones(len(grid), 12, 3)]
    Image.fromarray((255 * torch.cat(blocks[:-1], 1)).round().byte().numpy()).save(path)


def markdown(name: str, result: dict) -> str:
    first = next(iter(result["rows"].values()))
    lines = [
        f"# {name}: coverage of real pictures before and after matching",
        "",
        f"{result['real']} real pictures and {result['renders']} renders a set at {result['size'][0]} x "
        f"{result['size'][1]} px; draws of {first['count']} a side, k = 5, raw renders (no refiner). In brackets 95 % "
        "of random draws; the floor is one half of the real set over the other.",
        "",
        f"| space | | {' | '.join(result['rows'])} | floor |",
        "|---|---|" + "---|" * (len(result["rows"]) + 1),
    ]
    names = list(result["rows"])
    for space, rows in first["spaces"].items():
        for measure, floor in (("coverage", "coverage floor"), ("density", "density floor"), ("vendi", "vendi real")):
            cells = [interval(result["rows"][name]["spaces"][space][measure]) for name in names] + [
                interval(rows[floor])
            ]
            lines.append(f"| {space} | {measure} | {' | '.join(cells)} |")
    lines += ["", f"| factor, distance in sd of the real set | {' | '.join(names)} | floor |"]
    lines += ["|---|" + "---|" * (len(names) + 1)]
    later = [{row["name"]: row["distance"] for row in result["rows"][name]["factors"]} for name in names]
    for row in first["factors"]:
        cells = [interval(rows[row["name"]]) for rows in later] + [interval(row["floor"])]
        lines.append(f"| {row['name']} | {' | '.join(cells)} |")
    for when in names:
        lines += ["", f"What differs {when}:", ""]
        lines += [f"- {finding['sentence']}" for finding in result["rows"][when]["findings"]]
    if "match" in result:
        lines += ["", "| fitted | R² | before | after | 95 % of the mean |", "|---|---|---|---|---|"]
        for fit in result["match"]["fits"]:
            then = fit["after"]
            ends = [f"{part['mean']:.3g}" for part in fit["interval"] or []]
            after = f"{then['mean']:.3g} ± {then['sd']:.2g}" if then else "stays"
            before = f"{fit['before']['mean']:.3g} ± {fit['before']['sd']:.2g}"
            lines.append(f"| {fit['path']} | {fit['estimator_r2']:.2f} | {before} | {after} | {' to '.join(ends)} |")
    for label, row in result.get("check", {}).items():
        spread = ", ".join(f"{key} {value:.1f}" for key, value in row["sd"].items())
        lines += [
            "",
            f"{label} of {row['pictures']} real pictures against the table's: correlation of the estimates "
            f"{row['correlation']:+.2f}; standard deviations in degrees: {spread}.",
        ]
    facts = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    return "\n".join([*lines, "", f"`{result['command']}`", "", f"{facts}, seed {result['seed']}", ""])


def interval(row: dict) -> str:
    return f"{row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of the result")
    parser.add_argument("--real", required=True, type=Path)
    parser.add_argument("--before", required=True, type=Path, metavar="DATASET")
    parser.add_argument("--after", type=Path, metavar="DATASET")
    parser.add_argument("--match", type=Path, metavar="DIR")
    parser.add_argument("--labels", type=Path, metavar="CSV")
    parser.add_argument(
        "--exclude", nargs="*", default=[], metavar="WORD", help="leave out files with these in the name"
    )
    parser.add_argument("--most", type=int, default=800, help="real pictures to look at")
    parser.add_argument("--sheet", type=Path, metavar="PNG")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    told = [f"--{key} {getattr(args, key).name}" for key in ("real", "before", "after", "match") if getattr(args, key)]
    args.shown = f"python benchmarks/gap/coverage.py {args.name} {' '.join(told)}"
    return args


if __name__ == "__main__":
    main()
