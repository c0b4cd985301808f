"""Glasses: lenses ground to a power, the frame round them, and how both sit on a face. Head axes, mm.

Lens axes: origin where the optical axis leaves the back surface, z along that axis away from the eye, x toward the
subject's left, y up. Sizes follow the boxing system (ISO 8624): a lens is as wide as the box round its outline.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from facewright.face.parameters import Glasses
from facewright.geometry.mesh import Mesh
from facewright.geometry.polygon import inside_polygon
from facewright.geometry.refraction import Conicoid, Posed, trace
from facewright.geometry.rotations import head_rotation
from facewright.schema import SIDES, Label

Array = np.ndarray


class Shape(NamedTuple):
    """An outline: height over width, squareness (2 = ellipse), how far the nose cuts its lower nasal corner away."""

    height: float
    square: float
    nasal_cut: float
    drop_mm: float
    """How far the middle of the box lies below the pupil."""


SHAPES = {
    "round": Shape(0.92, 2.1, 0.03, 2.5),
    "rectangle": Shape(0.62, 4.2, 0.10, 2.0),
    "aviator": Shape(0.83, 2.7, 0.30, 5.0),
    "browline": Shape(0.74, 3.2, 0.14, 3.0),
    "rimless": Shape(0.64, 3.2, 0.10, 2.5),
}
OUTLINE_POINTS = 120
GROOVE_MM = 0.5
"""How deep a lens sits in its rim."""
CENTRE_MM, LEAST_EDGE_MM = 2.0, 1.2
"""Thickness of minus lenses in the middle, and of plus lenses at their thinnest edge."""
GAP_MM = 0.8
"""Least distance of rims and lenses from the skin."""
PUSH_MM, WIDEST_BRIDGE_MM = 1.5, 26.0
"""A nose that would hold the frame farther off than this gets a wider bridge, up to this one."""


@dataclass(frozen=True)
class Lens:
    """One lens: `outline` (n, 2) and surfaces in lens axes, and its pose: outer = rotation (3, 3) @ lens + origin."""

    side: str
    outline: Array
    front: Conicoid
    back: Conicoid
    rotation: Array
    origin: Array

    @property
    def surfaces(self) -> tuple[Posed, Posed]:
        """Return front and back in outer axes, as light meets them from outside."""
        return Posed(self.front, self.rotation, self.origin), Posed(self.back, self.rotation, self.origin)

    def shows(self, pinhole: Array, rays: Array, points: Array) -> Array:
        """Return (N,) bool: whether unit `rays` (N, 3) from `pinhole` cross both surfaces on the way to `points`."""
        met, below = trace(np.broadcast_to(pinhole, rays.shape), rays, self.surfaces[:1])
        left, beyond = trace(met, below, self.surfaces[1:])
        crossed = [inside_polygon(((p - self.origin) @ self.rotation)[:, :2], self.outline) for p in (met, left)]
        ahead = np.sum((met - pinhole) * rays, axis=1) > 0
        return crossed[0] & crossed[1] & ahead & (np.sum((points - left) * beyond, axis=1) > 0)

    def rim(self) -> Array:
        """Return the (n, 3) edge of the front surface in outer axes."""
        return self._lifted(self.front, self.outline)

    def moved(self, turn: Array, pose: Callable[[Array], Array]) -> Lens:
        """Return the lens in other axes: `turn` (3, 3) rotates and `pose` maps points."""
        return replace(self, rotation=turn @ self.rotation, origin=pose(self.origin[None])[0])

    def meshes(self) -> list[Mesh]:
        """Return front and back in outer axes; `normal` (V, 3) are the surfaces' own normals."""
        middle = 0.5 * (self.outline.min(axis=0) + self.outline.max(axis=0))
        shares = np.linspace(0.04, 1, 25)
        flat = np.concatenate([middle + s * (self.outline - middle) for s in shares] + [middle[None]])
        n = len(self.outline)
        faces = np.concatenate([_grid(len(shares), n)[:, ::-1], _fan(n, len(flat) - 1)])
        parts = []
        for name, surface in (("lens", self.front), ("lens_back", self.back)):
            own = self._on(surface, flat)
            normal = surface.normal(own) @ self.rotation.T
            vertices = own @ self.rotation.T + self.origin
            parts.append(Mesh(f"{self.side}_{name}", vertices, faces, _ids(faces, 0), name, {"normal": normal}))
        return parts

    def edge(self) -> Mesh:
        """Return the ground edge in outer axes, which is opaque."""
        rows = np.concatenate([self._lifted(surface, self.outline) for surface in (self.front, self.back)])
        faces = _grid(2, len(self.outline))
        return Mesh(f"{self.side}_lens_edge", rows, faces, _ids(faces, Label.GLASSES_LENS), "lens_edge")

    def _on(self, surface: Conicoid, flat: Array) -> Array:
        return np.column_stack([flat, surface.apex_z - surface.sag(np.hypot(flat[:, 0], flat[:, 1]))])

    def _lifted(self, surface: Conicoid, flat: Array) -> Array:
        return self._on(surface, flat) @ self.rotation.T + self.origin


