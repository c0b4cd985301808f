"""The command line is a contract: what it prints, where, and the exit code."""

import functools
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import types
from pathlib import Path

import pytest
from PIL import Image

import facewright.dataset
import facewright.errors
from facewright import cli, commands, doctor
from facewright.farm import worker

ROOT = Path(__file__).parents[1]
SMALL = ["--set", "image.width=48", "--set", "image.height=48", "--renderer", "mock"]


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


def mistake(capsys, *arguments):
    """Return the one sentence on stderr of a command that must end with code 2."""
    assert run(*arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert "Traceback" not in shown.err
    return shown.err


def test_generate_check_report_preview(tmp_path, capsys):
    folder = tmp_path / "d"
    assert run("generate", "eye_rgb", "-o", folder, "--count", 3, *SMALL) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [f"rendering eye_rgb: 3 frames in {folder}", *shown.err.splitlines()[-1:]]
    assert shown.err.splitlines()[-1].startswith("3 frames in ")
    assert len(facewright.dataset.open(folder)) == 3
    assert run("check", folder) == 0
    assert run("report", folder) == 0
    assert capsys.readouterr().out == f"{folder / 'report.html'}\n"
    sheet = tmp_path / "sheet.png"
    assert run("preview", "face", "-o", sheet, *SMALL) == 0
    with Image.open(sheet) as picture:
        assert picture.size == (6 * (48 + 6) + 6, 4 * (48 + 6) + 6)


def test_check_fails_where_wanted_frames_are_missing(tmp_path, capsys):
    folder = tmp_path / "d"
    run("generate", "face", "-o", folder, "--count", 2, *SMALL)
    (folder / "frames" / "000001.json").unlink()
    assert run("check", folder) == 1
    assert "1 wanted frames are missing" in capsys.readouterr().err


def test_reading_a_layer_that_was_not_made_says_how_to_make_it(tmp_path):
    run("generate", "face", "-o", tmp_path / "d", "--count", 1, *SMALL)
    with pytest.raises(facewright.errors.DatasetError, match="facewright refine"):
        facewright.dataset.open(tmp_path / "d", layers=["refined"])[0]


def test_a_finished_dataset_is_continued_in_no_time(tmp_path, capsys):
    run("generate", "face", "-o", tmp_path / "d", "--count", 2, *SMALL)
    capsys.readouterr()
    assert run("generate", "face", "-o", tmp_path / "d", "--count", 2, *SMALL) == 0
    assert "2 are there already" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    assert run("generate", "face", "-o", tmp_path / "d", "--count", 7, "--dry-run", *SMALL) == 0
    assert capsys.readouterr().out.startswith("would render 7 of 7 frames of face (")
    assert not (tmp_path / "d").exists()


def test_json_events_are_lines_on_stdout(tmp_path, capsys):
    run("generate", "face", "-o", tmp_path / "d", "--count", 2, "--workers", 1, "--json-events", *SMALL)
    shown = capsys.readouterr()
    kinds = [json.loads(line)["event"] for line in shown.out.splitlines()]
    assert kinds == ["start", "worker", "frame", "frame", "done"]
    assert shown.err == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["generate", "eye_rbg", "-o", "DIR"], "no built-in recipe 'eye_rbg'"),
        (["generate", "none.yaml", "-o", "DIR"], "none.yaml: no such file"),
        (["generate", "face", "-o", "DIR", "--set", "gaze.yaw=3"], "unknown key 'yaw'; did you mean 'yaw_deg'?"),
        (["generate", "face", "-o", "DIR", "--set", "subject.eye.pupil_mm=90"], "90 mm is outside"),
        (["generate", "face", "-o", "DIR", "--set", "gaze.yaw_deg={uniform: [9, 1]}"], "low 9 is above high 1"),
        (["generate", "face", "-o", "DIR", "--set", "light.hdri=moon.hdr"], "'moon.hdr' is not in"),
        (["generate", "face", "-o", "DIR", "--set", "hdri_folder=/nowhere"], "/nowhere is not a folder"),
        (["generate", "face", "-o", "DIR", "--count", "-3"], "argument --count: -3 is outside"),
        (["generate", "face", "-o", "DIR", "--count", "many"], "argument --count"),
        (["generate", "face", "-o", "DIR", "--device", "tpu"], "argument --device"),
        (["generate", "face"], "required: -o/--output"),
        (["generate", "face", "-o", "FILE"], "is a file; give a folder"),
        (["generate", "face", "-o", "FULL"], "is not empty and not a Facewright dataset"),
        (["generate", "face", "-o", "/proc/nowhere"], "it cannot be written"),
        (["check", "DIR"], "is not a Facewright dataset"),
        (["report", "DIR"], "is not a Facewright dataset"),
        (["refine", "DIR", "--with", "webcam"], "is not a Facewright dataset"),
        (["worker", "DIR"], "is not a Facewright dataset"),
        (["export", "DIR", "--as", "teyed", "-o", "OUT"], "is not a Facewright dataset"),
        (["export", "DIR", "--as", "unityeye", "-o", "OUT"], "no format 'unityeye'; did you mean 'unityeyes'?"),
        (["export", "DIR", "--as", "teyed"], "required: -o/--output"),
        (["genrate", "face"], "invalid choice: 'genrate'"),
        ([], "required: COMMAND"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(tmp_path, capsys, arguments, sentence):
    (tmp_path / "FILE").write_text("x")
    (tmp_path / "FULL").mkdir()
    (tmp_path / "FULL/mine.txt").write_text("x")
    places = {name: str(tmp_path / name) for name in ("DIR", "FILE", "FULL")}
    assert sentence in mistake(capsys, *(places.get(argument, argument) for argument in arguments))
    assert not (tmp_path / "DIR").exists()


def test_another_recipe_or_seed_in_the_same_folder_is_a_mistake(tmp_path, capsys):
    folder = tmp_path / "d"
    run("generate", "face", "-o", folder, "--count", 1, *SMALL)
    capsys.readouterr()
    assert "another seed (seed 0, now 1)" in mistake(capsys, "generate", "face", "-o", folder, "--seed", 1, *SMALL)
    assert "another recipe" in mistake(capsys, "generate", "eye_rgb", "-o", folder, *SMALL)
    assert "another refiner" in mistake(capsys, "generate", "face", "-o", folder, "--refine", "webcam", *SMALL)


def test_some_failed_frames_are_exit_code_1(tmp_path, capsys):
    folder = tmp_path / "d"
    run("generate", "face", "-o", folder, "--count", 3, *SMALL)
    (folder / "frames/000001.seg.png").write_bytes(b"rotten")
    capsys.readouterr()
    assert run("check", folder) == 1
    shown = capsys.readouterr().err
    assert "frame 1 failed" in shown
    assert "000001.seg.png is damaged" in shown
    (folder / "frames/000001.json").unlink()  # what the message advises
    assert run("generate", "face", "-o", folder, "--count", 3, *SMALL) == 0
    assert run("check", folder) == 0


@pytest.fixture
def disk(tmp_path):
    """Return a folder on a disk of its own of half a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", place], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("needs the right to mount a small disk")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_is_one_sentence_and_room_lets_the_run_continue(disk, capsys):
    big = ["--set", "image.width=256", "--set", "image.height=256", "--renderer", "mock"]
    said = _last_line(capsys, run("generate", "face", "-o", disk / "d", "--count", 40, *big))
    assert "the disk is full; free some space and run the same command again to continue" in said
    assert not list(disk.glob("**/*.tmp"))
    done = len(facewright.dataset.open(disk / "d"))
    assert 0 < done < 40
    subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
    assert run("generate", "face", "-o", disk / "d", "--count", done + 2, *big) == 0
    assert len(facewright.dataset.open(disk / "d")) == done + 2


def test_a_read_only_folder_is_one_sentence(disk, capsys):
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert "Read-only file system" in mistake(capsys, "generate", "face", "-o", disk / "d", *SMALL)
    assert "Read-only file system" in mistake(capsys, "generate", "face", "-o", disk, *SMALL)


def _last_line(capsys, code):
    assert code == 2
    shown = capsys.readouterr().err
    assert "Traceback" not in shown
    return shown.splitlines()[-1]


def test_a_missing_torch_is_one_sentence(tmp_path, capsys, monkeypatch):
    real = facewright.refining.importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name == "torch" else real(name, *rest))
    monkeypatch.delenv("FACEWRIGHT_PYTHON", raising=False)
    run("generate", "face", "-o", tmp_path / "d", "--count", 1, *SMALL)
    capsys.readouterr()
    assert "pip install torch kornia" in _last_line(capsys, run("refine", tmp_path / "d", "--with", "webcam"))


def test_an_unknown_profile_ends_the_run_before_the_first_frame(tmp_path, capsys):
    pytest.importorskip("kornia")
    said = _last_line(capsys, run("generate", "face", "-o", tmp_path / "d", "--refine", "webcm", "--count", 2, *SMALL))
    assert "webcam" in said
    assert len(facewright.dataset.open(tmp_path / "d")) == 0


def _workers_with(monkeypatch, first):
    """Make every worker process run the statement `first` before anything else."""
    code = f"import sys; sys.path[:] = {sys.path!r}; {first}; from facewright.__main__ import run; run()"
    monkeypatch.setattr(
        "facewright.farm.local.worker_command", lambda arguments: [sys.executable, "-c", code, *arguments]
    )


def test_a_missing_blender_is_one_sentence(tmp_path, capsys, monkeypatch):
    _workers_with(monkeypatch, "sys.modules['bpy'] = None")
    said = _last_line(capsys, run("generate", "face", "-o", tmp_path / "d", "--count", 2))
    assert "rendering needs Blender's bpy" in said
    assert "pip install bpy" in said


def test_an_old_blender_is_one_sentence_that_names_the_version_needed(tmp_path, capsys, monkeypatch):
    app = "types.SimpleNamespace(version=(4, 2, 23), version_string='4.2.23', binary_path='')"
    _workers_with(monkeypatch, f"import types; sys.modules['bpy'] = types.SimpleNamespace(app={app})")
    said = _last_line(capsys, run("generate", "face", "-o", tmp_path / "d", "--count", 2))
    assert "Blender 4.2.23 is too old; Facewright needs 4.5 or newer" in said


def test_the_doctor_knows_an_old_blender(monkeypatch):
    old = types.SimpleNamespace(app=types.SimpleNamespace(version=(4, 2, 23), version_string="4.2.23", binary_path=""))
    monkeypatch.setitem(sys.modules, "bpy", old)
    found = {finding.what: finding for finding in doctor.examine()}
    assert not found["Blender"].ok
    assert found["Blender"].cure == "Facewright needs Blender 4.5 or newer"


def test_doctor_says_what_is_missing_and_what_to_do(capsys, monkeypatch):
    monkeypatch.setattr(
        doctor, "_blender", lambda: [doctor.Finding("Blender", False, "No module named 'bpy'", "install")]
    )
    assert run("doctor") == 1
    assert "No module named 'bpy'" in capsys.readouterr().out
    monkeypatch.setattr(doctor, "_blender", lambda: [doctor.Finding("Blender", True, "5.2.3")])
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert run("doctor") == 0
    assert "ok   Blender: 5.2.3" in capsys.readouterr().out


def test_a_bug_keeps_its_traceback_and_asks_for_a_report(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(commands, "report", lambda args: 1 // 0)
    assert run("report", tmp_path) == 1
    shown = capsys.readouterr().err
    assert "ZeroDivisionError" in shown
    assert "please report it" in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_stops_cleanly_and_says_how_to_go_on(tmp_path, number):
    command = [
        sys.executable,
        ROOT / "generate.py",
        "generate",
        "face",
        "-o",
        tmp_path / "d",
        "--count",
        "4000",
        *SMALL,
    ]
    # shells start background jobs with SIGINT ignored, and children inherit that
    restore = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=restore)
    deadline = time.monotonic() + 30
    while not list((tmp_path / "d").glob("frames/*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == f"stopped; run the same command again to continue in {tmp_path / 'd'}"
    assert "Traceback" not in said
    assert not list((tmp_path / "d").glob("claims/*.json"))
    assert not (tmp_path / "d/.lock").exists()


def test_a_clone_runs_without_installation(tmp_path):
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH" or "stub" in value}
    answer = subprocess.run(
        [sys.executable, ROOT / "generate.py", "--version"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.startswith("facewright ")


def test_arguments_inside_blender_are_those_after_the_dashes(monkeypatch):
    line = ["blender", "--background", "--python", "generate.py", "--", "doctor"]
    assert cli.arguments(["facewright", "check", "--", "x"]) == ["check", "--", "x"]
    inside = types.SimpleNamespace(app=types.SimpleNamespace(binary_path="/opt/blender"))
    monkeypatch.setitem(sys.modules, "bpy", inside)
    assert cli.arguments(line) == ["doctor"]
    assert cli.arguments(line[:4]) == []
    command = worker_command(["worker", "x"])
    assert command[0] == "/opt/blender"
    assert command[-3:] == ["--", "worker", "x"]


def worker_command(arguments):
    from facewright.farm.local import worker_command

    return worker_command(arguments)


def test_a_station_is_its_own_arguments_again():
    station = worker.Station("mock", "cpu", 3, "/usr/bin/python3")
    args = cli._parser().parse_args(["worker", "d", *station.to_args()])
    assert worker.station_of(args) == station


@pytest.mark.parametrize(
    "command",
    [
        "generate",
        "preview",
        "refine",
        "fit-sensor",
        "train-refiner",
        "export-refiner",
        "check",
        "report",
        "export",
        "doctor",
        "worker",
    ],
)
def test_every_command_has_help(command, capsys):
    assert run(command, "--help") == 0
    assert command in capsys.readouterr().out


def whole(folder):
    """Return every record of a dataset without what may differ from run to run, by index."""
    dataset = facewright.dataset.open(folder)
    keep = ("schema", "sample", "truth", "layers")
    return {index: json.dumps([dataset.record(index)[key] for key in keep]) for index in dataset.indices}


def harm(path, how):
    data = path.read_bytes()
    if how == "flipped":
        path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    elif how == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "gone":
        path.unlink()
    else:
        path.write_bytes(b"\xff" * 700)


def test_any_harm_to_any_file_is_found_repaired_and_made_anew(tmp_path, capsys):
    """Every kind of harm to every kind of file, each in a record of its own; three commands bring all of it back."""
    kinds = [
        (how, suffix)
        for how in ("flipped", "cut", "empty", "gone", "noise")
        for suffix in ("json", "rgb.png", "seg.png", "depth.exr")
    ]
    make = ["generate", "eye_rgb", "-o", tmp_path / "d", "--count", len(kinds) + 2, *SMALL]
    make += ["--set", "outputs=[seg, depth]"]
    assert run(*make) == 0
    before = whole(tmp_path / "d")
    for index, (how, suffix) in enumerate(kinds):
        harm(tmp_path / "d" / "frames" / f"{index:06d}.{suffix}", how)
    capsys.readouterr()
    assert run("check", tmp_path / "d") == 1
    said = capsys.readouterr().err
    lost = kinds.index(("gone", "json"))  # without its json a record is not there: wanted, and missing
    unseen = [kind for index, kind in enumerate(kinds) if f"frame {index} failed" not in said and index != lost]
    assert not unseen
    assert "1 wanted frames are missing" in said
    assert run("check", tmp_path / "d", "--repair") == 1, "frames are missing now"
    assert f"{len(kinds)} wanted frames are missing" in capsys.readouterr().err
    assert run(*make) == 0
    assert run("check", tmp_path / "d") == 0
    assert whole(tmp_path / "d") == before


@pytest.mark.parametrize(("how", "where"), [("cut", 0.3), ("cut", 0.98), ("flip", 0.02), ("flip", 0.7)])
def test_harm_to_a_shard_costs_what_it_hit_and_no_more(tmp_path, capsys, how, where):
    make = ["generate", "eye_rgb", "-o", tmp_path / "d", "--count", 6, "--tar", *SMALL, "--set", "outputs=[seg]"]
    assert run(*make) == 0
    before = whole(tmp_path / "d")
    (shard,) = (tmp_path / "d" / "shards").iterdir()
    data = bytearray(shard.read_bytes())
    with tarfile.open(shard) as archive:
        names = archive.getnames()
        member = archive.getmember(names[int(where * len(names))])
    at = member.offset_data + member.size // 2
    if how == "cut":
        data = data[:at]
    else:
        data[at] ^= 0x10
    shard.write_bytes(data)
    assert run("check", tmp_path / "d", "--repair") == 1
    hit = int(member.name[:6])
    left = set(facewright.dataset.open(tmp_path / "d").indices) if any(shard.parent.iterdir()) else set()
    assert left == set(range(hit)) | (set(range(hit + 1, 6)) if how == "flip" else set())
    assert run(*make) == 0
    capsys.readouterr()
    assert run("check", tmp_path / "d") == 0
    assert whole(tmp_path / "d") == before
