"""Labels of faces against independent computations: Embree, Blender's depth, the posed mesh."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from facewright import Recipe, sample
from facewright.check import check_frame
from facewright.eye.lids import INNER_EDGE
from facewright.face.basis import head_basis
from facewright.face.contour import jaw_lines
from facewright.face.landmarks import dense478, ibug68, wflw98
from facewright.face.topology import topology
from facewright.figure import build_figure, surfaces
from facewright.labels import truth
from facewright.recipe import OUTPUTS
from facewright.schema import (
    BISENET,
    CELEBAMASK_HQ,
    COVERING,
    FACESYNTHETICS,
    LANDMARK_SETS,
    LAPA,
    MAPPINGS,
    PUPILS,
    WFLW98,
    Label,
    side_label,
)
from facewright.truth import Truth

trimesh = pytest.importorskip("trimesh")
from raycast import cast, edges, first, triangles_of  # noqa: E402

ROOT = Path(__file__).parents[1]
STRAIGHT = {
    "pose.head_yaw_deg": 0.0,
    "pose.head_pitch_deg": 0.0,
    "pose.head_roll_deg": 0.0,
    "camera.azimuth_deg": 0.0,
    "camera.elevation_deg": 0.0,
    "camera.roll_deg": 0.0,
    "camera.shift_x": 0.0,
    "camera.shift_y": 0.0,
    "expression.mood": "neutral",
    "expression.blink": 0.0,
    "expression.wink": 0.0,
}
WFLW_FLIP = [
    *range(32, -1, -1),
    *(46, 45, 44, 43, 42, 50, 49, 48, 47),
    *(37, 36, 35, 34, 33, 41, 40, 39, 38),
    *range(51, 55),
    *range(59, 54, -1),
    *(72, 71, 70, 69, 68, 75, 74, 73),
    *(64, 63, 62, 61, 60, 67, 66, 65),
    *(82, 81, 80, 79, 78, 77, 76, 87, 86, 85, 84, 83),
    *(92, 91, 90, 89, 88, 95, 94, 93),
]
"""The WFLW point on the other side of each, as WFLW's own users flip it; pupils apart."""
WFLW_TO_IBUG = {
    **{2 * k: k for k in range(17)},
    **{33 + k: 17 + k for k in range(5)},
    **{42 + k: 22 + k for k in range(5)},
    **{51 + k: 27 + k for k in range(9)},
    **dict(zip((60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75), range(36, 48), strict=True)),
    **{76 + k: 48 + k for k in range(20)},
}


PLAIN = (
    "subject.wear.glasses.kind=none",
    "subject.wear.hat.kind=none",
    "subject.wear.mask.kind=none",
    "subject.wear.headphones=false",
    "subject.wear.scarf=false",
    "subject.wear.shirt_pattern=plain",
)


def face(size, index=0, **changes):
    settings = [f"image.width={size}", f"image.height={size}", "image.samples=1", "image.denoise=false"]
    return sample(Recipe.load("face", [*settings, *PLAIN]), 3, index).replace(STRAIGHT | changes)


@pytest.fixture(scope="module", params=[("turned", 0), ("long hair", 5)], ids=lambda p: p[0])
def shot(request, cycles):
    """A face of 320 px with every layer: one turned away, one with hair to the shoulders."""
    name, index = request.param
    pose = {"pose.head_yaw_deg": 35.0, "subject.hair.style": "buzz"} if name == "turned" else {}
    return cycles(face(320, index, **({"subject.hair.style": "long"} | pose)), OUTPUTS)


# mappings


@pytest.mark.parametrize("name", MAPPINGS)
def test_every_class_has_a_number_in_every_convention(name):
    assert list(MAPPINGS[name]) == list(Label) or set(MAPPINGS[name]) == set(Label)
    assert MAPPINGS[name][Label.IGNORE] == 255
    orders = {"lapa": LAPA, "facesynthetics": FACESYNTHETICS, "openeds": range(4)}
    count = len(orders.get(name, CELEBAMASK_HQ))
    used = {int(value) for label, value in MAPPINGS[name].items() if label is not Label.IGNORE}
    assert used == set(range(count)), "every public class is reached"


