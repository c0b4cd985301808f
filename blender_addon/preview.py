"""The Sample in the open scene: one collection that is built, moved in place, and removed without a trace.

The person stands at the world's origin, in metres. World, render settings and the scene's own camera stay the user's;
the collection's camera is looked through by the 3D view alone.
"""

import colorsys
import dataclasses
import functools
import itertools
import json
from concurrent.futures import ThreadPoolExecutor

import bpy
import numpy as np
from bpy.app.handlers import persistent

from facewright.eye.iris import iris_albedo
from facewright.face.skin import beard_colour, brow_colour, hair_colour, mean_albedo
from facewright.figure import build_figure, gaze_angles, moving, strands, surfaces
from facewright.sample import Sample, data_at, parameters
from facewright.scene import CyclesRenderer
from facewright.scene.session import TEXTURES, textures
from facewright.scene.upload import METRES, fill, float_image
from facewright.scene.world import camera_object, lamps

NAME = "Facewright"
TAG = "facewright"
"""Custom property of everything that is ours; the collection's holds the Sample that stands there."""
TARGET = "gaze target"
MOVING = ("gaze.", "expression.blink", "expression.wink", "subject.eye.pupil_mm", "subject.eye.anisocoria_mm")
"""Parameters that move eyes and lids and nothing else: the preview follows them in place."""
CLEAR = ("cornea", "cornea_back", "tear", "lens", "lens_back")
"""Materials that the 3D view must see through."""
_painter = ThreadPoolExecutor(1)
_builds = itertools.count(1)
STRAND_MM = 0.8
"""A preview's pixel: strands are at their widest then, and fewest."""


def collection_of(scene):
    """Return the preview's collection in `scene`, None without one."""
    return next((found for found in scene.collection.children_recursive if TAG in found), None)


def standing(scene):
    """Return the Sample that stands in `scene`, None without a preview."""
    collection = collection_of(scene)
    return Sample.from_data(json.loads(collection[TAG])) if collection else None


def text_of(sample):
    """Return `sample` as text, equal for equal samples."""
    return json.dumps(sample.to_data())


def part(scene, name):
    """Return the preview's object called `name`, None where there is none."""
    collection = collection_of(scene)
    return next((thing for thing in collection.all_objects if thing.get("part") == name), None) if collection else None


def figure_of(sample):
    """Return the Figure of `sample` at the density of a viewport: everywhere as fine as a face scene, few strands."""
    wide = max(16, round(sample.camera.field_mm / STRAND_MM))
    high = max(16, round(wide * sample.image.height / sample.image.width))
    image = dataclasses.replace(sample.image, width=wide, height=high)
    return build_figure(dataclasses.replace(sample, scene="face", image=image))


def build(scene, sample):
    """Build `sample` in `scene` in place of a former preview. Return the collection."""
    figure = figure_of(sample)
    remove(scene)
    collection = bpy.data.collections.new(NAME)
    scene.collection.children.link(collection)
    images = _textured(figure)  # painted while the rest grows
    CyclesRenderer().body(figure, surfaces(figure), strands(figure), images, collection)
    camera = camera_object(bpy, figure.camera, collection)
    camera["part"] = "camera"
    lamps(bpy, dataclasses.replace(figure, leds=figure.leds[:0]), collection, [])
    target = bpy.data.objects.new("Gaze target", None)
    target.empty_display_type, target.empty_display_size = "SPHERE", 0.012
    target.show_in_front = target.show_name = True
    target["part"] = TARGET
    collection.objects.link(target)
    for thing in collection.objects:
        thing[TAG] = True
    _stand(collection, sample, figure)
    _paint(collection, sample)
    bpy.context.view_layer.update()
    return collection


def _textured(figure):
    """Return blank images that get the figure's textures as soon as they are painted, which takes a second."""
    blank = {name: float_image(bpy, name, np.full((1, 1), 0.5)) for name in TEXTURES}
    build = next(_builds)
    for image in blank.values():
        image[TAG] = build
    painting = _painter.submit(textures, figure)
    hang = functools.partial(_hang, painting, {name: image.name for name, image in blank.items()}, build)
    if bpy.app.background:
        painting.result()
        hang()
    else:
        bpy.app.timers.register(hang, first_interval=0.1)
    return blank


def _hang(painting, names, build):
    """Fill the images of `build` that are still there; a timer's function."""
    if not painting.done():
        return 0.1
    for name, pixels in painting.result().items():
        image = bpy.data.images.get(names[name])
        if image and image.get(TAG) == build:
            fill(image, pixels)
    return None


def _paint(collection, sample):
    """Give materials the colours that solid view shows; corneas, tears and lenses show in renders alone."""
    subject, spectrum = sample.subject, sample.image.spectrum
    hair = hair_colour(subject.hair, spectrum)
    wear = subject.wear
    colours = {
        "skin": mean_albedo(subject.skin, spectrum),
        "sclera": (0.75, 0.70, 0.66),
        "iris": iris_albedo(subject.eye.iris, spectrum)[0].mean(axis=(0, 1)) ** 0.8,
        "pupil": (0.005, 0.005, 0.005),
        "hat": _hsv(wear.hat.hue, wear.hat.saturation, wear.hat.value),
        "jacket": _hsv(wear.jacket.hue, wear.jacket.saturation, wear.jacket.value),
        "cloth": _hsv(wear.shirt_hue, wear.shirt_saturation, wear.shirt_value),
        "hair": hair,
        "brows": brow_colour(subject.hair, spectrum),
        "beard": beard_colour(subject.hair, spectrum),
        "lashes": 0.3 * hair,
        **dict.fromkeys(("conjunctiva", "caruncle", "mouth", "tongue", "gum"), (0.45, 0.16, 0.14)),
    }
    for thing in collection.objects:
        material = thing.active_material
        name = material.name.partition(".")[0] if material else ""
        thing.hide_viewport = name in CLEAR
        if name in colours:
            material.diffuse_color = (*colours[name][:3], 1.0)
            material.roughness, material.specular_intensity = 1.0, 0.0


