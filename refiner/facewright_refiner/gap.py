"""The gap lab: how much of the distance from our pictures to real ones is content, labels or appearance.

At equal numbers of pictures the same small network is trained on five sets and tested on the same real pictures:

    real      real pictures: as good as it gets
    naive     ours, as a recipe makes them
    matched   ours, from a recipe whose distributions were fitted to the real pictures (matching.py)
    adapted   the same network, its predictions mapped to the real set's convention of labels (tasks/adapters.py)
    refined   trained on the matched pictures refined, and adapted

Content is what matching gains, labels what the adapter gains, appearance what refining gains, and the rest is the rest.
Every training is a stage kept in OUT/stages under a name made of all it depends on (pictures, labels, task, budget,
seed): the same command goes on where it was stopped, and a changed input makes only what it changes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import kornia
import numpy as np
import torch

import facewright
import facewright.dataset
from facewright.dataset import layout
from facewright.dataset.card import Card
from facewright.dataset.layout import encode_png
from facewright.errors import DatasetError, UserError
from facewright.exports.run import export
from facewright.farm.generate import Order, generate
from facewright.farm.refine import refine
from facewright.farm.worker import Station
from facewright.progress import Emit
from facewright.recipe import DEFAULT_OUTPUTS, Recipe
from facewright.refining import TRANSFERS
from facewright.rng import stream
from facewright_refiner.readers import Real, open_real, ours
from facewright_refiner.readers.base import TEST, TRAIN
from facewright_refiner.tasks import Budget, Prepared, Task, predict, task_named, train
from facewright_refiner.tasks.adapters import learn
from facewright_refiner.tasks.intervals import Interval, draws, interval
from facewright_refiner.tasks.segmentation import SegmentationTask, common_classes
from facewright_refiner.tasks.training import device_named

Array = np.ndarray

ROWS = ("real", "naive", "matched", "adapted", "refined")
STEPS_BETWEEN = (
    ("content", "naive", "matched"),
    ("labels", "matched", "adapted"),
    ("appearance", "adapted", "refined"),
)
"""The gaps by name, with the rows that they lie between; what is left to `real` is the residual."""
MOST_TRAIN = 1000
"""Pictures of a row where the user names no number."""
MOST_TEST = 2000
"""Real pictures that are tested on; of more, some are chosen by the seed."""
FEW = 40
"""Real labelled training pictures that the label adapter learns from."""
SPARE = 1.25
"""Frames that are rendered for each wanted one where the layout leaves some out (shut eyes, turned heads)."""
SHOWN = 8
"""Test pictures whose predictions are kept for the page."""
VERSION = 1
"""Of what a stage holds."""
NORMALISED = ("mpiigaze", "eth_xgaze", "unityeyes")
"""Layouts whose pictures of gaze are made by a rule that our exports follow."""
RECIPES = {"parsing": "face", "landmarks": "face", "eyeseg": "eye_rgb", "gaze": "eye_rgb"}
RECIPES_OF_FORMAT = {"mpiigaze": "mpiigaze", "unityeyes": "unityeyes", "openeds": "openeds", "nvgaze": "nvgaze"}
RECIPES_OF_FORMAT |= {"eth_xgaze": "face"}


@dataclass(frozen=True)
class GapOrder:
    """What is asked: the real set, the task, the recipe, and how much of each. 0 leaves `count` and `edge` open.

    `matched` is a recipe that was matched before; without it `matching.match` makes one. `refine` names a refiner, or
    a transfer without its folder ("reinhard"): then the real training pictures are taken. `folds` are made of whole
    groups where the set has no split of its own. `more` times as many of ours are trained on as well, beside the rows.
    """

    real: Real
    task: str
    recipe: Recipe
    matched: Recipe | None = None
    refine: str = "reinhard"
    count: int = 0
    seeds: int = 3
    seed: int = 0
    more: int = 1
    folds: int = 4
    edge: int = 0
    net: str = "lenet"
    budget: Budget = dataclasses.field(default_factory=Budget)


class Fold(NamedTuple):
    """Places of real pictures to train on and to test on; no group is in both."""

    train: list[int]
    test: list[int]


class Row(NamedTuple):
    """A row of the result: `score` with its interval, `pictures` trained on, and further numbers by name."""

    score: Interval
    pictures: int
    details: dict[str, float]


class Result(NamedTuple):
    """`rows` by name, gaps in units of the score and their shares of the whole in %, all with intervals."""

    rows: dict[str, Row]
    gaps: dict[str, Interval]
    shares: dict[str, Interval]
    also: dict[str, Interval]
    about: dict[str, Any]
    shown: dict[str, Array]

    def to_data(self) -> dict[str, Any]:
        """Return all numbers as JSON-able data."""
        return {
            "about": self.about,
            "rows": {name: row._asdict() | {"score": row.score._asdict()} for name, row in self.rows.items()},
            "gaps": {name: found._asdict() for name, found in self.gaps.items()},
            "shares": {name: found._asdict() for name, found in self.shares.items()},
            "also": {name: found._asdict() for name, found in self.also.items()},
        }


def default_recipe(task: str, format_name: str) -> str:
    """Return the built-in recipe for a task on a real set of a format."""
    known = RECIPES_OF_FORMAT.get(format_name)
    return known if known and (task in ("gaze", "eyeseg") or known == "face") else RECIPES.get(task, "face")


def run(order: GapOrder, out: Path, station: Station, workers: int, emit: Emit) -> Result:
    """Measure the gaps of `order`, keeping all stages in `out`; return the result. Raises UserError, TrainingError."""
    begun = time.monotonic()
    if station.threads:
        torch.set_num_threads(station.threads)
    lab = _Lab(order, out, station, workers, emit)
    sets = {"naive": lab.rendered(order.recipe, refined=False)}
    recipe = order.matched or lab.match()
    sets["matched"] = lab.rendered(recipe, refined=False)
    sets["refined"] = lab.rendered(recipe, refined=True) if order.refine != "none" else sets["matched"]
    if order.more > 1:
        sets["more"] = lab.rendered(recipe, refined=order.refine != "none", times=order.more)
    stages = lab.train_all(sets)
    about = lab.about() | {"matched": recipe.digest, "seconds": round(time.monotonic() - begun, 1)}
    pictures = {"real": lab.count} | {name: len(data) for name, data in sets.items()}
    result = _result(lab, stages, pictures | {"adapted": pictures["matched"]}, about)
    layout.write_atomic(out / "gap.json", json.dumps(result.to_data(), indent=1).encode())
    return result


class _Lab:
    """The real set, prepared and divided, and the stages that are made or found in `out`."""

    def __init__(self, order: GapOrder, out: Path, station: Station, workers: int, emit: Emit) -> None:
        self.order, self.out, self.station, self.workers, self.emit = order, out, station, workers, emit
        self.device = device_named(station.device)
        self.real = order.real
        if order.task == "gaze" and self.real.format == "mpiifacegaze":
            raise UserError(
                f"our pictures cannot be normalised as MPIIFaceGaze's are; measure the gap of gaze on "
                f"{', '.join(NORMALISED)}, or use facewright_refiner.tasks with pictures that you normalised alike"
            )
        with layout.writing(out):
            (out / "stages").mkdir(parents=True, exist_ok=True)
        folds = divide(self.real, order)
        self.count = min(order.count or MOST_TRAIN, *(len(fold.train) for fold in folds))
        if order.count > self.count:
            emit(_warning(f"only {self.count} real pictures to train on: every row gets as many, not {order.count}"))
        chosen = [Fold(_choose(fold.train, self.count, order.seed), fold.test) for fold in folds]
        used = sorted({place for fold in chosen for part in fold for place in part})
        at = {place: number for number, place in enumerate(used)}
        self.folds = [Fold(*([at[place] for place in part] for part in fold)) for fold in chosen]
        self.used = self.real.subset(used)
        task = task_named(order.task, classes=self.real.classes, edge=order.edge, net=order.net)
        self.data = task.prepare(self.used)
        self.task = _scored(task, self.data.take(sorted({n for fold in self.folds for n in fold.train})))
        self.tested = [number for fold in self.folds for number in fold.test]
        self.few = [fold.train[:FEW] for fold in self.folds]

    def about(self) -> dict[str, Any]:
        """Return what the result was made of."""
        order = self.order
        return {
            "command": {
                "format": self.real.format,
                "recipe": order.recipe.name,
                "refine": order.refine,
                "seeds": order.seeds,
                "seed": order.seed,
                "more": order.more,
            },
            "task": self.task.about() | {"unit": self.task.unit, "sign": self.task.sign},
            "budget": order.budget.about(),
            "train": self.count,
            "test": len(self.tested),
            "folds": len(self.folds),
            "groups": len({self.data.groups[number] for number in self.tested}),
            "adapter_pictures": min(FEW, self.count),
            "machine": {
                "facewright": facewright.__version__,
                "python": platform.python_version(),
                "torch": torch.__version__,
                "kornia": kornia.__version__,
                "numpy": np.__version__,
                "device": self.device,
                "cpu": platform.machine(),
            },
        }

    def pictures(self) -> Path:
        """Return a folder of the real pictures that are trained on, without labels, for matching and transfers."""
        places = sorted({number for fold in self.folds for number in fold.train})
        names = "\n".join(self.used.entries[place].name for place in places)
        folder = self.out / f"real-{_hashed(names)}"
        folder.mkdir(exist_ok=True)
        for place in places:
            path = folder / f"{place:06d}.png"
            if not path.is_file():
                layout.write_atomic(path, encode_png(self.used[place].picture))
        return folder

    def match(self) -> Recipe:
        """Return the recipe matched to the real training pictures. Raises UserError."""
        from facewright_refiner.matching import match

        folder = self.pictures()
        found = match(
            self.order.recipe,
            sorted(folder.glob("*.png")),
            self.out / "match",
            seed=self.order.seed,
            station=self.station,
            workers=self.workers,
            log=lambda message: self.emit({"event": "note", "message": message}),
            emit=self.emit,
        )
        for note in found.notes:
            self.emit(_warning(note))
        return found.recipe

    def rendered(self, recipe: Recipe, refined: bool, times: int = 1) -> Prepared:
        """Return `times` as many prepared pictures of `recipe` as the real row has, rendered, or found, in `out`."""
        order = self.order
        through_export = order.task == "gaze" and self.real.format in NORMALISED
        if recipe.outputs == DEFAULT_OUTPUTS and not _needs_more(order.refine):
            recipe = dataclasses.replace(recipe, outputs=("linear", "seg"))
        folder = self.out / "renders" / f"{recipe.name}-{recipe.digest}-{order.seed}"
        count = self.count * times
        wanted = math.ceil(count * (SPARE if through_export else 1))
        for _ in range(3):
            before = Card.load(folder).refine if (folder / layout.CARD).is_file() else "none"
            wanted_frames = Order(recipe, order.seed, 0, wanted, before)
            generate(wanted_frames, folder, self.station, self.workers, self.emit)
            missing = wanted - len(facewright.dataset.open(folder))
            if missing <= 0:
                break
            wanted += missing  # frames that failed twice
        spec = self._spec()
        if refined:
            refine(folder, spec, self.station.refiner_python, self.emit)
        read = self._exported if through_export else self._direct
        found = read(folder, spec if refined else "")
        if len(found) < count:
            self.emit(_warning(f"{folder}: {len(found)} pictures are usable, not {count}: the rows are not equal"))
        return self.task.prepare(found[:count])

    def _spec(self) -> str:
        """Return the refiner in full: a transfer without a folder takes the real pictures that are trained on."""
        return f"{self.order.refine}:{self.pictures()}" if self.order.refine in TRANSFERS else self.order.refine

    def _direct(self, folder: Path, spec: str) -> Real:
        dataset = facewright.dataset.open(folder)
        picture = "refined" if spec else "rgb"
        indices = [index for index in dataset.indices if picture in dataset.record(index)["layers"]]
        return ours.read(folder, self.real.convention, picture=picture, indices=indices)

    def _exported(self, folder: Path, spec: str) -> Real:
        """Return the pictures of gaze in the real set's own normalisation, through our export and its reader."""
        dataset = facewright.dataset.open(folder)
        key = _hashed(f"{folder.name} {spec} {len(dataset)}")
        place = self.out / "exports" / f"{self.real.format}-{key}"
        if not place.is_dir():
            place.parent.mkdir(exist_ok=True)
            export(folder, self.real.format, place, self.emit, raw=not spec)
        return open_real(place, self.real.format)

    def train_all(self, sets: dict[str, Prepared]) -> dict[str, dict[str, Array]]:
        """Return for every set the arrays of its stages, stacked over seeds: "raw", "adapted", "shown"."""
        plans: list[tuple[str, int, Callable[[int], dict[str, Array]], str]] = []
        for seed in range(self.order.seeds):
            plans.append(("real", seed, self._train_real, self.data.digest))
            for name, data in sets.items():
                if name != "refined" or data is not sets["matched"]:
                    plans.append((name, seed, lambda n, data=data: self._train_ours(data, n), data.digest))
        found: dict[str, list[dict[str, Array]]] = {}
        for done, (name, seed, make, digest) in enumerate(plans):
            found.setdefault(name, []).append(self._stage(name, seed, make, digest))
            self.emit({"event": "stage", "name": f"{name}, seed {seed}", "done": done + 1, "total": len(plans)})
        return {
            name: {key: np.stack([part[key] for part in parts]) for key in parts[0]} for name, parts in found.items()
        }

    def _stage(self, name: str, seed: int, make: Callable[[int], dict[str, Array]], digest: str) -> dict[str, Array]:
        inputs = {
            "version": VERSION,
            "seed": seed,
            "trained": digest,
            "tested": self.data.digest,
            "folds": [list(map(list, fold)) for fold in self.folds],
            "task": self.task.about(),
            "budget": self.order.budget.about(),
            "few": self.few,
        }
        kind = "real" if name == "real" else "ours"
        path = self.out / "stages" / f"{kind}-{seed}-{_hashed(json.dumps(inputs, sort_keys=True))}.npz"
        if not path.is_file():
            file = io.BytesIO()
            np.savez_compressed(file, **make(seed))  # type: ignore[arg-type]
            layout.write_atomic(path, file.getvalue())
        try:
            with np.load(path, allow_pickle=False) as kept:
                return {key: kept[key] for key in kept.files}
        except (OSError, ValueError, KeyError) as error:
            raise DatasetError(f"{path}: is damaged ({error}); delete it and run the same command again") from None

    def _train_real(self, seed: int) -> dict[str, Array]:
        marks, shown = [], []
        for fold in self.folds:
            net = train(self.task, self.data.take(fold.train), self.order.budget, seed, self.device)
            output = predict(net, self.data.pictures[fold.test], self.device)
            marks.append(self.task.marks(output, self.data.targets[fold.test]))
            shown.append(_answers(self.task, output))
        return {"raw": np.concatenate(marks), "shown": np.concatenate(shown)[self._show()]}

    def _train_ours(self, data: Prepared, seed: int) -> dict[str, Array]:
        net = train(self.task, data, self.order.budget, seed, self.device)
        raw, adapted, shown = [], [], {"shown": [], "shown_adapted": []}
        for fold, few in zip(self.folds, self.few, strict=True):
            output = predict(net, self.data.pictures[fold.test], self.device)
            seen = predict(net, self.data.pictures[few], self.device)
            adapt = learn(self.task, seen, self.data.targets[few], self.order.budget, seed)
            better, targets = adapt(output), self.data.targets[fold.test]
            raw.append(self.task.marks(output, targets))
            adapted.append(self.task.marks(better, targets))
            shown["shown"].append(_answers(self.task, output))
            shown["shown_adapted"].append(_answers(self.task, better))
        sheet = {key: np.concatenate(parts)[self._show()] for key, parts in shown.items()}
        return {"raw": np.concatenate(raw), "adapted": np.concatenate(adapted)} | sheet

    def _show(self) -> Array:
        """Return the places, among the tested pictures, of those that are shown."""
        return np.unique(np.linspace(0, len(self.tested) - 1, SHOWN).round().astype(int))

    def sheet(self) -> dict[str, Array]:
        """Return the pictures (K, 3, H, W) uint8 and targets (K, ...) that are shown."""
        places = [self.tested[number] for number in self._show()]
        return {"pictures": self.data.pictures[places].numpy(), "truth": self.data.targets[places].numpy()}


