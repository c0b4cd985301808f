"""NVGaze and RIT-Eyes: pictures with two masks, with and without skin; here as exact ids, with ellipses in a table."""

from __future__ import annotations

import contextlib
import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facewright.dataset.layout import encode_png
from facewright.dataset.reader import Dataset
from facewright.exports.view import Format, Take, View, eye_ids, grey, opencv_ellipse
from facewright.truth import pitch_yaw

OUTLINES = ("pupil", "pupil_true", "limbus")
PARTS = ("x", "y", "width", "height", "angle")
MASKS = {"maskWithSkin": "seg", "maskWithoutSkin": "seg_anatomical"}
"""Their name of a mask -> our layer."""


@contextlib.contextmanager
def writer(folder: Path, dataset: Dataset) -> Iterator[Take]:
    """Yield what writes one eye as type_img_frame_{n}.png, n = 0001, 0002 ..., its masks, and a row of labels.csv."""
    with (folder / "labels.csv").open("w", newline="") as file:
        table: csv.DictWriter[str] | None = None
        number = 0

        def take(view: View) -> None:
            nonlocal number, table
            view.require_seen(view.eye.limbus.centre[None])
            number += 1
            (folder / f"type_img_frame_{number:04d}.png").write_bytes(encode_png(grey(view.picture)))
            for mask, layer in MASKS.items():
                ids = eye_ids(view.frame.layers[layer], view.side)
                (folder / f"type_{mask}_frame_{number:04d}.png").write_bytes(encode_png(ids))
            row = {"frame": number} | label_row(view)
            if table is None:
                table = csv.DictWriter(file, row, lineterminator="\n")
                table.writeheader()
            table.writerow(row)

        yield take


FORMAT = Format("pictures with masks with and without skin, ids 0-3, ellipses", tuple(MASKS.values()), True, writer)


def label_row(view: View) -> dict[str, Any]:
    """Return a row of labels.csv: gaze in degrees with our signs, ellipses in OpenCV's pixels and degrees."""
    eye = view.eye
    row: dict[str, Any] = {"index": view.index, "subject": view.subject, "side": view.side}
    for name, axis in (("gaze", eye.visual_axis), ("optical", eye.optical_axis)):
        pitch, yaw = pitch_yaw(axis)
        row[f"float_{name}_x_degree"], row[f"float_{name}_y_degree"] = _short(math.degrees(yaw), math.degrees(pitch))
    row |= {"pupil_mm": _short(eye.pupil_mm)[0], "openness": _short(eye.openness)[0]}
    for outline in OUTLINES:
        parts = _short(*opencv_ellipse(getattr(eye, outline)))
        row |= {
            f"{outline}_{part}": value
            for part, value in zip(("x", "y", "width", "height", "angle"), parts, strict=True)
        }
    return row


def _short(*values: float) -> tuple[str, ...]:
    return tuple(f"{value:.4f}" for value in values)
