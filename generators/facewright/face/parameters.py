"""What a head may be: identity, skin, hair, clothing and expression, with distributions, limits and sources.

Joint assumptions (age with grey hair, melanin of skin with hair) are the `Given` functions of this file and of
`eye/parameters.py`; there are no others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from facewright.dist import Given, LogUniform, Normal, Uniform, choice, param
from facewright.world.parameters import OUTDOORS

Values = Mapping[str, Any]
U = Sequence[float]

IDENTITY_AXES: dict[str, float] = {
    # signed axes of the hm08 head: name of a decr/incr (or in/out, down/up ...) target pair -> weight of one sd.
    "head-angle": 0.2,
    "head-back-scale-depth": 0.3,
    "head-fat": 0.25,
    "head-scale-depth": 0.25,
    "head-scale-horiz": 0.25,
    "head-scale-vert": 0.25,
    "head-diamond": 0.15,
    "head-invertedtriangular": 0.15,
    "head-oval": 0.2,
    "head-rectangular": 0.15,
    "head-round": 0.2,
    "head-square": 0.15,
    "head-triangular": 0.15,
    "forehead-nubian": 0.25,
    "forehead-scale-vert": 0.25,
    "forehead-temple": 0.3,
    "forehead-trans": 0.25,
    "eyebrows-angle": 0.3,
    "eyebrows-trans-depth": 0.25,
    "eyebrows-trans-vert": 0.25,
    "eye-bag": 0.2,
    "eye-bag-height": 0.25,
    "eye-bag-depth": 0.2,
    "eye-corner1": 0.3,
    "eye-corner2": 0.35,
    "eye-epicanthus": 0.3,
    "eye-eyefold-angle": 0.3,
    "eye-eyefold-shape": 0.25,
    "eye-eyefold": 0.3,
    "eye-height1": 0.25,
    "eye-height2": 0.25,
    "eye-height3": 0.25,
    "eye-scale": 0.15,
    "eye-trans-vert": 0.15,
    "eye-trans-horiz": 0.15,
    "nose-base": 0.25,
    "nose-compression": 0.25,
    "nose-curve": 0.3,
    "nose-flaring": 0.3,
    "nose-greek": 0.2,
    "nose-hump": 0.3,
    "nose-nostrils-angle": 0.25,
    "nose-nostrils-width": 0.25,
    "nose-point": 0.3,
    "nose-point-width": 0.3,
    "nose-scale-depth": 0.25,
    "nose-scale-horiz": 0.3,
    "nose-scale-vert": 0.25,
    "nose-septumangle": 0.25,
    "nose-trans-vert": 0.15,
    "nose-volume": 0.2,
    "nose-width1": 0.25,
    "nose-width2": 0.25,
    "nose-width3": 0.25,
    "mouth-angles": 0.2,
    "mouth-cupidsbow": 0.3,
    "mouth-cupidsbow-width": 0.3,
    "mouth-dimples": 0.2,
    "mouth-laugh-lines": 0.25,
    "mouth-lowerlip-ext": 0.2,
    "mouth-lowerlip-height": 0.25,
    "mouth-lowerlip-middle": 0.2,
    "mouth-lowerlip-volume": 0.3,
    "mouth-lowerlip-width": 0.2,
    "mouth-philtrum-volume": 0.3,
    "mouth-scale-depth": 0.2,
    "mouth-scale-horiz": 0.25,
    "mouth-scale-vert": 0.2,
    "mouth-trans-vert": 0.2,
    "mouth-upperlip-ext": 0.2,
    "mouth-upperlip-height": 0.25,
    "mouth-upperlip-middle": 0.2,
    "mouth-upperlip-volume": 0.3,
    "mouth-upperlip-width": 0.2,
    "chin-bones": 0.25,
    "chin-cleft": 0.2,
    "chin-height": 0.25,
    "chin-jaw-drop": 0.2,
    "chin-prognathism": 0.15,
    "chin-prominent": 0.25,
    "chin-width": 0.25,
    "chin-triangle": 0.15,
    "cheek-bones": 0.3,
    "cheek-inner": 0.25,
    "cheek-trans": 0.25,
    "cheek-volume": 0.3,
    "ear-flap": 0.3,
    "ear-lobe": 0.3,
    "ear-rot": 0.25,
    "ear-scale": 0.25,
    "ear-scale-depth": 0.25,
    "ear-scale-vert": 0.25,
    "ear-wing": 0.35,
    "neck-double": 0.2,
    "neck-scale-horiz": 0.2,
    "neck-scale-depth": 0.2,
    "asym-brown-1": 0.2,
    "asym-brown-2": 0.2,
    "asym-cheek-1": 0.2,
    "asym-cheek-2": 0.2,
    "asym-eye-1": 0.15,
    "asym-eye-4": 0.15,
    "asym-jaw-1": 0.2,
    "asym-jaw-2": 0.2,
    "asym-mouth-1": 0.2,
    "asym-mouth-2": 0.2,
    "asym-nose-1": 0.2,
    "asym-nose-2": 0.2,
    "asym-temple-1": 0.2,
    "asym-top-1": 0.2,
}
"""Signed identity axes and the target weight of one standard deviation (judged on contact sheets: no caricatures)."""

IDENTITY_RADIUS = 1.15
"""Longest identity vector, as a multiple of sqrt(number of axes): a bounded Mahalanobis radius."""


PACK_AXES = 40
"""Axes of a head pack that are drawn: of models of scans, the first 40 hold nearly all of the variance; reasoned."""


def identity_vector(u: U) -> tuple[float, ...]:
    """Return standard normal identity coefficients (one for each axis) inside the bounded Mahalanobis radius."""
    normal = NormalDist()
    values = [normal.inv_cdf(min(max(x, 0.006), 0.994)) for x in u]
    norm = math.sqrt(sum(v * v for v in values))
    limit = IDENTITY_RADIUS * math.sqrt(len(values))
    scale = min(1.0, limit / norm) if norm else 1.0
    return tuple(v * scale for v in values)


def _gender(values: Values, u: U) -> float:
    """Draw 0 (female) to 1 (male) morphology: two modes with some overlap."""
    return min(1.0, 0.78 + 0.3 * u[1]) if u[0] < 0.5 else max(0.0, 0.22 - 0.3 * u[1])


def _ancestry(which: int) -> Given:
    """Return a Given for ancestry share `which` of (african, asian, caucasian).

    A third each, with one person in four mixed; reasoned, to balance a training set rather than a census.
    """
    names = ("african", "asian", "caucasian")

    def draw(values: Values, u: U) -> float:
        main, other = int(u[0] * 3), (int(u[0] * 3) + 1 + int(u[1] * 2)) % 3
        mixed = (u[2] - 0.75) * 2 if u[2] > 0.75 else 0.1 * u[2]
        return {main: 1 - mixed, other: mixed}.get(names.index(names[which]), 0.0)

    return Given(draw, 3)


def _skin_melanin(values: Values, u: U) -> float:
    """Draw skin melanin: centred by ancestry with a wide overlap.

    Reasoned after the reflectance ranges of Jablonski & Chaplin, J. Human Evol. 2000: within-group spread is of the
    same order as the distance between groups' means.
    """
    centre = (
        0.70 * values["subject.head.african"]
        + 0.32 * values["subject.head.asian"]
        + 0.17 * values["subject.head.caucasian"]
    )
    return min(0.98, max(0.02, centre + 0.22 * (u[0] + u[1] - 1)))


def _wrinkles(values: Values, u: U) -> float:
    age = values["subject.head.age_years"]
    return min(1.0, max(0.0, (age - 22) / 60 + 0.2 * (u[0] - 0.4)))


def _hair_melanin(values: Values, u: U) -> float:
    """Draw hair eumelanin: near-black is the rule, blond to brown where skin melanin is low."""
    light = values["subject.head.caucasian"] * max(0.0, 1 - values["subject.skin.melanin"] / 0.45)
    return 0.12 + 0.85 * u[1] if u[0] < light else 0.82 + 0.18 * u[1]


def _grey(values: Values, u: U) -> float:
    """Draw the share of grey hairs.

    Onset near 35-45 years and about half grey at 50-60 for half of all people (Panhard et al., Br. J. Dermatol. 2012:
    74 % of 45-65-year-olds have some grey, mean intensity 27 %).
    """
    age = values["subject.head.age_years"]
    onset = 30 + 30 * u[0]
    return min(1.0, max(0.0, (age - onset) / 28))


HAIRCUTS = (
    "bald",
    "receding",
    "buzz",
    "crew",
    "short",
    "textured_crop",
    "side_part",
    "slicked_back",
    "quiff",
    "undercut",
    "curtain",
    "pixie",
    "bob",
    "medium",
    "layered",
    "long",
    "long_wavy",
    "long_fringe",
    "curly_short",
    "curly_long",
    "ponytail",
    "pigtails",
    "bun",
    "top_knot",
    "braids",
    "box_braids",
    "twists",
    "locs",
    "cornrows",
    "afro",
)
"""Names of the haircuts (face/haircuts.py)."""

_MEN = (
    "short short short crew crew buzz textured_crop textured_crop side_part side_part slicked_back quiff undercut "
    "curtain medium curly_short top_knot long"
).split()
_WOMEN = (
    "long long long_wavy long_wavy layered layered medium medium bob long_fringe pixie curtain ponytail ponytail bun "
    "bun top_knot curly_long short braids"
).split()
_CURLY_MEN = "buzz buzz buzz crew crew afro afro twists locs cornrows curly_short bald box_braids".split()
_CURLY_WOMEN = "afro afro box_braids box_braids twists locs cornrows curly_long curly_long bun ponytail buzz".split()
_BOYS = "short short crew buzz textured_crop curtain side_part curly_short medium".split()
_GIRLS = "long long_wavy ponytail pigtails braids bob long_fringe medium bun layered".split()
_CURLY_BOYS = "buzz buzz crew afro twists cornrows curly_short".split()
_CURLY_GIRLS = "pigtails braids box_braids cornrows afro bun curly_long twists".split()


def _hair_style(values: Values, u: U) -> str:
    """Draw a haircut by gender, age and hair type: reasoned, as wide as one sees in a street.

    Baldness is male and grows with age (Hamilton 1951: half of men by 50); long hair is rarer in the old.
    """
    male, age = values["subject.head.gender"] > 0.5, values["subject.head.age_years"]
    curly = values["subject.head.african"] > 0.5
    if male and age > 20 and u[0] < min(0.45, (age - 20) / 90):
        return "bald" if u[1] < 0.35 else "receding"
    if age < 13:
        styles = (_CURLY_BOYS if male else _CURLY_GIRLS) if curly else (_BOYS if male else _GIRLS)
    else:
        styles = (_CURLY_MEN if male else _CURLY_WOMEN) if curly else (_MEN if male else _WOMEN)
        if age > 60 and u[2] < 0.6:
            aged = {"long", "long_wavy", "long_fringe", "braids", "top_knot", "quiff", "undercut", "textured_crop"}
            styles = [style for style in styles if style not in aged]
    return styles[int(u[1] * len(styles))]


BEARD_STYLES = (
    "none",
    "stubble",
    "moustache",
    "horseshoe",
    "goatee",
    "circle",
    "van_dyke",
    "chin_curtain",
    "short_boxed",
    "full",
    "sideburns",
)
"""Names of the beards (face/beard.py)."""

_BEARD_WEIGHTS = (52, 17, 3, 0.6, 3, 5, 1.5, 1.5, 8, 7, 1.4)


def _adult_male(values: Values) -> float:
    """Return how far facial hair has come, from 0 at 15 years or in women to 1 from 20 on."""
    male = min(1.0, max(0.0, (values["subject.head.gender"] - 0.6) / 0.2))
    return male * min(1.0, max(0.0, (values["subject.head.age_years"] - 15) / 5))


def _beard(values: Values, u: U) -> str:
    """Draw a beard: about half of men wear some facial hair; reasoned, as in surveys of the 2010s and 2020s."""
    if u[1] > _adult_male(values):
        return "none"
    mark = u[0] * sum(_BEARD_WEIGHTS)
    for name, weight in zip(BEARD_STYLES, _BEARD_WEIGHTS, strict=True):
        mark -= weight
        if mark < 0:
            return name
    return "none"


def _beard_density(values: Values, u: U) -> float:
    """Draw how dense the beard grows: fuller in European and African men than in East-Asian ones; reasoned."""
    return (0.55 + 0.45 * u[0]) * (1 - 0.35 * values["subject.head.asian"])


def _shave(values: Values, u: U) -> float:
    """Draw how dark shaved stubble is: nothing in women and children, most where black hair roots in light skin."""
    return _adult_male(values) * values["subject.hair.melanin"] * (1 - 0.35 * values["subject.head.asian"]) * u[0]


DYES = ("none", "bleached", "red", "copper", "blue", "pink", "purple", "green", "highlights")
"""Colours that hair is dyed; highlights are bleached strands."""


def _dye(values: Values, u: U) -> str:
    """Draw a dye for a third of all women and one man in twenty, vivid ones for a few of the young; reasoned."""
    age, woman = values["subject.head.age_years"], values["subject.head.gender"] < 0.5
    if age < 16 or u[0] > (0.35 if woman else 0.05):
        return "none"
    tame = ("bleached", "bleached", "highlights", "highlights", "highlights", "red", "copper")
    vivid = ("blue", "pink", "purple", "green")
    return vivid[int(u[1] * 4)] if u[2] < (0.12 if age < 40 else 0.03) else tame[int(u[1] * 7)]


@dataclass(frozen=True)
class Head:
    """Identity: morphology of the bony and soft face."""

    age_years: float = param(Uniform(5, 80), 1, 90, unit="years", doc="apparent age")
    gender: float = param(Given(_gender, 2), 0, 1, doc="female 0 to male 1 morphology")
    african: float = param(_ancestry(0), 0, 1, doc="share of African-descent morphology")
    asian: float = param(_ancestry(1), 0, 1, doc="share of East-Asian-descent morphology")
    caucasian: float = param(_ancestry(2), 0, 1, doc="share of European-descent morphology")
    weight: float = param(Normal(0.5, 0.16, 0.1, 0.95), 0, 1, doc="lean 0 to heavy 1; 0.5 is average")
    shoulders_mm: float = param(
        Normal(20, 9, 0, 42), -10, 45, unit="mm", doc="how much higher a grown person's shoulders stand than hm08's"
    )
    identity: tuple[float, ...] = param(
        Given(lambda values, u: identity_vector(u), len(IDENTITY_AXES)),
        -4,
        4,
        doc="coefficients in sd of the axes in IDENTITY_AXES, in that order",
    )
    pack: str = param("none", doc="a head pack in head_folder whose identity axes stand in for the embedded ones")
    pack_identity: tuple[float, ...] = param(
        Given(lambda v, u: identity_vector(u) if v["subject.head.pack"] != "none" else (), PACK_AXES),
        -4,
        4,
        doc="coefficients in sd of the pack's first axes; those that it does not have go unused",
        sizes=range(PACK_AXES + 1),
    )


def _acne(values: Values, u: U) -> float:
    """Draw acne: most people between 12 and 25 have some (reasoned), few after."""
    age = values["subject.head.age_years"]
    share = min(1.0, max(0.0, (age - 10) / 4)) * (1.0 if age < 25 else max(0.12, 1 - (age - 25) / 12))
    return u[1] ** 2 if u[0] < 0.7 * share else 0.0


@dataclass(frozen=True)
class Skin:
    """Chromophores and surface of the skin."""

    melanin: float = param(Given(_skin_melanin, 2), 0, 1, doc="epidermal melanin: 0 very light, 1 very dark")
    haemoglobin: float = param(Uniform(0.2, 0.9), 0, 1, doc="blood in the skin: pale to ruddy")
    carotene: float = param(Uniform(0, 0.7), 0, 1, doc="yellow component")
    mottling: float = param(Uniform(0.2, 1), 0, 1, doc="contrast of blood and melanin patches")
    freckles: float = param(
        Given(lambda v, u: max(0.0, u[0] * 2.5 - 1.5) * max(0.0, 1 - v["subject.skin.melanin"] / 0.4)),
        0,
        1,
        doc="density of freckles (light skin only, reasoned)",
    )
    moles: float = param(Given(lambda v, u: u[0] ** 1.5), 0, 1, doc="moles on the face and neck: none to about 16")
    lentigines: float = param(
        Given(lambda v, u: min(1.0, max(0.0, (v["subject.head.age_years"] - 40) / 45) * 1.6 * u[0])),
        0,
        1,
        doc="brown spots of age and sun: none to about 60",
    )
    acne: float = param(Given(_acne, 2), 0, 1, doc="pimples, and from 0.45 on the pits that they leave")
    scar: float = param(
        Given(lambda v, u: u[1] if u[0] < 0.06 else 0.0, 2), 0, 1, doc="one scar: none 0, 4 mm to 18 mm long"
    )
    oiliness: float = param(Uniform(0.1, 0.9), 0, 1, doc="sebum: matte to shiny")
    pores: float = param(Uniform(0.3, 1), 0, 1, doc="relief of pores")
    wrinkles: float = param(Given(_wrinkles), 0, 1, doc="wrinkles, folds and fine lines: smooth 0, deeply lined 1")
    dark_circles: float = param(Uniform(0, 1), 0, 1, doc="darkening below and around the eyes")
    texture: float = param(Uniform(0, 1000), 0, 1000, doc="offset into the noise fields: other skin, same kind")


MADE_UP = 0.55
"""Share of women over 15 who are made up where habits are uniform; reasoned for web photographs."""


def made_up(values: Values) -> float:
    """Return how much a person is made up: 0 not at all, as all men and children are, 1 as much as can be."""
    grown_woman = values["subject.head.gender"] < 0.5 and values["subject.head.age_years"] > 15
    return max(0.0, 1 - (1 - values["subject.make_up.habit"]) / MADE_UP) if grown_woman else 0.0


def _if_made_up(share: float, least: float) -> Given:
    """Return the distribution of one thing that `share` of those wear who are made up, at `least` so much of it."""

    def draw(values: Values, u: U) -> float:
        amount = made_up(values)
        return least + (1 - least) * (0.5 * amount + 0.5 * u[1]) if amount > 0 and u[0] < share else 0.0

    return Given(draw, 2)


@dataclass(frozen=True)
class MakeUp:
    """Make-up of face and eyes: who wears much of one thing wears much of others."""

    habit: float = param(Uniform(0, 1), 0, 1, doc="how readily a woman over 15 makes up, from 0.45 on; others do not")
    foundation: float = param(_if_made_up(1, 0.3), 0, 1, doc="how far it evens the skin out")
    blush: float = param(_if_made_up(0.6, 0), 0, 1, doc="rouge on the cheeks")
    lipstick: float = param(_if_made_up(0.7, 0.4), 0, 1, doc="how far lipstick covers the lips")
    lipstick_tone: float = param(
        Uniform(0, 1), 0, 1, doc="tone of the lipstick: nude 0, red 0.25, pink 0.5, berry 0.75, coral 1"
    )
    mascara: float = param(_if_made_up(0.9, 0.3), 0, 1, doc="thicker, darker, clumped lashes")
    liner: float = param(_if_made_up(0.75, 0.1), 0, 1, doc="eyeliner: 0 none, 1 thick with a wing, below the eye too")
    shadow: float = param(_if_made_up(0.6, 0.1), 0, 1, doc="eye shadow on the upper lid; from 0.5 on below the eye too")
    shadow_tone: float = param(
        Uniform(0, 1),
        0,
        1,
        doc="tone of the eye shadow: bronze 0, brown 0.25, charcoal 0.5, plum 0.7, blue 0.85, green 1",
    )


@dataclass(frozen=True)
class Hair:
    """Head hair, brows and lashes share colour; grey comes with age."""

    style: str = param(
        Given(_hair_style, 3),
        doc="haircut",
        choices=HAIRCUTS,
    )
    melanin: float = param(Given(_hair_melanin, 2), 0, 1, doc="eumelanin: 0 white-blond, 0.5 brown, 1 black")
    redness: float = param(
        Given(lambda v, u: u[0] ** 6 if v["subject.hair.melanin"] < 0.75 else 0.1 * u[0]),
        0,
        1,
        doc="pheomelanin: 1 is red hair",
    )
    grey: float = param(Given(_grey), 0, 1, doc="share of grey hairs")
    length: float = param(Uniform(0, 1), 0, 1, doc="position within the length range of the style")
    curl: float = param(
        Given(lambda v, u: min(1.0, 0.8 * v["subject.head.african"] + 0.5 * u[0] ** 2)),
        0,
        1,
        doc="straight 0 to coily 1",
    )
    dye: str = param(Given(_dye, 3), choices=DYES, doc="colour of dyed hair; roots grow out in the natural one")
    beard: str = param(Given(_beard, 2), choices=BEARD_STYLES, doc="beard, moustache or stubble")
    beard_length: float = param(Uniform(0, 1), 0, 1, doc="position within the length range of the beard")
    beard_density: float = param(Given(_beard_density), 0, 1, doc="how dense and even the beard grows")
    beard_shadow: float = param(Given(_shave), 0, 1, doc="darkness of shaved stubble under the skin")
    brow_density: float = param(Uniform(0.5, 1), 0, 1, doc="density of the brows")
    brow_width: float = param(Normal(1, 0.18, 0.6, 1.5), 0.3, 2, doc="height of the brows relative to the average")
    brow_arch: float = param(Normal(0.1, 0.5, -1, 1.5), -1.5, 2, doc="straight -1 to high arch 1.6; 1 adds 2.6 mm")
    texture: float = param(Uniform(0, 1000), 0, 1000, doc="offset into the noise fields: other strands, same cut")


def _teeth_shade(values: Values, u: U) -> float:
    """Draw the shade of teeth: they yellow with age, and about one adult in eight has them bleached; reasoned."""
    age = values["subject.head.age_years"]
    if age > 18 and u[1] < 0.12:
        return 0.12 * u[0]
    return min(1.0, 0.12 + 0.4 * u[0] + 0.35 * age / 80)


@dataclass(frozen=True)
class Mouth:
    """Teeth, gums and tongue."""

    teeth_shade: float = param(Given(_teeth_shade, 2), 0, 1, doc="shade of the enamel: bleached 0 to dark yellow 1")
    crowding: float = param(
        Given(lambda v, u: u[0] ** 1.6), 0, 1, doc="how far teeth stand out of their arch: straightened 0 to crowded 1"
    )
    gap_mm: float = param(
        Given(lambda v, u: max(0.0, 6 * u[0] - 5.2) if u[1] < 0.6 else 0.0, 2),
        0,
        4,
        unit="mm",
        doc="midline diastema: gap between the upper central incisors",
    )


GLASSES = {
    # shape of the lens: (smallest, largest) width in mm of an adult's; boxing system, as stamped on temples.
    "round": (44.0, 50.0),
    "rectangle": (50.0, 57.0),
    "aviator": (54.0, 58.0),
    "browline": (48.0, 54.0),
    "rimless": (49.0, 55.0),
}
"""Shapes of glasses with the widths that shops offer."""


def _glasses(values: Values, u: U) -> str:
    """Draw whether glasses are worn: one in twelve children to one in three of the old, dark ones by one in 25.

    Reasoned: rates rise with age (refractive error, then presbyopia), but fewer than the half of all adults who own
    glasses, so that most pictures show bare eyes.
    """
    if u[0] > 0.96 and values["subject.head.age_years"] > 4:
        return "sun"
    return "clear" if u[0] < 0.07 + 0.27 * values["subject.head.age_years"] / 80 else "none"


def _child_size(values: Values) -> float:
    """Return the size of a child's frame over an adult's: 0.82 at five years, 1 from sixteen."""
    return 0.82 + 0.18 * min(1.0, max(0.0, (values["subject.head.age_years"] - 5) / 11))


def _lens_width(values: Values, u: U) -> float:
    low, high = GLASSES[values["subject.wear.glasses.shape"]]
    return (low + (high - low) * u[0]) * _child_size(values)


def _frame_material(values: Values, u: U) -> str:
    """Draw what a frame is made of: aviators and rimless frames are metal, browlines plastic above."""
    metal = {"aviator": 0.9, "rimless": 1.0, "browline": 0.0, "round": 0.45, "rectangle": 0.35}
    if u[0] < metal[values["subject.wear.glasses.shape"]]:
        return "metal"
    return "tortoise" if u[1] < 0.3 else "acetate"


METAL_COLOURS, ACETATE_COLOURS = ("black", "gunmetal", "silver", "gold"), ("black", "black", "grey", "navy", "red")


def _frame_colour(values: Values, u: U) -> str:
    material = values["subject.wear.glasses.material"]
    if material == "tortoise":
        return "brown"
    colours = METAL_COLOURS if material == "metal" else ACETATE_COLOURS
    return colours[int(u[0] * len(colours))]


def _rim(metal: tuple[float, float], acetate: tuple[float, float]) -> Given:
    def draw(values: Values, u: U) -> float:
        low, high = metal if values["subject.wear.glasses.material"] == "metal" else acetate
        return low + (high - low) * u[0]

    return Given(draw)


def _power(values: Values, u: U) -> float:
    """Draw the power of the lenses: mostly -3 +- 2 D, from 45 years on half of them +1 ... +2.5 D for reading.

    Reasoned; hyperopes of the same powers are one in eight of the young.
    """
    plus = 0.5 if values["subject.head.age_years"] > 45 else 0.12
    if u[0] < plus:
        return 1 + 1.5 * u[1]
    return min(-0.5, -3 + 2 * NormalDist().inv_cdf(min(max(u[1], 0.01), 0.99)))


def _base_curve(values: Values, u: U) -> float:
    """Draw the front curve: Vogel's rule (power + 6 for plus, power / 2 + 6 for minus lenses), flatter as sold now."""
    power = values["subject.wear.glasses.power_d"]
    return max(1.0, (0.5 * power if power < 0 else 0.7 * power) + 5 + 0.6 * (u[0] - 0.5))


