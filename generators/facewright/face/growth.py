"""Head hair from a haircut: guides grow over the head, strands follow the guides.

A guide is a stiff line that is combed at its root, bends under gravity, rests on head and shoulders and keeps off the
face. A strand blends its three nearest guides; what becomes of it along its length is winding.py's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from facewright import rng
from facewright.face.haircuts import STYLES, Style
from facewright.face.headshape import HeadShape
from facewright.face.parameters import Hair
from facewright.face.winding import (
    STRAYS,
    cells,
    frames,
    frayed,
    hashed,
    locks,
    plait,
    roped,
    shares,
    smooth_step,
    waved,
    wavelength,
)
from facewright.geometry.noise import value_noise
from facewright.geometry.strands import Strands
from facewright.geometry.vectors import cross, unit
from facewright.schema import Label

Array = np.ndarray

GUIDES, GUIDE_POINTS = 700, 36
"""Guides on a head and points along each."""
PARTED = 0.15
"""Share of its way to the lock's middle that a root of a rope stands nearer to it, which leaves thin partings;
reasoned."""
DOWN = np.array([0.0, -1.0, 0.0], np.float32)
FACE_HALF_MM = np.array([[-170, 40], [-112, 44], [-80, 55], [-40, 66], [0, 70], [20, 66], [45, 46], [66, 0]], float)
"""Template height and the half width round the midline that loose hair keeps off: the face from mouth to temples."""
EYE_TOP_MM, EYE_HALF_MM = 14.0, 52.0
"""Nothing hangs lower than this in front of the eyes, on the template: their openings reach y = 7 there, and on a grown
head lie up to 5 mm higher (basis.GROWN)."""


def strand_budget(width_sum_mm: float, pixel_mm: float, limit: int) -> tuple[int, float]:
    """Return how many strands to grow and their radius in mm for pixels of `pixel_mm`.

    Strands are as wide as a third of a pixel, between a fine hair of 0.08 mm and 0.26 mm; the sum of their widths, and
    with it the area that they hide, is `width_sum_mm` whatever the picture's scale, also where `limit` caps their
    number.
    """
    width = min(0.26, max(0.08, 0.34 * pixel_mm, width_sum_mm / limit))
    count = max(1, round(width_sum_mm / width))
    return count, 0.5 * width_sum_mm / count


def grow(
    hair: Hair, roots: Array, normals: Array, rest: Array, shape: HeadShape, seed: tuple[int, int], radius_mm: float
) -> Strands:
    """Return head hair from `roots` (N, 3) with skin `normals` (N, 3), head mm.

    `rest` (N, 3) are the same roots on the template: they decide how a hair is cut and which hairs clump, whatever
    the expression.
    """
    style = STYLES[hair.style]
    n = len(roots)
    roots, normals, rest = (points.astype(np.float32) for points in (roots, normals, rest))  # half the memory to move
    u = rng.numbers(*seed, "hair.strands", 12, n).astype(np.float32)
    curl = min(style.curl[1], max(style.curl[0], hair.curl))
    if style.flow == "rows":
        line, group = _cornrows(roots, rest, shape, u, hair.texture)
        tail = np.zeros(n, bool)
    elif style.ties:
        line, tail, group = _tied(style, hair, roots, normals, rest, shape, u)
    else:
        line, group = _loose(style, hair, roots, normals, rest, shape, u)
        tail = np.zeros(n, bool)
    if style.rope != "none":
        line = roped(line, style, group, u)
    else:
        line = locks(line, style, rest, tail, hair.texture, u)
        if style.tail != "plait":
            line = waved(line, curl, rest, hair.texture, u)
        line = frayed(line, curl, u)
    line = _kept_off(line, shape, _fringe(style, rest) > 0)
    lock = cells(rest, 9.0, hair.texture) if style.rope == "none" else group
    streak = cells(rest, 26.0, hair.texture) if style.rope == "none" else group
    shade = smooth_step(0.35 * hashed(streak, 7) + 0.3 * hashed(lock, 6) + 0.35 * u[10])  # sun and shears make streaks
    grey = u[8] < grey_share(hair.grey, rest)
    points = line.shape[1]
    taper = _interp(shares(points), [0, 0.03, 0.8, 1], [0.8, 1, 0.9, 0.35])
    if style.rope != "none":
        taper = np.ones(points)
    return Strands(
        "hair",
        line,
        radius_mm * taper * np.where(u[7] < STRAYS, 0.5, 0.7 + 0.6 * u[9])[:, None],
        Label.HAIR,
        "hair",
        grey + 2.0 * tail + 0.999 * shade,
    )


def grey_share(grey: float, rest: Array) -> Array:
    """Return the probability (N,) that a hair at template `rest` (N, 3) is grey: greying starts at the temples.

    Reasoned after Tobin & Paus, Exp. Gerontol. 2001: temples first, then crown, the nape last.
    """
    temple = np.exp(-0.5 * (((np.abs(rest[:, 0]) - 68) / 16) ** 2 + ((rest[:, 1] - 20) / 32) ** 2))
    return np.clip(grey, 0, 1) ** (1.25 - 0.85 * temple)


def hair_length(style: Style, amount: float, rest: Array) -> Array:
    """Return the length (N,) in mm of hairs at template `rest` (N, 3) for a subject's `length` in [0, 1]."""
    top = style.length_mm[0] + (style.length_mm[1] - style.length_mm[0]) * amount
    side = smooth_step((78 - rest[:, 1]) / 34)
    front = smooth_step((rest[:, 2] + 50) / 30) * (1 - side)
    return top * (1 + side * (style.sides - 1)) * (1 + front * (style.front - 1))


