"""What is covered: do our pictures reach the variety of the real ones, and where do they not?

Three spaces are compared: *looks* (spectrum, colour, tone), *layouts* (what lies where), and *content*, the features of
an encoder that teaches itself on the pooled pictures. Beside each number stands its floor, the same number between two
halves of the real set at equal size, for no set can be nearer than that. Single factors are compared too (light,
colour, sharpness, skin, and what estimators read), and put into words, the worst first.

All pictures are (N, 3, H, W) sRGB in [0, 1], both sets of one size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from kornia.color import rgb_to_grayscale, rgb_to_lab, rgb_to_linear_rgb, rgb_to_ycbcr
from torch import Tensor

from facewright.errors import UserError
from facewright.rng import stream
from facewright_refiner import keypoints
from facewright_refiner.encoder import Trunk, encode, train_encoder
from facewright_refiner.estimators import LABELS, LEAST_RENDERS, PROVEN, Estimators, fit_estimators, plainly
from facewright_refiner.pictures import find_pictures
from facewright_refiner.realism import features, laplacian_bands
from facewright_refiner.views import Real, Renders, real_in_view, renders_in_view

K = 5
"""Neighbours that make a real picture's ball in coverage and density; the paper's choice."""
COMPONENTS = 24
"""Principal components that a space is cut to: at some hundred pictures, further ones are noise (reasoned)."""
REPEATS = 30
"""Random splits of the real set, over which numbers are averaged and their 95 % intervals taken."""
SHARE = 0.8
"""Share of the smallest set that a draw takes, so that ours differ from draw to draw too."""
LEAST = 4 * K
"""Fewer pictures of either kind are refused: halves must hold more than K."""
SKIN_CB, SKIN_CR = (77, 127), (133, 173)
"""Chrominance of skin in 8-bit YCbCr (Chai & Ngan, IEEE TCSVT 1999), whatever its lightness."""
FEW = 100
"""With fewer pictures on a side the user is warned: coverage of 100 has a standard error of up to 0.05."""
LEAST_SKIN = 0.05
"""Share of the picture that must be skin for its tone to count."""


class Coverage(NamedTuple):
    """How much of a real set a made set reaches (`coverage`, at best 1), and how typical it is (`density`)."""

    coverage: float
    density: float


def coverage(real: Tensor, made: Tensor, k: int = K) -> Coverage:
    """Return coverage and density of `made` (M, F) over `real` (N, F), features of equal scale; N > k.

    A real point is covered when a made one lies within the distance of its k-th nearest real neighbour; density counts
    how many such balls hold each made point, over k (Naeem et al., ICML 2020, eqs. 3 and 5). Compare at equal N and M.
    """
    radius = _radii(real, k)
    inside = torch.cdist(real, made) < radius[:, None]
    return Coverage(float(inside.any(1).float().mean()), float(inside.float().sum(0).mean() / k))


def _radii(real: Tensor, k: int) -> Tensor:
    if len(real) <= k:
        raise UserError(f"coverage with k = {k} needs more than {k} real pictures, got {len(real)}")
    return torch.cdist(real, real).kthvalue(k + 1, dim=1).values


def vendi(points: Tensor, bandwidth: float) -> float:
    """Return the Vendi score of (N, F): the effective number of different points, 1 to N.

    The exponential of the entropy of the eigenvalues of K / N, K a Gaussian kernel (Friedman & Dieng, TMLR 2023).
    """
    kernel = torch.exp(-torch.cdist(points, points).double().square() / (2 * bandwidth**2))
    values = torch.linalg.eigvalsh(kernel / len(points)).clamp(min=1e-12)
    return float(torch.exp(-(values * values.log()).sum()))


def principal(points: Tensor, reference: Tensor, components: int = COMPONENTS) -> Tensor:
    """Return the principal components of (N, F), (N, components), those of `reference` (M, F) and in its deviations."""
    mean = reference.mean(0)
    _, scale, axes = torch.linalg.svd(reference - mean, full_matrices=False)
    deviation = (scale[:components] / len(reference) ** 0.5).clamp(min=1e-6)
    return (points - mean) @ axes[:components].T / deviation


def layouts(pictures: Tensor, reference: Tensor) -> Tensor:
    """Return what lies where in `pictures`, (N, COMPONENTS): small normalised luma pictures by their components.

    The components are those of `reference`, (M, 3, H, W).
    """
    return principal(_thumbnails(pictures), _thumbnails(reference))


def _thumbnails(pictures: Tensor) -> Tensor:
    luma = F.interpolate(rgb_to_grayscale(pictures), size=(12, 20), mode="area").flatten(1)
    return (luma - luma.mean(1, keepdim=True)) / (luma.std(1, keepdim=True) + 0.02)


def looks(pictures: Tensor, reference: Tensor) -> Tensor:
    """Return the statistics of realism.features of `pictures`, (N, F), each in deviations of `reference`'s."""
    known = features(reference)
    return (features(pictures) - known.mean(0)) / (known.std(0) + 1e-6)


