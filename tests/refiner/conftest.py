"""Frames without Blender: a soft eye on textured skin, whose pupil centre is known."""

import math
import typing

import numpy as np
import pytest
import torch
from PIL import Image

from facewright import Recipe, sample
from facewright.dataset.card import Card
from facewright.dataset.writer import open_for_writing
from facewright.mock import MockRenderer
from facewright.render import Frame
from facewright.truth import Ellipse, EyeTruth, Truth
from facewright_refiner.matching import fitted_knobs, proposal

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_frame():
    return frame_of


@pytest.fixture(scope="session")
def painted(tmp_path_factory):
    """A dataset of 20 diagrams of eyes under a proposal of matching, and 40 pictures in the place of real ones."""
    folder = tmp_path_factory.mktemp("painted")
    recipe = Recipe.load("eye_rgb")
    wide = proposal(recipe, {knob.path: knob.bounds(50.0) for knob in fitted_knobs(recipe)}, (30, 50))
    (folder / "real").mkdir()
    with open_for_writing(folder / "renders", Card.of(wide, 1).extended(0, 20)) as writer, MockRenderer() as render:
        for index in range(20):
            made = render(sample(wide, 1, index), wide.outputs)
            writer.write(made)
            for dark in (1, 2):
                Image.fromarray(made.rgb // dark).save(folder / "real" / f"{index:03}{dark}a.png")
    return folder


def frame_of(index=0, width=96, height=72, seed=3, linear=True):
    drawn = sample(Recipe.load("eye_rgb"), seed, index).replace(
        {"image.width": width, "image.height": height, "camera.field_mm": 50.0}
    )
    pupil = np.array([width * 0.5 + 3 * math.sin(index), height * 0.5 + 2 * math.cos(index)])
    light = paint(width, height, pupil, index)
    rgb = np.round(np.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clip(1e-8) ** (1 / 2.4) - 0.055) * 255)
    layers = {"rgb": rgb.clip(0, 255).astype(np.uint8)} | ({"linear": light} if linear else {})
    layers["seg"] = np.zeros((height, width), np.uint8)
    return Frame(drawn, layers, _truth(drawn, pupil, width, height), about={"renderer": "painted"})


def paint(width, height, pupil, index):
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    radius = np.hypot(x - pupil[0], y - pupil[1]) / width
    random = np.random.default_rng(index)
    waves = sum(
        a * np.sin(u * x + v * y + p)
        for a, u, v, p in zip(
            random.uniform(0.02, 0.05, 24),
            random.uniform(-1, 1, 24),
            random.uniform(-1, 1, 24),
            random.uniform(0, 6, 24),
        )
    )
    light = np.stack([0.42 + waves, 0.28 + 0.7 * waves, 0.2 + 0.5 * waves], axis=-1)
    for edge, colour in ((0.24, (0.5, 0.48, 0.45)), (0.13, (0.12, 0.1, 0.06)), (0.055, (0.004, 0.004, 0.004))):
        inside = 1 / (1 + np.exp((radius - edge) * width / 0.8))[..., None]
        light = light * (1 - inside) + np.array(colour) * inside
    return np.maximum(light, 0).astype(np.float32)


def _truth(drawn, pupil, width, height):
    """A truth in which all that a refiner does not look at is zero."""
    limbus = Ellipse(pupil, 0.13 * width, 0.13 * width, 0.0)
    eye = _filled(
        EyeTruth,
        pupil=Ellipse(pupil, 0.055 * width, 0.055 * width, 0.0),
        limbus=limbus,
        optical_axis=np.array([0, 0, -1.0]),
        visual_axis=np.array([0, 0, -1.0]),
        lens_2d=np.zeros((0, 2)),
        glints_2d=np.zeros((0, 2)),
        glints_3d_mm=np.zeros((0, 3)),
        glints_visible=np.zeros(0, bool),
    )
    return _filled(
        Truth,
        eyes={"right": eye},
        landmarks_2d=np.full((68, 2), -100.0),
        landmarks_visible=np.zeros(68, bool),
        jaw_contour_2d=np.zeros((33, 2)),
        points={},
        occluded={},
    )


def _filled(cls, **known):
    hints = typing.get_type_hints(cls)
    return cls(**{name: known[name] if name in known else _nothing(kind) for name, kind in hints.items()})


def _nothing(kind):
    if kind is np.ndarray:
        return np.zeros(3)
    return _filled(kind) if hasattr(kind, "__dataclass_fields__") else kind()
