"""Small networks that read pose, gaze, framing, light and skin from a picture, trained on our own exact labels.

They are cross-fitted: each render is read by a network that saw neither it nor its person, so that the scores are
honest and the error of every estimate has the distribution that it has on unseen pictures. A real picture is read by
one network too, not by their mean, for the same reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from kornia.augmentation import AugmentationSequential, ColorJiggle, RandomErasing, RandomGaussianBlur
from kornia.color import rgb_to_grayscale
from torch import Tensor, nn

from facewright.errors import UserError
from facewright.rng import stream
from facewright_refiner.encoder import FEATURES, INPUT, Trunk, resized

FOLDS = 3
EPOCHS = 70
BATCH = 32
LEAST_RENDERS = 60
"""Labelled pictures below which nothing is trained."""
PROVEN = 0.3
"""Share of a label's variance that its estimator must explain on held-out renders (R²) before it is believed."""
NARROWEST_CROP = 0.8
"""Training crops are between this and 1 of the picture's width; the labels of the framing move along."""

Row = Mapping[str, Any]


class Label(NamedTuple):
    """Something that is read from pictures.

    `of` takes it from a row of attributes (attributes.py); `flip` is its sign in the mirrored picture; `colour` says
    that the light and colour of the picture carry it: then training must not vary them. `low` and `high` are words for
    pictures where it is little or much.
    """

    unit: str
    of: Callable[[Row], float]
    low: str
    high: str
    flip: int = 1
    colour: bool = False


def _column(name: str) -> Callable[[Row], float]:
    return lambda row: float(row[name])


def _log2(name: str) -> Callable[[Row], float]:
    return lambda row: math.log2(max(float(row[name]), 1e-3))


def _openness(row: Row) -> float:
    target = str(row["camera.target"])
    if target == "face":
        return (float(row["left_openness"]) + float(row["right_openness"])) / 2
    return float(row[target.removesuffix("_eye") + "_openness"])


def _of_head(angle: str) -> Callable[[Row], float]:
    """Return the gaze's angle as its parameter counts it: from the head's axis, or from the line to the camera."""
    return lambda row: (
        float(row[f"gaze_{angle}_deg"]) - (float(row[f"head_{angle}_deg"]) if row["gaze.reference"] == "head" else 0.0)
    )


FIELD, SHIFTS = "field", ("shift x", "shift y")
LABELS: dict[str, Label] = {
    "head yaw": Label(
        "°", _column("head_yaw_deg"), "with the head turned to image-right", "with the head turned to image-left", -1
    ),
    "head pitch": Label("°", _column("head_pitch_deg"), "with the head bowed", "with the head raised"),
    "head roll": Label(
        "°", _column("head_roll_deg"), "with the head tilted anticlockwise", "with the head tilted clockwise", -1
    ),
    "gaze yaw": Label("°", _column("gaze_yaw_deg"), "looking to image-right", "looking to image-left", -1),
    "gaze pitch": Label("°", _column("gaze_pitch_deg"), "looking down", "looking up"),
    "gaze yaw, own axes": Label(
        "°", _of_head("yaw"), "with eyes turned to image-right", "with eyes turned to image-left", -1
    ),
    "gaze pitch, own axes": Label("°", _of_head("pitch"), "with eyes lowered", "with eyes raised"),
    "openness": Label("", _openness, "with shut lids", "with wide open eyes"),
    FIELD: Label("log2 mm", _log2("camera.field_mm"), "tightly framed", "widely framed"),
    SHIFTS[0]: Label(
        "widths",
        _column("camera.shift_x"),
        "with the subject left of the centre",
        "with the subject right of the centre",
        -1,
    ),
    SHIFTS[1]: Label(
        "widths", _column("camera.shift_y"), "with the subject above the centre", "with the subject below the centre"
    ),
    "age": Label("years", _column("subject.head.age_years"), "of young people", "of old people"),
    "gender": Label("", _column("subject.head.gender"), "of women", "of men"),
    "exposure": Label("EV", _column("image.exposure_ev"), "underexposed", "overexposed", colour=True),
    "key strength": Label("log2", _log2("light.key_strength"), "flatly lit", "lit from one side", colour=True),
    "key azimuth": Label(
        "°", _column("light.key_azimuth_deg"), "lit from image-left", "lit from image-right", -1, colour=True
    ),
    "key elevation": Label("°", _column("light.key_elevation_deg"), "lit from below", "lit from above", colour=True),
    "key temperature": Label("K", _column("light.key_temperature_k"), "in warm light", "in cold light", colour=True),
    "skin melanin": Label("", _column("subject.skin.melanin"), "of light skin", "of dark skin", colour=True),
    "iris melanin": Label("", _column("subject.eye.iris.melanin"), "of light irises", "of dark irises", colour=True),
}