def test_the_two_orders_of_celebamask_hq_permute_the_same_classes():
    assert sorted(CELEBAMASK_HQ) == sorted(BISENET)
    assert len(set(BISENET)) == 19
    for label in set(Label) - {Label.IGNORE}:
        official, bisenet = MAPPINGS["celebamask_hq"][label], MAPPINGS["celebamask_hq_bisenet"][label]
        assert CELEBAMASK_HQ[official] == BISENET[bisenet]
    assert [MAPPINGS["celebamask_hq"][k] for k in (Label.RIGHT_EAR, Label.HAIR, Label.NECK, Label.CLOTH)] == [
        9,
        13,
        17,
        18,
    ]
    assert [MAPPINGS["celebamask_hq_bisenet"][k] for k in (Label.NOSE, Label.HAIR, Label.NECK, Label.HAT)] == [
        10,
        17,
        14,
        18,
    ]


def test_sides_differ_where_a_convention_has_sides():
    for name, parts in {"celebamask_hq": ("ear",), "facesynthetics": ("ear",), "lapa": ()}.items():
        for part in (*parts, "brow", "iris", "sclera"):
            table = MAPPINGS[name]
            assert table[side_label("right", part)] != table[side_label("left", part)]
    assert MAPPINGS["facesynthetics"][Label.RIGHT_IRIS] == 3
    assert MAPPINGS["facesynthetics"][Label.LEFT_IRIS] == 4


# landmark sets


def test_wflw_holds_ibug_and_is_symmetric():
    points, rest = wflw98(), topology().rest
    assert len(points) == len(set(points.tolist())) == 96
    for k, other in WFLW_TO_IBUG.items():
        assert points[k] == ibug68()[other], (k, other)
    assert np.abs(rest[points[WFLW_FLIP]] * [-1, 1, 1] - rest[points]).max() < 1e-3
    contour = rest[points[list(WFLW98["contour"])]]
    assert (np.diff(contour[:, 0]) > 0).all(), "from the subject's right to the left"
    steps = np.linalg.norm(np.diff(contour, axis=0), axis=1)
    assert steps.min() > 2
    for side, (upper, lower) in {
        "right": (range(34, 38), (41, 40, 39, 38)),
        "left": (range(42, 46), (50, 49, 48, 47)),
    }.items():
        assert (rest[points[list(upper)], 1] > rest[points[list(lower)], 1] + 2).all(), side


def tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / f"tools/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_dense_table_is_what_its_tool_computes():
    import json

    stored = json.loads((ROOT / "generators/facewright/data/dense478.json").read_text())
    assert json.loads(json.dumps(tool("build_dense_landmarks").table())) == stored


def test_dense_points_are_spread_symmetric_and_close_no_hole():
    dense, rest = dense478(), topology().rest
    p = rest[dense.vertices]
    assert len(set(dense.vertices.tolist())) == 468
    assert (dense.vertices < len(head_basis().template)).all(), "vertices of the base topology"
    assert np.abs(p[dense.mirror[:468]] * [-1, 1, 1] - p).max() < 1e-6
    assert (dense.mirror[dense.mirror] == np.arange(478)).all()
    assert sorted(k for group in dense.groups.values() for k in group) == list(range(478))
    for group, other in (("right_lids", "left_lids"), ("right_iris", "left_iris"), ("right_cheek", "left_cheek")):
        flipped = {int(dense.mirror[k]) for k in dense.groups[group] if k >= 468 or abs(p[k, 0]) > 0.1}
        assert flipped <= set(dense.groups[other])
    distance = np.linalg.norm(p[:, None] - p[None], axis=2) + 1e3 * np.eye(468)
    assert distance.min() > 0.5
    assert np.median(distance.min(axis=1)) > 3
    ends = np.sort(np.concatenate([dense.triangles[:, [0, 1]], dense.triangles[:, [1, 2]], dense.triangles[:, [0, 2]]]))
    assert np.unique(ends, axis=0, return_counts=True)[1].max() == 2, "no edge has three triangles"
    assert set(dense.triangles.ravel().tolist()) == set(range(478))
    jaw = topology().positions(head_basis().express({"jawOpen": 1.0}))[dense.vertices]
    skin = dense.triangles[(dense.triangles < 468).all(axis=1)]
    middle = (np.abs(p[skin, 0]).max(axis=1) < 12) & (p[skin, 1].mean(axis=1) > -85)
    assert np.ptp(jaw[skin[middle], 1], axis=1).max() < 8, "no triangle spans the open mouth"
    for side in ("right", "left"):
        ring = rest[head_basis().rings[side][INNER_EDGE]]
        flat = p[skin][..., :2].mean(axis=1)
        inside = np.hypot(*((flat - ring[:, :2].mean(axis=0)) / [8, 3]).T) < 1
        assert not inside.any(), "eyes are open"


