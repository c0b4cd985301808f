"""Do the parts of our faces look like people's? Areas, colours and contrasts in masks: photographs' beside ours.

    python benchmarks/gap/looks.py --real DIR --ours DATASET ... [-o benchmarks/gap/results/looks]

All pictures at 160 px. Of each part: its share of the picture; the median of its CIELAB less that of the skin (L, a,
b); the standard deviation of its L (spread) and the mean gradient of L over 1 px (edges); and of the ring of 2 px round
eyes, lashes and lids, its L less the skin's. DIR has photographs and masks of CelebAMask-HQ's classes (only its
training part is read); each DATASET is one of ours, read in the same classes. Seconds to minutes. Numbers only.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path

import kornia
import numpy as np
import torch
from PIL import Image
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "generators"), str(ROOT / "refiner")]

from facewright import __version__  # noqa: E402
from facewright_refiner.readers import Real, open_real, ours  # noqa: E402
from facewright_refiner.readers.base import TRAIN, Labelled  # noqa: E402

Array = np.ndarray

CONVENTION = "celebamask_hq"
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


def quartiles(pictures: Real) -> tuple[int, dict[str, list[float]]]:
    """Return how many faces there are, and the quartiles of each number over those that have it."""
    rows = [row for item in pictures if item.seg is not None and (row := measured(item, tuple(pictures.classes)))]
    keys = dict.fromkeys(key for row in rows for key in row)
    values = {key: [row[key] for row in rows if key in row] for key in keys}
    return len(rows), {key: np.percentile(row, [25, 50, 75]).round(3).tolist() for key, row in values.items()}


def table(found: dict[str, tuple[int, dict[str, list[float]]]]) -> list[str]:
    """Return the lines of the Markdown table."""
    lines = [f"| | {' | '.join(f'{name} ({count})' for name, (count, _) in found.items())} |"]
    lines.append(f"|---|{'---|' * len(found)}")
    for key in dict.fromkeys(key for _, columns in found.values() for key in columns):
        cells = [columns.get(key) for _, columns in found.values()]
        lines.append(f"| {key} | {' | '.join(f'{q[1]:.1f} [{q[0]:.1f}, {q[2]:.1f}]' if q else '' for q in cells)} |")
    return lines


def main() -> None:
    """Print the table, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--ours", type=Path, nargs="+", required=True)
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    sets = {"photographs": open_real(options.real, f"masks:{CONVENTION}").split(TRAIN)}
    sets |= {folder.name: ours.read(folder, CONVENTION) for folder in options.ours}
    found = {name: quartiles(pictures) for name, pictures in sets.items()}
    lines = table(found)
    print("\n".join(lines))
    if options.out:
        head = ["# Looks of faces, part by part", "", "Median [quartiles] (pictures).", ""]
        tail = ["", f"Facewright {__version__}, Python {platform.python_version()}, kornia {kornia.__version__}"]
        options.out.with_suffix(".md").write_text("\n".join([*head, *lines, *tail]) + "\n")
        options.out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
