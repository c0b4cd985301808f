"""The user's own camera, lamps and environment, captured into a recipe."""

import tempfile
from pathlib import Path

import bpy
import numpy as np
import pytest

from facewright.geometry.camera import CAMERA_FROM_BLENDER
from facewright.scene.world import _user_lamp
from facewright.world.lamps import parse_lamps


def test_a_captured_camera_sees_the_same(addon, scene, settings):
    data = bpy.data.cameras.new("mine")
    camera = bpy.data.objects.new("mine", data)
    scene.collection.objects.link(camera)
    scene.camera = camera
    data.lens, data.sensor_width = 70.0, 24.0
    camera.location, camera.rotation_euler = (0.25, -0.8, 0.1), (1.45, 0.05, 0.32)
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 400, 300, 50
    bpy.context.view_layer.update()
    bpy.ops.facewright.capture_camera()
    seen = addon.preview.build_figure(settings.sample()).camera
    matrix = np.array(camera.matrix_world)
    assert (seen.width, seen.height) == (200, 150)
    assert -seen.rotation.T @ seen.translation_mm == pytest.approx(1000 * matrix[:3, 3], abs=0.01)
    assert seen.rotation.T @ CAMERA_FROM_BLENDER == pytest.approx(matrix[:3, :3], abs=1e-5)
    assert seen.K[0, 0] == pytest.approx(200 * 70 / 24, rel=1e-5)
    data.shift_x = 0.1
    with pytest.raises(RuntimeError, match="only a perspective camera without shift"):
        bpy.ops.facewright.capture_camera()
    bpy.data.cameras.remove(data)


def glow(scene, lights):
    """Return the picture (32, 32, 3) of a white ball of 20 cm at the origin under `lights` alone."""
    for thing in scene.collection.objects:
        thing.hide_render = thing.type == "LIGHT" and thing not in lights
    with tempfile.TemporaryDirectory() as folder:
        scene.render.filepath = str(Path(folder) / "ball.exr")
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(scene.render.filepath)
        pixels = np.array(image.pixels).reshape(32, 32, 4)[..., :3]
        bpy.data.images.remove(image)
    return pixels


@pytest.fixture
def studio(scene):
    """A white ball, a camera before it and no other light."""
    scene.world = None
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 64, False
    scene.render.resolution_x = scene.render.resolution_y = 32
    scene.render.resolution_percentage = 100
    scene.render.image_settings.file_format = "OPEN_EXR"
    camera = bpy.data.objects.new("before", bpy.data.cameras.new("before"))
    camera.location, camera.rotation_euler = (0, -0.8, 0), (np.pi / 2, 0, 0)
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.1)
    scene.collection.objects.link(camera)
    scene.camera = camera
    return scene


LIGHTS = {
    "square": ("AREA", {"size": 0.3, "energy": 20.0, "color": (1, 0.6, 0.3)}),
    "disc": ("AREA", {"shape": "DISK", "size": 0.5, "energy": 9.0, "spread": 1.2}),
    "ball": ("POINT", {"shadow_soft_size": 0.05, "energy": 30.0}),
    "spot": ("SPOT", {"spot_size": 1.0, "spot_blend": 0.0, "energy": 50.0}),
    "sun": ("SUN", {"angle": 0.05, "energy": 3.0}),
}


@pytest.mark.parametrize("kind", LIGHTS)
def test_a_captured_lamp_lights_a_ball_as_the_lamp_itself(settings, studio, kind):
    sort, values = LIGHTS[kind]
    data = bpy.data.lights.new(kind, sort)
    for name, value in values.items():
        setattr(data, name, value)
    thing = bpy.data.objects.new(kind, data)
    thing.location, thing.rotation_euler = (0.5, -0.8, 0.4), (1.166, 0, 0.559)
    studio.collection.objects.link(thing)
    bpy.context.view_layer.update()
    bpy.ops.facewright.capture_lamps()
    one = settings.sample().light
    assert (len(one.lamps), one.key_strength, one.rim_strength) == (12, 0.0, 0.0)
    own = glow(studio, [thing])
    before = set(studio.collection.objects)
    _user_lamp(bpy, parse_lamps(one.lamps)[0], "rgb", studio.collection)
    ours = glow(studio, set(studio.collection.objects) - before)
    assert own.max() > 0.02
    assert ours.mean(axis=(0, 1)) == pytest.approx(own.mean(axis=(0, 1)), rel=0.04)
    assert np.abs(ours - own).mean() < 0.06 * own.mean()


def test_lamps_that_a_recipe_cannot_say_are_refused(settings, scene):
    with pytest.raises(RuntimeError, match="no lamp shines in this scene"):
        bpy.ops.facewright.capture_lamps()
    for number in range(17):
        scene.collection.objects.link(bpy.data.objects.new(f"l{number}", bpy.data.lights.new(f"l{number}", "POINT")))
    bpy.context.view_layer.update()
    with pytest.raises(RuntimeError, match="17 lamps shine in this scene, a recipe takes 16"):
        bpy.ops.facewright.capture_lamps()


def test_a_black_world_is_no_map(settings, scene):
    scene.world = world = bpy.data.worlds.new("night")
    if not world.node_tree:
        world.use_nodes = True
    next(node for node in world.node_tree.nodes if node.type == "BACKGROUND").inputs["Strength"].default_value = 0.0
    bpy.ops.facewright.capture_world()
    assert settings.sample().light.hdri == "none"


def test_a_captured_world_is_the_map_at_its_strength(settings, scene):
    path = Path(bpy.utils.system_resource("DATAFILES")) / "studiolights" / "world" / "forest.exr"
    scene.world = world = bpy.data.worlds.new("mine")
    if not world.node_tree:
        world.use_nodes = True
    nodes, link = world.node_tree.nodes, world.node_tree.links.new
    with pytest.raises(RuntimeError, match="is not lit by an Environment Texture alone"):
        bpy.ops.facewright.capture_world()
    texture, mapping = nodes.new("ShaderNodeTexEnvironment"), nodes.new("ShaderNodeMapping")
    texture.image = bpy.data.images.load(str(path), check_existing=True)
    background = next(node for node in nodes if node.type == "BACKGROUND")
    background.inputs["Strength"].default_value = 2.0
    mapping.inputs["Rotation"].default_value[2] = -0.5
    link(mapping.outputs[0], texture.inputs["Vector"])
    link(texture.outputs["Color"], background.inputs["Color"])
    bpy.ops.facewright.capture_world()
    light = settings.sample().light
    assert (light.hdri, light.key_strength, settings.sample().backdrop.kind) == ("forest.exr", 0.0, "map")
    assert light.hdri_rotation_deg == pytest.approx(360 - np.degrees(0.5), rel=1e-6)
    assert settings.recipe().hdri_folder == path.parent
    pixels = np.array(texture.image.pixels).reshape(texture.image.size[1], -1, 4)[..., :3]
    rows = np.cos((np.arange(len(pixels)) + 0.5) / len(pixels) * np.pi - np.pi / 2)
    mean = (pixels.clip(max=50).mean(axis=1) * rows[:, None]).sum(axis=0) / rows.sum()
    assert light.hdri_strength == pytest.approx(2 * mean @ [0.2126, 0.7152, 0.0722], rel=1e-4)
    bpy.data.worlds.remove(world)