def test_points_in_camera_axes_project_onto_what_is_seen():
    known = truth(build_figure(face(256)))
    assert set(known.points) == set(LANDMARK_SETS)
    for name, points in known.points.items():
        plain = known.camera.project(points.camera_mm)
        pupils = list(PUPILS[name].values())
        others = np.setdiff1d(np.arange(len(plain)), pupils)
        assert np.abs(plain - points.seen_2d)[others].max() < 1e-3
        for side, k in PUPILS[name].items():
            assert points.seen_2d[k] == pytest.approx(known.eyes[side].pupil.centre, abs=1e-4)
            assert points.camera_mm[k] == pytest.approx(known.eyes[side].pupil_centre_mm, abs=1e-4)
    assert known.points["face70"].camera_mm[:68] == pytest.approx(known.landmarks_3d_mm, abs=1e-4)
    again = Truth.from_data(known.to_data())
    assert np.array_equal(again.points["dense478"].seen_2d, known.points["dense478"].seen_2d)
    assert np.array_equal(again.landmarks_contour_2d, known.landmarks_contour_2d)


# the visible contour


@pytest.mark.parametrize("index", range(6))
def test_a_frontal_contour_is_the_jaw(index):
    """Within 6 mm: where the jaw's skin is turned a little away, as on round cheeks, the contour lies before it."""
    known = truth(build_figure(face(256, index)))
    pixel_mm = known.landmarks_3d_mm[:, 2].mean() / known.camera.K[0, 0]
    moved = np.linalg.norm(known.landmarks_contour_2d - known.landmarks_2d, axis=1) * pixel_mm
    assert moved.max() < 6.0
    assert np.median(moved[:17]) < 2.0
    assert (moved[17:] == 0).all()


@pytest.mark.parametrize("yaw", [-40.0, 25.0, 40.0])
@pytest.mark.parametrize("index", [0, 2])
def test_the_contour_of_a_turned_head_bounds_the_face(yaw, index):
    """Along the far jaw, within 1.5 px both the face and what lies at least 15 mm behind it (or nothing) are seen."""
    figure = build_figure(face(320, index, **{"pose.head_yaw_deg": yaw, "subject.hair.style": "bald"}))
    known = truth(figure)
    far = slice(0, 7) if yaw > 0 else slice(10, 17)
    z = depth_by_embree(figure)
    points, depths = known.landmarks_contour_2d[far], known.jaw_contour_3d_mm[::2][far][:, 2]
    moved = np.linalg.norm(points - known.landmarks_2d[far], axis=1)
    assert moved.max() > 8
    row, column = np.mgrid[0 : z.shape[0], 0 : z.shape[1]] + 0.5
    for (x, y), own in zip(points, depths, strict=True):
        distance, behind = np.hypot(column - x, row - y), (z == 0) | (z > own + 15)
        assert distance[behind].min() < 1.5
        assert distance[~behind].min() < 1.5


def depth_by_embree(figure):
    """Return camera z (H, W) in mm of the body without strands, 0 where nothing is hit."""
    camera = figure.camera
    mesh, _ = triangles_of([part for part in surfaces(figure) if part.material != "tear" and part.name != "shirt"])
    y, x = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    rays = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1) @ np.linalg.inv(camera.K).T @ camera.rotation
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    pinhole = -camera.rotation.T @ camera.translation_mm
    _, depth = first(mesh, np.tile(pinhole, (len(rays), 1)), rays)
    z = depth * (rays @ camera.rotation[2])
    return np.where(np.isfinite(z), z, 0).reshape(camera.height, camera.width)


