"""Matching: which recipe would have made these pictures? A recipe's distributions, fitted to unlabelled real pictures.

Renders of a *proposal*, the recipe with all that is fitted spread widely, train estimators (estimators.py). Numbers are
freed of their estimators' errors by deconvolution (deconvolution.py, fits.py), classes of people and faces by counting
what is taken for what (shares.py). A first look at framing, pose and exposure says where most renders are worth while.
Every number has a bootstrap interval over real pictures and renders; what is not proven stays, and the result says why.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facewright.attributes import drawn
from facewright.dataset.layout import write_atomic
from facewright.dist import Constant, Empirical, Joint
from facewright.errors import DatasetError
from facewright.farm.generate import Order, generate
from facewright.farm.worker import Station
from facewright.progress import Emit
from facewright.recipe import Recipe
from facewright.sample import data_at, parameters, sample
from facewright_refiner import keypoints
from facewright_refiner.estimators import LABELS, LEAST_RENDERS, fit_estimators
from facewright_refiner.fits import Fit, Readings, fit_group
from facewright_refiner.knobs import FACTORS, KNOBS, Factor, Knob, Row, short
from facewright_refiner.shares import Answers, Shares, fit_shares, rake, table
from facewright_refiner.views import Real, Renders, real_in_view, renders_in_view, together

COUNT = 400
"""Renders that a match makes for itself."""
LEAST_REAL = 40
"""Real pictures (of different people, as far as file names tell) below which nothing is fitted."""
VERSION = 4
"""Of what estimators are, for the estimates that are kept."""
FIRST = 0.33
"""Share of the renders that are spread over all bounds; the others are near what these say."""
EARLY, MARGIN = ("pose", "framing", "exposure"), 0.5
"""Groups of knobs of the first look, and how far the second goes beyond 90 % of what it found, in widths of that."""
EDGE = 160
"""Longest edge in px of renders, and of real pictures as they are read: a close-up (closeups.py) needs as much."""
SAMPLES = 8
"""Cycles samples of a render that is only read by estimators."""
PEOPLE = {"face": 600, "eye": 300}
"""Draws of a recipe, by scene: of faces those are chosen that make classes as common as in the real set."""


@dataclass(frozen=True)
class Matched:
    """A matched recipe, what became of every parameter by path and factor by name, and notes for the user."""

    recipe: Recipe
    fits: Mapping[str, Fit]
    shares: Mapping[str, Shares]
    notes: tuple[str, ...]

    def to_data(self) -> dict[str, Any]:
        """Return fits and notes as JSON-able data."""

        def plain(value: Any) -> Any:
            return {name: short(part) for name, part in value._asdict().items()} if value else None

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
            "shares": [
                {
                    "factor": found.name,
                    "estimator_r2": round(found.score, 3),
                    "before": _by_class(found, found.before),
                    "after": _by_class(found, found.after),
                    "interval": [_by_class(found, found.low), _by_class(found, found.high)] if found.low else None,
                    "why": found.why,
                }
                for found in self.shares.values()
            ],
            "notes": list(self.notes),
        }


def _by_class(found: Shares, shares: Sequence[float] | None) -> dict[str, float] | None:
    return dict(zip(found.classes, map(short, shares), strict=True)) if shares else None


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
    found = real_in_view(real, seed, edge=EDGE)
    people = len(set(found.groups))
    if people < LEAST_REAL:
        raise DatasetError(
            f"{people} real pictures of different people are too few to fit distributions; give {LEAST_REAL} at least"
        )
    rows = rows_of(recipe, seed)
    knobs, factors = fitted_knobs(recipe), fitted_factors(recipe, rows)
    before = columns_of(rows, [knob.path for knob in knobs])
    bounds = {knob.path: knob.bounds(float(np.median(before[knob.path]))) for knob in knobs}
    out.mkdir(parents=True, exist_ok=True)

    def rendered(folder: Path, ends: Mapping[str, tuple[float, float]], start: int, frames: int) -> Renders:
        order = Order(proposal(recipe, ends, found.size, rows), seed, start, frames)
        generate(order, folder, station or Station(), workers, emit or (lambda event: None))
        return renders_in_view(folder, found.size)

    if renders is None:
        first = min(count, max(LEAST_RENDERS, round(FIRST * count)))
        ours = rendered(out / "renders", bounds, 0, first)
        if count > first:
            look = _readings(found, ours, out / "first.npz", seed, log, first=True)
            near = _nearer(knobs, bounds, look, before, found, seed)
            ours = together(ours, rendered(out / "renders-near", near, first, count - first))
    else:
        ours = renders_in_view(renders, found.size)
    readings = _readings(found, ours, out / "readings.npz", seed, log)
    log("deconvolving")
    fits, chosen = _fit_all(knobs, bounds, readings, before, found.groups, seed)
    shares = {factor.name: _fit_factor(factor, rows, readings, found.groups, seed) for factor in factors}
    able = [factor for factor in factors if shares[factor.name].after]
    written = _written(recipe, chosen, able, shares, rows, found.size)
    matched = Matched(written, fits, shares, tuple(_notes(found, len(ours.indices), fits, shares)))
    write_atomic(out / "match.json", (json.dumps(matched.to_data(), indent=1) + "\n").encode())
    write_atomic(out / "recipe.yaml", to_yaml(matched).encode())
    return matched


def _fit_all(
    knobs: Sequence[Knob],
    bounds: Mapping[str, tuple[float, float]],
    readings: Readings,
    before: Mapping[str, np.ndarray],
    groups: Sequence[str],
    seed: int,
) -> tuple[dict[str, Fit], dict[str, np.ndarray]]:
    """Return the fits of all knobs, and the values of those that were fitted, by path."""
    fits, chosen = {}, {}
    for group in dict.fromkeys(knob.group for knob in knobs):
        members = [knob for knob in knobs if knob.group == group]
        found, values = fit_group(members, bounds, readings, before, groups, seed)
        fits |= found
        chosen |= values
    return fits, chosen


def _fit_factor(factor: Factor, rows: Sequence[Row], readings: Readings, groups: Sequence[str], seed: int) -> Shares:
    """Return the fit of a factor; `rows` were drawn from the recipe."""
    names = [factor.label(name) for name in factor.classes]
    drawn = [factor.of(row) for row in rows]
    answers = Answers(
        np.stack([readings.known[name] for name in names], axis=1).argmax(1),
        np.stack([readings.renders[name] for name in names], axis=1),
        np.stack([readings.real[name] for name in names], axis=1),
    )
    return fit_shares(factor, [drawn.count(name) / len(drawn) for name in factor.classes], answers, groups, seed)


def _nearer(
    knobs: Sequence[Knob],
    bounds: Mapping[str, tuple[float, float]],
    readings: Readings,
    before: Mapping[str, np.ndarray],
    real: Real,
    seed: int,
) -> dict[str, tuple[float, float]]:
    """Return narrower bounds of framing, pose and exposure, where a first look finds the real pictures.

    Estimators learn more from renders that are like the real pictures, and classes are taken for each other there as
    they are in the real ones.
    """
    early = [knob for knob in knobs if knob.group in EARLY]
    near = dict(bounds)
    for path, fit in _fit_all(early, bounds, readings, before, real.groups, seed)[0].items():
        if fit.after:
            reach = MARGIN * (fit.after.q95 - fit.after.q05)
            low, high = bounds[path]
            near[path] = short(max(low, fit.after.q05 - reach)), short(min(high, fit.after.q95 + reach))
    return near


def fitted_knobs(recipe: Recipe) -> tuple[Knob, ...]:
    """Return the knobs of parameters that vary in `recipe`: what it holds at one value is the user's decision."""

    def varies(path: str) -> bool:
        chosen = recipe.dists.get(path) or parameters()[path][0].default
        return not isinstance(chosen, Constant) or any(path in table.fields for table in recipe.joints)

    return tuple(knob for knob in KNOBS if varies(knob.path))


