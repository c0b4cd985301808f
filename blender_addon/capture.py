"""The user's own camera, lamps and environment as parameters of the recipe; what cannot be said in them is refused."""

import math
from pathlib import Path

import bpy
import numpy as np

from facewright.errors import UserError
from facewright.figure import aimed_at
from facewright.geometry.camera import CAMERA_FROM_BLENDER
from facewright.geometry.rotations import head_rotation
from facewright.recipe import HDRI_SUFFIXES
from facewright.scene.upload import METRES
from facewright.scene.world import luminance, mean_colour
from facewright.world.camera import describe
from facewright.world.lamps import Lamp
from facewright.world.parameters import MAX_LAMPS


def camera(scene, depsgraph, sample):
    """Return the parameters by path with which `sample` is seen as by the scene's camera. Raises UserError."""
    thing, render = scene.camera, scene.render
    width, height = (
        round(edge * render.resolution_percentage / 100) for edge in (render.resolution_x, render.resolution_y)
    )
    projection = np.array(thing.calc_matrix_camera(depsgraph, x=width, y=height))
    focal, focal_y = projection[0, 0] * width / 2, projection[1, 1] * height / 2
    if thing.data.type != "PERSP" or abs(projection[:2, 2]).max() > 1e-6 or abs(focal / focal_y - 1) > 1e-5:
        raise UserError(f"{thing.name}: only a perspective camera without shift and with square pixels can be captured")
    matrix = np.array(thing.matrix_world)
    axes = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    pose = sample.pose
    turn = head_rotation(*(math.radians(a) for a in (pose.head_yaw_deg, pose.head_pitch_deg, pose.head_roll_deg)))
    found = describe(matrix[:3, 3] / METRES, CAMERA_FROM_BLENDER @ axes.T, float(focal), width, aimed_at(sample, turn))
    values = {"mount": "world", "target": sample.camera.target} | found
    return {f"camera.{name}": value for name, value in values.items()} | {"image.width": width, "image.height": height}


def world(data):
    """Return the folder and the parameters by path of the environment map that lights World `data`. Raises UserError.

    Understood is a Background of an Environment Texture, turned about the vertical axis if at all, and a black one,
    which has no folder.
    """
    output = next(
        (node for node in data.node_tree.nodes if node.type == "OUTPUT_WORLD" and node.is_active_output), None
    )
    background = _before(output.inputs["Surface"], "BACKGROUND") if output else None
    if background and _black(background):
        return None, {"light.hdri": "none"}
    texture = _before(background.inputs["Color"], "TEX_ENVIRONMENT") if background else None
    if texture is None or texture.image is None or texture.projection != "EQUIRECTANGULAR":
        raise UserError(f"{data.name}: is not lit by an Environment Texture alone; plug one into its Background")
    path = Path(bpy.path.abspath(texture.image.filepath))
    if not path.is_file() or path.suffix.lower() not in HDRI_SUFFIXES:
        raise UserError(f"{data.name}: its map {path} is no {' or '.join(HDRI_SUFFIXES)} file on disk; save it as one")
    strength = background.inputs["Strength"].default_value * luminance(mean_colour(texture.image))
    return path.parent, {
        "light.hdri": path.name,
        "light.hdri_rotation_deg": math.degrees(_turn(texture, data.name)) % 360,
        "light.hdri_strength": strength,
        "light.key_strength": 0.0,
        "light.rim_strength": 0.0,
        "backdrop.kind": "map",
    }


def _black(background):
    """Return whether a Background gives no light."""
    colour, strength = background.inputs["Color"], background.inputs["Strength"]
    return not strength.is_linked and (
        not strength.default_value or (not colour.is_linked and not any(colour.default_value[:3]))
    )


def lamps(things, depsgraph):
    """Return the parameters by path of the lamps among the objects `things`, strongest first. Raises UserError.

    Suns are laid as discs 100 m away. Blends of spots, and shapes other than rectangles, are left out of account.
    """
    found = [_lamp(thing.evaluated_get(depsgraph)) for thing in things if thing.type == "LIGHT"]
    found = sorted(
        (lamp for lamp in found if lamp.power.any()), key=lambda lamp: -luminance(lamp.light_at(np.zeros(3)))
    )
    if not found:
        raise UserError("no lamp shines in this scene; add one, or pin Light in the panel")
    if len(found) > MAX_LAMPS:
        raise UserError(f"{len(found)} lamps shine in this scene, a recipe takes {MAX_LAMPS}; hide the others")
    numbers = tuple(number for lamp in found for number in lamp.numbers())
    return {"light.lamps": numbers, "light.key_strength": 0.0, "light.rim_strength": 0.0, "light.leds": "none"}


SUN_MM = 100_000.0
"""Distance of the disc that stands for a sun: its light falls over a head's depth by 0.4 %."""


def _lamp(thing):
    """Return the lamp object `thing`, evaluated, as a Lamp. Raises UserError."""
    data, matrix = thing.data, np.array(thing.matrix_world)
    if data.node_tree and not {node.type for node in data.node_tree.nodes} <= {"EMISSION", "OUTPUT_LIGHT"}:
        raise UserError(f"{thing.name}: its light comes from nodes, which a recipe cannot say; use a plain lamp")
    scale = np.linalg.norm(matrix[:3, :3], axis=0)
    place, shines = matrix[:3, 3] / METRES, -matrix[:3, 2] / scale[2]
    colour = np.array(data.color) * (np.array(data.temperature_color) if getattr(data, "use_temperature", False) else 1)
    power = data.energy * 2.0 ** getattr(data, "exposure", 0.0) * colour
    if data.type == "SUN":
        width = 2 * SUN_MM * math.tan(max(data.angle, 1e-3) / 2) * math.sqrt(math.pi / 4)
        power = power * math.pi * (SUN_MM * METRES) ** 2
        return Lamp.of(-SUN_MM * shines, shines, (width, width), 180.0, power)
    if data.type == "AREA":
        size = (data.size, data.size_y if data.shape in ("RECTANGLE", "ELLIPSE") else data.size)
        round_ = math.sqrt(math.pi / 4) if data.shape in ("DISK", "ELLIPSE") else 1.0
        width, height = (edge * round_ * stretch for edge, stretch in zip(size, scale, strict=False))
        area, spread = width * height, min(math.degrees(data.spread), 180.0)
    else:
        width, height, area = 2 * data.shadow_soft_size, 0.0, 4 * math.pi * data.shadow_soft_size**2
        spread = math.degrees(data.spot_size) if data.type == "SPOT" else 360.0
    if not getattr(data, "normalize", True):
        power = power * area
    return Lamp.of(place, shines, (max(width / METRES, 0.1), height / METRES), spread, power)


def _turn(texture, name):
    """Return how far in rad the map is turned about the vertical axis."""
    mapping = _before(texture.inputs["Vector"], "MAPPING")
    if mapping is None and not texture.inputs["Vector"].is_linked:
        return 0.0
    if mapping is None or mapping.vector_type != "POINT" or any(mapping.inputs["Rotation"].default_value[:2]):
        raise UserError(f"{name}: its map may only be turned about Z, by a Mapping of type Point")
    return mapping.inputs["Rotation"].default_value[2]


def _before(socket, kind):
    """Return the node of `kind` that is plugged into `socket`, None for any other."""
    node = socket.links[0].from_node if socket.is_linked else None
    return node if node and node.type == kind else None
