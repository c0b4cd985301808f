"""The surface that hair lies on: head and shoulders as two radial maps, quick enough for half a million points."""

from __future__ import annotations

import numpy as np

from facewright.geometry.vectors import norm

Array = np.ndarray

ROWS, COLUMNS = 60, 120
"""Cells of the head's map over polar angle and azimuth: 3 to 6 mm on a skull, about the spacing of the mesh."""
BODY_STEP_MM, BODY_TOP_MM, BODY_ROWS = 6.0, -30.0, 64
"""Height of a cell of the body's map, its upper end (head mm) and its number of rows."""


class HeadShape:
    """Distance to a head and its shoulders, head mm, from posed vertices.

    `head` (V, 3) are points of skull, face and neck, star-shaped about `centre`; `body` (W, 3) of neck and torso, with
    one radius for each direction about a vertical axis, and `cloth_mm` of clothes on it. `scale` (3,) and `offset` (3,)
    map template to head mm.
    """

    def __init__(self, head: Array, body: Array, scale: Array, offset: Array, cloth_mm: float) -> None:
        self.scale, self.offset = scale.astype(np.float32), offset.astype(np.float32)
        self.centre = self.place(np.array([0.0, 15.0, -75.0], np.float32))
        self.axis_z = float(self.place(np.array([0.0, -140.0, -98.0], np.float32))[2])
        out = head - self.centre
        radius = norm(out)
        row, column = _polar(out / radius[:, None])
        self.head = _wrapped(_filled(row * ROWS, column * COLUMNS, radius, ROWS, COLUMNS)).astype(np.float32)
        flat = body - [0, 0, self.axis_z]
        row = (BODY_TOP_MM - flat[:, 1]) / BODY_STEP_MM
        column = _azimuth(flat[:, 0], flat[:, 2])
        body = _filled(row, column * COLUMNS, np.hypot(flat[:, 0], flat[:, 2]), BODY_ROWS, COLUMNS) + cloth_mm
        padded = np.pad(body, ((1, 1), (0, 0)), mode="edge")
        steps = padded[2:] - padded[:-2], np.roll(body, -1, axis=1) - np.roll(body, 1, axis=1)
        self.body = _wrapped(np.stack([body, *steps], axis=-1)).astype(np.float32)

    def place(self, rest: Array) -> Array:
        """Return template points (..., 3) where they lie on this head, up to its own features."""
        return rest * self.scale + self.offset

    def template(self, points: Array) -> Array:
        """Return head mm (..., 3) as template mm: the inverse of `place`."""
        return (points - self.offset) / self.scale

    def clearance(self, points: Array) -> tuple[Array, Array]:
        """Return the distance (N,) in mm of points (N, 3) from head or body and the direction (N, 3) away from it."""
        over_head, up = self.skull_clearance(points)
        low = np.nonzero(points[:, 1] < BODY_TOP_MM - BODY_STEP_MM)[0]
        over_body, out = self._body_clearance(points[low])
        nearer = over_body < over_head[low]
        over_head[low[nearer]], up[low[nearer]] = over_body[nearer], out[nearer]
        return over_head, up

    def skull_clearance(self, points: Array) -> tuple[Array, Array]:
        """Return the distance along the ray from the head's centre, and that ray's direction."""
        out = points - self.centre
        distance = norm(out)
        direction = out / distance[:, None]
        row, column = _polar(direction)
        return distance - _bilinear(self.head, row * ROWS, column * COLUMNS), direction

    def on_skull(self, direction: Array, height: Array | float) -> Array:
        """Return points (N, 3) `height` mm above the skull in unit `direction`s (N, 3) from the head's centre."""
        row, column = _polar(direction)
        radius = _bilinear(self.head, row * ROWS, column * COLUMNS) + height
        return self.centre + direction * radius[:, None]

    def _body_clearance(self, points: Array) -> tuple[Array, Array]:
        """Return distance and direction by one Newton step: shoulders push up, a neck pushes out."""
        x, y, z = points[:, 0], points[:, 1], points[:, 2] - self.axis_z
        radius = np.maximum(np.hypot(x, z), 1.0)
        row = (BODY_TOP_MM - y) / BODY_STEP_MM
        column = _azimuth(x, z) * COLUMNS
        here, rise, step = _bilinear(self.body, row, column).T
        rx, rz = x / radius, z / radius
        cell = 4 / COLUMNS * (np.abs(rx) + np.abs(rz)) ** 2  # radians
        slope, turn = rise / (2 * BODY_STEP_MM), step / (2 * cell * radius)
        steep = np.sqrt(1 + slope * slope + turn * turn)
        normal = np.stack([rx - turn * rz, slope, rz + turn * rx], axis=1) / steep[:, None]
        return (radius - here) / steep, normal


def _polar(direction: Array) -> tuple[Array, Array]:
    """Return polar angle from the crown and azimuth of vectors, both in [0, 1] and even to a factor of two."""
    x, y, z = direction.T
    level = np.sqrt(x * x + z * z)
    return 0.5 - 0.5 * y / np.maximum(level + np.abs(y), 1e-9), _azimuth(x, z)


def _azimuth(x: Array, z: Array) -> Array:
    """Return the angle (N,) of x over z as a share of the round, measured along a square.

    numpy's arctan2 differs in its last digit with the alignment of memory, and hair must not.
    """
    along = 0.25 - 0.25 * z / np.maximum(np.abs(x) + np.abs(z), 1e-9)
    return 0.5 + np.copysign(along, x)


def _filled(row: Array, column: Array, value: Array, rows: int, columns: int) -> Array:
    """Return the largest value of each cell (rows, columns), holes filled from their neighbours, smoothed."""
    inside = (row >= 0) & (row <= rows)
    cell = (np.minimum(row[inside].astype(int), rows - 1), np.minimum(column[inside].astype(int), columns - 1))
    table = np.zeros((rows, columns))
    np.maximum.at(table, cell, value[inside])
    while (table == 0).any():
        up, down = np.vstack([table[:1], table[:-1]]), np.vstack([table[1:], table[-1:]])
        near = np.stack([np.roll(table, 1, 1), np.roll(table, -1, 1), up, down])
        known = near > 0
        mean = near.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        table = np.where(table == 0, mean, table)
    bare = table
    for _ in range(2):
        table = (table + np.roll(table, 1, 1) + np.roll(table, -1, 1)) / 3
        table[1:-1] = (table[1:-1] + table[:-2] + table[2:]) / 3
    return np.maximum(table, bare - 1.0)


def _wrapped(table: Array) -> Array:
    """Return `table` (R, C, ...) with the last column before the first and the first after the last: see _bilinear."""
    return np.concatenate([table[:, -1:], table, table[:, :1]], axis=1)


def _bilinear(table: Array, row: Array, column: Array) -> Array:
    """Return what a `_wrapped` table held at cell coordinates (N,), where the columns' are in [0, C]."""
    rows, columns = table.shape[:2]
    row, column = np.clip(row - 0.5, 0, rows - 1.001), column + 0.5
    i, j = row.astype(np.int32), column.astype(np.int32)
    shape = (-1, *[1] * (table.ndim - 2))
    fr, fc = (row - np.trunc(row)).reshape(shape), (column - np.trunc(column)).reshape(shape)
    flat, corner = table.reshape(-1, *table.shape[2:]), i * columns + j
    upper = flat.take(corner, axis=0) * (1 - fc) + flat.take(corner + 1, axis=0) * fc
    corner += columns
    return upper * (1 - fr) + (flat.take(corner, axis=0) * (1 - fc) + flat.take(corner + 1, axis=0) * fc) * fr
