"""A renderer without Blender: it paints the analytic truth with numpy.

For tests of everything above the renderer (dataset, farm, command line, interface) and for trying a pipeline on a
machine that has no Blender. The labels are exact where the truth is; the picture is a diagram, not a face.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np

from facewright.geometry.polygon import inside_polygon, pixel_centres
from facewright.labels import truth_of, with_glints
from facewright.recipe import DEFAULT_OUTPUTS
from facewright.render import Frame
from facewright.sample import Sample
from facewright.schema import PALETTE, Label, side_label
from facewright.truth import CameraTruth, Ellipse, EyeTruth, Truth

_GLOBE_MM = 12.0
_GLINT_PX = 1.5
_SKIN_TONE = {Label.BACKGROUND: (0.16, 0.18, 0.2)}


class MockRenderer:
    """A render.Renderer that paints in milliseconds."""

    def __init__(self) -> None:
        self.about: dict[str, Any] = {"renderer": "mock", "device": "numpy"}

    def __enter__(self) -> MockRenderer:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def draft(self, sample: Sample) -> Truth:
        """Return the truth of `sample`."""
        return truth_of(sample)

    def __call__(self, sample: Sample, outputs: tuple[str, ...] = DEFAULT_OUTPUTS, draft: Truth | None = None) -> Frame:
        """Return the painted frame of `sample` with rgb and the layers named in `outputs`."""
        start = time.perf_counter()
        truth = draft or self.draft(sample)
        points = {n: dataclasses.replace(p, visible=np.zeros_like(p.visible)) for n, p in truth.points.items()}
        hidden = np.zeros(len(truth.landmarks_2d), bool)  # no relief
        truth = dataclasses.replace(truth, landmarks_visible=hidden, points=points)
        layers = paint(truth)
        truth = with_glints(truth, layers["glint"])
        kept = {name: layers[name] for name in layers if name == "rgb" or name in outputs}
        return Frame(sample, kept, truth, seconds={"paint": time.perf_counter() - start}, about=dict(self.about))


_SHUT = 0.02
"""Openness below which nothing is seen between the lids."""


def _opening(eye: EyeTruth) -> np.ndarray:
    """Return the outline (N, 2) px between the lids; where shut lids press on each other there is nothing between."""
    upper, lower = eye.lid_upper_2d, eye.lid_lower_2d
    pressed = (eye.openness < _SHUT) | ((upper - lower) @ eye.rotation[:2, 1] < 0)[:, None]
    middle = 0.5 * (upper + lower)
    return np.concatenate([np.where(pressed, middle, upper), np.where(pressed, middle, lower)[::-1]])


def paint(truth: Truth) -> dict[str, np.ndarray]:
    """Return all layers of `truth`: flat skin a globe's radius before the eyes, spheres for eyes, no strands."""
    camera = truth.camera
    shape = (camera.height, camera.width)
    centres = pixel_centres(*shape)
    seg = np.where(_in_face(centres, truth), int(Label.SKIN), int(Label.BACKGROUND)).astype(np.uint8)
    anatomical, glint = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    plane = np.mean([eye.centre_mm[2] for eye in truth.eyes.values()]) - _GLOBE_MM
    depth = np.where(seg == Label.SKIN, plane, 0).astype(np.float32)
    normal = np.zeros((*shape, 3), np.float32)
    normal[seg == Label.SKIN] = (0, 0, -1)
    for eye in truth.eyes.values():
        globe_depth, globe_normal = _globe(centres, camera, eye)
        hit = globe_depth > 0
        anatomical[hit] = _eye_ids(centres, eye.side, eye.limbus_bare, eye.pupil_bare)[hit]
        ids = _eye_ids(centres, eye.side, eye.limbus, eye.pupil)
        open_ = hit & inside_polygon(centres, _opening(eye))
        seg[open_], depth[open_], normal[open_] = ids[open_], globe_depth[open_], globe_normal[open_]
        for k, place in enumerate(eye.glints_2d):
            others = np.linalg.norm(np.delete(eye.glints_2d, k, axis=0) - place, axis=1)
            if np.nanmin(others, initial=np.inf) < 2 * _GLINT_PX:  # two discs in one have no centres to compare
                continue
            glint[open_ & (np.linalg.norm(centres - place, axis=-1) < _GLINT_PX)] = k + 1
    linear = _colours()[seg] * np.where(depth > 0, 0.35 - 0.65 * normal[..., 2], 1)[..., None].astype(np.float32)
    linear[glint > 0] = 1
    return {
        "rgb": to_srgb(linear),
        "linear": linear,
        "seg": seg,
        "seg_anatomical": anatomical,
        "seg_amodal": seg.copy(),
        "coverage": np.zeros((*shape, 3), np.uint8),
        "matte": np.zeros((*shape, 3), np.uint8),
        "canonical": np.zeros((*shape, 3), np.float32),
        "albedo": _colours()[seg],
        "depth": depth,
        "normal": normal,
        "glint": glint,
    }


