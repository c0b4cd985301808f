"""From an Expression to ARKit units: the plausible combinations, in one table."""

from __future__ import annotations

from facewright.face.parameters import Expression

MOOD_UNITS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smile": {"mouthSmile": 0.65, "cheekSquint": 0.35, "eyeSquint": 0.15, "mouthDimple": 0.2},
    "grin": {
        "mouthSmile": 1.0,
        "cheekSquint": 0.55,
        "eyeSquint": 0.3,
        "jawOpen": 0.16,
        "mouthUpperUp": 0.6,
        "mouthShrugUpper": 0.4,
        "mouthLowerDown": 1.0,
        "mouthRollUpper": 0.22,
        "mouthDimple": 0.4,
    },
    "laugh": {
        "mouthSmile": 1.0,
        "cheekSquint": 0.8,
        "eyeSquint": 0.5,
        "jawOpen": 0.32,
        "mouthUpperUp": 0.6,
        "mouthShrugUpper": 0.4,
        "mouthLowerDown": 0.9,
        "mouthRollUpper": 0.22,
        "mouthDimple": 0.2,
        "noseSneer": 0.15,
    },
    "speech_a": {"jawOpen": 0.32, "mouthLowerDown": 0.3, "mouthUpperUp": 0.15},
    "speech_e": {"jawOpen": 0.14, "mouthStretch": 0.45, "mouthLowerDown": 0.45, "mouthUpperUp": 0.3},
    "speech_o": {"jawOpen": 0.22, "mouthFunnel": 0.65, "mouthPucker": 0.2},
    "speech_m": {"mouthPress": 0.5, "mouthRollLower": 0.3, "mouthRollUpper": 0.3},
    "speech_f": {"jawOpen": 0.08, "mouthRollLower": 0.55, "mouthUpperUp": 0.45},
    "surprise": {"browInnerUp": 0.8, "browOuterUp": 0.7, "eyeWide": 0.6, "jawOpen": 0.3},
    "raise": {"browInnerUp": 0.7, "browOuterUp": 0.8, "eyeWide": 0.2},
    "anger": {"browDown": 0.8, "noseSneer": 0.3, "mouthPress": 0.5, "eyeSquint": 0.25},
    "disgust": {"noseSneer": 0.75, "mouthUpperUp": 0.45, "browDown": 0.45, "cheekSquint": 0.4},
    "sad": {"browInnerUp": 0.7, "mouthFrown": 0.6, "mouthShrugLower": 0.3},
    "fear": {"browInnerUp": 0.9, "browOuterUp": 0.4, "eyeWide": 0.7, "mouthStretch": 0.6, "jawOpen": 0.12},
    "contempt": {"mouthSmileLeft": 0.55, "mouthDimpleLeft": 0.5, "eyeSquint": 0.15, "browDownRight": 0.3},
    "pain": {
        "browDown": 0.8,
        "eyeSquint": 0.9,
        "cheekSquint": 0.8,
        "noseSneer": 0.6,
        "mouthUpperUp": 0.6,
        "mouthStretch": 0.5,
    },
    "squint": {"eyeSquint": 0.8, "cheekSquint": 0.45, "browDown": 0.35},
    "wide": {"eyeWide": 0.7, "browInnerUp": 0.25, "browOuterUp": 0.3},
    "kiss": {"mouthPucker": 0.9, "mouthFunnel": 0.2},
    "puff": {"cheekPuff": 0.9, "mouthPress": 0.3},
    "yawn": {"jawOpen": 0.75, "eyeSquint": 0.7, "browInnerUp": 0.3, "noseSneer": 0.2},
    "tongue": {"jawOpen": 0.28, "tongueOut": 1.0, "mouthLowerDown": 0.3, "mouthSmile": 0.25},
    "wink": {"mouthSmile": 0.6, "cheekSquintLeft": 0.8, "eyeSquintLeft": 0.5, "mouthDimpleLeft": 0.3},
}
"""Units of each mood at intensity 1; a name without Left or Right moves both sides, one with it the side that
`_mirrored` says. Reasoned after FACS."""
WINK = "wink"
"""The mood that shuts one lid, the left if not mirrored, as far as its intensity goes."""

VARIATION_UNITS = (
    "mouthLeft",
    "mouthRight",
    "browInnerUp",
    "mouthPress",
    "mouthRollLower",
    "browDown",
    "mouthSmile",
    "mouthFunnel",
)
"""Units that `Expression.variation` moves by up to VARIATION, in its order; negative values do nothing."""
VARIATION = 0.16

UNPAIRED = {
    "browInnerUp",
    "cheekPuff",
    "jawForward",
    "jawLeft",
    "jawOpen",
    "jawRight",
    "mouthClose",
    "mouthFunnel",
    "mouthLeft",
    "mouthPucker",
    "mouthRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "tongueOut",
}


def arkit_weights(expression: Expression) -> dict[str, float]:
    """Return ARKit unit weights in [0, 1] of the mood and its variation; lids follow in eye/lids.py."""
    units = {name: weight * expression.intensity for name, weight in MOOD_UNITS[expression.mood].items()}
    for name, share in (("eyeSquint", 0.85), ("cheekSquint", 0.4), ("browDown", 0.3)):
        units[name] = min(1.0, units.get(name, 0.0) + share * expression.squint)
    for name, amount in zip(VARIATION_UNITS, expression.variation, strict=True):
        units[name] = min(1.0, units.get(name, 0.0) + VARIATION * max(0.0, amount))
    weights: dict[str, float] = {}
    for name, weight in units.items():
        sided = name.endswith(("Left", "Right")) or name in UNPAIRED
        if sided and name not in UNPAIRED and _mirrored(expression):
            name = name.replace("Left", "?").replace("Right", "Left").replace("?", "Right")
        for unit in (name,) if sided else (f"{name}Left", f"{name}Right"):
            weights[unit] = min(1.0, weights.get(unit, 0.0) + weight)
    return {name: weight for name, weight in weights.items() if weight > 0}


def _mirrored(expression: Expression) -> bool:
    """Return whether a one-sided mood is on the right instead of the left: half of them are."""
    return expression.variation[0] < 0


def lid_closure(expression: Expression) -> dict[str, float]:
    """Return how far each lid is shut, in [0, 1] by side: the blink, the wink, and the mood that winks."""
    mood = expression.intensity if expression.mood == WINK else 0.0
    wink = expression.wink + (-mood if _mirrored(expression) else mood)
    return {side: min(1.0, expression.blink + max(0.0, sign * wink)) for side, sign in (("right", -1), ("left", 1))}


def squint(expression: Expression) -> float:
    """Return how far cheeks and lids are drawn up round the eyes, in [0, 1]: what deepens crow's feet."""
    units = arkit_weights(expression)
    return min(1.0, units.get("cheekSquintLeft", 0.0) + units.get("eyeSquintLeft", 0.0))
