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
from facewright.scene.upload import METRES, float_image
from facewright.truth import CameraTruth
from facewright.world.backdrop import blurred, paint
from facewright.world.lamps import Lamp, parse_lamps
from facewright.world.leds import LED_RADIUS_MM, led_power
from facewright.world.parameters import STUDIO_HDRIS, Backdrop

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
            means[light.hdri] = mean_colour(image)
        turn = g.node("ShaderNodeMapping")
        turn.inputs["Rotation"].default_value = (0, 0, math.radians(light.hdri_rotation_deg))
        g.feed(turn.inputs["Vector"], g.node("ShaderNodeTexCoord").outputs["Generated"])
        sky = g.node("ShaderNodeTexEnvironment", image=image)
        g.feed(sky.inputs["Vector"], turn.outputs[0])
        colour = sky.outputs["Color"]
        if figure.sample.backdrop.kind == "blur":
            soft = float_image(bpy, "soft_sky", _soft_sky(image, figure.sample.backdrop.blur))
            seen = g.node("ShaderNodeTexEnvironment", image=soft, interpolation="Cubic")
            g.feed(seen.inputs["Vector"], turn.outputs[0])
            colour = g.mix(_looked_at(g), colour, seen.outputs["Color"])
        if figure.sample.image.spectrum == "nir":
            colour = _grey(g, colour)
        g.feed(background.inputs["Color"], colour)
        background.inputs["Strength"].default_value = light.hdri_strength / luminance(means[light.hdri])
    out = g.node("ShaderNodeOutputWorld")
    g.feed(out.inputs["Surface"], background.outputs[0])
    world.cycles.sampling_method = "MANUAL"  # the automatic map costs 0.9-1.3 s per frame
    world.cycles.sample_map_resolution = 256
    return world


BACKDROP_MM = 3000.0
"""Distance of the backdrop behind the person."""
SOFT_SKY = (64, 128)
"""Rows and columns of an environment map out of focus."""


def _looked_at(g: Graph) -> Any:
    """Return 1 for rays that the camera sees, straight or through lenses."""
    path = g.node("ShaderNodeLightPath")
    return g.math("MAXIMUM", path.outputs["Is Camera Ray"], path.outputs["Is Transmission Ray"])


