"""Training a refiner on unlabelled real pictures, as in SimGAN: `facewright train-refiner`.

A run is a folder: `run.json` (config and fingerprints of the pictures), `metrics.csv`, `samples/`, `checkpoints/`,
`refiner.safetensors` (the newest refiner) and `state.safetensors`, from which a run that was stopped goes on to the
same numbers. Pictures and history are drawn from named streams by counters, so that the counters are all the state
that randomness has. On the CPU a run is a pure function of config and pictures (for one build of torch and one number
of threads, since sums depend on their order).
"""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import facewright
from facewright.errors import OutputError, TrainingError, UserError
from facewright.progress import Emit
from facewright_refiner import losses
from facewright_refiner.checkpoint import SUFFIX, need_package, read_tensors, save_checkpoint, write, write_tensors
from facewright_refiner.networks import Discriminator, refiner_of
from facewright_refiner.pool import HistoryPool
from facewright_refiner.presets import Config
from facewright_refiner.training_set import PictureSet, read_real, read_synthetic

VERSION = 1
STATE = f"state{SUFFIX}"
MAY_CHANGE = ("steps", "save_every", "sample_every")
"""What a continued run may have otherwise than it began with."""
PROBES = 32
"""Synthetic pictures on which change and spread are measured, always the same."""
COLUMNS = ("n", "phase", "step", "refiner", "adversarial", "regularization", "discriminator", "accuracy")
COLUMNS += ("change", "spread")
"""Of metrics.csv. Losses are per patch; `change` is the probes' mean absolute change as a share of full contrast,
`spread` how much refined probes differ from each other, relative to the raw ones."""

WINDOW = 5
"""Successive rows that must agree before advice is given."""
LITTLE_CHANGE = 0.01
"""Of full contrast: 2.5 levels of 255, hardly visible."""
MUCH_CHANGE = 0.2
"""Of full contrast. Reasoned: a published eye moves by 0.1, and above 0.3 pupils were seen to move by pixels."""
LITTLE_SPREAD = 0.3
"""Refined pictures that differ so much less than raw ones have become alike. Reasoned."""
CHANCE = 2 * math.log(2)
"""A discriminator's loss per patch, real and refined, when it knows nothing."""
NEAR_CHANCE = 0.02

Row = dict[str, Any]


