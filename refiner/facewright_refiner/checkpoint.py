"""Checkpoints: tensors in a .safetensors file, with a model card in its header. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from facewright.errors import AssetError, FacewrightError, MissingPackage, OutputError
from facewright_refiner.learned import Scope
from facewright_refiner.modern import ModernRefiner
from facewright_refiner.networks import refiner_of
from facewright_refiner.presets import Config

SUFFIX = ".safetensors"
PICKLES = (".pt", ".pth", ".ckpt", ".pkl", ".bin")
VERSION = 1
MAX_BYTES = 1 << 30
_KEY = "facewright"


class Checkpoint(NamedTuple):
    """A trained refiner, what it was trained with, its model card, and a digest of weights and view (16 hex digits)."""

    refiner: nn.Module
    config: Config
    card: dict[str, Any]
    digest: str

    @property
    def scope(self) -> Scope:
        """See learned.Network, which this is."""
        return self.config.scope

    def __call__(self, pictures: np.ndarray, guides: np.ndarray | None, noise: np.ndarray | None) -> np.ndarray:
        """Return refined pictures (B, C, H, W) float32 in [-1, 1] of such pictures, their guides and noise."""
        device = next(self.refiner.parameters()).device
        inputs = [torch.from_numpy(x).to(device) for x in (pictures, guides, noise) if x is not None]
        with torch.inference_mode():
            return self.refiner(*inputs).cpu().numpy()


def build_refiner(config: Config) -> nn.Module:
    """Return a new refiner of the config's family."""
    if config.guided:
        return ModernRefiner(config.channels, config.features, config.blocks)
    return refiner_of(config.family, config.channels, config.blocks, config.features)


def load_checkpoint(path: str | Path, device: str = "cpu") -> Checkpoint:
    """Return the refiner saved in `path`. Raises AssetError where it is not one, or is damaged."""
    path = Path(path)
    if path.suffix.lower() in PICKLES:
        raise AssetError(f"{path}: may run code when it is read, so it never is; give a refiner{SUFFIX}")
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        raise AssetError(f"{path}: is larger than {MAX_BYTES:,} bytes; this is not a refiner")
    tensors, card = read_tensors(path)
    if card.get("kind") != "refiner" or card.get("version") != VERSION:
        raise AssetError(
            f"{path}: was not written by this Facewright as a refiner; give the refiner{SUFFIX} of a run of "
            "`facewright train-refiner`"
        )
    try:
        config = Config.from_data(card["config"], where="config: ")
    except (KeyError, AttributeError, FacewrightError) as error:
        raise AssetError(f"{path}: its model card cannot be used ({error}); train it again") from None
    refiner = build_refiner(config)
    _fill(refiner, tensors, path)
    return Checkpoint(refiner.eval().requires_grad_(False).to(device), config, card, _digest(tensors, config))


def save_checkpoint(path: Path, refiner: nn.Module, card: Mapping[str, Any]) -> None:
    """Write the refiner and its card to `path`, and the card alone beside it as .json."""
    full = {"kind": "refiner", "version": VERSION, **card}
    write_tensors(path, refiner.state_dict(), full)
    write(path.with_suffix(".json"), json.dumps(full, indent=1).encode())


def _digest(tensors: Mapping[str, Tensor], config: Config) -> str:
    """Return a digest of all that decides what a refiner does to a picture."""
    how = (config.look, config.width, config.height, config.crop)
    digest = hashlib.blake2b(json.dumps(how).encode(), digest_size=8)
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the card of a file that `write_tensors` wrote."""
    safetensors, error_class = need_package()
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            noted = json.loads((file.metadata() or {}).get(_KEY, "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, noted
    except FileNotFoundError:
        raise AssetError(f"{path}: no such file; give a {SUFFIX} file that exists") from None
    except (OSError, ValueError, error_class) as error:
        raise AssetError(f"{path}: is not a readable {SUFFIX} file ({error}); copy or train it again") from None


def write_tensors(path: Path, tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    """Write tensors and card to `path`, whole or not at all. Raises OutputError."""
    need_package()
    from safetensors.torch import save

    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write(path, save(kept, {_KEY: json.dumps(card)}))


def write(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all. Raises OutputError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); choose another place") from None


def _fill(refiner: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    wanted = {name: tuple(tensor.shape) for name, tensor in refiner.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if wanted != found:
        name = next(key for key in sorted({*wanted, *found}) if wanted.get(key) != found.get(key))
        raise AssetError(
            f"{path}: {name} is {found.get(name, 'missing')} and its model card means "
            f"{wanted.get(name, 'no such tensor')}; the file is damaged or was made by hand"
        )
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise AssetError(f"{path}: holds values that are not finite; take an earlier checkpoint")
    refiner.load_state_dict(tensors)


def need_package() -> tuple[Any, type[Exception]]:
    """Return safetensors and its error. Raises MissingPackage."""
    try:
        import safetensors
    except ImportError:
        raise MissingPackage(
            "learned refiners need the package safetensors; run `python -m pip install safetensors`"
        ) from None
    return safetensors, safetensors.SafetensorError
