"""Named random streams: the same name, seed and index give the same numbers, whatever else is drawn.

A parameter's stream is keyed by its dotted path, so adding a parameter never reshuffles the others, and index i
never depends on index i - 1. Only raw 53-bit uniforms leave this module: distributions are inverse CDFs of them
(`dist.py`), which makes a sample byte-equal under every numpy version and open to low-discrepancy sequences.
"""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, index: int, name: str) -> np.random.Generator:
    """Return the generator of stream `name` for frame (or subject) `index` under `seed`."""
    digest = hashlib.blake2b(f"{seed}/{index}/{name}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))


def uniforms(seed: int, index: int, name: str, count: int) -> tuple[float, ...]:
    """Return `count` floats in [0, 1), a pure function of the arguments.

    Longer requests extend shorter ones: the first k of n equal a request for k.
    """
    return tuple(numbers(seed, index, name, count).tolist())


def numbers(seed: int, index: int, name: str, *shape: int) -> np.ndarray:
    """Return the same floats as an array of `shape`, filled row by row: float64 in [0, 1)."""
    raw = stream(seed, index, name).bit_generator.random_raw(int(np.prod(shape)))
    return ((raw >> np.uint64(11)) * 2.0**-53).reshape(shape)
