"""Glasses: how they fit, and every label seen through a lens against independent ray tracing and Fermat's principle."""

import math

import numpy as np
import pytest
import trimesh
from raycast import cast, coloured, edges
from scipy.optimize import minimize

from facewright import Recipe, sample
from facewright.check import check_frame
from facewright.errors import UserError
from facewright.face.parameters import GLASSES
from facewright.face.topology import topology
from facewright.figure import NECK_PIVOT_MM, build_figure, near_side, strands, surfaces
from facewright.geometry.camera import WORLD_FROM_HEAD
from facewright.geometry.refraction import apparent_direction
from facewright.labels import seen_pixels, truth, truth_of
from facewright.schema import Label, side_label
from facewright.truth import Truth

EYE = Recipe.load("eye_rgb", ["image.width=200", "image.height=150", "image.samples=1", "image.denoise=false"])
FACE = Recipe.load("face", ["image.width=180", "image.height=180", "image.samples=1", "image.denoise=false"])
SHAPES = tuple(GLASSES)


def wearer(recipe, index, **changes):
    """Return a sample with clear glasses; keyword names are fields of the glasses."""
    worn = {"kind": "clear", **changes}
    found = sample(recipe, 3, index).replace({f"subject.wear.glasses.{name}": value for name, value in worn.items()})
    return found.replace({"expression.blink": 0.0, "expression.wink": 0.0})


def _to_camera(figure):
    return figure.landmarks @ figure.camera.rotation.T + figure.camera.translation_mm


def centred(index, power):
    """Return an eye far before the camera, on the optical axis of an untilted lens of `power` dioptres."""
    still = {
        name: 0.0
        for name in (
            "pose.head_yaw_deg",
            "pose.head_pitch_deg",
            "pose.head_roll_deg",
            "camera.shift_x",
            "camera.shift_y",
            "camera.azimuth_deg",
            "camera.elevation_deg",
            "camera.roll_deg",
        )
    }
    one = wearer(EYE, index, power_d=power, tilt_deg=0.0, wrap_deg=0.0)
    return one.replace({**still, "camera.distance_mm": 20000.0, "gaze.yaw_deg": 0.0, "gaze.pitch_deg": 0.0})


# -- fit


def head_frame(figure, points):
    """Return world mm (N, 3) as head mm, undoing the pose."""
    return (points @ WORLD_FROM_HEAD - NECK_PIVOT_MM) @ figure.turn + NECK_PIVOT_MM


def skin_mesh(figure):
    part = next(p for p in surfaces(figure) if p.name == "skin")
    return trimesh.Trimesh(head_frame(figure, part.vertices), part.triangles(), process=False)


def depth_in_skin(mesh, points):
    """Return how far (N,) points lie behind the first skin surface straight before them; 0 in the open."""
    origins = points + np.array([0, 0, 200.0])
    places, rays, _ = mesh.ray.intersects_location(
        origins, np.tile([0, 0, -1.0], (len(points), 1)), multiple_hits=False
    )
    depth = np.zeros(len(points))
    depth[rays] = np.maximum(0, places[:, 2] - points[rays, 2])
    return depth


@pytest.mark.parametrize("index", range(10))
@pytest.mark.parametrize("recipe", [EYE, FACE], ids=["eye", "face"])
def test_rims_bridge_and_lenses_are_clear_of_skin_and_lashes(recipe, index):
    one = wearer(recipe, index, shape=SHAPES[index % 5])
    figure = build_figure(one)
    mesh = skin_mesh(figure)
    for part in figure.glasses.frame + figure.glasses.meshes():
        if part.name in ("glasses_temple", "glasses_pad", "glasses_pad_arm"):
            continue
        cut = depth_in_skin(mesh, head_frame(figure, part.vertices)).max()
        assert cut < 0.1, f"{part.name} lies {cut:.2f} mm in the skin"
    hairs = [s for s in strands(figure) if s.channel == "lashes"]
    for lens in figure.glasses.lenses.values():
        tips = np.concatenate([s.points.reshape(-1, 3) for s in hairs])
        own = (tips - lens.origin) @ lens.rotation
        own = own[np.hypot(own[:, 0], own[:, 1]) < 25]
        gap = lens.back.apex_z - lens.back.sag(np.hypot(own[:, 0], own[:, 1])) - own[:, 2]
        assert gap.min() > 0, f"lashes reach {-gap.min():.2f} mm into the lens"


@pytest.mark.parametrize("index", range(5))
def test_temples_reach_the_ears_outside_the_head(index):
    figure = build_figure(wearer(FACE, index))
    mesh = skin_mesh(figure)
    temples = [part for part in figure.glasses.frame if part.name == "glasses_temple"]
    for part, side, sign in zip(temples, ("right", "left"), (-1, 1), strict=True):
        points = head_frame(figure, part.vertices[: 16 * 43])  # rings from the rim to the top of the ear
        places, rays, _ = mesh.ray.intersects_location(
            points + np.array([sign * 300.0, 0, 0]), np.tile([-sign * 1.0, 0, 0], (len(points), 1)), multiple_hits=False
        )
        cut = np.maximum(0, (places[:, 0] - points[rays, 0]) * sign)[rays < 16 * 38]  # then the auricle covers it
        assert cut.max(initial=0) < 0.5
        ear = figure.head[topology().vertices_of(f"{side}_ear")]
        assert np.linalg.norm(ear - points[-16:].mean(axis=0), axis=1).min() < 6, "it rests on the ear"


