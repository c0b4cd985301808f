"""Confidence intervals by drawing again: groups of test pictures and seeds, the same for all rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from facewright.rng import stream

Array = np.ndarray
DRAWS = 1000


class Interval(NamedTuple):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


def draws(
    marks: Mapping[str, Array],
    groups: Sequence[str],
    score: Callable[[Array], Array],
    seed: int = 0,
    count: int = DRAWS,
) -> dict[str, Array]:
    """Return for each row of `marks` (seeds, pictures, M) its mean score over seeds, as it is and drawn `count` times.

    (1 + count,): the first is that of all pictures. All rows have equal numbers of seeds, and share the drawn groups
    and seeds: so differences of rows are paired, above all of a network and the same network adapted.
    """
    names = sorted(set(groups))
    member = np.array([names.index(group) for group in groups])
    random = stream(seed, 0, "tasks.intervals")
    drawn = random.integers(0, len(names), (count, len(names)))
    times = np.concatenate([np.ones((1, len(names))), np.apply_along_axis(np.bincount, 1, drawn, None, len(names))])
    trained = len(next(iter(marks.values())))
    seeds = np.concatenate([np.arange(trained)[None], random.integers(0, trained, (count, trained))])
    found = {}
    for row, values in marks.items():
        sums = np.zeros((len(names), *values.shape[::2]))
        np.add.at(sums, member, values.swapaxes(0, 1))
        scores = score(np.einsum("bg,gsm->bsm", times, sums))
        found[row] = np.take_along_axis(scores, seeds, axis=1).mean(axis=1)
    return found


def interval(values: Array) -> Interval:
    """Return the first of `values` (1 + count,) with the 2.5 and 97.5 % quantiles of the others."""
    low, high = np.nanpercentile(values[1:], [2.5, 97.5])
    return Interval(float(values[0]), float(low), float(high))
