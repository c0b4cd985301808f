"""Helen with the parsing labels of Smith et al. (CVPR 2013): images/{name}.jpg, labels/{name}/{name}_lbl{00..10}.png.

The eleven soft masks (0-255) are, in order, LaPa's classes; a pixel takes the class of the strongest one.
exemplars.txt, tuning.txt and testing.txt list training, validation and test as `number , name`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from facewright.errors import DatasetError
from facewright.schema import LAPA
from facewright_refiner.readers.base import TEST, TRAIN, Entry, Labelled, Real, pictures_in, read_picture, same_size

LISTS = {"exemplars.txt": TRAIN, "tuning.txt": "validation", "testing.txt": TEST}


def found(folder: Path) -> bool:
    """Return whether `folder` has this layout."""
    return any((folder / "labels").glob("*/*_lbl00.png"))


def read(folder: Path) -> Real:
    """Return the pictures of `folder`. Raises DatasetError."""
    splits = {
        line.split(",")[1].strip(): split
        for name, split in LISTS.items()
        if (folder / name).is_file()
        for line in (folder / name).read_text(encoding="utf-8").splitlines()
        if "," in line
    }
    entries = [
        Entry(path.stem, path.stem, splits.get(path.stem, ""), partial(_load, path, folder / "labels" / path.stem))
        for path in pictures_in(folder / "images")
        if (folder / "labels" / path.stem).is_dir()
    ]
    return Real("helen", entries, "lapa")


def _load(path: Path, place: Path) -> Labelled:
    picture = read_picture(path)
    soft = [read_picture(place / f"{path.stem}_lbl{n:02d}.png")[..., 0] for n in range(len(LAPA))]
    if len({mask.shape for mask in soft}) > 1:
        raise DatasetError(f"{place}: its masks differ in size; restore the data set")
    return Labelled(path.stem, picture, seg=same_size(np.argmax(soft, axis=0).astype(np.uint8), picture, place))
