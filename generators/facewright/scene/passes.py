"""The label scenes: the same objects, one sample, one override material; see DESIGN decision 3 in docs/architecture.md.

labels      meshes without strands: class ids through the cornea, depth, normals, canonical places
amodal      the body and the eyes alone: class ids as if nothing covered them
worn        the same with the lenses of glasses, where they are worn: class ids through lens and cornea
anatomical  the eyeballs alone
shares      everything, strands and what is worn as emission: anti-aliased shares, through lenses, in light groups:
            `coverage` of lashes, brows and hair, `matte` of beard, glasses and headwear, `roots` of the skin that
            hair, brows and beard colour
albedo      everything with its own materials in the dark: Cycles' albedo, which a denoiser is guided by
glint       the cornea a mirror, LEDs as spheres that emit their number, all else black
shine       the same for the picture: wet surfaces mirror the LEDs' light, strands and skin hide it
"""

from __future__ import annotations

from typing import Any

import numpy as np

from facewright.eye.parameters import AQUEOUS_INDEX, CORNEA_INDEX
from facewright.scene.compat import socket, use_nodes
from facewright.scene.nodes import Graph
from facewright.scene.upload import METRES
from facewright.schema import COVERAGE_CHANNELS, MATTE_CHANNELS, MATTES, SIDES, Label, side_label
from facewright.world.leds import LED_RADIUS_MM

Array = np.ndarray

CORNEA, CORNEA_BACK, LENS, LENS_BACK, TEAR, LED = 1000, 1001, 1002, 1003, 1004, 2000
"""Object indices of the refracting surfaces, the tear meniscus and the first LED; class ids stay below."""
REFRACTING = {"cornea": CORNEA, "cornea_back": CORNEA_BACK, "lens": LENS, "lens_back": LENS_BACK}
"""Object index by material."""
BLACK = (0.0, 0.0, 0.0, 1.0)
_CHANNELS = ((1.0, 0.0, 0.0, 1.0), (0.0, 1.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0))
SHARES = {"coverage": COVERAGE_CHANNELS, "matte": MATTE_CHANNELS}
"""Channels of the layers of shares, by light group."""
ROOTS = "roots"
"""Light group of the skin, whose channels are ROOT_CHANNELS."""
COLOURS = {name: colour for channels in SHARES.values() for name, colour in zip(channels, _CHANNELS, strict=True)}
"""Colour under which strands of a channel are drawn in their layer; all else is BLACK."""
MATTE_LABELS = [int(label) for labels in MATTES.values() for label in labels]
CANONICAL = "canonical"
"""Pass of the places on the template."""
SHARE_SAMPLES = 16
ALBEDO_SAMPLES = 16
SHINE_SAMPLES = 16
FILM_PER_MM, FILM_RELIEF_M = 1.2, 0.00006
"""Ripples of the tear film over sclera, caruncle and lid margins: how many in a millimetre, and how high."""


def label_material(bpy: Any, lens_index: float) -> Any:
    """Return the override that emits a face's `seg` id; surfaces of cornea and lenses refract sharply instead.

    The place on the template goes out as a pass of its own, of the first surface.
    """
    material = bpy.data.materials.new("label")
    g = Graph(use_nodes(material))
    place = g.node("ShaderNodeOutputAOV", aov_name=CANONICAL)
    g.feed(place.inputs["Color"], g.attribute("rest").outputs["Vector"])
    ids = socket(g.attribute("seg").outputs, "Fac", "Factor")
    g.output(
        _refracting(
            g, g.shader("ShaderNodeEmission", Color=(1, 1, 1), Strength=ids), CORNEA, lens_index, Label.GLASSES_LENS
        )
    )
    material.cycles.emission_sampling = "NONE"
    return material


def share_material(bpy: Any, lens_index: float) -> Any:
    """Return the override that emits an object's colour, and of a face whose `seg` is in MATTES its channel's.

    Skin emits what hair colours of it. Lenses refract.
    """
    material = bpy.data.materials.new("shares")
    g = Graph(use_nodes(material))
    part = socket(g.attribute("seg").outputs, "Fac", "Factor")
    shares = []
    for labels in MATTES.values():
        share: Any = 0.0
        for label in labels:
            share = g.math("ADD", share, g.math("COMPARE", part, int(label), 0.5))
        shares.append(share)
    colour = g.vector("ADD", g.node("ShaderNodeObjectInfo").outputs["Color"], g.join(*shares))
    colour = g.vector("ADD", colour, g.attribute("under_hair").outputs["Vector"])
    g.output(_refracting(g, g.shader("ShaderNodeEmission", Color=colour, Strength=1.0), LENS, lens_index, 0.0))
    material.cycles.emission_sampling = "NONE"
    return material


