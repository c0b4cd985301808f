"""One HTML page about a dataset: pictures with labels to toggle, distributions, failures. No network, no other file."""

from __future__ import annotations

import base64
import io
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import facewright.dataset
from facewright.attributes import drawn
from facewright.dataset import layout, overlay
from facewright.dataset.reader import Dataset
from facewright.errors import DatasetError, MissingPackage
from facewright.progress import Emit
from facewright.schema import CELEBAMASK_HQ, DESCRIPTION, MAPPINGS, PALETTE, Label
from facewright.truth import pitch_yaw

MAX_PICTURES = 48
"""Pictures on the page, evenly spaced over the dataset."""
MAX_RECORDS = 4000
"""Records that the distributions are taken from, evenly spaced."""
PICTURE_PX = 512
"""Longer edge of a picture on the page."""
MAX_SEGS = 1000
"""Class maps that the presence of classes is counted in, evenly spaced."""
LEAST_PIXELS = 8
"""A class with fewer pixels does not occur."""
BINS = 18


@dataclass(frozen=True)
class Tile:
    """One picture on the page: data URIs of its layers ("" where missing), the marks as SVG, and a caption."""

    index: int
    raw: str
    refined: str
    seg: str
    seg_anatomical: str
    marks: str
    caption: str
    ratio: str


class Chart(NamedTuple):
    """A small chart as inline SVG, with the numbers that sum it up."""

    title: str
    note: str
    svg: str


def report(folder: Path, output: Path, real: Path | None = None, emit: Emit | None = None) -> None:
    """Write the page about the dataset in `folder` to `output`. Raises DatasetError, OutputError, MissingPackage.

    With a folder of `real` pictures, a section compares the two sets, and its numbers are written beside `output` as
    JSON.
    """
    try:
        import jinja2
    except ImportError:
        raise MissingPackage("reports need the package jinja2; run `python -m pip install jinja2`") from None
    dataset = facewright.dataset.open(folder)
    records, damaged = _records(dataset)
    tiles, shares, brightness = _tiles(dataset, {record["index"] for record in records}, damaged)
    page = resources.files("facewright.dataset") / "templates" / "report.html"
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    presence, looked = _presence(dataset, [record["index"] for record in records if "seg" in record["layers"]])
    beside = _beside(folder, real, output.with_suffix(".json"), emit) if real else None
    html = environment.from_string(page.read_text(encoding="utf-8")).render(
        card=dataset.card,
        beside=beside,
        tiles=tiles,
        legend=_legend(shares),
        facts=_facts(dataset, records),
        stages=_stages(records),
        presence=presence,
        looked=looked,
        rule=f", on {LEAST_PIXELS} pixels or more",
        charts=_charts(records, brightness),
        attributes=_attribute_charts(records),
        checks=_checks(records),
        failures=_failures(folder) + damaged,
        makers=_makers(dataset),
        colours=overlay.COLOURS,
        recipe=json.dumps(dataset.card.recipe, indent=2),
        shown=len(tiles),
        total=len(dataset),
        counted=len(records),
        has_refined=any(tile.refined for tile in tiles),
    )
    layout.write_atomic(output, html.encode())


def _beside(folder: Path, real: Path, numbers: Path, emit: Emit | None) -> dict[str, Any]:
    """Return what the page says about the dataset beside real pictures; writes the JSON file `numbers`."""
    try:
        from facewright_refiner.diversity import examine
    except ImportError as error:
        raise MissingPackage(
            f"comparing with real pictures needs torch and kornia ({error}); run `python -m pip install torch kornia`, "
            "or this command with a Python that has them"
        ) from None
    log = (lambda text: emit({"event": "note", "message": text})) if emit else lambda text: None
    found = examine(folder, real, log=log)
    diversity, data = found.diversity, found.to_data()
    layout.write_atomic(numbers, (json.dumps(data, indent=1) + "\n").encode())
    return {
        "real": len(found.real.paths),
        "made": len(found.renders.indices),
        "count": diversity.count,
        "spaces": diversity.spaces,
        "findings": diversity.findings,
        "charts": [_pair(factor, *diversity.distances[factor.name]) for factor in diversity.factors],
        "unread": diversity.unread,
        "uncovered": [_thumbnail(found.real.pictures[n].numpy()) for n in diversity.uncovered],
        "foreign": [_thumbnail(found.renders.pictures[n].numpy()) for n in diversity.foreign],
        "notes": found.notes,
    }


