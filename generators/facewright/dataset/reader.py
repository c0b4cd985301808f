"""Reading a dataset back, from a folder or from shards, with every file checked against its hash."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

from facewright import schema
from facewright.dataset import layout
from facewright.dataset.card import Card
from facewright.errors import DatasetError, package
from facewright.render import LAYERS, Check, Frame
from facewright.sample import Sample
from facewright.truth import Truth

REPAIR = "run `facewright check {} --repair`, then the same `facewright generate` again to make it anew"
"""What to do about damage; the folder goes into the braces."""


def located(folder: str | Path) -> Path:
    """Return the folder as a path; "s3://bucket/folder", or another URL, as one that fsspec reads.

    Raises MissingPackage, DatasetError where nothing installed knows such a URL.
    """
    if "://" not in str(folder):
        return Path(folder)
    upath = package("upath", f"{folder}", "universal-pathlib fsspec s3fs")
    try:
        place = upath.UPath(str(folder), use_listings_cache=False)
        place.fs.invalidate_cache()
    except (ImportError, ValueError) as error:
        raise DatasetError(f"{folder}: no package that is installed reads it ({error})") from None
    return place


class Place(NamedTuple):
    """Where a file's bytes lie: a file of its own (size < 0), or a stretch of a shard."""

    path: Path
    start: int = 0
    size: int = -1

    def read(self) -> bytes:
        """Return the bytes. Raises DatasetError."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.start)
                return file.read(self.size)
        except OSError as error:
            raise DatasetError(f"{self.path}: cannot be read ({error.strerror or error})") from None


Places = dict[str, Place]


def indices(folder: Path) -> set[int]:
    """Return the indices of the records in DIR/frames and DIR/shards, in memory for no more than that."""
    found = set[int]()
    for name in _names(folder / layout.FRAMES):
        index = layout.index_of(name)
        if index is not None and name == f"{layout.stem(index)}.json":
            found.add(index)
    for path in sorted((folder / layout.SHARDS).glob("facewright-*.tar")):
        found |= set(_members(path, folder, None))
    return found


def _names(folder: Path) -> Iterator[str]:
    """Yield the names of the files in `folder`, if it is there. Raises DatasetError where it cannot be read."""
    try:
        if folder.exists():
            yield from (path.name for path in folder.iterdir())
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from None


def loose_places(folder: Path) -> dict[int, Places]:
    """Return index -> file name -> Place of the records in DIR/frames; files without a record are not listed."""
    frames = folder / layout.FRAMES
    found: dict[int, Places] = {}
    for name in _names(frames):
        index = layout.index_of(name)
        if index is not None:
            found.setdefault(index, {})[name] = Place(frames / name)
    return {index: files for index, files in found.items() if f"{layout.stem(index)}.json" in files}


def shard_places(folder: Path, damaged: list[Path] | None = None) -> dict[int, Places]:
    """Return index -> file name -> Place of the records in DIR/shards.

    A damaged shard raises DatasetError, or joins the list `damaged`, and what can be read of it counts.
    """
    found: dict[int, Places] = {}
    for path in sorted((folder / layout.SHARDS).glob("facewright-*.tar")):
        for index, files in _members(path, folder, damaged).items():
            found.setdefault(index, {}).update(files)
    return found


def _members(path: Path, folder: Path, damaged: list[Path] | None) -> dict[int, Places]:
    """Return index -> file name -> Place of the regular files in the shard `path` of the dataset in `folder`."""
    found: dict[int, Places] = {}
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                index = layout.index_of(member.name)
                if index is not None and member.isreg():
                    found.setdefault(index, {})[member.name] = Place(path, member.offset_data, member.size)
    except (tarfile.TarError, OSError) as error:
        if damaged is None:
            raise DatasetError(f"{path}: is not a readable shard ({error}); {REPAIR.format(folder)}") from None
        damaged.append(path)
    return found


class Dataset(Sequence[Frame]):
    """The frames of a dataset, in index order.

    `dataset[k]` is the k-th frame that exists, `dataset.frame(123)` the one of index 123; `dataset[2:5]` is a Dataset.
    Only `layers` are decoded (None: all there are).
    """

    def __init__(self, folder: str | Path, layers: Sequence[str] | None = None) -> None:
        self.folder = located(folder)
        self.card = Card.load(self.folder)
        if self.card.schema != schema.VERSION:
            raise DatasetError(
                f"{self.folder}: its labels are version {self.card.schema} of the contract, this Facewright reads "
                f"{schema.VERSION}; read it with the version that wrote it, or generate it anew"
            )
        self.layers = _known(layers)
        loose, packed = loose_places(self.folder), shard_places(self.folder)
        self._places = {index: packed.get(index, {}) | loose.get(index, {}) for index in sorted({*loose, *packed})}
        self.indices = tuple(self._places)

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, position: int) -> Frame: ...
    @overload
    def __getitem__(self, position: slice) -> Dataset: ...
    def __getitem__(self, position: int | slice) -> Frame | Dataset:
        if isinstance(position, slice):
            part = object.__new__(Dataset)
            part.__dict__.update(self.__dict__, indices=self.indices[position])
            return part
        return self.frame(self.indices[position])

    def with_layers(self, layers: Sequence[str] | None) -> Dataset:
        """Return the same dataset with other `layers` decoded."""
        other = self[:]
        other.layers = _known(layers)
        return other

    def __iter__(self) -> Iterator[Frame]:
        return map(self.frame, self.indices)

    def frame(self, index: int, record: dict[str, Any] | None = None) -> Frame:
        """Return the frame of `index`, of its `record` if known. Raises DatasetError where it is missing or bad."""
        record = record or self.record(index)
        for name in self.layers or ():
            if name not in record["layers"]:
                advice = "make it with `facewright refine`" if name == "refined" else "the recipe's outputs left it out"
                raise DatasetError(f"frame {index} of {self.folder} has no layer {name!r}; {advice}")
        names = [name for name in record["layers"] if self.layers is None or name in self.layers]
        layers = {
            name: layout.decode_layer(name, self.layer_bytes(index, name, record), self._name(index, name))
            for name in names
        }
        try:
            checks = [Check(**check) for check in record["checks"]]
            truth = Truth.from_data(record["truth"])
            sample = Sample.from_data(record["sample"])
            made = record["made"]
            return Frame(sample, layers, truth, checks, dict(made["seconds"]), dict(made["about"]))
        except (KeyError, TypeError, ValueError, AttributeError, DatasetError) as error:
            raise DatasetError(f"{self.folder}: record {index} does not fit the label schema ({error})") from None

    def record(self, index: int) -> dict[str, Any]:
        """Return the JSON record of `index` (see docs/labels.md) without reading any layer."""
        name = f"{layout.stem(index)}.json"
        place = self._places.get(index, {}).get(name)
        if place is None:
            raise DatasetError(f"{self.folder}: has no frame {index}; it holds {_span(self.indices)}")
        try:
            record = layout.unseal(place.read())
            if record["index"] != index or not isinstance(record["layers"], dict):
                raise ValueError("it belongs to another frame")
            _require_layers(index, record["layers"])
            return record
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(name, str(error)) from None

    def layer_bytes(self, index: int, layer: str, record: dict[str, Any] | None = None) -> bytes:
        """Return the file content of a layer as written. Raises DatasetError unless its hash is the recorded one."""
        noted = (record or self.record(index))["layers"][layer]
        place = self._places[index].get(noted["file"])
        if place is None:
            raise self._damaged(noted["file"], "it is missing")
        data = place.read()
        if len(data) != noted["bytes"] or hashlib.sha256(data).hexdigest() != noted["sha256"]:
            raise self._damaged(noted["file"], "its content is not what was written")
        return data

    def _name(self, index: int, layer: str) -> str:
        return str(self.folder / layout.FRAMES / layout.layer_file(index, layer))

    def _damaged(self, name: str, why: str) -> DatasetError:
        return DatasetError(f"{self.folder}: {name} is damaged ({why}); {REPAIR.format(self.folder)}")


def _require_layers(index: int, layers: dict[str, Any]) -> None:
    """Raise ValueError unless each of a record's `layers` has the one name that its file may have."""
    for name, noted in layers.items():
        if name not in LAYERS or noted["file"] != layout.layer_file(index, name):
            raise ValueError(f"it names a file that is not a layer of frame {index}")
        if not isinstance(noted["bytes"], int) or not isinstance(noted["sha256"], str):
            raise ValueError(f"it has no size and hash of layer {name}")


def _known(layers: Sequence[str] | None) -> tuple[str, ...] | None:
    for name in layers or ():
        if name not in LAYERS:
            raise DatasetError(f"unknown layer {name!r}; there are {', '.join(LAYERS)}")
    return None if layers is None else tuple(layers)


def _span(indices: Sequence[int]) -> str:
    return f"{len(indices)} frames from {indices[0]} to {indices[-1]}" if indices else "no frames yet"
