"""What a match may turn: parameters that are a number, and factors, which are kinds of people and faces.

A knob is one parameter, spread between bounds. A factor sorts what a recipe draws into a few classes that a picture
shows (shut or grinning mouths, long or short hair), by parameters that depend on each other: a beard follows from sex,
grey from age. So a factor is never written as a distribution of its own: the recipe's own people are drawn, the classes
that are common in the real set more often (matching.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from facewright.face.expression import MOOD_UNITS
from facewright.sample import parameters

Row = Mapping[str, Any]


class Knob(NamedTuple):
    """A recipe's parameter that is fitted: from which label, between which values, with which others (`group`).

    With `relative` the bounds are factors of the recipe's own median; `log`: spread evenly in the logarithm; `peaked`:
    the proposal has more of the middle, where most pictures of any set lie.
    """

    path: str
    label: str
    low: float
    high: float
    group: str
    relative: bool = False
    log: bool = False
    peaked: bool = False

    def bounds(self, median: float) -> tuple[float, float]:
        """Return the values it is fitted between, inside the parameter's limits."""
        spec, _ = parameters()[self.path]
        low, high = (self.low * median, self.high * median) if self.relative else (self.low, self.high)
        low = low if spec.low is None else max(low, spec.low)
        high = high if spec.high is None else min(high, spec.high)
        return short(low), short(high)

    def spread(self, low: float, high: float) -> dict[str, Any]:
        """Return the proposal's distribution between `low` and `high`, as recipe data."""
        if self.log:
            return {"log_uniform": [low, high]}
        if self.peaked:
            return {"normal": {"mean": (low + high) / 2, "sd": (high - low) / 4, "low": low, "high": high}}
        return {"uniform": [low, high]}


KNOBS = (
    Knob("pose.head_yaw_deg", "head yaw", -55, 55, "pose", peaked=True),
    Knob("pose.head_pitch_deg", "head pitch", -28, 28, "pose", peaked=True),
    Knob("pose.head_roll_deg", "head roll", -30, 30, "pose", peaked=True),
    Knob("gaze.yaw_deg", "gaze yaw, own axes", -30, 30, "gaze", peaked=True),
    Knob("gaze.pitch_deg", "gaze pitch, own axes", -25, 20, "gaze", peaked=True),
    Knob("expression.blink", "openness", 0, 0.9, "lids"),
    Knob("camera.field_mm", "field", 0.6, 1.8, "framing", relative=True, log=True),
    Knob("camera.shift_x", "shift x", -0.15, 0.15, "framing", peaked=True),
    Knob("camera.shift_y", "shift y", -0.15, 0.15, "framing", peaked=True),
    Knob("image.exposure_ev", "exposure", -2.2, 1.8, "exposure"),
    Knob("light.key_strength", "key strength", 0.1, 4, "key strength", log=True),
    Knob("light.key_azimuth_deg", "key azimuth", -110, 110, "key azimuth"),
    Knob("light.key_elevation_deg", "key elevation", -20, 75, "key elevation"),
    Knob("light.key_temperature_k", "key temperature", 2500, 9500, "key temperature"),
    Knob("subject.skin.melanin", "skin melanin", 0, 1, "skin"),
    Knob("subject.eye.iris.melanin", "iris melanin", 0, 1, "iris"),
    Knob("subject.eye.pupil_mm", "pupil", 2, 8, "pupil"),
)
"""What can be fitted. Ranges are wide but such that renders stay sane (reasoned); those together are drawn together."""


class Factor(NamedTuple):
    """Classes that a picture shows: which one a row of parameters (by dotted path) belongs to, in `classes`.

    `fields` are the parameters that make the class; the proposal spreads `main`, and has so much of each class
    (`shares`); None: as much as comes of spreading it evenly from `low` to `high`. `words` say what a picture of each
    class shows.
    """

    name: str
    classes: tuple[str, ...]
    of: Callable[[Row], str]
    fields: tuple[str, ...]
    main: str
    shares: tuple[float, ...] | None = None
    low: float = 0.0
    high: float = 1.0
    words: tuple[str, ...] = ()

    @property
    def person(self) -> bool:
        """Whether it belongs to the person, not to the frame."""
        return self.main.startswith("subject.")

    def label(self, name: str) -> str:
        """Return the name of the estimator's label for a class."""
        return f"{self.name}: {name}"

    def spread(self, draws: Sequence[Row]) -> dict[str, Any]:
        """Return the proposal's distribution of `main`, as recipe data, out of the values that a recipe draws."""
        if not self.shares:
            return {"uniform": [self.low, self.high]}
        weights: dict[str, float] = {}
        sorted_in: dict[str, set[str]] = {name: set() for name in self.classes}
        for value in sorted({row[self.main] for row in draws}):
            typical = [self.of(row) for row in draws if row[self.main] == value]
            sorted_in[max(self.classes, key=typical.count)].add(value)
        for name, share in zip(self.classes, self.shares, strict=True):
            weights |= {value: short(share / len(sorted_in[name])) for value in sorted(sorted_in[name])}
        return {"choice": weights}


