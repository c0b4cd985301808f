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

VERSION = "2.0"
"""Version of the label contract: the first number changes when an id or an axis changes its meaning, the second when
samples or records get something new."""


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
    Label.RIGHT_BROW: "right eyebrow, where hairs and the skin that they colour make up half",
    Label.LEFT_BROW: "left eyebrow, where hairs and the skin that they colour make up half",
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
    Label.RIGHT_LASHES: "right lashes, where strands (and skin that others colour) make up half, lashes most",
    Label.LEFT_LASHES: "left lashes, where strands (and skin that others colour) make up half, lashes most",
    Label.HAIR: "head hair, where hairs and the scalp that they colour make up half",
    Label.BEARD: "beard and moustache, where hairs and the skin that they colour make up half",
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
"""A pixel takes a strand's id when strands and the skin that they colour at their roots make up at least this share of
it, the strongest kind first."""

ROOT_CHANNELS = ("hair", "brows", "beard")
"""Kinds of strands that colour the skin they grow from, in the order of the figure's `under_hair`."""


def side_label(side: str, part: str) -> Label:
    """Return e.g. Label.LEFT_IRIS for ("left", "iris")."""
    return Label[f"{side}_{part}".upper()]


_EYES = ("sclera", "iris", "pupil", "caruncle")

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

WFLW98: dict[str, range] = {
    "contour": range(0, 33),
    "right_brow": range(33, 42),
    "left_brow": range(42, 51),
    "nose_bridge": range(51, 55),
    "nose_base": range(55, 60),
    "right_eye": range(60, 68),
    "left_eye": range(68, 76),
    "outer_lip": range(76, 88),
    "inner_lip": range(88, 96),
    "pupils": range(96, 98),
}
"""WFLW-98 groups, 0-based, pupils right and left."""

LANDMARK_SETS: dict[str, str] = {
    "face70": "iBUG-68, then the right and the left pupil's centre, as in FaceSynthetics",
    "wflw98": "WFLW-98: contour 0-32, brows, nose, eyes, lips, pupils",
    "dense478": "vertices spread over face, lids and lips, and five points on each iris; triangles and groups",
}
"""Landmark sets beside iBUG-68, in `truth.points`."""

PUPILS: dict[str, dict[str, int]] = {
    "face70": {"right": 68, "left": 69},
    "wflw98": {"right": 96, "left": 97},
    "dense478": {"right": 468, "left": 473},
}
"""Which points of a set are pupils: they lie behind the cornea and appear where it shows them."""

COVERING = (
    Label.BEARD,
    Label.CLOTH,
    Label.EARRING,
    Label.FACE_MASK,
    Label.GLASSES_FRAME,
    Label.GLASSES_LENS,
    Label.HAIR,
    Label.HAND,
    Label.HAT,
    Label.HEADPHONES,
    Label.NECKLACE,
)
"""What may cover a person's own surface: left away in seg_amodal, counted in `truth.occluded`."""

FACE = (
    Label.SKIN,
    Label.NOSE,
    Label.NOSTRIL,
    Label.UPPER_LIP,
    Label.LOWER_LIP,
    Label.MOUTH,
    Label.TEETH,
    Label.GUMS,
    Label.TONGUE,
    *(side_label(side, part) for side in SIDES for part in (*_EYES, "lid_margin")),
)
"""What `truth.occluded` counts as the face; scalp is skin too."""

LIMBUS_POINTS = 32
"""Points on the limbus ring, as in UnityEyes' iris_2d; point 0 lies at the eye's +x, counter-clockwise about +z."""


def _words(text: str) -> list[str]:
    return text.split()


CELEBAMASK_HQ = _words(
    "background skin nose eye_g l_eye r_eye l_brow r_brow l_ear r_ear mouth u_lip l_lip "
    "hair hat ear_r neck_l neck cloth"
)
"""Class names in the official order of CelebAMask-HQ (its face_parsing README and g_mask.py); also its file names."""

BISENET = _words(
    "background skin l_brow r_brow l_eye r_eye eye_g l_ear r_ear ear_r nose mouth u_lip l_lip "
    "neck neck_l cloth hair hat"
)
"""The same classes in the order that BiSeNet face parsers are trained with (zllrunning/face-parsing.PyTorch)."""

FACESYNTHETICS = _words(
    "background skin nose right_eye left_eye right_brow left_brow right_ear left_ear mouth_interior top_lip bottom_lip "
    "neck hair beard clothing glasses headwear facewear"
)
"""Class names of FaceSynthetics (its README), ids 0-18."""

