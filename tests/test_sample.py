"""A sample is a pure function of recipe, seed and index."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import facewright
from facewright import Recipe, dist, rng, sample
from facewright import sample as sample_function
from facewright.errors import DatasetError, RecipeError, UserError
from facewright.sample import Sample, parameters

FACE = Recipe.load("face")


def text(drawn):
    return json.dumps(drawn.to_data())


def test_any_index_alone_equals_the_same_index_in_a_run():
    run = [text(sample(FACE, 7, index)) for index in range(12)]
    assert [text(sample(FACE, 7, index)) for index in reversed(range(12))][::-1] == run
    assert text(sample(FACE, 7, 9)) == run[9]
    assert len(set(run)) == 12


def test_another_process_draws_the_same_bytes():
    code = "import json; from facewright import *; print(json.dumps(sample(Recipe.load('face'), 7, 4).to_data()))"
    for salt in ("1", "2"):
        answer = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONPATH": str(Path(facewright.__file__).parents[1]), "PYTHONHASHSEED": salt},
        )
        assert answer.stdout.strip() == text(sample(FACE, 7, 4))


def test_the_numbers_are_these_on_every_machine():
    """Pinned: a change here changes every dataset that was ever made."""
    assert rng.uniforms(7, 3, "gaze.yaw_deg", 2) == (PINNED[0], PINNED[1])
    assert sample(FACE, 7, 3).gaze.yaw_deg == pytest.approx(PINNED[2], abs=1e-12)


PINNED = (0.7056602610117783, 0.6331054711191403, 7.46697117)


def test_adding_a_parameter_does_not_reshuffle_the_others(monkeypatch):
    before = sample(FACE, 7, 3)
    table = dict(parameters())
    spec = dist.Param(dist.Uniform(0, 1), 0, 1, (), "", "new", "")
    module = sys.modules[sample_function.__module__]
    more = {"gaze.aaa_new": (spec, "float"), **table}
    monkeypatch.setattr(module, "parameters", lambda: more)
    drawn = {}
    monkeypatch.setattr(module.Sample, "from_data", staticmethod(drawn.update))
    module.sample(FACE, 7, 3)
    assert drawn["gaze"].pop("aaa_new") is not None
    assert json.dumps(drawn["gaze"]) == json.dumps(before.to_data()["gaze"])
    assert json.dumps(drawn["subject"]) == json.dumps(before.to_data()["subject"])


def test_fixing_one_leaf_leaves_the_independent_ones_alone():
    fixed = Recipe.load("face", ["gaze.yaw_deg=5"])
    one, two = sample(FACE, 1, 2).to_data(), sample(fixed, 1, 2).to_data()
    assert two["gaze"].pop("yaw_deg") == 5
    one["gaze"].pop("yaw_deg")
    one.pop("recipe"), two.pop("recipe")
    assert one == two


def test_frames_of_a_subject_share_the_person_and_nothing_else():
    recipe = dataclasses.replace(FACE, frames_per_subject=3)
    frames = [sample(recipe, 0, index) for index in range(6)]
    assert frames[0].subject == frames[1].subject == frames[2].subject != frames[3].subject
    assert len({frame.gaze.yaw_deg for frame in frames}) == 6


def test_a_sample_is_its_own_data_again():
    drawn = sample(FACE, 2, 2)
    assert Sample.from_data(json.loads(text(drawn))) == drawn
    with pytest.raises(DatasetError, match="does not fit label schema"):
        Sample.from_data({"schema": "1.0"})
    with pytest.raises(DatasetError, match="unknown field 'extra'"):
        Sample.from_data({**drawn.to_data(), "extra": 1})


def test_replace_validates():
    drawn = sample(FACE, 2, 2)
    assert drawn.replace({"gaze.yaw_deg": 4}).gaze.yaw_deg == 4.0
    with pytest.raises(RecipeError, match="outside"):
        drawn.replace({"gaze.yaw_deg": 400})
    with pytest.raises(UserError, match=r"unknown sample field 'gaze.yaw'"):
        drawn.replace({"gaze.yaw": 4})


def test_negative_seed_and_index_are_refused():
    for seed, index in ((-1, 0), (0, -1)):
        with pytest.raises(UserError, match=">= 0"):
            sample(FACE, seed, index)


@given(st.integers(0, 2**63), st.integers(0, 10**9), st.sampled_from(["face", "eye_rgb", "eye_nir"]))
@settings(max_examples=150, deadline=None)
def test_every_draw_is_within_the_declared_limits(seed, index, name):
    sample(Recipe.load(name), seed, index)  # every leaf is checked against its Param while it is drawn


@given(st.integers(0, 2**63), st.integers(0, 10**9), st.text(max_size=12), st.integers(0, 20))
@settings(max_examples=100, deadline=None)
def test_longer_requests_extend_shorter_ones(seed, index, name, count):
    longer = rng.uniforms(seed, index, name, 20)
    assert rng.uniforms(seed, index, name, count) == longer[:count]
    assert all(0 <= value < 1 for value in longer)
