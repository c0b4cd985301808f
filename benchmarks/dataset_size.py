"""What grows with the number of frames: 100, 1,000, 10,000 of them, tiny, painted by the mock renderer.

    python benchmarks/dataset_size.py FOLDER [--sizes 100 1000 10000]

One dataset is extended to each size in turn, as a user would: `generate` with one worker process. Of every size: CPU
seconds a frame that worker and coordinator spend on the last tenth of the frames, so that a cost that grows with what
is there already shows undiluted (wall clocks are shared, CPU seconds are not); their resident memory; CPU seconds of a
run that finds everything done, of `check`, `report` and `--tar`, and the memory of these. Writes
benchmarks/results/dataset_size.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = ["image.width=16", "image.height=16", "outputs=[seg]", "frames_per_subject=1000"]
PROGRAM = """
import json, os, resource, sys
from facewright import cli
from facewright.farm import worker
code = cli.main(sys.argv[1:])
mine, below = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = [use.ru_utime + use.ru_stime for use in (mine, below)]
print(json.dumps({"code": code, "cpu": cpu, "peak_mb": mine.ru_maxrss // 1024}), file=sys.stderr)
"""


def run(*words: Any) -> dict[str, Any]:
    """Run the command line; return exit code, CPU seconds of it and of its workers, its peak memory, its events."""
    env = os.environ | {"PYTHONPATH": str(ROOT / "generators")}
    start = time.monotonic()
    command = [sys.executable, "-c", PROGRAM, *map(str, words)]
    answer = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    found = json.loads(answer.stderr.splitlines()[-1])
    events = [json.loads(line) for line in answer.stdout.splitlines() if line.startswith('{"event"')]
    return found | {"events": events, "seconds": time.monotonic() - start}


def generate(folder: Path, count: int, *more: str) -> dict[str, Any]:
    """Extend the dataset in `folder` to `count` frames."""
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    words = ["generate", "face", "-o", folder, "--count", count, "--renderer", "mock", "--json-events"]
    return run(*words, *settings, *more)


def measure(folder: Path, count: int) -> dict[str, Any]:
    """Extend to nine tenths of `count`, then by the last tenth, and look at what that and the other commands cost."""
    generate(folder, count - count // 10)
    bare = generate(folder, count - count // 10)
    last = generate(folder, count)
    made = [event for event in last["events"] if event["event"] == "frame"]
    check = run("check", folder)
    report = run("report", folder, "-o", folder / "report.html")
    row = {
        "frames": count,
        "worker CPU ms a frame": _ms(last["cpu"][1] - _start(folder), len(made)),
        "coordinator CPU ms a frame": _ms(last["cpu"][0] - bare["cpu"][0], len(made)),
        "worker MB at the end": made[-1]["memory_mb"],
        "coordinator MB, peak": last["peak_mb"],
        "CPU s to find all done": round(bare["cpu"][0], 2),
        "check CPU ms a frame": _ms(check["cpu"][0], count),
        "check MB, peak": check["peak_mb"],
        "report CPU s": round(report["cpu"][0], 2),
        "report MB, peak": report["peak_mb"],
    }
    assert not any(found["code"] for found in (bare, last, check, report))
    return row


def _start(folder: Path) -> float:
    """Return the CPU seconds of a worker that finds no work: its start, which has nothing to do with frames."""
    return run("worker", folder, "--renderer", "mock")["cpu"][0]


def _ms(seconds: float, frames: int) -> float:
    return round(1000 * seconds / frames, 2)


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="new, in memory (/dev/shm) if the disk is shared")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10_000])
    options = parser.parse_args()
    rows = []
    for count in options.sizes:
        rows.append(measure(options.folder, count))
        print(rows[-1], flush=True)
    packed = generate(options.folder, options.sizes[-1], "--tar")
    found = generate(options.folder, options.sizes[-1], "--tar")
    tar = {"CPU s": round(packed["cpu"][0], 2), "MB, peak": packed["peak_mb"], "again CPU s": round(found["cpu"][0], 2)}
    machine = {"python": platform.python_version(), "machine": platform.machine(), "load": round(os.getloadavg()[0], 1)}
    lines = [
        "# What grows with the number of frames",
        "",
        "Painted by the mock renderer, 16 x 16 pixels, one worker. The first three rows are of the last tenth of the "
        "frames.",
        "",
        f"| | {' | '.join(str(row['frames']) for row in rows)} |",
        f"|---|{'---|' * len(rows)}",
        *(f"| {key} | {' | '.join(str(row[key]) for row in rows)} |" for key in list(rows[0])[1:]),
        "",
        f"Packing all of it into shards: {tar['CPU s']} CPU s, {tar['MB, peak']} MB at most; the same command on the "
        f"packed dataset: {tar['again CPU s']} CPU s.",
        "",
        ", ".join(f"{key} {value}" for key, value in machine.items()),
    ]
    out = ROOT / "benchmarks" / "results"
    (out / "dataset_size.md").write_text("\n".join(lines) + "\n")
    (out / "dataset_size.json").write_text(json.dumps({"machine": machine, "rows": rows, "tar": tar}, indent=1) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
