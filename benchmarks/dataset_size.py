"""What grows with the number of frames: datasets of 100, 1,000 and 10,000, tiny, painted by the mock renderer.

    python benchmarks/dataset_size.py FOLDER [--sizes 100 1000 10000]

Datasets are filled with copies of one record (each with its own index and hash); then frames are added by the same
worker code and the same command as ever. Of every size: CPU milliseconds of a worker over each of the same frames, to
all datasets in turn (wall clocks are shared, and neighbours slow even CPU time: the ratio to the smallest is what
counts); what the coordinator takes of a run that adds ten, and of one that finds everything done; `report`; up to 1,000
frames also `check`, whose cost is so much a frame; and packing. Writes benchmarks/results/dataset_size.{json,md}.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "generators")]

from facewright.dataset.layout import dump, layer_file, stem, unseal  # noqa: E402

CHECKED = 1000
"""Datasets of up to so many frames are checked too."""
SETTINGS = ["image.width=16", "image.height=16", "outputs=[seg]", "frames_per_subject=1000"]
FIRST, MORE = 20_000, 60
"""Frames that a worker adds to every dataset while it is measured: the first of them, and how many."""
PROGRAM = """
import json, resource, sys
from facewright import cli
code = cli.main(sys.argv[1:])
mine = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"code": code, "cpu_s": mine.ru_utime + mine.ru_stime, "peak_mb": mine.ru_maxrss / 1024}))
"""
WORKER = """
import json, sys, time
from pathlib import Path
from facewright.farm.worker import Station, Turn, memory_mb, work
first, count, *folders = sys.argv[1:]
at, took, memory = 0.0, {folder: [] for folder in folders}, []
def note(event):
    global at
    if event["event"] == "worker":
        at = time.process_time()
    else:
        assert event["event"] == "frame", event
        took[folder].append(1000 * (time.process_time() - at))
for index in range(int(first), int(first) + int(count)):
    for folder in folders:
        work(Path(folder), Station(renderer="mock"), note, [Turn(index)])
    memory.append(memory_mb())
print(json.dumps([[times[10:] for times in took.values()], memory[10], memory[-1]]))  # the first ones fill caches
"""


def python(program: str, *words: Any) -> Any:
    """Return what `program`, run with `words`, prints on its last line."""
    env = os.environ | {"PYTHONPATH": str(ROOT / "generators"), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program, *map(str, words)]
    answer = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return json.loads(answer.stdout.splitlines()[-1])


def generate(folder: Path, count: int, *more: str) -> dict[str, Any]:
    """Extend the dataset in `folder` to `count` frames; return exit code, CPU seconds and peak of the coordinator."""
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    return python(PROGRAM, "generate", "face", "-o", folder, "--count", count, "--renderer", "mock", *settings, *more)


def fill(folder: Path, first: int, stop: int) -> None:
    """Put copies of record 0 under the indices [first, stop)."""
    frames = folder / "frames"
    record = unseal((frames / "000000.json").read_bytes())
    pictures = {name: (frames / layer["file"]).read_bytes() for name, layer in record["layers"].items()}
    for layer in record["layers"].values():
        layer["file"] = layer["file"].replace("000000", "STEM")
    record["index"] = record["sample"]["index"] = 987654321
    text = dump(record)
    for index in range(first, stop):
        mine = text.replace(b"987654321", str(index).encode()).replace(b"STEM", stem(index).encode())
        (frames / f"{stem(index)}.json").write_bytes(
            b'{"sha256": "' + hashlib.sha256(mine).hexdigest().encode() + b'", ' + mine[1:]
        )
        for name, data in pictures.items():
            (frames / layer_file(index, name)).write_bytes(data)


def measure(folder: Path, count: int) -> dict[str, Any]:
    """Fill the dataset up to `count` frames and look at what commands cost."""
    generate(folder, 1)
    fill(folder, 1, count - 10)
    last = generate(folder, count)
    done = generate(folder, count)
    report = python(PROGRAM, "report", folder, "-o", folder / "report.html")
    row = {
        "frames": count,
        "coordinator MB, peak": round(last["peak_mb"], 1),
        "coordinator CPU s to add ten": round(last["cpu_s"], 2),
        "coordinator CPU s to find all done": round(done["cpu_s"], 2),
        "report CPU s": round(report["cpu_s"], 1),
        "report MB, peak": round(report["peak_mb"]),
    }
    if count <= CHECKED:
        check = python(PROGRAM, "check", folder)  # copies are not what the recipe draws: exit code 1
        row |= {"check CPU ms a frame": round(1000 * check["cpu_s"] / count, 1), "check MB, peak": check["peak_mb"]}
    assert last["code"] == done["code"] == report["code"] == 0
    return row


def add_by_worker(rows: list[dict[str, Any]], folders: list[Path]) -> None:
    """Add the same frames to all datasets in turn, by one worker; note CPU a frame, and its memory."""
    for folder in folders:
        generate(folder, MORE, "--start", str(FIRST), "--workers", "0")
    took, early, late = python(WORKER, FIRST, MORE, *folders)
    for row, times in zip(rows, took, strict=True):
        ratio = [mine / smallest for mine, smallest in zip(times, took[0], strict=True)]
        row["worker CPU ms a frame, median"] = round(statistics.median(times), 1)
        row["over that of the smallest, median"] = round(statistics.median(ratio), 3)
        row["worker MB, early and late"] = f"{early}, {late}"


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="new, in memory (/dev/shm) if the disk is shared")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10_000])
    options = parser.parse_args()
    folders = [options.folder / str(count) for count in options.sizes]
    rows = []
    for count, folder in zip(options.sizes, folders, strict=True):
        rows.append(measure(folder, count))
        print(rows[-1], flush=True)
    add_by_worker(rows, folders)
    packed = generate(folders[-1], options.sizes[-1], "--tar")
    found = generate(folders[-1], options.sizes[-1], "--tar")
    tar = {"CPU s": round(packed["cpu_s"], 1), "MB": round(packed["peak_mb"]), "again CPU s": round(found["cpu_s"], 2)}
    machine = {"python": platform.python_version(), "machine": platform.machine(), "load": round(os.getloadavg()[0], 1)}
    lines = [
        "# What grows with the number of frames",
        "",
        "Painted by the mock renderer, 16 x 16 pixels, all but the last frames copied.",
        "",
        f"| | {' | '.join(str(row['frames']) for row in rows)} |",
        f"|---|{'---|' * len(rows)}",
        *(f"| {key} | {' | '.join(str(row.get(key, '')) for row in rows)} |" for key in list(rows[0])[1:]),
        "",
        f"Packing all of it into shards: {tar['CPU s']} CPU s, {tar['MB']} MB at most; the same command on the "
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
