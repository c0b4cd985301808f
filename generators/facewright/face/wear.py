"""What a person wears beside shirt and glasses: headwear, headphones, masks, scarves and jewellery. Head axes, mm.

Everything is draped on the head as it is: a height field of the skin about a centre says how far cloth stands off.
Lengths are an adult's and scale with the head.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from facewright import rng
from facewright.face.parameters import Hat, Jewellery, Mask, Wear
from facewright.face.topology import neck_share
from facewright.geometry.mesh import Mesh
from facewright.schema import Label

Array = np.ndarray

HEAD_CENTRE_MM = np.array([0.0, 12.0, -82.0])
"""About which headwear is unrolled: the middle of the braincase."""
SCARF_CENTRE_MM = np.array([0.0, -25.0, -72.0])
"""About which a headscarf is unrolled, along the forward axis: it has to drape over chin, neck and shoulders."""
TOP_MM = 119.0
"""Height of the template's vertex over the eyes: the measure of a head's size."""


@dataclass(frozen=True)
class Skin:
    """What is worn on: `head` (V, 3) mm, and vertex ids of face and scalp, of neck and torso, and of each ear."""

    head: Array
    face: Array
    trunk: Array
    ears: dict[str, Array]

    @property
    def size(self) -> float:
        """Return the size of the head over the template's."""
        return float(self.head[self.face, 1].max()) / TOP_MM


def worn(wear: Wear, skin: Skin, seed: tuple[int, int]) -> list[Mesh]:
    """Return all of it; meshes with point attribute `head` bend with the neck, the others follow the head."""
    found = [*headwear(wear.hat, skin)]
    if wear.headphones:
        found += _headphones(skin)
    if wear.mask.kind != "none":
        found += _mask(wear.mask, skin)
    if wear.scarf:
        found.append(_scarf(skin, seed))
    return [*found, *_earrings(wear.jewellery, skin), *_necklace(wear.jewellery, skin)]


# height fields


@dataclass(frozen=True)
class Field:
    """Largest radius of skin about `centre` by direction: `axes` (3, 3) rows are the zero meridian, its left and the
    pole; `radius` (R, C) by polar angle from 0 to pi and azimuth round.
    """

    centre: Array
    axes: Array
    radius: Array

    def at(self, polar: Array, azimuth: Array) -> Array:
        """Return the radius (mm) at polar angle and azimuth, bilinear."""
        rows, columns = self.radius.shape
        r = np.clip(polar / math.pi * rows - 0.5, 0, rows - 1.001)
        c = azimuth / (2 * math.pi) * columns - 0.5
        i, j = r.astype(int), np.floor(c).astype(int)
        fr, fc = r - i, c - j
        near, far = self.radius[i, j % columns], self.radius[i + 1, j % columns]
        near = near + fc * (self.radius[i, (j + 1) % columns] - near)
        far = far + fc * (self.radius[i + 1, (j + 1) % columns] - far)
        return near + fr * (far - near)

    def place(self, polar: Array, azimuth: Array, radius: Array) -> Array:
        """Return the points (..., 3) there."""
        flat = np.sin(polar) * radius
        local = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.cos(polar) * radius], axis=-1)
        return self.centre + local @ self.axes

    def polar(self, points: Array) -> tuple[Array, Array, Array]:
        """Return polar angle, azimuth and radius (N,) of points (N, 3)."""
        x, y, z = ((points - self.centre) @ self.axes.T).T
        radius = np.sqrt(x * x + y * y + z * z)
        return np.arccos(np.clip(z / np.maximum(radius, 1e-9), -1, 1)), np.arctan2(y, x), radius