def divide(real: Real, order: GapOrder) -> list[Fold]:
    """Return the real set's own split, or folds of whole groups, balanced by size. Raises DatasetError.

    Test parts are cut to MOST_TEST pictures by the seed.
    """
    by_split = {name: [n for n, entry in enumerate(real.entries) if entry.split == name] for name in (TRAIN, TEST)}
    if all(by_split.values()):
        folds = [Fold(by_split[TRAIN], by_split[TEST])]
    else:
        folds = _folds_of_groups([entry.group for entry in real.entries], order.folds, order.seed)
    most = MOST_TEST // len(folds)
    return [Fold(fold.train, sorted(_choose(fold.test, most, order.seed))) for fold in folds]


def _folds_of_groups(groups: Sequence[str], folds: int, seed: int) -> list[Fold]:
    names = sorted(set(groups))
    if len(names) < folds:
        raise DatasetError(
            f"the real set has {len(names)} groups and no split of its own; {folds} folds need as many: give --folds "
            f"{max(2, len(names))}, or groups.csv"
        )
    members = {name: [n for n, group in enumerate(groups) if group == name] for name in names}
    shuffled = [names[n] for n in stream(seed, 0, "gap.folds").permutation(len(names))]
    parts: list[list[int]] = [[] for _ in range(folds)]
    for name in sorted(shuffled, key=lambda name: -len(members[name])):
        min(parts, key=len).extend(members[name])
    return [Fold([n for other in parts if other is not part for n in other], sorted(part)) for part in parts]


