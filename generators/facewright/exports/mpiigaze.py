"""MPIIGaze: normalised eye patches as Data/Normalized/pXX/dayYY.mat, the list of usable eyes, and MPIIGaze.h5.

The .mat files hold eyes as they are; mirroring right eyes and negating their yaws is the loader's part, and MPIIGaze.h5
is what that loader makes of them. Left and right are the subject's own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from facewright.dataset.reader import Dataset
from facewright.exports.columns import Columns
from facewright.exports.normalisation import (
    NormalCamera,
    equalise,
    face_model_rotation,
    head_pitch_yaw,
    normalise,
    warp,
)
from facewright.exports.view import Format, Take, View, grey, matlab, package
from facewright.schema import SIDES
from facewright.truth import Truth, pitch_yaw

Array = np.ndarray

CAMERA = NormalCamera(focal_px=960, distance_mm=600, width=60, height=36)
EYE_CORNERS = {"right": (36, 39), "left": (42, 45)}
"""iBUG-68 landmarks whose midpoint is the eye's centre in MPIIGaze."""
DAY_FRAMES = 1000
"""Frames in one day's file: what is held in memory."""
ROWS = {"image": ((CAMERA.height, CAMERA.width), "u1"), "gaze": ((2,), "f4"), "pose": ((2,), "f4")}
"""Data sets of a person in MPIIGaze.h5: shape of a row, dtype; gaze and pose are (pitch, yaw)."""


class Row(NamedTuple):
    """One normalised eye: `image` (36, 60) uint8, `gaze` (3,) unit vector, `pose` (3,) rotation vector of the head."""

    image: Array
    gaze: Array
    pose: Array


UNUSABLE = Row(np.zeros((CAMERA.height, CAMERA.width), np.uint8), np.full(3, np.nan), np.full(3, np.nan))
"""What stands in a .mat file for an eye that is not usable."""


def eye_row(view: View) -> tuple[Row, tuple[float, float]]:
    """Return the normalised eye, and (pitch, yaw) in radians of its head.

    Raises Skip where its gaze or its patch is not to be seen.
    """
    view.require_open()
    view.require_facing()
    head, centre = face_model_rotation(view.truth.head), eye_centre(view.truth, view.side)
    normal = normalise(CAMERA, view.camera, head, centre)
    patch = warp(grey(view.picture), normal.homography, CAMERA.width, CAMERA.height)
    gaze = normal.rotation @ (view.truth.gaze_target_mm - centre)
    pose = normal.rotation @ head
    vector = package("scipy.spatial.transform", "mpiigaze").Rotation.from_matrix(pose).as_rotvec()
    return Row(equalise(patch), gaze / np.linalg.norm(gaze), vector), head_pitch_yaw(pose)


def eye_centre(truth: Truth, side: str) -> Array:
    """Return the midpoint (3,) of the eye's corners in camera mm, where MPIIGaze's gaze begins."""
    return truth.landmarks_3d_mm[list(EYE_CORNERS[side])].mean(axis=0)


@contextlib.contextmanager
def writer(folder: Path, dataset: Dataset) -> Iterator[Take]:
    """Yield what writes one eye."""
    h5py = package("h5py", "mpiigaze")
    package("scipy.io", "mpiigaze")
    days = _Days(folder)
    with h5py.File(folder / "MPIIGaze.h5", "w") as h5:
        person: Columns | None = None

        def take(view: View) -> None:
            nonlocal person
            row, pose = eye_row(view)
            days.put(view, row)
            if person is None or _person(view.subject) not in h5:
                person = Columns(h5.create_group(_person(view.subject)), ROWS)
            mirrored = view.side == "right"
            sign = np.array([1, -1]) if mirrored else 1
            person.append(
                image=row.image[:, ::-1] if mirrored else row.image,
                gaze=np.array(pitch_yaw(row.gaze)) * sign,
                pose=np.array(pose) * sign,
            )

        yield take
    days.flush()


FORMAT = Format("normalised eye patches, .mat and .h5", (), True, writer)


class _Days:
    """Gathers a person's eyes into days of DAY_FRAMES frames."""

    def __init__(self, folder: Path) -> None:
        self._normalized = folder / "Data" / "Normalized"
        self._lists = folder / "Evaluation Subset" / "sample list for eye image"
        self._lists.mkdir(parents=True)
        self._subject, self._day = -1, 1
        self._frames: dict[str, dict[str, Row]] = {}

    def put(self, view: View, row: Row) -> None:
        name = view.picture_file
        if view.subject != self._subject:
            self.flush()
            self._subject, self._day = view.subject, 1
        elif name not in self._frames and len(self._frames) == DAY_FRAMES:
            self.flush()
            self._day += 1
        self._frames.setdefault(name, {})[view.side] = row
        with (self._lists / f"{_person(self._subject)}.txt").open("a") as file:
            file.write(f"day{self._day:02d}/{name} {view.side}\n")

    def flush(self) -> None:
        """Write the day, if there is one."""
        if not self._frames:
            return
        data: dict[str, dict[str, Array]] = {}
        for side in SIDES:
            rows = [frame.get(side, UNUSABLE) for frame in self._frames.values()]
            data[side] = {name: np.stack([getattr(row, name) for row in rows]) for name in Row._fields}
        names = np.array(list(self._frames), dtype=object)[:, None]
        folder = self._normalized / _person(self._subject)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"day{self._day:02d}.mat").write_bytes(matlab({"data": data, "filenames": names}, "mpiigaze"))
        self._frames = {}


def _person(subject: int) -> str:
    return f"p{subject:02d}"
