"""Refiners in one table: how real are their pictures, and what did they move?

    python benchmarks/refiner/compare.py --test DATASET --train DATASET --real DIR --pool DIR
        --refiners identity webcam my.yaml reinhard fda simgan=run/refiner.safetensors+my.yaml ... [--name eyes]

`--test` holds renders that no refiner was trained on, `--train` those that refiners and detector may know; `--real` are
held-out real pictures, `--pool` those that refiners were trained on. All are seen at --width x --height px. Realism is
against `--real` only; KID, the kernel distance, is on features of an encoder that taught itself on `--pool` and the
renders of `--train` (encoder.py). A refiner's first part works on the render, a profile after "+" photographs its
result.

Drift is measured three ways: by a detector of irises (detector.py) as the shift of its centre, less that of a control
that has the same photometry and has not moved (drift.control); by registration (drift.compare), of pupils and, in
faces, landmarks; and as the detector's error against the exact label, before and after. The detector sees eyes: of a
face, a window round each. Shifts are scaled to an eye 55 px wide. Writes results/refiner_NAME.json and .md: numbers
only. A sheet of pictures goes where --sheet says.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))
import detector as detectors
from refiner_sensor import machine

import facewright.dataset
from facewright.refining import TRANSFERS, split_spec
from facewright_refiner import drift, guides, sensor
from facewright_refiner.apply import srgb_to_linear, to_image, to_tensor
from facewright_refiner.checkpoint import load_checkpoint
from facewright_refiner.encoder import encode, train_encoder
from facewright_refiner.learned import refine_image, resample
from facewright_refiner.pictures import read_pictures
from facewright_refiner.profile import Profile, View, draw
from facewright_refiner.realism import Reference, interval, kernel_distance, scores, two_sample
from facewright_refiner.transfer import METHODS, transferred

EYE_PX = 55
SEED = 4000
DRAWS = 20
"""Bootstrap draws of distances, over whole people."""
FOLDS = 2
"""Seeds of the folds and of the classifier over which a two-sample test is averaged."""
MOST_REAL = 400
SHEET_PX = 1920


BOX = (64, 40)
"""Width and height in px of the window round an eye of a face 256 px wide: 1.7 widths of the eye, as eye pictures."""


class Eye(NamedTuple):
    """An eye of a render: the window (rows, columns) that shows it, px of its width, the iris's place in the window."""

    window: tuple[slice, slice]
    px: float
    iris: np.ndarray


class Render(NamedTuple):
    """A render in the view: (h, w, 3) uint8, its guide, px per mm, eyes, drift's windows, person."""

    image: np.ndarray
    guide: np.ndarray
    px_per_mm: float
    eyes: list[Eye]
    windows: dict
    person: str


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    size = (args.height, args.width)
    tests, trains = (renders(folder, size) for folder in (args.test, args.train))
    pictures = read_pictures(args.real, MOST_REAL, 0)
    real = torch.cat([sensor.view(to_tensor([image]), View(), size)[0] for image in pictures.images])
    detector = trained_detector(trains, args.detector_steps)
    encoder = trained_encoder(trains, args.pool, size)
    rows, made = {}, {}
    for name, spec in (named(text) for text in args.refiners):
        start = time.perf_counter()
        made[name] = refined(spec, tests, args.pool)
        seconds = time.perf_counter() - start
        rows[name] = {
            "spec": "+".join(Path(part).name for part in split_spec(spec) if part),
            "images_per_second": round(len(tests) / seconds, 1),
            "realism": realism(made[name], tests, real, pictures.groups, encoder),
            "drift": moved(made[name], tests, detector),
        }
        print(name, json.dumps(rows[name]), flush=True)
    result = {
        "name": args.name,
        "command": " ".join(["python", *(re.sub(r"[^=+ ]*/", "", word) for word in sys.argv)]),
        "test": len(tests),
        "people": len({render.person for render in tests}),
        "real": len(real),
        "size": [args.width, args.height],
        "floor": floor(real, pictures.groups, encoder),
        "rows": rows,
        "machine": machine(args.threads),
    }
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"refiner_{args.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / f"refiner_{args.name}.md").write_text(markdown(result))
    print(markdown(result))
    if args.sheet:
        sheet(args.sheet, tests, made, real)