def _choose(places: Sequence[int], count: int, seed: int) -> list[int]:
    """Return `count` of `places` in an order shuffled by the seed."""
    return [places[n] for n in stream(seed, len(places), "gap.choice").permutation(len(places))[:count]]


def _scored(task: Task, trained: Prepared) -> Task:
    """Return the task with the classes to score, as the real training pictures have them."""
    if not isinstance(task, SegmentationTask):
        return task
    scored = common_classes(trained.targets, task.classes)
    if not scored:
        raise DatasetError("no class lies in enough of the real training pictures to be scored; check their ids")
    return dataclasses.replace(task, scored=scored)


def _answers(task: Task, output: torch.Tensor) -> Array:
    """Return predictions as they are shown: class ids (N, H, W) uint8, or the numbers themselves."""
    return (output.argmax(1).to(torch.uint8) if isinstance(task, SegmentationTask) else output).numpy()


def _needs_more(spec: str) -> bool:
    """Return whether a refiner may need more layers than the scene-linear one: a learned one may."""
    return any(mark in spec for mark in (".safetensors", ".onnx"))


def _result(lab: _Lab, stages: dict[str, dict[str, Array]], pictures: dict[str, int], about: dict[str, Any]) -> Result:
    refined = stages.get("refined")
    marks = {
        "real": stages["real"]["raw"],
        "naive": stages["naive"]["raw"],
        "matched": stages["matched"]["raw"],
        "adapted": stages["matched"]["adapted"],
    }
    marks |= {"refined": refined["adapted"]} if refined else {}
    sign, last = lab.task.sign, list(marks)[-1]
    aside = {"naive, adapted": stages["naive"]["adapted"]}
    aside |= {"refined, not adapted": refined["raw"]} if refined else {}
    if "more" in stages:
        aside[f"{last}, {lab.order.more} times as many of ours"] = stages["more"]["adapted"]
    groups = [lab.data.groups[number] for number in lab.tested]
    found = draws(marks | aside, groups, lab.task.score, lab.order.seed)
    rows = {
        name: Row(interval(found[name]), pictures[name], lab.task.details(values.mean(0).sum(0)))
        for name, values in marks.items()
    }
    gaps = {name: sign * (found[b] - found[a]) for name, a, b in STEPS_BETWEEN if b in marks}
    gaps["residual"] = sign * (found["real"] - found[last])
    whole = sign * (found["real"] - found["naive"])
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = {name: interval(100 * gap / whole) for name, gap in gaps.items()}
    shown = lab.sheet() | {name: stages[name]["shown"][0] for name in stages if name in ROWS}
    shown |= {"adapted": stages["matched"]["shown_adapted"][0]}
    shown |= {"refined": refined["shown_adapted"][0]} if refined else {}
    all_gaps = {name: interval(gap) for name, gap in gaps.items()} | {"whole": interval(whole)}
    return Result(rows, all_gaps, shares, {name: interval(found[name]) for name in aside}, about, shown)


def _warning(message: str) -> dict[str, Any]:
    return {"event": "warning", "message": message}


def _hashed(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
