"""What goes wrong in long runs: killed, full, hung, crashed, twice at once. The same command brings everything back.

A zygote, one Python that has everything loaded, forks the command line as often as is wanted: the same code and files
as a fresh process, without its start. What needs worker processes of their own has them.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

import facewright.dataset
from facewright import Recipe, cli, process
from facewright.dataset import claim
from facewright.dataset.reader import loose_places, shard_places
from facewright.dataset.writer import Writer, open_for_writing
from facewright.errors import DatasetError, OutputError
from facewright.farm import local
from facewright.farm.generate import Order, generate
from facewright.farm.worker import Station, work

COUNT = 6
SETTINGS = ["image.width=24", "image.height=24", "outputs=[seg]", "frames_per_subject=8"]
RECIPE = Recipe.load("face", SETTINGS)
ORDER = Order(RECIPE, seed=5, count=COUNT)
MOCK = Station(renderer="mock")

ZYGOTE = """
import contextlib, json, os, resource, signal, sys, warnings
warnings.simplefilter("ignore")  # forking beside the threads of linear algebra
from facewright import cli
from facewright.farm import local, worker

def run(writer, recipe, indices, station, workers, emit):
    if indices:  # coordinator and worker in one process
        worker.work(writer.folder, station, emit, map(worker.Turn, indices, [*indices[1:], None]))

local.run = run

def count(limit, seen=[0]):
    def hook(event, arguments):
        if event in ("open", "os.mkdir", "os.link", "os.rename", "os.remove", "os.rmdir", "os.scandir"):
            seen[0] += 1
            if seen[0] == limit:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    return seen

def child(job):
    os.setsid()
    os.dup2(os.open(job["said"], os.O_CREAT | os.O_WRONLY | os.O_APPEND), 2)
    if "bytes" in job:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["bytes"], job["bytes"]))
    if "user" in job:
        os.setuid(job["user"])
    seen = count(job.get("kill_at", 0))
    code = cli.main(job["arguments"])
    os.write(2, f"files touched: {seen[0]}\\n".encode())
    os._exit(code)

with contextlib.redirect_stdout(sys.stderr):
    for words in json.loads(sys.argv[1]):  # loads all that these need: somebody else may not read it later
        assert cli.main(words) == 0
for line in sys.stdin:
    pids = []
    for job in json.loads(line):
        pid = os.fork()
        if not pid:
            try:
                child(job)
            finally:
                os._exit(99)
        pids.append(pid)
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]), flush=True)
"""


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    """Return a function that runs jobs at once in processes of their own; it returns their exit codes and words."""
    place = tmp_path_factory.mktemp("zygote")
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    warm = [[*map(str, words)] for words in (command(place / "d"), ["check", place / "d"], ["report", place / "d"])]
    with subprocess.Popen(
        [sys.executable, "-c", ZYGOTE, json.dumps(warm)], stdin=pipe, stdout=pipe, text=True, env=env
    ) as python:

        def run(*jobs):
            said = [place / str(number) for number in range(len(jobs))]
            for path in said:
                path.write_text("")
            work = [
                job | {"arguments": list(map(str, job["arguments"])), "said": str(path)}
                for job, path in zip(jobs, said, strict=True)
            ]
            python.stdin.write(json.dumps(work) + "\n")
            python.stdin.flush()
            codes = json.loads(python.stdout.readline())
            return [(code, path.read_text()) for code, path in zip(codes, said, strict=True)]

        yield run
        python.stdin.close()


def command(folder, *more):
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    words = ["generate", "face", "-o", folder, "--count", COUNT, "--seed", 5, "--renderer", "mock"]
    return [*words, *settings, *more]


def labels(folder):
    """Return everything of a dataset that must not depend on how it was made, by index."""
    dataset = facewright.dataset.open(folder)
    keep = ("schema", "index", "sample", "truth", "layers")
    return {index: json.dumps([dataset.record(index)[key] for key in keep]) for index in dataset.indices}


@pytest.fixture(scope="module")
def reference(zygote, tmp_path_factory):
    """Return the labels of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("reference") / "d"
    ((code, _),) = zygote({"arguments": command(folder)})
    assert code == 0
    return labels(folder)


def assert_whole(folder, reference):
    """Nothing is lost, doubled or left over."""
    assert labels(folder) == reference
    assert not set(loose_places(folder)) & set(shard_places(folder))
    assert not [path for path in folder.rglob("*") if path.name.endswith(".tmp")]
    assert not list((folder / "claims").iterdir())
    assert not (folder / ".lock").exists()
    assert not list(folder.glob("quarantine/*"))


