"""Hair and beards: where they grow, what they keep off, how many there are, and what their layers say."""

from collections import Counter
from functools import cache

import numpy as np
import pytest
from raycast import coloured

from facewright import Recipe, figure, labels, roots, sample
from facewright.face import beard, growth, hair
from facewright.face.haircuts import STYLES
from facewright.face.landmarks import ibug68
from facewright.face.parameters import BEARD_STYLES, DYES, HAIRCUTS
from facewright.face.skin import DYE_COLOURS, beard_colour, brow_colour, dye_colour, hair_colour
from facewright.face.topology import topology
from facewright.figure import body, eye_rotations, head_surface
from facewright.geometry.mesh import vertex_normals
from facewright.geometry.polygon import inside_polygon
from facewright.geometry.strands import Strands
from facewright.mock import MockRenderer
from facewright.scene import passes
from facewright.schema import MATTE_CHANNELS, Label

RECIPE = Recipe.load("face", ["subject.wear.glasses.kind=none", "expression.mood=neutral", "expression.blink=0"])
PERSONS = {
    "woman": {"subject.head.gender": 0.05, "subject.head.age_years": 34.0},
    "man": {"subject.head.gender": 0.95, "subject.head.age_years": 52.0},
    "girl": {"subject.head.gender": 0.1, "subject.head.age_years": 6.0},
    "boy": {"subject.head.gender": 0.9, "subject.head.age_years": 11.0},
}
FIRST = sample(RECIPE, 1, 0)


NORMALS = {}


@cache
def head_of(person, mood="neutral"):
    """Return a sample and its head surface (V, 3) head mm."""
    one = FIRST.replace({**PERSONS[person], "image.width": 128, "expression.mood": mood})
    resting = body(one.subject)
    return one, head_surface(one, resting, eye_rotations(resting, np.array([0, 0, 3000.0])))[1]


def grown(person, mood="neutral", **changes):
    """Return the head and what grows on it by channel; brows as the list of both."""
    one, surface = head_of(person, mood)
    found = roots.hairs(one.replace({f"subject.hair.{name}": value for name, value in changes.items()}), None, surface)
    return surface, {strand.channel: strand for strand in found}


def depths(points, surface):
    """Return how deep (N,) in mm points lie behind the tangent plane of their nearest vertex of face or neck.

    Below the rim where the body ends, at y = -326 of the template, there is nothing to be inside of.
    """
    mesh = topology()
    ids = mesh.vertices_of("skin", "nose", "neck", "torso")[::2]
    if id(surface) not in NORMALS:
        NORMALS[id(surface)] = vertex_normals(surface, mesh.faces)
    normals = NORMALS[id(surface)][ids]
    nearest = np.concatenate(
        [((surface[ids] ** 2).sum(1) - 2 * part @ surface[ids].T).argmin(1) for part in np.array_split(points, 8)]
    )
    depth = -((points - surface[ids[nearest]]) * normals[nearest]).sum(axis=1)
    below = (mesh.rest[ids[nearest], 1] < -310) & (points[:, 1] < surface[ids[nearest], 1])
    return np.where(below, 0.0, depth), ids[nearest]


def by_the_ear(ids):
    """Return which vertices (N,) lie at the root of an ear, where a surface has no one normal."""
    x, y, z = topology().rest[ids].T
    return (np.abs(x) > 60) & (y < 26) & (y > -55) & (z < -50) & (z > -98)


def test_every_name_has_its_numbers():
    assert len(STYLES) >= 20
    assert tuple(STYLES) == HAIRCUTS
    assert ("none", *beard.BEARDS) == BEARD_STYLES
    assert {"none", *DYE_COLOURS} == set(DYES)


