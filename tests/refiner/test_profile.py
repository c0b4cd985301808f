"""Profiles: what they may say, and how they say what is wrong."""

import pytest
import yaml

from facewright.errors import AssetError, RecipeError
from facewright_refiner.profile import Profile, View, builtin_profiles, draw


def test_there_are_three_built_in_profiles_with_reasons():
    assert builtin_profiles() == ("nir_eye", "phone", "webcam")
    for name in builtin_profiles():
        profile = Profile.load(name)
        assert profile.name == name
        assert "fitted to no picture" in profile.about


def test_yaml_round_trip():
    for name in builtin_profiles():
        profile = Profile.load(name)
        again = Profile.from_data(yaml.safe_load(profile.to_yaml()))
        assert again == profile
        assert again.digest == profile.digest


def test_the_digest_tells_cameras_apart_and_ignores_names():
    a, b, c = (
        Profile.from_data({"version": 1, "name": n, "sensor": {"jpeg": q}})
        for n, q in (("a", 80), ("b", 80), ("a", 81))
    )
    assert a.digest == b.digest != c.digest


ROWS = [[0.4, 0.2, -0.05, 0.03, 0.1, 0.04], [0.6, 0.1, 0.0, 0.02, 0.05, 0.03]]


def test_each_frame_is_graded_as_one_of_the_rows():
    profile = Profile.from_data({"version": 1, "grades": ROWS, "view": {"crop": 0.8}})
    assert Profile.from_data(yaml.safe_load(profile.to_yaml())) == profile
    drawn = [one for n in range(20) for one in draw(profile, 3, n).grades]
    rows = {tuple(x for pair in zip(one.mean, one.deviation, strict=True) for x in pair) for one in drawn}
    assert rows == {tuple(row) for row in ROWS}
    assert len(drawn) == 60
    assert {one.crop for one in drawn} == {0.8}
    assert {draw(profile.within_view(), 3, n).grades[0].crop for n in range(3)} == {1.0}
    plain = Profile.from_data({"version": 1})
    assert draw(plain, 3, 0).grades == ()
    assert plain.digest != profile.digest


def test_an_empty_profile_is_the_ideal_camera():
    p = draw(Profile.from_data({"version": 1}), 0, 0)
    assert (p.blur_px, p.shot, p.jpeg, p.scale) == (0, 0, 100, 1)


MISTAKES = [
    ("sensor: {jpg: 80}", "sensor: unknown key 'jpg'; did you mean 'jpeg'?"),
    ("sensor: {blur_px: {uniform: [1, 99]}}", "sensor.blur_px: 99 px is outside [0, 16] px"),
    ("sensor: {blur_px: {unifrom: [1, 2]}}", "sensor.blur_px: unknown key 'unifrom'; did you mean 'uniform'?"),
    ("sensor: {mosaic: beyer}", "sensor.mosaic: 'beyer' is not one of none, bayer, mono; did you mean 'bayer'?"),
    ("sensor: {gray: 3}", "sensor.gray: expected true or false, got 3"),
    ("sensor: 3", "sensor: expected parameters and their distributions, got 3"),
    ("sensors: {}", "unknown key 'sensors'; did you mean 'sensor'?"),
    ("view: {crop: 2}", "view.crop: 2 is outside [0.05, 1]"),
    ("view: {width: 80}", "view: give both width and height, or neither"),
    ("grades: 3", "grades: expected a list of rows, got 3"),
    ("grades: [[1, 2]]", "grades[0]: expected mean and deviation of three channels, 6 numbers, got [1, 2]"),
    ("grades: [[0.4, 0.2, -0.05, 0.03, 0.1, -1]]", "grades[0][5]: -1 is outside [0, 1]"),
    ("name: 3", "name: expected a text, got 3"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_mistakes_are_named_by_path(text, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(f"version: 1\n{text}\n")
    with pytest.raises(RecipeError) as error:
        Profile.load(path)
    assert str(error.value) == f"{path}: {message}"


def test_a_wrong_version_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("version: 2\n")
    with pytest.raises(RecipeError, match="reads profile version 1, got 2"):
        Profile.load(path)


def test_a_file_that_is_not_yaml_is_named_once(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("a: [1\n")
    with pytest.raises(RecipeError) as error:
        Profile.load(path)
    assert str(error.value).count(str(path)) == 1


def test_an_unknown_profile_names_the_nearest():
    with pytest.raises(AssetError, match="no built-in profile 'webcm'; did you mean 'webcam'"):
        Profile.load("webcm")
    with pytest.raises(AssetError, match=r"nowhere.yaml: no such file"):
        Profile.load("nowhere.yaml")


def test_views_default_to_the_whole_picture():
    assert View.from_data({}) == View(1.0, 0, 0)
