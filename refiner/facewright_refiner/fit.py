"""Fitting a profile to a folder of real pictures: which cameras would have taken them?

The *distributions* of the sensor's parameters are searched, not parameters for single pictures: renders of the
synthetic frames under cameras drawn from a candidate profile are compared with the real pictures as two sets (sliced
Wasserstein per Laplacian band, radial spectrum, colour quantiles, spread of brightness, contrast and sharpness, and of
grain). A third of the real pictures, whole groups of them, is never shown to the search; the report's numbers are from
those.

Brightness, contrast and colour are not searched but copied: each row of the profile's `grades` is what one real picture
has, so that whatever goes together there (dim, flat and warm) goes together in a row. They were what renders lacked
most, and no product of independent distributions has their shape.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

import facewright.dataset
from facewright.dist import Constant, Dist, LogUniform, Normal, Uniform
from facewright.errors import DatasetError, OutputError
from facewright.render import Frame
from facewright.rng import stream
from facewright_refiner import sensor
from facewright_refiner.apply import linear_of, srgb_to_linear, to_tensor
from facewright_refiner.parameters import default_of, parameters
from facewright_refiner.pictures import Pictures, read_pictures
from facewright_refiner.profile import Profile, View, draw
from facewright_refiner.realism import Distances, Reference

MOST_REAL = 600
MOST_SYNTHETIC = 48
FEW_REAL = 60
LEAST_REAL = 12
WINDOW = 112
"""Pictures larger than this are compared in random windows of this many px at their own resolution."""
NARROWEST, WIDEST = 0.02, 0.5
"""Half-width of a fitted distribution, as a share of the parameter's search range."""


class Range(NamedTuple):
    """Where a parameter is searched: between `low` and `high`, evenly in its logarithm if `log`."""

    low: float
    high: float
    log: bool = False


RANGES: dict[str, Range] = {
    "shade_ev": Range(0, 2.5),
    "vignette_ev": Range(0, 2),
    "flare": Range(0, 0.15),
    "meter": Range(0, 1),
    "exposure_ev": Range(-2, 3),
    "warm_ev": Range(-1, 1.5),
    "tint_ev": Range(-0.4, 0.4),
    "px_per_mm": Range(0.5, 20, True),
    "blur_px": Range(0, 3),
    "defocus_px": Range(0, 3),
    "shot": Range(0.002, 0.12, True),
    "read": Range(0.0003, 0.04, True),
    "saturation": Range(0.2, 2),
    "contrast": Range(0.6, 1.8),
    "gamma": Range(0.5, 1.7),
    "chroma_px": Range(0, 4),
    "sharpen": Range(0, 2.5),
    "jpeg": Range(30, 100),
}
"""Fitted parameters. The others (kind of mosaic, directions, motion, headroom, ...) are kept from the base profile."""
COLOUR = ("warm_ev", "tint_ev", "saturation", "chroma_px")
FIELD = ("shade_ev", "vignette_ev")
GRADED = ("exposure_ev", "warm_ev", "tint_ev", "saturation", "flare", *FIELD)
"""Kept from the base profile where pictures are graded. A grade sets brightness, colour and contrast whatever they are;
searched nevertheless, shade and glare bought the contrast of whole pictures and washed the eyes out (seen)."""


@dataclass(frozen=True)
class Fit:
    """A fitted profile, and what a user should be told: `notes` are sentences."""

    profile: Profile
    notes: tuple[str, ...]


class Scene(NamedTuple):
    """A synthetic picture ready to be photographed: linear light (1, 3, h, w), its px per mm, and its number."""

    light: Tensor
    px_per_mm: float
    number: int