@pytest.mark.parametrize("person", PERSONS)
@pytest.mark.parametrize("style", STYLES)
def test_every_haircut_grows_on_every_head(style, person, monkeypatch):
    """Finite, rooted in the scalp, outside the skull, and not before the eyes."""
    monkeypatch.setattr(roots, "HAIR_WIDTH_MM", 1200.0)
    surface, found = grown(person, style=style, length=0.7)
    scalp = found["hair"]
    assert np.isfinite(scalp.points).all()
    assert scalp.radius.shape == scalp.points.shape[:2]
    assert (scalp.radius > 0).all()
    assert scalp.tint.min() >= 0
    assert scalp.tint.max() < 4
    rooted = scalp.points[scalp.tint < 2][::9, 0]  # tails start at their ties
    off, nearest = depths(rooted, surface)
    assert np.abs(off[~by_the_ear(nearest)]).max() < 4
    assert (hair.scalp_weight(topology().rest, STYLES[style].receding)[nearest] > 0).mean() > 0.97
    inside, nearest = depths(scalp.points[::5].reshape(-1, 3)[::7], surface)
    inside = inside[~by_the_ear(nearest)]
    assert np.percentile(inside, 99.5) < 2
    assert inside.max() < 5
    marks = surface[ibug68()]
    for eye in (marks[36:42], marks[42:48]):
        before = scalp.points[..., 2] > eye[:, 2].mean() - 10
        assert not inside_polygon(scalp.points[before][:, :2], eye[:, :2]).any()


def test_haircuts_differ(monkeypatch):
    monkeypatch.setattr(roots, "HAIR_WIDTH_MM", 600.0)
    lowest = {}
    for style in ("buzz", "bob", "medium", "long"):
        _, found = grown("woman", style=style, length=0.5)
        lowest[style] = np.percentile(found["hair"].points[..., 1], 2)
    assert lowest["buzz"] > lowest["bob"] > lowest["medium"] > lowest["long"]
    _, found = grown("woman", style="bob", length=0.5)
    ends = found["hair"].points[:, -1]
    fringe = (np.abs(ends[:, 0]) < 30) & (ends[:, 2] > 15)
    assert fringe.sum() > 20
    assert 8 < np.median(ends[fringe, 1]) < 32, "a fringe ends near the brows"


@pytest.mark.parametrize("mood", ["neutral", "surprise", "grin"])
@pytest.mark.parametrize("style", beard.BEARDS)
def test_beards_grow_where_men_shave_and_not_through_the_mouth(style, mood):
    surface, found = grown("man", mood, beard=style, beard_density=0.9, beard_length=0.8)
    strands = found["beard"]
    assert np.isfinite(strands.points).all()
    assert len(strands.points) > 100
    off, nearest = depths(strands.points[:, 1], surface)
    assert np.abs(off).max() < 3
    x, y, z = topology().rest[nearest].T
    assert ((y < 30) & (y > -140) & (z > -78)).all()
    assert not ((y > -44) & (np.abs(x) < 40)).any(), "neither on the nose nor below the eyes"
    inside, _ = depths(strands.points[:, 2:].reshape(-1, 3)[::11], surface)
    assert np.percentile(inside, 99) < 2
    assert inside.max() < 5
    outer = surface[ibug68()][48:60, :2]
    core = outer.mean(axis=0) + 0.75 * (outer - outer.mean(axis=0))
    front = strands.points[strands.points[..., 2] > surface[ibug68()][48:60, 2].min() - 12]
    assert not inside_polygon(front[:, :2], core).any()


def test_beards_differ_in_where_they_grow():
    rest = topology().rest[topology().vertices_of("skin", "neck")]
    middle = {"moustache": [0, -52, 34], "chin": [0, -98, 24], "cheek": [50, -62, -10], "jaw": [55, -85, -35]}
    ids = {name: np.square(rest - place).sum(axis=1).argmin() for name, place in middle.items()}
    spec = FIRST.subject.hair
    grows = {}
    for style in beard.BEARDS:
        weight = beard.beard_weight(type(spec)(**{**vars(spec), "beard": style, "beard_density": 1.0}), rest)
        grows[style] = {name for name, k in ids.items() if weight[k] > 0.2}
    assert grows["full"] == grows["stubble"] == {"moustache", "chin", "cheek", "jaw"}
    assert grows["moustache"] == {"moustache"}
    assert grows["goatee"] == {"chin"}
    assert grows["van_dyke"] == grows["circle"] == {"moustache", "chin"}
    assert "moustache" not in grows["chin_curtain"]
    assert "jaw" in grows["chin_curtain"]


