"""300W and its parts (LFPW, Helen, AFW, iBUG): NAME.jpg or .png with NAME.pts, 68 landmarks; any folders.

A .pts file counts pixels from 1, at their centres, as MATLAB does: ours are 0.5 less. Folders named trainset and
testset (or train and test) are splits; 01_Indoor, 02_Outdoor and the part ibug are test sets by custom.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from facewright.errors import DatasetError
from facewright_refiner.pictures import SUFFIXES
from facewright_refiner.readers.base import TEST, TRAIN, Entry, Labelled, Real, natural, read_picture

POINTS = 68
FOLDERS = {"trainset": TRAIN, "train": TRAIN, "testset": TEST, "test": TEST}
FOLDERS |= dict.fromkeys(("01_indoor", "02_outdoor", "ibug"), TEST)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def found(folder: Path) -> bool:
    """Return whether `folder` has this layout."""
    return any(folder.rglob("*.pts"))


def read(folder: Path) -> Real:
    """Return the pictures of `folder` that have a .pts file. Raises DatasetError."""
    entries = []
    for points in sorted(folder.rglob("*.pts"), key=lambda path: (path.parent, natural(path))):
        pictures = [points.with_suffix(suffix) for suffix in SUFFIXES if points.with_suffix(suffix).is_file()]
        if not pictures:
            raise DatasetError(f"{points}: has no picture beside it ({', '.join(SUFFIXES)}); restore the data set")
        place = points.relative_to(folder)
        split = next((FOLDERS[part.lower()] for part in place.parts if part.lower() in FOLDERS), "")
        key = place.with_suffix("").as_posix()
        entries.append(Entry(key, key, split, partial(_load, pictures[0], points)))
    return Real("300w", entries)


def _load(path: Path, points: Path) -> Labelled:
    return Labelled(path.stem, read_picture(path), landmarks=read_points(points) - 0.5)


def read_points(path: Path) -> np.ndarray:
    """Return the points (68, 2) of a .pts file as they stand. Raises DatasetError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read as text ({error}); restore it") from None
    numbers = [float(word) for word in _NUMBER.findall(text.partition("{")[2].partition("}")[0])]
    if len(numbers) != 2 * POINTS:
        raise DatasetError(f"{path}: holds {len(numbers) / 2:g} points between its braces, and iBUG has {POINTS}")
    return np.array(numbers).reshape(POINTS, 2)
