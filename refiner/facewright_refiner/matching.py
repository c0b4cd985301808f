"""Matching: which recipe would have made these pictures? A recipe's distributions, fitted to unlabelled real pictures.

Renders of a *proposal*, the recipe with its fitted parameters spread widely, train estimators (estimators.py). How the
estimates of held-out renders scatter about each true value is the *response*, errors and nuisances included. The
estimates of the real pictures are a mixture of responses; expectation maximisation finds the mixture's weights, which
are the distribution of the parameter, freed of the estimator's own bias and spread (as Richardson and Lucy free a
picture of its blur). Every number has a bootstrap interval over real pictures and renders.

A parameter is fitted only if its estimator proves itself on held-out renders and the real pictures look to it like
something that the proposal may make. All others stay as the recipe has them, and the result says why.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from facewright.dataset.layout import write_atomic
from facewright.dist import Constant, Empirical, Joint
from facewright.errors import DatasetError
from facewright.farm.generate import Order, generate
from facewright.farm.worker import Station
from facewright.progress import Emit
from facewright.recipe import Recipe
from facewright.rng import stream
from facewright.sample import data_at, parameters, sample
from facewright_refiner.estimators import LABELS, PROVEN, fit_estimators
from facewright_refiner.views import Real, Renders, real_in_view, renders_in_view

COUNT = 400
"""Renders that a match makes for itself."""
LEAST_REAL = 40
"""Real pictures (of different people, as far as file names tell) below which nothing is fitted."""
SURE = 1.0
"""A parameter stays where the 95 % interval of its mean is wider than so many standard deviations (its own or those
before), and so many times the change that it would make."""
STRANGE = 0.25
"""A parameter stays where more than this share of real pictures gives estimates that no render gives."""
NEAR, OVERALL = 0.3, 10.0
"""Reach of a render's error over places in [-1, 1], and the weight of the error of all (reasoned)."""
FAR = {1: 10.8, 2: 13.8, 3: 16.3}
"""99.9 % quantiles of chi-square by degrees of freedom: an estimate farther from every value is strange."""
DRAWS = 40
"""Bootstrap draws."""
ATOMS = {1: 200, 2: 1000, 3: 2000}
"""Values among which weights are shared, by the number of parameters that are fitted together."""
ITERATIONS = (4, 8, 16, 32, 64, 128)
"""Numbers of steps that are tried; real pictures held out choose, since a deconvolution that goes on fits noise."""
ROWS = 160
"""Rows of a joint table that is written, and values of an empirical distribution."""
SAMPLES = 12
"""Cycles samples of a render that is only read by estimators."""


class Knob(NamedTuple):
    """A recipe's parameter that is fitted: from which label, between which values, with which others (`group`).

    With `relative` the bounds are factors of the recipe's own median; `log`: spread evenly in the logarithm.
    """

    path: str
    label: str
    low: float
    high: float
    group: str
    relative: bool = False
    log: bool = False

    def bounds(self, median: float) -> tuple[float, float]:
        """Return the values it is fitted between, inside the parameter's limits."""
        spec, _ = parameters()[self.path]
        low, high = (self.low * median, self.high * median) if self.relative else (self.low, self.high)
        low = low if spec.low is None else max(low, spec.low)
        high = high if spec.high is None else min(high, spec.high)
        return _short(low), _short(high)


