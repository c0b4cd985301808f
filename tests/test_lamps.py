"""Lamps of the user's own: what they are, and that they light as a key light of the same make does."""

import math

import numpy as np
import pytest

from facewright import Recipe, sample
from facewright.errors import RecipeError
from facewright.figure import build_figure
from facewright.geometry.camera import WORLD_FROM_HEAD
from facewright.geometry.reflection import glint_points
from facewright.scene.world import blackbody
from facewright.schema import Label, side_label
from facewright.world.lamps import Lamp, parse_lamps

RECT = (900.0, -700.0, 500.0, -0.9, 0.7, -0.5, 300.0, 200.0, 180.0, 10.0, 8.0, 6.0)


def put(**changes):
    names = list(Lamp.__dataclass_fields__)
    values = dict(zip(names, RECT)) | changes
    return [values[name] for name in names]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shines_x": 0, "shines_y": 0, "shines_z": 0}, "lamp 1: numbers 4 to 6 are the direction"),
        ({"width": 0.0}, "width must be above 0 mm"),
        ({"spread_deg": 200.0}, r"spread must lie in \[1, 180\] deg, got 200"),
        ({"height": 0.0, "spread_deg": 0.5}, r"spread must lie in \[1, 180\] deg or be 360"),
        ({"height": 0.0, "spread_deg": 200.0}, r"or be 360, got 200"),
        ({"red": -1.0}, "power must be at least 0 W, got -1"),
    ],
)
def test_what_is_no_lamp_is_refused(changes, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.from_data({"light": {"lamps": [*RECT, *put(**changes)]}})


def test_a_number_too_few_is_refused():
    with pytest.raises(RecipeError, match=r"expected a list of 0, 12, \.\.\. 192 numbers, got 11 of them"):
        Recipe.from_data({"light": {"lamps": RECT[:11]}})


def test_light_falls_with_the_square_of_distance_and_ends_at_the_spread():
    (lamp,) = parse_lamps(put(place_x=0, place_y=0, place_z=0, shines_x=0, shines_y=0, shines_z=1, spread_deg=90.0))
    near, far = lamp.light_at(np.array([0, 0, 500.0])), lamp.light_at(np.array([0, 0, 1000.0]))
    assert near == pytest.approx(4 * far)
    assert far == pytest.approx(np.array([10.0, 8.0, 6.0]) / math.pi**2)
    assert not lamp.light_at(np.array([1100.0, 0, 1000.0])).any()
    assert not lamp.light_at(np.array([0, 0, -1000.0])).any()


def test_a_lamp_like_the_key_light_gives_the_key_lights_picture(cycles):
    """Place, size, power and colour of a softbox, worked out here, as a lamp of the user's."""
    recipe = Recipe.load("face", ["image.width=64", "image.height=64", "image.samples=16", "image.denoise=false"])
    still = {"light.key_kind": "softbox", "light.key_strength": 1.3, "light.rim_strength": 0.0, "light.hdri": "none"}
    keyed = sample(recipe, 0, 0).replace(still | {"backdrop.kind": "map"})
    light, aim = keyed.light, build_figure(keyed).head_origin
    a, e = math.radians(light.key_azimuth_deg), math.radians(light.key_elevation_deg)
    toward = WORLD_FROM_HEAD @ [math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)]
    power = 1.3 * math.pi**2 * 0.81 * np.array(blackbody(light.key_temperature_k))
    lamp = Lamp.of(aim + 900 * toward, -toward, (light.key_size_mm, light.key_size_mm), 180.0, power)
    ours = keyed.replace({"light.lamps": lamp.numbers(), "light.key_strength": 0.0})
    wanted, found = (cycles(one, ("linear",)).linear for one in (keyed, ours))
    assert lamp.light_at(aim) == pytest.approx(1.3 * np.array(blackbody(light.key_temperature_k)))
    assert wanted.max() > 0.3
    assert np.abs(found - wanted).mean() < 0.01 * wanted.mean()


def test_a_flash_is_mirrored_in_the_cornea_where_geometry_says(cycles):
    """The brightest spot of the iris, with few samples: a catchlight of 0.1 px must not be left to chance."""
    size = ["image.width=128", "image.height=64", "image.samples=8", "image.denoise=false"]
    recipe = Recipe.load("face", [*size, "subject.wear.glasses.kind=none", "subject.wear.hat.kind=none"])
    dark = {"light.hdri": "none", "light.rim_strength": 0.0, "backdrop.kind": "map", "subject.hair.style": "crew"}
    flash = {"light.key_kind": "flash", "light.key_strength": 2.0, "camera.distance_mm": 1500.0}
    close = {"camera.field_mm": 120.0, "camera.shift_x": 0.0, "camera.shift_y": 0.0}
    ahead = {"gaze.reference": "camera", "gaze.yaw_deg": 0.0, "gaze.pitch_deg": 0.0}
    open_ = {f"expression.{name}": 0.0 for name in ("blink", "wink", "squint")} | {"expression.mood": "neutral"}
    seen = 0
    for index in range(5):
        posed = sample(recipe, 3, index).replace(dark | flash | close | ahead | open_)
        figure, frame = build_figure(posed), cycles(posed, ("linear", "seg"))
        seg, light = frame.layers["seg"], frame.layers["linear"].mean(axis=2)
        camera = figure.camera
        pinhole = -camera.rotation.T @ camera.translation_mm
        lamp = pinhole - 70 * camera.rotation[1]
        for side, eye in figure.eyes.items():
            viewer, source = ((point - eye.centre) @ eye.rotation for point in (pinhole, lamp))
            spot = glint_points(eye.globe.anterior, viewer, source[None], eye.globe.limbus_r)[0]
            world = spot @ eye.rotation.T + eye.centre
            x, y = camera.project(camera.rotation @ world + camera.translation_mm)
            iris = np.isin(seg, [int(side_label(side, part)) for part in ("iris", "pupil")])
            if not (0 <= y < 64 and iris[int(y), int(x)]):
                continue
            brightest = np.unravel_index(np.argmax(np.where(iris, light, 0)), iris.shape)
            assert math.hypot(brightest[1] + 0.5 - x, brightest[0] + 0.5 - y) < 1.5
            assert light[brightest] > np.median(light[seg == Label.SKIN])
            seen += 1
    assert seen >= 3
