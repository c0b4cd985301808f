"""What could be read of renders if everything in them were found, beside what is read from what networks find.

    python benchmarks/gap/readable.py --renders M.match/renders M.match/renders-near

The same regressions, cross-fitted in the same folds, from true regions and key points and from those found. Where even
the true ones explain little, no network will help: the classes are no picture's, or the renders are too few. Writes
benchmarks/gap/results/readable.json and .md.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import reduce
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from refiner_sensor import machine

from facewright_refiner.closeups import closeups, moved, places_of
from facewright_refiner.estimators import FOLDS, LABELS, Estimators, _folds, fit_estimators, ridge, shape_features
from facewright_refiner.knobs import FACTORS
from facewright_refiner.matching import EDGE
from facewright_refiner.regions import REGIONS, area_features, hair_features
from facewright_refiner.views import Renders, renders_in_view, together

Array = np.ndarray
NUMBERS = ("head yaw", "head pitch", "openness", "gaze yaw, own axes", "gaze pitch, own axes")
"""Labels that are read beside the factors."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--renders", required=True, nargs="+", type=Path, metavar="DATASET")
    args = parser.parse_args()
    ours = reduce(together, (renders_in_view(folder, (EDGE, EDGE)) for folder in args.renders))
    found = fit_estimators(
        ours.pictures, ours.points, ours.labels, ours.people, ours.scene, regions=ours.regions, log=print
    )
    fold = _folds(ours.people, 0)
    sets = features(ours, found, fold)
    names = list(LABELS)
    wanted = {factor.name: [names.index(factor.label(name)) for name in factor.classes] for factor in FACTORS}
    wanted |= {name: [names.index(name)] for name in NUMBERS}
    rows = {
        name: {kind: explained(values, ours.labels[:, columns], fold) for kind, values in sets.items()}
        for name, columns in wanted.items()
    }
    result = {"renders": len(ours.indices), "rows": rows, "machine": machine(torch.get_num_threads())}
    folder = Path(__file__).parent / "results"
    (folder / "readable.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "readable.md").write_text(markdown(result))
    print(markdown(result))


def features(ours: Renders, found: Estimators, fold: Array) -> dict[str, Array]:
    """Return features (N, F) of every render by what they are made of: truth, or what its own networks found."""
    assert ours.regions is not None
    places = places_of(ours.points, ours.scene)
    size = found.readers[0].networks.whole.edge
    whole = shares(F.interpolate(ours.regions[:, None].float(), size=(size, size), mode="nearest-exact"), ours.scene)
    near = shares(closeups(ours.regions[:, None].float(), places, "nearest"), ours.scene)
    seen = [found.readers[n].networks.look(ours.pictures[torch.from_numpy(fold == n)]) for n in range(FOLDS)]
    order = np.argsort(np.concatenate([np.flatnonzero(fold == n) for n in range(FOLDS)]))
    told = [torch.cat([getattr(look, at).regions for look in seen])[order] for at in ("near", "whole")]
    points = [np.concatenate([getattr(look, at).points for look in seen])[order] for at in ("near", "whole")]
    names = list(REGIONS[ours.scene])
    return {
        "true points": shape_features(moved(ours.points, places)),
        "found points": shape_features(points[0]),
        "true regions, near": area_features(near),
        "found regions, near": area_features(told[0]),
        "true hair": hair_features(whole, ours.points, names, 1.0),
        "found hair": hair_features(told[1], points[1], names, 1.0),
    }


def shares(ids: Tensor, scene: str) -> Tensor:
    """Return regions (N, 1, H, W), as numbered in REGIONS, as probabilities (N, R, H, W) of 0 or 1."""
    count = len(REGIONS[scene])
    known = ids[:, 0].round().long().clamp(max=count)
    return F.one_hot(known, count + 1)[..., :count].permute(0, 3, 1, 2).float()


def explained(values: Array, known: Array, fold: Array) -> float:
    """Return the share of the variance of labels (N, L), all together, that held-out estimates explain."""
    told = np.zeros_like(known)
    for n in range(FOLDS):
        told[fold == n] = ridge(values[fold != n], known[fold != n])(values[fold == n])
    return round(float(1 - ((told - known) ** 2).sum() / ((known - known.mean(0)) ** 2).sum()), 3)


def markdown(result: dict) -> str:
    kinds = list(next(iter(result["rows"].values())))
    lines = [
        "# What could be read of renders, if all were found",
        "",
        f"{result['renders']} renders of faces, folds of whole people. Share of the variance of labels that ridge "
        "regressions explain on held-out renders, from true key points and masks, and from those that networks find "
        "which have not seen the render.",
        "",
        f"| label | {' | '.join(kinds)} |",
        "|---|" + "---|" * len(kinds),
    ]
    for name, row in result["rows"].items():
        lines.append(f"| {name} | {' | '.join(f'{row[kind]:.2f}' for kind in kinds)} |")
    facts = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    return "\n".join([*lines, "", "`python benchmarks/gap/readable.py`", "", facts, ""])


if __name__ == "__main__":
    main()