def _thumbnail(picture: np.ndarray) -> str:
    """Return a (3, H, W) picture in [0, 1] as a data URI."""
    return _jpeg(np.round(255 * picture.transpose(1, 2, 0)).astype(np.uint8))


def _pair(factor: Any, distance: Any, floor: Any) -> Chart:
    """Return the chart of a diversity.Factor of both sets, with its distance and that of two halves of the real set."""
    note = f"distance {distance.value:.2f} ({distance.low:.2f} to {distance.high:.2f}), floor {floor.value:.2f}"
    if factor.score is not None:
        note += f"; read with R² {factor.score:.2f}"
    return versus(f"{factor.name}, {factor.unit}" if factor.unit else factor.name, note, factor.real, factor.made)


def _spread(indices: Sequence[int], most: int) -> list[int]:
    """Return at most `most` of `indices`, evenly spaced."""
    if len(indices) <= most:
        return list(indices)
    return [indices[round(place)] for place in np.linspace(0, len(indices) - 1, most)]


def _records(dataset: Dataset) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    found, damaged, bare = [], [], dataset.with_layers(())
    for index in _spread(dataset.indices, MAX_RECORDS):
        try:
            record = dataset.record(index)
            bare.frame(index, record)
            record["truth"] = {name: record["truth"][name] for name in ("gaze", "head", "occluded")}  # landmarks weigh
            found.append(record)
        except DatasetError as error:
            damaged.append({"index": index, "error": str(error)})
    return found, damaged


def _tiles(
    dataset: Dataset, readable: set[int], damaged: list[dict[str, Any]]
) -> tuple[list[Tile], np.ndarray, list[float]]:
    """Return the tiles, the mean share of pixels of every id (256,), and the mean brightness of every picture."""
    tiles, brightness, shares = [], [], np.zeros(256)
    for index in _spread([index for index in dataset.indices if index in readable], MAX_PICTURES):
        try:
            frame = dataset.frame(index)
        except DatasetError as error:
            damaged.append({"index": index, "error": str(error)})
            continue
        layers = frame.layers
        if "seg" in layers:
            shares += np.bincount(layers["seg"].ravel(), minlength=256) / layers["seg"].size
        brightness.append(float(layers.get("refined", layers["rgb"]).mean() / 255))
        pitch, yaw = (math.degrees(angle) for angle in pitch_yaw(frame.truth.gaze))
        tiles.append(
            Tile(
                index,
                _jpeg(layers["rgb"]),
                _jpeg(layers["refined"]) if "refined" in layers else "",
                _label_png(layers["seg"]) if "seg" in layers else "",
                _label_png(layers["seg_anatomical"]) if "seg_anatomical" in layers else "",
                overlay.svg(frame.truth),
                f"gaze {yaw:+.0f}° {pitch:+.0f}°",
                f"{frame.truth.camera.width} / {frame.truth.camera.height}",
            )
        )
    return tiles, shares / max(1, len(tiles)), brightness


def _jpeg(picture: np.ndarray) -> str:
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((PICTURE_PX, PICTURE_PX), Image.Resampling.LANCZOS)
    return _data_uri(image, "jpeg", quality=86)


def _label_png(seg: np.ndarray) -> str:
    from PIL import Image

    picture = overlay.label_picture(seg)
    picture.thumbnail((PICTURE_PX, PICTURE_PX), Image.Resampling.NEAREST)
    return _data_uri(picture, "png", transparency=picture.info["transparency"])