def field(points: Array, centre: Array, pole: str, smooth: int, most: float = 400.0) -> Field:
    """Return the height field of `points` (N, 3) about `centre`.

    `pole` is "up", with the zero meridian ahead, or "ahead", with it up. Radii beyond `most` are cut there.
    """
    axes = (
        np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]]) if pole == "up" else np.array([[0, 1.0, 0], [1, 0, 0], [0, 0, 1]])
    )
    found = Field(centre, axes, np.zeros((48, 96)))
    polar, azimuth, radius = found.polar(points)
    rows, columns = found.radius.shape
    i = np.minimum((polar / math.pi * rows).astype(int), rows - 1)
    j = (azimuth / (2 * math.pi) * columns).astype(int) % columns
    grid = np.zeros((rows, columns))
    np.maximum.at(grid, (i, j), np.minimum(radius, most))
    for _ in range(24):  # directions without skin take their neighbours'
        near = np.stack([np.roll(grid, 1, 1), np.roll(grid, -1, 1), _down(grid), _down(grid[::-1])[::-1]])
        grid = np.where(grid > 0, grid, near.max(axis=0))
    for _ in range(smooth):  # smooth, but never below the skin by more than the smoothing of bumps takes
        near = np.roll(grid, 1, 1) + np.roll(grid, -1, 1) + _down(grid) + _down(grid[::-1])[::-1]
        grid = np.maximum(0.5 * grid + 0.125 * near, 0.8 * grid + 0.05 * near)
    return Field(centre, axes, grid)


def _down(grid: Array) -> Array:
    return np.concatenate([grid[:1], grid[:-1]])


# headwear


def crown(hat: Hat, skin: Skin) -> tuple[Field, Array] | None:
    """Return the field of what is under the headwear, and by azimuth (C,) the polar angle of its rim; None if bare."""
    if hat.kind == "none":
        return None
    size = skin.size
    if hat.kind == "headscarf":
        under = field(skin.head[np.union1d(skin.face, skin.trunk)], SCARF_CENTRE_MM * size, "ahead", 6, 215.0)
        azimuth = _round(under)
        wide = np.where(np.cos(azimuth) > 0, 78.0 - 10 * hat.pull, 80.0) * size
        oval = 71.0 * size * wide / np.hypot(71.0 * size * np.cos(azimuth), wide * np.sin(azimuth))
        polar = np.full(len(azimuth), 1.0)
        for _ in range(12):
            polar = 0.5 * polar + 0.5 * np.arcsin(np.clip(oval / under.at(polar, azimuth), 0, 0.97))
        return under, polar
    under = field(skin.head[skin.face], HEAD_CENTRE_MM * size, "up", 4)
    front, side, back = {
        "beanie": (56 - 20 * hat.pull, 16 - 16 * hat.pull, -14 - 20 * hat.pull),
        "cap": (52 - 14 * hat.pull, 30 - 8 * hat.pull, 2 - 14 * hat.pull),
        "brim": (54 - 14 * hat.pull, 34 - 8 * hat.pull, 16 - 12 * hat.pull),
        "turban": (56 - 14 * hat.pull, 18 - 6 * hat.pull, -16 - 8 * hat.pull),
    }[hat.kind]
    azimuth = _round(under)
    c = np.cos(azimuth)
    height = (side + np.where(c > 0, front - side, back - side) * c * c) * size - under.centre[1]
    polar = np.full(len(azimuth), 1.5)
    for _ in range(12):
        polar = np.arccos(np.clip(height / under.at(polar, azimuth), -0.95, 0.95))
    return under, polar


def _round(under: Field) -> Array:
    columns = under.radius.shape[1]
    return (np.arange(columns) + 0.5) * 2 * math.pi / columns


SHIRT_MM = 9.0
"""How far a headscarf stands off breast and shoulders beside: a shirt lies under it."""
HAIR_MM = 6.0
"""How far headwear stands off the scalp at least: hair lies under it."""


def tuck(points: Array, hat: Hat, skin: Skin) -> Array:
    """Return strand points (N, k, 3) with those under the headwear pressed below it; not for headscarves."""
    made = crown(hat, skin)
    if made is None:
        return points
    under, rim = made
    flat = points.reshape(-1, 3)
    polar, azimuth, radius = under.polar(flat)
    edge = np.interp(azimuth % (2 * math.pi), _round(under), rim, period=2 * math.pi)
    inside = edge - polar
    room = under.at(polar, azimuth) + HAIR_MM - 1.5
    share = np.clip(inside / 0.06, 0, 1)
    held = np.where(radius > room, radius + share * (room - radius), radius)
    return under.place(polar, azimuth, held).reshape(points.shape)


