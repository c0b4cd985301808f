"""The preview: one collection, moved in place as if built anew, gone without a trace."""

import bpy
import numpy as np
import pytest

from facewright.scene.upload import METRES


def places(addon, scene):
    """Return world vertices or strand points by part."""
    found = {}
    for thing in addon.preview.collection_of(scene).all_objects:
        if thing.type == "MESH":
            co = np.empty((len(thing.data.vertices), 3), np.float32)
            thing.data.vertices.foreach_get("co", co.ravel())
        elif thing.type == "CURVES":
            co = np.empty((len(thing.data.points), 3), np.float32)
            thing.data.position_data.foreach_get("vector", co.ravel())
        else:
            continue
        matrix = np.array(thing.matrix_world)
        found[thing["part"]] = co @ matrix[:3, :3].T + matrix[:3, 3]
    return found


def stores():
    names = ("objects", "meshes", "hair_curves", "materials", "lights", "cameras", "images", "collections", "worlds")
    return {name: {block.name for block in getattr(bpy.data, name)} for name in names}


def test_removing_leaves_the_scene_as_it_was(addon, scene, settings):
    before, world, camera = stores(), scene.world, scene.camera
    bpy.ops.facewright.preview()
    assert len(addon.preview.collection_of(scene).all_objects) > 20
    assert (scene.world, scene.camera) == (world, camera)
    bpy.ops.facewright.preview()
    assert len([found for found in scene.collection.children_recursive if addon.preview.TAG in found]) == 1
    bpy.ops.facewright.remove()
    assert stores() == before
    assert not bpy.ops.facewright.remove.poll()


def test_what_a_user_puts_into_the_collection_stays(addon, scene, settings):
    bpy.ops.facewright.preview()
    collection = addon.preview.collection_of(scene)
    cube = scene.collection.objects[0]
    collection.objects.link(cube)
    scene.collection.objects.unlink(cube)
    bpy.ops.facewright.remove()
    assert list(scene.collection.objects) == [cube]


def test_textures_are_those_of_the_batch(addon, scene, settings):
    from facewright.scene.session import TEXTURES, textures

    bpy.ops.facewright.preview()
    painted = textures(addon.preview.figure_of(settings.sample()))
    materials = addon.preview.materials_of(addon.preview.collection_of(scene))
    images = {node.image for made in materials for node in made.node_tree.nodes if getattr(node, "image", None)}
    assert {image.name.partition(".")[0] for image in images} == set(TEXTURES)
    for image in images:
        expected = painted[image.name.partition(".")[0]]
        found = np.array(image.pixels).reshape(*expected.shape[:2], 4)[..., : 3 if expected.ndim == 3 else 1].squeeze()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=image.name)


def test_materials_marked_as_assets_stay(addon, scene, settings):
    bpy.ops.facewright.preview()
    bpy.ops.facewright.keep_materials()
    bpy.ops.facewright.remove()
    kept = [material for material in bpy.data.materials if material.asset_data]
    assert "skin" in {material.name.partition(".")[0] for material in kept}
    images = {node.image for made in kept for node in made.node_tree.nodes if getattr(node, "image", None)}
    assert len(images) == 8
    assert all(image.packed_file for image in images)
    bpy.data.batch_remove(kept)


@pytest.mark.parametrize("preset", ["face", "eye_rgb"])
def test_moving_in_place_is_building_anew(addon, scene, settings, preset):
    settings.preset = preset
    bpy.ops.facewright.preview()
    before = places(addon, scene)
    settings.values.gaze_yaw_deg, settings.values.gaze_pitch_deg = 18.0, -9.0
    settings.values.expression_blink, settings.values.subject_eye_pupil_mm = 0.4, 6.0
    bpy.context.view_layer.update()
    moved = places(addon, scene)
    assert addon.preview.standing(scene) == settings.sample()
    bpy.ops.facewright.preview()
    built = places(addon, scene)
    assert moved.keys() == built.keys() == before.keys()
    for name, points in built.items():
        apart = np.abs(points - moved[name]).max()
        brow_or_hair = name.startswith(("brow", "hair", "beard"))  # the lids' pull on them waits for Preview
        assert apart < (0.002 if brow_or_hair else 1e-6), name
    for name in ("skin", "left_iris", "right_caruncle"):
        assert np.abs(built[name] - before[name]).max() > 1e-5, name


def test_other_changes_wait_for_preview_and_the_panel_says_so(addon, scene, settings):
    bpy.ops.facewright.preview()
    before = addon.preview.standing(scene)
    assert addon.preview.collection_of(scene)[addon.preview.TAG] == settings.shown
    settings.values.subject_skin_melanin = 0.9
    assert addon.preview.standing(scene) == before
    assert addon.preview.collection_of(scene)[addon.preview.TAG] != settings.shown
    settings.live = False
    settings.let_go(addon.props.members("SKIN"))
    settings.values.gaze_yaw_deg = 20.0
    assert addon.preview.standing(scene) == before


def test_both_eyes_look_at_the_target(addon, scene, settings):
    settings.values.pose_head_yaw_deg = 15.0
    bpy.ops.facewright.preview()
    target = addon.preview.part(scene, addon.preview.TARGET)
    target.location = place = (0.05, -0.6, 0.03)
    bpy.context.view_layer.update()
    bpy.ops.facewright.follow()
    assert settings.sample().gaze.reference == "head"
    figure = addon.preview.figure_of(addon.preview.standing(scene))
    for eye in figure.eyes.values():
        axis = eye.rotation @ eye.globe.visual_axis
        to_target = np.array(place) / METRES - eye.centre
        off = np.degrees(np.arccos(axis @ to_target / np.linalg.norm(to_target)))
        assert off < 0.02  # the pinned angles are 32-bit
    assert tuple(target.location) == pytest.approx(place)


def test_the_overlay_draws_each_visible_class_where_it_is(addon, scene, settings):
    from facewright.schema import Label

    bpy.ops.facewright.preview()
    corners, ids = addon.overlay.triangles(scene)
    assert {Label.SKIN, Label.NOSE, Label.LEFT_IRIS, Label.RIGHT_SCLERA, Label.UPPER_LIP} <= set(ids.tolist())
    assert Label.BACKGROUND not in ids
    figure = addon.preview.figure_of(addon.preview.standing(scene))
    iris = corners[ids == Label.LEFT_IRIS].reshape(-1, 3) / METRES
    assert np.linalg.norm(iris - figure.eyes["left"].centre, axis=1).max() < 14
    segments, colours = addon.overlay.strokes(scene, {"LANDMARKS", "GAZE", "FRAME"})
    assert len(segments) == len(colours) == 3 * 68 + 4 + 4
    edge = segments[-4:, 0] / METRES @ figure.camera.rotation.T + figure.camera.translation_mm
    width, height = figure.camera.width, figure.camera.height
    assert figure.camera.project(edge) == pytest.approx(
        np.array([[0, 0], [width, 0], [width, height], [0, height]]), abs=0.01
    )
    hairs, hair_ids = addon.overlay.hairs(scene)
    assert len(hairs) == len(hair_ids)
    assert Label.LEFT_LASHES in hair_ids
