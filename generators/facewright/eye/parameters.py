"""What an eye may be: one table of fields with distribution, limits and source.

Both eyes share one set (mirrored left to right) and differ by `asymmetry` fields.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facewright.dist import Choice, Given, LogUniform, Normal, Uniform, param

CORNEA_INDEX = 1.376
"""Refractive index of the cornea (Gullstrand; Atchison & Smith, Optics of the Human Eye, 2000, table 5.2)."""
AQUEOUS_INDEX = 1.336
"""Refractive index of the aqueous humour (same table)."""
CORNEA_THICKNESS_MM = 0.55
"""Central corneal thickness (Doughty & Zaman, Surv. Ophthalmol. 2000: 0.534 mm by meta-analysis, rounded up)."""
CORNEA_POSTERIOR_RADIUS_MM = 6.5
"""Posterior corneal radius (Dubbelman et al., Acta Ophthalmol. 2002: 6.53 mm, rounded)."""


def _iris_melanin(values: Mapping[str, Any], u: Sequence[float]) -> float:
    """Draw the iris's melanin: brown to near-black is the rule, light irises go with light European skin.

    Reasoned joint model: the share of light irises falls with skin melanin and with non-European ancestry, after
    Frost, Evol. Hum. Behav. 2006 (light irises are rare outside Europe and western Asia).
    """
    light = values["subject.head.caucasian"] * max(0.0, 1 - values["subject.skin.melanin"] / 0.42)
    if u[0] < 0.8 * light:
        return 0.02 + 0.5 * u[1]
    return 0.54 + 0.46 * u[1] ** 0.65


def _pupil(values: Mapping[str, Any], u: Sequence[float]) -> float:
    """Draw the pupil diameter: it falls with adapting light and, the more the darker it is, with age.

    A Moon & Spencer curve 4.9 - 3 tanh(x) with x uniform (daylight to dusk), shrunk with age around 28.58 years by up
    to 0.0213 mm a year: the form of Watson & Yellott, J. Vision 12(10):12, 2012, simplified.
    """
    adaptation = 1.5 * u[0] - 0.45
    base = 4.9 - 3.0 * math.tanh(adaptation)
    age = max(values["subject.head.age_years"] - 28.58, -15.0)
    adult = base - age * 0.0213 * max(0.0, (base - 2.0) / 4.0)
    return min(max(adult + 0.8 * (u[1] - 0.5), 2.0), 8.0)


def _scleral_yellow(values: Mapping[str, Any], u: Sequence[float]) -> float:
    """Draw scleral yellowing, rising with age (Russell et al., Psychology and Aging 2014: older is yellower)."""
    return min(1.0, max(0.0, values["subject.head.age_years"] - 15) / 90 + 0.25 * u[0])


def _heterochromia(values: Mapping[str, Any], u: Sequence[float]) -> float:
    """Draw central heterochromia: common in light and mixed irises, reasoned; dark irises hide it."""
    return max(0.0, 1.9 * u[0] - 0.9) * (values["subject.eye.iris.melanin"] < 0.55)


def _sector(values: Mapping[str, Any], u: Sequence[float]) -> float:
    """Draw a pigmented sector: under 1 % of people have one; drawn in 3 % so that nets see it."""
    return 0.3 + 0.7 * u[1] if u[0] < 0.03 else 0.0


def _fundus(values: Mapping[str, Any], u: Sequence[float]) -> float:
    """Draw the infrared reflectance of the fundus: choroidal melanin goes with the skin's."""
    return (0.06 + 0.08 * u[0]) * (1 - 0.5 * values["subject.skin.melanin"])


@dataclass(frozen=True)
class Iris:
    """Pigment and relief of the iris."""

    melanin: float = param(Given(_iris_melanin, 2), 0, 1, doc="stromal melanin: 0 blue, 0.3 green/hazel, 1 near-black")
    warmth: float = param(Uniform(0, 1), 0, 1, doc="lipochrome: grey-blue to green at low melanin, cool to amber brown")
    collarette: float = param(
        Normal(0.42, 0.06, 0.28, 0.58),
        0.2,
        0.7,
        doc="radius of the collarette as a share of the way from pupil margin to root",
    )
    collarette_contrast: float = param(Uniform(0.2, 1), 0, 1, doc="how far the pupillary zone differs in colour")
    central: float = param(
        Given(_heterochromia), 0, 1, doc="central heterochromia: amber round the pupil of a light iris"
    )
    sector: float = param(Given(_sector, 2), 0, 1, doc="sectoral heterochromia: a brown wedge")
    sector_deg: float = param(Uniform(0, 360), 0, 360, unit="deg", doc="where the wedge lies")
    fibres: float = param(Uniform(0.3, 1), 0, 1, doc="contrast of the radial stromal fibres")
    crypts: float = param(Uniform(0, 1), 0, 1, doc="depth and number of crypts")
    furrows: float = param(Uniform(0, 1), 0, 1, doc="contraction furrows in the ciliary zone")
    limbal_ring: float = param(Uniform(0.1, 1), 0, 1, doc="darkness of the limbal ring")
    limbal_width_mm: float = param(Uniform(0.3, 0.9), 0.1, 1.5, unit="mm", doc="width of the limbal transition")
    texture: float = param(Uniform(0, 1000), 0, 1000, doc="offset into the noise fields: another iris, same kind")


