"""Camera, image-based light, area light and LEDs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from facewright.errors import AssetError
from facewright.figure import Figure
from facewright.geometry.camera import CAMERA_FROM_BLENDER, WORLD_FROM_HEAD
from facewright.scene.compat import use_nodes
from facewright.scene.nodes import Graph
from facewright.scene.upload import METRES
from facewright.truth import CameraTruth
from facewright.world.leds import LED_RADIUS_MM, led_power
from facewright.world.parameters import STUDIO_HDRIS, Light

Array = np.ndarray
SENSOR_MM = 36.0


def find_hdri(bpy: Any, name: str, folder: Path | None) -> Path:
    """Return the file of environment map `name`; AssetError says where it was looked for."""
    if name in STUDIO_HDRIS:
        path = Path(bpy.utils.system_resource("DATAFILES")) / "studiolights" / "world" / f"{name}.exr"
    else:
        path = (folder or Path()) / name
    if not path.is_file():
        raise AssetError(f"light.hdri: {name!r} is not at {path}; set hdri_folder to the folder that holds it")
    return path


def camera_object(bpy: Any, camera: CameraTruth, collection: Any) -> Any:
    """Return a Blender camera that projects exactly as `camera` does."""
    data = bpy.data.cameras.new("camera")
    data.sensor_fit = "HORIZONTAL"
    data.sensor_width = SENSOR_MM
    data.lens = float(camera.K[0, 0]) * SENSOR_MM / camera.width
    data.clip_start, data.clip_end = 0.001, 1000.0
    thing = bpy.data.objects.new("camera", data)
    matrix = np.eye(4)
    matrix[:3, :3] = camera.rotation.T @ CAMERA_FROM_BLENDER
    matrix[:3, 3] = -camera.rotation.T @ camera.translation_mm * METRES
    thing.matrix_world = matrix.T.tolist()  # RNA takes columns
    collection.objects.link(thing)
    return thing


def world_light(bpy: Any, figure: Figure, folder: Path | None, means: dict[str, Array]) -> Any:
    """Return a World lit by the sample's map, its mean luminance normalised to 1; `means` caches mean colours (3,)."""
    light = figure.sample.light
    world = bpy.data.worlds.new("world")
    g = Graph(use_nodes(world))
    background = g.node("ShaderNodeBackground")
    if light.hdri == "none":
        background.inputs["Strength"].default_value = 0.0
    else:
        image = bpy.data.images.load(str(find_hdri(bpy, light.hdri, folder)), check_existing=True)
        if 0 in image.size:
            raise AssetError(f"light.hdri: {image.filepath} is no picture that Blender can read; replace or remove it")
        if light.hdri not in means:
            means[light.hdri] = _mean_colour(image)
        turn = g.node("ShaderNodeMapping")
        turn.inputs["Rotation"].default_value = (0, 0, math.radians(light.hdri_rotation_deg))
        g.feed(turn.inputs["Vector"], g.node("ShaderNodeTexCoord").outputs["Generated"])
        sky = g.node("ShaderNodeTexEnvironment", image=image)
        g.feed(sky.inputs["Vector"], turn.outputs[0])
        colour = sky.outputs["Color"]
        if figure.sample.image.spectrum == "nir":
            colour = _grey(g, colour)
        g.feed(background.inputs["Color"], colour)
        background.inputs["Strength"].default_value = light.hdri_strength / luminance(means[light.hdri])
    out = g.node("ShaderNodeOutputWorld")
    g.feed(out.inputs["Surface"], background.outputs[0])
    world.cycles.sampling_method = "MANUAL"  # the automatic map costs 0.9-1.3 s per frame
    world.cycles.sample_map_resolution = 256
    return world


def lamps(bpy: Any, figure: Figure, collection: Any, mirrors: list[Any]) -> None:
    """Add the key light and the LEDs; `mirrors` do not reflect the LEDs: their glints are rendered apart."""
    light = figure.sample.light
    aim = figure.head_origin
    if light.key_strength > 0:
        _key(bpy, figure, aim, collection)
    if not len(figure.leds):
        return
    apart = bpy.data.collections.new("mirrors")
    for thing in mirrors:
        apart.objects.link(thing)
    for link in apart.collection_objects:
        link.light_linking.link_state = "EXCLUDE"
    power = led_power(light, figure.leds, lit_point(figure))
    for position in figure.leds:
        data = bpy.data.lights.new("led", "POINT")
        data.shadow_soft_size = LED_RADIUS_MM * METRES
        data.energy = power
        lamp = _lamp(bpy, data, position, np.array([0.0, 0.0, 1.0]), collection)
        lamp.light_linking.receiver_collection = apart