def fitted_factors(recipe: Recipe, rows: Sequence[Row]) -> tuple[Factor, ...]:
    """Return the factors of which `rows`, drawn from `recipe`, have two classes or more; of eyes there are none."""
    if recipe.scene != "face":
        return ()
    return tuple(factor for factor in FACTORS if len({factor.of(row) for row in rows}) > 1)


def proposal(
    recipe: Recipe, bounds: Mapping[str, tuple[float, float]], size: tuple[int, int], rows: Sequence[Row] = ()
) -> Recipe:
    """Return `recipe` with the parameters in `bounds` spread between them, small pictures (height, width) px.

    The classes of factors are spread too, out of what `rows`, drawn from the recipe, have.
    """
    knobs = {knob.path: knob for knob in KNOBS}
    spread = {path: knobs[path].spread(*ends) for path, ends in bounds.items()}
    spread |= {factor.main: factor.spread(rows) for factor in fitted_factors(recipe, rows)}
    shape = {"image.height": size[0], "image.width": size[1], "image.samples": SAMPLES}
    return _with(recipe, {**_counted_from_head(recipe, spread), **shape}, frames_per_subject=1, outputs=["seg"])


def _counted_from_head(recipe: Recipe, changes: dict[str, Any]) -> dict[str, Any]:
    """Return `changes`; where they hold the gaze, it is counted from the head unless the recipe holds it otherwise."""
    held = isinstance(recipe.dists.get("gaze.reference"), Constant)
    gaze = any(path.startswith("gaze.") for path in changes)
    return {**changes, "gaze.reference": "head"} if gaze and not held else changes