KNOBS = (
    Knob("pose.head_yaw_deg", "head yaw", -55, 55, "pose"),
    Knob("pose.head_pitch_deg", "head pitch", -28, 28, "pose"),
    Knob("pose.head_roll_deg", "head roll", -30, 30, "pose"),
    Knob("gaze.yaw_deg", "gaze yaw, own axes", -30, 30, "gaze"),
    Knob("gaze.pitch_deg", "gaze pitch, own axes", -25, 20, "gaze"),
    Knob("expression.blink", "openness", 0, 0.9, "lids"),
    Knob("camera.field_mm", "field", 0.6, 1.8, "framing", relative=True, log=True),
    Knob("camera.shift_x", "shift x", -0.15, 0.15, "framing"),
    Knob("camera.shift_y", "shift y", -0.15, 0.15, "framing"),
    Knob("image.exposure_ev", "exposure", -2.2, 1.8, "exposure"),
    Knob("light.key_strength", "key strength", 0.1, 4, "key strength", log=True),
    Knob("light.key_azimuth_deg", "key azimuth", -110, 110, "key azimuth"),
    Knob("light.key_elevation_deg", "key elevation", -20, 75, "key elevation"),
    Knob("light.key_temperature_k", "key temperature", 2500, 9500, "key temperature"),
    Knob("subject.skin.melanin", "skin melanin", 0, 1, "skin"),
    Knob("subject.eye.iris.melanin", "iris melanin", 0, 1, "iris"),
    Knob("subject.head.age_years", "age", 5, 85, "age"),
    Knob("subject.head.gender", "gender", 0, 1, "gender"),
)
"""What can be fitted. Ranges are wide but such that renders stay sane (reasoned); those together are drawn together."""


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


@dataclass(frozen=True)
class Matched:
    """A matched recipe, what became of every parameter that could be fitted, by path, and notes for the user."""

    recipe: Recipe
    fits: Mapping[str, Fit]
    notes: tuple[str, ...]

    def to_data(self) -> dict[str, Any]:
        """Return fits and notes as JSON-able data."""

        def plain(value: Any) -> Any:
            return {name: _short(part) for name, part in value._asdict().items()} if value else None

        return {
            "recipe": self.recipe.digest,
            "fits": [
                {
                    "path": fit.path,
                    "estimator_r2": round(fit.score, 3),
                    "before": plain(fit.before),
                    "after": plain(fit.after),
                    "interval": [plain(fit.low), plain(fit.high)] if fit.low else None,
                    "why": fit.why,
                }
                for fit in self.fits.values()
            ],
            "notes": list(self.notes),
        }


def match(
    recipe: Recipe,
    real: Sequence[Path],
    out: Path,
    *,
    seed: int = 0,
    renders: Path | None = None,
    count: int = COUNT,
    station: Station | None = None,
    workers: int = 1,
    log: Callable[[str], None] = print,
    emit: Emit | None = None,
) -> Matched:
    """Fit `recipe` to the pictures in `real` and return the matched recipe, with `fits` that say how.

    Works in the folder `out`: renders of the proposal, which a later call continues or reuses, the estimates, and at
    last recipe.yaml and match.json. `renders` is a dataset to use instead, of `proposal` or as wide. Deterministic by
    `seed`. Raises UserError where the real set is too small or the folders cannot serve.
    """
    found = real_in_view(real, seed)
    people = len(set(found.groups))
    if people < LEAST_REAL:
        raise DatasetError(
            f"{people} real pictures of different people are too few to fit distributions; give {LEAST_REAL} at least"
        )
    knobs = fitted_knobs(recipe)
    before = draws_of(recipe, [knob.path for knob in knobs], seed)
    bounds = {knob.path: knob.bounds(float(np.median(before[knob.path]))) for knob in knobs}
    out.mkdir(parents=True, exist_ok=True)
    if renders is None:
        renders = out / "renders"
        order = Order(proposal(recipe, bounds, found.size), seed, 0, count)
        generate(order, renders, station or Station(), workers, emit or (lambda event: None))
    ours = renders_in_view(renders, found.size)
    readings = _readings(found, ours, out / "readings.npz", seed, log)
    log("deconvolving")
    fits, chosen = {}, {}
    for group in dict.fromkeys(knob.group for knob in knobs):
        members = [knob for knob in knobs if knob.group == group]
        found_fits, weighed = fit_group(members, bounds, readings, before, found.groups, seed)
        fits |= found_fits
        chosen |= weighed
    matched = Matched(_written(recipe, chosen, found.size), fits, tuple(_notes(found, len(ours.indices), fits)))
    write_atomic(out / "match.json", (json.dumps(matched.to_data(), indent=1) + "\n").encode())
    write_atomic(out / "recipe.yaml", to_yaml(matched).encode())
    return matched


