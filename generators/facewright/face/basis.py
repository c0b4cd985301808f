"""Head bases: identity, age, gender, ancestry and expression as vertex positions of one quad topology.

The embedded basis is MakeHuman's hm08 head (CC0), packed by tools/build_head_basis.py. Identity axes of other head
models come in packs (`packs.py`).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Protocol

import numpy as np

from facewright.face.packs import head_pack
from facewright.face.parameters import IDENTITY_AXES, Head

Array = np.ndarray

IDENTITY_SCALE = 0.5
"""Strength of all identity axes together, judged on contact sheets: at 1 heads become caricatures."""

HEAVY = {"head-fat": 0.7, "cheek-volume": 0.35, "neck-double": 0.5}
"""Weights of identity axes at weight 1, negated at weight 0: hm08's own weight shapes end below the neck. Reasoned."""

EYES_APART = 0.66
"""Weight of `eye-trans-horiz` in every head: hm08's eyes stand 58 mm apart, adults' pupils 63 mm (Dodgson 2004: 63.4),
ours 64: globes draw lateral canthi in, so that by masks eyes are nearer than their pupils are
(benchmarks/gap/results/proportions.md)."""

GROWN = {
    "eye-trans-vert": 0.5,
    "mouth-scale-horiz": 0.55,
    "nose-scale-vert": 0.25,
    "nose-scale-horiz": -0.6,
    "chin-height": 0.12,
    "mouth-upperlip-height": -0.7,
    "mouth-lowerlip-height": -0.3,
    "ear-scale": 0.08,
    "ear-wing": 0.5,
    "ear-lobe": 0.35,
}
"""Weights of identity axes in every adult head. hm08's eyes lie too low for its nose, mouth, chin and brows, by 3 to 6
mm, its lips are thick, its nose is wide, and its mouth is 44 (women) and 47 mm wide (men) where people's are 52 and 56
(doi.org/10.1186/s40902-019-0191-7, table 9); with these it is 49 and 52. Its ears are 54 mm long and stand 14 mm off
the head; with these 58 and 18 mm. Chosen by hand so that heights of brow, nose, mouth and chin, the mouth's width and
the area of free ears come to those of photographs; lips are still thicker than there at rest, noses a little wider
(benchmarks/gap/results/proportions.md)."""
SMALL_YEARS, GROWN_YEARS = 6.0, 16.0
"""Age from which GROWN holds in full, linear from birth, since a child's eyes do lie low; shoulders rise between both.
Reasoned."""

EAR_RELIEF, EAR_SMOOTHING = 0.5, 6
"""How far the relief of ears is raised, and the rounds of averaging that tell relief from shape. By eye on close-ups:
hm08's ears are flat. Among hair, at 160 px, it does not show in numbers (benchmarks/gap/results/looks.md)."""

AGES = {"baby": 1.0, "child": 11.0, "young": 25.0, "old": 90.0}
"""Years that hm08's four age shapes stand for (MakeHuman's own scale)."""


@dataclass(frozen=True)
class Neutral:
    """A person at rest: `vertices` (V, 3) and eyeball centres `eyes` (2, 3) right, left; mm, head-like axes.

    The origin lies midway between the eyeball centres.
    """

    vertices: Array
    eyes: Array


class HeadBasis(Protocol):
    """What a head basis offers; all arrays are read-only."""

    template: Array
    faces: Array
    part: Array
    part_names: tuple[str, ...]
    rings: dict[str, Array]

    def neutral(self, head: Head) -> Neutral:
        """Return the resting shape of `head`."""
        ...

    def express(self, weights: dict[str, float]) -> Array:
        """Return the (V, 3) mm displacement of ARKit units, e.g. {"jawOpen": 0.4}."""
        ...


