"""What a user does with the extension in a Blender window, click by click; findings go to FOLDER/found.json.

Every step is a generator's `yield`: None goes on at once, seconds wait, a function waits until it is true.
"""

import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path

import bpy
import numpy as np

ZIP, FOLDER = map(Path, sys.argv[-2:])
PATIENCE_S = 120
TINY = {"image.width": 32, "image.height": 32, "image.samples": 1}
found = {"blender": list(bpy.app.version)}


def window():
    return bpy.context.window_manager.windows[0]


def view():
    return next(area for area in window().screen.areas if area.type == "VIEW_3D")


def region(kind):
    return next(part for part in view().regions if part.type == kind)


def in_view():
    return bpy.context.temp_override(window=window(), area=view(), region=region("WINDOW"))


def settings():
    return bpy.data.scenes[0].facewright


def screenshot(name=""):
    """Return the screen (H, W, 3) uint8, and keep it as a PNG where it has a name."""
    width, height = window().width, window().height
    raw = subprocess.run(["import", "-window", "root", "-depth", "8", "rgb:-"], capture_output=True, check=True).stdout
    if name:
        subprocess.run(["import", "-window", "root", str(FOLDER / f"{name}.png")], check=True)
    return np.frombuffer(raw, np.uint8).reshape(height, width, 3).astype(int)


wanted = None


def red_button(panel, context):
    """Draw the operator that is to be clicked in red, so that it can be found on the screen."""
    if wanted:
        row = panel.layout.row()
        row.alert = True
        row.operator(wanted, text="CLICK")