def fitted_knobs(recipe: Recipe) -> tuple[Knob, ...]:
    """Return the knobs of parameters that vary in `recipe`: what it holds at one value is the user's decision."""

    def varies(path: str) -> bool:
        chosen = recipe.dists.get(path) or parameters()[path][0].default
        return not isinstance(chosen, Constant) or any(path in table.fields for table in recipe.joints)

    return tuple(knob for knob in KNOBS if varies(knob.path))


def proposal(recipe: Recipe, bounds: Mapping[str, tuple[float, float]], size: tuple[int, int]) -> Recipe:
    """Return `recipe` with the parameters in `bounds` spread evenly between them, small pictures (height, width) px."""
    log = {knob.path for knob in KNOBS if knob.log}
    spread = {path: {"log_uniform" if path in log else "uniform": list(ends)} for path, ends in bounds.items()}
    shape = {"image.height": size[0], "image.width": size[1], "image.samples": SAMPLES}
    return _with(recipe, {**_counted_from_head(recipe, spread), **shape}, frames_per_subject=1, outputs=[])


def _counted_from_head(recipe: Recipe, changes: dict[str, Any]) -> dict[str, Any]:
    """Return `changes`; where they hold the gaze, it is counted from the head unless the recipe holds it otherwise."""
    held = isinstance(recipe.dists.get("gaze.reference"), Constant)
    gaze = any(path.startswith("gaze.") for path in changes)
    return {**changes, "gaze.reference": "head"} if gaze and not held else changes


def _with(recipe: Recipe, changes: Mapping[str, Any], **settings: Any) -> Recipe:
    data = recipe.pinned(changes).to_data() | settings
    return Recipe.from_data(data, where=recipe.name)


def draws_of(recipe: Recipe, paths: Sequence[str], seed: int, count: int = 300) -> dict[str, np.ndarray]:
    """Return what `recipe` draws for the parameters in `paths` for `count` people, (count,) each."""
    drawn = [sample(recipe, seed, n * recipe.frames_per_subject).to_data() for n in range(count)]
    return {path: np.array([float(data_at(data, path)) for data in drawn]) for path in paths}


class Readings(NamedTuple):
    """What estimators read.

    `scores` maps labels to R² on held-out renders; `values` maps paths to the true values of the N renders, `renders`
    and `real` labels to the estimates of renders (N,) and real pictures (M,).
    """

    scores: dict[str, float]
    values: dict[str, np.ndarray]
    renders: dict[str, np.ndarray]
    real: dict[str, np.ndarray]


def _readings(real: Real, ours: Renders, cache: Path, seed: int, log: Callable[[str], None]) -> Readings:
    """Return what estimators trained on `ours` read; kept in `cache`, which is used again for the same pictures."""
    key = hashlib.blake2b(repr((seed, real.paths, ours.indices)).encode(), digest_size=8)
    key.update(real.pictures.numpy().tobytes() + ours.pictures.numpy().tobytes() + ours.labels.tobytes())
    if cache.is_file() and str((known := np.load(cache))["key"]) == key.hexdigest():
        scores, made, found = (known[name] for name in ("scores", "renders", "real"))
    else:
        estimators = fit_estimators(ours.pictures, ours.points, ours.labels, ours.people, ours.scene, seed, log=log)
        scores, made, found = estimators.scores, estimators.estimates, estimators.read(real.pictures)
        file = io.BytesIO()
        np.savez(file, key=key.hexdigest(), scores=scores, renders=made, real=found)
        write_atomic(cache, file.getvalue())
    return Readings(
        dict(zip(LABELS, map(float, scores), strict=True)),
        {knob.path: _values(knob, ours) for knob in KNOBS},
        dict(zip(LABELS, made.T, strict=True)),
        dict(zip(LABELS, found.T, strict=True)),
    )


