"""ETH-XGaze: train/subjectNNNN.h5 with face_patch (N, S, S, 3) BGR, face_gaze and face_head_pose (pitch, yaw) rad.

Its signs are ours. Files of its test folders have no gaze and are not read; its 68 landmarks, where a file has
them, are OpenCV's pixels.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from facewright.errors import DatasetError
from facewright_refiner.readers.base import Entry, Labelled, Real, package

PATCH, GAZE, HEAD, LANDMARKS = "face_patch", "face_gaze", "face_head_pose", "facial_landmarks"


def found(folder: Path) -> bool:
    """Return whether `folder` has this layout."""
    return any((folder / "train").glob("subject*.h5"))


def read(folder: Path) -> Real:
    """Return the faces of `folder`. Raises DatasetError, MissingPackage."""
    entries = []
    for path in sorted((folder / "train").glob("subject*.h5")):
        for number in range(len(_file(path)[PATCH])):
            key = f"{path.stem}/{number:05d}"
            entries.append(Entry(key, path.stem, "", partial(_load, key, path, number)))
    return Real("eth_xgaze", entries)


def _load(name: str, path: Path, number: int) -> Labelled:
    file = _file(path)
    return Labelled(
        name,
        np.ascontiguousarray(file[PATCH][number][..., ::-1]),
        gaze=np.asarray(file[GAZE][number], float),
        head=np.asarray(file[HEAD][number], float) if HEAD in file else None,
        landmarks=np.asarray(file[LANDMARKS][number], float) + 0.5 if LANDMARKS in file else None,
    )


@cache
def _file(path: Path) -> Any:
    h5py = package("h5py", "eth_xgaze")
    try:
        file = h5py.File(path, "r")
        patch, gaze = file[PATCH].shape, file[GAZE].shape
    except (OSError, KeyError, AttributeError) as error:
        raise DatasetError(f"{path}: is not a training person of ETH-XGaze ({error}); restore it") from None
    if len(patch) != 4 or patch[3] != 3 or gaze != (patch[0], 2):
        raise DatasetError(f"{path}: {PATCH} is {patch} and {GAZE} {gaze}, not (N, S, S, 3) and (N, 2); restore it")
    return file
