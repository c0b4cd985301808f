"""NVGaze's and RIT-Eyes' synthetic pictures: type_img_frame_{n}.png and type_maskWithSkin_frame_{n}.png.

Masks are colours, smoothed at their edges: skin red, sclera amber, iris yellow, pupil green; each pixel takes the
nearest. Grey masks, as our export writes them, are exact ids. `labels.csv`, where our export put one, has gaze in
degrees with our signs; NVGaze's own signs are not known to us, so its gaze is not read.
"""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import numpy as np

from facewright.errors import DatasetError
from facewright_refiner.readers.base import EYE, Entry, Labelled, Real, natural, read_ids, read_picture, same_size

PICTURE, MASK = "type_img_frame_", "type_maskWithSkin_frame_"
COLOURS = np.array([[0, 0, 0], [255, 0, 0], [255, 215, 0], [255, 255, 0], [0, 255, 0]])
"""Of nothing, skin, sclera, iris and pupil, as public loaders of both sets cluster them."""
IDS = np.array([0, 0, 1, 2, 3], np.uint8)


def found(folder: Path) -> bool:
    """Return whether `folder` has this layout."""
    return any(folder.glob(f"{PICTURE}*.png"))


def read(folder: Path) -> Real:
    """Return the pictures of `folder`. Raises DatasetError."""
    rows = _rows(folder / "labels.csv")
    entries = []
    for path in sorted(folder.glob(f"{PICTURE}*.png"), key=natural):
        number = path.stem.removeprefix(PICTURE)
        row = rows.get(int(number)) if number.isdigit() else None
        group = f"subject{row['subject']}" if row else number
        mask = folder / f"{MASK}{number}.png"
        entries.append(Entry(number, group, "", partial(_load, path, mask, row)))
    return Real("nvgaze", entries, "openeds")


def _load(path: Path, mask: Path, row: dict[str, str] | None) -> Labelled:
    picture = read_picture(path)
    gaze = None
    if row:
        angles = float(row["float_gaze_y_degree"]), float(row["float_gaze_x_degree"])
        gaze = np.radians(angles)
    return Labelled(path.stem, picture, seg=same_size(_ids(mask), picture, mask), gaze=gaze)


def _ids(mask: Path) -> np.ndarray:
    colours = read_picture(mask).astype(int)
    if (colours == colours[..., :1]).all():
        return read_ids(mask, EYE)
    return IDS[((colours[..., None, :] - COLOURS) ** 2).sum(axis=-1).argmin(axis=-1)]


def _rows(path: Path) -> dict[int, dict[str, str]]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        if not {"frame", "subject", "float_gaze_x_degree", "float_gaze_y_degree"} <= set(table.fieldnames or ()):
            raise DatasetError(
                f"{path}: has the columns {table.fieldnames}; our export's are meant, remove it otherwise"
            )
        return {int(row["frame"]): row for row in table}
