"""The label contract, versioned. Everything that a label file means is decided here and described in docs/labels.md.

Axes
    Camera: OpenCV. x right, y down, z forward, origin in the pinhole, millimetres.
    Head: x toward the subject's left, y up, z out of the face, origin midway between the eyeball centres, millimetres.
    Eye: as Head, origin in the eyeball centre, z along the optical axis, millimetres.
    World (Blender): x right, y away from the default camera, z up, metres.
Pixels
    (0, 0) is the outer corner of the top-left pixel, x right, y down; the centre of pixel [row r, column c] is
    (c + 0.5, r + 0.5). Resizing multiplies coordinates, flipping is W - x. Subtract 0.5 for OpenCV's convention.
Sides
    left and right are the subject's own: the left eye is on the right of a frontal image.
Angles
    Gaze and head (pitch, yaw) in camera axes follow MPIIGaze and ETH-XGaze: pitch = asin(-y), yaw = atan2(-x, -z);
    +pitch looks up, +yaw looks toward image-left. Radians inside, degrees where a name ends in _deg.
"""

from __future__ import annotations

from enum import IntEnum

VERSION = "1.0"
"""Version of the label contract: the first number changes when an id or an axis changes its meaning."""


class Label(IntEnum):
    """Segmentation ids (uint8). Side-specific where any public convention is."""

    BACKGROUND = 0
    SKIN = 1
    NOSE = 2
    NECK = 3
    RIGHT_EAR = 4
    LEFT_EAR = 5
    RIGHT_BROW = 6
    LEFT_BROW = 7
    UPPER_LIP = 8
    LOWER_LIP = 9
    MOUTH = 10
    TEETH = 11
    GUMS = 12
    TONGUE = 13
    NOSTRIL = 14
    RIGHT_SCLERA = 15
    LEFT_SCLERA = 16
    RIGHT_IRIS = 17
    LEFT_IRIS = 18
    RIGHT_PUPIL = 19
    LEFT_PUPIL = 20
    RIGHT_CARUNCLE = 21
    LEFT_CARUNCLE = 22
    RIGHT_LID_MARGIN = 23
    LEFT_LID_MARGIN = 24
    RIGHT_LASHES = 25
    LEFT_LASHES = 26
    HAIR = 27
    BEARD = 28
    CLOTH = 29
    GLASSES_FRAME = 30
    GLASSES_LENS = 31
    HAT = 32
    EARRING = 33
    NECKLACE = 34
    HEADPHONES = 35
    FACE_MASK = 36
    HAND = 37
    IGNORE = 255


DESCRIPTION: dict[Label, str] = {
    Label.BACKGROUND: "nothing of the person",
    Label.SKIN: "face skin, lids outside the margin, forehead, and scalp where no hair covers it",
    Label.NOSE: "outer nose",
    Label.NECK: "neck and bare shoulders",
    Label.RIGHT_EAR: "the subject's right ear",
    Label.LEFT_EAR: "the subject's left ear",
    Label.RIGHT_BROW: "right eyebrow hairs, by coverage >= 0.5",
    Label.LEFT_BROW: "left eyebrow hairs, by coverage >= 0.5",
    Label.UPPER_LIP: "red of the upper lip",
    Label.LOWER_LIP: "red of the lower lip",
    Label.MOUTH: "the dark of the mouth cavity",
    Label.TEETH: "teeth",
    Label.GUMS: "gums",
    Label.TONGUE: "tongue",
    Label.NOSTRIL: "inside of the nostrils",
    Label.RIGHT_SCLERA: "white of the right eye, conjunctiva included",
    Label.LEFT_SCLERA: "white of the left eye, conjunctiva included",
    Label.RIGHT_IRIS: "right iris as seen through the cornea",
    Label.LEFT_IRIS: "left iris as seen through the cornea",
    Label.RIGHT_PUPIL: "right pupil as seen through the cornea",
    Label.LEFT_PUPIL: "left pupil as seen through the cornea",
    Label.RIGHT_CARUNCLE: "right caruncle and plica",
    Label.LEFT_CARUNCLE: "left caruncle and plica",
    Label.RIGHT_LID_MARGIN: "wet edge of the right lids between lashes and globe",
    Label.LEFT_LID_MARGIN: "wet edge of the left lids between lashes and globe",
    Label.RIGHT_LASHES: "right lashes, by coverage >= 0.5",
    Label.LEFT_LASHES: "left lashes, by coverage >= 0.5",
    Label.HAIR: "head hair, by coverage >= 0.5",
    Label.BEARD: "beard and moustache, by coverage >= 0.5",
    Label.CLOTH: "clothing",
    Label.GLASSES_FRAME: "rims, bridge and temples",
    Label.GLASSES_LENS: "lens where it is opaque; a clear lens takes the label behind it",
    Label.HAT: "headwear",
    Label.EARRING: "earring",
    Label.NECKLACE: "necklace",
    Label.HEADPHONES: "headphones",
    Label.FACE_MASK: "medical mask",
    Label.HAND: "hand in front of the face",
    Label.IGNORE: "no claim is made here",
}