def _with(recipe: Recipe, changes: Mapping[str, Any], **settings: Any) -> Recipe:
    data = recipe.pinned(changes).to_data() | settings
    return Recipe.from_data(data, where=recipe.name)


def rows_of(recipe: Recipe, seed: int, count: int = 0) -> list[Row]:
    """Return what `recipe` draws for `count` people (0: PEOPLE): all parameters but vectors, by path."""
    frames = (n * recipe.frames_per_subject for n in range(count or PEOPLE[recipe.scene]))
    return [drawn(sample(recipe, seed, frame).to_data()) for frame in frames]


def columns_of(rows: Sequence[Row], paths: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the parameters in `paths` of `rows`, (N,) each."""
    return {path: np.array([float(row[path]) for row in rows]) for path in paths}


def _readings(
    real: Real, ours: Renders, cache: Path, seed: int, log: Callable[[str], None], first: bool = False
) -> Readings:
    """Return what estimators trained on `ours` read; kept in `cache`, which is used again for the same pictures.

    A `first` look has half of the training.
    """
    there, steps = ours.regions, keypoints.STEPS // 2 if first else keypoints.STEPS
    told = VERSION, seed, steps, real.paths, ours.scene, ours.people, ours.indices, list(LABELS)
    key = hashlib.blake2b(repr(told).encode(), digest_size=8)
    for part in (real.pictures, ours.pictures, ours.labels, ours.points, *([there] if there is not None else [])):
        key.update(np.ascontiguousarray(part).data)
    if cache.is_file() and str((known := np.load(cache))["key"]) == key.hexdigest():
        scores, made, found = (known[name] for name in ("scores", "renders", "real"))
    else:
        estimators = fit_estimators(
            ours.pictures, ours.points, ours.labels, ours.people, ours.scene, seed, regions=there, steps=steps, log=log
        )
        scores, made, found = estimators.scores, estimators.estimates, estimators.read(real.pictures)
        file = io.BytesIO()
        np.savez(file, key=key.hexdigest(), scores=scores, renders=made, real=found)
        write_atomic(cache, file.getvalue())
    return Readings(
        dict(zip(LABELS, map(float, scores), strict=True)),
        {knob.path: _values(knob, ours) for knob in KNOBS},
        dict(zip(LABELS, made.T, strict=True)),
        dict(zip(LABELS, found.T, strict=True)),
        dict(zip(LABELS, ours.labels.T, strict=True)),
    )


def _values(knob: Knob, ours: Renders) -> np.ndarray:
    """Return the true values of a parameter in the renders, (N,), as they are in the part that is in view."""
    if knob.group == "framing":
        column = ours.labels[:, list(LABELS).index(knob.label)]
        return 2**column if knob.log else column
    return np.array([float(data_at(data, knob.path)) for data in ours.samples])


def _written(
    recipe: Recipe,
    chosen: Mapping[str, np.ndarray],
    factors: Sequence[Factor],
    shares: Mapping[str, Shares],
    rows: Sequence[Row],
    size: tuple[int, int],
) -> Recipe:
    """Return `recipe` with the fitted values: together in a joint table, alone as an empirical distribution.

    `factors` that were fitted become tables of people and of frames, out of `rows` that the recipe drew. Unless the
    recipe says how it is sampled, it is by a Sobol sequence, so that few frames have these distributions too.
    """
    changes: dict[str, Any] = {}
    tables = []
    for group in dict.fromkeys(knob.group for knob in KNOBS):
        knobs = [knob for knob in KNOBS if knob.group == group and knob.path in chosen]
        steps = [_jitter(chosen[knob.path]) for knob in knobs]
        columns = [_inside(knob.path, chosen[knob.path], step) for knob, step in zip(knobs, steps, strict=True)]
        if len(knobs) == 1:
            changes[knobs[0].path] = Empirical(tuple(columns[0]), steps[0]).to_data()
        elif knobs:
            tables.append(
                Joint(tuple(knob.path for knob in knobs), tuple(zip(*columns, strict=True)), tuple(steps)).to_data()
            )
    for person in (True, False):
        members = [factor for factor in factors if factor.person == person]
        if members:
            weights = rake(rows, [(factor, shares[factor.name]) for factor in members])
            tables.append(table(rows, members, weights, tuple(chosen)))
    changes |= {path: "auto" for joint in tables for path in joint["fields"]}
    width = float(columns_of(rows, ["image.width"])["image.width"][0])
    changes["image.height"] = max(16, round(width * size[0] / size[1]))
    data = _with(recipe, _counted_from_head(recipe, changes), name=f"{recipe.name}_matched").to_data()
    data["joint"] = data.get("joint", []) + tables
    data["sampling"] = "sobol" if recipe.sampling == "independent" else recipe.sampling
    return Recipe.from_data(data, where=f"{recipe.name}, matched")


def _jitter(values: np.ndarray) -> float:
    """Return the half-width that fills the gaps between values: a rule of thumb for kernels (Silverman), of half."""
    return short(0.5 * values.std() * len(values) ** -0.2)


def _inside(path: str, values: np.ndarray, step: float) -> list[float]:
    """Return values rounded and so far inside the parameter's limits that jitter stays there."""
    spec, _ = parameters()[path]
    low = -math.inf if spec.low is None else spec.low + step
    high = math.inf if spec.high is None else spec.high - step
    return [min(max(short(value), low), high) for value in values.tolist()]


def _notes(real: Real, count: int, fits: Mapping[str, Fit], shares: Mapping[str, Shares]) -> list[str]:
    notes = []
    if real.unreadable:
        notes.append(f"{len(real.unreadable)} real pictures cannot be read; the first: {real.unreadable[0]}")
    if not any(fit.after for fit in (*fits.values(), *shares.values())):
        notes.append("no parameter could be fitted: the recipe is as it was; make more renders, or give other pictures")
    unsure = [fit.path for fit in fits.values() if "would be known" in fit.why]
    unsure += [fit.name for fit in shares.values() if "would be known" in fit.why]
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
    for found in matched.shares.values():
        if found.after and found.low and found.high:
            each = zip(found.classes, found.before, found.after, found.low, found.high, strict=True)
            parts = [f"{name} {a:.2f} -> {b:.2f} [{low:.2f}, {high:.2f}]" for name, a, b, low, high in each]
            lines.append(f"# shares of {found.name}: {', '.join(parts)}, R2 {found.score:.2f}")
        else:
            parts = [f"{name} {share:.2f}" for name, share in zip(found.classes, found.before, strict=True)]
            lines.append(f"# shares of {found.name}: {', '.join(parts)}, {found.why}")
    lines += [f"# {note}" for note in matched.notes]
    return "\n".join([*lines, yaml.safe_dump(matched.recipe.to_data(), sort_keys=False, default_flow_style=None)])
