"""What the panel holds: one property for every drawn parameter, made from the schema, and the few settings beside.

A parameter is *pinned* (the batch has it constant) or *drawn* (the panel shows what seed and index give). The recipe
that Preview, Generate and Save use is the preset with the pinned values in it.
"""

import contextlib
import json
from functools import cache, lru_cache
from importlib import resources, util
from pathlib import Path

import bpy
from bpy.props import (
    BoolProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from facewright.errors import FacewrightError
from facewright.recipe import OUTPUTS, Recipe, builtin_recipes, hdri_names
from facewright.render import LAYERS
from facewright.sample import data_at, parameters, sample

from . import preferences

FILE = "FILE"
FOLDERS = tuple(preferences.ASSETS)
DIGITS = 7
"""Significant digits of a pinned number: Blender's properties are 32-bit."""
GROUPS = {
    "IDENTITY": ("Identity", "subject.head"),
    "SKIN": ("Skin", "subject.skin", "subject.make_up"),
    "HAIR": ("Hair", "subject.hair"),
    "MOUTH": ("Mouth", "subject.mouth"),
    "WEAR": ("Wear", "subject.wear"),
    "EXPRESSION": ("Expression", "expression"),
    "GAZE": ("Gaze", "gaze"),
    "EYE": ("Globe & Pupil", "subject.eye"),
    "IRIS": ("Iris & Sclera", "subject.eye.iris", "subject.eye.sclera"),
    "LIDS": ("Lids", "subject.eye.lids"),
    "CAMERA": ("Camera", "camera", "pose"),
    "LIGHT": ("Light", "light"),
    "BACKDROP": ("Backdrop", "backdrop"),
    "IMAGE": ("Image", "image"),
}
"""Groups of the panel: a title and sections of the Sample; the longest section that a parameter lies in has it."""

_silent = 0


@contextlib.contextmanager
def silently():
    """Set properties without the consequences of a user's edit."""
    global _silent
    _silent += 1
    try:
        yield
    finally:
        _silent -= 1


@cache
def members(group):
    """Return the dotted paths of `group`'s parameters, in schema order."""
    owner = {section: name for name, (_, *sections) in GROUPS.items() for section in sections}

    def home(path):
        section = path.rpartition(".")[0]
        while section not in owner:
            section = section.rpartition(".")[0]
        return owner[section]

    return tuple(path for path in parameters() if home(path) == group)


def identifier(path):
    """Return the name of the property of the parameter at dotted `path`."""
    return path.replace(".", "_")


def pin(path):
    """Return the name of the property that says whether `path` is pinned."""
    return "pin_" + identifier(path)


def _title(path, unit):
    name = path.rpartition(".")[2]
    short = {"years": "years", "mm": "mm", "deg": "deg", "K": "k", "EV": "ev", "px": "px"}.get(unit, "")
    words = name.removesuffix(f"_{short}").replace("_", " ")
    return words[:1].upper() + words[1:] + (f" ({unit})" if unit else "")


def _edited(path):
    def update(values, context):
        if _silent:
            return
        with silently():
            setattr(values, pin(path), True)
        of(context.scene).changed()

    return update


def _pin_edited(values, context):
    if not _silent:
        of(context.scene).changed()


def _value_property(path, spec, kind):
    about = spec.doc + (f", in {spec.unit}" if spec.unit else "")
    options = {"name": _title(path, spec.unit), "description": about, "update": _edited(path)}
    if kind == "float":
        return FloatProperty(
            min=spec.low, max=spec.high, precision=3, step=max(1, 100 * (spec.high - spec.low) / 200), **options
        )
    if kind == "int":
        return IntProperty(min=spec.low, max=spec.high, **options)
    if kind == "bool":
        return BoolProperty(**options)
    if spec.choices:
        items = [(word, word.replace("_", " ").capitalize(), about) for word in spec.choices]
        return EnumProperty(items=items, **options)
    if path == "light.hdri":
        options["search"] = _hdris
    return StringProperty(**options)  # names, and vectors as JSON


def _hdris(values, context, text):
    found = (*hdri_names(of(context.scene).base().hdri_folder), "none")
    return [name for name in found if text.lower() in name]


def _annotations():
    found = {}
    for path, (spec, kind) in parameters().items():
        found[identifier(path)] = _value_property(path, spec, kind)
        found[pin(path)] = BoolProperty(
            name="Pin",
            description="Pinned: every frame has this value. Not pinned: each frame draws its own",
            update=_pin_edited,
        )
    return found


FacewrightParameters = type(
    "FacewrightParameters",
    (bpy.types.PropertyGroup,),
    {"__doc__": "One property for each parameter, and one for its pin.", "__annotations__": _annotations()},
)


def _presets():
    for name in builtin_recipes():
        text = (resources.files("facewright") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
        yield name, name, text.partition("\n")[0].removeprefix("# ")
    yield FILE, "File ...", "A recipe of your own, .json or .yaml"


def _refiners():
    yield "none", "None", "Keep the raw render"
    found = util.find_spec("facewright_refiner")
    for place in found.submodule_search_locations if found else ():
        for path in sorted((Path(place) / "profiles").glob("*.yaml")):
            yield path.stem, path.stem, f"The built-in camera profile {path.stem}"
    yield FILE, "File ...", "A profile (.yaml) or a learned refiner (.onnx, .safetensors) of your own"


def _base_edited(settings, context):
    if not _silent:
        settings.load_base()


def _place_edited(settings, context):
    if not _silent:
        settings.changed()


def _redraw(settings, context):
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            area.tag_redraw()


class FacewrightSettings(bpy.types.PropertyGroup):
    """The panel's state, stored in the scene."""

    preset: EnumProperty(
        name="Recipe", items=list(_presets()), default="face", description="What may exist", update=_base_edited
    )
    recipe_file: StringProperty(
        name="File", subtype="FILE_PATH", description="Recipe file, .json or .yaml", update=_base_edited
    )
    seed: IntProperty(
        name="Seed",
        min=0,
        description="Seed of everything drawn; with recipe and index it is the frame",
        update=_place_edited,
    )
    index: IntProperty(
        name="Index", min=0, description="Number of the frame in the batch that is shown", update=_place_edited
    )
    frames_per_subject: IntProperty(
        name="Frames per Person",
        min=1,
        max=10**6,
        default=1,
        update=_place_edited,
        description="Consecutive frames that share a person and differ in gaze, expression, camera and light",
    )
    outputs: EnumProperty(
        name="Layers",
        options={"ENUM_FLAG"},
        description="What a record holds beside picture and truth",
        items=[(name, name.replace("_", " "), LAYERS[name].doc) for name in OUTPUTS],
    )
    hdri_folder: StringProperty(
        name="Environment Maps",
        subtype="DIR_PATH",
        description="Folder of your own .hdr or .exr maps, beside Blender's eight",
        update=_place_edited,
    )
    backdrop_folder: StringProperty(
        name="Backdrops",
        subtype="DIR_PATH",
        description="Folder of pictures to stand behind the person",
        update=_place_edited,
    )
    head_folder: StringProperty(
        name="Head Packs",
        subtype="DIR_PATH",
        description="Folder of head packs: identities of other head models, made with facewright head-pack",
        update=_place_edited,
    )
    count: IntProperty(name="Frames", min=1, max=10**8, default=24, description="Frames of the batch")
    start: IntProperty(name="First Index", min=0, description="Index of the batch's first frame")
    refiner: EnumProperty(name="Refiner", items=list(_refiners()), description="What makes rendered frames look real")
    refiner_file: StringProperty(
        name="File",
        subtype="FILE_PATH",
        description="Profile (.yaml) or learned refiner (.onnx runs in Blender itself, .safetensors in another Python)",
    )
    live: BoolProperty(
        name="Live", default=True, description="Move eyes and lids in the preview while gaze, blink or pupil are edited"
    )
    show_overlay: BoolProperty(
        name="Label Overlay", description="Draw the labels over the preview in all 3D views", update=_redraw
    )
    overlay_opacity: FloatProperty(
        name="Opacity",
        subtype="FACTOR",
        min=0,
        max=1,
        default=0.65,
        description="Of the class colours, 0 to 1",
        update=_redraw,
    )
    overlay_marks: EnumProperty(
        name="Marks",
        options={"ENUM_FLAG"},
        default={"CLASSES", "LANDMARKS", "GAZE", "FRAME"},
        update=_redraw,
        description="What the overlay shows",
        items=[
            (
                "CLASSES",
                "Classes",
                "Segmentation classes in their colours, as surfaces; refraction is left to the render",
            ),
            ("LANDMARKS", "Landmarks", "iBUG-68 as crosses of 2.4 mm"),
            ("FRAME", "Frame", "The edge of the picture, in the plane of what the camera is aimed at"),
            ("GAZE", "Gaze", "Optical and visual axis of each eye, 60 mm long"),
        ],
    )
    filled: BoolProperty(options={"HIDDEN"}, description="Do the properties hold what is drawn?")
    shown: StringProperty(options={"HIDDEN"}, description="The Sample that the panel shows, as JSON")
    rolls: IntProperty(options={"HIDDEN"}, description="How often a group was redrawn")
    problem: StringProperty(options={"HIDDEN"}, description="What is wrong with the recipe")
    values: PointerProperty(type=FacewrightParameters)

    def source(self):
        """Return the name or file of the recipe that the panel starts from."""
        return bpy.path.abspath(self.recipe_file) if self.preset == FILE else self.preset

    def base(self):
        """Return that Recipe, with the panel's folders. Raises RecipeError."""
        source = self.source()
        path = Path(source)
        recipe = _load(source, path.stat().st_mtime_ns if path.is_file() else 0)
        data = preferences.asset_folders(bpy.context) | recipe.to_data()
        data |= {key: bpy.path.abspath(getattr(self, key)) for key in FOLDERS if getattr(self, key)}
        return Recipe.from_data(data, where=source)

    def pinned(self):
        """Return the pinned values by dotted path."""
        return {path: self.value(path) for path in parameters() if getattr(self.values, pin(path))}

    def value(self, path):
        """Return what the property of `path` holds, as recipe data."""
        held = getattr(self.values, identifier(path))
        kind = parameters()[path][1]
        if kind == "vector":
            return json.loads(held)
        return float(f"{held:.{DIGITS}g}") if kind == "float" else held

    def show(self, path, value):
        """Let the property of `path` hold `value`, which is no edit."""
        with silently():
            kind = parameters()[path][1]
            setattr(self.values, identifier(path), json.dumps(list(value)) if kind == "vector" else value)

    def hold(self, values):
        """Pin `values` by dotted path."""
        with silently():
            for path, value in values.items():
                self.show(path, value)
                setattr(self.values, pin(path), True)
        self.changed()

    def let_go(self, paths):
        """Unpin `paths`."""
        with silently():
            for path in paths:
                setattr(self.values, pin(path), False)
        self.changed()

    def recipe(self):
        """Return the Recipe of the panel: what Preview shows and Generate renders. Raises RecipeError."""
        data = self.base().pinned(self.pinned()).to_data()
        data |= {
            "frames_per_subject": self.frames_per_subject,
            "outputs": [name for name in OUTPUTS if name in self.outputs],
        }
        return Recipe.from_data(data, where=self.source())

    def sample(self):
        """Return the Sample that the panel shows. Raises RecipeError."""
        return sample(self.recipe(), self.seed, self.index)

    def refiner_spec(self):
        """Return the refiner as the command line takes it."""
        return bpy.path.abspath(self.refiner_file) if self.refiner == FILE else self.refiner

    def load_base(self):
        """Take over the settings of a recipe that was just chosen."""
        try:
            base = self.base()
        except FacewrightError as error:
            self.problem = str(error)
            return
        with silently():
            self.frames_per_subject = base.frames_per_subject
            self.outputs = set(base.outputs)
        self.changed()

    def changed(self):
        """Show what is drawn now, and let the preview follow where it can. What is wrong goes to `problem`."""
        from . import preview

        try:
            drawn = self.sample()
        except FacewrightError as error:
            self.problem = str(error)
            return
        self.problem, self.filled, self.shown = "", True, preview.text_of(drawn)
        data = drawn.to_data()
        for path in parameters():
            if not getattr(self.values, pin(path)):
                self.show(path, data_at(data, path))
        if self.live:
            preview.move(self.id_data, drawn)


@lru_cache(maxsize=8)
def _load(source, mtime):
    return Recipe.load(source)


def of(scene):
    """Return the settings of `scene`, filled at first sight."""
    settings = scene.facewright
    if not settings.filled:
        settings.load_base()
    return settings


def fill_soon():
    """Fill the settings of all scenes outside of drawing, which may change nothing."""
    if not bpy.app.timers.is_registered(_fill):
        bpy.app.timers.register(_fill, first_interval=0.0)


def _fill():
    for scene in bpy.data.scenes:
        of(scene)


def redrawn(settings, group, roll):
    """Return new values by path for the parameters of `group`, drawn given all others as they are."""
    paths = members(group)
    drawn = settings.sample()
    data = drawn.to_data()
    others = {path: data_at(data, path) for path in parameters() if path not in paths}
    base = settings.base().pinned(others)
    again = sample(base, settings.seed + roll, settings.index).to_data()
    return {path: data_at(again, path) for path in paths}


_CLASSES = (FacewrightParameters, FacewrightSettings)


def register():
    """Register the properties."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.facewright = PointerProperty(type=FacewrightSettings)


def unregister():
    """Take them back."""
    if bpy.app.timers.is_registered(_fill):
        bpy.app.timers.unregister(_fill)
    del bpy.types.Scene.facewright
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
