"""What stands behind the person: painted papers, walls, rooms, gardens and lights, out of focus. Pure numpy.

A backdrop is a picture (R, C, 3), linear, row 0 below, that fills the camera's field. It shines as a wall would
in the scene's mean light, and is seen by the camera alone: the scene's light stays what `light` says.
"""

from __future__ import annotations

import colorsys

import numpy as np

from facewright import rng
from facewright.geometry.noise import periodic
from facewright.world.parameters import Backdrop

Array = np.ndarray

SIZE = 256
"""Rows and columns of a painted backdrop: it is out of focus."""
PAINTED = ("paper", "wall", "room", "garden", "bokeh")
"""Kinds that are painted here; `map`, `blur` and `picture` are the environment and the user's own."""


def paint(backdrop: Backdrop, seed: tuple[int, int]) -> Array:
    """Return the picture (SIZE, SIZE, 3) of a painted kind; `seed` is (sample seed, index)."""
    u = rng.numbers(*seed, f"backdrop.{backdrop.kind}", 100, 4)
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    picture = {"paper": _paper, "wall": _wall, "room": _room, "garden": _garden, "bokeh": _bokeh}[backdrop.kind](
        backdrop, x, y, u, seed[0] * 7919 + seed[1]
    )
    return np.maximum(blurred(picture, backdrop.blur * SIZE), 0.0)


def blurred(picture: Array, sigma: float) -> Array:
    """Return `picture` (R, C, k) under a Gaussian of `sigma` pixels, edges continued."""
    if sigma < 0.3:
        return picture
    reach = int(3 * sigma) + 1
    weight = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weight /= weight.sum()
    for axis in (0, 1):
        width = [(0, 0)] * picture.ndim
        width[axis] = (reach, reach)
        padded = np.pad(picture, width, mode="edge")
        count = picture.shape[axis]
        picture = sum(
            (w * np.take(padded, range(k, k + count), axis=axis) for k, w in enumerate(weight)), np.zeros_like(picture)
        )
    return picture


def _colour(backdrop: Backdrop) -> Array:
    return np.array(colorsys.hsv_to_rgb(backdrop.hue, backdrop.saturation, backdrop.value)) ** 2.2


def _paper(backdrop: Backdrop, x: Array, y: Array, u: Array, seed: int) -> Array:
    """Studio paper: a light from behind the person, darker corners."""
    away = np.hypot(x - 0.3 - 0.4 * u[0, 0], 0.8 * (y - 0.3 - 0.4 * u[0, 1]))
    glow = 0.45 + 0.9 * np.exp(-((away / (0.3 + 0.4 * u[0, 2])) ** 2))
    return _colour(backdrop) * (1 + (glow - 1) * u[0, 3])[..., None]


def _wall(backdrop: Backdrop, x: Array, y: Array, u: Array, seed: int) -> Array:
    """Plaster, bricks, boards or tiles under uneven light."""
    base = _colour(backdrop)
    grain = 0.75 + 0.25 * periodic(seed, SIZE, SIZE, 7, 6) + 0.25 * periodic(seed + 1, SIZE, SIZE, 60, 50)
    picture = grain[..., None] * base
    kind = int(4 * u[0, 0])
    if kind:
        rows, wide = (0, 14, 6, 9)[kind] * (0.7 + 0.8 * u[0, 1]), (0, 2.2, 0.0, 1.0)[kind]
        row = np.floor(y * rows)
        joint = np.abs((y * rows) % 1 - 0.5) > 0.46
        if wide:
            along = x * rows / wide + 0.5 * (row % 2) * (kind == 1)
            joint |= np.abs(along % 1 - 0.5) > 0.5 - 0.04 / wide
            row = row * 31 + np.floor(along)
        vary = 0.8 + 0.4 * ((row * 0.7548776662) % 1)
        picture = picture * np.where(joint, 0.6 + 0.8 * u[0, 2], vary)[..., None]
    light = 1 + (u[1, 0] - 0.5) * 1.4 * (x - 0.5) + (u[1, 1] - 0.5) * 1.2 * (y - 0.5)
    return picture * light[..., None]


