"""Are hidden shares of classes found again, within the intervals that are stated?

Simulated answers of estimators of several qualities (posterior probabilities of four classes, each with its Gaussian
scatter), for renders that have all classes alike and for real pictures of random shares. Writes NAME.md and NAME.json.

    python benchmarks/gap/shares.py -o benchmarks/gap/results/shares
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from facewright_refiner.knobs import FACTORS
from facewright_refiner.shares import OR, Answers, fit_shares

MOUTH = next(factor for factor in FACTORS if factor.name == "mouth")
CLASSES = len(MOUTH.classes)


def answers(random: np.random.Generator, apart: float, renders: int, real: int) -> tuple[Answers, np.ndarray]:
    """Return simulated answers by an estimator that keeps classes `apart` (in deviations), and the hidden classes."""
    known, hidden = random.integers(0, CLASSES, renders), random.choice(CLASSES, real, p=random.dirichlet(np.ones(4)))

    def estimates(classes: np.ndarray) -> np.ndarray:
        seen = apart * np.eye(CLASSES)[classes] + random.normal(size=(len(classes), CLASSES))
        likely = np.exp(apart * (seen - seen.max(1, keepdims=True)))
        return likely / likely.sum(1, keepdims=True)

    return Answers(known, estimates(known), estimates(hidden)), hidden


def trial(seed: int, apart: float, renders: int, real: int) -> dict[str, float]:
    """Return the errors of one fit, and how many of its intervals hold the truth."""
    random = np.random.default_rng(seed)
    found, hidden = answers(random, apart, renders, real)
    fit = fit_shares(MOUTH, (0.25,) * CLASSES, found, [str(n) for n in range(real)], seed)
    row = {"r2": found.score, "classes": float(len(fit.classes) if fit.after else 0)}
    if fit.after and fit.low and fit.high:
        parts = [[MOUTH.classes.index(name) for name in words.split(OR)] for words in fit.classes]
        truth = np.array([np.isin(hidden, part).mean() for part in parts])
        counted = np.array([np.isin(found.wanted.argmax(1), part).mean() for part in parts])
        row["error"] = float(np.abs(truth - fit.after).mean())
        row["counted"] = float(np.abs(truth - counted).mean())
        row["held"] = float(((fit.low <= truth) & (truth <= fit.high)).mean())
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=30)
    args = parser.parse_args()
    rows = []
    for apart in (1.2, 1.7, 2.4):
        for renders, real in ((133, 100), (133, 400), (400, 400)):
            done = [trial(seed, apart, renders, real) for seed in range(args.trials)]
            fitted = [row for row in done if row["classes"]]
            row = {"r2": np.mean([row["r2"] for row in done]), "renders": renders, "real": real}
            row |= {"fitted": len(fitted) / len(done), "classes": np.mean([row["classes"] for row in fitted])}
            row |= {name: np.mean([row[name] for row in fitted]) for name in ("error", "counted", "held")}
            rows.append({name: round(float(value), 3) for name, value in row.items()})
    args.output.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")
    lines = [
        "# Hidden shares of four classes, found again",
        "",
        f"{args.trials} simulated sets a row, of any shares. `python benchmarks/gap/shares.py`",
        "",
        "| estimator's R² | renders | real pictures | fitted | classes told | error of a share | by counting alone "
        "| truth in its 95 % interval |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        percent = {name: f"{100 * row[name]:.0f} %" for name in ("fitted", "held")}
        points = {name: f"{100 * row[name]:.1f} points" for name in ("error", "counted")}
        cells = [f"{row['r2']:.2f}", f"{row['renders']:.0f}", f"{row['real']:.0f}", percent["fitted"]]
        cells += [f"{row['classes']:.1f}", points["error"], points["counted"], percent["held"]]
        lines.append("| " + " | ".join(cells) + " |")
    args.output.with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