def _values(knob: Knob, ours: Renders) -> np.ndarray:
    """Return the true values of a parameter in the renders, (N,), as they are in the part that is in view."""
    if knob.group == "framing":
        column = ours.labels[:, list(LABELS).index(knob.label)]
        return 2**column if knob.log else column
    return np.array([float(data_at(data, knob.path)) for data in ours.samples])


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
        why = _obstacle(knob, score, _ends(knob, bounds, readings), readings)
        fits[knob.path] = Fit(knob.path, score, _summary(before[knob.path]), why=why)
        if not why:
            able.append(knob)
    while able:
        axes = [_Axis(*_ends(knob, bounds, readings), knob.log) for knob in able]
        found = _deconvolve(*_placed(able, axes, readings), groups, seed)
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
    knobs: Sequence[Knob], axes: Sequence[_Axis], readings: Readings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return places (N, D) and estimates (N, D) of the renders in bounds, and estimates (M, D) of real pictures."""
    known = np.stack([axis.place(readings.values[knob.path]) for axis, knob in zip(axes, knobs, strict=True)], axis=1)
    seen = np.stack([readings.renders[knob.label] for knob in knobs], axis=1)
    inside = (np.abs(known) <= 1 + 1e-9).all(1)
    return known[inside], seen[inside], np.stack([readings.real[knob.label] for knob in knobs], axis=1)


def _described(fit: Fit, axis: _Axis, found: _Deconvolved, column: int) -> Fit:
    """Return the fit with what was found in numbers, and their intervals."""
    values = axis.value(found.atoms[:, column])
    draws = [_summary(values, weight) for weight in found.draws]
    low, high = (Summary(*np.percentile(draws, at, axis=0)) for at in (2.5, 97.5))
    return fit._replace(after=_summary(values, found.weights), low=low, high=high)


def _ends(knob: Knob, bounds: Mapping[str, tuple[float, float]], readings: Readings) -> tuple[float, float]:
    """Return the bounds of a parameter, inside of what the renders hold: beyond, nothing is known of its estimator."""
    low, high = bounds[knob.path]
    values = readings.values[knob.path]
    return max(low, float(values.min())), min(high, float(values.max()))


def _obstacle(knob: Knob, score: float, ends: tuple[float, float], readings: Readings) -> str:
    """Return why a parameter cannot be fitted, "" where it can."""
    if ends[0] >= ends[1]:
        return "stays: it does not vary in the renders"
    if score < PROVEN:
        return f"stays: its estimator explains {max(0.0, score):.2f} of the variance, less than {PROVEN}"
    axis = _Axis(*ends, knob.log)
    known, seen, wanted = (
        axis.place(readings.values[knob.path]),
        readings.renders[knob.label],
        readings.real[knob.label],
    )
    strange = float(_strange(known[:, None], seen[:, None], wanted[:, None]).mean())
    if strange > STRANGE:
        return f"stays: {100 * strange:.0f} % of the real pictures look to its estimator like no render of any value"
    return ""


class _Axis(NamedTuple):
    """Places in [-1, 1] for values between `low` and `high`."""

    low: float
    high: float
    log: bool

    def place(self, value: np.ndarray) -> np.ndarray:
        low, high, value = (np.log(x) if self.log else np.asarray(x) for x in (self.low, self.high, value))
        return 2 * (value - low) / (high - low) - 1

    def value(self, place: np.ndarray) -> np.ndarray:
        low, high = (np.log(x) if self.log else x for x in (self.low, self.high))
        found = low + (high - low) * (place + 1) / 2
        return np.clip(np.exp(found) if self.log else found, self.low, self.high)


class _Response(NamedTuple):
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


def _response(known: np.ndarray, seen: np.ndarray, atoms: np.ndarray) -> _Response:
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
    return _Response(_terms(atoms) @ weights, half, -np.log(np.linalg.det(half)))


def _terms(x: np.ndarray) -> np.ndarray:
    pairs = [x[:, [i]] * x[:, [j]] for i in range(x.shape[1]) for j in range(i, x.shape[1])]
    return np.hstack([np.ones((len(x), 1)), x, *pairs, x**3])


def _atoms(size: int) -> np.ndarray:
    """Return places (ATOMS, size) that fill [-1, 1]^size evenly."""
    from scipy.stats import qmc

    if size == 1:
        return np.linspace(-1, 1, ATOMS[1])[:, None]
    return 2 * qmc.Halton(size, scramble=False).random(ATOMS[size]) - 1


def _strange(known: np.ndarray, seen: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return which of the estimates (M,) are farther from every value's than 999 of 1,000 renders' are, (M,) bool."""
    response = _response(known, seen, _atoms(known.shape[1]))
    return response.distances(wanted).min(1) > FAR[known.shape[1]]