def _soft_sky(image: Any, blur: float) -> Array:
    """Return map `image` (R, C, 3) shrunk to SOFT_SKY under a Gaussian of `blur` of a picture's width."""
    columns, rows = image.size
    pixels = np.empty(columns * rows * 4, np.float32)
    image.pixels.foreach_get(pixels)
    rgb = np.minimum(pixels.reshape(rows, columns, 4)[..., :3].astype(float), 50.0)
    r, c = (np.arange(n + 1) * size // n for n, size in zip(SOFT_SKY, (rows, columns), strict=True))
    sums = np.add.reduceat(np.add.reduceat(rgb, r[:-1], axis=0), c[:-1], axis=1)
    return blurred(sums / (np.diff(r)[:, None] * np.diff(c)[None])[..., None], 0.6 + 12 * blur)


def backdrop_plane(bpy: Any, figure: Figure, folder: Path | None, means: dict[str, Array], collection: Any) -> None:
    """Stand a painted backdrop or a user's picture behind the person, seen by the camera alone."""
    backdrop, camera, light = figure.sample.backdrop, figure.camera, figure.sample.light
    if backdrop.kind in ("map", "blur"):
        return
    if backdrop.kind == "picture":
        picture = _user_picture(bpy, backdrop, folder, camera.height / camera.width)
    else:
        picture = paint(backdrop, (figure.sample.seed, figure.sample.index))
    if figure.sample.image.spectrum == "nir":
        picture = np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2)
    pinhole, forward = -camera.rotation.T @ camera.translation_mm, camera.rotation[2]
    away = float((figure.head_origin - pinhole) @ forward) + BACKDROP_MM
    wide, high = (1.02 * away * n / camera.K[0, 0] * METRES for n in (camera.width, camera.height))
    data = bpy.data.meshes.new("backdrop")
    corners = [(x * wide / 2, y * high / 2, 0.0) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    data.from_pydata(corners, [], [(0, 1, 2, 3)])
    made = bpy.data.materials.new("backdrop")
    g = Graph(use_nodes(made))
    texture = g.image(
        float_image(bpy, "backdrop", picture), g.node("ShaderNodeTexCoord").outputs["Generated"], "EXTEND"
    )
    texture.interpolation = "Cubic"
    own = lamp_light(figure)
    level = backdrop.gain * (
        light.hdri_strength if light.hdri != "none" else 0.3 * (light.key_strength + luminance(own))
    )
    colour = np.ones(3) if figure.sample.image.spectrum == "nir" else illuminant(figure, means)
    tinted = g.vector("MULTIPLY", texture.outputs["Color"], tuple(level * colour))
    g.output(g.shader("ShaderNodeEmission", Color=tinted, Strength=1.0))
    made.cycles.emission_sampling = "NONE"
    data.materials.append(made)
    thing = bpy.data.objects.new("backdrop", data)
    matrix = np.eye(4)
    matrix[:3, :3] = camera.rotation.T @ CAMERA_FROM_BLENDER
    matrix[:3, 3] = (pinhole + away * forward) * METRES
    thing.matrix_world = matrix.T.tolist()  # RNA takes columns
    thing.visible_diffuse = thing.visible_glossy = thing.visible_shadow = thing.visible_volume_scatter = False
    collection.objects.link(thing)


PICTURE_PX = 512
"""Width to which a user's picture is reduced."""


def _user_picture(bpy: Any, backdrop: Backdrop, folder: Path | None, aspect: float) -> Array:
    """Return the user's picture (R, C, 3), linear, row 0 below, cut to `aspect` = height / width, out of focus."""
    path = (folder or Path()) / backdrop.picture
    if not path.is_file():
        raise AssetError(f"backdrop.picture: {backdrop.picture!r} is not at {path}; set backdrop_folder to its folder")
    try:
        image = bpy.data.images.load(str(path))
        columns, rows = image.size
        if not columns or not rows:
            raise RuntimeError
    except RuntimeError:
        raise AssetError(
            f"backdrop.picture: {path} is no picture that Blender can read; replace or remove it"
        ) from None
    image.scale(PICTURE_PX, max(1, round(PICTURE_PX * rows / columns)))
    columns, rows = image.size
    pixels = np.empty(columns * rows * 4, np.float32)
    image.pixels.foreach_get(pixels)
    rgb = pixels.reshape(rows, columns, 4)[..., :3].astype(float)
    bpy.data.images.remove(image)
    rgb = np.where(rgb <= 0.04045, rgb / 12.92, ((np.maximum(rgb, 0) + 0.055) / 1.055) ** 2.4)
    wide, high = (columns, round(columns * aspect)) if rows >= columns * aspect else (round(rows / aspect), rows)
    left, low = (columns - wide) // 2, (rows - high) // 2
    return blurred(rgb[low : low + high, left : left + wide], backdrop.blur * wide)


def lamps(bpy: Any, figure: Figure, collection: Any, mirrors: list[Any]) -> None:
    """Add all lamps: key, rim, the user's own and LEDs.

    `mirrors` do not reflect the LEDs: their glints are rendered apart.
    """
    light = figure.sample.light
    aim = figure.head_origin
    if light.key_strength > 0:
        _key(bpy, figure, aim, collection)
    if light.rim_strength > 0:
        _rim(figure, aim, bpy, collection)
    for lamp in parse_lamps(light.lamps):
        _user_lamp(bpy, lamp, figure.sample.image.spectrum, collection)
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
    elif light.key_kind == "flash":
        _area(bpy, centre - 70 * camera.rotation[1], toward, (45.0, 28.0), power, colour, collection)
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


def _rim(figure: Figure, aim: Array, bpy: Any, collection: Any) -> None:
    """Add the light from behind: a softbox above the shoulder."""
    light = figure.sample.light
    a = math.radians(light.rim_azimuth_deg)
    toward = WORLD_FROM_HEAD @ np.array([0.9 * math.sin(a), 0.43, 0.9 * math.cos(a)])
    colour = (1.0, 1.0, 1.0) if figure.sample.image.spectrum == "nir" else blackbody(light.key_temperature_k)
    distance = 1100.0
    power = light.rim_strength * math.pi**2 * (distance * METRES) ** 2
    _area(bpy, aim + distance * toward, toward, (450.0, 450.0), power, colour, collection)


def _area(
    bpy: Any, place: Array, toward: Array, size: tuple[float, float], power: float, colour: Any, collection: Any
) -> None:
    """Add a rectangular light of `size` mm whose back points `toward`; `power` in W."""
    data = bpy.data.lights.new("key", "AREA")
    data.shape = "RECTANGLE"
    data.size, data.size_y = (edge * METRES for edge in size)
    data.energy, data.color = power, colour
    _lamp(bpy, data, place, toward, collection)


def _user_lamp(bpy: Any, lamp: Lamp, spectrum: str, collection: Any) -> None:
    """Add one of the user's lamps."""
    kind = "AREA" if lamp.height else "SPOT" if lamp.spread_deg < 360 else "POINT"
    data = bpy.data.lights.new("lamp", kind)
    if kind == "AREA":
        data.shape = "RECTANGLE"
        data.size, data.size_y = lamp.width * METRES, lamp.height * METRES
        data.spread = math.radians(lamp.spread_deg)
    else:
        data.shadow_soft_size = lamp.width / 2 * METRES
    if kind == "SPOT":
        data.spot_size = math.radians(lamp.spread_deg)
    power = lamp.power if spectrum == "rgb" else np.full(3, lamp.power.mean())
    data.energy = float(power.max())
    data.color = power / power.max() if power.any() else np.ones(3)
    _lamp(bpy, data, lamp.place, -lamp.shines, collection)


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


def illuminant(figure: Figure, means: dict[str, Array]) -> Array:
    """Return the colour (3,) of the sample's light as a whole, luminance 1: what a camera's white balance corrects."""
    light = figure.sample.light
    total = light.key_strength * np.array(blackbody(light.key_temperature_k)) + lamp_light(figure)
    if light.hdri != "none":
        total = total + light.hdri_strength * means[light.hdri] / luminance(means[light.hdri])
    return total / luminance(total) if total.any() else np.ones(3)


def lamp_light(figure: Figure) -> Array:
    """Return the light (3,) of the user's lamps on the face, as strengths of key lights."""
    return sum((lamp.light_at(figure.head_origin) for lamp in parse_lamps(figure.sample.light.lamps)), np.zeros(3))


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


def mean_colour(image: Any) -> Array:
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
