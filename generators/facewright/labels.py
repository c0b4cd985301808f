"""From a Figure to its Truth: projection, refraction, axes, boxes. Pure numpy; nothing here sees a rendered pixel."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from facewright.eye.fundus import pupil_albedo
from facewright.face.landmarks import dense478, ibug68, wflw98
from facewright.face.topology import topology
from facewright.figure import Figure, PosedEye, build_figure
from facewright.geometry.camera import project
from facewright.geometry.ellipse import fit_ellipse
from facewright.geometry.reflection import glint_points
from facewright.geometry.refraction import Posed, Surfaces, apparent_direction
from facewright.geometry.rotations import head_angles
from facewright.sample import Sample
from facewright.schema import (
    COVERAGE_CHANNELS,
    COVERAGE_THRESHOLD,
    COVERING,
    FACE,
    LANDMARK_SETS,
    LIMBUS_POINTS,
    MATTE_CHANNELS,
    PUPILS,
    ROOT_CHANNELS,
    SIDES,
    Label,
    side_label,
)
from facewright.truth import Array, CameraTruth, Ellipse, EyeTruth, HeadPose, Points, Truth

GLINT_REACH = 2
"""A glint is visible when the glint layer shows its id at most this many pixels beside its own."""
DECIMALS = 4
"""Decimals, in px and mm, of the landmark sets beside iBUG-68."""
VISIBLE_MM, VISIBLE_PX, DEPTH_MM = 2.0, 1.0, 2.5
"""A landmark is visible when a pixel at most one beside its own shows skin that lies on the template as near to it as
VISIBLE_MM and VISIBLE_PX pixels' size together, and at most DEPTH_MM before it. The iris has no place on the template.
"""
HIDING = COVERAGE_THRESHOLD
"""Share of its pixel by which hair or beard hides a landmark."""


def truth_of(sample: Sample) -> Truth:
    """Return the analytic truth of `sample`; what is visible is unknown before rendering and set to True."""
    return truth(build_figure(sample))


def truth(figure: Figure) -> Truth:
    """Return the analytic truth of `figure`."""
    camera = figure.camera
    landmarks = _to_camera(figure.landmarks, camera)
    face = project(_to_camera(figure.face_points, camera), camera.K)
    head_to_camera = camera.rotation @ figure.head_rotation
    eyes = {side: _eye(eye, figure) for side, eye in figure.eyes.items()}
    return Truth(
        camera,
        _head_pose(head_to_camera, _to_camera(figure.head_origin[None], camera)[0]),
        _to_camera(figure.gaze_target[None], camera)[0],
        eyes,
        seen_pixels(figure, figure.landmarks),
        landmarks,
        np.ones(len(landmarks), bool),
        _box(face),
        {name: _points(figure, name, eyes) for name in LANDMARK_SETS},
        np.round(seen_pixels(figure, figure.jaw), DECIMALS),
        np.round(_to_camera(figure.jaw, camera), DECIMALS),
        {},
        figure.sample.camera.target,
        _to_camera(figure.leds, camera),
    )


def _points(figure: Figure, name: str, eyes: dict[str, EyeTruth]) -> Points:
    """Return a landmark set; pupils appear where the cornea shows them."""
    world = figure.points[name]
    seen = seen_pixels(figure, world)
    for side, index in PUPILS[name].items():
        seen[index] = eyes[side].pupil.centre
    return Points(
        np.round(seen, DECIMALS), np.round(_to_camera(world, figure.camera), DECIMALS), np.ones(len(world), bool)
    )


def with_visibility(known: Truth, ids: Array, depth: Array, place: Array, coverage: Array, beard: Array) -> Truth:
    """Return the Truth with the visibility of landmarks read off what was rendered.

    `ids` (H, W) are the classes of solid surfaces, without strands and lenses, `depth` (H, W) mm theirs, `place`
    (H, W, 3) mm their canonical places, `coverage` (H, W, 3) and `beard` (H, W), uint8, those of strands. They know no
    lenses, so each landmark is looked up where it would appear without them.
    """
    rest = topology().rest
    homes = {"face70": rest[ibug68()], "wflw98": rest[wflw98()], "dense478": rest[dense478().vertices]}

    def shown(points_mm: Array, where: Array) -> Array:
        around, inside = _around(known, points_mm, depth.shape)
        pixel_mm = np.abs(points_mm[: len(where), 2]) / known.camera.K[0, 0]
        clear = depth[around] > points_mm[:, 2] - DEPTH_MM
        own = np.linalg.norm(place[around][:, : len(where)] - where, axis=2) < VISIBLE_MM + VISIBLE_PX * pixel_mm
        clear[:, : len(where)] &= own
        return inside & clear.any(axis=0) & (_hair(coverage, beard, around) < HIDING)

    sets = {}
    for name, points in known.points.items():
        visible = shown(points.camera_mm, homes[name])
        for side, index in PUPILS[name].items():
            visible[index] = _pupil_shown(known, ids, coverage, side)
        sets[name] = dataclasses.replace(points, visible=visible)
    return dataclasses.replace(known, landmarks_visible=sets["face70"].visible[:68], points=sets)


def _around(known: Truth, points_mm: Array, shape: tuple[int, ...]) -> tuple[tuple[Array, Array], Array]:
    """Return rows and columns (9, N) of the pixels round the points (N, 3) camera mm, their own first, and which points
    (N,) lie in the picture.
    """
    height, width = shape
    column, row = np.floor(project(points_mm, known.camera.K)).astype(int).T
    inside = (column >= 0) & (row >= 0) & (column < width) & (row < height) & (points_mm[:, 2] > 0)
    dr, dc = np.array([(0, 0), *((r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c)]).T[..., None]
    return (np.clip(row + dr, 0, height - 1), np.clip(column + dc, 0, width - 1)), inside


def _hair(coverage: Array, beard: Array, around: tuple[Array, Array]) -> Array:
    """Return the share (N,) of the points' own pixels that hair and beard hide.

    Brows and lashes grow where landmarks of brows and lids lie, and hide none.
    """
    row, column = around[0][0], around[1][0]
    return (coverage[row, column, COVERAGE_CHANNELS.index("hair")].astype(float) + beard[row, column]) / 255


def _pupil_shown(known: Truth, ids: Array, coverage: Array, side: str) -> bool:
    """Return whether the pixel of the apparent pupil's centre shows that eye's pupil or iris, and no strands before."""
    column, row = np.floor(known.eyes[side].pupil_bare.centre).astype(int)
    height, width = ids.shape
    if not (0 <= column < width and 0 <= row < height):
        return False
    within = ids[row, column] in (side_label(side, "pupil"), side_label(side, "iris"))
    return bool(within and coverage[row, column].sum() / 255 < HIDING)


def with_occlusion(known: Truth, seg: Array, amodal: Array) -> Truth:
    """Return the Truth with the shares of the face that other things hide: `seg` (H, W) against `amodal` (H, W)."""
    face = np.isin(amodal, FACE)
    count = np.bincount(seg[face], minlength=256) / max(1, np.count_nonzero(face))
    return dataclasses.replace(
        known, occluded={label.name.lower(): round(float(count[label]), 6) for label in COVERING if count[label]}
    )


def with_glints(known: Truth, glint: Array) -> Truth:
    """Return the Truth with `glints_visible` read off the glint layer (H, W)."""
    padded = np.pad(glint, GLINT_REACH)
    size = 2 * GLINT_REACH + 1

    def shown(eye: EyeTruth) -> Array:
        visible = np.zeros(len(eye.glints_2d), bool)
        for k, place in enumerate(eye.glints_2d):
            if np.isfinite(place).all() and (place >= 0).all() and (place < glint.shape[::-1]).all():
                column, row = place.astype(int)
                visible[k] = (padded[row : row + size, column : column + size] == k + 1).any()
        return visible

    eyes = {side: dataclasses.replace(eye, glints_visible=shown(eye)) for side, eye in known.eyes.items()}
    return dataclasses.replace(known, eyes=eyes)


def with_strands(seg: Array, coverage: Array, matte: Array, roots: Array, known: Truth) -> Array:
    """Return ids (H, W) with strands drawn in: the strongest kind, where kinds together make up COVERAGE_THRESHOLD.

    Kinds are lashes, brows and hair of `coverage` and the beard of `matte`, both (H, W, 3) uint8: shares of the pixel
    that strands hide. `roots` (H, W, 3) uint8 is what beside them shows of skin coloured by ROOT_CHANNELS: a cropped
    head is hair, though one looks between its hairs. Lashes and brows take the side of the nearer eyeball centre in
    the image.
    """
    share = np.concatenate([coverage, matte[..., MATTE_CHANNELS.index("beard"), None]], axis=2).astype(float) / 255
    kinds = (*COVERAGE_CHANNELS, "beard")
    share[..., [kinds.index(kind) for kind in ROOT_CHANNELS]] += roots / 255
    hidden = share.sum(axis=2) >= COVERAGE_THRESHOLD
    kind = share.argmax(axis=2)
    row, column = np.nonzero(hidden)
    place = np.stack([column, row], axis=1) + 0.5
    centres = np.stack([project(known.eyes[side].centre_mm, known.camera.K) for side in SIDES])
    nearest = np.linalg.norm(place[:, None] - centres[None], axis=2).argmin(axis=1)
    either = [Label.HAIR, Label.BEARD]
    table = np.array([[side_label(side, "lashes"), side_label(side, "brow"), *either] for side in SIDES], np.uint8)
    drawn = seg.copy()
    drawn[row, column] = table[nearest, kind[row, column]]
    return drawn


def apparent_pixels(camera: CameraTruth, points: Array, surfaces: Surfaces) -> Array:
    """Return (N, 2) px where world `points` (N, 3) behind `surfaces` appear to `camera`; NaN if they cannot."""
    if not surfaces:
        return project(_to_camera(points, camera), camera.K)
    return project(apparent_direction(_pinhole(camera), points, surfaces) @ camera.rotation.T, camera.K)


def seen_pixels(figure: Figure, points: Array) -> Array:
    """Return (N, 2) px where world `points` (N, 3) appear: each through a lens if its light takes that way."""
    seen = apparent_pixels(figure.camera, points, ())
    pinhole = _pinhole(figure.camera)
    for lens in figure.glasses.facing(pinhole) if figure.glasses else ():
        rays = apparent_direction(pinhole, points, lens.surfaces)
        through = lens.shows(pinhole, rays, points)
        seen[through] = project(rays[through] @ figure.camera.rotation.T, figure.camera.K)
    return seen


def _lens_before(figure: Figure, point: Array) -> Surfaces:
    """Return the surfaces of the lens through which world `point` (3,) is seen, () if it is seen directly."""
    pinhole = _pinhole(figure.camera)
    for lens in figure.glasses.facing(pinhole) if figure.glasses else ():
        ray = apparent_direction(pinhole, point[None], lens.surfaces)
        if lens.shows(pinhole, ray, point[None])[0]:
            return lens.surfaces
    return ()


def _pinhole(camera: CameraTruth) -> Array:
    return -camera.rotation.T @ camera.translation_mm


def pupil_brightness(figure: Figure, side: str) -> float:
    """Return the albedo that the pupil of one eye seems to have: bright where an LED is close to the line of sight."""
    camera, eye = figure.camera, figure.eyes[side]
    pinhole = -camera.rotation.T @ camera.translation_mm
    entrance = eye.centre + eye.rotation @ eye.globe.pupil_centre
    reflectance = figure.sample.subject.eye.fundus_reflectance
    return pupil_albedo(reflectance, 2 * eye.globe.pupil_axes[0], pinhole - entrance, figure.leds - entrance)


def _eye(eye: PosedEye, figure: Figure) -> EyeTruth:
    camera, globe = figure.camera, eye.globe
    to_camera = camera.rotation @ eye.rotation
    centre = _to_camera(eye.centre[None], camera)[0]
    optical, visual = to_camera[:, 2], to_camera @ globe.visual_axis
    to_head = figure.head_rotation.T @ camera.rotation.T

    def world(points: Array) -> Array:
        return points @ eye.rotation.T + eye.centre

    margin, ring = world(globe.pupil_margin(48)), world(globe.limbus(64))
    cornea = tuple(Posed(surface, eye.rotation, eye.centre) for surface in (globe.anterior, globe.posterior))
    lens = _lens_before(figure, world(globe.pupil_centre[None])[0])

    def outline(points: Array, surfaces: Surfaces, instead: Ellipse | None) -> Ellipse:
        found = apparent_pixels(camera, points, surfaces)
        return instead if instead and not np.isfinite(found).all() else fit_ellipse(found)

    pupil_true = outline(margin, (), None)
    pupil_bare, limbus_bare = outline(margin, cornea, pupil_true), outline(ring, (), None)
    upper_2d, lower_2d = seen_pixels(figure, eye.lid_upper), seen_pixels(figure, eye.lid_lower)
    leds = (figure.leds - eye.centre) @ eye.rotation
    mirrors = glint_points(globe.anterior, (_pinhole(camera) - eye.centre) @ eye.rotation, leds, globe.limbus_r)
    mirrors = mirrors @ to_camera.T + centre
    if figure.glasses:  # light would pass the lens twice
        mirrors = np.full_like(mirrors, np.nan)
    sample_eye = figure.sample.subject.eye
    clear = figure.glasses.lenses.get(globe.side) if figure.glasses else None
    worn = clear.rim() if clear else np.zeros((0, 3))
    return EyeTruth(
        globe.side,
        centre,
        to_camera,
        centre + to_camera @ globe.cornea_centre,
        centre + to_camera @ globe.pupil_centre,
        optical,
        visual,
        to_head @ optical,
        to_head @ visual,
        sample_eye.kappa_nasal_deg,
        sample_eye.kappa_superior_deg,
        2 * globe.pupil_axes[0],
        2 * globe.limbus_r,
        outline(margin, (*lens, *cornea), pupil_bare),
        pupil_true,
        outline(ring, lens, limbus_bare),
        seen_pixels(figure, world(globe.limbus(LIMBUS_POINTS))),
        _to_camera(eye.lid_upper, camera),
        _to_camera(eye.lid_lower, camera),
        upper_2d,
        lower_2d,
        _to_camera(eye.lash_upper, camera),
        _to_camera(eye.lash_lower, camera),
        seen_pixels(figure, eye.lash_upper),
        seen_pixels(figure, eye.lash_lower),
        seen_pixels(figure, eye.caruncle),
        eye.openness,
        eye.clearance_mm,
        _box(np.concatenate([upper_2d, lower_2d])),
        glints_2d=project(mirrors, camera.K),
        glints_3d_mm=mirrors,
        glints_visible=np.isfinite(mirrors).all(axis=1),
        pupil_bare=pupil_bare,
        limbus_bare=limbus_bare,
        lens_2d=apparent_pixels(camera, worn, ()),
    )


def _head_pose(rotation: Array, origin: Array) -> HeadPose:
    """Return the pose of a head whose axes map to camera axes by `rotation`; frontal is yaw = pitch = roll = 0."""
    yaw, pitch, roll = head_angles(np.diag([1.0, -1.0, -1.0]) @ rotation)
    return HeadPose(rotation, origin, math.degrees(yaw), math.degrees(pitch), math.degrees(roll))


def _to_camera(points: Array, camera: CameraTruth) -> Array:
    return points @ camera.rotation.T + camera.translation_mm


def _box(points: Array) -> Array:
    return np.concatenate([points.min(axis=0), points.max(axis=0)])
