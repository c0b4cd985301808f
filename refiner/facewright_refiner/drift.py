"""Did a refiner move anything? Registration of the refined picture against the raw one, without any training.

In a window, the raw picture's luma `a` is first matched to the refined one photometrically (a cubic tone curve and a
light ramp, by least squares); then the rest is explained by the matched picture's own gradients. Their coefficients
are the shift. The gradients are those of the clean render, so that noise in the refined picture does not bias it.

Blur, noise and compression alone make a shift seem non-zero. So the same is measured on a *control*: the matched
picture plus noise with the residual's own spectrum but random phases, which by construction has not moved. What is
reported is the excess over it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from facewright.render import Frame
from facewright.rng import stream

Array = np.ndarray

REC601 = np.array([0.299, 0.587, 0.114], np.float32)
SMOOTH_PX = 1.5
"""Both pictures are smoothed with this standard deviation before gradients are taken."""
PULL_IN = (4.0, SMOOTH_PX, SMOOTH_PX)
"""Smoothing of successive estimates: the coarse one finds shifts of several px, the fine ones measure them."""
LEAST_WINDOW = 12
"""Half-width in px of the smallest window."""
LARGEST = 128
"""Larger pictures are reduced to this many px at most, by whole factors, before they are registered."""
BLURS = (0.0, 0.8, 1.4, 2.2, 3.6, 6.0)
"""Standard deviations in px that are tried to match the raw picture's sharpness to the refined one's."""
LANDMARKS = (8, 30, 33, 36, 39, 42, 45, 48, 54, 57)
"""iBUG-68 points that are looked at: chin, nose tip and base, eye corners, mouth corners, lower lip."""
BLIND_PX = 0.5
"""A window whose shift has a larger standard error (no texture, or edges in one direction only) tells nothing."""
FLAT = 1e-4
"""A window without a larger gradient than this, in luma per px, tells nothing."""


class Shift(NamedTuple):
    """A displacement of refined against raw: `dx`, `dy` px (+x right, +y down) and its standard error in px."""

    dx: float
    dy: float
    se: float

    @property
    def px(self) -> float:
        """Length of the displacement."""
        return math.hypot(self.dx, self.dy)


class Drift(NamedTuple):
    """What moved, in px: `pupil` and `landmark` are excess shifts (the worst pupil, the median landmark).

    `whole` is the excess of the whole picture, `edges` the correlation of the two edge maps (1 = equal), `windows` the
    number of windows that could be measured. A number is NaN where there was no window for it.
    """

    whole: float
    pupil: float
    landmark: float
    edges: float
    windows: int


def measure(frame: Frame) -> Drift:
    """Return the drift of a frame that has the layers `rgb` and `refined`."""
    return compare(frame.layers["rgb"], frame.layers["refined"], windows_of(frame))


def compare(raw: Array, refined: Array, windows: Mapping[str, Sequence[tuple[Array, float]]] | None = None) -> Drift:
    """Return the drift of `refined` against `raw`, both (H, W, 3) uint8.

    `windows` maps "pupil" and "landmark" to (centre (2,) px, half-width px); see `windows_of`.
    """
    a, b = luma(raw), luma(refined)
    found = {name: _excesses(a, b, places) for name, places in (windows or {}).items()}
    pupils, landmarks = found.get("pupil", []), found.get("landmark", [])
    return Drift(
        _excess(a, b),
        max(pupils, default=math.nan),
        float(np.median(landmarks)) if landmarks else math.nan,
        edge_correlation(a, b),
        len(pupils) + len(landmarks),
    )


def windows_of(frame: Frame) -> dict[str, list[tuple[Array, float]]]:
    """Return the windows of a frame: each pupil (1.6 limbus radii), the visible LANDMARKS (4 % of the width)."""
    pupils = [(eye.pupil.centre, max(LEAST_WINDOW, 1.6 * eye.limbus.a)) for eye in frame.truth.eyes.values()]
    half = max(LEAST_WINDOW, 0.04 * frame.layers["rgb"].shape[1])
    points, visible = np.asarray(frame.truth.landmarks_2d), np.asarray(frame.truth.landmarks_visible, bool)
    landmarks = [(points[n], half) for n in LANDMARKS if visible[n]]
    return {"pupil": pupils, "landmark": landmarks}


def registration(a: Array, b: Array) -> Shift:
    """Return the shift of `b` against `a`, both (H, W) float: b(x) is about tone(blur(a))(x - shift)."""
    a, b, factor = _reduced(a, b)
    return _register(_match(a, b)[0], b, factor)


def _register(matched: Array, b: Array, factor: int) -> Shift:
    dx = dy = 0.0
    se = math.inf
    for sigma in PULL_IN:
        moved = _band(_shifted(matched, dx, dy), sigma)
        step = _gradient_step(moved, _band(b, sigma), margin=_margin(b.shape))
        if step is None:
            return Shift(0.0, 0.0, math.inf)
        dx, dy, se = dx + step[0], dy + step[1], step[2]
    return Shift(dx * factor, dy * factor, se * factor)


def control(a: Array, b: Array) -> Array:
    """Return `a` photometrically matched to `b`, with noise of the residual's spectrum and random phases, (H, W)."""
    matched, _ = _match(a, b)
    shift = _register(matched, b, 1)
    return matched + _like(b - _shifted(matched, shift.dx, shift.dy))