def fit_sensor(
    real_dir: str | Path,
    synthetic: Sequence[Frame] | str | Path,
    out: str | Path | None = None,
    *,
    base: str | Path | Profile = "webcam",
    seed: int = 0,
    budget_s: float = 240.0,
    evaluations: int = 400,
    field_mm: float = 0.0,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> Fit:
    """Fit a profile to the pictures below `real_dir` and write it to `out` (.yaml).

    `synthetic` is frames, a dataset folder, or a folder of pictures whose width spans `field_mm` at the subject (0:
    unknown; then resolution is not fitted). Both sets should show the same subject, cropped alike: the base profile's
    `view.crop` says which middle share of a frame's width the real pictures show. The search starts at `base` and ends
    after `evaluations` or `budget_s` seconds; it is deterministic unless time cuts it short.

    Pictures of different size are cut to the middle of the median shape and scaled to the median size, by area; where
    that exceeds WINDOW px, random windows of it are compared, so that noise is never scaled away.

    Raises DatasetError for folders that cannot serve, RecipeError or AssetError for the base profile.
    """
    base = base if isinstance(base, Profile) else Profile.load(base)
    pictures = read_pictures(real_dir, MOST_REAL, seed)
    notes = _notes(pictures, real_dir)
    size = common_size(pictures, base.view)
    real = real_views(pictures, size, seed)
    base = _with_preprocessing(base, real)
    held = held_out(pictures.groups)
    search = Reference(real[~held], seed)
    scenes = scenes_of(synthetic, base.view, size, field_mm, seed)
    begin = base if "equalise" in base.dists else replace(base, grades=grades_of(real[~held]))
    names = _fitted(begin, scenes, windowed=max(size) > WINDOW)

    raw = search.distances(photographs(Profile("raw", dists=_flags(base)), scenes, seed))
    half = halves([group for group, out in zip(pictures.groups, held.tolist(), strict=True) if not out])
    floor = Reference(real[~held][half], seed).distances(real[~held][~half])
    scale = np.maximum(raw.flat(), 2 * np.asarray(floor.flat()))

    def loss(candidate: Profile) -> float:
        return search.distances(photographs(candidate, scenes, seed)).relative(scale)

    point = _search(loss, begin, names, seed, evaluations, budget_s, progress)
    fitted = _profile(begin, names, point)
    shown = {"raw": Profile("raw", dists=_flags(base)), "base": base, "fitted": fitted}
    half = halves([group for group, out in zip(pictures.groups, held.tolist(), strict=True) if out])
    report = _report(real[held], half, scenes, shown, seed)
    if report["held_out"]["fitted"]["total"] >= report["held_out"]["base"]["total"]:
        notes.append(f"the fit is no nearer to the held-out pictures than {base.name}; use that, or give more pictures")
    view = View(base.view.crop, size[1], size[0])
    about = f"Fitted to {len(real)} pictures from the base profile {base.name}"
    name = Path(out).stem if out else f"{base.name}_fitted"
    report = {
        "base": base.name,
        "real": len(real),
        "held_out_real": int(held.sum()),
        "synthetic": len(scenes),
        "fingerprint": pictures.fingerprint,
        "seed": seed,
        "size": list(size[::-1]),
    } | report
    if fitted.grades:
        kept = [image for image, out in zip(pictures.images, held.tolist(), strict=True) if not out]
        fitted = replace(fitted, grades=grades_of([whole_view(image, size) for image in kept]))
    profile = replace(fitted, name=name, about=about, view=view, fit=report)
    if out:
        _write(Path(out), profile.to_yaml())
    return Fit(profile, tuple(notes))


def _search(
    loss: Callable[[Profile], float],
    base: Profile,
    names: Sequence[str],
    seed: int,
    evaluations: int,
    budget_s: float,
    progress: Callable[[dict[str, Any]], None] | None,
) -> np.ndarray:
    """Return the best point (len(names), 2) of centres and half-widths in [0, 1].

    A random search from the best point so far that changes one to five parameters at a time; a parameter's step grows
    when its change helped. In as many trials this found nearer profiles than the cross-entropy method and differential
    evolution did, which change all parameters at once.
    """
    start = time.monotonic()
    random = stream(seed, 0, "refiner.fit")
    best = np.array([_place(name, base.dists.get(name)) for name in names])
    least = loss(_profile(base, names, best))
    step = np.full(len(names), 0.25)
    for done in range(1, evaluations + 1):
        chosen = random.permutation(len(names))[: random.integers(1, 6)]
        point = best.copy()
        point[chosen] += step[chosen, None] * (1, 0.6) * random.standard_normal((len(chosen), 2))
        point = np.clip(point, (0, NARROWEST), (1, WIDEST))
        found = loss(_profile(base, names, point))
        if found < least:
            best, least = point, found
        step[chosen] = np.clip(step[chosen] * (1.3 if point is best else 0.95), 0.04, 0.35)
        late = time.monotonic() - start > budget_s
        if progress and (done % 20 == 0 or done == evaluations or late):
            progress(
                {
                    "event": "fit",
                    "done": done,
                    "total": evaluations,
                    "loss": round(least, 4),
                    "seconds": round(time.monotonic() - start, 1),
                }
            )
        if late:
            break
    return best


def _profile(base: Profile, names: Sequence[str], point: np.ndarray) -> Profile:
    """Return the profile of a search point: a uniform distribution for each fitted parameter."""
    dists = dict(base.dists)
    for name, (centre, half) in zip(names, point, strict=True):
        low, high = (_value(RANGES[name], min(1.0, max(0.0, centre + side * half))) for side in (-1, 1))
        dists[name] = LogUniform(low, high) if RANGES[name].log else Uniform(low, high)
    return replace(base, dists={name: dists[name] for name in parameters() if name in dists})


def _place(name: str, chosen: Dist | None) -> tuple[float, float]:
    """Return centre and half-width of a profile's distribution in its search range; sd 1.5 stands for a normal's."""
    if isinstance(chosen, Normal):
        low, high = (min(max(chosen.mean + side * 1.5 * chosen.sd, chosen.low), chosen.high) for side in (-1, 1))
    else:
        values = (chosen or default_of(name)).support()
        low, high = min(values), max(values)
    a, b = (_share(RANGES[name], value) for value in (low, high))
    return (a + b) / 2, min(WIDEST, max(NARROWEST, (b - a) / 2))


def _value(where: Range, share: float) -> float:
    value = where.low * (where.high / where.low) ** share if where.log else where.low + share * (where.high - where.low)
    return float(f"{value:.4g}")


def _share(where: Range, value: float) -> float:
    value = min(max(value, where.low), where.high)
    if where.log:
        return math.log(value / where.low) / math.log(where.high / where.low)
    return (value - where.low) / (where.high - where.low)


def photographs(profile: Profile, scenes: Sequence[Scene], seed: int) -> Tensor:
    """Return (N, 3, h, w) pictures of the scenes, each under its own draw; 8-bit, as a file would hold them."""
    profile = profile.within_view()
    with torch.inference_mode():
        pictures = [
            sensor.apply(scene.light, [draw(profile, seed, scene.number, px_per_mm=scene.px_per_mm)])
            for scene in scenes
        ]
        return (torch.cat(pictures) * 255).round() / 255


def _report(
    real: Tensor, half: Tensor, scenes: Sequence[Scene], profiles: dict[str, Profile], seed: int
) -> dict[str, Any]:
    """Return the held-out distances of each profile's pictures, drawn anew, and the floor, as plain numbers."""
    fresh = seed + 1
    reference = Reference(real, fresh)
    found = {name: reference.distances(photographs(profile, scenes, fresh)) for name, profile in profiles.items()}
    found["floor"] = Reference(real[half], fresh).distances(real[~half])
    scale = np.maximum(found["raw"].flat(), 2 * np.asarray(found["floor"].flat()))
    return {"held_out": {name: _plain(distances, scale) for name, distances in found.items()}}


def _plain(found: Distances, scale: np.ndarray) -> dict[str, Any]:
    """Return rounded distances; `total` is their mean, each relative to that of raw renders."""
    swd = [round(value, 4) for value in found.swd]
    rest = {key: round(getattr(found, key), 4) for key in ("psd", "lab", "tone", "grain")}
    return {"total": round(found.relative(scale), 4), "swd": swd, **rest}


def _notes(pictures: Pictures, folder: str | Path) -> list[str]:
    notes = []
    if len(pictures.images) < LEAST_REAL:
        raise DatasetError(
            f"{folder}: {len(pictures.images)} pictures are too few to fit distributions; give "
            f"{LEAST_REAL} at the very least, {FEW_REAL} or more to trust the result"
        )
    if len(pictures.images) < FEW_REAL:
        notes.append(
            f"only {len(pictures.images)} real pictures: the fitted spreads are rough; {FEW_REAL} or more are better"
        )
    if pictures.unreadable:
        notes.append(
            f"{len(pictures.unreadable)} pictures could not be read and were left out; the first: "
            f"{pictures.unreadable[0]}"
        )
    return notes


def common_size(pictures: Pictures, view: View) -> tuple[int, int]:
    """Return (height, width) px at which the real pictures are compared: the view's, else the median."""
    if view.width:
        return view.height, view.width
    height, width = np.median([image.shape[:2] for image in pictures.images], axis=0)
    if min(height, width) < 24:
        raise DatasetError(
            f"the real pictures are {width:.0f} x {height:.0f} px; a camera cannot be told from less than 24 px"
        )
    return round(height), round(width)


def real_views(pictures: Pictures, size: tuple[int, int], seed: int) -> Tensor:
    """Return the real pictures as (N, 3, h, w) in [0, 1], windows where they are large."""
    views = [_window(whole_view(image, size), seed, n, "real") for n, image in enumerate(pictures.images)]
    return torch.cat(views)


def whole_view(image: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Return a real picture (H, W, 3) uint8 as (1, 3, *size) in [0, 1], cut to that shape and scaled."""
    return sensor.view(to_tensor([image]), View(), size)[0]


def grades_of(pictures: Iterable[Tensor]) -> tuple[tuple[float, ...], ...]:
    """Return a row of `Profile.grades` for each picture (3, H, W) or (1, 3, H, W) in [0, 1]."""
    rows = []
    for picture in pictures:
        mean, deviation = sensor.statistics(picture.reshape(1, 3, *picture.shape[-2:]))
        rows.append(tuple(round(float(x), 4) for x in torch.stack([mean, deviation], -1).flatten()))
    return tuple(rows)


def scenes_of(
    synthetic: Sequence[Frame] | str | Path, view: View, size: tuple[int, int], field_mm: float, seed: int
) -> list[Scene]:
    """Return at most MOST_SYNTHETIC scenes in the real pictures' view."""
    scenes = []
    for index, (light, px_per_mm) in enumerate(_lights(synthetic, field_mm)):
        whole, matrix = sensor.view(to_tensor([light]), view, size)
        scenes.append(Scene(_window(whole, seed, index, "synthetic"), px_per_mm * float(matrix[0, 0]), index))
    if len(scenes) < 4:
        raise DatasetError(f"{len(scenes)} synthetic frames are too few to fit a camera; give at least 4")
    return scenes


def _lights(synthetic: Sequence[Frame] | str | Path, field_mm: float) -> Iterable[tuple[np.ndarray, float]]:
    """Yield linear light (H, W, 3) and its px per mm, one picture at a time, spread over all there are."""
    if isinstance(synthetic, str | Path) and not (Path(synthetic) / "dataset.json").is_file():
        for image in read_pictures(synthetic, MOST_SYNTHETIC).images:
            yield srgb_to_linear(image), image.shape[1] / field_mm if field_mm else 0.0
        return
    frames = facewright.dataset.open(synthetic, ["rgb", "linear"]) if isinstance(synthetic, str | Path) else synthetic
    for n in np.unique(np.linspace(0, len(frames) - 1, min(len(frames), MOST_SYNTHETIC)).round().astype(int)):
        light = linear_of(frames[int(n)])
        yield light, light.shape[1] / frames[int(n)].sample.camera.field_mm


def _window(picture: Tensor, seed: int, index: int, name: str) -> Tensor:
    """Return a random window of at most WINDOW px of (1, 3, H, W)."""
    height, width = picture.shape[-2:]
    h, w = min(height, WINDOW), min(width, WINDOW)
    random = stream(seed, index, f"refiner.fit.window.{name}")
    y, x = int(random.integers(0, height - h + 1)), int(random.integers(0, width - w + 1))
    return picture[..., y : y + h, x : x + w].contiguous()


def _with_preprocessing(base: Profile, real: Tensor) -> Profile:
    """Return the base profile with `gray` and `equalise` as the real pictures show them."""
    levels = (real.mean(1).flatten(1)).sort(1).values
    flat = (levels - torch.linspace(0, 1, levels.shape[1])).abs().mean(1).median() < 0.02
    grey = ((real - real.mean(1, keepdim=True)).abs().amax((1, 2, 3)) < 2 / 255).float().mean() > 0.95
    found = {"gray": Constant(True)} if grey and not _is_mono(base) else {}
    found |= {"equalise": Constant(True)} if flat else {}
    dists = {**base.dists, **found}
    return replace(base, dists={name: dists[name] for name in parameters() if name in dists})


def _flags(base: Profile) -> dict[str, Dist]:
    """Return what raw renders must share with the real pictures to be compared fairly: their pre-processing."""
    return {name: base.dists[name] for name in ("gray", "equalise") if name in base.dists}


def _fitted(base: Profile, scenes: Sequence[Scene], windowed: bool) -> list[str]:
    """Return the parameters to fit: not what these pictures cannot tell."""
    left_out: set[str] = set()
    if _is_mono(base) or "gray" in base.dists:
        left_out |= set(COLOUR)
    if windowed:
        left_out |= set(FIELD)
    if base.grades:
        left_out |= set(GRADED)
    if not all(scene.px_per_mm for scene in scenes):
        left_out.add("px_per_mm")
    return [name for name in RANGES if name not in left_out]


def _is_mono(base: Profile) -> bool:
    return base.dists.get("mosaic") == Constant("mono")


def held_out(groups: Sequence[str]) -> Tensor:
    """Return (N,) bool: a third of the pictures, whole groups."""
    place = {name: int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "big") for name in groups}
    order = sorted(place, key=place.__getitem__)
    held = set(order[: max(1, len(order) // 3)])
    return torch.tensor([name in held for name in groups])


def halves(groups: Sequence[str]) -> Tensor:
    """Return (N,) bool that splits pictures into two halves, whole groups each."""
    order = {name: n for n, name in enumerate(sorted(set(groups)))}
    return torch.tensor([order[name] % 2 == 0 for name in groups])


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); choose another place") from None
