"""Per-frame truth checks: what was rendered against what was computed, before anything is written.

Every check has a value, a limit and a unit in its name; a frame with one failed check is quarantined.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from facewright.geometry.polygon import inside_polygon, pixel_centres
from facewright.render import LAYERS, Check, Frame
from facewright.schema import SIDES, Label, side_label
from facewright.truth import Array, Ellipse, EyeTruth

PUPIL_CENTRE_PX, LIMBUS_CENTRE_PX = 0.5, 0.75
"""Largest distance of a rendered outline's centre from its analytic ellipse's."""
OUTLINE_PX = 1.0
"""Largest width, averaged round the outline, of the band by which a rendered disc and its ellipse may differ."""
DEPTH_MM = 0.6
"""Largest median difference of the depth layer from visible landmarks' own depth."""
SMALLEST_DISC_PX = 40
"""Discs with fewer pixels are too coarse for centres."""
OFF_LENS_PERCENT = 3.0
"""Largest share of a disc outside its ellipse behind glasses: where the lens ends, a part may be seen beside it."""
MIN_COSINE = 0.70
"""Smallest cosine between optical axis and line of sight at which outlines are ellipses: farther round, the corneal
dome's silhouette rises over the limbus."""


def check_frame(frame: Frame) -> list[Check]:
    """Return all checks that apply to the layers that `frame` holds."""
    checks = [*_shapes(frame), *_axes(frame), *_picture(frame)]
    if "seg" in frame.layers:
        checks.append(_known_ids(frame.seg, "seg"))
    if "seg_anatomical" in frame.layers:
        checks.append(_known_ids(frame.seg_anatomical, "seg_anatomical"))
        for side in SIDES:
            checks += _outlines(frame, side)
        if "seg" in frame.layers:
            checks += _seen_through_lenses(frame) if _worn(frame) else [_visible_is_anatomical(frame)]
    if "depth" in frame.layers:
        checks += _depth(frame)
    if "normal" in frame.layers:
        checks += _normals(frame)
    for side, eye in frame.truth.eyes.items():
        checks.append(Check(f"{side} lid inside globe (mm)", max(0.0, -eye.clearance_mm), 0.0))
    return checks


def _shapes(frame: Frame) -> list[Check]:
    wrong = 0
    for name, layer in frame.layers.items():
        spec = LAYERS[name]
        shape = (frame.sample.image.height, frame.sample.image.width) + ((spec.channels,) if spec.channels else ())
        wrong += layer.shape != shape or layer.dtype != np.dtype(spec.dtype)
    return [Check("layers of wrong shape or dtype (count)", float(wrong), 0.0)]


def _axes(frame: Frame) -> list[Check]:
    worst = 0.0
    for eye in frame.truth.eyes.values():
        kappa = math.degrees(math.acos(min(1.0, float(eye.optical_axis @ eye.visual_axis))))
        known = math.degrees(
            math.acos(math.cos(math.radians(eye.kappa_nasal_deg)) * math.cos(math.radians(eye.kappa_superior_deg)))
        )
        aim = frame.truth.gaze_target_mm - eye.centre_mm
        miss = np.linalg.norm(aim / np.linalg.norm(aim) - eye.visual_axis)
        worst = max(worst, abs(kappa - known), math.degrees(float(miss)))
    return [Check("visual axis off target or kappa (deg)", worst, 1e-3)]


def _picture(frame: Frame) -> list[Check]:
    rgb = frame.layers["rgb"]
    checks = [Check("picture without contrast (1 = blank)", float(rgb.std() < 1.0), 0.0)]
    if "linear" in frame.layers:
        checks.append(Check("values that are not finite (count)", float((~np.isfinite(frame.linear)).sum()), 0.0))
    return checks


def _known_ids(ids: Array, name: str) -> Check:
    unknown = np.setdiff1d(np.unique(ids), [int(label) for label in Label])
    return Check(f"{name} ids outside the schema (count)", float(len(unknown)), 0.0)


def _outlines(frame: Frame, side: str) -> list[Check]:
    """Compare the rendered pupil and iris discs, lids and glasses away, with their ellipses; only where wholly seen."""
    eye = frame.truth.eyes.get(side)
    if eye is None or -float(eye.optical_axis @ eye.centre_mm) / np.linalg.norm(eye.centre_mm) < MIN_COSINE:
        return []
    height, width = frame.seg_anatomical.shape
    ids = frame.seg_anatomical
    pupil = ids == side_label(side, "pupil")
    disc = pupil | (ids == side_label(side, "iris"))
    checks = []
    for name, mask, ellipse, limit in (
        ("pupil", pupil, eye.pupil_bare, PUPIL_CENTRE_PX),
        ("iris", disc, eye.limbus_bare, LIMBUS_CENTRE_PX),
    ):
        edge = ellipse.points(64)
        inside = (edge.min() > 1) and (edge[:, 0].max() < width - 1) and (edge[:, 1].max() < height - 1)
        other = frame.truth.eyes.get("left" if side == "right" else "right")
        hidden = other is not None and _overlap(eye, other)
        if not inside or hidden or math.pi * ellipse.a * ellipse.b < SMALLEST_DISC_PX:
            continue
        row, column = np.nonzero(mask)
        centre = np.array([column.mean() + 0.5, row.mean() + 0.5]) if len(row) else np.full(2, np.inf)
        off = float(np.linalg.norm(centre - ellipse.centre))
        differing = np.count_nonzero(mask ^ ellipse_mask(ellipse, width, height))
        around = math.pi * (
            3 * (ellipse.a + ellipse.b) - math.sqrt((3 * ellipse.a + ellipse.b) * (ellipse.a + 3 * ellipse.b))
        )
        checks += [
            Check(f"{side} {name} centre off its ellipse (px)", off, limit),
            Check(f"{side} {name} outline off its ellipse (px)", differing / around, OUTLINE_PX),
        ]
    return checks