@dataclass(frozen=True)
class Pair:
    """Fitted glasses, in head mm until `moved`: `lenses` by side, and in `frame` what is opaque, lens edges too."""

    lenses: dict[str, Lens]
    frame: list[Mesh]

    def facing(self, pinhole: Array) -> list[Lens]:
        """Return the lenses whose front `pinhole` (3,) is before: from behind, in profile, no lens covers its eye."""
        return [lens for lens in self.lenses.values() if ((pinhole - lens.origin) @ lens.rotation)[2] > 0]

    def meshes(self) -> list[Mesh]:
        """Return the lenses' refracting meshes: front and back of each."""
        return [part for lens in self.lenses.values() for part in lens.meshes()]

    def moved(self, turn: Array, pose: Callable[[Array], Array]) -> Pair:
        """Return the glasses in other axes: `turn` (3, 3) rotates and `pose` maps points."""
        return Pair(
            {side: lens.moved(turn, pose) for side, lens in self.lenses.items()},
            [part.moved(pose(part.vertices)) for part in self.frame],
        )


def outline(shape: str, width: float) -> Array:
    """Return the left lens's outline (n, 2) about the middle of its box, counter-clockwise from +x (temporal)."""
    height, square, cut, _ = SHAPES[shape]
    a, b = width / 2, width * height / 2
    t = np.linspace(0, 2 * math.pi, OUTLINE_POINTS, endpoint=False)
    c, s = np.cos(t), np.sin(t)
    reach = (np.abs(c / a) ** square + np.abs(s / b) ** square) ** (-1 / square)
    x, y = reach * c, reach * s
    low = np.clip(0.35 - y / b, 0, None) ** 1.5
    return np.column_stack([np.where(x < 0, x * (1 - cut * low), x * (1 - 0.25 * cut * low)), y])


def grind(power_d: float, base_d: float, index: float, rim: Array) -> tuple[Conicoid, Conicoid]:
    """Return front and back of a lens of back vertex power `power_d` over the outline `rim` (n, 2) about its axis.

    Fv = F1 / (1 - t / n F1) + F2 (e.g. Jalie, Ophthalmic Lenses and Dispensing, ch. 2), t the thickness in the middle.
    """
    front_d = max(base_d, power_d + 0.5)
    r = np.hypot(rim[:, 0], rim[:, 1])
    thickness = CENTRE_MM
    front = back = Conicoid(1e3 * (index - 1) / front_d, 0.0, thickness, 1.0, index)
    for _ in range(3):
        back_d = power_d - front_d / (1 - 1e-3 * thickness / index * front_d)
        back = Conicoid(-1e3 * (index - 1) / back_d, 0.0, 0.0, index, 1.0)
        thickness = max(CENTRE_MM, LEAST_EDGE_MM + float((front.sag(r) - back.sag(r)).max()))
        front = replace(front, apex_z=thickness)
    return front, back


def fit(spec: Glasses, skin: Array, corneas: Array, ears: Array) -> Pair:
    """Return the glasses on a face: `skin` (F, 4, 3) quads, `corneas` (2, 3) apices looking ahead, `ears` (2, 3) where
    the auricles leave the head above; right, left.

    The optical centres stand before the pupils at the vertex distance, farther off where brow, cheek or nose are in
    the way; a nose too wide for the bridge gets a wider one.
    """
    front = relief(skin, 2)
    chosen, push = spec, math.inf
    for wider in np.arange(0, WIDEST_BRIDGE_MM - spec.bridge_mm + 1, 1.0):
        tried = replace(spec, bridge_mm=spec.bridge_mm + float(wider))
        needed = _push(_fronts(tried, corneas, 0.0), front)
        if needed < push - 0.2:
            chosen, push = tried, needed
        if push < PUSH_MM:
            break
    lenses, parts = _fronts(chosen, corneas, push)
    for lens, ear, sign in zip(lenses.values(), ears, (-1.0, 1.0), strict=True):
        parts.append(_temple(spec, lens, ear, relief(skin, 0, sign)))
    if spec.material == "metal" or spec.shape == "browline":
        parts += [part for lens in lenses.values() for part in _pad(lens, front)]
    if spec.kind == "sun":
        return Pair({}, [*parts, *(_dark(lens) for lens in lenses.values())])
    return Pair(lenses, parts)


