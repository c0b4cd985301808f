"""Renders with their labels and real pictures, all in one view: the real set's aspect, its median size, a bound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

import facewright.dataset
from facewright.errors import DatasetError
from facewright.rng import stream
from facewright_refiner.apply import to_tensor
from facewright_refiner.estimators import labels_in_crop, labels_of
from facewright_refiner.keypoints import points_of
from facewright_refiner.pictures import Pictures, groups_of, read_files
from facewright_refiner.profile import View
from facewright_refiner.regions import region_ids
from facewright_refiner.sensor import view

LARGEST_EDGE = 96
"""Longer edge in px at which sets are compared: what differs in kind shows there, and every folder has as much."""
MOST = 800
"""Pictures of each kind that are looked at."""


class Real(NamedTuple):
    """Real pictures (N, 3, H, W) in [0, 1], their files and groups of siblings, and the files that cannot be read."""

    pictures: Tensor
    paths: list[Path]
    groups: list[str]
    unreadable: list[str]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the view in px."""
        return self.pictures.shape[-2], self.pictures.shape[-1]


class Renders(NamedTuple):
    """Our pictures (N, 3, H, W) in [0, 1] of a `scene`, key points (N, P, 2) in widths, labels (N, L) as in
    estimators.LABELS, people, indices, sample data, and regions (N, H, W) uint8 as in regions.REGIONS, None where
    their masks were not written.
    """

    scene: str
    pictures: Tensor
    points: np.ndarray
    labels: np.ndarray
    people: list[str]
    indices: list[int]
    samples: list[dict]
    regions: Tensor | None = None


def real_in_view(paths: Sequence[Path], seed: int = 0, most: int = MOST, edge: int = LARGEST_EDGE) -> Real:
    """Return at most `most` of the pictures, chosen by `seed`, cut to their middle and brought to the common view.

    No picture has a longer edge than `edge` px there. Raises DatasetError where none can be read.
    """
    chosen = np.sort(stream(seed, 0, "views.real").permutation(len(paths))[:most])
    found = read_files([paths[n] for n in chosen])
    size = common_size(found, edge)
    return Real(in_view(found.images, size)[0], found.paths, groups_of(found.paths), found.unreadable)


def common_size(pictures: Pictures, edge: int = LARGEST_EDGE) -> tuple[int, int]:
    """Return height and width in px of the median picture, its longer edge cut to `edge`."""
    height, width = np.median([image.shape[:2] for image in pictures.images], axis=0)
    scale = min(1.0, edge / max(height, width))
    if min(height, width) * scale < 16:
        raise DatasetError(
            f"the real pictures are {width:.0f} x {height:.0f} px; 16 px are the least that says anything"
        )
    return round(height * scale), round(width * scale)


def in_view(images: Sequence[np.ndarray], size: tuple[int, int]) -> tuple[Tensor, np.ndarray]:
    """Return pictures (N, 3, *size) of (H, W, 3) uint8 images, and what takes their px there, (N, 3, 3)."""
    views, matrices = zip(*(view(to_tensor([image]), View(), size) for image in images), strict=True)
    return torch.cat(views).clamp(0, 1), np.array(matrices)


def renders_in_view(folder: Path, size: tuple[int, int], most: int = MOST) -> Renders:
    """Return at most `most` frames of a dataset, evenly spaced, refined where they are; raises DatasetError."""
    dataset = facewright.dataset.open(folder)
    if not len(dataset):
        raise DatasetError(f"{folder}: the dataset holds no frame yet; run `facewright generate` first")
    places = np.unique(np.linspace(0, len(dataset) - 1, min(most, len(dataset))).round().astype(int))
    views, points, shares, rows, samples, masks = [], [], [], [], [], []
    for place in places:
        record = dataset.record(dataset.indices[int(place)])
        layer = "refined" if "refined" in record["layers"] else "rgb"
        masked = "seg" in record["layers"]
        frame = dataset.with_layers([layer, "seg"] if masked else [layer]).frame(record["index"])
        picture, (matrix,) = in_view([frame.layers[layer]], size)
        views.append(picture)
        points.append((points_of(frame) * matrix[[0, 1], [0, 1]] + matrix[:2, 2]) / size[1])
        shares.append(size[1] / (matrix[0, 0] * frame.layers[layer].shape[1]))
        rows.append(frame.attributes)
        samples.append(record["sample"])
        if masked:
            masks.append(region_ids(_nearest(frame.layers["seg"], matrix, size), frame.sample.scene))
    return Renders(
        samples[0]["scene"],
        torch.cat(views),
        np.array(points),
        labels_in_crop(labels_of(rows), np.array(shares)),
        [str(row["identity"]) for row in rows],
        [int(row["index"]) for row in rows],
        samples,
        torch.from_numpy(np.array(masks)) if len(masks) == len(places) else None,
    )


def together(a: Renders, b: Renders) -> Renders:
    """Return the renders of two folders as one set; indices of the second go on after those of the first."""
    last = max(a.indices) + 1
    return Renders(
        a.scene,
        torch.cat([a.pictures, b.pictures]),
        np.concatenate([a.points, b.points]),
        np.concatenate([a.labels, b.labels]),
        a.people + b.people,
        a.indices + [last + index for index in b.indices],
        a.samples + b.samples,
        torch.cat([a.regions, b.regions]) if a.regions is not None and b.regions is not None else None,
    )


def _nearest(ids: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return ids (H, W) in the view of `size` to which `matrix` (3, 3) takes px, each the nearest one's."""
    y, x = (
        np.clip(((np.arange(size[n]) + 0.5 - matrix[1 - n, 2]) / matrix[1 - n, 1 - n]).astype(int), 0, ids.shape[n] - 1)
        for n in (0, 1)
    )
    return ids[np.ix_(y, x)]
