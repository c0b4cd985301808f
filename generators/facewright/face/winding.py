"""What strands do along their length: gather into locks, are plaited or twisted, wave or coil, and fray."""

from __future__ import annotations

import math

import numpy as np

from facewright.face.haircuts import Style
from facewright.geometry.noise import value_noise
from facewright.geometry.vectors import cross, norm, unit

Array = np.ndarray

STRAYS = 0.03
"""Share of flyaways, which are half as thick as other strands."""
GATHER_MM = 14.0
"""How far from the root a hair lies on the scalp before it has joined its lock. Reasoned."""


def roped(line: Array, style: Style, group: Array, u: Array) -> Array:
    """Return strands wound about their lock's middle line: braids of three, twists of two, matted locs."""
    width, depth, pitch = {"braid": (2.6, 1.9, 13.0), "twist": (2.6, 2.6, 14.0), "loc": (1.2, 1.2, 30.0)}[style.rope]
    if style.flow == "rows":
        width, depth, pitch = 3.6, 1.8, 11.0
    middle = group_mean(line, group) if style.flow != "rows" else line
    pull = np.minimum(1, _arc(line) / GATHER_MM)[..., None]
    line = line + pull * (middle - line)
    wound = plait(middle, group, u, width, depth, pitch, {"braid": 3, "twist": 2, "loc": 1}[style.rope])
    return line + pull * wound


def plait(line: Array, group: Array, u: Array, width: float, depth: float, pitch: float, strands: int = 3) -> Array:
    """Return offsets (N, K, 3) from a middle line that plait `strands` locks `width` wide with a period of `pitch` mm.

    A plait's locks swing from side to side once while they go in and out twice (a Lissajous curve); a twist's locks
    are plain helices.
    """
    normal, binormal = frames(line)
    arc = _arc(line)
    phase = 2 * math.pi * arc / pitch + 2 * math.pi * hashed(group, 21)[:, None]
    lock = (np.arange(len(line)) % strands).astype(np.float32)[:, None]
    angle = phase + 2 * math.pi * lock / strands
    if strands == 3:
        across, along = width * np.sin(angle), 0.8 * depth * np.sin(2 * angle)
    elif strands == 2:
        across, along = 0.6 * width * np.sin(angle), 0.6 * depth * np.cos(angle)
    else:
        lump = 0.25 * np.sin(0.37 * arc + 9 * hashed(group, 4)[:, None])
        across, along = lump, 0 * lump
    fill = np.sqrt(u[3])[:, None] * (0.62 * depth if strands > 1 else 2.1 * depth)
    spin = 2 * math.pi * u[4][:, None] + 0.5 * phase
    across = across + fill * np.cos(spin)
    along = along + fill * np.sin(spin)
    return across[..., None] * normal + along[..., None] * binormal


def locks(line: Array, style: Style, rest: Array, tail: Array, texture: float, u: Array) -> Array:
    """Return strands drawn together in locks of 16 and 6 mm, the more the nearer their ends."""
    if style.clump <= 0:
        return line
    along = shares(line.shape[1])
    place = rest + 5 * np.stack([value_noise(rest, 0.09, 2, texture + 50 * k) - 0.5 for k in range(3)], axis=1)
    strength = style.clump * (0.45 if style.ties else 1.0)
    for size, share in ((6.0, 0.75), (16.0, 0.45)):
        key = (2 * cells(place, size, texture) + tail) * 2 + (rest[:, 0] > 0)
        _, group = np.unique(key, return_inverse=True)
        own = strength * share * (0.5 + 0.5 * hashed(group, 2)) * (0.6 + 0.4 * u[11])
        pull = own[:, None] * smooth_step((along - 0.05) / 0.75)
        pull = np.where(tail[:, None], 0.5 * pull, pull)
        line = line + pull[..., None] * (group_mean(line, group) - line)
    return line


