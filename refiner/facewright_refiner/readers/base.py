"""What a reader gives: labelled real pictures, in our signs and pixels, each read when it is asked for. No torch.

Pictures are (H, W, 3) uint8 sRGB, grey ones repeated. Gaze and head are (pitch, yaw) in radians with schema.py's signs:
+pitch looks up, +yaw toward image-left. Landmarks have our pixels: (0, 0) is the corner of the first. Class ids are
those of the data set's own convention; `Real.classes` names them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from PIL import Image

from facewright import errors
from facewright.errors import DatasetError
from facewright.schema import BISENET, CELEBAMASK_HQ, FACESYNTHETICS, LAPA
from facewright_refiner.pictures import DAMAGED, SUFFIXES

Array = np.ndarray

EYE = ["background", "sclera", "iris", "pupil"]
CONVENTIONS: dict[str, list[str]] = {
    "celebamask_hq": CELEBAMASK_HQ,
    "celebamask_hq_bisenet": BISENET,
    "facesynthetics": FACESYNTHETICS,
    "lapa": LAPA,
    "openeds": EYE,
}
"""Class names of the conventions of schema.MAPPINGS, in the order of their ids."""
TRAIN, TEST = "train", "test"
SPLITS = {"train": TRAIN, "test": TEST, "val": "validation", "validation": "validation", "dev": TEST}
"""Names of split folders -> what they mean here."""


@dataclass(frozen=True)
class Labelled:
    """One picture (H, W, 3) uint8 and what is known of it; None is not known.

    `seg` (H, W) uint8 ids of the data set's convention, 255 ignored; `gaze` and `head` (2,) float64 (pitch, yaw) rad;
    `landmarks` (68, 2) float64 px, iBUG-68.
    """

    name: str
    picture: Array
    seg: Array | None = None
    gaze: Array | None = None
    head: Array | None = None
    landmarks: Array | None = None


class Entry(NamedTuple):
    """A picture that can be read: `split` may be "", `group` is the person or the recording.

    Entries of one group are never both trained and tested on.
    """

    name: str
    group: str
    split: str
    load: Callable[[], Labelled]


class Real(Sequence[Labelled]):
    """The labelled pictures of a data set: `real[n]` reads one, `real[2:5]` and `real.subset` are parts of it."""

    def __init__(self, format_name: str, entries: Sequence[Entry], convention: str = "") -> None:
        self.format = format_name
        self.entries = tuple(entries)
        self.convention = convention

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the ids of `seg`, () where there is none."""
        return tuple(CONVENTIONS[self.convention]) if self.convention else ()

    def __len__(self) -> int:
        return len(self.entries)

    @overload
    def __getitem__(self, place: int) -> Labelled: ...
    @overload
    def __getitem__(self, place: slice) -> Real: ...
    def __getitem__(self, place: int | slice) -> Labelled | Real:
        if isinstance(place, slice):
            return Real(self.format, self.entries[place], self.convention)
        return self.entries[place].load()

    def __iter__(self) -> Iterator[Labelled]:
        return (entry.load() for entry in self.entries)

    def subset(self, places: Sequence[int]) -> Real:
        """Return the entries at `places`, in that order."""
        return Real(self.format, [self.entries[place] for place in places], self.convention)

    def split(self, name: str) -> Real:
        """Return the entries of the split `name`."""
        return Real(self.format, [entry for entry in self.entries if entry.split == name], self.convention)


def read_picture(path: Path) -> Array:
    """Return a picture file as (H, W, 3) uint8. Raises DatasetError."""
    return _opened(path, lambda file: np.asarray(file.convert("RGB")))


def read_ids(path: Path, classes: Sequence[str]) -> Array:
    """Return a picture file of class ids as (H, W) uint8: a palette's index or a grey value. Raises DatasetError."""
    ids = _opened(path, np.asarray)
    if ids.ndim == 3:
        if not (ids == ids[..., :1]).all():
            raise DatasetError(
                f"{path}: is a picture in colours, not one of class ids; write one number for each pixel"
            )
        ids = ids[..., 0]
    return checked_ids(ids, classes, path)


def checked_ids(ids: Array, classes: Sequence[str], path: Path) -> Array:
    """Return `ids` (H, W) as uint8. Raises DatasetError where one of them has no name in `classes` and is not 255."""
    if ids.ndim != 2:
        raise DatasetError(f"{path}: has the shape {ids.shape}, and a map of class ids two axes; check the file")
    known = (ids == 255) | ((ids >= 0) & (ids < len(classes)))
    if not known.all():
        raise DatasetError(
            f"{path}: holds the class id {ids[~known].flat[0]}, and there are {len(classes)} classes "
            f"({classes[0]} ... {classes[-1]}); name the right convention, as in --format masks:lapa"
        )
    return ids.astype(np.uint8)


def _opened(path: Path, read: Callable[[Any], Array]) -> Array:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                return read(file)
    except FileNotFoundError:
        raise DatasetError(f"{path}: is missing; restore the data set") from None
    except DAMAGED as error:
        raise DatasetError(f"{path}: is not a readable picture ({error}); restore it or remove its entry") from None


def same_size(ids: Array, picture: Array, path: Path) -> Array:
    """Return class ids (h, w) at the size of `picture` (H, W, 3), by the nearest pixel, where they have its shape."""
    (height, width), (h, w) = picture.shape[:2], ids.shape
    if (h, w) == (height, width):
        return ids
    if abs(h / w - height / width) > 0.01 * height / width:
        raise DatasetError(f"{path}: is {w} x {h}, and its picture {width} x {height}; restore the data set")
    rows, columns = ((np.arange(n) + 0.5) * m / n for n, m in ((height, h), (width, w)))
    return ids[rows.astype(int)[:, None], columns.astype(int)]


def pictures_in(folder: Path) -> list[Path]:
    """Return the picture files of a folder in the order of their numbers."""
    return sorted((path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES), key=natural)


def natural(path: Path) -> list[tuple[int, int, str]]:
    """Return a key by which r2 comes before r10."""
    parts, digits = [], ""
    for character in path.stem + "\0":
        if character.isascii() and character.isdigit():
            digits += character
            continue
        if digits:
            parts.append((0, int(digits), ""))
            digits = ""
        parts.append((1, 0, character))
    return parts


def package(name: str, format_name: str) -> Any:
    """Return the module `name`. Raises MissingPackage where it is not installed."""
    return errors.package(name, f"reading {format_name}")


def grey(picture: Array) -> Array:
    """Return (H, W, 3) uint8 of a grey picture (H, W)."""
    return np.repeat(np.asarray(picture, np.uint8)[..., None], 3, axis=2)