class _Deconvolved(NamedTuple):
    """Atoms (A, D), their weights (A,), the bootstrap's weights (DRAWS, A), and ROWS atoms drawn by weight."""

    atoms: np.ndarray
    weights: np.ndarray
    draws: np.ndarray
    rows: np.ndarray


def _deconvolve(
    known: np.ndarray, seen: np.ndarray, wanted: np.ndarray, groups: Sequence[str], seed: int
) -> _Deconvolved:
    """Return the distribution of places in [-1, 1]^D whose estimates are distributed as `wanted` (M, D) is.

    `known` and `seen` (N, D) are true places and estimates of renders.
    """
    atoms = _atoms(known.shape[1])
    kept = ~_strange(known, seen, wanted)
    wanted, names = wanted[kept], np.asarray(groups)[kept]
    members = {name: np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())}
    random = stream(seed, 0, "matching.bootstrap")
    draws = []
    for _ in range(DRAWS):
        drawn = random.integers(0, len(known), len(known))
        people = random.integers(0, len(members), len(members))
        chosen = np.concatenate([list(members.values())[n] for n in people])
        again = _response(known[drawn], seen[drawn], atoms).likelihood(wanted[chosen])
        draws.append(_weights(again, _steps(again, names[chosen], seed)))
    likelihood = _response(known, seen, atoms).likelihood(wanted)
    weights = _weights(likelihood, _steps(likelihood, names, seed))
    at = (np.arange(ROWS) + 0.5) / ROWS
    order = np.lexsort(atoms.T[::-1])
    rows = atoms[order][np.minimum(np.searchsorted(np.cumsum(weights[order]), at), len(atoms) - 1)]
    return _Deconvolved(atoms, weights, np.array(draws), rows)


def _weights(likelihood: np.ndarray, steps: int) -> np.ndarray:
    """Return the atoms' weights (A,) after so many steps of expectation maximisation from equal ones."""
    return next(weights for n, weights in enumerate(_path(likelihood)) if n == steps)


def _path(likelihood: np.ndarray) -> Iterator[np.ndarray]:
    weights = np.full(likelihood.shape[1], 1 / likelihood.shape[1])
    while True:
        yield weights
        weights = weights * (likelihood.T @ (1 / (likelihood @ weights))) / len(likelihood)


def _steps(likelihood: np.ndarray, names: np.ndarray, seed: int) -> int:
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


def _summary(values: np.ndarray, weights: np.ndarray | None = None) -> Summary:
    share = np.ones(len(values)) / len(values) if weights is None else weights / weights.sum()
    order = np.argsort(values)
    mean = float(values @ share)
    below = np.cumsum(share[order]) - share[order] / 2
    quantiles = np.interp((0.05, 0.5, 0.95), below, values[order])
    return Summary(mean, float(np.sqrt(share @ (values - mean) ** 2)), *map(float, quantiles))