@dataclass(frozen=True)
class Glasses:
    """Glasses: frame, lenses and how they sit."""

    kind: str = param(
        Given(_glasses), choices=("none", "clear", "sun"), doc="none, corrective, or dark ones without power"
    )
    shape: str = param(
        choice(rectangle=4, round=3, aviator=1.5, browline=1.5, rimless=1.2), choices=tuple(GLASSES), doc="frame shape"
    )
    lens_mm: float = param(
        Given(_lens_width), 30, 64, unit="mm", doc="width of a lens (eye size)", source="ISO 8624, boxing system"
    )
    bridge_mm: float = param(
        Given(lambda v, u: (15 + 6 * u[0]) * _child_size(v)),
        10,
        28,
        unit="mm",
        doc="distance between the lenses",
        source="ISO 8624, boxing system",
    )
    material: str = param(
        Given(_frame_material, 2), choices=("metal", "acetate", "tortoise"), doc="what the frame is made of"
    )
    colour: str = param(
        Given(_frame_colour),
        choices=("black", "gunmetal", "silver", "gold", "grey", "navy", "red", "brown"),
        doc="colour of the frame; brown for tortoise",
    )
    rim_mm: float = param(_rim((1.0, 1.8), (2.2, 4.8)), 0.6, 8, unit="mm", doc="width of the rim seen from in front")
    rim_depth_mm: float = param(_rim((1.6, 2.4), (3.0, 4.2)), 1, 8, unit="mm", doc="depth of the rim")
    vertex_mm: float = param(
        Normal(13, 0.8, 12, 15), 8, 25, unit="mm", doc="cornea to back of the lens; more where the face is in the way"
    )
    tilt_deg: float = param(
        Normal(8, 2, 4, 12), -5, 20, unit="deg", doc="pantoscopic tilt: lower rims toward the cheeks"
    )
    wrap_deg: float = param(Uniform(2, 7), 0, 12, unit="deg", doc="turn of each lens round the face")
    power_d: float = param(Given(_power, 2), -12, 6, unit="D", doc="back vertex power of both lenses")
    base_d: float = param(Given(_base_curve), 0.5, 12, unit="D", doc="power of the front surface")
    index: float = param(1.5, 1.4, 1.9, doc="refractive index of the lenses")
    coating: str = param(
        choice(green=5, blue=3, none=1.5), choices=("green", "blue", "none"), doc="colour of the residual reflection"
    )
    tint: float = param(Uniform(0.02, 0.22), 0, 1, doc="sun: what light a dark lens lets through")
    tint_hue: float = param(Uniform(0, 1), 0, 1, doc="sun: its hue: grey at 0.5, warm below, cool above")
    reflectance: float = param(
        Uniform(0.005, 0.015), 0, 0.2, doc="of one coated surface at normal incidence; without coating it is Fresnel's"
    )


