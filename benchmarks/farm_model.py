"""The farm on paper: what 1 to 4,096 workers make of ten million frames, where they wait, and what it costs.

    python benchmarks/farm_model.py [--price 0.04] [--again]

The costs of the driver, of the folder and of Ray are measured on this machine (kept in results/farm_model.json;
--again measures anew); the times of the stages come from results/throughput.json. A discrete simulation of the plan does
the rest: each actor renders one frame after the other with two orders in flight, is replaced after RECYCLE_FRAMES, and
shares with all others the driver, the folder's metadata and the driver's network. Writes results/farm_model.{json,md}.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import json
import os
import platform
import sys
import tempfile
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "generators"), str(ROOT / "refiner")]

from facewright import Recipe  # noqa: E402
from facewright.dataset.reader import loose_places  # noqa: E402
from facewright.dataset.writer import Writer, open_for_writing  # noqa: E402
from facewright.farm import ray as cluster  # noqa: E402
from facewright.farm.generate import Order  # noqa: E402
from facewright.farm.local import RECYCLE_FRAMES  # noqa: E402
from facewright.farm.worker import Station, attempt, open_maker  # noqa: E402
from facewright.sample import sample  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
WORKERS = (1, 16, 256, 4096)
FRAMES = 10_000_000
PART = 100_000
"""Frames of one dataset, as docs/scale.md advises."""
START_S = 10.0
"""A worker's start up to its first frame (reasoned: bpy loads and a scene is built)."""
SPREAD = 0.3
"""Standard deviation of the log of a frame's time (reasoned: heads with and without long hair)."""
NETWORK_MB_S = 1000.0
"""The driver's network, 10 Gbit/s less what protocols take (an example)."""
NAMES_A_RECORD = 2
"""Names that a shared folder makes for a file written whole: a temporary one, and its own."""
NFS_NAMES_S = 20_000.0
"""Names that a good shared file system makes in a second (an example; vendors promise this much and more)."""


def measure() -> dict[str, Any]:
    """Return what a record costs on this machine, in seconds, bytes and frames per second."""
    recipe = Recipe.load("face", ["image.width=512", "image.height=512", "image.samples=16"])
    parcel = cluster.Parcel()
    with open_maker(Station(device="cpu"), recipe, "none", print) as (make, _):
        event = attempt(parcel, sample(recipe, 0, 0), recipe.outputs, make)
    _, files, record = parcel.call[1]
    found = {
        "machine": {"cpu": platform.machine(), "cores": os.cpu_count(), "load_before": round(os.getloadavg()[0], 1)},
        "files": len(files) + 1,
        "bytes": sum(map(len, files.values())) + len(json.dumps(record)),
    }
    with tempfile.TemporaryDirectory() as folder:
        with open_for_writing(Path(folder) / "put", Order(recipe).card) as writer:
            found["put_s"] = _timed(
                50, lambda index: writer.put(index, _named(files, index), dict(record, index=index))
            )
            found["claim_s"] = _timed(500, lambda index: (writer.claim(index), writer.release(index)))
        found["listing"] = [_listing(Path(folder) / "many", records) for records in (10_000, 100_000)]
        with cluster.connect("local") as fleet:
            found["look_s"] = _look(fleet, max(WORKERS))
            for name, carried in (("shared", None), ("store", (files, record))):
                found[f"driver_{name}_s"] = _driver(fleet, recipe, Path(folder) / name, event, carried)
    return found


def _named(files: dict[str, bytes], index: int) -> dict[str, bytes]:
    return {f"{index:06d}.{name.partition('.')[2]}": data for name, data in files.items()}


def _timed(times: int, call: Any) -> float:
    begun = time.perf_counter()
    for index in range(times):
        call(index)
    return (time.perf_counter() - begun) / times


def _listing(folder: Path, records: int) -> dict[str, float]:
    """Return what looking through a folder of `records` costs, each with one layer: seconds, and bytes of a reader."""
    (folder / "frames").mkdir(parents=True, exist_ok=True)
    for index in range(records):
        for name in (f"{index:06d}.json", f"{index:06d}.rgb.png"):
            (folder / "frames" / name).touch()
    writer = Writer(folder, Order(Recipe.load("face")).card)
    begun = time.perf_counter()
    assert len(writer.done()) == records
    done_s = time.perf_counter() - begun
    tracemalloc.start()
    places = loose_places(folder)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return {"records": records, "files": 2 * len(places), "done_s": done_s, "reader_bytes": size}


