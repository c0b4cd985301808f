"""Labels as things to draw: the same marks become SVG in the report and strokes in a contact sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facewright.errors import MissingPackage
from facewright.schema import PALETTE
from facewright.truth import CameraTruth, EyeTruth, Truth

if TYPE_CHECKING:
    from PIL import Image

COLOURS = {
    "landmarks": "#22d3a5",
    "hidden": "#ff5d73",
    "lids": "#ffd166",
    "limbus": "#4cc9f0",
    "pupil": "#f72585",
    "optical": "#ff9f1c",
    "visual": "#b8f35a",
    "boxes": "#c9c9ff",
    "glints": "#3dff3d",
}
"""Kinds of marks and their colours."""
_ARROW_MM = 42.0
_CROSS_PX = np.array([[[-3.0, 0.0], [3.0, 0.0]], [[0.0, -3.0], [0.0, 3.0]]])


class Mark(NamedTuple):
    """One thing to draw: `points` (N, 2) px as a line, a closed line, or dots."""

    kind: str
    points: np.ndarray
    shape: str


def marks(truth: Truth) -> list[Mark]:
    """Return what can be drawn of `truth`: landmarks, lids, limbus and pupil, gaze arrows, glints, boxes."""
    seen = np.asarray(truth.landmarks_visible, bool)
    found = [Mark("landmarks", truth.landmarks_2d[seen], "dots"), Mark("hidden", truth.landmarks_2d[~seen], "dots")]
    for eye in truth.eyes.values():
        found += [
            Mark("lids", eye.lid_upper_2d, "line"),
            Mark("lids", eye.lid_lower_2d, "line"),
            Mark("lids", eye.lash_upper_2d, "line"),
            Mark("lids", eye.lash_lower_2d, "line"),
            Mark("lids", eye.caruncle_2d, "line"),
            Mark("limbus", eye.limbus.points(), "loop"),
            Mark("pupil", eye.pupil.points(), "loop"),
            Mark("boxes", _corners(eye.box), "loop"),
            Mark("optical", _arrow(truth.camera, eye, eye.optical_axis), "line"),
            Mark("visual", _arrow(truth.camera, eye, eye.visual_axis), "line"),
        ]
        seen = eye.glints_2d[eye.glints_visible]
        found += [Mark("glints", place + stroke, "line") for place in seen for stroke in _CROSS_PX]
    return [*found, Mark("boxes", _corners(truth.face_box), "loop")]


def svg(truth: Truth) -> str:
    """Return the marks of `truth` as an inline SVG whose groups carry their kind as class."""
    width, height = truth.camera.width, truth.camera.height
    dot = max(width, height) / 260
    body = []
    for kind, points, shape in marks(truth):
        if shape == "dots":
            drawn = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{dot:.2f}"/>' for x, y in points)
        else:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            drawn = f'<{"polygon" if shape == "loop" else "polyline"} points="{path}"/>'
            if kind in ("optical", "visual"):
                drawn += f'<circle cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="{dot * 1.6:.2f}"/>'
        body.append(f'<g class="m-{kind}">{drawn}</g>')
    return f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{"".join(body)}</svg>'


def label_picture(seg: np.ndarray, alpha: int = 255) -> Image.Image:
    """Return class ids (H, W) as a palette picture; background is transparent, the rest `alpha` opaque."""
    picture = _pillow().fromarray(seg).convert("L")
    picture.putpalette(label_colours().astype(np.uint8).tobytes(), "RGB")
    picture.info["transparency"] = bytes([0] + [alpha] * 255)
    return picture


def label_colours() -> np.ndarray:
    """Return (256, 3) uint8, the colour of every id."""
    table = np.zeros((256, 3), np.uint8)
    for label, colour in PALETTE.items():
        table[label] = colour
    return table


def draw(picture: np.ndarray, seg: np.ndarray | None, truth: Truth) -> np.ndarray:
    """Return `picture` (H, W, 3) uint8 with its labels drawn over it."""
    from PIL import ImageDraw

    if seg is not None:
        mixed = 0.5 * picture + 0.5 * label_colours()[seg]
        picture = np.where(seg[..., None] > 0, mixed, picture).astype(np.uint8)
    canvas = _pillow().fromarray(picture)
    pen = ImageDraw.Draw(canvas)
    size = max(1, round(max(picture.shape) / 300))
    for kind, points, shape in marks(truth):
        if kind == "boxes":
            continue
        places = [tuple(point) for point in points.tolist()]
        if shape == "dots":
            for x, y in places:
                pen.ellipse([x - size, y - size, x + size, y + size], fill=COLOURS[kind])
        else:
            pen.line(places + places[:1] if shape == "loop" else places, fill=COLOURS[kind], width=size)
    return np.asarray(canvas)


def _pillow() -> type[Image]:  # type: ignore[valid-type]
    try:
        from PIL import Image
    except ImportError:
        raise MissingPackage("drawing needs the package pillow; run `python -m pip install pillow`") from None
    return Image  # type: ignore[return-value]


def _arrow(camera: CameraTruth, eye: EyeTruth, axis: np.ndarray) -> np.ndarray:
    """Return (2, 2) px from the globe's surface along `axis`, never past half the way to the camera."""
    reach = min(_ARROW_MM, 0.5 * float(np.linalg.norm(eye.centre_mm)))
    return camera.project(np.stack([eye.pupil_centre_mm, eye.centre_mm + reach * axis]))


def _corners(box: np.ndarray) -> np.ndarray:
    x0, y0, x1, y1 = box
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
