"""LaPa: train, val and test, each with images/{n}.jpg and labels/{n}.png (ids 0-10).

Its 106 landmarks are not iBUG's 68 and are left out.
"""

from __future__ import annotations

from pathlib import Path

from facewright_refiner.readers import masks
from facewright_refiner.readers.base import Real


def found(folder: Path) -> bool:
    """Return whether `folder` has this layout."""
    return any(any((folder / split / "labels").glob("*.png")) for split in ("train", "val", "test"))


def read(folder: Path) -> Real:
    """Return the pictures of `folder`. Raises DatasetError."""
    return masks.read(folder, "lapa", ids="labels", name="lapa")
