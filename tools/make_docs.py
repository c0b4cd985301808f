"""Write the tables of the pages in docs/ from the code, between their marks.

python tools/make_docs.py            rewrite the tables
python tools/make_docs.py --check    exit with 1 where a page is not current
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "generators"))

from facewright import dist, schema  # noqa: E402
from facewright.attributes import DERIVED  # noqa: E402
from facewright.face.landmarks import dense478  # noqa: E402
from facewright.recipe import OUTPUTS, builtin_recipes  # noqa: E402
from facewright.render import LAYERS  # noqa: E402
from facewright.sample import parameters  # noqa: E402

PAGES = ("labels.md", "recipes.md", "exports.md", "landmarks.md")


def table(head: list[str], rows: list[list[Any]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def classes() -> str:
    """Return the table of segmentation ids."""
    return table(
        ["id", "name", "colour", "meaning"],
        [
            [
                int(label),
                f"`{label.name}`",
                "`#{:02x}{:02x}{:02x}`".format(*schema.PALETTE[label]),
                schema.DESCRIPTION[label],
            ]
            for label in schema.Label
        ],
    )


def layers() -> str:
    """Return the table of layers."""
    return table(
        ["layer", "file", "array", "meaning"],
        [
            [
                f"`{name}`",
                f"`000123.{spec.suffix}`",
                f"(H, W{f', {spec.channels}' if spec.channels else ''}) {spec.dtype}",
                spec.doc,
            ]
            for name, spec in LAYERS.items()
        ],
    )


def groups(members: dict[str, range]) -> str:
    """Return a table of landmark groups."""
    return table(
        ["group", "points"], [[f"`{name}`", f"{group.start}-{group.stop - 1}"] for name, group in members.items()]
    )


def mappings() -> str:
    """Return the table that maps our ids to public conventions."""
    names = list(schema.MAPPINGS)
    return table(
        ["class", *names],
        [[f"`{label.name}`", *(schema.MAPPINGS[name][label] for name in names)] for label in schema.Label],
    )


def leaves() -> str:
    """Return one table of drawn parameters for each section of a recipe."""
    sections: dict[str, list[list[Any]]] = {}
    for path, (spec, kind) in parameters().items():
        section, _, name = path.rpartition(".")
        sections.setdefault(section, []).append(
            [
                f"`{name}`",
                spec.unit or kind,
                limits(spec, kind),
                default(spec),
                spec.doc + (f" *({spec.source})*" if spec.source else ""),
            ]
        )
    head = ["field", "unit", "allowed", "default", "meaning (source)"]
    return "\n\n".join(f"### `{section}`\n\n{table(head, rows)}" for section, rows in sections.items())


def limits(spec: dist.Param, kind: str) -> str:
    """Return what values a parameter may take."""
    if spec.choices:
        return ", ".join(f"`{choice}`" for choice in spec.choices)
    if kind == "bool":
        return "true, false"
    if spec.low is None and spec.high is None:
        return "a name" if kind == "str" else "any"
    return f"{spec.low:g} to {spec.high:g}"


def default(spec: dist.Param) -> str:
    """Return a parameter's default distribution as a reader writes it."""
    match spec.default:
        case dist.Given(function=function):
            first = (function.__doc__ or "").strip().split("\n")[0].removeprefix("Draw ").rstrip(".")
            return f"auto: {first}" if first and function.__name__.startswith("_") else "auto"
        case dist.Constant(value=value):
            return f"`{str(value).lower() if isinstance(value, bool) else value}`"
        case dist.Uniform(low=low, high=high):
            return f"uniform {low:g} to {high:g}"
        case dist.LogUniform(low=low, high=high):
            return f"log-uniform {low:g} to {high:g}"
        case dist.Normal(mean=mean, sd=sd, low=low, high=high):
            return f"normal {mean:g} ± {sd:g}, {low:g} to {high:g}"
        case dist.Choice(values=values, weights=weights):
            whole = sum(weights)
            return ", ".join(
                f"{value} {100 * weight / whole:.0f} %" for value, weight in zip(values, weights, strict=True)
            )
    raise TypeError(f"no words for {spec.default!r}")


TABLES: dict[str, Callable[[], str]] = {
    "classes": classes,
    "layers": layers,
    "landmarks": lambda: groups(schema.IBUG68),
    "wflw": lambda: groups(schema.WFLW98),
    "dense": lambda: groups(dense478().groups),
    "sets": lambda: table(["set", "points"], [[f"`{name}`", doc] for name, doc in schema.LANDMARK_SETS.items()]),
    "attributes": lambda: table(["column", "meaning"], [[f"`{name}`", doc] for name, doc in DERIVED.items()]),
    "mappings": mappings,
    "parameters": leaves,
    "builtin": lambda: ", ".join(f"`{name}`" for name in builtin_recipes()),
    "outputs": lambda: ", ".join(f"`{name}`" for name in OUTPUTS),
    "version": lambda: f"Version of the contract: **{schema.VERSION}**.",
}


def render(text: str) -> str:
    """Return a page with every marked table made anew."""

    def fill(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- made: {name} -->\n{TABLES[name]()}\n<!-- end: {name} -->"

    return re.sub(r"<!-- made: (?P<name>\w+) -->.*?<!-- end: (?P=name) -->", fill, text, flags=re.DOTALL)


def main(arguments: list[str]) -> int:
    """Rewrite the pages, or with --check only say which are not current."""
    stale = 0
    for name in PAGES:
        page = ROOT / "docs" / name
        text = page.read_text(encoding="utf-8")
        fresh = render(text)
        if fresh == text:
            continue
        if "--check" in arguments:
            print(f"docs/{name} is not current; run `python tools/make_docs.py`")
            stale = 1
        else:
            page.write_text(fresh, encoding="utf-8")
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
