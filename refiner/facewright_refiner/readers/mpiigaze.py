"""MPIIGaze, normalised: Data/Normalized/pXX/dayYY.mat, and which eyes to use in "Evaluation Subset".

As its loaders do, right eyes are mirrored and their yaw negated, so that all are left eyes. Pictures are (36, 60) grey,
histogram-equalised by the data set's authors. Without the subset's lists every eye is taken.
"""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from facewright.errors import DatasetError
from facewright.truth import pitch_yaw
from facewright_refiner.readers.base import Entry, Labelled, Real, grey, package

NORMALIZED = Path("Data") / "Normalized"
LISTS = Path("Evaluation Subset") / "sample list for eye image"
SIDES = ("left", "right")
DAYS_HELD = 64
"""Files that are kept in memory, about a megabyte each."""


def found(folder: Path) -> bool:
    """Return whether `folder` has this layout."""
    return (folder / NORMALIZED).is_dir()


def read(folder: Path) -> Real:
    """Return the eyes of `folder`. Raises DatasetError, MissingPackage."""
    package("scipy.io", "mpiigaze")
    entries = []
    for person in sorted((folder / NORMALIZED).glob("p*")):
        chosen = _chosen(folder / LISTS / f"{person.name}.txt")
        for day in sorted(person.glob("day*.mat")):
            for number, name in enumerate(_content(day)["names"]):
                for side in SIDES:
                    key = f"{day.stem}/{name} {side}"
                    if chosen is None or key in chosen:
                        full = f"{person.name}/{key}"
                        entries.append(Entry(full, person.name, "", partial(_load, full, day, number, side)))
    return Real("mpiigaze", entries)


def _load(name: str, day: Path, number: int, side: str) -> Labelled:
    from scipy.spatial.transform import Rotation

    eye = _content(day)[side]
    picture, gaze, pose = (np.asarray(eye[key][number]) for key in ("image", "gaze", "pose"))
    if picture.shape != (36, 60) or gaze.shape != (3,) or not np.isfinite(gaze).all():
        raise DatasetError(f"{day}: row {number} of {side} is not a usable eye; restore the file or its sample list")
    sign = np.array([1, -1 if side == "right" else 1])
    forward = Rotation.from_rotvec(pose).as_matrix()[:, 2]
    return Labelled(
        name,
        grey(picture[:, ::-1] if side == "right" else picture),
        gaze=np.array(pitch_yaw(gaze)) * sign,
        head=np.array(pitch_yaw(-forward)) * sign,
    )


@lru_cache(DAYS_HELD)
def _content(path: Path) -> dict[str, Any]:
    io = package("scipy.io", "mpiigaze")
    try:
        content = io.loadmat(path, struct_as_record=False, squeeze_me=False)
        data = content["data"][0, 0]
        eyes = {side: getattr(data, side)[0, 0] for side in SIDES}
        fields = {s: {key: getattr(eye, key) for key in ("image", "gaze", "pose")} for s, eye in eyes.items()}
        return fields | {"names": [str(np.ravel(name)[0]) for name in np.ravel(content["filenames"])]}
    except Exception as error:  # scipy raises many kinds for what is not a MATLAB file
        raise DatasetError(f"{path}: is not a day of MPIIGaze ({type(error).__name__}: {error}); restore it") from None


def _chosen(path: Path) -> set[str] | None:
    """Return the eyes of a sample list as "dayYY/NAME side", None where there is no list."""
    if not path.is_file():
        return None
    return {line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()}
