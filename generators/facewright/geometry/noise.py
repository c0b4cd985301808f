"""Smooth value noise in space and on strips, in numpy: the same on every Blender version, and testable."""

from __future__ import annotations

import numpy as np

from facewright import rng

Array = np.ndarray


def value_noise(points: Array, scale: float, octaves: int = 3, seed: float = 0.0) -> Array:
    """Return fractal noise (N,) in about [0, 1], mean 0.5, at `points` (N, 3), float32 or float64 as they are.

    `scale` is the number of features per unit of length.
    """
    total, weight, gain = np.zeros(len(points), points.dtype), 0.0, 1.0
    for octave in range(octaves):
        total += gain * _single(points * (scale * 2.0**octave) + 17.3 * octave, int(seed * 977) + 131 * octave)
        weight += gain
        gain *= 0.5
    return total / weight


def periodic(seed: int, rows: int, columns: int, around: int, along: int) -> Array:
    """Return smooth noise (rows, columns) float32 in [0, 1], periodic in the columns."""
    grid = rng.numbers(seed, 1, f"noise{around}x{along}", along + 1, around)
    x, y = np.arange(columns) * around / columns, np.linspace(0, along, rows)
    i, j = x.astype(int), np.minimum(y.astype(int), along - 1) if along else np.zeros(rows, int)
    fx, fy = x - i, y - j
    fx, fy = fx * fx * (3 - 2 * fx), (fy * fy * (3 - 2 * fy))[:, None]
    lines = (grid[:, i] * (1 - fx) + grid[:, (i + 1) % around] * fx).astype(np.float32)
    fy = fy.astype(np.float32)
    return lines[j] * (1 - fy) + lines[np.minimum(j + 1, along)] * fy


def periodic2(seed: int, size: int, cells: int) -> Array:
    """Return smooth noise (size, size) float32 in [0, 1] that repeats in both directions, `cells` features each way."""
    grid = rng.numbers(seed, 2, f"tile{cells}", cells, cells)
    place = np.arange(size) * cells / size
    low = place.astype(int)
    f = (place - low).astype(np.float32)
    f, grid = f * f * (3 - 2 * f), grid.astype(np.float32)
    rows = grid[low] * (1 - f)[:, None] + grid[(low + 1) % cells] * f[:, None]
    return rows[:, low] * (1 - f) + rows[:, (low + 1) % cells] * f


def _single(points: Array, seed: int) -> Array:
    whole = np.floor(points)
    cell, f = whole.astype(np.int64), points - whole
    f = f * f * f * (f * (6 * f - 15) + 10)
    shares = [(1 - f[:, k], f[:, k]) for k in range(3)]
    spread = [
        ((cell[:, k]).astype(np.uint64) * _SPREAD[k], (cell[:, k] + 1).astype(np.uint64) * _SPREAD[k]) for k in range(3)
    ]
    salt = np.uint64(seed * 0x27D4EB2F165667C5 % 2**64)
    total = np.zeros(len(points), points.dtype)
    for i, j, k in np.ndindex(2, 2, 2):
        number = _hash((spread[0][i] ^ spread[1][j] ^ spread[2][k]) + salt, points.dtype)
        total += shares[0][i] * shares[1][j] * shares[2][k] * number
    return total


_SPREAD = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)
"""Odd factors that spread the three coordinates of a cell over 64 bits."""


def _hash(h: Array, dtype: np.dtype) -> Array:
    """Return a fixed pseudo-random number in [0, 1) for each word (N,) uint64, which is overwritten."""
    h ^= h >> np.uint64(29)
    h *= np.uint64(0xBF58476D1CE4E5B9)
    h ^= h >> np.uint64(32)
    return (h >> np.uint64(40)).astype(dtype) / 2.0**24
