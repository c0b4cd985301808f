"""Checking a dataset that exists: every byte, every truth check, every sample."""

from __future__ import annotations

import time
from pathlib import Path

import facewright.dataset
from facewright.check import check_frame
from facewright.dataset.reader import Dataset
from facewright.errors import CheckError, DatasetError, RecipeError
from facewright.farm.worker import judge
from facewright.progress import Emit
from facewright.recipe import Recipe
from facewright.sample import sample


def verify(folder: Path, emit: Emit) -> int:
    """Check every frame of the dataset in `folder` and return how many are bad, missing or quarantined.

    A frame is good when its files are what was written, its labels agree with its truth, and its sample is what the
    recipe draws. Raises DatasetError where the folder is no dataset.
    """
    dataset = facewright.dataset.open(folder)
    recipe = _recipe(dataset, emit)
    emit({"event": "start", "total": len(dataset), "done": 0, "folder": str(folder)})
    begun = time.monotonic()
    failed = 0
    for index in dataset.indices:
        try:
            _verify_one(dataset, index, recipe)
            emit({"event": "frame", "index": index})
        except (DatasetError, CheckError) as error:
            failed += 1
            emit({"event": "quarantine", "index": index, "error": str(error)})
    missing = len(set(dataset.card.wanted) - set(dataset.indices))
    if missing:
        message = f"{missing} wanted frames are missing or quarantined; run the same generate again"
        emit({"event": "warning", "message": message})
    made = len(dataset) - failed
    failed += missing
    emit({"event": "done", "made": made, "failed": failed, "seconds": round(time.monotonic() - begun, 1)})
    return failed


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
