"""Teeth and gums: two arches of crowns built on hm08's strips, which say where a person's jaws are. Head axes, mm.

The arches are made once in template coordinates and carried to each head and each opening of the jaw by the affine map
that takes the template's strip of teeth to the posed one.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from facewright import rng
from facewright.face.basis import head_basis
from facewright.face.parameters import Mouth
from facewright.geometry.mesh import Mesh
from facewright.schema import Label

Array = np.ndarray


class Arch(NamedTuple):
    """One dental arch: z = front_mm - 6 (|x| / bend_mm) ** power is its labial outline on the template.

    `edge_mm` is the height of the incisal edges at the midline, `up` the side of the roots. Widths (mesiodistal),
    crown heights and depths (labiolingual) of the seven teeth of a half, central incisor first.
    """

    strip: str
    front_mm: float
    bend_mm: float
    power: float
    edge_mm: float
    up: float
    widths: tuple[float, ...]
    heights: tuple[float, ...]
    depths: tuple[float, ...]


ARCHES = (
    Arch(
        "upper_teeth", 26.8, 16.6, 3.45, -71.0, 1.0,
        (8.5, 6.5, 7.6, 7.0, 6.8, 10.0, 9.5), (10.5, 9.0, 10.0, 8.5, 8.0, 7.5, 7.0),
        (7.0, 6.0, 8.0, 9.0, 9.0, 11.0, 11.0),
    ),
    Arch(
        "lower_teeth", 23.6, 16.2, 3.3, -68.2, -1.0,
        (5.3, 5.7, 6.8, 7.0, 7.2, 11.0, 10.5), (9.0, 9.5, 10.5, 8.5, 8.0, 7.5, 7.0),
        (6.0, 6.3, 7.7, 7.5, 8.0, 10.3, 10.0),
    ),
)  # fmt: skip
"""Sizes of crowns after Wheeler's Dental Anatomy (means of adults); outlines lie on hm08's strips, their
front brought 3 to 4 mm forward and the upper one down, so that incisors stand behind the lips and reach the lower one
in a grin; by eye, after photographs."""
TILT = 0.24
"""Rise of the occlusal plane toward the back on the template: that of hm08's strips."""
ROUND, ROWS = 20, 11
"""Points round a crown and from its edge to the neck, which lies inside the gum."""
NECK_MM = 2.0
"""How far crowns go on inside the gum."""
PAPILLA_MM = 2.4
"""How far gum rises between teeth."""
GUM_SAMPLES = 181


def dentition(body: Array, mouth: Mouth, seed: tuple[int, int]) -> list[Mesh]:
    """Return teeth and gums in the axes of `body` (V, 3), posed basis vertices; `seed` is (sample seed, subject)."""
    found = []
    for arch in ARCHES:
        matrix, centre, target = _affine(arch.strip, body)
        crowns, faces, place = _crowns(arch, mouth, seed)
        colour = _enamel(place, mouth)
        found.append(
            Mesh(
                arch.strip,
                (crowns - centre) @ matrix + target,
                faces,
                np.full(len(faces), int(Label.TEETH), np.uint8),
                "teeth",
                {"albedo": colour},
            )
        )
        gum, faces = _gum(arch)
        found.append(
            Mesh(
                arch.strip.replace("teeth", "gum"),
                (gum - centre) @ matrix + target,
                faces,
                np.full(len(faces), int(Label.GUMS), np.uint8),
                "gum",
                {"rest": gum},
            )
        )
    return found


def _affine(strip: str, body: Array) -> tuple[Array, Array, Array]:
    """Return (matrix, centre, target): (points - centre) @ matrix + target carries the template to `body` (V, 3).

    It moves the vertices of `strip` best, by least squares.
    """
    basis = head_basis()
    ids = np.unique(basis.faces[basis.part == basis.part_names.index(strip)])
    rest = basis.template[ids] - basis.origin
    centre, target = rest.mean(axis=0), body[ids].mean(axis=0)
    matrix, *_ = np.linalg.lstsq(rest - centre, body[ids] - target, rcond=None)
    return matrix, centre, target


@cache
def _outline(arch: Arch) -> tuple[Array, Array]:
    """Return arc lengths (n,) mm from the midline and points (n, 2) x, z of the left half of the labial outline."""
    x = np.linspace(0, 33, 400)
    points = np.stack([x, arch.front_mm - 6 * (x / arch.bend_mm) ** arch.power], axis=1)
    step = np.linalg.norm(np.diff(points, axis=0), axis=1)
    return np.concatenate([[0], np.cumsum(step)]), points