def _fringe(style: Style, rest: Array) -> Array:
    """Return how much (N,) in [0, 1] a root belongs to the fringe."""
    if style.fringe_mm is None:
        return np.zeros(len(rest), np.float32)
    wander = 10 * (value_noise(rest, 0.06, 1, 2.0) - 0.5)
    front = (rest[:, 2] > -36 + wander) & (np.abs(rest[:, 0]) < 60) & (rest[:, 1] > 38)
    return front.astype(np.float32)


def _comb(style: Style, rest: Array, normals: Array, side: Array) -> Array:
    """Return the combed direction (N, 3) at template `rest`, tangent to the skin; `side` (N,) is -1 or 1.

    whorl: away from the crown's whorl, forward on top; part: sideways from the parting; sweep: from a parting across
    the forehead; back, forward; quiff: up and back in front, back behind; out: all ways.
    """
    x, y, z = rest.T
    one, low = np.ones_like(x), smooth_step((70 - y) / 50)
    if style.flow == "whorl":
        way = rest - np.array([12.0, 108.0, -122.0], np.float32)
        way = way / np.linalg.norm(way, axis=1, keepdims=True)
        way = way + low[:, None] * np.array([0.0, -0.7, 0.25], np.float32)
    elif style.flow == "forward":
        way = np.stack([0.15 * np.sign(x) * low, -0.2 - 0.8 * low, 1 - 0.7 * low], axis=1)
    elif style.flow == "back":
        way = np.stack([0.1 * np.sign(x), 0.25 - 0.7 * low, -one], axis=1)
    elif style.flow == "quiff":
        front = smooth_step((z + 70) / 50) * (1 - low)
        way = np.stack([0.06 * side * (1 - low), 0.5 * front - low, -0.2 * front - 0.9 * (1 - front)], axis=1)
    elif style.flow == "sweep":
        way = np.stack([side * (1 - 0.6 * low), -0.4 - 0.5 * low, 0.6 - 0.4 * low], axis=1)
    elif style.flow == "out":
        way = np.stack([0 * x, 0.3 * one, 0 * x], axis=1)
    else:
        front, nape = smooth_step((z + 60) / 50), smooth_step((-z - 110) / 40)
        way = np.stack([side * (1 - 0.75 * nape), -0.3 - 0.7 * low, -0.2 - 0.45 * front - 0.35 * nape], axis=1)
    fringe = _fringe(style, rest)[:, None]
    across = 0.55 * side if style.flow == "sweep" else 0.006 * x
    forward = np.stack([across, -0.5 * one, one], axis=1)
    way = way + fringe * (forward - way)
    return unit(way - 0.9 * (way * normals).sum(1, keepdims=True) * normals)


