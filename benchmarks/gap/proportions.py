"""Are our faces built like people's? Proportions of faces in masks: photographs' beside ours.

    python benchmarks/gap/proportions.py --real DIR --ours DATASET ... [-o benchmarks/gap/results/proportions]

Lengths are in distances of the pupils (centres of the eyes' masks), upright by the eyes, of faces that look ahead: the
nose lies in the middle. Heights count from the eyes, down. Ears are those of short hair. Mouths that show their inside
are told from shut ones. DIR has photographs and masks of CelebAMask-HQ's classes (only its training part is read); each
DATASET is one of ours, read in the same classes. No training, no rendering: seconds.
"""

from __future__ import annotations

import numpy as np
from quartiles import Found, arguments, quartiles, record

from facewright_refiner.readers import Real

Array = np.ndarray

AHEAD = 0.12
"""Distance sideways of the nose's middle from the eyes' middle, in IPD, up to which a face looks ahead: 12 degrees."""
OPEN = 0.02
"""Share of the mouth's inside in all of the mouth from which it counts as open."""
LEAST = 10
"""Pixels that each of eyes, nose, mouth and brows must have."""
FREE = 0.17
"""Share of hair in the picture up to which ears are measured: more hangs over them."""


def measures(seg: Array, classes: tuple[str, ...]) -> dict[str, float] | None:
    """Return the proportions of one face, None where it does not look ahead or lacks eyes, nose or mouth."""

    def of(*names: str) -> Array:
        return np.isin(seg, [classes.index(name) for name in names])

    eyes = [of("r_eye"), of("l_eye")]
    nose, lips = of("nose"), of("u_lip", "l_lip", "mouth")
    if min(eyes[0].sum(), eyes[1].sum(), nose.sum(), lips.sum()) < LEAST:
        return None
    centres = np.array(sorted(np.argwhere(eye).mean(axis=0)[::-1].tolist() for eye in eyes))  # some are named crosswise
    across = centres[1] - centres[0]
    apart = float(np.hypot(*across))
    along = across / apart
    turn = np.array([along, [-along[1], along[0]]])
    middle = centres.mean(axis=0)

    def points(mask: Array) -> Array:
        return (np.argwhere(mask)[:, ::-1] - middle) @ turn.T / apart

    def extent(values: Array) -> float:
        return float(np.ptp(values)) + 1 / apart

    if abs(points(nose)[:, 0].mean()) > AHEAD:
        return None
    pixel = apart**-2
    found = {"IPD over width": apart / seg.shape[1]}
    shapes = [points(eye) for eye in eyes]
    found["eye width"] = float(np.mean([extent(shape[:, 0]) for shape in shapes]))
    found["eye height"] = float(np.mean([len(s) * pixel / extent(s[:, 0]) * 4 / np.pi for s in shapes]))
    heights = np.sum([[_height(shape, place) for place in (0.25, 0.5, 0.75)] for shape in shapes], axis=0)
    if heights[1]:
        found["eye height, medial / middle"], found["eye height, lateral / middle"] = heights[[0, 2]] / heights[1]
    brows = [points(of(name)) for name in ("r_brow", "l_brow")]
    if min(map(len, brows)) >= LEAST:
        found["brow width"] = float(np.mean([extent(brow[:, 0]) for brow in brows]))
        found["brow thickness"] = float(np.mean([len(brow) * pixel / extent(brow[:, 0]) for brow in brows]))
        found["brow height"] = float(np.mean([-brow[:, 1].mean() for brow in brows]))
    at = points(nose)
    found["nose width"], found["nose base"] = extent(at[:, 0]), float(np.percentile(at[:, 1], 98))
    at = points(lips)
    found["mouth width"], found["mouth height"] = extent(at[:, 0]), float(np.median(at[:, 1]))
    wide = found["mouth width"]
    found["upper lip"], found["lower lip"] = (float(of(n).sum()) * pixel / wide for n in ("u_lip", "l_lip"))
    inside = points(of("mouth"))
    found["mouth open"] = float(len(inside) > OPEN * len(at))
    if found["mouth open"]:
        found["inside width"] = extent(inside[:, 0])
        found["inside height"] = len(inside) * pixel / found["inside width"]
    at = points(of("skin", "nose", "u_lip", "l_lip", "mouth", "r_brow", "l_brow", "r_eye", "l_eye"))
    inner = at[np.abs(at[:, 0]) < 0.25, 1]
    found["chin"], found["hairline"] = float(np.percentile(inner, 99.5)), float(-inner.min())
    for name, height in (("at eyes", 0.1), ("at nose", 0.7), ("at mouth", found["mouth height"])):
        row = at[np.abs(at[:, 1] - height) < 0.06, 0]
        if len(row):
            found[f"face width {name}"] = extent(row)
    found["hair share"] = float(of("hair").mean())
    ears = [points(ear) for ear in (of("r_ear"), of("l_ear")) if ear.sum() >= LEAST]
    if ears and found["hair share"] < FREE:
        found["ear width"], found["ear height"] = (float(np.mean([extent(ear[:, k]) for ear in ears])) for k in (0, 1))
        found["ear area"] = float(np.mean([len(ear) * pixel for ear in ears]))
    return found


def _height(eye: Array, place: float) -> float:
    """Return how many points of `eye` (N, 2) lie in a sixth of its width round `place`, from the medial corner."""
    out = np.abs(eye[:, 0])
    share = (out - out.min()) / np.ptp(out)
    return float((np.abs(share - place) < 1 / 12).sum())


def columns(sets: dict[str, Real]) -> Found:
    """Return the columns of each set's faces with shut and with open mouths."""
    found: Found = {}
    for name, pictures in sets.items():
        rows = [row for item in pictures if (row := measures(item.seg, tuple(pictures.classes)))]
        for word, state in (("shut", 0.0), ("open", 1.0)):
            known = [
                {key: row[key] for key in row if key != "mouth open"} for row in rows if row["mouth open"] == state
            ]
            found[f"{name}, {word}"] = quartiles(known)
    return found


def main() -> None:
    """Print the table, and keep it."""
    sets, out = arguments(__doc__)
    record(columns(sets), 3, "Proportions of faces, in distances of the pupils", out)


if __name__ == "__main__":
    main()
