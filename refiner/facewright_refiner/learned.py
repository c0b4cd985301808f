"""A trained refiner on frames of any size. Numpy only: what runs the network (torch, onnxruntime) is handed in.

It changes a picture at the resolution it was trained at: the frame is scaled to as many px as its training view gave
it, refined there, and the *change* is scaled back and added. At its own resolution that is the network's output, above
it what the network cannot see stays as it was rendered. Both scalings map corners on corners, so they move nothing.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from facewright.errors import AssetError, FrameError
from facewright.render import Check, Frame
from facewright.rng import stream
from facewright_refiner import drift, guides
from facewright_refiner.drift import REC601

Array = np.ndarray

DRIFT_LIMIT = 0.3
"""Largest excess drift, in px of the sensor: the picture's true resolution. Unmoved pictures measure < 0.25 (95 %)."""
ATTEMPTS = (("refined", 1.0), ("milder", 0.4), ("plain", 0.0))
"""Outcome and strength of successive attempts at a frame; a plain one is the render itself."""
CHECK_PREFIX = "refine: "
LEAST_SIDE = 8
"""A frame is never scaled below this many px."""


class Scope(NamedTuple):
    """What of a training config decides how a network is applied.

    `look` is gray, colour or depth; the view is `width` x `height` px of the middle share `crop`; sides must be
    multiples of `multiple`; `noise` is the number of noise channels of a network that sees guides, 0 of one that does
    not.
    """

    look: str
    width: int
    height: int
    crop: float
    multiple: int
    noise: int


class Network(Protocol):
    """A trained network: its scope, where it is from, and the call."""

    @property
    def scope(self) -> Scope:
        """How it is applied."""
        ...

    @property
    def card(self) -> Mapping[str, Any]:
        """Its model card."""
        ...

    @property
    def digest(self) -> str:
        """A digest of all that decides what it does to a picture, 16 hex digits."""
        ...

    def __call__(self, pictures: Array, guides: Array | None, noise: Array | None) -> Array:
        """Return refined pictures (B, C, H, W) float32 in [-1, 1] of such pictures, their guides and noise."""
        ...


class Changing:
    """A refiner that changes a frame's picture by a `strength`; what moved something is made milder, then left out.

    `about` goes to the dataset card; `limit` is of drift, in px of the sensor. Subclasses give `images`.
    """

    needs: tuple[str, ...] = ("rgb",)

    def __init__(self, name: str, about: dict[str, Any], limit: float = DRIFT_LIMIT) -> None:
        self.name, self.limit = name, limit
        self.about: dict[str, Any] = {"name": name, **about, "drift_limit": limit}

    def images(self, frames: Sequence[Frame], strength: float) -> list[Array]:
        """Return the refined pictures (H, W, 3) uint8 of frames of one size."""
        raise NotImplementedError

    def scale(self, height: int, width: int) -> float:
        """Return px of the grid that drift is limited on, per px of a frame of that size."""
        return 1.0

    def refine(self, frames: Sequence[Frame]) -> list[Frame]:
        """Return refined copies, in order; pictures of one size are refined together."""
        sizes: dict[tuple[int, ...], list[int]] = {}
        for k, frame in enumerate(frames):
            sizes.setdefault(frame.layers["rgb"].shape, []).append(k)
        found = dict[int, Frame]()
        for places in sizes.values():
            begun = time.perf_counter()
            images = self.images([frames[k] for k in places], ATTEMPTS[0][1])
            share = (time.perf_counter() - begun) / len(places)
            found |= {k: self._judged(frames[k], image, share) for k, image in zip(places, images, strict=True)}
        return [found[k] for k in range(len(frames))]

    def _judged(self, frame: Frame, image: Array, took: float) -> Frame:
        """Return `frame` with its refined `image`, which took so many seconds, or with a milder one that moves less."""
        scale = self.scale(*frame.layers["rgb"].shape[:2])
        refined, start = frame, time.perf_counter() - took
        for outcome, strength in ATTEMPTS:
            if outcome != ATTEMPTS[0][0]:
                start = time.perf_counter()
                image = self.images([frame], strength)[0] if strength else frame.layers["rgb"]
            refined = finished(frame, image, self.about | {"outcome": outcome}, self.limit, scale, start)
            if all(check.ok for check in refine_checks(refined)):
                break
        return refined


class LearnedRefiner(Changing):
    """A trained network's refinement. `label` names the checkpoint to people; its digest is what identifies it."""

    def __init__(self, network: Network, label: str, limit: float = DRIFT_LIMIT) -> None:
        if network.scope.look == "depth":
            raise AssetError(f"{label}: was trained on depth maps and cannot refine the pictures of a dataset")
        about = {"kind": "learned", "preset": network.card["config"]["preset"], "weights": network.digest}
        super().__init__(label, about, limit)
        self.network = network
        self.needs: tuple[str, ...] = ("rgb", *(guides.LAYERS if network.scope.noise else ()))

    def images(self, frames: Sequence[Frame], strength: float) -> list[Array]:
        """Return the refined pictures (H, W, 3) uint8 of frames of one size."""
        seen = [guides.guide_of(frame.layers) for frame in frames] if self.network.scope.noise else None
        keys = [(frame.sample.seed, frame.sample.index) for frame in frames]
        return refine_images(self.network, [frame.layers["rgb"] for frame in frames], strength, seen, keys)

    def scale(self, height: int, width: int) -> float:
        """Return px of the network per px of a frame, see `grid_scale`."""
        return grid_scale(self.network.scope, height, width)