def _dark(lens: Lens) -> Mesh:
    """Return a dark lens: its front surface, opaque to labels."""
    front = lens.meshes()[0]
    return replace(
        front, name=f"{lens.side}_dark_lens", labels=_ids(front.faces, Label.GLASSES_LENS), material="dark_lens"
    )


def relief(quads: Array, axis: int, sign: float = 1.0) -> Callable[[Array], Array]:
    """Return a function of points (N, 3): how far (N,) along `sign` times `axis` skin `quads` (F, 4, 3) reach there.

    A height map in 1 mm cells, each with its neighbours' highest; far below where there is no skin.
    """
    s, t = (w.ravel() for w in np.meshgrid(np.linspace(0, 1, 4), np.linspace(0, 1, 4)))
    corners = np.stack([(1 - s) * (1 - t), s * (1 - t), s * t, (1 - s) * t])
    points = np.einsum("kw,fkc->fwc", corners, quads).reshape(-1, 3)
    points = points[sign * points[:, axis] > 0] if axis == 0 else points
    low, size = -130.0, 260
    rest = [k for k in range(3) if k != axis]

    def cell(at: Array) -> tuple[Array, Array]:
        row, column = np.clip(np.floor(at[:, rest] - low).astype(int), 1, size - 2).T
        return row, column

    grid = np.full((size, size), -1e3)
    np.maximum.at(grid, cell(points), sign * points[:, axis])
    for k in (0, 1):
        grid = np.maximum(grid, np.maximum(np.roll(grid, 1, axis=k), np.roll(grid, -1, axis=k)))
    return lambda at: grid[cell(at)]


def _push(front: tuple[dict[str, Lens], list[Mesh]], skin: Callable[[Array], Array]) -> float:
    """Return how far forward (mm) `front` must go to clear the skin."""
    lenses, parts = front
    points = np.concatenate([m.vertices for m in [*parts, *(m for lens in lenses.values() for m in lens.meshes())]])
    return max(0.0, float((skin(points) + GAP_MM - points[:, 2]).max()))


def _fronts(spec: Glasses, corneas: Array, push: float) -> tuple[dict[str, Lens], list[Mesh]]:
    """Return the lenses by side, and edges, rims and bridge, `push` mm before their vertex distance."""
    shape = outline(spec.shape, spec.lens_mm)
    half_pd = 0.5 * float(corneas[1, 0] - corneas[0, 0])
    height, depth = corneas[:, 1].mean(), corneas[:, 2].max() + spec.vertex_mm + push
    decentred = (spec.lens_mm + spec.bridge_mm) / 2 - half_pd
    rim = shape + np.array([decentred, -SHAPES[spec.shape].drop_mm])
    lenses = {}
    for side, sign in zip(SIDES, (-1.0, 1.0), strict=True):
        edge = rim if sign > 0 else rim[::-1] * [-1.0, 1.0]
        front, back = grind(spec.power_d, spec.base_d, spec.index, edge)
        rotation = head_rotation(-sign * math.radians(spec.wrap_deg), -math.radians(spec.tilt_deg), 0.0)
        lenses[side] = Lens(side, edge, front, back, rotation, np.array([sign * half_pd, height, depth]))
    parts = [part for lens in lenses.values() for part in (lens.edge(), *_rim(spec, lens))]
    return lenses, [*parts, *_bridge(spec, lenses)]


def _rim(spec: Glasses, lens: Lens) -> list[Mesh]:
    """Return the rim round a lens: none, whole, or plastic above and wire below."""
    if spec.shape == "rimless":
        return []
    upper = np.clip(0.5 + 2.5 * (_turn(lens)), 0, 1)
    if spec.shape == "browline":
        wire = _ring(lens, np.full(OUTLINE_POINTS, 0.6), 1.8)
        brow = _ring(lens, np.where(upper > 0, 0.6 + (0.5 * spec.rim_mm + 0.9) * upper, 0.0), spec.rim_depth_mm)
        return [_frame("rim", *wire, "glasses_metal"), _frame("brow", *brow, "glasses_plastic")]
    heavy = 0.5 * spec.rim_mm * (1 + (0.2 * upper if spec.material != "metal" else 0 * upper))
    return [_frame("rim", *_ring(lens, heavy, spec.rim_depth_mm), _material(spec))]


