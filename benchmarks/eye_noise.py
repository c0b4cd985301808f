"""How many samples does an eye need? Error against a reference with 16 times the samples, and the time of each stage.

    python benchmarks/eye_noise.py [--frames 3] [--width 320] [--samples 8 16 24 48]

Every picture is denoised and encoded as it would be written; the reference has 16 times the default samples, without
adaptive stopping. RMSE is over sRGB values in [0, 1]. Writes benchmarks/results/eye_noise.json and .md.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np

from facewright import Recipe, sample
from facewright.scene import CyclesRenderer

DEFAULT = 24


class Reference(CyclesRenderer):
    """Samples every pixel to the end."""

    def _settings(self, scene, sample) -> None:
        super()._settings(scene, sample)
        scene.cycles.use_adaptive_sampling = False


def main() -> None:
    args = arguments()
    rows = []
    for recipe, height in (("eye_rgb", args.width * 3 // 4), ("eye_nir", args.width * 8 // 5)):
        size = [f"image.width={args.width}", f"image.height={height}"]
        for index in range(args.frames):
            truth, _ = render(Reference, recipe, [*size, f"image.samples={16 * DEFAULT}"], index)
            for count in args.samples:
                picture, seconds = render(CyclesRenderer, recipe, [*size, f"image.samples={count}"], index)
                error = float(np.sqrt(np.square(picture - truth).mean()))
                row = {"recipe": recipe, "index": index, "samples": count, "rmse": error, "seconds": seconds}
                rows.append(row)
                print(row, flush=True)
    result = {"width": args.width, "rows": rows, "machine": machine()}
    folder = Path(__file__).parent / "results"
    (folder / "eye_noise.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "eye_noise.md").write_text(markdown(result))
    print(markdown(result))


def render(kind: type[CyclesRenderer], recipe: str, changes: list[str], index: int) -> tuple[np.ndarray, dict]:
    """Return the sRGB picture (H, W, 3) in [0, 1] and its seconds by stage."""
    loaded = Recipe.load(recipe, changes)
    with kind(device="cpu") as renderer:
        start = time.perf_counter()
        frame = renderer(sample(loaded, 0, index), loaded.outputs)
        whole = time.perf_counter() - start
    return frame.rgb / 255.0, {**{k: round(v, 3) for k, v in frame.seconds.items()}, "whole": round(whole, 3)}


def machine() -> dict:
    from bpy.app import version_string

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {"cpu": names[0] if names else platform.processor(), "cores": len(names), "blender": version_string}


def markdown(result: dict) -> str:
    lines = [
        "# Samples per eye",
        "",
        f"Pictures {result['width']} px wide against a reference of {16 * DEFAULT} samples, both denoised: RMSE of "
        "sRGB values, mean and worst over frames; seconds of sampling and of the whole frame.",
        "",
        "| recipe | samples | RMSE mean | RMSE worst | sampling s | whole frame s | whole / sampling |",
        "|---|---|---|---|---|---|---|",
    ]
    for key in sorted({(row["recipe"], row["samples"]) for row in result["rows"]}):
        rows = [row for row in result["rows"] if (row["recipe"], row["samples"]) == key]
        error = [row["rmse"] for row in rows]
        sampling = float(np.mean([row["seconds"]["beauty"] for row in rows]))
        whole = float(np.mean([row["seconds"]["whole"] for row in rows]))
        lines.append(
            f"| {key[0]} | {key[1]} | {np.mean(error):.4f} | {max(error):.4f} | {sampling:.1f} | {whole:.1f} | "
            f"{whole / sampling:.2f} |"
        )
    return "\n".join([*lines, "", ", ".join(f"{k} {v}" for k, v in result["machine"].items()), ""])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=3)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--samples", type=int, nargs="+", default=[8, 16, DEFAULT, 48])
    return parser.parse_args()


if __name__ == "__main__":
    main()