def test_lenses_stand_at_the_vertex_distance_or_farther():
    for index in range(6):
        one = wearer(FACE, index)
        figure = build_figure(one)
        far = []
        for side, lens in figure.glasses.lenses.items():
            eye = figure.eyes[side]
            ahead = WORLD_FROM_HEAD @ figure.turn @ [0, 0, 1.0]
            far.append((lens.origin - eye.centre) @ ahead - eye.globe.apex_z)
        assert one.subject.wear.glasses.vertex_mm - 0.7 < min(far)
        assert max(far) < one.subject.wear.glasses.vertex_mm + 8
        assert abs(far[0] - far[1]) < 1


def test_glasses_are_worn_by_a_fifth_and_more_by_the_old():
    drawn = [sample(FACE, 1, k).subject for k in range(400)]
    worn = np.array([s.wear.glasses.kind == "clear" for s in drawn])
    old = np.array([s.head.age_years > 50 for s in drawn])
    assert 0.14 < worn.mean() < 0.28
    assert worn[old].mean() > worn[~old].mean()


def test_a_camera_within_the_glasses_is_refused():
    near = sample(Recipe.load("eye_nir"), 3, 0).replace(
        {"subject.wear.glasses.kind": "clear", "camera.distance_mm": 34.0}
    )
    assert sample(Recipe.load("eye_nir"), 3, 0).subject.wear.glasses.kind == "none"
    with pytest.raises(UserError, match=r"camera\.distance_mm"):
        build_figure(near)


def test_from_behind_a_lens_no_landmark_is_seen_through_it():
    one = wearer(FACE, 0, power_d=-4.0).replace({"pose.head_yaw_deg": 90.0, "pose.head_pitch_deg": 0.0})
    for azimuth, facing in ((-25.0, 2), (25.0, 0)):
        figure = build_figure(one.replace({"camera.azimuth_deg": azimuth, "camera.elevation_deg": 0.0}))
        pinhole = -figure.camera.rotation.T @ figure.camera.translation_mm
        assert len(figure.glasses.facing(pinhole)) == facing
        shift = np.abs(seen_pixels(figure, figure.landmarks) - figure.camera.project(_to_camera(figure)))
        assert (shift.max() > 0.1) == bool(facing)


# -- optics


@pytest.mark.parametrize("power", [-6.0, -3.0, 1.5, 2.5])
def test_a_lens_magnifies_as_the_textbook_says(power):
    """Spectacle magnification 1 / ((1 - t F1 / n) (1 - d F)), d from the back vertex to the limbus or pupil."""
    one = centred(1, power)
    side = one.camera.target.removesuffix("_eye")
    figure = build_figure(one)
    lens, eye = figure.glasses.lenses[side], figure.eyes[side]
    known = truth(figure).eyes[side]
    ahead = WORLD_FROM_HEAD @ figure.turn @ [0, 0, 1.0]
    d = (lens.origin - eye.centre) @ ahead - eye.globe.limbus_z
    n, front = one.subject.wear.glasses.index, 1e3 * (one.subject.wear.glasses.index - 1) / lens.front.radius
    expected = 1 / ((1 - 1e-3 * lens.front.apex_z / n * front) * (1 - 1e-3 * d * power))
    assert known.limbus.a / known.limbus_bare.a == pytest.approx(expected, rel=0.01)
    assert (known.limbus.a > known.limbus_bare.a) == (power > 0)
    assert (known.pupil.a > known.pupil_bare.a) == (power > 0)


def test_a_lens_without_power_moves_next_to_nothing():
    """An afocal lens 2 mm thick shifts by less than 2.5 % of the distance from the middle: its shape magnifies."""
    one = centred(1, 0.0)
    side = one.camera.target.removesuffix("_eye")
    known = truth_of(one).eyes[side]
    assert np.linalg.norm(known.pupil.centre - known.pupil_bare.centre) < 0.1
    assert known.limbus.a / known.limbus_bare.a == pytest.approx(1, abs=0.025)


