"""How much nearer to real pictures does the sensor bring renders, does it move anything, and how fast is it?

    python benchmarks/refiner_sensor.py --synthetic DATASET --real DIR [--crop 0.8] [--profiles webcam phone]
        [--evaluations 400] [--name eyes]

Rows: the render as it is (identity), built-in profiles, and a profile fitted to two thirds of the real pictures. All
distances and classifiers see the held-out third only. The floor is one half of it against the other. Writes
benchmarks/results/refiner_sensor_NAME.json and .md: numbers only, never pictures.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from dataclasses import replace
from pathlib import Path

import kornia
import numpy as np
import torch

from facewright.dist import Constant
from facewright_refiner import drift, fit, sensor
from facewright_refiner.apply import to_image
from facewright_refiner.parameters import neutral
from facewright_refiner.pictures import read_pictures
from facewright_refiner.profile import Profile, View, builtin_profiles, draw
from facewright_refiner.realism import Reference, two_sample

SIZES = (128, 256, 512)


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    base = Profile.load(args.profiles[0])
    base = replace(base, view=View(args.crop))
    fitted = fit.fit_sensor(
        args.real,
        args.synthetic,
        base=base,
        evaluations=args.evaluations,
        budget_s=args.budget,
        field_mm=args.field_mm,
        seed=args.seed,
        progress=print,
    )
    flags = {name: Constant(True) for name in ("gray", "equalise") if name in fitted.profile.dists}
    profiles = {"identity": Profile("identity", dists=flags)}
    profiles |= {name: Profile.load(name) for name in args.profiles}
    profiles = {name: replace(p, dists={**p.dists, **flags}) for name, p in profiles.items()}
    profiles["fitted"] = fitted.profile

    pictures = read_pictures(args.real, fit.MOST_REAL, args.seed)
    size = fit.common_size(pictures, fitted.profile.view)
    held = fit.held_out(pictures.groups)
    real = fit.real_views(pictures, size, args.seed)[held]
    groups = [group for group, out in zip(pictures.groups, held.tolist(), strict=True) if out]
    scenes = fit.scenes_of(args.synthetic, fitted.profile.view, size, args.field_mm, args.seed)
    reference = Reference(real)
    rows = {name: measure(profile, scenes, real, groups, reference) for name, profile in profiles.items()}
    half = fit.halves(groups)
    sides = [
        [group for group, first in zip(groups, half.tolist(), strict=True) if first is side] for side in (True, False)
    ]
    rows["floor"] = {**distances(Reference(real[half]), real[~half]), **judged(real[half], real[~half], *sides)}
    speed = {name: {size: rate(profile, size) for size in SIZES} for name, profile in profiles.items()}
    result = {
        "name": args.name,
        "real": len(real),
        "synthetic": len(scenes),
        "size": list(size[::-1]),
        "fit": dict(fitted.profile.fit),
        "notes": list(fitted.notes),
        "rows": rows,
        "images_per_second": speed,
        "machine": machine(args.threads),
    }
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"refiner_sensor_{args.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    text = markdown(result)
    (folder / f"refiner_sensor_{args.name}.md").write_text(text)
    print(text)


def measure(profile: Profile, scenes: list, real: torch.Tensor, groups: list[str], reference: Reference) -> dict:
    """Return the row of a profile; its cameras are drawn under a seed that the fit did not use."""
    seed = 1000
    made = fit.photographs(profile, scenes, seed)
    plain = torch.cat([sensor.apply(scene.light, [neutral()]) for scene in scenes])
    found = [drift.compare(*(to_image(x[n : n + 1])[0] for x in (plain, made))) for n in range(len(scenes))]
    whole = np.array([item.whole for item in found])
    cameras = [draw(profile, seed, scene.index, px_per_mm=scene.px_per_mm) for scene in scenes]
    in_sensor = whole * [camera.scale for camera in cameras]
    row = distances(reference, made) | judged(made, real, [str(n) for n in range(len(made))], groups)
    return row | {
        "drift_px": quantiles(whole),
        "drift_sensor_px": quantiles(in_sensor),
        "edges": round(float(np.nanmedian([item.edges for item in found])), 3),
    }


def distances(reference: Reference, made: torch.Tensor) -> dict:
    found = reference.distances(made)
    return {
        "swd": [round(x, 4) for x in found.swd],
        "psd": round(found.psd, 4),
        "lab": round(found.lab, 4),
        "tone": round(found.tone, 4),
    }


def judged(a: torch.Tensor, b: torch.Tensor, a_groups: list[str], b_groups: list[str]) -> dict:
    tests = {judge: two_sample(a, b, judge=judge, groups=(a_groups, b_groups)) for judge in ("features", "cnn")}
    return {
        f"c2st_{judge}": {key: round(value, 3) for key, value in test._asdict().items()}
        for judge, test in tests.items()
    }


def quantiles(values: np.ndarray) -> list[float]:
    return [round(float(value), 3) for value in np.nanpercentile(values, [50, 95])]


def rate(profile: Profile, size: int) -> float:
    """Return photographs per second of size x size px frames at the sensor's full resolution."""
    light = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    cameras = [draw(profile, 0, index) for index in range(9)]
    times = []
    with torch.inference_mode():
        for camera in cameras:
            start = time.perf_counter()
            sensor.apply(light, [camera])
            times.append(time.perf_counter() - start)
    return round(1 / float(np.median(times)), 1)