HATS = ("none", "beanie", "cap", "brim", "turban", "headscarf")


def _hat(values: Values, u: U) -> str:
    """Draw headwear: one person in seven, so that each kind has its share of a training set; reasoned."""
    female = values["subject.head.gender"] < 0.5
    if u[0] > 0.14:
        return "none"
    kinds = (
        ("headscarf", "headscarf", "beanie", "brim", "cap") if female else ("cap", "cap", "beanie", "brim", "turban")
    )
    return kinds[int(u[1] * len(kinds))]


@dataclass(frozen=True)
class Hat:
    """Headwear; hair under it is pressed flat."""

    kind: str = param(Given(_hat, 2), choices=HATS, doc="beanie, cap with visor, hat with brim, turban or headscarf")
    pull: float = param(Uniform(0, 1), 0, 1, doc="how far it is pulled down")
    turn: float = param(
        Uniform(0, 1), 0, 1, doc="cap: above 0.85 back to front; beanie: above 0.3 with a cuff; brim: its width"
    )
    slouch: float = param(Uniform(0, 1), 0, 1, doc="beanie: room at the top; cap: bow of the visor; brim: dent")
    hue: float = param(Uniform(0, 1), 0, 1, doc="hue of the cloth")
    saturation: float = param(Given(lambda v, u: 0.65 * u[0] ** 2), 0, 1, doc="saturation of the cloth")
    value: float = param(Uniform(0.05, 0.75), 0, 1, doc="brightness of the cloth")