PALETTE: dict[Label, tuple[int, int, int]] = {
    Label.BACKGROUND: (0, 0, 0),
    Label.SKIN: (222, 170, 136),
    Label.NOSE: (240, 128, 100),
    Label.NECK: (176, 124, 94),
    Label.RIGHT_EAR: (196, 96, 160),
    Label.LEFT_EAR: (160, 64, 128),
    Label.RIGHT_BROW: (120, 84, 44),
    Label.LEFT_BROW: (92, 60, 28),
    Label.UPPER_LIP: (214, 52, 84),
    Label.LOWER_LIP: (170, 24, 60),
    Label.MOUTH: (64, 8, 24),
    Label.TEETH: (250, 250, 226),
    Label.GUMS: (238, 120, 140),
    Label.TONGUE: (206, 84, 110),
    Label.NOSTRIL: (96, 44, 28),
    Label.RIGHT_SCLERA: (236, 240, 255),
    Label.LEFT_SCLERA: (210, 220, 250),
    Label.RIGHT_IRIS: (38, 150, 210),
    Label.LEFT_IRIS: (28, 190, 160),
    Label.RIGHT_PUPIL: (24, 24, 90),
    Label.LEFT_PUPIL: (12, 70, 56),
    Label.RIGHT_CARUNCLE: (255, 150, 190),
    Label.LEFT_CARUNCLE: (255, 120, 170),
    Label.RIGHT_LID_MARGIN: (255, 210, 90),
    Label.LEFT_LID_MARGIN: (240, 186, 50),
    Label.RIGHT_LASHES: (90, 40, 140),
    Label.LEFT_LASHES: (70, 20, 110),
    Label.HAIR: (60, 44, 140),
    Label.BEARD: (96, 72, 190),
    Label.CLOTH: (70, 130, 80),
    Label.GLASSES_FRAME: (255, 90, 0),
    Label.GLASSES_LENS: (140, 230, 240),
    Label.HAT: (130, 170, 20),
    Label.EARRING: (255, 230, 0),
    Label.NECKLACE: (200, 200, 60),
    Label.HEADPHONES: (110, 110, 110),
    Label.FACE_MASK: (120, 190, 255),
    Label.HAND: (255, 190, 120),
    Label.IGNORE: (255, 255, 255),
}

SIDES = ("right", "left")
"""Order of everything that comes in pairs: the subject's right first, as in iBUG-68."""

COVERAGE_CHANNELS = ("lashes", "brows", "hair")
"""Channels of the coverage layer (H, W, 3) uint8: the fraction of the pixel, times 255, that strands hide."""

MATTES: dict[str, tuple[Label, ...]] = {
    "beard": (Label.BEARD,),
    "glasses": (Label.GLASSES_FRAME, Label.GLASSES_LENS),
    "headwear": (Label.HAT, Label.HEADPHONES),
}
"""Channels of the matte layer (H, W, 3) uint8 with the classes that each counts: the fraction of the pixel, times 255,
that they hide. A clear lens hides nothing."""

MATTE_CHANNELS = tuple(MATTES)
"""Channels of the matte layer in their order."""