def _data_uri(image: Any, kind: str, **options: Any) -> str:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def _legend(shares: np.ndarray) -> list[dict[str, Any]]:
    return [
        {
            "name": label.name.lower().replace("_", " "),
            "id": int(label),
            "doc": DESCRIPTION[label],
            "colour": "#{:02x}{:02x}{:02x}".format(*PALETTE[label]),
            "share": 100 * shares[label],
        }
        for label in Label
        if shares[label] > 0
    ]


def _presence(dataset: Dataset, indices: list[int]) -> tuple[list[dict[str, Any]], int]:
    """Return in how many frames each of CelebAMask-HQ's classes occurs, and how many frames were looked at."""
    table = np.zeros(256, np.uint8)
    for label, value in MAPPINGS["celebamask_hq"].items():
        table[label] = value
    found, looked = np.zeros(256, int), 0
    for index in _spread(indices, MAX_SEGS):
        try:
            seg = dataset.with_layers(["seg"]).frame(index).seg
        except DatasetError:
            continue  # listed among the failures where its picture is shown
        found += np.bincount(table[seg].ravel(), minlength=256) >= LEAST_PIXELS
        looked += 1
    rows = enumerate(CELEBAMASK_HQ) if looked else ()
    return [{"name": n, "frames": int(found[k]), "share": 100 * found[k] / looked} for k, n in rows], looked


def _facts(dataset: Dataset, records: list[dict[str, Any]]) -> list[tuple[str, str]]:
    card = dataset.card
    seconds = [sum(record["made"]["seconds"].values()) for record in records]
    subjects = {record["sample"]["subject_index"] for record in records}
    size = sum(layer["bytes"] for record in records for layer in record["layers"].values())
    scale = len(dataset) / max(1, len(records))
    sizes = Counter(f"{r['sample']['image']['width']} × {r['sample']['image']['height']}" for r in records)
    devices = {str(maker.get("device", "?")) for maker in card.made_with}
    return [
        ("frames", f"{len(dataset):,} of {len(card.wanted):,}"),
        ("subjects", f"{len(subjects):,}"),
        ("image", sizes.most_common(1)[0][0] if sizes else "–"),
        ("device", ", ".join(sorted(devices)) or "–"),
        ("refiner", Path(card.refine).stem),
        ("seconds a frame", f"{np.median(seconds):.2f}" if seconds else "–"),
        ("on disk", f"{size * scale / 1e6:,.0f} MB"),
        ("seed", str(card.seed)),
    ]


