"""Writing a dataset: atomic records, quarantine, shards, and one `generate` at a time."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import tarfile
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from facewright import schema
from facewright.dataset import claim, layout
from facewright.dataset.card import Card
from facewright.dataset.reader import Places, indices, loose_places, shard_places
from facewright.errors import FrameError, OutputError
from facewright.render import Frame

SHARD_RECORDS = 1000
"""Records in one WebDataset shard."""


@contextlib.contextmanager
def open_for_writing(folder: Path, card: Card) -> Iterator[Writer]:
    """Create the dataset of `card` in `folder`, or continue it, as its only coordinator; yield its Writer.

    Raises OutputError where the folder is a file, is not empty, cannot be written, holds a dataset of another
    recipe, seed or refiner, or is being written by another process.
    """
    probe(folder, card)
    with layout.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        yield Writer(folder, _continue_or_start(folder, card))


@contextlib.contextmanager
def reopen(folder: Path) -> Iterator[Writer]:
    """Yield the Writer of a dataset that exists, as its only coordinator. Raises DatasetError, OutputError."""
    writer = Writer.join(folder)
    with _locked(folder):
        yield writer


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = folder / layout.LOCK
    if not claim.acquire(lock):
        owner = claim.holder(lock)
        raise OutputError(
            f"{folder}: process {owner.get('pid')} on {owner.get('host')} is writing here; wait for it, or join it "
            f"with `facewright worker {folder}`"
        )
    try:
        with claim.renewed(lock):
            yield
    finally:
        claim.release(lock)


class Writer:
    """Writes records into a dataset folder. Any number of writers may share a folder if each holds its claims."""

    def __init__(self, folder: Path, card: Card) -> None:
        self.folder, self.card = folder, card

    @staticmethod
    def join(folder: Path) -> Writer:
        """Return a Writer for a dataset that exists. Raises DatasetError."""
        return Writer(folder, Card.load(folder))

    def save_card(self, card: Card) -> None:
        """Replace the dataset card."""
        if card != self.card:
            card.save(self.folder)
        self.card = card

    def done(self) -> set[int]:
        """Return the indices whose records exist."""
        return indices(self.folder)

    def quarantined(self) -> set[int]:
        """Return the indices in quarantine."""
        folder = self.folder / layout.QUARANTINE
        names = [item.name for item in folder.iterdir()] if folder.is_dir() else []
        return {index for name in names if (index := layout.index_of(name)) is not None}

    def claim(self, index: int) -> bool:
        """Return whether this process may render `index`; release it with `release`."""
        return claim.acquire(self._claim_path(index))

    def claimed(self) -> set[int]:
        """Return the indices that live workers, here or elsewhere, have claimed."""
        live = (path.name for path in (self.folder / layout.CLAIMS).glob("*.json") if claim.is_live(path))
        return {index for name in live if (index := layout.index_of(name)) is not None}

    def release(self, index: int) -> None:
        """Give up the claim on `index`."""
        claim.release(self._claim_path(index))

    def exists(self, index: int) -> bool:
        """Return whether the loose record of `index` exists."""
        return (self.folder / layout.FRAMES / f"{layout.stem(index)}.json").exists()

    def write(self, frame: Frame) -> None:
        """Write the frame's layers, then its record, and lift its quarantine. Raises FrameError, OutputError."""
        self.put(frame.sample.index, encode(frame), record_of(frame))

    def put(self, index: int, files: Mapping[str, bytes], record: dict[str, Any]) -> None:
        """Write encoded layer `files`, then `record`, completed with their sizes and hashes."""
        layers = dict(record.get("layers", {}))
        for name, data in files.items():
            layer = next(key for key, spec in layout.LAYERS.items() if name.endswith("." + spec.suffix))
            layers[layer] = {"file": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        record["layers"] = {name: layers[name] for name in layout.LAYERS if name in layers}
        try:
            text = layout.seal(record)
        except ValueError:
            raise FrameError(f"frame {index}: its truth holds a number that is not finite") from None
        folder = self.folder / layout.FRAMES
        for name, data in files.items():
            layout.write_atomic(folder / name, data)
        layout.write_atomic(folder / f"{layout.stem(index)}.json", text)
        _sync_folder(folder)
        shutil.rmtree(self.folder / layout.QUARANTINE / layout.stem(index), ignore_errors=True)

    def quarantine(self, index: int, error: str, sample: dict[str, Any], frame: Frame | None = None) -> None:
        """Keep a failed index apart: the sample, the error or traceback, and what layers there were."""
        folder = self.folder / layout.QUARANTINE / layout.stem(index)
        with layout.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        for name, values in (frame.layers if frame else {}).items():
            with contextlib.suppress(ValueError):  # a layer of the wrong shape may be why it is here
                layout.write_atomic(folder / layout.layer_file(index, name), layout.encode_layer(name, values))
        layout.write_atomic(folder / "sample.json", json.dumps(sample, indent=1).encode())
        layout.write_atomic(folder / "error.txt", error.encode(errors="replace"))

    def clean(self) -> None:
        """Remove what killed runs left: dead claims, temporary files of no live one, quarantines of what was made."""
        for path in (self.folder / layout.CLAIMS).glob("*.json"):
            with layout.writing(path):
                claim.remove_if_stale(path)
        quarantined = self.quarantined()
        for index in quarantined & self.done() if quarantined else ():
            shutil.rmtree(self.folder / layout.QUARANTINE / layout.stem(index), ignore_errors=True)
        for folder, _, names in os.walk(self.folder):
            for name in names:
                if name.startswith(".") and name.endswith(".tmp"):
                    index = layout.index_of(name[1:])
                    if index is None or not self._claim_path(index).exists():
                        layout.remove(Path(folder) / name)

    def pack(self, numbers: set[int] | None = None) -> None:
        """Move loose records into deterministic WebDataset shards, SHARD_RECORDS indices in each. Raises OutputError.

        Only those of `numbers`, where given. A loose record replaces the shard's own, so packing may be repeated,
        interrupted and continued.
        """
        size = self.card.shard_records or SHARD_RECORDS
        loose, packed = loose_places(self.folder), shard_places(self.folder)
        with layout.writing(self.folder / layout.SHARDS):
            (self.folder / layout.SHARDS).mkdir(exist_ok=True)
        for number in sorted({index // size for index in loose}):
            if numbers is not None and number not in numbers:
                continue
            mine = {
                index: {**packed.get(index, {}), **loose.get(index, {})}
                for index in sorted({*packed, *loose})
                if index // size == number
            }
            _write_shard(self.folder / layout.SHARDS / f"facewright-{number:06d}.tar", mine)
            for index in mine:
                for place in loose.get(index, {}).values():
                    layout.remove(place.path)

    def discard(self, bad: Collection[int]) -> None:
        """Take frames out, so that a later run makes them anew; a damaged shard keeps its other records."""
        loose, damaged = loose_places(self.folder), list[Path]()
        packed = shard_places(self.folder, damaged)
        for index in bad:
            layout.remove(self.folder / layout.FRAMES / f"{layout.stem(index)}.json")  # the record first: it counts
            for place in loose.get(index, {}).values():
                layout.remove(place.path)
        touched = {place.path for index in bad for place in packed.get(index, {}).values()}
        for path in sorted({*touched, *damaged}):
            kept = {
                index: mine
                for index, files in packed.items()
                if index not in bad and (mine := {n: place for n, place in files.items() if place.path == path})
            }
            if kept:
                _write_shard(path, kept)
            else:
                layout.remove(path)

    def _claim_path(self, index: int) -> Path:
        return self.folder / layout.CLAIMS / f"{layout.stem(index)}.json"


def encode(frame: Frame) -> dict[str, bytes]:
    """Return file name -> content of the frame's layers, and note in the frame how long that took."""
    start = time.perf_counter()
    files = {
        layout.layer_file(frame.sample.index, name): layout.encode_layer(name, values)
        for name, values in frame.layers.items()
    }
    frame.seconds["encode"] = time.perf_counter() - start
    return files


def record_of(frame: Frame) -> dict[str, Any]:
    """Return the JSON record of a frame. Everything but `made` is a pure function of (recipe, seed, index)."""
    return {
        "schema": schema.VERSION,
        "index": frame.sample.index,
        "sample": frame.sample.to_data(),
        "truth": frame.truth.to_data(),
        "checks": [check._asdict() for check in frame.checks],
        "layers": {},
        "made": {"seconds": {name: round(value, 4) for name, value in frame.seconds.items()}, "about": frame.about},
    }


def probe(folder: Path, card: Card) -> bool:
    """Return whether `folder` holds a dataset that `card` continues; False where it is new or empty.

    Changes nothing. Raises OutputError where the dataset of `card` cannot go there.
    """
    with layout.writing(folder):
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: is a file; give a folder")
        if (folder / layout.CARD).exists():
            Card.load(folder).check_same(card, folder)
            return True
        names = [item.name for item in folder.iterdir()] if folder.is_dir() else []
    if any(name != layout.LOCK and not name.endswith(".tmp") for name in names):
        raise OutputError(f"{folder}: is not empty and not a Facewright dataset; choose a new or empty folder")
    return False


def _continue_or_start(folder: Path, card: Card) -> Card:
    if probe(folder, card):
        card = Card.load(folder).joined(card)
    card.save(folder)
    layout.write_atomic(folder / layout.RECIPE, layout.dump(card.recipe, indent=2))
    with layout.writing(folder):
        for name in (layout.FRAMES, layout.CLAIMS, layout.LOGS):
            (folder / name).mkdir(exist_ok=True)
    return card


def _write_shard(path: Path, records: Mapping[int, Places]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with layout.writing(path):
        try:
            with temporary.open("wb") as file:
                with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
                    for _, files in sorted(records.items()):
                        for name, place in sorted(files.items()):
                            data = place.read()
                            member = tarfile.TarInfo(name)
                            member.size, member.mode = len(data), 0o644
                            archive.addfile(member, io.BytesIO(data))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            layout.remove(temporary)
            raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make renames in `folder` durable, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