def named(text: str) -> tuple[str, str]:
    name, mark, spec = text.partition("=")
    return (name, spec) if mark else (Path(text).stem, text)


def renders(folder: Path, size: tuple[int, int]) -> list[Render]:
    """Return the renders of a dataset in the view, the middle of each; those that show no iris are left out."""
    found = []
    for frame in facewright.dataset.open(folder, ["rgb", *guides.LAYERS]):
        picture, matrix = sensor.view(to_tensor([frame.rgb]), View(), size)
        guide = resample(guides.guide_of(frame.layers), size)
        scale = float(matrix[0, 0])
        windows = {
            name: [
                (matrix[:2, :2] @ centre + matrix[:2, 2], max(drift.LEAST_WINDOW, half * scale))
                for centre, half in places
            ]
            for name, places in drift.windows_of(frame).items()
        }
        eyes = eyes_of(frame, guide, matrix)
        if eyes:
            px_per_mm = frame.rgb.shape[1] / frame.sample.camera.field_mm * scale
            person = str(frame.sample.subject_index)
            found.append(Render(to_image(picture)[0], guide, px_per_mm, eyes, windows, person))
    return found


def eyes_of(frame: Any, guide: np.ndarray, matrix: np.ndarray) -> list[Eye]:
    """Return the eyes whose iris shows: the target's in the whole picture, or those of a face in windows."""
    height, width = guide.shape[1:]
    found = []
    for name, eye in frame.truth.eyes.items():
        corners = eye.lid_upper_2d[[0, -1]] @ matrix[:2, :2].T + matrix[:2, 2]
        px = float(np.linalg.norm(corners[1] - corners[0]))
        window = (slice(0, height), slice(0, width))
        if frame.truth.target.endswith("_eye"):
            if name != frame.truth.target.removesuffix("_eye"):
                continue
        else:
            across, down = BOX
            x, y = (round(float(v)) for v in corners.mean(0))
            window = (slice(y - down // 2, y + down // 2), slice(x - across // 2, x + across // 2))
            if min(window[0].start, window[1].start) < 0 or window[0].stop > height or window[1].stop > width:
                continue
        seen = guides.iris_of(guide[:, *window])
        if seen is not None:
            found.append(Eye(window, px, seen[0]))
    return found


def refined(spec: str, tests: list[Render], pool: Path) -> list[np.ndarray]:
    """Return every test render refined, (h, w, 3) uint8; nothing is rejected, so that all drift is seen."""
    first, camera = split_spec(spec if ":" in spec or spec not in TRANSFERS else f"{spec}:{pool}")
    images = [render.image for render in tests]
    if first.endswith(".safetensors"):
        network = load_checkpoint(first)
        images = [refine_image(network, r.image, 1.0, r.guide, (SEED, n)) for n, r in enumerate(tests)]
    elif first.partition(":")[0] in TRANSFERS:
        real = read_pictures(pool, 400, 0).images
        random = np.random.default_rng(SEED)
        method = METHODS[first.partition(":")[0]]
        images = [transferred(method, image, real[random.integers(len(real))]) for image in images]
    elif first != "identity":
        camera = first
    if not camera or camera == "none":
        return images
    profile = Profile.load(camera).within_view()
    with torch.inference_mode():
        return [
            to_image(
                sensor.apply(to_tensor([srgb_to_linear(image)]), [draw(profile, SEED, n, px_per_mm=tests[n].px_per_mm)])
            )[0]
            for n, image in enumerate(images)
        ]


def realism(
    made: list[np.ndarray],
    tests: list[Render],
    real: Tensor,
    groups: list[str],
    encoder: Callable[[Tensor], Tensor],
) -> dict[str, Any]:
    """Return distances and two-sample tests against real pictures, with 95 % intervals over people."""
    pictures = to_tensor(made)
    people = [render.person for render in tests]
    reference = Reference(real)
    found = np.array(reference.distances(pictures).flat())
    random = np.random.default_rng(0)
    places = {name: [n for n, other in enumerate(people) if other == name] for name in sorted(set(people))}
    drawn = []
    for _ in range(DRAWS):
        chosen = random.choice(list(places), len(places))
        drawn.append(reference.distances(pictures[[n for name in chosen for n in places[name]]]).flat())
    low, high = np.percentile(np.array(drawn), [2.5, 97.5], axis=0)
    names = ("swd_fine", "swd_mid", "swd_coarse", "psd", "lab", "tone", "grain")
    row: dict[str, Any] = {
        name: [round(float(x), 4) for x in three] for name, *three in zip(names, found, low, high, strict=True)
    }
    ours, theirs = encoder(pictures), encoder(real)
    drawn = []
    for _ in range(DRAWS):  # of people without replacement: a picture that is there twice would be near itself
        chosen = random.choice(list(places), math.ceil(len(places) * 2 / 3), replace=False)
        drawn.append(kernel_distance(ours[[n for name in chosen for n in places[name]]], theirs))
    row["kid"] = [round(float(x), 4) for x in (kernel_distance(ours, theirs), *np.percentile(drawn, [2.5, 97.5]))]
    for judge in ("features", "cnn"):
        row[f"auc_{judge}"] = tested(pictures, real, judge, (people, groups))
    return row


def tested(a: Tensor, b: Tensor, judge: str, groups: tuple) -> dict[str, Any]:
    """Return accuracy and area under the curve, averaged over FOLDS seeds, and the area's interval over people."""
    results = [two_sample(a, b, judge=judge, groups=groups, seed=seed) for seed in range(FOLDS)]
    low, high = interval(*scores(a, b, judge=judge, groups=groups, seed=0))
    return {
        "accuracy": round(float(np.mean([one.accuracy for one in results])), 3),
        "auc": round(float(np.mean([one.auc for one in results])), 3),
        "auc_95": [round(low, 3), round(high, 3)],
    }


def moved(made: list[np.ndarray], tests: list[Render], detector: detectors.Detector) -> dict[str, Any]:
    """Return what moved: in px of an eye EYE_PX wide, except the overlap."""
    eyes = [(n, eye) for n, render in enumerate(tests) for eye in render.eyes]
    raws, after = (
        np.stack([drift.luma(images[n][eye.window]) for n, eye in eyes])
        for images in ([render.image for render in tests], made)
    )
    controls = np.stack([drift.control(a, b) for a, b in zip(raws, after, strict=True)])
    (before, mask), (now, mask_now), (still, _) = (
        detectors.centres(detector, torch.from_numpy(x).float()[:, None]) for x in (raws, after, controls)
    )
    to_eye = EYE_PX / np.array([eye.px for _, eye in eyes])
    exact = np.stack([eye.iris for _, eye in eyes])
    shift, calm = (np.linalg.norm(x - before, axis=1) * to_eye for x in (now, still))
    registered = [drift.compare(render.image, image, render.windows) for render, image in zip(tests, made, strict=True)]
    of_picture = EYE_PX / np.array([max(eye.px for eye in render.eyes) for render in tests])
    row = {
        "shift": spread(shift),
        "control": spread(calm),
        "excess": spread(np.maximum(0, shift - calm)),
        "registration": spread(np.array([one.pupil for one in registered]) * of_picture),
        "error_before": spread(np.linalg.norm(before - exact, axis=1) * to_eye),
        "error_after": spread(np.linalg.norm(now - exact, axis=1) * to_eye),
        "iou": round(float(np.nanmean(detectors.overlap(mask, mask_now))), 3),
        "edges": round(float(np.nanmedian([one.edges for one in registered])), 3),
    }
    landmarks = np.array([one.landmark for one in registered]) * of_picture
    return row | ({} if np.isnan(landmarks).all() else {"landmarks": spread(landmarks)})


def spread(values: np.ndarray) -> dict[str, Any]:
    """Return mean with its 95 % interval, 95th percentile, and how many could not be measured."""
    known = values[~np.isnan(values)]
    if not len(known):
        raise SystemExit("the detector finds no iris; give more --detector-steps")
    random = np.random.default_rng(0)
    drawn = random.choice(known, (500, len(known)))
    mean_95 = [round(float(x), 3) for x in np.percentile(drawn.mean(1), [2.5, 97.5])]
    p95_95 = [round(float(x), 3) for x in np.percentile(np.percentile(drawn, 95, axis=1), [2.5, 97.5])]
    return {
        "mean": round(float(known.mean()), 3),
        "mean_95": mean_95,
        "p95": round(float(np.percentile(known, 95)), 3),
        "p95_95": p95_95,
        "unknown": int(np.isnan(values).sum()),
    }


def trained_detector(trains: list[Render], steps: int) -> detectors.Detector:
    eyes = [(render, eye.window) for render in trains for eye in render.eyes]
    luma = torch.from_numpy(np.stack([drift.luma(r.image[window]) for r, window in eyes])).float()[:, None]
    iris = torch.from_numpy(np.stack([r.guide[:, *window][guides.IRIS].sum(0) for r, window in eyes]))[:, None]
    return detectors.train(luma, iris, steps, SEED)


def trained_encoder(trains: list[Render], pool: Path, size: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    """Return what takes pictures (N, 3, h, w) to features (N, F), each of deviation 1 among those of its training."""
    shown = read_pictures(pool, MOST_REAL, 0).images
    real = torch.cat([sensor.view(to_tensor([image]), View(), size)[0] for image in shown])
    pictures = torch.cat([real, to_tensor([render.image for render in trains])])
    trunk = train_encoder(pictures, SEED)
    known = encode(trunk, pictures)
    mean, deviation = known.mean(0), known.std(0) + 1e-6
    return lambda given: (encode(trunk, given) - mean) / deviation


def floor(real: Tensor, groups: list[str], encoder: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """Return what one half of the real pictures is from the other."""
    order = {name: n for n, name in enumerate(sorted(set(groups)))}
    half = torch.tensor([order[name] % 2 == 0 for name in groups])
    sides = [[g for g, first in zip(groups, half.tolist(), strict=True) if first is side] for side in (True, False)]
    found = Reference(real[half]).distances(real[~half]).flat()
    names = ("swd_fine", "swd_mid", "swd_coarse", "psd", "lab", "tone", "grain")
    row: dict[str, Any] = {name: round(float(x), 4) for name, x in zip(names, found, strict=True)}
    row["kid"] = round(kernel_distance(encoder(real[half]), encoder(real[~half])), 4)
    for judge in ("features", "cnn"):
        row[f"auc_{judge}"] = tested(real[half], real[~half], judge, (sides[0], sides[1]))
    return row


def sheet(path: Path, tests: list[Render], made: dict[str, list[np.ndarray]], real: Tensor) -> None:
    """Write a sheet: a row for each refiner, the same renders in all, real pictures below."""
    picked = np.linspace(0, len(tests) - 1, 12).round().astype(int)
    rows = [np.concatenate([images[n] for n in picked], 1) for images in made.values()]
    shown = np.linspace(0, len(real) - 1, 12).round().astype(int)
    rows.append(np.concatenate([*to_image(real[shown])], 1))
    picture = Image.fromarray(np.concatenate(rows))
    zoom = min(2.0, SHEET_PX / picture.width)
    picture.resize((round(picture.width * zoom), round(picture.height * zoom)), Image.Resampling.LANCZOS).save(path)


def markdown(result: dict[str, Any]) -> str:
    low = result["floor"]
    shown = [key for key in MOVED if all(key in row["drift"] for row in result["rows"].values())]
    titles = [MOVED[key] for key in shown]
    lines = [
        f"# Refiners: {result['name']}",
        "",
        f"{result['test']} renders of {result['people']} people that no refiner was trained on, against "
        f"{result['real']} held-out real pictures, at {result['size'][0]} x {result['size'][1]} px. AUC: a "
        "classifier's area under the curve in grouped folds, 0.5 is chance; with 95 % intervals over people. "
        "Distances: 0 is equal.",
        "",
        "| | AUC features | AUC CNN | KID | SWD fine / mid / coarse | PSD | Lab | tone | grain |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in result["rows"].items():
        r = row["realism"]
        judges = [f"{r[k]['auc']:.3f} ({r[k]['auc_95'][0]:.2f} to {r[k]['auc_95'][1]:.2f})" for k in JUDGED]
        swd = " / ".join(interval_text(r[k]) for k in ("swd_fine", "swd_mid", "swd_coarse"))
        rest = " | ".join(interval_text(r[k]) for k in ("psd", "lab", "tone", "grain"))
        lines.append(f"| {name} | {' | '.join(judges)} | {interval_text(r['kid'])} | {swd} | {rest} |")
    swd = " / ".join(f"{low[k]:.3f}" for k in ("swd_fine", "swd_mid", "swd_coarse"))
    lines += [
        f"| real, other half | {' | '.join(format(low[k]['auc'], '.3f') for k in JUDGED)} | {low['kid']:.3f} | {swd} | "
        f"{low['psd']:.3f} | {low['lab']:.3f} | {low['tone']:.3f} | {low['grain']:.3f} |",
        "",
        f"What moved, px of an eye {EYE_PX} px wide: mean (95 % interval) / 95th percentile. *Shift* is of the iris's "
        "centre by the benchmark's detector; *control* that of the same photometry unmoved; *excess* the one beyond "
        "the other; *registration* the training-free excess, also of landmarks; *error* the detector's against "
        "the exact label, for the raw render and after refining; *IoU* of the irises it finds before and after.",
        "",
        f"| | {' | '.join(titles)} | IoU | edges | images/s |",
        f"|---|{'---|' * (len(titles) + 3)}",
    ]
    for name, row in result["rows"].items():
        cells = [moved_text(row["drift"][k]) for k in shown]
        cells += [f"{row['drift']['iou']:.3f}", f"{row['drift']['edges']:.3f}", f"{row['images_per_second']:g}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    facts = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    return "\n".join([*lines, "", f"`{result['command']}`", "", facts, ""])


JUDGED = ("auc_features", "auc_cnn")
MOVED = {
    "shift": "shift",
    "control": "control",
    "excess": "excess",
    "registration": "registration",
    "landmarks": "landmarks",
    "error_before": "error raw",
    "error_after": "error refined",
}


def interval_text(three: list[float]) -> str:
    return f"{three[0]:.3f} ({three[1]:.2f} to {three[2]:.2f})"


def moved_text(found: dict[str, Any]) -> str:
    return f"{found['mean']:.2f} ({found['mean_95'][0]:.2f} to {found['mean_95'][1]:.2f}) / {found['p95']:.2f}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--real", type=Path, required=True, help="held-out real pictures; nothing of them is kept")
    parser.add_argument("--pool", type=Path, required=True, help="real pictures that refiners may know")
    parser.add_argument("--refiners", nargs="+", required=True, metavar="[NAME=]SPEC")
    parser.add_argument("--width", type=int, default=80)
    parser.add_argument("--height", type=int, default=48)
    parser.add_argument("--detector-steps", type=int, default=800)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sheet", type=Path, help="where to write a sheet of pictures")
    parser.add_argument("--name", default="trial")
    return parser.parse_args()


if __name__ == "__main__":
    main()