def test_strands_cover_as_much_whatever_their_number():
    """The rule exactly, and the area of strands that grew by it within 6 per cent."""
    for pixel_mm in (0.02, 0.3, 0.6, 1.2, 5.0):
        for limit in (4000, 40000):
            count, radius = growth.strand_budget(5200, pixel_mm, limit)
            assert 2 * radius < 0.2601
            assert count <= max(limit, 5200 / 0.26 + 1)
            assert 2 * radius * count == pytest.approx(5200)
    area = []
    for width in (1024, 128):
        one, surface = head_of("woman")
        wide = one.replace({"image.width": width, "subject.hair.style": "medium"})
        found = roots.hairs(wide, None, surface)[-1]
        length = np.linalg.norm(np.diff(found.points, axis=1), axis=2)
        area.append((length * (found.radius[:, 1:] + found.radius[:, :-1])).sum())
        assert len(found.points) == growth.strand_budget(5200, one.camera.field_mm / width, 40000)[0]
    assert area[0] == pytest.approx(area[1], rel=0.06)


def test_a_subject_keeps_its_roots_through_expressions():
    kept = {"style": "medium", "beard": "full", "beard_density": 0.8}
    (_, calm), (_, moved), (_, again) = (grown("man", mood, **kept) for mood in ("neutral", "surprise", "neutral"))
    for channel in ("hair", "brows", "beard"):
        assert np.array_equal(calm[channel].points, again[channel].points)
        assert np.array_equal(calm[channel].tint, moved[channel].tint)
    apart = np.linalg.norm(calm["hair"].points[:, 0] - moved["hair"].points[:, 0], axis=1)
    assert np.median(apart) < 1e-6
    dropped = calm["beard"].points[:, 1] - moved["beard"].points[:, 1]
    assert dropped[:, 1].max() > 5, "the beard of the chin follows the jaw"


def test_brows_are_as_many_as_asked_and_above_the_eyes():
    one, surface = head_of("woman")
    right, left, _ = roots.hairs(one, None, surface)
    bushy = roots.hairs(one.replace({"subject.hair.brow_density": 1.0}), None, surface)[0]
    assert len(right.points) == len(left.points) == int(len(bushy.points) * one.subject.hair.brow_density)
    skin = topology().vertices_of("skin", "nose")
    for found, sign in ((right, -1), (left, 1)):
        places = found.points[::20, 0]
        nearest = skin[np.argmin(np.square(places[:, None] - surface[skin][None]).sum(-1), axis=1)]
        x, y, z = (topology().rest[nearest] * [sign, 1, 1]).T
        assert ((x > 5) & (x < 62) & (y > 6) & (y < 34) & (z > -30)).mean() > 0.98


def test_hairs_of_a_brow_find_the_four_nearest_points_also_where_there_is_none_near():
    random = np.random.default_rng(0)
    plane = random.uniform(-30, 30, (500, 2))
    plane = plane[np.abs(plane[:, 0] - 5) > 6]  # a gap, and a root far outside
    points = np.vstack([random.uniform(-30, 30, (150, 2)), [[200.0, -300.0]]])
    nearest, square = hair._nearest_four(points, plane)
    away = ((points[:, None] - plane) ** 2).sum(2)
    assert (np.sort(nearest, 1) == np.sort(np.argsort(away, 1)[:, :4], 1)).all()
    assert np.allclose(square, np.take_along_axis(away, nearest, 1))


def test_grey_starts_at_the_temples():
    temple, crown = np.array([[68.0, 20, -40]]), np.array([[0.0, 115, -70]])
    for grey in (0.1, 0.4, 0.8):
        assert growth.grey_share(grey, temple) > growth.grey_share(grey, crown) + 0.05
    assert growth.grey_share(0.0, temple) == 0
    assert growth.grey_share(1.0, crown) == 1


