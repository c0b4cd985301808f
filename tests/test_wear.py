"""Headwear, masks, scarves, jewellery and dark glasses: where they are, and what they cover."""

import numpy as np
import pytest
import trimesh
from raycast import cast
from wardrobe import BARE

from facewright import Recipe, sample
from facewright.face import wear
from facewright.face.cloth import NECKLINE
from facewright.face.parameters import HATS, NECKLINES
from facewright.figure import _worn_on, build_figure, strands
from facewright.geometry.camera import WORLD_FROM_HEAD
from facewright.labels import truth
from facewright.schema import Label

CALM = {
    **BARE,
    "pose.head_yaw_deg": 0.0,
    "pose.head_pitch_deg": 0.0,
    "camera.azimuth_deg": 0.0,
    "camera.elevation_deg": 0.0,
    "expression.blink": 0.0,
}
FACE = Recipe.load("face", ["image.width=144", "image.height=144", "camera.field_mm=330"])
KINDS = [kind for kind in HATS if kind != "none"]


def person(index, **changes):
    return sample(FACE, 2, index).replace({**CALM, **{path.replace("__", "."): v for path, v in changes.items()}})


def hat(index, kind, **more):
    return person(index, **{"subject.wear.hat.kind": kind, **more})


def test_every_neckline_is_worn_and_the_low_ones_by_grown_women():
    assert tuple(NECKLINE) == NECKLINES
    people = [sample(FACE, 7, index).subject for index in range(300)]
    assert {one.wear.shirt for one in people} == set(NECKLINES)
    low = [one.head for one in people if one.wear.shirt in ("scoop", "off_shoulder")]
    assert all(head.gender < 0.5 and head.age_years > 12 for head in low)


def test_who_is_dressed_up_shows_it():
    """Women by bare shoulders or chests, men by collars and jackets, in most cases, and hardly anybody else."""
    found = {}
    for formality in (0.3, 0.9):
        recipe = Recipe.load("face", [f"subject.wear.formality={formality}", "subject.head.age_years=30"])
        people = [sample(recipe, 4, index).subject for index in range(300)]
        women = [one.wear for one in people if one.head.gender < 0.5]
        men = [one.wear for one in people if one.head.gender > 0.5]
        found[formality] = (
            np.mean([wear.shirt in ("scoop", "off_shoulder") for wear in women]),
            np.mean([wear.shirt == "collar" for wear in men]),
            np.mean([wear.jacket.kind == "blazer" for wear in men]),
        )
    assert np.all(np.array(found[0.3]) < (0.2, 0.35, 0.15))
    assert np.all(np.array(found[0.9]) > (0.65, 0.5, 0.4))


def test_blazers_are_worn_by_grown_people_over_what_shows_between_lapels():
    people = [sample(FACE, 7, index).subject for index in range(400)]
    worn = [one for one in people if one.wear.jacket.kind == "blazer"]
    assert all(one.head.age_years > 15 and one.wear.shirt not in ("high", "off_shoulder") for one in worn)
    men = [one.head.gender > 0.5 for one in worn]
    assert 0.05 < len(worn) / len(people) < 0.3
    assert sum(men) > 1.5 * (len(men) - sum(men))


def test_long_hair_lies_on_a_jacket():
    """On breast and shoulders hair stands off the body's axis as much farther as a jacket is thick."""
    long = {"subject.hair.style": "long", "subject.wear.shirt": "crew", "subject.head.age_years": 35.0}
    away = {}
    for kind in ("none", "blazer"):
        figure = build_figure(person(3, **long, **{"subject.wear.jacket.kind": kind}))
        hair = next(hairs for hairs in strands(figure) if hairs.channel == "hair").points @ WORLD_FROM_HEAD
        low = hair[(hair[..., 1] < -190) & (hair[..., 1] > -230)]
        assert len(low) > 1000
        away[kind] = np.median(np.hypot(low[:, 0], low[:, 2] + 98))
    assert 4 < away["blazer"] - away["none"] < 12