def refine_image(
    network: Network, image: Array, strength: float = 1.0, guide: Array | None = None, key: tuple[int, int] = (0, 0)
) -> Array:
    """Return the refined picture (H, W, 3) uint8 of such an image: a batch of one, see `refine_images`."""
    return refine_images(network, [image], strength, None if guide is None else [guide], [key])[0]


def refine_images(
    network: Network,
    images: Sequence[Array],
    strength: float,
    seen: Sequence[Array] | None,
    keys: Sequence[tuple[int, int]],
) -> list[Array]:
    """Return the refined pictures (H, W, 3) uint8 of such images of one size; `strength` scales the change.

    `seen` are guides (guides.CHANNELS, H, W), for a network that sees them; `keys` are seed and index of its noise. A
    refiner of gray pictures returns gray ones.
    """
    levels = np.stack(images).astype(np.float32) / 255
    channels = (levels @ REC601)[:, None] if network.scope.look == "gray" else levels.transpose(0, 3, 1, 2)
    pictures = channels * 2 - 1
    change = changes_of(network, pictures, None if seen is None else np.stack(seen), keys)
    refined = np.clip(pictures + np.float32(strength) * change, -1, 1)
    shown = np.round((refined + 1) * 127.5).astype(np.uint8)
    return list(np.ascontiguousarray(np.repeat(shown, 3 // shown.shape[1], axis=1).transpose(0, 2, 3, 1)))


def changes_of(network: Network, pictures: Array, seen: Array | None, keys: Sequence[tuple[int, int]]) -> Array:
    """Return what refinement adds to pictures (B, C, H, W) in [-1, 1], of the same shape."""
    scope, size = network.scope, pictures.shape[-2:]
    scale = grid_scale(scope, *size)
    small = resample(pictures, (round(size[0] * scale), round(size[1] * scale)))
    height, width = small.shape[-2:]
    padding = [(0, 0), (0, 0), (0, -height % scope.multiple), (0, -width % scope.multiple)]
    whole = np.pad(small, padding, mode="symmetric")
    noise = None
    if scope.noise:
        if seen is None:
            raise FrameError("this refiner looks at a frame's layers, which a picture alone does not have")
        seen = np.pad(resample(seen, (height, width)), padding, mode="symmetric")
        noise = np.stack([noise_of((scope.noise, *whole.shape[-2:]), *key) for key in keys])
    else:
        seen = None
    refined = network(whole, seen, noise)[..., :height, :width]
    return resample(refined - small, size)


def noise_of(shape: tuple[int, ...], seed: int, index: int) -> Array:
    """Return standard normals of `shape`, float32, for frame `index` under `seed`."""
    return stream(seed, index, "refiner.noise").standard_normal(shape, np.float32)


def grid_scale(scope: Any, height: int, width: int) -> float:
    """Return px of the network per px of a frame of that size, as in training; of a Scope or a Config."""
    cut = min(width * scope.crop, height * scope.width / scope.height)
    return max(scope.width / cut, LEAST_SIDE / min(height, width))


def resample(image: Array, size: Sequence[int]) -> Array:
    """Return (..., H, W) float32 resampled to `size`, corner on corner, by a triangle as wide as the larger pixel."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    rows, columns = (_weights(n, m) for n, m in zip(image.shape[-2:], size, strict=True))
    return rows @ image.astype(np.float32, copy=False) @ columns.T


@lru_cache(maxsize=16)
def _weights(before: int, after: int) -> Array:
    """Return (after, before) float32 weights of linear interpolation, each row's sum 1."""
    scale = before / after
    centre = (np.arange(after) + 0.5)[:, None] * scale
    weight = np.maximum(0, 1 - np.abs(np.arange(before) + 0.5 - centre) / max(1.0, scale))
    return (weight / weight.sum(1, keepdims=True)).astype(np.float32)


def finished(frame: Frame, refined: Array, about: dict[str, Any], limit: float, scale: float, start: float) -> Frame:
    """Return a copy of `frame` with the layer `refined` and its drift checked; `start` is when refining began."""
    if refined.shape != frame.layers["rgb"].shape:
        raise FrameError(f"the refiner returned {refined.shape} for a frame of {frame.layers['rgb'].shape}")
    kept = [check for check in frame.checks if not check.name.startswith(CHECK_PREFIX)]
    copy = dataclasses.replace(frame, layers=frame.layers | {"refined": refined})
    found = drift.measure(copy)
    copy.checks = kept + _checks(found, limit, scale)
    measured = {key: None if math.isnan(value) else value for key, value in found._asdict().items()}
    copy.about = frame.about | {"refiner": about | {"drift_px": measured}}
    copy.seconds = frame.seconds | {"refine": time.perf_counter() - start}
    return copy


def refine_checks(frame: Frame) -> list[Check]:
    """Return the checks that a refiner appended to `frame`."""
    return [check for check in frame.checks if check.name.startswith(CHECK_PREFIX)]


def _checks(found: drift.Drift, limit: float, scale: float) -> list[Check]:
    """Return one check per drift that could be measured, in px of the sensor."""
    shifts = {"whole picture": found.whole, "worst pupil": found.pupil, "median landmark": found.landmark}
    return [
        Check(f"{CHECK_PREFIX}shift of the {name} beyond its control, sensor px", value * min(1.0, scale), limit)
        for name, value in shifts.items()
        if not math.isnan(value)
    ]
