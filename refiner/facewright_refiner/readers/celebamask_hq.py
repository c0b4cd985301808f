"""CelebAMask-HQ as released: CelebA-HQ-img/{k}.jpg, CelebAMask-HQ-mask-anno/{k // 2000}/{k:05d}_{part}.png.

Each part is a mask of its own. Where masks overlap the later id of the official order wins, as in its g_mask.py.
Who a person is the release does not say: every picture is a group of its own.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from facewright.errors import DatasetError
from facewright.schema import CELEBAMASK_HQ
from facewright_refiner.readers.base import Entry, Labelled, Real, pictures_in, read_picture, same_size

PICTURES, MASKS = "CelebA-HQ-img", "CelebAMask-HQ-mask-anno"
FOLDER_PICTURES = 2000
"""Pictures whose masks share a folder."""


def found(folder: Path) -> bool:
    """Return whether `folder` has this layout."""
    return (folder / MASKS).is_dir()


def read(folder: Path) -> Real:
    """Return the pictures of `folder`. Raises DatasetError."""
    entries = []
    for path in pictures_in(folder / PICTURES):
        if not path.stem.isdigit():
            raise DatasetError(f"{path}: is not named by its number, as in 27000.jpg; remove it")
        entries.append(Entry(path.stem, path.stem, "", partial(_load, folder, path)))
    return Real("celebamask_hq", entries, "celebamask_hq")


def _load(folder: Path, path: Path) -> Labelled:
    number = int(path.stem)
    place = folder / MASKS / str(number // FOLDER_PICTURES)
    picture = read_picture(path)
    seg: np.ndarray | None = None
    for value, part in enumerate(CELEBAMASK_HQ):
        mask = place / f"{number:05d}_{part}.png"
        if mask.is_file():
            inside = read_picture(mask)[..., 0] > 127
            seg = np.zeros(inside.shape, np.uint8) if seg is None else seg
            if inside.shape != seg.shape:
                raise DatasetError(f"{mask}: is of another size than the other masks of its picture; restore it")
            seg[inside] = value
    if seg is None:
        raise DatasetError(f"{place}: holds no mask {number:05d}_*.png of {path}; restore the data set")
    return Labelled(path.stem, picture, seg=same_size(seg, picture, place))