@dataclass(frozen=True)
class Mask:
    """A mask over nose and mouth."""

    kind: str = param(
        Given(
            lambda v, u: (
                "none"
                if u[0] > 0.04 or v["subject.head.age_years"] < 3
                else ("surgical", "surgical", "ffp2", "cloth")[int(4 * u[1])]
            ),
            2,
        ),
        choices=("none", "surgical", "ffp2", "cloth"),
        doc="pleated medical mask, respirator with a ridge, or cloth",
    )
    low: float = param(Given(lambda v, u: u[0] ** 3), 0, 1, doc="how far it has slid down the nose: 1 is 9 mm")
    hue: float = param(Uniform(0, 1), 0, 1, doc="hue of a cloth mask")
    value: float = param(Uniform(0.05, 0.9), 0, 1, doc="brightness of a cloth mask")


def _earrings(values: Values, u: U) -> str:
    """Draw earrings: 55 % of women and girls above three, 6 % of men; reasoned."""
    share = 0.55 if values["subject.head.gender"] < 0.5 else 0.06
    if values["subject.head.age_years"] < 3 or u[0] > share:
        return "none"
    return ("stud", "hoop", "drop")[int(3 * u[1])]


def _necklace(values: Values, u: U) -> str:
    """Draw necklaces: a third of women, 8 % of men; reasoned."""
    female = values["subject.head.gender"] < 0.5
    if values["subject.head.age_years"] < 8 or u[0] > (0.33 if female else 0.08):
        return "none"
    return ("chain", "pendant", "pearls")[int((3 if female else 2) * u[1])]