def _turn(lens: Lens) -> Array:
    """Return the height (n,) of outline points in their box, -1 to 1."""
    y = lens.outline[:, 1]
    return 2 * (y - y.min()) / np.ptp(y) - 1


def _ring(lens: Lens, half: Array, depth: float) -> tuple[Array, Array]:
    """Return a closed tube round the lens, `half` (n,) its half width, flush with the lens's front."""
    flat = lens.outline
    along = np.roll(flat, -1, axis=0) - np.roll(flat, 1, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    out = np.column_stack([along[:, 1], -along[:, 0]])
    path = np.column_stack([flat + (half - GROOVE_MM)[:, None] * out, np.zeros(len(flat))])
    path[:, 2] = lens.front.apex_z - lens.front.sag(np.hypot(flat[:, 0], flat[:, 1])) - 0.5 * depth + 0.5
    across = np.column_stack([out, np.zeros(len(out))])
    up = np.tile([0.0, 0.0, 1.0], (len(out), 1))
    vertices, faces = _tube(path, across, up, half, np.full(len(half), depth / 2), closed=True)
    return vertices @ lens.rotation.T + lens.origin, faces


def _bridge(spec: Glasses, lenses: dict[str, Lens]) -> list[Mesh]:
    """Return the bridge, and the bar above it that aviators have."""
    parts = []
    thick = 0.9 if spec.material == "metal" or spec.shape == "browline" else 0.5 * spec.rim_depth_mm
    for height, rise in ((0.25, 2.2), (0.8, 0.6)) if spec.shape == "aviator" else ((0.35, 2.2),):
        ends = [_nasal(lens, height) for lens in lenses.values()]
        s = np.linspace(-0.015, 1.015, 24)[:, None]
        arch = np.clip(4 * s * (1 - s), 0, 1)
        path = ends[0] + s * (ends[1] - ends[0]) + arch * [0, rise, 0.8]
        wide = np.full(len(s), thick * (1.0 if thick < 1 else 1.15))
        parts.append(_frame("bridge", *_bar(path, wide, np.full(len(s), thick)), _material(spec)))
    return parts


def _nasal(lens: Lens, height: float) -> Array:
    """Return the nasal edge point (3,) of a lens's front at `height` in its box, -1 to 1."""
    toward_nose = lens.outline[:, 0] * (-1 if lens.side == "left" else 1)
    score = np.abs(_turn(lens) - height) - 1e-3 * toward_nose + (toward_nose < np.median(toward_nose)) * 10
    return lens.rim()[np.argmin(score)]


def _temple(spec: Glasses, lens: Lens, ear: Array, side: Callable[[Array], Array]) -> Mesh:
    """Return the temple from the rim's outer corner over the ear and down behind it."""
    sign = 1.0 if lens.side == "left" else -1.0
    away = sign * lens.outline[:, 0]
    score = np.abs(_turn(lens) - 0.45) + (away < np.median(away)) * 10
    corner = lens.rim()[np.argmin(score)]
    rim = 0.0 if spec.shape == "rimless" else spec.rim_mm
    hinge = corner + np.array([sign * (rim + 2.5), 0.0, -7.0])
    rest = ear + np.array([sign * 1.5, 1.0, 2.0])
    s = np.linspace(0, 1, 40)[:, None]
    straight = hinge + s * (rest - hinge)
    weight = 4 * s[:, 0] * (1 - s[:, 0])
    inner = slice(2, -4)
    short = side(straight) + GAP_MM + 1.0 - sign * straight[:, 0]
    bow = np.clip((short / np.maximum(weight, 0.2))[inner].max(), 0.0, 9.0)
    straight[:, 0] += sign * bow * weight
    start = corner + np.array([[sign * 0.2 * rim, 0, -0.8], [sign * (rim + 1.6), 0, -1.6], [sign * (rim + 2.4), 0, -4]])
    tail = rest + np.linspace(0.1, 1, 12)[:, None] ** [1.0, 1.8, 1.0] * [-sign * 4.0, -30.0, -24.0]
    path = np.concatenate([start, straight, tail])
    plastic = spec.material != "metal"
    tall = (2.2 if plastic else 1.0) * np.interp(np.arange(len(path)), [0, 3, 30, 54], [1.1, 1.1, 0.8, 1.0])
    flat = np.full(len(path), 1.3 if plastic else 0.6)
    return _frame("temple", *_bar(path, tall, flat), _material(spec))


def _pad(lens: Lens, skin: Callable[[Array], Array]) -> list[Mesh]:
    """Return a nose pad, an ellipsoid on the side of the nose, and the wire that holds it."""
    sign = 1.0 if lens.side == "left" else -1.0
    rim = _nasal(lens, -0.15)
    place = rim + np.array([-sign * 2.2, 0.0, -4.0])
    place[2] = np.clip(skin(place[None])[0] + 0.9, place[2] - 5.0, place[2] + 3.0)
    t, p = np.meshgrid(np.linspace(0, 2 * math.pi, 20, endpoint=False), np.linspace(0.02, math.pi - 0.02, 12))
    ball = np.stack([np.sin(p) * np.cos(t), np.cos(p), np.sin(p) * np.sin(t)], axis=-1).reshape(-1, 3) * [0.9, 4.2, 2.5]
    turned = ball @ head_rotation(-sign * math.radians(50), 0.0, 0.0).T
    s = np.linspace(0, 1, 14)[:, None]
    bow = 4 * s * (1 - s) * np.array([sign * 0.8, 0.0, -1.6])
    wire = np.full(len(s), 0.45)
    start = rim + np.array([0.0, 3.0, -1.0])
    return [
        _frame("pad", place + turned, _grid(12, 20), "glasses_pad"),
        _frame("pad_arm", *_bar(start + s * (place - start) + bow, wire, wire), "glasses_metal"),
    ]


def _material(spec: Glasses) -> str:
    return "glasses_metal" if spec.material == "metal" else "glasses_plastic"


def _frame(name: str, vertices: Array, faces: Array, material: str) -> Mesh:
    return Mesh(f"glasses_{name}", vertices, faces, _ids(faces, Label.GLASSES_FRAME), material, {"rest": vertices})


def _bar(path: Array, tall: Array, flat: Array) -> tuple[Array, Array]:
    """Return an open tube along `path` (n, 3) that stands upright: half height `tall` and half thickness `flat`."""
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.cross(along, [0.0, 1.0, 0.0])
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-6)
    return _tube(path, np.cross(across, along), across, tall, flat, closed=False)


