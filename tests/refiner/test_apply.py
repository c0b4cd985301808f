"""Refiners: frames in, labelled refined frames out; in this process and in another."""

import dataclasses
import sys
import time

import numpy as np
import pytest

from facewright import refining
from facewright.errors import AssetError, FrameError, MissingPackage, UserError
from facewright.render import Check
from facewright_refiner import apply
from facewright_refiner.parameters import SensorParams
from facewright_refiner.profile import Profile


@pytest.fixture(scope="module")
def frames(make_frame):
    return [make_frame(n, 96, 72) for n in range(3)] + [make_frame(3, 64, 80)]


@pytest.fixture(scope="module")
def refined(frames):
    return apply.load_refiner("webcam").refine(frames)


def test_raw_layers_are_kept_and_refined_is_added(frames, refined):
    for before, after in zip(frames, refined, strict=True):
        assert "refined" not in before.layers
        assert after.refined.shape == before.rgb.shape
        assert after.refined.dtype == np.uint8
        assert (after.refined != before.rgb).mean() > 0.5
        assert after.layers["rgb"] is before.layers["rgb"]
        assert after.seconds["refine"] > 0


def test_about_says_what_was_drawn(refined):
    for frame in refined:
        about = frame.about["refiner"]
        assert about["name"] == "webcam"
        assert about["profile"] == Profile.load("webcam").digest
        assert about["outcome"] in ("drawn", "redrawn", "milder", "plain")
        assert SensorParams.from_data(about["params"]).index == frame.sample.index
        assert frame.about["renderer"] == "painted"


def test_drift_is_checked(refined):
    for frame in refined:
        names = [check.name for check in apply.refine_checks(frame)]
        assert any("pupil" in name for name in names)
        assert all(check.ok for check in frame.checks)


def test_refining_again_replaces_the_checks(frames, refined):
    again = apply.load_refiner("phone").refine(
        [dataclasses.replace(refined[0], checks=[*refined[0].checks, Check("other", 0, 1)])]
    )[0]
    assert len(apply.refine_checks(again)) == len(apply.refine_checks(refined[0]))
    assert any(check.name == "other" for check in again.checks)
    assert again.about["refiner"]["name"] == "phone"


def test_a_frame_is_refined_alike_alone_and_in_company(frames, refined):
    alone = apply.load_refiner("webcam").refine([frames[2]])[0]
    assert np.array_equal(alone.refined, refined[2].refined)


def test_a_camera_that_moves_things_is_drawn_again_and_ends_plain(frames, monkeypatch):
    real = apply.sensor.apply

    def moving(light, params):
        picture = real(light, params)
        return picture.roll(4, -1) if params[0].jpeg < 100 else picture

    monkeypatch.setattr(apply.sensor, "apply", moving)
    frame = apply.load_refiner("webcam").refine([frames[0]])[0]
    assert frame.about["refiner"]["outcome"] == "plain"
    assert all(check.ok for check in frame.checks)
    assert np.abs(frame.refined.astype(int) - frame.rgb).max() <= 1


def test_without_a_linear_layer_the_rgb_is_decoded(make_frame):
    assert np.abs(apply.linear_of(make_frame(0, linear=False)) - make_frame(0).linear.clip(0, 1)).max() < 0.01


def test_none_changes_nothing(frames):
    assert apply.load_refiner("none").refine(frames) == frames
    with refining.open_refiner("none") as refiner:
        assert refiner.refine(frames[0]) is frames[0]


def test_an_unknown_refiner_is_named_before_the_first_frame():
    with pytest.raises(AssetError, match="did you mean 'phone'"), refining.open_refiner("fone"):
        pass


def test_external_equals_in_process_bit_for_bit(frames, refined):
    begun = time.monotonic()
    with refining.External("webcam", sys.executable) as refiner:
        started = time.monotonic() - begun
        found = refiner.refine_many(frames)
        assert refiner.about["name"] == "webcam"
    for here, there in zip(refined, found, strict=True):
        assert np.array_equal(here.refined, there.refined)
        assert here.checks == there.checks
        assert here.about == there.about
        assert list(there.layers) == list(here.layers)
    assert started < 30


def test_external_reports_a_wrong_profile_as_itself():
    with pytest.raises(AssetError, match="did you mean 'webcam'"), refining.External("webcm", sys.executable):
        pass


def test_a_child_that_died_is_reported_with_its_last_words_and_started_again(frames):
    with refining.External("webcam", sys.executable) as refiner:
        refiner._child.kill()
        refiner._child.wait()
        with pytest.raises(FrameError, match="the refiner's process ended"):
            refiner.refine(frames[0])
        assert "refined" in refiner.refine(frames[0]).layers


def test_a_child_without_torch_says_what_to_install(tmp_path):
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    script.chmod(0o755)
    advice = r"No module named 'numpy'.*-m pip install torch kornia"
    with pytest.raises(MissingPackage, match=advice), refining.External("webcam", script):
        pass


def test_a_missing_executable_is_one_sentence(tmp_path):
    with (
        pytest.raises(UserError, match="cannot be run as the refiner's Python"),
        refining.External("webcam", tmp_path / "no-python"),
    ):
        pass


def test_without_torch_and_without_a_python_the_advice_names_both(monkeypatch):
    monkeypatch.setattr(refining, "NEEDED", ("torch_that_is_not_there",))
    monkeypatch.delenv(refining.PYTHON_VARIABLE, raising=False)
    with pytest.raises(MissingPackage, match="--refiner-python"), refining.open_refiner("webcam"):
        pass


def test_importing_refining_pulls_no_torch():
    import subprocess

    code = "import sys; sys.path[:0] = sys.argv[1:]; import facewright.refining; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, refining._root("facewright")], check=True)
