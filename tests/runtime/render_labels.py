"""Render the reference samples in whatever Blender runs this, and save their labels.

Run as `python tests/runtime/render_labels.py FOLDER`, or as `blender --background --python-exit-code 1 --python
tests/runtime/render_labels.py -- FOLDER`.
"""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "generators")]

import numpy as np  # noqa: E402

from facewright import Recipe, sample  # noqa: E402
from facewright.dataset.layout import dump  # noqa: E402
from facewright.scene import CyclesRenderer  # noqa: E402

SIZES = {"eye_rgb": (96, 72), "eye_nir": (60, 96), "face": (96, 96)}
LAYERS = ("seg", "seg_anatomical", "seg_amodal", "depth", "normal", "canonical", "glint")
SEED, COUNT = 11, 2


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    with CyclesRenderer(device="cpu") as render:
        for name, (width, height) in SIZES.items():
            changes = [f"image.width={width}", f"image.height={height}", "image.samples=1"]
            recipe = Recipe.load(name, changes)
            for index in range(COUNT):
                drawn = sample(recipe, SEED, index)
                frame = render(drawn, LAYERS)
                stem = folder / f"{name}_{index}"
                np.savez(stem.with_suffix(".npz"), **{layer: frame.layers[layer] for layer in LAYERS})
                stem.with_suffix(".sample.json").write_bytes(dump(drawn.to_data()))
                stem.with_suffix(".truth.json").write_bytes(dump(frame.truth.to_data()))
    (folder / "about.json").write_bytes(dump(render.about))


main(Path(sys.argv[-1]))
