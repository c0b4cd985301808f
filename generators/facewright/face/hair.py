"""Where head hair grows, and brows as strands grown from the skin.

Roots are drawn on the resting topology, so a subject keeps every hair through all expressions.
"""

from __future__ import annotations

import numpy as np

from facewright import rng
from facewright.face.parameters import Hair
from facewright.geometry.noise import value_noise
from facewright.geometry.strands import Strands
from facewright.schema import side_label

Array = np.ndarray


def scalp_weight(rest: Array, receding: float) -> Array:
    """Return the hair density (V,) in [0, 1] at template points `rest` (V, 3): head mm, eyes' middle at the origin.

    The hairline runs over the forehead, round the temple, before and above the ear and down to the nape.
    """
    x, y, z = rest.T
    line = np.interp(
        z, [-170, -145, -115, -95, -78, -66, -50, -30, -12, 0, 12], [-60, -45, -10, 12, 8, -8, 26, 44, 58, 66, 70]
    )
    temple = 16 * np.exp(-0.5 * ((np.abs(x) - 52) / 12) ** 2) * (z > -40)
    line = (
        line
        + temple * 0.6
        + receding * (45 * np.exp(-0.5 * ((z + 10) / 45) ** 2) + 30 * np.exp(-0.5 * (x / 30) ** 2) * (y > 60))
    )
    uneven = 7 * (value_noise(rest, 0.09, 3, 3.0) - 0.5)
    soft = 9 + 6 * value_noise(rest, 0.05, 1, 5.0)
    return np.clip((y - line + uneven) / soft + 0.5, 0, 1)


BROW_LINE = np.array([[13, 14.0], [21, 17.5], [31, 20.5], [42, 20.0], [54.5, 13.0]])
"""Middle of the brow on the template: x outward and y in mm from the eyes' middle, medial to lateral."""
STRIP = 64
"""Roots that are placed together."""
BROW_ARCH_MM = np.array([0.0, 0.0, 0.8, 2.6, 0.6])
"""Rise of BROW_LINE at an arch of 1."""


def brow_weight(rest: Array, width: float, arch: float) -> Array:
    """Return how much of a brow (V,) in [0, 1] covers template points `rest` (V, 3); `width`, `arch` as in Hair."""
    x = np.abs(rest[:, 0])
    middle = np.interp(x, BROW_LINE[:, 0], BROW_LINE[:, 1] + arch * BROW_ARCH_MM)
    half = 4.6 * width * np.interp(x, [11, 16, 42, 56], [0.7, 1.0, 0.8, 0.3])
    along = np.clip((x - 10) / 4, 0, 1) * np.clip((58 - x) / 5, 0, 1)
    return along * np.exp(-0.5 * ((rest[:, 1] - middle) / half) ** 2) * (rest[:, 2] > -45)