@pytest.mark.parametrize("index", [0, 5, 11])
@pytest.mark.parametrize("kind", KINDS)
def test_headwear_covers_the_scalp(kind, index):
    """Rays from the middle of the head meet the skin first and the headwear after it."""
    figure = build_figure(hat(index, kind))
    on = _worn_on(figure.head)
    part = wear.headwear(figure.sample.subject.wear.hat, on)[0]
    assert np.isfinite(part.vertices).all()
    assert (part.labels == Label.HAT).all()
    under, rim = wear.crown(figure.sample.subject.wear.hat, on)
    skin = figure.head[on.face]
    polar, azimuth, radius = under.polar(skin)
    edge = np.interp(azimuth % (2 * np.pi), wear._round(under), rim, period=2 * np.pi)
    inside = (polar > edge + 0.15) if kind == "headscarf" else (polar < edge - 0.15)
    if kind == "headscarf":
        inside &= skin[:, 1] > -90
    chosen = np.nonzero(inside)[0][::23]
    assert len(chosen) > 30
    outward = (skin[chosen] - under.centre) / radius[chosen, None]
    shell = trimesh.Trimesh(part.vertices, part.triangles(), process=False)
    place, ray, _ = shell.ray.intersects_location(np.repeat(under.centre[None], len(chosen), 0), outward)
    reach = np.zeros(len(chosen))
    np.maximum.at(reach, ray, np.linalg.norm(place - under.centre, axis=1))
    assert (reach > radius[chosen] + 0.5).mean() > 0.97


def test_a_headscarf_hides_all_hair():
    for kind, hidden in (("headscarf", True), ("cap", False)):
        channels = {part.channel for part in strands(build_figure(hat(3, kind, **{"subject.hair.style": "long"})))}
        assert ("hair" not in channels) is hidden


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "headscarf"])
def test_hair_lies_under_the_headwear(kind):
    figure = build_figure(hat(3, kind, **{"subject.hair.style": "afro"}))
    on = _worn_on(figure.head)
    under, rim = wear.crown(figure.sample.subject.wear.hat, on)
    hair = [part for part in strands(figure) if part.channel == "hair"]
    from facewright.figure import NECK_PIVOT_MM
    from facewright.geometry.camera import WORLD_FROM_HEAD

    points = np.concatenate([part.points.reshape(-1, 3) for part in hair]) @ WORLD_FROM_HEAD
    points = (points - NECK_PIVOT_MM) @ figure.turn + NECK_PIVOT_MM
    polar, azimuth, radius = under.polar(points)
    edge = np.interp(azimuth % (2 * np.pi), wear._round(under), rim, period=2 * np.pi)
    inside = polar < edge - 0.08
    assert inside.sum() > 1000
    assert (radius[inside] < under.at(polar[inside], azimuth[inside]) + wear.HAIR_MM).all()


@pytest.mark.parametrize("kind", ["surgical", "ffp2", "cloth"])
@pytest.mark.parametrize("index", [0, 4, 9])
def test_a_mask_covers_nose_and_mouth_and_leaves_the_eyes(kind, index):
    changes = {"expression.mood": "neutral", "subject.wear.mask.low": 0.0}
    bare, masked = (
        build_figure(person(index, **{**changes, **more})) for more in ({}, {"subject.wear.mask.kind": kind})
    )
    before, after = cast(bare), cast(masked)
    mouth = np.isin(before, [Label.UPPER_LIP, Label.LOWER_LIP, Label.TEETH, Label.MOUTH, Label.NOSTRIL])
    assert mouth.sum() > 20
    assert (after[mouth] == Label.FACE_MASK).all()
    tip = truth(masked).landmarks_2d[30]
    assert after[int(tip[1]), int(tip[0])] == Label.FACE_MASK
    eyes = np.isin(before, [Label.LEFT_IRIS, Label.RIGHT_IRIS, Label.LEFT_SCLERA, Label.RIGHT_SCLERA])
    assert (after[eyes] == before[eyes]).all()


