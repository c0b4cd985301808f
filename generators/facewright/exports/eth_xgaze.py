"""ETH-XGaze: one HDF5 file of normalised face patches for each person, and the list of the files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facewright.dataset.layout import dump
from facewright.dataset.reader import Dataset
from facewright.errors import DatasetError
from facewright.exports.columns import Columns
from facewright.exports.normalisation import (
    NormalCamera,
    face_model_rotation,
    head_pitch_yaw,
    normalise,
    transform,
    warp,
)
from facewright.exports.view import Format, Take, View, package
from facewright.truth import Truth, pitch_yaw

Array = np.ndarray

CAMERA = NormalCamera(focal_px=960, distance_mm=600, width=224, height=224)
EYE_CORNERS, NOSE_CORNERS = [36, 39, 42, 45], [31, 35]
"""iBUG-68 landmarks: the face's centre is the mean of the eye corners' mean and the nose corners' mean."""
ROWS = {
    "frame_index": ((1,), "i8"),
    "cam_index": ((1,), "i8"),
    "face_patch": ((CAMERA.height, CAMERA.width, 3), "u1"),
    "face_gaze": ((2,), "f8"),
    "face_head_pose": ((2,), "f8"),
    "face_mat_norm": ((3, 3), "f8"),
    "facial_landmarks": ((68, 2), "f8"),
}
"""Data sets of a person's file: shape of a row, dtype."""


@contextlib.contextmanager
def writer(folder: Path, dataset: Dataset) -> Iterator[Take]:
    """Yield what writes one face. Raises DatasetError for a dataset of eyes."""
    h5py = package("h5py", "eth_xgaze")
    if dataset.card.recipe.get("scene") == "eye":
        raise DatasetError(
            f"{dataset.folder}: its scene is one eye and eth_xgaze needs whole faces; generate with the recipe face, "
            "or export as mpiigaze"
        )
    train = folder / "train"
    train.mkdir()
    names: list[str] = []
    with contextlib.ExitStack() as file:
        person: Columns | None = None

        def take(view: View) -> None:
            nonlocal person
            row = face_row(view)
            name = f"subject{view.subject:04d}.h5"
            if person is None or names[-1] != name:
                file.close()
                person = Columns(file.enter_context(h5py.File(train / name, "w")), ROWS)
                names.append(name)
            person.append(frame_index=view.index, cam_index=0, **row)

        yield take
    (folder / "train_test_split.json").write_bytes(dump({"train": names, "test": [], "test_specific": []}))


FORMAT = Format("normalised face patches, .h5 for each person (scene face)", (), False, writer)


def face_row(view: View) -> dict[str, Array]:
    """Return the normalised face. Raises Skip where it is not wholly to be seen."""
    view.require_facing()
    head, centre = face_model_rotation(view.truth.head), face_centre(view.truth)
    normal = normalise(CAMERA, view.camera, head, centre)
    patch = warp(view.picture, normal.homography, CAMERA.width, CAMERA.height)
    return {
        "face_patch": patch[..., ::-1],
        "face_gaze": np.array(pitch_yaw(normal.rotation @ (view.truth.gaze_target_mm - centre))),
        "face_head_pose": np.array(head_pitch_yaw(normal.rotation @ head)),
        "face_mat_norm": normal.rotation,
        "facial_landmarks": transform(normal.homography, view.truth.landmarks_2d) - 0.5,
    }


def face_centre(truth: Truth) -> Array:
    """Return the face's centre (3,) in camera mm, where its gaze begins."""
    points = truth.landmarks_3d_mm
    return (points[EYE_CORNERS].mean(axis=0) + points[NOSE_CORNERS].mean(axis=0)) / 2