LAPA = _words("background skin left_eyebrow right_eyebrow left_eye right_eye nose upper_lip inner_mouth lower_lip hair")
"""Class names of LaPa, ids 0-10."""


def _by_name(order: list[str], names: dict[Label, str]) -> dict[Label, int]:
    return {label: Label.IGNORE if label is Label.IGNORE else order.index(names[label]) for label in Label}


def _sided(right: str, left: str, *parts: str) -> dict[Label, str]:
    pairs = (("right", right), ("left", left))
    return {side_label(side, part): name for side, name in pairs for part in parts}


_MARGIN = _sided("skin", "skin", "lid_margin", "lashes")

_CELEBAMASK_NAMES: dict[Label, str] = {
    Label.BACKGROUND: "background",
    Label.SKIN: "skin",
    Label.BEARD: "skin",
    Label.FACE_MASK: "skin",
    Label.NOSE: "nose",
    Label.NOSTRIL: "nose",
    Label.GLASSES_FRAME: "eye_g",
    Label.GLASSES_LENS: "eye_g",
    **_sided("r_eye", "l_eye", *_EYES),
    **_MARGIN,
    **_sided("r_brow", "l_brow", "brow"),
    **_sided("r_ear", "l_ear", "ear"),
    **dict.fromkeys((Label.MOUTH, Label.TEETH, Label.GUMS, Label.TONGUE), "mouth"),
    Label.UPPER_LIP: "u_lip",
    Label.LOWER_LIP: "l_lip",
    Label.HAIR: "hair",
    Label.HAT: "hat",
    Label.HEADPHONES: "hat",
    Label.EARRING: "ear_r",
    Label.NECKLACE: "neck_l",
    Label.NECK: "neck",
    Label.CLOTH: "cloth",
    Label.HAND: "background",
}

_FACESYNTHETICS_NAMES: dict[Label, str] = {
    Label.BACKGROUND: "background",
    Label.SKIN: "skin",
    Label.NOSE: "nose",
    Label.NOSTRIL: "nose",
    **_sided("right_eye", "left_eye", *_EYES),
    **_MARGIN,
    **_sided("right_brow", "left_brow", "brow"),
    **_sided("right_ear", "left_ear", "ear"),
    **dict.fromkeys((Label.MOUTH, Label.TEETH, Label.GUMS, Label.TONGUE), "mouth_interior"),
    Label.UPPER_LIP: "top_lip",
    Label.LOWER_LIP: "bottom_lip",
    Label.NECK: "neck",
    Label.HAIR: "hair",
    Label.BEARD: "beard",
    **dict.fromkeys((Label.CLOTH, Label.NECKLACE), "clothing"),
    **dict.fromkeys((Label.GLASSES_FRAME, Label.GLASSES_LENS), "glasses"),
    **dict.fromkeys((Label.HAT, Label.HEADPHONES, Label.EARRING), "headwear"),
    Label.FACE_MASK: "facewear",
    Label.HAND: "skin",
}

_LAPA_NAMES: dict[Label, str] = {
    **dict.fromkeys(Label, "background"),
    **dict.fromkeys((Label.SKIN, Label.BEARD, Label.FACE_MASK), "skin"),
    **_sided("right_eyebrow", "left_eyebrow", "brow"),
    **_sided("right_eye", "left_eye", *_EYES),
    **_MARGIN,
    **dict.fromkeys((Label.NOSE, Label.NOSTRIL), "nose"),
    Label.UPPER_LIP: "upper_lip",
    **dict.fromkeys((Label.MOUTH, Label.TEETH, Label.GUMS, Label.TONGUE), "inner_mouth"),
    Label.LOWER_LIP: "lower_lip",
    Label.HAIR: "hair",
}

MAPPINGS: dict[str, dict[Label, int]] = {
    "celebamask_hq": _by_name(CELEBAMASK_HQ, _CELEBAMASK_NAMES),
    "celebamask_hq_bisenet": _by_name(BISENET, _CELEBAMASK_NAMES),
    "facesynthetics": _by_name(FACESYNTHETICS, _FACESYNTHETICS_NAMES),
    "lapa": _by_name(LAPA, _LAPA_NAMES),
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
"""From our ids to public conventions; 255 is ignored.

`celebamask_hq` is the official order, `celebamask_hq_bisenet` the one of BiSeNet parsers: equal numbers mean other
classes. What a convention has no class for goes where its annotators leave it: a hand is background in CelebAMask-HQ
and LaPa and skin in FaceSynthetics, lashes and lid margins are skin, masks are skin but in FaceSynthetics.
"""