def _loose(
    style: Style, hair: Hair, roots: Array, normals: Array, rest: Array, shape: HeadShape, u: Array
) -> tuple[Array, Array]:
    """Return strands (N, K, 3) of untied hair and the guide (N,) that each is nearest to."""
    n = len(roots)
    wanted = style.locks or min(GUIDES, max(60, n // 10))
    pick = (np.arange(wanted) * n) // wanted
    side = _side(style, hair, rest)
    scale = float(shape.scale.mean())
    lengths = hair_length(style, hair.length, rest) * scale
    guides, reach = _guides(style, hair, roots[pick], normals[pick], rest[pick], side[pick], lengths[pick], shape)
    key = np.concatenate([rest, 60 * side[:, None], 40 * _fringe(style, rest)[:, None]], axis=1)
    near, weight = _nearest(key, key[pick], 1 if style.rope != "none" else 3)
    keep = 1 - style.ragged * u[0] ** 2 - 0.5 * style.ragged * hashed(near[:, 0], 5)
    baby = (rest[:, 1] > 30) & (u[1] < 0.5 * _edge(rest))
    keep = np.where(baby, keep * (0.08 + 0.2 * u[2]), keep)
    share = (lengths / np.maximum(lengths[pick][near[:, 0]], 1e-6)).clip(0.6, 1.4) if style.ends_mm is None else 1.0
    keep = np.minimum(keep * share * (reach[near] * weight).sum(axis=1), 1.0)
    points = _point_count(style, float(lengths.mean() * reach.mean()), hair)
    base, follow = _blended(guides, near, weight, keep, points)
    offset = roots - follow
    if style.rope != "none":
        offset = offset - PARTED * (offset - (offset * normals).sum(1, keepdims=True) * normals)
    return base + offset[:, None], near[:, 0]


def _point_count(style: Style, length: float, hair: Hair) -> int:
    """Return the points along each strand: six for each turn of a curl, more for long hair."""
    curl = min(style.curl[1], max(style.curl[0], hair.curl))
    turns = 0.7 * length / wavelength(curl) if curl > 0.1 else 0
    if style.rope != "none":
        turns = length / 14
    return int(np.clip(max(6 + length / 14, 6 * turns), 5, 30 if style.rope == "none" else 44))


def _side(style: Style, hair: Hair, rest: Array) -> Array:
    """Return on which side (-1 or 1) of a slightly wandering parting each root lies."""
    sign = 1.0 if hair.texture % 2 > 1 else -1.0
    wander = 5 * (value_noise(rest * [0, 0, 1], 0.05, 2, hair.texture) - 0.5)
    jagged = 2.5 * (value_noise(rest, 0.25, 1, hair.texture + 9) - 0.5)
    return np.where(rest[:, 0] > sign * style.part_mm + wander + jagged, 1.0, -1.0).astype(np.float32)


def _edge(rest: Array) -> Array:
    """Return how near the front hairline (N,) in [0, 1] a root lies; roots beyond 15 mm have 0."""
    _, y, z = rest.T
    low = _interp(z, [-66, -50, -30, -12, 0, 12], [-8, 26, 44, 58, 66, 70])
    return np.clip(1 - (y - low) / 14, 0, 1) * (z > -66)


def _guides(
    style: Style, hair: Hair, roots: Array, normals: Array, rest: Array, side: Array, length: Array, shape: HeadShape
) -> tuple[Array, Array]:
    """Return guides (M, GUIDE_POINTS, 3) and the share (M,) of each that the cut leaves."""
    scale = float(shape.scale.mean())
    drift = np.stack([value_noise(rest, 0.05, 2, hair.texture + 20 * k) - 0.5 for k in range(3)], axis=1)
    own = np.stack([hashed(np.arange(len(roots)), 11 + k) - 0.5 for k in range(3)], axis=1)
    comb = _comb(style, rest, normals, side)
    outward = unit(roots - shape.centre) if style.flow == "out" else normals
    lift = np.full((len(roots), 1), style.lift, np.float32)
    if style.flow == "quiff":
        lift = lift + 0.7 * smooth_step((rest[:, 2:] + 60) / 50) * (rest[:, 1:2] > 60)
        outward = unit(outward * np.array([0.3, 1, 1], np.float32))
    heading = unit(comb + lift * outward + (0.5 + 0.4 * style.ragged) * drift + 0.5 * style.ragged * own)
    step = (length / (GUIDE_POINTS - 1))[:, None]
    fringe = _fringe(style, rest) > 0
    height = (style.hover_mm[0] + 2.5 * own[:, 0]).clip(1.0) * scale
    rise = (style.hover_mm[1] - style.hover_mm[0]) / 100
    fall = np.where(fringe, min(style.fall_mm, 40.0), style.fall_mm).astype(np.float32)[:, None] * scale
    here, points = roots, [roots]
    free = shares(GUIDE_POINTS)
    for k in range(1, GUIDE_POINTS):
        travelled = step[:, 0] * k
        moved = here + step * heading
        gap, out = shape.clearance(moved)
        hover = np.minimum(travelled * 0.35, height + rise * np.minimum(travelled, 160.0))
        out = _draped(out, moved, shape)
        lack = np.maximum(hover - gap, 0)
        excess = np.maximum(gap - hover - 2, 0) * style.hug
        moved = moved + (lack - excess)[:, None] * out
        moved = _off_face(moved, side, shape, fringe)
        heading = unit(0.25 * heading + 0.75 * unit(moved - here))
        heading = unit(heading + step / fall * (DOWN - heading * -heading[:, 1:2]) + 0.02 * drift * free[k])
        here = moved
        points.append(here)
    line = np.stack(points, axis=1)
    return line, _cut(style, hair, line, rest, fringe, shape)


def _draped(out: Array, points: Array, shape: HeadShape) -> Array:
    """Return the directions (N, 3) in which head or shoulders push hair: from a shoulder to its front or back.

    Pushed along the shoulder's normal alone, hair would slide down the arm.
    """
    on_body = smooth_step((shape.template(points)[:, 1] + 100) / -40)[:, None]
    ahead = np.where(points[:, 2] > shape.axis_z - 6, 0.5, -0.5).astype(np.float32)
    turned = out * np.array([0.15, 0.7, 1.0], np.float32)
    turned[:, 2] += ahead
    return unit(out + on_body * (turned - out))


def _cut(style: Style, hair: Hair, line: Array, rest: Array, fringe: Array, shape: HeadShape) -> Array:
    """Return the share (M,) of guides (M, K, 3) above the height where the cut ends them."""
    height = shape.template(line)[..., 1]
    end = np.full(len(line), -1e3)
    if style.ends_mm is not None:
        level = style.ends_mm[1] + (style.ends_mm[0] - style.ends_mm[1]) * hair.length
        end = level + style.layers * np.maximum(rest[:, 1] - 10, 0)
    if style.fringe_mm is not None:
        curve = style.fringe_mm + 3 * (hashed(np.arange(len(line)), 3) - 0.5) - 0.004 * rest[:, 0] ** 2
        end = np.where(fringe, np.maximum(curve, EYE_TOP_MM + 2), end)
    below = height < end[:, None]
    first = np.where(below.any(axis=1), below.argmax(axis=1), line.shape[1] - 1)
    return np.maximum(first, 2) / (line.shape[1] - 1)


def _off_face(points: Array, side: Array, shape: HeadShape, fringe: Array) -> Array:
    """Return points (N, 3) moved sideways off the face (FACE_HALF_MM), but for the fringe."""
    rest = shape.template(points)
    half = _interp(rest[:, 1], *FACE_HALF_MM.T) * smooth_step((rest[:, 2] + 55) / 35)
    sign = np.where(np.abs(rest[:, 0]) < 12, side, np.sign(rest[:, 0]))
    short = np.where(fringe, 0, np.maximum(half - sign * rest[:, 0], 0))
    moved = points.copy()
    moved[:, 0] += sign * np.minimum(short, 12.0) * shape.scale[0]
    return moved


def _nearest(points: Array, guides: Array, count: int) -> tuple[Array, Array]:
    """Return the `count` nearest guides (N, count) of points (N, D) and their weights, which sum to 1.

    A matrix product, whose last digits vary from call to call, finds them; their distances are computed again.
    """
    found = np.zeros((len(points), count), int)
    squares = (guides**2).sum(axis=1)
    for start in range(0, len(points), 4096):
        block = points[start : start + 4096]
        square = squares - 2 * block @ guides.T
        for k in range(count):
            index = square.argmin(axis=1)
            found[start : start + len(block), k] = index
            rows = np.arange(len(block))
            square[rows, index] = np.inf
    weight = 1 / (((points[:, None] - guides[found]) ** 2).sum(axis=2) + 4.0)
    return found, weight / weight.sum(axis=1, keepdims=True)


def _blended(guides: Array, near: Array, weight: Array, keep: Array, points: int) -> tuple[Array, Array]:
    """Return guides blended for each strand (N, points, 3), from root to the share `keep` (N,), and their roots."""
    low, part = _places(keep, points, guides.shape[1])
    line = np.zeros((len(near), points, 3), np.float32)
    root = np.zeros((len(near), 3), np.float32)
    flat, share = guides.reshape(-1, 3), 1 - part
    for k in range(near.shape[1]):
        place = near[:, k : k + 1] * guides.shape[1] + low
        here = flat.take(place, axis=0)
        here *= share
        after = flat.take(place + 1, axis=0)
        after *= part
        here += after
        here *= weight[:, k, None, None]
        line += here
        root += weight[:, k, None] * guides[near[:, k], 0]
    return line, root


def _tied(
    style: Style, hair: Hair, roots: Array, normals: Array, rest: Array, shape: HeadShape, u: Array
) -> tuple[Array, Array, Array]:
    """Return strands combed to a tie and the tail behind it (N, K, 3), which belong to the tail (N,), and their tie.

    Two roots in five feed the tail instead of the scalp.
    """
    n = len(roots)
    ties = shape.place(np.array(style.ties, np.float32))
    which = np.where(rest[:, 0] >= 0, 0, len(ties) - 1)
    tail = np.arange(n) % 5 < 2
    points = 30 if style.tail == "plait" else 24
    line = np.zeros((n, points, 3), np.float32)
    top = ~tail
    line[top] = _to_tie(style, roots[top], normals[top], ties[which[top]], shape, u[:, top], points)
    for k, tie in enumerate(ties):
        ids = np.nonzero(tail & (which == k))[0]
        line[ids] = _tail(style, hair, tie, shape, u[:, ids], points)
    return line, tail, which


def _to_tie(style: Style, roots: Array, normals: Array, tie: Array, shape: HeadShape, u: Array, points: int) -> Array:
    """Return strands (N, points, 3) along the scalp from `roots` to `tie` (N, 3): great circles, taut, gathered."""
    start, end = unit(roots - shape.centre), unit(tie - shape.centre)
    t = shares(points)[None, :, None]
    cosine = (start * end).sum(axis=1).clip(-1, 1)
    angle = np.arccos(cosine)[:, None, None] + 1e-6
    direction = (np.sin((1 - t) * angle) * start[:, None] + np.sin(t * angle) * end[:, None]) / np.sin(angle)
    direction = unit(direction.reshape(-1, 3))
    skull, _ = shape.skull_clearance(tie)
    along = t[..., 0]
    loose = 6 * (1 - along) * (u[3] ** 3)[:, None]
    height = style.hover_mm[0] + (style.hover_mm[1] - style.hover_mm[0]) * along + (2.5 * u[4])[:, None] * along + loose
    height = height * np.minimum(1, along * 10) + (skull - 4)[:, None] * smooth_step((along - 0.8) / 0.2)
    line = shape.on_skull(direction, height.ravel()).reshape(len(roots), points, 3)
    spread = np.stack([u[5] - 0.5, u[6] - 0.5, u[7] - 0.5], axis=1) * 9
    line = line + spread[:, None] * smooth_step((t - 0.5) / 0.5)
    fade = np.maximum(0, 1 - along * 8)[..., None]
    return line + fade * (roots[:, None] - line)


def _tail(style: Style, hair: Hair, tie: Array, shape: HeadShape, u: Array, points: int) -> Array:
    """Return what hangs or winds behind a tie (N, points, 3)."""
    scale = float(shape.scale.mean())
    out = unit((tie - shape.centre)[None])[0]
    aslant = np.array([0.3, 0.2, 1.0] if abs(out[2]) < 0.8 else [1.0, 0.2, 0.1], np.float32)
    first = unit(cross(out, aslant)[None])[0]
    second = cross(out, first)
    t = shares(points)
    length = (style.tail_mm[0] + (style.tail_mm[1] - style.tail_mm[0]) * hair.length) * scale
    if style.tail == "bun":
        radius = (24 + 9 * hair.length) * scale
        tilt = np.arccos(1 - 2 * (0.08 + 0.84 * u[3]))[:, None] + 0.5 * (u[4] - 0.5)[:, None] * t
        turn = 2 * math.pi * u[5][:, None] + (2.5 + 2.5 * u[6])[:, None] * t + 0.8 * np.sin(3 * tilt)
        size = radius * (0.82 + 0.2 * np.sqrt(u[7]))[:, None] * (1 + 0.05 * np.sin(2 * tilt + 3 * turn))
        flat = size * np.sin(tilt)
        height = size * np.cos(tilt) * 0.8 + 0.62 * radius
        return (
            tie
            + (flat * np.cos(turn))[..., None] * first
            + (flat * np.sin(turn))[..., None] * second
            + height[..., None] * out
        )
    spine = _spine(tie, out, length, shape, 14.0 if style.tail == "plait" else 20.0)
    keep = np.ones(u.shape[1], np.float32) if style.tail == "plait" else 1 - 0.35 * u[3] ** 2
    low, part = _places(keep, points, len(spine))
    line = spine[low] * (1 - part) + spine[low + 1] * part
    if style.tail == "plait":
        return line + plait(line, np.zeros(u.shape[1], int), u, 9.0 * scale, 7.0 * scale, 26.0 * scale)
    girth = (6 + 20 * np.sin(np.minimum(t * 1.5, 1) * math.pi / 2) * (1 - 0.35 * t)) * scale
    ray = np.sqrt(u[4])[:, None] * girth
    turn = 2 * math.pi * u[5][:, None]
    normal, binormal = frames(line)
    line = line + (ray * np.cos(turn))[..., None] * normal + (0.7 * ray * np.sin(turn))[..., None] * binormal
    return _pushed(line, shape, 1.0)


def _spine(tie: Array, out: Array, length: float, shape: HeadShape, hover: float) -> Array:
    """Return the middle line (K, 3) of a tail that leaves the head along `out` and falls."""
    here, heading, step = tie[None], unit((out + 0.2 * DOWN)[None]), length / (GUIDE_POINTS - 1)
    points = [here]
    for k in range(1, GUIDE_POINTS):
        moved = here + step * heading
        gap, away = shape.clearance(moved)
        moved = moved + np.maximum(min(hover, 2.0 + 0.8 * k * step) - gap, 0)[:, None] * away
        heading = unit(0.3 * heading + 0.7 * unit(moved - here))
        heading = unit(heading + step / 28 * (DOWN - heading * -heading[:, 1:2]))
        here = moved
        points.append(here)
    return np.concatenate(points)


def _cornrows(roots: Array, rest: Array, shape: HeadShape, u: Array, texture: float) -> tuple[Array, Array]:
    """Return strands (N, K, 3) that run back along rows from the hairline to the nape, and each one's row (N,).

    Rows are planes through the line from forehead to occiput, 12 degrees or some 17 mm apart.
    """
    points = 22
    out = roots - shape.centre
    spacing = math.radians(12.0)
    around = np.arctan2(out[:, 0], out[:, 1]).round(9)  # see headshape._azimuth
    row = np.round(around / spacing)
    middle = row * spacing
    start = np.arctan2(out[:, 2], np.hypot(out[:, 0], out[:, 1])).round(9)
    span = (45 + 30 * u[0]) / 85
    elevation = start[:, None] - span[:, None] * shares(points)
    elevation = np.maximum(elevation, -1.25)
    turn = (middle + 0.25 * (around - middle))[:, None]
    direction = np.stack(
        [np.sin(turn) * np.cos(elevation), np.cos(turn) * np.cos(elevation), np.sin(elevation)], axis=-1
    )
    base = shape.on_skull(direction.reshape(-1, 3), 2.5).reshape(len(roots), points, 3)
    base[:, 0] = roots
    return base, row.astype(int) + 40


def _pushed(line: Array, shape: HeadShape, least: float) -> Array:
    """Return strands with every point but the root at least `least` mm off head and shoulders."""
    flat = line[:, 1:].reshape(-1, 3)
    deep = np.arange(len(flat))
    for _ in range(3):
        gap, out = shape.clearance(flat[deep])
        near = gap < least
        deep, gap, out = deep[near], gap[near], out[near]
        flat[deep] += (least - gap)[:, None] * out
    found = line.copy()
    found[:, 1:] = flat.reshape(len(line), -1, 3)
    return found


def _kept_off(line: Array, shape: HeadShape, fringe: Array) -> Array:
    """Return strands outside head and shoulders, ended where they would hang before the eyes.

    But for the `fringe` (N,), they end on the forehead already: stray ends stay as short hairs of the hairline.
    """
    line = _pushed(line, shape, 0.6)
    rest = shape.template(line)
    before = (np.abs(rest[..., 0]) < EYE_HALF_MM) & (rest[..., 1] < EYE_TOP_MM) & (rest[..., 2] > 0)
    half = 0.8 * _interp(rest[..., 1], *FACE_HALF_MM.T)
    astray = (np.abs(rest[..., 0]) < half) & (rest[..., 2] > 0) & ~fringe[:, None]
    return ended(line, before | astray)


def ended(line: Array, beyond: Array) -> Array:
    """Return strands (N, K, 3) that end before their first point `beyond` (N, K) a border, with as many points."""
    hit = np.nonzero(beyond[:, 1:].any(axis=1))[0]
    if len(hit) == 0:
        return line
    points = line.shape[1]
    last = np.maximum(beyond[hit, 1:].argmax(axis=1), 0.5)
    low, part = _places(last.astype(np.float32) / (points - 1), points, points)
    found = line.copy()
    found[hit] = line[hit[:, None], low] * (1 - part) + line[hit[:, None], low + 1] * part
    return found


def _places(keep: Array, points: int, held: int) -> tuple[Array, Array]:
    """Return where on a line of `held` points, up to its share `keep` (N,), `points` lie evenly.

    That is the point before each (N, points) and the share (N, points, 1) of the way to the next.
    """
    place = keep[:, None] * shares(points) * (held - 1)
    low = np.minimum(place.astype(np.int32), held - 2)
    return low, (place - low.astype(np.float32))[..., None]


def _interp(value: Array, places: Sequence[float] | Array, heights: Sequence[float] | Array) -> Array:
    """Return np.interp as float32."""
    return np.interp(value, places, heights).astype(np.float32)
