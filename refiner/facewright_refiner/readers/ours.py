"""Our own datasets through the same door: ids in any public convention, landmarks on the visible contour."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

import facewright.dataset
from facewright.dataset.layout import CARD
from facewright.dataset.reader import Dataset
from facewright.exports.view import public_ids
from facewright.truth import pitch_yaw
from facewright_refiner.readers.base import Entry, Labelled, Real


def found(folder: Path) -> bool:
    """Return whether `folder` has this layout."""
    return (folder / CARD).is_file()


def read(folder: Path, convention: str, *, picture: str = "rgb", indices: Sequence[int] | None = None) -> Real:
    """Return the frames of a dataset, or those of `indices`, with ids of `convention` ("" for none).

    `picture` is the layer to take: "rgb" or "refined". Raises DatasetError.
    """
    dataset = facewright.dataset.open(folder, [picture, *(["seg"] if convention else [])])
    entries = []
    for index in dataset.indices if indices is None else indices:
        group = f"subject{dataset.record(index)['sample']['subject_index']}"
        entries.append(Entry(f"{index:06d}", group, "", partial(_load, dataset, index, picture, convention)))
    return Real("facewright", entries, convention)


def _load(dataset: Dataset, index: int, picture: str, convention: str) -> Labelled:
    frame = dataset.frame(index)
    truth = frame.truth
    return Labelled(
        f"{index:06d}",
        frame.layers[picture],
        seg=public_ids(frame.seg, convention) if convention else None,
        gaze=np.array(pitch_yaw(truth.gaze)),
        head=np.radians([truth.head.pitch_deg, truth.head.yaw_deg]),
        landmarks=truth.landmarks_contour_2d,
    )
