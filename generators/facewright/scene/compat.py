"""What differs between Blender 4.5 and 5.x, and the way into bpy. Feature tests, not version tests, where possible."""

from __future__ import annotations

import importlib
from typing import Any

from facewright import process
from facewright.errors import MissingPackage, UserError

MINIMUM = (4, 5, 0)


def import_bpy(threads: int | None = None) -> Any:
    """Return bpy. Raises MissingPackage without it and UserError below MINIMUM.

    `threads` limits Blender's pool for everything but sampling, if this process loads bpy here (None: all cores). With
    bpy 4.5 (oneTBB 2021.13) every idle thread of that pool spins in sched_yield while Cycles samples.
    """
    try:
        with process.few_cores(threads):
            bpy: Any = importlib.import_module("bpy")
    except ImportError as error:
        raise MissingPackage(
            f"rendering needs Blender's bpy ({error}); run this inside Blender, or `python -m pip install bpy==4.5.*` "
            "with Python 3.11"
        ) from None
    if bpy.app.version < MINIMUM:
        raise UserError(
            f"Blender {bpy.app.version_string} is too old; Facewright needs {'.'.join(map(str, MINIMUM[:2]))} or newer"
        )
    return bpy


def has_denoiser() -> bool:
    """Return whether this Blender was built with OpenImageDenoise (Debian's builds are not)."""
    try:
        import _cycles
    except ImportError:
        return False
    return bool(getattr(_cycles, "with_openimagedenoise", False))


def socket(sockets: Any, *names: str) -> Any:
    """Return the first socket that exists among `names`: sockets were renamed between versions (Fac, Factor)."""
    for name in names:
        if name in sockets:
            return sockets[name]
    raise KeyError(f"no socket among {names}; there are {[s.name for s in sockets]}")


def multilayer_exr(settings: Any) -> None:
    """Set `settings` (ImageFormatSettings) to an uncompressed 32-bit single-part multilayer EXR."""
    if hasattr(settings, "media_type"):
        settings.media_type = "MULTI_LAYER_IMAGE"
    settings.file_format = "OPEN_EXR_MULTILAYER"
    settings.color_mode = "RGBA"
    settings.color_depth = "32"
    settings.exr_codec = "NONE"
    if hasattr(settings, "use_exr_interleave"):
        settings.use_exr_interleave = True


def use_nodes(datablock: Any) -> Any:
    """Return the emptied node tree of a new material or world; 5.x makes it at once and deprecates use_nodes."""
    if not datablock.node_tree:
        datablock.use_nodes = True
    datablock.node_tree.nodes.clear()
    return datablock.node_tree
