"""How real do our pictures look, and how much of the real ones do they cover? Beside other generators'.

    python benchmarks/realism.py eye --real DIR --sets before=DATASET after=DATASET unityeyes=FOLDER ...
        [--exclude scut] [--evaluations 300] [--width 64]

Every set is a Facewright dataset or a folder of pictures. Each is shown as it is and, if it is ours, through a sensor
that is fitted to one third of the real pictures' groups; everything is judged on the other real ones, at equal numbers.
Writes benchmarks/results/NAME_realism.json and .md: numbers only, never pictures.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
from refiner_sensor import distances, machine

import facewright
from facewright.dataset.reader import Dataset
from facewright_refiner import fit, sensor
from facewright_refiner.apply import linear_of, srgb_to_linear, to_tensor
from facewright_refiner.diversity import coverage, layouts, looks
from facewright_refiner.parameters import neutral
from facewright_refiner.pictures import Pictures, groups_of, read_pictures
from facewright_refiner.profile import Profile, View
from facewright_refiner.realism import Reference, two_sample

K = 5
SPLITS = 5
"""Random draws of equal numbers over which coverage is averaged."""


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    pictures = without(read_pictures(args.real, args.most, args.seed), args.exclude)
    size = fit.common_size(pictures, View())
    if args.width:
        size = round(size[0] * args.width / size[1]), args.width
    held = fit.held_out(pictures.groups)
    everything = fit.real_views(pictures, size, args.seed)
    real = everything[~held]  # the sensor is fitted to a third, judged on two thirds
    groups = [group for group, out in zip(pictures.groups, held.tolist(), strict=True) if not out]
    reference = Reference(real)
    rows, sets = {}, {}
    for text in args.sets:
        name, _, folder = text.partition("=")
        ours = (Path(folder) / "dataset.json").is_file()
        sets[name] = folder, ours, list(lights_of(folder, ours))
    count = min(len(real), *(len(lights) for _, _, lights in sets.values()))
    for name, (folder, ours, lights) in sets.items():
        lights = lights[:: max(1, len(lights) // count)][:count]
        people = [person for _, _, person in lights]
        scenes = [scene_of(light, px_per_mm, n, size) for n, (light, px_per_mm, _) in enumerate(lights)]
        plain = torch.cat([sensor.apply(scene.light, [neutral()]) for scene in scenes])
        rows[name] = judge(plain, people, real, groups, reference)
        if ours and args.evaluations:
            profile = fitted(args, folder, pictures, held)
            rows[f"{name}, fitted sensor"] = judge(
                fit.photographs(profile, scenes, 1000), people, real, groups, reference
            )
        print(name, rows[name], flush=True)
    half = fit.halves(groups)
    sides = [[g for g, first in zip(groups, half.tolist(), strict=True) if first is side] for side in (True, False)]
    rows["real, other half"] = judge(real[~half], sides[1], real[half], sides[0], Reference(real[half]))
    result = {"real": len(real), "size": list(size[::-1]), "rows": rows, "machine": machine(args.threads)}
    folder = Path(__file__).parent / "results"
    (folder / f"{args.name}_realism.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / f"{args.name}_realism.md").write_text(markdown(args.name, result))
    print(markdown(args.name, result))


def without(pictures: Pictures, words: list[str]) -> Pictures:
    keep = [n for n, path in enumerate(pictures.paths) if not any(word in path.name for word in words)]
    paths = [pictures.paths[n] for n in keep]
    return pictures._replace(paths=paths, images=[pictures.images[n] for n in keep], groups=groups_of(paths))


def lights_of(folder: str, ours: bool):
    """Yield (linear light (H, W, 3), px per mm, person) of a dataset or of a folder of pictures."""
    if ours:
        frames: Dataset = facewright.dataset.open(folder, ["rgb", "linear"])
        for frame in frames:
            light = linear_of(frame)
            yield light, light.shape[1] / frame.sample.camera.field_mm, str(frame.sample.subject_index)
    else:
        found = read_pictures(folder, 2000)
        for image, group in zip(found.images, found.groups, strict=True):
            yield srgb_to_linear(image), 0.0, group


def scene_of(light, px_per_mm: float, number: int, size: tuple[int, int]) -> fit.Scene:
    """Return a picture's middle in the shape of the real ones, at their size."""
    height, width = light.shape[:2]
    h = min(height, width * size[0] // size[1])
    w = min(width, height * size[1] // size[0])
    y, x = (height - h) // 2, (width - w) // 2
    whole, matrix = sensor.view(to_tensor([light[y : y + h, x : x + w]]), View(), size)
    return fit.Scene(whole, px_per_mm * float(matrix[0, 0]), number)


def fitted(args: argparse.Namespace, folder: str, pictures: Pictures, held: torch.Tensor) -> Profile:
    """Return the webcam profile fitted to the held third of the real pictures."""
    scratch = Path(args.scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    for path, chosen in zip(pictures.paths, held.tolist(), strict=True):
        link = scratch / path.name
        if chosen and not link.exists():
            link.symlink_to(path.resolve())
    found = fit.fit_sensor(
        scratch,
        folder,
        base=replace(Profile.load("webcam"), view=View()),
        evaluations=args.evaluations,
        budget_s=args.budget,
        seed=args.seed,
        progress=lambda event: None,
    )
    return found.profile


def judge(made: torch.Tensor, people: list[str], real: torch.Tensor, groups: list[str], reference: Reference) -> dict:
    row = distances(reference, made)
    for name in ("features", "cnn"):
        row[f"c2st_{name}"] = two_sample(made, real, judge=name, groups=(people, groups))._asdict()
    count = min(len(made), len(real))
    both = torch.cat([real, made])
    spaces = {"look": looks(both, real), "layout": layouts(both, real)}
    for name, space in spaces.items():
        found = []
        for split in range(SPLITS):
            random = torch.Generator().manual_seed(split)
            a = torch.randperm(len(real), generator=random)[:count]
            b = len(real) + torch.randperm(len(made), generator=random)[:count]
            found.append(coverage(space[a], space[b], K))
        row[f"coverage_{name}"] = [sum(f[i] for f in found) / SPLITS for i in (0, 1)]
    return row | {"count": count}


def markdown(name: str, result: dict) -> str:
    lines = [
        f"# {name}: how real, and how much of the real they cover",
        "",
        f"{result['real']} real crops at {result['size'][0]} x {result['size'][1]} px, none of which the fitted "
        "sensors saw. C2ST: balanced accuracy ± standard error; 0.5 is chance. Coverage / density: k = 5, equal N.",
        "",
        "| set | n | C2ST features | C2ST CNN | coverage of looks | coverage of layouts | SWD fine/mid/coarse | PSD |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for set_name, row in result["rows"].items():
        judges = [f"{row[k]['accuracy']:.2f} ± {row[k]['se']:.2f}" for k in ("c2st_features", "c2st_cnn")]
        reach = [" / ".join(f"{x:.2f}" for x in row[k]) for k in ("coverage_look", "coverage_layout")]
        swd = " / ".join(f"{x:.2f}" for x in row["swd"])
        lines.append(
            f"| {set_name} | {row['count']} | {' | '.join(judges)} | {' | '.join(reach)} | {swd} | {row['psd']:.2f} |"
        )
    facts = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    return "\n".join([*lines, "", facts, ""])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of the result, e.g. eye or face")
    parser.add_argument("--real", required=True, type=Path, help="a folder of real pictures; nothing of them is kept")
    parser.add_argument("--sets", required=True, nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--exclude", nargs="*", default=[], help="leave out real files whose names hold these words")
    parser.add_argument("--width", type=int, help="judge at this width in px instead of the real pictures' own")
    parser.add_argument("--most", type=int, default=2000, help="real pictures to read")
    parser.add_argument("--evaluations", type=int, default=300)
    parser.add_argument("--budget", type=float, default=240.0, help="seconds for each fit")
    parser.add_argument("--scratch", default="/tmp/realism", help="where links to the fit's pictures are put")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
