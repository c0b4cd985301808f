"""What is painted round the eye: relief and tint in lid coordinates, and the skin's own relief."""

import dataclasses

import numpy as np
import pytest

from facewright import Recipe, sample
from facewright.eye.periorbita import DEPTHS_MM, SIZE, periorbita
from facewright.face.skin import RELIEF_TILE_MM, relief_tile

SUBJECT = sample(Recipe.load("eye_rgb"), 0, 0).subject
BARE = dataclasses.replace(SUBJECT.make_up, liner=0.0, shadow=0.0)
DEPTH = np.linspace(*DEPTHS_MM, SIZE[0])
TURN = (np.arange(SIZE[1]) + 0.5) / SIZE[1]


def skin(**changes):
    return dataclasses.replace(SUBJECT.skin, **changes)


def painted(skin, squint=0.0, spectrum="rgb", **make_up):
    return periorbita(SUBJECT.eye.lids, skin, dataclasses.replace(BARE, **make_up), squint, spectrum)


def corner(image):
    """Return the part of a painted image where crow's feet lie."""
    return image[(DEPTH > 8) & (DEPTH < 20)][:, np.abs(TURN - 0.5) < 0.08]


def test_wrinkles_deepen_with_age_and_squint():
    young, old = (painted(skin(wrinkles=age))[0] for age in (0.0, 0.9))
    laughing, _ = painted(skin(wrinkles=0.9), squint=1.0)
    assert corner(old).std() > 2 * corner(young).std()
    assert corner(laughing).std() > 1.1 * corner(old).std()
    assert np.abs(old).max() < 0.6, "mm: no wrinkle is a cut"


def test_paint_ends_before_the_charts_edge_and_meets_itself_at_the_medial_canthus():
    relief, tint = painted(skin(wrinkles=0.9), squint=1.0)
    assert np.abs(relief[-1]).max() < 1e-6
    assert np.abs(tint[-1] - 1).max() < 1e-6
    jump = np.abs(relief[:, 0] - relief[:, -1]).max()
    assert jump < 3 * np.abs(np.diff(relief[:, :40], axis=1)).max() + 0.02


def test_eyeliner_blackens_the_lash_line_and_is_black_in_infrared_too():
    lid = (DEPTH > 0) & (DEPTH < 0.6)
    middle = np.abs(TURN - 0.25) < 0.1
    for spectrum in ("rgb", "nir"):
        plain = painted(skin(), spectrum=spectrum)[1][lid][:, middle].mean()
        lined = painted(skin(), spectrum=spectrum, liner=1.0)[1][lid][:, middle].mean()
        assert lined < 0.35 * plain


def test_infrared_tint_is_grey_and_hides_eye_shadow():
    shadow = {"shadow": 1.0, "shadow_tone": 0.85}
    tint = painted(skin(), spectrum="nir", **shadow)[1]
    assert np.ptp(tint[DEPTH > 2], axis=2).max() < 0.05
    coloured = painted(skin(), **shadow)[1]
    assert np.ptp(coloured[(DEPTH > 1) & (DEPTH < 4)][:, np.abs(TURN - 0.25) < 0.1], axis=2).mean() > 0.15


def test_strong_eye_shadow_reaches_below_the_eye():
    below = (DEPTH > 0.5) & (DEPTH < 2.5)
    outer = np.abs(TURN - 0.7) < 0.1
    plain, faint, strong = (painted(skin(), shadow=much, shadow_tone=0.5)[1][below][:, outer] for much in (0, 0.5, 1.0))
    assert np.array_equal(faint, plain)
    assert strong.mean() < 0.75 * plain.mean()


@pytest.mark.parametrize("axis", [0, 1])
def test_the_skins_relief_repeats_without_a_seam(axis):
    tile = relief_tile(skin(wrinkles=0.5))
    seam = np.abs(np.take(tile, 0, axis) - np.take(tile, -1, axis)).mean()
    inner = np.abs(np.diff(tile, axis=axis)).mean()
    assert seam < 1.5 * inner
    assert 0.005 < tile.std() < 0.1, f"mm of relief over {RELIEF_TILE_MM} mm"
