"""Recipes: what may exist, as YAML or JSON.

A recipe is a tree with the shape of a Sample whose leaves are distributions (`dist.py`), plus a few settings::

    name: my_eyes
    extends: eye_rgb              # a built-in recipe or a file; its leaves hold where this one is silent
    frames_per_subject: 4
    sampling: sobol               # or independent, rare_first
    outputs: [seg, depth]
    hdri_folder: ./skies          # joins Blender's own eight maps
    backdrop_folder: ./rooms      # pictures to stand behind the person
    head_folder: ./heads          # head packs: identities of other head models
    subject:
      eye:
        pupil_mm: {uniform: [2, 7]}
    joint:
      - fields: [gaze.yaw_deg, gaze.pitch_deg]
        rows: [[-10, 2], [4, -3]]

Unknown keys are refused with the nearest valid name; every message names the file and the dotted path.
"""

from __future__ import annotations

import hashlib
import json
import stat
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from facewright import dist
from facewright.errors import AssetError, MissingPackage, RecipeError
from facewright.face import packs
from facewright.sample import DRAWN, parameters
from facewright.sampling import METHODS
from facewright.world.lamps import parse_lamps
from facewright.world.parameters import STUDIO_HDRIS

DEFAULT_OUTPUTS = ("linear", "seg", "seg_anatomical", "seg_amodal", "coverage", "matte", "depth", "normal", "glint")
"""Layers of a record where a recipe does not name them; rgb and the JSON truth are always written."""
OUTPUTS = (*DEFAULT_OUTPUTS, "canonical", "albedo")
"""All optional layers of a record."""
SCENES = ("eye", "face")
HDRI_SUFFIXES = (".hdr", ".exr")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
MAX_BYTES = 4_000_000
"""Largest recipe file that is read."""
MAX_DEPTH = 60
"""Deepest nesting of a recipe; ours have five levels."""

_SETTINGS = (
    "name",
    "extends",
    "scene",
    "frames_per_subject",
    "sampling",
    "outputs",
    "hdri_folder",
    "backdrop_folder",
    "head_folder",
    "joint",
)
_FOLDERS = ("hdri_folder", "backdrop_folder", "head_folder")


@dataclass(frozen=True)
class Recipe:
    """A validated recipe. `dists` holds the leaves that differ from the built-in model, by dotted path."""

    name: str
    scene: str = "face"
    frames_per_subject: int = 1
    outputs: tuple[str, ...] = DEFAULT_OUTPUTS
    hdri_folder: Path | None = None
    backdrop_folder: Path | None = None
    head_folder: Path | None = None
    dists: Mapping[str, dist.Dist] = field(default_factory=dict)
    joints: tuple[dist.Joint, ...] = ()
    sampling: str = "independent"

    @property
    def digest(self) -> str:
        """Content hash (16 hex digits): equal for recipes that draw equal samples. The name does not count."""
        data = self.to_data()
        data.pop("name")
        for key in _FOLDERS:  # where files lie does not change which of them is drawn
            data.pop(key, None)
        return hashlib.blake2b(json.dumps(data, sort_keys=True).encode(), digest_size=8).hexdigest()

    @staticmethod
    def load(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
        """Return the recipe that `source` names: a built-in name or a .yaml/.yml/.json file.

        `overrides` are "dotted.path=value" strings, the value in YAML. Raises RecipeError.
        """
        data, folder = _read_with_base(source, ())
        where = str(source)
        for override in overrides:
            path, mark, text = override.partition("=")
            if not mark or not path:
                raise RecipeError(f"--set {override!r}: expected dotted.path=value")
            _put(data, path.strip(), parse_yaml(text, f"--set {path}"), f"--set {path}")
            where = f"{source} with --set"
        return Recipe.from_data(data, where=where, folder=folder)

    @staticmethod
    def from_data(data: Any, *, where: str = "recipe", folder: Path | None = None) -> Recipe:
        """Return the recipe that plain `data` means; relative folders are relative to `folder`."""
        if not isinstance(data, dict):
            raise RecipeError(f"{where}: a recipe is a mapping of sections, got {type(data).__name__}")
        try:
            _require_plain(data)
            return _validate(data, folder or Path())
        except RecipeError as error:
            raise RecipeError(f"{where}: {error}") from None

    def pinned(self, values: Mapping[str, Any]) -> Recipe:
        """Return the recipe with the parameters in `values`, by dotted path, held at these values.

        A joint table that draws one of them goes on drawing its others. Raises RecipeError.
        """
        data = self.to_data() | {"joint": [table.to_data() for table in self._joints_without(values)]}
        for path, value in values.items():
            _put(data, path, list(value) if isinstance(value, tuple) else value, path)
        return Recipe.from_data(data, where=self.name)

    def _joints_without(self, paths: Collection[str]) -> Iterator[dist.Joint]:
        for table in self.joints:
            keep = [column for column, path in enumerate(table.fields) if path not in paths]
            if keep:
                yield dist.Joint(
                    _columns(table.fields, keep),
                    tuple(_columns(row, keep) for row in table.rows),
                    _columns(table.jitter, keep) if table.jitter else (),
                )

    def to_data(self) -> dict[str, Any]:
        """Return the recipe as JSON-able data that `from_data` reads back to an equal recipe."""
        data: dict[str, Any] = {
            "name": self.name,
            "scene": self.scene,
            "frames_per_subject": self.frames_per_subject,
            "outputs": list(self.outputs),
        }
        if self.sampling != "independent":
            data["sampling"] = self.sampling
        for key, folder in zip(_FOLDERS, (self.hdri_folder, self.backdrop_folder, self.head_folder), strict=True):
            if folder:
                data[key] = str(folder)
        if self.joints:
            data["joint"] = [table.to_data() for table in self.joints]
        for path, chosen in self.dists.items():
            _put(data, path, chosen.to_data(), path)
        return data


def _columns(line: Sequence[Any], keep: Sequence[int]) -> tuple[Any, ...]:
    return tuple(line[column] for column in keep)


def builtin_recipes() -> tuple[str, ...]:
    """Return the names of the recipes that ship with Facewright."""
    folder = resources.files("facewright") / "recipes"
    return tuple(sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".yaml")))


