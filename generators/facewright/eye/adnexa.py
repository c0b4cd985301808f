"""What lies round the globe: caruncle and plica, the tear meniscus, and the lashes."""

from __future__ import annotations

import math

import numpy as np

from facewright import rng
from facewright.eye.anatomy import Globe
from facewright.eye.lids import LATERAL, LOWER, MEDIAL, UPPER
from facewright.geometry.mesh import Mesh
from facewright.geometry.strands import Strands
from facewright.schema import side_label

Array = np.ndarray


def caruncle(inner_edge: Array, eye: Globe, centre: Array) -> Mesh:
    """Return the caruncle with the plica: a low, lumpy mound that fills the medial canthus.

    Point attribute `plica` (V, 1) is 1 on the side of the globe, where conjunctiva folds, and 0 on the caruncle itself.

    `inner_edge` (28, 3) is the inner margin loop in head mm. The mound spans from the canthus to just inside the
    globe's surface and stays behind the lid margins.
    """
    corner = inner_edge[MEDIAL]
    upper, lower = inner_edge[UPPER[2]], inner_edge[LOWER[2]]
    mouth = 0.5 * (upper + lower)
    outward = (mouth - centre) / np.linalg.norm(mouth - centre)
    anchor = centre + outward * (eye.radius - 0.3)
    along = corner - anchor
    length = float(np.linalg.norm(along))
    along /= length
    forward = np.array([0.0, 0.0, 1.0])
    up = np.cross(forward, along)
    up /= np.linalg.norm(up)
    forward = np.cross(along, up)
    height = 0.5 * float(np.linalg.norm(upper - lower)) + 0.9
    rows, columns = 17, 24
    u = np.linspace(0, math.pi, rows)
    v = np.linspace(0, 2 * math.pi, columns, endpoint=False)
    uu, vv = np.meshgrid(u, v, indexing="ij")
    lumps = 1 + 0.09 * np.sin(5 * vv + 3 * uu) * np.sin(4 * uu) + 0.05 * np.sin(11 * vv - 7 * uu)
    taper = 0.55 + 0.45 * np.cos(uu)
    x = 0.62 * length * np.cos(uu) * -1
    y = height * np.sin(uu) * np.cos(vv) * lumps * (1.15 - 0.55 * (1 - taper))
    z = 1.35 * np.sin(uu) * np.sin(vv) * lumps
    middle = anchor + along * (0.52 * length) - forward * 0.75
    points = middle + (x[..., None] * along + y[..., None] * up + z[..., None] * forward)
    faces = _tube_faces(rows, columns)
    return Mesh(
        f"{eye.side}_caruncle",
        points.reshape(-1, 3),
        faces,
        np.full(len(faces), int(side_label(eye.side, "caruncle")), np.uint8),
        "caruncle",
        {"plica": np.clip(1.6 - 3 * uu / math.pi, 0, 1).reshape(-1, 1).astype(np.float32)},
    )


def meniscus(edge: Array, outer: Array, eye: Globe, centre: Array, rotation: Array, height_mm: float) -> Mesh:
    """Return the tear meniscus: a thin wedge of fluid along the lower lid between margin and globe.

    `edge` (n, 3) is the inner margin edge of the lower lid, `outer` (n, 3) the lash line; head mm.
    """
    out = edge - centre
    distance = np.linalg.norm(out, axis=1, keepdims=True)
    direction = out / distance
    toward = np.gradient(edge, axis=0)
    across = np.cross(toward, direction)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    across *= np.sign(across[:, 1:2].mean())
    high = direction * distance + across * height_mm
    high_dir = high / np.linalg.norm(high, axis=1, keepdims=True)
    on_globe = centre + high_dir * (eye.surface_radius(high_dir @ rotation) + 0.015)[:, None]
    lid = edge + (outer - edge) / np.linalg.norm(outer - edge, axis=1, keepdims=True) * 0.55 * height_mm
    middle = 0.5 * (on_globe + lid) - 0.18 * height_mm * (direction + across)
    fade = np.clip(np.minimum(np.arange(len(edge)), np.arange(len(edge))[::-1]) / 4, 0, 1)[:, None]
    rows = [edge + (part - edge) * fade for part in (on_globe, middle, lid)]
    faces = np.concatenate([_strip(k, len(edge)) for k in range(2)])
    return Mesh(f"{eye.side}_meniscus", np.concatenate(rows), faces, np.zeros(len(faces), np.uint8), "tear")


