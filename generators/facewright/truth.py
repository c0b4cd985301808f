"""The truth of a frame: everything known analytically, in the axes and units of schema.py.

These are the classes only; `labels.py` computes them from a Figure and a camera. All arrays are float64 numpy;
`to_data` gives JSON-able data and `Truth.from_data` reads it back.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Ellipse:
    """An image ellipse: `centre` (2,) px, semi-axes `a` >= `b` px, `angle_rad` of a from +x toward +y (downward)."""

    centre: Array
    a: float
    b: float
    angle_rad: float

    def points(self, count: int = 64) -> Array:
        """Return (count, 2) points on the ellipse in px."""
        t = np.linspace(0, 2 * math.pi, count, endpoint=False)
        c, s = math.cos(self.angle_rad), math.sin(self.angle_rad)
        u, v = self.a * np.cos(t), self.b * np.sin(t)
        return self.centre + np.stack([c * u - s * v, s * u + c * v], axis=1)


@dataclass(frozen=True)
class CameraTruth:
    """Pinhole: `K` (3, 3) px, `rotation` (3, 3) and `translation_mm` (3,) map world (Blender axes, mm) to camera."""

    width: int
    height: int
    K: Array
    rotation: Array
    translation_mm: Array

    def project(self, points_mm: Array) -> Array:
        """Return (..., 2) px of camera-space points (..., 3) mm."""
        uvw = np.asarray(points_mm) @ self.K.T
        return uvw[..., :2] / uvw[..., 2:]


@dataclass(frozen=True)
class HeadPose:
    """Head to camera: x_cam = rotation @ x_head + translation_mm. Angles as in schema.py, order yaw, pitch, roll."""

    rotation: Array
    translation_mm: Array
    yaw_deg: float
    pitch_deg: float
    roll_deg: float


@dataclass(frozen=True)
class EyeTruth:
    """One eye. Vectors are unit vectors; `_head` in head axes, all others in camera axes; points in mm or px.

    `rotation` (3, 3) maps eye axes to camera axes. `pupil` is the apparent outline, refracted by cornea and aqueous;
    `pupil_true` the plain projection of the tissue. `limbus` is the projected limbal circle: it lies on the eye's
    surface, so it appears where it is (beyond about 48 deg of view the corneal dome's silhouette rises over it).
    What lies behind a lens of glasses appears through it: `pupil`, `limbus` and all `_2d` points; `pupil_bare` and
    `limbus_bare` are as if no glasses were worn, `lens_2d` (N, 2) is the outline of the lens before this eye, empty
    without glasses.
    `limbus_2d` (32, 2) is the visible limbus ring, `lid_upper` and `lid_lower` (N, 3) the inner lid margins from the
    medial to the lateral canthus with their projections `lid_upper_2d`, `lid_lower_2d` (N, 2), `caruncle_2d` (7, 2).
    `lash_upper`, `lash_lower` (N, 3) are the outer margins, where skin and lashes begin, with projections alike.
    `openness` is the palpebral aperture over the iris diameter; `clearance_mm` the least distance of lid to globe.
    `glints_3d_mm` (N, 3) are the mirror points of the N LEDs on the cornea, `glints_2d` (N, 2) where they appear; NaN
    where the cornea shows none. `glints_visible` (N,) bool is filled after rendering from the glint layer.
    """

    side: str
    centre_mm: Array
    rotation: Array
    cornea_centre_mm: Array
    pupil_centre_mm: Array
    optical_axis: Array
    visual_axis: Array
    optical_axis_head: Array
    visual_axis_head: Array
    kappa_nasal_deg: float
    kappa_superior_deg: float
    pupil_mm: float
    limbus_mm: float
    pupil: Ellipse
    pupil_true: Ellipse
    limbus: Ellipse
    limbus_2d: Array
    lid_upper: Array
    lid_lower: Array
    lid_upper_2d: Array
    lid_lower_2d: Array
    lash_upper: Array
    lash_lower: Array
    lash_upper_2d: Array
    lash_lower_2d: Array
    caruncle_2d: Array
    openness: float
    clearance_mm: float
    box: Array
    pupil_bare: Ellipse
    limbus_bare: Ellipse
    lens_2d: Array
    glints_2d: Array = dataclasses.field(default_factory=lambda: np.zeros((0, 2)))
    glints_3d_mm: Array = dataclasses.field(default_factory=lambda: np.zeros((0, 3)))
    glints_visible: Array = dataclasses.field(default_factory=lambda: np.zeros(0, bool))

    def __post_init__(self) -> None:
        object.__setattr__(self, "lens_2d", np.asarray(self.lens_2d, float).reshape(-1, 2))
        object.__setattr__(self, "glints_2d", np.asarray(self.glints_2d, float).reshape(-1, 2))
        object.__setattr__(self, "glints_3d_mm", np.asarray(self.glints_3d_mm, float).reshape(-1, 3))
        object.__setattr__(self, "glints_visible", np.asarray(self.glints_visible, bool))


@dataclass(frozen=True)
class Points:
    """A landmark set: `seen_2d` (N, 2) px as seen, `camera_mm` (N, 3), `visible` (N,) bool, filled after rendering.

    Numbers are rounded to 1e-4, which keeps records short.
    """

    seen_2d: Array
    camera_mm: Array
    visible: Array


@dataclass(frozen=True)
class Truth:
    """All analytic labels of a frame.

    `landmarks_2d` (68, 2) px, seen through glasses where they are worn, and `landmarks_3d_mm` (68, 3) camera mm are
    iBUG-68; `landmarks_visible` (68,) bool is filled after rendering. `points` holds the other landmark sets by name
    (schema.LANDMARK_SETS). `jaw_contour_2d` (33, 2) px and `jaw_contour_3d_mm` (33, 3) are the jaw's visible contour,
    from the subject's right to the left. `occluded` is the share of the face (schema.FACE, in the picture, as if
    nothing covered it) that each of schema.COVERING hides, by lower-case name, filled after rendering, where it is
    more than none. `gaze_target_mm` (3,) is the fixated point. Boxes are [x0, y0, x1,
    y1] px and may leave the image. `eyes` holds both sides, also where one lies outside the image; `target` says what
    the camera aims at: "right_eye", "left_eye" or "face". `leds_mm` (N, 3) are the infrared LEDs in camera mm.
    """

    camera: CameraTruth
    head: HeadPose
    gaze_target_mm: Array
    eyes: dict[str, EyeTruth]
    landmarks_2d: Array
    landmarks_3d_mm: Array
    landmarks_visible: Array
    face_box: Array
    points: dict[str, Points]
    jaw_contour_2d: Array
    jaw_contour_3d_mm: Array
    occluded: dict[str, float] = dataclasses.field(default_factory=dict)
    target: str = "face"
    leds_mm: Array = dataclasses.field(default_factory=lambda: np.zeros((0, 3)))

    def __post_init__(self) -> None:
        object.__setattr__(self, "leds_mm", np.asarray(self.leds_mm, float).reshape(-1, 3))

    @property
    def landmarks_contour_2d(self) -> Array:
        """Return iBUG-68 (68, 2) px with the jaw on the face's visible contour, as annotators see it."""
        return np.concatenate([self.jaw_contour_2d[::2], self.landmarks_2d[17:]])

    @property
    def gaze(self) -> Array:
        """Return the gaze, a unit vector (3,) in camera axes.

        It is the visual axis of the eye that the camera aims at, and the normalised mean of both where it aims at the
        face.
        """
        aimed = [eye for side, eye in self.eyes.items() if self.target == f"{side}_eye"] or list(self.eyes.values())
        mean = np.mean([eye.visual_axis for eye in aimed], axis=0)
        return mean / np.linalg.norm(mean)

    def to_data(self) -> dict[str, Any]:
        """Return JSON-able data, missing glints as None.

        Gaze angles in degrees and `landmarks_contour_2d` are added for readers; they are not read back.
        """
        data = _plain(self)
        for side, eye in self.eyes.items():
            for axis in ("optical", "visual"):
                pitch, yaw = pitch_yaw(getattr(eye, f"{axis}_axis"))
                data["eyes"][side][f"{axis}_pitch_yaw_deg"] = [math.degrees(pitch), math.degrees(yaw)]
            for name in ("glints_2d", "glints_3d_mm"):
                data["eyes"][side][name] = _nullable(getattr(eye, name))
        data["gaze"] = self.gaze.tolist()
        data["landmarks_contour_2d"] = self.landmarks_contour_2d.tolist()
        return data

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Truth:
        """Return the Truth that `to_data` wrote."""
        return _read(Truth, data)