def _tube(
    path: Array, across: Array, up: Array, half_across: Array, half_up: Array, closed: bool
) -> tuple[Array, Array]:
    """Return vertices and quads of a tube with a rounded rectangle for a section; open ends are closed by caps."""
    t = np.linspace(0, 2 * math.pi, 16, endpoint=False)
    c, s = np.sign(np.cos(t)) * np.abs(np.cos(t)) ** 0.5, np.sign(np.sin(t)) * np.abs(np.sin(t)) ** 0.5
    section = (half_across[:, None] * c)[..., None] * across[:, None] + (half_up[:, None] * s)[..., None] * up[:, None]
    rings = path[:, None] + section
    count, n = rings.shape[:2]
    vertices, faces = rings.reshape(-1, 3), _grid(count, n)
    if closed:
        last, first = (count - 1) * n + np.arange(n), np.arange(n)
        seam = np.stack([last, np.roll(last, -1), np.roll(first, -1), first], axis=1)
        return vertices, np.concatenate([faces, seam])
    caps = [_fan(n, len(vertices))[:, [1, 0, 2, 3]], _fan(n, len(vertices) + 1)]
    caps[1][:, :2] += (count - 1) * n
    return np.concatenate([vertices, path[[0, -1]]]), np.concatenate([faces, *caps])


def _grid(rows: int, n: int) -> Array:
    """Return quads between consecutive `rows` of `n` vertices each, every row a loop."""
    r, k = np.meshgrid(np.arange(rows - 1), np.arange(n), indexing="ij")
    a, b = r * n + k, r * n + (k + 1) % n
    return np.stack([a, b, b + n, a + n], axis=2).reshape(-1, 4)


def _fan(n: int, tip: int) -> Array:
    """Return triangles from the loop 0 ... n - 1 to the vertex `tip`."""
    k = np.arange(n)
    return np.stack([k, (k + 1) % n, np.full(n, tip), np.full(n, tip)], axis=1)


def _ids(faces: Array, label: int) -> Array:
    return np.full(len(faces), int(label), np.uint8)
