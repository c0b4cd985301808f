"""Progress: the same events for people, logs and programs."""

import io
import json
import sys

from facewright import progress
from facewright.progress import watch

EVENTS = [
    {"event": "start", "total": 3, "done": 1, "folder": "out"},
    {"event": "worker", "about": {}},
    {"event": "frame", "index": 1, "seconds": 0.5},
    {"event": "quarantine", "index": 2, "error": "frame 2: [odd] markup"},
    {"event": "warning", "message": "no [GPU]"},
    {"event": "skip", "index": 9},
    {"event": "done", "made": 1, "failed": 1, "seconds": 2.0},
]
TRAIN = {
    "event": "train",
    "phase": "both",
    "step": 4,
    "done": 2,
    "total": 9,
    "eta_s": 90,
    "change": 0.1,
    "refiner": 2.0,
}
LINES = [
    "rendering 3 frames in out, 1 are there already",
    "frame 2 failed: frame 2: [odd] markup",
    "warning: no [GPU]",
    "1 frames in 2 s, 1 failed",
]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def show(stream, events=EVENTS, **options):
    with watch("rendering", stream=stream, **options) as emit:
        for event in events:
            emit(event)
    return stream.getvalue()


def test_a_log_gets_a_few_plain_lines():
    assert show(io.StringIO()).splitlines() == LINES


def test_a_program_gets_every_event_as_a_line():
    assert [json.loads(line) for line in show(io.StringIO(), json_events=True).splitlines()] == EVENTS


def test_a_log_gets_the_state_of_training_now_and_then(monkeypatch):
    monkeypatch.setattr(progress, "LOG_EVERY_S", -1.0)
    assert "2/9 updates, both 4: change 0.100, losses refiner 2, 2 min left" in show(io.StringIO(), [TRAIN])


def test_a_terminal_follows_a_fit_and_a_training():
    assert "20/400" in show(Terminal(), [{"event": "fit", "done": 20, "total": 400, "loss": 0.5, "seconds": 1.0}])
    start = {"event": "start", "total": 9, "done": 0, "folder": "run", "what": "updates"}
    shown = show(Terminal(), [start, TRAIN])
    assert "2/9" in shown
    assert "both, change 0.100" in shown


def test_a_terminal_gets_a_bar():
    shown = show(Terminal())
    assert "2/3" in shown
    assert "1 failed" in shown
    assert "[odd] markup" in shown
    assert "no [GPU]" in shown


def test_a_terminal_without_rich_gets_plain_lines(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert show(Terminal()).splitlines() == LINES


def test_a_long_run_speaks_now_and_then(monkeypatch):
    monkeypatch.setattr("facewright.progress.LOG_EVERY_S", -1.0)
    assert "2/3 frames, 0 failed, " in show(io.StringIO())