def test_who_has_which_hair():
    drawn = [sample(RECIPE, 5, k).subject for k in range(1200)]
    assert len({one.hair.style for one in drawn}) == len(STYLES)
    bearded = [one for one in drawn if one.hair.beard != "none"]
    assert all(one.head.gender > 0.5 and one.head.age_years > 15 for one in bearded)
    men = [one for one in drawn if one.head.gender > 0.8 and one.head.age_years > 20]
    assert 0.35 < len(bearded) / len(men) < 0.65
    assert len({one.hair.beard for one in drawn}) == len(BEARD_STYLES)
    adults = [one for one in drawn if one.head.age_years > 16]
    dyes = [one.hair.dye for one in adults if one.hair.dye != "none"]
    assert 0.17 < len(dyes) / len(adults) < 0.24
    assert 0.01 < sum(dye in ("blue", "pink", "purple", "green") for dye in dyes) / len(dyes) < 0.12
    women = [one.head.gender < 0.5 for one in adults if one.hair.dye != "none"]
    assert np.mean(women) > 0.8
    children = Counter(one.hair.style for one in drawn if one.head.age_years < 13)
    assert not {"bald", "receding"} & set(children)
    assert len(children) > 8
    assert not any(one.hair.dye != "none" for one in drawn if one.head.age_years < 16)


def test_dyes_show_in_visible_light_only():
    spec = type(FIRST.subject.hair)(**{**vars(FIRST.subject.hair), "dye": "blue", "melanin": 0.8})
    assert dye_colour(spec, "rgb").argmax() == 2
    assert len(set(dye_colour(spec, "nir"))) == 1


# labels


def test_the_strongest_strands_name_a_pixel():
    known = labels.truth_of(FIRST)
    seg = np.full((1, 5), int(Label.SKIN), np.uint8)
    coverage, matte, roots = (np.zeros((1, 5, 3), np.uint8) for _ in range(3))
    matte[0, :, 0] = [0, 140, 100, 90, 90]
    matte[0, :, 1] = 255
    coverage[0, :, 2] = [0, 60, 100, 60, 10]
    found = labels.with_strands(seg, coverage, matte, roots, known)[0]
    assert found.tolist() == [Label.SKIN, Label.BEARD, Label.HAIR, Label.BEARD, Label.SKIN]


def test_skin_that_hair_colours_counts_with_the_hair():
    known = labels.truth_of(FIRST)
    seg = np.full((1, 5), int(Label.SKIN), np.uint8)
    coverage, matte, roots = (np.zeros((1, 5, 3), np.uint8) for _ in range(3))
    coverage[0, :, 2] = [60, 60, 0, 0, 0]
    roots[0, :, 0] = [60, 80, 0, 0, 0]
    roots[0, :, 1] = [0, 0, 140, 0, 60]
    roots[0, :, 2] = [0, 0, 0, 140, 60]
    found = labels.with_strands(seg, coverage, matte, roots, known)[0]
    brows = {Label.RIGHT_BROW, Label.LEFT_BROW}
    assert found[[0, 1, 3, 4]].tolist() == [Label.SKIN, Label.HAIR, Label.BEARD, Label.SKIN]
    assert found[2] in brows


@pytest.mark.parametrize("style", ["buzz", "crew", "bald"])
def test_a_cropped_head_is_hair(cycles, style):
    """Where strands and the scalp that they colour make up half, and nowhere else: against the template's hairline."""
    one = SMALL.replace({"subject.hair.style": style, "subject.hair.beard": "none"})
    frame = cycles(one, (*RECIPE.outputs, "canonical"))
    strands = frame.coverage.sum(axis=2) / 255
    share = strands + (1 - np.minimum(strands, 1)) * coloured(frame)
    above = (frame.canonical[..., 1] > 40) & (frame.seg_amodal == Label.SKIN)
    assert above.sum() > 300
    assert (frame.seg[above & (share > 0.56)] == Label.HAIR).all()
    assert (frame.seg[above & (share < 0.44)] != Label.HAIR).all()
    crown = above & (frame.canonical[..., 1] > 90)
    assert (frame.seg[crown] == Label.HAIR).mean() == (0.0 if style == "bald" else 1.0)


