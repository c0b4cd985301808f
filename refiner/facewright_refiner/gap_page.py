"""The gap lab's result as one self-contained HTML page, and as lines for a terminal."""

from __future__ import annotations

import base64
import colorsys
import io
import math
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from facewright.dataset import layout
from facewright.errors import MissingPackage
from facewright_refiner.gap import ROWS, Result
from facewright_refiner.tasks.intervals import Interval

Array = np.ndarray

WHAT = {
    "real": "real pictures",
    "naive": "ours, as the recipe makes them",
    "matched": "ours, from the matched recipe",
    "adapted": "the same, predictions mapped to the real set's labels",
    "refined": "matched pictures refined, predictions mapped",
}
GAPS = {
    "content": "what the pictures show: matching the recipe gains this",
    "labels": "where annotators draw the line: the label adapter gains this",
    "appearance": "how the pictures look: the refiner gains this",
    "residual": "what is left to training on real pictures",
}
_W, _ROW = 720, 30
_LEFT, _RIGHT = 92, 96


def lines(result: Result) -> list[str]:
    """Return the result as lines of text."""
    unit = result.about["task"]["unit"]
    told = [f"{'row':10} {unit:>10}  95 % interval       pictures"]
    for name, row in result.rows.items():
        told.append(f"{name:10} {row.score.value:10.2f}  {_between(row.score):18}  {row.pictures}")
    told.append(f"{'gap':10} {unit:>10}  95 % interval       share of the whole, 95 %")
    for name, gap in result.gaps.items():
        share = f"{result.shares[name].value:.0f} % {_between(result.shares[name], 0)}" if name in result.shares else ""
        told.append(f"{name:10} {gap.value:10.2f}  {_between(gap):18}  {share}")
    told += [f"beside them: {name}: {found.value:.2f} {_between(found)}" for name, found in result.also.items()]
    if not certain(result):
        told.append("the whole gap's interval holds 0: its shares mean nothing")
    return told


def certain(result: Result) -> bool:
    """Return whether there is a gap to share out: its interval lies above 0."""
    return result.gaps["whole"].low > 0


def write(result: Result, output: Path) -> None:
    """Write the page. Raises OutputError, MissingPackage."""
    try:
        import jinja2
    except ImportError:
        raise MissingPackage("the page needs the package jinja2; run `python -m pip install jinja2`") from None
    page = resources.files("facewright_refiner") / "templates" / "gap.html"
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    html = environment.from_string(page.read_text(encoding="utf-8")).render(
        about=result.about,
        rows=[(name, WHAT[name], row) for name, row in result.rows.items()],
        gaps=[(name, GAPS[name], result.gaps[name], result.shares[name]) for name in result.shares],
        whole=result.gaps["whole"],
        also=result.also,
        certain=certain(result),
        detail_names=list(next(iter(result.rows.values())).details),
        rows_chart=_chart([(name, row.score) for name, row in result.rows.items()], ""),
        gaps_chart=_chart([(name, result.gaps[name]) for name in (*result.shares, "whole")], "gap"),
        sheet=_sheet(result),
        between=_between,
    )
    layout.write_atomic(output, html.encode())


def _between(found: Interval, digits: int = 2) -> str:
    return f"[{found.low:.{digits}f}, {found.high:.{digits}f}]"


def _chart(rows: list[tuple[str, Interval]], kind: str) -> str:
    """Return bars from 0 with whiskers as inline SVG."""
    low = min(0.0, *(found.low for _, found in rows))
    high = max(0.0, *(found.high for _, found in rows)) or 1.0
    scale = (_W - _LEFT - _RIGHT) / (high - low)

    def x(value: float) -> float:
        return _LEFT + (value - low) * scale

    body = ""
    for number, (name, found) in enumerate(rows):
        middle = number * _ROW + _ROW / 2
        start, end = sorted((x(0), x(found.value)))
        half = (found.high - found.low) / 2
        body += (
            f'<text x="0" y="{middle + 4}">{name}</text><rect class="{kind} {name}" x="{start:.1f}" y="{middle - 8}" '
            f'width="{end - start:.1f}" height="16" rx="2"/>'
            f'<path class="whisker" d="M{x(found.low):.1f} {middle}H{x(found.high):.1f}"/>'
            f'<text class="value" x="{_W}" y="{middle + 4}">{found.value:.2f} ±{half:.2f}</text>'
        )
    axis = f'<path class="axis" d="M{x(0):.1f} 0V{len(rows) * _ROW}"/>'
    return f'<svg class="chart" viewBox="0 0 {_W} {len(rows) * _ROW}" role="img">{axis}{body}</svg>'


def _sheet(result: Result) -> list[tuple[str, list[str]]]:
    """Return (row, pictures as data URIs): the pictures, the truth, and each row's answers with the first seed."""
    shown, task = result.shown, result.about["task"]
    pictures = [np.ascontiguousarray(picture.transpose(1, 2, 0)) for picture in shown["pictures"]]
    columns = [("picture", [_png(picture) for picture in pictures])]
    for name in ("truth", *ROWS):
        if name in shown:
            seen = [drawn(task, p, answer) for p, answer in zip(pictures, shown[name], strict=True)]
            columns.append((name, [_png(picture) for picture in seen]))
    return columns


def drawn(task: dict, picture: Array, answer: Array) -> Array:
    """Return the picture (H, W, 3) uint8 with an answer: class ids, landmarks over the size, or (pitch, yaw)."""
    height, width = picture.shape[:2]
    if "classes" in task:
        colours = palette(len(task["classes"]))
        painted = np.where((answer > 0)[..., None], colours[np.minimum(answer, len(colours) - 1)], picture // 3)
        return painted.astype(np.uint8)
    scale = 4
    image = Image.fromarray(picture).resize((width * scale, height * scale))
    draw = ImageDraw.Draw(image)
    if answer.ndim == 2:
        for x, y in answer * (width * scale, height * scale):
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=(79, 209, 192))
    else:
        x, y, reach = width * scale / 2, height * scale / 2, height * scale / 2
        pitch, yaw = map(float, answer)
        draw.line((x, y, x - reach * math.cos(pitch) * math.sin(yaw), y - reach * math.sin(pitch)), (79, 209, 192), 4)
    return np.asarray(image)


def palette(count: int) -> Array:
    """Return (count, 3) uint8: colours far apart for neighbouring ids, black for 0."""
    hues = [colorsys.hsv_to_rgb(n * 0.618 % 1, 0.45 + 0.4 * (n % 2), 1 - 0.3 * (n % 3 == 2)) for n in range(count)]
    colours = np.round(np.array(hues) * 255).astype(np.uint8)
    colours[0] = 0
    return colours


def _png(picture: Array) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
