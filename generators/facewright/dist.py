"""Distributions as inverse CDFs, and `param`, which declares a drawn field of a Sample.

`dist.draw(u)` maps `dist.width` uniforms in [0, 1) to a value. Nothing here holds random state.

In a recipe a distribution is plain data::

    pupil_mm: 4.2                                             # Constant
    pupil_mm: {uniform: [2, 8]}
    pupil_mm: {normal: {mean: 4.2, sd: 1.0, low: 2, high: 8}}
    pupil_mm: {log_uniform: [2, 8]}
    target:   {choice: {left_eye: 1, right_eye: 1}}           # or a list: equal weights
    pupil_mm: {empirical: {values: [3.1, 3.3, 4.0], jitter: 0.1}}
    pupil_mm: auto                                            # what the built-in joint model says

`joint` distributions draw several fields at once and stand at the top of a recipe (see `recipe.py`).
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Protocol

from facewright.errors import RecipeError

Value = Any
_STANDARD_NORMAL = NormalDist()


class Dist(Protocol):
    """A distribution: `width` uniforms in, one value out."""

    @property
    def width(self) -> int:
        """Number of uniforms that one draw consumes."""
        ...

    def draw(self, u: Sequence[float]) -> Value:
        """Return the value at the quantiles `u`, a sequence of `width` floats in [0, 1)."""
        ...

    def support(self) -> tuple[Value, ...]:
        """Return values whose validity implies the validity of every draw: bounds, or all the choices."""
        ...

    def to_data(self) -> Any:
        """Return the distribution as recipe data."""
        ...


@dataclass(frozen=True)
class Constant:
    """Always the same value."""

    value: Value
    width = 0

    def draw(self, u: Sequence[float]) -> Value:
        return self.value

    def support(self) -> tuple[Value, ...]:
        return (self.value,)

    def to_data(self) -> Any:
        return list(self.value) if isinstance(self.value, tuple) else self.value


@dataclass(frozen=True)
class Uniform:
    """Uniform on [low, high)."""

    low: float
    high: float
    width = 1

    def __post_init__(self) -> None:
        _require(self.low <= self.high, f"uniform: low {self.low:g} is above high {self.high:g}; swap them")

    def draw(self, u: Sequence[float]) -> float:
        return self.low + (self.high - self.low) * u[0]

    def support(self) -> tuple[Value, ...]:
        return (self.low, self.high)

    def to_data(self) -> Any:
        return {"uniform": [self.low, self.high]}


@dataclass(frozen=True)
class LogUniform:
    """Uniform in the logarithm on [low, high), both positive."""

    low: float
    high: float
    width = 1

    def __post_init__(self) -> None:
        _require(0 < self.low <= self.high, f"log_uniform: needs 0 < low <= high, got [{self.low:g}, {self.high:g}]")

    def draw(self, u: Sequence[float]) -> float:
        return self.low * math.exp(math.log(self.high / self.low) * u[0])

    def support(self) -> tuple[Value, ...]:
        return (self.low, self.high)

    def to_data(self) -> Any:
        return {"log_uniform": [self.low, self.high]}


@dataclass(frozen=True)
class Normal:
    """Normal truncated to [low, high] (by quantile, not by rejection)."""

    mean: float
    sd: float
    low: float
    high: float
    width = 1

    def __post_init__(self) -> None:
        _require(self.sd >= 0, f"normal: sd {self.sd:g} is negative; give a standard deviation >= 0")
        _require(self.low <= self.high, f"normal: low {self.low:g} is above high {self.high:g}; swap them")
        far = max(self.low - self.mean, self.mean - self.high)
        _require(
            far <= 6 * self.sd or self.sd == 0,
            f"normal: [{self.low:g}, {self.high:g}] lies over 6 sd from the mean {self.mean:g}; move one",
        )

    def draw(self, u: Sequence[float]) -> float:
        if self.sd == 0:
            return min(max(self.mean, self.low), self.high)
        first = _STANDARD_NORMAL.cdf((self.low - self.mean) / self.sd)
        last = _STANDARD_NORMAL.cdf((self.high - self.mean) / self.sd)
        quantile = min(max(first + (last - first) * u[0], 1e-12), 1 - 1e-12)
        return min(max(self.mean + self.sd * _STANDARD_NORMAL.inv_cdf(quantile), self.low), self.high)

    def support(self) -> tuple[Value, ...]:
        return (self.low, self.high)

    def to_data(self) -> Any:
        return {"normal": {"mean": self.mean, "sd": self.sd, "low": self.low, "high": self.high}}


@dataclass(frozen=True)
class Choice:
    """One of `values` with probability proportional to `weights`."""

    values: tuple[Value, ...]
    weights: tuple[float, ...]
    width = 1

    def __post_init__(self) -> None:
        _require(len(self.values) > 0, "choice: is empty; name at least one value")
        _require(len(self.values) == len(self.weights), "choice: needs one weight for each value")
        for value, weight in zip(self.values, self.weights, strict=True):
            good = math.isfinite(weight) and weight >= 0
            _require(good, f"choice: weight {weight!r} of {value!r} must be a number >= 0")
        _require(sum(self.weights) > 0, "choice: all weights are zero; give one of them a positive weight")

    def draw(self, u: Sequence[float]) -> Value:
        mark = u[0] * sum(self.weights)
        for value, weight in zip(self.values, self.weights, strict=True):
            mark -= weight
            if mark < 0:
                return value
        return next(v for v, w in zip(self.values[::-1], self.weights[::-1], strict=True) if w > 0)

    def support(self) -> tuple[Value, ...]:
        return self.values

    def to_data(self) -> Any:
        if all(isinstance(value, str) for value in self.values):
            return {"choice": dict(zip(self.values, self.weights, strict=True))}
        return {"choice": {"values": list(self.values), "weights": list(self.weights)}}


@dataclass(frozen=True)
class Empirical:
    """A measured sample: a quantile of the sorted `values`, plus triangular jitter of half-width `jitter`."""

    values: tuple[float, ...]
    jitter: float = 0.0
    width = 2

    def __post_init__(self) -> None:
        _require(len(self.values) > 0, "empirical: is empty; give at least one measured value")
        _require(self.jitter >= 0, f"empirical: jitter {self.jitter:g} is negative")
        object.__setattr__(self, "values", tuple(sorted(self.values)))

    def draw(self, u: Sequence[float]) -> float:
        value = self.values[int(u[0] * len(self.values))]
        spread = math.sqrt(2 * u[1]) - 1 if u[1] < 0.5 else 1 - math.sqrt(2 * (1 - u[1]))
        return value + self.jitter * spread

    def support(self) -> tuple[Value, ...]:
        return (self.values[0] - self.jitter, self.values[-1] + self.jitter)

    def to_data(self) -> Any:
        return {"empirical": {"values": list(self.values), "jitter": self.jitter}}


@dataclass(frozen=True)
class Joint:
    """Rows of jointly measured `fields` (dotted paths): one row is drawn, with optional jitter per column."""

    fields: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    jitter: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _require(len(self.fields) > 0 and len(self.rows) > 0, "joint: needs at least one field and one row")
        for number, row in enumerate(self.rows):
            wanted = len(self.fields)
            _require(len(row) == wanted, f"joint: row {number} has {len(row)} values for {wanted} fields")
        _require(len(self.jitter) in (0, len(self.fields)), "joint: jitter needs one number for each field")

    @property
    def width(self) -> int:
        """One uniform for the row and one for each column's jitter."""
        return 1 + len(self.fields)

    def draw(self, u: Sequence[float]) -> tuple[Value, ...]:
        row = self.rows[int(u[0] * len(self.rows))]
        if not self.jitter:
            return row
        spread = (
            value + step * (2 * v - 1) if step else value
            for value, step, v in zip(row, self.jitter, u[1:], strict=True)
        )
        return tuple(spread)

    def support(self) -> tuple[Value, ...]:
        return self.rows

    def to_data(self) -> Any:
        return {"fields": list(self.fields), "rows": [list(row) for row in self.rows], "jitter": list(self.jitter)}


