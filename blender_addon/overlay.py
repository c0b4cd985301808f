"""The label overlay: class colours, landmarks and gaze, drawn over the preview in every 3D view."""

from functools import cache

import bpy
import gpu
import numpy as np
from bpy.app.handlers import persistent
from gpu_extras.batch import batch_for_shader

from facewright.dataset.overlay import COLOURS, label_colours
from facewright.scene.upload import METRES

from . import preview

ARROW_MM = 60.0
CROSS_MM = 1.2
_batches = {}
_handle = None


def forget():
    """Draw anew what has changed."""
    _batches.clear()


@persistent
def _forget(*_):
    forget()


def triangles(scene):
    """Return corners (T, 3, 3) in m and class ids (T,) of the preview's surfaces that are not looked through."""
    corners, ids = [], []
    for thing in preview.collection_of(scene).all_objects:
        if thing.type != "MESH" or thing.hide_viewport or "seg" not in thing.data.attributes:
            continue
        data = thing.data
        data.calc_loop_triangles()
        count = len(data.loop_triangles)
        points, faces = np.empty((len(data.vertices), 3), np.float32), np.empty((count, 3), np.int32)
        owners, labels = np.empty(count, np.int32), np.empty(len(data.polygons), np.int32)
        data.vertices.foreach_get("co", points.ravel())
        data.loop_triangles.foreach_get("vertices", faces.ravel())
        data.loop_triangles.foreach_get("polygon_index", owners)
        data.attributes["seg"].data.foreach_get("value", labels)
        matrix = np.array(thing.matrix_world)
        shown = labels[owners] > 0
        corners.append((points @ matrix[:3, :3].T + matrix[:3, 3])[faces[shown]])
        ids.append(labels[owners][shown])
    return np.concatenate(corners).astype(np.float32), np.concatenate(ids)