def lit_point(figure: Figure) -> Array:
    """Return the point (3,) world mm that the LEDs light to their strength: the eye that the camera aims at."""
    aimed = figure.eyes.get(figure.sample.camera.target.removesuffix("_eye"))
    return aimed.centre if aimed else figure.head_origin


def led_radiance(figure: Figure) -> float:
    """Return the radiance of an LED's surface: a sphere of LED_RADIUS_MM with the power of its lamp."""
    power = led_power(figure.sample.light, figure.leds, lit_point(figure))
    return power / (4 * math.pi**2 * (LED_RADIUS_MM * METRES) ** 2)


WINDOW_PANES = (2, 3)
"""Columns and rows of a window's panes."""
SCREEN_ASPECT = 0.6
"""Height over width of a laptop's screen (16:10, less its bezel)."""


def _key(bpy: Any, figure: Figure, aim: Array, collection: Any) -> None:
    """Add the key light. All kinds give the same irradiance on axis: that of a sky of radiance `key_strength`."""
    light, camera = figure.sample.light, figure.camera
    colour = (1.0, 1.0, 1.0) if figure.sample.image.spectrum == "nir" else blackbody(light.key_temperature_k)
    size = light.key_size_mm
    if light.key_kind in ("softbox", "window"):
        a, e = math.radians(light.key_azimuth_deg), math.radians(light.key_elevation_deg)
        toward = WORLD_FROM_HEAD @ np.array([math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)])
        centre, distance = aim + 900.0 * toward, 900.0
    else:
        pinhole = -camera.rotation.T @ camera.translation_mm
        toward = -camera.rotation[2]
        centre, distance = pinhole, float(np.linalg.norm(pinhole - aim))
    power = light.key_strength * math.pi**2 * (distance * METRES) ** 2
    if light.key_kind == "softbox":
        _area(bpy, centre, toward, (size, size), power, colour, collection)
    elif light.key_kind == "screen":
        wide = float(np.clip(0.8 * size, 150, 620))  # phone to desktop monitor; the camera sits on its upper edge
        high = SCREEN_ASPECT * wide
        _area(bpy, centre + (high / 2 + 12) * camera.rotation[1], toward, (wide, high), power, colour, collection)
    elif light.key_kind == "window":
        columns, rows = WINDOW_PANES
        x, y = _axes(toward)
        pane = np.array([0.9 * size / columns, 1.25 * size / rows])
        for column in range(columns):
            for row in range(rows):
                place = centre + ((column + 0.5) * pane[0] - 0.45 * size) * x + ((row + 0.5) * pane[1] - 0.6 * size) * y
                share = power / (columns * rows) * (0.7 + 0.6 * row / (rows - 1))  # more sky above
                _area(bpy, place, toward, tuple(0.88 * pane), share, colour, collection)
    else:
        outer = float(np.clip(0.35 * size, 60, 230))
        _ring(bpy, centre + 4 * toward, toward, 0.78 * outer, outer, power, colour, collection)


def _area(
    bpy: Any, place: Array, toward: Array, size: tuple[float, float], power: float, colour: Any, collection: Any
) -> None:
    """Add a rectangular light of `size` mm whose back points `toward`; `power` in W."""
    data = bpy.data.lights.new("key", "AREA")
    data.shape = "RECTANGLE"
    data.size, data.size_y = (edge * METRES for edge in size)
    data.energy, data.color = power, colour
    _lamp(bpy, data, place, toward, collection)