@dataclass(frozen=True)
class Jewellery:
    """Earrings and necklace."""

    earrings: str = param(Given(_earrings, 2), choices=("none", "stud", "hoop", "drop"), doc="on both ears")
    earring_mm: float = param(LogUniform(8, 48), 3, 90, unit="mm", doc="width of hoops, length of drops; studs a sixth")
    necklace: str = param(
        Given(_necklace, 2), choices=("none", "chain", "pendant", "pearls"), doc="over skin and shirt"
    )
    necklace_drop: float = param(Uniform(0, 1), 0, 1, doc="close to the neck 0, down to the breastbone 1")
    metal: str = param(choice(gold=3, silver=3, rose=1), choices=("gold", "silver", "rose"), doc="colour of the metal")


NECKLINES = ("crew", "v_neck", "high", "collar", "scoop", "off_shoulder")
_CASUAL = {"man": "crew crew crew crew v_neck v_neck v_neck high high collar collar".split()}
_CASUAL["woman"] = "crew crew crew v_neck v_neck v_neck high high collar collar scoop".split()
_DRESSED = {"man": "collar collar collar collar collar crew v_neck high".split()}
_DRESSED["woman"] = "off_shoulder off_shoulder off_shoulder scoop scoop v_neck".split()
DRESSED_FROM = 2 / 3
"""Formality from which on people are dressed up: a third of them where it is uniform; reasoned."""


