"""Do the parts of our faces look like people's? Areas, colours and contrasts in masks: photographs' beside ours.

    python benchmarks/gap/looks.py --real DIR --ours DATASET ... [-o benchmarks/gap/results/looks]

All pictures at 160 px. Of each part: its share of the picture; the median of its CIELAB less that of the skin (L, a,
b); the standard deviation of its L (spread) and the mean gradient of L over 1 px (edges); and of the ring of 2 px round
eyes, lashes and lids, its L less the skin's. DIR has photographs and masks of CelebAMask-HQ's classes (only its
training part is read); each DATASET is one of ours, read in the same classes. Seconds to minutes. Numbers only.
"""

from __future__ import annotations

import kornia
import numpy as np
import torch
from PIL import Image
from quartiles import arguments, quartiles, record
from scipy import ndimage

from facewright_refiner.readers.base import Labelled

Array = np.ndarray

EDGE = 160
PARTS = {
    "nose": ("nose",),
    "brows": ("l_brow", "r_brow"),
    "eyes": ("l_eye", "r_eye"),
    "upper lip": ("u_lip",),
    "lower lip": ("l_lip",),
    "mouth's inside": ("mouth",),
    "ears": ("l_ear", "r_ear"),
    "hair": ("hair",),
    "neck": ("neck",),
    "cloth": ("cloth",),
    "background": ("background",),
}
LEAST, LEAST_SKIN = 12, 500
"""Pixels from which on a part, and a face, is measured."""
RING = 2


def measured(item: Labelled, classes: tuple[str, ...]) -> dict[str, float]:
    """Return the numbers of one picture, {} where it shows too little skin."""
    picture = np.asarray(Image.fromarray(item.picture).resize((EDGE, EDGE), Image.Resampling.BOX))
    seg = np.asarray(Image.fromarray(item.seg).resize((EDGE, EDGE), Image.Resampling.NEAREST))
    lab = kornia.color.rgb_to_lab(torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255)[0]
    lab = lab.permute(1, 2, 0).numpy()
    edges = ndimage.gaussian_gradient_magnitude(lab[..., 0], 1.0)
    skin = seg == classes.index("skin")
    if skin.sum() < LEAST_SKIN:
        return {}
    tone = np.median(lab[skin], axis=0)
    found = {f"skin, {axis}": float(value) for axis, value in zip("Lab", tone, strict=True)}
    found["skin, spread"] = float(lab[skin][:, 0].std())
    found["skin, edges"] = float(edges[ndimage.binary_erosion(skin, iterations=3)].mean())
    for name, members in PARTS.items():
        part = np.isin(seg, [classes.index(member) for member in members])
        found[f"{name}, % of the picture"] = 100 * float(part.mean())
        if part.sum() < LEAST:
            continue
        for axis, value in zip("Lab", np.median(lab[part], axis=0) - tone, strict=True):
            found[f"{name}, {axis}"] = float(value)
        found[f"{name}, spread"], found[f"{name}, edges"] = float(lab[part][:, 0].std()), float(edges[part].mean())
        if name == "eyes":
            ring = ndimage.binary_dilation(part, iterations=RING) & ~part
            found["round the eyes, L"] = float(np.median(lab[ring][:, 0]) - tone[0])
    return found


def main() -> None:
    """Print the table, and keep it."""
    sets, out = arguments(__doc__)
    rows = {name: [measured(item, tuple(real.classes)) for item in real] for name, real in sets.items()}
    found = {name: quartiles([row for row in column if row]) for name, column in rows.items()}
    record(found, 1, "Looks of faces, part by part", out)


if __name__ == "__main__":
    main()
