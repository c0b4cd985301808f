"""How fast are refiners trained and applied? The paper's SimGAN, which public ports copy, beside the modern one.

    python benchmarks/refiner/speed.py [--width 80 --height 48 --batch 8]

One thread, and seconds of the processor rather than of the clock, so that other work on the machine hardly matters.
Writes results/refiner_speed.json and .md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from refiner_sensor import machine

from facewright_refiner import guides
from facewright_refiner.checkpoint import build_refiner, load_checkpoint, save_checkpoint
from facewright_refiner.learned import noise_of
from facewright_refiner.portability import export_refiner
from facewright_refiner.portable import load_portable
from facewright_refiner.presets import Config
from facewright_refiner.train import trainer_of
from facewright_refiner.training_set import PictureSet

RUNS = {
    "simgan-colour": [],
    "modern, no camera": ["camera=none"],
    "modern": [],
    "modern, bf16": ["precision=bf16"],
}
REPEATS = 5


def main() -> None:
    args = arguments()
    torch.set_num_threads(1)
    rows = {}
    for name, changes in RUNS.items():
        size = [f"width={args.width}", f"height={args.height}", f"batch={args.batch}", "optimizer=adam", "lr=3e-4"]
        quick = ["pretrain_refiner=0", "pretrain_judge=0", "pretrain_discriminator=0", "refiner_steps=1", "pool=64"]
        config = Config.of(name.partition(",")[0], [*size, *quick, *changes])
        rows[name] = {"parameters": sum(p.numel() for p in build_refiner(config).parameters())}
        rows[name]["train_iterations_per_s"] = round(1 / trained(config), 2)
        if name in ("simgan-colour", "modern"):
            rows[name] |= {key: round(1 / value, 1) for key, value in applied(config, args.scratch).items()}
        print(name, rows[name], flush=True)
    result = {"size": [args.width, args.height], "batch": args.batch, "rows": rows, "machine": machine(1)}
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / "refiner_speed.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "refiner_speed.md").write_text(markdown(result))
    print(markdown(result))


def trained(config: Config) -> float:
    """Return processor seconds of an iteration: one update of each network."""
    shape = (4 * config.batch, config.channels, config.height, config.width)
    pictures = torch.rand(shape, generator=torch.Generator().manual_seed(0)).half() * 2 - 1
    seen = torch.zeros(shape[0], guides.CHANNELS, *shape[2:]).half()
    seen[:, 0] = 1
    synthetic = PictureSet(pictures, "", [], (), seen, torch.full((shape[0],), 1.5))
    trainer = trainer_of(config, synthetic, PictureSet(pictures.flip(0), "", []))
    return seconds(trainer.step)


def applied(config: Config, scratch: Path) -> dict[str, float]:
    """Return processor seconds of a picture, by torch and by onnxruntime."""
    scratch.mkdir(parents=True, exist_ok=True)
    path = scratch / f"{config.preset}.safetensors"
    save_checkpoint(path, build_refiner(config), {"config": config.to_data()})
    export_refiner(path, path.with_suffix(".onnx"))
    counts = (config.channels, guides.CHANNELS, config.scope.noise)
    inputs = [noise_of((count, config.height, config.width), 0, n) for n, count in enumerate(counts) if count]
    picture, *rest = inputs if config.guided else inputs[:1]
    guide, noise = rest or (None, None)
    networks = {"torch": load_checkpoint(path), "onnx": load_portable(path.with_suffix(".onnx"))}
    return {
        f"refine_{name}_per_s": seconds(lambda network=network: network(picture, guide, noise))
        for name, network in networks.items()
    }


def seconds(call: Callable[[], object]) -> float:
    """Return the median of processor seconds of a call, after one that does not count."""
    call()
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return float(np.median(times))


def markdown(result: dict) -> str:
    lines = [
        "# Refiners: speed",
        "",
        f"Colour pictures of {result['size'][0]} x {result['size'][1]} px, batch {result['batch']}; an iteration is "
        "one update of each network. Per second of one processor thread.",
        "",
        "| | refiner's parameters | training iterations/s | refined pictures/s, torch | onnxruntime |",
        "|---|---|---|---|---|",
    ]
    for name, row in result["rows"].items():
        refined = [f"{row[key]:g}" if key in row else "" for key in ("refine_torch_per_s", "refine_onnx_per_s")]
        lines.append(f"| {name} | {row['parameters']:,} | {row['train_iterations_per_s']:g} | {' | '.join(refined)} |")
    facts = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    return "\n".join([*lines, "", facts, ""])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=80)
    parser.add_argument("--height", type=int, default=48)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--scratch", type=Path, default=Path("/tmp/refiner_speed"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
