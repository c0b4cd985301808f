"""Preferences: where datasets go, what renders, which Python refines, and what the doctor found."""

import json
import os
import sys
from pathlib import Path

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from facewright import refining
from facewright.doctor import Finding
from facewright.farm.worker import DEVICES


class FacewrightPreferences(bpy.types.AddonPreferences):
    """The preferences, in Edit > Preferences > Add-ons."""

    bl_idname = __package__

    output: StringProperty(
        name="Output Folder",
        subtype="DIR_PATH",
        default=str(Path.home() / "facewright"),
        description="Each batch becomes a dataset folder in here",
    )
    device: EnumProperty(
        name="Device",
        items=[(name, name, f"Cycles renders on {name}") for name in DEVICES],
        description="What Cycles renders on; auto takes the first GPU that works, else the processor",
    )
    workers: IntProperty(name="Workers", min=1, max=1024, default=1, description="Processes that render a batch")
    refiner_python: StringProperty(
        name="Refiner's Python",
        subtype="FILE_PATH",
        description="Python with torch and kornia, for refining, and with pillow and jinja2, for reports",
    )
    assets: StringProperty(
        name="Asset Packs",
        subtype="DIR_PATH",
        description="Folder whose sub-folders hdris, backdrops and heads every recipe takes that names none",
    )
    findings: StringProperty(options={"HIDDEN"}, description="What the doctor found, as JSON")

    def draw(self, context):
        """Draw the preferences."""
        column = self.layout.column()
        for name in ("output", "device", "workers", "refiner_python", "assets"):
            column.prop(self, name)
        column.operator("facewright.doctor", icon="CHECKMARK")
        for finding in (Finding(*found) for found in json.loads(self.findings or "[]")):
            icon = "CHECKMARK" if finding.ok else "ERROR" if finding.needed else "INFO"
            row = column.split(factor=0.2)
            row.label(text=finding.what, icon=icon)
            row.label(text=finding.found + (f" - {finding.cure}" if finding.cure else ""))


def of(context):
    """Return our preferences."""
    return context.preferences.addons[__package__].preferences


def refiner_python(context):
    """Return the Python that the preferences or the environment name for refining, "" without one."""
    return bpy.path.abspath(of(context).refiner_python) or os.environ.get(refining.PYTHON_VARIABLE, "")


ASSETS = {"hdri_folder": "hdris", "backdrop_folder": "backdrops", "head_folder": "heads"}
"""Setting of a recipe: the sub-folder of the asset packs that it takes."""


def asset_folders(context):
    """Return the folders that the asset packs have, by setting."""
    place = bpy.path.abspath(of(context).assets)
    return {key: str(Path(place) / name) for key, name in ASSETS.items() if place and (Path(place) / name).is_dir()}


def setup_command():
    """Return the shell command that makes a Python for refining and reports."""
    home = Path.home() / "facewright-python"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    packages = "torch kornia safetensors pyyaml pillow jinja2"
    return f'python3 -m venv "{home}" && "{python}" -m pip install {packages}', python


def runtime_command():
    """Return the shell command that lets this Blender run ONNX files; numpy it has, so pip shall not bring another."""
    modules = bpy.utils.user_resource("SCRIPTS", path="modules")
    return f'"{sys.executable}" -m pip install --no-deps --target "{modules}" onnxruntime'


def register():
    """Register the preferences."""
    bpy.utils.register_class(FacewrightPreferences)


def unregister():
    """Take them back."""
    bpy.utils.unregister_class(FacewrightPreferences)
