"""Background jobs: another Blender renders, this one reads its events from a file.

    OUTPUT/NAME             the dataset; the same recipe and seed go on in the same one
    OUTPUT/NAME.job         recipe.json, job.json (the command's arguments), events.jsonl, errors.txt
    OUTPUT/NAME.frame.job   the same of the single frame that was ordered last

A job outlives this Blender, and whoever opens OUTPUT again finds it there: running, stopped or finished.
"""

import importlib.util
import json
import os
import re
import signal
import subprocess
from collections import deque
from pathlib import Path

from facewright import refining
from facewright.dataset import claim, layout
from facewright.errors import MissingPackage, UserError
from facewright.farm.local import worker_command

SUFFIX = ".job"
RECENT = 4
REPORT_NEEDS = ("PIL", "jinja2")
_jobs = {}


class Job:
    """One dataset in the making."""

    def __init__(self, place):
        self.place = Path(place)
        self.folder = self.place.parent / Path(self.argument("-o")).name
        self.process = None
        self._forget()

    def _forget(self):
        self.read = 0
        self.total = self.done = self.made = 0
        self.failures = {}
        self.warnings = []
        self.recent = deque(maxlen=RECENT)
        self.seconds = 0.0
        self.finished = False

    @property
    def running(self):
        """Return whether a process works on it, ours or one that an earlier Blender started."""
        if self.process and self.process.poll() is None:
            return True
        return claim.is_live(self.folder / layout.LOCK)

    @property
    def state(self):
        """Return "running", "finished" or "stopped"."""
        return "running" if self.running else "finished" if self.finished else "stopped"

    @property
    def arguments(self):
        """Return the command line it was ordered with."""
        return json.loads((self.place / "job.json").read_text(encoding="utf-8"))["arguments"]

    def argument(self, option):
        """Return the argument of `option`."""
        return self.arguments[self.arguments.index(option) + 1]

    def start(self):
        """Start it, or go on with it."""
        self._forget()
        (self.place / "events.jsonl").write_bytes(b"")
        self.process = launch(worker_command(self.arguments), self.place / "events.jsonl", self.place / "errors.txt")

    def stop(self):
        """Ask the process to end; what is done stays done."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
        elif self.running:
            os.kill(claim.holder(self.folder / layout.LOCK)["pid"], signal.SIGTERM)

    def poll(self):
        """Read what is new; return whether anything was."""
        try:
            with (self.place / "events.jsonl").open("rb") as file:
                file.seek(self.read)
                new = file.read()
        except OSError:
            return False
        whole = new[: new.rfind(b"\n") + 1]
        self.read += len(whole)
        for line in whole.splitlines():
            if line.startswith(b'{"event"'):
                self._note(json.loads(line))
        return bool(whole)

    def _note(self, event):
        kind = event["event"]
        if kind == "start":
            self.total, self.done = event["total"], event["done"]
        elif kind == "frame":
            self.done, self.made = self.done + 1, self.made + 1
            self.failures.pop(event["index"], None)
            self.recent.append(event["index"])
            self.seconds += event["seconds"]
        elif kind == "quarantine":
            self.failures[event["index"]] = event["error"]
        elif kind == "warning":
            self.warnings.append(event["message"])
        elif kind == "done":
            self.finished = True

    @property
    def pace(self):
        """Return seconds a frame, all workers together, None before the first."""
        workers = int(self.argument("--workers"))
        return self.seconds / self.made / workers if self.made else None

    def words(self):
        """Return one line on where it stands."""
        text = f"{self.done}/{self.total or '?'} frames"
        if self.failures:
            text += f", {len(self.failures)} failed"
        if self.pace and self.running:
            text += f", {self.pace:.1f} s a frame, {_minutes(self.pace * max(0, self.total - self.done))} left"
        return text

    def complaint(self):
        """Return the last line of what the process said in anger, "" where it said nothing."""
        return last_line(self.place / "errors.txt")

    def picture(self, index):
        """Return the file of a frame's picture: refined where there is one."""
        files = [self.folder / layout.FRAMES / layout.layer_file(index, name) for name in ("refined", "rgb")]
        return next((path for path in files if path.exists()), files[-1])


def _minutes(seconds):
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def launch(command, out, errors, environment=None):
    """Start `command` in a session of its own with its output in files, and return the process."""
    with Path(out).open("ab") as to, Path(errors).open("wb") as wrong:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=to,
            stderr=wrong,
            env=environment,
            start_new_session=os.name == "posix",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )


def order(output, recipe, seed, start, count, options, mark=""):
    """Write the order of frames [start, start + count) of `recipe` under `seed`; return its Job, not yet started.

    Orders of one dataset with another `mark` do not replace each other. Raises UserError while one of them is at work.
    """
    refine = options[options.index("--refine") + 1]
    name = "_".join([re.sub(r"[^\w-]+", "_", recipe.name), recipe.digest[:8], f"seed{seed}"])
    folder = Path(output) / (name if refine == "none" else f"{name}_{Path(refine).stem}")
    if claim.is_live(folder / layout.LOCK) or any(job.running for job in _jobs.values() if job.folder == folder):
        raise UserError(f"{folder} is being written; stop that job first")
    place = folder.with_name(folder.name + mark + SUFFIX)
    with layout.writing(place):
        place.mkdir(parents=True, exist_ok=True)
    layout.write_atomic(place / "recipe.json", layout.dump(recipe.to_data(), indent=2))
    frames = ["--seed", str(seed), "--start", str(start), "--count", str(count)]
    arguments = ["generate", str(place / "recipe.json"), "-o", str(folder), *frames, *options, "--json-events"]
    layout.write_atomic(place / "job.json", layout.dump({"arguments": arguments}, indent=2))
    return at(place)


def at(place):
    """Return the Job whose folder is `place`, with all its events read."""
    place = Path(place)
    if place not in _jobs:
        _jobs[place] = Job(place)
    _jobs[place].poll()
    return _jobs[place]


def found(output):
    """Return the jobs in folder `output`, the newest first."""
    places = [path for path in Path(output).glob(f"*{SUFFIX}") if (path / "job.json").is_file()]
    return [at(place) for place in sorted(places, key=lambda path: -(path / "job.json").stat().st_mtime)]


def start_report(folder, python, errors):
    """Start writing the report of dataset `folder` with this Python or else `python`; return the process."""
    arguments = ["report", str(folder)]
    if all(importlib.util.find_spec(name) for name in REPORT_NEEDS):
        return launch(worker_command(arguments), os.devnull, errors)
    if not python:
        raise MissingPackage(
            "reports need a Python with pillow and jinja2, which Blender has not; set Refiner's Python in the "
            f"preferences, or run `facewright report {folder}`"
        )
    return launch(refining.command_of(python, "facewright", *arguments), os.devnull, errors, refining.environment())


def last_line(path):
    """Return the last line of text file `path`, "" where there is none."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


def forget():
    """Forget the jobs; those that run go on."""
    _jobs.clear()