@dataclass(frozen=True)
class Given:
    """A conditional distribution: `function(values, u)` sees the fields drawn before it, by dotted path.

    The joint assumptions of the house (age with grey hair, melanin of skin with iris) are all written this way, so
    a reader finds them by searching for `Given`.
    """

    function: Callable[[Mapping[str, Value], Sequence[float]], Value]
    width: int = 1


AUTO = "auto"


@dataclass(frozen=True)
class Param:
    """What a drawn field may be: its default distribution, hard limits, unit and meaning.

    `sizes` are the lengths that a vector may have; None: as long as its default.
    """

    default: Dist | Given
    low: float | None
    high: float | None
    choices: tuple[Value, ...]
    unit: str
    doc: str
    source: str
    sizes: range | None = None

    def check(self, value: Value, kind: str, path: str) -> Value:
        """Return `value` as type `kind`, or raise a RecipeError that names `path`."""
        if kind == "vector":
            sizes = self.sizes or range(self.default.width, self.default.width + 1)
            words = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]}, {sizes[1]}, ... {sizes[-1]}"
            found = f"{len(value)} of them" if isinstance(value, tuple | list) else repr(value)
            good = isinstance(value, tuple | list) and len(value) in sizes
            _require(good, f"{path}: expected a list of {words} numbers, got {found}")
            return tuple(self.check(item, "float", f"{path}[{k}]") for k, item in enumerate(value))
        if kind == "bool":
            _require(isinstance(value, bool), f"{path}: expected true or false, got {value!r}")
            return value
        if kind == "str":
            _require(isinstance(value, str), f"{path}: expected a word, got {value!r}")
            if self.choices and value not in self.choices:
                hint = nearest(value, self.choices)
                raise RecipeError(f"{path}: {value!r} is not one of {', '.join(self.choices)}{hint}")
            return value
        number = isinstance(value, int | float) and not isinstance(value, bool)
        _require(number and math.isfinite(value), f"{path}: expected a finite number, got {value!r}")
        if kind == "int":
            _require(value == int(value), f"{path}: expected a whole number, got {value!r}")
            value = int(value)
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        unit = f" {self.unit}" if self.unit else ""
        _require(low <= value <= high, f"{path}: {value:g}{unit} is outside [{low:g}, {high:g}]{unit}")
        return float(value) if kind == "float" else value