class Factor(NamedTuple):
    """One number of every picture of both sets, (N,) and (M,), NaN where it cannot be told.

    `low` and `high` are words for pictures where it is little or much. `score` is the R² of the estimator that read it
    on held-out renders, None where it is measured directly.
    """

    name: str
    unit: str
    low: str
    high: str
    real: np.ndarray
    made: np.ndarray
    score: float | None = None


class Finding(NamedTuple):
    """A tail of a factor that one set has more of: shares of pictures below or above `threshold`.

    `noise` is the largest such difference of shares that two halves of the real set show in 19 of 20 splits.
    """

    factor: str
    words: str
    below: bool
    threshold: float
    real: float
    made: float
    noise: float

    @property
    def lacking(self) -> bool:
        """Return whether it is ours that lacks it."""
        return self.real > self.made

    def sentence(self) -> str:
        """Return the finding as a sentence."""
        much, side = "too few" if self.lacking else "too many", "below" if self.below else "above"
        where = f"{self.threshold:,.0f}" if abs(self.threshold) >= 1000 else f"{self.threshold:.3g}"
        return (
            f"Ours has {much} pictures {self.words} ({self.factor} {side} {where}): {100 * self.real:.0f} % of the "
            f"real set, {100 * self.made:.0f} % of ours."
        )


