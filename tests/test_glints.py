"""LEDs, their mirror images on the cornea, and the bright pupil."""

import itertools
import json

import numpy as np
import pytest
from scipy.optimize import minimize

from facewright import Recipe, sample
from facewright.check import check_frame, glint_errors
from facewright.dataset.layout import dump
from facewright.dataset.overlay import marks
from facewright.errors import RecipeError
from facewright.figure import build_figure
from facewright.geometry.reflection import glint_points
from facewright.geometry.refraction import Conicoid
from facewright.labels import pupil_brightness, truth_of
from facewright.mock import MockRenderer
from facewright.schema import side_label
from facewright.truth import Truth

LOOKING = {
    "camera.target": "left_eye",
    "camera.elevation_deg": -12.0,
    "camera.azimuth_deg": 5.0,
    "gaze.yaw_deg": 2.0,
    "gaze.pitch_deg": -4.0,
    "expression.blink": 0.0,
    "expression.wink": 0.0,
    "subject.eye.lash_count": 20,
    "light.leds": "ring",
    "light.led_mount": "headset",
    "light.led_count": 8,
    "light.led_radius_mm": 18.0,
}
RECIPE = Recipe.load("eye_nir", ["image.width=160", "image.height=160"])
OPEN_EYE = sample(RECIPE, 7, 0).replace(LOOKING)
CLOSE = {"camera.field_mm": 13.0, "camera.shift_x": 0.0, "camera.shift_y": 0.0, "image.samples": 1}


@pytest.mark.parametrize(("radius", "q"), list(itertools.product((7.1, 8.6), (-0.6, 0.0, 0.1))))
def test_a_glint_lies_where_the_path_of_light_is_shortest(radius, q):
    """Fermat's principle, minimised over the surface by a general optimiser that knows no normals."""
    surface = Conicoid(radius, q, 13.0, 1.0, 1.376)
    rng = np.random.default_rng(3)
    for _ in range(12):
        pinhole = np.array([*rng.uniform(-15, 15, 2), rng.uniform(35, 60)])
        light = np.array([*rng.uniform(-20, 20, 2), rng.uniform(28, 50)])

        def length(xy, pinhole=pinhole, light=light):
            point = np.array([*xy, 13.0 - surface.sag(np.hypot(*xy))])
            return np.linalg.norm(point - pinhole) + np.linalg.norm(point - light)

        shortest = minimize(length, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-13}).x
        found = glint_points(surface, pinhole, light[None], 6.0)[0]
        if np.hypot(*shortest) > 6.0:
            assert np.isnan(found).all()
        else:
            assert found[:2] == pytest.approx(shortest, abs=2e-5)


def test_a_sphere_mirrors_an_axial_light_in_its_apex():
    surface = Conicoid(7.8, 0.0, 13.0, 1.0, 1.376)
    found = glint_points(surface, np.array([0, 0, 50.0]), np.array([[0, 0, 30.0], [0, 0, -30.0]]), 5.9)
    assert found[0] == pytest.approx([0, 0, 13])
    assert np.isnan(found[1]).all(), "a light behind the eye has no glint"
    assert glint_points(surface, np.array([0, 0, 50.0]), np.zeros((0, 3)), 5.9).shape == (0, 3)


def test_glints_beyond_the_limbus_are_no_numbers_and_survive_json():
    far = OPEN_EYE.replace({"light.leds": "list", "light.led_positions_mm": [0, 3, 0, 0, 0, 400]})
    known = truth_of(far)
    eye = known.eyes["left"]
    assert np.isfinite(eye.glints_2d[0]).all()
    assert np.isnan(eye.glints_2d[1]).all()
    assert np.isnan(eye.glints_3d_mm[1]).all()
    text = json.loads(dump(known.to_data()))
    assert text["eyes"]["left"]["glints_2d"][1] == [None, None]
    again = Truth.from_data(text)
    assert np.array_equal(again.eyes["left"].glints_2d, eye.glints_2d, equal_nan=True)
    assert again.eyes["left"].glints_2d.dtype == float
    none = Truth.from_data(truth_of(OPEN_EYE.replace({"light.leds": "none"})).to_data()).eyes["right"]
    assert (none.glints_2d.shape, none.glints_3d_mm.shape, none.glints_visible.shape) == ((0, 2), (0, 3), (0,))


