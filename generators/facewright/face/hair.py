"""Head hair and brows as strands grown from the skin.

Roots are drawn on the resting topology, so a subject keeps every hair through all expressions. Growth is a direction
field per style plus gravity, clumps and curl, kept outside the skull by a radial map of the head.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from facewright import rng
from facewright.face.parameters import Hair
from facewright.geometry.strands import Strands
from facewright.schema import Label, side_label

Array = np.ndarray


@dataclass(frozen=True)
class Style:
    """`length_mm` range, `comb` direction (x outward, y up, z forward), `lift` off the scalp, `gravity`, `clump`."""

    length_mm: tuple[float, float]
    comb: tuple[float, float, float]
    lift: float
    gravity: float
    clump: float
    density: float = 1.0
    part_side: float = 0.0


STYLES: dict[str, Style] = {
    "bald": Style((0.4, 1.2), (0.2, -0.3, -1.0), 0.8, 0.0, 0.0, 0.12),
    "receding": Style((6, 25), (0.3, -0.2, -1.0), 0.4, 0.1, 0.4, 0.8),
    "buzz": Style((2, 7), (0.2, 0.0, 0.2), 1.4, 0.0, 0.0),
    "short": Style((18, 45), (0.35, -0.15, 0.35), 0.65, 0.12, 0.5),
    "side": Style((35, 75), (1.0, -0.2, 0.25), 0.45, 0.25, 0.6, part_side=0.32),
    "medium": Style((70, 150), (0.8, -0.5, -0.15), 0.3, 0.7, 0.6, part_side=0.1),
    "long": Style((160, 300), (0.8, -0.6, -0.25), 0.25, 0.9, 0.65, part_side=0.12),
    "bun": Style((60, 110), (0.05, 0.25, -1.0), 0.12, 0.0, 0.5),
    "afro": Style((15, 60), (0.2, 0.2, 0.0), 2.2, 0.02, 0.25),
}
"""Growth of each style; judged on contact sheets."""

POINTS = 14
"""Points of a head-hair strand."""


class SkullMap:
    """Radius of the head from the skull's centre by direction: keeps strands outside without ray casting."""

    def __init__(self, vertices: Array, centre: Array) -> None:
        self.centre = centre
        self.rows, self.columns = 40, 80
        out = vertices - centre
        radius = np.linalg.norm(out, axis=1)
        row, column = self._cell(out / radius[:, None])
        table = np.zeros((self.rows, self.columns))
        np.maximum.at(table, (row, column), radius)
        for _ in range(40):
            empty = table == 0
            if not empty.any():
                break
            spread = np.maximum.reduce([np.roll(table, s, a) for a in (0, 1) for s in (-1, 1)])
            table = np.where(empty, spread, table)
        for _ in range(2):
            table = (table + np.roll(table, 1, 1) + np.roll(table, -1, 1)) / 3
            table[1:-1] = (table[1:-1] + table[:-2] + table[2:]) / 3
        self.table = table

    def _cell(self, direction: Array) -> tuple[Array, Array]:
        row = np.clip(np.arccos(np.clip(direction[:, 1], -1, 1)) / math.pi * self.rows, 0, self.rows - 1e-6)
        column = (np.arctan2(direction[:, 0], direction[:, 2]) / (2 * math.pi) + 0.5) * self.columns
        return row.astype(int), np.minimum(column.astype(int), self.columns - 1)

    def hold(self, points: Array, low: Array, high: Array) -> Array:
        """Return points (N, 3) kept between `low` and `high` mm (N,) outside the map."""
        out = points - self.centre
        distance = np.linalg.norm(out, axis=1)
        direction = out / distance[:, None]
        skull = self.table[self._cell(direction)]
        return self.centre + direction * np.clip(distance, skull + low, skull + high)[:, None]


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
    return np.clip((y - line) / 7 + 0.5, 0, 1)


