"""The sidebar tab "Facewright". Drawing only: every value and every deed lies elsewhere."""

import shutil

import bpy
import bpy.utils.previews

from facewright.sample import parameters

from . import jobs, preferences, preview, props, refine, windows

_icons = None
PICTURE_UNITS = 5.0
"""Edge of a thumbnail, in buttons."""
SHOWN = 3
"""Jobs, and failures of a job, that are listed."""


class _Panel:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Facewright"

    def draw(self, context):
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        self.fill(layout, context, context.scene.facewright)


class FACEWRIGHT_PT_main(_Panel, bpy.types.Panel):
    """Recipe, seed and index, and the preview."""

    bl_label = "Facewright"

    def fill(self, layout, context, settings):
        if not settings.filled and not settings.problem:
            props.fill_soon()
        row = layout.row(align=True)
        row.prop(settings, "preset")
        row.operator("facewright.load_recipe", text="", icon="FILE_FOLDER")
        row.operator("facewright.save_recipe", text="", icon="FILE_TICK")
        if settings.preset == props.FILE:
            layout.prop(settings, "recipe_file")
        column = layout.column(align=True)
        column.prop(settings, "seed")
        column.prop(settings, "index")
        if settings.problem:
            wrapped(layout, context, settings.problem, "ERROR")
        row = layout.row(align=True)
        row.scale_y = 1.4
        row.operator("facewright.preview", icon="USER")
        row.operator("facewright.remove", text="", icon="TRASH")
        collection = preview.collection_of(context.scene)
        if collection:
            if collection[preview.TAG] != settings.shown:
                layout.label(text="Another frame stands here: Preview", icon="INFO")
            row = layout.row(align=True)
            row.operator("facewright.look", icon="VIEW_CAMERA", text="Look Through")
            row.use_property_split = False
            row.prop(settings, "show_overlay", toggle=True, text="Labels", icon="OVERLAY")


class _Section(_Panel):
    bl_parent_id = "FACEWRIGHT_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    def fill(self, layout, context, settings):
        pass  # its groups are panels of their own


class FACEWRIGHT_PT_subject(_Section, bpy.types.Panel):
    """Who it is."""

    bl_label = "Subject"

    def fill(self, layout, context, settings):
        layout.operator("facewright.keep_materials", icon="ASSET_MANAGER")


class FACEWRIGHT_PT_eyes(_Section, bpy.types.Panel):
    """The eyes, and where they look."""

    bl_label = "Eyes"

    def fill(self, layout, context, settings):
        target = preview.part(context.scene, preview.TARGET)
        layout.prop(settings, "live")
        if target:
            layout.prop(target, "location", text="Gaze Target")
        else:
            layout.label(text="Preview, then drag the gaze target", icon="INFO")


class FACEWRIGHT_PT_scene(_Section, bpy.types.Panel):
    """Camera, light, backdrop, image."""

    bl_label = "Camera & Light"

    def fill(self, layout, context, settings):
        layout.label(text="Capture from this scene")
        row = layout.row(align=True)
        row.operator("facewright.capture_camera", text="Camera", icon="CAMERA_DATA")
        row.operator("facewright.capture_lamps", text="Lamps", icon="LIGHT_DATA")
        row.operator("facewright.capture_world", text="World", icon="WORLD_DATA")
        for name in props.FOLDERS:
            layout.prop(settings, name)


class FACEWRIGHT_PT_labels(_Section, bpy.types.Panel):
    """What is recorded, and the overlay."""

    bl_label = "Labels"

    def fill(self, layout, context, settings):
        layout.prop(settings, "show_overlay")
        column = layout.column()
        column.active = settings.show_overlay
        column.row().prop(settings, "overlay_marks")
        column.prop(settings, "overlay_opacity")
        layout.column().prop(settings, "outputs")


class FACEWRIGHT_PT_refiner(_Section, bpy.types.Panel):
    """What makes renders look real."""

    bl_label = "Refiner"

    def fill(self, layout, context, settings):
        layout.prop(settings, "refiner")
        if settings.refiner == props.FILE:
            layout.prop(settings, "refiner_file")
        alone, python = refine.portable(settings.refiner_spec()), preferences.refiner_python(context)
        if not alone:
            layout.prop(preferences.of(context), "refiner_python", text="Python")
        if not refine.in_process(settings.refiner_spec()) and (alone or not (python and shutil.which(python))):
            box = layout.box()
            lacking = "ONNX files need onnxruntime" if alone else "No Python with torch and kornia was found"
            wrapped(box, context, f"{lacking}. In a terminal{', then start Blender anew' if alone else ''}:", "ERROR")
            wrapped(box, context, preferences.runtime_command() if alone else preferences.setup_command()[0])
            box.operator("facewright.fix_refiner", icon="COPYDOWN")
        row = layout.row()
        row.enabled = settings.refiner != "none"
        row.operator("facewright.refine", icon="SHADERFX")


