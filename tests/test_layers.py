"""The house has one direction: nothing below imports what is above, and bpy and torch stay in their rooms."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import facewright

HOUSE = Path(facewright.__file__).parent
ADDON = HOUSE.parents[1] / "blender_addon"
PURE = ("errors", "process", "rng", "dist", "schema", "truth", "geometry")
ORGANS = (*PURE, "eye", "face", "world")
CORE = (*ORGANS, "sampling", "sample", "recipe", "roots", "figure", "labels", "attributes")
MIDDLE = (*CORE, "render", "check", "mock", "refining", "progress", "dataset", "farm")
ABOVE = (*MIDDLE, "exports", "doctor", "commands", "cli")
MAY_IMPORT = {
    **dict.fromkeys(PURE, PURE),
    **dict.fromkeys(("eye", "face", "world"), ORGANS),
    **dict.fromkeys(CORE[10:], CORE),
    "render": (*CORE, "render"),
    "check": (*CORE, "render", "check"),
    "scene": (*CORE, "render", "scene", "dataset"),
    "mock": (*CORE, "render", "mock"),
    "refining": (*CORE, "render", "refining"),
    "progress": (),
    "dataset": MIDDLE,
    "farm": MIDDLE,
    "exports": (*CORE, "render", "progress", "dataset"),
    "doctor": ABOVE[:-2],
    "commands": ABOVE[:-1],
    "cli": ABOVE,
    "__main__": ABOVE,
}
ROOMS = {"bpy": ("scene",), "torch": (), "kornia": (), "facewright_refiner": ()}


def imports(path, everywhere):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", sorted(HOUSE.rglob("*.py")), ids=lambda path: str(path.relative_to(HOUSE)))
def test_imports_go_down_only(path):
    room = path.relative_to(HOUSE).parts[0].removesuffix(".py")
    for name in imports(path, everywhere=False):
        top, _, rest = name.partition(".")
        below = rest.partition(".")[0]
        assert top not in ROOMS or room in ROOMS[top], f"{path.name} imports {name}"
        known = top == "facewright" and (HOUSE / below).exists() | (HOUSE / f"{below}.py").exists()
        if room != "__init__" and known and below:
            assert below in (*MAY_IMPORT[room], room), f"{path.name} imports {name}"
    lazily = [name for name in imports(path, everywhere=True) if name.partition(".")[0] == "bpy"]
    assert not lazily or room == "scene", f"{path.name} imports bpy; only scene/ does"


@pytest.mark.parametrize("path", sorted(ADDON.rglob("*.py")), ids=lambda path: path.name)
def test_the_addon_is_thin(path):
    tops = {name.partition(".")[0] for name in imports(path, everywhere=True)}
    assert not tops & {"torch", "kornia", "facewright_refiner"}, "refining is asked of facewright.refining"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


def test_importing_facewright_pulls_neither_bpy_nor_torch():
    code = "import facewright.cli, sys; print(sorted({'bpy', 'torch', 'PIL', 'yaml', 'rich'} & {*sys.modules}))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(HOUSE.parent)}
    )
    assert answer.stdout.strip() == "[]"
