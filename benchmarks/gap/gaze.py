"""Gaze from ours alone: across generators, and on people who look into the lens. No real angles are at hand.

    python benchmarks/gap/gaze.py --ours OURS --syntheseyes DIR --frontal DIR -o OUT

OURS is a dataset of the scene `eye`. --syntheseyes holds NAME_N_PITCH_YAW.png in radians (SynthesEyes, synthetic too: a
test across generators). --frontal holds crops of eyes named SOURCE_..._{L,R}.png with index.csv; of those whose source
is --source (portraits of people who look into the lens) and whose head is turned less than --most degrees, the
prediction's mean, which ought to be the camera, and its spread are told. The mean of a network that always says the
middle would be right too: so its error on our own held-out pictures stands beside.

Right eyes are mirrored, so that all are left ones, and each set is cut to its middle (--crops), so that eyes fill
about as much of every picture. Writes OUT.md and OUT.json.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import facewright
import facewright.dataset
from facewright.truth import pitch_yaw
from facewright_refiner.readers import Entry, Labelled, Real
from facewright_refiner.readers.base import read_picture
from facewright_refiner.tasks import Budget, marks, predict, task_named, train
from facewright_refiner.tasks.intervals import draws, interval

HELD = 0.15
"""Share of our persons that are held out."""


def cropped(item: Labelled, part: float, mirrored: bool) -> Labelled:
    """Return the middle `part` of a picture, mirrored with its gaze where it is a right eye."""
    height, width = item.picture.shape[:2]
    h, w = round(height * part), round(width * part)
    y, x = (height - h) // 2, (width - w) // 2
    picture = item.picture[y : y + h, x : x + w]
    gaze = item.gaze * np.array([1, -1 if mirrored else 1]) if item.gaze is not None else np.zeros(2)
    return Labelled(item.name, picture[:, ::-1] if mirrored else picture, gaze=gaze)


def made(name: str, rows: list[tuple[str, Labelled]]) -> Real:
    """Return pictures that are in memory as the tasks take them: (group, picture) each."""
    return Real(name, [Entry(item.name, group, "", lambda item=item: item) for group, item in rows])


def ours(folder: Path, part: float) -> tuple[Real, Real]:
    """Return our eyes to train on, and those of the persons held out."""
    dataset = facewright.dataset.open(folder, ["rgb"])
    rows = []
    for frame in dataset:
        item = Labelled(str(frame.sample.index), frame.rgb, gaze=np.array(pitch_yaw(frame.truth.gaze)))
        group = str(frame.sample.subject_index)
        rows.append((group, cropped(item, part, frame.truth.target == "right_eye")))
    people = list(dict.fromkeys(group for group, _ in rows))
    held = set(people[: round(len(people) * HELD)])
    return made("ours", [r for r in rows if r[0] not in held]), made("held out", [r for r in rows if r[0] in held])


def syntheseyes(folder: Path, part: float) -> Real:
    """Return SynthesEyes' pictures with the angles of their names."""
    rows = []
    for path in sorted(folder.glob("*.png")):
        *_, pitch, yaw = path.stem.split("_")
        item = Labelled(path.stem, read_picture(path), gaze=np.array([float(pitch), float(yaw)]))
        rows.append((path.stem, cropped(item, part, mirrored=False)))
    return made("syntheseyes", rows)