def _refracting(g: Graph, surface: Any, first: int, lens_index: float, opaque: float) -> Any:
    """Return `surface`, on objects with index `first` or above sharp refraction instead.

    A lens that reflects all light at its back, near thick edges seen aslant, emits `opaque`.
    """
    index = g.node("ShaderNodeObjectInfo").outputs["Object Index"]
    ior: Any = CORNEA_INDEX
    for which, value in ((CORNEA_BACK, AQUEOUS_INDEX / CORNEA_INDEX), (LENS, lens_index), (LENS_BACK, 1 / lens_index)):
        here = g.math("COMPARE", index, which, 0.5)
        ior = g.math("ADD", ior, g.math("MULTIPLY", here, value - CORNEA_INDEX))
    refraction = g.shader("ShaderNodeBsdfRefraction", Color=(1, 1, 1), Roughness=0.0, IOR=ior)
    fresnel = g.node("ShaderNodeFresnel")
    g.feed(fresnel.inputs["IOR"], ior)
    blind = g.math(
        "MULTIPLY", g.math("GREATER_THAN", fresnel.outputs[0], 0.9999), g.math("GREATER_THAN", index, LENS - 0.5)
    )
    clear = g.blend(blind, refraction, g.shader("ShaderNodeEmission", Color=(1, 1, 1), Strength=opaque))
    return g.blend(g.math("GREATER_THAN", index, first - 0.5), surface, clear)


def glint_material(bpy: Any) -> Any:
    """Return the override under which LED k emits k + 1 and the cornea is a perfect mirror; all else is black."""
    material = bpy.data.materials.new("glint")
    g = Graph(use_nodes(material))
    index = g.node("ShaderNodeObjectInfo").outputs["Object Index"]
    ids = g.math("MAXIMUM", g.math("SUBTRACT", index, LED - 1), 0.0)
    emission = g.shader("ShaderNodeEmission", Color=(1, 1, 1), Strength=ids)
    mirror = g.shader("ShaderNodeBsdfGlossy", Color=(1, 1, 1), Roughness=0.0)
    g.output(g.blend(g.math("COMPARE", index, CORNEA, 0.5), emission, mirror))
    material.cycles.emission_sampling = "NONE"
    return material


def shine_material(bpy: Any, radiance: float) -> Any:
    """Return the override under which LEDs emit `radiance` and every wet surface mirrors as much as water does.

    Path tracing finds a small lamp in a surface that reflects 2 % too rarely; here each camera ray is reflected and
    weighted instead, so glints are free of noise. The tear film over the sclera is uneven and scatters them.
    """
    material = bpy.data.materials.new("shine")
    g = Graph(use_nodes(material))
    index = g.node("ShaderNodeObjectInfo").outputs["Object Index"]
    part = socket(g.attribute("seg").outputs, "Fac", "Factor")
    clear = g.math("ADD", g.math("COMPARE", index, CORNEA, 0.5), g.math("COMPARE", index, TEAR, 0.5))
    film = 0.0
    for label in ("sclera", "caruncle", "lid_margin"):
        first = min(side_label(side, label) for side in SIDES)
        film = g.math("ADD", film, g.math("COMPARE", part, first + 0.5, 0.75))
    film = g.math("MULTIPLY", film, g.math("LESS_THAN", index, 0.5))
    ripple = g.noise(g.node("ShaderNodeNewGeometry").outputs["Position"], 1000.0 * FILM_PER_MM, 2)
    normal = g.bump(g.math("MULTIPLY", ripple, film), FILM_RELIEF_M)
    fresnel = g.node("ShaderNodeFresnel")
    fresnel.inputs["IOR"].default_value = CORNEA_INDEX
    g.feed(fresnel.inputs["Normal"], normal)
    mirror = g.shader("ShaderNodeBsdfGlossy", Color=fresnel.outputs[0], Roughness=0.0, Normal=normal)
    lit = g.math("MULTIPLY", g.math("GREATER_THAN", index, LED - 0.5), radiance)
    emission = g.shader("ShaderNodeEmission", Color=(1, 1, 1), Strength=lit)
    g.output(g.blend(g.math("ADD", clear, film), emission, mirror))
    material.cycles.emission_sampling = "NONE"
    return material


