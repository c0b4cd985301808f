"""How fast are refiners trained and applied? Ours, and SimGAN as public PyTorch ports write it, in the same run.

    python benchmarks/refiner/speed.py [--width 80 --height 48 --batch 8]

One thread, and seconds of the processor rather than of the clock, so that other work on the machine hardly matters.
The ports themselves do not run on today's torch. `Port` is what they have in common, written anew: the paper's layers,
a cross-entropy over unfolded patches, and a history that is one tensor, cut and shuffled at each use. Writes
results/refiner_speed.json and .md.
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
from torch import Tensor, nn

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
EYES = ["batch=64", "pool=12800", "pretrain_refiner=0", "pretrain_discriminator=0"]
"""What ports are run at, of the preset `simgan`: gray, 55 x 35 px, two refiner updates to one of the discriminator."""


class Port:
    """A training of SimGAN in the form of public ports, at EYES; `step` is an iteration."""

    def __init__(self, config: Config) -> None:
        def block() -> nn.Module:
            return nn.Sequential(nn.Conv2d(64, 64, 3, 1, 1), nn.ReLU(), nn.Conv2d(64, 64, 3, 1, 1))

        self.stem = nn.Sequential(nn.Conv2d(1, 64, 3, 1, 1), nn.ReLU())
        self.blocks = nn.ModuleList(block() for _ in range(4))
        self.head = nn.Sequential(nn.Conv2d(64, 1, 1), nn.Tanh())
        layers = [(1, 96, 3, 2, 1), (96, 64, 3, 2, 1), None, (64, 32, 3, 1, 1), (32, 32, 1, 1, 0), (32, 2, 1, 1, 0)]
        built: list[nn.Module] = []
        for layer in layers:
            built += [nn.MaxPool2d(3, 1, 1)] if layer is None else [nn.Conv2d(*layer), nn.ReLU()]
        self.discriminator = nn.Sequential(*built[:-1])
        refiner = nn.ModuleList([self.stem, self.blocks, self.head])
        self.optimizers = [torch.optim.SGD(x.parameters(), 1e-3) for x in (refiner, self.discriminator)]
        self.config = config
        self.pictures = torch.rand(4 * config.batch, 1, config.height, config.width) * 2 - 1
        self.history = (
            self.refine(self.pictures[: config.batch // 2]).detach().repeat(2 * config.pool // config.batch, 1, 1, 1)
        )

    def refine(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = torch.relu(x + block(x))
        return self.head(x)

    def step(self) -> None:
        for _ in range(self.config.refiner_steps):
            raw = self._batch()
            refined = self.refine(raw)
            self._descend(0, self._told(refined, 0) + 1e-2 * (refined - raw).abs().sum() / len(raw))
        half = self.config.batch // 2
        refined = self.refine(self._batch()).detach()
        mixed = torch.cat([refined[:half], self.history[:half]])
        self.history = torch.cat([self.history[half:], refined[:half]])[torch.randperm(len(self.history))]
        self._descend(1, self._told(mixed, 1) + self._told(self._batch(), 0))

    def _batch(self) -> Tensor:
        return self.pictures[torch.randperm(len(self.pictures))[: self.config.batch]]

    def _told(self, x: Tensor, label: int) -> Tensor:
        logits = self.discriminator(x).permute(0, 2, 3, 1).reshape(-1, 2)
        return nn.functional.cross_entropy(logits, torch.full((len(logits),), label))

    def _descend(self, which: int, loss: Tensor) -> None:
        self.optimizers[which].zero_grad()
        loss.backward()
        self.optimizers[which].step()


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
    result = {
        "size": [args.width, args.height],
        "batch": args.batch,
        "rows": rows,
        "eyes": ports(args.scratch),
        "machine": machine(1),
    }
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / "refiner_speed.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "refiner_speed.md").write_text(markdown(result))
    print(markdown(result))


def ports(scratch: Path) -> dict[str, dict[str, float]]:
    """Return our preset `simgan` and the public form, at the same setting."""
    config = Config.of("simgan", EYES)
    port = Port(config)
    picture = port.pictures[:1]
    with torch.inference_mode():
        applying = seconds(lambda: port.refine(picture))
    ours = {"train_iterations_per_s": round(1 / trained(config), 3)}
    ours |= {key: round(1 / value, 1) for key, value in applied(config, scratch).items()}
    theirs = {"train_iterations_per_s": round(1 / seconds(port.step), 3), "refine_torch_per_s": round(1 / applying, 1)}
    return {"as public ports write it": theirs, "simgan": ours}


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
    inputs = [noise_of((1, count, config.height, config.width), 0, n) for n, count in enumerate(counts) if count]
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
    lines += [
        "",
        "SimGAN, gray, 55 x 35 px, batch 64, two refiner updates and one of the discriminator an iteration:",
        "",
        "| | training iterations/s | refined pictures/s, torch | onnxruntime |",
        "|---|---|---|---|",
    ]
    for name, row in result["eyes"].items():
        refined = [f"{row[key]:g}" if key in row else "" for key in ("refine_torch_per_s", "refine_onnx_per_s")]
        lines.append(f"| {name} | {row['train_iterations_per_s']:g} | {' | '.join(refined)} |")
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
