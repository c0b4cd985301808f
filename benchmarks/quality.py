"""Quality per second: the error of settings of samples, denoiser and bounces against their cost.

    python benchmarks/quality.py [--frames 2] [--repeat 1] [--only eye_rgb]

Every picture is encoded as it would be written; the reference has REFERENCE samples, no adaptive stopping, twice the
bounces, and is denoised too: its own noise would be the largest error in the table otherwise. The error is the RMSE
over sRGB values in [0, 1] where the labels see a person (what lies behind decides no task). Cost is CPU seconds of the
picture's render call with one thread, least of `repeat`: neighbours on the machine only ever add to it. Writes
benchmarks/results/quality.{json,md} and the plot docs/images/quality.svg.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

import numpy as np

from facewright import Recipe, sample
from facewright.figure import build_figure
from facewright.scene import CyclesRenderer
from facewright.schema import Label

ROOT = Path(__file__).resolve().parents[1]
SIZES = {"eye_rgb": (128, 96), "eye_nir": (96, 154), "face": (128, 128)}
"""Width and height of each recipe: a fifth or a quarter of its own, for the reference's sake."""
REFERENCE = 320
DEFAULT = "default"
SETTINGS: dict[str, dict[str, object]] = {
    **{f"{count} samples": {"samples": count} for count in (4, 8, 16, 24, 32, 48, 64)},
    **{f"{count} samples, not denoised": {"samples": count, "use_denoising": False} for count in (16, 64)},
    DEFAULT: {},
    **{
        f"24, {name}": {"samples": 24, **changes}
        for name, changes in {
            **{f"noise target {level:g}": {"adaptive_threshold": level} for level in (0.02, 0.08, 0.16)},
            "no noise target": {"use_adaptive_sampling": False},
            "4 bounces": {"max_bounces": 4, "transmission_bounces": 4},
            "12 bounces, 4 diffuse": {"max_bounces": 12, "diffuse_bounces": 4, "glossy_bounces": 4},
            "2 diffuse": {"diffuse_bounces": 2},
            "1 diffuse, 1 glossy": {"diffuse_bounces": 1, "glossy_bounces": 1},
            "no light tree": {"use_light_tree": False},
            "guides not filtered": {"denoising_prefilter": "NONE"},
            "guides quickly filtered": {"denoising_prefilter": "FAST"},
            "no guides": {"denoising_input_passes": "RGB"},
        }.items()
    },
}


class Changed(CyclesRenderer):
    """Renders with other Cycles settings; notes what the picture took."""

    def __init__(self) -> None:
        super().__init__(device="cpu", threads=1)
        self.changes: dict[str, object] = {}
        self.seconds = 0.0

    def _settings(self, scene, sample) -> None:
        super()._settings(scene, sample)
        for name, value in self.changes.items():
            setattr(scene.cycles, name, value)

    def picture(self, one) -> np.ndarray:
        """Return the sRGB picture (H, W, 3) in [0, 1] of sample `one`."""
        return self(one, ("seg",)).rgb / 255.0

    def _render(self, scene, name):
        start = time.process_time()
        found = super()._render(scene, name)
        if name == "beauty":
            self.seconds = time.process_time() - start
        return found


TRUE = {
    "samples": REFERENCE,
    "use_adaptive_sampling": False,
    "max_bounces": 16,
    "transmission_bounces": 16,
    "diffuse_bounces": 6,
    "glossy_bounces": 6,
    "transparent_max_bounces": 24,
}


def measure(recipe: str, frames: int, repeat: int) -> list[dict]:
    """Return a row for each setting: mean seconds and RMSE over `frames` pictures."""
    width, height = SIZES[recipe]
    loaded = Recipe.load(recipe, [f"image.width={width}", f"image.height={height}"])
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in SETTINGS}
    with Changed() as renderer:
        for index in range(frames):
            one = sample(loaded, 11, index)
            renderer.changes = TRUE
            truth = renderer(one, ("seg",))
            person = ~np.isin(truth.seg, [Label.BACKGROUND])
            for name, changes in SETTINGS.items():
                renderer.changes, seconds = changes, []
                for _ in range(repeat):
                    picture = renderer.picture(one)
                    seconds.append(renderer.seconds)
                error = float(np.sqrt(np.square(picture - truth.rgb / 255.0)[person].mean()))
                found[name].append((min(seconds), error))
                print(f"{recipe} {index} {name:28s} {min(seconds):6.2f} s  RMSE {error:.4f}", flush=True)
    own = sample(loaded, 11, 0).image.samples
    return [
        {
            "recipe": recipe,
            "size": [width, height],
            "default_samples": own,
            "setting": name,
            "seconds": float(np.mean([row[0] for row in rows])),
            "rmse": float(np.mean([row[1] for row in rows])),
        }
        for name, rows in found.items()
    ]


