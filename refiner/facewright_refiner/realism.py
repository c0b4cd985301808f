"""How far pictures are from real ones: training-free distances, and classifiers that try to tell them apart.

All pictures are (N, 3, H, W) sRGB in [0, 1], both sets of one size and through the same file format. Every distance is
to be read beside its floor, the same number between two halves of the real set: at small N no set is nearer than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from kornia.color import rgb_to_grayscale, rgb_to_lab
from torch import Tensor

from facewright.errors import UserError
from facewright.rng import stream

BANDS = 3
PATCH = 7
DIRECTIONS = 64
PATCHES = 48
"""Patches per picture and band in the sliced Wasserstein distance."""
QUANTILES = 65
LEVEL = 1 / 255
GRAIN_PX = 6
"""Side in px of the boxes in which a picture's grain is looked for."""


class Distances(NamedTuple):
    """Distances of two sets, 0 = equal.

    They are sliced Wasserstein by Laplacian band (fine first), spectrum, colour, tone and grain.
    """

    swd: tuple[float, ...]
    psd: float
    lab: float
    tone: float
    grain: float

    def flat(self) -> tuple[float, ...]:
        """Return all numbers in one row."""
        return (*self.swd, self.psd, self.lab, self.tone, self.grain)

    def relative(self, scale: np.ndarray) -> float:
        """Return the mean distance, each in units of `scale`, which is like `flat`; all bands count as one distance.

        Three bands of seven numbers would ask for noise wherever a render has less fine content than real pictures.
        """
        found, bands = np.asarray(self.flat()) / scale, len(self.swd)
        return float(np.mean([found[:bands].mean(), *found[bands:]]))


class TwoSample(NamedTuple):
    """A classifier two-sample test: 0.5 is chance, 1 is told apart always; `se` is the accuracy's standard error."""

    accuracy: float
    auc: float
    se: float


class Reference:
    """The real set, measured once: distances of many candidate sets to it are cheap."""

    def __init__(self, real: Tensor, seed: int = 0) -> None:
        self.seed = seed
        self._bands = [_band_quantiles(band, seed, n) for n, band in enumerate(laplacian_bands(real))]
        self._psd = radial_psd(real).mean(0)
        self._lab = _lab_quantiles(real)
        self._tone = tone_statistics(real)

    def distances(self, pictures: Tensor) -> Distances:
        """Return the distances of `pictures` to the real set."""
        swd = []
        for n, band in enumerate(laplacian_bands(pictures)):
            quantiles, scale = self._bands[n]
            found, _ = _band_quantiles(band, self.seed, n, scale)
            swd.append(float((found - quantiles).abs().mean()))
        psd = float((radial_psd(pictures).mean(0) - self._psd).abs().mean())
        lab = float((_lab_quantiles(pictures) - self._lab).abs().mean(1).sum())
        found = tone_statistics(pictures)
        tone = float(_emd(found[:, :3], self._tone[:, :3]).mean())
        grain = float(_emd(found[:, 3:], self._tone[:, 3:], LEVEL))
        return Distances(tuple(swd), psd, lab, tone, grain)


def laplacian_bands(pictures: Tensor) -> list[Tensor]:
    """Return BANDS band-pass images of (N, 3, H, W), each half the size of the one before."""
    kernel = pictures.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    bands = []
    for _ in range(BANDS):
        blurred = F.pad(pictures, (2, 2, 2, 2), mode="reflect")
        blurred = F.conv2d(blurred, (kernel[:, None] * kernel).expand(3, 1, 5, 5), groups=3)
        bands.append(pictures - blurred)
        pictures = blurred[..., ::2, ::2]
        if min(pictures.shape[-2:]) <= PATCH:
            break
    return bands