def machine(threads: int) -> dict:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "threads": threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "kornia": kornia.__version__,
        "numpy": np.__version__,
    }


def markdown(result: dict) -> str:
    lines = [
        f"# Sensor refiner: {result['name']}",
        "",
        f"{result['synthetic']} synthetic frames against {result['real']} held-out real pictures at "
        f"{result['size'][0]} x {result['size'][1]} px. C2ST: balanced accuracy (AUC); 0.5 is chance.",
        "",
        "| | SWD fine/mid/coarse | PSD | Lab | tone | C2ST features | C2ST CNN | drift px med/p95 | sensor px |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in result["rows"].items():
        judges = [
            f"{row[key]['accuracy']:.2f} ± {row[key]['se']:.2f} ({row[key]['auc']:.2f})"
            for key in ("c2st_features", "c2st_cnn")
        ]
        moved = [" / ".join(map(str, row[key])) if key in row else "" for key in ("drift_px", "drift_sensor_px")]
        lines.append(
            f"| {name} | {' / '.join(f'{x:.3f}' for x in row['swd'])} | {row['psd']:.3f} | {row['lab']:.3f} | "
            f"{row['tone']:.2f} | {' | '.join(judges)} | {' | '.join(moved)} |"
        )
    sizes = " | ".join(f"{size} px" for size in SIZES)
    lines += ["", f"| images/s, drift check apart | {sizes} |", "|---|---|---|---|"]
    lines += [
        f"| {name} | " + " | ".join(f"{value:g}" for value in speed.values()) + " |"
        for name, speed in result["images_per_second"].items()
    ]
    facts = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    return "\n".join([*lines, "", facts, ""])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synthetic", required=True, type=Path, help="a dataset, or a folder of pictures")
    parser.add_argument("--real", required=True, type=Path, help="a folder of real pictures; nothing of them is kept")
    parser.add_argument("--field-mm", type=float, default=0.0, help="what the width of a picture spans at the subject")
    parser.add_argument("--crop", type=float, default=1.0, help="share of a frame's width that real ones show")
    parser.add_argument("--profiles", nargs="+", default=["webcam", "phone"], choices=builtin_profiles())
    parser.add_argument("--evaluations", type=int, default=400)
    parser.add_argument("--budget", type=float, default=300.0, help="seconds for the fit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--name", default="trial")
    return parser.parse_args()


if __name__ == "__main__":
    main()
