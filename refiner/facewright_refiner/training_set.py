"""The two sets a learned refiner is trained on, in memory: (N, C, H, W) float16 in [-1, 1], all in one view."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

import facewright.dataset
from facewright.errors import DatasetError, FrameError
from facewright.rng import stream
from facewright_refiner import guides, sensor
from facewright_refiner.drift import REC601
from facewright_refiner.guides import depth_levels
from facewright_refiner.pictures import each_picture, groups_of
from facewright_refiner.presets import Config
from facewright_refiner.profile import View

MOST_BYTES = 2 << 30
"""Of one set in memory; of more pictures than that, some are chosen by the seed."""
LARGEST = 8192
LEAST = 16
"""Fewer pictures than this are refused."""
FEW_REAL = 1000
"""With fewer real pictures the user is warned: reasoned, as discriminators learn small sets by heart."""
LEAST_HELD = 100
"""With at least so many real pictures, some are held out to judge checkpoints by."""
MOST_HELD = 300
DATASET = "dataset.json"


class PictureSet(NamedTuple):
    """Pictures (N, C, H, W) float16 in [-1, 1], a fingerprint of them, and what the user should be told.

    `groups` names each picture's siblings (real ones). Of a dataset for guided networks, `guides` is (N,
    guides.CHANNELS, H, W) float16 and `px_per_mm` (N,) how finely a picture resolves its subject; else None.
    """

    pictures: Tensor
    fingerprint: str
    notes: list[str]
    groups: Sequence[str] = ()
    guides: Tensor | None = None
    px_per_mm: Tensor | None = None

    def batch(self, seed: int, start: int, count: int, name: str) -> Tensor:
        """Return pictures `start` to `start + count` (float32) of the endless series `name`, see `series`."""
        return self.pictures[self.series(seed, start, count, name)].float()

    def series(self, seed: int, start: int, count: int, name: str) -> Tensor:
        """Return numbers `start` to `start + count` of the endless series of shuffled epochs `name`.

        A pure function of its arguments: no state needs to be kept to go on where one stopped.
        """
        total = len(self.pictures)
        epochs = range(start // total, (start + count - 1) // total + 1)
        series = np.concatenate([stream(seed, epoch, f"refiner.{name}").permutation(total) for epoch in epochs])
        first = start - epochs.start * total
        return torch.from_numpy(series[first : first + count])


def read_synthetic(folder: Path, config: Config) -> PictureSet:
    """Return the raw pictures of a dataset, or the pictures of a folder, in the config's view."""
    if not (folder / DATASET).is_file():
        if config.guided:
            raise DatasetError(
                f"{folder}: is not a Facewright dataset; the preset {config.preset} learns from the layers "
                f"{', '.join(guides.LAYERS)} of one"
            )
        return _gathered(folder, _files(folder, config), config, config.crop)
    if config.guided:
        return _guided(folder, config)
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


def hold_out(real: PictureSet) -> tuple[PictureSet, Tensor | None]:
    """Return the set to train on, and what is kept to judge checkpoints by: none of fewer than LEAST_HELD pictures.

    Kept are a fifth, at most MOST_HELD, in whole groups: what would not fit is trained on.
    """
    if len(real.pictures) < LEAST_HELD:
        return real, None
    sizes = Counter(real.groups)
    held: set[str] = set()
    room = min(len(real.pictures) // 5, MOST_HELD)
    for name in sorted(sizes, key=lambda name: hashlib.blake2b(name.encode()).digest()):
        if sizes[name] <= room:
            held.add(name)
            room -= sizes[name]
    out = torch.tensor([name in held for name in real.groups])
    kept = [name for name in real.groups if name not in held]
    return real._replace(pictures=real.pictures[~out], groups=kept), real.pictures[out]


def _guided(folder: Path, config: Config) -> PictureSet:
    """Return the pictures of a dataset with their guides, all in the config's view."""
    dataset = facewright.dataset.open(folder, ["rgb", *guides.LAYERS])
    places = np.unique(np.linspace(0, len(dataset) - 1, min(len(dataset), _most(config))).round().astype(int))
    how = View(config.crop, config.width, config.height)
    found, scale = [], []

    def images() -> Iterator[tuple[str, np.ndarray | str]]:
        for n in places:
            frame = dataset[int(n)]
            try:
                guide = torch.from_numpy(guides.guide_of(frame.layers))[None]
            except FrameError as error:
                raise DatasetError(f"{folder}: frame {frame.sample.index}: {error}") from None
            seen, matrix = sensor.view(guide, how)
            found.append(seen.half())
            scale.append(frame.layers["rgb"].shape[1] / frame.sample.camera.field_mm * float(matrix[0, 0]))
            yield str(n), frame.layers["rgb"]

    gathered = _gathered(folder, images(), config, config.crop)
    return gathered._replace(guides=torch.cat(found), px_per_mm=torch.tensor(scale))


def viewed(image: np.ndarray, look: str, how: View) -> Tensor:
    """Return (1, C, h, w) float32 in [-1, 1] of an image (H, W, 3) uint8, or of a depth map (H, W) float32."""
    if look == "depth":
        channels = depth_levels(image)[None]
    else:
        levels = image.astype(np.float32) / 255
        channels = (levels @ REC601)[None] if look == "gray" else levels.transpose(2, 0, 1)
    picture, _ = sensor.view(torch.from_numpy(np.ascontiguousarray(channels))[None], how)
    return picture * 2 - 1


def _files(folder: Path, config: Config) -> Iterator[tuple[str, np.ndarray | str]]:
    mode = "depth" if config.look == "depth" else "RGB"
    for path, image in each_picture(folder, _most(config), config.seed, LARGEST, mode):
        yield str(path), image


def _most(config: Config) -> int:
    layers = config.channels + (guides.CHANNELS if config.guided else 0)
    return MOST_BYTES // (2 * layers * config.height * config.width)


def _gathered(folder: Path, images: Iterable[tuple[str, np.ndarray | str]], config: Config, crop: float) -> PictureSet:
    how = View(crop, config.width, config.height)
    pictures, names, damaged, small = [], [], [], 0
    for name, image in images:
        if isinstance(image, str):
            damaged.append(f"{name}: {image}")
            continue
        small += image.shape[1] * crop < config.width or image.shape[0] * crop < config.height
        pictures.append(viewed(image, config.look, how).half())
        names.append(Path(name))
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
    return PictureSet(stack, digest, notes, groups_of(names))
