"""The panel's state is a recipe: pins, dice, presets, files."""

import json
import sys

import bpy
import pytest

from facewright import Recipe, sample
from facewright.sample import data_at, parameters


def test_every_parameter_is_in_one_group_with_a_tooltip_that_says_its_unit(addon, settings):
    listed = [path for group in addon.props.GROUPS for path in addon.props.members(group)]
    assert sorted(listed) == sorted(parameters())
    for path, (spec, _) in parameters().items():
        found = settings.values.bl_rna.properties[addon.props.identifier(path)]
        assert found.description.startswith(spec.doc)
        assert not spec.unit or found.description.endswith(f"in {spec.unit}")


def test_the_panel_shows_what_the_batch_draws(addon, settings):
    settings.preset, settings.seed, settings.index = "eye_nir", 7, 3
    drawn = sample(Recipe.load("eye_nir"), 7, 3)
    assert settings.sample() == drawn
    for path in ("subject.eye.pupil_mm", "light.leds", "gaze.yaw_deg", "subject.hair.style", "image.width"):
        shown = settings.value(path)
        expected = data_at(drawn.to_data(), path)
        assert shown == (pytest.approx(expected, rel=1e-6) if isinstance(expected, float) else expected)


def test_an_edit_pins_and_the_pin_holds_in_every_frame(settings):
    settings.values.subject_eye_pupil_mm = 4.2
    assert settings.pinned() == {"subject.eye.pupil_mm": 4.2}
    for settings.index in range(3):
        assert settings.sample().subject.eye.pupil_mm == 4.2
    settings.values.pin_subject_eye_pupil_mm = False
    assert settings.pinned() == {}
    assert settings.sample() == sample(Recipe.load("face"), 0, 2)


def test_a_dice_redraws_its_group_alone_and_the_same_roll_gives_the_same(addon, settings):
    before = settings.sample().to_data()
    bpy.ops.facewright.redraw(group="IRIS", roll=5)
    first, pinned = settings.sample().to_data(), settings.pinned()
    assert set(pinned) == set(addon.props.members("IRIS"))
    assert first["subject"]["eye"]["iris"] != before["subject"]["eye"]["iris"]
    for path in set(parameters()) - set(pinned):
        assert data_at(first, path) == data_at(before, path), path
    bpy.ops.facewright.unpin(group="IRIS")
    assert settings.sample().to_data() == before
    bpy.ops.facewright.redraw(group="IRIS", roll=5)
    assert settings.sample().to_data() == first
    bpy.ops.facewright.redraw(group="IRIS")
    assert settings.sample().to_data() != first


def test_recipes_survive_a_file(settings, tmp_path):
    settings.preset, settings.index = "openeds", 4
    bpy.ops.facewright.redraw(group="IDENTITY", roll=2)
    settings.values.gaze_yaw_deg = 12.5
    settings.frames_per_subject, settings.outputs = 2, {"seg"}
    path = tmp_path / "mine.json"
    bpy.ops.facewright.save_recipe(filepath=str(path))
    wanted = settings.sample()
    assert sample(Recipe.load(path), 0, 4) == wanted
    bpy.ops.facewright.load_recipe(filepath=str(path))
    assert settings.pinned() == {}
    assert (settings.frames_per_subject, settings.outputs) == (2, {"seg"})
    assert settings.sample() == wanted


def test_a_bad_recipe_is_one_sentence(settings, tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({"gaze": {"yaw_dgr": 3}}))
    with pytest.raises(RuntimeError, match="did you mean 'yaw_deg'"):
        bpy.ops.facewright.load_recipe(filepath=str(path))
    assert "yaw_dgr" in settings.problem
    settings.preset = "face"
    assert settings.problem == ""


def test_the_doctor_reports_into_the_preferences(addon, settings):
    bpy.ops.facewright.doctor()
    found = json.loads(addon.preferences.of(bpy.context).findings)
    assert [line[1] for line in found if line[0] == "Blender"] == [True]


def test_fix_names_the_command_and_the_python_that_it_makes(addon, settings):
    chosen = addon.preferences.of(bpy.context)
    assert bpy.ops.facewright.fix_refiner() == {"FINISHED"}
    command, python = addon.preferences.setup_command()
    assert chosen.refiner_python == str(python)
    assert f'"{python}" -m pip install torch kornia' in command
    chosen.refiner_python = ""
    settings.refiner, settings.refiner_file = "FILE", "/tmp/mine.onnx"
    assert bpy.ops.facewright.fix_refiner() == {"FINISHED"}
    assert chosen.refiner_python == "", "an ONNX file needs no other Python"
    python, modules = addon.preferences.runtime_command().split('"')[1:4:2]
    assert python == sys.executable
    assert modules == bpy.utils.user_resource("SCRIPTS", path="modules"), "where Blender looks for modules"


def test_recipes_take_the_asset_packs_that_the_preferences_name(addon, settings, tmp_path):
    (tmp_path / "hdris").mkdir()
    (tmp_path / "hdris" / "hall.hdr").touch()
    addon.preferences.of(bpy.context).assets = str(tmp_path)
    recipe = settings.recipe()
    assert recipe.hdri_folder == tmp_path / "hdris"
    assert "hall.hdr" in recipe.dists["light.hdri"].support()
    assert recipe.head_folder is None
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "yard.hdr").touch()
    settings.hdri_folder = str(tmp_path / "own")
    assert "yard.hdr" in settings.recipe().dists["light.hdri"].support()
    addon.preferences.of(bpy.context).assets = ""
