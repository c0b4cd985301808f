"""MPIIFaceGaze, normalised: pXX.mat (HDF5) with Data/data (N, 3, H, W) BGR and Data/label (N, >= 4).

The first four columns are gaze (pitch, yaw) and head (pitch, yaw) in radians. They are taken to have MPIIGaze's signs,
as in the widely used public loader of both; authors of later work say that these files' signs are the opposite. Look at
some pictures with their labels before you mix them with others.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from facewright.errors import DatasetError
from facewright_refiner.readers.base import Entry, Labelled, Real, package

DATA, LABEL = "Data/data", "Data/label"


def found(folder: Path) -> bool:
    """Return whether `folder` has this layout."""
    return any(folder.glob("p[0-9][0-9].mat"))


def read(folder: Path) -> Real:
    """Return the faces of `folder`. Raises DatasetError, MissingPackage."""
    entries = []
    for path in sorted(folder.glob("p[0-9][0-9].mat")):
        data = _file(path)
        for number in range(len(data[DATA])):
            key = f"{path.stem}/{number:04d}"
            entries.append(Entry(key, path.stem, "", partial(_load, key, path, number)))
    return Real("mpiifacegaze", entries)


def _load(name: str, path: Path, number: int) -> Labelled:
    data = _file(path)
    picture, label = data[DATA][number], np.asarray(data[LABEL][number], float)
    rgb = np.ascontiguousarray(picture.transpose(1, 2, 0)[..., ::-1].astype(np.uint8))
    return Labelled(name, rgb, gaze=label[:2], head=label[2:4])


@cache
def _file(path: Path) -> Any:
    h5py = package("h5py", "mpiifacegaze")
    try:
        file = h5py.File(path, "r")
        images, labels = file[DATA].shape, file[LABEL].shape
    except (OSError, KeyError, AttributeError) as error:
        raise DatasetError(f"{path}: is not a person of MPIIFaceGaze ({error}); restore it") from None
    if len(images) != 4 or images[1] != 3 or len(labels) != 2 or labels[1] < 4 or images[0] != labels[0]:
        raise DatasetError(
            f"{path}: {DATA} is {images} and {LABEL} {labels}, not (N, 3, H, W) and (N, 4 or more); restore it"
        )
    return file
