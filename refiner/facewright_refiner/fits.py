"""Fits: what becomes of parameters that are a number, from what estimators read of renders and of real pictures.

A parameter is fitted only if its estimator proves itself on held-out renders and the real pictures look to it like
something that the proposal may make. All others stay as the recipe has them, and the result says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from facewright_refiner.deconvolution import Axis, Deconvolved, deconvolve, strange
from facewright_refiner.estimators import PROVEN
from facewright_refiner.knobs import Knob

SURE = 1.0
"""A parameter stays where the 95 % interval of its mean is wider than so many standard deviations (its own or those
before), and so many times the change that it would make."""
STRANGE = 0.25
"""A parameter stays where more than this share of real pictures gives estimates that no render gives."""


class Summary(NamedTuple):
    """A distribution in numbers."""

    mean: float
    sd: float
    q05: float
    q50: float
    q95: float


class Fit(NamedTuple):
    """What became of one parameter.

    `score` is its estimator's R² on held-out renders, `after` None where it stays, for the reason in `why`. `low` and
    `high` are the 95 % bootstrap intervals of `after`.
    """

    path: str
    score: float
    before: Summary
    after: Summary | None = None
    low: Summary | None = None
    high: Summary | None = None
    why: str = ""

    @property
    def width(self) -> float:
        """Return the width of the mean's interval, in what is to be known; see SURE."""
        if not (self.after and self.low and self.high):
            return 0.0
        scale = max(self.after.sd, self.before.sd, abs(self.after.mean - self.before.mean), 1e-9)
        return (self.high.mean - self.low.mean) / scale


class Readings(NamedTuple):
    """What estimators read.

    `scores` maps labels to R² on held-out renders; `values` maps paths to the true values of the N renders, `known`
    labels to theirs, `renders` and `real` labels to the estimates of renders (N,) and real pictures (M,).
    """

    scores: dict[str, float]
    values: dict[str, np.ndarray]
    renders: dict[str, np.ndarray]
    real: dict[str, np.ndarray]
    known: dict[str, np.ndarray]


def fit_group(
    knobs: Sequence[Knob],
    bounds: Mapping[str, tuple[float, float]],
    readings: Readings,
    before: Mapping[str, np.ndarray],
    groups: Sequence[str],
    seed: int,
) -> tuple[dict[str, Fit], dict[str, np.ndarray]]:
    """Fit parameters that are drawn together; return every one's Fit, and ROWS values of those that were fitted.

    `groups` names siblings among the real pictures, which are drawn together by the bootstrap.
    """
    fits, able = {}, []
    for knob in knobs:
        score = readings.scores.get(knob.label, 0.0)
        why = obstacle(knob, score, _ends(knob, bounds, readings), readings)
        fits[knob.path] = Fit(knob.path, score, summary_of(before[knob.path]), why=why)
        if not why:
            able.append(knob)
    while able:
        axes = [Axis(*_ends(knob, bounds, readings), knob.log) for knob in able]
        found = deconvolve(*_placed(able, axes, readings), groups, seed)
        tried = {
            knob.path: _described(fits[knob.path], axis, found, column)
            for column, (knob, axis) in enumerate(zip(able, axes, strict=True))
        }
        worst = max(able, key=lambda knob: tried[knob.path].width)
        if tried[worst.path].width <= SURE:
            break
        fits[worst.path] = fits[worst.path]._replace(
            why=f"stays: its mean would be known to {tried[worst.path].width:.1f} standard deviations only"
        )
        able.remove(worst)
    else:
        return fits, {}
    values = {knob.path: axis.value(found.rows[:, n]) for n, (axis, knob) in enumerate(zip(axes, able, strict=True))}
    return fits | tried, values


def _placed(
    knobs: Sequence[Knob], axes: Sequence[Axis], readings: Readings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return places (N, D) and estimates (N, D) of the renders in bounds, and estimates (M, D) of real pictures."""
    known = np.stack([axis.place(readings.values[knob.path]) for axis, knob in zip(axes, knobs, strict=True)], axis=1)
    seen = np.stack([readings.renders[knob.label] for knob in knobs], axis=1)
    inside = (np.abs(known) <= 1 + 1e-9).all(1)
    return known[inside], seen[inside], np.stack([readings.real[knob.label] for knob in knobs], axis=1)


def _described(fit: Fit, axis: Axis, found: Deconvolved, column: int) -> Fit:
    """Return the fit with what was found in numbers, and their intervals."""
    values = axis.value(found.atoms[:, column])
    draws = [summary_of(values, weight) for weight in found.draws]
    low, high = (Summary(*np.percentile(draws, at, axis=0)) for at in (2.5, 97.5))
    return fit._replace(after=summary_of(values, found.weights), low=low, high=high)


def _ends(knob: Knob, bounds: Mapping[str, tuple[float, float]], readings: Readings) -> tuple[float, float]:
    """Return the bounds of a parameter, inside of what the renders hold: beyond, nothing is known of its estimator."""
    low, high = bounds[knob.path]
    values = readings.values[knob.path]
    return max(low, float(values.min())), min(high, float(values.max()))


def obstacle(knob: Knob, score: float, ends: tuple[float, float], readings: Readings) -> str:
    """Return why a parameter cannot be fitted, "" where it can."""
    if ends[0] >= ends[1]:
        return "stays: it does not vary in the renders"
    if score < PROVEN:
        return f"stays: its estimator explains {max(0.0, score):.2f} of the variance, less than {PROVEN}"
    axis = Axis(*ends, knob.log)
    known, seen, wanted = (
        axis.place(readings.values[knob.path]),
        readings.renders[knob.label],
        readings.real[knob.label],
    )
    alien = float(strange(known[:, None], seen[:, None], wanted[:, None]).mean())
    if alien > STRANGE:
        return f"stays: {100 * alien:.0f} % of the real pictures look to its estimator like no render of any value"
    return ""


def summary_of(values: np.ndarray, weights: np.ndarray | None = None) -> Summary:
    """Return values (N,) in numbers, each of its weight (N,)."""
    share = np.ones(len(values)) / len(values) if weights is None else weights / weights.sum()
    order = np.argsort(values)
    mean = float(values @ share)
    below = np.cumsum(share[order]) - share[order] / 2
    quantiles = np.interp((0.05, 0.5, 0.95), below, values[order])
    return Summary(mean, float(np.sqrt(share @ (values - mean) ** 2)), *map(float, quantiles))
