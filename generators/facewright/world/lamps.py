"""The user's own lamps: rectangles, balls and spots anywhere in the world."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np

from facewright.errors import RecipeError
from facewright.world.parameters import LAMP_NUMBERS

Array = np.ndarray


@dataclass(frozen=True)
class Lamp:
    """One lamp: LAMP_NUMBERS numbers, in this order.

    `place` (3) in world mm; `shines` (3) the direction into which it shines, of any length; `width` and `height` of a
    rectangle in mm, or height 0 for a ball of that width; `spread_deg`, the full angle of what it lights, up to 180,
    or 360 for a ball that lights all round; `power` (3) in W of red, green and blue (linear Rec.709) as in Blender.
    """

    place_x: float
    place_y: float
    place_z: float
    shines_x: float
    shines_y: float
    shines_z: float
    width: float
    height: float
    spread_deg: float
    red: float
    green: float
    blue: float

    @staticmethod
    def of(place: Array, shines: Array, size: Sequence[float], spread_deg: float, power: Array) -> Lamp:
        """Return the lamp of vectors `place`, `shines`, `power` (3,) and `size` (width, height)."""
        return Lamp(*map(float, (*place, *shines, *size, spread_deg, *power)))

    @property
    def place(self) -> Array:
        """Return the centre (3,), world mm."""
        return np.array([self.place_x, self.place_y, self.place_z])

    @property
    def shines(self) -> Array:
        """Return the unit direction (3,) into which the lamp shines."""
        out = np.array([self.shines_x, self.shines_y, self.shines_z])
        return out / np.linalg.norm(out)

    @property
    def power(self) -> Array:
        """Return the power (3,) in W of red, green and blue."""
        return np.array([self.red, self.green, self.blue])

    def check(self, name: str) -> None:
        """Raise a RecipeError that begins with `name` where this is no lamp."""
        if not (self.shines_x or self.shines_y or self.shines_z):
            raise RecipeError(f"{name}: numbers 4 to 6 are the direction into which it shines; give one that is not 0")
        if self.width <= 0 or self.height < 0:
            raise RecipeError(
                f"{name}: width must be above 0 mm and height at least 0, got {self.width:g}, {self.height:g}"
            )
        if not (1 <= self.spread_deg <= 180 or (self.spread_deg == 360 and not self.height)):
            ball = "" if self.height else " or be 360"
            raise RecipeError(f"{name}: spread must lie in [1, 180] deg{ball}, got {self.spread_deg:g}")
        if min(self.power) < 0:
            raise RecipeError(f"{name}: power must be at least 0 W, got {min(self.power):g}")

    def light_at(self, point: Array) -> Array:
        """Return the light (3,) at `point` (3,) world mm: the radiance of a sky that would give the same irradiance."""
        away = point - self.place
        metres = np.linalg.norm(away) * 1e-3
        cosine = float(away @ self.shines) * 1e-3 / max(metres, 1e-6)
        if math.degrees(math.acos(min(1.0, max(-1.0, cosine)))) > self.spread_deg / 2:
            return np.zeros(3)
        front = max(0.0, cosine) if self.height else 0.25  # a rectangle's radiance spreads over pi, a ball's over 4 pi
        return self.power * front / (math.pi**2 * max(metres, 0.01) ** 2)

    def numbers(self) -> tuple[float, ...]:
        """Return the lamp as a recipe has it."""
        return astuple(self)


assert len(fields(Lamp)) == LAMP_NUMBERS


def parse_lamps(numbers: Sequence[float], where: str = "light.lamps") -> list[Lamp]:
    """Return the lamps that `numbers` mean. Raises RecipeError, which begins with `where`, for what is no lamp."""
    lamps = [Lamp(*numbers[k : k + LAMP_NUMBERS]) for k in range(0, len(numbers), LAMP_NUMBERS)]
    for number, lamp in enumerate(lamps):
        lamp.check(f"{where}, lamp {number}")
    return lamps
