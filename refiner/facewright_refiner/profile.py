"""Profiles: what kind of camera, as YAML. A key of `sensor` is a distribution in recipe syntax (facewright.dist).

::

    version: 1
    name: my_webcam
    about: where the numbers come from
    sensor:
      px_per_mm: {log_uniform: [1.0, 2.5]}
      jpeg: {uniform: [60, 95]}
    grades: [[0.43, 0.17, -0.06, 0.03, 0.11, 0.04], ...]    # of real pictures: each frame is finished like one
    view: {crop: 1.0, width: 80, height: 48}     # how the real data set crops and scales; for comparing only

A key that is silent, or `auto`, is neutral (see parameters.py): an empty `sensor` is the ideal camera. A row of
`grades` is mean and deviation of luma, of blue minus luma and of red minus luma (parameters.Grade), measured on a whole
picture of the real set, and so on the `crop` of a frame.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from facewright import dist
from facewright import recipe as recipes
from facewright.errors import AssetError, MissingPackage, RecipeError
from facewright.rng import uniforms
from facewright_refiner.parameters import Grade, SensorParams, default_of, parameters, stream_name

VERSION = 1
MAX_BYTES = 1_000_000
GRADES = 3
"""Rows that are drawn for a frame, of which it takes the nearest. One would grade anybody as anybody; of many, all
frames would take the commonest."""
_KEYS = ("version", "name", "about", "sensor", "grades", "view", "fit")


@dataclass(frozen=True)
class View:
    """How a data set shows its subject: the middle `crop` of the picture's width, scaled to width x height px.

    Zero width and height keep the picture's own size. Views are for comparing pictures; a refined frame keeps its size.
    """

    crop: float = 1.0
    width: int = 0
    height: int = 0

    @staticmethod
    def from_data(data: Any) -> View:
        """Return the view that profile `data` means."""
        if not isinstance(data, dict):
            raise RecipeError(f"view: expected crop, width and height, got {data!r}")
        limits = {"crop": (0.05, 1.0), "width": (0, 4096), "height": (0, 4096)}
        values: dict[str, Any] = {}
        for key, value in data.items():
            if key not in limits:
                raise RecipeError(f"view: unknown key {key!r}{dist.nearest(key, list(limits))}")
            low, high = limits[key]
            spec = dist.Param(dist.Constant(0), low, high, (), "", "", "")
            values[key] = spec.check(value, "float" if key == "crop" else "int", f"view.{key}")
        view = View(**values)
        if (view.width == 0) != (view.height == 0):
            raise RecipeError("view: give both width and height, or neither")
        return view


@dataclass(frozen=True)
class Profile:
    """A validated profile. `dists` holds the parameters that are not neutral, in the order of SensorParams."""

    name: str
    about: str = ""
    dists: Mapping[str, dist.Dist] = field(default_factory=dict)
    view: View = View()
    fit: Mapping[str, Any] = field(default_factory=dict)
    grades: tuple[tuple[float, ...], ...] = ()

    @property
    def digest(self) -> str:
        """Content hash (16 hex digits): equal for profiles that draw equal parameters."""
        text = json.dumps({name: item.to_data() for name, item in self.dists.items()}, sort_keys=True)
        if self.grades:
            text += json.dumps([self.view.crop, self.grades])
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def within_view(self) -> Profile:
        """Return the profile for pictures that are in its view already, which it need not crop to grade them."""
        return replace(self, view=View())

    @staticmethod
    def load(source: str | Path) -> Profile:
        """Return the profile that `source` names: a built-in name or a .yaml/.yml file.

        Raises AssetError where there is no such profile, RecipeError where it cannot mean what it says.
        """
        text = _read(source)
        try:
            return Profile.from_data(recipes.parse_yaml(text, str(source)))
        except RecipeError as error:
            message = str(error)
            raise RecipeError(message if message.startswith(f"{source}:") else f"{source}: {message}") from None

    @staticmethod
    def from_data(data: Any) -> Profile:
        """Return the profile that plain `data` means."""
        if not isinstance(data, dict):
            raise RecipeError(f"a profile is a mapping of sections, got {type(data).__name__}")
        for key in data:
            if key not in _KEYS:
                raise RecipeError(f"unknown key {key!r}{dist.nearest(key, _KEYS)}")
        if data.get("version") != VERSION:
            raise RecipeError(f"version: this Facewright reads profile version {VERSION}, got {data.get('version')!r}")
        words = {key: data.get(key, default) for key, default in (("name", "unnamed"), ("about", ""))}
        for key, value in words.items():
            if not isinstance(value, str):
                raise RecipeError(f"{key}: expected a text, got {value!r}")
        fit = data.get("fit", {})
        if not isinstance(fit, dict):
            raise RecipeError(f"fit: expected the report of fit-sensor, got {fit!r}")
        return Profile(
            words["name"],
            " ".join(words["about"].split()),
            _distributions(data.get("sensor", {})),
            View.from_data(data.get("view", {})),
            fit,
            _grades(data.get("grades", [])),
        )

    def to_data(self) -> dict[str, Any]:
        """Return the profile as plain data that `from_data` reads back to an equal profile."""
        data: dict[str, Any] = {"version": VERSION, "name": self.name, "about": self.about}
        data["sensor"] = {name: item.to_data() for name, item in self.dists.items()}
        if self.grades:
            data["grades"] = [list(row) for row in self.grades]
        if self.view != View():
            data["view"] = {"crop": self.view.crop, "width": self.view.width, "height": self.view.height}
        if self.fit:
            data["fit"] = dict(self.fit)
        return data

    def to_yaml(self) -> str:
        """Return the profile as a YAML text."""
        try:
            import yaml
        except ImportError:
            raise MissingPackage(
                "writing a profile needs the package pyyaml; run `python -m pip install pyyaml`"
            ) from None
        return yaml.safe_dump(self.to_data(), sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)


def builtin_profiles() -> tuple[str, ...]:
    """Return the names of the profiles that ship with Facewright."""
    folder = resources.files("facewright_refiner") / "profiles"
    return tuple(sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".yaml")))


def draw(profile: Profile, seed: int, index: int, *, px_per_mm: float = 0.0, attempt: int = 0) -> SensorParams:
    """Return the camera of frame `index` under `seed`: a pure function of its arguments.

    `px_per_mm` is the frame's own resolution at the subject (0 = unknown); the sensor's is never finer than it.
    """
    values: dict[str, Any] = {}
    for name, (spec, kind) in parameters().items():
        chosen = profile.dists.get(name) or default_of(name)
        u = uniforms(seed, index, stream_name(name, attempt), chosen.width)
        values[name] = spec.check(chosen.draw(u), kind, name)
    wanted = values["px_per_mm"]
    scale = min(1.0, wanted / px_per_mm) if wanted and px_per_mm else 1.0
    return SensorParams(
        **values,
        scale=scale,
        seed=seed,
        index=index,
        attempt=attempt,
        grades=_drawn_grades(profile, seed, index, attempt),
    )


def _drawn_grades(profile: Profile, seed: int, index: int, attempt: int) -> tuple[Grade, ...]:
    if not profile.grades:
        return ()
    drawn = uniforms(seed, index, stream_name("grade", attempt), GRADES)
    rows = [profile.grades[int(u * len(profile.grades))] for u in drawn]
    return tuple(Grade((r[0], r[2], r[4]), (r[1], r[3], r[5]), profile.view.crop) for r in rows)


def _grades(data: Any) -> tuple[tuple[float, ...], ...]:
    """Return the rows that profile `data` means. Raises RecipeError."""
    if not isinstance(data, list):
        raise RecipeError(f"grades: expected a list of rows, got {data!r}")
    means, deviations = (dist.Param(dist.Constant(0), low, 1, (), "", "", "") for low in (-1, 0))
    rows = []
    for n, row in enumerate(data):
        if not isinstance(row, list) or len(row) != 6:
            raise RecipeError(f"grades[{n}]: expected mean and deviation of three channels, 6 numbers, got {row!r}")
        specs = (means, deviations) * 3
        rows.append(tuple(spec.check(x, "float", f"grades[{n}][{k}]") for k, (spec, x) in enumerate(zip(specs, row))))
    return tuple(rows)


def _distributions(data: Any) -> dict[str, dist.Dist]:
    if not isinstance(data, dict):
        raise RecipeError(f"sensor: expected parameters and their distributions, got {data!r}")
    table = parameters()
    for key in data:
        if key not in table:
            raise RecipeError(f"sensor: unknown key {key!r}{dist.nearest(key, list(table))}")
    found: dict[str, dist.Dist] = {}
    for name, (spec, kind) in table.items():
        chosen = dist.parse(data.get(name), f"sensor.{name}")
        if chosen is not None:
            for value in chosen.support():
                spec.check(value, kind, f"sensor.{name}")
            found[name] = chosen
    return found


def _read(source: str | Path) -> str:
    name = str(source)
    if name in builtin_profiles():
        return (resources.files("facewright_refiner") / "profiles" / f"{name}.yaml").read_text(encoding="utf-8")
    path = Path(source)
    options = builtin_profiles()
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise AssetError(
            f"no built-in profile {name!r}{dist.nearest(name, options)} (there are {', '.join(options)}, "
            "or give a .yaml file)"
        )
    try:
        if path.stat().st_size > MAX_BYTES:
            raise AssetError(f"{path}: is larger than {MAX_BYTES:,} bytes; this is not a profile")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise AssetError(
            f"{path}: no such file; give a built-in profile ({', '.join(options)}) or a file that exists"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise AssetError(f"{path}: cannot be read as text ({error}); check the file") from None
