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
import sys
import time
from pathlib import Path
from typing import Any

from facewright.dataset.layout import remove, writing

NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL, errno.ENOENT)
"""How file systems say that they have no hard links; or that somebody tidied up what was to be linked."""
LEASE_S = 1800.0
"""A claim from another machine, or an unreadable one, that is older than this is taken over."""


def acquire(path: Path) -> bool:
    """Create the claim `path` for this process, taking over a stale one; return whether it is ours."""
    with writing(path):
        for _ in range(2):
            try:
                _create(path)
            except FileExistsError:
                if not _remove_if_stale(path):
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
    remove(path)


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
        age = time.time() - path.stat().st_mtime
    except OSError:
        return False
    owner = holder(path)
    if owner.get("host") == socket.gethostname() and isinstance(owner.get("pid"), int):
        return _birth(owner["pid"]) == owner.get("birth")
    return age < (LEASE_S if owner else 10.0)  # without links, an empty one was just born or its writer died


def _remove_if_stale(path: Path) -> bool:
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
    return {"pid": os.getpid(), "host": socket.gethostname(), "birth": _birth(os.getpid())}


def _birth(pid: int) -> str | None:
    """Return what tells process `pid` from a later one of the same number (Linux), "" elsewhere, None if it is dead."""
    if sys.platform == "linux":
        try:
            state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        except OSError:
            return None
        return None if state == "Z" else fields[18]
    if sys.platform == "win32":
        return "" if _windows_process_lives(pid) else None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return ""


def _windows_process_lives(pid: int) -> bool:
    import ctypes

    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        return False
    code = ctypes.c_ulong()
    alive = kernel.GetExitCodeProcess(handle, ctypes.byref(code)) and code.value == 259  # STILL_ACTIVE
    kernel.CloseHandle(handle)
    return bool(alive)
