"""Relief and colour of the face's skin, painted on the unrolled template finer than any mesh: folds, marks, lips and
make-up. The skin round the eyes is eye/periorbita.py's.

Column = arc s = 92 mm x the angle about the vertical axis through (0, *, -85) of the template, + toward the subject's
left, row = template y. On the front of the face s is nearly x. Every feature stays where the template has it, whatever
the head's shape; what expression deepens is told by `drives`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from facewright import rng
from facewright.eye.periorbita import groove
from facewright.face.expression import arkit_weights
from facewright.face.parameters import Expression, MakeUp, Skin
from facewright.geometry.noise import periodic

Array = np.ndarray

AXIS_Z_MM, ROLL_MM = -85.0, 92.0
"""Depth of the axis about which the template is unrolled, and mm of arc for a radian."""
S_MM, Y_MM = (-150.0, 150.0), (-125.0, 100.0)
"""What the map spans; beyond, the skin is plain."""
SIZE = (768, 1024)
UPPER_LIP = np.array([[0, 4.4, 8, 13, 18, 21, 23], [-58.6, -57.1, -58.4, -60.8, -63.8, -65.8, -67.2]])
LOWER_LIP = np.array([[0, 5, 12, 17, 20, 23], [-78.8, -78.4, -76.3, -73.0, -70.4, -67.2]])
"""Outer edges of the red of the lips on the template: |s| and y."""


@dataclass(frozen=True)
class Drives:
    """How far the muscles that fold the skin are drawn, each in [0, 1]."""

    brow_up: float
    brow_down: float
    sneer: float
    smile: float
    frown: float


def drives(expression: Expression) -> Drives:
    """Return what folds the skin in `expression`; both sides' mean."""
    units = arkit_weights(expression)

    def both(name: str) -> float:
        return min(1.0, 0.5 * (units.get(f"{name}Left", 0.0) + units.get(f"{name}Right", 0.0)))

    up = max(both("browOuterUp"), units.get("browInnerUp", 0.0))
    return Drives(min(1.0, up), both("browDown"), both("noseSneer"), both("mouthSmile"), both("mouthFrown"))


@lru_cache(maxsize=2)
def complexion(skin: Skin, make_up: MakeUp, drawn: Drives, spectrum: str) -> tuple[Array, Array, Array]:
    """Return relief (R, C) mm outward, and per texel (R, C) the melanin and blood that are more (or less) than usual.

    All are float32 and zero at the map's border. Near infrared sees the relief and little of the pigments.
    """
    rows, columns = SIZE
    s = np.linspace(*S_MM, columns, dtype=np.float32)[None, :]
    y = np.linspace(*Y_MM, rows, dtype=np.float32)[:, None]
    seed = int(skin.texture * 1009)
    sheet = _Sheet(s, y, *np.zeros((3, *SIZE), np.float32))
    _mottle(sheet, skin, seed)
    _folds(sheet, skin, drawn, seed)
    _marks(sheet, skin, seed)
    cover = 1 - 0.75 * make_up.foundation
    melanin, blood = cover * sheet.melanin, cover * sheet.blood
    blush = np.exp(-0.5 * (((np.abs(s) - 43) / 15) ** 2 + ((y + 26 - 0.25 * (np.abs(s) - 43)) / 10) ** 2))
    blood += 0.8 * make_up.blush * blush
    lip = lip_mask(skin)
    blood += 0.3 * lip
    melanin += 0.12 * skin.melanin * lip
    border = _border(s, y)
    return sheet.relief * border, melanin * border, blood * border


@lru_cache(maxsize=2)
def lip_mask(skin: Skin) -> Array:
    """Return the red of the lips (R, C) in [0, 1], with the soft and uneven edge of a real one."""
    rows, columns = SIZE
    s = np.abs(np.linspace(*S_MM, columns, dtype=np.float32))[None, :]
    y = np.linspace(*Y_MM, rows, dtype=np.float32)[:, None]
    seed = int(skin.texture * 1009)
    ragged = 0.9 * (periodic(seed + 30, rows, columns, 210, 120) - 0.5) + 0.8 * (
        periodic(seed + 31, rows, columns, 80, 60) - 0.5
    )
    inside = np.minimum(_outline(s, UPPER_LIP) - y, y - _outline(s, LOWER_LIP)) + ragged
    return _smooth((inside + 0.7) / 1.9) * (s < 23.5)


