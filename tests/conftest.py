"""Shared fixtures. Frames are rendered once per session: one Blender per process."""

import os

os.environ.setdefault("BLENDER_USER_EXTENSIONS", "/nonexistent")  # keep the user's extensions off sys.path

import pytest

from facewright import Recipe, sample

TINY = {
    "eye_rgb": ["image.width=128", "image.height=96"],
    "eye_nir": ["image.width=80", "image.height=128"],
    "face": ["image.width=112", "image.height=112"],
}
FAST = ["image.samples=1", "image.denoise=false", "subject.wear.glasses.kind=none"]  # test_glasses.py has the wearers


@pytest.fixture(scope="session")
def cycles():
    """A running CyclesRenderer on the CPU."""
    pytest.importorskip("bpy", reason="rendering tests need Blender's bpy")
    from facewright.scene import CyclesRenderer

    with CyclesRenderer(device="cpu") as renderer:
        yield renderer


@pytest.fixture(scope="session")
def tiny_recipes():
    return {name: Recipe.load(name, [*size, *FAST]) for name, size in TINY.items()}


@pytest.fixture(
    scope="session",
    params=[("eye_rgb", 0), ("eye_rgb", 4), ("eye_nir", 1), ("eye_nir", 5), ("face", 0), ("face", 5)],
    ids=lambda p: f"{p[0]}-{p[1]}",
)
def frame(request, cycles, tiny_recipes):
    """A tiny frame with all its layers."""
    name, index = request.param
    recipe = tiny_recipes[name]
    return cycles(sample(recipe, 3, index), (*recipe.outputs, "canonical"))
