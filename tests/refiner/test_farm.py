"""Refining in the farm: records keep what the refiner said of each frame, and know which refiner it was."""

import pytest

import facewright.dataset
from facewright import Recipe
from facewright.farm.generate import Order, generate
from facewright.farm.refine import refine
from facewright.farm.worker import Station, open_maker

RECIPE = Recipe.load("face", ["image.width=48", "image.height=48"])
MOCK = Station(renderer="mock")
PROFILE = "version: 1\nname: mine\nsensor: {{jpeg: {{uniform: [{low}, 95]}}}}\n"


@pytest.fixture
def folder(tmp_path):
    generate(Order(RECIPE, seed=5, count=2), tmp_path / "d", MOCK, 0, lambda event: None)
    with open_maker(MOCK, None, "none", print) as (make, _):
        writer = facewright.dataset.writer.Writer.join(tmp_path / "d")
        for index in range(2):
            writer.write(make(facewright.sample(RECIPE, 5, index), RECIPE.outputs))
    return tmp_path / "d"


@pytest.fixture
def profile(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(PROFILE.format(low=60))
    return path


def accounts(folder):
    dataset = facewright.dataset.open(folder)
    return [dataset.record(index)["made"]["about"]["refiner"] for index in dataset.indices]


def made(folder, spec):
    events = []
    assert refine(folder, str(spec), None, events.append) == 0
    return events[-1]["made"]


def test_a_worker_keeps_the_refiners_account_of_each_frame(profile):
    with open_maker(MOCK, None, str(profile), print) as (make, about):
        one, two = (make(facewright.sample(RECIPE, 5, index), RECIPE.outputs).about for index in range(2))
    assert one["renderer"] == "mock"
    assert one["refiner"]["spec"] == str(profile)
    assert {"params", "outcome", "drift_px", "profile"} <= set(one["refiner"])
    assert one["refiner"]["params"] != two["refiner"]["params"]
    assert "params" not in about["refiner"], "what all frames share says nothing of one"


def test_refining_a_dataset_keeps_the_refiners_account_of_each_frame(folder, profile):
    assert made(folder, profile) == 2
    one, two = accounts(folder)
    assert {"spec", "params", "outcome", "drift_px", "profile"} <= set(one)
    assert one["params"] != two["params"]


def test_refining_again_skips_what_this_profile_has_refined_and_nothing_else(folder, profile):
    assert made(folder, profile) == 2
    assert made(folder, profile) == 0
    before = accounts(folder)[0]["profile"]
    profile.write_text(PROFILE.format(low=30))
    assert made(folder, profile) == 2, "the file has the same name but is another profile"
    assert accounts(folder)[0]["profile"] != before