def inside_ellipse(points: np.ndarray, ellipse: Ellipse) -> np.ndarray:
    """Return (...) bool: which points (..., 2) lie inside the ellipse."""
    offset = points - ellipse.centre
    c, s = np.cos(ellipse.angle_rad), np.sin(ellipse.angle_rad)
    u, v = offset[..., 0] * c + offset[..., 1] * s, offset[..., 1] * c - offset[..., 0] * s
    return (u / ellipse.a) ** 2 + (v / ellipse.b) ** 2 <= 1


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Return the uint8 sRGB encoding of scene-linear values."""
    clipped = np.clip(linear, 0, 1)
    encoded = np.where(clipped <= 0.0031308, 12.92 * clipped, 1.055 * np.maximum(clipped, 1e-8) ** (1 / 2.4) - 0.055)
    return np.round(encoded * 255).astype(np.uint8)


def _in_face(points: np.ndarray, truth: Truth) -> np.ndarray:
    x0, y0, x1, y1 = truth.face_box
    centre, half = np.array([(x0 + x1) / 2, (y0 + y1) / 2]), np.array([x1 - x0, y1 - y0]) * 0.6
    return (((points - centre) / half) ** 2).sum(axis=-1) <= 1


def _globe(points: np.ndarray, camera: CameraTruth, eye: EyeTruth) -> tuple[np.ndarray, np.ndarray]:
    """Return depth (H, W) in mm, 0 where the pixel's ray misses the globe, and unit normals (H, W, 3)."""
    rays = np.concatenate([points, np.ones((*points.shape[:-1], 1))], axis=-1) @ np.linalg.inv(camera.K).T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    along = rays @ eye.centre_mm
    inside = along**2 - eye.centre_mm @ eye.centre_mm + _GLOBE_MM**2
    hit = rays * (along - np.sqrt(np.maximum(inside, 0)))[..., None]
    depth = np.where(inside > 0, hit[..., 2], 0)
    return depth.astype(np.float32), ((hit - eye.centre_mm) / _GLOBE_MM).astype(np.float32)


def _eye_ids(points: np.ndarray, side: str, limbus: Ellipse, pupil: Ellipse) -> np.ndarray:
    ids = np.full(points.shape[:-1], side_label(side, "sclera"), np.uint8)
    ids[inside_ellipse(points, limbus)] = side_label(side, "iris")
    ids[inside_ellipse(points, pupil)] = side_label(side, "pupil")
    return ids


def _colours() -> np.ndarray:
    """Return (256, 3) linear colours by id: the palette's, darker."""
    table = np.zeros((256, 3), np.float32)
    for label, colour in PALETTE.items():
        table[label] = _SKIN_TONE.get(label, tuple((part / 255) ** 2.2 for part in colour))
    return table