def param(
    default: Dist | Given | Value,
    low: float | None = None,
    high: float | None = None,
    *,
    choices: Sequence[Value] = (),
    unit: str = "",
    doc: str,
    source: str = "",
    sizes: range | None = None,
) -> Any:
    """Declare a drawn dataclass field: the one place that states its distribution, limits, unit and source."""
    if not hasattr(default, "width"):
        default = Constant(default)
    spec = Param(default, low, high, tuple(choices), unit, doc, source, sizes)
    return dataclasses.field(metadata={"param": spec})


def choice(*values: Value, **weighted: float) -> Choice:
    """Return a Choice of equally likely `values`, or of `name=weight` pairs."""
    if weighted:
        return Choice(tuple(weighted), tuple(weighted.values()))
    return Choice(values, (1.0,) * len(values))


_LISTS: dict[str, Callable[[float, float], Dist]] = {"uniform": Uniform, "log_uniform": LogUniform}
_NAMES = ("uniform", "log_uniform", "normal", "choice", "empirical")


def parse(data: Any, path: str) -> Dist | None:
    """Return the distribution that recipe `data` at `path` means; None means `auto`.

    Raises RecipeError, naming `path`, for anything that is not a distribution.
    """
    if data is None or data == AUTO:
        return None
    if isinstance(data, list):
        return Constant(tuple(_freeze(item) for item in data))
    if not isinstance(data, dict):
        return Constant(data)
    if len(data) != 1:
        raise RecipeError(f"{path}: a distribution has exactly one key out of {', '.join(_NAMES)}, got {sorted(data)}")
    ((name, body),) = data.items()
    if name not in _NAMES:
        raise RecipeError(f"{path}: unknown key {name!r}{nearest(name, _NAMES)}")
    try:
        return _parse_body(name, body)
    except RecipeError as error:
        raise RecipeError(f"{path}.{error}") from None


