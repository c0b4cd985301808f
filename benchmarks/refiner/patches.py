"""Is anything left for a learned refiner to find in patches, once the camera is fitted?

    python benchmarks/refiner/patches.py --synthetic DATASET --real DIR --camera PROFILE [--name eyes]

Compares patches of renders, and of renders that PROFILE photographed, with the real patches in which the judge of the
preset `modern` sees the most similar shares of classes, as its critic is shown them: what lies where is then no
difference. The distance is sliced Wasserstein in Laplacian bands, as in realism.py, in mini-batches of eight pictures,
averaged over `--rounds` of them; its floor is that of real patches with other real ones. Writes
results/patches_NAME.json and .md.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))
from refiner_sensor import machine

from facewright.rng import stream
from facewright_refiner.modern_training import ModernTrainer
from facewright_refiner.presets import Config
from facewright_refiner.realism import LEVEL, laplacian_bands
from facewright_refiner.training_set import hold_out, read_real, read_synthetic

DIRECTIONS, WINDOW = 64, 5
ROWS = ("render", "photographed", "real")


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    config = Config.of("modern", [f"camera={args.camera}", "batch=8", f"pretrain_judge={args.judge}"])
    real, _ = hold_out(read_real(args.real, config))
    trainer = ModernTrainer(config, read_synthetic(args.synthetic, config), real)
    while trainer.position[0] == "judge":
        trainer.step()
    found: dict[str, list[list[float]]] = {name: [] for name in ROWS}
    with torch.no_grad():
        for n in range(args.rounds):
            batch, shown = trainer._synthetic(), trainer._real()
            others = real.pictures[stream(0, n, "others").choice(len(real.pictures), len(shown), replace=False)].float()
            sides = (batch.pictures, trainer._photographed(batch.pictures, batch), others)
            for name, pictures in zip(ROWS, sides, strict=True):
                pairs = zip(*trainer._pairs(pictures, shown, batch), strict=True)
                found[name].append([distance(ours[:, :3], theirs[:, :3], filters(n)) for ours, theirs in pairs])
    rows = {
        name: {"mean": np.mean(x, 0).tolist(), "se": (np.std(x, 0) / len(x) ** 0.5).tolist()}
        for name, x in found.items()
    }
    result = {
        "name": args.name,
        "renders": len(trainer.synthetic.pictures),
        "real": len(real.pictures),
        "rounds": args.rounds,
        "judge": args.judge,
        "rows": rows,
        "machine": machine(args.threads),
    }
    folder = Path(__file__).parent / "results"
    (folder / f"patches_{args.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / f"patches_{args.name}.md").write_text(markdown(result))
    print(markdown(result))


def filters(key: int) -> Tensor:
    """Return random directions, (DIRECTIONS, 3, WINDOW, WINDOW) of length 1."""
    drawn = stream(0, key, "directions").standard_normal((DIRECTIONS, 3 * WINDOW**2), "float32")
    return torch.from_numpy(drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).view(-1, 3, WINDOW, WINDOW)


def distance(ours: Tensor, theirs: Tensor, directions: Tensor) -> float:
    """Return the sliced Wasserstein distance of (N, 3, S, S) from as many others, in deviations of these."""
    found = []
    for pair in zip(*map(laplacian_bands, (ours, theirs)), strict=True):
        if min(pair[0].shape[-2:]) >= WINDOW:
            told, wanted = (F.conv2d(x, directions).transpose(0, 1).flatten(1).sort(1).values for x in pair)
            found.append(((told - wanted).abs() / (wanted.std(1, keepdim=True) + LEVEL)).mean())
    return float(torch.stack(found).mean())


def markdown(result: dict) -> str:
    """Return the table."""
    lines = [
        f"# Patches that show the same: {result['name']}",
        "",
        f"{result['renders']} renders, {result['real']} real pictures, {result['rounds']} mini-batches of 8, judge of "
        f"{result['judge']} updates. Distance from real patches of the same classes ± its standard error.",
        "",
        "| patches of | 24 px | 48 px, halved |",
        "|---|---|---|",
    ]
    for name, row in result["rows"].items():
        cells = (f"{mean:.3f} ± {se:.3f}" for mean, se in zip(row["mean"], row["se"], strict=True))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    facts = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    return "\n".join([*lines, "", facts, ""])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("synthetic", "real", "camera"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--name", default="eyes")
    for name, default in (("rounds", 200), ("judge", 500), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


if __name__ == "__main__":
    main()
