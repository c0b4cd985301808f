"""Which checkpoint of a run is the best: the most real one whose labels did not move.

Both numbers are of the probes, refined and shown as they would be applied. `realism` is how far they are from held-out
real pictures (realism.Distances.relative), in units of how far raw probes are: 1 is no better than a render. `drift` is
the 95th percentile of the excess drift (drift.py) in px of the view, of irises where a guide shows them, else of whole
pictures.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from facewright_refiner import drift, guides
from facewright_refiner.realism import BANDS, Distances, Reference
from facewright_refiner.trainer import Trainer

PERCENTILE = 95
LEAST = Distances((0.03,) * BANDS, psd=0.05, lab=0.03, tone=0.2, grain=0.4)
"""Least units of realism.Distances: about what lies between two halves of some hundred real pictures (measured)."""
ROUND_IRIS = 1.6
"""Half-width of a window, in radii of what is seen of the iris; as drift.windows_of has it of the limbus."""


class Standard:
    """What checkpoints of a run are measured by, made once."""

    def __init__(self, held: Tensor, trainer: Trainer) -> None:
        self.reference = Reference(levels(held.float()))
        self.raw = images(trainer.probes)
        raw = self.reference.distances(levels(trainer.probes.cpu()))
        self.scale = np.maximum(raw.flat(), LEAST._replace(swd=LEAST.swd[: len(raw.swd)]).flat())
        self.windows = [{}] * len(self.raw)
        if trainer.synthetic.guides is not None:
            self.windows = [windows_of(g.float().numpy()) for g in trainer.synthetic.guides[trainer.probe_places]]

    def judge(self, trainer: Trainer) -> dict[str, float]:
        """Return `realism` and `drift` of the trainer's refiner as it is now."""
        refined = trainer.refine_probes()
        found = self.reference.distances(levels(trainer.shown(refined).cpu()))
        moved = [drift.compare(*three) for three in zip(self.raw, images(refined), self.windows, strict=True)]
        worst = [one.whole if math.isnan(one.pupil) else one.pupil for one in moved]
        known = [value for value in worst if not math.isnan(value)]
        return {
            "realism": found.relative(self.scale),
            "drift": float(np.percentile(known, PERCENTILE)) if known else math.inf,
        }


def levels(pictures: Tensor) -> Tensor:
    """Return (N, 3, H, W) in [0, 1] of (N, C, H, W) in [-1, 1], in the steps of a file."""
    return (((pictures + 1) * 127.5).round().clamp(0, 255) / 255).expand(-1, 3, -1, -1)


def images(pictures: Tensor) -> list[np.ndarray]:
    """Return (H, W, 3) uint8 images of (N, C, H, W) in [-1, 1]."""
    return [*(levels(pictures.cpu()) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()]


def windows_of(guide: np.ndarray) -> dict[str, list[tuple[np.ndarray, float]]]:
    """Return the window of drift.compare round the iris that a guide shows, none where it shows none."""
    found = guides.iris_of(guide)
    return {"pupil": [(found[0], max(drift.LEAST_WINDOW, ROUND_IRIS * found[1]))]} if found else {}