@dataclass(frozen=True)
class Estimators:
    """Cross-fitted networks.

    `known` (N, L) are the true labels of the renders, `estimates` (N, L) their estimates by networks that did not see
    them, `scores` (L,) the R² of these, `fold` (N,) says which network read which render; columns as in `names`.
    """

    names: tuple[str, ...]
    known: np.ndarray
    estimates: np.ndarray
    scores: np.ndarray
    fold: np.ndarray
    networks: tuple[Readers, ...]

    def read(self, pictures: Tensor) -> np.ndarray:
        """Return estimates (M, L) of (M, 3, H, W) in [0, 1]; picture j is read by network j mod FOLDS."""
        found = np.zeros((len(pictures), len(self.names)))
        for n, network in enumerate(self.networks):
            found[n :: len(self.networks)] = network.read(pictures[n :: len(self.networks)])
        return found

    def column(self, name: str) -> int:
        """Return the column of a label."""
        return self.names.index(name)


class Readers(NamedTuple):
    """The two networks of a fold (shape, colour), and mean and deviation (L,) of the labels they were trained on."""

    shape: nn.Module
    colour: nn.Module
    coloured: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray

    @torch.inference_mode()
    def read(self, pictures: Tensor) -> np.ndarray:
        """Return (M, L) estimates of (M, 3, H, W)."""
        small = resized(pictures)
        found = np.where(self.coloured, self.colour(small).numpy(), self.shape(_relief(small)).numpy())
        return found * self.deviation + self.mean


def labels_of(rows: Sequence[Row]) -> np.ndarray:
    """Return (N, L) labels of N rows of attributes, columns as in LABELS."""
    return np.array([[label.of(row) for label in LABELS.values()] for row in rows])


