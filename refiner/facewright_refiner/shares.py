"""Shares: how common each class of a factor is among real pictures, and people of a recipe in those shares.

An estimator takes some grins for shut lips. How often it takes which class for which is counted on held-out renders; a
real set's answers are a mixture of these counts, and expectation maximisation finds the shares of the mixture (label
shift: Saerens et al., Neural Computation 14, 2002). The same rules as for numbers say when a factor stays as it is.

Found shares are written as people, not as a distribution of one parameter: people that the recipe itself draws are
weighted until every factor has its shares (raking, Deming & Stephan 1940). So long hair stays with those who wear it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from facewright.rng import stream
from facewright_refiner.deconvolution import DRAWS, FAR, ROWS, weights_of
from facewright_refiner.fits import STRANGE, SURE
from facewright_refiner.knobs import PARENTS, Factor, Row, short

PROVEN = 0.4
"""R² from which on shares are believed, more than of numbers: at 0.33 to 0.35 three matches said that 74 to 93 % of
portraits are without glasses, masks say 95 %, and two of their intervals left that out (benchmarks/gap/matching.md)."""
LEAST_OF_CLASS = 5
"""Renders of a class below which nothing is known of what it is taken for."""
STEPS = 300
"""Steps of expectation maximisation: of a few classes it has then converged."""
DOUBT = 0.5
"""Renders that are added to every count of one class taken for another: what was never seen may still happen."""
THREE = 3.0
"""What none of n people shows may still be as common as 3 / n (the rule of three, Hanley & Lippman-Hand, JAMA 1983)."""
ROUNDS = 60
"""Rounds of raking."""
OR = " or "
"""Between the names of classes that became one."""
RAREST = 0.002
"""Least share that is asked of raking for a class."""


class Shares(NamedTuple):
    """What became of one factor: shares (C,) of its `classes`.

    `score` is the R² of its classes' estimators on held-out renders, all together; `after` is None where the factor
    stays, for the reason in `why`. `low` and `high` are 95 % bootstrap intervals of `after`.
    """

    name: str
    classes: tuple[str, ...]
    score: float
    before: tuple[float, ...]
    after: tuple[float, ...] | None = None
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    why: str = ""

    @property
    def width(self) -> float:
        """Return the width of the widest interval, in what is to be known; see fits.SURE."""
        if not (self.after and self.low and self.high):
            return 0.0
        return max(
            (high - low) / max(_sd(after), _sd(before), abs(after - before), 1e-9)
            for before, after, low, high in zip(self.before, self.after, self.low, self.high, strict=True)
        )


def _plain(shares: np.ndarray) -> tuple[float, ...]:
    return tuple(map(float, shares))


def _sd(share: float) -> float:
    return (share * (1 - share)) ** 0.5


class Answers(NamedTuple):
    """A factor's true classes (N,) int and estimates (N, C) of renders, and estimates (M, C) of real pictures."""

    known: np.ndarray
    seen: np.ndarray
    wanted: np.ndarray

    @property
    def score(self) -> float:
        """Return the share of the classes' variance that the estimates explain, all classes together."""
        truth = np.eye(self.seen.shape[1])[self.known]
        return float(1 - ((self.seen - truth) ** 2).sum() / max(((truth - truth.mean(0)) ** 2).sum(), 1e-9))


def fit_shares(factor: Factor, before: Sequence[float], answers: Answers, groups: Sequence[str], seed: int) -> Shares:
    """Fit the shares of a factor's classes; `before` (C,) are those of the recipe, `groups` name siblings (M,).

    Where so many classes cannot be told apart, the two that are mixed up most become one, until two are left.
    """
    found = Shares(factor.name, factor.classes, answers.score, _plain(np.array(before)))
    counts = np.bincount(answers.known, minlength=len(factor.classes))
    scarce = [name for name, count in zip(factor.classes, counts, strict=True) if count < LEAST_OF_CLASS]
    if scarce:
        return found._replace(why=f"stays: fewer than {LEAST_OF_CLASS} renders show {scarce[0]}")
    first = tried = _fit(found, answers, groups, seed)
    while not tried.after and len(tried.classes) > 2:
        found, answers = _merged(found, answers)
        tried = _fit(found, answers, groups, seed)
    return tried if tried.after else first


def _merged(found: Shares, answers: Answers) -> tuple[Shares, Answers]:
    """Return both with the two classes as one that are taken for each other most often."""
    taken = _Sorter.of(answers.known, answers.seen)(answers.seen)
    mixed = _counts(answers.known, taken, len(found.classes))
    mixed = np.triu(mixed + mixed.T, 1)
    one, other = (int(n) for n in np.unravel_index(mixed.argmax(), mixed.shape))

    def merge(columns: np.ndarray) -> np.ndarray:
        columns = columns.copy()
        columns[..., one] += columns[..., other]
        return np.delete(columns, other, axis=-1)

    classes = list(found.classes)
    classes[one] += OR + classes.pop(other)
    known = np.where(answers.known == other, one, answers.known)
    both = Answers(known - (known > other), merge(answers.seen), merge(answers.wanted))
    before = _plain(merge(np.array(found.before)))
    return Shares(found.name, tuple(classes), both.score, before), both