def led_objects(bpy: Any, leds: Array) -> list[Any]:
    """Return a sphere for each LED (N, 3) world mm, seen only in mirrors and linked to no scene yet."""
    import bmesh

    data, build = bpy.data.meshes.new("led"), bmesh.new()
    bmesh.ops.create_icosphere(build, subdivisions=4, radius=LED_RADIUS_MM * METRES)
    build.to_mesh(data)
    build.free()
    found = []
    for k, place in enumerate(leds):
        thing = bpy.data.objects.new(f"led{k}", data)
        thing.location = (place * METRES).tolist()
        thing.pass_index = LED + k
        thing.visible_camera = False
        found.append(thing)
    return found


def draw_shares(things: list[Any]) -> None:
    """Give each of `things` its colour and light group under `share_material`."""
    for thing in things:
        channel = thing.get("channel", "")
        thing.color = COLOURS.get(channel, BLACK)
        matte = channel in MATTE_CHANNELS or thing.get("matted")
        thing.lightgroup = ROOTS if thing.get("part") == "skin" else "matte" if matte else "coverage"


def label_scene(
    bpy: Any, name: str, source: Any, objects: list[Any], material: Any, samples: int, surface_passes: bool
) -> Any:
    """Return a scene that links `objects` and renders `material` on all of them, free of anything that blends ids.

    With None each keeps its own material.
    """
    scene = bpy.data.scenes.new(name)
    for thing in objects:
        scene.collection.objects.link(thing)
    scene.camera = source.camera
    layer = scene.view_layers[0]
    layer.material_override = material
    layer.use_pass_z = layer.use_pass_normal = surface_passes
    if surface_passes:
        layer.aovs.add().name = CANONICAL
    scene.render.engine = "CYCLES"
    cycles = scene.cycles
    cycles.device = source.cycles.device
    cycles.samples = samples
    cycles.use_adaptive_sampling = cycles.use_denoising = False
    cycles.pixel_filter_type = "BOX"
    cycles.filter_width = 0.01 if samples == 1 else 1.0
    cycles.sample_clamp_direct = cycles.sample_clamp_indirect = 0.0
    cycles.max_bounces = cycles.transmission_bounces = 8
    cycles.diffuse_bounces, cycles.glossy_bounces = 0, 1  # one mirror: the cornea before the LEDs
    cycles.blur_glossy = 0.0
    cycles.transparent_max_bounces = 8
    cycles.seed = 0
    render = scene.render
    render.film_transparent = True
    render.use_motion_blur = False
    render.dither_intensity = 0.0
    render.resolution_x, render.resolution_y = source.render.resolution_x, source.render.resolution_y
    render.resolution_percentage = 100
    render.threads_mode, render.threads = source.render.threads_mode, source.render.threads
    scene.view_settings.view_transform = "Raw"
    return scene


def crop(scene: Any, box: Array) -> None:
    """Let `scene` render only `box` (4,): x0, y0, x1, y1 px; what lies outside stays 0."""
    render = scene.render
    x, y = (box[[0, 2]] / render.resolution_x).clip(0, 1), (1 - box[[3, 1]] / render.resolution_y).clip(0, 1)
    render.use_border = True
    render.border_min_x, render.border_max_x = x.tolist()
    render.border_min_y, render.border_max_y = y.tolist()


def class_ids(channels: dict[str, Array], name: str) -> Array:
    """Return (H, W) uint8 ids of an emission pass; raises ValueError for a value that is no whole number in 0..255."""
    raw = np.asarray(channels[f"{name}.Combined.R"], float)
    ids = np.rint(raw)
    worst = float(np.abs(raw - ids).max())
    if worst > 1e-3 or ids.min() < 0 or ids.max() > 255:
        raise ValueError(f"label pass holds {raw.flat[np.abs(raw - ids).argmax()]!r}, which is no class id")
    return ids.astype(np.uint8)
