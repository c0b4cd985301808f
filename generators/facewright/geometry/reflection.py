"""Mirror images in a convex surface of revolution: where a light outside the eye glints on the cornea."""

from __future__ import annotations

import numpy as np

from facewright.geometry.refraction import Conicoid

Array = np.ndarray


def glint_points(surface: Conicoid, pinhole: Array, lights: Array, rim: float, steps: int = 30) -> Array:
    """Return the points (N, 3) of `surface` whose normals bisect the directions to `pinhole` (3,) and `lights` (N, 3).

    Newton's method on the slope of the normal, which determines the point on a conicoid. Everything in eye axes, mm.
    NaN where there is no such point within `rim` of the axis, or where it faces away from either.
    """
    slope = np.zeros((len(lights), 2))
    step = 1e-6
    with np.errstate(divide="ignore", invalid="ignore"):  # a light behind the eye has no bisector
        for _ in range(steps):
            error = _miss(surface, pinhole, lights, slope)
            columns = [(_miss(surface, pinhole, lights, slope + step * axis) - error) / step for axis in np.eye(2)]
            (a, c), (b, d) = columns[0].T, columns[1].T
            change = np.stack([d * error[:, 0] - b * error[:, 1], a * error[:, 1] - c * error[:, 0]], axis=1)
            change = np.clip(change / (a * d - b * c)[:, None], -0.5, 0.5)
            slope = slope - change
            if np.fmax.reduce(np.abs(change), axis=None, initial=0) < 1e-12:
                break
    points = _point(surface, slope)
    normals = surface.normal(points)
    seen = np.minimum(((pinhole - points) * normals).sum(axis=1), ((lights - points) * normals).sum(axis=1)) > 0
    met = np.abs(_miss(surface, pinhole, lights, slope)).max(axis=1, initial=0) < 1e-9
    good = seen & met & (np.hypot(points[:, 0], points[:, 1]) <= rim)
    return np.where(good[:, None], points, np.nan)


def _point(surface: Conicoid, slope: Array) -> Array:
    """Return the points (N, 3) of `surface` whose normals are proportional to (slope, 1)."""
    fall = surface.radius / np.sqrt(1 + (1 + surface.asphericity) * np.square(slope).sum(axis=1))
    place = slope * fall[:, None]
    return np.column_stack([place, surface.apex_z - surface.sag(np.hypot(place[:, 0], place[:, 1]))])


def _miss(surface: Conicoid, pinhole: Array, lights: Array, slope: Array) -> Array:
    """Return (N, 2), zero where the bisector is parallel to the normal (slope, 1)."""
    points = _point(surface, slope)
    to_eye, to_light = pinhole - points, lights - points
    bisector = to_eye / np.linalg.norm(to_eye, axis=1, keepdims=True)
    bisector += to_light / np.linalg.norm(to_light, axis=1, keepdims=True)
    return bisector[:, :2] - slope * bisector[:, 2:]
