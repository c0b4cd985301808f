"""The two sets a learned refiner is trained on, in memory: (N, C, H, W) float16 in [-1, 1], all in one view."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

import facewright.dataset
from facewright.errors import DatasetError
from facewright.rng import stream
from facewright_refiner import sensor
from facewright_refiner.drift import REC601
from facewright_refiner.pictures import each_picture
from facewright_refiner.presets import Config
from facewright_refiner.profile import View

MOST_BYTES = 2 << 30
"""Of one set in memory; of more pictures than that, some are chosen by the seed."""
LARGEST = 8192
LEAST = 16
"""Fewer pictures than this are refused."""
FEW_REAL = 1000
"""With fewer real pictures the user is warned: reasoned, as discriminators learn small sets by heart."""
DATASET = "dataset.json"


class PictureSet(NamedTuple):
    """Pictures (N, C, H, W) float16 in [-1, 1], a fingerprint of them, and what the user should be told."""

    pictures: Tensor
    fingerprint: str
    notes: list[str]

    def batch(self, seed: int, start: int, count: int, name: str) -> Tensor:
        """Return pictures `start` to `start + count` (float32) of the endless series of shuffled epochs `name`.

        A pure function of its arguments: no state needs to be kept to go on where one stopped.
        """
        total = len(self.pictures)
        epochs = range(start // total, (start + count - 1) // total + 1)
        series = np.concatenate([stream(seed, epoch, f"refiner.{name}").permutation(total) for epoch in epochs])
        first = start - epochs.start * total
        return self.pictures[torch.from_numpy(series[first : first + count])].float()


def read_synthetic(folder: Path, config: Config) -> PictureSet:
    """Return the raw pictures of a dataset, or the pictures of a folder, in the config's view."""
    if not (folder / DATASET).is_file():
        return _gathered(folder, _files(folder, config), config, config.crop)
    layer = "depth" if config.look == "depth" else "rgb"
    dataset = facewright.dataset.open(folder, [layer])
    places = np.linspace(0, len(dataset) - 1, min(len(dataset), _most(config))).round().astype(int)
    frames = ((str(n), dataset[int(n)].layers[layer]) for n in np.unique(places))
    return _gathered(folder, frames, config, config.crop)


def read_real(folder: Path, config: Config) -> PictureSet:
    """Return the real pictures below `folder`, all of each picture that has the view's shape."""
    if (folder / DATASET).is_file():
        raise DatasetError(f"{folder}: is a Facewright dataset; --real takes a folder of real pictures")
    found = _gathered(folder, _files(folder, config), config, 1.0)
    if len(found.pictures) < FEW_REAL:
        found.notes.append(
            f"only {len(found.pictures)} real pictures: a discriminator learns so few by heart; give {FEW_REAL} or "
            "more, or stop early and compare the samples"
        )
    return found


def viewed(image: np.ndarray, look: str, how: View) -> Tensor:
    """Return (1, C, h, w) float32 in [-1, 1] of an image (H, W, 3) uint8, or of a depth map (H, W) float32."""
    if look == "depth":
        channels = depth_levels(image)[None]
    else:
        levels = image.astype(np.float32) / 255
        channels = (levels @ REC601)[None] if look == "gray" else levels.transpose(2, 0, 1)
    picture, _ = sensor.view(torch.from_numpy(np.ascontiguousarray(channels))[None], how)
    return picture * 2 - 1


def depth_levels(depth: np.ndarray) -> np.ndarray:
    """Return a depth map (H, W) of any unit, 0 = none, as float32: 0 is the nearest, 1 the farthest or none."""
    there = np.isfinite(depth) & (depth > 0)
    if not there.any():
        return np.ones(depth.shape, np.float32)
    near, far = depth[there].min(), depth[there].max()
    return np.where(there, (depth - near) / max(far - near, 1e-6), 1).astype(np.float32)


def _files(folder: Path, config: Config) -> Iterator[tuple[str, np.ndarray | str]]:
    mode = "depth" if config.look == "depth" else "RGB"
    for path, image in each_picture(folder, _most(config), config.seed, LARGEST, mode):
        yield str(path), image


def _most(config: Config) -> int:
    return MOST_BYTES // (2 * config.channels * config.height * config.width)


def _gathered(folder: Path, images: Iterable[tuple[str, np.ndarray | str]], config: Config, crop: float) -> PictureSet:
    how = View(crop, config.width, config.height)
    pictures, damaged, small = [], [], 0
    for name, image in images:
        if isinstance(image, str):
            damaged.append(f"{name}: {image}")
            continue
        small += image.shape[1] * crop < config.width or image.shape[0] * crop < config.height
        pictures.append(viewed(image, config.look, how).half())
    if len(pictures) < LEAST:
        raise DatasetError(
            f"{folder}: {len(pictures)} readable pictures are too few to train on; give {LEAST} at the very least, "
            f"{FEW_REAL} or more to learn from" + (f"; the first that cannot be read: {damaged[0]}" if damaged else "")
        )
    stack = torch.cat(pictures)
    notes = [f"{len(damaged)} pictures were left out; the first: {damaged[0]}"] if damaged else []
    if small > len(stack) // 2:
        notes.append(
            f"{folder}: {small} of {len(stack)} pictures are smaller than {config.width} x {config.height} px and were "
            "enlarged, which blurs them; take a smaller view (--set width=... --set height=...)"
        )
    digest = hashlib.blake2b(stack.numpy().data, digest_size=8).hexdigest()
    return PictureSet(stack, digest, notes)