COVERAGE_THRESHOLD = 0.5
"""A pixel takes a strand's id when strands of that kind hide at least this share of it, the strongest kind first."""


def side_label(side: str, part: str) -> Label:
    """Return e.g. Label.LEFT_IRIS for ("left", "iris")."""
    return Label[f"{side}_{part}".upper()]


IBUG68: dict[str, range] = {
    "jaw": range(0, 17),
    "right_brow": range(17, 22),
    "left_brow": range(22, 27),
    "nose_bridge": range(27, 31),
    "nose_base": range(31, 36),
    "right_eye": range(36, 42),
    "left_eye": range(42, 48),
    "outer_lip": range(48, 60),
    "inner_lip": range(60, 68),
}
"""iBUG-68 groups, 0-based; right is the subject's right."""

LIMBUS_POINTS = 32
"""Points on the limbus ring, as in UnityEyes' iris_2d; point 0 lies at the eye's +x, counter-clockwise about +z."""

_EYES = ("sclera", "iris", "pupil", "caruncle")


def _eye_map(right: int, left: int, margin_is_skin: int | None = None) -> dict[Label, int]:
    table = {}
    for side, value in (("right", right), ("left", left)):
        table |= {side_label(side, part): value for part in _EYES}
        margin = value if margin_is_skin is None else margin_is_skin
        table |= {side_label(side, "lid_margin"): margin, side_label(side, "lashes"): margin}
    return table


MAPPINGS: dict[str, dict[Label, int]] = {
    "celebamask_hq": {
        Label.BACKGROUND: 0,
        Label.SKIN: 1,
        Label.BEARD: 1,
        Label.FACE_MASK: 1,
        Label.NOSE: 2,
        Label.NOSTRIL: 2,
        Label.GLASSES_FRAME: 3,
        Label.GLASSES_LENS: 3,
        **_eye_map(5, 4, 1),
        Label.LEFT_BROW: 6,
        Label.RIGHT_BROW: 7,
        Label.LEFT_EAR: 8,
        Label.RIGHT_EAR: 9,
        Label.MOUTH: 10,
        Label.TEETH: 10,
        Label.GUMS: 10,
        Label.TONGUE: 10,
        Label.UPPER_LIP: 11,
        Label.LOWER_LIP: 12,
        Label.HAIR: 13,
        Label.HAT: 14,
        Label.HEADPHONES: 14,
        Label.EARRING: 15,
        Label.NECKLACE: 16,
        Label.NECK: 17,
        Label.CLOTH: 18,
        Label.HAND: 0,
        Label.IGNORE: 255,
    },
    "lapa": {
        Label.BACKGROUND: 0,
        Label.SKIN: 1,
        Label.BEARD: 1,
        Label.FACE_MASK: 1,
        Label.LEFT_BROW: 2,
        Label.RIGHT_BROW: 3,
        **_eye_map(5, 4, 1),
        Label.NOSE: 6,
        Label.NOSTRIL: 6,
        Label.UPPER_LIP: 7,
        Label.MOUTH: 8,
        Label.TEETH: 8,
        Label.GUMS: 8,
        Label.TONGUE: 8,
        Label.LOWER_LIP: 9,
        Label.HAIR: 10,
        Label.IGNORE: 255,
        Label.NECK: 0,
        Label.LEFT_EAR: 0,
        Label.RIGHT_EAR: 0,
        Label.CLOTH: 0,
        Label.GLASSES_FRAME: 0,
        Label.GLASSES_LENS: 0,
        Label.HAT: 0,
        Label.EARRING: 0,
        Label.NECKLACE: 0,
        Label.HEADPHONES: 0,
        Label.HAND: 0,
    },
    "openeds": {
        **dict.fromkeys(Label, 0),
        **{
            side_label(side, part): value
            for side in SIDES
            for value, part in enumerate(("sclera", "iris", "pupil"), start=1)
        },
        Label.IGNORE: 255,
    },
}
"""From our ids to public conventions: `celebamask_hq` (official order), `lapa`, `openeds` (visible ids)."""
