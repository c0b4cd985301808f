"""Facewright in Blender: a panel over the package `facewright`, which lies beside this one as a wheel."""

from . import jobs, operators, overlay, panels, preferences, preview, props, refine, windows

_REGISTERED = (preferences, props, operators, panels, preview, overlay)


def register():
    """Register everything; called by Blender."""
    for module in _REGISTERED:
        module.register()


def unregister():
    """Take everything back; called by Blender. Jobs that run go on."""
    for module in reversed(_REGISTERED):
        module.unregister()
    windows.forget()
    refine.close()
    jobs.forget()
