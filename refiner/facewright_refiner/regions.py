"""Regions of a picture (skin, hair, teeth, glasses, iris ...), which a network finds (keypoints.py), as numbers.

How much of a picture is hair, how high the mouth is open and what colour skin is are then numbers of any picture, and
estimators read from them what key points do not hold. Regions are without sides, so that a mirrored picture has the
same ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from facewright.schema import Label
from facewright_refiner.tasks.segmentation import IGNORE

GRID = ((-3.0, -2.0, 0.0, 2.0, 3.0), (-4.2, -3.2, -2.2, 0.0, 2.0, 4.0))
"""Places across and down about the face, in its points' standard deviation, where hair is looked for."""
CELLS = 8
"""Parts across and down in which regions are measured one by one."""
FAINT = 2e-4
"""Share of a picture below which a region has neither place nor colour of its own."""
DARKEST = 0.004

Classes = dict[str, tuple[Label, ...]]

_EYES = tuple(Label[f"{side}_{part}"] for side in ("RIGHT", "LEFT") for part in ("CARUNCLE", "LID_MARGIN", "LASHES"))
_SCLERAS = (Label.RIGHT_SCLERA, Label.LEFT_SCLERA)
_IRISES, _PUPILS = (Label.RIGHT_IRIS, Label.LEFT_IRIS), (Label.RIGHT_PUPIL, Label.LEFT_PUPIL)
_BROWS = (Label.RIGHT_BROW, Label.LEFT_BROW)
_GLASSES = (Label.GLASSES_FRAME, Label.GLASSES_LENS)
_SKIN = (Label.SKIN, Label.NOSE, Label.NOSTRIL)

REGIONS: dict[str, Classes] = {
    "face": {
        "background": (Label.BACKGROUND, Label.HAND),
        "skin": _SKIN,
        "eye": (*_EYES, *_SCLERAS, *_IRISES, *_PUPILS),
        "brow": _BROWS,
        "lip": (Label.UPPER_LIP, Label.LOWER_LIP),
        "mouth": (Label.MOUTH, Label.TEETH, Label.GUMS, Label.TONGUE),
        "ear": (Label.RIGHT_EAR, Label.LEFT_EAR),
        "hair": (Label.HAIR,),
        "beard": (Label.BEARD,),
        "neck": (Label.NECK,),
        "cloth": (Label.CLOTH, Label.NECKLACE, Label.EARRING),
        "glasses": _GLASSES,
        "hat": (Label.HAT, Label.HEADPHONES),
        "mask": (Label.FACE_MASK,),
    },
    "eye": {
        "skin": (*_SKIN, Label.BACKGROUND, Label.HAND),
        "sclera": (*_SCLERAS, Label.RIGHT_CARUNCLE, Label.LEFT_CARUNCLE),
        "iris": _IRISES,
        "pupil": _PUPILS,
        "margin": (Label.RIGHT_LID_MARGIN, Label.LEFT_LID_MARGIN, Label.RIGHT_LASHES, Label.LEFT_LASHES),
        "brow": (*_BROWS, Label.HAIR),
        "glasses": _GLASSES,
    },
}
"""Regions of each scene, with the classes of labels in them; other classes are ignored."""


def region_ids(ids: np.ndarray, scene: str) -> np.ndarray:
    """Return regions (H, W) uint8, numbered as in REGIONS, of label ids (H, W) uint8; IGNORE for all others."""
    table = np.full(256, IGNORE, np.uint8)
    for number, labels in enumerate(REGIONS[scene].values()):
        table[[int(label) for label in labels]] = number
    return table[ids]


def area_features(found: Tensor) -> np.ndarray:
    """Return (N, 6 R): roots of the regions' shares, middles (x, y) and spreads (x, y) in widths, and shares in stops.

    Whether there is any of a region is told best by stops, how much there is by roots. `found` (N, R, h, w) are
    probabilities. The middle of what is not there is that of the picture.
    """
    height, width = found.shape[-2:]
    x = (torch.arange(width) + 0.5) / width
    y = (torch.arange(height) + 0.5) / width
    share = found.mean((2, 3))
    weight = share + FAINT

    def mean(values: Tensor, instead: Tensor) -> Tensor:
        return ((found * values).mean((2, 3)) + FAINT * instead) / weight

    middle = mean(x, x.mean()), mean(y[:, None], y.mean())
    spread = [
        mean((axis - at[..., None, None]) ** 2, axis.var()).clamp(min=1e-6).sqrt()
        for axis, at in zip((x, y[:, None]), middle, strict=True)
    ]
    return torch.cat([share.sqrt(), *middle, *spread, weight.log2()], 1).double().numpy()


def map_features(found: Tensor) -> np.ndarray:
    """Return (N, F): roots of the regions' shares of CELLS x CELLS parts of the picture."""
    return F.adaptive_avg_pool2d(found, CELLS).sqrt().flatten(1).double().numpy()


def tone_features(found: Tensor, pictures: Tensor) -> np.ndarray:
    """Return (N, 3 R): mean colours of the regions in stops; those of the picture for what is not there."""
    size = found.shape[-2:]
    pictures = F.interpolate(pictures, size=size, mode="bilinear", antialias=True, align_corners=False)
    whole = pictures.mean((2, 3))[:, None]
    sums = torch.einsum("nrhw,nchw->nrc", found, pictures) / (found.shape[-2] * found.shape[-1])
    mean = (sums + FAINT * whole) / (found.mean((2, 3)) + FAINT)[..., None]
    return torch.log2(mean.clamp(min=DARKEST)).flatten(1).double().numpy()


def hair_features(found: Tensor, points: np.ndarray, names: Sequence[str], aspect: float) -> np.ndarray:
    """Return (N, F): how likely hair, or headwear, is at the places of GRID about the key points (N, P, 2), in widths.

    `aspect` is the pictures' width over their height. Of regions without hair there are none.
    """
    kinds = [names.index(name) for name in ("hair", "hat") if name in names]
    if not kinds:
        return np.zeros((len(points), 0))
    middle = points.mean(1, keepdims=True)
    size = np.sqrt(((points - middle) ** 2).sum(2).mean(1) / 2)[:, None, None] + 1e-4
    grid = np.stack(np.meshgrid(*GRID), -1).reshape(1, -1, 2)
    places = torch.from_numpy(2 * (middle + size * grid) * (1, aspect) - 1).float()
    there = F.grid_sample(found[:, kinds], places[:, :, None], padding_mode="border", align_corners=False)
    return there.flatten(1).double().numpy()
