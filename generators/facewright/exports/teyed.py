"""TEyeD: semicolon-separated annotation files beside each video, a folder of numbered pictures of one eye."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from facewright.dataset.layout import encode_png
from facewright.dataset.reader import Dataset
from facewright.exports.view import Format, Take, View, evenly, eye_ids, grey, opencv_ellipse
from facewright.truth import Ellipse

Array = np.ndarray

OUTLINE_POINTS, LID_POINTS = 8, 17
"""Landmarks round pupil and iris, and on each lid."""
_ELLIPSE = ("ANGLE", "CENTER X", "CENTER Y", "WIDTH", "HEIGHT")


def _landmarks(count: int) -> tuple[str, ...]:
    return ("INACCURACY", *(f"{axis} {k}" for k in range(1, count + 1) for axis in "XY"))


HEADERS: dict[str, tuple[str, ...]] = {
    "pupil_eli": _ELLIPSE,
    "iris_eli": _ELLIPSE,
    "pupil_lm_2D": _landmarks(OUTLINE_POINTS),
    "iris_lm_2D": _landmarks(OUTLINE_POINTS),
    "lid_lm_2D": _landmarks(2 * LID_POINTS),
    "eye_ball": ("RADIUS", "CENTER X", "CENTER Y", "CENTER Z"),
    "gaze_vec": ("X", "Y", "Z"),
    "visual_vec": ("X", "Y", "Z"),
    "validity_pupil": ("VALIDITY",),
    "validity_iris": ("VALIDITY",),
    "validity_lid": ("VALIDITY",),
}
"""Annotation file -> its columns after FRAME. Every line ends in a semicolon."""


@contextlib.contextmanager
def writer(folder: Path, dataset: Dataset) -> Iterator[Take]:
    """Yield what writes one eye as VIDEOS/{video}/{n}.png and a line of each ANNOTATIONS/{video}.mp4{kind}.txt."""
    annotations = folder / "ANNOTATIONS"
    annotations.mkdir()
    frames: Counter[str] = Counter()

    def take(view: View) -> None:
        view.require_seen(view.eye.limbus.centre[None])
        video = f"subject{view.subject:04d}_{view.side}"
        frames[video] += 1
        number = frames[video]
        pictures = folder / "VIDEOS" / video
        pictures.mkdir(parents=True, exist_ok=True)
        (pictures / f"{number:07d}.png").write_bytes(encode_png(grey(view.picture)))
        for kind, values in lines(view).items():
            with (annotations / f"{video}.mp4{kind}.txt").open("a") as file:
                if number == 1:
                    file.write(_line("FRAME", HEADERS[kind]))
                file.write(_line(str(number), [f"{value:.6g}" for value in values]))

    yield take


FORMAT = Format("pictures with semicolon-separated annotations", ("seg",), True, writer)


def lines(view: View) -> dict[str, Sequence[float]]:
    """Return the values of each annotation file, all -1 for what the lids hide."""
    eye = view.eye
    ids = eye_ids(view.frame.seg, view.side)
    pupil, iris = bool((ids == 3).any()), bool((ids >= 2).any())
    radius_mm = view.frame.sample.subject.eye.axial_length_mm / 2
    centre = view.camera.project(eye.centre_mm) - 0.5
    lids = np.concatenate([_image_left_first(evenly(lid, LID_POINTS)) for lid in (eye.lid_upper_2d, eye.lid_lower_2d)])
    found = {
        "pupil_eli": _ellipse(eye.pupil) if pupil else None,
        "iris_eli": _ellipse(eye.limbus) if iris else None,
        "pupil_lm_2D": (0, *_outline(eye.pupil)) if pupil else None,
        "iris_lm_2D": (0, *_outline(eye.limbus)) if iris else None,
        "lid_lm_2D": (0, *(lids - 0.5).ravel()),
        "eye_ball": (view.camera.K[0, 0] * radius_mm / eye.centre_mm[2], *centre, eye.centre_mm[2]),
        "gaze_vec": eye.optical_axis if iris else None,
        "visual_vec": eye.visual_axis if iris else None,
        "validity_pupil": (pupil,),
        "validity_iris": (iris,),
        "validity_lid": (1,),
    }
    return {kind: [-1] * len(HEADERS[kind]) if values is None else values for kind, values in found.items()}


def _ellipse(ellipse: Ellipse) -> tuple[float, ...]:
    x, y, width, height, angle = opencv_ellipse(ellipse)
    return angle, x, y, width, height


def _outline(ellipse: Ellipse) -> Array:
    """Return x, y, x, y ... of points on the ellipse in OpenCV's pixels, from its long axis on, clockwise."""
    return (ellipse.points(OUTLINE_POINTS) - 0.5).ravel()


def _image_left_first(line: Array) -> Array:
    return line if line[0, 0] <= line[-1, 0] else line[::-1]


def _line(frame: str, values: Sequence[str]) -> str:
    return ";".join([frame, *values]) + ";\n"
