"""Tables of quartiles over faces in masks, photographs beside ours: what looks.py and proportions.py share."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "generators"), str(ROOT / "refiner")]

from facewright_refiner.readers import Real, open_real, ours  # noqa: E402
from facewright_refiner.readers.base import TRAIN  # noqa: E402

CONVENTION = "celebamask_hq"
Found = dict[str, tuple[int, dict[str, list[float]]]]
"""By column: how many faces, and the quartiles of each number over those that have it."""


def arguments(doc: str) -> tuple[dict[str, Real], Path | None]:
    """Return the pictures by column, photographs first, and where to write, from the command line."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--ours", type=Path, nargs="+", required=True)
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    sets = {"photographs": open_real(options.real, f"masks:{CONVENTION}").split(TRAIN)}
    return sets | {folder.name: ours.read(folder, CONVENTION) for folder in options.ours}, options.out


def quartiles(rows: Sequence[dict[str, float]]) -> tuple[int, dict[str, list[float]]]:
    """Return the column of `rows`, one a face."""
    keys = dict.fromkeys(key for row in rows for key in row)
    values = {key: [row[key] for row in rows if key in row] for key in keys}
    return len(rows), {key: np.percentile(row, [25, 50, 75]).round(4).tolist() for key, row in values.items()}


def record(found: Found, digits: int, title: str, out: Path | None) -> None:
    """Print the table, and write it to `out` (.md, .json) where that is asked for."""
    shown = {name: column for name, column in found.items() if column[0]}
    lines = [f"| | {' | '.join(f'{name} ({count})' for name, (count, _) in shown.items())} |"]
    lines.append(f"|---|{'---|' * len(shown)}")
    for key in dict.fromkeys(key for _, column in shown.values() for key in column):
        cells = [column.get(key) for _, column in shown.values()]
        texts = [f"{q[1]:.{digits}f} [{q[0]:.{digits}f}, {q[2]:.{digits}f}]" if q else "" for q in cells]
        lines.append(f"| {key} | {' | '.join(texts)} |")
    print("\n".join(lines))
    if out:
        head = [f"# {title}", "", "Median [quartiles] (pictures).", ""]
        out.with_suffix(".md").write_text("\n".join([*head, *lines]) + "\n")
        out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
