"""Operators: each takes the panel's state, calls one function of the package, and reports."""

import functools
import json
from pathlib import Path

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ExportHelper, ImportHelper

from facewright import doctor
from facewright.dataset import layout
from facewright.errors import FacewrightError, UserError

from . import capture, jobs, preferences, preview, props, refine, windows

GROUP = EnumProperty(name="Group", items=[(name, words[0], "") for name, words in props.GROUPS.items()])


def reporting(execute):
    """Turn the package's deliberate errors into one sentence in the status bar."""

    @functools.wraps(execute)
    def wrapped(self, context):
        try:
            return execute(self, context) or {"FINISHED"}
        except FacewrightError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}

    return wrapped


class Previewed:
    """An operator on the preview: there is none to press while nothing is previewed."""

    @classmethod
    def poll(cls, context):
        return preview.collection_of(context.scene) is not None


class FACEWRIGHT_OT_preview(bpy.types.Operator):
    """Build the frame that seed and index give in this scene, in a collection of its own"""

    bl_idname = "facewright.preview"
    bl_label = "Preview"
    bl_options = {"REGISTER", "UNDO"}

    @reporting
    def execute(self, context):
        sample = props.of(context.scene).sample()
        lookers = windows.lookers(context, preview.part(context.scene, "camera"))
        preview.build(context.scene, sample)
        for space in lookers:
            windows.look(space, preview.part(context.scene, "camera"), sample.light)


class FACEWRIGHT_OT_remove(Previewed, bpy.types.Operator):
    """Remove the preview; nothing else in the scene is touched"""

    bl_idname = "facewright.remove"
    bl_label = "Remove Preview"
    bl_options = {"REGISTER", "UNDO"}

    @reporting
    def execute(self, context):
        preview.remove(context.scene)


class FACEWRIGHT_OT_look(bpy.types.Operator):
    """Look through the frame's camera in this 3D view; Material Preview gets its environment"""

    bl_idname = "facewright.look"
    bl_label = "Look Through Camera"

    @classmethod
    def poll(cls, context):
        return context.area and context.area.type == "VIEW_3D" and preview.collection_of(context.scene) is not None

    @reporting
    def execute(self, context):
        windows.look(context.space_data, preview.part(context.scene, "camera"), preview.standing(context.scene).light)


class FACEWRIGHT_OT_keep_materials(Previewed, bpy.types.Operator):
    """Mark the preview's materials as assets: they stay in this file when the preview is removed"""

    bl_idname = "facewright.keep_materials"
    bl_label = "Materials as Assets"
    bl_options = {"REGISTER", "UNDO"}

    @reporting
    def execute(self, context):
        made = preview.materials_of(preview.collection_of(context.scene))
        for material in made:
            material.asset_mark()
            for image in {node.image for node in material.node_tree.nodes if getattr(node, "image", None)}:
                image.pack()
        self.report({"INFO"}, f"{len(made)} materials are assets")


class FACEWRIGHT_OT_follow(Previewed, bpy.types.Operator):
    """Let both eyes look at the gaze target, where it now is"""

    bl_idname = "facewright.follow"
    bl_label = "Look at Target"
    bl_options = {"REGISTER", "UNDO"}

    @reporting
    def execute(self, context):
        preview.follow(context.scene)


class FACEWRIGHT_OT_redraw(bpy.types.Operator):
    """Draw this group anew, given all else, and pin it: the whole batch has what you see"""

    bl_idname = "facewright.redraw"
    bl_label = "Redraw"
    bl_options = {"REGISTER", "UNDO"}

    group: GROUP
    roll: IntProperty(name="Roll", min=0, description="Which of the other draws to take; 0: one not seen before")

    @reporting
    def execute(self, context):
        settings = props.of(context.scene)
        if not self.roll:
            settings.rolls += 1
            self.roll = settings.rolls
        settings.hold(props.redrawn(settings, self.group, self.roll))


class FACEWRIGHT_OT_unpin(bpy.types.Operator):
    """Unpin this group: every frame draws it again"""

    bl_idname = "facewright.unpin"
    bl_label = "Unpin"
    bl_options = {"REGISTER", "UNDO"}

    group: GROUP

    @reporting
    def execute(self, context):
        props.of(context.scene).let_go(props.members(self.group))


class FACEWRIGHT_OT_capture_camera(bpy.types.Operator):
    """Pin the scene's own camera and picture size: in every frame it stands so to what it is aimed at"""

    bl_idname = "facewright.capture_camera"
    bl_label = "Capture Camera"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context):
        return context.scene.camera is not None

    @reporting
    def execute(self, context):
        settings = props.of(context.scene)
        settings.hold(capture.camera(context.scene, context.evaluated_depsgraph_get(), settings.sample()))


class FACEWRIGHT_OT_capture_world(bpy.types.Operator):
    """Pin the environment map of the scene's World as the only light, and as what stands behind"""

    bl_idname = "facewright.capture_world"
    bl_label = "Capture World"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context):
        return context.scene.world is not None

    @reporting
    def execute(self, context):
        settings = props.of(context.scene)
        folder, values = capture.world(context.scene.world)
        if folder:
            with props.silently():
                settings.hdri_folder = str(folder)
        settings.hold(values)


