"""CelebAMask-HQ: square pictures, and one binary mask for each part that is to be seen."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facewright.dataset.layout import encode_png
from facewright.dataset.reader import Dataset
from facewright.exports.view import Format, Skip, Take, View, jpeg, public_ids, require_faces
from facewright.schema import CELEBAMASK_HQ

MASK_PX = 512
"""Edge of a mask, as in CelebAMask-HQ, whatever the picture's."""
FOLDER_FRAMES = 2000
"""Frames whose masks share a folder."""


@contextlib.contextmanager
def writer(folder: Path, dataset: Dataset) -> Iterator[Take]:
    """Yield what writes one face as CelebA-HQ-img/{n}.jpg and its masks, n = 0, 1 ..."""
    require_faces(dataset, "celebamask_hq")
    pictures, masks = folder / "CelebA-HQ-img", folder / "CelebAMask-HQ-mask-anno"
    pictures.mkdir()
    number = 0

    def take(view: View) -> None:
        nonlocal number
        height, width = view.picture.shape[:2]
        if height != width:
            raise Skip("picture not square")
        (pictures / f"{number}.jpg").write_bytes(jpeg(view.picture, "celebamask_hq"))
        place = masks / str(number // FOLDER_FRAMES)
        place.mkdir(parents=True, exist_ok=True)
        near = (np.arange(MASK_PX) * height + height // 2) // MASK_PX
        ids = public_ids(view.frame.seg, "celebamask_hq")[near.clip(max=height - 1)[:, None], near.clip(max=width - 1)]
        for value, part in enumerate(CELEBAMASK_HQ):
            if part != "background" and (ids == value).any():
                mask = np.where(ids == value, 255, 0).astype(np.uint8)
                (place / f"{number:05d}_{part}.png").write_bytes(encode_png(np.repeat(mask[..., None], 3, axis=2)))
        number += 1

    yield take


FORMAT = Format("pictures and a binary mask for each of 18 parts (scene face, square)", ("seg",), False, writer)
