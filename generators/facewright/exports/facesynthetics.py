"""FaceSynthetics: a picture, ids 0-18 and 70 landmarks for each face, in one folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from facewright.dataset.layout import encode_png
from facewright.dataset.reader import Dataset
from facewright.exports.view import Format, Take, View, public_ids, require_faces


@contextlib.contextmanager
def writer(folder: Path, dataset: Dataset) -> Iterator[Take]:
    """Yield what writes one face as {n}.png, {n}_seg.png and {n}_ldmks.txt, n = 000000, 000001 ..."""
    require_faces(dataset, "facesynthetics")
    number = 0

    def take(view: View) -> None:
        nonlocal number
        points = view.truth.points["face70"].seen_2d - 0.5
        (folder / f"{number:06d}.png").write_bytes(encode_png(view.picture))
        ids = public_ids(view.frame.seg, "facesynthetics")
        (folder / f"{number:06d}_seg.png").write_bytes(encode_png(ids))
        (folder / f"{number:06d}_ldmks.txt").write_text("".join(f"{x:.4f} {y:.4f}\n" for x, y in points))
        number += 1

    yield take


FORMAT = Format("pictures, ids 0-18 and 70 landmarks (scene face)", ("seg",), False, writer)