def _like(residual: Array) -> Array:
    """Return noise with the residual's amplitude spectrum and random phases."""
    height, width = residual.shape
    phase = np.fft.rfft2(stream(height, width, "drift.control").standard_normal(residual.shape))
    return np.fft.irfft2(np.abs(np.fft.rfft2(residual)) * phase / (np.abs(phase) + 1e-12), s=residual.shape)


def edge_correlation(a: Array, b: Array) -> float:
    """Return the correlation of the two smoothed gradient magnitudes, 1 = the same edges."""
    edges = [np.hypot(*np.gradient(_smooth(x, SMOOTH_PX))).ravel() for x in (a, b)]
    deviations = [edge.std() for edge in edges]
    return float(np.corrcoef(*edges)[0, 1]) if min(deviations) > 1e-9 else math.nan


def luma(image: Array) -> Array:
    """Return BT.601 luma (H, W) in [0, 1] of (H, W, 3) uint8."""
    return (image.astype(np.float32) @ REC601 / 255).astype(np.float64)


def _excesses(a: Array, b: Array, places: Sequence[tuple[Array, float]]) -> list[float]:
    cuts = [_cut(a.shape, centre, half) for centre, half in places]
    found = [_excess(a[cut], b[cut]) for cut in cuts if cut is not None]
    return [value for value in found if not math.isnan(value)]


def _excess(a: Array, b: Array) -> float:
    """Return the shift beyond the control's, >= 0 px; NaN where the picture has nothing to hold on to."""
    a, b, factor = _reduced(a, b)
    matched, _ = _match(a, b)
    shift = _register(matched, b, factor)
    if not shift.se <= BLIND_PX * factor:
        return math.nan
    residual = b - _shifted(matched, shift.dx / factor, shift.dy / factor)
    return max(0.0, shift.px - _register(matched, matched + _like(residual), factor).px)


def _cut(shape: tuple[int, ...], centre: Array, half: float) -> tuple[slice, slice] | None:
    x, y = (float(v) for v in centre)
    rows = slice(max(0, round(y - half)), min(shape[0], round(y + half)))
    columns = slice(max(0, round(x - half)), min(shape[1], round(x + half)))
    small = min(rows.stop - rows.start, columns.stop - columns.start) < LEAST_WINDOW
    return None if small else (rows, columns)


def _match(a: Array, b: Array) -> tuple[Array, Array]:
    """Return `a` under the blur, cubic tone curve and light ramp that fit `b` best, and what is left of `b`."""
    return min(
        (_toned(_smooth(a, sigma), b) for sigma in BLURS if sigma < min(a.shape) / 8),
        key=lambda pair: float(np.square(pair[1]).sum()),
    )


