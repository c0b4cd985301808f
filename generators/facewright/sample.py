"""A Sample: one frozen, JSON-able description of one frame, a pure function of (recipe, seed, index).

The dataclasses below are the tree that recipes and samples share: `subject.eye.pupil_mm` in a recipe is a
distribution, in a sample a number. Every leaf has its own named random stream (`rng.py`), so index i does not depend
on i - 1, on the number of workers, on the Blender version, or on which other leaves exist.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from facewright import dist, rng, sampling, schema
from facewright.errors import DatasetError, RecipeError, UserError
from facewright.eye.parameters import Eye
from facewright.face.parameters import Expression, Hair, Head, MakeUp, Mouth, Skin, Wear
from facewright.world.parameters import Backdrop, Camera, Gaze, Image, Light, Pose

if TYPE_CHECKING:
    from facewright.recipe import Recipe


@dataclass(frozen=True)
class Subject:
    """A person: what several frames may share."""

    head: Head
    skin: Skin
    make_up: MakeUp
    eye: Eye
    mouth: Mouth
    hair: Hair
    wear: Wear


@dataclass(frozen=True)
class Sample:
    """One frame, complete: build it anywhere and get the same labels."""

    schema: str
    recipe: str
    scene: str
    seed: int
    index: int
    subject_index: int
    subject: Subject
    expression: Expression
    gaze: Gaze
    pose: Pose
    camera: Camera
    light: Light
    backdrop: Backdrop
    image: Image

    def to_data(self) -> dict[str, Any]:
        """Return the sample as JSON-able data; `from_data` is its inverse."""
        return _plain(self)

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Sample:
        """Return the sample that `to_data` wrote. Raises DatasetError where the data is not of this schema."""
        try:
            built = _build(Sample, dict(data))
            _require_values(built)
            return built
        except (KeyError, TypeError, ValueError, RecipeError) as error:
            raise DatasetError(f"sample data does not fit label schema {schema.VERSION}: {error}") from None

    def replace(self, changes: Mapping[str, Any]) -> Sample:
        """Return a copy with fields changed by dotted path, e.g. {"gaze.yaw_deg": 10.0}; values are validated."""
        data = self.to_data()
        for path, value in changes.items():
            data_at(data, path)
            spec, kind = parameters()[path]
            node = data
            *folders, leaf = path.split(".")
            for folder in folders:
                node = node[folder]
            node[leaf] = spec.check(value, kind, path)
        return Sample.from_data(data)


DRAWN = ("subject", "light", "backdrop", "expression", "gaze", "pose", "camera", "image")
"""Sections of a Sample that a recipe draws, in this order: a Given may look at what was drawn before it."""


@cache
def parameters() -> dict[str, tuple[dist.Param, str]]:
    """Return every drawn leaf in drawing order: dotted path -> (Param, kind in float|int|str|bool|vector)."""
    hints = typing.get_type_hints(Sample)
    table: dict[str, tuple[dist.Param, str]] = {}
    for section in DRAWN:
        table |= _leaves(hints[section], section)
    return table


def sample(recipe: Recipe, seed: int, index: int) -> Sample:
    """Return frame `index` (>= 0) of `recipe` under `seed`.

    Frames index // frames_per_subject share all of `subject`. Raises UserError for a negative seed or index.
    """
    if seed < 0 or index < 0:
        raise UserError(f"seed and index must be >= 0, got seed {seed} and index {index}")
    subject_index = index // recipe.frames_per_subject
    if recipe.sampling == "rare_first":
        values = _drawn(recipe, seed, _rare(recipe, seed, subject_index, True), _rare(recipe, seed, index, False))
    else:
        values = _drawn(recipe, seed, subject_index, index)
    tree: dict[str, Any] = {}
    for path, value in values.items():
        node = tree
        *folders, leaf = path.split(".")
        for folder in folders:
            node = node.setdefault(folder, {})
        node[leaf] = value
    head = {
        "schema": schema.VERSION,
        "recipe": recipe.digest,
        "scene": recipe.scene,
        "seed": seed,
        "index": index,
        "subject_index": subject_index,
    }
    return Sample.from_data(head | tree)


def _drawn(recipe: Recipe, seed: int, subject_index: int, index: int) -> dict[str, Any]:
    """Return the value of every leaf by dotted path, drawn at `subject_index` for `subject.*` and else at `index`."""

    def uniforms(name: str, is_subject: bool, width: int) -> tuple[float, ...]:
        place = subject_index if is_subject else index
        u = rng.uniforms(seed, place, name, width)
        return sampling.spread(seed, place, name, u) if recipe.sampling == "sobol" else u

    values: dict[str, Any] = {}
    joint: dict[str, Any] = {}
    for table in recipe.joints:
        u = uniforms("joint:" + ",".join(table.fields), table.fields[0].startswith("subject."), table.width)
        joint |= dict(zip(table.fields, table.draw(u), strict=True))
    for path, (spec, kind) in parameters().items():
        chosen = recipe.dists.get(path) or spec.default
        if path in joint:
            value = joint[path]
        else:
            u = uniforms(_stream_name(path), path.startswith("subject."), chosen.width)
            value = chosen.function(values, u) if isinstance(chosen, dist.Given) else chosen.draw(u)
        values[path] = _rounded(tuple(value) if kind == "vector" else spec.check(value, kind, path))
    return values


@dataclass(frozen=True)
class _Pool:
    """The draws of which rare_first takes one block: of people, or of frames."""

    digest: str
    seed: int
    block: int
    people: bool
    recipe: Recipe = dataclasses.field(compare=False)


def _rare(recipe: Recipe, seed: int, index: int, people: bool) -> int:
    """Return the index of the draw that rare_first gives to person or frame `index`."""
    block, place = divmod(index, sampling.BLOCK)
    return block * sampling.POOL + _rarest(_Pool(recipe.digest, seed, block, people, recipe))[place]


@lru_cache(maxsize=8)
def _rarest(pool: _Pool) -> list[int]:
    fields = [path for path in parameters() if _stream_name(path) in sampling.SPREAD + sampling.SPREAD_SUBJECT]
    fields = [path for path in fields if path.startswith("subject.") == pool.people]
    first = pool.block * sampling.POOL
    draws = [_drawn(pool.recipe, pool.seed, n, n) for n in range(first, first + sampling.POOL)]
    return sampling.farthest_first(sampling.as_points([{p: row[p] for p in fields} for row in draws]), sampling.BLOCK)


DIGITS = 9
"""Significant digits of a drawn number: C libraries differ in the last ones, and samples must not."""


def _rounded(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_rounded, value))
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


SHARED_STREAMS = {
    "subject.head.african": "subject.head.ancestry",
    "subject.head.asian": "subject.head.ancestry",
    "subject.head.caucasian": "subject.head.ancestry",
}
"""Leaves that are drawn from one stream because they are one decision."""


def _stream_name(path: str) -> str:
    return SHARED_STREAMS.get(path, path)


def _require_values(built: Sample) -> None:
    """Raise RecipeError or TypeError unless every leaf is what its parameter may be."""
    for name in ("schema", "recipe", "scene"):
        if not isinstance(getattr(built, name), str):
            raise TypeError(f"{name} is {getattr(built, name)!r}")
    for name in ("seed", "index", "subject_index"):
        value = getattr(built, name)
        if not isinstance(value, int) or value < 0:
            raise TypeError(f"{name} is {value!r}")
    for path, (spec, kind) in parameters().items():
        value: Any = built
        for part in path.split("."):
            value = getattr(value, part)
        spec.check(value, kind, path)


def data_at(data: Mapping[str, Any], path: str) -> Any:
    """Return the leaf at dotted `path` of sample data; UserError names the nearest valid path."""
    if path not in parameters():
        raise UserError(f"unknown sample field {path!r}{dist.nearest(path, list(parameters()))}")
    node: Any = data
    for part in path.split("."):
        node = node[part]
    return node


def _leaves(cls: type, prefix: str) -> dict[str, tuple[dist.Param, str]]:
    hints = typing.get_type_hints(cls)
    table: dict[str, tuple[dist.Param, str]] = {}
    for field in dataclasses.fields(cls):
        path = f"{prefix}.{field.name}"
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            table |= _leaves(typing.cast(type, kind), path)
        else:
            table[path] = (field.metadata["param"], "vector" if kind not in (float, int, str, bool) else kind.__name__)
    return table


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return list(value) if isinstance(value, tuple) else value


_kinds = cache(typing.get_type_hints)


def _build(cls: type, data: dict[str, Any]) -> Any:
    hints = _kinds(cls)
    unknown = set(data) - {field.name for field in dataclasses.fields(cls)}
    if unknown:
        raise TypeError(f"unknown field {sorted(unknown)[0]!r} in {cls.__name__}")
    built = {}
    for field in dataclasses.fields(cls):
        value = data[field.name]
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            value = _build(typing.cast(type, kind), value)
        elif kind not in (float, int, str, bool):
            value = tuple(value)
        built[field.name] = value
    return cls(**built)
