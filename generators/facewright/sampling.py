"""How a small dataset covers more: other ways to fill the space of a recipe than independent draws.

`sobol` replaces the uniforms of the fields in SPREAD by a scrambled Sobol sequence: every prefix of it fills their
joint space more evenly, and what is drawn is distributed as before. `rare_first` draws more frames than are wanted and
takes those first that lie farthest from all taken ones: extremes and rare kinds come early and too often, on purpose.

Both are pure functions of (seed, index), so that any worker may make any frame.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np

from facewright.errors import MissingPackage

METHODS = ("independent", "sobol", "rare_first")
SPREAD = (
    "pose.head_yaw_deg",
    "pose.head_pitch_deg",
    "gaze.yaw_deg",
    "gaze.pitch_deg",
    "camera.field_mm",
    "expression.blink",
    "light.key_azimuth_deg",
    "image.exposure_ev",
    "camera.azimuth_deg",
    "camera.elevation_deg",
    "expression.mood",
    "light.hdri",
    "light.key_strength",
    "light.key_elevation_deg",
    "light.key_temperature_k",
    "pose.head_roll_deg",
    "camera.distance_mm",
    "camera.shift_x",
    "camera.shift_y",
    "backdrop.kind",
    "expression.intensity",
)
"""Per-frame fields that are spread, in the order of the sequence's dimensions; only ever append."""
SPREAD_SUBJECT = (
    "subject.head.age_years",
    "subject.skin.melanin",
    "subject.head.gender",
    "subject.head.ancestry",
    "subject.hair.style",
    "subject.eye.iris.melanin",
    "subject.hair.melanin",
    "subject.head.weight",
    "subject.eye.pupil_mm",
    "subject.wear.shirt",
    "subject.wear.jacket.kind",
    "subject.wear.formality",
    "subject.make_up.habit",
)
"""The same of a person; `subject.head.ancestry` is the stream of the three shares."""
BITS = 30
"""Of a coordinate that the sequence decides: scipy's default, and more indices than any dataset has."""
BLOCK, POOL = 64, 256
"""Frames are planned by the BLOCK; rare_first takes each from POOL draws: a quarter, the rarest (reasoned)."""


def spread(seed: int, index: int, name: str, uniforms: tuple[float, ...]) -> tuple[float, ...]:
    """Return the `uniforms` of stream `name` with the first replaced by the Sobol sequence's, where `name` has one.

    A joint table takes the dimension of its first field.
    """
    name = name.removeprefix("joint:").split(",")[0]
    table = SPREAD_SUBJECT if name.startswith("subject.") else SPREAD
    if name not in table or not uniforms:
        return uniforms
    block, place = divmod(index, BLOCK)
    word = _scrambled(int(_sobol(block, len(table))[place, table.index(name)]), f"{seed}/{name}")
    return ((word + uniforms[0]) / 2**BITS, *uniforms[1:])


@lru_cache(maxsize=16)
def _sobol(block: int, size: int) -> np.ndarray:
    """Return the BLOCK points from `block` * BLOCK of the unscrambled sequence, (BLOCK, size) in units of 2^-BITS."""
    try:
        from scipy.stats import qmc
    except ImportError:
        raise MissingPackage(
            "sampling: sobol needs the package scipy; run `python -m pip install scipy`, or set it to independent"
        ) from None
    engine = qmc.Sobol(size, scramble=False, bits=BITS)
    if block:
        engine.fast_forward(block * BLOCK)
    return (engine.random(BLOCK) * 2**BITS).astype(np.int64)


def _scrambled(word: int, key: str) -> int:
    """Return the BITS-bit word after Owen's nested uniform scrambling: each bit is flipped or not by those above it."""
    flips = 0
    for bit in range(BITS):
        above = word >> (bit + 1)
        digest = hashlib.blake2b(f"sobol/{key}/{bit}/{above}".encode(), digest_size=1).digest()
        flips |= (digest[0] & 1) << bit
    return word ^ flips


def farthest_first(points: np.ndarray, count: int) -> list[int]:
    """Return `count` row numbers of (N, D) points: first the loneliest, then always the farthest from all taken.

    Distances are sums over columns, in which many fields that differ a little count as much as one that differs a lot.
    """
    away = np.abs(points[:, None] - points[None]).sum(-1)
    nearest = np.sort(away, axis=1)[:, 1 : 1 + 5].mean(1)
    taken = [int(nearest.argmax())]
    reach = away[taken[0]].copy()
    for _ in range(count - 1):
        reach[taken] = -1.0
        taken.append(int(reach.argmax()))
        reach = np.minimum(reach, away[taken[-1]])
    return taken


def as_points(rows: list[dict[str, object]]) -> np.ndarray:
    """Return N rows of values as (N, D): numbers in units of their deviation over the rows, a column for each word.

    Rows with different words are 1.4 apart (the sum of two columns), rows with independent numbers 1.1 on the average.
    """
    columns = []
    for name in rows[0]:
        values = [row[name] for row in rows]
        if isinstance(values[0], str | bool):
            kinds = sorted(set(map(str, values)))
            columns += [[0.7 * (str(value) == kind) for value in values] for kind in kinds]
        else:
            column = np.asarray(values, float)
            columns.append((column - column.mean()) / (column.std() + 1e-9))
    return np.array(columns).T
