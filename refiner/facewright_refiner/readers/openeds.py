"""OpenEDS 2019, semantic segmentation: train, validation and test, each with images/{n}.png and labels/{n}.npy.

Ids are 0 background, 1 sclera, 2 iris, 3 pupil. Who a person is the file names do not say.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from facewright.errors import DatasetError
from facewright_refiner.readers.base import (
    EYE,
    SPLITS,
    Entry,
    Labelled,
    Real,
    checked_ids,
    pictures_in,
    read_picture,
    same_size,
)


def found(folder: Path) -> bool:
    """Return whether `folder` has this layout."""
    return any(any((folder / split / "labels").glob("*.npy")) for split in SPLITS)


def read(folder: Path) -> Real:
    """Return the pictures of `folder` that have labels. Raises DatasetError."""
    entries = []
    for split in SPLITS:
        for path in pictures_in(folder / split / "images"):
            labels = folder / split / "labels" / f"{path.stem}.npy"
            if labels.is_file():
                key = f"{split}/{path.stem}"
                entries.append(Entry(key, key, SPLITS[split], partial(_load, path, labels)))
    return Real("openeds", entries, "openeds")


def _load(path: Path, labels: Path) -> Labelled:
    picture = read_picture(path)
    try:
        ids = np.load(labels, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DatasetError(f"{labels}: is not a readable .npy file ({error}); restore it") from None
    return Labelled(path.stem, picture, seg=same_size(checked_ids(ids, EYE, labels), picture, labels))
