"""What only a renderer knows of its picture, for a refiner to see: classes, depth and normals. Numpy only.

A guide is (CHANNELS, H, W) float32: the share of each of GROUPS, then depth (0 = nearest, 1 = farthest or nothing),
then the normal in camera axes. Shares stay shares under resampling, so a guide may be scaled like a picture.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from facewright.errors import FrameError
from facewright.schema import Label

Array = np.ndarray

LAYERS = ("seg", "depth", "normal")
"""Layers of a frame that a guide is made of."""
GROUPS: dict[str, tuple[str, ...]] = {
    "skin": ("SKIN", "NOSE", "NECK", "EAR", "NOSTRIL"),
    "hair": ("BROW", "LASHES", "HAIR", "BEARD"),
    "sclera": ("SCLERA", "CARUNCLE"),
    "iris": ("IRIS",),
    "pupil": ("PUPIL",),
    "lid margin": ("LID_MARGIN",),
    "mouth": ("UPPER_LIP", "LOWER_LIP", "MOUTH", "TEETH", "GUMS", "TONGUE"),
    "other": (),
}
"""Classes that look alike, by the names of their labels without side; `other` is all the rest."""
SKIN, OTHER = (list(GROUPS).index(name) for name in ("skin", "other"))
EYE = [list(GROUPS).index(name) for name in ("sclera", "iris", "pupil", "lid margin")]
"""The groups whose outlines are labels of an eye."""
IRIS = [list(GROUPS).index(name) for name in ("iris", "pupil")]
CHANNELS = len(GROUPS) + 4


def guide_of(layers: Mapping[str, Array]) -> Array:
    """Return the guide (CHANNELS, H, W) float32 of a frame's layers. Raises FrameError where one is missing."""
    missing = [name for name in LAYERS if name not in layers]
    if missing:
        raise FrameError(
            f"this refiner looks at the layers {', '.join(LAYERS)}, and the frame has no {missing[0]}; render the "
            "recipe's outputs with it"
        )
    group = _GROUP_OF[layers["seg"]]
    shares = np.eye(len(GROUPS), dtype=np.float32)[group].transpose(2, 0, 1)
    normal = np.asarray(layers["normal"], np.float32).transpose(2, 0, 1)
    return np.concatenate([shares, depth_levels(layers["depth"])[None], normal])


def depth_levels(depth: Array) -> Array:
    """Return a depth map (H, W) of any unit, 0 = none, as float32: 0 is the nearest, 1 the farthest or none."""
    there = np.isfinite(depth) & (depth > 0)
    if not there.any():
        return np.ones(depth.shape, np.float32)
    near, far = depth[there].min(), depth[there].max()
    return np.where(there, (depth - near) / max(far - near, 1e-6), 1).astype(np.float32)


def iris_of(guide: Array) -> tuple[Array, float] | None:
    """Return centre (2,) and radius in px of what a guide shows of iris and pupil together; None where that is little.

    Of several eyes it is the middle. The lids cut the iris: this is a place to look at, not a label.
    """
    share = guide[IRIS].sum(0)
    area = float(share.sum())
    if area < LEAST_IRIS:
        return None
    y, x = np.mgrid[: share.shape[0], : share.shape[1]] + 0.5
    return np.array([(x * share).sum(), (y * share).sum()]) / area, float(np.sqrt(area / np.pi))


LEAST_IRIS = 12.0
"""Fewer px of iris than this are a shut eye."""


def _table() -> Array:
    """Return the number of the group of every label id, (256,) uint8."""
    table = np.full(256, OTHER, np.uint8)
    for number, names in enumerate(GROUPS.values()):
        for label in Label:
            if label.name.removeprefix("RIGHT_").removeprefix("LEFT_") in names:
                table[label] = number
    return table


_GROUP_OF = _table()
