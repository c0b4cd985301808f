"""How many samples does an eye need? Error against a reference with 16 times the samples; frames.py has the times.

    python benchmarks/eye_noise.py [--frames 3] [--scale 0.5] [--samples 8 16 24 48]

Every picture is denoised and encoded as it would be written; the reference has 16 times the default samples, without
adaptive stopping. RMSE is over sRGB values in [0, 1]. Writes benchmarks/results/eye_noise.json and .md.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

import numpy as np

from facewright import Recipe, sample
from facewright.scene import CyclesRenderer

DEFAULT = 24
SIZES = {"eye_rgb": (640, 480), "eye_nir": (400, 640)}
"""Native width and height of each recipe."""


class Reference(CyclesRenderer):
    """Samples every pixel to the end."""

    def _settings(self, scene, sample) -> None:
        super()._settings(scene, sample)
        scene.cycles.use_adaptive_sampling = False


def main() -> None:
    args = arguments()
    rows = []
    for recipe, native in SIZES.items():
        width, height = (round(args.scale * n) for n in native)
        size = [f"image.width={width}", f"image.height={height}"]
        for index in range(args.frames):
            truth = render(Reference, recipe, [*size, f"image.samples={16 * DEFAULT}"], index)
            for count in args.samples:
                picture = render(CyclesRenderer, recipe, [*size, f"image.samples={count}"], index)
                error = float(np.sqrt(np.square(picture - truth).mean()))
                rows.append(
                    {"recipe": recipe, "size": [width, height], "index": index, "samples": count, "rmse": error}
                )
                print(rows[-1], flush=True)
            write({"rows": rows, "machine": machine()})


def write(result: dict) -> None:
    folder = Path(__file__).parent / "results"
    (folder / "eye_noise.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "eye_noise.md").write_text(markdown(result))


def render(kind: type[CyclesRenderer], recipe: str, changes: list[str], index: int) -> np.ndarray:
    """Return the sRGB picture (H, W, 3) in [0, 1]."""
    loaded = Recipe.load(recipe, changes)
    with kind(device="cpu") as renderer:
        return renderer(sample(loaded, 0, index), loaded.outputs).rgb / 255.0


def machine() -> dict:
    from bpy.app import version_string

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {"cpu": names[0] if names else platform.processor(), "cores": len(names), "blender": version_string}


def markdown(result: dict) -> str:
    lines = [
        "# Samples per eye",
        "",
        f"RMSE of sRGB values against a reference of {16 * DEFAULT} samples without adaptive stopping, both denoised.",
        "",
        "| recipe | size | samples | frames | RMSE mean | RMSE worst |",
        "|---|---|---|---|---|---|",
    ]
    for name, samples in sorted({(row["recipe"], row["samples"]) for row in result["rows"]}):
        rows = [row for row in result["rows"] if (row["recipe"], row["samples"]) == (name, samples)]
        error = [row["rmse"] for row in rows]
        size = "x".join(map(str, rows[0]["size"]))
        lines.append(f"| {name} | {size} | {samples} | {len(rows)} | {np.mean(error):.4f} | {max(error):.4f} |")
    return "\n".join([*lines, "", ", ".join(f"{k} {v}" for k, v in result["machine"].items()), ""])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of the native size")
    parser.add_argument("--samples", type=int, nargs="+", default=[8, 16, DEFAULT, 48])
    return parser.parse_args()


if __name__ == "__main__":
    main()