def grow(
    hair: Hair,
    roots: Array,
    normals: Array,
    rest_roots: Array,
    skull: SkullMap,
    seed: tuple[int, int],
    radius_mm: float,
) -> Strands:
    """Return head hair from `roots` (N, 3) with skin `normals` (N, 3), head mm.

    `rest_roots` (N, 3) are the same roots on the template: they decide which hairs clump, whatever the expression.
    """
    style = STYLES[hair.style]
    n = len(roots)
    u = np.array(rng.uniforms(*seed, "hair.strands", 6 * n)).reshape(6, n)
    length = style.length_mm[0] + (style.length_mm[1] - style.length_mm[0]) * hair.length
    length = length * (0.75 + 0.35 * u[0])
    away = np.sign(roots[:, 0] - style.part_side * 45 * (1 if hair.texture % 2 > 1 else -1) + 1e-6)
    away = np.where(np.abs(roots[:, 0]) < 4, away * (0.4 + 0.6 * u[5]), away)
    comb = np.array(style.comb) * np.ones((n, 1))
    comb[:, 0] *= away
    if hair.style == "bun":
        knot = np.array([0.0, 45.0, -165.0])
        comb = knot - roots
        comb /= np.linalg.norm(comb, axis=1, keepdims=True)
    clump_id = np.floor(_field(rest_roots, 0.09, hair.texture) * 40).astype(int)
    jitter = np.stack([u[1], u[2], u[3]], axis=1) - 0.5
    clumped = np.stack([_hash(clump_id, k) for k in range(3)], axis=1) - 0.5
    wander = (0.35 + 0.5 * (1 - style.clump)) * jitter + 0.7 * style.clump * clumped
    comb = comb - (comb * normals).sum(1, keepdims=True) * normals * 0.8
    heading = style.lift * normals + comb * 0.8 + 0.5 * wander
    heading /= np.linalg.norm(heading, axis=1, keepdims=True)
    points, here = [roots - 0.6 * normals, roots], roots
    steps = POINTS - 2
    hover = 0.8 + 2.4 * u[4] * min(1.0, style.lift + 0.5) + 0.006 * length
    for _ in range(steps):
        here = here + heading * (length / steps)[:, None]
        # hair on top lies on the skull and falls once it has reached the side or the back.
        free = np.clip(np.maximum((np.abs(here[:, 0]) - 52) / 25, (-here[:, 2] - 95) / 40), 0, 1)[:, None]
        loose = np.maximum(free[:, 0], 1 - min(1.0, 2.5 * style.gravity))
        here = skull.hold(here, hover, hover + 3.0 + 400.0 * loose**2)
        points.append(here)
        heading = points[-1] - points[-2]
        heading = heading / np.maximum(np.linalg.norm(heading, axis=1, keepdims=True), 1e-6)
        fall = np.minimum(1.0, style.gravity * (0.06 + 0.9 * free))
        heading = (1 - 0.75 * fall) * heading + fall * np.array([0, -1.0, 0]) + 0.06 * wander
        heading[:, 0] += style.gravity * 0.9 * (1 - free[:, 0]) * away
        heading[:, 2] -= style.gravity * 0.55 * (1 - free[:, 0]) * np.clip((here[:, 2] + 60) / 60, 0, 1)
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
    line = np.stack(points, axis=1)
    line = _curl(line, hair.curl, length, u[5])
    taper = np.concatenate([np.ones(POINTS - 3), [0.85, 0.6, 0.25]])
    grey = u[1] < hair.grey
    return Strands(
        "hair",
        line,
        radius_mm * taper * (0.8 + 0.4 * u[2])[:, None],
        Label.HAIR,
        "hair",
        np.where(grey, 1.0, 0.0) + 0.999 * u[3],
    )


BROW_LINE = np.array([[13, 14.0], [21, 17.5], [31, 20.5], [41, 20.0], [52, 14.0]])
"""Middle of the brow on the template: x outward and y in mm from the eyes' middle, medial to lateral."""
BROW_ARCH_MM = np.array([0.0, 0.0, 0.8, 2.6, 0.6])
"""Rise of BROW_LINE at an arch of 1."""


def brow_weight(rest: Array, width: float, arch: float) -> Array:
    """Return how much of a brow (V,) in [0, 1] covers template points `rest` (V, 3); `width`, `arch` as in Hair."""
    x = np.abs(rest[:, 0])
    middle = np.interp(x, BROW_LINE[:, 0], BROW_LINE[:, 1] + arch * BROW_ARCH_MM)
    half = 3.4 * width * np.interp(x, [11, 16, 42, 54], [0.7, 1.0, 0.8, 0.25])
    along = np.clip((x - 10) / 4, 0, 1) * np.clip((55 - x) / 5, 0, 1)
    return along * np.exp(-0.5 * ((rest[:, 1] - middle) / half) ** 2) * (rest[:, 2] > -45)