def _stages(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return mean seconds by stage and their share of the frame, longest first."""
    total: Counter[str] = Counter()
    for record in records:
        total.update(record["made"]["seconds"])
    whole = sum(total.values()) or 1.0
    return [
        {"name": name, "seconds": value / len(records), "share": 100 * value / whole}
        for name, value in total.most_common()
    ]


def _checks(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each check's limit, median, worst value and the index of the worst, nearest to its limit first."""
    rows: dict[str, list[tuple[float, int, float]]] = {}
    for record in records:
        for check in record["checks"]:
            rows.setdefault(check["name"], []).append((check["value"], record["index"], check["limit"]))
    table = []
    for name, found in rows.items():
        worst, index, limit = max(found)
        middle = float(np.median([value for value, *_ in found]))
        share = 100 * worst / limit if limit > 0 else 100.0 * (worst > limit)
        table.append(
            {
                "name": name,
                "limit": limit,
                "median": middle,
                "worst": worst,
                "index": index,
                "share": share,
                "failed": sum(value > limit for value, *_ in found),
            }
        )
    return sorted(table, key=lambda row: -row["share"])


def _failures(folder: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted((folder / layout.QUARANTINE).glob("*/error.txt")):
        index = layout.index_of(path.parent.name)
        if index is None:
            continue
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["(no message)"]
        trace = lines[0].startswith("Traceback")
        found.append({"index": index, "error": lines[-1] if trace else lines[0]})
    return found


def _makers(dataset: Dataset) -> list[list[tuple[str, str]]]:
    return [
        [(key, value if isinstance(value, str) else json.dumps(value)) for key, value in maker.items()]
        for maker in dataset.card.made_with
    ]


def _charts(records: list[dict[str, Any]], brightness: list[float]) -> list[Chart]:
    if not records:
        return []
    gaze = np.degrees([pitch_yaw(np.array(record["truth"]["gaze"])) for record in records])
    head = np.array([(r["truth"]["head"]["pitch_deg"], r["truth"]["head"]["yaw_deg"]) for r in records])

    def leaf(path: str) -> list[float]:
        values = []
        for record in records:
            node = record["sample"]
            for part in path.split("."):
                node = node[part]
            values.append(node)
        return values

    ancestry = Counter(
        max(("african", "asian", "caucasian"), key=lambda name: record["sample"]["subject"]["head"][name])
        for record in records
    )
    return [
        scatter("gaze", "visual axes' mean, camera axes", gaze[:, 1], gaze[:, 0]),
        scatter("head pose", "camera axes", head[:, 1], head[:, 0]),
        histogram("gaze yaw", gaze[:, 1], "°"),
        histogram("gaze pitch", gaze[:, 0], "°"),
        histogram("head yaw", head[:, 1], "°"),
        histogram("head pitch", head[:, 0], "°"),
        histogram("head roll", [record["truth"]["head"]["roll_deg"] for record in records], "°"),
        histogram("brightness", brightness, "", (0, 1)),
        histogram("age", leaf("subject.head.age_years"), " y", (0, 90)),
        histogram("gender", leaf("subject.head.gender"), "", (0, 1), ("female", "male")),
        bars("main ancestry", ancestry),
        bars("hair", Counter(map(str, leaf("subject.hair.style")))),
        bars("mood", Counter(map(str, leaf("expression.mood")))),
        histogram("skin melanin", leaf("subject.skin.melanin"), "", (0, 1), ("light", "dark")),
        histogram("iris melanin", leaf("subject.eye.iris.melanin"), "", (0, 1), ("blue", "near-black")),
        histogram("pupil", leaf("subject.eye.pupil_mm"), " mm", (1.5, 9)),
        histogram("lid closure", leaf("expression.blink"), "", (0, 1), ("open", "shut")),
    ]


def _attribute_charts(records: list[dict[str, Any]]) -> list[Chart]:
    """Return a chart of every scalar parameter that has more than one value, and of what hides the face."""
    rows = [
        drawn(record["sample"]) | {f"occluded by {k}": v for k, v in record["truth"]["occluded"].items()}
        for record in records
    ]
    charts = []
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name, 0.0) for row in rows]
        if len(set(values)) == 1:
            continue
        words = any(isinstance(value, str | bool) for value in values)
        charts.append(bars(name, Counter(map(str, values))) if words else histogram(name, values, ""))
    return charts


_W, _H = 260, 120


def histogram(
    title: str, values: Any, unit: str, span: tuple[float, float] | None = None, ends: tuple[str, str] = ("", "")
) -> Chart:
    """Return a histogram over `span`, or from the least to the greatest value; `ends` names its two ends."""
    values = np.asarray(values, float)
    low, high = span or _round_span(values)
    counts, _ = np.histogram(np.clip(values, low, high), BINS, (low, high))
    step, top = _W / BINS, max(1, counts.max())
    body = "".join(
        f'<rect x="{n * step + 0.75:.2f}" y="{_H - _H * c / top:.2f}" width="{step - 1.5:.2f}" '
        f'height="{_H * c / top:.2f}" rx="1.5"><title>{low + (high - low) * n / BINS:.3g}–'
        f"{low + (high - low) * (n + 1) / BINS:.3g}{unit}: {c}</title></rect>"
        for n, c in enumerate(counts)
        if c
    )
    axis = _axis(ends[0] or f"{low:g}{unit}", ends[1] or f"{high:g}{unit}")
    return Chart(title, f"mean {values.mean():.3g}{unit}, sd {values.std():.2g}", _chart(body + axis))