def pitch_yaw(direction: Array) -> tuple[float, float]:
    """Return (pitch, yaw) in radians of a direction (3,) in camera axes: pitch = asin(-y), yaw = atan2(-x, -z).

    MPIIGaze and ETH-XGaze signs: +pitch looks up, +yaw looks toward image-left, (0, 0) looks into the camera.
    """
    x, y, z = np.asarray(direction, float) / np.linalg.norm(direction)
    return math.asin(max(-1.0, min(1.0, -y))), math.atan2(-x, -z)


def direction(pitch: float, yaw: float) -> Array:
    """Return the unit vector (3,) in camera axes of (pitch, yaw) in radians; inverse of `pitch_yaw`."""
    return np.array([-math.cos(pitch) * math.sin(yaw), -math.sin(pitch), -math.cos(pitch) * math.cos(yaw)])


def _nullable(values: Array) -> list[Any]:
    """Return nested lists with None for NaN, which JSON does not know."""
    held = values.astype(object)
    held[np.isnan(values)] = None
    return held.tolist()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


_kinds = cache(typing.get_type_hints)


def _read(cls: Any, data: Any) -> Any:
    hints = _kinds(cls)
    built = {}
    for field in dataclasses.fields(cls):
        kind, value = hints[field.name], data[field.name]
        if kind is Array:
            value = np.asarray(value)
            value = value.astype(float) if value.dtype == object else value  # None is NaN
        elif typing.get_origin(kind) is dict:
            inner = typing.get_args(kind)[1]
            value = {
                key: _read(inner, item) if dataclasses.is_dataclass(inner) else item for key, item in value.items()
            }
        elif dataclasses.is_dataclass(kind):
            value = _read(kind, value)
        built[field.name] = value
    return cls(**built)