def hairs(scene):
    """Return segments (S, 2, 3) in m and class ids (S,) of the preview's strands."""
    segments, ids = [np.zeros((0, 2, 3), np.float32)], [np.zeros(0, np.int32)]
    for thing in preview.collection_of(scene).all_objects:
        if thing.type != "CURVES" or "label" not in thing:
            continue
        points = np.empty((len(thing.data.curves), len(thing.data.points) // len(thing.data.curves), 3), np.float32)
        thing.data.position_data.foreach_get("vector", points.ravel())
        segments.append(np.stack([points[:, :-1], points[:, 1:]], axis=2).reshape(-1, 2, 3))
        ids.append(np.full(len(segments[-1]), thing["label"], np.int32))
    return np.concatenate(segments), np.concatenate(ids)


def strokes(scene, marks):
    """Return segments (S, 2, 3) in m and colours (S, 4) of the `marks` that are lines."""
    figure = preview.figure_of(preview.standing(scene))
    segments, colours = [], []
    if "LANDMARKS" in marks:
        for axis in np.eye(3) * CROSS_MM:
            segments.append(np.stack([figure.landmarks - axis, figure.landmarks + axis], axis=1))
            colours += [_rgba(COLOURS["landmarks"])] * len(figure.landmarks)
    if "GAZE" in marks:
        for eye in figure.eyes.values():
            for kind, axis in (("optical", np.array([0.0, 0.0, 1.0])), ("visual", eye.globe.visual_axis)):
                tip = eye.centre + ARROW_MM * (eye.rotation @ axis)
                segments.append(np.stack([eye.centre, tip])[None])
                colours.append(_rgba(COLOURS[kind]))
    if "FRAME" in marks:
        edge = _frame(figure)
        segments.append(np.stack([edge, np.roll(edge, -1, axis=0)], axis=1))
        colours += [_rgba(COLOURS["boxes"])] * 4
    if not segments:
        return np.zeros((0, 2, 3), np.float32), np.zeros((0, 4), np.float32)
    return (np.concatenate(segments) * METRES).astype(np.float32), np.array(colours, np.float32)


def _frame(figure):
    """Return the corners (4, 3) in mm of the picture in the plane of what the camera is aimed at."""
    camera = figure.camera
    pixels = np.array([[0, 0, 1], [camera.width, 0, 1], [camera.width, camera.height, 1], [0, camera.height, 1]], float)
    rays = pixels @ np.linalg.inv(camera.K).T
    return (figure.sample.camera.distance_mm * rays - camera.translation_mm) @ camera.rotation


def _rgba(text):
    return (*(int(text[k : k + 2], 16) / 255 for k in (1, 3, 5)), 1.0)


@cache
def _shader(name):
    return gpu.shader.from_builtin(name)


def _class_batches(scene, opacity):
    """Return batches of the labelled surfaces and strands."""
    found = []
    for kind, (corners, ids) in (("TRIS", triangles(scene)), ("LINES", hairs(scene))):
        colours = np.full((*corners.shape[:2], 4), opacity, np.float32)
        colours[..., :3] = (label_colours()[ids] / 255.0)[:, None]
        fields = {"pos": corners.reshape(-1, 3), "color": colours.reshape(-1, 4)}
        found.append(batch_for_shader(_shader("FLAT_COLOR"), kind, fields))
    return found


def _stroke_batch(scene, marks):
    segments, colours = strokes(scene, marks)
    fields = {"pos": segments.reshape(-1, 3), "color": np.repeat(colours, 2, axis=0)}
    return batch_for_shader(_shader("POLYLINE_FLAT_COLOR"), "LINES", fields)


def draw(context):
    """Draw the overlay in the 3D view that is being drawn."""
    scene = context.scene
    settings = scene.facewright
    if not settings.show_overlay or preview.collection_of(scene) is None:
        return
    wanted = scene.name, frozenset(settings.overlay_marks), settings.overlay_opacity
    if _batches.get("of") != wanted:
        _batches.clear()
        _batches["of"] = wanted
        if "CLASSES" in settings.overlay_marks:
            _batches["classes"] = _class_batches(scene, settings.overlay_opacity)
        if settings.overlay_marks - {"CLASSES"}:
            _batches["strokes"] = _stroke_batch(scene, settings.overlay_marks)
    if "classes" in _batches:
        _draw_classes(_batches["classes"])
    if "strokes" in _batches:
        _draw_strokes(_batches["strokes"])


def _draw_classes(batches):
    """Draw class colours over all else: their own depth first, then the colours that are nearest."""
    shader = _shader("FLAT_COLOR")
    gpu.state.active_framebuffer_get().clear(depth=1.0)
    gpu.state.depth_mask_set(True)
    gpu.state.depth_test_set("LESS_EQUAL")
    gpu.state.blend_set("ALPHA")
    for visible in (False, True):
        gpu.state.color_mask_set(visible, visible, visible, visible)
        for batch in batches:
            batch.draw(shader)
    gpu.state.blend_set("NONE")
    gpu.state.depth_test_set("NONE")
    gpu.state.depth_mask_set(False)


def _draw_strokes(batch):
    shader = _shader("POLYLINE_FLAT_COLOR")
    shader.bind()
    shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
    shader.uniform_float("lineWidth", 2.0)
    gpu.state.blend_set("ALPHA")
    gpu.state.depth_test_set("NONE")
    batch.draw(shader)
    gpu.state.blend_set("NONE")


_HANDLERS = ("undo_post", "redo_post", "load_post")


def register():
    """Draw in every 3D view."""
    global _handle
    if not bpy.app.background:
        _handle = bpy.types.SpaceView3D.draw_handler_add(lambda: draw(bpy.context), (), "WINDOW", "POST_VIEW")
    for name in _HANDLERS:
        getattr(bpy.app.handlers, name).append(_forget)


def unregister():
    """Draw no more."""
    global _handle
    if _handle:
        bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
        _handle = None
    for name in _HANDLERS:
        getattr(bpy.app.handlers, name).remove(_forget)
    forget()
