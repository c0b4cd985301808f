"""Image ellipses from points."""

from __future__ import annotations

import math

import numpy as np

from facewright.truth import Ellipse

Array = np.ndarray


def fit_ellipse(points: Array) -> Ellipse:
    """Return the least-squares ellipse of (N >= 6, 2) points that lie all round it.

    A conic a x^2 + b xy + c y^2 + d x + e y = 1 on centred, scaled points; exact for exact ellipses.
    """
    middle = points.mean(axis=0)
    scale = np.abs(points - middle).max() or 1.0
    x, y = ((points - middle) / scale).T
    a, b, c, d, e = np.linalg.lstsq(np.stack([x * x, x * y, y * y, x, y], axis=1), np.ones_like(x), rcond=None)[0]
    form = np.array([[a, b / 2], [b / 2, c]])
    centre = np.linalg.solve(-2 * form, [d, e])
    level = 1 + centre @ form @ centre
    values, vectors = np.linalg.eigh(form / level)
    long_axis = vectors[:, 0]
    semi = scale / np.sqrt(np.maximum(values, 1e-12))
    return Ellipse(
        middle + scale * centre, float(semi[0]), float(semi[1]), math.atan2(long_axis[1], long_axis[0]) % math.pi
    )
