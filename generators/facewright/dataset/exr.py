"""A small OpenEXR codec in numpy: single-part scanline files, uncompressed or deflated.

Blender's own Python carries numpy but no OpenEXR wheel, and both the renderer (reading Cycles' multilayer output)
and the dataset (writing depth, normals and linear colour) run inside it; hence this file instead of a dependency.

Read: compressions NONE, ZIPS and ZIP; HALF, FLOAT and UINT channels of any name, e.g. `ViewLayer.Depth.Z`.
Write: ZIP, half or float. Channels are plain (H, W) arrays, row 0 at the top.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from facewright.errors import DatasetError

_MAGIC = 20000630
_TILED, _DEEP, _MULTIPART = 0x200, 0x800, 0x1000
_PIXEL_TYPES = ("<u4", "<f2", "<f4")
_LINES_PER_CHUNK = {0: 1, 2: 1, 3: 16}
_COMPRESSIONS = ("NONE", "RLE", "ZIPS", "ZIP", "PIZ", "PXR24", "B44", "B44A", "DWAA", "DWAB")
_ZIP = 3
_ZLIB_LEVEL = 4
_MAX_DEFLATE = 1100
"""No deflate stream grows by more than this factor, so a larger picture than that cannot be in the file."""


class _Header(NamedTuple):
    channels: dict[str, np.dtype]
    compression: int
    width: int
    height: int
    top: int
    start: int


def read(source: str | Path | bytes) -> dict[str, np.ndarray]:
    """Return every channel of an EXR file (a path, or its bytes) as an (H, W) float16, float32 or uint32 array.

    The arrays cover the data window. Raises DatasetError for a damaged, truncated or unsupported file.
    """
    name = "EXR data" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
    except OSError as error:
        raise DatasetError(f"{name}: cannot be read ({error.strerror or error}); check the path") from None
    try:
        return _decode(data)
    except (struct.error, ValueError, IndexError, zlib.error) as error:
        raise DatasetError(f"{name}: is not a complete OpenEXR file ({error}); render or download it again") from None
    except DatasetError as error:
        raise DatasetError(f"{name}: {error}") from None


def write(target: str | Path | BinaryIO, channels: Mapping[str, np.ndarray], half: bool = False) -> None:
    """Write (H, W) `channels` as a ZIP-compressed EXR of 16-bit (`half`) or 32-bit floats to a path or binary file.

    The bytes are a pure function of the arguments. Raises ValueError for channels of unequal shape.
    """
    data = encode(channels, half)
    if isinstance(target, str | Path):
        Path(target).write_bytes(data)
    else:
        target.write(data)


def encode(channels: Mapping[str, np.ndarray], half: bool = False) -> bytes:
    """Return the bytes of the EXR file that `write` writes."""
    shapes = {np.shape(channel) for channel in channels.values()}
    if len(shapes) != 1 or len(shape := shapes.pop()) != 2 or 0 in shape:
        raise ValueError(f"EXR channels must share one non-empty (H, W) shape, got {sorted(shapes) or 'none'}")
    height, width = shape
    dtype = np.dtype("<f2" if half else "<f4")
    names = sorted(channels, key=str.encode)
    rows = np.stack([np.asarray(channels[name]).astype(dtype) for name in names], axis=1)
    step = _LINES_PER_CHUNK[_ZIP]
    chunks = []
    for top in range(0, height, step):
        body = _deflate(rows[top : top + step].tobytes())
        chunks.append(struct.pack("<ii", top, len(body)) + body)
    header = _header_bytes(names, 1 if half else 2, width, height)
    offset = len(header) + 8 * len(chunks)
    table = []
    for chunk in chunks:
        table.append(offset)
        offset += len(chunk)
    return b"".join([header, struct.pack(f"<{len(table)}Q", *table), *chunks])


def _decode(data: bytes) -> dict[str, np.ndarray]:
    header = _read_header(data)
    pixel = sum(dtype.itemsize for dtype in header.channels.values())
    row, step = header.width * pixel, _LINES_PER_CHUNK[header.compression]
    if row * header.height > len(data) * (_MAX_DEFLATE if header.compression else 1):
        raise ValueError("it is shorter than its picture")
    count = -(-header.height // step)
    offsets = np.frombuffer(data, "<u8", count, header.start)
    if offsets.max() >= len(data):
        raise ValueError("a chunk lies beyond its end")
    if header.compression == 0 and np.array_equal(np.diff(offsets), np.full(count - 1, row + 8)):
        lines = _plain_lines(data, int(offsets[0]), header, row)
    else:
        lines = _chunked_lines(data, offsets, header, row, step)
    return _split(lines, header)


def _plain_lines(data: bytes, start: int, header: _Header, row: int) -> np.ndarray:
    """Return uncompressed scanlines in file order as (H, row) bytes without a copy."""
    block = np.frombuffer(data, np.uint8, header.height * (row + 8), start).reshape(header.height, row + 8)
    wanted = np.stack([np.arange(header.height) + header.top, np.full(header.height, row)], axis=1)
    if not np.array_equal(np.ascontiguousarray(block[:, :8]).view("<i4"), wanted):
        raise ValueError("its scanlines are out of order")
    return block[:, 8:]


def _chunked_lines(data: bytes, offsets: np.ndarray, header: _Header, row: int, step: int) -> np.ndarray:
    lines = np.empty((header.height, row), np.uint8)
    seen = set()
    for offset in offsets.tolist():
        top, size = struct.unpack_from("<ii", data, offset)
        first = top - header.top
        if first % step or not 0 <= first < header.height or first in seen:
            raise ValueError(f"a chunk claims scanline {top}")
        seen.add(first)
        body = data[offset + 8 : offset + 8 + size]
        wanted = row * min(step, header.height - first)
        if size < 0 or len(body) != size:
            raise ValueError("it ends inside a chunk")
        raw = np.frombuffer(body, np.uint8) if size == wanted else _inflate(body, wanted)
        lines[first : first + step] = raw.reshape(-1, row)
    return lines


def _split(lines: np.ndarray, header: _Header) -> dict[str, np.ndarray]:
    found, start = {}, 0
    for name, dtype in header.channels.items():
        stop = start + header.width * dtype.itemsize
        found[name] = np.ascontiguousarray(lines[:, start:stop]).view(dtype)
        start = stop
    return found


def _inflate(body: bytes, wanted: int) -> np.ndarray:
    """Undo deflate, the byte-wise delta predictor, and the split into even and odd bytes."""
    flat = np.frombuffer(zlib.decompressobj().decompress(body, wanted + 1), np.uint8)
    if flat.size != wanted:
        raise ValueError("a chunk has the wrong length")
    flat = np.cumsum(flat, dtype=np.uint8)
    flat[1::2] ^= 0x80  # the predictor adds 128 at every step: modulo 256 that cancels at every second byte
    raw = np.empty(wanted, np.uint8)
    middle = (wanted + 1) // 2
    raw[0::2], raw[1::2] = flat[:middle], flat[middle:]
    return raw


def _deflate(raw: bytes) -> bytes:
    flat = np.frombuffer(raw, np.uint8)
    flat = np.concatenate([flat[0::2], flat[1::2]])
    delta = flat.copy()
    delta[1:] -= flat[:-1]
    delta[1:] ^= 0x80
    packed = zlib.compress(delta.tobytes(), _ZLIB_LEVEL)
    return packed if len(packed) < len(raw) else raw


def _read_header(data: bytes) -> _Header:
    magic, version = struct.unpack_from("<iI", data)
    if magic != _MAGIC:
        raise ValueError("wrong magic number")
    if version & (_TILED | _DEEP | _MULTIPART):
        raise DatasetError("tiled, deep and multi-part EXR files are not read here; save it as single-part scanlines")
    attributes, start = _attributes(data, 8)
    for key in ("channels", "compression", "dataWindow"):
        if key not in attributes:
            raise ValueError(f"its header lacks {key}")
    compression = attributes["compression"][0]
    if compression not in _LINES_PER_CHUNK:
        kind = _COMPRESSIONS[compression] if compression < len(_COMPRESSIONS) else compression
        raise DatasetError(f"compression {kind} is not read here; save it with NONE, ZIPS or ZIP")
    left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    if not (0 < width <= 1 << 16 and 0 < height <= 1 << 16):
        raise ValueError(f"its picture would be {width} x {height}")
    return _Header(_channel_list(attributes["channels"]), compression, width, height, top, start)


def _attributes(data: bytes, at: int) -> tuple[dict[str, bytes], int]:
    """Return the header's attributes, name -> raw value, and where the offset table starts."""
    found: dict[str, bytes] = {}
    while data[at]:
        name, at = _text(data, at)
        _, at = _text(data, at)
        (size,) = struct.unpack_from("<i", data, at)
        if size < 0 or at + 4 + size > len(data):
            raise ValueError("it ends inside its header")
        found[name] = data[at + 4 : at + 4 + size]
        at += 4 + size
    return found, at + 1


