"""Datasets at a URL: read where they lie, written through a folder on this machine.

Everything that writes works on the spool, an ordinary dataset folder. What is finished there moves to the URL: of a
record its layers, then the record, so that one which exists is whole; or a shard. The local copy goes when what arrived
has been compared, and a move that was broken off is repeated by the same command. fsspec knows the stores.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from facewright.dataset import layout
from facewright.dataset.card import Card
from facewright.dataset.reader import Places, located, loose_places, shard_places
from facewright.dataset.writer import SHARD_RECORDS, Writer, open_for_writing
from facewright.errors import FacewrightError, OutputError
from facewright.progress import Emit

SEND_EVERY_S = 5.0
"""Pause between two looks for what is finished."""
SENDERS = 8
"""Records that move at a time: a store answers in tens of milliseconds, whatever the size of a file."""
_CHUNK = 1 << 22


def spool_of(url: str) -> Path:
    """Return the folder, in the user's cache, through which `url` is written."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "facewright" / "spool" / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]


def done_at(url: str, card: Card) -> set[int]:
    """Return the indices whose records lie at `url`. Raises OutputError where it is not the dataset of `card`."""
    with reaching(url):
        target = located(url)
        if not (target / layout.CARD).exists():
            return set()
        Card.load(target).check_same(card, target)
        return Writer.join(target).done()


@contextlib.contextmanager
def open_spool(folder: Path, card: Card, url: str, emit: Emit) -> Iterator[Spool]:
    """Continue the dataset of `card` at `url` through `folder`; yield its Writer.

    What is finished moves while the body runs, and all of it before the body's end is passed on; where the body fails,
    the rest stays in `folder`. Raises OutputError where the store cannot be reached or holds another dataset.
    """
    sent = done_at(url, card)
    with open_for_writing(folder, card) as writer:
        spool = Spool(folder, writer.card, located(url), sent)
        spool.send_cards()  # now, so that a wrong address is heard of before the first frame
        stop = threading.Event()
        thread = threading.Thread(target=_keep_sending, args=(spool, stop, emit), daemon=True)
        thread.start()
        try:
            yield spool
        finally:
            stop.set()
            thread.join()
        spool.send()
        spool.send_cards()


def _keep_sending(spool: Spool, stop: threading.Event, emit: Emit) -> None:
    while not stop.wait(SEND_EVERY_S):
        try:
            spool.send(stop)
        except FacewrightError as error:
            emit({"event": "warning", "message": f"{error} (tried again every {SEND_EVERY_S:g} s)"})


@contextlib.contextmanager
def reaching(url: str, stays: str = "") -> Iterator[None]:
    """Turn what a store's library raises, each its own kinds, into an OutputError about `url`."""
    try:
        yield
    except FacewrightError:
        raise
    except PermissionError as error:
        raise OutputError(f"{url}: access is denied ({error}); check the credentials{stays}") from None
    except FileNotFoundError as error:
        raise OutputError(f"{url}: is not there ({error}); create the bucket, or correct the address{stays}") from None
    except Exception as error:
        why = " ".join(str(error).split())
        raise OutputError(
            f"{url}: the store does not answer as it should ({why or type(error).__name__}); check the address, the "
            f"credentials and the network{stays}"
        ) from None


class Spool(Writer):
    """A Writer whose finished frames move on to `target`; `sent` are the indices that lie there."""

    def __init__(self, folder: Path, card: Card, target: Any, sent: set[int]) -> None:
        super().__init__(folder, card)
        self.target, self.sent = target, set(sent)

    def done(self) -> set[int]:
        """Return the indices whose records exist, here or there."""
        return super().done() | self.sent  # here first: what moves in between is counted there

    def pack(self, numbers: set[int] | None = None) -> None:
        """Pack loose records into shards, with what the target's shards of these numbers hold already."""
        size = self.card.shard_records or SHARD_RECORDS
        loose = {index // size for index in loose_places(self.folder)}
        for number in loose if numbers is None else loose & numbers:
            self._fetch(f"{layout.SHARDS}/facewright-{number:06d}.tar")
        super().pack(numbers)

    def send(self, stop: threading.Event | None = None) -> None:
        """Move what is finished, until `stop` is set. Raises OutputError; what has not arrived is still here."""
        if self.card.shard_records:
            self.pack(self._complete())
            shards = shard_places(self.folder)
            for path in sorted({place.path for files in shards.values() for place in files.values()}):
                if stop is None or not stop.is_set():
                    self._send_file(path)
                    self.sent |= {index for index, files in shards.items() if next(iter(files.values())).path == path}
                    layout.remove(path)
            return
        with ThreadPoolExecutor(SENDERS) as pool:
            finished = sorted(loose_places(self.folder).items())
            moves = [pool.submit(self._send_record, index, files, stop) for index, files in finished]
            try:
                for move in moves:
                    move.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def send_cards(self) -> None:
        """Bring the cards up to date, there and here."""
        with reaching(str(self.target)):
            if (self.target / layout.CARD).exists():
                self.save_card(self.card.joined(Card.load(self.target)))
        for name in (layout.RECIPE, layout.CARD):
            self._send_file(self.folder / name)

    def _send_record(self, index: int, files: Places, stop: threading.Event | None) -> None:
        if stop and stop.is_set():
            return
        record = f"{layout.stem(index)}.json"
        for name in sorted(files, key=lambda name: name == record):
            self._send_file(files[name].path)
        self.sent.add(index)
        for name in sorted(files, key=lambda name: name != record):
            layout.remove(files[name].path)

    def _complete(self) -> set[int]:
        """Return the numbers of the shards of which every wanted record exists."""
        size, done = self.card.shard_records, self.done()
        return {index // size for index in done} - {index // size for index in self.card.wanted if index not in done}

    def _send_file(self, path: Path) -> None:
        target = self.target / path.relative_to(self.folder).as_posix()
        with reaching(str(target), f"; what is rendered waits in {self.folder} for the same command"):
            target.fs.put_file(str(path), target.path)
            if not _same(path, target):
                raise OutputError(f"{target}: is not what was sent; run the same command again")

    def _fetch(self, name: str) -> None:
        source, path = self.target / name, self.folder / name
        with reaching(str(source)):
            if path.exists() or not source.exists():
                return
            with layout.writing(path):
                path.parent.mkdir(exist_ok=True)
            temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            source.fs.get_file(source.path, str(temporary))
            temporary.replace(path)


def _same(path: Path, target: Any) -> bool:
    """Return whether `target` holds the bytes of `path`: by the store's MD5 where it names one, else by reading it."""
    info = target.fs.info(target.path)
    if info["size"] != path.stat().st_size:
        return False
    with path.open("rb") as mine:
        tag = str(info.get("ETag", "")).strip('"')
        if len(tag) == 32 and hashlib.file_digest(mine, "md5").hexdigest() == tag:
            return True
        mine.seek(0)
        with target.open("rb") as theirs:
            return _digest(mine) == _digest(theirs)


def _digest(file: Any) -> bytes:
    digest = hashlib.sha256()
    while data := file.read(_CHUNK):
        digest.update(data)
    return digest.digest()
