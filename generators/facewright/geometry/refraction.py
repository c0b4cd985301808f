"""Snell's law through surfaces of revolution: where a point behind lens or cornea appears to a camera in front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Conicoid:
    """r^2 + (1 + Q) s^2 = 2 R s, with s = apex_z - z the depth below the apex and r the distance from the z axis.

    `radius` R and `apex_z` in mm, `asphericity` Q. Rays coming down -z pass from index `before` to `after`.
    """

    radius: float
    asphericity: float
    apex_z: float
    before: float
    after: float

    def sag(self, r: Array) -> Array:
        """Return the depth s (mm) at distance r (mm) from the axis."""
        root = np.sqrt(np.maximum(self.radius**2 - (1 + self.asphericity) * np.square(r), 1e-9))
        return np.square(r) / (self.radius + root)

    def normal(self, points: Array) -> Array:
        """Return the outward unit normals (N, 3) at surface points (N, 3)."""
        s = self.apex_z - points[:, 2]
        slope = self.radius - (1 + self.asphericity) * s
        n = np.stack([points[:, 0], points[:, 1], slope], axis=1)
        return n / np.linalg.norm(n, axis=1, keepdims=True)

    def meet(self, origins: Array, directions: Array) -> Array:
        """Return the first meeting points (N, 3) of rays from in front; NaN where a ray misses."""
        q = 1 + self.asphericity
        s0, ds = self.apex_z - origins[:, 2], -directions[:, 2]
        x, y, dx, dy = origins[:, 0], origins[:, 1], directions[:, 0], directions[:, 1]
        a = dx * dx + dy * dy + q * ds * ds
        b = x * dx + y * dy + q * s0 * ds - self.radius * ds
        c = x * x + y * y + q * s0 * s0 - 2 * self.radius * s0
        disc = b * b - a * c
        t = np.where(disc >= 0, (-b - np.sqrt(np.maximum(disc, 0))) / a, np.nan)
        return origins + t[:, None] * directions

    def bend(self, directions: Array, normals: Array) -> Array:
        """Return unit directions (N, 3) after refraction; NaN at total internal reflection."""
        eta = self.before / self.after
        cosine = -np.sum(directions * normals, axis=1)
        k = 1 - eta * eta * (1 - cosine * cosine)
        inner = eta * cosine - np.sqrt(np.where(k >= 0, k, np.nan))
        return eta * directions + inner[:, None] * normals


@dataclass(frozen=True)
class Posed:
    """A surface elsewhere: outer = rotation (3, 3) @ own + origin (3,). It meets and bends rays in outer axes."""

    surface: Conicoid
    rotation: Array
    origin: Array

    def normal(self, points: Array) -> Array:
        """Return the unit normals (N, 3) at surface points (N, 3)."""
        return self.surface.normal((points - self.origin) @ self.rotation) @ self.rotation.T

    def meet(self, origins: Array, directions: Array) -> Array:
        """Return the first meeting points (N, 3) of rays from in front; NaN where a ray misses."""
        met = self.surface.meet((origins - self.origin) @ self.rotation, directions @ self.rotation)
        return met @ self.rotation.T + self.origin

    def bend(self, directions: Array, normals: Array) -> Array:
        """Return unit directions (N, 3) after refraction; NaN at total internal reflection."""
        return self.surface.bend(directions, normals)


Surfaces = Sequence[Conicoid | Posed]


def trace(origins: Array, directions: Array, surfaces: Surfaces) -> tuple[Array, Array]:
    """Return points on the last surface and directions below it, for unit rays from in front of the first."""
    for surface in surfaces:
        origins = surface.meet(origins, directions)
        directions = surface.bend(directions, surface.normal(origins))
    return origins, directions


def apparent_direction(eye: Array, points: Array, surfaces: Surfaces, steps: int = 20) -> Array:
    """Return unit directions (N, 3) from the pinhole `eye` (3,) along which `points` (N, 3) behind `surfaces` appear.

    Newton's method on the two direction parameters, so that the refracted ray passes each point where it meets the
    plane through the point across the line of sight. All in the surfaces' axes, mm. NaN where no such ray exists.
    """
    points = np.asarray(points, float)
    straight = points - eye
    distance = np.linalg.norm(straight, axis=1, keepdims=True)
    axis = straight / distance
    u = np.cross(axis, np.array([0.3, 1.0, 0.2]))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    v = np.cross(axis, u)
    origin = np.broadcast_to(eye, points.shape)

    def ray(parameters: Array) -> Array:
        found = axis + parameters[:, :1] * u + parameters[:, 1:] * v
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    def miss(parameters: Array) -> Array:
        start, below = trace(origin, ray(parameters), surfaces)
        t = np.sum((points - start) * axis, axis=1) / np.sum(below * axis, axis=1)
        off = start + t[:, None] * below - points
        return np.stack([np.sum(off * u, axis=1), np.sum(off * v, axis=1)], axis=1)

    state = np.zeros((len(points), 2))
    step = 1e-5 / distance[:, 0]
    for _ in range(steps):
        error = miss(state)
        du = (miss(state + np.stack([step, 0 * step], 1)) - error) / step[:, None]
        dv = (miss(state + np.stack([0 * step, step], 1)) - error) / step[:, None]
        det = du[:, 0] * dv[:, 1] - du[:, 1] * dv[:, 0]
        change = np.stack(
            [
                (error[:, 0] * dv[:, 1] - error[:, 1] * dv[:, 0]) / det,
                (du[:, 0] * error[:, 1] - du[:, 1] * error[:, 0]) / det,
            ],
            axis=1,
        )
        state = state - change
        if np.nanmax(np.abs(change) * distance, initial=0) < 1e-10:
            break
    lost = ~(np.abs(miss(state)).max(axis=1) < 1e-5)
    return np.where(lost[:, None], np.nan, ray(state))
