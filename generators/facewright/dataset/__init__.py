"""Datasets on disk: `open` one to read it; `writer` and `farm` make them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from facewright.dataset.reader import Dataset

__all__ = ["Dataset", "open"]


def open(folder: str | Path, layers: Sequence[str] | None = None) -> Dataset:
    """Return the dataset in `folder` (loose files or shards). Only `layers` are decoded, all by default.

    >>> for frame in open("out", layers=["rgb", "seg"]):
    ...     print(frame.sample.index, frame.rgb.shape, frame.truth.gaze)

    Raises DatasetError where the folder is not a Facewright dataset.
    """
    return Dataset(folder, layers)
