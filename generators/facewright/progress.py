"""Progress as events: what happens is a dict, who watches decides how it looks.

Events are flat, JSON-able dicts with a key "event":

    start       total, done, folder          a run begins; `done` frames were there already (`what`, if not frames)
    worker      about                        a worker has opened its renderer
    frame       index, seconds, stages ...   a record was written
    quarantine  index, error                 a frame failed
    skip        index                        another worker has it
    fit         done, total, loss, seconds   a step of fitting a sensor profile
    train       phase, step, done, total ... a row of metrics while training a refiner; `eta_s` is what is left
    stage       name, done, total            a stage of a longer run is there
    note        message                      a stage of a longer computation begins
    warning     message                      worth knowing once
    done        made, failed, seconds        the run ends

A terminal gets a rich bar (plain lines without rich), a log file a line now and then, `--json-events` the events.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

Event = dict[str, Any]
Emit = Callable[[Event], None]
LOG_EVERY_S = 30.0


@contextlib.contextmanager
def watch(verb: str, *, json_events: bool = False, stream: TextIO | None = None) -> Iterator[Emit]:
    """Yield a function that shows events on `stream` (stdout for JSON lines, else stderr)."""
    if json_events:
        lines = stream or sys.stdout
        yield lambda event: print_event(event, lines)
        return
    out = stream or sys.stderr
    if out.isatty():
        with contextlib.suppress(ImportError):
            from rich.console import Console

            with _bar(Console(file=out), verb) as emit:
                yield emit
            return
    yield _Log(verb, out)


def print_event(event: Event, stream: TextIO) -> None:
    """Write one event as a JSON line."""
    stream.write(json.dumps(event) + "\n")
    stream.flush()


class _Log:
    """A plain line at the start, at every failure, at the end, and every half minute between."""

    def __init__(self, verb: str, stream: TextIO) -> None:
        self.verb, self.stream = verb, stream
        self.total = self.done = self.failed = self.made = 0
        self.begun = self.spoken = time.monotonic()

    def __call__(self, event: Event) -> None:
        kind = event["event"]
        if kind == "start":
            self.total, self.done = event["total"], event["done"]
            there = f", {self.done} are there already" if self.done else ""
            self._say(f"{self.verb} {self.total} {event.get('what', 'frames')} in {event['folder']}{there}")
        elif kind == "frame":
            self.done, self.made = self.done + 1, self.made + 1
            if time.monotonic() - self.spoken > LOG_EVERY_S:
                self._say(f"{self.done}/{self.total} frames, {self.failed} failed, {self._pace()}")
        elif kind == "quarantine":
            self.failed += 1
            self._say(f"frame {event['index']} failed: {event['error']}")
        elif kind == "train":
            if time.monotonic() - self.spoken > LOG_EVERY_S:
                left = f"{event['eta_s'] / 60:.0f} min left"
                self._say(f"{event['done']}/{event['total']} updates, {_losses(event)}, {left}")
        elif kind == "stage":
            self._say(f"{event['done']}/{event['total']} stages, {event['name']}")
        elif kind == "note":
            self._say(event["message"])
        elif kind == "warning":
            self._say(f"warning: {event['message']}")
        elif kind == "done":
            self._say(summary(event))

    def _say(self, text: str) -> None:
        self.spoken = time.monotonic()
        print(text, file=self.stream, flush=True)

    def _pace(self) -> str:
        pace = (time.monotonic() - self.begun) / max(1, self.made)
        return f"{pace:.1f} s a frame, {pace * max(0, self.total - self.done) / 60:.0f} min left"


def summary(event: Event) -> str:
    """Return the sentence that a `done` event means."""
    failed = f", {event['failed']} failed" if event["failed"] else ""
    return f"{event['made']} {event.get('what', 'frames')} in {event['seconds']:.0f} s{failed}"


def _losses(event: Event) -> str:
    """Return the phase of training, the change that the refiner makes, and the losses there are in that phase."""
    found = [f"{name} {event[name]:.3g}" for name in ("refiner", "discriminator") if event.get(name) is not None]
    return f"{event['phase']} {event['step']}: change {event['change']:.3f}, losses {', '.join(found)}"


@contextlib.contextmanager
def _bar(console: Any, verb: str) -> Iterator[Emit]:
    from rich import progress
    from rich.markup import escape

    failed = 0
    columns = (
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[pace]}"),
        progress.TimeRemainingColumn(),
        progress.TextColumn("[red]{task.fields[failed]}"),
    )
    with progress.Progress(*columns, console=console) as bar:
        task = bar.add_task(verb, total=None, pace="", failed="")

        def emit(event: Event) -> None:
            nonlocal failed
            kind = event["event"]
            if kind == "start":
                bar.reset(task, total=event["total"], completed=event["done"])
            elif kind == "frame":
                bar.advance(task)
                speed = bar.tasks[0].speed
                bar.update(task, pace=f"{1 / speed:.1f} s/frame" if speed else "")
            elif kind == "quarantine":
                failed += 1
                bar.update(task, failed=f"{failed} failed")
                console.print(f"[red]frame {event['index']} failed:[/red] {escape(event['error'])}", highlight=False)
            elif kind in ("fit", "stage"):
                bar.update(task, total=event["total"], completed=event["done"])
            elif kind == "train":
                bar.update(task, completed=event["done"], pace=f"{event['phase']}, change {event['change']:.3f}")
            elif kind == "note":
                bar.update(task, description=escape(event["message"]))
            elif kind == "warning":
                console.print(f"[yellow]warning:[/yellow] {escape(event['message'])}", highlight=False)
            elif kind == "done":
                console.print(summary(event))

        yield emit