def _look(fleet: cluster.Fleet, actors: int) -> float:
    """Return what one look at the answers of so many actors takes, none of which has come."""

    class Silent:
        def answer(self) -> None:
            time.sleep(600)

    silent = fleet.ray.remote(Silent).options(num_cpus=0).remote()
    answers = [silent.answer.remote() for _ in range(actors)]
    found = _timed(10, lambda _: fleet.ray.wait(answers, num_returns=len(answers), timeout=0))
    fleet.ray.kill(silent)
    return found


def _driver(fleet: cluster.Fleet, recipe: Recipe, folder: Path, event: dict[str, Any], carried: Any) -> float:
    """Return the driver's seconds a frame where rendering takes no time: claims, Ray, and where `carried` the put."""

    class Instant(cluster.RenderActor):
        def open(self) -> Any:
            return [], "here"

        def render(self, index: int) -> Any:
            parcel = cluster.Parcel()
            if carried:
                files = {f"{index:06d}.{name.partition('.')[2]}": data for name, data in carried[0].items()}
                parcel.call = ("put", (index, files, dict(carried[1], index=index)))
            return dict(event, index=index), parcel if carried else None

    count, real = (200 if carried else 1000), cluster.RenderActor
    stamps: list[float] = []
    cluster.RenderActor = Instant
    try:
        with open_for_writing(folder, Order(recipe, count=count).card) as writer:
            station = Station(renderer="mock")
            fleet.run(writer, recipe, range(count), station, 2, lambda event: stamps.append(time.perf_counter()))
    finally:
        cluster.RenderActor = real
    return (stamps[-1] - stamps[count // 10]) / (len(stamps) - 1 - count // 10)


@dataclass(frozen=True)
class Farm:
    """What a frame takes, in seconds: of its actor, of the driver, of the folder's metadata, of the network."""

    render: float
    driver: float
    folder: float
    network: float


def simulate(farm: Farm, workers: int, frames: int) -> dict[str, float]:
    """Return frames per second in the steady state, and the shares of time that actors, driver, folder are busy."""
    rng = np.random.default_rng(0)
    times = farm.render * np.exp(rng.normal(-(SPREAD**2) / 2, SPREAD, frames))
    ready = [(float(rng.uniform(0, farm.render)), worker, 0) for worker in range(workers)]  # (end of frame, who, nth)
    heapq.heapify(ready)
    answered = {worker: [0.0, 0.0] for worker in range(workers)}  # when the last two orders were answered
    folder = network = driver = 0.0
    ends = np.empty(frames)
    for k in range(frames):
        now, worker, nth = heapq.heappop(ready)
        folder = max(folder, now) + farm.folder
        network = max(network, folder) + farm.network
        driver = max(driver, network) + farm.driver
        ends[k] = driver
        before = answered[worker]
        before[:] = before[1], driver
        start = max(now, before[0])  # its next order came when the frame before this one was answered
        start += START_S if (nth + 1) % RECYCLE_FRAMES == 0 else 0
        heapq.heappush(ready, (start + float(times[k]), worker, nth + 1))
    first = frames // 4
    rate = (frames - first) / (ends[-1] - ends[first])
    return {
        "rate": rate,
        "actors": min(1.0, rate * farm.render / workers),
        "driver": rate * farm.driver,
        "folder": rate * farm.folder,
        "network": rate * farm.network,
    }


def farms(found: dict[str, Any], core_s: float) -> dict[str, Farm]:
    """Return the ways that frames go."""
    names = (found["files"] * NAMES_A_RECORD + 4) / NFS_NAMES_S  # and a claim's two, made and removed
    return {
        "shared folder, actors write": Farm(core_s, found["driver_shared_s"], names, 0),
        "object store, the driver writes": Farm(
            core_s, found["driver_store_s"], 0, found["bytes"] / NETWORK_MB_S / 1e6
        ),
    }


def page(found: dict[str, Any], price: float) -> str:
    """Return the results as Markdown."""
    stages = {row["recipe"]: row["total"] for row in json.loads((RESULTS / "throughput.json").read_text())["stages"]}
    small, large = found["listing"]
    per_file = large["done_s"] / large["files"]
    entries = FRAMES * found["files"]
    lines = [
        "# The farm on paper",
        "",
        "Made by `benchmarks/farm_model.py`. Measured on one machine, simulated for many: nothing was run on more than "
        "two nodes. Examples, not measurements: the price of a core-hour, a shared file system's rate, the network's.",
        "",
        "## Measured",
        "",
        f"{found['machine']}; a face of 512 px: {found['files']} files, {found['bytes'] / 1e6:.2f} MB.",
        "",
        "| what | seconds |",
        "| --- | --- |",
        f"| `Writer.put` of a record, every file synced to disk | {found['put_s']:.4f} |",
        f"| a claim, made and released | {found['claim_s']:.5f} |",
        f"| the driver, a frame: claim, Ray's round trip, event | {found['driver_shared_s']:.5f} |",
        f"| the same, the frame through the object store and put by the driver | {found['driver_store_s']:.4f} |",
        f"| a look at the answers of {max(WORKERS):,} actors; it takes in all that have come | {found['look_s']:.4f} |",
        f"| `Writer.done` of {small['records']:,} records with {small['files']:,} files | {small['done_s']:.3f} |",
        f"| `Writer.done` of {large['records']:,} records with {large['files']:,} files | {large['done_s']:.3f} |",
        f"| memory of a reader, bytes a file | {large['reader_bytes'] / large['files']:.0f} |",
        "",
        "## Ten million frames",
        "",
        f"Core-seconds a frame are those of `results/throughput.json`; one worker a core. A core-hour at {price:g} $, a "
        f"shared file system that makes {NFS_NAMES_S:,.0f} names a second, and a network of {NETWORK_MB_S:,.0f} MB/s "
        "(examples).",
        "",
        "| frames | core-s | how | workers | frames/s | days for 10 M | actors busy | driver | folder | network "
        "| saturated by | core-hours a million | $ a million |",
        "| --- " * 13 + "|",
    ]
    for name, core_s in stages.items():
        for how, farm in farms(found, core_s).items():
            for workers in WORKERS:
                run = simulate(farm, workers, max(20_000, 64 * workers))
                busiest = max(("driver", "folder", "network"), key=run.__getitem__)
                limit = busiest if run[busiest] > 0.97 else "nothing"
                hours = workers / run["rate"] * 1e6 / 3600
                lines.append(
                    f"| {name} | {core_s:.1f} | {how} | {workers:,} | {run['rate']:.2f} | "
                    f"{FRAMES / run['rate'] / 86400:,.1f} | {run['actors']:.0%} | {run['driver']:.0%} | "
                    f"{run['folder']:.0%} | {run['network']:.0%} | {limit} | {hours:,.0f} | {hours * price:,.0f} |"
                )
    shared, store = farms(found, 1).values()
    face, rates = core_s_of(stages, "face"), (1 / shared.driver, 1 / store.driver)
    part, reader_bytes = PART * found["files"], large["reader_bytes"] / large["files"]
    lines += [
        "",
        "## Where it ends",
        "",
        f"- One driver serves {rates[0]:,.0f} frames/s with a shared folder, {rates[1]:,.0f} through the object store: "
        f"{rates[0] * face:,.0f} and {rates[1] * face:,.0f} cores that render faces. Beyond, run several drivers, each "
        "with a range of its own (`--start`, `--count`) and a folder of its own.",
        f"- Such a shared file system takes {1 / shared.folder:,.0f} frames/s from all drivers together.",
        f"- Ten million records do not belong into one folder: {entries / 1e6:,.0f} million names in one directory are "
        "more than ext4 takes without `large_dir` (about ten million); looking for what is done takes "
        f"{entries * per_file / 60:,.1f} minutes on a local disk; opening it {entries * reader_bytes / 1e9:,.0f} GB. "
        f"In datasets of {PART:,} frames, {FRAMES // PART} of them, it takes {part * per_file:,.1f} s and "
        f"{part * reader_bytes / 1e9:,.1f} GB for each; sample i is the same wherever it lies. See docs/scale.md.",
        "",
    ]
    return "\n".join(lines)


def core_s_of(stages: dict[str, Any], name: str) -> float:
    """Return the core-seconds of a frame."""
    return stages["table"][name]["total"] * stages["machine"]["cores"]


def main() -> None:
    """Measure where that was not done, simulate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--price", type=float, default=0.04, help="of a core-hour (default 0.04, an example)")
    parser.add_argument("--again", action="store_true", help="measure anew")
    args = parser.parse_args()
    path = RESULTS / "farm_model.json"
    if args.again or not path.exists():
        with contextlib.redirect_stdout(sys.stderr):
            path.write_text(json.dumps(measure(), indent=1) + "\n")
    text = page(json.loads(path.read_text()), args.price)
    (RESULTS / "farm_model.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