@pytest.mark.parametrize(
    "change",
    [
        {"subject.hair.style": "long_wavy", "pose.head_yaw_deg": 50.0},
        {"subject.hair.style": "afro", "subject.wear.glasses.kind": "clear", "pose.head_pitch_deg": -25.0},
        {"subject.hair.style": "bald", "subject.wear.headphones": True},
    ],
    ids=["long", "glasses", "headphones"],
)
def test_shares_are_counted_where_there_are_any(cycles, monkeypatch, change):
    """The render of shares is cropped to what can have one; the whole picture has the same, to the byte."""
    one = SMALL.replace(change | {"camera.field_mm": 420.0, "image.samples": 1, "image.denoise": False})
    outputs, boxes, crop = ("seg", "coverage", "matte"), [], passes.crop
    monkeypatch.setattr(passes, "crop", lambda scene, box: boxes.append(box) or crop(scene, box))
    cropped = cycles(one, outputs)
    monkeypatch.setattr(passes, "crop", lambda scene, box: None)
    whole = cycles(one, outputs)
    height, width = whole.seg.shape
    assert len(boxes) == 1
    x0, y0, x1, y1 = boxes[0]
    assert (x1 - x0) * (y1 - y0) < 0.9 * width * height
    assert (whole.coverage > 0).any(axis=2).sum() > 80
    for name in outputs:
        assert np.array_equal(getattr(cropped, name), getattr(whole, name))


def test_nothing_that_is_painted_is_no_skin():
    """Shares of hair, brow and beard never pass 1 together, and neither ears nor lips have any."""
    full = {"style": "crew", "beard": "full", "beard_density": 1.0, "brow_density": 1.0}
    one = SMALL.replace({f"subject.hair.{name}": value for name, value in full.items()})
    mesh = topology()
    under = roots.under_hair(one, None)
    assert under.sum(axis=1).max() < 0.95
    assert (under.max(axis=0) > 0.5).all()
    skin = mesh.vertices_of("skin", "nose", "neck")
    other = np.setdiff1d(mesh.vertices_of("left_ear", "right_ear", "upper_lip", "lower_lip"), skin)
    assert len(other) > 500
    assert not under[other].any()


def test_stubble_and_baldness_alone_name_no_pixel():
    for change in (
        {"subject.hair.beard": "stubble", "subject.hair.beard_density": 1.0},
        {"subject.hair.style": "bald"},
    ):
        kind = 2 if "subject.hair.beard" in change else 0
        under = roots.under_hair(SMALL.replace(change), None)[:, kind]
        assert 0.1 < under.max() < 0.5


def test_brows_are_darker_than_the_head_and_beards_redder():
    for melanin in (0.1, 0.5, 0.9):
        spec = type(FIRST.subject.hair)(**{**vars(FIRST.subject.hair), "melanin": melanin, "redness": 0.0})
        head, brow, jaw = (colour(spec, "rgb") for colour in (hair_colour, brow_colour, beard_colour))
        assert (brow < head).all()
        assert jaw[0] / jaw[2] > head[0] / head[2]
    spec = type(FIRST.subject.hair)(**{**vars(FIRST.subject.hair), "melanin": 1.0, "redness": 0.0})
    assert np.array_equal(brow_colour(spec, "rgb"), hair_colour(spec, "rgb"))


def test_the_mock_has_an_empty_matte():
    frame = MockRenderer()(FIRST.replace({"image.width": 32, "image.height": 32}))
    assert frame.matte.shape == (32, 32, 3)
    assert not frame.matte.any()


SMALL = FIRST.replace(
    {
        **PERSONS["man"],
        "image.width": 96,
        "image.height": 96,
        "image.samples": 1,
        "image.denoise": False,
        "pose.head_yaw_deg": 0.0,
        "pose.head_pitch_deg": 0.0,
        "pose.head_roll_deg": 0.0,
        "camera.azimuth_deg": 0.0,
        "camera.elevation_deg": 0.0,
        "camera.roll_deg": 0.0,
    }
)


UP = np.array([0, 0, 1.0])


def patch(channel, label, share, middle):
    """Return vertical strands side by side, 60 mm square, 200 mm before the face; they hide `share` of it.

    `middle` is (3,) world mm; strands are along the world's z and 3.1 mm apart.
    """
    x = np.arange(-30.0, 30.0, 3.1)
    points = np.zeros((len(x), 2, 3))
    points[..., 0], points[:, 0, 2], points[:, 1, 2] = x[:, None], -30, 30
    points += middle
    return Strands(channel, points, np.full((len(x), 2), 0.5 * share * 3.1), label, channel, np.zeros(len(x)))


