"""OpenEDS 2019, semantic segmentation: grey PNG pictures and .npy labels in train, validation and test."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facewright.dataset.layout import encode_png
from facewright.dataset.reader import Dataset
from facewright.exports.view import Format, Take, View, eye_ids, grey, split_of

SPLITS = {"train": 0.70, "validation": 0.19, "test": 0.11}
"""Share of the persons in each split, as in OpenEDS 2019."""


@contextlib.contextmanager
def writer(folder: Path, dataset: Dataset) -> Iterator[Take]:
    """Yield what writes one eye as SPLIT/images/{n}.png and SPLIT/labels/{n}.npy, n = 000000, 000001 ..."""
    for split in SPLITS:
        for kind in ("images", "labels"):
            (folder / split / kind).mkdir(parents=True)
    number = 0

    def take(view: View) -> None:
        nonlocal number
        view.require_seen(view.eye.limbus.centre[None])
        place = folder / split_of(dataset.card.seed, view.subject, SPLITS)
        labels = io.BytesIO()
        np.save(labels, eye_ids(view.frame.seg, view.side))
        (place / "images" / f"{number:06d}.png").write_bytes(encode_png(grey(view.picture)))
        (place / "labels" / f"{number:06d}.npy").write_bytes(labels.getvalue())
        number += 1

    yield take


FORMAT = Format("grey pictures and ids 0-3, split by person", ("seg",), True, writer)
