"""Per-frame truth checks: what was rendered against what was computed, before anything is written.

Every check has a value, a limit and a unit in its name; a frame with one failed check is quarantined.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from facewright.eye.anatomy import globe
from facewright.face.landmarks import ibug68
from facewright.face.topology import topology
from facewright.geometry.camera import project
from facewright.geometry.polygon import inside_polygon, pixel_centres
from facewright.geometry.reflection import glint_points
from facewright.geometry.refraction import apparent_direction
from facewright.render import LAYERS, Check, Frame
from facewright.schema import COVERING, SIDES, Label, side_label
from facewright.truth import Array, Ellipse, EyeTruth, Truth
from facewright.world.leds import LED_RADIUS_MM

PUPIL_CENTRE_PX, LIMBUS_CENTRE_PX = 0.5, 0.75
"""Largest distance of a rendered disc's centre from that of its analytic outline."""
OUTLINE_PX = 1.0
"""Largest width, averaged round the outline, of the band by which a rendered disc and its outline may differ."""
GLINT_CENTRE_PX = 0.5
"""Largest distance of a rendered glint's centre from its LED's mirror point on the cornea."""
SMALLEST_GLINT_PX = 4
"""Glints with fewer pixels are too coarse for centres."""
LENS_MM = 9.0
"""Depth of a lens seen from the side: sagitta and thickness of thick ones; reasoned."""
OBLIQUE = 0.6
"""Sine of the angle (37 deg) from which on the bridge of the nose and the lips may lie on the face's outline."""
DEPTH_MM = 0.6
"""Largest median difference of the depth layer from visible landmarks' own depth."""
CANONICAL_MM = 0.6
"""Largest median distance of canonical places at visible landmarks from the template's own."""
LARGEST_ALBEDO = 1.2
"""Diffuse and gloss together may exceed 1 a little where a surface is seen aslant."""
SMALLEST_DISC_PX = 40
"""Discs with fewer pixels are too coarse for centres."""
OFF_LENS_PERCENT = 3.0
"""Largest share of a disc outside its ellipse behind glasses: where the lens ends, a part may be seen beside it."""
MIN_COSINE = 0.70
"""Smallest cosine between optical axis and line of sight at which outlines are ellipses."""
LEAST_FACING = 0.02
"""Least cosine between the cornea's normal at the limbus and the line of sight, all the way round: farther round, the
corneal dome's silhouette rises over the limbus."""


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
    if "seg_amodal" in frame.layers:
        checks.append(_known_ids(frame.seg_amodal, "seg_amodal"))
        covering = float(np.count_nonzero(np.isin(frame.seg_amodal, COVERING)))
        checks.append(Check("what covers the body in seg_amodal (count)", covering, 0.0))
    if "canonical" in frame.layers:
        checks += _canonical(frame)
    if "albedo" in frame.layers:
        wild = ~np.isfinite(frame.albedo) | (frame.albedo < 0) | (frame.albedo > LARGEST_ALBEDO)
        checks.append(Check("albedo that nothing has (count)", float(np.count_nonzero(wild)), 0.0))
    if "depth" in frame.layers:
        checks += _depth(frame)
    if "normal" in frame.layers:
        checks += _normals(frame)
    if "glint" in frame.layers:
        unknown = float(max(0, int(frame.glint.max()) - len(frame.truth.leds_mm)))
        checks.append(Check("glint ids above the number of LEDs (count)", unknown, 0.0))
        if {"seg", "seg_anatomical"} <= set(frame.layers):
            for side in SIDES:
                errors = glint_errors(frame, side)
                if len(errors):
                    worst = float(np.linalg.norm(errors, axis=1).max())
                    checks.append(Check(f"{side} glint centre off its mirror point (px)", worst, GLINT_CENTRE_PX))
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
    """Compare the rendered pupil and iris discs, lids and glasses away, with their outlines; only where wholly seen."""
    eye = frame.truth.eyes.get(side)
    other = frame.truth.eyes.get("left" if side == "right" else "right")
    if eye is None or (other is not None and _overlap(eye, other)):
        return []
    body, K = globe(frame.sample.subject.eye, side), frame.truth.camera.K
    pinhole, limbus = -eye.centre_mm @ eye.rotation, body.limbus(64)
    toward = (pinhole - limbus) / np.linalg.norm(pinhole - limbus, axis=1, keepdims=True)
    if np.sum(toward * body.anterior.normal(limbus), axis=1).min() < LEAST_FACING:
        return []
    appears = apparent_direction(pinhole, body.pupil_margin(64), body.surfaces)
    height, width = frame.seg_anatomical.shape
    centres = pixel_centres(height, width)
    ids = frame.seg_anatomical
    pupil = ids == side_label(side, "pupil")
    checks = []
    for name, mask, outline, limit in (
        ("pupil", pupil, project(appears @ eye.rotation.T, K), PUPIL_CENTRE_PX),
        (
            "iris",
            pupil | (ids == side_label(side, "iris")),
            project(limbus @ eye.rotation.T + eye.centre_mm, K),
            LIMBUS_CENTRE_PX,
        ),
    ):
        inside = outline.min() > 1 and (outline.max(axis=0) < np.array([width, height]) - 1).all()
        wanted = inside_polygon(centres, outline) if inside else np.zeros_like(mask)
        if np.count_nonzero(wanted) < SMALLEST_DISC_PX:
            continue
        off = centres[mask].mean(axis=0) - centres[wanted].mean(axis=0) if mask.any() else np.full(2, np.inf)
        around = np.linalg.norm(outline - np.roll(outline, 1, axis=0), axis=1).sum()
        checks += [
            Check(f"{side} {name} centre off its outline (px)", float(np.linalg.norm(off)), limit),
            Check(f"{side} {name} outline off (px)", float(np.count_nonzero(mask ^ wanted) / around), OUTLINE_PX),
        ]
    return checks


