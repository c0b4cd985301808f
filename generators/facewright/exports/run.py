"""Exporting a dataset: frame by frame in index order, into a folder that appears when it is complete."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from pathlib import Path

import facewright.dataset
from facewright.dataset.layout import dump, write_atomic, writing
from facewright.dataset.reader import Dataset
from facewright.errors import DatasetError, OutputError, UserError
from facewright.exports import format_named
from facewright.exports.view import Skip, Take, View, sides
from facewright.progress import Emit


def export(folder: Path, format_name: str, output: Path, emit: Emit, *, side: str = "", raw: bool = False) -> None:
    """Write the dataset in `folder` to the new folder `output` in the layout `format_name`.

    `side` chooses the eyes (SIDES_WANTED; by default those that the camera aims at), `raw` the rendered picture also
    where there is a refined one. What does not suit the format is left out and counted by reason. Raises UserError.
    """
    form = format_named(format_name)
    if side and not form.per_eye:
        raise UserError(f"{format_name} holds whole faces, not eyes; leave out --side")
    dataset = facewright.dataset.open(folder)
    _require_empty(output)
    begun = time.monotonic()
    place = output.resolve()
    part = place.with_name(f".{place.name}.part")
    with writing(output):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            with form.writer(part, dataset) as take:
                emit({"event": "start", "total": len(dataset), "done": 0, "folder": str(output)})
                wanted = (side or "target") if form.per_eye else ""
                pictures, left_out = _feed(dataset, form.layers, wanted, raw, take, emit)
            reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
            if not pictures:
                raise DatasetError(
                    f"{folder}: nothing in it suits {format_name} ({reasons or 'it has no frames yet'}); "
                    "docs/exports.md says what each format needs"
                )
            about = {
                "format": format_name,
                "schema": dataset.card.schema,
                "recipe": dataset.card.name,
                "digest": dataset.card.digest,
                "seed": dataset.card.seed,
                "pictures": pictures,
                "left_out": left_out,
            }
            write_atomic(part / "facewright.json", dump(about, indent=2))
            if place.exists():
                place.rmdir()
            part.rename(place)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    if len(pictures) > 1:
        message = f"{pictures['rgb']} frames have no refined picture; their raw one was taken"
        emit({"event": "warning", "message": message})
    if left_out:
        kind = "eyes" if form.per_eye else "faces"
        emit({"event": "warning", "message": f"{sum(left_out.values())} {kind} left out: {reasons}"})
    made = sum(pictures.values())
    emit({"event": "done", "made": made, "failed": 0, "seconds": round(time.monotonic() - begun, 1)})


def _feed(
    dataset: Dataset, layers: tuple[str, ...], side: str, raw: bool, take: Take, emit: Emit
) -> tuple[dict[str, int], dict[str, int]]:
    """Give every view to `take`; return how many frames were used, by layer, and how many views left out, by reason."""
    pictures, left_out = Counter[str](), Counter[str]()
    for index in dataset.indices:
        known = dataset.record(index)["layers"]
        layer = "refined" if "refined" in known and not raw else "rgb"
        frame = dataset.with_layers([layer, *layers]).frame(index)
        used = False
        for which in sides(frame.truth, side) if side else ("",):
            try:
                take(View(frame, frame.layers[layer], known[layer]["file"], which))
                used = True
            except Skip as reason:
                left_out[str(reason)] += 1
        pictures[layer] += used
        emit({"event": "frame", "index": index})
    return {name: count for name, count in sorted(pictures.items()) if count}, dict(sorted(left_out.items()))


def _require_empty(output: Path) -> None:
    if output.is_file():
        raise OutputError(f"{output}: is a file; give a folder")
    if output.is_dir() and any(output.iterdir()):
        raise OutputError(f"{output}: is not empty; give a new folder")
