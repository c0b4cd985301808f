"""UnityEyes: imgs/{n}.jpg and imgs/{n}.json; gaze from look_vec, sclera and iris from its outlines.

Unity's axes are left-handed (x right, y up, z forward), so pitch = asin(y) and yaw = atan2(-x, -z) of the look vector,
which is the optical axis; its screen's origin is the lower left corner. It draws no pupil: ids are 0, 1 sclera, 2 iris.
"""

from __future__ import annotations

import ast
import json
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from facewright.errors import DatasetError
from facewright.truth import pitch_yaw
from facewright_refiner.readers.base import Entry, Labelled, Real, natural, read_picture

FOLDER = "imgs"


def found(folder: Path) -> bool:
    """Return whether `folder` has this layout."""
    return any((folder / FOLDER).glob("*.json"))


def read(folder: Path) -> Real:
    """Return the eyes of `folder`. Raises DatasetError."""
    entries = []
    for path in sorted((folder / FOLDER).glob("*.json"), key=natural):
        group = str(_json(path).get("facewright", {}).get("subject", path.stem))
        entries.append(Entry(path.stem, group, "", partial(_load, path)))
    return Real("unityeyes", entries, "openeds")


def _load(path: Path) -> Labelled:
    picture = read_picture(path.with_suffix(".jpg"))
    data = _json(path)
    try:
        x, y, z = ast.literal_eval(data["eye_details"]["look_vec"])[:3]
        margin, iris = (_screen(data[name], len(picture)) for name in ("interior_margin_2d", "iris_2d"))
    except (KeyError, TypeError, ValueError, SyntaxError) as error:
        raise DatasetError(f"{path}: is not UnityEyes' JSON ({type(error).__name__}: {error}); restore it") from None
    eye, disc = (_filled(points, picture.shape) for points in (margin, iris))
    return Labelled(
        path.stem,
        picture,
        seg=np.where(eye & disc, 2, np.where(eye, 1, 0)).astype(np.uint8),
        gaze=np.array(pitch_yaw(np.array([x, -y, z]))),
    )


def _json(path: Path) -> dict:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: is not readable JSON ({error}); restore it") from None
    if not isinstance(data, dict):
        raise DatasetError(f"{path}: is not UnityEyes' JSON (a {type(data).__name__}); restore it")
    return data


def _screen(texts: list[str], height: int) -> np.ndarray:
    """Return points (N, 2) px, y downward."""
    return np.array([(x, height - y) for x, y, _ in map(ast.literal_eval, texts)])


def _filled(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return (H, W) bool: pixels whose centres lie in the polygon."""
    canvas = Image.new("1", (shape[1], shape[0]))
    ImageDraw.Draw(canvas).polygon([(x - 0.5, y - 0.5) for x, y in points], fill=1)
    return np.asarray(canvas)
