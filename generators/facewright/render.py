"""What a renderer is, and what it returns.

`scene.CyclesRenderer` images a Sample with Blender; `mock.MockRenderer` paints its analytic truth with numpy, so that
the command line, the dataset and the farm are tested without bpy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from facewright.attributes import Value, attributes
from facewright.recipe import DEFAULT_OUTPUTS
from facewright.sample import Sample
from facewright.truth import Truth


class Layer(NamedTuple):
    """How one layer of a frame is stored: channels (0 = a plain (H, W) array), dtype, file suffix, meaning."""

    channels: int
    dtype: str
    suffix: str
    doc: str


LAYERS: dict[str, Layer] = {
    "rgb": Layer(3, "uint8", "rgb.png", "the raw render, sRGB, exposure applied"),
    "linear": Layer(3, "float32", "linear.exr", "scene-linear Rec.709, exposure applied, 1.0 = sRGB white; half float"),
    "refined": Layer(3, "uint8", "refined.png", "the refined picture, sRGB"),
    "seg": Layer(0, "uint8", "seg.png", "visible class ids (schema.Label)"),
    "seg_anatomical": Layer(0, "uint8", "seg_anatomical.png", "ids of the eyes as if nothing covered them"),
    "seg_amodal": Layer(0, "uint8", "seg_amodal.png", "ids of body and eyes as if nothing worn or grown covered them"),
    "coverage": Layer(3, "uint8", "coverage.png", "share of the pixel hidden by lashes, brows, hair; 255 = all"),
    "matte": Layer(3, "uint8", "matte.png", "share of the pixel hidden by beard, glasses, headwear; 255 = all"),
    "depth": Layer(0, "float32", "depth.exr", "camera z in mm of the first surface (strands apart); 0 = background"),
    "normal": Layer(3, "float32", "normal.exr", "unit normal of that surface in camera axes; 0 = background; half"),
    "canonical": Layer(3, "float32", "canonical.exr", "where that surface lies on the template head, mm; 0 = none"),
    "albedo": Layer(3, "float32", "albedo.exr", "linear Rec.709 share of light that surfaces send back; half"),
    "glint": Layer(0, "uint8", "glint.png", "corneal reflections of the LEDs (strands apart): 0 none, k + 1 = LED k"),
}
"""Every layer a Frame may hold, by name. Shapes are (H, W) or (H, W, channels)."""


class Check(NamedTuple):
    """One truth check: `value` must not exceed `limit`; `name` says of what, with its unit."""

    name: str
    value: float
    limit: float

    @property
    def ok(self) -> bool:
        """Return whether the check holds; NaN never does."""
        return bool(self.value <= self.limit)


@dataclass
class Frame:
    """A rendered, labelled frame: named layers (see LAYERS), truth, checks, and what it took.

    `about` describes renderer and device for the dataset card; `seconds` maps stage to seconds (draft, build, beauty,
    labels, read, check, refine ...).
    """

    sample: Sample
    layers: dict[str, np.ndarray]
    truth: Truth
    checks: list[Check] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def attributes(self) -> dict[str, Value]:
        """Return the frame's attributes as one flat row: see attributes.py."""
        return attributes(self.sample, self.truth)

    def __getattr__(self, name: str) -> np.ndarray:
        layers = self.__dict__.get("layers", {})
        if name in layers:
            return layers[name]
        raise AttributeError(f"frame has no layer {name!r}; it holds {', '.join(layers)}")


class Renderer(Protocol):
    """Turns samples into frames. A context manager; `about` is known after entering."""

    about: dict[str, Any]

    def __enter__(self) -> Renderer:
        """Acquire Blender, devices, temporary folders."""
        ...

    def __exit__(self, *exc: object) -> None:
        """Release them."""
        ...

    def draft(self, sample: Sample) -> Any:
        """Return all of the frame that numpy makes alone, in any thread: a pure function."""
        ...

    def __call__(self, sample: Sample, outputs: tuple[str, ...] = DEFAULT_OUTPUTS, draft: Any = None) -> Frame:
        """Return the frame of `sample` with rgb and the layers named in `outputs`; raises RenderError.

        `draft` is that of `sample`, where it is known.
        """
        ...
