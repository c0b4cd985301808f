"""Refiners: frames in, the same frames with a layer `refined`, checked that nothing moved.

`load_refiner` is the registry: "none", a sensor's profile, a learned refiner's checkpoint, or the one after the other.
A refiner of another kind joins by having `name`, `needs`, `about` and `refine`, and a line in `load_refiner`.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from facewright.errors import AssetError, FrameError
from facewright.render import Check, Frame
from facewright_refiner import drift, sensor
from facewright_refiner.checkpoint import PICKLES, SUFFIX, Checkpoint, load_checkpoint
from facewright_refiner.learned import grid_scale, refine_image
from facewright_refiner.parameters import SensorParams, milder
from facewright_refiner.profile import Profile

DRIFT_LIMIT = 0.3
"""Largest excess drift, in px of the sensor: the picture's true resolution. Unmoved pictures measure < 0.25 (95 %)."""
ATTEMPTS = (("drawn", 0, 1.0), ("redrawn", 1, 1.0), ("milder", 1, 0.4), ("plain", 1, 0.0))
"""Outcome, random stream and strength of successive attempts at a frame; a plain one is the ideal camera's."""
LEARNED_ATTEMPTS = (("refined", 1.0), ("milder", 0.4), ("plain", 0.0))
"""Outcome and strength of a learned refiner's successive attempts at a frame; a plain one is the render itself."""


class Refiner(Protocol):
    """Makes rendered frames look real. `needs` names the layers it reads, `about` goes to the dataset card."""

    name: str
    needs: tuple[str, ...]
    about: dict[str, Any]

    def refine(self, frames: Sequence[Frame]) -> list[Frame]:
        """Return copies of `frames`, in order, with `refined`, its checks, seconds and about; raw layers are shared."""
        ...


class NoRefiner:
    """Leaves frames as they are."""

    name = "none"
    needs: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.about: dict[str, Any] = {"name": self.name}

    def refine(self, frames: Sequence[Frame]) -> list[Frame]:
        """Return the frames themselves."""
        return list(frames)


class SensorRefiner:
    """A simulated camera of a profile; no training. Each frame's camera depends on its sample's seed and index only."""

    needs: tuple[str, ...] = ("rgb", "linear")

    def __init__(self, profile: Profile, device: str = "cpu", limit: float = DRIFT_LIMIT) -> None:
        self.profile = profile
        self.device = torch.device(device)
        self.limit = limit
        self.name = profile.name
        self.about: dict[str, Any] = {
            "name": profile.name,
            "kind": "sensor",
            "profile": profile.digest,
            "drift_limit": limit,
        }

    def refine(self, frames: Sequence[Frame]) -> list[Frame]:
        """Return refined copies; a camera that moved something is drawn again, then made milder, then plain.

        Frames are taken one by one, since each has a sensor of its own size: batches would save nothing.
        """
        return [self.photograph(frame, linear_of(frame)) for frame in frames]

    def photograph(self, frame: Frame, light: np.ndarray) -> Frame:
        """Return a copy of `frame`, refined to a photograph of `light` (H, W, 3) float32, scene-linear."""
        refined = frame
        for outcome, attempt, strength in ATTEMPTS:
            camera = self._camera(frame, attempt)
            refined = self._photograph(frame, light, milder(camera, strength) if strength < 1 else camera, outcome)
            if all(check.ok for check in refine_checks(refined)):
                break
        return refined

    def _camera(self, frame: Frame, attempt: int) -> SensorParams:
        sample = frame.sample
        width = frame.layers["rgb"].shape[1]
        return sensor.draw(
            self.profile, sample.seed, sample.index, px_per_mm=width / sample.camera.field_mm, attempt=attempt
        )

    def _photograph(self, frame: Frame, light: np.ndarray, camera: SensorParams, outcome: str) -> Frame:
        start = time.perf_counter()
        with torch.inference_mode():
            picture = sensor.apply(to_tensor([light]).to(self.device), [camera])
        refined = to_image(picture)[0]
        about = self.about | {"outcome": outcome, "params": camera.to_data()}
        return finished(frame, refined, about, self.limit, camera.scale, start)


