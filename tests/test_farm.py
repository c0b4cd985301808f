"""The farm: any number of workers, killed at any time, makes the same dataset; what cannot be made is set apart."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import facewright.dataset
from facewright import Recipe, mock, sample
from facewright.dataset.writer import Writer, open_for_writing
from facewright.errors import UserError
from facewright.farm import local
from facewright.farm.generate import Order, generate, missing
from facewright.farm.plan import blocks, plan
from facewright.farm.worker import Station, Turn, open_maker, work

RECIPE = Recipe.load("face", ["image.width=48", "image.height=48"])
MOCK = Station(renderer="mock")


def labels(folder):
    dataset = facewright.dataset.open(folder)
    records = ((index, dataset.record(index)) for index in dataset.indices)
    return {
        index: json.dumps({key: record[key] for key in ("index", "schema", "sample", "truth", "layers")})
        for index, record in records
    }


def make(folder, count=5, workers=1, **order):
    events = []
    failed = generate(Order(RECIPE, seed=5, count=count, **order), folder, MOCK, workers, events.append)
    return failed, events


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Return the labels of five frames made by one worker."""
    folder = tmp_path_factory.mktemp("reference")
    assert make(folder)[0] == 0
    return labels(folder)


@pytest.fixture
def spoilt(monkeypatch):
    """Return a function that makes every worker run `code` before it starts."""
    real = local.worker_command

    def install(code):
        def command(arguments):
            python, flag, entry, *rest = real(arguments)
            first, _, last = entry.partition("from facewright.__main__")
            return [python, flag, f"{first}\n{code}\nfrom facewright.__main__{last}", *rest]

        monkeypatch.setattr(local, "worker_command", command)

    return install


BREAK = """
import os, time
from facewright import mock
real = mock.MockRenderer.__call__
def call(self, sample, *rest):
    if sample.index == 3:
        {what}
    return real(self, sample, *rest)
mock.MockRenderer.__call__ = call
"""


@pytest.mark.parametrize("workers", [2, 3])
def test_labels_are_byte_equal_on_any_worker_count(tmp_path, reference, workers):
    assert make(tmp_path, workers=workers)[0] == 0
    assert labels(tmp_path) == reference


def test_indices_in_any_portions_are_the_same_dataset(tmp_path, reference):
    make(tmp_path, start=3, count=2, tar=True)
    make(tmp_path, count=2)
    failed, events = make(tmp_path, tar=True)
    assert failed == 0
    assert events[0] == {"event": "start", "total": 5, "done": 4, "folder": str(tmp_path)}
    assert labels(tmp_path) == reference
    assert make(tmp_path)[1][-1]["made"] == 0


@pytest.mark.parametrize("orphans", [False, True], ids=["workers die too", "workers live on"])
@pytest.mark.parametrize("records", [0, 2])
def test_a_killed_run_continues_to_the_same_dataset(tmp_path, reference, records, orphans):
    """The coordinator, or all processes, are killed once `records` records exist; the same command runs at once."""
    code = "from facewright.__main__ import run; run()"
    words = f"generate face -o {tmp_path / 'd'} --count 5 --seed 5 --workers 2 --renderer mock"
    size = ["--set", "image.width=48", "--set", "image.height=48"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.Popen([sys.executable, "-c", code, *words.split(), *size], env=env, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "d").glob("frames/*.json"))) < records and time.monotonic() < deadline:
        time.sleep(0.005)
    for pid in [run.pid] if orphans else [run.pid, *_children(run.pid)]:
        os.kill(pid, signal.SIGKILL)
    run.wait()
    failed, events = make(tmp_path / "d")
    assert failed == 0
    assert events[0]["done"] >= records
    assert labels(tmp_path / "d") == reference
    assert not list((tmp_path / "d").glob("**/*.tmp"))
    assert not list((tmp_path / "d/claims").iterdir())


def _children(pid):
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in lists for child in path.read_text().split()]


def test_workers_outlive_a_killed_coordinator_by_one_frame(tmp_path):
    """Nobody is left behind: a worker whose pipe closes ends."""
    with open_for_writing(tmp_path, Order(RECIPE, count=2).card):
        process = local._Process(tmp_path, 0, MOCK)
        assert process.wait_until_ready(lambda event: None, 60)
        process.popen.stdin.close()
        assert process.popen.wait(10) == 0
        process.popen.stdout.close()