def _room(backdrop: Backdrop, x: Array, y: Array, u: Array, seed: int) -> Array:
    """An interior: wall, then some of window, door, shelf, pictures, curtain, lamp and furniture."""
    picture = _colour(backdrop) * (0.9 + 0.3 * (u[0, 0] - 0.5) * (2 * x - 1) + 0.15 * (y - 0.5))[..., None]
    for k in range(2 + int(4 * u[0, 1])):
        a, b = u[4 + 3 * k], u[5 + 3 * k]
        hue = np.array(colorsys.hsv_to_rgb(b[0], 0.65 * b[1], 0.12 + 0.8 * b[2])) ** 2.2
        left, wide = 1.3 * a[1] - 0.25, 0.12 + 0.35 * a[2]
        across = (x - left) / wide
        inside_x = (across > 0) & (across < 1)
        kind = int(7 * a[0])
        if kind == 0:  # window with panes, and curtains beside it
            low, high = 0.25 + 0.2 * a[3], 1.05
            pane = inside_x & (y > low) & (y < high)
            bars = (np.abs(across * 2 % 1 - 0.5) > 0.46) | (np.abs((y - low) * 5 % 1 - 0.5) > 0.46)
            sky = (2.0 + 4.0 * b[3]) * np.array([0.85, 0.95, 1.1]) * (0.6 + 0.6 * (y[..., None] - low))
            picture = np.where(pane[..., None], np.where(bars[..., None], 0.7, sky), picture)
        elif kind == 1:  # curtain
            folds = 0.6 + 0.4 * np.sin(2 * np.pi * across * (5 + 6 * b[3]) + 1.5 * np.sin(4 * y))
            picture = np.where(inside_x[..., None], folds[..., None] * hue, picture)
        elif kind == 2:  # door
            leaf = inside_x & (y < 0.9)
            panel = (np.abs(across - 0.5) < 0.33) & (np.abs((y * 2.2) % 1 - 0.5) < 0.38)
            picture = np.where(leaf[..., None], hue * np.where(panel, 0.85, 1.0)[..., None], picture)
        elif kind == 3:  # shelves with books
            board = np.abs((y * 5.5) % 1) < 0.07
            book = np.floor(across * (14 + 12 * b[3])) + 37 * np.floor(y * 5.5)
            tall = (y * 5.5) % 1 < 0.55 + 0.4 * ((book * 0.569840291) % 1)
            shades = np.stack([(book * f) % 1 for f in (0.7548776662, 0.569840291, 0.3247179572)], axis=2) ** 2.2
            shelf = np.where(tall[..., None], 0.03 + 0.6 * shades, 0.05)
            picture = np.where(inside_x[..., None], np.where(board[..., None], 0.4 * hue + 0.1, shelf), picture)
        elif kind == 4:  # framed picture
            middle = 0.55 + 0.35 * a[3]
            up = (y - middle) / (0.6 * wide)
            frame = inside_x & (np.abs(up) < 0.5)
            inner = (np.abs(across - 0.5) < 0.42) & (np.abs(up) < 0.42)
            art = 0.08 + 0.7 * np.stack([periodic(seed + 3 * k + c, SIZE, SIZE, 9, 9) for c in range(3)], axis=2) * hue
            picture = np.where(frame[..., None], np.where(inner[..., None], art, 0.15 * hue), picture)
        elif kind == 5:  # lamp
            away = np.hypot(x - left, y - 0.4 - 0.6 * a[3])
            warm = np.array([1.0, 0.78, 0.5])
            picture = picture + (5 * (away < 0.05 + 0.03 * b[3]) + 0.8 * np.exp(-((away / 0.2) ** 2)))[..., None] * warm
        else:  # back of a chair or sofa, with the top rounded
            top = 0.2 + 0.35 * a[3] - 0.12 * np.abs(2 * across - 1) ** 6
            seat = inside_x & (y < top)
            picture = np.where(seat[..., None], hue * (0.6 + 0.6 * y / np.maximum(top, 0.05))[..., None], picture)
    return picture


def _garden(backdrop: Backdrop, x: Array, y: Array, u: Array, seed: int) -> Array:
    """Outdoors: sky, trees or houses, grass or street."""
    horizon = 0.25 + 0.3 * u[0, 0]
    sky = (1.2 + 2.2 * u[0, 1]) * (np.array([0.75, 0.9, 1.15]) + 0.2 * (u[0, 2] - 0.5) * np.array([1, 0, -1]))
    clouds = np.clip(
        2 * (0.6 * periodic(seed, SIZE, SIZE, 5, 5) + 0.4 * periodic(seed + 1, SIZE, SIZE, 14, 14)) - 0.9, 0, 1
    )
    picture = sky * (0.8 + 0.5 * clouds)[..., None]
    layers = [0.5**k * periodic(seed + 10 + k, SIZE, SIZE, 6 * 2**k, 6 * 2**k) for k in range(5)]
    leaves = np.sum(layers, axis=0) / 1.9
    if u[0, 3] < 0.6:  # trees
        crown = horizon + 0.55 * u[1, 0] + 0.5 * (periodic(seed + 2, SIZE, SIZE, 6, 3) - 0.5)
        green = np.array([0.09 + 0.12 * u[1, 1], 0.16, 0.035 + 0.03 * u[1, 2]])
        tree = (y < crown + 0.25 * (leaves - 0.5)) & (leaves > 0.36)
        picture = np.where(tree[..., None], green * (0.15 + 2.0 * leaves)[..., None], picture)
    else:  # houses
        for k in range(5):
            a = u[2 + k]
            here = (np.abs(x - a[0]) < 0.08 + 0.14 * a[1]) & (y < horizon + 0.2 + 0.5 * a[2])
            wall = (0.12 + 0.45 * a[3]) * np.array([1.0, 0.92 + 0.1 * a[0], 0.8 + 0.2 * a[1]])
            panes = (np.abs(x * (22 + 9 * a[3]) % 1 - 0.5) < 0.28) & (np.abs(y * 16 % 1 - 0.5) < 0.3)
            picture = np.where(here[..., None], wall * np.where(panes, 0.35, 1.0)[..., None], picture)
    ground = (np.array([0.10, 0.17, 0.04]) if u[1, 3] < 0.6 else np.array([0.22, 0.21, 0.2])) * (0.5 + leaves)[
        ..., None
    ]
    return np.where((y < horizon - 0.06 * leaves)[..., None], ground, picture)


def _bokeh(backdrop: Backdrop, x: Array, y: Array, u: Array, seed: int) -> Array:
    """Night: a dark ground with lights as discs of the lens's opening."""
    picture = 0.12 * _colour(backdrop) * (0.5 + periodic(seed, SIZE, SIZE, 4, 4))[..., None]
    radius = 0.012 + 0.05 * u[0, 0]
    for k in range(14 + int(50 * u[0, 1])):
        a = u[2 + k]
        hue = np.array(colorsys.hsv_to_rgb(0.02 + 0.14 * a[2] if a[3] < 0.75 else a[2], 0.7 * a[3] + 0.15, 1.0)) ** 2.2
        disc = np.clip((radius * (0.8 + 0.4 * a[3]) - np.hypot(x - a[0], y - a[1])) * 120 + 0.5, 0, 1)
        picture = picture + (0.2 + 2.5 * a[3] ** 3) * disc[..., None] * hue
    return picture