class LearnedRefiner:
    """A trained network's refinement. `label` names the checkpoint to people; its digest is what identifies it."""

    needs: tuple[str, ...] = ("rgb",)

    def __init__(self, checkpoint: Checkpoint, label: str, device: str = "cpu", limit: float = DRIFT_LIMIT) -> None:
        if checkpoint.config.look == "depth":
            raise AssetError(f"{label}: was trained on depth maps and cannot refine the pictures of a dataset")
        checkpoint.refiner.to(device)
        self.checkpoint = checkpoint
        self.limit = limit
        self.name = label
        self.about: dict[str, Any] = {
            "name": label,
            "kind": "learned",
            "preset": checkpoint.config.preset,
            "weights": checkpoint.digest,
            "drift_limit": limit,
        }

    def refine(self, frames: Sequence[Frame]) -> list[Frame]:
        """Return refined copies; a change that moved something is made milder, then left out."""
        return [self._refine(frame) for frame in frames]

    def _refine(self, frame: Frame) -> Frame:
        rgb = frame.layers["rgb"]
        scale = grid_scale(self.checkpoint.config, *rgb.shape[:2])
        refined = frame
        for outcome, strength in LEARNED_ATTEMPTS:
            start = time.perf_counter()
            image = refine_image(self.checkpoint, rgb, strength)
            refined = finished(frame, image, self.about | {"outcome": outcome}, self.limit, scale, start)
            if all(check.ok for check in refine_checks(refined)):
                break
        return refined


class ChainedRefiner:
    """A learned refiner, then a sensor that photographs what it made; the drift is that of both together."""

    needs: tuple[str, ...] = ("rgb", "linear")

    def __init__(self, learned: LearnedRefiner, camera: SensorRefiner) -> None:
        self.learned, self.camera = learned, camera
        self.name = f"{learned.name}+{camera.name}"
        self.about: dict[str, Any] = camera.about | {
            "name": self.name,
            "kind": "learned+sensor",
            "weights": learned.checkpoint.digest,
        }

    def refine(self, frames: Sequence[Frame]) -> list[Frame]:
        """Return refined copies; where the learned refiner was rejected, the render is photographed."""
        return [self._refine(frame) for frame in frames]

    def _refine(self, frame: Frame) -> Frame:
        (first,) = self.learned.refine([frame])
        account = first.about["refiner"]
        rejected = account["outcome"] == "plain"
        light = linear_of(frame) if rejected else srgb_to_linear(first.layers["refined"])
        refined = self.camera.photograph(frame, light)
        told = {"learned": {"outcome": account["outcome"], "drift_px": account["drift_px"]}}
        refined.about = refined.about | {"refiner": refined.about["refiner"] | self.about | told}
        refined.seconds["refine"] += first.seconds["refine"]
        return refined


def finished(
    frame: Frame, refined: np.ndarray, about: dict[str, Any], limit: float, scale: float, start: float
) -> Frame:
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


CHECK_PREFIX = "refine: "


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


def load_refiner(spec: str | Path, device: str = "cpu") -> Refiner:
    """Return the refiner that `spec` names.

    That is "none", a built-in profile, a profile's .yaml file, a learned refiner's .safetensors file, or such a file
    and a profile: "refiner.safetensors+webcam".
    """
    text = str(spec)
    if text == "none":
        return NoRefiner()
    path, mark, camera = text.partition(f"{SUFFIX}+")
    if mark or Path(text).suffix.lower() in (SUFFIX, *PICKLES):
        file = Path(path + SUFFIX) if mark else Path(text)
        learned = LearnedRefiner(load_checkpoint(file), file.stem, device)
        return ChainedRefiner(learned, SensorRefiner(Profile.load(camera), device)) if mark else learned
    return SensorRefiner(Profile.load(spec), device)


def linear_of(frame: Frame) -> np.ndarray:
    """Return scene-linear light (H, W, 3) float32: the layer `linear`, else the rgb decoded (clipped at white)."""
    if "linear" in frame.layers:
        return np.asarray(frame.layers["linear"], np.float32)
    return srgb_to_linear(frame.layers["rgb"])


def srgb_to_linear(image: np.ndarray) -> np.ndarray:
    """Return linear light float32 of sRGB uint8."""
    levels = np.arange(256) / 255
    table = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return table[image]


def to_tensor(images: Sequence[np.ndarray]) -> Tensor:
    """Return (B, 3, H, W) float32 of (H, W, 3) images of one size: uint8 becomes [0, 1], float stays."""
    stack = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    return (stack.float() / 255 if stack.dtype == torch.uint8 else stack.float()).contiguous()


def to_image(pictures: Tensor) -> np.ndarray:
    """Return (B, H, W, 3) uint8 of (B, 3, H, W) in [0, 1]."""
    return (pictures * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