def test_a_headset_ring_lies_round_the_primary_axis_and_glints_surround_its_image():
    figure = build_figure(OPEN_EYE)
    eye, forward = figure.eyes["left"], figure.head_rotation[:, 2]
    offset = figure.leds - eye.centre
    along = offset @ forward
    assert along == pytest.approx(np.full(8, OPEN_EYE.light.led_distance_mm))
    assert np.linalg.norm(offset - along[:, None] * forward, axis=1) == pytest.approx(np.full(8, 18.0))
    truth = truth_of(OPEN_EYE).eyes["left"]
    spread = np.ptp(truth.glints_2d, axis=0)
    assert (spread > 0.3 * truth.limbus.a).all()
    assert (spread < 1.7 * truth.limbus.a).all()


@pytest.mark.parametrize(("layout", "count"), [("ring", 8), ("arc", 8), ("L", 8), ("pair", 2), ("none", 0)])
@pytest.mark.parametrize("mount", ["camera", "headset"])
def test_layouts_hold_as_many_leds_as_they_say_and_arcs_and_rows_lie_below(layout, count, mount):
    figure = build_figure(OPEN_EYE.replace({"light.leds": layout, "light.led_mount": mount, "light.led_roll_deg": 0.0}))
    assert figure.leds.shape == (count, 3)
    camera = figure.camera
    places = figure.leds @ camera.rotation.T + camera.translation_mm
    middle = (
        [0, 0, 0]
        if mount == "camera"
        else camera.rotation
        @ (figure.eyes["left"].centre + OPEN_EYE.light.led_distance_mm * figure.head_rotation[:, 2])
        + camera.translation_mm
    )
    if layout == "arc":
        assert (places[1:-1, 1] > middle[1]).all(), "y is down"
    if layout == "L":
        assert (places[:, 1] > middle[1] + 10).sum() == 5
        assert (places[:, 0] < middle[0] - 10).sum() == 4


def test_an_l_has_a_row_and_a_column_at_right_angles():
    leds = build_figure(OPEN_EYE.replace({"light.leds": "L", "light.led_count": 7})).leds
    row, column = leds[3] - leds[0], leds[6] - leds[0]
    assert row @ column == pytest.approx(0, abs=1e-9)
    assert np.linalg.norm(row) == pytest.approx(36.0)


def test_a_list_of_leds_is_in_camera_axes():
    places = [10, -3, 4, -8, 2, 1.5]
    recipe = Recipe.load("eye_nir", ["light.leds=list", f"light.led_positions_mm={places}"])
    one = sample(recipe, 1, 0)
    assert one.light.led_positions_mm == tuple(places)
    assert truth_of(one).leds_mm.ravel() == pytest.approx(places)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["light.led_positions_mm=[1, 2]"], r"light\.led_positions_mm: expected a list of 0, 3, \.\.\. 96 numbers.*2"),
        (["light.led_positions_mm=7"], r"light\.led_positions_mm: expected a list"),
        (["light.led_positions_mm=[1, 2, x]"], r"light\.led_positions_mm\[2\]: expected a finite number"),
        (["light.leds=list"], r"light\.led_positions_mm: .*give x, y, z"),
    ],
)
def test_bad_lists_of_leds_are_refused_by_path(changes, words):
    with pytest.raises(RecipeError, match=words):
        Recipe.load("eye_nir", changes)
    with pytest.raises(RecipeError, match="led_positions"):
        OPEN_EYE.replace({"light.led_positions_mm": [1, 2]})


def test_the_pupil_is_bright_only_near_the_axis_and_in_proportion_to_the_fundus():
    def glow(radius, reflectance=0.1):
        changes = {
            "light.led_mount": "camera",
            "light.led_radius_mm": radius,
            "subject.eye.fundus_reflectance": reflectance,
        }
        return pupil_brightness(build_figure(OPEN_EYE.replace(changes)), "left")

    assert glow(0.8) > 0.15
    assert glow(0.8) > glow(1.6) > glow(3.0)
    assert glow(12.0) == 0
    assert glow(0.8, 0.05) == pytest.approx(0.5 * glow(0.8))
    assert pupil_brightness(build_figure(OPEN_EYE), "left") == 0, "LEDs of a headset leave the pupil dark"


def test_one_infrared_frame_in_ten_has_a_bright_pupil():
    recipe = Recipe.load("eye_nir")
    light = [sample(recipe, 1, k).light for k in range(400)]
    bright = np.mean([one.led_mount == "camera" and one.led_radius_mm < 2 for one in light])
    assert 0.05 < bright < 0.16


def test_the_mock_paints_glints_that_pass_the_check():
    with MockRenderer() as render:
        frame = render(OPEN_EYE.replace({"light.led_count": 6}), RECIPE.outputs)
    eye = frame.truth.eyes["left"]
    assert eye.glints_visible.any()
    assert set(np.unique(frame.glint)) - {0} <= set(range(1, 7))
    assert [check for check in check_frame(frame) if not check.ok] == []
    crosses = [mark for mark in marks(frame.truth) if mark.kind == "glints"]
    assert len(crosses) == 2 * sum(e.glints_visible.sum() for e in frame.truth.eyes.values())


