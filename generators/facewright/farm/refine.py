"""Refining a dataset that exists: the picture gets a camera's flaws, every other layer stays byte for byte."""

from __future__ import annotations

import time
import traceback
from pathlib import Path
from typing import Any

import facewright.dataset
from facewright.check import check_frame
from facewright.dataset.layout import encode_layer, layer_file
from facewright.dataset.reader import Dataset
from facewright.dataset.writer import Writer, record_of, reopen
from facewright.errors import CheckError, UserError
from facewright.farm.worker import judge, refined_by
from facewright.progress import Emit
from facewright.refining import OpenRefiner, open_refiner


def refine(folder: Path, spec: str, python: str | None, emit: Emit) -> int:
    """Give every frame of the dataset in `folder` the layer `refined` by refiner `spec`; return how many failed.

    Frames that this very refiner (spec, profile, limits) has refined already are kept, so the command may be repeated.
    A failure leaves the frame as it was. Raises UserError.
    """
    dataset = facewright.dataset.open(folder)
    begun = time.monotonic()
    made = failed = 0
    with reopen(folder) as writer, open_refiner(spec, python) as refiner:
        writer.save_card(writer.card.refined_by(spec))
        mine = {"spec": spec, **refiner.about}
        todo = [index for index in dataset.indices if not _is_refined_by(dataset, index, mine)]
        _has_layers(dataset, todo, refiner)
        emit({"event": "start", "total": len(dataset), "done": len(dataset) - len(todo), "folder": str(folder)})
        for index in todo:
            start = time.perf_counter()
            try:
                _refine_one(dataset, writer, index, refiner, spec)
            except UserError:
                raise
            except Exception as error:  # whatever one frame does, the run goes on
                failed += 1
                text = str(error) if isinstance(error, CheckError) else traceback.format_exc().strip().splitlines()[-1]
                emit({"event": "quarantine", "index": index, "error": text})
                continue
            made += 1
            emit({"event": "frame", "index": index, "seconds": round(time.perf_counter() - start, 3)})
        if writer.card.shard_records:
            writer.pack()
    emit({"event": "done", "made": made, "failed": failed, "seconds": round(time.monotonic() - begun, 1)})
    return failed


def _has_layers(dataset: Dataset, todo: list[int], refiner: OpenRefiner) -> None:
    """Raise UserError where the dataset lacks what `refiner` cannot do without; light it can take from the picture."""
    held = dataset.record(todo[0])["layers"] if todo else refiner.needs
    if lacking := [name for name in refiner.needs if name not in (*held, "rgb", "linear")]:
        raise UserError(
            f"{dataset.folder}: the refiner reads the layers {', '.join(lacking)}, which this dataset has not; add "
            "them to the recipe's outputs and render anew, or take `generate --refine`, which renders them for it"
        )


def _refine_one(dataset: Dataset, writer: Writer, index: int, refiner: OpenRefiner, spec: str) -> None:
    old = dataset.record(index)
    frame = dataset.with_layers([name for name in old["layers"] if name != "refined"]).frame(index)
    frame.checks = check_frame(frame)
    frame = refiner.refine(frame)
    judge(frame)
    frame.about = frame.about | refined_by(spec, frame)
    name = layer_file(index, "refined")
    new = {name: encode_layer("refined", frame.layers["refined"])}
    writer.put(index, new, record_of(frame) | {"layers": old["layers"]})


def _is_refined_by(dataset: Dataset, index: int, refiner: dict[str, Any]) -> bool:
    account = dataset.record(index)["made"]["about"].get("refiner", {"spec": "none", "name": "none"})
    return all(account.get(key) == value for key, value in refiner.items())