def _hsv(hue, saturation, value):
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value)) ** 2.2


def move(scene, sample):
    """Move eyes, lids and lashes of the preview to `sample`; return whether that was all that differs."""
    collection = collection_of(scene)
    if collection is None or not _only_moves(standing(scene), sample):
        return False
    figure = figure_of(sample)
    things = {thing["part"]: thing for thing in collection.all_objects if "part" in thing}
    surfaces, lashes = moving(figure)
    for eye in figure.eyes.values():
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = eye.rotation, eye.centre * METRES
        for mesh in eye.meshes:
            things[mesh.name].matrix_world = matrix.T.tolist()  # RNA takes columns
            surfaces[mesh.name] = mesh.vertices
    for name, vertices in surfaces.items():
        data = things[name].data
        data.vertices.foreach_set("co", np.ascontiguousarray(vertices * METRES, np.float32).ravel())
        data.update()
    for hairs in lashes:
        data = things[hairs.name].data
        data.position_data.foreach_set("vector", np.ascontiguousarray(hairs.points * METRES, np.float32).ravel())
        data.update_tag()
    _stand(collection, sample, figure)
    return True


def _only_moves(before, after):
    old, new = before.to_data(), after.to_data()
    changed = [path for path in parameters() if data_at(old, path) != data_at(new, path)]
    same = all(old[key] == new[key] for key in ("scene", "seed", "subject_index"))
    return same and all(path.startswith(MOVING) for path in changed)


def _stand(collection, sample, figure):
    """Note that `sample` stands there, and put the gaze target where it looks."""
    from . import overlay

    collection[TAG] = text_of(sample)
    target = next(thing for thing in collection.all_objects if thing.get("part") == TARGET)
    if not _following:
        target.location = (figure.gaze_target * METRES).tolist()
    _seen[collection.name] = tuple(target.location)
    overlay.forget()


def remove(scene):
    """Remove the preview from `scene`; what is not ours moves to the scene's own collection."""
    from . import overlay

    collection = collection_of(scene)
    if collection is None:
        return
    things = [thing for thing in collection.all_objects if TAG in thing]
    for thing in collection.all_objects:
        if TAG not in thing and thing.name not in scene.collection.objects:
            scene.collection.objects.link(thing)
    data = {thing.data for thing in things if thing.data}
    materials = materials_of(collection)
    images = {node.image for made in materials for node in made.node_tree.nodes if getattr(node, "image", None)}
    bpy.data.batch_remove([*things, collection])
    for store in (data, materials, images):
        bpy.data.batch_remove([block for block in store if block.users == 0])
    overlay.forget()


def materials_of(collection):
    """Return the materials of the preview's own objects."""
    things = [thing for thing in collection.all_objects if TAG in thing]
    return {slot.material for thing in things for slot in thing.material_slots if slot.material}


# -- the gaze target ------------------------------------------------------------------------------------------------

_seen = {}
_following = False


def follow(scene):
    """Let both eyes look at where the target has been put; return whether it had moved."""
    global _following
    target = part(scene, TARGET)
    if target is None:
        return False
    _seen[collection_of(scene).name] = tuple(target.location)
    sample = standing(scene)
    place = np.array(target.matrix_world.translation) / METRES
    yaw, pitch, distance = gaze_angles(figure_of(sample), place)
    angles = {"gaze.reference": "head", "gaze.yaw_deg": yaw, "gaze.pitch_deg": pitch, "gaze.distance_mm": distance}
    _following = True
    try:
        from .props import of

        of(scene).hold({path: _within(path, value) for path, value in angles.items()})
    finally:
        _following = False
    return True


def _within(path, value):
    spec = parameters()[path][0]
    return value if spec.low is None else min(max(value, spec.low), spec.high)


@persistent
def _notice(scene, depsgraph):
    """Follow the target soon after it was dragged: a handler may not change the scene itself."""
    collection = collection_of(scene)
    if collection is None or collection.name not in _seen or not depsgraph.id_type_updated("OBJECT"):
        return
    target = part(scene, TARGET)
    moved = target and np.abs(np.subtract(target.location, _seen[collection.name])).max() > 1e-6
    if moved and not bpy.app.timers.is_registered(_follow_soon):
        bpy.app.timers.register(_follow_soon, first_interval=0.0)


def _follow_soon():
    for window in bpy.context.window_manager.windows:
        follow(window.scene)


def register():
    """Watch the gaze target."""
    bpy.app.handlers.depsgraph_update_post.append(_notice)


def unregister():
    """Stop watching it."""
    bpy.app.handlers.depsgraph_update_post.remove(_notice)
    if bpy.app.timers.is_registered(_follow_soon):
        bpy.app.timers.unregister(_follow_soon)