class FACEWRIGHT_OT_capture_lamps(bpy.types.Operator):
    """Pin the scene's own lamps in place of the recipe's; the environment stays what it is"""

    bl_idname = "facewright.capture_lamps"
    bl_label = "Capture Lamps"
    bl_options = {"REGISTER", "UNDO"}

    @reporting
    def execute(self, context):
        own = [thing for thing in context.visible_objects if not thing.get(preview.TAG)]
        props.of(context.scene).hold(capture.lamps(own, context.evaluated_depsgraph_get()))


class FACEWRIGHT_OT_save(bpy.types.Operator, ExportHelper):
    """Save the panel's recipe, pinned values and all, as JSON that the command line takes as well"""

    bl_idname = "facewright.save_recipe"
    bl_label = "Save Recipe"
    filename_ext = ".json"

    @reporting
    def execute(self, context):
        recipe = props.of(context.scene).recipe()
        layout.write_atomic(Path(self.filepath), layout.dump(recipe.to_data(), indent=2))
        self.report({"INFO"}, f"Saved {self.filepath}")


class FACEWRIGHT_OT_load(bpy.types.Operator, ImportHelper):
    """Start from a recipe file, .json or .yaml; all pins are taken out"""

    bl_idname = "facewright.load_recipe"
    bl_label = "Load Recipe"
    bl_options = {"REGISTER", "UNDO"}

    filter_glob: StringProperty(default="*.json;*.yaml;*.yml", options={"HIDDEN"})

    @reporting
    def execute(self, context):
        settings = props.of(context.scene)
        for group in props.GROUPS:
            settings.let_go(props.members(group))
        with props.silently():
            settings.preset, settings.recipe_file = props.FILE, self.filepath
        settings.load_base()
        if settings.problem:
            raise UserError(settings.problem)


def _order(context, start, count, mark=""):
    """Return the Job of frames [start, start + count) of the panel's recipe."""
    settings, chosen = props.of(context.scene), preferences.of(context)
    options = ["--workers", str(chosen.workers), "--device", chosen.device, "--refine", settings.refiner_spec()]
    python = preferences.refiner_python(context)
    options += ["--refiner-python", python] if python else []
    output = bpy.path.abspath(chosen.output)
    return jobs.order(output, settings.recipe(), settings.seed, start, count, options, mark)


class _Working:
    """Starts a job and watches it; in background mode it waits for the end.

    ESC stops the job. The job's process is not ours to lose: it goes on when Blender ends.
    """

    _timer = None

    @reporting
    def execute(self, context):
        job = self.job = self.begin(context)
        if not bpy.app.background:
            return self.watch(context)
        if job.process:
            job.process.wait()
        job.poll()
        return self.end(context)

    def watch(self, context):
        """Look twice a second from now on whether it has ended; the panel keeps itself current."""
        self._timer = context.window_manager.event_timer_add(0.5, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context, event):
        """Wait for the end of the job or for ESC."""
        if event.type == "ESC" and event.value == "PRESS":
            self.job.stop()
            return {"RUNNING_MODAL"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        if self.job.running:
            return {"PASS_THROUGH"}
        self.job.poll()
        context.window_manager.event_timer_remove(self._timer)
        try:
            return self.end(context)
        except FacewrightError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}

    def end(self, context):
        """Say how it went."""
        job = self.job
        if not job.finished:
            self.report({"WARNING"}, f"Stopped at {job.words()}. {job.complaint()}")
            return {"CANCELLED"}
        self.report({"INFO"}, job.words())
        return {"FINISHED"}


class _Batch(_Working):
    """A job whose report is opened when it is done."""

    def end(self, context):
        result = super().end(context)
        if result == {"FINISHED"} and not bpy.app.background:
            try:
                bpy.ops.facewright.report(folder=str(self.job.folder))
            except RuntimeError as error:  # no Python at hand can write one; the frames are there all the same
                self.report({"WARNING"}, str(error))
        return result


class FACEWRIGHT_OT_generate(_Batch, bpy.types.Operator):
    """Render the batch in another Blender: frames from First Index on, as a dataset in the output folder"""

    bl_idname = "facewright.generate"
    bl_label = "Generate"
    bl_options = {"REGISTER"}

    def begin(self, context):
        settings = props.of(context.scene)
        job = _order(context, settings.start, settings.count)
        job.start()
        return job


class FACEWRIGHT_OT_resume(_Batch, bpy.types.Operator):
    """Go on with a job that was stopped, or watch one that still runs"""

    bl_idname = "facewright.resume"
    bl_label = "Resume"

    place: StringProperty(name="Job", subtype="DIR_PATH", description="Folder of the job, NAME.job")

    def begin(self, context):
        job = jobs.at(self.place)
        if not job.running:
            job.start()
        return job


class FACEWRIGHT_OT_stop(bpy.types.Operator):
    """Stop the job; what is rendered stays, and Resume goes on with the rest"""

    bl_idname = "facewright.stop"
    bl_label = "Stop"

    place: StringProperty(name="Job", subtype="DIR_PATH", description="Folder of the job, NAME.job")

    @reporting
    def execute(self, context):
        jobs.at(self.place).stop()


