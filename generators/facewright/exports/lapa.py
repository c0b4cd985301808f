"""LaPa: pictures and ids 0-10 in train, val and test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from facewright.dataset.layout import encode_png
from facewright.dataset.reader import Dataset
from facewright.exports.view import Format, Take, View, jpeg, public_ids, require_faces, split_of

SPLITS = {"train": 0.82, "val": 0.09, "test": 0.09}
"""Share of the persons in each split: LaPa's 18176, 2000 and 2000 pictures."""


@contextlib.contextmanager
def writer(folder: Path, dataset: Dataset) -> Iterator[Take]:
    """Yield what writes one face as SPLIT/images/{n}.jpg and SPLIT/labels/{n}.png, n = 000000, 000001 ..."""
    require_faces(dataset, "lapa")
    for split in SPLITS:
        for kind in ("images", "labels"):
            (folder / split / kind).mkdir(parents=True)
    number = 0

    def take(view: View) -> None:
        nonlocal number
        place = folder / split_of(dataset.card.seed, view.subject, SPLITS)
        (place / "images" / f"{number:06d}.jpg").write_bytes(jpeg(view.picture, "lapa"))
        (place / "labels" / f"{number:06d}.png").write_bytes(encode_png(public_ids(view.frame.seg, "lapa")))
        number += 1

    yield take


FORMAT = Format("pictures and ids 0-10, split by person (scene face)", ("seg",), False, writer)