def test_a_frame_that_fails_is_set_apart_and_tried_once_more(tmp_path, spoilt, reference):
    spoilt(BREAK.format(what="raise RuntimeError('no lamp in this scene')"))
    failed, events = make(tmp_path, workers=2)
    assert failed == 1
    failures = [event for event in events if event["event"] == "quarantine"]
    assert [event["index"] for event in failures] == [3, 3]
    assert failures[0]["error"] == "no lamp in this scene"
    assert "no lamp in this scene" in (tmp_path / "quarantine/000003/error.txt").read_text()
    assert sorted(labels(tmp_path)) == [0, 1, 2, 4]
    assert events[-1]["failed"] == 1


def test_a_quarantined_frame_is_made_by_a_later_run(tmp_path, spoilt, reference, monkeypatch):
    spoilt(BREAK.format(what="raise RuntimeError('no lamp in this scene')"))
    make(tmp_path)
    monkeypatch.undo()
    assert make(tmp_path)[0] == 0
    assert labels(tmp_path) == reference
    assert not (tmp_path / "quarantine/000003").exists()


def test_a_frame_that_kills_two_workers_is_set_apart_and_the_run_goes_on(tmp_path, spoilt):
    spoilt(BREAK.format(what="os.kill(os.getpid(), 11)"))
    failed, events = make(tmp_path)
    assert failed == 1
    assert sorted(labels(tmp_path)) == [0, 1, 2, 4]
    assert "frame 3 killed 2 workers (signal 11)" in (tmp_path / "quarantine/000003/error.txt").read_text()
    warning = next(event["message"] for event in events if event["event"] == "warning")
    assert warning == "a worker died at frame 3 (signal 11)"


def test_a_frame_that_kills_one_worker_by_chance_is_made(tmp_path, spoilt, reference):
    flag = tmp_path / "once"
    spoilt(
        BREAK.format(
            what=f"""
        if not os.path.exists({str(flag)!r}):
            open({str(flag)!r}, 'w').close()
            os.kill(os.getpid(), 9)"""
        )
    )
    assert make(tmp_path / "d")[0] == 0
    assert labels(tmp_path / "d") == reference


def test_workers_are_recycled_by_count_and_by_memory(tmp_path, monkeypatch):
    for name, value in (("RECYCLE_FRAMES", 3), ("RECYCLE_MEMORY_MB", 1)):
        monkeypatch.setattr(local, name, value)
        _, events = make(tmp_path / name)
        assert len([event for event in events if event["event"] == "worker"]) == {3: 2, 1: 5}[value]
        monkeypatch.undo()


def test_a_worker_that_cannot_start_ends_the_run_in_one_sentence(tmp_path, spoilt):
    spoilt("import os; os.write(2, b'GPU on fire\\n'); os._exit(3)")
    with pytest.raises(UserError, match=r"die while they start.*GPU on fire"):
        make(tmp_path)


def test_what_no_retry_can_cure_ends_the_run(tmp_path, spoilt):
    spoilt(BREAK.format(what="from facewright.errors import OutputError; raise OutputError('the disk is full')"))
    with pytest.raises(UserError, match="the disk is full"):
        make(tmp_path, workers=2)
    assert not (tmp_path / "quarantine").exists()


def bytes_of(frame):
    return {name: layer.tobytes() for name, layer in frame.layers.items()}


def test_the_next_frame_is_drafted_while_one_is_rendered(monkeypatch):
    """Frame 0 does not end before the draft of frame 1, which is then made no second time."""
    first, second = (sample(RECIPE, 5, index) for index in (0, 1))
    alone = [bytes_of(mock.MockRenderer()(one, RECIPE.outputs)) for one in (first, second)]
    drafted, seen, real, call = [], threading.Event(), mock.MockRenderer.draft, mock.MockRenderer.__call__

    def draft(self, one):
        drafted.append(one.index)
        if one == second:
            seen.set()
        return real(self, one)

    def render(self, one, outputs, draft):
        assert seen.wait(120)
        return call(self, one, outputs, draft)

    monkeypatch.setattr(mock.MockRenderer, "draft", draft)
    monkeypatch.setattr(mock.MockRenderer, "__call__", render)
    with open_maker(MOCK, RECIPE, "none", print) as (make_one, _):
        found = [bytes_of(make_one(first, RECIPE.outputs, second)), bytes_of(make_one(second, RECIPE.outputs))]
    assert drafted == [0, 1]
    assert found == alone


def test_a_draft_in_vain_leaves_no_trace():
    """Another sample is wanted than the one that was to follow."""
    first, second, third = (sample(RECIPE, 5, index) for index in range(3))
    with open_maker(MOCK, RECIPE, "none", print) as (make_one, _):
        make_one(first, RECIPE.outputs, third)
        found = bytes_of(make_one(second, RECIPE.outputs))
    assert found == bytes_of(mock.MockRenderer()(second, RECIPE.outputs))