MOMENTS = random.Random(8).sample(range(1, 150), 42)


@pytest.mark.parametrize("kills", [MOMENTS[k : k + 7] for k in range(0, 42, 7)], ids=lambda kills: f"at {min(kills)}")
def test_killed_at_any_file_the_same_command_continues(zygote, reference, tmp_path, kills):
    """Each kill strikes at another file touched: card, claim, layer, record, shard. Every second folder is packed."""
    more = ["--tar"] if sum(kills) % 2 else []
    for at in kills:
        ((code, said),) = zygote({"arguments": command(tmp_path / "d", *more), "kill_at": at})
        assert code in (0, -signal.SIGKILL), said
    ((code, said),) = zygote({"arguments": command(tmp_path / "d", *more)})
    assert code == 0, said
    assert_whole(tmp_path / "d", reference)


def start(*arguments, **options):
    """Start the command line as a user does, in a process group of its own."""
    code = "import sys; from facewright.__main__ import run; run()"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(words, env=env, text=True, start_new_session=True, **options)


def descendants(pid):
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for path in lists for child in path.read_text().split()]
    return [pid, *(below for child in children for below in descendants(child))]


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_any_time_with_all_its_workers_the_same_command_continues(zygote, reference, tmp_path, seed):
    """The whole tree of processes is killed four times in a row; orphans of a fifth kill spare none of it."""
    moments = random.Random(seed)
    for kill in range(4):
        run = start(*command(tmp_path / "d", "--workers", 2, "--tar"), stderr=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(moments.uniform(0.1, 3.0))
        for pid in descendants(run.pid) if kill < 3 else [run.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        run.wait()
    ((code, said),) = zygote({"arguments": command(tmp_path / "d", "--tar")})
    assert code == 0, said
    assert_whole(tmp_path / "d", reference)


def test_a_disk_that_is_full_for_records_or_for_shards_is_one_sentence(zygote, reference, tmp_path):
    """Every file beyond a size is refused, as a full disk does; 200 kB are enough for a record but not for a shard."""
    for size in (60_000, 200_000):
        ((code, said),) = zygote({"arguments": command(tmp_path / "d", "--tar"), "bytes": size})
        assert code == 2, said
        sentence = "the disk is full; free some space and run the same command again to continue"
        assert sentence in said.splitlines()[-2]
        assert "Traceback" not in said
        assert not [path for path in tmp_path.rglob("*.tmp")]
    assert labels(tmp_path / "d") == reference
    assert zygote({"arguments": command(tmp_path / "d", "--tar")})[0][0] == 0
    assert_whole(tmp_path / "d", reference)


def test_a_folder_that_may_not_be_written_or_read_is_one_sentence(zygote, tmp_path):
    """As somebody else, where we are root, who may everything."""
    somebody = {"user": 65534} if os.geteuid() == 0 else {}
    folder = tmp_path / "d"
    zygote({"arguments": command(folder)})
    for closed, mode in ((tmp_path, 0o000), (folder, 0o500), (folder / "frames", 0o000)):
        closed.chmod(mode)
        try:
            for words in (command(folder), ["check", folder], ["report", folder], ["worker", folder]):
                ((code, said),) = zygote({"arguments": words, **somebody})
                assert "Traceback" not in said
                assert code == 2, (words, said)
        finally:
            closed.chmod(0o755)


def test_two_generates_at_once_make_one_dataset(zygote, reference, tmp_path):
    found = zygote(*[{"arguments": command(tmp_path / "d")}] * 3)
    assert sorted({code for code, _ in found}) in ([0], [0, 2])
    assert all("is writing here; wait for it, or join it" in said for code, said in found if code)
    assert_whole(tmp_path / "d", reference)


def test_workers_at_once_make_one_dataset(zygote, reference, tmp_path):
    zygote({"arguments": command(tmp_path / "d", "--workers", 0)})
    found = zygote(*[{"arguments": ["worker", tmp_path / "d", "--renderer", "mock"]}] * 3)
    assert [code for code, _ in found] == [0, 0, 0], found
    assert_whole(tmp_path / "d", reference)
    assert "worker" not in {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("shift_s", [-3600, 1e9])
def test_clocks_may_jump(tmp_path, monkeypatch, reference, shift_s):
    """A claim of a live process holds at any time, one from elsewhere ends, at whatever time it pretends to be from."""
    folder = tmp_path / "d"
    generate(Order(RECIPE, 5, count=COUNT), folder, MOCK, 0, lambda event: None)
    writer = Writer.join(folder)
    assert writer.claim(2)
    elsewhere = folder / "claims/000003.json"
    elsewhere.write_text(json.dumps({"pid": 1, "host": "elsewhere", "birth": ""}))
    os.utime(elsewhere, (time.time() + shift_s,) * 2)
    now = time.time
    monkeypatch.setattr(claim.time, "time", lambda: now() - shift_s / 2)
    skipped = []
    assert work(folder, MOCK, lambda event: event["event"] == "skip" and skipped.append(event["index"]))
    assert skipped == [2]
    writer.release(2)
    assert work(folder, MOCK, lambda event: None)
    writer.clean()
    assert_whole(folder, reference)


def test_a_lock_is_renewed_while_it_is_held_and_is_released_by_its_holder_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(claim, "RENEW_S", 0.01)
    lock = tmp_path / "d/.lock"
    with open_for_writing(tmp_path / "d", ORDER.card):
        os.utime(lock, (0, 0))
        deadline = time.monotonic() + 10
        while not lock.stat().st_mtime and time.monotonic() < deadline:
            time.sleep(0.01)
        assert time.time() - lock.stat().st_mtime < claim.LEASE_S
    assert not lock.exists()
    lock.write_text(json.dumps({"pid": 1, "host": "elsewhere", "birth": ""}))
    claim.release(lock)
    assert lock.exists()
    with pytest.raises(OutputError, match="process 1 on elsewhere is writing here"):
        generate(ORDER, tmp_path / "d", MOCK, 1, lambda event: None)


SPOIL = """
import ctypes, os, signal, time
from facewright import mock, progress
def once(name):
    try:
        os.close(os.open({folder!r} + name, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
def call(self, sample, *rest, real=mock.MockRenderer.__call__):
    if sample.index == 1 and once("crash"):
        os.abort()
    if sample.index == 2 and once("hang"):
        ctypes.PyDLL(None).sleep(3600)  # keeps Python's lock, as a hung Blender does
    if sample.index == 3 and once("stop"):
        os.kill(os.getpid(), signal.SIGSTOP)
    return real(self, sample, *rest)
mock.MockRenderer.__call__ = call
def tell(event, stream, real=progress.print_event):
    if event.get("index") == 4 and once("mute"):
        stream.write('{{"event": "fra')
        stream.flush()
        os._exit(0)
    real(event, stream)
progress.print_event = tell
"""


def test_workers_that_crash_hang_stop_or_fall_silent_are_replaced(tmp_path, monkeypatch, reference):
    """Each frame but the first and last breaks its worker in another way, once; two workers go through them at once."""
    command_of = local.worker_command

    def spoilt(arguments):
        python, flag, entry, *rest = command_of(arguments)
        first, _, last = entry.partition("from facewright.__main__")
        return [
            python,
            flag,
            f"{first}\n{SPOIL.format(folder=str(tmp_path) + '/')}\nfrom facewright.__main__{last}",
            *rest,
        ]

    monkeypatch.setattr(local, "worker_command", spoilt)
    heard = []
    station = Station(renderer="mock", timeout=5)
    recipe_order = Order(Recipe.load("face", SETTINGS), seed=5, count=COUNT)
    assert generate(recipe_order, tmp_path / "d", station, 2, heard.append) == 0
    assert_whole(tmp_path / "d", reference)
    said = " ".join(event["message"] for event in heard if event["event"] == "warning")
    for words in ("frame 1 (signal 6)", "frame 2 (hung for 5 s)", "frame 3 (hung for 5 s)", "frame 4 (exit code 0)"):
        assert words in said
    logs = "".join(path.read_text() for path in (tmp_path / "d/logs").iterdir())
    assert logs.count("Fatal Python error: Aborted") == 2
    assert "in call" in logs, "where it crashed, and where it hung"
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _mentions(path, str(tmp_path))]
    assert not left


def _mentions(path, text):
    try:
        return text in path.read_text(errors="replace")
    except OSError:
        return False


def test_patience_grows_with_the_frames():
    assert local.patience(Station(timeout=7), 100) == 7
    assert local.patience(Station(), 0) == local.FIRST_S
    assert local.patience(Station(), 0.1) == local.PATIENCE_S
    assert local.patience(Station(), 100) == 2000


@pytest.mark.parametrize(
    ("shell", "codes"),
    [("{} --json-events | head -n 1", "1 0"), ("{} 2>&1 | head -n 1", "1 0"), ("{} <&- >&- 2>&-", "0")],
)
def test_nobody_need_listen(zygote, reference, tmp_path, shell, codes):
    words = [sys.executable, "-m", "facewright", *map(str, command(tmp_path / "d"))]
    line = shell.format(" ".join(f"'{word}'" for word in words)) + '; echo "${PIPESTATUS[*]}"'
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    answer = subprocess.run(["bash", "-c", line], env=env, capture_output=True, text=True, check=False)
    assert answer.stderr == ""
    assert answer.stdout.splitlines()[-1] == codes
    if codes == "0":
        assert_whole(tmp_path / "d", reference)
    assert zygote({"arguments": command(tmp_path / "d")})[0][0] == 0
    assert_whole(tmp_path / "d", reference)


def test_what_a_killed_process_left_in_memory_is_cleared_by_the_next():
    code = "import os; from facewright import process; s = process.scratch(); print(s.name, flush=True); os.abort()"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    dead = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    left = Path(dead.stdout.strip())
    assert left.is_dir()
    with process.scratch() as mine, process.scratch() as other:
        assert not left.exists()
        assert Path(mine).is_dir()
        assert Path(other).is_dir()


def test_a_worker_does_not_work_by_another_recipe(tmp_path, capsys):
    generate(ORDER, tmp_path, MOCK, 0, lambda event: None)
    path = tmp_path / "recipe.json"
    path.write_text(path.read_text().replace('"height": 24', '"height": 26'))
    with pytest.raises(DatasetError, match=r"recipe\.json: is not the dataset's recipe; run .*--repair"):
        work(tmp_path, MOCK, lambda event: None)
    assert cli.main(["check", str(tmp_path)]) == 1
    assert "recipe.json: is not the dataset's recipe" in capsys.readouterr().err
    cli.main(["check", str(tmp_path), "--repair"])
    assert work(tmp_path, MOCK, lambda event: None)


HARM = {
    "flipped": lambda data, at: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :],
    "cut": lambda data, at: data[:at],
    "zeroed": lambda data, at: data[:at] + bytes(min(64, len(data) - at)) + data[at + 64 :],
}


@pytest.mark.parametrize("how", HARM)
def test_check_finds_harm_to_the_card_and_the_recipe(zygote, tmp_path, how, capsys):
    zygote({"arguments": command(tmp_path / "d")})
    for name in ("dataset.json", "recipe.json"):
        path = tmp_path / "d" / name
        data = path.read_bytes()
        for place in (b'"mock"', b"24", b'"face"') if name == "dataset.json" else (b"24", b'"face"'):
            path.write_bytes(HARM[how](data, data.index(place) + 1))
            code = cli.main(["check", str(tmp_path / "d")])
            said = capsys.readouterr().err
            assert (code, name in said) == ((2 if name == "dataset.json" else 1), True), said
            assert "Traceback" not in said
        path.write_bytes(data)
    assert cli.main(["check", str(tmp_path / "d")]) == 0


@pytest.mark.parametrize(("how", "member"), [("flipped", "000003.json"), ("cut", "000001.rgb.png"), ("zeroed", "")])
def test_harm_to_the_headers_of_a_shard_is_found_repaired_and_made_anew(
    zygote, reference, tmp_path, how, member, capsys
):
    """The name and size of a shard's member are hit: of a record, of a layer in between, of the very first."""
    zygote({"arguments": command(tmp_path / "d", "--tar")})
    (shard,) = (tmp_path / "d/shards").iterdir()
    with tarfile.open(shard) as archive:
        at = archive.getmember(member).offset if member else 0
    shard.write_bytes(HARM[how](shard.read_bytes(), at + 3))
    assert cli.main(["check", str(tmp_path / "d")]) == (1 if member else 2), "2 where the shard cannot be read at all"
    assert cli.main(["check", str(tmp_path / "d"), "--repair"]) == 1
    assert "frames are missing" in capsys.readouterr().err
    ((code, said),) = zygote({"arguments": command(tmp_path / "d", "--tar")})
    assert code == 0, said
    assert cli.main(["check", str(tmp_path / "d")]) == 0
    assert_whole(tmp_path / "d", reference)
