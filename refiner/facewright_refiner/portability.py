"""From a checkpoint to a file that runs elsewhere: .onnx for onnxruntime, .pt2 for torch.export."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facewright.errors import MissingPackage, OutputError, UserError
from facewright_refiner import guides
from facewright_refiner.checkpoint import Checkpoint, load_checkpoint, write
from facewright_refiner.learned import Scope, noise_of
from facewright_refiner.portable import INPUTS, KEY, VERSION, load_portable

TOLERANCE = 1e-3
"""Largest difference, in [-1, 1], between a network here and its ONNX file; a level of 8 bits is 7.8e-3."""
SUFFIXES = (".onnx", ".pt2")


def export_refiner(source: Path, target: Path) -> float:
    """Write the checkpoint `source` as `target`, and return the largest difference between the two.

    Raises UserError for a name that is neither, MissingPackage, and OutputError where the file computes otherwise.
    """
    checkpoint = load_checkpoint(source)
    if target.suffix not in SUFFIXES:
        raise UserError(f"{target}: a refiner is exported as {' or '.join(SUFFIXES)}; give such a name")
    inputs = example(checkpoint.scope, checkpoint.config.channels)
    if target.suffix == ".pt2":
        data = io.BytesIO()
        with _quiet():
            torch.export.save(
                torch.export.export(checkpoint.refiner, inputs, dynamic_shapes=_dynamic(checkpoint)), data
            )
        write(target, data.getvalue())
        return 0.0
    write(target, _onnx(checkpoint, inputs))
    found = difference(checkpoint, target)
    if not found <= TOLERANCE:
        target.unlink()
        raise OutputError(
            f"{target}: computes otherwise than the checkpoint, by {found:.2g}; update onnx and onnxscript"
        )
    return found


def difference(checkpoint: Checkpoint, path: Path) -> float:
    """Return the largest difference between a checkpoint and its ONNX file on noise, of two sizes."""
    there = load_portable(path)
    found = 0.0
    for extra in (0, 1):
        inputs = example(checkpoint.scope, checkpoint.config.channels, extra)
        pictures, *rest = (x.numpy() for x in inputs)
        seen, noise = rest or (None, None)
        found = max(found, float(np.abs(checkpoint(pictures, seen, noise) - there(pictures, seen, noise)).max()))
    return found


def example(scope: Scope, channels: int, extra: int = 0) -> tuple[Tensor, ...]:
    """Return inputs of a network, (2, channels, H, W) each, `extra` steps larger than its view."""
    sides = [(side // scope.multiple + extra) * scope.multiple for side in (scope.height, scope.width)]
    counts = (channels, guides.CHANNELS, scope.noise)[: len(INPUTS) if scope.noise else 1]
    made = [torch.from_numpy(noise_of((2, count, *sides), 0, n)) for n, count in enumerate(counts)]
    return (made[0].clamp(-1, 1), *made[1:])


def _onnx(checkpoint: Checkpoint, inputs: tuple[Tensor, ...]) -> bytes:
    try:
        import onnx
        import onnxscript  # noqa: F401  torch's exporter wants it
    except ImportError as error:
        raise MissingPackage(
            f"exporting needs the package {error.name}; run `python -m pip install onnx onnxscript onnxruntime`"
        ) from None
    with _quiet():
        program = torch.onnx.export(
            checkpoint.refiner,
            inputs,
            input_names=list(INPUTS[: len(inputs)]),
            output_names=["refined"],
            dynamic_shapes=_dynamic(checkpoint),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    card = {**checkpoint.card, "version": VERSION, "weights": checkpoint.digest, "scope": checkpoint.scope._asdict()}
    onnx.helper.set_model_props(model, {KEY: json.dumps(card)})
    return model.SerializeToString()


def _dynamic(checkpoint: Checkpoint) -> tuple[Any, ...]:
    """Return which dimensions of the inputs are free: the batch, and sides in multiples of the scope's."""
    scope, dim = checkpoint.scope, torch.export.Dim
    batch, rows, columns = dim("batch", min=1, max=4096), dim("rows", min=2, max=4096), dim("columns", min=2, max=4096)
    shape = {0: batch, 2: scope.multiple * rows, 3: scope.multiple * columns}
    return (shape,) * (len(INPUTS) if scope.noise else 1)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' own warnings and remarks away."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            log.setLevel(level)