def brows(
    hair: Hair, rest: Array, surface: Array, normals: Array, side: str, seed: tuple[int, int], count: int, gender: float
) -> Strands:
    """Return one brow from `count` roots near BROW_LINE: `rest` (V, 3) template points, `surface` (V, 3) the face."""
    sign = 1 if side == "left" else -1
    u = np.array(rng.uniforms(*seed, f"brow.{side}", 5 * count)).reshape(5, count)
    along = u[0]
    knots = np.linspace(0, 1, len(BROW_LINE))
    x = np.interp(along, knots, BROW_LINE[:, 0])
    height = np.interp(along, [0, 0.15, 0.6, 1], [4.6, 6.2, 5.2, 1.6]) * hair.brow_width * (0.8 + 0.35 * gender)
    off = u[1] + u[2] - 1
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
    radius = 0.036 * (0.6 + 0.7 * u[4])[:, None] * np.array([1, 1, 0.9, 0.75, 0.5, 0.15])
    tint = np.where(u[2] < 0.8 * hair.grey, 1.0, 0.0) + 0.999 * u[3]
    return Strands(f"brow.{side}", np.stack(points, axis=1), radius, side_label(side, "brow"), "brows", tint)


def _on_surface(points: Array, plane: Array, surface: Array, normals: Array) -> tuple[Array, Array]:
    """Return surface points and normals at frontal template positions (N, 2), by inverse-distance of 4 neighbours."""
    square = np.square(points[:, None] - plane[None]).sum(-1)
    nearest = np.argpartition(square, 4, axis=1)[:, :4]
    weight = 1 / (np.take_along_axis(square, nearest, 1) + 1e-3)
    weight /= weight.sum(1, keepdims=True)
    flat = (plane[nearest] * weight[..., None]).sum(1)
    place = (surface[nearest] * weight[..., None]).sum(1)
    place[:, :2] += points - flat
    normal = (normals[nearest] * weight[..., None]).sum(1)
    return place, normal / np.linalg.norm(normal, axis=1, keepdims=True)


def _curl(line: Array, curl: float, length: Array, phase: Array) -> Array:
    """Return strands wound into helices: coily hair has tight, wide turns; straight hair almost none."""
    if curl < 0.03:
        return line
    tangent = np.gradient(line, axis=1)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=2, keepdims=True), 1e-6)
    side = np.cross(tangent, np.array([0.2, 0.3, 1.0]))
    side /= np.maximum(np.linalg.norm(side, axis=2, keepdims=True), 1e-6)
    other = np.cross(tangent, side)
    along = np.linspace(0, 1, line.shape[1])
    turns = (length / (60 - 45 * curl))[:, None] * along
    angle = 2 * math.pi * (np.minimum(turns, line.shape[1] / 3) + phase[:, None])
    width = np.minimum(5.0 * curl, 0.12 * length[:, None]) * along**0.5
    return line + (np.cos(angle)[..., None] * side + np.sin(angle)[..., None] * other) * width[..., None]


def _field(points: Array, scale: float, offset: float) -> Array:
    """Return a smooth pseudo-random field (N,) in [0, 1] of position: a few fixed plane waves."""
    waves = np.array([[1.0, 0.3, 0.5], [-0.4, 1.1, 0.2], [0.6, -0.7, 0.9], [0.2, 0.8, -1.2]])
    phases = (points @ (scale * wave * (k + 1)) + offset * (1.7 + k) for k, wave in enumerate(waves))
    total = sum(map(np.sin, phases), np.zeros(len(points)))
    return 0.5 + 0.125 * total


def _hash(ids: Array, salt: int) -> Array:
    """Return a fixed pseudo-random number in [0, 1) for each integer id."""
    x = (ids.astype(np.uint64) + np.uint64(salt + 1)) * np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(31)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    return (x >> np.uint64(40)).astype(float) / 2.0**24
