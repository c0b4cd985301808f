"""Render the proof pictures of docs/landmarks.md and docs/labels.md: every landmark and every class on the mesh.

python tools/make_landmark_docs.py            needs Blender's bpy; writes docs/images/{landmarks_*,regions}.png
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "generators"))

from facewright import Recipe, sample, schema  # noqa: E402
from facewright.face.landmarks import dense478  # noqa: E402
from facewright.face.parameters import IDENTITY_AXES  # noqa: E402
from facewright.figure import Figure, build_figure, surfaces  # noqa: E402
from facewright.geometry.mesh import Mesh  # noqa: E402
from facewright.labels import truth  # noqa: E402
from facewright.scene import compat, upload  # noqa: E402
from facewright.scene.nodes import Graph  # noqa: E402
from facewright.scene.world import camera_object  # noqa: E402
from facewright.schema import IBUG68, PALETTE, Label  # noqa: E402

Array = np.ndarray

IMAGES = ROOT / "docs" / "images"
CLAY = (0.62, 0.62, 0.62)
COLOURS = {
    "jaw": "#1f77b4",
    "right_brow": "#8c564b",
    "left_brow": "#8c564b",
    "nose_bridge": "#2ca02c",
    "nose_base": "#17a398",
    "right_eye": "#d62728",
    "left_eye": "#d62728",
    "outer_lip": "#9c27b0",
    "inner_lip": "#e8710a",
}
"""Colour of each landmark group."""
PLAIN = {
    "subject.head.age_years": 28.0,
    "subject.head.gender": 0.5,
    "subject.head.weight": 0.5,
    "subject.head.identity": (0.0,) * len(IDENTITY_AXES),
    "expression.mood": "neutral",
    "expression.intensity": 1.0,
    "expression.variation": (0.0,) * 8,
    "expression.blink": 0.0,
    "expression.wink": 0.0,
    "gaze.yaw_deg": 0.0,
    "gaze.pitch_deg": 0.0,
    "gaze.distance_mm": 3000.0,
    "pose.head_yaw_deg": 0.0,
    "pose.head_pitch_deg": 0.0,
    "pose.head_roll_deg": 0.0,
    "camera.elevation_deg": 0.0,
    "camera.roll_deg": 0.0,
    "camera.distance_mm": 1500.0,
    "camera.shift_x": 0.0,
    "camera.shift_y": 0.0,
}
"""An average person at rest before a frontal camera."""
VIEWS = {
    "landmarks_front": {"camera.azimuth_deg": 0.0, "camera.field_mm": 205.0},
    "landmarks_side": {"camera.azimuth_deg": -50.0, "camera.field_mm": 225.0},
    "landmarks_eye": {
        "camera.azimuth_deg": 0.0,
        "camera.target": "right_eye",
        "camera.field_mm": 62.0,
        "image.height": 560,
    },
}
TURNED = {"camera.field_mm": 225.0, "pose.head_yaw_deg": 35.0}
REGION_VIEWS = (
    {"camera.azimuth_deg": 0.0, "camera.field_mm": 330.0},
    {"camera.azimuth_deg": 80.0, "camera.field_mm": 330.0},
    {"camera.azimuth_deg": 0.0, "camera.field_mm": 105.0, "camera.elevation_deg": -28.0, "expression.mood": "grin"},
)


def main() -> None:
    """Write all pictures."""
    IMAGES.mkdir(exist_ok=True)
    for name, view in VIEWS.items():
        figure = posed({"image.width": 900, "image.height": 900, **view})
        picture, visible = clay(figure)
        save(numbered(picture, figure, visible), name)
    front = posed({"image.width": 900, "image.height": 900, **VIEWS["landmarks_front"]})
    save(triangulated(clay(front)[0], front), "landmarks_dense")
    turned = posed({"image.width": 700, "image.height": 700, "camera.azimuth_deg": 0.0, **TURNED})
    save(contoured(clay(turned)[0], turned), "landmarks_contour")
    shots = [classes(posed({"image.width": 460, "image.height": 620, **view})) for view in REGION_VIEWS]
    save(with_legend(beside(image for image, _ in shots), set().union(*(ids for _, ids in shots))), "regions")


def posed(changes: dict[str, Any]) -> Figure:
    """Return the figure of the average person with `changes`."""
    return build_figure(sample(Recipe.load("face"), 0, 0).replace(PLAIN | changes))


def solids(figure: Figure) -> list[Mesh]:
    """Return all opaque meshes in world mm, shirt and eyeballs included."""
    parts = [part for part in surfaces(figure) if part.material != "tear"]
    for eye in figure.eyes.values():
        inside = (part for part in eye.meshes if not part.material.startswith("cornea"))
        parts += [part.moved(part.vertices @ eye.rotation.T + eye.centre) for part in inside]
    return parts


def clay(figure: Figure) -> tuple[Image.Image, Array]:
    """Return a grey picture of `figure`, and which landmarks (68,) the camera sees by ray casting."""
    bpy, scene = blank(figure)
    material, g = new_material(bpy)
    g.output(g.shader("ShaderNodeBsdfDiffuse", Color=CLAY))
    for part in solids(figure):
        upload.mesh_object(bpy, part, material, scene.collection)
    lamp = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    lamp.data.energy, lamp.data.angle, lamp.rotation_euler = 2.2, 0.3, (0.9, 0.3, 0.0)
    scene.collection.objects.link(lamp)
    scene.world = bpy.data.worlds.new("world")
    Graph(compat.use_nodes(scene.world))
    background(scene.world, 0.55)
    return render(scene, samples=4), seen(bpy, scene, figure)


def classes(figure: Figure) -> tuple[Image.Image, set[int]]:
    """Return a picture of `figure` in palette colours, and the ids on its meshes."""
    bpy, scene = blank(figure)
    material, g = new_material(bpy)
    g.output(g.shader("ShaderNodeEmission", Color=g.attribute("paint").outputs["Color"], Strength=1.0))
    table = np.ones((256, 4), np.float32)
    for label, colour in PALETTE.items():
        table[label, :3] = np.array(colour) / 255
    parts = solids(figure)
    for part in parts:
        thing = upload.mesh_object(bpy, part, material, scene.collection)
        paint = thing.data.attributes.new("paint", "FLOAT_COLOR", "FACE")
        paint.data.foreach_set("color", table[part.labels].ravel())
    ids = set(np.unique(np.concatenate([part.labels for part in parts])).tolist())
    return render(scene, samples=4), ids


def blank(figure: Figure) -> tuple[Any, Any]:
    """Return bpy and its emptied scene with the camera of `figure`."""
    bpy = compat.import_bpy()
    scene = bpy.context.scene
    bpy.data.batch_remove([*bpy.data.objects, *bpy.data.meshes, *bpy.data.materials, *bpy.data.worlds])
    scene.camera = camera_object(bpy, figure.camera, scene.collection)
    scene.render.resolution_x, scene.render.resolution_y = figure.camera.width, figure.camera.height
    return bpy, scene


def new_material(bpy: Any) -> tuple[Any, Graph]:
    """Return an empty material and its graph."""
    material = bpy.data.materials.new("proof")
    return material, Graph(compat.use_nodes(material))


def background(world: Any, strength: float) -> None:
    """Give `world` an even light."""
    g = Graph(world.node_tree)
    node = g.node("ShaderNodeBackground")
    node.inputs["Strength"].default_value = strength
    node.inputs["Color"].default_value = (1, 1, 1, 1)
    world.node_tree.links.new(node.outputs[0], g.node("ShaderNodeOutputWorld").inputs[0])


def render(scene: Any, samples: int) -> Image.Image:
    """Return the scene as Cycles sees it, on white."""
    scene.render.engine, scene.cycles.samples = "CYCLES", samples
    scene.cycles.use_denoising = compat.has_denoiser() and scene.world is not None
    scene.cycles.max_bounces = 2
    scene.view_settings.view_transform = "Raw"
    scene.render.film_transparent = True
    scene.render.image_settings.file_format = "PNG"
    with tempfile.TemporaryDirectory() as folder:
        scene.render.filepath = f"{folder}/proof.png"
        compat.import_bpy().ops.render.render(write_still=True)
        picture = Image.open(scene.render.filepath).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def seen(bpy: Any, scene: Any, figure: Figure) -> Array:
    """Return which landmarks (68,) no mesh hides from the camera; 0.4 mm of a landmark's own surface is forgiven."""
    camera, graph = figure.camera, bpy.context.evaluated_depsgraph_get()
    pinhole = -camera.rotation.T @ camera.translation_mm
    found = []
    for point in figure.landmarks:
        reach = np.linalg.norm(point - pinhole)
        ray = (point - pinhole) / reach
        hit, place, *_ = scene.ray_cast(graph, (pinhole * upload.METRES).tolist(), ray.tolist())
        found.append(not hit or np.linalg.norm(np.array(place) / upload.METRES - pinhole) > reach - 0.4)
    return np.array(found)


