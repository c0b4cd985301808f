"""The attributes of every frame as one table, attributes.csv."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path

from facewright.dataset.reader import Dataset
from facewright.exports.view import Format, Take, View


@contextlib.contextmanager
def writer(folder: Path, dataset: Dataset) -> Iterator[Take]:
    """Yield what writes one row; the header is that of the first."""
    with (folder / "attributes.csv").open("w", newline="", encoding="utf-8") as file:
        table: csv.DictWriter[str] | None = None

        def take(view: View) -> None:
            nonlocal table
            row = view.frame.attributes
            if table is None:
                table = csv.DictWriter(file, row, lineterminator="\n")
                table.writeheader()
            table.writerow(row)

        yield take


FORMAT = Format("one row of attributes for each frame, .csv", (), False, writer)
