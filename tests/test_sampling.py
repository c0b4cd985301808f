"""Sobol and rare-first sampling: evener than independent draws, pure functions of seed and index, off by default."""

import itertools

import numpy as np
import pytest

from facewright import Recipe, sample
from facewright.errors import RecipeError
from facewright.sample import data_at
from facewright.sampling import as_points, farthest_first

FLAT = ["pose.head_yaw_deg={uniform: [0, 64]}", "pose.head_pitch_deg={uniform: [-32, 32]}"]
YAW, PITCH = "pose.head_yaw_deg", "pose.head_pitch_deg"


def drawn(method, path, count=64, seed=3, changes=()):
    recipe = Recipe.load("face", [*FLAT, f"sampling={method}", *changes])
    return [data_at(sample(recipe, seed, index).to_data(), path) for index in range(count)]


def test_independent_is_what_it_was():
    recipe = Recipe.load("face")
    assert "sampling" not in recipe.to_data()
    assert Recipe.load("face", ["sampling=independent"]).digest == recipe.digest
    assert Recipe.load("face", ["sampling=sobol"]).digest != recipe.digest
    again = Recipe.load("face", ["sampling=rare_first"])
    assert Recipe.from_data(again.to_data()) == again


def test_sobol_puts_one_draw_into_every_stratum_of_a_field_and_every_cell_of_a_pair():
    yaw, pitch = np.array(drawn("sobol", YAW)), np.array(drawn("sobol", PITCH)) + 32
    assert sorted(yaw.astype(int)) == list(range(64))
    assert sorted(pitch.astype(int)) == list(range(64))
    cells = set(zip((yaw // 8).astype(int), (pitch // 8).astype(int), strict=True))
    assert len(cells) == 64
    independent = np.array(drawn("independent", YAW))
    assert len(set(independent.astype(int))) < 55


def test_sobol_scrambles_by_seed_and_leaves_other_fields_as_they_were():
    assert drawn("sobol", YAW, 8, seed=3) != drawn("sobol", YAW, 8, seed=4)
    for path in ("subject.skin.texture", "expression.variation", "image.samples"):
        assert drawn("sobol", path, 4) == drawn("independent", path, 4)


def test_a_joint_table_takes_the_dimension_of_its_first_field():
    recipe = Recipe.from_data(
        {"sampling": "sobol", "joint": [{"fields": [YAW, PITCH], "rows": [[n, -n / 4] for n in range(16)]}]}
    )
    found = [sample(recipe, 1, index).pose.head_yaw_deg for index in range(16)]
    assert sorted(found) == list(range(16))


@pytest.mark.parametrize("method", ["sobol", "rare_first"])
def test_a_frame_does_not_depend_on_who_drew_which_before(method):
    recipe = Recipe.load("face", [f"sampling={method}", "frames_per_subject=3"])
    forward = {index: sample(recipe, 5, index) for index in (0, 1, 7, 65)}
    again = Recipe.load("face", [f"sampling={method}", "frames_per_subject=3"])
    assert {index: sample(again, 5, index) for index in (65, 7, 1, 0)} == forward
    assert forward[0].subject == forward[1].subject
    assert forward[0].subject != forward[7].subject


def test_rare_first_draws_extremes_early_and_nobody_twice():
    changes = ["pose.head_yaw_deg={normal: {mean: 0, sd: 10, low: -40, high: 40}}"]
    rare, plain = (np.array(drawn(method, YAW, 24, changes=changes)) for method in ("rare_first", "independent"))
    assert np.std(rare) > 1.1 * np.std(plain)
    assert len(set(drawn("rare_first", "subject.skin.texture"))) == 64


def test_farthest_first_takes_corners_before_the_crowd():
    crowd = np.random.default_rng(0).normal(0, 0.1, (50, 2))
    corners = np.array(list(itertools.product((-4, 4), repeat=2)), float)
    assert set(farthest_first(np.vstack([crowd, corners]), 4)) == {50, 51, 52, 53}


def test_words_are_as_far_apart_as_numbers():
    rows = [{"kind": kind, "size": size} for kind, size in (("a", 1.0), ("a", 1.0), ("b", 1.0), ("b", 3.0))]
    points = as_points(rows)
    away = np.abs(points[:, None] - points).sum(-1)
    assert away[0, 1] == 0
    assert away[0, 2] == pytest.approx(1.4)
    assert away[2, 3] == pytest.approx(2 / np.std([1, 1, 1, 3]))


def test_an_unknown_method_is_refused_with_the_nearest():
    with pytest.raises(RecipeError, match="'sobel' is not one of independent, sobol, rare_first; did you mean 'sobol'"):
        Recipe.load("face", ["sampling=sobel"])
