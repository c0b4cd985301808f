"""What the windows show: pictures, redrawn areas, the view through a frame's camera."""

import math

import bpy

from facewright.world.parameters import STUDIO_HDRIS


def areas(context, kind):
    """Return the areas of `kind` in all windows."""
    return [area for window in context.window_manager.windows for area in window.screen.areas if area.type == kind]


def redraw_soon():
    """Draw the sidebars anew in a second; who is drawn asks for the next time."""
    if not bpy.app.timers.is_registered(_redraw):
        bpy.app.timers.register(_redraw, first_interval=1.0)


def _redraw():
    for region in (region for area in areas(bpy.context, "VIEW_3D") for region in area.regions if region.type == "UI"):
        region.tag_redraw()


def forget():
    """Ask for nothing more."""
    if bpy.app.timers.is_registered(_redraw):
        bpy.app.timers.unregister(_redraw)


def show(context, image):
    """Show `image` in the Image Editor: one that is open, else a new window."""
    image.reload() if image.source == "FILE" else image.update()
    if bpy.app.background:
        return
    editors = areas(context, "IMAGE_EDITOR")
    if not editors:
        bpy.ops.wm.window_new()
        editors = [context.window_manager.windows[-1].screen.areas[0]]
        editors[0].type = "IMAGE_EDITOR"
    editors[0].spaces.active.image = image


def lookers(context, camera):
    """Return the 3D views that look through `camera` by their own choice."""
    spaces = [area.spaces.active for area in areas(context, "VIEW_3D")]
    return [space for space in spaces if camera and space.use_local_camera and space.camera == camera]


def look(space, camera, light):
    """Look through `camera` in 3D view `space`; Material Preview takes over `light`'s map where it is Blender's own."""
    space.use_local_camera = True
    space.camera = camera
    space.region_3d.view_perspective = "CAMERA"
    shading = space.shading
    if shading.type == "MATERIAL" and light.hdri in STUDIO_HDRIS:
        shading.use_scene_lights, shading.use_scene_world = True, False
        shading.studio_light = f"{light.hdri}.exr"
        shading.studiolight_rotate_z = math.remainder(math.radians(light.hdri_rotation_deg), 2 * math.pi)
        shading.studiolight_intensity = min(2.0, light.hdri_strength)