SMILES = 0.3
"""Weight of the unit mouthSmile from which a mouth smiles (reasoned: corners are then raised by about 3 mm)."""
PARTED = 0.08
"""Weight of the unit jawOpen, and a third of what lips draw back, from which lips are parted (reasoned: about 3 mm)."""


def _mouth(row: Row) -> str:
    units = MOOD_UNITS[row["expression.mood"]]
    weight = {name: value * float(row["expression.intensity"]) for name, value in units.items()}
    drawn_back = (weight.get("mouthUpperUp", 0.0) + weight.get("mouthLowerDown", 0.0)) / 3
    parted = weight.get("jawOpen", 0.0) + drawn_back >= PARTED
    smiling = weight.get("mouthSmile", 0.0) >= SMILES
    return ("grin" if smiling else "open") if parted else ("smile" if smiling else "shut")


BARE, TIED = ("bald", "receding", "buzz", "cornrows"), ("ponytail", "pigtails", "bun", "top_knot", "braids")
LONG = tuple("curtain bob medium layered long long_wavy long_fringe curly_long box_braids locs".split())


def _hair(row: Row) -> str:
    style = row["subject.hair.style"]
    named = (("bare", BARE), ("tied", TIED), ("long", LONG))
    return next((name for name, styles in named if style in styles), "short")


DYED = {"bleached": 0.1, "red": 0.5, "copper": 0.5, "highlights": 0.5}
"""Darkness of dyed hair, as eumelanin that looks like it (reasoned); vivid colours are like brown ones, 0.5."""


def _hair_tone(row: Row) -> str:
    """Return dark, brown or light: eumelanin by eye, less where hairs are grey."""
    dark = float(row["subject.hair.melanin"]) * (1 - 0.9 * float(row["subject.hair.grey"]))
    if row["subject.hair.dye"] != "none":
        dark = DYED.get(row["subject.hair.dye"], 0.5)
    return "dark" if dark > 0.72 else "brown" if dark > 0.4 else "light"


def _age(row: Row) -> str:
    age = float(row["subject.head.age_years"])
    return "child" if age < 15 else "adult" if age < 55 else "old"


FACTORS = (
    Factor(
        "mouth",
        ("shut", "smile", "grin", "open"),
        _mouth,
        ("expression.mood", "expression.intensity"),
        "expression.mood",
        (0.3, 0.2, 0.28, 0.22),
        words=("shut lips", "a smile with shut lips", "a grin or a laugh", "an open mouth that does not smile"),
    ),
    Factor(
        "hair",
        ("bare", "short", "tied", "long"),
        _hair,
        ("subject.hair.style",),
        "subject.hair.style",
        (0.16, 0.28, 0.16, 0.4),
        words=("a bald or shorn head", "short hair", "tied hair", "long loose hair"),
    ),
    Factor(
        "hair tone",
        ("dark", "brown", "light"),
        _hair_tone,
        ("subject.hair.melanin", "subject.hair.grey", "subject.hair.dye"),
        "subject.hair.melanin",
        words=("dark hair", "brown hair", "light or grey hair"),
    ),
    Factor(
        "glasses",
        ("none", "clear", "sun"),
        lambda row: row["subject.wear.glasses.kind"],
        ("subject.wear.glasses.kind",),
        "subject.wear.glasses.kind",
        (0.64, 0.22, 0.14),
        words=("bare eyes", "glasses", "sunglasses"),
    ),
    Factor(
        "hat",
        ("none", "worn"),
        lambda row: "none" if row["subject.wear.hat.kind"] == "none" else "worn",
        ("subject.wear.hat.kind",),
        "subject.wear.hat.kind",
        (0.8, 0.2),
        words=("a bare head", "headwear"),
    ),
    Factor(
        "mask",
        ("none", "worn"),
        lambda row: "none" if row["subject.wear.mask.kind"] == "none" else "worn",
        ("subject.wear.mask.kind",),
        "subject.wear.mask.kind",
        (0.9, 0.1),
        words=("a bare mouth", "a mask"),
    ),
    Factor(
        "sex",
        ("woman", "man"),
        lambda row: "woman" if float(row["subject.head.gender"]) < 0.5 else "man",
        ("subject.head.gender",),
        "subject.head.gender",
        words=("women", "men"),
    ),
    Factor(
        "age",
        ("child", "adult", "old"),
        _age,
        ("subject.head.age_years",),
        "subject.head.age_years",
        None,
        5,
        85,
        words=("children", "adults below 55", "people above 55"),
    ),
)
"""What is fitted as shares of classes. Shares of the proposal: enough of each to learn it, more of what is usual."""

PARENTS = (
    "subject.head.age_years",
    "subject.head.gender",
    "subject.head.african",
    "subject.head.asian",
    "subject.head.caucasian",
)
"""Parameters that others of a person follow from: a table of people holds them, so that what belongs together stays."""


def short(value: float) -> float:
    """Return a number as it is written: four digits."""
    return float(f"{value:.4g}")