def glint_errors(frame: Frame, side: str) -> Array:
    """Return (M, 2) px from mirror point to rendered centre, of the glints of one eye that are whole.

    A glint is whole when it lies inside the open cornea, apart from other glints, and nothing hides part of its LED.
    """
    eye, glint = frame.truth.eyes[side], frame.glint
    disc = [int(side_label(side, part)) for part in ("iris", "pupil")]
    over = [int(label) for s in SIDES for label in (side_label(s, "lashes"), side_label(s, "brow"))] + [int(Label.HAIR)]
    cornea = np.isin(frame.seg_anatomical, disc)
    clear = np.pad(cornea & np.isin(frame.seg, disc + over), 1)
    height, width = glint.shape
    for axis, size in ((0, height), (1, width)):
        clear = np.all(np.stack([clear.take(range(k, k + size), axis) for k in range(3)]), axis=0)
    areas = _glint_areas(frame, side)
    errors = []
    for k, place in enumerate(eye.glints_2d):
        row, column = np.nonzero((glint == k + 1) & cornea)
        apart = np.linalg.norm(np.delete(eye.glints_2d, k, axis=0) - place, axis=1)
        whole = len(row) >= areas[k] - 0.5 * math.sqrt(areas[k]) - 0.5 if np.isfinite(areas[k]) else False
        if len(row) < SMALLEST_GLINT_PX or not whole or not clear[row, column].all():
            continue
        if np.nanmin(apart, initial=np.inf) > 2 * math.sqrt(areas[k] / math.pi) + 1:
            errors.append([column.mean() + 0.5 - place[0], row.mean() + 0.5 - place[1]])
    return np.reshape(errors, (-1, 2))


def _glint_areas(frame: Frame, side: str) -> Array:
    """Return the areas (N,) in px of the mirror images of the LEDs; NaN where part of one lies off the cornea."""
    truth, eye = frame.truth, frame.truth.eyes[side]
    body = globe(frame.sample.subject.eye, side)
    leds = (truth.leds_mm - eye.centre_mm) @ eye.rotation
    toward = leds / np.linalg.norm(leds, axis=1, keepdims=True)
    u = np.cross(toward, [0.3, 1.0, 0.2])
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    turn = np.linspace(0, 2 * math.pi, 16, endpoint=False)[:, None, None]
    rim = leds + LED_RADIUS_MM * (np.cos(turn) * u + np.sin(turn) * np.cross(toward, u))
    mirrors = glint_points(body.anterior, -eye.centre_mm @ eye.rotation, rim.reshape(-1, 3), body.limbus_r)
    x, y = np.moveaxis(truth.camera.project(mirrors @ eye.rotation.T + eye.centre_mm).reshape(16, -1, 2), 2, 0)
    return 0.5 * np.abs((x * np.roll(y, -1, axis=0) - np.roll(x, -1, axis=0) * y).sum(axis=0))


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
        bare = pixel_centres(height, width)[solid & (depth == 0)]
        for eye in truth.eyes.values():  # a lens shows what lies elsewhere, and depth knows no lenses
            bare = bare[~_on_lens(bare, eye, truth)]
        checks.append(Check("labelled pixels without depth (count)", float(len(bare)), 0.0))
    off, slack_mm = _off_landmarks(frame, depth[..., None], truth.landmarks_3d_mm[:, 2:])
    if len(off):
        checks.append(Check("depth off visible landmarks, median (mm)", float(np.median(off)), DEPTH_MM + slack_mm))
    return checks