def radial_psd(pictures: Tensor) -> Tensor:
    """Return log10 power of luma by spatial frequency, (N, min(H, W) // 2): 0 to 0.5 cycles/px in equal rings."""
    luma = rgb_to_grayscale(pictures)[:, 0]
    height, width = luma.shape[-2:]
    window = torch.hann_window(height, False).to(luma)[:, None] * torch.hann_window(width, False).to(luma)
    luma = (luma - luma.mean((-1, -2), keepdim=True)) * window
    power = torch.fft.fft2(luma).abs() ** 2 / window.square().sum()
    radius = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width))
    rings = min(height, width) // 2
    ring = (radius * 2 * rings).long().flatten()
    inside = ring < rings
    counts = torch.bincount(ring[inside], minlength=rings).clamp(min=1)
    sums = power.new_zeros(len(power), rings).index_add_(1, ring[inside], power.flatten(1)[:, inside])
    return torch.log10(sums / counts + 1e-9)


def tone_statistics(pictures: Tensor) -> Tensor:
    """Return each picture's (brightness, contrast, log sharpness, grain), (N, 4).

    Brightness and contrast are mean and deviation of L*, sharpness is mean |band 0|, and grain is the root mean square
    of band 0's luma where there is least of it: the lower quartile over boxes of GRAIN_PX. Edges make a picture sharp,
    noise makes it grainy too; without grain, noise passes for the fine detail that renders lack.
    """
    luma = rgb_to_lab(pictures)[:, 0] / 100
    fine = laplacian_bands(pictures)[0]
    sharp = fine.abs().mean((1, 2, 3))
    grain = F.avg_pool2d(rgb_to_grayscale(fine).square(), GRAIN_PX).flatten(1).quantile(0.25, dim=1).sqrt()
    return torch.stack([luma.mean((1, 2)), luma.std((1, 2)), torch.log10(sharp + 1e-5), grain], dim=1)


def features(pictures: Tensor) -> Tensor:
    """Return what a capacity-limited judge sees, (N, F): spectrum, colour moments, band energy and kurtosis, tone."""
    spectrum = radial_psd(pictures)
    spectrum = F.adaptive_avg_pool1d(spectrum[:, None], 12)[:, 0]
    lab = rgb_to_lab(pictures).flatten(2) / 100
    columns = [spectrum, lab.mean(2), lab.std(2), tone_statistics(pictures)]
    for band in laplacian_bands(pictures):
        flat = rgb_to_grayscale(band).flatten(1)
        deviation = flat.std(1, keepdim=True) + 1e-6
        columns += [torch.log10(deviation), torch.log10((flat / deviation).pow(4).mean(1, keepdim=True) + 1e-3)]
    return torch.cat(columns, dim=1)


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Return the squared maximum mean discrepancy of features (N, F) and (M, F), N and M >= 2, without bias.

    The kernel is (x . y / F + 1)^3, that of the kernel inception distance (Binkowski et al., ICLR 2018), which is this
    number on the features of a downloaded network; any features do. Equal sets are at 0 on the average, so below it
    half of the time.
    """
    a, b = a.double(), b.double()
    inner = [((x @ y.T) / x.shape[1] + 1) ** 3 for x, y in ((a, a), (b, b), (a, b))]
    within = [(k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1)) for k in inner[:2]]
    return float(within[0] + within[1] - 2 * inner[2].mean())


def two_sample(
    a: Tensor,
    b: Tensor,
    *,
    judge: str = "features",
    groups: tuple[Sequence, Sequence] | None = None,
    folds: int = 5,
    seed: int = 0,
) -> TwoSample:
    """Test whether a classifier tells `a` from `b` on pictures it was not trained on.

    `judge` is "features" (logistic regression) or "cnn" (three small convolutions). `groups` names the person or source
    of every picture in a and b, of which none may be in both: no group is trained and tested on. The larger set is cut
    to equal numbers.
    """
    score, label, _ = scores(a, b, judge=judge, groups=groups, folds=folds, seed=seed)
    return _verdict(score, label)


def scores(
    a: Tensor,
    b: Tensor,
    *,
    judge: str = "features",
    groups: tuple[Sequence, Sequence] | None = None,
    folds: int = 5,
    seed: int = 0,
) -> tuple[Tensor, Tensor, list[str]]:
    """Return what `two_sample` judges by: every picture's score, its side (0 = a, 1 = b), and the name of its group."""
    if judge not in JUDGES:
        raise UserError(f"judge: {judge!r} is not one of {', '.join(JUDGES)}")
    count = min(len(a), len(b))
    if count < 2 * folds:
        raise UserError(f"a two-sample test in {folds} folds needs {2 * folds} pictures of each kind, got {count}")
    picks = [_subset(len(x), count, seed) for x in (a, b)]
    pictures = torch.cat([a[picks[0]], b[picks[1]]])
    label = torch.cat([torch.zeros(count), torch.ones(count)])
    names = groups or (range(len(a)), range(len(b)))
    keys = [f"{side}/{names[side][i]}" for side in (0, 1) for i in picks[side].tolist()]
    fold = _fold_of(keys, count, folds, seed)
    score = torch.zeros(2 * count)
    for n in range(folds):
        train, test = fold != n, fold == n
        score[test] = JUDGES[judge](pictures[train], label[train], pictures[test], seed + n)
    return score, label, keys