def _neckline(values: Values, u: U) -> str:
    """Draw a neckline: dressed up, women show shoulders or chest and men wear collars; reasoned, as in portraits."""
    grown_woman = values["subject.head.gender"] < 0.5 and values["subject.head.age_years"] > 12
    worn = _DRESSED if values["subject.wear.formality"] > DRESSED_FROM else _CASUAL
    kinds = worn["woman" if grown_woman else "man"]
    return kinds[int(u[0] * len(kinds))]


def _shirt_saturation(values: Values, u: U) -> float:
    """Draw a shirt's saturation: half of those with collars are white or pale; reasoned."""
    pale = values["subject.wear.shirt"] == "collar" and u[1] < 0.5
    return (0.15 if pale else 0.7) * u[0]


def _shirt_value(values: Values, u: U) -> float:
    """Draw a shirt's brightness: 0.03 to 0.8, collared ones without much colour 0.7 to 0.92."""
    pale = values["subject.wear.shirt"] == "collar" and values["subject.wear.shirt_saturation"] < 0.15
    return 0.7 + 0.22 * u[0] if pale else 0.03 + 0.77 * u[0]


def _jacket(values: Values, u: U) -> str:
    """Draw who wears a blazer: of those dressed up two of three men, one woman in five; of others few; reasoned."""
    shares = (0.65, 0.2) if values["subject.wear.formality"] > DRESSED_FROM else (0.06, 0.06)
    share = shares[0] if values["subject.head.gender"] > 0.5 else shares[1]
    open_neck = values["subject.wear.shirt"] in ("high", "off_shoulder")
    return "blazer" if values["subject.head.age_years"] > 15 and not open_neck and u[0] < share else "none"


