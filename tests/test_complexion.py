"""The painted skin of the face: what ages, what expression folds, what make-up covers."""

import dataclasses

import numpy as np
import pytest

from facewright import Recipe, sample
from facewright.face.complexion import S_MM, SIZE, Y_MM, Drives, complexion, drives, lip_mask
from facewright.face.parameters import MakeUp
from facewright.face.skin import absorption, complexion_tint
from facewright.face.topology import topology

CALM = Drives(0.0, 0.0, 0.0, 0.0, 0.0)
BARE = MakeUp(*[0.0] * 9)
SKIN = dataclasses.replace(
    sample(Recipe.load("face"), 0, 0).subject.skin,
    wrinkles=0.0, freckles=0.0, moles=0.0, lentigines=0.0, acne=0.0, scar=0.0, melanin=0.2,
)  # fmt: skip


def box(s, y):
    columns = slice(*(int((v - S_MM[0]) / (S_MM[1] - S_MM[0]) * SIZE[1]) for v in s))
    rows = slice(*(int((v - Y_MM[0]) / (Y_MM[1] - Y_MM[0]) * SIZE[0]) for v in y))
    return rows, columns


FOREHEAD, GLABELLA, FOLD = box((-40, 40), (30, 65)), box((-9, 9), (6, 26)), box((12, 28), (-66, -40))


def depth(skin, drawn, where):
    return float(-complexion(skin, BARE, drawn, "rgb")[0][where].min())


def test_make_up_goes_together_and_grown_women_wear_it():
    everyone = [sample(Recipe.load("face"), 3, index).subject for index in range(600)]
    worn = np.array([dataclasses.astuple(one.make_up)[1:] for one in everyone])  # less the habit
    tones = [7, 3]
    amounts = np.delete(worn, tones, axis=1)
    made_up = amounts[:, 0] > 0
    assert not amounts[~made_up].any()
    women = np.array([one.head.gender < 0.5 and one.head.age_years > 15 for one in everyone])
    assert not made_up[~women].any()
    assert 0.4 < made_up[women].mean() < 0.65
    mascara, liner = amounts[made_up & (amounts[:, 3:5].min(axis=1) > 0)][:, 3:5].T
    assert np.corrcoef(mascara, liner)[0, 1] > 0.3, "who wears much of one wears much of the other"
    often = [sample(Recipe.load("face", ["subject.make_up.habit=0.9"]), 3, index).subject for index in range(60)]
    assert all(one.make_up.foundation > 0 for one in often if one.head.gender < 0.5 and one.head.age_years > 15)


def test_wrinkles_grow_with_age():
    depths = [depth(dataclasses.replace(SKIN, wrinkles=w), CALM, FOREHEAD) for w in (0.0, 0.5, 1.0)]
    assert depths[0] < 0.15 < depths[1] < depths[2]


@pytest.mark.parametrize(
    ("muscle", "where"), [("brow_up", FOREHEAD), ("brow_down", GLABELLA), ("smile", FOLD), ("sneer", FOLD)]
)
def test_each_muscle_folds_its_own_skin(muscle, where):
    drawn = dataclasses.replace(CALM, **{muscle: 1.0})
    assert depth(SKIN, drawn, where) > depth(SKIN, CALM, where) + 0.1


def test_drives_follow_the_expression():
    calm = sample(Recipe.load("face"), 0, 0).replace({"expression.intensity": 1.0, "expression.squint": 0.0})
    found = {mood: drives(calm.replace({"expression.mood": mood}).expression) for mood in ("raise", "anger", "laugh")}
    assert found["raise"].brow_up > 0.6
    assert found["anger"].brow_down > 0.6
    assert found["laugh"].smile > 0.9


@pytest.mark.parametrize("kind", ["freckles", "moles", "lentigines"])
def test_marks_are_melanin(kind):
    _, plain, _ = complexion(SKIN, BARE, CALM, "rgb")
    _, marked, _ = complexion(dataclasses.replace(SKIN, **{kind: 1.0}), BARE, CALM, "rgb")
    assert (marked >= plain - 1e-12).all()
    assert 20 < ((marked - plain) > 0.05).sum() < 0.2 * plain.size


def test_foundation_evens_and_blush_reddens():
    _, _, bare = complexion(SKIN, BARE, CALM, "rgb")
    _, _, even = complexion(SKIN, dataclasses.replace(BARE, foundation=1.0), CALM, "rgb")
    _, _, red = complexion(SKIN, dataclasses.replace(BARE, blush=1.0), CALM, "rgb")
    assert even[FOREHEAD].std() < 0.5 * bare[FOREHEAD].std()
    assert (red - bare)[box((38, 48), (-32, -20))].mean() > 0.5


def test_lipstick_takes_its_own_colour_on_the_lips_only():
    painted = dataclasses.replace(BARE, lipstick=1.0, lipstick_tone=0.25)
    plain, red = (complexion_tint(SKIN, look, CALM, "rgb") for look in (BARE, painted))
    lips = lip_mask(SKIN) > 0.99
    colour = (red * np.exp(absorption(SKIN)[0]))[lips].mean(axis=0)
    assert colour[0] > 4 * colour[1]
    away = lip_mask(SKIN) == 0
    assert np.array_equal(plain[away], red[away])


def test_the_red_of_the_lips_lies_on_the_lips():
    """The painted lips against the mesh's own lip parts, seen from in front."""
    mesh = topology()
    rest = mesh.rest
    s = 92 * np.arctan2(rest[:, 0], rest[:, 2] + 85)
    column = ((s - S_MM[0]) / (S_MM[1] - S_MM[0]) * SIZE[1]).astype(int).clip(0, SIZE[1] - 1)
    row = ((rest[:, 1] - Y_MM[0]) / (Y_MM[1] - Y_MM[0]) * SIZE[0]).astype(int).clip(0, SIZE[0] - 1)
    red = lip_mask(SKIN)[row, column] > 0.5
    lips, skin = mesh.vertices_of("upper_lip", "lower_lip"), mesh.vertices_of("skin")
    inner = np.setdiff1d(lips, skin)
    assert red[inner].mean() > 0.9
    front = skin[(rest[skin, 2] > 0) & (rest[skin, 1] > -100)]
    assert red[np.setdiff1d(front, lips)].mean() < 0.02


def test_infrared_sees_little_pigment():
    marked = dataclasses.replace(SKIN, freckles=1.0, moles=1.0)
    visible, infrared = (complexion_tint(marked, BARE, CALM, spectrum) for spectrum in ("rgb", "nir"))
    assert infrared.std() < 0.6 * visible[..., 2].std()
    assert np.array_equal(infrared[..., 0], infrared[..., 1])


def test_the_map_ends_smoothly():
    for sheet in complexion(dataclasses.replace(SKIN, wrinkles=1.0), BARE, CALM, "rgb"):
        edge = np.concatenate([sheet[0], sheet[-1], sheet[:, 0], sheet[:, -1]])
        assert np.abs(edge).max() < 1e-9