def _on_lens(points: Array, eye: EyeTruth, truth: Truth) -> Array:
    """Return which `points` (N, 2) px may show the lens before `eye`: its front or from aside its LENS_MM of depth."""
    if not len(eye.lens_2d) or not len(points):
        return np.zeros(len(points), bool)
    reach = LENS_MM * _aside(truth, eye.centre_mm) * truth.camera.K[0, 0] / max(1.0, float(eye.centre_mm[2]))
    near = np.linalg.norm(points[:, None] - eye.lens_2d, axis=2).min(axis=1) < reach
    return near | inside_polygon(points, eye.lens_2d)


def _aside(truth: Truth, point: Array) -> float:
    """Return the sine of the angle between the head's forward axis and the view of `point` (3,), camera mm."""
    return float(np.linalg.norm(np.cross(truth.head.rotation[:, 2], point / np.linalg.norm(point))))


def _off_landmarks(frame: Frame, layer: Array, wanted: Array) -> tuple[Array, float]:
    """Return how far (N,) mm `layer` (H, W, C) is from `wanted` (68, C) at visible landmarks of nose and lips.

    And the slack, mm, that pixels give: two of them, or one where a neighbour of the landmark's own may stand in.
    Fleshy landmarks on a slope against the view change depth within a pixel; the bridge and lips do not, unless they
    lie on the outline, as in profile: the pixel that they fall into may then show what is behind. So from aside
    (OBLIQUE) the nearest of it and its eight neighbours counts, as a landmark is visible when one of them shows it.
    Where its own pixel shows a mask or glasses, a landmark is left out.
    """
    truth = frame.truth
    chosen = np.array([28, 29, 30, 33, 51, 57])
    straight = truth.camera.project(truth.landmarks_3d_mm)
    inside = ((straight >= 1) & (straight < (truth.camera.width - 1, truth.camera.height - 1))).all(axis=1)
    chosen = chosen[truth.landmarks_visible[chosen] & inside[chosen]]
    column, row = np.floor(straight[chosen]).astype(int).T
    if "seg" in frame.layers:
        bare = ~np.isin(frame.seg[row, column], COVERING)
        chosen, row, column = chosen[bare], row[bare], column[bare]
    pixel_mm = float(truth.landmarks_3d_mm[chosen, 2].mean() / truth.camera.K[0, 0]) if len(chosen) else 0.0
    aside = _aside(truth, truth.head.translation_mm) > OBLIQUE
    reach = (-1, 0, 1) if aside else (0,)
    step = np.array([(dr, dc) for dr in reach for dc in reach])[..., None]
    off = np.linalg.norm(layer[row + step[:, 0], column + step[:, 1]] - wanted[chosen], axis=2)
    return off.min(axis=0), (1 if aside else 2) * pixel_mm


def _canonical(frame: Frame) -> list[Check]:
    """Visible landmarks must lie where the template has them."""
    checks = [Check("canonical not finite (count)", float(np.count_nonzero(~np.isfinite(frame.canonical))), 0.0)]
    off, slack_mm = _off_landmarks(frame, frame.canonical, topology().rest[ibug68()])
    if len(off):
        checks.append(
            Check("canonical off visible landmarks, median (mm)", float(np.median(off)), CANONICAL_MM + slack_mm)
        )
    return checks


def _normals(frame: Frame) -> list[Check]:
    length = np.linalg.norm(frame.normal, axis=2)
    unit = (length < 1e-6) | (np.abs(length - 1) < 1e-2)
    return [Check("normals that are not unit vectors (count)", float(np.count_nonzero(~unit)), 0.0)]