@pytest.mark.parametrize("share", [0.3, 0.75])
def test_matte_and_coverage_are_the_share_that_strands_hide(cycles, monkeypatch, share):
    """Against strands whose share of the plane is known: 200 mm before the face, so that nothing hides them."""
    from facewright.scene import session

    bare = {"subject.hair.style": "bald", "subject.hair.beard": "none", "subject.hair.brow_density": 0.0}
    one = SMALL.replace(bare)  # nothing colours the skin behind
    front = figure.build_figure(one).landmarks[30] - np.array([0, 200.0, 0])
    beards = patch("beard", Label.BEARD, share, front - 40 * UP)
    hairs = patch("hair", Label.HAIR, share, front + 40 * UP)
    monkeypatch.setattr(session, "strands", lambda _: [beards, hairs])
    frame = cycles(one, ("seg", "coverage", "matte"))
    known = frame.truth.camera
    for layer, channel, strands, label in (
        (frame.matte, 0, beards, Label.BEARD),
        (frame.coverage, 2, hairs, Label.HAIR),
    ):
        seen = strands.points.reshape(-1, 3) @ known.rotation.T + known.translation_mm
        seen = (seen / seen[:, 2:]) @ known.K.T
        low, high = np.ceil(seen.min(axis=0)).astype(int) + 2, np.floor(seen.max(axis=0)).astype(int) - 2
        inner = (slice(low[1], high[1]), slice(low[0], high[0]))
        assert layer[inner].size > 500
        assert layer[(*inner, channel)].mean() / 255 == pytest.approx(share, abs=0.02)
        assert not np.delete(layer, channel, axis=2)[inner].any()
        smooth = (layer[(*inner, channel)] >= 128) == (frame.seg[inner] == label)
        assert smooth.all()


def test_a_bearded_wearer_of_glasses(cycles):
    """Beard and hair among the classes; where frames show, the matte of glasses is full, and zero apart from them."""
    one = SMALL.replace(
        {
            "subject.hair.style": "medium",
            "subject.hair.beard": "full",
            "subject.hair.beard_density": 1.0,
            "subject.hair.beard_length": 0.6,
            "subject.wear.glasses.kind": "clear",
            "subject.wear.glasses.shape": "rectangle",
            "subject.wear.glasses.material": "acetate",
            "subject.wear.glasses.rim_mm": 6.0,
        }
    )
    frame = cycles(one, (*RECIPE.outputs, "canonical"))
    assert (frame.seg == Label.BEARD).sum() > 100
    assert (frame.seg == Label.HAIR).sum() > 300
    shares = np.concatenate([frame.coverage, frame.matte[..., :1]], axis=2).astype(int)
    assert shares.sum(axis=2).max() <= 255 + 2, "kinds of strands share a pixel"
    hidden = shares.sum(axis=2)
    bearded = (frame.seg == Label.BEARD) & (hidden >= 127)
    assert bearded.sum() > 60
    coloured_skin = (255 - hidden[bearded]) * coloured(frame)[
        bearded
    ]  # may tip the scales where hair hangs over a beard
    assert (shares[bearded][:, 3] + coloured_skin >= shares[bearded].max(axis=1)).all()
    assert (shares[bearded].argmax(axis=1) == 3).mean() > 0.98
    between = (frame.seg == Label.BEARD) & (hidden < 127)  # skin that the beard colours makes up the rest
    assert (hidden[between] / 255 + (1 - hidden[between] / 255) * coloured(frame)[between] > 0.42).mean() > 0.95
    rims = frame.seg == Label.GLASSES_FRAME
    assert rims.sum() > 20
    shown = frame.matte[..., MATTE_CHANNELS.index("glasses")]
    assert shown[rims].mean() > 150
    far = np.ones_like(rims)
    row, column = np.nonzero(rims | (frame.seg == Label.GLASSES_LENS))
    far[row.min() - 2 : row.max() + 3, column.min() - 2 : column.max() + 3] = False
    assert not shown[far].any()
    assert not frame.matte[..., MATTE_CHANNELS.index("headwear")].any()
    chin = frame.truth.landmarks_2d[8].astype(int)
    assert (frame.seg[chin[1] - 8 : chin[1] - 1, chin[0] - 3 : chin[0] + 4] == Label.BEARD).mean() > 0.5


def test_who_wears_nothing_has_an_empty_matte(cycles):
    frame = cycles(SMALL.replace({"subject.hair.beard": "none"}), ("matte",))
    assert set(frame.layers) == {"rgb", "matte"}
    assert not frame.matte.any()
