"""The gap lab: equal rows, stages that are kept and keyed by what they are made of, shares that add up."""

import json
import re
import shutil

import numpy as np
import pytest

import facewright.dataset
from facewright import cli
from facewright.recipe import Recipe
from facewright_refiner import gap, gap_page
from facewright_refiner.gap import GapOrder, divide
from facewright_refiner.readers import Entry, Real
from facewright_refiner.readers.base import Labelled
from facewright_refiner.tasks.intervals import Interval

SMALL = ["--renderer", "mock", "--set", "image.width=48", "--set", "image.height=48"]
QUICK = ["--threads", "1", "--seeds", "2", "--steps", "3", "--size", "32", "--folds", "2", "--count", "4"]
QUICK += ["--refine", "reinhard"]


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


def mistake(capsys, *arguments):
    capsys.readouterr()
    assert run(*arguments) == 2
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return shown.err.splitlines()[-1]


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Twelve pictures of six persons, with ids, as if they were real ones."""
    place = tmp_path_factory.mktemp("real")
    changes = [*SMALL, "--set", "frames_per_subject=2"]
    assert run("generate", "face", "-o", place / "d", "--count", 12, "--seed", 9, *changes) == 0
    return place / "d"


@pytest.fixture(scope="module")
def measured(real, tmp_path_factory):
    """A finished run of the five rows, and the recipe that it was given as matched."""
    place = tmp_path_factory.mktemp("gap")
    recipe = place / "matched.yaml"
    recipe.write_text("name: nearer\nextends: face\ncamera: {field_mm: {uniform: [220, 240]}}\n")
    out = place / "out"
    assert run("gap", "--real", real, "--task", "parsing", "-o", out, "--matched", recipe, *QUICK, *SMALL) == 0
    return out, recipe


def test_five_rows_at_equal_numbers_and_gaps_that_add_up(measured):
    out, _ = measured
    found = json.loads((out / "gap.json").read_text())
    assert list(found["rows"]) == list(gap.ROWS)
    assert {row["pictures"] for row in found["rows"].values()} == {4}
    assert found["about"]["folds"] == 2
    assert found["about"]["test"] == 12
    gaps = {name: row["value"] for name, row in found["gaps"].items()}
    whole = gaps.pop("whole")
    assert sum(gaps.values()) == pytest.approx(whole)
    assert whole == pytest.approx(found["rows"]["real"]["score"]["value"] - found["rows"]["naive"]["score"]["value"])
    assert sum(share["value"] for share in found["shares"].values()) == pytest.approx(100)
    for row in found["rows"].values():
        assert row["score"]["low"] <= row["score"]["value"] <= row["score"]["high"]
        assert "mean IoU" in row["details"]


def test_the_page_needs_nothing_else(measured):
    html = (measured[0] / "gap.html").read_text()
    assert not re.search(r'(?:src|href)="(?!data:)', html)
    assert html.count("<img") == 8 * 7  # pictures, truth and five rows
    for name in (*gap.ROWS, "content", "labels", "appearance", "residual"):
        assert f">{name}<" in html


def test_the_same_command_finds_its_stages_and_a_lost_one_is_made_anew(real, measured, capsys, tmp_path):
    source, recipe = measured
    out = tmp_path / "out"
    shutil.copytree(source, out)
    before = json.loads((out / "gap.json").read_text())
    stages = {path.name: path.stat().st_mtime_ns for path in (out / "stages").iterdir()}
    assert len(stages) == 8
    lost = next(name for name in stages if name.startswith("ours-1"))
    (out / "stages" / lost).unlink()
    command = ["gap", "--real", real, "--task", "parsing", "-o", out, "--matched", recipe, *QUICK, *SMALL]
    assert run(*command) == 0
    after = json.loads((out / "gap.json").read_text())
    now = {path.name: path.stat().st_mtime_ns for path in (out / "stages").iterdir()}
    assert now.keys() == stages.keys()
    assert [name for name in now if now[name] != stages[name]] == [lost]
    assert after["rows"] == before["rows"]
    assert after["gaps"] == before["gaps"]
    capsys.readouterr()
    (out / "stages" / lost).write_bytes(b"torn")
    assert re.search(r"ours-1.*is damaged.*delete it", mistake(capsys, *command))


def test_a_changed_input_makes_only_what_it_changes(real, measured, tmp_path):
    source, _ = measured
    out = tmp_path / "out"
    shutil.copytree(source, out)
    stages = {path.name for path in (out / "stages").iterdir()}
    other = tmp_path / "other.yaml"
    other.write_text("name: farther\nextends: face\ncamera: {field_mm: {uniform: [320, 340]}}\n")
    quick = [*QUICK[:-1], "none"]
    assert run("gap", "--real", real, "--task", "parsing", "-o", out, "--matched", other, *quick, *SMALL) == 0
    new = {path.name for path in (out / "stages").iterdir()} - stages
    assert sorted(name[:7] for name in new) == ["ours-0-", "ours-1-"]
    found = json.loads((out / "gap.json").read_text())
    assert list(found["rows"]) == ["real", "naive", "matched", "adapted"]
    assert "appearance" not in found["gaps"]


def test_more_of_ours_is_trained_on_beside_the_rows_which_stay_as_they_were(real, measured, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(measured[0], out)
    before = json.loads((out / "gap.json").read_text())
    given = ["--real", real, "--task", "parsing", "-o", out, "--matched", measured[1], *QUICK, *SMALL]
    stages = {path.name for path in (out / "stages").iterdir()}
    assert run("gap", *given, "--more", 2) == 0
    found = json.loads((out / "gap.json").read_text())
    assert found["rows"] == before["rows"]
    assert found["gaps"] == before["gaps"]
    (name,) = set(found["also"]) - set(before["also"])
    assert name == "refined, 2 times as many of ours"
    assert name in capsys.readouterr().out
    assert name in (out / "gap.html").read_text()
    assert len({path.name for path in (out / "stages").iterdir()} - stages) == 2  # one for each seed
    matched = next(folder for folder in (out / "renders").iterdir() if folder.name.startswith("nearer"))
    assert len(facewright.dataset.open(matched)) == 8
    assert run("gap", *given) == 0
    again = json.loads((out / "gap.json").read_text())
    assert again["rows"] == before["rows"]
    assert set(again["also"]) == set(before["also"])


def test_gaze_goes_through_the_real_sets_own_normalisation(tmp_path):
    pytest.importorskip("h5py")
    pytest.importorskip("scipy")
    steady = ["--renderer", "mock", "--set", "expression.blink=0", "--set", "pose.head_yaw_deg=0"]
    steady += ["--set", "image.width=160", "--set", "image.height=120"]
    changes = [*steady, "--set", "frames_per_subject=2"]
    assert run("generate", "mpiigaze", "-o", tmp_path / "d", "--count", 6, "--seed", 9, *changes) == 0
    assert run("export", tmp_path / "d", "--as", "mpiigaze", "-o", tmp_path / "real") == 0
    command = ["gap", "--real", tmp_path / "real", "--task", "gaze", "-o", tmp_path / "out", "--matched", "mpiigaze"]
    command += ["--refine", "none", "--seeds", 1, "--steps", 3, "--folds", 3, "--count", 3, "--threads", 1, *steady]
    assert run(*command) == 0
    found = json.loads((tmp_path / "out/gap.json").read_text())
    assert found["about"]["task"]["unit"] == "degrees"
    assert found["about"]["command"]["format"] == "mpiigaze"
    assert found["rows"]["naive"]["pictures"] == 3
    gaps = found["gaps"]
    rows = {name: row["score"]["value"] for name, row in found["rows"].items()}
    assert gaps["whole"]["value"] == pytest.approx(rows["naive"] - rows["real"])  # less is better


def labelled(group, split=""):
    return Entry(group, group, split, lambda: Labelled(group, np.zeros((8, 8, 3), np.uint8)))


def order(**changes):
    return GapOrder(**({"real": Real("made", []), "task": "parsing", "recipe": Recipe.load("face")} | changes))


def test_no_group_is_trained_and_tested_on():
    groups = [f"person{n % 7}" for n in range(50)]
    folds = divide(Real("made", [labelled(group) for group in groups]), order(folds=3))
    assert sorted(n for fold in folds for n in fold.test) == list(range(50))
    for fold in folds:
        assert not {groups[n] for n in fold.train} & {groups[n] for n in fold.test}
        assert len(fold.train) + len(fold.test) == 50
    sizes = [len(fold.test) for fold in folds]
    assert max(sizes) - min(sizes) <= 8


def test_a_sets_own_split_is_kept():
    entries = [labelled("a", "train"), labelled("b", "validation"), labelled("c", "test"), labelled("d", "train")]
    [fold] = divide(Real("made", entries), order())
    assert (sorted(fold.train), fold.test) == ([0, 3], [2])


def test_mistakes_are_one_sentence(real, tmp_path, capsys):
    out = tmp_path / "out"
    start = ["gap", "--task", "parsing", "-o", out, "--real"]
    assert "no such folder" in mistake(capsys, *start, tmp_path / "none")
    assert "is not laid out as any data set known" in mistake(capsys, *start, tmp_path)
    assert "20 folds need as many" in mistake(capsys, *start, real, "--folds", 20, *SMALL)
    assert not out.exists() or not any(out.glob("renders/*"))


def test_a_gap_that_may_be_none_is_said_to_be():
    near = Interval(1.0, -1.0, 3.0)
    about = {"task": {"unit": "F1 points"}}
    result = gap.Result({}, {"content": near, "whole": near}, {"content": Interval(100, -900, 800)}, {}, about, {})
    assert not gap_page.certain(result)
    assert "shares mean nothing" in gap_page.lines(result)[-1]
