"""Head packs: the identity axes of another head model, registered to our topology (`register.py`), as one file.

Age, gender, ancestry, weight and all expressions go on coming from the embedded head, so every label stays what it is.
Loading a recipe with `head_folder` offers the packs in it to this process by name, as its `hdri_folder` does with maps.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facewright.errors import AssetError

if TYPE_CHECKING:
    from collections.abc import Iterable

Array = np.ndarray

SUFFIX = ".npz"
FORMAT = "facewright head pack 1"
STEP_MM = 0.002
"""Quantum of stored displacements: int16 then reaches 65 mm, more than three sd of any head's axis."""

_offered: dict[str, Path] = {}


@dataclass(frozen=True)
class HeadPack:
    """Directions in which heads differ.

    `axes` (K, V, 3) and `eyes` (K, 2, 3; right, left): displacements in mm of basis vertices and eyeball centres for
    one standard deviation, head axes, most varied first. `source` and `licence` say whose work it is.
    """

    axes: Array
    eyes: Array
    source: str
    licence: str

    def save(self, path: Path) -> None:
        """Write the pack as .npz."""
        steps = np.round(self.axes / STEP_MM)
        if np.abs(steps).max(initial=0) > np.iinfo(np.int16).max:
            raise AssetError(f"an axis moves a vertex by over {STEP_MM * np.iinfo(np.int16).max:.0f} mm for one sd")
        words = {"format": FORMAT, "source": self.source, "licence": self.licence}
        np.savez_compressed(
            path, axes=steps.astype(np.int16), eyes=self.eyes, **{name: np.array(text) for name, text in words.items()}
        )

    @staticmethod
    def load(path: Path, vertices: int) -> HeadPack:
        """Return the pack in `path` for a basis of so many `vertices`. Raises AssetError where it is none."""
        try:
            with np.load(path, allow_pickle=False) as data:
                if str(data["format"]) != FORMAT:
                    raise ValueError("it is of another format")
                axes, eyes = data["axes"].astype(float) * STEP_MM, data["eyes"].astype(float)
                words = str(data["source"]), str(data["licence"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise AssetError(f"{path} is no head pack ({error}); make one with `facewright head-pack`") from None
        if axes.ndim != 3 or axes.shape[1:] != (vertices, 3) or eyes.shape != (len(axes), 2, 3) or not len(axes):
            raise AssetError(
                f"{path} is of another head ({axes.shape} axes); make it again with `facewright head-pack`"
            )
        if not np.isfinite(eyes).all():
            raise AssetError(f"{path} holds eyes that are not finite; make it again with `facewright head-pack`")
        return HeadPack(axes, eyes, *words)


def offer(paths: Iterable[Path]) -> None:
    """Make the packs in files `paths` known by their names without suffix; a later one of a name wins."""
    _offered.update({path.stem: path for path in paths})


def head_pack(name: str, vertices: int) -> HeadPack:
    """Return the offered pack `name`, loaded once. Raises AssetError where nothing offers it."""
    if name not in _offered:
        raise AssetError(f"subject.head.pack: {name!r} is not known here; load the recipe whose head_folder holds it")
    path = _offered[name]
    return _loaded(path, path.stat().st_mtime_ns if path.exists() else 0, vertices)


@lru_cache(maxsize=8)
def _loaded(path: Path, changed: int, vertices: int) -> HeadPack:
    return HeadPack.load(path, vertices)
