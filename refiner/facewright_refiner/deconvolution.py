"""Deconvolution: from what an estimator says of pictures to how what it estimates is distributed in them.

The *response* is how estimates of held-out renders scatter about each true value, errors and nuisances included. The
estimates of real pictures are a mixture of responses; expectation maximisation finds the mixture's weights, which are
the distribution, freed of the estimator's own bias and spread (as Richardson and Lucy free a picture of its blur).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from facewright.rng import stream

NEAR, OVERALL = 0.3, 10.0
"""Reach of a render's error over places in [-1, 1], and the weight of the error of all (reasoned)."""
FAR = {1: 10.8, 2: 13.8, 3: 16.3}
"""99.9 % quantiles of chi-square by degrees of freedom: an estimate farther from every value is strange."""
DRAWS = 40
"""Bootstrap draws."""
ATOMS = {1: 200, 2: 1000, 3: 2000}
"""Values among which weights are shared, by the number of parameters that are fitted together."""
EVEN = 0.2
"""Share of the values that lie evenly where several are fitted together; the others crowd where estimates point."""
ITERATIONS = (4, 8, 16, 32, 64, 128)
"""Numbers of steps that are tried; real pictures held out choose, since a deconvolution that goes on fits noise."""
ROWS = 160
"""Rows of a joint table that is written, and values of an empirical distribution."""


class Axis(NamedTuple):
    """Places in [-1, 1] for values between `low` and `high`."""

    low: float
    high: float
    log: bool

    def place(self, value: np.ndarray) -> np.ndarray:
        """Return the places of values."""
        low, high, value = (np.log(x) if self.log else np.asarray(x) for x in (self.low, self.high, value))
        return 2 * (value - low) / (high - low) - 1

    def value(self, place: np.ndarray) -> np.ndarray:
        """Return the values at places."""
        low, high = (np.log(x) if self.log else x for x in (self.low, self.high))
        found = low + (high - low) * (place + 1) / 2
        return np.clip(np.exp(found) if self.log else found, self.low, self.high)


class Response(NamedTuple):
    """How estimates (D,) follow from places: the mean at each of A atoms (A, D), and the scatter about it.

    `half` (A, D, D) whitens the scatter, `volume` (A,) is the logarithm of its determinant's root.
    """

    mean: np.ndarray
    half: np.ndarray
    volume: np.ndarray

    def distances(self, estimates: np.ndarray) -> np.ndarray:
        """Return squared Mahalanobis distances (N, A) of N estimates from what the atoms should give."""
        return (np.einsum("nad,ade->nae", estimates[:, None] - self.mean, self.half) ** 2).sum(-1)

    def likelihood(self, estimates: np.ndarray) -> np.ndarray:
        """Return the likelihoods (N, A) of the atoms given N estimates, up to a common factor."""
        return np.exp(self.volume.min() - self.volume - self.distances(estimates) / 2) + 1e-12


def response(known: np.ndarray, seen: np.ndarray, atoms: np.ndarray) -> Response:
    """Return the response at `atoms` (A, D), from estimates `seen` (N, D) of N renders at places `known` (N, D).

    The mean is a polynomial. The scatter is that of renders nearby, for estimators err more on a profile than on a face
    seen from the front; OVERALL renders' worth of the scatter of all of them is mixed in.
    """
    terms = _terms(known)
    weights = np.linalg.solve(terms.T @ terms + 1e-3 * np.eye(terms.shape[1]), terms.T @ seen)
    rest = seen - terms @ weights
    rest = rest * np.sqrt(len(rest) / max(1, len(rest) - terms.shape[1]))
    away = ((atoms[:, None] - known[None]) ** 2).sum(-1)
    near = np.exp(-away / (2 * NEAR**2))
    products = np.einsum("ni,nj->nij", rest, rest)
    scatter = np.einsum("an,nij->aij", near, products) + OVERALL * products.mean(0)
    scatter /= (near.sum(1) + OVERALL)[:, None, None]
    half = np.linalg.cholesky(np.linalg.inv(scatter + 1e-12 * np.eye(seen.shape[1])))
    return Response(_terms(atoms) @ weights, half, -np.log(np.linalg.det(half)))


def _terms(x: np.ndarray) -> np.ndarray:
    pairs = [x[:, [i]] * x[:, [j]] for i in range(x.shape[1]) for j in range(i, x.shape[1])]
    return np.hstack([np.ones((len(x), 1)), x, *pairs, x**3])