def front(rows: list[dict]) -> set[str]:
    """Return the settings that no other beats in both cost and error."""
    best = [
        row["setting"]
        for row in rows
        if not any(
            other["seconds"] <= row["seconds"] and other["rmse"] <= row["rmse"] and other is not row for other in rows
        )
    ]
    return set(best)


def markdown(result: dict) -> str:
    """Return the tables."""
    lines = [
        "# Quality per second",
        "",
        f"RMSE over sRGB values of the person against {REFERENCE} samples, twice the bounces, denoised;",
        f"CPU s of the picture alone, one thread, least of {result['repeat']}; mean of {result['frames']} scenes.",
        "A star marks the Pareto front. The reference is noisy itself: differences of 0.0005 mean nothing.",
        "",
        f"{result['machine']}",
    ]
    for recipe in dict.fromkeys(row["recipe"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["recipe"] == recipe]
        best = front(rows)
        width, height = rows[0]["size"]
        lines += ["", f"## {recipe}, {width} x {height}; default {rows[0]['default_samples']} samples", ""]
        lines += ["| setting | CPU s | RMSE | |", "|---|---|---|---|"]
        for row in sorted(rows, key=lambda row: row["seconds"]):
            star = "*" if row["setting"] in best else ""
            lines.append(f"| {row['setting']} | {row['seconds']:.2f} | {row['rmse']:.4f} | {star} |")
    return "\n".join(lines) + "\n"


COLOURS = {"eye_rgb": "#1f6f8b", "eye_nir": "#8b1f4f", "face": "#b8860b"}


def plot(rows: list[dict]) -> str:
    """Return an SVG of error over cost, both logarithmic: lines along sample counts, rings round the defaults."""
    left, top, wide, high = 60, 20, 560, 360
    cost, error = (np.log10([row[key] for row in rows]) for key in ("seconds", "rmse"))
    x0, x1, y0, y1 = cost.min() - 0.05, cost.max() + 0.05, error.min() - 0.05, error.max() + 0.05

    def place(row: dict) -> tuple[float, float]:
        x, y = np.log10(row["seconds"]), np.log10(row["rmse"])
        return left + wide * (x - x0) / (x1 - x0), top + high * (y1 - y) / (y1 - y0)

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 430" font-family="sans-serif" font-size="11">',
        '<rect width="640" height="430" fill="white"/>',
        f'<rect x="{left}" y="{top}" width="{wide}" height="{high}" fill="none" stroke="#999"/>',
        '<text x="340" y="420" text-anchor="middle">CPU seconds of the picture</text>',
        '<text x="16" y="200" text-anchor="middle" transform="rotate(-90 16 200)">RMSE, sRGB</text>',
    ]
    for value in (0.5, 1, 2, 5, 10, 20, 50, 100):
        if x0 < np.log10(value) < x1:
            x = left + wide * (np.log10(value) - x0) / (x1 - x0)
            parts.append(f'<text x="{x:.0f}" y="396" text-anchor="middle">{value:g}</text>')
    for value in (0.002, 0.005, 0.01, 0.02, 0.05, 0.1):
        if y0 < np.log10(value) < y1:
            y = top + high * (y1 - np.log10(value)) / (y1 - y0)
            parts.append(f'<text x="{left - 6}" y="{y + 4:.0f}" text-anchor="end">{value:g}</text>')
    for k, recipe in enumerate(dict.fromkeys(row["recipe"] for row in rows)):
        colour, mine = COLOURS[recipe], [row for row in rows if row["recipe"] == recipe]
        counts = [row for row in mine if row["setting"].endswith(" samples")]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, counts))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}"/>')
        for row in mine:
            x, y = place(row)
            ring = ' stroke="black" stroke-width="1.5"' if row["setting"] == DEFAULT else ""
            size = 5 if row["setting"] == DEFAULT else 2.5
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" fill="{colour}"{ring}/>')
        parts.append(f'<text x="610" y="{40 + 16 * k}" text-anchor="end" fill="{colour}">{recipe}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--only", choices=SIZES, action="append")
    options = parser.parse_args()
    result = {"frames": options.frames, "repeat": options.repeat, "rows": []}
    with CyclesRenderer(device="cpu") as renderer:
        result["machine"] = {"cpu": platform.machine(), "cores": os.cpu_count(), **renderer.about}
    build_figure(sample(Recipe.load("face"), 0, 0))  # tables that are made once
    for recipe in options.only or SIZES:
        result["rows"] += measure(recipe, options.frames, options.repeat)
        folder = ROOT / "benchmarks/results"
        (folder / "quality.json").write_text(json.dumps(result, indent=1) + "\n")
        (folder / "quality.md").write_text(markdown(result))
        (ROOT / "docs/images/quality.svg").write_text(plot(result["rows"]))


if __name__ == "__main__":
    main()
