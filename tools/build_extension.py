"""Build the Blender extension: python tools/build_extension.py [-o DIR] -> DIR/facewright-X.Y.Z.zip

In it lie the add-on, this repository's wheel (with head and recipes) and a pure-Python wheel of PyYAML, the one package
that Facewright needs in Blender and Blender has not; built from its source, because PyPI's wheels are compiled, one for
each Python and system. Blender's own `extension build` packs and checks it all, run from pip's bpy or a Blender.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib import util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ADDON = ROOT / "blender_addon"


def build(output: Path) -> Path:
    """Build the extension in folder `output` and return its zip."""
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "facewright"
        shutil.copytree(ADDON, source, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "LICENSE", source)
        wheels = source / "wheels"
        wheel(wheels, str(ROOT))
        wheel(wheels, pinned("pyyaml"), "--no-binary", "pyyaml", PYYAML_FORCE_LIBYAML="0")
        impure = [path.name for path in wheels.iterdir() if not path.name.endswith("-none-any.whl")]
        if impure:
            raise SystemExit(f"{', '.join(impure)}: not pure Python, so of no use on other systems")
        manifest = source / "blender_manifest.toml"
        text = re.sub(r'(?m)^version = ".*"$', f'version = "{version()}"', manifest.read_text(encoding="utf-8"))
        listed = ", ".join(f'"./wheels/{path.name}"' for path in sorted(wheels.iterdir()))
        manifest.write_text(text.replace("\n[permissions]", f"wheels = [{listed}]\n\n[permissions]"), encoding="utf-8")
        output.mkdir(parents=True, exist_ok=True)
        made = output / f"facewright-{version()}.zip"
        extension("build", "--source-dir", str(source), "--output-filepath", str(made))
    extension("validate", str(made))
    return made


def wheel(folder: Path, *arguments: str, **environment: str) -> None:
    """Let pip build one wheel into `folder`."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--disable-pip-version-check",
        "--no-deps",
        "-w",
        str(folder),
    ]
    subprocess.run([*command, *arguments], check=True, env=os.environ | environment)


def pinned(package: str) -> str:
    """Return the requirement of `package` in constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith(f"{package}=="))


def version() -> str:
    """Return the version in pyproject.toml."""
    found = re.search(r'(?m)^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert found
    return found[1]


def extension(*arguments: str) -> None:
    """Run Blender's own `extension` command."""
    blender = shutil.which("blender")
    command = [sys.executable, str(cli())] if cli() else [blender or "", "--command", "extension"]
    if not cli() and not blender:
        raise SystemExit("building needs bpy (`python -m pip install bpy`) or a Blender on the path")
    result = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(result.stdout + result.stderr)


def cli() -> Path | None:
    """Return the script behind `blender --command extension` in pip's bpy, without loading that."""
    found = util.find_spec("bpy")
    places = list(found.submodule_search_locations or []) if found else []
    return next(
        (path for place in places for path in Path(place).glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py")), None
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "dist", help="folder of the zip (default dist)")
    print(build(parser.parse_args().output))