def _channel_list(raw: bytes) -> dict[str, np.dtype]:
    channels, at = {}, 0
    while raw[at]:
        name, at = _text(raw, at)
        kind, _, x_step, y_step = struct.unpack_from("<iIii", raw, at)
        if kind not in range(len(_PIXEL_TYPES)):
            raise ValueError(f"channel {name} has pixel type {kind}")
        if (x_step, y_step) != (1, 1):
            raise DatasetError(f"channel {name} is subsampled, which is not read here; save it at full resolution")
        channels[name] = np.dtype(_PIXEL_TYPES[kind])
        at += 16
    if not channels:
        raise ValueError("it has no channels")
    return channels


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = data.index(b"\0", at, at + 256)
    return data[at:end].decode("utf-8", "replace"), end + 1


def _header_bytes(names: list[str], kind: int, width: int, height: int) -> bytes:
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    entries = [name.encode() + b"\0" + struct.pack("<iIii", kind, 0, 1, 1) for name in names]
    attributes: list[tuple[str, str, Any]] = [
        ("channels", "chlist", b"".join(entries) + b"\0"),
        ("compression", "compression", bytes([_ZIP])),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0, 0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
    ]
    # Channel names beyond 31 bytes need the long-names flag.
    version = 2 | (0x400 if any(len(name.encode()) > 31 for name in names) else 0)
    body = b"".join(f"{key}\0{type_}\0".encode() + struct.pack("<i", len(v)) + v for key, type_, v in attributes)
    return struct.pack("<iI", _MAGIC, version) + body + b"\0"
