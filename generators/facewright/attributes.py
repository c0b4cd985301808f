"""The attributes of a frame as one flat row: what was drawn, and what came of it, as numbers, words and truth values.

Columns `subject.*`, `light.*`, `expression.*`, `gaze.*`, `pose.*`, `camera.*` and `image.*` are the sample's parameters
under their own names: every number, word and truth value, so that new parameters appear by themselves. DERIVED says
what the others are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from facewright.sample import Sample, data_at, parameters
from facewright.schema import COVERING, SIDES
from facewright.truth import Truth, pitch_yaw

Value = float | int | str | bool

DERIVED: dict[str, str] = {
    "index": "index of the frame",
    "identity": "the person: equal for frames of one subject of one seed and recipe",
    "ancestry": "the largest of the three ancestry shares",
    "sex": "female below 0.5 of subject.head.gender, else male",
    "head_yaw_deg": "head to camera, + toward image-left",
    "head_pitch_deg": "head to camera, + up",
    "head_roll_deg": "head to camera, + clockwise in the picture",
    "head_distance_mm": "pinhole to the middle between the eyes",
    "gaze_yaw_deg": "visual axis in camera axes, + toward image-left",
    "gaze_pitch_deg": "visual axis in camera axes, + up",
    **{f"{side}_openness": f"palpebral aperture over iris diameter, {side} eye" for side in SIDES},
    "face_height_px": "height of the face box",
    "visible_share": "share of the 68 landmarks that are visible",
    "occluded": "share of the face that has a class of something worn or grown in seg",
    **{
        f"occluded_{label.name.lower()}": f"share of the face that is {label.name.lower().replace('_', ' ')} in seg"
        for label in COVERING
    },
}
"""Columns that are no parameters, with their meaning."""

ANCESTRIES = ("african", "asian", "caucasian")


def attributes(sample: Sample, truth: Truth) -> dict[str, Value]:
    """Return the row: the DERIVED columns, then every scalar parameter of `sample` by dotted path."""
    return derived(sample, truth) | drawn(sample.to_data())


def drawn(data: Mapping[str, Any]) -> dict[str, Value]:
    """Return the parameters in sample data that are one number, word or truth value, in the order they are drawn."""
    return {path: data_at(data, path) for path, (_, kind) in parameters().items() if kind != "vector"}


def derived(sample: Sample, truth: Truth) -> dict[str, Value]:
    """Return the columns of DERIVED; shares and angles are rounded to 1e-4."""
    head = sample.subject.head
    pitch, yaw = (math.degrees(angle) for angle in pitch_yaw(truth.gaze))
    _, top, _, bottom = truth.face_box
    shares = dict(zip(ANCESTRIES, (head.african, head.asian, head.caucasian), strict=True))
    numbers = {
        "head_yaw_deg": truth.head.yaw_deg,
        "head_pitch_deg": truth.head.pitch_deg,
        "head_roll_deg": truth.head.roll_deg,
        "head_distance_mm": float(np.linalg.norm(truth.head.translation_mm)),
        "gaze_yaw_deg": yaw,
        "gaze_pitch_deg": pitch,
        **{f"{side}_openness": truth.eyes[side].openness for side in SIDES},
        "face_height_px": float(bottom - top),
        "visible_share": float(truth.landmarks_visible.mean()),
        "occluded": sum(truth.occluded.values()),
        **{f"occluded_{label.name.lower()}": truth.occluded.get(label.name.lower(), 0.0) for label in COVERING},
    }
    return {
        "index": sample.index,
        "identity": f"{sample.recipe}-{sample.seed}-{sample.subject_index}",
        "ancestry": max(shares, key=lambda name: shares[name]),
        "sex": "female" if head.gender < 0.5 else "male",
        **{name: round(value, 4) for name, value in numbers.items()},
    }


def meaning_of(column: str) -> str:
    """Return what a column says."""
    return DERIVED[column] if column in DERIVED else parameters()[column][0].doc