def lashes(
    root_line: Array,
    inner_edge: Array,
    side: str,
    upper: bool,
    count: int,
    length_mm: float,
    curl: float,
    thickness: float,
    clump: float,
    seed: tuple[int, int],
) -> Strands:
    """Return lashes along one lid: `root_line` (n, 3) the lash line, `inner_edge` (n, 3) the inner edge, head mm.

    Upper lashes leave the lid forward and a little down, then sweep up; the lateral ones are longest. Neighbours lean
    together in clumps of two to six. `seed` is (sample seed, subject index). Returned strands have 9 points.
    """
    name = f"lashes.{side}.{'upper' if upper else 'lower'}"
    u = rng.numbers(*seed, name, 8, count)
    n = len(root_line)
    place = np.sort(0.045 + 0.92 * (np.arange(count) + 1.6 * (u[0] - 0.5)) / count).clip(0.02, 0.985)
    position = place * (n - 1)
    low = np.minimum(position.astype(int), n - 2)
    frac = (position - low)[:, None]
    root = root_line[low] * (1 - frac) + root_line[low + 1] * frac
    inner = inner_edge[low] * (1 - frac) + inner_edge[low + 1] * frac
    forward = root - inner
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    tangent = np.gradient(root_line, axis=0)[low]
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    away = np.cross(tangent, forward)
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    away *= np.sign(away[:, 1:2]) * (1 if upper else -1)
    rows = 0.75 * u[1] ** 1.3 * (1.0 if upper else 0.6)
    root = root - forward * (0.1 + 0.25 * u[6])[:, None] + away * rows[:, None]

    bell = np.clip(np.sin(math.pi * np.clip(0.06 + 0.86 * place, 0, 1) ** 1.25), 0.0, 1) ** 0.7
    length = length_mm * (0.30 + 0.70 * bell) * (0.62 + 0.42 * u[3]) * np.where(u[7] < 0.07, 0.55, 1.0)
    fan = (0.95 if upper else 0.75) * (place - 0.40) + 0.30 * (u[2] - 0.5)
    lift = (-0.22 if upper else 0.10) + 0.30 * (u[4] - 0.5)
    heading = forward + away * lift[:, None] + tangent * fan[:, None]
    heading /= np.linalg.norm(heading, axis=1, keepdims=True)
    steps = 8
    bend = ((0.4 + 0.8 * curl) if upper else (0.35 + 0.5 * curl)) * (0.75 + 0.5 * u[5])
    points = [root]
    for k in range(steps):
        points.append(points[-1] + heading * (length / steps)[:, None])
        heading = (
            heading + (away + 0.25 * np.sign(fan)[:, None] * tangent) * (bend / steps * (1.45 - 0.11 * k))[:, None]
        )
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
    hairs = np.stack(points, axis=1)

    size = 2 + (5 * u[7]).astype(int)
    group = np.zeros(count, int)
    first, number = 0, 0
    while first < count:
        group[first : first + size[first]] = number
        first, number = first + size[first], number + 1
    members = np.bincount(group)[:, None]
    tips = np.stack([np.bincount(group, hairs[:, -1, k]) for k in range(3)], axis=1) / members
    lean = (np.linspace(0, 1, steps + 1) ** 1.25)[None, :, None] * (0.55 * clump * (0.5 + 0.5 * u[2]))[:, None, None]
    hairs = hairs + lean * (tips[group] - hairs[:, -1])[:, None, :]
    taper = np.linspace(1, 0.04, steps + 1) ** 0.7
    radius = 0.066 * thickness * (0.75 + 0.5 * u[2])[:, None] * taper
    return Strands(name, hairs, radius, side_label(side, "lashes"), "lashes")


def _tube_faces(rows: int, columns: int) -> Array:
    r, c = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    a, b = r * columns + c, r * columns + (c + 1) % columns
    return np.stack([a, b, b + columns, a + columns], axis=2).reshape(-1, 4)


def _strip(row: int, n: int) -> Array:
    a = row * n + np.arange(n - 1)
    return np.stack([a, a + 1, a + 1 + n, a + n], axis=1)


def lid_line(loop: Array, which: str) -> Array:
    """Return the points of a closed lid loop (4k, 3) along the `upper` or `lower` lid, medial to lateral canthus."""
    scale = len(loop) // 28
    if which == "upper":
        return loop[MEDIAL : LATERAL * scale + 1]
    return np.concatenate([loop[:1], loop[LATERAL * scale :][::-1]])