@pytest.mark.parametrize("index", [0, 2, 4])
def test_points_behind_a_lens_appear_where_fermat_says(index):
    """Light takes the path of stationary optical length: minimised here over both crossings, without Snell's law."""
    figure = build_figure(wearer(EYE if index else FACE, index))
    camera, pinhole = figure.camera, -figure.camera.rotation.T @ figure.camera.translation_mm
    seen, tested = seen_pixels(figure, figure.landmarks), 0
    for lens in figure.glasses.lenses.values():
        n = lens.front.after
        straight = camera.project(figure.landmarks @ camera.rotation.T + camera.translation_mm)
        rays = apparent_direction(pinhole, figure.landmarks, lens.surfaces)
        for k in np.nonzero(lens.shows(pinhole, rays, figure.landmarks))[0][:6]:
            point = (figure.landmarks[k] - lens.origin) @ lens.rotation
            eye = (pinhole - lens.origin) @ lens.rotation

            def crossing(xy, surface):
                sphere = surface.apex_z - surface.radius + math.sqrt(surface.radius**2 - xy[0] ** 2 - xy[1] ** 2)
                return np.array([xy[0], xy[1], sphere])

            def length(v, lens=lens, eye=eye, point=point, n=n):
                a, b = crossing(v[:2], lens.front), crossing(v[2:], lens.back)
                return np.linalg.norm(a - eye) + n * np.linalg.norm(b - a) + np.linalg.norm(point - b)

            middle = (point + (eye - point) * (-point[2] / (eye - point)[2]))[:2]
            found = minimize(length, [*middle, *middle], method="BFGS", options={"gtol": 1e-9})
            way = (crossing(found.x[:2], lens.front) - eye) @ lens.rotation.T @ camera.rotation.T
            assert np.linalg.norm(camera.project(way) - seen[k]) < 0.05
            assert np.linalg.norm(seen[k] - straight[k]) > 0.01
            tested += 1
    assert tested >= 3


# -- rendered


@pytest.fixture(
    scope="module",
    params=[
        (EYE, 0, "round"),
        (EYE, 2, "rectangle"),
        (FACE, 3, "browline"),
        (FACE, 4, "rimless"),
        (FACE, 2, "aviator"),
    ],
    ids=lambda p: f"{p[0].scene}-{p[2]}",
)
def worn(request, cycles):
    recipe, index, shape = request.param
    power = -4.0 if shape != "aviator" else 2.5
    return cycles(wearer(recipe, index, shape=shape, power_d=power), (*recipe.outputs, "canonical"))


def test_visible_ids_equal_ray_casting_through_lens_and_cornea(worn):
    figure = build_figure(worn.sample)
    label = cast(figure)
    bare = (worn.coverage.max(axis=2) == 0) & (worn.matte[..., 0] == 0) & (coloured(worn) < 0.45)
    decided = (label >= 0) & ~edges(label) & ~edges(worn.seg) & bare
    wrong = decided & (worn.seg != label)
    assert decided.mean() > 0.4
    assert (worn.seg == Label.GLASSES_FRAME).sum() > 40
    assert wrong.sum() == 0, [(int(worn.seg[i, j]), int(label[i, j]), i, j) for i, j in np.argwhere(wrong)[:8]]


def test_frames_with_glasses_pass_their_checks(worn):
    assert not [check for check in check_frame(worn) if not check.ok]


def test_the_visible_pupil_lies_where_lens_and_cornea_show_it(worn):
    """Where the lids leave the pupil whole, its rendered centre is that of its ellipse, and not the bare one's."""
    for side, eye in worn.truth.eyes.items():
        mask = worn.seg == side_label(side, "pupil")
        if mask.sum() < 0.97 * math.pi * eye.pupil.a * eye.pupil.b or mask.sum() < 30:
            continue
        row, column = np.nonzero(mask)
        assert np.linalg.norm([column.mean() + 0.5, row.mean() + 0.5] - eye.pupil.centre) < 0.5


@pytest.mark.parametrize("power", [-6.0, 2.5])
def test_a_wide_open_eye_shows_its_pupil_through_the_lens(cycles, power):
    one = wearer(EYE, 2, power_d=power, vertex_mm=15.0).replace(
        {"expression.mood": "wide", "gaze.yaw_deg": 4.0, "gaze.pitch_deg": 2.0, "subject.eye.pupil_mm": 3.0}
    )
    frame = cycles(one, ("seg", "seg_anatomical"))
    side = near_side(one)
    eye = frame.truth.eyes[side]
    row, column = np.nonzero(frame.seg == side_label(side, "pupil"))
    assert len(row) == pytest.approx(math.pi * eye.pupil.a * eye.pupil.b, rel=0.06)
    centre = np.array([column.mean() + 0.5, row.mean() + 0.5])
    assert np.linalg.norm(centre - eye.pupil.centre) < 0.5
    assert np.linalg.norm(centre - eye.pupil.centre) < np.linalg.norm(centre - eye.pupil_bare.centre)


def test_truth_of_a_wearer_survives_json():
    known = truth_of(wearer(FACE, 1))
    again = Truth.from_data(known.to_data())
    for side, eye in known.eyes.items():
        assert len(eye.lens_2d) > 50
        assert np.array_equal(again.eyes[side].lens_2d, eye.lens_2d)
        assert again.eyes[side].pupil_bare.a == eye.pupil_bare.a
    bare = Truth.from_data(truth_of(wearer(FACE, 1, kind="none")).to_data())
    assert bare.eyes["left"].lens_2d.shape == (0, 2)
    assert bare.eyes["left"].pupil.a == bare.eyes["left"].pupil_bare.a
