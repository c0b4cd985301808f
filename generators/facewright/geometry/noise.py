"""Smooth value noise in space, in numpy: the same on every Blender version, and testable."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def value_noise(points: Array, scale: float, octaves: int = 3, seed: float = 0.0) -> Array:
    """Return fractal noise (N,) in about [0, 1], mean 0.5, at `points` (N, 3); `scale` features per unit of length."""
    total, weight, gain = np.zeros(len(points)), 0.0, 1.0
    for octave in range(octaves):
        total += gain * _single(points * (scale * 2.0**octave) + 17.3 * octave, int(seed * 977) + 131 * octave)
        weight += gain
        gain *= 0.5
    return total / weight


def spots(points: Array, scale: float, radius: float, seed: float) -> Array:
    """Return round spots (N,) in [0, 1]: one in each cell of size 1 / `scale`, jittered, of `radius` cells."""
    place = points * scale
    cell = np.floor(place).astype(np.int64)
    best = np.full(len(points), np.inf)
    for offset in np.ndindex(3, 3, 3):
        corner = cell + (np.array(offset) - 1)
        centre = corner + np.stack([_hash(corner, int(seed * 977) + 7 * k) for k in range(3)], axis=1)
        size = 0.45 + 0.9 * _hash(corner, int(seed * 977) + 31)
        best = np.minimum(best, np.linalg.norm(place - centre, axis=1) / size)
    return np.clip(1.5 - best / radius, 0, 1)


def _single(points: Array, seed: int) -> Array:
    cell = np.floor(points).astype(np.int64)
    f = points - cell
    f = f * f * f * (f * (6 * f - 15) + 10)
    total = np.zeros(len(points))
    for corner in np.ndindex(2, 2, 2):
        side = np.array(corner)
        share = np.prod(np.where(side, f, 1 - f), axis=1)
        total += share * _hash(cell + side, seed)
    return total


def _hash(cells: Array, seed: int) -> Array:
    """Return a fixed pseudo-random number in [0, 1) for integer cells (N, 3)."""
    x = cells.astype(np.uint64)
    h = (
        x[:, 0] * np.uint64(0x9E3779B97F4A7C15)
        ^ x[:, 1] * np.uint64(0xC2B2AE3D27D4EB4F)
        ^ x[:, 2] * np.uint64(0x165667B19E3779F9)
    ) + np.uint64(seed * 0x27D4EB2F165667C5 % 2**64)
    h ^= h >> np.uint64(29)
    h *= np.uint64(0xBF58476D1CE4E5B9)
    h ^= h >> np.uint64(32)
    return (h >> np.uint64(40)).astype(float) / 2.0**24