@dataclass(frozen=True)
class _Sheet:
    """The canvases (R, C) and their coordinates s (1, C) and y (R, 1) in mm."""

    s: Array
    y: Array
    relief: Array
    melanin: Array
    blood: Array

    def window(self, s: tuple[float, float], y: tuple[float, float]) -> tuple[slice, slice]:
        """Return the rows and columns of a box in mm."""
        rows, columns = SIZE
        c = ((np.array(s) - S_MM[0]) / (S_MM[1] - S_MM[0]) * columns).astype(int)
        r = ((np.array(y) - Y_MM[0]) / (Y_MM[1] - Y_MM[0]) * rows).astype(int)
        return slice(max(r[0], 0), max(r[1] + 1, 0)), slice(max(c[0], 0), max(c[1] + 1, 0))

    def across(self, low: float, high: float, height, depth: float, width: float, wobble: Array) -> None:
        """Cut a groove along y = height(s) between s = low and high; `depth` mm fades at both ends."""
        ends = height(np.linspace(low, high, 20))
        box = self.window((low, high), (ends.min() - 4 * width - 2, ends.max() + 4 * width + 2))
        s, y = self.s[:, box[1]], self.y[box[0]]
        slope = np.gradient(height(s[0]), s[0])
        away = (y - height(s) + 1.4 * (wobble[box] - 0.5)) / np.sqrt(1 + slope**2)
        self.relief[box] -= depth * _ends(s, low, high) * groove(away, width)

    def down(
        self, low: float, high: float, place, depth: float, width: float, wobble: Array, side: float, cheek: float = 0.0
    ) -> None:
        """Cut a groove along s = side * place(y); `cheek` raises its lateral side by that share of the depth."""
        ends = place(np.linspace(low, high, 20))
        margin = (4 + 4 * (cheek > 0)) * width + 2
        inner, outer = ends.min() - margin, ends.max() + margin
        box = self.window((inner, outer) if side > 0 else (-outer, -inner), (low, high))
        s, y = side * self.s[:, box[1]], self.y[box[0]]
        slope = np.gradient(place(y[:, 0]), y[:, 0])[:, None]
        away = (s - place(y) + 1.2 * (wobble[box] - 0.5)) / np.sqrt(1 + slope**2)
        profile = -groove(away, width) + cheek * np.exp(-(((away - 3.2 * width) / (2.4 * width)) ** 2))
        self.relief[box] += depth * _ends(y, low, high) * profile

    def spot(self, canvas: Array, s: float, y: float, radius: float, amount: float, squash: float = 1.0) -> None:
        """Add a round spot with a soft edge."""
        box = self.window((s - 1.6 * radius, s + 1.6 * radius), (y - 1.6 * radius, y + 1.6 * radius))
        away = np.hypot((self.s[:, box[1]] - s) * squash, self.y[box[0]] - y) / radius
        canvas[box] += amount * _smooth((1.35 - away) / 0.7)


def _mottle(sheet: _Sheet, skin: Skin, seed: int) -> None:
    """Patches of blood and melanin from centimetres down to half a millimetre."""
    rows, columns = SIZE
    for k, (around, along, blood, melanin) in enumerate(
        ((26, 20, 0.20, 0.07), (70, 52, 0.20, 0.06), (190, 140, 0.20, 0.06), (480, 360, 0.16, 0.05))
    ):
        field = periodic(seed + k, rows, columns, around, along) - 0.5
        sheet.blood[...] += blood * skin.mottling * field
        sheet.melanin[...] += melanin * skin.mottling * (0.35 + skin.melanin) * np.roll(field[::-1], 137, axis=1)


