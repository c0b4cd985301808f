"""The same samples give the same labels in every Blender.

The reference is rendered by this Python's bpy. The others are named by two variables, which scripts/test sets:

    FACEWRIGHT_OTHER_PYTHON   a Python with another bpy
    FACEWRIGHT_BLENDER        the command of a Blender executable, e.g. "scripts/blender-chroot DIR"

FACEWRIGHT_ALL_RUNTIMES=1 makes a missing one a failure.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("bpy", reason="the reference needs bpy in this Python")

CLONE = Path(__file__).resolve().parents[2]
RENDER = CLONE / "tests" / "runtime" / "render_labels.py"
FRAMES = [f"{recipe}_{index}" for recipe in ("eye_rgb", "eye_nir", "face") for index in (0, 1)]
OUT = CLONE / "out" / "runtimes"
"""Inside the clone, because a Blender in a chroot sees nothing else."""
PATIENCE_S = 600


def run(command):
    return subprocess.run(
        command, capture_output=True, text=True, cwd=CLONE, check=False, timeout=PATIENCE_S, stdin=subprocess.DEVNULL
    )


def fresh(name):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def wanted(variable):
    value = os.environ.get(variable, "")
    if not value and os.environ.get("FACEWRIGHT_ALL_RUNTIMES"):
        pytest.fail(f"{variable} is not set, and all runtimes are asked for")
    if not value:
        pytest.skip(f"{variable} names no other Blender")
    return shlex.split(value)


def rendered(command, name):
    folder = fresh(name)
    result = run([*command, str(folder)])
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture(scope="module")
def reference():
    return rendered([sys.executable, str(RENDER)], "reference")


@pytest.fixture(scope="module")
def blender():
    return [*wanted("FACEWRIGHT_BLENDER"), "--background", "--python-exit-code", "1", "--python"]


@pytest.fixture(scope="module", params=["FACEWRIGHT_OTHER_PYTHON", "FACEWRIGHT_BLENDER"])
def other(request):
    if request.param == "FACEWRIGHT_OTHER_PYTHON":
        return rendered([*wanted(request.param), str(RENDER)], "python")
    return rendered([*request.getfixturevalue("blender"), str(RENDER), "--"], "blender")


def leaves(data, path=""):
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from leaves(value, f"{path}.{key}")
    else:
        yield path, data


def test_the_other_is_another(reference, other):
    ours, theirs = (json.loads((folder / "about.json").read_text()) for folder in (reference, other))
    assert ours["blender"] != theirs["blender"]


@pytest.mark.parametrize("frame", FRAMES)
def test_samples_are_the_same_bytes(reference, other, frame):
    name = f"{frame}.sample.json"
    assert (reference / name).read_bytes() == (other / name).read_bytes()


@pytest.mark.parametrize("frame", FRAMES)
def test_truth_is_the_same(reference, other, frame):
    name = f"{frame}.truth.json"
    ours, theirs = (json.loads((folder / name).read_text()) for folder in (reference, other))
    hidden = [truth.pop("occluded") for truth in (ours, theirs)]  # counted in rendered pixels, as visibility is
    for label in set().union(*hidden):
        assert hidden[0].get(label, 0) == pytest.approx(hidden[1].get(label, 0), abs=0.005)
    for points in ours["points"]:
        seen = [truth["points"][points].pop("visible") for truth in (ours, theirs)]
        assert np.mean(np.array(seen[0]) != seen[1]) <= 0.02
    ours, theirs = dict(leaves(ours)), dict(leaves(theirs))
    assert ours.keys() == theirs.keys()
    for path, value in ours.items():
        assert theirs[path] == (pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value), path


@pytest.mark.parametrize("frame", FRAMES)
def test_layers_are_the_same(reference, other, frame):
    ours, theirs = (np.load(folder / f"{frame}.npz") for folder in (reference, other))
    for name in ("seg", "seg_anatomical", "seg_amodal"):
        assert len(np.unique(ours[name])) > 3
        assert np.mean(ours[name] != theirs[name]) <= 0.001, name
    assert np.mean(ours["glint"] != theirs["glint"]) <= 0.001
    assert np.median(np.abs(ours["depth"] - theirs["depth"])) < 0.01
    assert np.median(np.abs(ours["canonical"] - theirs["canonical"])) < 0.01
    assert np.median(np.abs(ours["normal"] - theirs["normal"])) < 1e-3


def generate(folder, *more):
    size = ["--set", "image.width=96", "--set", "image.height=72", "--set", "image.samples=1"]
    return ["generate", "eye_rgb", "-o", str(folder), "--count", "2", "--seed", "11", "--device", "cpu", *size, *more]


def test_generate_inside_the_executable(blender, reference):
    folder = fresh("generated")
    result = run([*blender, "generate.py", "--", *generate(folder)])
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr.count("OpenImageDenoise") <= 1, "said once"
    from PIL import Image

    for index in range(2):
        truth = np.load(reference / f"eye_rgb_{index}.npz")
        for layer in ("seg", "seg_anatomical"):
            found = np.array(Image.open(folder / "frames" / f"{index:06d}.{layer}.png"))
            assert np.mean(found != truth[layer]) <= 0.001


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["generate", "eye_rgb", "-o", "out/none", "--set", "image.widht=96"], "did you mean 'width'"),
        (["generate", "eye_rgbb", "-o", "out/none"], "eye_rgbb"),
        (["generate", "eye_rgb"], "-o/--output"),
    ],
)
def test_a_mistake_inside_the_executable_is_one_sentence_and_code_2(blender, arguments, sentence):
    result = run([*blender, "generate.py", "--", *arguments])
    assert result.returncode == 2
    last = result.stderr.strip().splitlines()
    assert sentence in last[-1]
    assert "Traceback" not in result.stderr