def click(operator):
    """Click the red button of `operator` with the mouse."""
    global wanted
    wanted = operator
    region("UI").tag_redraw()
    yield 1.0
    picture = screenshot()
    red = (picture[..., 0] > 130) & (picture[..., 1] < 90) & (picture[..., 2] < 90)
    side = region("UI")
    red[:, : side.x], red[:, side.x + side.width - 30 :] = False, False
    rows, columns = np.nonzero(red)
    assert len(rows) > 500, f"no red button for {operator}"
    place = str(int(np.median(columns))), str(int(np.median(rows)))
    subprocess.run(["xdotool", "mousemove", *place], check=True)
    yield 0.5
    subprocess.run(["xdotool", "click", "1"], check=True)
    yield 0.5
    wanted = None
    subprocess.run(["xdotool", "mousemove", str(side.x // 2), "500"], check=True)
    region("UI").tag_redraw()


def class_pixels():
    """Return how many pixels of the 3D view have the colour of the class SKIN."""
    from facewright.schema import PALETTE, Label

    part, picture = region("WINDOW"), screenshot()
    left = picture[:, part.x : part.x + part.width - region("UI").width]
    return int((np.abs(left - np.array(PALETTE[Label.SKIN])).max(axis=2) < 12).sum())


def off_target(preview, scene, target):
    """Return the largest angle in degrees between a visual axis of the preview and the way to `target`."""
    angles = []
    for eye in preview.figure_of(preview.standing(scene)).eyes.values():
        axis = np.array(preview.part(scene, f"{eye.globe.side}_iris").matrix_world)[:3, :3] @ eye.globe.visual_axis
        way = np.array(target.location) * 1000 - eye.centre
        angles.append(float(np.degrees(np.linalg.norm(np.cross(axis, way)) / (axis @ way))))
    return max(angles)


def session():
    from_zip = bpy.ops.extensions.package_install_files(filepath=str(ZIP), repo="user_default", enable_on_install=True)
    found["installed"] = list(from_zip)
    view().spaces.active.show_region_ui = True
    yield 1.0
    region("UI").active_panel_category = "Facewright"
    bpy.types.FACEWRIGHT_PT_main.append(red_button)
    yield lambda: settings().filled
    from bl_ext.user_default.facewright import jobs, preferences, preview

    scene = bpy.data.scenes[0]
    before = {thing.name for thing in bpy.data.objects}
    yield from click("facewright.preview")
    yield lambda: preview.collection_of(scene)
    yield 0.5
    begun = time.monotonic()
    settings().index = 1
    bpy.ops.facewright.preview()
    found["preview_s"], begun = time.monotonic() - begun, time.monotonic()
    settings().values.expression_blink = 0.1
    found["blink_s"] = time.monotonic() - begun
    found["parts"] = len(preview.collection_of(scene).all_objects)
    with in_view():
        bpy.ops.facewright.look()
    bpy.ops.facewright.preview()
    found["looks_on"] = view().spaces.active.region_3d.view_perspective
    yield 1.5
    screenshot("preview")

    iris, old = preview.part(scene, "left_iris"), preview.part(scene, "left_iris").matrix_world.copy()
    target = preview.part(scene, preview.TARGET)
    target.location.x += 0.15
    yield lambda: iris.matrix_world != old
    yield 1.0
    found["off_target_deg"] = off_target(preview, scene, target)
    found["pinned"] = sorted(settings().pinned())
    screenshot("gaze")

    found["overlay"] = [class_pixels()]
    settings().show_overlay = True
    yield 1.5
    screenshot("overlay")
    settings().overlay_opacity = 1.0
    yield 1.5
    found["overlay"].append(class_pixels())
    settings().show_overlay = False
    yield 1.0
    found["overlay"].append(class_pixels())

    preferences.of(bpy.context).output = str(FOLDER / "output")
    preferences.of(bpy.context).device = "cpu"
    settings().hold(TINY)
    settings().count = 4
    yield from click("facewright.generate")
    yield lambda: jobs.found(FOLDER / "output")
    job = jobs.found(FOLDER / "output")[0]
    found["ticks"] = 0
    while job.running:
        found["ticks"] += 1
        yield 0.1
        if job.made == 2:
            screenshot("generate")
    yield lambda: job.finished
    found["frames"] = sorted(path.name for path in (job.folder / "frames").glob("*.rgb.png"))
    yield lambda: (job.folder / "report.html").exists()
    yield 1.0
    screenshot("generated")

    settings().count = 500
    yield from click("facewright.generate")
    yield lambda: job.made >= 1
    subprocess.run(["xdotool", "key", "Escape"], check=True)
    yield lambda: not job.running
    yield 1.0
    found["stopped"] = [job.state, job.done]
    screenshot("stopped")

    yield from click("facewright.remove")
    yield lambda: preview.collection_of(scene) is None
    found["left"] = sorted(before ^ {thing.name for thing in bpy.data.objects})
    with in_view():
        bpy.ops.ed.undo()
    yield 0.5
    found["undone"] = preview.collection_of(bpy.data.scenes[0]) is not None
    with in_view():
        bpy.ops.ed.redo()
    yield 0.5
    found["redone"] = preview.collection_of(bpy.data.scenes[0]) is None
    bpy.ops.preferences.addon_disable(module="bl_ext.user_default.facewright")
    yield 1.0
    found["disabled"] = not hasattr(bpy.types.Scene, "facewright")
    screenshot("disabled")


def run(steps):
    """Return the timer that takes the steps."""
    waiting, since = None, time.monotonic()

    def tick():
        nonlocal waiting, since
        try:
            if waiting and not waiting():
                assert time.monotonic() - since < PATIENCE_S, "waited in vain"
                return 0.1
            asked = next(steps)
            waiting, since = (asked if callable(asked) else None), time.monotonic()
            return asked if isinstance(asked, float) else 0.05
        except StopIteration:
            end(0)
        except BaseException:
            found["error"] = traceback.format_exc()
            screenshot("error")
            end(1)

    return tick


def end(code):
    (FOLDER / "found.json").write_text(json.dumps(found, indent=2))
    sys.stdout.flush()
    os._exit(code)


bpy.context.preferences.view.show_splash = False
bpy.context.preferences.use_preferences_save = False
bpy.app.timers.register(run(session()), first_interval=1.0)
