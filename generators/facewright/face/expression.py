"""From an Expression to ARKit units: the plausible combinations, in one table."""

from __future__ import annotations

from facewright.face.parameters import Expression

MOOD_UNITS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smile": {"mouthSmile": 0.65, "cheekSquint": 0.35, "eyeSquint": 0.15, "mouthDimple": 0.2},
    "grin": {
        "mouthSmile": 0.8,
        "cheekSquint": 0.5,
        "eyeSquint": 0.3,
        "jawOpen": 0.14,
        "mouthUpperUp": 0.4,
        "mouthLowerDown": 0.35,
    },
    "speech": {"jawOpen": 0.22, "mouthFunnel": 0.25, "mouthLowerDown": 0.2},
    "surprise": {"browInnerUp": 0.8, "browOuterUp": 0.7, "eyeWide": 0.6, "jawOpen": 0.3},
    "anger": {"browDown": 0.8, "noseSneer": 0.3, "mouthPress": 0.5, "eyeSquint": 0.25},
    "disgust": {"noseSneer": 0.75, "mouthUpperUp": 0.35, "browDown": 0.45, "cheekSquint": 0.4},
    "sad": {"browInnerUp": 0.7, "mouthFrown": 0.6, "mouthShrugLower": 0.3},
    "squint": {"eyeSquint": 0.8, "cheekSquint": 0.45, "browDown": 0.35},
    "wide": {"eyeWide": 0.7, "browInnerUp": 0.25, "browOuterUp": 0.3},
}
"""Units of each mood at intensity 1; a name without Left/Right moves both sides. Reasoned after FACS."""

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
        for unit in (name,) if name in UNPAIRED else (f"{name}Left", f"{name}Right"):
            weights[unit] = weight
    return {name: weight for name, weight in weights.items() if weight > 0}


def squint(expression: Expression) -> float:
    """Return how far cheeks and lids are drawn up round the eyes, in [0, 1]: what deepens crow's feet."""
    units = arkit_weights(expression)
    return min(1.0, units.get("cheekSquintLeft", 0.0) + units.get("eyeSquintLeft", 0.0))