class FACEWRIGHT_PT_output(_Section, bpy.types.Panel):
    """Where it goes and how much of it."""

    bl_label = "Output"

    def fill(self, layout, context, settings):
        chosen = preferences.of(context)
        layout.prop(chosen, "output")
        column = layout.column(align=True)
        column.prop(settings, "start")
        column.prop(settings, "count")
        layout.prop(settings, "frames_per_subject")
        layout.prop(chosen, "device")
        layout.prop(chosen, "workers")


class FACEWRIGHT_PT_run(_Panel, bpy.types.Panel):
    """Rendering, in another Blender."""

    bl_label = "Run"
    bl_parent_id = "FACEWRIGHT_PT_main"

    def fill(self, layout, context, settings):
        row = layout.row(align=True)
        row.scale_y = 1.4
        row.operator("facewright.render", icon="RENDER_STILL", text="This Frame")
        row.operator("facewright.generate", icon="RENDER_ANIMATION", text=f"Generate {settings.count}")
        for job in jobs.found(bpy.path.abspath(preferences.of(context).output))[:SHOWN]:
            draw_job(layout.box(), context, job)


def draw_job(box, context, job):
    """Draw one job: how far it is, what failed, its last pictures, what can be done."""
    place = str(job.place)
    row = box.row(align=True)
    row.label(text=job.place.stem, icon={"running": "PLAY", "finished": "CHECKMARK"}.get(job.state, "PAUSE"))
    if job.running:
        windows.redraw_soon()
        row.operator("facewright.stop", icon="CANCEL").place = place
    else:
        row.operator("facewright.resume", icon="FILE_REFRESH", text="" if job.finished else "Resume").place = place
        row.operator("facewright.report", icon="URL", text="").folder = str(job.folder)
    box.progress(factor=job.done / max(1, job.total), text=job.words())
    if job.state == "stopped" and job.complaint():
        wrapped(box, context, job.complaint(), "ERROR")
    for index, error in list(job.failures.items())[-SHOWN:]:
        wrapped(box, context, f"Frame {index}: {error}", "ERROR")
    row = box.row()
    for index in job.recent:
        row.template_icon(_icon(job.picture(index)), scale=PICTURE_UNITS)


def _icon(path):
    found = _icons.get(str(path)) or _icons.load(str(path), str(path), "IMAGE")
    return found.icon_id


def wrapped(layout, context, text, icon="NONE"):
    """Write `text` on as many lines as it needs in the sidebar."""
    letters = max(20, int(context.region.width / context.preferences.system.ui_scale / 7))
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + len(word) + 1 > letters:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    column = layout.column(align=True)
    for number, part in enumerate([*lines, line]):
        column.label(text=part, icon=icon if number == 0 else "NONE" if icon == "NONE" else "BLANK1")


_PARENTS = {
    FACEWRIGHT_PT_subject: ("IDENTITY", "SKIN", "HAIR", "MOUTH", "WEAR", "EXPRESSION"),
    FACEWRIGHT_PT_eyes: ("GAZE", "EYE", "IRIS", "LIDS"),
    FACEWRIGHT_PT_scene: ("CAMERA", "LIGHT", "BACKDROP", "IMAGE"),
}


class _Group(_Panel):
    """One group of parameters: a row each, its pin before it."""

    bl_options = {"DEFAULT_CLOSED"}
    group = ""

    def draw_header_preset(self, context):
        """Draw how many are pinned, a dice, and what lets them go."""
        values = context.scene.facewright.values
        count = sum(getattr(values, props.pin(path)) for path in props.members(self.group))
        row = self.layout.row(align=True)
        if count:
            row.operator("facewright.unpin", text=str(count), icon="PINNED").group = self.group
        row.operator("facewright.redraw", text="", icon="FILE_REFRESH", emboss=False).group = self.group

    def fill(self, layout, context, settings):
        layout.enabled = settings.filled
        column = layout.column(align=True)
        for path in props.members(self.group):
            name, pinned = props.identifier(path), getattr(settings.values, props.pin(path))
            row = column.row(align=True)
            if parameters()[path][1] == "vector":
                row.label(text=settings.values.bl_rna.properties[name].name)
            else:
                row.prop(settings.values, name)
            row.prop(settings.values, props.pin(path), text="", icon="PINNED" if pinned else "UNPINNED", emboss=False)


def _group_panel(parent, group):
    words = {"bl_label": props.GROUPS[group][0], "bl_parent_id": parent.__name__, "group": group}
    return type(f"FACEWRIGHT_PT_{group.lower()}", (_Group, bpy.types.Panel), words | {"__doc__": _Group.__doc__})


_CLASSES = (
    FACEWRIGHT_PT_main,
    *_PARENTS,
    FACEWRIGHT_PT_labels,
    FACEWRIGHT_PT_refiner,
    FACEWRIGHT_PT_output,
    FACEWRIGHT_PT_run,
    *(_group_panel(parent, group) for parent, groups in _PARENTS.items() for group in groups),
)


def register():
    """Register the panels."""
    global _icons
    _icons = bpy.utils.previews.new()
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister():
    """Take them back."""
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
    bpy.utils.previews.remove(_icons)
