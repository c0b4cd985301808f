"""Learned refiners as ONNX files: run by onnxruntime, without torch. So Blender itself can refine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from facewright.errors import AssetError, MissingPackage
from facewright.refining import split_spec
from facewright_refiner.learned import LearnedRefiner, Scope

KEY = "facewright"
"""Of the model card among an ONNX file's metadata."""
VERSION = 1
INPUTS = ("picture", "guide", "noise")
"""Names of a graph's inputs in order, as many as the network has: (B, channels, H, W) float32."""


class Portable:
    """A learned.Network in onnxruntime; graphs take any batch and any size that is a multiple of the scope's."""

    def __init__(self, session: Any, scope: Scope, card: Mapping[str, Any], digest: str) -> None:
        self.session, self.scope, self.card, self.digest = session, scope, card, digest

    def __call__(self, pictures: np.ndarray, guides: np.ndarray | None, noise: np.ndarray | None) -> np.ndarray:
        """Return refined pictures (B, C, H, W) float32 in [-1, 1] of such pictures, their guides and noise."""
        given = {name: x for name, x in zip(INPUTS, (pictures, guides, noise), strict=True) if x is not None}
        return self.session.run(None, given)[0]


def load_portable(path: Path) -> Portable:
    """Return the refiner in an ONNX file. Raises AssetError where it is not one, MissingPackage without onnxruntime."""
    try:
        import onnxruntime
    except ImportError:
        raise MissingPackage(
            f"{path}: needs the package onnxruntime; run `python -m pip install onnxruntime`, or give the .safetensors "
            "file and a Python that has torch"
        ) from None
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AssetError(f"{path}: cannot be read ({error.strerror}); give an .onnx file that exists") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        card = json.loads(session.get_modelmeta().custom_metadata_map[KEY])
        scope = Scope(**card["scope"])
        good = card["version"] == VERSION
    except Exception as error:  # onnxruntime has no base class of its own
        raise AssetError(
            f"{path}: is not a refiner of `facewright export-refiner` ({str(error).splitlines()[0][:120]})"
        ) from None
    if not good:
        raise AssetError(f"{path}: is of version {card['version']}, this Facewright reads {VERSION}; export it again")
    return Portable(session, scope, card, hashlib.blake2b(data, digest_size=8).hexdigest())


def load_alone(spec: str) -> LearnedRefiner:
    """Return the refiner of "X.onnx" or "X.onnx+none" where there is no torch. A camera would need it."""
    first, camera = split_spec(spec)
    network = load_portable(Path(first))
    if camera != "none" and (camera or network.card.get("camera")):
        raise MissingPackage(
            f"{spec}: its camera needs torch and kornia, which this Python does not have; name one that has them with "
            f"--refiner-python, or leave the camera out: {first}+none"
        )
    return LearnedRefiner(network, Path(first).stem)