def numbered(picture: Image.Image, figure: Figure, visible: Array) -> Image.Image:
    """Return `picture` with a numbered circle on each landmark: filled where visible, hollow where hidden."""
    camera = figure.camera
    points = camera.project(figure.landmarks @ camera.rotation.T + camera.translation_mm)
    big = picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.LANCZOS)
    draw, font = ImageDraw.Draw(big), ImageFont.load_default(22)
    for group, members in IBUG68.items():
        middle = points[members].mean(axis=0)
        for k in members:
            x, y = 2 * points[k]
            fill = COLOURS[group] if visible[k] else None
            draw.ellipse([x - 7, y - 7, x + 7, y + 7], fill=fill, outline=COLOURS[group], width=3)
            away = direction(group, points[k] - middle)
            place = (x + 24 * away[0], y + 22 * away[1])
            draw.text(place, str(k), COLOURS[group], font, anchor="mm", stroke_width=3, stroke_fill="white")
    return big.resize(picture.size, Image.Resampling.LANCZOS)


def triangulated(picture: Image.Image, figure: Figure) -> Image.Image:
    """Return `picture` with the triangles and points of the dense set, each group in a colour."""
    dense, points = dense478(), 2 * truth(figure).points["dense478"].seen_2d
    big = picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.LANCZOS)
    draw, colours = ImageDraw.Draw(big), list(dict.fromkeys(COLOURS.values()))
    for triangle in dense.triangles:
        draw.polygon([tuple(points[k]) for k in triangle], outline="#ffffff")
    for number, members in enumerate(dense.groups.values()):
        for x, y in points[list(members)]:
            draw.ellipse([x - 6, y - 6, x + 6, y + 6], fill=colours[number % len(colours)])
    return big.resize(picture.size, Image.Resampling.LANCZOS)


