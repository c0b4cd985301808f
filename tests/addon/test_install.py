"""The zip installs, enables, works, disables and uninstalls in an empty profile."""

import json
import os
import subprocess
import sys
import zipfile

from facewright import Recipe

SESSION = """
import json, sys
from importlib.machinery import PathFinder
from pathlib import Path
place, profile = sys.argv[1:]
sys.path[:] = [path for path in sys.path if not Path(path, "facewright").is_dir()]  # an installed clone
class Stock:  # Blender's own Python has none of these, unless the extension brings it
    def find_spec(name, path=None, target=None):
        if name in ("yaml", "PIL", "jinja2", "rich", "imageio"):
            found = PathFinder.find_spec(name, [path for path in sys.path if path.startswith(profile)])
            if found is None:
                raise ModuleNotFoundError(name)
            return found
sys.meta_path.insert(0, Stock)
import bpy
addons = bpy.context.preferences.addons
bpy.ops.extensions.package_install_files(filepath=place, repo="user_default", enable_on_install=True)
import facewright
found = {"enabled": "bl_ext.user_default.facewright" in addons, "from": facewright.__file__}
scene = bpy.context.scene
scene.facewright.preset = "eye_rgb"
found["preview"] = list(bpy.ops.facewright.preview())
found["recipe"] = scene.facewright.sample().recipe
import yaml
found["yaml"] = yaml.__file__
for verb in ("disable", "enable"):
    getattr(bpy.ops.preferences, "addon_" + verb)(module="bl_ext.user_default.facewright")
    found["there after " + verb] = hasattr(bpy.types.Scene, "facewright")
repos = bpy.context.preferences.extensions.repos
number = next(k for k, repo in enumerate(repos) if repo.module == "user_default")
bpy.ops.extensions.package_uninstall(repo_index=number, pkg_id="facewright")
found["uninstalled"] = not hasattr(bpy.types.Scene, "facewright")
print("\\nFOUND " + json.dumps(found), flush=True)
import os
os._exit(0)
"""


def test_the_zip_holds_what_blender_lacks_and_nothing_compiled(zipped):
    names = zipfile.ZipFile(zipped).namelist()
    assert {"blender_manifest.toml", "__init__.py", "LICENSE"} <= set(names)
    wheels = [name for name in names if name.endswith(".whl")]
    assert sorted(name.split("/")[1].split("-")[0] for name in wheels) == ["facewright", "pyyaml"]
    assert all(name.endswith("-py3-none-any.whl") for name in wheels)
    assert zipped.stat().st_size < 5e6


def test_installed_into_an_empty_profile(zipped, tmp_path):
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "BLENDER_USER_EXTENSIONS")}
    result = subprocess.run(
        [sys.executable, "-c", SESSION, str(zipped), str(tmp_path / "profile")],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=kept | {"BLENDER_USER_RESOURCES": str(tmp_path / "profile")},
    )
    line = next((line for line in result.stdout.splitlines() if line.startswith("FOUND ")), None)
    assert line, result.stdout + result.stderr
    found = json.loads(line.removeprefix("FOUND "))
    for package in ("from", "yaml"):
        assert found.pop(package).startswith(str(tmp_path / "profile"))
    assert found == {
        "enabled": True,
        "preview": ["FINISHED"],
        "recipe": Recipe.load("eye_rgb").digest,
        "there after disable": False,
        "there after enable": True,
        "uninstalled": True,
    }
