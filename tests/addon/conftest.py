"""The add-on as Blender enables it, from this clone, and scenes to use it in."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

if importlib.util.find_spec("bpy"):
    import bpy
else:
    collect_ignore_glob = ["test_*.py"]  # the extension lives in Blender

CLONE = Path(__file__).resolve().parents[2]
TINY = {"image.width": 48, "image.height": 48, "image.samples": 1, "image.denoise": False}


@pytest.fixture(scope="session")
def addon():
    """The enabled add-on."""
    sys.path.insert(0, str(CLONE))
    import blender_addon

    blender_addon.register()
    entry = bpy.context.preferences.addons.new()
    entry.module = blender_addon.__name__
    yield blender_addon
    bpy.context.preferences.addons.remove(entry)
    blender_addon.unregister()
    sys.path.remove(str(CLONE))


@pytest.fixture
def scene(addon):
    """A scene with a cube of the user's, the current one while the test runs."""
    made = bpy.data.scenes.new("user")
    cube = bpy.data.objects.new("cube", bpy.data.meshes.new("cube"))
    made.collection.objects.link(cube)
    bpy.context.window.scene = made
    yield made
    addon.preview.remove(made)
    others = [other for other in bpy.data.scenes if other != made] or [bpy.data.scenes.new("Scene")]
    bpy.context.window.scene = others[0]
    bpy.data.batch_remove([*made.collection.objects, made])


@pytest.fixture
def settings(scene, addon):
    """The filled settings of that scene."""
    return addon.props.of(scene)


@pytest.fixture
def output(addon, tmp_path):
    """An output folder of the test's own, rendered into by one worker on the processor."""
    chosen = addon.preferences.of(bpy.context)
    chosen.output, chosen.device, chosen.workers = str(tmp_path), "cpu", 1
    return tmp_path


@pytest.fixture(scope="session")
def zipped(tmp_path_factory):
    """The extension's zip."""
    folder = tmp_path_factory.mktemp("extension")
    command = [sys.executable, str(CLONE / "tools" / "build_extension.py"), "-o", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return next(folder.glob("*.zip"))
