"""Estimators that read pose, gaze, framing, light, skin and kinds of people from a picture, trained on our own labels.

A network finds key points and regions (keypoints.py, regions.py) in the whole picture, a second one in a close-up of
what was found (closeups.py); ridge regressions read labels of shape from where points and regions lie, labels of light
and colour from the colours there, and what is one of several kinds from all of it. That is learned from some hundred
renders.

Estimators are cross-fitted: each render is read by networks that saw neither it nor its person, so that the scores are
honest and the error of every estimate has the distribution that it has on unseen pictures. A real picture is read by
one pair of networks too, not by their mean, for the same reason. Regressions learn from what those networks find in a
render that have not seen it: on renders that they were trained on, networks err less than on any other. So no label of
a render takes part in its estimate, but its points and masks have trained the networks of other folds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from facewright.errors import UserError
from facewright.rng import stream
from facewright_refiner.closeups import CLOSE, closeups, moved, places_of
from facewright_refiner.keypoints import Finder, Found, find, mirror, train_finder
from facewright_refiner.knobs import FACTORS, Factor
from facewright_refiner.regions import REGIONS, area_features, hair_features, map_features, tone_features

FOLDS = 3
LEAST_RENDERS = 60
"""Labelled pictures below which nothing is trained."""
PROVEN = 0.3
"""Share of a label's variance that its estimator must explain on held-out renders (R²) before it is believed."""
RIDGES = (1.0, 10.0, 100.0, 1000.0, 10000.0)
"""Strengths of regularisation that are tried, by leave-one-out."""
FARTHEST = 3.0
"""Deviations at which a feature is cut: a region that no render of the training had must not decide alone."""
BRIGHTEST, DARKEST = 1.0, 0.004
"""Colours are read in stops between these."""

Row = Mapping[str, Any]


class Label(NamedTuple):
    """Something that is read from pictures.

    `of` takes it from a row of attributes (attributes.py), as a logarithm to base 2 where `log`; `flip` is its sign in
    the mirrored picture; `colour` says that colours carry it, not places, and `kind` that it is one class of a factor:
    1 or 0. `low` and `high` are words for pictures where it is little or much.
    """

    unit: str
    of: Callable[[Row], float]
    low: str
    high: str
    flip: int = 1
    colour: bool = False
    log: bool = False
    kind: bool = False


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


def _is(factor: Factor, name: str) -> Callable[[Row], float]:
    return lambda row: float(factor.of(row) == name)


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
    FIELD: Label("mm", _log2("camera.field_mm"), "tightly framed", "widely framed", log=True),
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
    "key strength": Label("", _log2("light.key_strength"), "flatly lit", "lit from one side", colour=True, log=True),
    "key azimuth": Label(
        "°", _column("light.key_azimuth_deg"), "lit from image-left", "lit from image-right", -1, colour=True
    ),
    "key elevation": Label("°", _column("light.key_elevation_deg"), "lit from below", "lit from above", colour=True),
    "key temperature": Label("K", _column("light.key_temperature_k"), "in warm light", "in cold light", colour=True),
    "skin melanin": Label("", _column("subject.skin.melanin"), "of light skin", "of dark skin", colour=True),
    "iris melanin": Label("", _column("subject.eye.iris.melanin"), "of light irises", "of dark irises", colour=True),
    "pupil": Label("mm", _column("subject.eye.pupil_mm"), "with narrow pupils", "with wide pupils"),
    **{
        factor.label(name): Label("", _is(factor, name), f"that hardly show {words}", f"that show {words}", kind=True)
        for factor in FACTORS
        for name, words in zip(factor.classes, factor.words, strict=True)
    },
}
"""What is read. The last are the classes of factors, of faces alone."""
_SIGNS = np.array([label.flip for label in LABELS.values()])


class Looks(NamedTuple):
    """Pictures (N, 3, H, W) of a scene as networks see them: what was found in them, and in close-ups of them."""

    scene: str
    whole: Found
    pictures: Tensor
    near: Found
    closeups: Tensor

    @property
    def mirrored(self) -> Looks:
        """The mirror images."""
        return Looks(
            self.scene,
            mirror(self.whole, self.scene),
            self.pictures.flip(-1),
            mirror(self.near, self.scene),
            self.closeups.flip(-1),
        )


