"""Refiners: frames in, the same frames with a layer `refined`, checked that nothing moved.

`load_refiner` is the registry: "none", a sensor's profile, a learned refiner's checkpoint, or the one after the other.
A refiner of another kind joins by having `name`, `needs`, `about` and `refine`, and a line in `load_refiner`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from facewright.refining import PORTABLE, split_spec
from facewright.render import Frame
from facewright_refiner import sensor
from facewright_refiner.checkpoint import PICKLES, SUFFIX, load_checkpoint
from facewright_refiner.learned import DRIFT_LIMIT, Changing, LearnedRefiner, finished, refine_checks
from facewright_refiner.parameters import SensorParams, milder
from facewright_refiner.portable import load_portable
from facewright_refiner.profile import Profile
from facewright_refiner.transfer import TransferRefiner, is_transfer

ATTEMPTS = (("drawn", 0, 1.0), ("redrawn", 1, 1.0), ("milder", 1, 0.4), ("plain", 1, 0.0))
"""Outcome, random stream and strength of successive attempts at a frame; a plain one is the ideal camera's."""


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


class ChainedRefiner:
    """A learned refiner (or a transfer), then a sensor that photographs what it made; the drift is of both together."""

    def __init__(self, learned: Changing, camera: SensorRefiner) -> None:
        self.learned, self.camera = learned, camera
        self.needs: tuple[str, ...] = tuple({**dict.fromkeys(learned.needs), **dict.fromkeys(camera.needs)})
        self.name = f"{learned.name}+{camera.name}"
        self.about: dict[str, Any] = camera.about | {
            "name": self.name,
            "kind": f"{learned.about['kind']}+sensor",
            **{key: learned.about[key] for key in ("preset", "weights", "pictures") if key in learned.about},
        }

    def refine(self, frames: Sequence[Frame]) -> list[Frame]:
        """Return refined copies; where the learned refiner was rejected, the render is photographed."""
        return [self._photographed(*pair) for pair in zip(frames, self.learned.refine(frames), strict=True)]

    def _photographed(self, frame: Frame, first: Frame) -> Frame:
        account = first.about["refiner"]
        rejected = account["outcome"] == "plain"
        light = linear_of(frame) if rejected else srgb_to_linear(first.layers["refined"])
        refined = self.camera.photograph(frame, light)
        told = {"learned": {"outcome": account["outcome"], "drift_px": account["drift_px"]}}
        refined.about = refined.about | {"refiner": refined.about["refiner"] | self.about | told}
        refined.seconds["refine"] += first.seconds["refine"]
        return refined


def load_refiner(spec: str | Path, device: str = "cpu") -> Refiner:
    """Return the refiner that `spec` names.

    That is "none"; a built-in profile or a profile's .yaml file; a learned refiner's .safetensors or .onnx file; a
    transfer and its folder, "fda:DIR" (transfer.py); or one of these before a profile, "refiner.safetensors+webcam". A
    learned refiner that was trained before a camera is put before it again; "...+none" leaves that camera out.
    """
    text = str(spec)
    if text == "none":
        return NoRefiner()
    path, camera = split_spec(text)
    if is_transfer(path):
        first: Changing = TransferRefiner(path)
    elif Path(path).suffix.lower() == PORTABLE:
        first = LearnedRefiner(load_portable(Path(path)), Path(path).stem)
    elif Path(path).suffix.lower() in (SUFFIX, *PICKLES):
        first = LearnedRefiner(load_checkpoint(path, device), Path(path).stem)
    else:
        return SensorRefiner(Profile.load(text), device)
    if camera == "none":
        return first
    profile = Profile.load(camera) if camera else own_camera(first)
    return ChainedRefiner(first, SensorRefiner(profile, device)) if profile else first


def own_camera(refiner: Changing) -> Profile | None:
    """Return the camera that a learned refiner was trained before, if there was one."""
    data = refiner.network.card.get("camera") if isinstance(refiner, LearnedRefiner) else None
    return Profile.from_data(data) if data else None


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