@dataclass(frozen=True)
class Sclera:
    """Colour and vessels of the white."""

    redness: float = param(Given(lambda v, u: 0.75 * u[0] ** 1.5), 0, 1, doc="vessel density and diffuse hyperaemia")
    yellowing: float = param(Given(_scleral_yellow), 0, 1, doc="fat deposits and age: off-white to yellowish")
    texture: float = param(Uniform(0, 1000), 0, 1000, doc="offset into the vessel fields")


def _crease_depth(values: Mapping[str, Any], u: Sequence[float]) -> float:
    """Draw how deep the upper lid folds: about half of East Asians have no crease (Chen, Asian Blepharoplasty 2006)."""
    if u[0] < 0.5 * values["subject.head.asian"]:
        return 0.12 * u[1]
    return 0.45 + 0.75 * u[1]


def _crease_mm(values: Mapping[str, Any], u: Sequence[float]) -> float:
    """Draw the height of the crease over the lashes: women 8-10, men 7-8 mm on the stretched lid, of which a third to a
    half shows (Cartwright et al., Ophthalmic Surg. 1994); East Asians 2-3 mm less (Chen 2006).
    """
    woman = 1 - values["subject.head.gender"]
    return max(1.0, 3.6 + 1.2 * woman - 1.5 * values["subject.head.asian"] + 2.4 * (u[0] + u[1] - 1))


def _hood(values: Mapping[str, Any], u: Sequence[float]) -> float:
    """Draw hooding: the skin of the lid slackens from about 40 years on (Damasceno et al. 2011); some have it young."""
    age = max(0.0, values["subject.head.age_years"] - 38) / 45
    return min(1.0, max(0.0, 0.45 * (u[0] * 2 - 1.1) + 1.1 * age * u[1]))


def _epicanthus(values: Mapping[str, Any], u: Sequence[float]) -> float:
    """Draw the epicanthal fold: in 40-90 % of East Asians and in many infants (Park, Plast. Reconstr. Surg. 1996)."""
    if u[0] < 0.75 * values["subject.head.asian"] + 0.3 * max(0.0, 1 - values["subject.head.age_years"] / 8):
        return 0.25 + 0.75 * u[1]
    return 0.0


@dataclass(frozen=True, kw_only=True)
class Lids:
    """Folds and fullness of the lids' skin."""

    crease_mm: float = param(
        Given(_crease_mm, 2),
        0.8,
        10,
        unit="mm",
        doc="supratarsal crease above the lash line, open eye, along the skin",
        source="Cartwright et al. 1994; Chen 2006",
    )
    crease_depth: float = param(
        Given(_crease_depth, 2), 0, 1.5, doc="0 single lid, 1 deep double lid", source="Chen 2006"
    )
    hood: float = param(Given(_hood, 2), 0, 1.2, doc="skin that hangs over the crease, most laterally")
    epicanthus: float = param(Given(_epicanthus, 2), 0, 1, doc="fold over the medial canthus", source="Park 1996")
    fat: float = param(
        Given(lambda v, u: min(1.0, 0.5 * u[0] + 0.45 * v["subject.head.asian"] * u[1]), 2),
        0,
        1,
        doc="fullness of the upper lid over the crease",
    )
    hollow: float = param(
        Given(lambda v, u: min(1.0, max(0.0, 0.6 * u[0] - 0.25 + max(0, v["subject.head.age_years"] - 45) / 90)), 1),
        0,
        1,
        doc="sunken sulcus under the brow; comes with age",
    )
    bags: float = param(
        Given(lambda v, u: min(1.0, max(0.0, 0.55 * u[0] - 0.2 + max(0, v["subject.head.age_years"] - 30) / 75)), 1),
        0,
        1,
        doc="bag below the lower lid with the tear trough under it; comes with age",
    )
    roll: float = param(Uniform(0, 1), 0, 1, doc="pretarsal roll of the lower lid")
    margin_mm: float = param(
        Normal(1.6, 0.2, 1.2, 2.2),
        0.8,
        3,
        unit="mm",
        doc="width of the lid margin, lash line to inner edge",
        source="reasoned after Bron, Wolff's Anatomy of the Eye: about 2 mm, lashes stand on its outer third",
    )