def frontal(folder: Path, source: str, most_deg: float, count: int, part: float) -> Real:
    """Return crops of one source whose head is turned less than `most_deg`, evenly chosen."""
    with (folder / "index.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["source"] == source]
    rows = [row for row in rows if max(abs(float(row["head_yaw"])), abs(float(row["head_pitch"]))) < most_deg]
    chosen = [rows[n] for n in np.unique(np.linspace(0, len(rows) - 1, count).round().astype(int))]
    found = []
    for row in chosen:
        name = Path(row["file"]).stem
        item = Labelled(name, read_picture(folder / row["file"]))
        found.append((name[:-2], cropped(item, part, name.endswith("_R"))))
    return made("frontal", found)


def told(values: np.ndarray) -> dict[str, float]:
    """Return an interval as a dict of rounded numbers."""
    return {key: round(float(value), 2) for key, value in interval(values)._asdict().items()}


def main() -> None:
    """Train, test, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours", type=Path, required=True)
    parser.add_argument("--syntheseyes", type=Path, required=True)
    parser.add_argument("--frontal", type=Path, required=True)
    parser.add_argument("--source", default="scut_fbp5500")
    parser.add_argument("--most", type=float, default=6.0)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--crops", type=float, nargs=3, default=(0.75, 1.0, 0.8), help="of ours, theirs, photographs")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sheet", type=Path, help="a PNG of photographs with their predictions; not for publication")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    training, held = ours(args.ours, args.crops[0])
    tests = {
        "ours, persons held out": held,
        "SynthesEyes": syntheseyes(args.syntheseyes, args.crops[1]),
        "people who look into the lens": frontal(args.frontal, args.source, args.most, args.count, args.crops[2]),
    }
    rows = []
    for net in ("lenet", "resnet"):
        task = task_named("gaze", net=net)
        data = task.prepare(training)
        nets = [train(task, data, Budget(steps=args.steps), seed) for seed in range(args.seeds)]
        for name, real in tests.items():
            test = task.prepare(real)
            table = np.stack([marks(task, found, test) for found in nets])
            angles = np.degrees(np.stack([predict(found, test.pictures).numpy() for found in nets]))
            mean = angles.mean(0)
            truth = np.degrees(test.targets.numpy())
            found = draws({"e": table}, test.groups, task.score)["e"]
            middle = np.degrees(data.targets.numpy()).mean(0)
            idle = float(np.linalg.norm(truth - middle, axis=1).mean())
            row = {
                "net": net,
                "set": name,
                "pictures": len(test),
                "error_deg": told(found),
                "constant_deg": round(idle, 2),
            }
            for axis, word in enumerate(("pitch", "yaw")):
                bias = np.stack([table[..., 3 + axis], np.ones(table.shape[:2])], -1)
                row[f"{word}_bias_deg"] = told(draws({"b": bias}, test.groups, lambda s: s[..., 0] / s[..., 1])["b"])
                row[f"{word}_sd_deg"] = round(float((mean - truth)[:, axis].std()), 2)
                if truth[:, axis].std() > 0:
                    row[f"{word}_r"] = round(float(np.corrcoef(mean[:, axis], truth[:, axis])[0, 1]), 2)
            rows.append(row)
            print(row, flush=True)
            if args.sheet and net == "resnet" and "lens" in name:
                sheet(test.pictures.numpy(), np.radians(mean), args.sheet)
    write(args, rows, len(training))


def sheet(pictures: np.ndarray, angles: np.ndarray, path: Path, count: int = 40) -> None:
    """Draw the gaze on some pictures, to be looked at."""
    from facewright_refiner.gap_page import drawn

    tiles = [drawn({}, p.transpose(1, 2, 0).copy(), a) for p, a in zip(pictures[:count], angles[:count], strict=True)]
    Image.fromarray(np.vstack([np.hstack(tiles[n : n + 8]) for n in range(0, count, 8)])).save(path)


def write(args: argparse.Namespace, rows: list[dict], trained: int) -> None:
    """Write OUT.md and OUT.json."""
    about = {
        "trained_on": trained,
        "steps": args.steps,
        "seeds": args.seeds,
        "crops": list(args.crops),
        "facewright": facewright.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, 1 thread",
        "recipe": facewright.dataset.open(args.ours).card.digest,
    }
    args.output.with_suffix(".json").write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    lines = [
        "# Gaze, trained on ours alone",
        "",
        f"{trained} of our eyes, {args.steps} steps, {args.seeds} seeds. Degrees with 95 % intervals over pictures and "
        "seeds. *Constant* is the error of always saying the training set's mean; *sd* and *r* are of the seeds' mean.",
        "",
        "| net | tested on | pictures | error | constant | pitch bias | sd | r | yaw bias | sd | r |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [row["net"], row["set"], row["pictures"], shown(row["error_deg"]), row["constant_deg"]]
        for word in ("pitch", "yaw"):
            cells += [shown(row[f"{word}_bias_deg"]), row[f"{word}_sd_deg"], row.get(f"{word}_r", "–")]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += ["", ", ".join(f"{key} {value}" for key, value in about.items()), ""]
    args.output.with_suffix(".md").write_text("\n".join(lines))


def shown(found: dict[str, float]) -> str:
    """Return "value [low, high]"."""
    return f"{found['value']:.1f} [{found['low']:.1f}, {found['high']:.1f}]"


if __name__ == "__main__":
    main()