class Networks(NamedTuple):
    """What finds key points and regions in whole pictures of a scene, and in close-ups of them."""

    scene: str
    whole: Finder
    near: Finder

    def look(self, pictures: Tensor) -> Looks:
        """Return what is seen in (M, 3, H, W)."""
        whole = find(self.whole, pictures, self.scene)
        near = closeups(pictures, places_of(whole.points, self.scene))
        return Looks(self.scene, whole, pictures, find(self.near, near, self.scene), near)


class Reader(NamedTuple):
    """The estimators of one fold: networks, and a regression on the features of what they see."""

    networks: Networks
    regression: Ridge

    def read(self, pictures: Tensor) -> np.ndarray:
        """Return (M, L) estimates of (M, 3, H, W), each the mean of two: from the picture and from its mirror image."""
        looks = self.networks.look(pictures)
        return _mean_of_twins(self.regression, features_of(looks), features_of(looks.mirrored))


def _mean_of_twins(regression: Ridge, one: Features, other: Features) -> np.ndarray:
    return (regression(one.all) + regression(other.all) * _SIGNS) / 2


class Ridge(NamedTuple):
    """A linear regression of L labels on features, all in their deviations: weights (F, L), a strength for each."""

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    offset: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return (N, L) of features (N, F)."""
        return np.clip((features - self.mean) / self.scale, -FARTHEST, FARTHEST) @ self.weights + self.offset


def plainly(label: Label, values: np.ndarray) -> np.ndarray:
    """Return a label's values in its unit."""
    return 2**values if label.log else values


@dataclass(frozen=True)
class Estimators:
    """Cross-fitted estimators.

    `known` (N, L) are the true labels of the renders, `estimates` (N, L) those by a reader that did not see them,
    `scores` (L,) the R² of these, 0 where a label does not vary; columns as in LABELS.
    """

    known: np.ndarray
    estimates: np.ndarray
    scores: np.ndarray
    readers: tuple[Reader, ...]

    @property
    def of_faces(self) -> bool:
        """Whether they read faces; classes of factors are told of faces alone."""
        return any(reader.networks.scene == "face" for reader in self.readers)

    def read(self, pictures: Tensor) -> np.ndarray:
        """Return estimates (M, L) of (M, 3, H, W) in [0, 1]; picture j is read by reader j mod FOLDS."""
        found = np.zeros((len(pictures), len(LABELS)))
        for n, reader in enumerate(self.readers):
            found[n :: len(self.readers)] = reader.read(pictures[n :: len(self.readers)])
        return found


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
    points: np.ndarray,
    known: np.ndarray,
    people: Sequence[str],
    scene: str,
    seed: int = 0,
    *,
    regions: Tensor | None = None,
    steps: int = 0,
    log: Callable[[str], None] = print,
) -> Estimators:
    """Train estimators on renders (N, 3, H, W) in [0, 1], whole people held out.

    `points` (N, P, 2) are their key points in widths, `known` (N, L) their labels, of a `scene` (face or eye), and
    `regions` (N, H, W) uint8 their regions; without them less is read. `steps` (0: as many as they need) are those of
    the network. Raises UserError where there are too few renders.
    """
    if len(pictures) < LEAST_RENDERS:
        raise UserError(
            f"estimators need {LEAST_RENDERS} labelled renders at the very least, got {len(pictures)}; render more"
        )
    fold = _folds(people, seed)
    networks, rows, twins = [], [], []
    for n in range(FOLDS):
        log(f"training estimators, part {n + 1} of {FOLDS}")
        seen = torch.from_numpy(fold != n)
        there = regions[seen] if regions is not None else None
        networks.append(_trained(pictures[seen], points[fold != n], scene, seed * FOLDS + n, steps, there))
        looks = networks[n].look(pictures[~seen])
        rows.append(features_of(looks))
        twins.append(features_of(looks.mirrored))
    estimates, readers = np.zeros_like(known), []
    for n in range(FOLDS):
        others = [m for m in range(FOLDS) if m != n]
        both = np.concatenate([part[m].all for part in (rows, twins) for m in others])
        labels = np.concatenate([known[fold == m] for m in others])
        regression = _regression(both, rows[n].groups, np.concatenate([labels, labels * _SIGNS]))
        readers.append(Reader(networks[n], regression))
        estimates[fold == n] = _mean_of_twins(regression, rows[n], twins[n])
    variance = known.var(0)
    error = ((estimates - known) ** 2).mean(0)
    scores = np.where(variance > 1e-9, 1 - error / np.maximum(variance, 1e-9), 0.0)
    return Estimators(known, estimates, scores, tuple(readers))


