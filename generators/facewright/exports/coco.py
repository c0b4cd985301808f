"""COCO: one JSON of class masks, and one of faces with 70 keypoints, beside the pictures."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from facewright.dataset.layout import dump, encode_png
from facewright.dataset.reader import Dataset
from facewright.exports.view import Format, Take, View, package, require_faces
from facewright.schema import DESCRIPTION, FACE, IBUG68, PUPILS, SIDES, Label, side_label

Array = np.ndarray

HEAD = (
    *FACE,
    Label.HAIR,
    Label.BEARD,
    *(side_label(side, part) for side in SIDES for part in ("ear", "brow", "lashes")),
)
"""What a face's own mask consists of."""
FACE_CATEGORY = 1


@contextlib.contextmanager
def writer(folder: Path, dataset: Dataset) -> Iterator[Take]:
    """Yield what writes one face as images/{n}.png; annotations/*.json are written at the end."""
    mask = package("pycocotools.mask", "coco")
    require_faces(dataset, "coco")
    (folder / "images").mkdir()
    (folder / "annotations").mkdir()
    images: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    faces: list[dict[str, Any]] = []

    def take(view: View) -> None:
        number = len(images) + 1
        height, width = view.picture.shape[:2]
        name = f"{number:012d}.png"
        (folder / "images" / name).write_bytes(encode_png(view.picture))
        images.append(
            {"id": number, "file_name": name, "width": width, "height": height}
            | {"facewright_index": view.index, "facewright_subject": view.subject}
        )
        seg = view.frame.seg
        for label in np.unique(seg[(seg != Label.BACKGROUND) & (seg != Label.IGNORE)]):
            area = region(mask, seg == label)
            parts.append({"id": len(parts) + 1, "image_id": number, "category_id": int(label)} | area)
        faces.append({"id": number, "image_id": number, "category_id": FACE_CATEGORY} | face(view, mask))

    yield take
    labels = [label for label in Label if label not in (Label.BACKGROUND, Label.IGNORE)]
    classes = [
        {"id": int(label), "name": label.name.lower(), "supercategory": "person", "description": DESCRIPTION[label]}
        for label in labels
    ]
    keypoints = {
        "id": FACE_CATEGORY,
        "name": "face",
        "supercategory": "person",
        "keypoints": names(),
        "skeleton": bones(),
    }
    about = {"description": f"Facewright {dataset.card.name}, seed {dataset.card.seed}", "version": dataset.card.schema}
    for name, found, categories in (("instances", parts, classes), ("person_keypoints", faces, [keypoints])):
        content = {
            "info": about,
            "licenses": [],
            "images": images,
            "categories": categories,
            "annotations": found,
        }
        (folder / "annotations" / f"{name}.json").write_bytes(dump(content))


FORMAT = Format("class masks as RLE, faces with 70 keypoints (scene face)", ("seg",), False, writer)


def region(mask: Any, inside: Array) -> dict[str, Any]:
    """Return segmentation, area, bbox and iscrowd of the pixels `inside` (H, W) bool; RLE goes with iscrowd 0 too."""
    rle = mask.encode(np.asfortranarray(inside.astype(np.uint8)))
    return {
        "segmentation": {"size": [int(size) for size in rle["size"]], "counts": rle["counts"].decode("ascii")},
        "area": float(mask.area(rle)),
        "bbox": [float(value) for value in mask.toBbox(rle)],
        "iscrowd": 0,
    }


def face(view: View, mask: Any) -> dict[str, Any]:
    """Return the head's mask and the keypoints: v 2 visible, 1 hidden, 0 (with x = y = 0) outside the picture."""
    points = view.truth.points["face70"]
    inside = ((points.seen_2d >= 0) & (points.seen_2d < (view.camera.width, view.camera.height))).all(axis=1)
    v = np.where(points.visible, 2, 1) * inside
    xy = np.where(inside[:, None], np.round(points.seen_2d - 0.5, 3), 0)
    keypoints = [number for (x, y), flag in zip(xy, v, strict=True) for number in (float(x), float(y), int(flag))]
    found = region(mask, np.isin(view.frame.seg, HEAD))
    x0, y0, x1, y1 = (round(float(value), 3) for value in view.truth.face_box)
    return found | {
        "bbox": [x0, y0, round(x1 - x0, 3), round(y1 - y0, 3)],
        "keypoints": keypoints,
        "num_keypoints": int((v > 0).sum()),
    }


def names() -> list[str]:
    """Return the 70 keypoints' names, e.g. "jaw_0", "left_eye_3", "right_pupil"."""
    found = [f"{group}_{k}" for group, members in IBUG68.items() for k in range(len(members))]
    return found + [f"{side}_pupil" for side in PUPILS["face70"]]


def bones() -> list[list[int]]:
    """Return pairs of keypoints, from 1, that a line joins; eyes and lips are closed."""
    found = []
    for group, members in IBUG68.items():
        ring = [k + 1 for k in members]
        found += [list(pair) for pair in itertools.pairwise(ring)]
        if group.endswith(("eye", "lip")):
            found.append([ring[-1], ring[0]])
    return found
