"""The mock renderer paints what the truth says."""

import numpy as np
import pytest

from facewright import Recipe, sample
from facewright.check import check_frame
from facewright.mock import MockRenderer, inside_ellipse, inside_polygon, pixel_centres
from facewright.recipe import OUTPUTS
from facewright.render import LAYERS
from facewright.schema import Label, side_label
from facewright.truth import Ellipse

SIZE = ["image.width=256", "image.height=256", "expression.blink=0"]


@pytest.fixture(scope="module", params=["face", "eye_rgb", "eye_nir"])
def frame(request):
    recipe = Recipe.load(request.param, SIZE)
    with MockRenderer() as render:
        return render(sample(recipe, 3, 1), OUTPUTS)


def test_a_painted_frame_has_every_layer_in_its_shape(frame):
    for name in set(LAYERS) - {"refined"}:
        layer, values = LAYERS[name], getattr(frame, name)
        assert values.dtype == layer.dtype
        assert values.shape == ((256, 256, layer.channels) if layer.channels else (256, 256))


def test_a_painted_frame_passes_the_checks(frame):
    assert [check for check in check_frame(frame) if not check.ok] == []


def test_ids_lie_where_the_truth_is(frame):
    for side, eye in frame.truth.eyes.items():
        pupil = inside_ellipse(pixel_centres(256, 256), eye.pupil)
        painted = frame.seg_anatomical == side_label(side, "pupil")
        assert (painted & ~pupil).sum() == 0
    assert set(np.unique(frame.seg)) <= set(map(int, Label))


def test_only_what_was_asked_for_is_painted():
    with MockRenderer() as render:
        assert list(render(sample(Recipe.load("face", SIZE), 0, 0), ("seg",)).layers) == ["rgb", "seg"]


def test_a_polygon_and_an_ellipse_hold_the_pixels_they_should():
    centres = pixel_centres(10, 10)
    square = inside_polygon(centres, np.array([[2, 3], [6, 3], [6, 8], [2, 8.0]]))
    assert square.sum() == 20
    assert square[3:8, 2:6].all()
    circle = inside_ellipse(centres, Ellipse(np.array([5.0, 5.0]), 3, 2, np.pi / 2))
    assert circle[2:8, 4:6].all()
    assert not circle[4:6, 1:3].any()
