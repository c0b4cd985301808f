"""Lengths, unit vectors and cross products of many 3-vectors.

Component by component: numpy's own reductions over an axis of three take several times as long for the same digits.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def norm(vectors: Array) -> Array:
    """Return the lengths (...) of vectors (..., 3)."""
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.sqrt(x * x + y * y + z * z)


def unit(vectors: Array) -> Array:
    """Return vectors (..., 3) of length one; those shorter than 1e-9 stay short."""
    return vectors / np.maximum(norm(vectors), 1e-9)[..., None]


def cross(a: Array, b: Array) -> Array:
    """Return the cross products (..., 3) of vectors that broadcast."""
    a0, a1, a2 = a[..., 0], a[..., 1], a[..., 2]
    b0, b1, b2 = b[..., 0], b[..., 1], b[..., 2]
    return np.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], axis=-1)
