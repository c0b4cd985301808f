"""Write the numbers of a run of `facewright gap` as a page and as JSON, without its pictures and paths.

python benchmarks/gap/record.py OUT -o results/parsing --title "Face parsing" --command "facewright gap ..."
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def between(found: dict[str, float], digits: int = 1) -> str:
    """Return "value [low, high]"."""
    return f"{found['value']:.{digits}f} [{found['low']:.{digits}f}, {found['high']:.{digits}f}]"


def page(title: str, command: str, run: dict[str, Any]) -> list[str]:
    """Return the lines of the page."""
    about = run["about"]
    unit = about["task"]["unit"]
    details = list(next(iter(run["rows"].values()))["details"])
    lines = [
        f"# {title}",
        "",
        f"`{command}`",
        "",
        f"N = {about['train']} pictures a row, {about['command']['seeds']} seeds, {about['budget']['steps']} steps of "
        f"{about['budget']['batch']}, {about['task']['width']} × {about['task']['height']} px; {about['test']} real "
        f"test pictures of {about['groups']} groups, "
        + ("the set's own split" if about["folds"] == 1 else f"{about['folds']} folds of whole groups")
        + f"; the adapter learns from {about['adapter_pictures']} labelled real training pictures. 95 % intervals over "
        "groups and seeds.",
        "",
        f"| row | pictures | {unit} | " + " | ".join(details) + " |",
        "|---|---|---|" + "---|" * len(details),
    ]
    for name, row in run["rows"].items():
        cells = [f"{row['details'][key]:.1f}" for key in details]
        lines.append(f"| {name} | {row['pictures']} | {between(row['score'])} | " + " | ".join(cells) + " |")
    lines += ["", f"| gap | {unit} | share of the whole, % |", "|---|---|---|"]
    for name, gap in run["gaps"].items():
        share = between(run["shares"][name], 0) if name in run["shares"] else "100"
        lines.append(f"| {name} | {between(gap)} | {share} |")
    lines += ["", "Beside them: " + "; ".join(f"{name} {between(found)}" for name, found in run["also"].items()) + "."]
    machine = ", ".join(f"{key} {value}" for key, value in about["machine"].items())
    return [
        *lines,
        "",
        f"{machine}; seed {about['command']['seed']}.",
        "",
    ]


def main() -> None:
    """Read gap.json and write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--title", required=True)
    parser.add_argument("--command", required=True, help="as others would type it")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    run = json.loads((args.run / "gap.json").read_text())
    asked = run["about"]["command"]
    run["about"]["command"] = {key: value for key, value in asked.items() if key != "refine"}
    run["about"]["command"] |= {"refine": asked["refine"].partition(":")[0], "line": args.command}
    args.output.with_suffix(".json").write_text(json.dumps(run, indent=1) + "\n")
    args.output.with_suffix(".md").write_text("\n".join(page(args.title, args.command, run)))


if __name__ == "__main__":
    main()
