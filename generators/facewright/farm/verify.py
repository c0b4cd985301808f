"""Checking a dataset that exists: every byte, every truth check, every sample."""

from __future__ import annotations

import json
import time
from pathlib import Path

import facewright.dataset
from facewright.check import check_frame
from facewright.dataset import layout
from facewright.dataset.card import Card
from facewright.dataset.reader import REPAIR, Dataset, located
from facewright.dataset.writer import Writer, reopen
from facewright.errors import CheckError, DatasetError, RecipeError
from facewright.farm.worker import judge
from facewright.progress import Emit
from facewright.recipe import Recipe
from facewright.sample import sample


def verify(folder: Path | str, emit: Emit, repair: bool = False) -> int:
    """Check every frame of the dataset in `folder` and return how many are bad, missing or quarantined, and its recipe.

    A frame is good when its files are what was written, its labels agree with its truth, and its sample is what the
    recipe draws. `repair` takes bad frames out, so that the same generate makes them anew. Raises DatasetError where
    the folder is no dataset or, without `repair`, has a shard that cannot be read.
    """
    folder = located(folder)
    if not repair:
        return len(_bad(folder, emit)) + _missing(folder, emit) + (not _has_its_recipe(folder, emit))
    with reopen(folder) as writer:
        layout.write_atomic(folder / layout.RECIPE, layout.dump(writer.card.recipe, indent=2))
        writer.discard(())  # damaged shards
        bad = _bad(folder, emit)
        writer.discard(bad)
    if bad:
        emit({"event": "warning", "message": f"{len(bad)} bad frames were taken out"})
    return _missing(folder, emit)


def _bad(folder: Path, emit: Emit) -> list[int]:
    """Return the indices of the frames that are not good."""
    dataset = facewright.dataset.open(folder)
    recipe = _recipe(dataset, emit)
    emit({"event": "start", "total": len(dataset), "done": 0, "folder": str(folder)})
    begun = time.monotonic()
    bad = []
    for index in dataset.indices:
        try:
            _verify_one(dataset, index, recipe)
            emit({"event": "frame", "index": index})
        except (DatasetError, CheckError) as error:
            bad.append(index)
            emit({"event": "quarantine", "index": index, "error": str(error)})
        except Exception as error:  # whatever one record holds, the others are checked
            bad.append(index)
            text = f"frame {index} does not fit the label schema ({type(error).__name__}: {error})"
            emit({"event": "quarantine", "index": index, "error": text})
    seconds = round(time.monotonic() - begun, 1)
    emit({"event": "done", "made": len(dataset) - len(bad), "failed": len(bad), "seconds": seconds})
    return bad


def _has_its_recipe(folder: Path, emit: Emit) -> bool:
    """Return whether recipe.json is the recipe of the card, with a warning where it is not."""
    path = folder / layout.RECIPE
    try:
        same = json.loads(path.read_text(encoding="utf-8")) == Card.load(folder).recipe
    except (OSError, ValueError, RecursionError):
        same = False
    if not same:
        emit({"event": "warning", "message": f"{path}: is not the dataset's recipe; {REPAIR.format(folder)}"})
    return same


def _missing(folder: Path, emit: Emit) -> int:
    """Return how many wanted frames there are not, with a warning."""
    writer = Writer.join(folder)
    missing = len(set(writer.card.wanted) - writer.done())
    if missing:
        message = f"{missing} wanted frames are missing or quarantined; run the same generate again"
        emit({"event": "warning", "message": message})
    return missing


def _verify_one(dataset: Dataset, index: int, recipe: Recipe | None) -> None:
    frame = dataset.frame(index)
    judge(frame)
    frame.checks = check_frame(frame)
    judge(frame)
    if recipe and sample(recipe, dataset.card.seed, index).to_data() != dataset.record(index)["sample"]:
        raise CheckError(f"frame {index}: its sample is not what this version draws from the recipe")


def _recipe(dataset: Dataset, emit: Emit) -> Recipe | None:
    """Return the dataset's recipe, or None, with a warning, where its HDRI folder is elsewhere."""
    try:
        return Recipe.from_data(dataset.card.recipe)
    except RecipeError as error:
        emit({"event": "warning", "message": f"samples are not compared with the recipe: {error}"})
        return None