class HM08:
    """MakeHuman's hm08 head. `rings[side]` (16, 28): lid rings -3..12 (0 = seam behind the lid, 1 = inner margin
    edge on the globe, 3 = outer margin edge), each from the medial corner over the upper lid round to below.
    """

    def __init__(self) -> None:
        with np.load(io.BytesIO((resources.files("facewright") / "data" / "hm08_head.npz").read_bytes())) as data:
            self.template = data["vertices"].astype(float)
            self.faces = data["faces"].astype(np.int64)
            self.part = data["part"]
            self.part_names = tuple(data["part_names"].tolist())
            self.rings = {side: data["rings"][k].astype(np.int64) for k, side in enumerate(("right", "left"))}
            names = data["names"].tolist()
            starts, indices = data["starts"], data["indices"].astype(np.int64)
            values = data["values"].T * float(data["step_mm"])
            self._eyes = data["eyes"].astype(float)
            eye_macro, eye_axis = data["eye_macro"].astype(float), data["eye_axis"].astype(float)
        self._ears = _ear_relief(self.template, self.faces, self.part == self.part_names.index("right_ear"))
        self._ears += _ear_relief(self.template, self.faces, self.part == self.part_names.index("left_ear"))
        self._deltas = {
            name: (indices[a:b], values[a:b]) for name, a, b in zip(names, starts[:-1], starts[1:], strict=True)
        }
        macro = [name for name in names if name.startswith("macro:")]
        ends = [f"axis{end}:{axis}" for axis in IDENTITY_AXES for end in "-+"]
        self._eye_shift = dict(zip(macro, eye_macro, strict=True)) | dict(zip(ends, eye_axis, strict=True))
        self.units = tuple(name.removeprefix("unit:") for name in names if name.startswith("unit:"))
        self.origin = self._eyes.mean(axis=0)

    def neutral(self, head: Head) -> Neutral:
        """Return the resting shape of `head`, eyes' midpoint at the origin."""
        vertices, eyes = self.template.copy(), self._eyes.copy()
        for name, weight in {**macro_weights(head), **axis_weights(head)}.items():
            index, delta = self._deltas[name]
            vertices[index] += weight * delta
            eyes += weight * self._eye_shift[name]
        vertices += EAR_RELIEF * self._ears
        if head.pack != "none":
            pack = head_pack(head.pack, len(vertices))
            for weight, axis, shift in zip(head.pack_identity, pack.axes, pack.eyes):
                vertices += weight * axis
                eyes += weight * shift
        grown = np.clip((head.age_years - SMALL_YEARS) / (GROWN_YEARS - SMALL_YEARS), 0, 1)
        vertices[:, 1] += grown * head.shoulders_mm * shoulder_share(self.template - self.origin)
        middle = eyes.mean(axis=0)
        return Neutral(vertices - middle, eyes - middle)

    def express(self, weights: dict[str, float]) -> Array:
        """Return the displacement of ARKit units by name; unknown names raise KeyError."""
        moved = np.zeros_like(self.template)
        for name, weight in weights.items():
            index, delta = self._deltas[f"unit:{name}"]
            moved[index] += weight * delta
        return moved


def _ear_relief(template: Array, faces: Array, inside: Array) -> Array:
    """Return what averaging takes from the ear whose faces are `inside` (F,) bool, (V, 3) mm; its border stays."""
    edges = np.concatenate([faces[:, [k, (k + 1) % 4]] for k in range(4)])
    edges = np.unique(np.sort(edges, axis=1), axis=0)
    border = np.unique(faces[~inside])
    free = np.setdiff1d(np.unique(faces[inside]), border)
    joined = edges[np.isin(edges, free).any(axis=1)]
    ends, others = np.concatenate([joined, joined[:, ::-1]]).T
    smooth = template.copy()
    for _ in range(EAR_SMOOTHING):
        near = np.zeros_like(smooth)
        np.add.at(near, ends, smooth[others])
        near /= np.maximum(np.bincount(ends, minlength=len(near)), 1)[:, None]
        smooth[free] = 0.5 * (smooth[free] + near[free])
    return template - smooth


def shoulder_share(p: Array) -> Array:
    """Return how far template points (N, 3) rise with the shoulders: all beside the neck, a third at the breastbone.

    hm08's shoulders slope and stand low: 100 mm to the side, clothes of photographs that show any begin 17 mm higher
    (205 training photographs of CelebAMask-HQ). The jaw and the upper neck stay. Reasoned.
    """
    low, beside = np.clip((-106 - p[:, 1]) / 70, 0, 1), np.clip((np.abs(p[:, 0]) - 30) / 65, 0, 1)
    low, beside = (t * t * (3 - 2 * t) for t in (low, beside))
    return low * (0.33 + 0.67 * beside)


def macro_weights(head: Head) -> dict[str, float]:
    """Return the weights of hm08's macro shapes: products of gender, age, weight and ancestry shares."""
    years = np.array(list(AGES.values()))
    age = {name: float(np.interp(head.age_years, years, np.eye(len(years))[k])) for k, name in enumerate(AGES)}
    gender = {"female": 1 - head.gender, "male": head.gender}
    load = {"minweight": max(0.0, 1 - 2 * head.weight), "maxweight": max(0.0, 2 * head.weight - 1)}
    load["averageweight"] = 1 - sum(load.values())
    total = head.african + head.asian + head.caucasian or 1.0
    ancestry = {"african": head.african / total, "asian": head.asian / total, "caucasian": head.caucasian / total}
    weights = {f"macro:universal-{g}-{a}-{w}": gender[g] * age[a] * load[w] for g in gender for a in age for w in load}
    weights |= {f"macro:{e}-{g}-{a}": ancestry[e] * gender[g] * age[a] for e in ancestry for g in gender for a in age}
    return {name: weight for name, weight in weights.items() if weight}


def axis_weights(head: Head) -> dict[str, float]:
    """Return target weights of identity coefficients (sd units) and weight, each on the end its sign points to.

    A pack's identity stands in for the embedded one: two together would be twice as varied as people are.
    """
    signed = {
        axis: c * unit * IDENTITY_SCALE * (head.pack == "none")
        for c, (axis, unit) in zip(head.identity, IDENTITY_AXES.items(), strict=True)
    }
    for axis, full in HEAVY.items():
        signed[axis] += full * (2 * head.weight - 1)
    signed["eye-trans-horiz"] += EYES_APART
    for axis, full in GROWN.items():
        signed[axis] += full * min(1.0, head.age_years / GROWN_YEARS)
    return {f"axis{'+' if c > 0 else '-'}:{axis}": abs(c) for axis, c in signed.items() if c}


@cache
def head_basis() -> HM08:
    """Return the embedded basis, loaded once."""
    return HM08()