class Interval(NamedTuple):
    """A mean over random splits and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Diversity:
    """The comparison of two sets.

    `spaces` maps a space to its numbers: coverage and density of ours and their floors, and the Vendi score of the real
    set and of ours, all at `count` pictures. `distances` maps a factor to (distance, floor): 1-Wasserstein in
    deviations of the real set. `uncovered` and `foreign` are numbers of real pictures that none of ours is like, and of
    ours that no real one is like, the clearest first.
    """

    count: int
    spaces: dict[str, dict[str, Interval]]
    factors: tuple[Factor, ...]
    distances: dict[str, tuple[Interval, Interval]]
    findings: tuple[Finding, ...]
    unread: dict[str, float]
    uncovered: tuple[int, ...]
    foreign: tuple[int, ...]

    def to_data(self) -> dict[str, Any]:
        """Return the numbers as JSON-able data."""
        return {
            "count": self.count,
            "spaces": {space: {name: _plain(row) for name, row in rows.items()} for space, rows in self.spaces.items()},
            "factors": [
                {
                    "name": factor.name,
                    "unit": factor.unit,
                    "estimator_r2": factor.score if factor.score is None else round(factor.score, 3),
                    "distance": _plain(self.distances[factor.name][0]),
                    "floor": _plain(self.distances[factor.name][1]),
                    "real": _summary(factor.real),
                    "made": _summary(factor.made),
                }
                for factor in self.factors
            ],
            "findings": [{**f._asdict(), "lacking": f.lacking, "sentence": f.sentence()} for f in self.findings],
            "unread_r2": {name: round(score, 3) for name, score in self.unread.items()},
            "uncovered": list(self.uncovered),
            "foreign": list(self.foreign),
        }


def _plain(row: Interval) -> dict[str, float]:
    return {name: round(value, 4) for name, value in row._asdict().items()}


def _summary(values: np.ndarray) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    quantiles = np.quantile(known, (0.05, 0.25, 0.5, 0.75, 0.95)) if len(known) else []
    return {"count": len(known), "quantiles_5_25_50_75_95": [float(f"{value:.4g}") for value in quantiles]}


def compare(
    real: Tensor,
    made: Tensor,
    groups: Sequence[str],
    seed: int = 0,
    *,
    estimators: Estimators | None = None,
    trunk: Trunk | None = None,
    log: Callable[[str], None] = print,
) -> Diversity:
    """Compare `made` (M, 3, H, W) with `real` (N, 3, H, W), whose siblings share a name in `groups`.

    `estimators` were trained on the renders in `made`, in that order; without them only what is measured directly is
    compared. `trunk` is an encoder to use instead of a new one. Deterministic by `seed`. Raises UserError where a set
    is too small.
    """
    for name, pictures in (("real", real), ("made", made)):
        if len(pictures) < LEAST:
            raise UserError(
                f"comparing needs {LEAST} pictures of each kind, got {len(pictures)} {name} ones; give more"
            )
    if trunk is None:
        log("teaching an encoder on both sets")
        trunk = train_encoder(torch.cat([real, made]), seed)
    content = encode(trunk, real), encode(trunk, made)
    spaces = {
        "content": tuple(principal(part, content[0]) for part in content),
        "layouts": tuple(layouts(part, real) for part in (real, made)),
        "looks": tuple(looks(part, real) for part in (real, made)),
    }
    splits = [_split(groups, seed, n) for n in range(REPEATS)]
    count = int(SHARE * min(len(made), *(min(a.sum(), b.sum()) for a, b in splits)))
    factors, unread = _factors(real, made, estimators)
    worst = {factor.name: _distance(factor, splits) for factor in factors}
    ordered = sorted(factors, key=lambda factor: worst[factor.name][1].value - worst[factor.name][0].value)
    found = [finding for factor in factors for finding in _findings(factor, splits)]
    uncovered, foreign = _strangers(spaces["content"][0], spaces["content"][1])
    return Diversity(
        count,
        {name: _reach(a, b, splits, count, seed) for name, (a, b) in spaces.items()},
        tuple(ordered),
        worst,
        tuple(sorted(found, key=lambda finding: -abs(finding.real - finding.made))),
        unread,
        uncovered,
        foreign,
    )


class Examined(NamedTuple):
    """A comparison, the sets that were compared, and what a user should be told."""

    diversity: Diversity
    real: Real
    renders: Renders
    notes: tuple[str, ...]

    def to_data(self) -> dict[str, Any]:
        """Return all numbers as JSON-able data; examples are files of the real set and indices of ours."""
        data = self.diversity.to_data()
        return data | {
            "real": len(self.real.paths),
            "made": len(self.renders.indices),
            "size": list(self.real.size[::-1]),
            "uncovered": [str(self.real.paths[n]) for n in self.diversity.uncovered],
            "foreign": [self.renders.indices[n] for n in self.diversity.foreign],
            "notes": list(self.notes),
        }


def examine(folder: Path, real: Path, seed: int = 0, log: Callable[[str], None] = print) -> Examined:
    """Compare the dataset in `folder` with the pictures below `real`; estimators are trained on the dataset.

    Raises UserError.
    """
    found = real_in_view(find_pictures(real), seed)
    renders = renders_in_view(folder, found.size)
    notes = []
    if found.unreadable:
        notes.append(f"{len(found.unreadable)} real pictures cannot be read; the first: {found.unreadable[0]}")
    estimators = None
    if len(renders.indices) < LEAST_RENDERS:
        notes.append(
            f"pose, gaze and framing are not compared: estimators need {LEAST_RENDERS} frames, and there are "
            f"{len(renders.indices)}"
        )
    else:
        estimators = fit_estimators(
            *(renders.pictures, renders.points, renders.labels, renders.people, renders.scene, seed),
            regions=renders.regions,
            steps=keypoints.STEPS // 2,  # enough for a first look, as in matching.py
            log=log,
        )
    diversity = compare(found.pictures, renders.pictures, found.groups, seed, estimators=estimators, log=log)
    if diversity.count < FEW:
        notes.append(f"numbers are of {diversity.count} pictures a side; {FEW} or more make their intervals useful")
    return Examined(diversity, found, renders, tuple(notes))


def _split(groups: Sequence[str], seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two (N,) masks that halve the real set, whole groups each."""
    names = sorted(set(groups))
    place = stream(seed, number, "diversity.split").permutation(len(names))
    side = {name: int(place[n]) % 2 for n, name in enumerate(names)}
    first = np.array([side[name] == 0 for name in groups])
    return first, ~first


