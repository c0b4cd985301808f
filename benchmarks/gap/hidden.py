"""Does matching recover a recipe from renders of it? Real renders, real estimators, nothing simulated.

    facewright generate face -o HIDDEN --count 50 --seed 31
    facewright match --real HIDDEN/frames --recipe face -o M.yaml --renders PROPOSAL
    python benchmarks/gap/hidden.py --match M.match --truth HIDDEN

PROPOSAL are renders of `matching.proposal`, or leave the option out. Compares each fit with the true values of the
hidden frames. Writes benchmarks/gap/results/hidden.json and .md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import facewright.dataset
from facewright.sample import data_at
from facewright_refiner.fits import summary_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--match", required=True, type=Path, metavar="DIR")
    parser.add_argument("--truth", required=True, type=Path, metavar="DATASET")
    args = parser.parse_args()
    dataset = facewright.dataset.open(args.truth, ["rgb"])
    samples = [dataset.record(index)["sample"] for index in dataset.indices]
    data = json.loads((args.match / "match.json").read_text())
    rows = [compared(fit, samples) for fit in data["fits"]]
    folder = Path(__file__).parent / "results"
    text = markdown(rows, len(samples), data["notes"])
    (folder / "hidden.json").write_text(json.dumps({"hidden": len(samples), "rows": rows}, indent=1) + "\n")
    (folder / "hidden.md").write_text(text)
    print(text)


def compared(fit: dict, samples: list[dict]) -> dict:
    true = summary_of(np.array([float(data_at(data, fit["path"])) for data in samples]))
    return {**fit, "true": {"mean": round(true.mean, 4), "sd": round(true.sd, 4)}}


def markdown(rows: list[dict], count: int, notes: list[str]) -> str:
    lines = [
        "# Matching recovers a recipe from renders of it",
        "",
        f"{count} renders stand in for real pictures.",
        "",
        "| parameter | R² | true | found | 95 % of the mean | of the sd |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        if not row["after"]:
            continue
        ends = [[part[name] for part in row["interval"]] for name in ("mean", "sd")]
        cells = [f"{part['mean']:.3g} ± {part['sd']:.2g}" for part in (row["true"], row["after"])]
        cells += [f"{low:.3g} to {high:.3g}" for low, high in ends]
        lines.append(f"| {row['path']} | {row['estimator_r2']:.2f} | {' | '.join(cells)} |")
    stay = ", ".join(row["path"] for row in rows if not row["after"])
    return "\n".join([*lines, "", f"Stay: {stay}.", "", *(f"- {note}" for note in notes), ""])


if __name__ == "__main__":
    main()
