"""Do small datasets cover more when they are sampled by Sobol or rare-first than by independent draws?

    python benchmarks/gap/sampling.py [--recipe face] [--count 100] [--seeds 10]

Samples only, nothing is rendered: the fields of sampling.SPREAD and SPREAD_SUBJECT as points, in deviations of a
thousand independent draws. Coverage and density of 200 others of these by `count` samples (k = 5); for each field the
largest difference of its distribution from the recipe's (Kolmogorov-Smirnov), and the same on all pairs of fields.
Writes benchmarks/gap/results/sampling.json and .md.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from refiner_sensor import machine

from facewright import Recipe, sample
from facewright.sample import data_at, parameters
from facewright.sampling import METHODS, SPREAD, SPREAD_SUBJECT
from facewright_refiner.diversity import coverage

REFERENCE = 1000
FIELDS = [path for path in (*SPREAD, *SPREAD_SUBJECT) if parameters().get(path, (None, ""))[1] == "float"]
VIEWS = {
    "pose and gaze": ["pose.head_yaw_deg", "pose.head_pitch_deg", "gaze.yaw_deg", "gaze.pitch_deg"],
    "person": ["subject.head.age_years", "subject.skin.melanin", "subject.head.gender"],
    "all fields": FIELDS,
}


def main() -> None:
    args = arguments()
    torch.set_num_threads(1)
    known = drawn(Recipe.load(args.recipe), 10_000, REFERENCE)
    mean, scale = known.mean(0), known.std(0) + 1e-9
    rows = {}
    for method in METHODS:
        recipe = Recipe.load(args.recipe, [f"sampling={method}"])
        sets = [drawn(recipe, seed, args.count) for seed in range(args.seeds)]
        rows[method] = {"covered": {}, "one field": spread([marginal(found, known) for found in sets])}
        rows[method]["two fields"] = spread([pairs(found, known) for found in sets])
        for view, fields in VIEWS.items():
            columns = [FIELDS.index(path) for path in fields]
            truth = torch.from_numpy(((known - mean) / scale)[: 2 * args.count, columns])
            found = [coverage(truth, torch.from_numpy(((one - mean) / scale)[:, columns])) for one in sets]
            rows[method]["covered"][view] = spread([one.coverage for one in found])
        print(method, rows[method], flush=True)
    result = {"recipe": args.recipe, "count": args.count, "seeds": args.seeds, "rows": rows, "machine": machine(1)}
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / "sampling.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "sampling.md").write_text(markdown(result))


def drawn(recipe: Recipe, seed: int, count: int) -> np.ndarray:
    """Return the numeric fields of `count` frames, (count, F)."""
    rows = (sample(recipe, seed, n).to_data() for n in range(count))
    return np.array([[data_at(data, path) for path in FIELDS] for data in rows], float)


def marginal(found: np.ndarray, known: np.ndarray) -> float:
    """Return the mean over fields of the Kolmogorov-Smirnov distance."""
    return float(np.mean([apart(found[:, n], known[:, n]) for n in range(known.shape[1])]))


def apart(a: np.ndarray, b: np.ndarray) -> float:
    both = np.concatenate([a, b])
    shares = [np.searchsorted(np.sort(part), both, side="right") / len(part) for part in (a, b)]
    return float(np.abs(shares[0] - shares[1]).max())


def pairs(found: np.ndarray, known: np.ndarray, cells: int = 5) -> float:
    """Return the mean over the pairs of pose and gaze of the share of 5 x 5 cells of equal content that stay empty."""
    edges = np.quantile(known, np.linspace(0, 1, cells + 1)[1:-1], axis=0)
    empty = []
    for a, b in itertools.combinations([FIELDS.index(path) for path in VIEWS["pose and gaze"]], 2):
        where = np.searchsorted(edges[:, a], found[:, a]) * cells + np.searchsorted(edges[:, b], found[:, b])
        empty.append(1 - len(set(where.tolist())) / cells**2)
    return float(np.mean(empty))


def spread(values: list[float]) -> list[float]:
    return [round(float(np.mean(values)), 4), round(float(np.std(values, ddof=1) / len(values) ** 0.5), 4)]


def markdown(result: dict) -> str:
    views = list(VIEWS)
    lines = [
        f"# {result['count']} samples of {result['recipe']}: independent, Sobol, rare first",
        "",
        f"Mean ± standard error over {result['seeds']} seeds. Coverage of {2 * result['count']} independent draws "
        "(k = 5); distance of each field's distribution from the recipe's (Kolmogorov-Smirnov, mean over fields); "
        "share of 5 x 5 cells of two fields of pose and gaze, of equal content, that stay empty.",
        "",
        f"| sampling | {' | '.join(f'coverage: {view}' for view in views)} | distance, one field | empty cells |",
        "|---|" + "---|" * (len(views) + 2),
    ]
    for method, row in result["rows"].items():
        cells = [*(row["covered"][view] for view in views), row["one field"], row["two fields"]]
        lines.append(f"| {method} | {' | '.join(f'{mean:.3f} ± {error:.3f}' for mean, error in cells)} |")
    facts = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    return "\n".join([*lines, "", "`python benchmarks/gap/sampling.py`", "", facts, ""])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="face")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=10)
    return parser.parse_args()


if __name__ == "__main__":
    main()