def _toned(a: Array, b: Array) -> tuple[Array, Array]:
    y, x = np.mgrid[-1 : 1 : a.shape[0] * 1j, -1 : 1 : a.shape[1] * 1j]
    columns = np.stack([np.ones_like(a), a, a**2, a**3, x, y, x * a, y * a], axis=-1).reshape(-1, 8)
    matched = (columns @ _least_squares(columns, b.ravel())[0]).reshape(a.shape)
    return matched, b - matched


def _gradient_step(a: Array, b: Array, margin: int) -> tuple[float, float, float] | None:
    """Return (dx, dy, standard error) that explain b - a by a's gradients, blur and gain; None where a is flat."""
    inside = (slice(margin, -margin or None),) * 2
    gy, gx = np.gradient(a)
    curvature = np.gradient(gx, axis=1) + np.gradient(gy, axis=0)
    columns = np.stack([-gx[inside], -gy[inside], curvature[inside], a[inside], np.ones_like(a[inside])], axis=-1)
    columns = columns.reshape(-1, 5)
    if np.abs(columns[:, :2]).max() < FLAT:
        return None
    solution, covariance = _least_squares(columns, (b - a)[inside].ravel())
    if covariance is None:
        return None
    limit = 2.0
    dx, dy = np.clip(solution[:2], -limit, limit)
    return float(dx), float(dy), float(np.sqrt(np.linalg.eigvalsh(covariance[:2, :2])[-1]))


def _least_squares(columns: Array, target: Array) -> tuple[Array, Array | None]:
    """Return the solution and its covariance; None for the latter where the columns are dependent."""
    normal = columns.T @ columns
    scale = np.sqrt(np.diag(normal)) + 1e-12
    normal = normal / np.outer(scale, scale)
    solution = np.linalg.lstsq(normal, columns.T @ target / scale, rcond=1e-10)[0] / scale
    if np.linalg.cond(normal) > 1e10:
        return solution, None
    variance = np.sum((target - columns @ solution) ** 2) / max(1, len(target) - len(solution))
    return solution, variance * np.linalg.inv(normal) / np.outer(scale, scale)


def _margin(shape: tuple[int, ...]) -> int:
    """Return how many px at the border are left out, where smoothing and shifting see beyond the picture."""
    return min(4, min(shape) // 6)


def _smooth(image: Array, sigma: float) -> Array:
    """Return the image smoothed with a Gaussian, borders reflected."""
    if sigma == 0:
        return image
    radius = min(math.ceil(3 * sigma), min(image.shape) - 1)
    padded = np.pad(image, radius, mode="reflect")
    fy, fx = np.fft.fftfreq(padded.shape[0])[:, None], np.fft.rfftfreq(padded.shape[1])
    transfer = np.exp(-2 * (math.pi * sigma) ** 2 * (fx**2 + fy**2))
    smooth = np.fft.irfft2(np.fft.rfft2(padded) * transfer, s=padded.shape)
    return smooth[radius:-radius, radius:-radius]


def _band(image: Array, sigma: float) -> Array:
    """Return the image's structure at scale `sigma`, without the light that varies slowly."""
    return _smooth(image, sigma) - _smooth(image, 5 * sigma)


def _reduced(a: Array, b: Array) -> tuple[Array, Array, int]:
    """Return both pictures averaged over factor x factor px, and the factor that makes them LARGEST px or less."""
    factor = math.ceil(max(a.shape) / LARGEST)
    height, width = (n // factor * factor for n in a.shape)
    blocks = (height // factor, factor, width // factor, factor)
    small = [image[:height, :width].reshape(blocks).mean((1, 3)) for image in (a, b)]
    return small[0], small[1], factor


def _shifted(image: Array, dx: float, dy: float) -> Array:
    """Return the image moved by (dx, dy) px, linearly interpolated, borders repeated."""
    if not dx and not dy:
        return image
    height, width = image.shape
    x = np.clip(np.arange(width) - dx, 0, width - 1)
    y = np.clip(np.arange(height) - dy, 0, height - 1)
    x0, y0 = np.minimum(x.astype(int), width - 2), np.minimum(y.astype(int), height - 2)
    u, v = (x - x0), (y - y0)[:, None]
    rows = image[y0] * (1 - v) + image[y0 + 1] * v
    return rows[:, x0] * (1 - u) + rows[:, x0 + 1] * u
