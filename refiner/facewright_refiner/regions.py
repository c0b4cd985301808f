"""A small network that finds regions (skin, hair, teeth, glasses, iris ...), trained on the exact masks of renders.

How much of a picture is hair, how high the mouth is open and what colour skin is are then numbers of any picture, and
estimators read from them what key points do not hold. Regions are without sides, so that a mirrored picture has the
same ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from facewright.schema import Label
from facewright_refiner.tasks.base import Prepared
from facewright_refiner.tasks.segmentation import IGNORE, SegmentationTask
from facewright_refiner.tasks.training import Budget, train

STEPS = 250
"""Steps of a training: as the key points' network, it has some hundred renders."""
EDGE = 72
"""Longer edge in px of what the network sees: teeth are 2 px high in a picture of a head and shoulders."""
GRID = ((-3.0, -2.0, 0.0, 2.0, 3.0), (-4.2, -3.2, -2.2, 0.0, 2.0, 4.0))
"""Places across and down about the face, in its points' standard deviation, where hair is looked for."""
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


def train_regions(pictures: Tensor, regions: Tensor, scene: str, seed: int, steps: int = 0) -> nn.Module:
    """Return a network trained on (N, 3, H, W) in [0, 1] with `regions` (N, H, W) uint8, for `steps` (0: STEPS)."""
    height, width = _size(pictures)
    task = SegmentationTask(height, width, classes=tuple(REGIONS[scene]), title="regions")
    ids = F.interpolate(regions[:, None].float(), size=(height, width), mode="nearest-exact")[:, 0].to(torch.uint8)
    names = tuple(str(n) for n in range(len(pictures)))
    data = Prepared((255 * small(pictures)).round().to(torch.uint8), ids, names, names)
    return train(task, data, Budget(steps=steps or STEPS), seed)


@torch.inference_mode()
def find_regions(network: nn.Module, pictures: Tensor) -> Tensor:
    """Return probabilities (N, R, h, w) of regions in (N, 3, H, W), the mean of those of the picture and its mirror."""
    parts = []
    for part in small(pictures).split(64):
        parts.append((network(part).softmax(1) + network(part.flip(-1)).softmax(1).flip(-1)) / 2)
    return torch.cat(parts)


def small(pictures: Tensor) -> Tensor:
    """Return (N, 3, H, W) at the network's size."""
    return F.interpolate(pictures, size=_size(pictures), mode="bilinear", antialias=True, align_corners=False)


def _size(pictures: Tensor) -> tuple[int, int]:
    """Return height and width in px: the longer edge EDGE, both multiples of 8."""
    height, width = pictures.shape[-2:]
    edge = max(height, width)
    return max(16, 8 * round(EDGE * height / edge / 8)), max(16, 8 * round(EDGE * width / edge / 8))


def area_features(found: Tensor) -> np.ndarray:
    """Return (N, 5 R): roots of the regions' shares, their middles (x, y) and spreads (x, y), in widths.

    `found` (N, R, h, w) are probabilities. The middle of what is not there is that of the picture.
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
    return torch.cat([share.sqrt(), *middle, *spread], 1).double().numpy()


def tone_features(found: Tensor, pictures: Tensor) -> np.ndarray:
    """Return (N, 3 R): mean colours of the regions in stops; those of the picture for what is not there."""
    pictures = small(pictures)
    whole = pictures.mean((2, 3))[:, None]
    sums = torch.einsum("nrhw,nchw->nrc", found, pictures) / (found.shape[-2] * found.shape[-1])
    mean = (sums + FAINT * whole) / (found.mean((2, 3)) + FAINT)[..., None]
    return torch.log2(mean.clamp(min=DARKEST)).flatten(1).double().numpy()


def hair_features(found: Tensor, points: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return (N, F): how likely hair, or headwear, is at the places of GRID about the key points (N, P, 2), in widths.

    Of regions without hair there are none.
    """
    kinds = [names.index(name) for name in ("hair", "hat") if name in names]
    if not kinds:
        return np.zeros((len(points), 0))
    middle = points.mean(1, keepdims=True)
    size = np.sqrt(((points - middle) ** 2).sum(2).mean(1) / 2)[:, None, None] + 1e-4
    grid = np.stack(np.meshgrid(*GRID), -1).reshape(1, -1, 2)
    height, width = found.shape[-2:]
    places = torch.from_numpy(2 * (middle + size * grid) * (1, width / height) - 1).float()
    there = F.grid_sample(found[:, kinds], places[:, :, None], padding_mode="border", align_corners=False)
    return there.flatten(1).double().numpy()