def test_jaw_lines_run_from_jaw_to_midline_on_both_sides():
    known, rest = jaw_lines(), topology().rest
    assert len(known.lines) == 33
    for k, line in enumerate(known.lines):
        p = rest[known.vertices]
        p = p[line.low] + line.share[:, None] * (p[line.high] - p[line.low])
        assert np.abs(p[0] - rest[wflw98()[k]]).max() < 1e-9
        assert abs(p[-1, 0]) < 4
        if k != 16:
            assert np.abs(p[:, 1] - p[0, 1]).max() < 1e-3


# visibility


def test_visibility_agrees_with_ray_casting_and_hair_hides(shot):
    """Rays go through the point's pixel and those beside it: what all reach is visible, what none reaches is not."""
    figure, known = build_figure(shot.sample), shot.truth
    opaque = [part for part in surfaces(figure) if part.material != "tear"]
    for eye in figure.eyes.values():
        opaque += [p.moved(p.vertices @ eye.rotation.T + eye.centre) for p in eye.meshes if p.material == "sclera"]
    mesh, _ = triangles_of(opaque)
    pinhole = -figure.camera.rotation.T @ figure.camera.translation_mm
    for name, points in known.points.items():
        others = np.setdiff1d(np.arange(len(points.visible)), [*PUPILS[name].values(), *range(468, 478)])
        target, visible = points.camera_mm[others], points.visible[others]
        pixel_mm = target[:, 2:] / known.camera.K[0, 0]
        to_centre = np.column_stack([0.5 - known.camera.project(target) % 1, np.zeros(len(target))])
        gap = []
        for shift in ((x, y, 0) for x in (-1, 0, 1) for y in (-1, 0, 1)):
            there = target + pixel_mm * (to_centre + shift)
            world = (there - figure.camera.translation_mm) @ figure.camera.rotation
            distance = np.linalg.norm(world - pinhole, axis=1)
            _, depth = first(mesh, np.tile(pinhole, (len(world), 1)), (world - pinhole) / distance[:, None])
            gap.append(distance - depth)
        pixel = known.camera.project(target).astype(int)
        inside = ((pixel >= 2) & (pixel < 318)).all(axis=1)
        column, row = np.where(inside[:, None], pixel, 0).T
        hair = shot.coverage[row, column, 2] >= 0.5 * 255
        clear, buried = inside & (np.max(gap, axis=0) < 3), inside & (np.min(gap, axis=0) > 3)
        assert not visible[hair & inside].any(), name
        wrong = (buried & visible) | (clear & ~hair & ~visible)  # in the seam of closed lips a few are both
        assert wrong.mean() < 0.02, (name, others[wrong])
        assert (clear & ~hair).mean() > 0.25
    assert (clear | buried)[inside].mean() > 0.6, "few points of the dense set are undecided"
    assert not known.points["dense478"].visible.all()


def test_pupils_are_visible_where_the_picture_shows_them(shot):
    for side, eye in shot.truth.eyes.items():
        column, row = np.floor(eye.pupil.centre).astype(int)
        shown = shot.seg[row, column] in (side_label(side, "pupil"), side_label(side, "iris"))
        for name, index in PUPILS.items():
            assert shot.truth.points[name].visible[index[side]] == shown


# layers


def carried(shot, row, column, *names):
    """Return attributes of the skin at pixel centres by Embree, and where it was hit."""
    figure = build_figure(shot.sample)
    (skin,) = [part for part in surfaces(figure) if part.name == "skin"]
    mesh = trimesh.Trimesh(skin.vertices, skin.triangles(), process=False)
    camera = figure.camera
    rays = np.stack([column + 0.5, row + 0.5, np.ones(len(row))], axis=1) @ np.linalg.inv(camera.K).T @ camera.rotation
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    pinhole = -camera.rotation.T @ camera.translation_mm
    found, depth = first(mesh, np.tile(pinhole, (len(rays), 1)), rays)
    hit = found >= 0
    met = pinhole + depth[hit, None] * rays[hit]
    weights = trimesh.triangles.points_to_barycentric(mesh.triangles[found[hit]], met)
    return hit, *(np.einsum("nk,nkc->nc", weights, skin.points[name][mesh.faces[found[hit]]]) for name in names)


