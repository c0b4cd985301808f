"""Every rendered label against an independent computation: Embree ray casting, Snell's law, Blender's own camera."""

import math

import numpy as np
import pytest
import trimesh
from raycast import coloured

from facewright import Recipe, sample
from facewright.check import check_frame, ellipse_mask
from facewright.farm.worker import Ahead
from facewright.figure import build_figure, surfaces
from facewright.geometry.refraction import trace
from facewright.render import LAYERS
from facewright.schema import Label, side_label

assert trimesh.ray.has_embree, "without embreex trimesh falls back to a caster that needs 20 GB here"


def world_mesh(parts):
    """Return one trimesh of Mesh parts and the class id of each triangle."""
    vertices, triangles, ids, start = [], [], [], 0
    for part in parts:
        first, second = part.faces[:, [0, 1, 2]], part.faces[:, [0, 2, 3]]
        keep = second[:, 1] != second[:, 2]
        vertices.append(part.vertices)
        triangles.append(np.concatenate([first, second[keep]]) + start)
        ids.append(np.concatenate([part.labels, part.labels[keep]]))
        start += len(part.vertices)
    return trimesh.Trimesh(np.concatenate(vertices), np.concatenate(triangles), process=False), np.concatenate(ids)


def pixel_rays(camera):
    """Return the pinhole (3,) and unit directions (H * W, 3) in world mm through all pixel centres."""
    y, x = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    local = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1) @ np.linalg.inv(camera.K).T
    directions = local @ camera.rotation
    return -camera.rotation.T @ camera.translation_mm, directions / np.linalg.norm(directions, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def cast(frame):
    """Ray-cast ids and depth (H, W) of the frame, refracting at the cornea analytically; -1 where undecided."""
    figure = build_figure(frame.sample)
    camera = figure.camera
    origin, directions = pixel_rays(camera)
    opaque = [part for part in surfaces(figure) if part.material != "tear"]
    cornea = []
    for eye in figure.eyes.values():
        for part in eye.meshes:
            moved = part.moved(part.vertices @ eye.rotation.T + eye.centre)
            (cornea if part.material == "cornea" else [] if part.material == "cornea_back" else opaque).append(moved)
    solid, ids = world_mesh(opaque)
    glass, _ = world_mesh(cornea)
    first, depth = _first(solid, origin, directions)
    _, glass_depth = _first(glass, origin, directions)
    label = np.where(first >= 0, ids[first].astype(int), 0)
    through = glass_depth < depth
    label[through] = -1
    for eye in figure.eyes.values():
        local_origin = (origin - eye.centre) @ eye.rotation
        local = directions[through] @ eye.rotation
        start, below = trace(np.tile(local_origin, (len(local), 1)), local, (eye.globe.anterior, eye.globe.posterior))
        rim = np.hypot(start[:, 0], start[:, 1]) < 0.93 * eye.globe.limbus_r
        rim &= np.isfinite(below).all(axis=1) & (local[:, 2] < 0)
        where = np.nonzero(through)[0][rim]
        hit, _ = _first(solid, start[rim] @ eye.rotation.T + eye.centre, below[rim] @ eye.rotation.T, each=True)
        label[where] = np.where(hit >= 0, ids[hit].astype(int), -1)
    z = np.minimum(depth, glass_depth) * (directions @ camera.rotation[2])
    shape = (camera.height, camera.width)
    return label.reshape(shape), np.where(np.isfinite(z), z, 0).reshape(shape)


def _first(mesh, origin, directions, each=False):
    origins = origin if each else np.tile(origin, (len(directions), 1))
    found = mesh.ray.intersects_first(origins, directions)
    depth = np.full(len(directions), np.inf)
    hit = found >= 0
    corner = mesh.triangles[found[hit], 0]
    normal = mesh.face_normals[found[hit]]
    depth[hit] = ((corner - origins[hit]) * normal).sum(1) / (directions[hit] * normal).sum(1)
    return found, depth


def edges(ids):
    """Return pixels within one pixel of a change of id."""
    near = np.zeros(ids.shape, bool)
    for axis in (0, 1):
        change = np.diff(ids, axis=axis) != 0
        pad = [(0, 0), (0, 0)]
        pad[axis] = (0, 1)
        near |= np.pad(change, pad)
        pad[axis] = (1, 0)
        near |= np.pad(change, pad)
    return near


def test_visible_ids_equal_ray_casting_through_the_cornea(frame, cast):
    label, _ = cast
    between = (frame.coverage.max(axis=2) == 0) & (frame.matte[..., 0] == 0) & ~edges(label)
    share = coloured(frame)
    decided = (label >= 0) & ~edges(frame.seg) & between & (share < 0.45)
    wrong = decided & (frame.seg != label)
    assert decided.mean() > 0.3
    rooted = between & (share > 0.55) & (label != Label.NECK)  # of which a part has no beard
    grown = np.isin(frame.seg[rooted], [Label.RIGHT_BROW, Label.LEFT_BROW, Label.HAIR, Label.BEARD])
    assert (grown == np.isin(label[rooted], [Label.SKIN, Label.NOSE])).all(), "no ear and no lip is hair"
    assert wrong.sum() == 0, [(int(frame.seg[i, j]), int(label[i, j]), i, j) for i, j in np.argwhere(wrong)[:8]]


def test_depth_equals_ray_casting(frame, cast):
    label, z = cast
    flat = ~edges(label) & (z > 0) & (frame.depth > 0)
    error = np.abs(frame.depth - z)[flat]
    assert np.median(error) < 0.01
    assert np.percentile(error, 99) < 0.6
    assert ((frame.depth > 0) == (z > 0))[~edges(label)].all()


def test_iris_and_pupil_are_visible_through_the_cornea(frame):
    for side, eye in frame.truth.eyes.items():
        if frame.sample.camera.target != f"{side}_eye" or eye.openness < 0.3:
            continue
        assert (frame.seg_anatomical == side_label(side, "iris")).sum() > 100
        assert (frame.seg_anatomical == side_label(side, "pupil")).sum() > 5


def test_the_apparent_pupil_is_where_snell_says(frame):
    seen = 0
    for side, eye in frame.truth.eyes.items():
        mask = frame.seg_anatomical == side_label(side, "pupil")
        facing = -float(eye.optical_axis @ eye.centre_mm) / np.linalg.norm(eye.centre_mm)
        if mask.sum() < 60 or facing < 0.7:
            continue
        row, column = np.nonzero(mask)
        if row.min() == 0 or column.min() == 0 or row.max() == mask.shape[0] - 1 or column.max() == mask.shape[1] - 1:
            continue
        centre = np.array([column.mean() + 0.5, row.mean() + 0.5])
        assert np.linalg.norm(centre - eye.pupil.centre) < 0.5
        assert mask.sum() == pytest.approx(math.pi * eye.pupil.a * eye.pupil.b, rel=0.05)
        straight = ellipse_mask(eye.pupil_true, mask.shape[1], mask.shape[0])
        refracted = ellipse_mask(eye.pupil, mask.shape[1], mask.shape[0])
        assert (mask ^ refracted).sum() < (mask ^ straight).sum(), "refraction explains the pupil, projection does not"
        seen += 1
    if frame.sample.scene == "eye" and frame.sample.index in (0, 1):
        assert seen, "the chosen samples show a whole pupil"


def test_a_frame_drafted_beside_a_render_is_byte_for_byte_the_frame(cycles, tiny_recipes):
    """All layers, the picture too, of two frames in turn; numpy works on the second while Blender renders the first."""
    first, second = (sample(tiny_recipes["face"], 3, index) for index in (0, 1))
    alone = [cycles(one, tuple(LAYERS)) for one in (first, second)]
    with Ahead(cycles.draft) as ahead:
        beside = [
            cycles(one, tuple(LAYERS), ahead.take(one, following))
            for one, following in ((first, second), (second, None))
        ]
    for one, other in zip(alone, beside, strict=True):
        assert one.truth.to_data() == other.truth.to_data()
        assert list(one.layers) == list(other.layers)
        assert [name for name in one.layers if one.layers[name].tobytes() != other.layers[name].tobytes()] == []


def test_landmarks_project_as_blenders_own_camera_does(frame, cycles):
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    draft = cycles.draft(frame.sample)
    figure = draft.figure
    cycles._clear()
    scene, _ = cycles.build(draft)
    cycles.bpy.context.view_layer.update()
    for world, known in zip(figure.landmarks, frame.truth.landmarks_2d, strict=True):
        u, v, z = world_to_camera_view(scene, scene.camera, Vector((world * 0.001).tolist()))
        if z > 0 and np.abs(known).max() < 10 * frame.sample.image.width:
            found = np.array([u * frame.sample.image.width, (1 - v) * frame.sample.image.height])
            assert np.linalg.norm(found - known) < 0.01


def test_landmarks_visible_by_ray_casting_are_marked_visible(frame, cast):
    """A point that nothing stands in front of is visible, a point behind 6 mm of anything is not."""
    figure = build_figure(frame.sample)
    opaque = [part for part in surfaces(figure) if part.material != "tear"]
    for eye in figure.eyes.values():
        opaque += [p.moved(p.vertices @ eye.rotation.T + eye.centre) for p in eye.meshes if p.material == "sclera"]
    mesh, _ = world_mesh(opaque)
    pinhole = -figure.camera.rotation.T @ figure.camera.translation_mm
    toward = figure.landmarks - pinhole
    distance = np.linalg.norm(toward, axis=1)
    _, depth = _first(mesh, pinhole, toward / distance[:, None])
    width, height = frame.sample.image.width, frame.sample.image.height
    inside = ((frame.truth.landmarks_2d > 1) & (frame.truth.landmarks_2d < [width - 1, height - 1])).all(axis=1)
    clear, buried = inside & (depth > distance - 0.5), inside & (depth < distance - 12)
    pixel = frame.truth.landmarks_3d_mm[:, 2].mean() / frame.truth.camera.K[0, 0]
    if pixel < 1:
        assert frame.truth.landmarks_visible[clear].mean() > 0.9 if clear.any() else True
        assert not frame.truth.landmarks_visible[buried].any()
    assert not frame.truth.landmarks_visible[
        ~((frame.truth.landmarks_2d >= 0) & (frame.truth.landmarks_2d < [width, height])).all(axis=1)
    ].any()


def test_normals_face_the_camera_and_match_the_depth(frame):
    solid = frame.depth > 0
    y, x = np.nonzero(solid)
    rays = np.stack([x + 0.5, y + 0.5, np.ones(len(x))], axis=1) @ np.linalg.inv(frame.truth.camera.K).T
    facing = (frame.normal[solid] * rays).sum(axis=1)
    assert (facing < 0.1).mean() > 0.97
    point = np.zeros((*frame.depth.shape, 3))
    point[solid] = rays * frame.depth[solid][:, None]
    across, down = point[1:-1, 2:] - point[1:-1, :-2], point[2:, 1:-1] - point[:-2, 1:-1]
    smooth = (np.abs(across[..., 2]) < 1.5) & (np.abs(down[..., 2]) < 1.5) & solid[1:-1, 1:-1]
    smooth &= ~edges(frame.seg)[1:-1, 1:-1]
    from_depth = np.cross(down, across)
    from_depth /= np.maximum(np.linalg.norm(from_depth, axis=2, keepdims=True), 1e-9)
    agree = (from_depth * frame.normal[1:-1, 1:-1]).sum(axis=2)[smooth]
    assert np.median(agree) > 0.97


def test_gaze_in_head_and_camera_frames_agree(frame):
    truth = frame.truth
    for eye in truth.eyes.values():
        for axis in ("optical_axis", "visual_axis"):
            turned = truth.head.rotation @ getattr(eye, f"{axis}_head")
            assert turned == pytest.approx(getattr(eye, axis), abs=1e-9)
        assert np.linalg.det(eye.rotation) == pytest.approx(1)


def test_a_person_looking_at_the_camera_has_zero_gaze(tiny_recipes):
    from facewright.labels import truth_of
    from facewright.truth import pitch_yaw

    changes = {
        "gaze.reference": "camera",
        "gaze.yaw_deg": 0.0,
        "gaze.pitch_deg": 0.0,
        "camera.shift_x": 0.0,
        "pose.head_yaw_deg": 12.0,
        "pose.head_pitch_deg": -5.0,
        "camera.azimuth_deg": 10.0,
    }
    base = sample(tiny_recipes["face"], 5, 0).replace(changes)
    truth = truth_of(base.replace({"gaze.distance_mm": base.camera.distance_mm}))
    for eye in truth.eyes.values():
        to_camera = -eye.centre_mm / np.linalg.norm(eye.centre_mm)
        angle = math.degrees(math.acos(min(1.0, float(to_camera @ eye.visual_axis))))
        assert angle < 4, "both eyes converge on the lens"
    pitch, yaw = pitch_yaw(truth.gaze)
    assert abs(math.degrees(pitch)) < 12
    assert abs(math.degrees(yaw)) < 12


def test_looking_to_image_left_is_positive_yaw(tiny_recipes):
    from facewright.labels import truth_of
    from facewright.truth import pitch_yaw

    base = sample(tiny_recipes["face"], 5, 0).replace(
        {
            "pose.head_yaw_deg": 0.0,
            "pose.head_pitch_deg": 0.0,
            "pose.head_roll_deg": 0.0,
            "camera.azimuth_deg": 0.0,
            "camera.elevation_deg": 0.0,
            "camera.roll_deg": 0.0,
            "camera.shift_x": 0.0,
            "camera.shift_y": 0.0,
            "gaze.reference": "head",
            "gaze.distance_mm": 3000.0,
            "gaze.yaw_deg": 20.0,
            "gaze.pitch_deg": 10.0,
        }
    )
    truth = truth_of(base)
    pitch, yaw = pitch_yaw(truth.gaze)
    assert math.degrees(yaw) == pytest.approx(20, abs=1.5)
    assert math.degrees(pitch) == pytest.approx(10, abs=1.5)
    left = truth.eyes["left"]
    assert left.pupil.centre[0] < left.limbus.centre[0] + 2
    assert truth.eyes["right"].centre_mm[0] < left.centre_mm[0], "the right eye is image-left"
    turned = truth_of(base.replace({"pose.head_yaw_deg": 25.0, "pose.head_pitch_deg": 8.0, "pose.head_roll_deg": 4.0}))
    assert (turned.head.yaw_deg, turned.head.pitch_deg, turned.head.roll_deg) == pytest.approx((25, 8, 4), abs=1e-6)
    assert turned.landmarks_2d[30, 0] < truth.landmarks_2d[30, 0], "+yaw moves the nose to image-left"
    assert turned.landmarks_2d[30, 1] < truth.landmarks_2d[30, 1] + 2, "+pitch moves it up"


def test_every_rendered_frame_passes_its_checks(frame):
    failed = [check for check in check_frame(frame) if not check.ok]
    assert not failed


@pytest.mark.parametrize("damage", ["shift", "swap", "depth", "normal", "ids"])
def test_checks_find_a_planted_error(cycles, tiny_recipes, damage):
    recipe = tiny_recipes["eye_rgb"]
    frame = cycles(sample(recipe, 3, 0), recipe.outputs)
    layers = {name: layer.copy() for name, layer in frame.layers.items()}
    if damage == "shift":
        layers["seg_anatomical"] = np.roll(layers["seg_anatomical"], 2, axis=1)
    elif damage == "swap":
        seg = layers["seg_anatomical"]
        seg[np.isin(seg, [int(Label.LEFT_PUPIL), int(Label.RIGHT_PUPIL)])] = int(Label.LEFT_IRIS)
    elif damage == "depth":
        layers["depth"][:] = -1
    elif damage == "normal":
        layers["normal"] *= 1.5
    else:
        layers["seg"][0, 0] = 200
    damaged = type(frame)(frame.sample, layers, frame.truth)
    assert any(not check.ok for check in check_frame(damaged))


def test_layers_have_the_shape_and_dtype_of_the_contract(frame):
    for name, layer in frame.layers.items():
        spec = LAYERS[name]
        assert layer.dtype == spec.dtype
        assert layer.shape[:2] == (frame.sample.image.height, frame.sample.image.width)
        assert layer.ndim == 2 + bool(spec.channels)


def test_the_same_sample_gives_the_same_labels_again(cycles, tiny_recipes):
    recipe = tiny_recipes["eye_rgb"]
    one = cycles(sample(recipe, 9, 2), recipe.outputs)
    cycles(sample(recipe, 9, 3), recipe.outputs)
    two = cycles(sample(recipe, 9, 2), recipe.outputs)
    for name in ("seg", "seg_anatomical", "coverage", "matte", "depth", "normal", "glint"):
        assert np.array_equal(one.layers[name], two.layers[name]), name


def test_gaze_is_that_of_the_pictured_eye(tiny_recipes):
    from facewright.labels import truth_of
    from facewright.truth import Truth

    for name in ("eye_rgb", "eye_nir"):
        known = truth_of(sample(tiny_recipes[name], 3, 1))
        side = known.target.removesuffix("_eye")
        assert np.array_equal(known.gaze, known.eyes[side].visual_axis / np.linalg.norm(known.eyes[side].visual_axis))
        again = Truth.from_data(known.to_data())
        assert again.target == known.target
        assert np.array_equal(again.leds_mm, known.leds_mm)
    both = truth_of(sample(tiny_recipes["face"], 3, 1))
    assert both.target == "face"
    mean = both.eyes["left"].visual_axis + both.eyes["right"].visual_axis
    assert both.gaze == pytest.approx(mean / np.linalg.norm(mean))
    assert both.leds_mm.shape == (0, 3)


def test_leds_lie_on_their_layout_round_the_lens(tiny_recipes):
    from facewright.labels import truth_of

    one = sample(tiny_recipes["eye_nir"], 3, 1).replace(
        {"light.leds": "ring", "light.led_count": 8, "light.led_mount": "camera"}
    )
    leds = truth_of(one).leds_mm
    assert leds.shape == (8, 3)
    assert np.linalg.norm(leds[:, :2], axis=1) == pytest.approx(np.full(8, one.light.led_radius_mm))
    assert leds[:, 2] == pytest.approx(np.zeros(8), abs=1e-9)


def test_a_map_that_is_no_picture_is_named(cycles, tiny_recipes, tmp_path):
    from facewright.errors import AssetError
    from facewright.scene import CyclesRenderer

    (tmp_path / "bad.hdr").write_text("not a picture")
    one = sample(tiny_recipes["face"], 3, 0).replace({"light.hdri": "bad.hdr"})
    with CyclesRenderer(device="cpu", hdri_folder=tmp_path) as renderer, pytest.raises(AssetError, match=r"bad\.hdr"):
        renderer(one, ())


def test_truth_does_not_depend_on_the_layers_that_are_kept(cycles, tiny_recipes):
    one = sample(tiny_recipes["face"], 3, 0)
    bare, whole = cycles(one, ()), cycles(one)
    assert list(bare.layers) == ["rgb"]
    assert bare.truth.to_data() == whole.truth.to_data()


@pytest.mark.parametrize("kind", ["softbox", "window", "screen", "ring"])
def test_key_lights_face_the_person_and_share_one_irradiance(cycles, kind):
    changes = ["image.width=32", "image.height=24", "light.hdri=none", "light.key_strength=1", f"light.key_kind={kind}"]
    one = sample(Recipe.load("eye_rgb", changes), 0, 0)
    cycles._clear()
    scene, _ = cycles.build(cycles.draft(one))
    lamps = [thing for thing in scene.objects if thing.type == "LIGHT"]
    figure = build_figure(one)
    for lamp in lamps:
        toward = figure.head_origin * 0.001 - np.array(lamp.matrix_world.translation)
        shines = -np.array(lamp.matrix_world)[:3, 2]
        assert toward @ shines / np.linalg.norm(toward) > 0.8
    if kind == "ring":
        (ring,) = [thing for thing in scene.objects if thing.name.startswith("ring")]
        assert not lamps
        assert not ring.visible_camera
    else:
        assert len(lamps) == {"softbox": 1, "window": 6, "screen": 1}[kind]
        where = [np.linalg.norm(np.array(lamp.location) - figure.head_origin * 0.001) for lamp in lamps]
        irradiance = sum(lamp.data.energy / d**2 for lamp, d in zip(lamps, where, strict=True)) / math.pi**2
        assert irradiance == pytest.approx(1.0, rel=0.25)
