"""Are brows, lips, eyes, hair and neck as large and as dark against the skin as in labelled photographs of faces?

    facewright generate face -o OURS --count 48 --set image.width=224 --set image.height=224 --set image.samples=10
    python benchmarks/regions.py --real DIR --ours OURS

DIR holds `images/*.jpg` and `masks/*.png` of CelebAMask-HQ's classes in the official order. Per picture: the share of
each region in the face, %, and the difference of its mean CIELAB colour from the median of the skin. Quartiles over the
pictures are compared. Annotators' outlines are more generous than ours: brows and eyes take in single hairs, lashes and
lid margins. Writes benchmarks/results/face_regions.md: numbers only.
"""

from __future__ import annotations

import argparse
import platform
from collections import defaultdict
from pathlib import Path

import kornia
import numpy as np
import torch
from PIL import Image

import facewright.dataset
from facewright import __version__
from facewright.schema import CELEBAMASK_HQ, MAPPINGS

REGIONS = {
    "nose": ("nose",),
    "brows": ("l_brow", "r_brow"),
    "eyes": ("l_eye", "r_eye"),
    "lips": ("u_lip", "l_lip"),
    "mouth": ("mouth",),
    "hair": ("hair",),
    "neck": ("neck",),
    "cloth": ("cloth",),
}
FACE = ("skin", "nose", "l_brow", "r_brow", "l_eye", "r_eye", "u_lip", "l_lip", "mouth")
LEAST_PIXELS = 12
"""Regions with fewer pixels are left out."""

OURS = np.zeros(256, np.uint8)
for label, value in MAPPINGS["celebamask_hq"].items():
    OURS[label] = value


def measured(rgb: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    """Return areas (% of the face) and colours against the skin of `rgb` (H, W, 3) uint8 with `classes` (H, W)."""
    pixels = torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float() / 255
    lab = kornia.color.rgb_to_lab(pixels)[0].permute(1, 2, 0).numpy()
    skin = classes == CELEBAMASK_HQ.index("skin")
    face = np.isin(classes, [CELEBAMASK_HQ.index(name) for name in FACE]).sum()
    if skin.sum() < 200:
        return {}
    tone = np.median(lab[skin], axis=0)
    row = {f"skin {axis}": float(value) for axis, value in zip("Lab", tone, strict=True)}
    row["skin L spread"] = float(lab[skin][:, 0].std())
    for name, parts in REGIONS.items():
        inside = np.isin(classes, [CELEBAMASK_HQ.index(part) for part in parts])
        if inside.sum() < LEAST_PIXELS:
            continue
        row[f"{name} %"] = float(100 * inside.sum() / face)
        for axis, value in zip("Lab", lab[inside].mean(axis=0) - tone, strict=True):
            row[f"{name} {axis}"] = float(value)
    return row


def quartiles(rows: list[dict[str, float]]) -> dict[str, str]:
    """Return "25 % / median / 75 %" of every number over the pictures that have it."""
    found = defaultdict(list)
    for row in rows:
        for key, value in row.items():
            found[key].append(value)
    return {key: " / ".join(f"{q:.1f}" for q in np.percentile(v, [25, 50, 75])) for key, v in found.items()}


def main() -> None:
    """Measure both sets, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--ours", type=Path, required=True)
    parser.add_argument("--most", type=int, default=200, help="real pictures to read")
    options = parser.parse_args()
    pictures = sorted((options.real / "images").glob("*.jpg"))[: options.most]
    real = [
        measured(
            np.asarray(Image.open(path).convert("RGB")),
            np.asarray(Image.open(options.real / "masks" / f"{path.stem}.png")),
        )
        for path in pictures
    ]
    frames = list(facewright.dataset.open(options.ours, ["rgb", "seg"]))
    ours = [measured(frame.rgb, OURS[frame.seg]) for frame in frames]
    theirs, found = quartiles(real), quartiles(ours)
    lines = [
        "# Regions of faces, ours against photographs",
        "",
        f"{len(real)} photographs and {len(ours)} renders of `{frames[0].sample.scene}`, nothing picked. Quartiles: "
        "share of the face in %, and mean CIELAB against the median of the skin.",
        "",
        "| | photographs | ours |",
        "|---|---|---|",
        *(f"| {key} | {theirs[key]} | {found.get(key, '')} |" for key in theirs),
        "",
        f"Facewright {__version__}, Python {platform.python_version()}, kornia {kornia.__version__}",
        "",
    ]
    print("\n".join(lines))
    (Path(__file__).parent / "results/face_regions.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
