"""A folder of pictures and class ids: images/NAME.jpg and masks/NAME.png, below train, val, dev or test or without.

A mask is a palette's index or a grey value. `groups.csv` (file,group) beside the folders says which pictures belong
together: a person, a recording; without it every picture is a group of its own.
"""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

from facewright.errors import DatasetError
from facewright_refiner.readers.base import (
    CONVENTIONS,
    SPLITS,
    Entry,
    Labelled,
    Real,
    pictures_in,
    read_ids,
    read_picture,
    same_size,
)

NAME = "masks"


def found(folder: Path) -> bool:
    """Return whether `folder` has this layout."""
    return any(_parts(folder, "masks"))


def read(folder: Path, convention: str, *, ids: str = "masks", name: str = NAME) -> Real:
    """Return the pictures of `folder` whose ids lie in `ids` and mean what `convention` says. Raises DatasetError."""
    groups = _groups(folder / "groups.csv")
    entries = []
    for part in _parts(folder, ids):
        split = SPLITS.get(part.name, "") if part != folder else ""
        masks = {path.stem: path for path in pictures_in(part / ids)}
        for picture in pictures_in(part / "images"):
            if picture.stem not in masks:
                raise DatasetError(f"{picture}: has no mask {part / ids / picture.stem}.png; remove it or add one")
            key = picture.relative_to(folder).as_posix()
            group = groups.get(picture.name, groups.get(key, key))
            load = partial(_load, picture, masks[picture.stem], convention)
            entries.append(Entry(key, group, split, load))
    return Real(name, entries, convention)


def _load(picture: Path, mask: Path, convention: str) -> Labelled:
    seen = read_picture(picture)
    ids = read_ids(mask, CONVENTIONS[convention])
    return Labelled(picture.stem, seen, seg=same_size(ids, seen, mask))


def _parts(folder: Path, ids: str) -> list[Path]:
    places = [folder, *(folder / name for name in SPLITS)]
    return [place for place in places if (place / "images").is_dir() and (place / ids).is_dir()]


def _groups(path: Path) -> dict[str, str]:
    """Return file -> group of a table, {} without one."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        if not {"file", "group"} <= set(table.fieldnames or ()):
            raise DatasetError(f"{path}: has the columns {table.fieldnames}; it needs file and group")
        return {row["file"]: row["group"] for row in table}
