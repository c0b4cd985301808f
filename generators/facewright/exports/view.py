"""What a format is, and what it is given: one eye, or one face, of one frame."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from facewright import errors
from facewright.dataset.reader import Dataset
from facewright.errors import DatasetError
from facewright.render import Frame
from facewright.schema import MAPPINGS, SIDES, Label, side_label
from facewright.truth import CameraTruth, Ellipse, EyeTruth, Truth

Array = np.ndarray

SIDES_WANTED = ("target", "left", "right", "both")
"""Which eyes a user may ask for; target is the eye that the camera aims at, both where it aims at the face."""
SHUT = 0.1
"""An eye that is less open than this (palpebral aperture over iris diameter) shows no gaze."""
AVERTED_DEG = 60.0
"""A head turned farther than this from the camera hides one of its eyes behind the nose."""


class Skip(Exception):
    """This eye or face has no place in the format; the message is the reason that is counted and told."""


@dataclass(frozen=True)
class View:
    """One eye of a frame (`side` "right" or "left"), or its face (`side` ""), with the picture (H, W, 3) uint8 sRGB."""

    frame: Frame
    picture: Array
    picture_file: str
    side: str

    @property
    def truth(self) -> Truth:
        """The frame's truth."""
        return self.frame.truth

    @property
    def camera(self) -> CameraTruth:
        """The frame's camera."""
        return self.frame.truth.camera

    @property
    def eye(self) -> EyeTruth:
        """The truth of the eye."""
        return self.frame.truth.eyes[self.side]

    @property
    def index(self) -> int:
        """The frame's index in the dataset."""
        return self.frame.sample.index

    @property
    def subject(self) -> int:
        """The number of the person: frames of one person follow one another."""
        return self.frame.sample.subject_index

    def require_open(self) -> None:
        """Skip the eye where its lids hide the gaze."""
        if self.eye.openness < SHUT:
            raise Skip("eye shut")

    def require_facing(self) -> None:
        """Skip the view where the head is turned so far that the face may hide it."""
        head = self.truth.head
        to_camera = -head.translation_mm / np.linalg.norm(head.translation_mm)
        if float(head.rotation[:, 2] @ to_camera) < math.cos(math.radians(AVERTED_DEG)):
            raise Skip("head turned away")

    def require_seen(self, points: Array) -> None:
        """Skip the view unless all `points` (N, 2) px lie in the picture and the eye before the camera."""
        inside = (points >= 0) & (points <= (self.camera.width, self.camera.height))
        if not inside.all() or (self.side and self.eye.centre_mm[2] <= 0):
            raise Skip("not in the picture")


Take = Callable[[View], None]
"""Writes one view, or raises Skip before anything is written."""


class Format(NamedTuple):
    """An export format.

    `writer(folder, dataset)` is a context that yields a Take and finishes the files when it ends; `layers` are those
    it needs beside the picture; `per_eye` says whether it takes eyes or faces.
    """

    doc: str
    layers: tuple[str, ...]
    per_eye: bool
    writer: Callable[[Path, Dataset], AbstractContextManager[Take]]


def package(name: str, format_name: str) -> Any:
    """Return the module `name`. Raises MissingPackage where it is not installed."""
    return errors.package(name, f"exporting as {format_name}")


def require_faces(dataset: Dataset, format_name: str) -> None:
    """Raise DatasetError for a dataset of eyes."""
    if dataset.card.recipe.get("scene") == "eye":
        raise DatasetError(
            f"{dataset.folder}: its scene is one eye and {format_name} needs whole faces; generate with the recipe face"
        )


def public_ids(seg: Array, convention: str) -> Array:
    """Return class ids (H, W) uint8 in a convention of schema.MAPPINGS."""
    table = np.full(256, int(Label.IGNORE), np.uint8)
    for label, value in MAPPINGS[convention].items():
        table[label] = value
    return table[seg]


def split_of(seed: int, subject: int, shares: dict[str, float]) -> str:
    """Return the split of a person: a pure function, so that a dataset that grows keeps its splits."""
    digest = hashlib.sha256(f"{seed}:{subject}".encode()).digest()
    reached = np.cumsum(list(shares.values()))[:-1]
    return list(shares)[int(np.searchsorted(reached, int.from_bytes(digest[:8], "big") / 2**64, "right"))]


def grey(picture: Array) -> Array:
    """Return the luma (H, W) uint8 of an sRGB picture (H, W, 3), with OpenCV's weights (BT.601)."""
    return np.round(picture @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)


def jpeg(picture: Array, format_name: str) -> bytes:
    """Return a JPEG of quality 95, colours not subsampled."""
    image, file = package("PIL.Image", format_name), io.BytesIO()
    image.fromarray(picture).save(file, "JPEG", quality=95, subsampling=0)
    return file.getvalue()


def matlab(content: dict[str, Any], format_name: str) -> bytes:
    """Return a MATLAB 5 file; its header text, which scipy fills with the clock, says who made it."""
    file = io.BytesIO()
    package("scipy.io", format_name).savemat(file, content)
    return b"MATLAB 5.0 MAT-file, Facewright".ljust(116) + file.getvalue()[116:]


def eye_ids(seg: Array, side: str) -> Array:
    """Return (H, W) uint8: 0 else, 1 sclera, 2 iris, 3 pupil of the eye `side` alone; ignored pixels stay 255."""
    table = np.zeros(256, np.uint8)
    for label in (*(side_label(side, part) for part in ("sclera", "iris", "pupil")), Label.IGNORE):
        table[label] = MAPPINGS["openeds"][label]
    return table[seg]


def evenly(line: Array, count: int) -> Array:
    """Return `count` points at equal distances along the polyline `line` (N, D), ends included."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    place = np.linspace(0, along[-1], count)
    return np.stack([np.interp(place, along, column) for column in line.T], axis=1)


def opencv_ellipse(ellipse: Ellipse) -> tuple[float, float, float, float, float]:
    """Return (centre x, centre y, width, height, angle in degrees) as OpenCV's RotatedRect, in its pixels.

    OpenCV counts from the centre of the first pixel; width is the long axis, the angle its turn from +x toward +y.
    """
    x, y = ellipse.centre - 0.5
    return x, y, 2 * ellipse.a, 2 * ellipse.b, math.degrees(ellipse.angle_rad)


def sides(truth: Truth, wanted: str) -> tuple[str, ...]:
    """Return the sides that `wanted` (SIDES_WANTED) means."""
    if wanted == "target":
        wanted = truth.target.removesuffix("_eye")
    return (wanted,) if wanted in SIDES else SIDES
