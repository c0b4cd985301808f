"""Refining frames wherever torch lives: in this Python, or in another one that a child process runs.

    with open_refiner("webcam", python="/opt/torch/bin/python") as refiner:
        frame = refiner.refine(frame)

Numpy and the standard library only: Blender imports this.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from facewright import errors, process
from facewright.errors import FrameError, MissingPackage, UserError
from facewright.render import Check, Frame

PYTHON_VARIABLE = "FACEWRIGHT_PYTHON"
NEEDED = ("torch", "kornia")
START_S = 120.0
"""How long a child may take to import torch from a cold or slow disk."""
ANSWER_S = 600.0
"""How long a child may work on one frame."""

PORTABLE = ".onnx"
"""Suffix of learned refiners that run without torch."""
TRANSFERS = ("reinhard", "fda", "histogram")
"""Refiners that take colours or spectra from real pictures, as "fda:DIR"."""

_BOOT = """
import importlib.machinery as machinery, runpy, sys
roots = {"facewright": sys.argv[1], "facewright_refiner": sys.argv[2]}
class Ours:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in roots:
            return machinery.PathFinder.find_spec(name, [roots[name]])
sys.meta_path.insert(0, Ours)
sys.argv = sys.argv[3:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
# The child finds our two packages and nothing else that lies beside them: in an installed Blender extension that would
# be a numpy of another Python.


def split_spec(spec: str) -> tuple[str, str]:
    """Return what a refiner's name begins with, and the camera after it: "X.safetensors+webcam"; "" without one."""
    found = re.fullmatch(rf"(.*\.(?:safetensors|onnx)|(?:{'|'.join(TRANSFERS)}):.*)\+([^+]*)", spec)
    return (found[1], found[2]) if found else (spec, "")


class OpenRefiner(Protocol):
    """A refiner that is ready to work. `needs` names the layers that it reads; `about` goes to the dataset card."""

    needs: tuple[str, ...]
    about: dict[str, Any]

    def refine(self, frame: Frame) -> Frame:
        """Return a refined copy of `frame`; raises FrameError where it cannot be refined."""
        ...

    def refine_many(self, frames: Sequence[Frame]) -> list[Frame]:
        """Return refined copies of `frames`, in order."""
        ...


@contextlib.contextmanager
def open_refiner(spec: str | Path, python: str | Path | None = None, device: str = "cpu") -> Iterator[OpenRefiner]:
    """Yield the refiner that `spec` names (see `load_refiner`: "none", a profile, a checkpoint ...).

    It runs in this process where torch and kornia are installed or where it is an .onnx file, which needs neither, else
    in `python` or $FACEWRIGHT_PYTHON. `device` is torch's, for one in this process. Raises MissingPackage where neither
    is there, and whatever is wrong with `spec`, before the first frame.
    """
    name = str(spec)
    if name == "none":
        yield PassThrough()
        return
    if all(importlib.util.find_spec(package) for package in NEEDED):
        from facewright_refiner.apply import load_refiner

        yield InProcess(load_refiner(name, device))
        return
    if Path(split_spec(name)[0]).suffix.lower() == PORTABLE:
        from facewright_refiner.portable import load_alone

        yield InProcess(load_alone(name))
        return
    chosen = python or os.environ.get(PYTHON_VARIABLE)
    if not chosen:
        raise MissingPackage(
            f"refining with {name!r} needs the packages {' and '.join(NEEDED)}, which {sys.executable} does not have; "
            "run `python -m pip install torch kornia`, or name a Python that has them with --refiner-python or "
            f"{PYTHON_VARIABLE}"
        )
    with External(name, chosen) as refiner:
        yield refiner


class PassThrough:
    """Leaves frames as they are."""

    needs: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.about: dict[str, Any] = {"name": "none"}

    def refine(self, frame: Frame) -> Frame:
        """Return the frame itself."""
        return frame

    def refine_many(self, frames: Sequence[Frame]) -> list[Frame]:
        """Return the frames themselves."""
        return list(frames)


class InProcess:
    """A refiner of `facewright_refiner` in this Python."""

    def __init__(self, refiner: Any) -> None:
        self._refiner = refiner
        self.needs, self.about = tuple(refiner.needs), refiner.about

    def refine(self, frame: Frame) -> Frame:
        """Return a refined copy of `frame`."""
        return self._refiner.refine([frame])[0]

    def refine_many(self, frames: Sequence[Frame]) -> list[Frame]:
        """Return refined copies of `frames`, in order, those of one size in one batch."""
        return self._refiner.refine(frames)


class External:
    """A refiner in another Python: one child that stays, started again if it died.

    Arrays are handed over as files in memory (/dev/shm) where the system has it, else in the temporary folder.
    """

    def __init__(self, spec: str | Path, python: str | Path) -> None:
        self.spec = str(spec)
        self.python = str(python)
        self.about: dict[str, Any] = {}
        self.needs: tuple[str, ...] = ()
        self._child: subprocess.Popen[str] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> External:
        self._folder = process.scratch()
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop()
        if self._folder:
            self._folder.cleanup()
            self._folder = None

    def refine(self, frame: Frame) -> Frame:
        """Return a refined copy of `frame`; FrameError with the child's last words if it died over it."""
        if self._folder is None:
            raise UserError("the refiner is closed; use it inside `with open_refiner(...)`")
        if self._child is None:
            self._start()
        folder = Path(self._folder.name)
        paths = {name: folder / f"{name}.npy" for name in self.needs if name in frame.layers}
        for name, path in paths.items():
            np.save(path, frame.layers[name])
        refined = folder / "refined.npy"
        refined.unlink(missing_ok=True)
        answer = self._ask(
            {
                "sample": frame.sample.to_data(),
                "truth": frame.truth.to_data(),
                "checks": [[check.name, float(check.value), float(check.limit)] for check in frame.checks],
                "seconds": frame.seconds,
                "about": frame.about,
                "refined": str(refined),
                "layers": {name: str(path) for name, path in paths.items()},
            }
        )
        return dataclasses.replace(
            frame,
            layers=frame.layers | {"refined": np.load(refined)},
            about=answer["about"],
            checks=[Check(*check) for check in answer["checks"]],
            seconds=answer["seconds"],
        )

    def refine_many(self, frames: Sequence[Frame]) -> list[Frame]:
        """Return refined copies of `frames`, in order."""
        return [self.refine(frame) for frame in frames]

    def _start(self) -> None:
        try:
            child = subprocess.Popen(
                command_of(self.python, "facewright_refiner.worker", self.spec),
                env=environment(),
                text=True,
                encoding="utf-8",
                errors="replace",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise UserError(
                f"{self.python}: cannot be run as the refiner's Python ({error.strerror or error}); give "
                "the path of a Python executable"
            ) from None
        self._child = child
        self._answers: queue.Queue[str] = queue.Queue()
        self._words: deque[str] = deque(maxlen=20)
        self._threads = [
            threading.Thread(target=target, args=(child,), daemon=True) for target in (self._listen, self._overhear)
        ]
        for thread in self._threads:
            thread.start()
        try:
            hello = self._answer(START_S)
        except FrameError as error:
            if "No module named" in str(error):
                raise MissingPackage(_advice(MissingPackage.__name__, f"{self.python}: {error}")) from None
            raise UserError(f"the refiner's Python {self.python} could not start: {error}") from None
        self.about, self.needs = hello["about"], tuple(hello["needs"])

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin
        assert child.stdout
        assert child.stderr
        with contextlib.suppress(OSError):
            child.stdin.close()
        try:
            child.wait(2)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        for thread in self._threads:
            thread.join()
        child.stdout.close()
        child.stderr.close()

    def _ask(self, job: dict[str, Any]) -> dict[str, Any]:
        line = json.dumps(job) + "\n"
        assert self._child
        assert self._child.stdin
        with contextlib.suppress(OSError):  # a dead child is reported with its last words, by _answer
            self._child.stdin.write(line)
            self._child.stdin.flush()
        return self._answer(ANSWER_S)

    def _answer(self, patience: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=patience)
        except queue.Empty:
            if self._child:
                self._child.kill()
            line = ""
            self._words.append(f"no answer in {patience:g} s")
        if not line:
            self._stop()
            raise FrameError(f"the refiner's process ended: {next(reversed(self._words), 'it said nothing')}")
        answer = json.loads(line)
        if "error" in answer:
            found = answer["error"]
            raise getattr(errors, found["kind"], FrameError)(_advice(found["kind"], found["message"]))
        return answer

    def _listen(self, child: subprocess.Popen[str]) -> None:
        for line in child.stdout or ():
            self._answers.put(line)
        self._answers.put("")

    def _overhear(self, child: subprocess.Popen[str]) -> None:
        for line in child.stderr or ():
            if line.strip():
                self._words.append(line.strip())


def command_of(python: str | Path, module: str, *arguments: str) -> list[str]:
    """Return the command that runs `module` of ours with `arguments` in another `python`."""
    return [str(python), "-c", _BOOT, *map(_root, ("facewright", "facewright_refiner")), module, *arguments]


def environment() -> dict[str, str]:
    """Return the environment for another Python: without what would load Blender's libraries instead of its own."""
    ours = ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    return {key: value for key, value in os.environ.items() if key not in ours}


def _advice(kind: str, message: str) -> str:
    if kind != MissingPackage.__name__:
        return message
    return (
        f"{message}; the refiner's Python needs {', '.join(NEEDED)}, pyyaml, and safetensors for a "
        "learned refiner: run its `-m pip install torch kornia pyyaml safetensors`, or name another one with "
        "--refiner-python"
    )


def _root(package: str) -> str:
    """Return the folder that holds `package`."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise MissingPackage(f"the package {package} is not installed beside facewright; install facewright again")
    return str(Path(next(iter(found.submodule_search_locations))).parent)