def skin_pixels(shot, step):
    flat = ~edges(shot.seg) & (shot.seg == Label.SKIN) & (shot.coverage.max(axis=2) == 0)
    return tuple(v[::step] for v in np.nonzero(flat & ~edges(flat)))


def test_canonical_places_are_those_of_the_posed_mesh(shot):
    row, column = skin_pixels(shot, 17)
    hit, rest = carried(shot, row, column, "rest")
    error = np.linalg.norm(shot.canonical[row[hit], column[hit]] - rest, axis=1)
    assert hit.mean() > 0.99
    assert np.median(error) < 0.01
    assert np.percentile(error, 99) < 0.5
    assert (shot.canonical[shot.depth == 0] == 0).all()
    inside = np.isin(shot.seg_amodal, [Label.LEFT_IRIS, Label.RIGHT_IRIS]) & np.isin(shot.seg, [17, 18])
    assert inside.any()
    assert (shot.canonical[inside] == 0).all()


def test_the_amodal_map_is_the_body_without_what_covers_it(shot):
    figure = build_figure(shot.sample)
    own = [part for part in surfaces(figure) if not np.isin(part.labels, COVERING).all()]
    label = cast(figure, own)
    decided = (label >= 0) & ~edges(label) & ~edges(shot.seg_amodal)
    assert decided.mean() > 0.5
    assert (shot.seg_amodal == label)[decided].mean() > 0.9995
    assert not np.isin(shot.seg_amodal, COVERING).any()
    bare = ~np.isin(shot.seg, [*COVERING, *(side_label(s, p) for s in ("left", "right") for p in ("lashes", "brow"))])
    assert (shot.seg_amodal == shot.seg)[bare].all(), "where nothing covers, visible and amodal are one"


def test_occlusion_is_the_share_of_the_face_that_changes_class(shot):
    from facewright.schema import FACE

    amodal = np.isin(shot.seg_amodal, FACE)
    assert shot.truth.occluded.get("hair", 0) == pytest.approx((shot.seg[amodal] == Label.HAIR).mean(), abs=1e-5)
    assert 0 <= sum(shot.truth.occluded.values()) < 1


def test_albedo_is_the_painted_skin_and_a_little_gloss(shot):
    """The skin's painted albedo is carried to the pixels by Embree; gloss and powdered lids add the rest."""
    albedo = shot.albedo
    assert np.isfinite(albedo).all()
    assert albedo.min() >= 0
    assert albedo.max() < 1
    assert albedo[(shot.depth == 0) & (shot.coverage.max(axis=2) == 0) & ~edges(shot.seg)].max() == 0
    row, column = skin_pixels(shot, 29)
    hit, painted = carried(shot, row, column, "albedo")
    gloss = shot.albedo[row[hit], column[hit]] - painted
    assert (np.median(gloss, axis=0) > 0).all()
    assert (np.median(gloss, axis=0) < 0.04).all()
    assert np.percentile(np.abs(gloss), 90) < 0.08
    cloth = (shot.seg == Label.CLOTH) & ~edges(shot.seg) & (shot.coverage.max(axis=2) == 0)
    assert albedo[cloth].std(axis=0).max() < 0.05


# checks


def test_a_rendered_face_passes_its_checks(shot):
    assert [check for check in check_frame(shot) if not check.ok] == []


@pytest.mark.parametrize("layer", ["seg_amodal", "canonical", "albedo"])
def test_checks_find_a_planted_error_in_the_new_layers(shot, layer):
    damaged = {name: values.copy() for name, values in shot.layers.items()}
    if layer == "seg_amodal":
        damaged[layer][5, 5] = Label.HAIR
    elif layer == "canonical":
        damaged[layer] = np.roll(damaged[layer], 8, axis=1)
    else:
        damaged[layer][5, 5] = np.nan
    found = [check.name for check in check_frame(type(shot)(shot.sample, damaged, shot.truth)) if not check.ok]
    assert len(found) == 1


def test_noise_in_depth_does_not_excuse_itself_as_outline(shot):
    """Seen from the front, landmarks are compared whatever the layer does beside them."""
    if abs(shot.truth.head.rotation[2, 2]) < 0.87:
        return  # turned: there the bridge of the nose may lie on the outline
    noise = np.random.default_rng(0).uniform(20, 60, shot.depth.shape)
    damaged = shot.layers | {"depth": np.where(shot.depth > 0, shot.depth + noise, 0).astype(np.float32)}
    found = [check.name for check in check_frame(type(shot)(shot.sample, damaged, shot.truth)) if not check.ok]
    assert "depth off visible landmarks, median (mm)" in found