@dataclass(frozen=True)
class Jacket:
    """A jacket over the shirt."""

    kind: str = param(Given(_jacket), choices=("none", "blazer"), doc="over the shirt, with lapels")
    hue: float = param(Uniform(0, 1), 0, 1, doc="hue of the cloth")
    saturation: float = param(Given(lambda v, u: 0.55 * u[0] ** 2), 0, 1, doc="saturation of the cloth")
    value: float = param(Given(lambda v, u: 0.03 + 0.6 * u[0] ** 2), 0, 1, doc="brightness of the cloth")
    tie: bool = param(Given(lambda v, u: u[0] < 0.5), doc="is a tie worn, where there is a blazer over a collar?")


@dataclass(frozen=True, kw_only=True)
class Wear:
    """What the person wears."""

    formality: float = param(
        Uniform(0, 1), 0, 1, doc="casual 0; dressed up above 2/3: jackets and collars, bare shoulders"
    )
    shirt: str = param(Given(_neckline), choices=NECKLINES, doc="neckline")
    shirt_hue: float = param(Uniform(0, 1), 0, 1, doc="hue of the cloth")
    shirt_saturation: float = param(Given(_shirt_saturation, 2), 0, 1, doc="saturation of the cloth")
    shirt_value: float = param(Given(_shirt_value), 0, 1, doc="brightness of the cloth")
    shirt_pattern: str = param(
        choice(plain=6, stripes=2, checks=1.2, melange=2, dots=0.6),
        choices=("plain", "stripes", "checks", "melange", "dots"),
        doc="pattern of the cloth",
    )
    jacket: Jacket
    glasses: Glasses
    hat: Hat
    mask: Mask
    jewellery: Jewellery
    scarf: bool = param(Given(lambda v, u: u[0] < 0.05), doc="is a thick scarf wound round the neck?")
    headphones: bool = param(
        Given(lambda v, u: u[0] < 0.05 and v["subject.wear.hat.kind"] == "none"), doc="are headphones worn?"
    )


