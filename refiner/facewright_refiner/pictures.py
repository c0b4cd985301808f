"""Folders of real pictures: finding, reading and grouping them, with a bound on memory."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from facewright.errors import DatasetError
from facewright.rng import stream

DAMAGED = (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning)
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


LARGEST_FILE = 16384
"""Longest edge in px of a picture that is to be reduced; pillow refuses more pixels than are sane before that."""


class Pictures(NamedTuple):
    """Pictures of a folder: paths, (H, W, 3) uint8 arrays of any size, group names, and what could not be read."""

    paths: list[Path]
    images: list[np.ndarray]
    groups: list[str]
    unreadable: list[str]
    fingerprint: str


def find_pictures(folder: str | Path) -> list[Path]:
    """Return all pictures below `folder`, sorted. Raises DatasetError where there is none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; give a folder of real pictures")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise DatasetError(f"{folder}: holds no picture ({', '.join(SUFFIXES)}); give a folder of real pictures")
    return found


def read_pictures(folder: str | Path, limit: int, seed: int = 0, largest: int = 1024) -> Pictures:
    """Return at most `limit` pictures below `folder`, chosen by `seed`.

    Pictures larger than `largest` px are cut to their middle `largest` px, not scaled, so that noise stays noise. Files
    that are damaged are skipped and named. Raises DatasetError where nothing can be read.
    """
    digest = hashlib.blake2b(digest_size=8)
    kept, images, unreadable = [], [], []
    for path, image in each_picture(folder, limit, seed, largest):
        if isinstance(image, str):
            unreadable.append(f"{path}: {image}")
            continue
        digest.update(path.relative_to(folder).as_posix().encode() + image.tobytes())
        kept.append(path)
        images.append(image)
    if not images:
        raise DatasetError(f"{folder}: none of {len(unreadable)} pictures can be read; the first: {unreadable[0]}")
    return Pictures(kept, images, groups_of(kept), unreadable, digest.hexdigest())


def read_files(paths: Sequence[Path], edge: int = 512) -> Pictures:
    """Return the pictures in `paths`, whole, longer edges reduced to `edge` px; damaged ones are skipped and named.

    Raises DatasetError where nothing can be read.
    """
    digest = hashlib.blake2b(digest_size=8)
    kept, images, unreadable = [], [], []
    for path in paths:
        try:
            image = Image.fromarray(_read(path, LARGEST_FILE, "RGB"))
            image.thumbnail((edge, edge), Image.Resampling.BOX)
            images.append(np.asarray(image))
        except DAMAGED as error:
            unreadable.append(f"{path}: {error}")
            continue
        digest.update(path.name.encode() + images[-1].tobytes())
        kept.append(path)
    if not images:
        first = f"; the first: {unreadable[0]}" if unreadable else ""
        raise DatasetError(f"none of {len(paths)} real pictures can be read{first}; give pictures that open")
    return Pictures(kept, images, groups_of(kept), unreadable, digest.hexdigest())


def each_picture(
    folder: str | Path, limit: int, seed: int = 0, largest: int = 1024, mode: str = "RGB"
) -> Iterator[tuple[Path, np.ndarray | str]]:
    """Yield path and picture of at most `limit` files below `folder`, one at a time; the reason of a damaged one.

    Arrays are (H, W, 3) uint8, or (H, W) float32 of the file's own numbers where `mode` is "depth".
    """
    paths = find_pictures(folder)
    for n in np.sort(stream(seed, 0, "refiner.pictures").permutation(len(paths))[:limit]):
        try:
            yield paths[n], _read(paths[n], largest, mode)
        except DAMAGED as error:
            yield paths[n], str(error)


def groups_of(paths: Sequence[Path]) -> list[str]:
    """Return a name for each picture that it shares with its likely siblings: the stem without side and number.

    Where that leaves fewer than 20 names, every picture is a group of its own.
    """
    side = r"([_\-. ]?(left|right|L|R))?"
    names = [re.sub(rf"{side}([_\-. ]?\d+)?{side}$", "", path.stem) or path.stem for path in paths]
    return names if len(set(names)) >= 20 else [path.as_posix() for path in paths]


def _read(path: Path, largest: int, mode: str) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as file:
            width, height = file.size
            w, h = min(width, largest), min(height, largest)
            x, y = (width - w) // 2, (height - h) // 2
            if mode == "depth":
                if len(file.getbands()) > 1:
                    raise ValueError(f"has {len(file.getbands())} channels, and a depth map one")
                return np.asarray(file.crop((x, y, x + w, y + h)), np.float32)
            return np.asarray(file.convert(mode).crop((x, y, x + w, y + h)))
