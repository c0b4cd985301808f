"""What a dataset still lacks. The folder is the queue: nothing else remembers what was done."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from facewright.dataset.writer import Writer


class Plan(NamedTuple):
    """The wanted indices by state, each ascending: `done` are on disk, `failed` in quarantine, `pending` neither."""

    done: list[int]
    pending: list[int]
    failed: list[int]


def plan(writer: Writer, wanted: Sequence[int]) -> Plan:
    """Return the state of the `wanted` indices."""
    done = writer.done()
    failed = writer.quarantined() - done
    return Plan(
        [index for index in wanted if index in done],
        [index for index in wanted if index not in done and index not in failed],
        [index for index in wanted if index in failed],
    )


def blocks(indices: Sequence[int], frames_per_subject: int, workers: int) -> list[list[int]]:
    """Return `indices` as runs that share a subject, which one worker builds once.

    Runs are cut where there are too few for `workers`.
    """
    runs = [list(run) for _, run in groupby(indices, key=lambda index: index // frames_per_subject)]
    longest = max(1, -(-len(indices) // max(1, workers)))
    return [run[at : at + longest] for run in runs for at in range(0, len(run), longest)]