def _ring(
    bpy: Any, place: Array, toward: Array, inner: float, outer: float, power: float, colour: Any, collection: Any
) -> None:
    """Add an annulus of radii `inner` and `outer` mm that shines against `toward`; `power` in W."""
    x, y = _axes(toward)
    t = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    circle = np.cos(t)[:, None] * x + np.sin(t)[:, None] * y
    data = bpy.data.meshes.new("ring")
    k = np.arange(48)
    faces = np.stack([k, 48 + k, 48 + (k + 1) % 48, (k + 1) % 48], axis=1)
    data.from_pydata(
        (np.concatenate([place + inner * circle, place + outer * circle]) * METRES).tolist(), [], faces.tolist()
    )
    made = bpy.data.materials.new("ring")
    g = Graph(use_nodes(made))
    area = math.pi * (outer**2 - inner**2) * METRES**2
    g.output(g.shader("ShaderNodeEmission", Color=colour, Strength=power / (math.pi * area)))
    data.materials.append(made)
    thing = bpy.data.objects.new("ring", data)
    thing.visible_camera = False
    collection.objects.link(thing)


def blackbody(kelvin: float) -> tuple[float, float, float]:
    """Return the linear Rec.709 colour of a black body with luminance 1 (Planck, CIE 1931 by Wyman et al. 2013)."""
    nm = np.arange(380.0, 781.0, 5.0)
    power = nm**-5 / (np.exp(1.4388e7 / (nm * kelvin)) - 1)

    def lobe(mu: float, low: float, high: float) -> Array:
        return np.exp(-0.5 * ((nm - mu) / np.where(nm < mu, low, high)) ** 2)

    x = 1.056 * lobe(599.8, 37.9, 31.0) + 0.362 * lobe(442.0, 16.0, 26.7) - 0.065 * lobe(501.1, 20.4, 26.2)
    y = 0.821 * lobe(568.8, 46.9, 40.5) + 0.286 * lobe(530.9, 16.3, 31.1)
    z = 1.217 * lobe(437.0, 11.8, 36.0) + 0.681 * lobe(459.0, 26.0, 13.8)
    xyz = np.array([(power * f).sum() for f in (x, y, z)])
    rgb = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]) @ (xyz / xyz[1])
    r, g, b = np.maximum(rgb, 0.0)
    return float(r), float(g), float(b)


def illuminant(light: Light, means: dict[str, Array]) -> Array:
    """Return the colour (3,) of the sample's light as a whole, luminance 1: what a camera's white balance corrects."""
    total = light.key_strength * np.array(blackbody(light.key_temperature_k)) if light.key_strength else np.zeros(3)
    if light.hdri != "none":
        total = total + light.hdri_strength * means[light.hdri] / luminance(means[light.hdri])
    return total / luminance(total) if total.any() else np.ones(3)


def luminance(rgb: Array) -> float:
    """Return the Rec.709 luminance of a linear colour (3,)."""
    return float(rgb @ [0.2126, 0.7152, 0.0722])


def _lamp(bpy: Any, data: Any, position: Array, axis: Array, collection: Any) -> Any:
    thing = bpy.data.objects.new(data.name, data)
    x, y = _axes(axis)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([x, y, axis / np.linalg.norm(axis)], axis=1)
    matrix[:3, 3] = position * METRES
    thing.matrix_world = matrix.T.tolist()  # RNA takes columns
    collection.objects.link(thing)
    return thing


def _axes(axis: Array) -> tuple[Array, Array]:
    """Return unit vectors to the right and up, (3,) each, of something whose back points along `axis`."""
    z = axis / np.linalg.norm(axis)
    x = np.cross([0.0, 0.0, 1.0] if abs(z[2]) < 0.95 else [1.0, 0.0, 0.0], z)
    x /= np.linalg.norm(x)
    return x, np.cross(z, x)


def _mean_colour(image: Any) -> Array:
    """Return the solid-angle-weighted mean colour (3,) of an equirectangular map, suns capped at radiance 50."""
    columns, rows = image.size
    pixels = np.empty(columns * rows * 4, np.float32)
    image.pixels.foreach_get(pixels)
    rgb = np.minimum(pixels.reshape(rows, columns, 4)[..., :3].astype(float), 50.0)
    weight = np.cos((np.arange(rows) + 0.5) / rows * math.pi - math.pi / 2)[:, None, None]
    return np.maximum((rgb * weight).sum(axis=(0, 1)) / (weight.sum() * columns), 1e-4)


def _grey(g: Graph, colour: Any) -> Any:
    node = g.node("ShaderNodeRGBToBW")
    g.feed(node.inputs[0], colour)
    return node.outputs[0]