def _written(recipe: Recipe, chosen: Mapping[str, np.ndarray], size: tuple[int, int]) -> Recipe:
    """Return `recipe` with the fitted values: together in a joint table, alone as an empirical distribution."""
    changes: dict[str, Any] = {}
    tables = []
    for group in dict.fromkeys(knob.group for knob in KNOBS):
        knobs = [knob for knob in KNOBS if knob.group == group and knob.path in chosen]
        steps = [_jitter(chosen[knob.path]) for knob in knobs]
        columns = [_inside(knob.path, chosen[knob.path], step) for knob, step in zip(knobs, steps, strict=True)]
        if len(knobs) == 1:
            changes[knobs[0].path] = Empirical(tuple(columns[0]), steps[0]).to_data()
        elif knobs:
            rows = tuple(zip(*columns, strict=True))
            tables.append(Joint(tuple(knob.path for knob in knobs), rows, tuple(steps)))
            changes |= dict.fromkeys((knob.path for knob in knobs), "auto")
    width = _width(recipe)
    changes["image.height"] = max(16, round(width * size[0] / size[1]))
    data = _with(recipe, _counted_from_head(recipe, changes), name=f"{recipe.name}_matched").to_data()
    data["joint"] = data.get("joint", []) + [table.to_data() for table in tables]
    return Recipe.from_data(data, where=f"{recipe.name}, matched")


def _width(recipe: Recipe) -> float:
    return float(draws_of(recipe, ["image.width"], 0, 1)["image.width"][0])


def _jitter(values: np.ndarray) -> float:
    """Return the half-width that fills the gaps between values: a rule of thumb for kernels (Silverman), of half."""
    return _short(0.5 * values.std() * len(values) ** -0.2)


def _inside(path: str, values: np.ndarray, step: float) -> list[float]:
    """Return values rounded and so far inside the parameter's limits that jitter stays there."""
    spec, _ = parameters()[path]
    low = -math.inf if spec.low is None else spec.low + step
    high = math.inf if spec.high is None else spec.high - step
    return [min(max(_short(value), low), high) for value in values.tolist()]


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _notes(real: Real, count: int, fits: Mapping[str, Fit]) -> list[str]:
    notes = []
    if real.unreadable:
        notes.append(f"{len(real.unreadable)} real pictures cannot be read; the first: {real.unreadable[0]}")
    if not any(fit.after for fit in fits.values()):
        notes.append("no parameter could be fitted: the recipe is as it was; make more renders, or give other pictures")
    unsure = [fit.path for fit in fits.values() if "would be known" in fit.why]
    if unsure:
        people = len(set(real.groups))
        notes.append(
            f"real pictures (of {people} people) or renders ({count}) are too few to fit {', '.join(unsure)}; give more"
        )
    return notes


def to_yaml(matched: Matched) -> str:
    """Return the matched recipe as YAML, with what was fitted and how surely as comments."""
    import yaml

    lines = ["# Matched to real pictures by `facewright match`: mean ± sd before -> after [95 % interval of the mean]."]
    for fit in matched.fits.values():
        before = f"{fit.before.mean:.3g} ± {fit.before.sd:.2g}"
        if fit.after and fit.low and fit.high:
            after = f"{fit.after.mean:.3g} ± {fit.after.sd:.2g} [{fit.low.mean:.3g}, {fit.high.mean:.3g}]"
            lines.append(f"# {fit.path}: {before} -> {after}, R2 {fit.score:.2f}")
        else:
            lines.append(f"# {fit.path}: {before}, {fit.why}")
    lines += [f"# {note}" for note in matched.notes]
    return "\n".join([*lines, yaml.safe_dump(matched.recipe.to_data(), sort_keys=False, default_flow_style=None)])