def _reach(
    real: Tensor, made: Tensor, splits: Sequence[tuple[np.ndarray, np.ndarray]], count: int, seed: int
) -> dict[str, Interval]:
    """Return coverage, density and Vendi scores over one half of the real set: of ours, and of its other half."""
    if count <= K:
        raise UserError(f"comparing needs real pictures of more people: halves of whole groups hold {count}; give more")
    bandwidth = float(torch.pdist(real).median())
    rows: dict[str, list[float]] = {}
    for number, (first, second) in enumerate(splits):
        random = stream(seed, number, "diversity.draw")
        half, other = (real[torch.from_numpy(mask)] for mask in (first, second))
        half, other, ours = (part[random.permutation(len(part))[:count]] for part in (half, other, made))
        found, floor = coverage(half, ours), coverage(half, other)
        row = {
            "coverage": found.coverage,
            "coverage floor": floor.coverage,
            "density": found.density,
            "density floor": floor.density,
            "vendi": vendi(ours, bandwidth),
            "vendi real": vendi(half, bandwidth),
        }
        for name, value in row.items():
            rows.setdefault(name, []).append(value)
    return {name: _interval(values) for name, values in rows.items()}


def _interval(values: Sequence[float]) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(np.mean(values)), float(low), float(high))


def statistics(pictures: Tensor) -> dict[str, np.ndarray]:
    """Return what is measured on each picture directly, by name of a factor in MEASURED: (N,) each."""
    lab = rgb_to_lab(pictures)
    light = lab[:, 0]
    half = light.shape[2] // 2
    return {
        "brightness": light.mean((1, 2)).numpy(),
        "contrast": light.std((1, 2)).numpy(),
        "colour temperature": colour_temperature(pictures),
        "saturation": torch.hypot(lab[:, 1], lab[:, 2]).mean((1, 2)).numpy(),
        "sharpness": torch.log10(laplacian_bands(pictures)[0].abs().mean((1, 2, 3)) + 1e-5).numpy(),
        "light from the side": (light[:, :, -half:].mean((1, 2)) - light[:, :, :half].mean((1, 2))).numpy(),
        "skin tone": skin_tone(pictures, lab),
    }


MEASURED = {
    "brightness": ("L*", "that are dark", "that are bright"),
    "contrast": ("L*", "of low contrast", "of high contrast"),
    "colour temperature": ("K", "in warm light", "in cold light"),
    "saturation": ("C*", "with pale colours", "with strong colours"),
    "sharpness": ("log10", "that are blurred", "that are sharp or noisy"),
    "light from the side": ("L*", "brighter at image-left", "brighter at image-right"),
    "skin tone": ("° ITA", "of dark skin", "of light skin"),
}
"""Unit and words for little and much of the factors that are measured without an estimator."""


def colour_temperature(pictures: Tensor) -> np.ndarray:
    """Return each picture's correlated colour temperature in K, (N,), as if its mean colour were that of a lamp.

    McCamy's cubic (Color Res. Appl. 17, 1992) of the mean linear sRGB, cut to 1,500 to 15,000 K. Faces are warm: it is
    for comparing like with like.
    """
    r, g, b = rgb_to_linear_rgb(pictures).mean((2, 3)).double().clamp(min=1e-4).numpy().T
    x = 0.4124 * r + 0.3576 * g + 0.1805 * b
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    total = x + y + 0.0193 * r + 0.1192 * g + 0.9505 * b
    n = (x / total - 0.3320) / (0.1858 - y / total)
    return np.clip(449 * n**3 + 3525 * n**2 + 6823.3 * n + 5520.33, 1500, 15000)


def skin_tone(pictures: Tensor, lab: Tensor) -> np.ndarray:
    """Return the individual typology angle of each picture's skin in degrees, (N,); NaN where hardly any is seen.

    atan((L* - 50) / b*) of the median pixel of skin chrominance: above 28 light, below -30 dark (Chardon et al. 1991).
    Light and white balance move it, in both sets alike.
    """
    _, cb, cr = (255 * rgb_to_ycbcr(pictures)).unbind(1)
    skin = (cb > SKIN_CB[0]) & (cb < SKIN_CB[1]) & (cr > SKIN_CR[0]) & (cr < SKIN_CR[1])
    found = []
    for mask, one in zip(skin, lab, strict=True):
        light, yellow = (one[channel][mask].median() if mask.any() else torch.tensor(0.0) for channel in (0, 2))
        enough = float(mask.float().mean()) >= LEAST_SKIN
        found.append(float(torch.rad2deg(torch.atan2(light - 50, yellow.clamp(min=1)))) if enough else np.nan)
    return np.array(found)