def hdri_names(folder: Path | None) -> tuple[str, ...]:
    """Return what `light.hdri` may be: the built-in maps, and the .hdr/.exr files of `folder`."""
    return STUDIO_HDRIS + (_files(folder, "hdri_folder", HDRI_SUFFIXES) if folder else ())


def _files(folder: Path, key: str, suffixes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the files with `suffixes` in the folder of setting `key`, sorted; there must be some."""
    try:
        found = tuple(sorted(item.name for item in folder.iterdir() if item.suffix.lower() in suffixes))
    except OSError as error:
        raise RecipeError(f"{key}: {folder} is not a folder ({error.strerror}); create it or remove the key") from None
    if not found:
        raise RecipeError(f"{key}: {folder} holds no {', '.join(suffixes)} file; add some or remove the key")
    return found


def _folder(data: dict[str, Any], key: str, base: Path) -> Path | None:
    """Return the folder that setting `key` names, relative to `base`."""
    named = data.get(key)
    if named is not None and not isinstance(named, str):
        raise RecipeError(f"{key}: expected a path, got {named!r}")
    return _absolute(base, named, key) if named else None


def _absolute(base: Path, named: str, key: str) -> Path:
    try:
        return (base / named).resolve()
    except (OSError, ValueError, RuntimeError) as error:  # too long, with a zero byte, a link to itself
        raise RecipeError(f"{key}: {named[:80]!r} is not a path ({error})") from None


def _choose_backdrops(folder: Path | None, dists: dict[str, dist.Dist]) -> None:
    """Let the files of `folder` be the backdrops, unless the recipe says which and how often."""
    names = _files(folder, "backdrop_folder", PICTURE_SUFFIXES) if folder else ()
    if names:
        dists.setdefault("backdrop.kind", dist.Constant("picture"))
        dists.setdefault("backdrop.picture", dist.Choice(names, (1.0,) * len(names)))
    wanted = dists["backdrop.picture"].support() if "backdrop.picture" in dists else ("none",)
    if "backdrop.kind" in dists and "picture" in dists["backdrop.kind"].support():
        if not names:
            raise RecipeError("backdrop_folder: backdrop.kind may be 'picture'; set backdrop_folder to their folder")
        for name in wanted:
            if name not in names:
                raise RecipeError(
                    f"backdrop.picture: {name!r} is not in backdrop_folder {folder}{dist.nearest(name, names)}"
                )


def _choose_heads(folder: Path | None, dists: dict[str, dist.Dist]) -> None:
    """Offer the packs of `folder`, and let people have their identities unless the recipe says which and how often."""
    files = _files(folder, "head_folder", (packs.SUFFIX,)) if folder else ()
    names = tuple(Path(name).stem for name in files)
    if folder:
        packs.offer(folder / name for name in files)
        dists.setdefault("subject.head.pack", dist.Choice(names, (1.0,) * len(names)))
    for name in dists["subject.head.pack"].support() if "subject.head.pack" in dists else ():
        if name not in (*names, "none"):
            place = f"head_folder {folder}" if folder else "head_folder; set it to the folder of your head packs"
            raise RecipeError(f"subject.head.pack: {name!r} is not in {place}{dist.nearest(name, names)}")


def _validate(data: dict[str, Any], folder: Path) -> Recipe:
    allowed = [*_SETTINGS, *DRAWN]
    for key in data:
        if key not in allowed:
            raise RecipeError(f"unknown key {key!r}{dist.nearest(key, allowed)}")
    scene = data.get("scene", "face")
    if scene not in SCENES:
        raise RecipeError(f"scene: {scene!r} is not one of {', '.join(SCENES)}{dist.nearest(scene, SCENES)}")
    frames = data.get("frames_per_subject", 1)
    if not isinstance(frames, int) or isinstance(frames, bool) or not 1 <= frames <= 10**6:
        raise RecipeError(f"frames_per_subject: expected a whole number in [1, 1000000], got {frames!r}")
    sampling = data.get("sampling", "independent")
    if sampling not in METHODS:
        raise RecipeError(f"sampling: {sampling!r} is not one of {', '.join(METHODS)}{dist.nearest(sampling, METHODS)}")
    outputs = data.get("outputs", list(DEFAULT_OUTPUTS))
    if not isinstance(outputs, list):
        raise RecipeError(f"outputs: expected a list out of {', '.join(OUTPUTS)}, got {outputs!r}")
    for number, name in enumerate(outputs):
        if name not in OUTPUTS:
            raise RecipeError(f"outputs[{number}]: unknown output {name!r}{dist.nearest(name, OUTPUTS)}")
    skies, rooms, heads = (_folder(data, key, folder) for key in _FOLDERS)
    dists: dict[str, dist.Dist] = {}
    for section in DRAWN:
        if section in data:
            _collect(data[section], section, dists)
    names = hdri_names(skies)
    if skies and "light.hdri" not in dists:
        dists["light.hdri"] = dist.Choice(names, (1.0,) * len(names))
    if "light.hdri" in dists:
        for name in dists["light.hdri"].support():
            if name not in (*names, "none"):
                place = f"hdri_folder {skies}" if skies else "Blender's maps (set hdri_folder to add your own)"
                raise RecipeError(f"light.hdri: {name!r} is not in {place}{dist.nearest(name, names)}")
    _choose_backdrops(rooms, dists)
    _choose_heads(heads, dists)
    if "light.leds" in dists and "list" in dists["light.leds"].support():
        places = dists.get("light.led_positions_mm")
        if places is None or not all(places.support()):
            raise RecipeError("light.led_positions_mm: light.leds may be 'list'; give x, y, z in mm of each LED here")
    for numbers in dists["light.lamps"].support() if "light.lamps" in dists else ():
        parse_lamps(numbers)
    joints = data.get("joint", [])
    if not isinstance(joints, list):
        raise RecipeError("joint: expected a list of tables")
    tables = tuple(dist.parse_joint(item, f"joint[{number}]") for number, item in enumerate(joints))
    for number, table in enumerate(tables):
        _check_joint(table, f"joint[{number}]")
    ordered = {path: dists[path] for path in parameters() if path in dists}
    name = data.get("name", "unnamed")
    if not isinstance(name, str):
        raise RecipeError(f"name: expected a word, got {name!r}")
    chosen = tuple(item for item in OUTPUTS if item in outputs)
    return Recipe(name, scene, frames, chosen, skies, rooms, heads, ordered, tables, sampling)


def _require_plain(node: Any, depth: int = 0) -> None:
    """Raise RecipeError for what JSON cannot hold or no number can be: dates, bytes, half characters, 10**400."""
    if depth > MAX_DEPTH:
        raise RecipeError(f"is nested more than {MAX_DEPTH} deep")
    if isinstance(node, dict):
        for key, child in node.items():
            _require_plain(key, depth + 1)
            _require_plain(child, depth + 1)
    elif isinstance(node, list | tuple):
        for child in node:
            _require_plain(child, depth + 1)
    elif isinstance(node, str):
        try:
            node.encode()
        except UnicodeEncodeError:
            raise RecipeError(f"{node[:80]!a} is not text") from None
    elif isinstance(node, int):
        if abs(node) > sys.float_info.max:
            raise RecipeError("holds a whole number that is too large to be one of ours")
    elif not isinstance(node, float | None):
        raise RecipeError(f"expected words, numbers, lists and sections, got a {type(node).__name__}")


def _collect(node: Any, path: str, into: dict[str, dist.Dist]) -> None:
    table = parameters()
    if path in table:
        spec, kind = table[path]
        found = dist.parse(node, path)
        if found is not None:
            for value in found.support():
                spec.check(value, kind, path)
            into[path] = found
        return
    if not isinstance(node, dict):
        raise RecipeError(f"{path}: is a section, expected its fields, got {node!r}")
    children = sorted({name[len(path) + 1 :].split(".")[0] for name in table if name.startswith(path + ".")})
    for key, child in node.items():
        if key not in children:
            raise RecipeError(f"{path}: unknown key {key!r}{dist.nearest(key, children)}")
        _collect(child, f"{path}.{key}", into)


def _check_joint(table: dist.Joint, where: str) -> None:
    known = parameters()
    for path in table.fields:
        if path not in known:
            raise RecipeError(f"{where}: unknown field {path!r}{dist.nearest(path, list(known))}")
    kinds = {path.startswith("subject.") for path in table.fields}
    if len(kinds) > 1:
        raise RecipeError(f"{where}: mixes subject.* with per-frame fields; make two tables of it")
    jitter = table.jitter or (0.0,) * len(table.fields)
    for number, row in enumerate(table.rows):
        for path, value, step in zip(table.fields, row, jitter, strict=True):
            spec, kind = known[path]
            for edge in (value - step, value + step) if step else (value,):
                spec.check(edge, kind, f"{where}.rows[{number}] {path}")


def _read_with_base(source: str | Path, seen: tuple[str, ...]) -> tuple[dict[str, Any], Path]:
    data, folder, identity = _read(source)
    if identity in seen:
        raise RecipeError(f"{source}: extends itself through {' -> '.join((*seen, identity))}")
    for key in _FOLDERS:
        if isinstance(data.get(key), str):
            data[key] = str(_absolute(folder, data[key], key))
    base = data.pop("extends", None)
    if base is None:
        return data, folder
    if not isinstance(base, str):
        raise RecipeError(f"{source}: extends: expected a recipe's name or file, got {base!r}")
    place = base if base in builtin_recipes() else folder / base
    try:
        below, _ = _read_with_base(place, (*seen, identity))
    except RecipeError as error:
        raise RecipeError(f"{source}: extends: {error}") from None
    return _merge(below, data, ""), folder


def _read(source: str | Path) -> tuple[dict[str, Any], Path, str]:
    name = str(source)
    if name in builtin_recipes():
        text = (resources.files("facewright") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
        return _as_mapping(parse_yaml(text, name), name), Path(), name
    path = Path(source)
    if path.suffix.lower() not in (".yaml", ".yml", ".json"):
        options = builtin_recipes()
        raise RecipeError(
            f"no built-in recipe {name!r}{dist.nearest(name, options)} (there are {', '.join(options)}, "
            "or give a .yaml or .json file)"
        )
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise AssetError(f"{path}: is not a file; give a recipe's name or its file")
        if found.st_size > MAX_BYTES:
            raise RecipeError(f"{path}: is larger than {MAX_BYTES:,} bytes; this is not a recipe")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecipeError(
            f"{path}: no such file; give a built-in name ({', '.join(builtin_recipes())}) or a file that exists"
        ) from None
    except (OSError, ValueError) as error:
        raise AssetError(f"{path}: cannot be read as text ({error}); check the file") from None
    if path.suffix.lower() == ".json":
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RecipeError(f"{path}: is not JSON ({error})") from None
    else:
        data = parse_yaml(text, str(path))
    return _as_mapping(data, str(path)), path.parent, str(path.resolve())


def _as_mapping(data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise RecipeError(f"{where}: a recipe is a mapping of sections, got {type(data).__name__}")
    return data


def parse_yaml(text: str, where: str) -> Any:
    """Return the data of YAML `text`; aliases and duplicate keys are refused. Raises RecipeError naming `where`."""
    try:
        import yaml
    except ImportError:
        raise MissingPackage(
            f"{where}: reading YAML needs the package pyyaml; run `python -m pip install pyyaml` or use a .json recipe"
        ) from None

    class Loader(yaml.SafeLoader):
        """Safe loading without aliases (no exponential expansion) and without silent duplicate keys."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise RecipeError(
                    f"{where}: line {self.peek_event().start_mark.line + 1}: YAML aliases are not allowed"
                )
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            for number, key in enumerate(keys):
                if not isinstance(key, str | int | float | bool):
                    raise RecipeError(f"{where}: line {node.start_mark.line + 1}: {key!r} cannot be a key")
                if key in keys[:number]:
                    raise RecipeError(f"{where}: line {node.start_mark.line + 1}: key {key!r} is given twice")
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Loader=Loader)  # a subclass of SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise RecipeError(f"{where}:{line} is not YAML ({getattr(error, 'problem', error)})") from None
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{where}: is not usable YAML ({error})") from None


def _merge(below: dict[str, Any], above: dict[str, Any], path: str) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        here = f"{path}.{key}" if path else str(key)
        is_section = here not in parameters() and isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = _merge(below[key], value, here) if is_section else value
    return merged


def _put(data: dict[str, Any], path: str, value: Any, where: str) -> None:
    node = data
    *folders, leaf = path.split(".")
    for folder in folders:
        node = node.setdefault(folder, {})
        if not isinstance(node, dict):
            raise RecipeError(f"{where}: {folder!r} is not a section")
    node[leaf] = value