def headwear(hat: Hat, skin: Skin) -> list[Mesh]:
    """Return the headwear, empty for a bare head."""
    made = crown(hat, skin)
    if made is None:
        return []
    under, rim = made
    size, azimuth = skin.size, _round(made[0])
    share = np.linspace(1, 0, 30)[:, None] ** 0.9
    if hat.kind == "headscarf":
        polar = math.pi - (math.pi - rim) * share
        off = HAIR_MM + 5 * np.sin(math.pi * np.clip(1.4 * (1 - share), 0, 1)) + 4.5 * _folds(azimuth, polar)
        off = off + SHIRT_MM * np.clip((polar - rim) / 0.35, 0, 1) * np.clip(-2 * np.cos(azimuth), 0, 1)
        radius = under.at(polar, azimuth + 0 * polar) + off * size
        shell = under.place(polar, azimuth + 0 * polar, radius)
        inner = under.place(rim, azimuth, under.at(rim, azimuth) + 1.0)
        return [_bending_mesh(_loops("headscarf", np.concatenate([inner[None], shell]), "hat", Label.HAT), size)]
    polar = rim * share
    radius = under.at(polar, azimuth + 0 * polar)
    off = HAIR_MM + 0 * polar
    along = (rim - polar) * radius  # mm from the rim up
    if hat.kind == "beanie":
        off = off + 3.2 * np.clip((44 * size - along) / 4, 0, 1) * (hat.turn > 0.3) + 0.9 * (along > 3)
        off = off + (6 + 26 * hat.slouch) * (1 - share) ** 2 * (1 - 0.5 * np.cos(azimuth))
    elif hat.kind == "turban":
        wraps = np.sin(9 * polar / np.maximum(rim, 0.5) * 2 + 1.3 * np.abs(np.sin(0.5 * azimuth)) * 6)
        off = off + 9 + 10 * np.sin(math.pi * np.clip(1.1 * (1 - share), 0, 1)) + 2.6 * wraps
    elif hat.kind == "cap":
        off = off + (5 + 9 * np.cos(azimuth).clip(0)) * np.sin(math.pi * np.clip(0.85 * (1 - share), 0, 1))
    else:
        off = off + 5 + 0 * polar
    points = under.place(polar, azimuth + 0 * polar, radius + off * size)
    if hat.kind == "brim":  # a block: walls up, then a flat or dented top
        top = skin.head[skin.face, 1].max() + 22 * size
        wall = points[:1] * [1, 0, 1] * 1.0
        rise = np.clip(1 - share, 0, 0.62)[..., None] / 0.62
        lip = points[:1]
        inward = np.clip((1 - share) - 0.62, 0, 1)[..., None] / 0.38
        middle = lip.mean(axis=1, keepdims=True)
        slim = 1 - 0.10 * rise
        points = np.where([True, False, True], middle + (wall - middle) * slim * (1 - inward**1.3), 0.0)
        points[..., 1] = (lip[..., 1] + rise[..., 0] * (top - lip[..., 1])) - 13 * size * np.exp(
            -((points[..., 0] / 20) ** 2)
        ) * inward[..., 0] ** 0.5 * hat.slouch
    inner = under.place(rim, azimuth, under.at(rim, azimuth) + 1.5)
    parts = [_loops("hat", np.concatenate([inner[None], points]), "hat", Label.HAT)]
    if hat.kind == "cap":
        parts.append(_visor(points[0], azimuth, hat, size))
    if hat.kind == "brim":
        parts.append(_brim(points[0], azimuth, hat, size))
    if hat.kind == "cap" and hat.turn > 0.85:  # worn back to front
        turned = [part.vertices * [-1, 1, -1] + [0, 0, 2 * HEAD_CENTRE_MM[2] * size] for part in parts[1:]]
        lowered = [flip - [0, 0.55 * (points[0][0, 1] - points[0][len(azimuth) // 2, 1]), 0] for flip in turned]
        parts = [parts[0], *(part.moved(place) for part, place in zip(parts[1:], lowered, strict=True))]
    return parts


def _folds(azimuth: Array, polar: Array) -> Array:
    return np.sin(7 * azimuth + 5 * polar) * np.clip((polar - 1.0) / 0.8, 0, 1)


def _visor(rim: Array, azimuth: Array, hat: Hat, size: float) -> Mesh:
    """Return the visor of a cap over the front of its `rim` (C, 3): a bowed sheet, two-sided."""
    reach = math.radians(62)
    angle = np.linspace(-reach, reach, 41)
    inner = np.stack([np.interp(angle, _signed(azimuth), _ordered(azimuth, rim[:, k])) for k in range(3)], axis=1)
    share = np.linspace(0, 1, 12)[:, None, None]
    x = inner[:, 0] / (60 * size)
    length = (78 - 18 * x**2) * size * np.clip((reach - np.abs(angle)) / 0.25, 0, 1) ** 0.5
    out = np.stack([0.12 * inner[:, 0], -0.20 * length - (6 + 14 * hat.slouch) * size * x**2, length], axis=1)
    sheet = inner + share * out + [0, 1.0, 0] * (share * (1 - share)) * 8 * size
    return _sheet("visor", np.concatenate([sheet, sheet[::-1] - [0, 1.8, 0]]), "hat", Label.HAT)


def _brim(rim: Array, azimuth: Array, hat: Hat, size: float) -> Mesh:
    """Return the brim all round `rim` (C, 3)."""
    share = np.linspace(0, 1, 10)[:, None, None]
    wide = (38 + 46 * hat.turn) * size
    middle = rim.mean(axis=0)
    out = (rim - middle) * [1, 0, 1]
    out = out / np.linalg.norm(out, axis=1, keepdims=True)
    curl = (-0.10 + 0.22 * np.abs(np.sin(azimuth)) ** 2)[:, None] * [0, 1.0, 0]
    sheet = rim + share * wide * (out + share * curl)
    return _loops("brim", np.concatenate([sheet, sheet[::-1] - [0, 1.8, 0]]), "hat", Label.HAT)


def _signed(azimuth: Array) -> Array:
    return np.sort((azimuth + math.pi) % (2 * math.pi) - math.pi)


def _ordered(azimuth: Array, values: Array) -> Array:
    return values[np.argsort((azimuth + math.pi) % (2 * math.pi) - math.pi)]


# headphones


def _headphones(skin: Skin) -> list[Mesh]:
    """Return two cups over the ears and the band between them."""
    size, parts, ends = skin.size, [], []
    for side, sign in (("right", -1.0), ("left", 1.0)):
        ear = skin.head[skin.ears[side]]
        middle = 0.5 * (ear.min(axis=0) + ear.max(axis=0)) + np.array([0, 0, 4.0])
        inner = sign * np.percentile(sign * ear[:, 0], 30) - sign * 3
        depth = np.array([0, 0, 12, 19, 22, 24, 24.0]) * size
        reach = np.array([30, 38, 38, 36, 33, 22, 0.0]) * size
        t = np.linspace(0, 2 * math.pi, 40, endpoint=False)
        rings = np.stack(
            [
                np.stack(
                    [inner + sign * d + 0 * t, middle[1] + 1.15 * r * np.sin(t), middle[2] + r * np.cos(t)], axis=1
                )
                for d, r in zip(depth, reach, strict=True)
            ]
        )
        parts.append(_loops(f"{side}_cup", rings, "headphones", Label.HEADPHONES))
        ends.append(np.array([inner + sign * 14 * size, middle[1] + 30 * size, middle[2]]))
    top = skin.head[skin.face, 1].max() + 12 * size
    t = np.linspace(0, math.pi, 60)[:, None]
    middle, half = 0.5 * (ends[0] + ends[1]), 0.5 * (ends[1] - ends[0])
    rise = np.array([0, top - middle[1], 0])
    path = middle - np.sign(np.cos(t)) * np.abs(np.cos(t)) ** 0.75 * half + np.sin(t) ** 0.8 * rise
    parts.append(tube("band", path, 4.0 * size, "headphones", Label.HEADPHONES, flat=(1.0, 3.2)))
    return parts


# masks


def _mask(mask: Mask, skin: Skin) -> list[Mesh]:
    """Return a face mask, draped between nose, cheeks and chin, and its loops to the ears."""
    size = skin.size
    axis = np.array([0.0, 0.0, -62.0]) * size
    points = skin.head[skin.face] - axis
    points = points[(points[:, 2] > 0) & (points[:, 1] < 20 * size)]
    low, high, step = -135.0 * size, 20.0 * size, 2.5 * size
    rows, columns = int((high - low) / step), 72
    angle = np.arctan2(points[:, 0], points[:, 2])
    i = np.clip(((points[:, 1] - low) / step).astype(int), 0, rows - 1)
    j = np.clip(((angle + math.pi / 2) / math.pi * columns).astype(int), 0, columns - 1)
    grid = np.zeros((rows, columns))
    np.maximum.at(grid, (i, j), np.hypot(points[:, 0], points[:, 2]))
    for _ in range(rows):  # below the chin the cloth hangs from it
        grid = np.maximum(grid, np.concatenate([grid[1:], grid[-1:]]) - 1.1 * step)
    for _ in range(3):
        near = np.stack([np.roll(grid, 1, 1), np.roll(grid, -1, 1), _down(grid), _down(grid[::-1])[::-1]])
        grid = np.maximum(grid, near.max(axis=0) - 0.45 * step)
    for _ in range(10):
        near = np.roll(grid, 1, 1) + np.roll(grid, -1, 1) + _down(grid) + _down(grid[::-1])[::-1]
        grid = np.maximum(grid, 0.25 * near)

    def radius(phi: Array, y: Array) -> Array:
        r = np.clip((y - low) / step - 0.5, 0, rows - 1.001)
        c = np.clip((phi + math.pi / 2) / math.pi * columns - 0.5, 0, columns - 1.001)
        a, b = r.astype(int), c.astype(int)
        fr, fc = r - a, c - b
        return (1 - fr) * ((1 - fc) * grid[a, b] + fc * grid[a, b + 1]) + fr * (
            (1 - fc) * grid[a + 1, b] + fc * grid[a + 1, b + 1]
        )

    reach = math.radians(60)
    phi = np.linspace(-reach, reach, 61)[None, :]
    share = np.linspace(0, 1, 45)[:, None]
    x = np.abs(phi) / reach
    upper = (-13 - 16 * x**1.4 - 9 * mask.low) * size
    lower = (-119 + 52 * x**2.4) * size
    y = upper + share * (lower - upper)
    hold = np.sin(math.pi * share) * (1 - x**4)
    off = 1.6 + 3.0 * hold
    if mask.kind == "surgical":
        off = off + 1.3 * (np.abs((4 * share) % 1 - 0.5) * 2 - 0.5) * hold
    elif mask.kind == "ffp2":
        off = off + 9 * np.exp(-((phi / 0.22) ** 2)) * hold
    r = radius(phi + 0 * y, y) + off * size
    sheet = np.stack([r * np.sin(phi), y, r * np.cos(phi)], axis=-1) + axis
    back = np.stack([(r - 1.2) * np.sin(phi), y, (r - 1.2) * np.cos(phi)], axis=-1) + axis
    parts = [_sheet("mask", np.concatenate([sheet, back[::-1]]), "mask", Label.FACE_MASK)]
    for side, column in (("right", 0), ("left", -1)):
        ear = skin.head[skin.ears[side]]
        root = ear[np.argmax(ear[:, 1] - 1.2 * ear[:, 2] - 0.6 * np.abs(ear[:, 0]))]
        foot = ear[np.argmax(-ear[:, 1] - 1.2 * ear[:, 2] - 0.6 * np.abs(ear[:, 0]))]
        for start, end in ((sheet[3, column], root), (sheet[-4, column], foot)):
            s = np.linspace(0, 1, 24)[:, None]
            line = start + s * (end - start)
            at = line - axis
            least = radius(np.arctan2(at[:, 0], at[:, 2]), at[:, 1]) + 1.5
            wide = np.hypot(at[:, 0], at[:, 2])
            grow = np.where(np.arctan2(np.abs(at[:, 0]), at[:, 2]) < 1.45, np.maximum(least / wide, 1), 1)
            line = axis + at * np.stack([grow, np.ones_like(grow), grow], axis=1)
            parts.append(tube("loop", line, 1.1 * size, "mask", Label.FACE_MASK))
    return parts


# scarf and jewellery


def _scarf(skin: Skin, seed: tuple[int, int]) -> Mesh:
    """Return a thick scarf wound round the neck: two turns of crumpled tube."""
    size = skin.size
    u = rng.numbers(*seed, "scarf", 8)
    t = np.linspace(0, 4 * math.pi, 150)
    pivot = np.array([0.0, -142.0, -78.0]) * size
    neck = skin.head[skin.trunk]
    band = neck[np.abs(neck[:, 1] - pivot[1]) < 10 * size]
    wide = np.percentile(np.abs(band[:, 0]), 55), np.percentile(np.abs(band[:, 2] - pivot[2]), 70)
    wide = [float(np.clip(w, 52 * size, 72 * size)) + 14 * size for w in wide]
    drop = 16 * size * np.sin(0.5 * t - 0.8 + u[0]) + 12 * size * np.cos(t)
    path = pivot + np.stack([wide[0] * np.sin(t), -drop, wide[1] * np.cos(t)], axis=1)
    path[:, 2] += 10 * size * np.cos(t)
    thick = 25 * size * (1 + 0.15 * np.sin(5 * t + 6 * u[1]) + 0.1 * np.sin(11 * t + 6 * u[2]))
    return _bending_mesh(tube("scarf", path, thick, "scarf", Label.CLOTH, rough=2.4 * size), size)


def _earrings(jewels: Jewellery, skin: Skin) -> list[Mesh]:
    """Return both earrings, empty for none."""
    if jewels.earrings == "none":
        return []
    parts, size = [], skin.size
    for side, sign in (("right", -1.0), ("left", 1.0)):
        ear = skin.head[skin.ears[side]]
        low = ear[ear[:, 1] < ear[:, 1].min() + 0.10 * np.ptp(ear[:, 1])]
        out = np.array([sign, 0.0, 0.8])
        lobe = low[np.argmax(sign * low[:, 0] + 0.4 * low[:, 2])] + np.array([0, 3.0 * size, 0])
        if jewels.earrings == "stud":
            parts.append(_ball("stud", lobe + out, (1.2 + 0.16 * jewels.earring_mm) * np.ones(3), "earring"))
        elif jewels.earrings == "hoop":
            radius = 0.5 * jewels.earring_mm
            t = np.linspace(0, 2 * math.pi, 61)
            turn = 0.9
            ring = (
                np.stack([math.cos(turn) * np.sin(t) * sign, np.cos(t) - 1, math.sin(turn) * np.sin(t)], axis=1)
                * radius
            )
            parts.append(tube("hoop", lobe + out + ring, 0.6 + 0.03 * radius, "earring", Label.EARRING))
        else:
            length = jewels.earring_mm
            parts.append(_ball("hook", lobe + out, 1.2 * np.ones(3), "earring"))
            chain = lobe + out - np.linspace(0, 0.6, 12)[:, None] * np.array([0, length, 0])
            parts.append(tube("chain", chain, 0.45, "earring", Label.EARRING))
            drop = np.array([0.16, 0.3, 0.12]) * length
            parts.append(_ball("drop", lobe + out - np.array([0, 0.6 * length + drop[1], 0]), drop, "earring"))
    return parts


def _necklace(jewels: Jewellery, skin: Skin) -> list[Mesh]:
    """Return the necklace on the neck and breast, empty for none."""
    if jewels.necklace == "none":
        return []
    size = skin.size
    under = field(skin.head[skin.trunk], np.array([0.0, -150.0, -80.0]) * size, "up", 5, 260.0)
    phi = np.linspace(-math.pi, math.pi, 241)[:-1]
    drop = (
        -146 - (6 + 34 * jewels.necklace_drop) * (0.5 + 0.5 * np.cos(phi)) ** 2 + 14 * (0.5 - 0.5 * np.cos(phi))
    ) * size
    polar = np.full(len(phi), 1.6)
    for _ in range(20):
        polar = 0.5 * polar + 0.5 * np.arccos(np.clip((drop - under.centre[1]) / under.at(polar, phi), -0.9, 0.9))
    for _ in range(30):
        polar = 0.5 * polar + 0.25 * (np.roll(polar, 1) + np.roll(polar, -1))
    line = under.place(polar, phi, under.at(polar, phi) + 9.0)
    for _ in range(14):
        line = 0.5 * line + 0.25 * (np.roll(line, 1, axis=0) + np.roll(line, -1, axis=0))
    if jewels.necklace == "pearls":
        length = np.linalg.norm(np.diff(line, axis=0, append=line[:1]), axis=1)
        along = np.concatenate([[0], np.cumsum(length)])
        count = int(along[-1] / 7.6)
        closed = np.concatenate([line, line[:1]])
        beads = np.stack(
            [np.interp(np.arange(count) * along[-1] / count, along, closed[:, k]) for k in range(3)], axis=1
        )
        balls = [_ball("pearl", bead, 3.6 * np.ones(3), "necklace", Label.NECKLACE) for bead in beads]
        return [_bending_mesh(_merged("pearls", balls), size)]
    parts = [tube("necklace", np.concatenate([line, line[:1]]), 0.9, "necklace", Label.NECKLACE)]
    if jewels.necklace == "pendant":
        front = line[np.argmin(np.abs(phi))]
        parts.append(
            _ball("pendant", front + np.array([0, -8.0, 1.0]), np.array([6.0, 8.0, 2.0]), "necklace", Label.NECKLACE)
        )
    return [_bending_mesh(part, size) for part in parts]


# meshes


def _bending_mesh(part: Mesh, size: float) -> Mesh:
    """Return `part` with its share of the head's turn: none on the shoulders."""
    points = {**part.points, "head": neck_share(part.vertices / size)}
    return Mesh(part.name, part.vertices, part.faces, part.labels, part.material, points)


def _loops(name: str, rings: Array, material: str, label: Label) -> Mesh:
    """Return the surface through `rings` (R, C, 3), each a closed loop."""
    rows, n = rings.shape[:2]
    r, k = np.meshgrid(np.arange(rows - 1), np.arange(n), indexing="ij")
    a, b = r * n + k, r * n + (k + 1) % n
    return _mesh(name, rings, np.stack([a, b, b + n, a + n], axis=2), material, label)


def _sheet(name: str, rows: Array, material: str, label: Label) -> Mesh:
    """Return the surface through `rows` (R, C, 3), open at the sides."""
    count, n = rows.shape[:2]
    r, k = np.meshgrid(np.arange(count - 1), np.arange(n - 1), indexing="ij")
    a = r * n + k
    return _mesh(name, rows, np.stack([a, a + 1, a + 1 + n, a + n], axis=2), material, label)


def _mesh(name: str, points: Array, faces: Array, material: str, label: Label) -> Mesh:
    vertices, faces = points.reshape(-1, 3), faces.reshape(-1, 4)
    return Mesh(name, vertices, faces, np.full(len(faces), int(label), np.uint8), material, {"rest": vertices})


def tube(
    name: str,
    path: Array,
    radius: float | Array,
    material: str,
    label: Label,
    flat: tuple[float, float] = (1.0, 1.0),
    rough: float = 0.0,
) -> Mesh:
    """Return a tube along `path` (n, 3), squeezed by `flat` across and along z, crumpled by `rough` mm."""
    along = np.gradient(path, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    other = np.where(np.abs(along[:, 2:3]) < 0.9, [0, 0, 1.0], [0, 1.0, 0])
    across = np.cross(along, other)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    up = np.cross(across, along)
    t = np.linspace(0, 2 * math.pi, 24 if rough else 12, endpoint=False)
    thick = np.broadcast_to(radius, (len(path),))[:, None] * np.ones(len(t))
    if rough:
        k = np.arange(len(path))[:, None]
        thick = thick + rough * (np.sin(5 * t + 0.31 * k) + np.sin(9 * t - 0.23 * k + 1) * 0.6)
    rings = path[:, None] + (thick * np.cos(t) * flat[0])[..., None] * across[:, None]
    rings = rings + (thick * np.sin(t) * flat[1])[..., None] * up[:, None]
    return _loops(name, rings, material, label)


def _ball(name: str, centre: Array, radii: Array, material: str, label: Label = Label.EARRING) -> Mesh:
    """Return an ellipsoid."""
    p, t = np.meshgrid(
        np.linspace(0.001, math.pi - 0.001, 9), np.linspace(0, 2 * math.pi, 14, endpoint=False), indexing="ij"
    )
    unit = np.stack([np.sin(p) * np.cos(t), np.cos(p), np.sin(p) * np.sin(t)], axis=-1)
    return _loops(name, centre + unit * radii, material, label)


def _merged(name: str, parts: list[Mesh]) -> Mesh:
    starts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    return Mesh(
        name,
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)]),
        np.concatenate([part.labels for part in parts]),
        parts[0].material,
        {"rest": np.concatenate([part.points["rest"] for part in parts])},
    )