def waved(line: Array, curl: float, rest: Array, texture: float, u: Array) -> Array:
    """Return strands wound into waves or helices, in phase within a lock."""
    if curl < 0.05:
        return line
    arc = _arc(line)
    tight = float(np.clip((curl - 0.3) / 0.3, 0, 1))
    lock = hashed(cells(rest, 10.0, texture), 8)
    together = (1 - tight) * 1.5 * value_noise(rest, 0.03, 1, texture + 70) + tight * lock
    step = max(float(np.median(arc[:, -1])) / (line.shape[1] - 1), 0.1)
    wave = max(wavelength(curl), 4.5 * step)
    size = float(np.interp(curl, [0, 0.3, 0.6, 0.85, 1], [0, 5.0, 6.5, 3.4, 2.2]))
    pitch = wave * (0.94 + (0.12 + 0.1 * tight) * (together % 1))[:, None]
    angle = 2 * math.pi * (arc / pitch + together[:, None] + (0.05 + 0.5 * curl**2) * (u[5] - 0.5)[:, None])
    grown = size * np.minimum(1, arc / (0.9 * wave + 6)) * (0.7 + 0.6 * u[6])[:, None]
    normal, binormal = frames(line)
    flat = float(np.interp(curl, [0.3, 0.7], [0.45, 1.0]))
    return line + (grown * np.cos(angle))[..., None] * binormal + (flat * grown * np.sin(angle))[..., None] * normal


def wavelength(curl: float) -> float:
    """Return the length in mm of one wave or coil: 110 mm waves to 9 mm coils.

    Curve diameters fall from some 8 cm to under 1 cm over hair types I to VIII (Loussouarn et al., Br. J. Dermatol.
    2007), reasoned between.
    """
    return 110 * math.exp(-2.6 * curl)


def frayed(line: Array, curl: float, u: Array) -> Array:
    """Return strands with a wander of their own, flyaways (STRAYS) far more."""
    along = shares(line.shape[1])[None]
    stray = np.where(u[7] < STRAYS, 0.075, 0.012 + 0.01 * curl) * np.minimum(_arc(line)[:, -1], 120)
    found = line.copy()
    for axis in range(3):
        wave = np.sin(2 * math.pi * (u[(3 + axis) % 7][:, None] + along * (0.6 + 1.2 * u[axis][:, None])))
        wave -= wave[:, :1]
        found[..., axis] += stray[:, None] * wave * along
    return found


def cells(points: Array, size: float, offset: float) -> Array:
    """Return the number (N,) of the cell of edge `size` mm that holds each point (N, 3)."""
    cell = np.floor(points / size + offset).astype(np.int64) + 1000
    return (cell[:, 0] * 4096 + cell[:, 1]) * 4096 + cell[:, 2]


def group_mean(line: Array, group: Array) -> Array:
    """Return for each strand the mean (N, K, 3) of its group's strands."""
    order = np.argsort(group, kind="stable")
    first = np.concatenate([[True], np.diff(group[order]) != 0])
    starts = np.nonzero(first)[0]
    total = np.add.reduceat(line[order], starts, axis=0)
    mean = total / np.diff(np.append(starts, len(group))).astype(np.float32)[:, None, None]
    found = np.empty_like(line)
    found[order] = mean[np.cumsum(first) - 1]
    return found


def frames(line: Array) -> tuple[Array, Array]:
    """Return two normals (N, K, 3) each of strands, carried along them without twist."""
    tangent = unit(np.gradient(line, axis=1))
    start = cross(tangent[:, 0], np.array([0.31, 0.86, 0.4], np.float32))
    normal = unit(start)
    normals = [normal]
    for k in range(1, line.shape[1]):
        here = tangent[:, k]
        lean = normal[:, 0] * here[:, 0] + normal[:, 1] * here[:, 1] + normal[:, 2] * here[:, 2]
        normal = unit(normal - lean[:, None] * here)
        normals.append(normal)
    found = np.stack(normals, axis=1)
    return found, cross(tangent, found)


def _arc(line: Array) -> Array:
    """Return how far (N, K) along its strand each point of (N, K, 3) lies."""
    found = np.zeros(line.shape[:2], line.dtype)
    np.cumsum(norm(np.diff(line, axis=1)), axis=1, out=found[:, 1:])
    return found


def shares(points: int) -> Array:
    """Return `points` numbers float32 from 0 to 1, evenly."""
    return np.linspace(0, 1, points, dtype=np.float32)


def smooth_step(value: Array) -> Array:
    """Return the smooth step of `value` from 0 to 1."""
    t = np.clip(value, 0, 1)
    return t * t * (3 - 2 * t)


def hashed(ids: Array, salt: int) -> Array:
    """Return a fixed pseudo-random number in [0, 1) for each integer id."""
    x = (ids.astype(np.uint64) + np.uint64(salt + 1)) * np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(31)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    return (x >> np.uint64(40)).astype(np.float32) / 2.0**24