def _factors(real: Tensor, made: Tensor, estimators: Estimators | None) -> tuple[tuple[Factor, ...], dict[str, float]]:
    """Return the factors, and the scores of estimators that did not prove themselves."""
    a, b = statistics(real), statistics(made)
    told = [name for name in MEASURED if min(np.isfinite(part[name]).sum() for part in (a, b)) >= LEAST]
    found = [Factor(name, *MEASURED[name], a[name], b[name]) for name in told]
    unread = {}
    if estimators:
        read = estimators.read(real)
        for column, (name, score) in enumerate(zip(LABELS, estimators.scores, strict=True)):
            if LABELS[name].kind and not estimators.of_faces:
                continue
            if score < PROVEN:
                unread[name] = float(score)
                continue
            label = LABELS[name]
            values = (plainly(label, part[:, column]) for part in (read, estimators.estimates))
            found.append(Factor(name, label.unit, label.low, label.high, *values, score=float(score)))
    return tuple(found), unread


def _distance(factor: Factor, splits: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[Interval, Interval]:
    """Return the 1-Wasserstein distance of ours to halves of the real set, and of those to their other halves."""
    known = factor.real[np.isfinite(factor.real)]
    scale = known.std() + 1e-9 if len(known) else 1.0
    pairs = [
        [wasserstein(factor.real[first], other) / scale for other in (factor.made, factor.real[second])]
        for first, second in splits
    ]
    ours, floor = zip(*pairs, strict=True)
    return _interval(ours), _interval(floor)


def wasserstein(a: np.ndarray, b: np.ndarray) -> float:
    """Return the 1-Wasserstein distance of two samples (N,) and (M,), NaN left out."""
    places = (np.arange(200) + 0.5) / 200
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    if not len(a) or not len(b):
        return np.nan
    return float(np.abs(np.quantile(a, places) - np.quantile(b, places)).mean())


def _findings(factor: Factor, splits: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[Finding]:
    """Return the tails of a factor whose shares differ by more than those of two halves of the real set do."""
    noise = float(
        np.quantile([abs(_gap(factor.real[a], factor.real[b], sign)[1]) for a, b in splits for sign in (1, -1)], 0.95)
    )
    found = []
    for sign in (1, -1):
        threshold, gap = _gap(factor.real, factor.made, sign)
        if gap <= noise:
            continue
        shares = [float((part[np.isfinite(part)] <= threshold).mean()) for part in (factor.real, factor.made)]
        below = sum(shares) <= 1
        words = factor.low if below else factor.high
        a, b = shares if below else (1 - share for share in shares)
        found.append(Finding(factor.name, words, below, threshold, a, b, noise))
    return found


def _gap(real: np.ndarray, made: np.ndarray, sign: int) -> tuple[float, float]:
    """Return the value below which `real` has the most more than `made` (sign 1; -1: the most less), and how much."""
    real, made = np.sort(real[np.isfinite(real)]), np.sort(made[np.isfinite(made)])
    if not len(real) or not len(made):
        return np.nan, 0.0
    values = np.concatenate([real, made])
    shares = [np.searchsorted(part, values, side="right") / len(part) for part in (real, made)]
    gaps = sign * (shares[0] - shares[1])
    place = int(gaps.argmax())
    return float(values[place]), float(gaps[place])


def _strangers(real: Tensor, made: Tensor, most: int = 12) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return real pictures that no made one is near, and made ones that no real one is near, the loneliest first.

    Near means within a real picture's ball; lonely is the distance in radii of that ball.
    """
    away = torch.cdist(real, made) / _radii(real, K)[:, None]
    return _beyond(away.min(1).values, most), _beyond(away.min(0).values, most)


def _beyond(nearest: Tensor, most: int) -> tuple[int, ...]:
    order = nearest.argsort(descending=True)[:most].tolist()
    return tuple(n for n in order if nearest[n] >= 1)
