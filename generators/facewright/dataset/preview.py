"""A contact sheet of a recipe: twelve small frames and their labels, in seconds to a minute."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from facewright.dataset.layout import encode_png, write_atomic
from facewright.dataset.overlay import draw
from facewright.errors import FrameError
from facewright.farm.worker import Station, open_maker
from facewright.progress import Emit
from facewright.recipe import Recipe
from facewright.render import Frame
from facewright.sample import sample

FRAMES, COLUMNS = 12, 6
TILE_PX = 256
"""Longer edge of a tile."""
SAMPLES = 8
_GAP = 6


def preview(recipe: Recipe, seed: int, station: Station, output: Path, emit: Emit) -> int:
    """Write the sheet of the first frame of the first subjects as PNG `output`; return how many frames failed.

    Every picture stands above the same picture with its labels; what Blender could not image stays dark. Raises
    UserError.
    """
    emit({"event": "start", "total": FRAMES, "done": 0, "folder": str(output)})
    begun = time.monotonic()
    failed = 0
    tiles: list[tuple[np.ndarray, np.ndarray] | None] = []
    with open_maker(station, recipe, "none", emit) as (make, _):
        for number in range(FRAMES):
            drawn = sample(recipe, seed, number * recipe.frames_per_subject)
            scale = min(1, TILE_PX / max(drawn.image.width, drawn.image.height))
            small = drawn.replace(
                {
                    "image.width": max(16, round(drawn.image.width * scale)),
                    "image.height": max(16, round(drawn.image.height * scale)),
                    "image.samples": min(SAMPLES, drawn.image.samples),
                }
            )
            try:
                frame = make(small, ("seg",))
                emit({"event": "frame", "index": drawn.index})
            except FrameError as error:
                failed += 1
                emit({"event": "quarantine", "index": drawn.index, "error": str(error)})
                frame = getattr(error, "frame", None)
            tiles.append(_pair(frame) if frame else None)
    write_atomic(output, encode_png(_sheet(tiles)))
    emit({"event": "done", "made": FRAMES - failed, "failed": failed, "seconds": round(time.monotonic() - begun, 1)})
    return failed


def _pair(frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    return frame.rgb, draw(frame.rgb, frame.layers.get("seg"), frame.truth)


def _sheet(tiles: list[tuple[np.ndarray, np.ndarray] | None]) -> np.ndarray:
    """Return the sheet (H, W, 3) uint8: rows of pictures, each followed by the row of its labels."""
    shapes = [pair[0].shape for pair in tiles if pair] or [(TILE_PX, TILE_PX, 3)]
    height, width = max(shape[0] for shape in shapes), max(shape[1] for shape in shapes)
    rows = 2 * -(-len(tiles) // COLUMNS)
    sheet = np.full((rows * (height + _GAP) + _GAP, COLUMNS * (width + _GAP) + _GAP, 3), 24, np.uint8)
    for number, pair in enumerate(tiles):
        for below, tile in enumerate(pair or ()):
            top = (2 * (number // COLUMNS) + below) * (height + _GAP) + _GAP
            left = (number % COLUMNS) * (width + _GAP) + _GAP
            sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return sheet