def _fit(found: Shares, answers: Answers, groups: Sequence[str], seed: int) -> Shares:
    if found.score < PROVEN:
        return found._replace(
            why=f"stays: its estimator explains {max(0.0, found.score):.2f} of the variance, less than {PROVEN}"
        )
    sorter = _Sorter.of(answers.known, answers.seen)
    kept = sorter.distances(answers.wanted).min(1) <= FAR[min(3, answers.seen.shape[1] - 1)]
    if (~kept).mean() > STRANGE:
        return found._replace(
            why=f"stays: {100 * (~kept).mean():.0f} % of the real pictures look to its estimator like no render"
        )
    told = sorter(answers.wanted)[kept]
    after = _shares(answers.known, sorter(answers.seen), told, len(found.classes))
    names = np.asarray(groups)[kept]
    members = [np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())]
    random = stream(seed, 0, f"matching.shares.{found.name}")
    draws = []
    for _ in range(DRAWS):
        drawn = random.integers(0, len(answers.known), len(answers.known))
        people = np.concatenate([members[n] for n in random.integers(0, len(members), len(members))])
        again = sorter(answers.seen[drawn])
        draws.append(_shares(answers.known[drawn], again, told[people], len(found.classes)))
    low, high = np.percentile(draws, (2.5, 97.5), axis=0)
    unseen = min(1.0, THREE / len(members))
    low, high = np.minimum(low, 1 - unseen), np.maximum(high, unseen)
    found = found._replace(after=_plain(after), low=_plain(low), high=_plain(high))
    if found.width > SURE:
        why = f"stays: its shares would be known to {found.width:.1f} standard deviations only"
        return found._replace(after=None, low=None, high=None, why=why)
    return found


class _Sorter(NamedTuple):
    """Takes estimates (N, C) for classes: by distance from each class's mean (C, C - 1), in its scatter."""

    mean: np.ndarray
    half: np.ndarray
    volume: np.ndarray

    @staticmethod
    def of(known: np.ndarray, seen: np.ndarray) -> _Sorter:
        """Return the sorter of renders; each class's scatter is mixed with that of all, the more the fewer it has."""
        seen = seen[:, :-1]
        classes = np.unique(known)
        mean = np.array([seen[known == n].mean(0) for n in classes])
        rest = seen - mean[np.searchsorted(classes, known)]
        eye = 1e-4 * np.eye(seen.shape[1])
        whole = rest.T @ rest / len(rest) + eye
        scatter = []
        for n in classes:
            own, weight = rest[known == n], (known == n).sum() / 20
            scatter.append((weight * (own.T @ own / len(own) + eye) + whole) / (weight + 1))
        half = np.linalg.cholesky(np.linalg.inv(np.array(scatter)))
        return _Sorter(mean, half, -np.log(np.linalg.det(half)))

    def distances(self, seen: np.ndarray) -> np.ndarray:
        """Return squared Mahalanobis distances (N, C)."""
        return (np.einsum("ncd,cde->nce", seen[:, None, :-1] - self.mean, self.half) ** 2).sum(-1)

    def __call__(self, seen: np.ndarray) -> np.ndarray:
        """Return classes (N,) int, as if all were equally common."""
        return (self.distances(seen) / 2 + self.volume).argmin(1)


def _shares(known: np.ndarray, taken: np.ndarray, told: np.ndarray, classes: int) -> np.ndarray:
    """Return shares (C,) among pictures taken for `told` (M,), if renders of classes `known` are taken for `taken`."""
    return weights_of(_counts(known, taken, classes)[:, told].T, STEPS)


def _counts(known: np.ndarray, taken: np.ndarray, classes: int) -> np.ndarray:
    """Return how often each class is taken for which, (C, C), rows of sum 1."""
    counts = np.full((classes, classes), DOUBT)
    np.add.at(counts, (known, taken), 1)
    return counts / counts.sum(1, keepdims=True)


def rake(rows: Sequence[Row], wanted: Sequence[tuple[Factor, Shares]]) -> np.ndarray:
    """Return weights (N,) of rows that give every factor its shares, as near the rows' own joint ones as can be."""
    weights = np.full(len(rows), 1 / len(rows))
    goals = []
    for factor, shares in wanted:
        drawn = [factor.of(row) for row in rows]
        mask = np.array([[name in words.split(OR) for name in drawn] for words in shares.classes])
        goal = np.where(mask.any(1), np.maximum(shares.after or shares.before, RAREST), 0.0)
        goals.append((mask, goal / goal.sum()))
    for _ in range(ROUNDS):
        for mask, goal in goals:
            weights = weights * (mask.T @ (goal / np.maximum(mask @ weights, 1e-12)))
    return weights / weights.sum()


def table(
    rows: Sequence[Row], factors: Sequence[Factor], weights: np.ndarray, without: Sequence[str]
) -> dict[str, Any]:
    """Return a joint table, as recipe data, of ROWS rows drawn by weight (N,): what the factors' classes are made of.

    A table of people holds what other parameters follow from too. Parameters in `without`, and those that do not vary,
    are left out.
    """
    fields = [path for factor in factors for path in factor.fields]
    fields += PARENTS if factors[0].person else ()
    fields = [path for path in dict.fromkeys(fields) if path not in without and len({row[path] for row in rows}) > 1]
    order = sorted(range(len(rows)), key=lambda n: [factor.of(rows[n]) for factor in factors])
    at = np.searchsorted(np.cumsum(weights[order]), (np.arange(ROWS) + 0.5) / ROWS)
    chosen = [rows[order[min(int(n), len(rows) - 1)]] for n in at]
    plain = [[short(row[path]) if isinstance(row[path], float) else row[path] for path in fields] for row in chosen]
    return {"fields": fields, "rows": plain, "jitter": []}