def _folds(sheet: _Sheet, skin: Skin, drawn: Drives, seed: int) -> None:
    """Wrinkles: those of age, deepened by what the face does, and those that only expression makes."""
    rows, columns = SIZE
    age = skin.wrinkles
    wavy = periodic(seed + 10, rows, columns, 34, 18)
    fine = periodic(seed + 11, rows, columns, 120, 60)
    wobble = 0.7 * wavy + 0.3 * fine
    u = rng.numbers(seed, 0, "complexion.folds", 50, 8).astype(np.float32)
    y, s = sheet.y, np.abs(sheet.s)

    depth = 0.26 * age + 0.36 * drawn.brow_up * (0.35 + 0.65 * age)
    for k in range(3 + int(2.5 * u[0, 0])):  # forehead, in broken lines
        a = u[1 + k]
        base = 33 + 9.5 * k + 3 * (a[0] - 0.5)
        for part in range(3):
            low = -46 + 31 * part + 10 * (a[1 + part] - 0.5)
            sheet.across(
                low,
                low + 28 + 16 * a[4],
                lambda x, base=base, a=a: base - 4.5 * (x / 45) ** 2 + 1.8 * np.sin(x / 13 + 6 * a[5]),
                depth * (0.5 + 0.9 * a[6 - part % 2]),
                0.55 + 0.5 * age,
                wobble,
            )
    for k, side in ((0, -1.0), (1, 1.0)):  # glabella, nasal root, nasolabial fold, marionette line, jowl
        a, b = u[10 + k], u[12 + k]
        sheet.down(
            5,
            27 + 5 * a[1],
            lambda t, a=a: 4.8 + 3 * a[0] + 0.10 * (t - 6),
            0.22 * age + 0.5 * drawn.brow_down,
            0.8,
            wobble,
            side,
        )
        for n in range(2):
            line = 1.0 - 5.5 * n
            sheet.across(
                1.0 if side > 0 else -11.0,
                11.0 if side > 0 else -1.0,
                lambda x, line=line: line + 0.25 * np.abs(x),
                0.05 * age + 0.35 * drawn.sneer,
                0.5,
                wobble,
            )
        sheet.down(
            -71 + 4 * a[2],
            -35,
            lambda t: 11.5 + 15.5 * np.clip((-37 - t) / 33, 0, 1) ** 0.85,
            (0.10 + 0.62 * age + 0.60 * drawn.smile + 0.5 * drawn.sneer) * (0.7 + 0.6 * a[3]),
            1.35 + 0.6 * age,
            wavy,
            side,
            0.55,
        )
        sheet.down(
            -93,
            -69 + 3 * b[0],
            lambda t: 24.5 + 0.10 * (-69 - t),
            (0.50 * max(0.0, age - 0.25) + 0.35 * drawn.frown) * (0.5 + b[1]),
            1.2,
            wavy,
            side,
            0.4,
        )
        for n in range(3):  # smile lines beside the mouth, then on the cheeks
            c = u[16 + 3 * k + n]
            sheet.down(
                -70 + 4 * c[0],
                -38 + 8 * c[1],
                lambda t, n=n, c=c: 33 + 7.0 * n + 3 * c[2] + 4 * np.sin((t + 80) / 18),
                (0.30 * max(0.0, age - 0.45) + 0.20 * drawn.smile * (0.2 + age)) * (0.4 + c[3]),
                0.8,
                wobble,
                side,
            )
    above, below = y - _outline(s, UPPER_LIP), y - _outline(s, LOWER_LIP)
    upper = _smooth((9.5 - above) / 3) * _smooth((above + 0.5) / 1.5)
    lower = _smooth((below + 7) / 3) * _smooth((0.5 - below) / 1.5)
    pleats = np.abs(periodic(seed + 13, rows, columns, 110, 4) - 0.5) ** 0.6
    sheet.relief[...] -= 0.75 * max(0.0, age - 0.5) * (upper + 0.5 * lower) * (s < 21) * (0.65 - pleats)
    # the lips' own furrows
    lip = lip_mask(skin)
    furrow = np.abs(periodic(seed + 14, rows, columns, 230, 14) - 0.5) + 0.7 * np.abs(
        periodic(seed + 15, rows, columns, 420, 26) - 0.5
    )
    sheet.relief[...] += lip * (0.28 + 0.4 * age) * (furrow - 0.4) + 0.25 * _edge(lip)
    # old skin is loose: shallow waves across cheeks and neck
    crepe = periodic(seed + 16, rows, columns, 64, 90) + 0.6 * periodic(seed + 17, rows, columns, 150, 200) - 0.8
    sheet.relief[...] += 0.28 * max(0.0, age - 0.35) * crepe * _smooth((s - 20) / 25)
    # pits and grain of thick skin on nose, chin and cheeks
    coarse = np.exp(-0.5 * (((s - 22) / 20) ** 2 + ((y + 30) / 18) ** 2)) + np.exp(
        -0.5 * ((s / 11) ** 2 + ((y + 32) / 16) ** 2)
    )
    pits = np.clip(0.34 - periodic(seed + 18, rows, columns, 330, 250), 0, 1)
    sheet.relief[...] -= 0.45 * skin.pores * pits * np.clip(coarse, 0, 1)