def _trained(
    pictures: Tensor, points: np.ndarray, scene: str, seed: int, steps: int, regions: Tensor | None
) -> Networks:
    """Return networks trained on whole pictures, and on close-ups that are cut out by the true points."""
    whole = train_finder(pictures, points, scene, seed, steps, regions)
    places = places_of(points, scene)
    if regions is not None:
        regions = closeups(regions[:, None].float(), places, "nearest")[:, 0].round().to(torch.uint8)
    near = train_finder(closeups(pictures, places), moved(points, places), scene, seed, steps, regions, CLOSE)
    return Networks(scene, whole, near)


def _folds(people: Sequence[str], seed: int) -> np.ndarray:
    order = sorted(set(people))
    if len(order) < FOLDS:
        raise UserError(f"estimators need renders of {FOLDS} people at the very least, got {len(order)}; render more")
    place = stream(seed, 0, "estimators.folds").permutation(len(order))
    part = {name: int(place[n]) % FOLDS for n, name in enumerate(order)}
    return np.array([part[name] for name in people])


class Features(NamedTuple):
    """Numbers of pictures, all in columns (N, F), and which of these columns each group of features has."""

    all: np.ndarray
    groups: dict[str, np.ndarray]


def features_of(looks: Looks) -> Features:
    """Return the features of pictures with what was found in them."""
    scene, (points, there) = looks.scene, looks.whole
    parts = {"points": shape_features(points), "colours": colour_features(points, looks.pictures)}
    parts["near points"] = shape_features(looks.near.points)
    if there.shape[1]:
        parts["areas"] = area_features(there)
        parts["hair"] = hair_features(
            there, points, list(REGIONS[scene]), looks.pictures.shape[-1] / looks.pictures.shape[-2]
        )
        parts["tones"] = tone_features(there, looks.pictures)
        parts["near areas"] = area_features(looks.near.regions)
        parts["near map"] = map_features(looks.near.regions)
        parts["near tones"] = tone_features(looks.near.regions, looks.closeups)
    ends = np.cumsum([0, *(part.shape[1] for part in parts.values())])
    groups = {name: np.arange(a, b) for name, a, b in zip(parts, ends, ends[1:], strict=False)}
    return Features(np.hstack(list(parts.values())), groups)


_NEAR = ("near points", "near areas")
OPTIONS = {
    "shape": (
        *(("points",), ("points", "areas"), ("areas",)),
        *(("points", *_NEAR), _NEAR, ("near map",), (*_NEAR, "near tones")),
    ),
    "colour": (("colours",), ("colours", "tones"), ("tones",), ("near tones",), ("colours", "tones", "near tones")),
    "kind": (
        *(("points", "areas"), ("areas", "hair"), ("areas", "tones"), ("areas", "hair", "tones", "points")),
        *(_NEAR, ("near map",), (*_NEAR, "near tones"), ("areas", "hair", "tones", *_NEAR, "near tones")),
    ),
}
"""Groups of features that a label may be read from: those that generalise best are taken."""


def _regression(features: np.ndarray, groups: Mapping[str, np.ndarray], labels: np.ndarray) -> Ridge:
    """Return the regressions of labels (2 N, L) on features (2 N, F) of pictures and of their mirror images."""
    fitted = {
        kind: ridge(
            features,
            labels,
            [np.concatenate([groups[name] for name in names]) for names in options if {*names} <= {*groups}],
            twins=True,
        )
        for kind, options in OPTIONS.items()
    }
    kinds = ["kind" if label.kind else "colour" if label.colour else "shape" for label in LABELS.values()]
    return _picked([fitted[kind] for kind in kinds])


