"""Every error that Facewright raises on purpose.

FacewrightError
├── UserError            the user's mistake: one sentence, exit code 2
│   ├── RecipeError      a recipe file, a --set override, a distribution
│   ├── AssetError       an HDRI, a pack, a profile that is missing or unreadable
│   ├── OutputError      the output folder: full, read-only, somebody else's
│   ├── DatasetError     a dataset that is not one, or is damaged
│   └── MissingPackage   torch, bpy, an extra: what to install
├── TrainingError        a refiner's training went wrong; what was saved stays, exit code 1
└── FrameError           one frame failed; the run goes on, exit code 1
    ├── RenderError      Blender could not image the sample
    └── CheckError       the frame's labels contradict the truth

A message says what, where (file, field, index) and what to do.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class FacewrightError(Exception):
    """Base of all deliberate errors."""


class UserError(FacewrightError):
    """The user's mistake: printed as one sentence, exit code 2."""


class RecipeError(UserError):
    """A recipe, an override or a distribution cannot mean what it says."""


class AssetError(UserError):
    """A file the recipe names is missing or unreadable."""


class OutputError(UserError):
    """The output folder cannot take the dataset."""


class DatasetError(UserError):
    """A folder or shard is not a readable Facewright dataset."""


class MissingPackage(UserError):
    """An optional package is needed for what was asked."""


def package(name: str, purpose: str, install: str = "") -> ModuleType:
    """Return the module `name` of an optional package that `purpose` needs. Raises MissingPackage.

    `install` is what pip is to be told, where that is not the module's own name.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        root = name.partition(".")[0]
        raise MissingPackage(
            f"{purpose} needs the package {root}; run `python -m pip install {install or root}`"
        ) from None


class TrainingError(FacewrightError):
    """Training a refiner went wrong and was stopped; the last good checkpoint stays."""


class FrameError(FacewrightError):
    """One frame failed; it is quarantined and the run goes on."""


class RenderError(FrameError):
    """Blender could not image the sample."""


class CheckError(FrameError):
    """A frame's labels contradict the analytic truth."""
