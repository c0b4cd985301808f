"""Claims: small files that say which process works on what, taken over when that process is gone.

The same mechanism guards an index (several workers share a dataset folder) and the folder itself (one `generate`
at a time). A claim is stale when its process has died, or, made on another machine, when its lease has run out. Two
workers that both hold an index do no harm: records are atomic and equal.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facewright import process
from facewright.dataset.layout import remove, writing

NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL, errno.ENOENT)
"""How file systems say that they have no hard links; or that somebody tidied up what was to be linked."""
LEASE_S = 1800.0
"""A claim from another machine that is older than this, or comes from as far in the future, is taken over."""
RENEW_S = 60.0
"""A claim that is kept is renewed this often."""


def acquire(path: Path) -> bool:
    """Create the claim `path` for this process, taking over a stale one; return whether it is ours."""
    with writing(path):
        for _ in range(2):
            try:
                _create(path)
            except FileExistsError:
                if not remove_if_stale(path):
                    return False
                continue
            return True
    return False


def _create(path: Path) -> None:
    """Create the claim `path` with its content at once, where the file system has links. Raises FileExistsError."""
    text = json.dumps(_me())
    made = path.with_name(f".{path.name}.{os.getpid()}.new.tmp")
    try:
        made.write_text(text)
        os.link(made, path)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY), "w") as file:
            file.write(text)
    finally:
        remove(made)


def release(path: Path) -> None:
    """Remove our claim `path`."""
    if holder(path) == _me():  # else somebody took it over: our lease had run out
        remove(path)


@contextlib.contextmanager
def renewed(path: Path) -> Iterator[None]:
    """Keep our claim `path` from running out for as long as the block takes."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(RENEW_S):
            with contextlib.suppress(OSError):
                os.utime(path)

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def holder(path: Path) -> dict[str, Any]:
    """Return who holds `path`: pid, host, birth; {} where nobody does or the file is damaged."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def is_live(path: Path) -> bool:
    """Return whether `path` is claimed by a process that still runs (elsewhere: whose lease still runs)."""
    try:
        age = abs(time.time() - path.stat().st_mtime)  # clocks jump, and those of two machines differ
    except OSError:
        return False
    owner = holder(path)
    if owner.get("host") == socket.gethostname() and isinstance(owner.get("pid"), int):
        return process.birth(owner["pid"]) == owner.get("birth")
    return age < (LEASE_S if owner else 10.0)  # without links, an empty one was just born or its writer died


def remove_if_stale(path: Path) -> bool:
    """Remove the claim `path` of a process that is gone; return whether nobody holds it now."""
    if is_live(path):
        return False
    grave = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with contextlib.suppress(FileNotFoundError):
        path.rename(grave)  # only one process can move it
        if is_live(grave) and not path.exists():
            grave.rename(path)  # somebody renewed it between the look and the move: put it back
            return False
        grave.unlink()
    return True


def _me() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "birth": process.birth(os.getpid())}