def _picked(fits: Sequence[Ridge]) -> Ridge:
    """Return the regression that has column n of the n-th of `fits`."""
    weights = np.stack([fit.weights[:, n] for n, fit in enumerate(fits)], axis=1)
    return Ridge(fits[0].mean, fits[0].scale, weights, np.array([fit.offset[n] for n, fit in enumerate(fits)]))


def shape_features(points: np.ndarray) -> np.ndarray:
    """Return (N, F) of points (N, P, 2): their middle, the logarithm of their size, their shape and its squares."""
    middle = points.mean(1, keepdims=True)
    size = np.sqrt(((points - middle) ** 2).sum((1, 2), keepdims=True) / points.shape[1]) + 1e-4
    shape = ((points - middle) / size).reshape(len(points), -1)
    return np.hstack([middle[:, 0], np.log2(size[:, 0]), shape, shape**2])


def colour_features(points: np.ndarray, pictures: Tensor) -> np.ndarray:
    """Return (N, F): colours in stops at the points, between each two that follow, of the whole and of its border."""
    height, width = pictures.shape[-2:]
    soft = F.avg_pool2d(pictures, 5, 1, 2, count_include_pad=False)
    places = np.concatenate([points, (points[:, 1:] + points[:, :-1]) / 2], axis=1)
    grid = torch.from_numpy(2 * places * (1, width / height) - 1).float()[:, :, None]
    there = F.grid_sample(soft, grid, padding_mode="border", align_corners=False)[..., 0].transpose(1, 2)
    edge = torch.cat([pictures[..., :3, :].mean((2, 3)), pictures[..., :, :3].mean((2, 3))], 1)
    whole = torch.cat([pictures.mean((2, 3)), pictures.amax((2, 3)), pictures.std((2, 3)) + 0.01, edge], 1)
    values = torch.cat([there.flatten(1), whole], 1).clamp(DARKEST, BRIGHTEST)
    return torch.log2(values).double().numpy()


def ridge(
    features: np.ndarray, labels: np.ndarray, options: Sequence[np.ndarray] = (), *, twins: bool = False
) -> Ridge:
    """Return the regression of labels (N, L) on features (N, F), each as it generalises best.

    Best by leave-one-out, which a ridge regression has in closed form, among strengths and among `options`, which are
    columns of the features (all, if there are none). With `twins` row n + N / 2 is the mirror image of row n, and both
    are left out together: who has seen the one knows the other.
    """
    mean, scale = features.mean(0), features.std(0) + 1e-6
    x = np.clip((features - mean) / scale, -FARTHEST, FARTHEST)
    middle = x.mean(0)  # not 0, where much was cut; the closed form needs 0
    x, y = x - middle, labels - labels.mean(0)
    found, errors = [], []
    for columns in options or [np.arange(x.shape[1])]:
        u, s, vt = np.linalg.svd(x[:, columns], full_matrices=False)
        for strength in RIDGES:
            shrink = s**2 / (s**2 + strength)
            rest = _left_out(u, shrink, y, 2 if twins else 1)
            errors.append((rest**2).mean(0))
            found.append(np.zeros((x.shape[1], y.shape[1])))
            found[-1][columns] = vt.T @ ((s / (s**2 + strength))[:, None] * (u.T @ y))
    best = np.argmin(errors, axis=0)
    weights = np.stack([found[n][:, column] for column, n in enumerate(best)], axis=1)
    return Ridge(mean, scale, weights, labels.mean(0) - middle @ weights)


def _left_out(u: np.ndarray, shrink: np.ndarray, y: np.ndarray, size: int) -> np.ndarray:
    """Return the errors (N, L) at rows that are left out together with their `size` - 1 twins, N / size rows on."""
    rest = y - u @ (shrink[:, None] * (u.T @ y))
    parts = u.reshape(size, -1, u.shape[1])
    leverage = np.einsum("anf,f,bnf->nab", parts, shrink, parts) + 1 / len(u)  # the mean has seen them too
    apart = np.linalg.inv(np.eye(size) * (1 + 1e-6) - leverage)
    return np.einsum("nab,bnl->anl", apart, rest.reshape(size, -1, y.shape[1])).reshape(y.shape)