def brows(
    hair: Hair, rest: Array, surface: Array, normals: Array, side: str, seed: tuple[int, int], count: int, gender: float
) -> Strands:
    """Return one brow from `count` roots near BROW_LINE: `rest` (V, 3) template points, `surface` (V, 3) the face."""
    sign = 1 if side == "left" else -1
    u = rng.numbers(*seed, f"brow.{side}", 5, count)
    steps = np.linspace(0, 1, 33)
    heights = np.interp(steps, [0, 0.15, 0.6, 1], [6.2, 7.4, 6.2, 3.0])
    filled = np.cumsum(heights * np.interp(steps, [0.8, 1], [1, 0.45]))  # as dense all along, and thinning at the tail
    along = np.interp(u[0], (filled - filled[0]) / (filled[-1] - filled[0]), steps)
    knots = np.linspace(0, 1, len(BROW_LINE))
    x = np.interp(along, knots, BROW_LINE[:, 0])
    height = np.interp(along, steps, heights) * hair.brow_width * (0.85 + 0.3 * gender)
    off = 1.3 * u[1] + 0.7 * u[2] - 1  # nearly even, with soft borders
    y = np.interp(along, knots, BROW_LINE[:, 1] + hair.brow_arch * BROW_ARCH_MM) + off * height
    front = np.nonzero(
        (rest[:, 2] > -45)
        & (np.abs(rest[:, 1] - 17) < 16)
        & (rest[:, 0] * sign > 3)
        & (rest[:, 0] * sign < 66)
        & (normals[:, 2] > 0.1)
    )[0]
    root, normal = _on_surface(np.stack([sign * x, y], axis=1), rest[front, :2], surface[front], normals[front])
    slope = np.stack(
        [np.gradient(BROW_LINE[:, 0]), np.gradient(BROW_LINE[:, 1] + hair.brow_arch * BROW_ARCH_MM)], axis=1
    )
    slope /= np.linalg.norm(slope, axis=1, keepdims=True)
    rise = np.interp(along, [0, 0.12, 0.35, 1], [1.7, 0.9, 0.35, -0.05]) - 1.1 * off
    heading = np.stack(
        [sign * np.interp(along, knots, slope[:, 0]), np.interp(along, knots, slope[:, 1]) + rise, np.zeros(count)],
        axis=1,
    )
    heading += 0.35 * (np.stack([u[3], u[4], u[2]], axis=1) - 0.5)
    heading -= (heading * normal).sum(1, keepdims=True) * normal
    heading = heading / np.linalg.norm(heading, axis=1, keepdims=True) + 0.28 * normal
    length = np.interp(along, [0, 0.2, 1], [5.0, 7.5, 5.5]) * (0.55 + 0.6 * u[3]) * (1 - 0.45 * np.abs(off))
    points = [root - 0.3 * normal]
    for _ in range(5):
        points.append(points[-1] + heading * (length / 5)[:, None])
        heading = heading - 0.11 * normal + np.array([0.03 * sign, -0.04, 0])
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
    radius = 0.04 * (0.6 + 0.7 * u[4])[:, None] * np.array([1, 1, 0.9, 0.75, 0.5, 0.15])
    tint = np.where(u[2] < 0.8 * hair.grey, 1.0, 0.0) + 0.999 * u[3]
    return Strands(f"brow.{side}", np.stack(points, axis=1), radius, side_label(side, "brow"), "brows", tint)


def _on_surface(points: Array, plane: Array, surface: Array, normals: Array) -> tuple[Array, Array]:
    """Return surface points and normals at frontal template positions (N, 2), by inverse-distance of 4 neighbours."""
    nearest, square = _nearest_four(points, plane)
    weight = 1 / (square + 1e-3)
    weight /= weight.sum(1, keepdims=True)
    flat = (plane[nearest] * weight[..., None]).sum(1)
    place = (surface[nearest] * weight[..., None]).sum(1)
    place[:, :2] += points - flat
    normal = (normals[nearest] * weight[..., None]).sum(1)
    return place, normal / np.linalg.norm(normal, axis=1, keepdims=True)


def _nearest_four(points: Array, plane: Array) -> tuple[Array, Array]:
    """Return the nearest four of `plane` (M, 2), M > 4, for each of points (N, 2), and their squared distances, (N, 4).

    Strips of STRIP points are compared with what is at most `reach` beside them, farther where that was too little.
    """
    nearest, square = np.zeros((len(points), 4), int), np.full((len(points), 4), np.inf)
    left, reach = np.argsort(points[:, 0], kind="stable"), 2.0
    while len(left):
        for strip in np.split(left, range(STRIP, len(left), STRIP)):
            x = points[strip, 0]
            near = np.nonzero((plane[:, 0] > x.min() - reach) & (plane[:, 0] < x.max() + reach))[0]
            if len(near) < 5:
                continue
            away = ((points[strip, None] - plane[near]) ** 2).sum(2)
            four = np.argpartition(away, 4, axis=1)[:, :4]
            nearest[strip], square[strip] = near[four], np.take_along_axis(away, four, 1)
        left = left[square[left].max(1) > reach**2]
        reach *= 2
    return nearest, square