def _marks(sheet: _Sheet, skin: Skin, seed: int) -> None:
    """Freckles, moles, spots of age, acne and scars, each where nature puts it."""
    light = max(0.0, 1 - skin.melanin / 0.5)
    u = rng.numbers(seed, 0, "complexion.marks", 1400, 4).astype(np.float32)
    rows, columns = SIZE
    patch = periodic(seed + 20, rows, columns, 30, 20)
    for a in u[: int(900 * skin.freckles)]:
        s = 62 * (2 * a[0] - 1)
        y = -18 + 42 * (a[1] - 0.5) * 2 * (1 - 0.3 * abs(s) / 62)
        here = patch[sheet.window((s, s), (y, y))]
        if here.size and a[2] < 0.25 + 1.3 * float(here[0, 0]) - 0.25 * (abs(y + 18) / 40):
            sheet.spot(sheet.melanin, s, y, 0.35 + 0.75 * a[3] ** 2, 0.10 + 0.22 * a[2])
    for a in u[900 : 900 + int(16 * skin.moles)]:
        s, y, r = 85 * (2 * a[0] - 1), -105 + 165 * a[1], 0.35 + 1.2 * a[2] ** 4
        sheet.spot(sheet.melanin, s, y, r, 0.25 + 0.5 * a[3])
        sheet.spot(sheet.relief, s, y, r, 0.4 * r * a[3] * (a[2] > 0.6))
    for a in u[930 : 930 + int(60 * skin.lentigines)]:
        s, y = 88 * (2 * a[0] - 1), -75 + 155 * a[1]
        sheet.spot(
            sheet.melanin, s, y, 1.0 + 3.2 * a[2] ** 2, (0.08 + 0.16 * a[3]) * (0.4 + 0.6 * light), 0.7 + 0.5 * a[3]
        )
    for a in u[1000 : 1000 + int(60 * skin.acne)]:  # cheeks, chin and forehead
        zone = int(3 * a[2])
        s = (2 * a[0] - 1) * (58, 22, 40)[zone]
        y = ((-60, -18), (-105, -84), (26, 58))[zone]
        place = y[0] + (y[1] - y[0]) * a[1]
        r = 0.8 + 1.6 * a[3] ** 2
        sheet.spot(sheet.blood, s, place, 1.7 * r, 0.3 + 0.3 * a[0])
        sheet.spot(sheet.relief, s, place, 1.5 * r, 0.12 * r)
    for a in u[1100 : 1100 + int(90 * max(0.0, skin.acne - 0.45))]:  # pits that acne leaves
        s, y = (34 + 24 * a[0]) * (1 if a[2] > 0.5 else -1), -58 + 38 * a[1]
        sheet.spot(sheet.relief, s, y, 0.6 + 0.7 * a[3], -0.2)
    if skin.scar > 0:
        a = u[1300]
        s0, y0, heading = 55 * (2 * a[0] - 1), -80 + 125 * a[1], math.pi * a[2]
        for k in np.linspace(0, 1, 60):
            reach = (4 + 14 * skin.scar) * (k - 0.5)
            s, y = s0 + reach * math.cos(heading) + 0.9 * math.sin(7 * k), y0 + reach * math.sin(heading)
            width = (0.5 + 0.5 * skin.scar) * math.sin(math.pi * (0.1 + 0.8 * k))
            sheet.spot(sheet.melanin, s, y, width + 0.3, -0.022)
            sheet.spot(sheet.blood, s, y, width, (0.05 if a[3] > 0.6 else -0.03))
            sheet.spot(sheet.relief, s, y, width, -0.03)


def _ends(x: Array, low: float, high: float) -> Array:
    """Return 1 in the middle of [low, high] and a smooth fall to 0 over a third at each end."""
    return _smooth(np.minimum(x - low, high - x) / (0.34 * (high - low)))


def _outline(s: Array, lip: Array) -> Array:
    """Return the height y (1, C) float32 of a lip's edge at `s`."""
    return np.interp(s, *lip).astype(np.float32)


def _smooth(x: Array) -> Array:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _edge(mask: Array) -> Array:
    """Return the rim of a soft mask: the raised line round the lips."""
    return 4 * mask * (1 - mask) - 0.3 * mask


def _border(s: Array, y: Array) -> Array:
    inside = np.minimum(np.minimum(s - S_MM[0], S_MM[1] - s), np.minimum(y - Y_MM[0], Y_MM[1] - y))
    return _smooth(inside / 12)