class Trainer:
    """Both networks, their optimizers, the history and the counters of a run; `step` takes it on."""

    def __init__(self, config: Config, synthetic: PictureSet, real: PictureSet, device: str = "cpu") -> None:
        self.config, self.synthetic, self.real = config, synthetic, real
        self.device = torch.device(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.refiner = refiner_of(config.family, config.channels, config.blocks, config.features).to(self.device)
            self.discriminator = Discriminator(config.channels, config.family).to(self.device)
        self.optimizers = {
            "refiner": _optimizer(config, self.refiner),
            "discriminator": _optimizer(config, self.discriminator),
        }
        shape = (config.channels, config.height, config.width)
        self.pool = HistoryPool(config.pool, shape, config.seed)
        self.counters = {"n": 0, "synthetic": 0, "real": 0}
        self.probes = synthetic.batch(config.seed, 0, PROBES, "probe").to(self.device)
        with torch.inference_mode():
            self.patches = self.discriminator(self.probes[:1])[0, 0].numel()

    @property
    def position(self) -> tuple[str, int]:
        """The phase that the next step belongs to, and how many steps of it are done; "done" after the last."""
        left = self.counters["n"]
        for phase, steps in self.config.schedule().items():
            if left < steps:
                return phase, left
            left -= steps
        return "done", left

    def step(self) -> Row:
        """Take one step of the schedule and return its losses, per patch."""
        phase, done = self.position
        row: Row = {"n": self.counters["n"] + 1, "phase": phase, "step": done + 1}
        if phase != "discriminator":
            for _ in range(self.config.refiner_steps if phase == "both" else 1):
                row |= self._update_refiner(adversarial=phase == "both")
        if phase != "refiner":
            for _ in range(self.config.discriminator_steps if phase == "both" else 1):
                row |= self._update_discriminator()
        for name, value in row.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise TrainingError(f"the {name} loss of {phase} step {done + 1} is {value}")
        self.counters["n"] += 1
        return row

    def _update_refiner(self, adversarial: bool) -> Row:
        """Descend by the regularization; of the picture itself while pre-training, then of psi, with the adversary."""
        raw = self._next(self.synthetic, "synthetic")
        refined = self.refiner(raw)
        psi = self.config.psi if adversarial else "identity"
        kept = losses.self_regularization(psi, refined, raw, self.patches)
        loss = self.config.lam * kept
        row = {"regularization": float(kept.detach()) / self.patches}
        if adversarial:
            fooled = losses.refiner_loss(self.discriminator(refined))
            loss = loss + fooled
            row["adversarial"] = float(fooled.detach()) / self.patches
        self._descend("refiner", loss)
        return row | {"refiner": float(loss.detach()) / self.patches}

    def _update_discriminator(self) -> Row:
        with torch.no_grad():
            refined = self.pool.mix(self.refiner(self._next(self.synthetic, "synthetic")))
        told_refined = self.discriminator(refined)
        told_real = self.discriminator(self._next(self.real, "real"))
        loss = losses.discriminator_loss(told_refined, told_real)
        self._descend("discriminator", loss)
        accuracy = float(losses.patch_accuracy(told_refined, told_real))
        return {"discriminator": float(loss.detach()) / self.patches, "accuracy": accuracy}

    def _descend(self, network: str, loss: Tensor) -> None:
        optimizer = self.optimizers[network]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def _next(self, pictures: PictureSet, name: str) -> Tensor:
        start, count = self.counters[name], self.config.batch
        self.counters[name] += count
        return pictures.batch(self.config.seed, start, count, name).to(self.device)

    def probed(self) -> dict[str, float]:
        """Return `change` and `spread` of the probes, see COLUMNS."""
        refined = self.refine(self.probes)
        change = float((refined - self.probes).abs().mean()) / 2
        spread = float(refined.std(0).mean() / self.probes.std(0).mean().clamp(min=1e-6))
        return {"change": change, "spread": spread}

    def refine(self, pictures: Tensor) -> Tensor:
        """Return refined pictures (B, C, H, W), without gradients."""
        with torch.inference_mode():
            return self.refiner(pictures)

    def save(self, path: Path) -> None:
        """Write all that `restore` needs to `path`. Raises TrainingError where a weight is no longer finite."""
        tensors, counters = self.pool.state()
        tensors = {f"pool.{name}": tensor for name, tensor in tensors.items()}
        for name, network in self._networks().items():
            weights = network.state_dict()
            if not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
                raise TrainingError(f"a weight of the {name} is no longer finite after step {self.counters['n']}")
            tensors |= {f"{name}.{key}": tensor for key, tensor in weights.items()}
            for number, values in self.optimizers[name].state_dict()["state"].items():
                tensors |= {f"{name} optimizer.{number}.{key}": value for key, value in values.items()}
        card = {"kind": "state", "version": VERSION, "counters": self.counters, "pool": counters}
        write_tensors(path, tensors, card)

    def restore(self, path: Path) -> None:
        """Continue from what `save` wrote."""
        tensors, card = read_tensors(path)
        try:
            self.counters = {name: int(card["counters"][name]) for name in self.counters}
            self.pool.restore(_under(tensors, "pool"), card["pool"])
            for name, network in self._networks().items():
                network.load_state_dict(_under(tensors, name))
                optimizer = self.optimizers[name]
                state: dict[int, dict[str, Tensor]] = {}
                for key, value in _under(tensors, f"{name} optimizer").items():
                    number, _, field = key.partition(".")
                    state.setdefault(int(number), {})[field] = value
                optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise OutputError(f"{path}: does not fit this run ({error}); delete it to train anew") from None

    def _networks(self) -> dict[str, nn.Module]:
        return {"refiner": self.refiner, "discriminator": self.discriminator}


def train(synthetic: Path, real: Path, folder: Path, config: Config, device: str, emit: Emit) -> Path:
    """Train in `folder`, or continue there, and return the refiner's checkpoint.

    `synthetic` is a dataset or a folder of pictures, `real` a folder of pictures; `device` is auto, cpu or cuda.
    Raises UserError for what cannot be trained, TrainingError where numbers ran away (what was saved is kept).
    """
    need_package()
    device = _device(device)
    _claim(folder)
    sets = read_synthetic(synthetic, config), read_real(real, config)
    trainer = Trainer(config, *sets, device)
    run = Run(folder, trainer)
    for note in [note for one in sets for note in one.notes]:
        emit({"event": "warning", "message": note})
    run.train(emit)
    return run.checkpoint


class Run:
    """A training run's folder."""

    def __init__(self, folder: Path, trainer: Trainer) -> None:
        self.folder, self.trainer, self.config = folder, trainer, trainer.config
        self.checkpoint = folder / f"refiner{SUFFIX}"
        self._agree()
        self.rows: list[Row] = []
        if (folder / STATE).is_file():
            trainer.restore(folder / STATE)
            self.rows = [row for row in _read_rows(folder / "metrics.csv") if row["n"] <= trainer.counters["n"]]
        there, wanted = trainer.counters["n"], sum(self.config.schedule().values())
        if there > wanted:
            raise OutputError(
                f"{folder}: is {there - wanted} iterations further than {self.config.steps}; give more --steps"
            )
        _write_rows(folder / "metrics.csv", self.rows)
        self.notes = advice(self.rows)

    def train(self, emit: Emit) -> None:
        """Take all steps that are left, with rows, samples and checkpoints on the way."""
        done, total = self._updates(), sum(n * self.config.updates(p) for p, n in self.config.schedule().items())
        emit({"event": "start", "total": total, "done": done, "folder": str(self.folder), "what": "updates"})
        begun, saved = time.monotonic(), self.trainer.counters["n"]
        board = _board(self.folder, saved)
        try:
            for row in self._steps():
                phase, step = row["phase"], row["step"]
                last = self.trainer.position[0] == "done"
                if step % self.config.log_every == 0 or last:
                    row |= self.trainer.probed()
                    self._log(row, board)
                    now = self._updates()
                    pace = (time.monotonic() - begun) / max(1, now - done)
                    told = {key: row.get(key) for key in COLUMNS[1:]}
                    emit(
                        {"event": "train", "done": now, "total": total, "eta_s": round(pace * (total - now), 1)} | told
                    )
                    self._advise(emit)
                if last or (phase == "both" and step % self.config.sample_every == 0):
                    self._samples(step)
                if row["n"] % self.config.save_every == 0 or last:
                    self._save()
                    saved = row["n"]
        except TrainingError as error:
            kept = f"the state of step {saved} is kept in {self.folder}" if saved else "nothing was saved yet"
            raise TrainingError(
                f"{error}; {kept}; train in another folder with a smaller lr (now {self.config.lr:g}), or lam"
            ) from None
        finally:
            if board:
                board.close()
        seconds = round(time.monotonic() - begun, 1)
        made = self._updates() - done
        emit({"event": "done", "made": made, "failed": 0, "seconds": seconds, "what": "updates"})

    def _steps(self) -> Iterator[Row]:
        while self.trainer.position[0] != "done":
            yield self.trainer.step()

    def _updates(self) -> int:
        """Return how many network updates are done."""
        left, updates = self.trainer.counters["n"], 0
        for phase, steps in self.config.schedule().items():
            updates += min(left, steps) * self.config.updates(phase)
            left -= min(left, steps)
        return updates

    def _agree(self) -> None:
        """Write run.json, or raise OutputError where the folder holds another run."""
        path = self.folder / "run.json"
        mine = {
            "version": VERSION,
            "config": self.config.to_data(),
            "synthetic": self.trainer.synthetic.fingerprint,
            "real": self.trainer.real.fingerprint,
        }
        if path.is_file():
            try:
                theirs = json.loads(path.read_bytes())
                was = {**theirs["config"], "synthetic": theirs["synthetic"], "real": theirs["real"]}
            except (ValueError, KeyError, TypeError, OSError) as error:
                raise OutputError(f"{path}: cannot be read ({error}); train in another folder") from None
            now = {**mine["config"], "synthetic": mine["synthetic"], "real": mine["real"]}
            for name in now:
                if name not in MAY_CHANGE and was.get(name) != now[name]:
                    what = "other pictures" if name in ("synthetic", "real") else "another config"
                    raise OutputError(
                        f"{self.folder}: holds a run with {what} ({name} {was.get(name)}, now {now[name]}); continue "
                        "it as it began, or train in another folder"
                    )
        write(path, json.dumps(mine, indent=1).encode())

    def _log(self, row: Row, board: Any) -> None:
        self.rows.append(row)
        with (self.folder / "metrics.csv").open("a", encoding="utf-8", newline="") as file:
            file.write(_csv([row]))
        if board:
            for name in COLUMNS[3:]:
                if name in row:
                    board.add_scalar(name, row[name], row["n"])

    def _advise(self, emit: Emit) -> None:
        for kind, sentence in advice(self.rows).items():
            if kind not in self.notes:
                self.notes[kind] = sentence
                emit({"event": "warning", "message": sentence})

    def _samples(self, step: int) -> None:
        """Write a grid of eight probes, raw over refined over real."""
        raw = self.trainer.probes[:8]
        real = self.trainer.real.batch(self.config.seed, 0, len(raw), "shown").to(raw)
        grid = torch.stack([raw, self.trainer.refine(raw), real])
        levels = ((grid + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
        rows, columns, channels, height, width = levels.shape
        sheet = levels.transpose(0, 3, 1, 4, 2).reshape(rows * height, columns * width, channels)
        picture = Image.fromarray(sheet if channels == 3 else sheet[..., 0])
        scale = max(1, 110 // width)
        data = io.BytesIO()
        picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST).save(data, "PNG")
        (self.folder / "samples").mkdir(exist_ok=True)
        write(self.folder / "samples" / f"{step:06d}.png", data.getvalue())

    def _save(self) -> None:
        phase, step = self.trainer.position
        self.trainer.save(self.folder / STATE)
        if phase in ("both", "done"):
            (self.folder / "checkpoints").mkdir(exist_ok=True)
            step = step if phase == "both" else self.config.steps
            save_checkpoint(self.folder / "checkpoints" / f"{step:06d}{SUFFIX}", self.trainer.refiner, self._card(step))
        save_checkpoint(self.checkpoint, self.trainer.refiner, self._card(step))

    def _card(self, step: int) -> dict[str, Any]:
        sets = {"synthetic": self.trainer.synthetic, "real": self.trainer.real}
        return {
            "config": self.config.to_data(),
            "phase": self.trainer.position[0],
            "step": step,
            "data": {name: {"pictures": len(s.pictures), "fingerprint": s.fingerprint} for name, s in sets.items()},
            "metrics": self.rows[-1] if self.rows else {},
            "advice": list(self.notes.values()),
            "about": "Label drift is not measured in training but on every frame that is refined.",
            "made_with": {"facewright": facewright.__version__, "torch": torch.__version__, "numpy": np.__version__},
        }


def advice(rows: Sequence[Row]) -> dict[str, str]:
    """Return what the newest rows of metrics tell a user to do, by kind; one sentence each."""
    window = [row for row in rows if row["phase"] == "both"][-WINDOW:]
    if len(window) < WINDOW:
        return {}
    before = next((row["change"] for row in reversed(rows) if row["phase"] == "refiner"), 0.0)
    change = max(row["change"] for row in window)
    found: dict[str, str] = {}
    if change < max(LITTLE_CHANGE, before):
        found["no change"] = (
            f"refined pictures differ from the rendered ones by {change:.1%} of full contrast, no more than before the "
            "discriminator had a say: lower lam, or take optimizer=adam"
        )
    if min(row["change"] for row in window) > MUCH_CHANGE:
        found["much change"] = (
            f"refined pictures differ from the rendered ones by {change:.0%} of full contrast, so that labels may no "
            "longer fit: raise lam, or stop at an earlier checkpoint"
        )
    if max(row["spread"] for row in window) < LITTLE_SPREAD:
        found["collapse"] = (
            f"refined pictures have become alike, they differ {window[-1]['spread']:.0%} as much as rendered ones: "
            "raise lam, lower lr or refiner_steps, and go back to an earlier checkpoint"
        )
    if all(abs(row["discriminator"] - CHANCE) < NEAR_CHANCE for row in window):
        found["no signal"] = (
            "the discriminator cannot tell real from refined better than by chance: where the samples still differ, it "
            "is not learning; take optimizer=adam, raise lr, or pre-train it longer"
        )
    return found


def _claim(folder: Path) -> None:
    """Make the folder, or raise OutputError where it is something else."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file; give a folder for the run")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        busy = any(folder.iterdir()) and not (folder / "run.json").is_file()
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror or error}); choose another place") from None
    if busy:
        raise OutputError(f"{folder}: is not empty and not a training run; give a new folder")


def _device(name: str) -> str:
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise UserError("--device cuda: this torch finds no CUDA device; take --device cpu")
    return ("cuda" if there else "cpu") if name == "auto" else name


def _optimizer(config: Config, network: nn.Module) -> torch.optim.Optimizer:
    if config.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), config.lr, betas=(0.5, 0.999))
    return torch.optim.SGD(network.parameters(), config.lr)


def _under(tensors: dict[str, Tensor], head: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{head}."): tensor for name, tensor in tensors.items() if name.startswith(f"{head}.")}


def _board(folder: Path, start: int) -> Any:
    """Return TensorBoard's writer, or None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=start + 1)


def _csv(rows: Sequence[Row], head: bool = False) -> str:
    text = io.StringIO()
    columns: list[str] = list(COLUMNS)
    table = csv.DictWriter(text, columns, lineterminator="\n")
    if head:
        table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def _write_rows(path: Path, rows: Sequence[Row]) -> None:
    write(path, _csv(rows, head=True).encode())


def _read_rows(path: Path) -> list[Row]:
    """Return the rows of metrics.csv; what was not measured is left out."""
    if not path.is_file():
        return []
    try:
        lines = path.read_text(encoding="utf-8")
        whole = io.StringIO(lines[: lines.rfind("\n") + 1])  # a kill may have torn the last line
        return [{name: _value(name, text) for name, text in row.items() if text} for row in csv.DictReader(whole)]
    except (ValueError, OSError) as error:
        raise OutputError(f"{path}: cannot be read ({error}); train in another folder") from None


def _value(name: str, text: str) -> Any:
    return text if name == "phase" else int(text) if name in ("n", "step") else float(text)