@pytest.fixture(scope="module")
def close(cycles):
    """The open eye from close by, so that glints span many pixels."""
    return cycles(OPEN_EYE.replace(CLOSE))


def test_rendered_glints_lie_on_their_mirror_points(close):
    errors = np.linalg.norm(glint_errors(close, "left"), axis=1)
    assert len(errors) >= 5
    assert errors.max() < 0.35
    assert close.truth.eyes["left"].glints_visible.sum() >= len(errors)
    assert not [check for check in check_frame(close) if not check.ok]


@pytest.mark.parametrize("damage", ["shift", "swap", "unknown"])
def test_the_check_finds_a_wrong_glint_layer(close, damage):
    glint = close.glint.copy()
    if damage == "shift":
        glint = np.roll(glint, 1, axis=0)
    elif damage == "swap":
        glint[glint > 0] = 9 - glint[glint > 0]
    else:
        glint[0, 0] = 9
    damaged = type(close)(close.sample, close.layers | {"glint": glint}, close.truth)
    assert any(not check.ok and "glint" in check.name for check in check_frame(damaged))


def test_the_picture_is_brightest_at_the_glints(cycles):
    changes = CLOSE | {"image.samples": 24, "image.denoise": False, "subject.eye.pupil_mm": 7.5}
    frame = cycles(OPEN_EYE.replace(changes))
    eye = frame.truth.eyes["left"]
    light = frame.linear[..., 0]
    seen = 0
    for place in eye.glints_2d[eye.glints_visible]:
        column, row = place.astype(int)
        patch = light[row - 7 : row + 8, column - 7 : column + 8]
        if patch.shape != (15, 15) or frame.seg[row, column] != side_label("left", "pupil"):
            continue
        weight = np.maximum(patch - 0.5 * patch.max(), 0)
        y, x = np.mgrid[row - 7 : row + 8, column - 7 : column + 8] + 0.5
        centre = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
        assert np.linalg.norm(centre - place) < 1
        assert patch.max() > 1, "a glint saturates"
        assert frame.rgb[row, column].min() >= 250
        seen += 1
    assert seen >= 3


def test_lids_hide_glints(cycles):
    frame = cycles(OPEN_EYE.replace(CLOSE | {"expression.blink": 1.0}), ("glint",))
    assert not frame.truth.eyes["left"].glints_visible.any()
    assert np.isfinite(frame.truth.eyes["left"].glints_2d).all(), "the analytic glints do not know of lids"
    assert not frame.glint.any()


def test_without_leds_there_is_a_layer_of_zeros_and_no_render(cycles, tiny_recipes, monkeypatch):
    monkeypatch.setattr(cycles, "_glints", None)
    frame = cycles(sample(tiny_recipes["eye_rgb"], 3, 0), ("glint",))
    assert not frame.glint.any()
    assert frame.glint.dtype == np.uint8


def test_the_bright_pupil_is_rendered(cycles):
    on_axis = {"light.led_mount": "camera", "light.leds": "pair"}
    bright, dark = (
        cycles(OPEN_EYE.replace(CLOSE | on_axis | {"light.led_radius_mm": radius})) for radius in (1.0, 20.0)
    )
    pupil = (bright.seg == side_label("left", "pupil")) & (bright.glint == 0) & (dark.glint == 0)
    shades = [np.median(frame.linear[pupil]) / np.median(frame.linear[frame.seg == 1]) for frame in (bright, dark)]
    assert shades[0] > 0.2
    assert shades[0] > 8 * shades[1]


def test_a_ring_of_glints_is_smaller_on_a_steeper_cornea():
    width = []
    for radius in (7.1, 8.6):
        eye = truth_of(OPEN_EYE.replace({"subject.eye.cornea_radius_mm": radius})).eyes["left"]
        width.append(np.ptp(eye.glints_2d[:, 0]))
    assert width[1] / width[0] == pytest.approx(8.6 / 7.1, rel=0.15)


def test_no_frame_leaves_anything_in_blender(cycles):
    counts = []
    for _ in range(3):
        cycles(OPEN_EYE.replace(CLOSE | {"image.width": 32, "image.height": 32}), ())
        data = cycles.bpy.data
        counts.append([len(store) for store in (data.objects, data.meshes, data.collections, data.materials)])
    assert counts[1] == counts[2]
