"""Facewright in Blender: a panel over the package `facewright`, which lies beside this one as a wheel."""

from . import jobs, operators, overlay, panels, preferences, preview, props, refine, windows

_MODULES = (preferences, props, operators, panels, preview, overlay, jobs, refine, windows)


def register():
    """Register everything; called by Blender."""
    for module in _MODULES:
        module.register()


def unregister():
    """Take everything back; called by Blender."""
    for module in reversed(_MODULES):
        module.unregister()