class FACEWRIGHT_OT_render(_Working, bpy.types.Operator):
    """Render the frame that the panel shows, with all its labels, into the batch's dataset, and show it"""

    bl_idname = "facewright.render"
    bl_label = "Render This Frame"
    bl_options = {"REGISTER"}

    def begin(self, context):
        self.index = props.of(context.scene).index
        job = _order(context, self.index, 1, ".frame")
        job.start()
        return job

    def end(self, context):
        result = super().end(context)
        index = self.index
        if index in self.job.failures:
            raise UserError(f"frame {index}: {self.job.failures[index]}")
        path = self.job.picture(index)
        if path.exists():
            windows.show(context, bpy.data.images.load(str(path), check_existing=True))
        return result


class FACEWRIGHT_OT_refine(bpy.types.Operator):
    """Refine the rendered picture of this frame and show it beside the raw one: raw | refined"""

    bl_idname = "facewright.refine"
    bl_label = "Refine This Render"
    bl_options = {"REGISTER"}

    @reporting
    def execute(self, context):
        settings = props.of(context.scene)
        if settings.refiner == "none":
            raise UserError("no refiner is chosen; choose one in the panel Refiner")
        python = preferences.refiner_python(context)
        frame = refine.rendered(jobs.found(bpy.path.abspath(preferences.of(context).output)), settings.sample())
        self.work = refine.Work(frame, settings.refiner_spec(), python)
        if bpy.app.background:
            self.work.thread.join()
            return self.end(context)
        self._timer = context.window_manager.event_timer_add(0.1, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context, event):
        """Wait for the refiner's answer."""
        if event.type != "TIMER" or self.work.thread.is_alive():
            return {"PASS_THROUGH"}
        context.window_manager.event_timer_remove(self._timer)
        return self.end(context)

    @reporting
    def end(self, context):
        """Show both pictures."""
        frame = self.work.result()
        windows.show(context, refine.side_by_side(frame))
        self.report({"INFO"}, f"Refined in {frame.seconds.get('refine', 0.0):.2f} s")


class FACEWRIGHT_OT_fix_refiner(bpy.types.Operator):
    """Show and copy the command that makes the chosen refiner run: onnxruntime in here, or a Python with torch"""

    bl_idname = "facewright.fix_refiner"
    bl_label = "Fix: Copy the Command"
    bl_options = {"REGISTER"}

    def execute(self, context):
        if refine.portable(props.of(context.scene).refiner_spec()):
            command = preferences.runtime_command()
        else:
            command, python = preferences.setup_command()
            preferences.of(context).refiner_python = str(python)
        context.window_manager.clipboard = command
        self.report({"INFO"}, f"Copied; run it in a terminal: {command}")
        return {"FINISHED"}


class FACEWRIGHT_OT_report(bpy.types.Operator):
    """Write the report of a dataset, one HTML page, and open it"""

    bl_idname = "facewright.report"
    bl_label = "Open Report"
    bl_options = {"REGISTER"}

    folder: StringProperty(name="Dataset", subtype="DIR_PATH", description="Folder of the dataset")

    @reporting
    def execute(self, context):
        place = Path(self.folder).with_name(Path(self.folder).name + jobs.SUFFIX)
        self.errors = place / "report.txt"
        self.process = jobs.start_report(Path(self.folder), preferences.refiner_python(context), self.errors)
        if bpy.app.background:
            self.process.wait()
            return self.end(context)
        self._timer = context.window_manager.event_timer_add(0.2, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context, event):
        """Wait for the page."""
        if event.type != "TIMER" or self.process.poll() is None:
            return {"PASS_THROUGH"}
        context.window_manager.event_timer_remove(self._timer)
        return self.end(context)

    @reporting
    def end(self, context):
        """Open the page."""
        page = Path(self.folder) / "report.html"
        if self.process.returncode:
            raise UserError(jobs.last_line(self.errors) or f"the report of {self.folder} failed")
        self.report({"INFO"}, f"Wrote {page}")
        if not bpy.app.background:
            bpy.ops.wm.url_open(url=page.as_uri())


class FACEWRIGHT_OT_doctor(bpy.types.Operator):
    """Look for what Facewright needs: Blender, devices, packages, a refiner's Python, disk"""

    bl_idname = "facewright.doctor"
    bl_label = "Examine This Machine"
    bl_options = {"REGISTER"}

    def execute(self, context):
        findings = doctor.examine(preferences.refiner_python(context) or None)
        preferences.of(context).findings = json.dumps(findings)
        bad = [finding.what for finding in findings if finding.needed and not finding.ok]
        self.report(
            {"WARNING"} if bad else {"INFO"}, f"To fix: {', '.join(bad)}" if bad else "All that is needed is here"
        )
        return {"FINISHED"}


_CLASSES = tuple(cls for name, cls in list(globals().items()) if name.startswith("FACEWRIGHT_OT_"))


def register():
    """Register the operators."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister():
    """Take them back."""
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