def _frame(arch: Arch, along: Array) -> tuple[Array, Array, Array]:
    """Return points (n, 3) of the occlusal outline, unit tangents and labial normals (n, 3) at signed arc lengths."""
    length, points = _outline(arch)
    away, sign = np.abs(along), np.where(along < 0, -1.0, 1.0)
    x, z = (np.interp(away, length, points[:, k]) for k in (0, 1))
    ahead, z_ahead = (np.interp(away + 0.5, length, points[:, k]) for k in (0, 1))
    tangent = np.stack([ahead - x, np.zeros_like(x), z_ahead - z], axis=1)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    y = arch.edge_mm + TILT * (arch.front_mm - z)
    place, flip = np.stack([sign * x, y, z], axis=1), np.stack([sign, np.ones_like(x), np.ones_like(x)], axis=1)
    normal = np.stack([-tangent[:, 2], np.zeros_like(x), tangent[:, 0]], axis=1)
    return place, tangent * flip, normal * flip


def _crowns(arch: Arch, mouth: Mouth, seed: tuple[int, int]) -> tuple[Array, Array, Array]:
    """Return vertices (n, 3), faces (m, 4) and (n, 2) share of height and tooth of 14 crowns."""
    u = rng.numbers(*seed, f"teeth.{arch.strip}", 14, 5) - 0.5
    points, faces, place, count = [], [], [], 0
    for side in (-1.0, 1.0):
        start = 0.5 * mouth.gap_mm if arch.up > 0 else 0.0
        for k, (width, height, depth) in enumerate(zip(arch.widths, arch.heights, arch.depths, strict=True)):
            centre = side * (start + width / 2)
            start += width
            jitter = u[(k if side < 0 else 7 + k)] * (0.25 + mouth.crowding)
            origin, tangent, normal = (row[0] for row in _frame(arch, np.array([centre])))
            turn = 0.35 * jitter[0]
            tangent, normal = (
                tangent * np.cos(turn) + normal * np.sin(turn),
                normal * np.cos(turn) - tangent * np.sin(turn),
            )
            origin = origin + normal * (1.6 * jitter[1] - 0.5 * depth) + np.array([0, arch.up * 0.9 * jitter[2], 0])
            local, rise = _crown(k, width * (1 + 0.06 * jitter[3]), height, depth)
            across, up, out = local.T
            root = np.array([0, arch.up, 0]) - (0.10 if k < 3 else 0.0) * normal  # incisors lean forward
            points.append(origin + across[:, None] * tangent + up[:, None] * root + out[:, None] * normal)
            faces.append(_crown_faces() + count)
            place.append(np.stack([rise, np.full(len(rise), jitter[4])], axis=1))
            count += len(local)
    return np.concatenate(points), np.concatenate(faces), np.concatenate(place)


def _crown(k: int, width: float, height: float, depth: float) -> tuple[Array, Array]:
    """Return (n, 3) of one crown: distal, from the edge toward the root, labial; and its share of height (n,)."""
    share = np.linspace(0, 1 + NECK_MM / height, ROWS)
    angle = np.linspace(0, 2 * np.pi, ROUND, endpoint=False)
    if k < 3:  # incisors and canine: a blade that thickens toward the neck
        wide = np.interp(share, [0, 0.12, 0.3, 1, 1.3], [0.90, 0.99, 1.0, 0.74, 0.62])
        deep = np.interp(share, [0, 0.15, 0.5, 0.85, 1.3], [0.16, 0.28, 0.62, 1.0, 0.9])
    else:
        wide = np.interp(share, [0, 0.12, 0.35, 1, 1.3], [0.80, 0.96, 1.0, 0.82, 0.72])
        deep = np.interp(share, [0, 0.10, 0.5, 0.9, 1.3], [0.62, 0.84, 1.0, 0.96, 0.85])
    front = 0.5 * depth * np.interp(share, [0, 0.3, 0.85, 1.3], [0.93, 1.0, 1.0, 0.8])
    c, s = np.cos(angle), np.sin(angle)
    ring_x, ring_z = np.sign(c) * np.abs(c) ** 0.62, np.sign(s) * np.abs(s) ** 0.75
    across = 0.505 * width * wide[:, None] * ring_x  # a little over half: neighbours touch
    out = front[:, None] - 0.5 * depth * deep[:, None] * (1 - ring_z)
    up = height * share[:, None] * np.ones(ROUND)
    edge = np.clip(1 - share / 0.35, 0, 1)[:, None]
    distal = ring_x * wide[:, None]
    if k == 2:
        up = up + edge * 1.5 * np.abs(distal) ** 1.2
    elif k < 2:
        up = up + edge * (0.9 * np.clip(distal, 0, 1) ** 3 + 0.35 * np.clip(-distal, 0, 1) ** 4)
    else:  # buccal cusps stand higher than the middle
        cusps = 1 if k < 5 else 2
        up = up + edge * (0.8 + 0.8 * np.cos(np.pi * (1 + cusps * distal))) * (ring_z > -0.2)
    local = np.stack([across, up, out], axis=2).reshape(-1, 3)
    top = local[:ROUND].mean(axis=0) + np.array([0, 0.25 if k < 3 else 1.1, 0])
    return np.concatenate([local, top[None]]), np.concatenate([np.repeat(share, ROUND), [0.0]])