def _blink(values: Values, u: U) -> float:
    """Draw lid closure: in a picture of 25 caught in a blink (it lasts 0.2 s of every 4 s), else all but open.

    So open that eyes in masks are as high as in photographs: 0.126 of the pupils' distance, median of 349 training
    photographs of CelebAMask-HQ (benchmarks/gap/results/proportions.md).
    """
    return u[1] if u[0] < 0.04 else 0.1 * u[1] ** 2


def _squint(values: Values, u: U) -> float:
    """Draw the squint against glare: in the open, the more the brighter the sky and the key light.

    Reasoned: at common strengths (1 and 1) every second face is free of it, since photographers turn faces from the
    sun, and eyes in photographs are open (`_blink`).
    """
    if values["light.hdri"] not in OUTDOORS:
        return 0.0
    glare = 0.25 * (values["light.hdri_strength"] + values["light.key_strength"])
    return min(1.0, max(0.0, glare + 0.9 * u[0] - 0.95))


MOOD_SHARES = {
    "neutral": 5.0,
    "smile": 4.0,
    "grin": 3.0,
    "laugh": 1.2,
    "speech_a": 1.0,
    "speech_e": 1.0,
    "speech_o": 0.8,
    "speech_m": 0.6,
    "speech_f": 0.5,
    "surprise": 0.7,
    "raise": 0.6,
    "anger": 0.5,
    "disgust": 0.4,
    "sad": 0.6,
    "fear": 0.3,
    "contempt": 0.4,
    "pain": 0.3,
    "squint": 0.6,
    "wide": 0.4,
    "kiss": 0.4,
    "puff": 0.2,
    "yawn": 0.2,
    "tongue": 0.3,
    "wink": 0.3,
}
"""Expressions and how often they come: half of all web photographs smile (reasoned); speech as in video calls."""
MOODS = tuple(MOOD_SHARES)


@dataclass(frozen=True)
class Expression:
    """Facial expression as a mood of some intensity, with the lids apart."""

    mood: str = param(
        choice(**MOOD_SHARES),
        choices=MOODS,
        doc="plausible combination of ARKit units (face/expression.py)",
    )
    intensity: float = param(Uniform(0.3, 1), 0, 1, doc="strength of the mood")
    variation: tuple[float, ...] = param(
        Given(lambda values, u: tuple(2 * x - 1 for x in u), 8),
        -1,
        1,
        doc="small independent unit changes, see face/expression.py",
    )
    blink: float = param(Given(_blink, 2), 0, 1, doc="closure of both lids: 0 open, 1 shut")
    squint: float = param(Given(_squint), 0, 1, doc="narrowed lids against glare, beside what the mood does")
    wink: float = param(
        Given(lambda v, u: (u[0] - 0.5) * 0.12), -1, 1, doc="extra closure of the left (+) or right (-) lid"
    )
