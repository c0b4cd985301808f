"""One material, one function: (graph, sample) -> surface shader."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from facewright.eye.parameters import AQUEOUS_INDEX, CORNEA_INDEX
from facewright.eye.periorbita import DEPTHS_MM
from facewright.face.complexion import AXIS_Z_MM, ROLL_MM, S_MM, Y_MM
from facewright.face.parameters import METAL_COLOURS
from facewright.face.skin import GREY_HAIR, RELIEF_TILE_MM, beard_colour, brow_colour, dye_colour, hair_colour
from facewright.sample import Sample
from facewright.scene.compat import socket
from facewright.scene.nodes import Graph, Socket

UNDER_HAIR = 0.8
"""The figure's `under_hair` where dense hair stands."""
Material = Callable[[Graph, Sample, dict[str, Any]], Socket]


def skin(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Painted pigments (face/skin.py), lids painted in lid coordinates, pores and fine lines, subsurface scattering."""
    p = sample.subject.skin
    rest = g.attribute("rest").outputs["Vector"]
    lip, margin, sebum = g.split(g.attribute("region").outputs["Vector"])
    scalp, brow, beard = g.split(g.attribute("under_hair").outputs["Vector"])
    hidden = g.math("MULTIPLY", g.math("MAXIMUM", scalp, g.math("MAXIMUM", brow, beard)), 1 / UNDER_HAIR)
    open_ = g.math("SUBTRACT", 1.0, hidden, clamp=True)  # a scalp under hair does not shine, not even from behind
    round_eye = _lid_place(g)
    soft = g.math("SUBTRACT", 1.0, g.math("MULTIPLY", margin, 0.9), clamp=True)
    x, y, z = g.split(g.vector("SCALE", rest, 1 / RELIEF_TILE_MM))
    tile = g.image(images["skin_relief"], g.join(x, g.math("MULTIPLY", z, -1.0), y))  # the box follows Blender's axes
    tile.projection, tile.projection_blend = "BOX", 0.3
    fine = g.math("MULTIPLY", tile.outputs["Color"], soft)
    painted = g.image(images["lid_relief"], round_eye).outputs["Color"]
    unrolled = _unrolled(g, rest)
    folds = g.image(images["face_relief"], unrolled, "EXTEND")
    folds.interpolation = "Cubic"
    normal = g.bump(g.math("ADD", g.math("ADD", fine, painted), folds.outputs["Color"]), 0.001)
    infrared = sample.image.spectrum == "nir"  # lamps beside the lens: the skin's own shine carries the picture
    roughness = g.math(
        "SUBTRACT",
        (0.48 if infrared else 0.6) - 0.14 * p.oiliness,
        g.math("ADD", g.math("MULTIPLY", margin, 0.3), g.math("MULTIPLY", lip, 0.22)),
        clamp=True,
    )
    radius = (1.2, 1.2, 1.2) if infrared else (1.1, 0.42, 0.22)
    return principled(
        g,
        g.vector(
            "MULTIPLY",
            g.vector(
                "MULTIPLY",
                g.attribute("albedo").outputs["Color"],
                g.image(images["face_tint"], unrolled, "EXTEND").outputs["Color"],
            ),
            g.image(images["lid_tint"], round_eye).outputs["Color"],
        ),
        roughness=roughness,
        normal=normal,
        specular=g.math("MULTIPLY", g.math("ADD", 0.65 if infrared else 0.42, g.math("MULTIPLY", margin, 0.3)), open_),
        subsurface=0.45 if infrared or sample.scene == "face" else 0.7,
        radius_mm=radius,
        coat=g.math("MULTIPLY", g.math("MULTIPLY", sebum, open_), 0.06 + 0.3 * p.oiliness),
        coat_roughness=0.34 - 0.1 * p.oiliness,
    )


def _unrolled(g: Graph, rest: Socket) -> Socket:
    """Return the texture coordinate of template position `rest` on the maps of face/complexion.py."""
    x, y, z = g.split(rest)
    s = g.math("MULTIPLY", g.math("ARCTAN2", x, g.math("SUBTRACT", z, AXIS_Z_MM)), ROLL_MM)
    column, row = (
        g.math("DIVIDE", g.math("SUBTRACT", value, low), high - low, clamp=True)
        for value, (low, high) in ((s, S_MM), (y, Y_MM))
    )
    return g.join(column, row, 0.0)


def _lid_place(g: Graph) -> Socket:
    """Return the texture coordinate of `lid` (cosine, sine of the way round, depth in mm) in the painted images."""
    cosine, sine, depth = g.split(g.attribute("lid").outputs["Vector"])
    low, high = DEPTHS_MM
    row = g.math("DIVIDE", g.math("SUBTRACT", g.math("MINIMUM", depth, high - 0.1), low), high - low)
    return g.join(g.math("FRACT", g.math("DIVIDE", g.math("ARCTAN2", sine, cosine), 2 * math.pi)), row, 0.0)


def principled(
    g: Graph,
    base: Any,
    *,
    roughness: Any,
    normal: Any = None,
    specular: Any = 0.5,
    subsurface: float = 0.0,
    radius_mm: tuple[float, float, float] = (1, 1, 1),
    coat: Any = 0.0,
    coat_roughness: float = 0.04,
) -> Socket:
    """Return a Principled BSDF; `radius_mm` is the mean free path of the subsurface, the coat water or sebum."""
    node = g.node("ShaderNodeBsdfPrincipled", subsurface_method="BURLEY")
    g.feed(node.inputs["Base Color"], base)
    g.feed(node.inputs["Roughness"], roughness)
    g.feed(node.inputs["Specular IOR Level"], specular)
    if subsurface:
        node.inputs["Subsurface Weight"].default_value = subsurface
        node.inputs["Subsurface Radius"].default_value = radius_mm
        node.inputs["Subsurface Scale"].default_value = 0.001
    if coat:
        g.feed(node.inputs["Coat Weight"], coat)
        node.inputs["Coat Roughness"].default_value = coat_roughness
        node.inputs["Coat IOR"].default_value = CORNEA_INDEX
    if normal is not None:
        g.feed(node.inputs["Normal"], normal)
    return node.outputs[0]


def sclera(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Painted white with vessels under a wet coat."""
    polar = _polar(g)
    base = g.image(images["sclera"], polar).outputs["Color"]
    x, y, _ = g.split(polar)
    grain = g.noise(
        g.join(g.math("MULTIPLY", x, 75.0), g.math("MULTIPLY", y, 37.0), 0.0),
        0.55,
        3,
        sample.subject.eye.sclera.texture,
    )
    return principled(
        g,
        base,
        roughness=0.35,
        normal=g.bump(grain, 0.00009),
        specular=0.2,
        subsurface=0.6,
        radius_mm=(1.2, 0.9, 0.8),
        coat=1.0,
    )


def iris(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Painted stroma with relief; under water it hardly shines."""
    polar = _polar(g)
    base = g.image(images["iris"], polar).outputs["Color"]
    height = g.image(images["iris_height"], polar).outputs["Color"]
    return principled(g, base, roughness=0.55, normal=g.bump(height, 0.00022), specular=0.05)


def _polar(g: Graph) -> Socket:
    """Return the texture coordinate (angle / 2 pi in [0, 1), radius) of the eye's `polar` attribute."""
    cosine, sine, radius = g.split(g.attribute("polar").outputs["Vector"])
    return g.join(g.math("FRACT", g.math("DIVIDE", g.math("ARCTAN2", sine, cosine), 2 * math.pi)), radius, 0.0)


def pupil(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """The dark fundus; bright in infrared as far as object property `glow` says (labels.pupil_brightness)."""
    if sample.image.spectrum != "nir":
        return g.shader("ShaderNodeBsdfDiffuse", Color=(0.003, 0.002, 0.002))
    glow = g.attribute("glow", "OBJECT").outputs
    return g.shader("ShaderNodeBsdfDiffuse", Color=g.math("ADD", 0.002, socket(glow, "Fac", "Factor")))


def _cornea(g: Graph, index: float, gloss: float | None) -> Socket:
    """Refract what the camera sees, and let light to the iris straight through.

    Light bent by the cornea would be a caustic, which path tracing finds rarely; letting shadow and diffuse rays pass
    keeps the iris lit and free of noise. Labels do not depend on it.
    """
    refraction = g.shader("ShaderNodeBsdfRefraction", Color=(1, 1, 1), Roughness=0.0, IOR=index)
    surface = refraction
    if gloss is not None:
        glossy = g.shader("ShaderNodeBsdfGlossy", Color=(1, 1, 1), Roughness=gloss)
        fresnel = g.node("ShaderNodeFresnel")
        fresnel.inputs["IOR"].default_value = index
        surface = g.blend(fresnel.outputs[0], refraction, glossy)
    path = g.node("ShaderNodeLightPath")
    passes = g.math("MAXIMUM", path.outputs["Is Shadow Ray"], path.outputs["Is Diffuse Ray"])
    return g.blend(passes, surface, g.shader("ShaderNodeBsdfTransparent", Color=(1, 1, 1)))


def cornea(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Air to cornea, with its tear film's reflection of everything but the LEDs (passes.shine_material).

    A pixel sees as many directions of mirrors as the cornea turns in its width, too many to meet a small flash by
    chance; where their standard deviation exceeds the slopes of the film, it is taken, so that no catchlight is missed.
    """
    px_mm = sample.camera.field_mm / sample.image.width
    turns = px_mm / (math.sqrt(12) * sample.subject.eye.cornea_radius_mm)
    return _cornea(g, CORNEA_INDEX, math.sqrt(max(TEAR_SLOPE, turns)))


TEAR_SLOPE = 0.00015
"""Slope of the tear film's own roughness, by eye; Cycles wants its square root."""


def cornea_back(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Cornea to aqueous; its reflection (0.02 %) is left out."""
    return _cornea(g, AQUEOUS_INDEX / CORNEA_INDEX, None)


def tear(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """The meniscus: clear water as a reflecting film."""
    glossy = g.shader("ShaderNodeBsdfGlossy", Color=(1, 1, 1), Roughness=0.03)
    fresnel = g.node("ShaderNodeFresnel")
    fresnel.inputs["IOR"].default_value = AQUEOUS_INDEX
    return g.blend(
        g.math("MINIMUM", fresnel.outputs[0], 0.6), g.shader("ShaderNodeBsdfTransparent", Color=(1, 1, 1)), glossy
    )


def caruncle(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Wet, lumpy, pink; the plica beside it is nearly as pale as the white."""
    place = g.node("ShaderNodeNewGeometry").outputs["Position"]
    lumps = g.noise(place, 900.0, 3)
    red = sample.subject.eye.caruncle_redness
    pale, deep, plica = np.array([0.62, 0.36, 0.30]), np.array([0.52, 0.16, 0.13]), np.array([0.66, 0.50, 0.46])
    colour = pale + red * (deep - pale)
    if sample.image.spectrum == "nir":
        colour = plica = np.full(3, 0.5)
    base = g.mix(g.ramp(lumps, 0.35, 0.65, 0.0, 0.5), tuple(colour), tuple(0.8 * colour + 0.08))
    base = g.mix(g.split(g.attribute("plica").outputs["Vector"])[0], base, tuple(plica))
    return principled(
        g,
        base,
        roughness=0.28,
        normal=g.bump(lumps, 0.0003),
        specular=0.5,
        subsurface=0.7,
        radius_mm=(1.2, 0.5, 0.3),
        coat=0.7,
    )


def conjunctiva(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Lining of the lids."""
    colour = (0.5, 0.5, 0.5) if sample.image.spectrum == "nir" else (0.55, 0.22, 0.18)
    return principled(g, colour, roughness=0.25, specular=0.5)


def mouth(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """The cavity's mucosa."""
    return principled(g, (0.16, 0.035, 0.03), roughness=0.35)


def teeth(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Wet enamel over dentine, painted by face/dentition.py."""
    return principled(
        g,
        g.attribute("albedo").outputs["Color"] if sample.image.spectrum == "rgb" else (0.6, 0.6, 0.6),
        roughness=0.22,
        subsurface=0.35,
        radius_mm=(0.8, 0.7, 0.6),
    )


def gum(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Gingiva: pink, browner in dark people, stippled and wet."""
    dark = 0.55 * sample.subject.skin.melanin
    colour = np.array([0.50, 0.19, 0.17]) * (1 - dark) + np.array([0.16, 0.07, 0.06]) * dark
    if sample.image.spectrum == "nir":
        colour = np.full(3, 0.45)
    stipple = g.noise(g.attribute("rest").outputs["Vector"], 1.1, 2)
    return principled(
        g,
        g.mix(stipple, tuple(0.8 * colour), tuple(1.2 * colour)),
        roughness=0.3,
        normal=g.bump(stipple, 0.0002),
        subsurface=0.4,
        radius_mm=(0.8, 0.3, 0.2),
    )


def tongue(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Wet and pink."""
    return principled(g, (0.45, 0.14, 0.13), roughness=0.35, coat=0.3)


def cloth(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Cotton: plain, or with a woven or printed pattern."""
    wear = sample.subject.wear
    colour = _dye(sample, wear.shirt_hue, wear.shirt_saturation, wear.shirt_value)
    other = _dye(sample, (wear.shirt_hue + 0.45) % 1, 0.6 * wear.shirt_saturation, 1 - wear.shirt_value)
    place = g.attribute("rest").outputs["Vector"]
    x, y, z = g.split(place)
    if wear.shirt_pattern == "stripes":
        mark = g.math("GREATER_THAN", g.math("SINE", g.math("MULTIPLY", y, 0.45)), 0.35)
    elif wear.shirt_pattern == "checks":
        bars = [
            g.math("GREATER_THAN", g.math("SINE", g.math("MULTIPLY", w, 0.32)), 0.2) for w in (g.math("ADD", x, z), y)
        ]
        mark = g.math("MULTIPLY", g.math("ADD", *bars), 0.5)
    elif wear.shirt_pattern == "dots":
        waves = [g.math("SINE", g.math("MULTIPLY", w, 0.5)) for w in (x, y)]
        mark = g.math("GREATER_THAN", g.math("MULTIPLY", *waves), 0.62)
    elif wear.shirt_pattern == "melange":
        mark = g.ramp(g.noise(place, 0.9, 3), 0.4, 0.75, 0.0, 0.45)
    else:
        mark = 0.0
    return _woven(g, place, g.mix(mark, tuple(colour), tuple(other)), 1.6, 0.0004)


def jacket(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Worsted wool, plain."""
    spec = sample.subject.wear.jacket
    colour = _dye(sample, spec.hue, spec.saturation, spec.value)
    return _woven(g, g.attribute("rest").outputs["Vector"], tuple(colour), 0.9, 0.0004)


def tie(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Silk with slanting stripes, of the hue opposite to the shirt's, dark on pale ones."""
    wear = sample.subject.wear
    ground = _dye(sample, (wear.shirt_hue + 0.5) % 1, 0.65, 0.6 - 0.45 * wear.shirt_value)
    stripe = _dye(sample, wear.jacket.hue, 0.3, 0.55)
    x, y, _ = g.split(g.attribute("rest").outputs["Vector"])
    slant = g.math("SINE", g.math("MULTIPLY", g.math("ADD", x, y), 0.2 + 0.5 * wear.jacket.hue))
    colour = g.mix(g.math("GREATER_THAN", slant, 0.6), tuple(ground), tuple(stripe))
    return principled(g, colour, roughness=0.45, specular=0.4)


def _dye(sample: Sample, hue: float, saturation: float, value: float) -> np.ndarray:
    """Return the linear colour (3,) of a dyed cloth; in near infrared most dyes are pale."""
    if sample.image.spectrum == "nir":
        return np.full(3, 0.4)
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value)) ** 2.2


def _woven(g: Graph, place: Socket, colour: Any, scale: float, height_m: float) -> Socket:
    """Return cloth of `colour` with a weave of `scale` features per mm."""
    weave = g.noise(place, scale, 3)
    shade = g.ramp(weave, 0.3, 0.7, 0.88, 1.06)
    base = g.vector("SCALE", g.vector("MULTIPLY", colour, (1.0, 1.0, 1.0)), shade)
    return principled(g, base, roughness=0.9, normal=g.bump(weave, height_m), specular=0.15)


def hat(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Felt, twill, or for beanies a ribbed knit."""
    spec = sample.subject.wear.hat
    colour = tuple(_dye(sample, spec.hue, spec.saturation, spec.value))
    place = g.attribute("rest").outputs["Vector"]
    if spec.kind != "beanie":
        return _woven(g, place, colour, 1.2 if spec.kind in ("cap", "brim") else 0.8, 0.0003)
    x, y, z = g.split(place)
    around = g.math("MULTIPLY", g.math("ARCTAN2", x, g.math("ADD", z, 82.0)), 70.0)
    rib = g.math("SINE", around)
    return principled(
        g,
        g.vector("SCALE", g.vector("MULTIPLY", colour, (1.0, 1.0, 1.0)), g.ramp(rib, -1, 1, 0.6, 1.1)),
        roughness=0.95,
        normal=g.bump(g.math("ADD", rib, g.math("SINE", g.math("MULTIPLY", y, 2.2))), 0.0007),
        specular=0.1,
    )


def scarf(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Wool in the shirt's opposite colour."""
    wear = sample.subject.wear
    colour = _dye(sample, (wear.shirt_hue + 0.5) % 1, wear.shirt_saturation, 0.9 - 0.8 * wear.shirt_value)
    return _woven(g, g.attribute("rest").outputs["Vector"], tuple(colour), 0.45, 0.0012)


def mask(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Fleece: medical blue or white, white, or coloured cotton."""
    spec = sample.subject.wear.mask
    if spec.kind == "cloth":
        colour = _dye(sample, spec.hue, 0.5, spec.value)
    elif spec.kind == "ffp2" or spec.hue < 0.35 or sample.image.spectrum == "nir":
        colour = np.array([0.80, 0.80, 0.79])
    else:
        colour = np.array([0.30, 0.58, 0.76]) if spec.hue < 0.9 else np.array([0.03, 0.03, 0.035])
    return _woven(g, g.attribute("rest").outputs["Vector"], tuple(colour), 1.4, 0.0003)


METALS = {"gold": (0.83, 0.60, 0.28), "silver": (0.80, 0.79, 0.77), "rose": (0.80, 0.50, 0.40)}


def _metal(g: Graph, colour: Any, roughness: float) -> Socket:
    node = g.node("ShaderNodeBsdfPrincipled")
    g.feed(node.inputs["Base Color"], colour)
    node.inputs["Metallic"].default_value = 1.0
    node.inputs["Roughness"].default_value = roughness
    return node.outputs[0]


def earring(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Polished metal."""
    return _metal(g, METALS[sample.subject.wear.jewellery.metal], 0.18)


def necklace(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Polished metal, or mother-of-pearl."""
    if sample.subject.wear.jewellery.necklace == "pearls":
        return principled(g, (0.78, 0.73, 0.66), roughness=0.2, specular=0.6, coat=0.5)
    return _metal(g, METALS[sample.subject.wear.jewellery.metal], 0.2)


def headphones(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Matt plastic: black, grey or white."""
    tone = (0.02, 0.02, 0.025, 0.12, 0.7)[int(4.999 * sample.subject.wear.hat.hue)]
    return principled(g, (tone, tone, tone), roughness=0.4)


def dark_lens(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """A dark lens without power: some light passes straight, its front mirrors."""
    spec = sample.subject.wear.glasses
    warm = 1.6 * (0.5 - spec.tint_hue) if sample.image.spectrum == "rgb" else 0.0
    colour = tuple(np.clip(spec.tint * np.array([1 + 0.6 * warm, 1 + 0.15 * warm, 1 - 0.6 * warm]), 0, 1))
    clear = g.shader("ShaderNodeBsdfTransparent", Color=colour)
    glossy = g.shader("ShaderNodeBsdfGlossy", Color=(1, 1, 1), Roughness=0.02)
    layer = g.node("ShaderNodeFresnel")
    layer.inputs["IOR"].default_value = 1.7
    return g.blend(g.math("MINIMUM", layer.outputs[0], 0.3), clear, glossy)


FRAME_COLOURS = {
    "black": (0.012, 0.012, 0.013),
    "gunmetal": (0.16, 0.165, 0.18),
    "silver": (0.62, 0.62, 0.61),
    "gold": (0.72, 0.48, 0.22),
    "grey": (0.09, 0.09, 0.095),
    "navy": (0.01, 0.018, 0.06),
    "red": (0.16, 0.012, 0.014),
    "brown": (0.022, 0.008, 0.004),
}
COATING_COLOURS = {"green": (0.45, 1.0, 0.5), "blue": (0.4, 0.5, 1.0), "none": (1.0, 1.0, 1.0)}
COATING_NIR = 0.06
"""Reflectance of a coated surface at 850 nm: coatings are made for visible light and reflect more there; reasoned."""


def glasses_metal(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Polished or lacquered wire."""
    colour = sample.subject.wear.glasses.colour
    node = g.node("ShaderNodeBsdfPrincipled")
    g.feed(node.inputs["Base Color"], FRAME_COLOURS[colour if colour in METAL_COLOURS else "gunmetal"])
    node.inputs["Metallic"].default_value = 0.0 if colour == "black" else 1.0
    node.inputs["Roughness"].default_value = 0.28
    return node.outputs[0]


def glasses_plastic(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Polished acetate; tortoise is brown with amber clouds."""
    spec = sample.subject.wear.glasses
    base: Any = FRAME_COLOURS[spec.colour]
    if spec.material == "tortoise":
        clouds = g.noise(g.attribute("rest").outputs["Vector"], 0.16, 2, roughness=0.7)
        base = g.mix(g.ramp(clouds, 0.48, 0.66), base, (0.22, 0.075, 0.016))
    if sample.image.spectrum == "nir":
        base = (0.25, 0.25, 0.25)
    return principled(g, base, roughness=0.18, specular=0.5)


def glasses_pad(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Silicone nose pads: milky and half clear."""
    clear = g.shader("ShaderNodeBsdfTransparent", Color=(1, 1, 1))
    return g.blend(0.3, clear, principled(g, (0.75, 0.73, 0.7), roughness=0.25))


def lens(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Front of a spectacle lens: refraction, and what its coating leaves of the reflection."""
    return _lens(g, sample, sample.subject.wear.glasses.index)


def lens_back(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Back of a spectacle lens, coated as the front."""
    return _lens(g, sample, 1 / sample.subject.wear.glasses.index)


def lens_edge(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """The ground edge: matt."""
    return principled(g, (0.32, 0.34, 0.34), roughness=0.5)


def _lens(g: Graph, sample: Sample, index: float) -> Socket:
    """Reflect by Schlick's approximation from the coating's residue up; pass shadow and diffuse rays as a cornea."""
    spec = sample.subject.wear.glasses
    bare = ((spec.index - 1) / (spec.index + 1)) ** 2
    coated = COATING_NIR if sample.image.spectrum == "nir" else spec.reflectance
    least = bare if spec.coating == "none" else coated
    tint = COATING_COLOURS[spec.coating] if sample.image.spectrum == "rgb" else (1.0, 1.0, 1.0)
    sharp = 0.02 if sample.light.leds != "none" else 0.004
    glossy = g.shader("ShaderNodeBsdfGlossy", Color=tint, Roughness=sharp)
    refraction = g.shader("ShaderNodeBsdfRefraction", Color=(1, 1, 1), Roughness=0.0, IOR=index)
    layer = g.node("ShaderNodeLayerWeight")
    layer.inputs["Blend"].default_value = 0.5  # `Facing` is then 1 - cosine
    rise = g.math("POWER", layer.outputs["Facing"], 5.0)
    share = g.math("ADD", least, g.math("MULTIPLY", rise, 1 - least))
    fresnel = g.node("ShaderNodeFresnel")
    fresnel.inputs["IOR"].default_value = index
    share = g.math("MAXIMUM", share, g.math("GREATER_THAN", fresnel.outputs[0], 0.9999))  # total reflection inside
    path = g.node("ShaderNodeLightPath")
    straight = g.math("MAXIMUM", path.outputs["Is Shadow Ray"], path.outputs["Is Diffuse Ray"])
    clear = g.shader("ShaderNodeBsdfTransparent", Color=(1, 1, 1))
    return g.blend(straight, g.blend(share, refraction, glossy), clear)


def hair(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Head hair: each strand a shade of its own, lighter at the tip; dyes leave grown-out roots."""
    spec, spectrum = sample.subject.hair, sample.image.spectrum
    vary, grey, tail = _tint(g)
    info = g.node("ShaderNodeHairInfo")
    along = info.outputs["Intercept"]
    natural = hair_colour(spec, spectrum)
    shade = _shade(g, vary, natural)
    bright = g.math("ADD", 0.92, g.math("MULTIPLY", g.math("MAXIMUM", along, tail), TIP_LIGHTENING))
    shade = g.vector("SCALE", shade, bright)
    shade = g.mix(_mixed_grey(g, sample, grey), shade, _grey(g, vary, spectrum))
    if spec.dye != "none":
        dyed = _shade(g, vary, dye_colour(spec, spectrum))
        grown = g.math("MULTIPLY", info.outputs["Length"], along)
        border = g.math("MULTIPLY", 0.001 * ROOTS_MM, g.math("ADD", 0.6, vary))
        share = g.math("MAXIMUM", tail, g.ramp(grown, 0.0, border))
        if spec.dye == "highlights":
            share = g.math("MULTIPLY", share, g.math("GREATER_THAN", g.math("FRACT", g.math("MULTIPLY", vary, 7)), 0.6))
        shade = g.mix(share, shade, dyed)
    return _mane(g, shade)


TIP_LIGHTENING, ROOTS_MM = 0.3, 14.0
"""How much lighter tips are than roots (sun and wear), and mean length of undyed roots; reasoned."""


def _tint(g: Graph) -> tuple[Socket, Socket, Socket]:
    """Return a strand's shade in [0, 1), and 1 if it is grey, and 1 if it hangs from a tie; see growth.grow."""
    tint = socket(g.attribute("tint").outputs, "Fac", "Factor")
    tail = g.math("GREATER_THAN", tint, 1.9995)
    grey = g.math("GREATER_THAN", g.math("SUBTRACT", tint, g.math("MULTIPLY", tail, 2.0)), 0.9995)
    return g.math("FRACT", tint), grey, tail


FINE_PX_PER_MM = 2.5
"""Scale from which on a strand stands for about one hair; at smaller ones it stands for several, some of them grey."""


def _mixed_grey(g: Graph, sample: Sample, grey: Socket) -> Any:
    """Return how grey a strand is: one hair is or is not, a strand that stands for many is in part."""
    single = float(np.clip(sample.image.width / sample.camera.field_mm / FINE_PX_PER_MM, 0.2, 1.0))
    return g.math("ADD", g.math("MULTIPLY", grey, single), (1 - single) * sample.subject.hair.grey)


def _shade(g: Graph, vary: Socket, colour: Any) -> Socket:
    """Return the colour of a strand between a darker, cooler and a lighter, warmer one."""
    dark, light = 0.4 * colour, np.minimum(colour * [1.85, 1.7, 1.55], 0.92)
    return g.mix(vary, tuple(dark), tuple(light))


def _grey(g: Graph, vary: Socket, spectrum: str) -> Socket:
    """Return the colour of a grey hair."""
    grey = GREY_HAIR if spectrum == "rgb" else np.full(3, 0.45)
    return g.mix(vary, tuple(0.8 * grey), tuple(1.15 * grey))


def brows(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Brows have the natural colour of the head's hair, darker."""
    return _fibre(g, _natural(g, sample, brow_colour(sample.subject.hair, sample.image.spectrum)), 0.32)


def beard(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Beards are coarser than the head's hair, and redder where that is not black."""
    return _mane(g, _natural(g, sample, beard_colour(sample.subject.hair, sample.image.spectrum)))


def _natural(g: Graph, sample: Sample, colour: Any) -> Socket:
    """Return the colour of fibres of `colour` (3,), grey ones among them."""
    vary, grey, _ = _tint(g)
    return g.mix(_mixed_grey(g, sample, grey), _shade(g, vary, colour), _grey(g, vary, sample.image.spectrum))


def _mane(g: Graph, colour: Any) -> Socket:
    """Fibres by the thousand: a white reflected and a tinted transmitted lobe over a diffuse share.

    A third cheaper than Principled Hair over a whole head, whose many paths wash colours out under wide skies.
    """
    shine = g.shader("ShaderNodeBsdfHair", Color=(0.06, 0.06, 0.06), RoughnessU=0.16, RoughnessV=0.6, Offset=-0.05)
    through = g.node("ShaderNodeBsdfHair", component="Transmission")
    bright = g.vector("SCALE", colour, 1.3)
    for name, value in (("Color", bright), ("RoughnessU", 0.3), ("RoughnessV", 0.8), ("Offset", 0.05)):
        g.feed(through.inputs[name], value)
    soft = g.shader("ShaderNodeBsdfDiffuse", Color=bright)
    return g.blend(0.5, g.blend(0.5, shine, through.outputs[0]), soft)


def lashes(g: Graph, sample: Sample, images: dict[str, Any]) -> Socket:
    """Lashes are darker than the head's hair; mascara makes them black."""
    base = hair_colour(sample.subject.hair, sample.image.spectrum) * 0.25
    return _fibre(g, tuple(base * (1 - 0.8 * sample.subject.make_up.mascara) + 0.002), 0.4)


def _fibre(g: Graph, colour: Any, roughness: float) -> Socket:
    node = g.node("ShaderNodeBsdfHairPrincipled", parametrization="COLOR", model="CHIANG")
    g.feed(node.inputs["Color"], colour)
    node.inputs["Roughness"].default_value = roughness
    node.inputs["Radial Roughness"].default_value = 0.35
    node.inputs["Random Roughness"].default_value = 0.2
    node.inputs["IOR"].default_value = 1.4  # keratin's 1.55 under our wide skies makes black hair grey
    return node.outputs[0]


MATERIALS: dict[str, Material] = {
    function.__name__: function
    for function in (
        skin,
        sclera,
        iris,
        pupil,
        cornea,
        cornea_back,
        tear,
        caruncle,
        conjunctiva,
        mouth,
        teeth,
        gum,
        tongue,
        cloth,
        jacket,
        tie,
        hat,
        scarf,
        mask,
        earring,
        necklace,
        headphones,
        dark_lens,
        glasses_metal,
        glasses_plastic,
        glasses_pad,
        lens,
        lens_back,
        lens_edge,
        hair,
        brows,
        beard,
        lashes,
    )
}