def test_landmarks_whose_pixel_shows_a_mask_are_not_compared(shot):
    """A landmark is visible when a pixel beside its own shows it; at a mask's edge its own has another place."""
    mouth, nose = shot.truth.landmarks_2d[48:68], shot.truth.landmarks_2d[27:36]
    (x0, y0), (x1, y1) = np.concatenate([mouth, nose]).min(0).astype(int) - 4, mouth.max(0).astype(int) + 4
    layers = {name: shot.layers[name].copy() for name in ("rgb", "seg", "canonical")}
    layers["seg"][y0:y1, x0:x1] = Label.FACE_MASK
    layers["canonical"][y0:y1, x0:x1] = 0
    found = [check for check in check_frame(type(shot)(shot.sample, layers, shot.truth)) if not check.ok]
    assert not [check for check in found if check.name.startswith("canonical")]


def test_a_profile_of_few_pixels_is_not_compared_with_what_lies_behind(cycles):
    """Pixels of 10 mm on the bridge of a nose seen from aside show what is behind it, 30 mm off on the template."""
    tiny = Recipe.load("face", ["image.samples=1", "image.denoise=false", "subject.wear.glasses.kind=none"])
    change = {"pose.head_yaw_deg": -50.0, "camera.field_mm": 430.0, "image.width": 40, "image.height": 40}
    one = sample(tiny, 3, 3).replace(change | {"camera.azimuth_deg": 0.0, "camera.elevation_deg": 0.0})
    frame = cycles(one, ("seg", "canonical"))
    row, column = np.floor(frame.truth.landmarks_2d[28]).astype(int)[::-1]
    assert np.linalg.norm(frame.canonical[row, column] - topology().rest[ibug68()[28]]) > 25
    assert frame.truth.landmarks_visible[28]
    assert not [check for check in check_frame(frame) if not check.ok]


@pytest.mark.parametrize("yaw", [0.0, -50.0])
def test_from_aside_alone_a_neighbour_may_show_a_landmark(cycles, yaw):
    """In profile the far cheek may lie in the pixel that the bridge of the nose falls into; from the front nothing."""
    bare = {"subject.wear.glasses.kind": "none", "subject.wear.mask.kind": "none", "pose.head_pitch_deg": 0.0}
    size = {"image.width": 96, "image.height": 96, "camera.azimuth_deg": 0.0, "camera.elevation_deg": 0.0}
    one = sample(Recipe.load("face", ["image.samples=1", "image.denoise=false"]), 3, 1)
    frame = cycles(one.replace({"pose.head_yaw_deg": yaw, **bare, **size}), ("seg", "canonical"))
    column, row = np.floor(frame.truth.landmarks_2d[[28, 29, 30, 33, 51, 57]]).astype(int).T
    cheek = frame.canonical.copy()
    cheek[row, column] = (27.0, -8.0, 15.0)
    layers = frame.layers | {"canonical": cheek}
    bad = [check.name for check in check_frame(type(frame)(frame.sample, layers, frame.truth)) if not check.ok]
    assert bad == ([] if yaw else ["canonical off visible landmarks, median (mm)"])


def test_an_empty_layer_does_not_excuse_itself_in_profile(cycles):
    one = sample(Recipe.load("face", ["image.samples=1", "image.denoise=false"]), 3, 1)
    bare = {"subject.wear.glasses.kind": "none", "subject.wear.mask.kind": "none"}
    size = {"image.width": 96, "image.height": 96, "camera.azimuth_deg": 0.0, "camera.elevation_deg": 0.0}
    frame = cycles(one.replace({"pose.head_yaw_deg": -50.0, **bare, **size}), ("seg", "canonical"))
    assert not [check for check in check_frame(frame) if not check.ok]
    empty = frame.layers | {"canonical": np.zeros_like(frame.canonical)}
    found = [check.name for check in check_frame(type(frame)(frame.sample, empty, frame.truth)) if not check.ok]
    assert any(name.startswith("canonical off") for name in found)