def test_a_draft_that_fails_fails_its_own_frame(tmp_path, spoilt, reference):
    spoilt(BREAK.format(what="raise RuntimeError('two heads')").replace("__call__", "draft"))
    failed, events = make(tmp_path)
    assert failed == 1
    assert [event["index"] for event in events if event["event"] == "quarantine"] == [3, 3]
    assert "two heads" in (tmp_path / "quarantine/000003/error.txt").read_text()
    assert labels(tmp_path) == {index: record for index, record in reference.items() if index != 3}


def test_a_free_worker_takes_what_another_has_reserved():
    """Worker 0 knows what follows its frame; at the end nobody waits for it."""
    crew = local._Crew(None, RECIPE, range(3), MOCK, 2, print)
    block = crew._take(0)
    assert block == [0]
    assert crew._following(0, block) == crew._following(0, block) == 1
    assert crew._take(1) == [2]
    assert crew._following(1, [2]) is None
    assert crew._take(1) == [1]
    assert crew._take(0) is None


@pytest.mark.parametrize("turn", [Turn(3), Turn(3, 4)])
def test_turns_travel_as_lines(turn):
    assert Turn.parse(f"{turn}\n") == turn


def test_what_workers_print_does_not_disturb_the_events(tmp_path, spoilt, reference):
    noise = BREAK.format(what="print('Fra:1 Mem:12M'); os.system('echo Saved: /tmp/x.exr')")
    spoilt(f"print('Blender 5.2.2 (hash)', flush=True)\n{noise}")
    assert make(tmp_path)[0] == 0
    assert labels(tmp_path) == reference
    assert "Saved: /tmp/x.exr" in (tmp_path / "logs/worker-0.log").read_text()


def test_a_lone_worker_finishes_what_was_begun(tmp_path, reference):
    make(tmp_path, workers=0)
    assert labels(tmp_path) == {}
    writer = Writer.join(tmp_path)
    assert writer.claim(2)  # somebody else's
    events = []
    assert work(tmp_path, MOCK, events.append)
    assert {"event": "skip", "index": 2} in events
    writer.release(2)
    assert work(tmp_path, MOCK, events.append)
    assert labels(tmp_path) == reference


def test_the_card_says_who_made_it_and_what_was_checked(tmp_path):
    make(tmp_path)
    card = facewright.dataset.open(tmp_path).card
    assert [maker["renderer"] for maker in card.made_with] == ["mock"]
    assert {"facewright", "numpy", "python", "device"} <= set(card.made_with[0])
    assert card.checks
    assert Recipe.load(tmp_path / "recipe.json") == RECIPE


def test_blocks_keep_a_subject_together_unless_workers_would_idle():
    assert blocks([0, 1, 2, 3, 4, 7], 3, 1) == [[0, 1, 2], [3, 4], [7]]
    assert blocks(range(6), 6, 3) == [[0, 1], [2, 3], [4, 5]]
    assert blocks([], 3, 2) == []


def test_the_plan_is_read_from_the_folder_alone(tmp_path):
    make(tmp_path, count=2)
    writer = Writer.join(tmp_path)
    writer.quarantine(3, "no", {})
    assert plan(writer, range(5)) == ([0, 1], [2, 4], [3])
    assert missing(Order(RECIPE, seed=5, count=5), tmp_path) == [2, 3, 4]
    assert missing(Order(RECIPE, seed=5, count=2), tmp_path / "new") == [0, 1]
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="cores are shown to libraries on Linux only")
def test_blender_has_no_more_threads_than_it_was_given():
    pytest.importorskip("bpy", reason="it is bpy's pool of threads")
    code = """
import ctypes, os
from facewright.scene import compat
before = os.sched_getaffinity(0)
compat.import_bpy(1)
assert all(os.sched_getaffinity(int(task)) == before for task in os.listdir("/proc/self/task")), "one stayed"
tbb = ctypes.CDLL(next(line.split()[-1] for line in open("/proc/self/maps") if "libtbb.so" in line))
limit = tbb._ZN3tbb6detail2r127global_control_active_valueEi  # of max_allowed_parallelism
limit.restype = ctypes.c_size_t
print(limit(0))
"""
    env = os.environ | {"PYTHONPATH": str(Path(facewright.__file__).parents[1])}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split()[-1] == "1"