def _parse_body(name: str, body: Any) -> Dist:
    if name in _LISTS:
        _require(isinstance(body, list) and len(body) == 2, f"{name}: expected [low, high], got {body!r}")
        low, high = (_number(item, name) for item in body)
        return _LISTS[name](low, high)
    if name == "normal":
        _keys(name, body, {"mean", "sd"}, {"low", "high"})
        mean, sd = _number(body["mean"], "normal.mean"), _number(body["sd"], "normal.sd")
        low = _number(body.get("low", mean - 3 * abs(sd)), "normal.low")
        high = _number(body.get("high", mean + 3 * abs(sd)), "normal.high")
        return Normal(mean, sd, low, high)
    if name == "empirical":
        if isinstance(body, list):
            body = {"values": body}
        _keys(name, body, {"values"}, {"jitter"})
        _require(isinstance(body["values"], list), "empirical.values: expected a list of numbers")
        values = tuple(_number(item, f"empirical.values[{i}]") for i, item in enumerate(body["values"]))
        return Empirical(values, _number(body.get("jitter", 0.0), "empirical.jitter"))
    if isinstance(body, list):
        return Choice(tuple(_freeze(item) for item in body), (1.0,) * len(body))
    _require(isinstance(body, dict), f"choice: expected a list or value: weight pairs, got {body!r}")
    if set(body) == {"values", "weights"}:
        _require(all(isinstance(body[key], list) for key in body), "choice: values and weights must be lists")
        weights = tuple(_number(item, f"choice.weights[{i}]") for i, item in enumerate(body["weights"]))
        return Choice(tuple(_freeze(item) for item in body["values"]), weights)
    return Choice(tuple(body), tuple(_number(weight, f"choice.{value}") for value, weight in body.items()))


def parse_joint(data: Any, path: str) -> Joint:
    """Return the joint table of recipe `data` at `path`."""
    try:
        _keys("joint", data, {"fields", "rows"}, {"jitter"})
        _require(isinstance(data["fields"], list), "joint.fields: expected a list of dotted paths")
        rows = data["rows"]
        _require(isinstance(rows, list) and all(isinstance(row, list) for row in rows), "joint.rows: expected lists")
        jitter = tuple(_number(item, f"joint.jitter[{i}]") for i, item in enumerate(data.get("jitter", [])))
        return Joint(tuple(data["fields"]), tuple(tuple(row) for row in rows), jitter)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


def nearest(word: object, options: Sequence[str]) -> str:
    """Return "; did you mean 'x'?" for the option nearest to `word`, or ""."""
    found = difflib.get_close_matches(str(word), list(options), n=1, cutoff=0.5)
    return f"; did you mean {found[0]!r}?" if found else ""


def _require(good: bool, message: str) -> None:
    if not good:
        raise RecipeError(message)


def _number(item: Any, where: str) -> float:
    good = isinstance(item, int | float) and not isinstance(item, bool) and math.isfinite(item)
    _require(good, f"{where}: expected a finite number, got {item!r}")
    return item


def _keys(name: str, body: Any, needed: set[str], optional: set[str]) -> None:
    _require(isinstance(body, dict), f"{name}: expected keys {', '.join(sorted(needed))}, got {body!r}")
    for key in body:
        allowed = sorted(needed | optional)
        _require(key in allowed, f"{name}: unknown key {key!r}{nearest(key, allowed)}")
    for key in sorted(needed):
        _require(key in body, f"{name}: needs the key {key!r}")


def _freeze(item: Any) -> Any:
    return tuple(_freeze(part) for part in item) if isinstance(item, list) else item