def atoms_of(size: int) -> np.ndarray:
    """Return places (ATOMS, size) that fill [-1, 1]^size evenly."""
    from scipy.stats import qmc

    if size == 1:
        return np.linspace(-1, 1, ATOMS[1])[:, None]
    return 2 * qmc.Halton(size, scramble=False).random(ATOMS[size]) - 1


def crowded(likelihood: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    """Return as many places (A, D) as `atoms`, close together where the estimates point, by their likelihoods (M, A).

    Evenly spread in three dimensions, 2,000 places lie a twelfth of the range apart: a narrow distribution would come
    down to a handful of them. Along each dimension these follow what the estimates say without any prior knowledge,
    which is wider than what is looked for, as it still holds the estimators' errors.
    """
    share = (likelihood / likelihood.sum(1, keepdims=True)).mean(0)
    share = EVEN / len(atoms) + (1 - EVEN) * share
    found = np.empty_like(atoms)
    for column, values in enumerate(atoms.T):
        order = np.argsort(values)
        below = np.cumsum(share[order]) - share[order] / 2
        found[:, column] = np.interp((values + 1) / 2, below, values[order])
    return found


def strange(known: np.ndarray, seen: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return which of the estimates (M,) are farther from every value's than 999 of 1,000 renders' are, (M,) bool."""
    found = response(known, seen, atoms_of(known.shape[1]))
    return found.distances(wanted).min(1) > FAR[known.shape[1]]


class Deconvolved(NamedTuple):
    """Atoms (A, D), their weights (A,), the bootstrap's weights (DRAWS, A), and ROWS atoms drawn by weight."""

    atoms: np.ndarray
    weights: np.ndarray
    draws: np.ndarray
    rows: np.ndarray


def deconvolve(
    known: np.ndarray, seen: np.ndarray, wanted: np.ndarray, groups: Sequence[str], seed: int
) -> Deconvolved:
    """Return the distribution of places in [-1, 1]^D whose estimates are distributed as `wanted` (M, D) is.

    `known` and `seen` (N, D) are true places and estimates of renders.
    """
    atoms = atoms_of(known.shape[1])
    kept = ~strange(known, seen, wanted)
    wanted, names = wanted[kept], np.asarray(groups)[kept]
    if known.shape[1] > 1:
        atoms = crowded(response(known, seen, atoms).likelihood(wanted), atoms)
    members = {name: np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())}
    random = stream(seed, 0, "matching.bootstrap")
    draws = []
    for _ in range(DRAWS):
        drawn = random.integers(0, len(known), len(known))
        people = random.integers(0, len(members), len(members))
        chosen = np.concatenate([list(members.values())[n] for n in people])
        again = response(known[drawn], seen[drawn], atoms).likelihood(wanted[chosen])
        draws.append(weights_of(again, steps_of(again, names[chosen], seed)))
    likelihood = response(known, seen, atoms).likelihood(wanted)
    weights = weights_of(likelihood, steps_of(likelihood, names, seed))
    at = (np.arange(ROWS) + 0.5) / ROWS
    order = np.lexsort(atoms.T[::-1])
    rows = atoms[order][np.minimum(np.searchsorted(np.cumsum(weights[order]), at), len(atoms) - 1)]
    return Deconvolved(atoms, weights, np.array(draws), rows)


def weights_of(likelihood: np.ndarray, steps: int) -> np.ndarray:
    """Return the atoms' weights (A,) after so many steps of expectation maximisation from equal ones."""
    return next(weights for n, weights in enumerate(_path(likelihood)) if n == steps)


def _path(likelihood: np.ndarray) -> Iterator[np.ndarray]:
    weights = np.full(likelihood.shape[1], 1 / likelihood.shape[1])
    while True:
        yield weights
        weights = weights * (likelihood.T @ (1 / (likelihood @ weights))) / len(likelihood)


def steps_of(likelihood: np.ndarray, names: np.ndarray, seed: int) -> int:
    """Return the number of steps after which weights from one half of the pictures explain the other half best."""
    order = list(dict.fromkeys(names.tolist()))
    place = stream(seed, 0, "matching.halves").permutation(len(order))
    side = dict(zip(order, (place % 2).tolist(), strict=True))
    first = np.array([side[name] == 0 for name in names.tolist()])
    gains = np.zeros(len(ITERATIONS))
    for here, there in ((first, ~first), (~first, first)):
        path = itertools.islice(enumerate(_path(likelihood[here])), ITERATIONS[-1] + 1)
        gains += [float(np.log(likelihood[there] @ weights).sum()) for n, weights in path if n in ITERATIONS]
    return ITERATIONS[int(gains.argmax())]
