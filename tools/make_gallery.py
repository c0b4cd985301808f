"""Render docs/gallery: unselected contact sheets, raw, labelled and refined.

    python tools/make_gallery.py [eyes|infrared|faces|lids ...]

Every sheet shows seed 0 from index 0 on; nothing is picked.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "generators"), str(ROOT / "refiner")]

from facewright import Recipe, sample  # noqa: E402
from facewright.refining import open_refiner  # noqa: E402
from facewright.render import Frame  # noqa: E402
from facewright.scene import CyclesRenderer  # noqa: E402
from facewright.schema import PALETTE  # noqa: E402

OUT = ROOT / "docs" / "gallery"
SHEETS = {
    "eyes": ("eye_rgb", 400, 300, 48, 8, "webcam"),
    "infrared": ("eye_nir", 300, 480, 16, 8, "nir_eye"),
    "faces": ("face", 320, 320, 24, 6, "phone"),
}
"""Sheet: recipe, width, height, frames, columns, refiner profile."""
LID_GAZE = ((18, 0), (0, 0), (-25, 0), (0, 28), (0, -28))
LID_BLINK = (0.0, 0.3, 0.6, 1.0)


def tile(pictures: list[np.ndarray], columns: int) -> np.ndarray:
    """Return equal pictures (H, W, 3) as one sheet."""
    rows = [np.concatenate(pictures[k : k + columns], axis=1) for k in range(0, len(pictures), columns)]
    return np.concatenate(rows)


def overlay(frame: Frame) -> np.ndarray:
    """Return the picture under its visible classes."""
    table = np.zeros((256, 3), np.uint8)
    for label, colour in PALETTE.items():
        table[label] = colour
    ids = frame.layers["seg"]
    mixed = 0.35 * frame.layers["rgb"] + 0.65 * table[ids]
    return np.where(ids[..., None] > 0, mixed, 0.6 * frame.layers["rgb"]).astype(np.uint8)


def halved(picture: np.ndarray) -> np.ndarray:
    """Return the picture at half its size."""
    height, width = picture.shape[:2]
    return picture.reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3)).astype(np.uint8)


def save(name: str, picture: np.ndarray) -> None:
    """Write a sheet."""
    OUT.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(OUT / f"{name}.jpg", quality=86)
    print(f"docs/gallery/{name}.jpg {picture.shape[1]} x {picture.shape[0]}", flush=True)


def sheet(name: str, renderer: CyclesRenderer) -> None:
    """Render one sheet: raw, labels, refined."""
    recipe_name, width, height, count, columns, profile = SHEETS[name]
    size = [f"image.width={width}", f"image.height={height}"]
    recipe = Recipe.load(recipe_name, [*size, "image.samples=16"])
    frames = [renderer(sample(recipe, 0, index), recipe.outputs) for index in range(count)]
    save(name, tile([frame.rgb for frame in frames], columns))
    small = 2 if count * width > 12000 else 1
    if small == 2:
        save(f"{name}_small", tile([halved(frame.rgb) for frame in frames], columns))
    save(f"{name}_labels", tile([overlay(frame)[::small, ::small] for frame in frames], columns))
    with open_refiner(profile) as refiner:
        refined = [refiner.refine(frame).refined for frame in frames]
    save(f"{name}_{profile}", tile([halved(picture) if small == 2 else picture for picture in refined], columns))


def lids(renderer: CyclesRenderer) -> None:
    """Render one subject over gaze and blink."""
    plain = [
        "pose.head_yaw_deg=0",
        "pose.head_pitch_deg=0",
        "pose.head_roll_deg=0",
        "camera.azimuth_deg=0",
        "camera.elevation_deg=0",
        "camera.target=left_eye",
        "camera.field_mm=48",
        "light.hdri=interior",
        "expression.mood=neutral",
        "image.width=240",
        "image.height=180",
        "image.samples=24",
    ]
    base = sample(Recipe.load("eye_rgb", plain), 0, 3)
    frames = []
    for blink in LID_BLINK:
        for pitch, yaw in LID_GAZE:
            changes = {"gaze.yaw_deg": float(yaw), "gaze.pitch_deg": float(pitch), "expression.blink": blink}
            frames.append(renderer(base.replace(changes), ()).rgb)
    save("lids", tile(frames, len(LID_GAZE)))


def main() -> None:
    """Render the sheets named on the command line, or all."""
    with CyclesRenderer(device="cpu") as renderer:
        for name in sys.argv[1:] or [*SHEETS, "lids"]:
            lids(renderer) if name == "lids" else sheet(name, renderer)


if __name__ == "__main__":
    main()
