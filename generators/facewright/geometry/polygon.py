"""Polygons in the image, and the pixels they hold."""

from __future__ import annotations

import numpy as np


def inside_polygon(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return (...) bool: which points (..., 2) lie inside the polygon (N, 2), by the even-odd rule."""
    found = np.zeros(points.shape[:-1], bool)
    low, high = corners.min(axis=0), corners.max(axis=0)
    near = (points[..., 0] >= low[0]) & (points[..., 0] <= high[0])
    near &= (points[..., 1] >= low[1]) & (points[..., 1] <= high[1])
    x, y = points[near].T
    inside = np.zeros(len(x), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    found[near] = inside
    return found


def pixel_centres(height: int, width: int) -> np.ndarray:
    """Return (H, W, 2) the image coordinates of the pixel centres."""
    return np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)