@dataclass(frozen=True, kw_only=True)
class Eye:
    """Globe, optics and tissue of a pair of eyes."""

    axial_length_mm: float = param(
        Normal(23.8, 0.9, 21.5, 26.5),
        20,
        30,
        unit="mm",
        doc="corneal apex to posterior pole",
        source="Atchison & Smith 2000, sec. 1: about 24 mm, population sd about 1 mm",
    )
    cornea_radius_mm: float = param(
        Normal(7.79, 0.27, 7.1, 8.6),
        6.5,
        9,
        unit="mm",
        doc="anterior apical radius of curvature",
        source="Dubbelman et al. 2002: 7.79 +- 0.27 mm",
    )
    cornea_asphericity: float = param(
        Normal(-0.26, 0.18, -0.6, 0.1),
        -1,
        0.5,
        doc="conic asphericity Q of the anterior cornea",
        source="Kiely et al., Optica Acta 1982: -0.26 +- 0.18",
    )
    limbus_mm: float = param(
        Normal(11.71, 0.42, 10.7, 12.7),
        10,
        13.5,
        unit="mm",
        doc="horizontal white-to-white diameter, absolute",
        source="Ruefer et al., Cornea 2005: 11.71 +- 0.42 mm",
    )
    chamber_mm: float = param(
        Normal(3.05, 0.3, 2.4, 3.7),
        2,
        4.2,
        unit="mm",
        doc="corneal endothelium to the plane of the pupil",
        source="Atchison & Smith 2000, schematic eyes: 3.05-3.1 mm",
    )
    pupil_mm: float = param(
        Given(_pupil, 2),
        1.5,
        9,
        unit="mm",
        doc="entrance of the true (unrefracted) pupil",
        source="Watson & Yellott 2012",
    )
    pupil_nasal_mm: float = param(
        Normal(0.25, 0.12, -0.1, 0.6),
        -0.5,
        1,
        unit="mm",
        doc="offset of the pupil centre toward the nose",
        source="Yang, Thompson & Burns, IOVS 2002: nasal, 0.1-0.6 mm, moves with dilation",
    )
    pupil_superior_mm: float = param(
        Normal(0.05, 0.1, -0.25, 0.3), -0.5, 0.5, unit="mm", doc="offset of the pupil centre upward"
    )
    pupil_ellipticity: float = param(
        Normal(0.03, 0.02, 0, 0.1),
        0,
        0.2,
        doc="1 - minor/major axis of the pupil margin",
        source="Wyatt, Vision Res. 1995: pupils are slightly non-circular",
    )
    pupil_axis_deg: float = param(Uniform(0, 180), 0, 180, unit="deg", doc="direction of the pupil's major axis")
    kappa_nasal_deg: float = param(
        Normal(5.0, 1.5, 1, 9),
        -2,
        12,
        unit="deg",
        doc="visual axis nasal of the optical axis",
        source="Atchison & Smith 2000, sec. 4.4: about 5 deg",
    )
    kappa_superior_deg: float = param(
        Normal(1.5, 1.0, -1.5, 4),
        -4,
        6,
        unit="deg",
        doc="visual axis above the optical axis",
        source="Guestrin & Eizenman, IEEE TBME 2006: about 1.5 deg",
    )
    anisocoria_mm: float = param(
        Normal(0, 0.15, -0.6, 0.6),
        -2,
        2,
        unit="mm",
        doc="left pupil minus right pupil",
        source="Lam et al., Am. J. Ophthalmol. 1987: 19 % of people differ by >= 0.4 mm at some time",
    )
    fissure_mm: float = param(
        Given(
            lambda v, u: (28.0 + 4.0 * (u[0] + u[1] - 1)) * min(1.0, 0.86 + 0.14 * v["subject.head.age_years"] / 16), 2
        ),
        18,
        36,
        unit="mm",
        doc="width of the palpebral fissure, canthus to canthus",
        source="reasoned: adults about 28-30 mm (Hall's Handbook of Physical Measurements), children less",
    )
    aperture: float = param(
        Normal(1.42, 0.15, 0.9, 1.75),
        0.3,
        1.8,
        doc="resting height of the fissure: 1 is the basis' own, whose upper lid is low; 0.8 is ptotic",
        source="so that eyes in masks are as high as in photographs (benchmarks/gap/results/proportions.md): the upper "
        "lash line of adults is 4.4 mm above the corneal centre, where margin-reflex distances of 4 to 5 mm are usual",
    )
    lash_length_mm: float = param(
        Normal(7.6, 0.9, 5.5, 10),
        2,
        14,
        unit="mm",
        doc="length of the longest upper lashes",
        source="reasoned: 7-8 mm on average, 10 mm at the longest",
    )
    lash_count: int = param(
        Choice((120, 140, 160, 180), (1, 2, 2, 1)),
        20,
        300,
        doc="upper lashes per eye; lower lashes are half of it",
        source="reasoned: 90-160 upper, 75-80 lower lashes per lid",
    )
    lash_curl: float = param(Uniform(0.35, 1), 0, 1.5, doc="0 straight, 1 strongly curled")
    caruncle_redness: float = param(Uniform(0.3, 1), 0, 1, doc="pale pink to red caruncle")
    wetness: float = param(LogUniform(0.4, 1.0), 0.1, 1, doc="height of the tear meniscus, 1 = 0.4 mm")
    fundus_reflectance: float = param(
        Given(_fundus, 1),
        0,
        0.3,
        doc="of the retina in near infrared: how bright a pupil lit along the camera's axis is",
        source="reasoned after Delori & Pflibsen, Appl. Opt. 1989: rises to 800 nm, less with pigment; Nguyen et al., "
        "ETRA 2002: the infrared bright pupil differs between people and ancestries",
    )
    lids: Lids
    iris: Iris
    sclera: Sclera
