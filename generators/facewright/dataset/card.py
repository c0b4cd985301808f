"""The dataset card: what a folder of frames is, in one readable JSON file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facewright import schema
from facewright.dataset.layout import CARD, dump, write_atomic
from facewright.errors import DatasetError, OutputError
from facewright.recipe import Recipe

FORMAT = "facewright dataset 1"
LAST = 200_000_000
"""No index lies beyond: the largest --start and the largest --count together."""


@dataclass(frozen=True)
class Card:
    """Identity and origin of a dataset.

    `ranges` are the wanted indices as [start, stop) pairs; `refine` names the refiner or "none"; `made_with` holds
    one entry for each distinct combination of versions and devices that took part; `checks` maps check to limit.
    """

    recipe: dict[str, Any]
    digest: str
    seed: int
    refine: str = "none"
    ranges: tuple[tuple[int, int], ...] = ()
    schema: str = schema.VERSION
    made_with: tuple[dict[str, Any], ...] = ()
    checks: dict[str, float] = field(default_factory=dict)
    shard_records: int = 0

    @property
    def name(self) -> str:
        """The recipe's name."""
        return str(self.recipe.get("name", "unnamed"))

    @property
    def wanted(self) -> list[int]:
        """The wanted indices, ascending."""
        return [index for start, stop in self.ranges for index in range(start, stop)]

    @staticmethod
    def of(recipe: Recipe, seed: int, refine: str = "none") -> Card:
        """Return the card of a new, empty dataset."""
        return Card(recipe.to_data(), recipe.digest, seed, refine)

    @staticmethod
    def load(folder: Path) -> Card:
        """Return the card of the dataset in `folder`. Raises DatasetError where there is none or it is damaged."""
        path = folder / CARD
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["format"] != FORMAT:
                raise ValueError("it is of another format")
            if data.pop("sha256", "") not in ("", _hash(data)):
                raise ValueError("its content is not what was written; without its sha256 it is taken as it is")
            del data["format"], data["count"]
            data["ranges"] = tuple((int(start), int(stop)) for start, stop in data["ranges"])
            data["made_with"] = tuple(dict(maker) for maker in data["made_with"])
            for key, kind in (("recipe", dict), ("digest", str), ("seed", int), ("refine", str), ("checks", dict)):
                if not isinstance(data[key], kind):
                    raise ValueError(f"{key} is {data[key]!r}")
            if not all(0 <= start <= stop <= LAST for start, stop in data["ranges"]):
                raise ValueError(f"its ranges leave [0, {LAST}]")
            if min(data["seed"], int(data["shard_records"])) < 0:
                raise ValueError("its seed or shard_records is negative")
            return Card(**data)
        except FileNotFoundError:
            raise DatasetError(
                f"{folder}: is not a Facewright dataset (no {CARD}); give the folder that "
                "`facewright generate -o` wrote"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise DatasetError(f"{path}: is not a readable dataset card ({error}); restore it or start anew") from None

    def save(self, folder: Path) -> None:
        """Write the card. Raises OutputError."""
        data = {"format": FORMAT, "count": sum(stop - start for start, stop in self.ranges)} | dataclasses.asdict(self)
        write_atomic(folder / CARD, dump(data | {"sha256": _hash(data)}, indent=2))

    def check_same(self, other: Card, folder: Path) -> None:
        """Raise OutputError unless `other` may continue this dataset."""
        for name, cure in (
            ("schema", "this version of Facewright writes other labels"),
            ("digest", "it was made from another recipe"),
            ("seed", "it was made with another seed"),
            ("refine", "it was made with another refiner"),
        ):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise OutputError(f"{folder}: {cure} ({name} {mine}, now {theirs}); choose another folder")

    def extended(self, start: int, stop: int) -> Card:
        """Return the card with the indices [start, stop) wanted too."""
        merged: list[tuple[int, int]] = []
        for low, high in sorted([*self.ranges, (start, stop)]):
            if merged and low <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            elif low < high:
                merged.append((low, high))
        return dataclasses.replace(self, ranges=tuple(merged))

    def joined(self, other: Card) -> Card:
        """Return the card with what `other`, of the same dataset, wants and knows too."""
        card = self
        for start, stop in other.ranges:
            card = card.extended(start, stop)
        for about in other.made_with:
            card = card.with_maker(about)
        shards = card.shard_records or other.shard_records
        return dataclasses.replace(card, checks={**card.checks, **other.checks}, shard_records=shards)

    def refined_by(self, spec: str) -> Card:
        """Return the card with refiner `spec`."""
        return dataclasses.replace(self, refine=spec)

    def with_maker(self, about: dict[str, Any]) -> Card:
        """Return the card with `about` among the makers."""
        known = about in self.made_with
        return self if known else dataclasses.replace(self, made_with=(*self.made_with, about))


def _hash(data: dict[str, Any]) -> str:
    """Return the SHA-256 of a card without its own, in whatever order its fields are."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