@pytest.mark.parametrize("earrings", ["stud", "hoop", "drop"])
def test_earrings_hang_at_the_lobes(earrings):
    figure = build_figure(person(1, **{"subject.wear.jewellery.earrings": earrings}))
    on = _worn_on(figure.head)
    parts = [part for part in wear.worn(figure.sample.subject.wear, on, (0, 0)) if part.labels[0] == Label.EARRING]
    for side, sign in (("right", -1), ("left", 1)):
        ear = figure.head[on.ears[side]]
        own = np.concatenate([part.vertices for part in parts if sign * part.vertices[:, 0].mean() > 0])
        gap = np.linalg.norm(own[:, None] - ear[None], axis=2).min()
        assert gap < 2.0, side
        assert own[:, 1].max() < np.percentile(ear[:, 1], 40), side


@pytest.mark.parametrize("necklace", ["chain", "pendant", "pearls"])
def test_a_necklace_lies_on_the_shoulders(necklace):
    one = person(2, **{"subject.wear.jewellery.necklace": necklace, "subject.hair.style": "buzz"})
    figure = build_figure(one)
    parts = [
        part for part in wear.worn(one.subject.wear, _worn_on(figure.head), (0, 0)) if part.labels[0] == Label.NECKLACE
    ]
    points = np.concatenate([part.vertices for part in parts])
    assert np.concatenate([part.points["head"] for part in parts]).max() < 0.6
    body = figure.head[_worn_on(figure.head).trunk]
    near = np.linalg.norm(points[::17][:, None] - body[None], axis=2).min(axis=1)
    assert np.percentile(near, 90) < 25
    wide = build_figure(one.replace({"camera.field_mm": 450.0, "image.width": 256, "image.height": 256}))
    assert (cast(wide) == Label.NECKLACE).sum() > 10


def test_headphones_cover_the_ears():
    one = person(6, **{"subject.wear.headphones": True, "pose.head_yaw_deg": 60.0})
    ids = cast(build_figure(one))
    assert (ids == Label.HEADPHONES).sum() > 200
    assert (np.isin(ids, [Label.LEFT_EAR, Label.RIGHT_EAR])).sum() < 40


def test_dark_lenses_hide_the_eyes_and_refract_nothing():
    one = person(7, **{"subject.wear.glasses.kind": "sun"})
    figure = build_figure(one)
    known = truth(figure)
    ids = cast(figure)
    assert (ids == Label.GLASSES_LENS).sum() > 150
    for eye in known.eyes.values():
        assert len(eye.lens_2d) == 0
        column, row = eye.pupil.centre.astype(int)
        assert ids[row, column] == Label.GLASSES_LENS
    clear = truth(build_figure(person(7)))
    for side, eye in known.eyes.items():
        np.testing.assert_allclose(eye.pupil.centre, clear.eyes[side].pupil.centre, atol=1e-9)


def test_a_collar_stands_round_the_neck():
    figure = build_figure(person(8, **{"subject.wear.shirt": "collar"}))
    from facewright.figure import surfaces

    collar = next(part for part in surfaces(figure) if part.name == "collar")
    assert np.ptp(collar.vertices[:, 0]) > 80
    assert (collar.labels == Label.CLOTH).all()


def test_everything_worn_has_its_share_of_the_default_recipe():
    seen = {}
    count = 600
    for index in range(count):
        worn = sample(Recipe.load("face"), 0, index).subject.wear
        for name, value in (
            ("hat", worn.hat.kind != "none"),
            ("mask", worn.mask.kind != "none"),
            ("sun", worn.glasses.kind == "sun"),
            ("clear", worn.glasses.kind == "clear"),
            ("earrings", worn.jewellery.earrings != "none"),
            ("necklace", worn.jewellery.necklace != "none"),
            ("headphones", worn.headphones),
            ("scarf", worn.scarf),
        ):
            seen[name] = seen.get(name, 0) + value
        assert not (worn.headphones and worn.hat.kind != "none")
    assert all(0.02 < n / count < 0.5 for n in seen.values()), seen