@cache
def _crown_faces() -> Array:
    row, column = np.meshgrid(np.arange(ROWS - 1), np.arange(ROUND), indexing="ij")
    a, b = row * ROUND + column, row * ROUND + (column + 1) % ROUND
    sides = np.stack([a, b, b + ROUND, a + ROUND], axis=2).reshape(-1, 4)
    around, middle = np.arange(ROUND), ROWS * ROUND
    following = (around + 1) % ROUND
    lid = np.stack([following, around, np.full(ROUND, middle), np.full(ROUND, middle)], axis=1)
    return np.concatenate([sides, lid])


SHADES = np.array([[0.83, 0.81, 0.76], [0.76, 0.70, 0.58], [0.60, 0.50, 0.34]])
"""Albedo of enamel: bleached, the middle of the Vita guide, its dark end (linear; by eye after shade guides)."""


def _enamel(place: Array, mouth: Mouth) -> Array:
    """Return the albedo (n, 3): yellower toward the neck, bluish and clearer at the edge."""
    rise, own = place.T
    shade = np.clip(mouth.teeth_shade + 0.10 * own, 0, 1)[:, None]
    base = np.where(
        shade < 0.5,
        SHADES[0] + 2 * shade * (SHADES[1] - SHADES[0]),
        SHADES[1] + (2 * shade - 1) * (SHADES[2] - SHADES[1]),
    )
    neck = np.clip((rise - 0.45) / 0.6, 0, 1)[:, None]
    edge = np.clip(1 - rise / 0.16, 0, 1)[:, None]
    return base * (1 - neck * np.array([0.04, 0.10, 0.20])) * (1 - edge * np.array([0.16, 0.12, 0.06]))


@cache
def _gum(arch: Arch) -> tuple[Array, Array]:
    """Return the gum's vertices (n, 3) on the template and faces: a band round the necks, scalloped by the teeth."""
    ends = np.concatenate([[0], np.cumsum(arch.widths)])
    along = np.linspace(-ends[-1] - 1, ends[-1] + 1, GUM_SAMPLES)
    place, _, normal = _frame(arch, along)
    k = np.clip(np.searchsorted(ends, np.abs(along), side="right") - 1, 0, len(arch.widths) - 1)
    within = 2 * (np.abs(along) - ends[k]) / np.array(arch.widths)[k] - 1
    middle = 0.5 * (ends[1:] + ends[:-1])
    height = np.interp(np.abs(along), middle, arch.heights)
    depth = np.interp(np.abs(along), middle, arch.depths)
    margin = height - PAPILLA_MM * np.abs(within) ** 2.5
    hollow = 0.5 * (1 - np.abs(within) ** 2)
    section = [
        (-4.0 + 0 * depth, height + 7.0),
        (-1.4 + 0 * depth, height + 4.5),
        (0.2 + 0.3 * hollow, height + 2.0),
        (0.2 + 0.3 * hollow, margin + 0.5),
        (-0.5 + 0 * depth, margin),
        (-0.5 * depth, margin - 0.3),
        (-depth + 0.5, margin),
        (-depth - 0.3, margin + 0.8),
        (-depth - 1.2, height + 3.0),
        (-depth - 3.0, height + 8.0),
    ]
    up = np.array([0, arch.up, 0])
    points = np.stack([place + out[:, None] * normal + rise[:, None] * up for out, rise in section], axis=1)
    rows, columns = np.meshgrid(np.arange(GUM_SAMPLES - 1), np.arange(len(section) - 1), indexing="ij")
    a = (rows * len(section) + columns).ravel()
    return points.reshape(-1, 3), np.stack([a, a + 1, a + 1 + len(section), a + len(section)], axis=1)
