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
from facewright.farm.worker import BATCH, Finisher, open_finisher
from facewright.progress import Emit
from facewright.render import Frame


def refine(folder: Path, spec: str, python: str | None, emit: Emit) -> int:
    """Give every frame of the dataset in `folder` the layer `refined` by refiner `spec`; return how many failed.

    Frames that this very refiner (spec, profile, limits) has refined already are kept, so the command may be repeated.
    A failure leaves the frame as it was. Raises UserError.
    """
    dataset = facewright.dataset.open(folder)
    begun = time.monotonic()
    made = failed = 0
    with reopen(folder) as writer, open_finisher(spec, python) as finish:
        writer.save_card(writer.card.refined_by(spec))
        mine = finish.about.get("refiner", {"spec": spec, "name": "none"})
        todo = [index for index in dataset.indices if not _is_refined_by(dataset, index, mine)]
        _has_layers(dataset, todo, finish.needs)
        emit({"event": "start", "total": len(dataset), "done": len(dataset) - len(todo), "folder": str(folder)})
        for start in range(0, len(todo), BATCH):
            mark = time.perf_counter()
            indices = todo[start : start + BATCH]
            for index, done in zip(indices, _refined(dataset, indices, finish), strict=True):
                if isinstance(done, Frame):
                    done = _written(dataset, writer, done)
                if done is not None:
                    failed += 1
                    emit({"event": "quarantine", "index": index, "error": _reason(done)})
                    continue
                made += 1
                seconds = (time.perf_counter() - mark) / len(indices)
                emit({"event": "frame", "index": index, "seconds": round(seconds, 3)})
        if writer.card.shard_records:
            writer.pack()
    emit({"event": "done", "made": made, "failed": failed, "seconds": round(time.monotonic() - begun, 1)})
    return failed


def _has_layers(dataset: Dataset, todo: list[int], needs: tuple[str, ...]) -> None:
    """Raise UserError where the dataset lacks what a refiner `needs`; light it can take from the picture."""
    held = dataset.record(todo[0])["layers"] if todo else needs
    if lacking := [name for name in needs if name not in (*held, "linear")]:
        raise UserError(
            f"{dataset.folder}: the refiner reads the layers {', '.join(lacking)}, which this dataset has not; add "
            "them to the recipe's outputs and render anew, or take `generate --refine`, which renders them for it"
        )


def _refined(dataset: Dataset, indices: list[int], finish: Finisher) -> list[Frame | Exception]:
    """Return the refined frames, or why one cannot be; they hold what their records list, and `refined`."""
    found: dict[int, Frame | Exception] = {}
    frames = list[Frame]()
    for index in indices:
        try:
            layers = dataset.record(index)["layers"]
            frame = dataset.with_layers([name for name in layers if name != "refined"]).frame(index)
            frame.checks = check_frame(frame)
            frames.append(frame)
        except UserError:
            raise
        except Exception as error:  # whatever one frame does, the run goes on
            found[index] = error
    outputs = tuple({name: None for frame in frames for name in frame.layers})
    found |= {frame.sample.index: done for frame, done in zip(frames, finish(frames, outputs), strict=True)}
    return [found[index] for index in indices]


def _written(dataset: Dataset, writer: Writer, frame: Frame) -> Exception | None:
    """Add the frame's layer `refined` to its record; return why that cannot be."""
    index = frame.sample.index
    try:
        new = {layer_file(index, "refined"): encode_layer("refined", frame.layers["refined"])}
        writer.put(index, new, record_of(frame) | {"layers": dataset.record(index)["layers"]})
    except UserError:
        raise
    except Exception as error:  # a failure leaves the frame as it was
        return error
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, CheckError):
        return str(error)
    return "".join(traceback.format_exception(error)).strip().splitlines()[-1]


def _is_refined_by(dataset: Dataset, index: int, refiner: dict[str, Any]) -> bool:
    account = dataset.record(index)["made"]["about"].get("refiner", {"spec": "none", "name": "none"})
    return all(account.get(key) == value for key, value in refiner.items())
