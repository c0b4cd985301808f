"""Render docs/gallery: unselected contact sheets, raw, labelled and refined.

    python tools/make_gallery.py [eyes|infrared|faces|lids|ages|ancestry|hair|expressions|wear ...]

Every sheet shows seed 0 from index 0 on; nothing is picked. Strips change one factor of one subject, or show a style a
subject.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "generators"), str(ROOT / "refiner")]

from facewright import Recipe, sample  # noqa: E402
from facewright.face.haircuts import STYLES  # noqa: E402
from facewright.face.parameters import HATS, MOODS  # noqa: E402
from facewright.refining import open_refiner  # noqa: E402
from facewright.render import Frame  # noqa: E402
from facewright.sample import Sample  # noqa: E402
from facewright.scene import CyclesRenderer  # noqa: E402
from facewright.schema import PALETTE  # noqa: E402

OUT = ROOT / "docs" / "gallery"
SHEETS = {
    "eyes": ("eye_rgb", 640, 480, 48, 8, "webcam"),
    "infrared": ("eye_nir", 400, 640, 24, 8, "nir_eye"),
    "faces": ("face", 256, 256, 64, 8, "phone"),
}
"""Sheet: recipe, width, height, frames, columns, refiner profile."""
SAMPLES = 12
BARE = {
    "subject.wear.jacket.kind": "none",
    "subject.wear.glasses.kind": "none",
    "subject.wear.hat.kind": "none",
    "subject.wear.mask.kind": "none",
    "subject.wear.headphones": False,
    "subject.wear.scarf": False,
    "subject.wear.jewellery.earrings": "none",
    "subject.wear.jewellery.necklace": "none",
}
STUDIO = {
    "pose.head_yaw_deg": -14.0,
    "pose.head_pitch_deg": 0.0,
    "pose.head_roll_deg": 0.0,
    "camera.azimuth_deg": 0.0,
    "camera.elevation_deg": 0.0,
    "camera.distance_mm": 1200.0,
    "camera.field_mm": 250.0,
    "gaze.reference": "camera",
    "gaze.yaw_deg": 0.0,
    "gaze.pitch_deg": 0.0,
    "expression.mood": "neutral",
    "expression.blink": 0.0,
    "expression.squint": 0.0,
    "light.hdri": "interior",
    "light.key_kind": "softbox",
    "light.key_strength": 0.8,
    "light.key_azimuth_deg": 40.0,
    "light.key_elevation_deg": 30.0,
    "backdrop.kind": "paper",
    "image.exposure_ev": 0.0,
    "image.width": 224,
    "image.height": 224,
    "image.samples": SAMPLES,
}
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
    recipe = Recipe.load(recipe_name, [*size, f"image.samples={SAMPLES}"])
    frames = [renderer(sample(recipe, 0, index), recipe.outputs) for index in range(count)]
    save(name, tile([frame.rgb for frame in frames], columns))
    small = 2 if count * width > 9000 else 1
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


def _subject(index: int, *recipe: str) -> Sample:
    """Return subject `index` in the studio, wearing nothing but a shirt."""
    return sample(Recipe.load("face", recipe), 0, index).replace(BARE | STUDIO)


def ages() -> list[Sample]:
    """Return two people from childhood to old age, all that depends on age drawn anew."""
    years = (3, 8, 14, 25, 40, 55, 70, 85)
    return [_subject(index, f"subject.head.age_years={age}") for index in (4, 1) for age in years]


def ancestry() -> list[Sample]:
    """Return eight people of each ancestry and of mixed ones."""
    shares = {"african": (1, 0, 0), "asian": (0, 1, 0), "caucasian": (0, 0, 1), "mixed": (0.4, 0.3, 0.3)}
    names = ("african", "asian", "caucasian")
    return [
        _subject(index, *(f"subject.head.{name}={share}" for name, share in zip(names, triple, strict=True)))
        for triple in shares.values()
        for index in range(8)
    ]


def hair() -> list[Sample]:
    """Return every cut on a subject of its own."""
    return [_subject(n, f"subject.hair.style={style}") for n, style in enumerate(STYLES)]


def expressions() -> list[Sample]:
    """Return every mood at full strength on one subject."""
    base = _subject(4).replace({"camera.field_mm": 200.0, "expression.intensity": 1.0})
    return [base.replace({"expression.mood": mood}) for mood in MOODS]


def worn() -> list[Sample]:
    """Return everything that can be worn, each on a subject of its own."""
    things = [{"subject.wear.hat.kind": kind} for kind in HATS if kind != "none"]
    things += [{"subject.wear.mask.kind": kind} for kind in ("surgical", "ffp2", "cloth")]
    things += [{"subject.wear.headphones": True}, {"subject.wear.scarf": True}]
    things += [{"subject.wear.glasses.kind": kind} for kind in ("clear", "sun")]
    things += [
        {"subject.wear.jewellery.earrings": ring, "subject.wear.jewellery.necklace": chain}
        for ring, chain in (("stud", "chain"), ("hoop", "pendant"), ("drop", "pearls"))
    ]
    things += [{"subject.wear.shirt": shirt} for shirt in ("collar", "scoop", "off_shoulder")]
    things += [
        {
            "subject.wear.jacket.kind": "blazer",
            "subject.wear.shirt": shirt,
            "subject.wear.jacket.tie": shirt == "collar",
        }
        for shirt in ("collar", "crew")
    ]
    return [_subject(n).replace({"camera.field_mm": 300.0} | thing) for n, thing in enumerate(things)]


STRIPS = {"ages": ages, "ancestry": ancestry, "hair": hair, "expressions": expressions, "wear": worn}


def strip(name: str, renderer: CyclesRenderer) -> None:
    """Render one of the STRIPS, eight in a row."""
    pictures = [renderer(one, ()).rgb for one in STRIPS[name]()]
    pictures += [np.zeros_like(pictures[0])] * (-len(pictures) % 8)
    save(name, tile(pictures, 8))


def main() -> None:
    """Render the sheets named on the command line, or all."""
    with CyclesRenderer(device="cpu") as renderer:
        for name in sys.argv[1:] or [*SHEETS, "lids", *STRIPS]:
            if name in STRIPS:
                strip(name, renderer)
            elif name == "lids":
                lids(renderer)
            else:
                sheet(name, renderer)


if __name__ == "__main__":
    main()