def contoured(picture: Image.Image, figure: Figure) -> Image.Image:
    """Return `picture` with the 3-D jaw as hollow circles and the visible contour as filled ones, numbered."""
    known = truth(figure)
    big = picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.LANCZOS)
    draw, font, colour = ImageDraw.Draw(big), ImageFont.load_default(22), COLOURS["jaw"]
    for k in IBUG68["jaw"]:
        x, y = 2 * known.landmarks_2d[k]
        draw.ellipse([x - 8, y - 8, x + 8, y + 8], outline=colour, width=3)
        x, y = 2 * known.landmarks_contour_2d[k]
        draw.ellipse([x - 6, y - 6, x + 6, y + 6], fill=colour)
        away = 28 if k > 8 else -28
        draw.text((x + away, y + 8), str(k), colour, font, anchor="mm", stroke_width=3, stroke_fill="white")
    return big.resize(picture.size, Image.Resampling.LANCZOS)


def direction(group: str, offset: Array) -> Array:
    """Return the unit direction (2,) in which a landmark's number stands: outward, inner lips inward."""
    if "brow" in group:
        return np.array([0.0, -1.0])
    if group == "nose_base":
        return np.array([0.0, 1.0])
    if group == "nose_bridge":
        return np.array([1.0, 0.0])
    away = offset * (-1 if group == "inner_lip" else 1) + (1e-6, 0)
    return away / np.linalg.norm(away)


def beside(images: Iterable[Image.Image]) -> Image.Image:
    """Return images of one height side by side."""
    images = list(images)
    row = Image.new("RGB", (sum(image.width for image in images), images[0].height), "white")
    x = 0
    for image in images:
        row.paste(image, (x, 0))
        x += image.width
    return row


def with_legend(picture: Image.Image, ids: set[int]) -> Image.Image:
    """Return `picture` above a legend of the classes `ids`."""
    columns, step = 5, 24
    rows = -(-len(ids) // columns)
    page = Image.new("RGB", (picture.width, picture.height + step * rows + 16), "white")
    page.paste(picture, (0, 0))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    for place, label in enumerate(sorted(ids)):
        x, y = 16 + (place // rows) * (page.width // columns), picture.height + 8 + step * (place % rows)
        draw.rectangle([x, y, x + 26, y + 16], PALETTE[Label(label)], "black")
        draw.text((x + 34, y + 8), f"{label} {Label(label).name}", "black", font, anchor="lm")
    return page


def save(picture: Image.Image, name: str) -> None:
    """Write a small PNG of 256 colours."""
    path = IMAGES / f"{name}.png"
    picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB (labels {schema.VERSION})")


if __name__ == "__main__":
    main()