def ellipse_mask(ellipse: Ellipse, width: int, height: int) -> Array:
    """Return (H, W) bool: pixel centres inside the ellipse."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    c, s = math.cos(ellipse.angle_rad), math.sin(ellipse.angle_rad)
    u = c * (x - ellipse.centre[0]) + s * (y - ellipse.centre[1])
    v = -s * (x - ellipse.centre[0]) + c * (y - ellipse.centre[1])
    return (u / ellipse.a) ** 2 + (v / ellipse.b) ** 2 <= 1


def _overlap(eye: EyeTruth, other: EyeTruth) -> bool:
    """Return whether the other globe, nearer to the camera, may cover this one in the anatomical map."""
    if other.centre_mm[2] >= eye.centre_mm[2]:
        return False
    a, b = eye.centre_mm / eye.centre_mm[2], other.centre_mm / other.centre_mm[2]
    return float(np.linalg.norm(a - b)) < 15 / eye.centre_mm[2] + 15 / other.centre_mm[2]


def _worn(frame: Frame) -> bool:
    return any(len(eye.lens_2d) for eye in frame.truth.eyes.values())


def _seen_through_lenses(frame: Frame) -> list[Check]:
    """Behind glasses, visible pupil and iris pixels must lie inside the ellipses of what the lenses show."""
    height, width = frame.seg.shape
    checks = []
    for side, eye in frame.truth.eyes.items():
        if -float(eye.optical_axis @ eye.centre_mm) / np.linalg.norm(eye.centre_mm) < MIN_COSINE:
            continue
        pupil = frame.seg == side_label(side, "pupil")
        for name, mask, ellipse in (
            ("pupil", pupil, eye.pupil),
            ("iris", pupil | (frame.seg == side_label(side, "iris")), eye.limbus),
        ):
            grown = dataclasses.replace(ellipse, a=ellipse.a + OUTLINE_PX, b=ellipse.b + OUTLINE_PX)
            outside = np.count_nonzero(mask & ~ellipse_mask(grown, width, height))
            share = 100.0 * outside / max(SMALLEST_DISC_PX, np.count_nonzero(mask))
            checks.append(Check(f"{side} {name} pixels off what the lens shows (%)", share, OFF_LENS_PERCENT))
    return checks


def _visible_is_anatomical(frame: Frame) -> Check:
    """A visible iris or pupil pixel must carry the same id in the anatomical map."""
    parts = [int(side_label(side, part)) for side in SIDES for part in ("iris", "pupil")]
    seen = np.isin(frame.seg, parts)
    wrong = np.count_nonzero(frame.seg[seen] != frame.seg_anatomical[seen])
    return Check(
        "visible iris or pupil pixels that differ from the anatomical map (%)",
        100.0 * wrong / max(1, np.count_nonzero(seen)),
        0.5,
    )


def _depth(frame: Frame) -> list[Check]:
    depth, truth = frame.depth, frame.truth
    bad = float(np.count_nonzero(~np.isfinite(depth) | (depth < 0)))
    checks = [Check("depth not finite or negative (count)", bad, 0.0)]
    height, width = depth.shape
    if "seg" in frame.layers:
        solid = ~np.isin(
            frame.seg,
            [
                0,
                *(int(side_label(s, "lashes")) for s in SIDES),
                int(Label.HAIR),
                *(int(side_label(s, "brow")) for s in SIDES),
                int(Label.BEARD),
            ],
        )
        for eye in truth.eyes.values():  # a lens shows what lies elsewhere, and depth knows no lenses
            if len(eye.lens_2d):
                solid = solid & ~inside_polygon(pixel_centres(height, width), eye.lens_2d)
        checks.append(
            Check("labelled pixels without depth (count)", float(np.count_nonzero(solid & (depth == 0))), 0.0)
        )
    # fleshy landmarks on a slope against the view change depth within a pixel; the bridge and lips do not
    chosen = np.array([28, 29, 30, 33, 51, 57])
    straight = truth.camera.project(truth.landmarks_3d_mm)
    inside = ((straight >= 0) & (straight < depth.shape[::-1])).all(axis=1)
    chosen = chosen[truth.landmarks_visible[chosen] & inside[chosen]]
    if len(chosen):
        column, row = np.floor(straight[chosen]).astype(int).T
        error = np.abs(depth[row, column] - truth.landmarks_3d_mm[chosen, 2])
        pixel_mm = float(truth.landmarks_3d_mm[chosen, 2].mean() / truth.camera.K[0, 0])
        checks.append(
            Check("depth off visible landmarks, median (mm)", float(np.median(error)), DEPTH_MM + 2 * pixel_mm)
        )
    return checks


def _normals(frame: Frame) -> list[Check]:
    length = np.linalg.norm(frame.normal, axis=2)
    unit = (length < 1e-6) | (np.abs(length - 1) < 1e-2)
    return [Check("normals that are not unit vectors (count)", float(np.count_nonzero(~unit)), 0.0)]
