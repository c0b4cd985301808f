"""Does matching recover a distribution that it cannot see, within the intervals that it states?

    python benchmarks/gap/recovery.py [--trials 60] [--renders 300] [--real 300]

Estimates are simulated: they shrink, bend and shift the truth and add noise, a share of the parameter's range. The
hidden distribution has two modes. Matching sees estimates only, and true values of the renders. `naive` is what one
gets by inverting the mean response, without taking the noise away. Writes benchmarks/gap/results/recovery.json and .md.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from refiner_sensor import machine

from facewright_refiner.diversity import wasserstein
from facewright_refiner.fits import Readings, Summary, fit_group, summary_of
from facewright_refiner.knobs import KNOBS, Knob

NOISES = (0.05, 0.1, 0.15)
GROUPS = {"exposure": 1.0, "gaze": 0.5, "pose": 0.5}
"""Groups of one, two and three parameters, and the share of the trials that each is given."""
BOUNDS = {knob.path: (knob.low, knob.high) for knob in KNOBS if not knob.relative}


def main() -> None:
    args = arguments()
    rows = {}
    for group, share in GROUPS.items():
        knobs = [knob for knob in KNOBS if knob.group == group]
        for noise in NOISES:
            found = [trial(knobs, noise, n, args) for n in range(max(2, round(share * args.trials)))]
            fitted = [one for results in found for one in results if one]
            rows[f"{len(knobs)} / {noise}"] = {
                "fitted": len(fitted) / (len(found) * len(knobs)),
                "inside": np.mean([one["inside"] for one in fitted], 0).round(3).tolist() if fitted else [],
                "error": float(np.mean([one["error"] for one in fitted])) if fitted else None,
                "naive": float(np.mean([one["naive"] for one in fitted])) if fitted else None,
            }
            print(group, noise, rows[f"{len(knobs)} / {noise}"], flush=True)
    result = {"trials": args.trials, "renders": args.renders, "real": args.real, "rows": rows, "machine": machine(1)}
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / "recovery.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "recovery.md").write_text(markdown(result))


def trial(knobs: list[Knob], noise: float, number: int, args: argparse.Namespace) -> list[dict | None]:
    random = np.random.default_rng(number)
    readings, hidden, naive = Readings({}, {}, {}, {}, {}), {}, {}
    first = random.random(args.real) < 0.7
    for knob in knobs:
        low, high = BOUNDS[knob.path]
        place = np.where(first, random.normal(0.6, 0.08, args.real), random.normal(0.35, 0.05, args.real)).clip(0, 1)
        hidden[knob.path] = low + (high - low) * place
        known = random.random(args.renders)
        seen, wanted = (estimate(x, noise, random) for x in (known, place))
        readings.scores[knob.label] = 0.8
        readings.values[knob.path] = low + (high - low) * known
        readings.renders[knob.label], readings.real[knob.label] = seen, wanted
        axis = np.linspace(0, 1, 400)
        naive[knob.path] = low + (high - low) * np.interp(wanted, estimate(axis, 0, random), axis)
    before = {knob.path: np.linspace(*BOUNDS[knob.path], 50) for knob in knobs}
    fits, values = fit_group(knobs, BOUNDS, readings, before, [str(n) for n in range(args.real)], number)
    return [result(fits[knob.path], values, hidden[knob.path], naive[knob.path]) for knob in knobs]


def estimate(place: np.ndarray, noise: float, random: np.random.Generator) -> np.ndarray:
    return 5 + 0.7 * place - 0.2 * place**2 + random.normal(0, noise, len(place))


def result(fit, values, hidden: np.ndarray, naive: np.ndarray) -> dict | None:
    if not fit.after:
        return None
    inside = [low <= true <= high for low, true, high in zip(fit.low, summary_of(hidden), fit.high, strict=True)]
    distances = [wasserstein(hidden, other) / hidden.std() for other in (values[fit.path], naive)]
    return {"inside": inside, "error": distances[0], "naive": distances[1]}


def markdown(result: dict) -> str:
    lines = [
        "# Matching recovers hidden distributions: simulated estimates",
        "",
        f"{result['real']} real pictures, {result['renders']} renders, {result['trials']} trials for one parameter and "
        "half of them for two and three. How often the 95 % interval holds the truth; 1-Wasserstein distance to the "
        "hidden distribution in its standard deviations.",
        "",
        f"| parameters / noise, of the range | fitted | {' | '.join(f'{name} inside' for name in Summary._fields)} "
        "| distance | without deconvolution |",
        "|---|---|" + "---|" * (len(Summary._fields) + 2),
    ]
    for name, row in result["rows"].items():
        cells = [f"{100 * value:.0f} %" for value in row["inside"]]
        lines.append(
            f"| {name} | {100 * row['fitted']:.0f} % | {' | '.join(cells)} | {row['error']:.2f} | {row['naive']:.2f} |"
        )
    facts = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    return "\n".join([*lines, "", "`python benchmarks/gap/recovery.py`", "", facts, ""])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--renders", type=int, default=300)
    parser.add_argument("--real", type=int, default=300)
    return parser.parse_args()


if __name__ == "__main__":
    main()
