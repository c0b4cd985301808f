"""Processes: telling whether one still runs, clearing what it left in memory, and how many cores it shows a library."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_SCRATCH = re.compile(r"facewright-(?P<host>.+)-(?P<pid>\d+)-(?P<birth>\d*)-\w+")


def birth(pid: int) -> str | None:
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


def scratch() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for arrays on their way, in memory (/dev/shm) where the system has it.

    A process that is killed cannot remove its own: those of dead processes of this machine are removed first.
    """
    shared = Path("/dev/shm")
    place = shared if os.access(shared, os.W_OK) else Path(tempfile.gettempdir())
    for path in place.glob("facewright-*"):
        found = _SCRATCH.fullmatch(path.name)
        if found and found["host"] == socket.gethostname() and birth(int(found["pid"])) != found["birth"]:
            shutil.rmtree(path, ignore_errors=True)
    name = f"facewright-{socket.gethostname()}-{os.getpid()}-{birth(os.getpid())}-"
    return tempfile.TemporaryDirectory(prefix=name, dir=place)


@contextlib.contextmanager
def few_cores(count: int | None) -> Iterator[None]:
    """Show what is loaded meanwhile only `count` cores (None: all): pools of threads keep the size they begin with.

    Linux only; elsewhere nothing changes. Afterwards all threads may run on every core again.
    """
    if count is None or sys.platform != "linux":
        yield
        return
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(mine)[:count])
    try:
        yield
    finally:
        for thread in Path("/proc/self/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), mine)


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