def versus(title: str, note: str, real: np.ndarray, made: np.ndarray) -> Chart:
    """Return the shares of two sets over one axis, `real` filled and `made` as a line; NaN is left out."""
    sets = [values[np.isfinite(values)] for values in (real, made)]
    low, high = _round_span(np.quantile(np.concatenate(sets), (0.005, 0.995)))
    shares = [np.histogram(np.clip(part, low, high), BINS, (low, high))[0] / max(1, len(part)) for part in sets]
    step, top = _W / BINS, max(1e-9, *(part.max() for part in shares))
    body = "".join(
        f'<rect class="real" x="{n * step:.2f}" y="{_H - _H * share / top:.2f}" width="{step:.2f}" '
        f'height="{_H * share / top:.2f}"/>'
        for n, share in enumerate(shares[0])
    )
    line = "".join(
        f"L{n * step:.2f} {_H - _H * share / top:.2f}H{(n + 1) * step:.2f}" for n, share in enumerate(shares[1])
    )
    return Chart(
        title, note, _chart(f'{body}<path class="made" d="M0 {_H}{line}V{_H}"/>{_axis(f"{low:g}", f"{high:g}")}')
    )


def bars(title: str, counts: Counter[str]) -> Chart:
    """Return horizontal bars, most frequent first."""
    rows = counts.most_common(10)
    step = min(26, (_H + 16) / max(1, len(rows)))
    whole = sum(counts.values())
    body = "".join(
        f'<text x="0" y="{n * step + step * 0.68:.1f}">{name}</text>'
        f'<rect x="84" y="{n * step + step * 0.16:.1f}" width="{(_W - 118) * count / rows[0][1]:.1f}" '
        f'height="{step * 0.68:.1f}" rx="2"/><text class="value" x="{_W}" y="{n * step + step * 0.68:.1f}">'
        f"{100 * count / whole:.0f} %</text>"
        for n, (name, count) in enumerate(rows)
    )
    return Chart(title, f"{len(counts)} kinds", _chart(body))


def scatter(title: str, note: str, yaw: np.ndarray, pitch: np.ndarray) -> Chart:
    """Return yaw against pitch in degrees as the camera sees it: image-left is left, up is up."""
    edge = max(10.0, math.ceil(max(np.abs(yaw).max(), np.abs(pitch).max()) / 10) * 10)
    middle, reach = _W / 2, (_H + 16) / 2
    rings = "".join(f'<circle class="ring" cx="{middle}" cy="{reach}" r="{reach * part:.1f}"/>' for part in (0.5, 1))
    cross = f'<path class="ring" d="M{middle} 0V{2 * reach}M{middle - reach} {reach}H{middle + reach}"/>'
    opacity = max(0.15, min(0.8, 40 / len(yaw)))
    dots = "".join(
        f'<circle class="dot" opacity="{opacity:.2f}" cx="{middle - reach * y / edge:.1f}" '
        f'cy="{reach - reach * p / edge:.1f}" r="2.4"/>'
        for y, p in zip(yaw, pitch, strict=True)
    )
    scale = f'<text class="value" x="{middle + reach + 30:.0f}" y="{reach + 4}">{edge:g}°</text>'
    return Chart(title, note, _chart(rings + cross + dots + scale))


def _round_span(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-6:
        return low - 1, low + 1
    step = 10.0 ** math.floor(math.log10(high - low))
    return math.floor(low / step) * step, max(math.ceil(high / step), math.floor(low / step) + 1) * step


def _axis(left: str, right: str) -> str:
    return (
        f'<path class="axis" d="M0 {_H + 1}H{_W}"/><text x="0" y="{_H + 15}">{left}</text>'
        f'<text class="value" x="{_W}" y="{_H + 15}">{right}</text>'
    )


def _chart(body: str) -> str:
    return f'<svg class="chart" viewBox="0 -2 {_W} {_H + 20}" role="img">{body}</svg>'