def interval(score: Tensor, label: Tensor, keys: Sequence[str], draws: int = 500, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of the area under the curve of `scores`, by drawing whole groups again."""
    members: dict[str, list[int]] = {}
    for place, key in enumerate(keys):
        members.setdefault(key, []).append(place)
    sides = [[members[key] for key in sorted(members) if label[members[key][0]] == side] for side in (0, 1)]
    random = stream(seed, 0, "realism.interval")
    found = []
    for _ in range(draws):
        drawn = [torch.tensor([n for k in random.integers(0, len(s), len(s)) for n in s[k]]) for s in sides]
        found.append(_verdict(score[torch.cat(drawn)], label[torch.cat(drawn)]).auc)
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def _logistic(train: Tensor, label: Tensor, test: Tensor, seed: int) -> Tensor:
    """Return test scores of an L2-regularised logistic regression on `features`, by Newton steps."""
    seen, unseen = features(train).double(), features(test).double()
    mean, deviation = seen.mean(0), seen.std(0) + 1e-6
    x, z = ((part - mean) / deviation for part in (seen, unseen))
    x, z = (torch.cat([part, torch.ones(len(part), 1).double()], 1) for part in (x, z))
    weight = torch.zeros(x.shape[1]).double()
    for _ in range(20):
        p = torch.sigmoid(x @ weight)
        gradient = x.T @ (p - label) + weight
        hessian = x.T @ (x * (p * (1 - p))[:, None]) + torch.eye(len(weight)).double()
        weight = weight - torch.linalg.solve(hessian, gradient)
    return (z @ weight).float()


def _cnn(train: Tensor, label: Tensor, test: Tensor, seed: int) -> Tensor:
    """Return test scores of a network of three strided convolutions (7,000 weights), flips as augmentation."""
    random = stream(seed, 0, "realism.cnn")
    sizes = ((8, 3, 3, 3), (16, 8, 3, 3), (32, 16, 3, 3), (1, 32, 1, 1))
    weights = [
        torch.from_numpy(
            random.standard_normal(s, np.float32) * np.float32((2 / np.prod(s[1:])) ** 0.5)
        ).requires_grad_()
        for s in sizes
    ]
    biases = [torch.zeros(s[0], requires_grad=True) for s in sizes]

    def score(x: Tensor) -> Tensor:
        x = (x - 0.45) / 0.25
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            x = F.leaky_relu(F.conv2d(x, w, b, stride=2, padding=1), 0.1)
        return F.conv2d(x.mean((2, 3), keepdim=True), weights[-1], biases[-1])[:, 0, 0, 0]

    optimiser = torch.optim.AdamW([*weights, *biases], lr=3e-3, weight_decay=1e-2)
    for _ in range(12):
        for batch in np.array_split(random.permutation(len(train)), max(1, len(train) // 32)):
            x = train[batch].flip(-1) if random.random() < 0.5 else train[batch]
            loss = F.binary_cross_entropy_with_logits(score(x), label[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        return score(test)


JUDGES = {"features": _logistic, "cnn": _cnn}


def _verdict(score: Tensor, label: Tensor) -> TwoSample:
    positive, negative = score[label == 1], score[label == 0]
    accuracy = float(((positive > 0).float().mean() + (negative <= 0).float().mean()) / 2)
    wins = (positive[:, None] > negative).float() + 0.5 * (positive[:, None] == negative).float()
    spread = max(accuracy * (1 - accuracy), 1 / len(score))
    return TwoSample(accuracy, float(wins.mean()), float((spread / len(score)) ** 0.5))


def _fold_of(keys: list[str], count: int, folds: int, seed: int) -> Tensor:
    """Return the fold of each key, groups whole, both kinds spread evenly."""
    fold = torch.zeros(2 * count, dtype=torch.long)
    for part in (slice(0, count), slice(count, 2 * count)):
        names = sorted(set(keys[part]))
        if len(names) < folds:
            raise UserError(f"a two-sample test in {folds} folds needs {folds} groups of each kind, got {len(names)}")
        place = stream(seed, 0, "realism.folds").permutation(len(names))
        order = {name: int(place[n]) % folds for n, name in enumerate(names)}
        fold[part] = torch.tensor([order[key] for key in keys[part]])
    return fold


def _subset(size: int, count: int, seed: int) -> Tensor:
    return torch.from_numpy(np.sort(stream(seed, size, "realism.subset").permutation(size)[:count]))


def _band_quantiles(band: Tensor, seed: int, number: int, scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return quantiles (QUANTILES, DIRECTIONS) of random patches on random directions, and the scale used (3,)."""
    random = stream(seed, number, "realism.swd")
    count, channels, height, width = band.shape
    rows = torch.from_numpy(random.integers(0, height - PATCH + 1, (count, PATCHES)))
    columns = torch.from_numpy(random.integers(0, width - PATCH + 1, (count, PATCHES)))
    if scale is None:
        scale = band.transpose(0, 1).flatten(1).std(1) + 1e-6
    normal = band / scale[:, None, None]
    windows = normal.unfold(2, PATCH, 1).unfold(3, PATCH, 1)
    patches = windows[torch.arange(count)[:, None], :, rows, columns].flatten(2).flatten(0, 1)
    axes = stream(seed, number, "realism.swd.directions").standard_normal((channels * PATCH**2, DIRECTIONS), np.float32)
    axes = torch.from_numpy(axes / np.linalg.norm(axes, axis=0))
    return _quantiles((patches @ axes).T).T, scale


def _lab_quantiles(pictures: Tensor) -> Tensor:
    """Return pooled colour quantiles (3, QUANTILES) of L*, a*, b*, over 100; about 20,000 pixels are pooled."""
    lab = rgb_to_lab(pictures).transpose(0, 1).flatten(1) / 100
    return _quantiles(lab[:, :: max(1, lab.shape[1] // 20_000)])


def _quantiles(rows: Tensor) -> Tensor:
    """Return (R, QUANTILES) mid-quantiles of (R, N) by sorting."""
    ordered = rows.sort(1).values
    place = ((torch.arange(QUANTILES) + 0.5) / QUANTILES * rows.shape[1]).long()
    return ordered[:, place]


def _emd(a: Tensor, b: Tensor, least: float = 1e-3) -> Tensor:
    """Return the earth mover's distance per column of (N, C) and (M, C), in deviations of b and `least` more."""
    found, wanted = _quantiles(a.T), _quantiles(b.T)
    return (found - wanted).abs().mean(1) / (b.std(0) + least)