def labels_in_crop(labels: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return labels (N, L), columns as in LABELS, as they are in the middle `share` (N,) of the pictures' width."""
    labels = labels.copy()
    columns = list(LABELS)
    labels[:, columns.index(FIELD)] += np.log2(share)
    for name in SHIFTS:
        labels[:, columns.index(name)] /= share
    return labels


def fit_estimators(
    pictures: Tensor,
    known: np.ndarray,
    people: Sequence[str],
    seed: int = 0,
    *,
    trunk: Trunk | None = None,
    epochs: int = EPOCHS,
    log: Callable[[str], None] = print,
) -> Estimators:
    """Train estimators on renders (N, 3, H, W) in [0, 1] with labels (N, L) of LABELS, whole people held out.

    Both networks begin at `trunk`, where one is given. Labels that hardly vary are left out. Raises UserError.
    """
    if len(pictures) < LEAST_RENDERS:
        raise UserError(
            f"estimators need {LEAST_RENDERS} labelled renders at the very least, got {len(pictures)}; render more"
        )
    varying = known.std(0) > 1e-6
    names = tuple(name for name, kept in zip(LABELS, varying, strict=True) if kept)
    known = known[:, varying]
    fold = _folds(people, seed)
    small = resized(pictures)
    estimates, networks = np.zeros_like(known), []
    for n in range(FOLDS):
        log(f"training estimators, part {n + 1} of {FOLDS}")
        seen = fold != n
        networks.append(_train(small[torch.from_numpy(seen)], known[seen], names, seed * FOLDS + n, trunk, epochs))
        estimates[~seen] = networks[-1].read(small[torch.from_numpy(~seen)])
    error = ((estimates - known) ** 2).mean(0)
    return Estimators(names, known, estimates, 1 - error / known.var(0), fold, tuple(networks))


def _folds(people: Sequence[str], seed: int) -> np.ndarray:
    order = sorted(set(people))
    if len(order) < FOLDS:
        raise UserError(f"estimators need renders of {FOLDS} people at the very least, got {len(order)}; render more")
    place = stream(seed, 0, "estimators.folds").permutation(len(order))
    part = {name: int(place[n]) % FOLDS for n, name in enumerate(order)}
    return np.array([part[name] for name in people])


def _train(
    pictures: Tensor, known: np.ndarray, names: tuple[str, ...], seed: int, trunk: Trunk | None, epochs: int
) -> Readers:
    mean, deviation = known.mean(0), known.std(0) + 1e-9
    coloured = np.array([LABELS[name].colour for name in names])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = [
            _fit(pictures, known, names, (mean, deviation), mask, seed, trunk, epochs) for mask in (~coloured, coloured)
        ]
    return Readers(networks[0], networks[1], coloured, mean, deviation)


def _fit(
    pictures: Tensor,
    known: np.ndarray,
    names: tuple[str, ...],
    scale: tuple[np.ndarray, np.ndarray],
    mask: np.ndarray,
    seed: int,
    trunk: Trunk | None,
    epochs: int,
) -> nn.Module:
    """Return a network that reads the labels of `mask` (L,), in their deviations, from (B, 3, *INPUT)."""
    coloured = bool(LABELS[names[int(np.flatnonzero(mask)[0])]].colour) if mask.any() else False
    network = _network(len(names), trunk)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.02)
    steps = epochs * max(1, len(pictures) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    jitter = _camera() if coloured else _anything()
    weight = torch.from_numpy(mask.astype(np.float32))
    for step in range(steps):
        random = stream(seed, step, f"estimators.batch.{coloured}")
        chosen = random.permutation(len(pictures))[:BATCH]
        views, moved = _moved(pictures[chosen], known[chosen], names, random)
        views = jitter(views)
        target = torch.from_numpy(((moved - scale[0]) / scale[1]).astype(np.float32))
        found = network(views if coloured else _relief(views))
        loss = (F.smooth_l1_loss(found, target, reduction="none") * weight).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval()


def _network(count: int, trunk: Trunk | None) -> nn.Module:
    start = Trunk()
    if trunk is not None:
        start.load_state_dict(trunk.state_dict())
    size = FEATURES * math.prod(-(-side // 16) for side in INPUT)
    return nn.Sequential(start, nn.Flatten(), nn.Dropout(0.3), nn.Linear(size, 64), nn.SiLU(), nn.Linear(64, count))


def _relief(pictures: Tensor) -> Tensor:
    """Return (B, 3, H, W): luma alone, without the picture's brightness and contrast."""
    luma = rgb_to_grayscale(pictures)
    luma = (luma - luma.mean((2, 3), keepdim=True)) / (luma.std((2, 3), keepdim=True) + 0.03)
    return (0.25 * luma + 0.5).expand(-1, 3, -1, -1)


def _moved(
    pictures: Tensor, known: np.ndarray, names: tuple[str, ...], random: np.random.Generator
) -> tuple[Tensor, np.ndarray]:
    """Return a random crop of the batch, mirrored or not, and the labels (B, L) as they are there."""
    known = known.copy()
    if random.random() < 0.5:
        pictures = pictures.flip(-1)
        known *= [LABELS[name].flip for name in names]
    share = random.uniform(NARROWEST_CROP, 1)
    height, width = INPUT
    h, w = round(height * share), round(width * share)
    y, x = int(random.integers(0, height - h + 1)), int(random.integers(0, width - w + 1))
    offset = ((x + w / 2) / width - 0.5, ((y + h / 2) - height / 2) / width)  # of the crop's centre, in widths
    for name, middle in zip(SHIFTS, offset, strict=True):
        if name in names:
            known[:, names.index(name)] = (known[:, names.index(name)] - middle) * width / w
    if FIELD in names:
        known[:, names.index(FIELD)] += math.log2(w / width)
    return resized(pictures[..., y : y + h, x : x + w]), known


def _anything() -> AugmentationSequential:
    """Return what must not change an estimate of shape: light, colour, a camera's flaws, something in front."""
    return AugmentationSequential(
        ColorJiggle(0.35, 0.35, 0.35, 0.08, p=0.8),
        RandomGaussianBlur((5, 5), (0.1, 1.6), p=0.5),
        RandomErasing((0.02, 0.12), p=0.3),
    )


def _camera() -> AugmentationSequential:
    """Return what must not change an estimate of light and colour."""
    return AugmentationSequential(RandomGaussianBlur((5, 5), (0.1, 1.6), p=0.5), RandomErasing((0.02, 0.12), p=0.2))
