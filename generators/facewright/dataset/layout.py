"""Where everything in a dataset lies, and how one layer becomes bytes.

    DIR/dataset.json                 the card: recipe, seed, ranges, versions, devices, limits of the checks
    DIR/recipe.json                  the recipe alone; `facewright generate DIR/recipe.json` makes more of the same
    DIR/frames/000123.rgb.png ...    one file for each layer (render.LAYERS)
    DIR/frames/000123.json           the record: sample, truth, checks, sizes and hashes; written last
    DIR/shards/facewright-000000.tar the same names as WebDataset shards, when asked for with --tar
    DIR/quarantine/000123/           what failed: sample.json, error.txt and the layers there were
    DIR/claims/000123.json           who is rendering what
    DIR/logs/                        what Blender said

A record exists if and only if its .json has its final name.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from facewright.dataset import exr
from facewright.errors import DatasetError, OutputError
from facewright.render import LAYERS

CARD, RECIPE, LOCK = "dataset.json", "recipe.json", ".lock"
FRAMES, SHARDS, QUARANTINE, CLAIMS, LOGS = "frames", "shards", "quarantine", "claims", "logs"

EXR_CHANNELS = {"linear": "RGB", "normal": "RGB", "depth": "Z", "canonical": "RGB", "albedo": "RGB"}
"""Channel names of the EXR layers; normals and canonical places are stored as RGB = xyz: every reader finds them."""
HALF_LAYERS = ("linear", "normal", "albedo")
_HALF_MAX = float(np.finfo(np.float16).max)
_PNG_LEVEL = 4
_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", None))


def stem(index: int) -> str:
    """Return the file stem of a record, e.g. "000123"."""
    return f"{index:06d}"


def layer_file(index: int, layer: str) -> str:
    """Return the file name of a layer, e.g. "000123.rgb.png"."""
    return f"{stem(index)}.{LAYERS[layer].suffix}"


def index_of(name: str) -> int | None:
    """Return the index that a record's file name starts with, or None for any other name."""
    head = name.partition(".")[0]
    return int(head) if head.isascii() and head.isdigit() and len(head) >= 6 else None


def encode_layer(layer: str, values: np.ndarray) -> bytes:
    """Return the file content of a layer, (H, W) or (H, W, 3) as render.LAYERS says; equal arrays, equal bytes."""
    spec = LAYERS[layer]
    shape = values.shape[2:] if spec.channels else (0,) * (values.ndim - 2)
    if values.ndim != (3 if spec.channels else 2) or shape not in ((), (spec.channels,)):
        raise ValueError(f"layer {layer} has shape {values.shape}, expected {spec.channels or 'no'} channels")
    if spec.suffix.endswith(".png"):
        return encode_png(values)
    planes = np.moveaxis(values, -1, 0) if spec.channels else values[None]
    half = layer in HALF_LAYERS
    if half:
        planes = np.clip(planes, -_HALF_MAX, _HALF_MAX)
    return exr.encode(dict(zip(EXR_CHANNELS[layer], planes, strict=True)), half)


def decode_layer(layer: str, data: bytes, name: str) -> np.ndarray:
    """Return the array of a layer's file content; DatasetError names the file `name` where it is damaged."""
    spec = LAYERS[layer]
    if spec.suffix.endswith(".png"):
        return _decode_png(data, name)
    try:
        found = exr.read(data)
        planes = [found[channel].astype(spec.dtype) for channel in EXR_CHANNELS[layer]]
    except (DatasetError, KeyError) as error:
        raise DatasetError(f"{name}: {error}") from None
    return np.stack(planes, axis=-1) if spec.channels else planes[0]


def encode_png(values: np.ndarray) -> bytes:
    """Return an 8-bit grey (H, W) or RGB (H, W, 3) PNG.

    Written here because Blender's own Python has no imaging package, and so that every runtime writes equal bytes.
    """
    if values.dtype != np.uint8:
        raise ValueError(f"a PNG layer must be uint8, got {values.dtype}")
    height, width = values.shape[:2]
    rows = np.ascontiguousarray(values).reshape(height, -1)
    picture = values.ndim == 3
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = 2 if picture else 0  # filter Up suits pictures, none suits label maps
    filtered[:, 1:] = rows
    if picture:
        filtered[1:, 1:] -= rows[:-1]
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2 if picture else 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(filtered.tobytes(), _PNG_LEVEL)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def _decode_png(data: bytes, name: str) -> np.ndarray:
    try:
        from PIL import Image
    except ImportError:
        return decode_own_png(data, name)
    try:
        return np.array(Image.open(io.BytesIO(data)))
    except (OSError, SyntaxError, ValueError) as error:
        raise DatasetError(f"{name}: is not a readable PNG ({error}); render it again") from None


def decode_own_png(data: bytes, name: str) -> np.ndarray:
    """Return the array of a PNG that `encode_png` wrote: one chunk of pixels, one filter for all rows."""
    try:
        width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
        (size,) = struct.unpack(">I", data[33:37])
        rows = np.frombuffer(zlib.decompress(data[41 : 41 + size]), np.uint8).reshape(height, -1)
        filters = set(rows[:, 0].tolist())
        if data[37:41] != b"IDAT" or depth != 8 or kind not in (0, 2) or filters not in ({0}, {2}):
            raise ValueError("of a kind that Facewright does not write; `python -m pip install pillow` reads it")
        values = rows[:, 1:] if filters == {0} else np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8)
        return values.reshape((height, width, 3) if kind == 2 else (height, width))
    except (struct.error, zlib.error, ValueError) as error:
        raise DatasetError(f"{name}: is not a readable PNG ({error}); render it again") from None


def dump(data: Any, *, indent: int | None = None) -> bytes:
    """Return `data` as JSON text in UTF-8, key order kept. Raises ValueError for numbers that are not finite."""
    return (json.dumps(data, indent=indent, allow_nan=False, ensure_ascii=False) + "\n").encode()


_SEAL = b'{"sha256": "'


def seal(record: Any) -> bytes:
    """Return `record` as JSON whose first key is the SHA-256 of the text without it."""
    text = dump(record)
    return _SEAL + hashlib.sha256(text).hexdigest().encode() + b'", ' + text[1:]


def unseal(data: bytes) -> dict[str, Any]:
    """Return the record that `seal` wrote, without its hash. Raises ValueError where a byte of it changed."""
    end = len(_SEAL) + 64
    text = b"{" + data[end + 3 :]
    if data[: len(_SEAL)] + data[end : end + 3] != _SEAL + b'", ' or (
        hashlib.sha256(text).hexdigest().encode() != data[len(_SEAL) : end]
    ):
        raise ValueError("its content is not what was written")
    return json.loads(text)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn any OSError inside into an OutputError that says what to do about `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            cure = "the disk is full; free some space and run the same command again to continue"
        elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            cure = f"it cannot be written ({error.strerror}); choose another folder or change its permissions"
        else:
            cure = f"it cannot be written ({error.strerror or error}); check the disk"
        raise OutputError(f"{path}: {cure}") from None


def write_atomic(path: Path, data: bytes) -> None:
    """Write `path` so that it has its old content or all of its new content, whenever the power fails.

    Raises OutputError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            remove(temporary)
            raise


def remove(path: Path) -> None:
    """Remove the file `path`, if it can be."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
