"""Frames without Blender: a soft eye on textured skin, whose pupil centre is known."""

import math

import numpy as np
import pytest
import torch

from facewright import Recipe, sample
from facewright.render import Frame
from facewright.truth import CameraTruth, Ellipse, EyeTruth, HeadPose, Truth

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_frame():
    return frame_of


def frame_of(index=0, width=96, height=72, seed=3, linear=True):
    drawn = sample(Recipe.load("eye_rgb"), seed, index).replace({"image.width": width, "image.height": height})
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
    waves = sum(a * np.sin(u * x + v * y + p) for a, u, v, p in zip(
        random.uniform(0.02, 0.05, 24), random.uniform(-1, 1, 24), random.uniform(-1, 1, 24), random.uniform(0, 6, 24)))
    light = np.stack([0.42 + waves, 0.28 + 0.7 * waves, 0.2 + 0.5 * waves], axis=-1)
    for edge, colour in ((0.24, (0.5, 0.48, 0.45)), (0.13, (0.12, 0.1, 0.06)), (0.055, (0.004, 0.004, 0.004))):
        inside = 1 / (1 + np.exp((radius - edge) * width / 0.8))[..., None]
        light = light * (1 - inside) + np.array(colour) * inside
    return np.maximum(light, 0).astype(np.float32)


def _truth(drawn, pupil, width, height):
    K = np.array([[1000.0, 0, width / 2], [0, 1000, height / 2], [0, 0, 1]])
    camera = CameraTruth(width, height, K, np.eye(3), np.zeros(3))
    look, none = np.array([0, 0, -1.0]), np.zeros((0, 2))
    circle = Ellipse(pupil, 0.055 * width, 0.055 * width, 0.0)
    limbus = Ellipse(pupil, 0.13 * width, 0.13 * width, 0.0)
    eye = EyeTruth("right", look, np.eye(3), look, look, look, look, look, look, 5.0, 1.0, 4.0, 11.8, circle, circle,
                   limbus, limbus, none, none, none, none, none, none, 0.8, 0.1, np.zeros(4))
    points = np.full((68, 2), -100.0)
    head = HeadPose(np.eye(3), np.zeros(3), 0.0, 0.0, 0.0)
    return Truth(camera, head, look, {"right": eye}, points, np.zeros((68, 3)), np.zeros(68, bool), np.zeros(4))
