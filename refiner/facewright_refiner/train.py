"""Training a refiner on unlabelled real pictures, as in SimGAN: `facewright train-refiner`.

A run is a folder: `run.json` (config and fingerprints of the pictures), `metrics.csv`, `samples/`, `checkpoints/`,
`refiner.safetensors` (the newest refiner) and `state.safetensors`, from which a run that was stopped goes on to the
same numbers. Pictures and history are drawn from named streams by counters, so that the counters are all the state
that randomness has. On the CPU a run is a pure function of config and pictures (for one build of torch and one number
of threads, since sums depend on their order).
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from PIL import Image
from torch import Tensor

import facewright
from facewright.dataset import claim
from facewright.errors import OutputError, TrainingError, UserError
from facewright.progress import Emit
from facewright_refiner.checkpoint import SUFFIX, need_package, save_checkpoint, write
from facewright_refiner.presets import Config
from facewright_refiner.selection import Standard
from facewright_refiner.simgan import SimganTrainer
from facewright_refiner.trainer import VERSION, Row, Trainer
from facewright_refiner.training_set import PictureSet, hold_out, read_real, read_synthetic

STATE = f"state{SUFFIX}"
LOCK = "training.lock"
MAY_CHANGE = ("steps", "save_every", "sample_every")
"""What a continued run may have otherwise than it began with."""
COLUMNS = ("n", "phase", "step", "refiner", "adversarial", "regularization", "discriminator", "accuracy")
COLUMNS += ("change", "spread", "lam", "realism", "drift")
"""Of metrics.csv. Losses are per patch; `change` is the probes' mean absolute change as a share of full contrast,
`spread` how much refined probes differ from each other, relative to the raw ones. `realism` (0 = as real, 1 = as the
renders) and `drift` are a checkpoint's, see selection.py; `lam` is what dual control made of it."""

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


def trainer_of(config: Config, synthetic: PictureSet, real: PictureSet, device: str = "cpu") -> Trainer:
    """Return a new trainer of the config's family."""
    if not config.guided:
        return SimganTrainer(config, synthetic, real, device)
    from facewright_refiner.modern_training import ModernTrainer

    return ModernTrainer(config, synthetic, real, device)


def train(synthetic: Path, real: Path, folder: Path, config: Config, device: str, emit: Emit) -> Path:
    """Train in `folder`, or continue there, and return the refiner's checkpoint.

    `synthetic` is a dataset or a folder of pictures, `real` a folder of pictures; `device` is auto, cpu or cuda.
    Raises UserError for what cannot be trained, TrainingError where numbers ran away (what was saved is kept).
    """
    need_package()
    with _together(_device(device), config) as (rank, device), _claimed(folder) if not rank else nullcontext():
        sets = read_synthetic(synthetic, config), read_real(real, config)
        learned_from, held = hold_out(sets[1])
        trainer = trainer_of(config, sets[0], learned_from, device)
        if rank:
            _follow(trainer, folder)
            return folder
        run = Run(folder, trainer, held)
        for note in [note for one in sets for note in one.notes]:
            emit({"event": "warning", "message": note})
        run.train(emit)
    return run.best if run.best.is_file() else run.checkpoint


class Run:
    """A training run's folder."""

    def __init__(self, folder: Path, trainer: Trainer, held: Tensor | None = None) -> None:
        self.folder, self.trainer, self.config = folder, trainer, trainer.config
        self.checkpoint, self.best = folder / f"refiner{SUFFIX}", folder / f"best{SUFFIX}"
        self.standard = None if held is None else Standard(held, trainer)
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
                saving = row["n"] % self.config.save_every == 0 or last
                if saving and phase == "both" and self.standard:
                    row |= self.standard.judge(self.trainer)
                if step % self.config.log_every == 0 or last or "realism" in row:
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
                if saving:
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
        raw = self.trainer.probes
        refined = self.trainer.shown(self.trainer.refine_probes())
        real = self.trainer.real.batch(self.config.seed, 0, 8, "shown").to(raw)
        grid = torch.stack([raw[:8], refined[:8], real])
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
        self.trainer.save(self.folder / STATE)
        phase, step = self.trainer.position
        step = step if phase != "done" else self.config.steps
        if phase in ("both", "done"):
            (self.folder / "checkpoints").mkdir(exist_ok=True)
            save_checkpoint(self.folder / "checkpoints" / f"{step:06d}{SUFFIX}", self.trainer.trained, self._card(step))
        save_checkpoint(self.checkpoint, self.trainer.trained, self._card(step))
        self._keep_best(step)

    def _keep_best(self, step: int) -> None:
        """Write the newest checkpoint as the best one, where it is."""
        newest = self.rows[-1] if self.rows and self.rows[-1]["n"] == self.trainer.counters["n"] else None
        if newest is not None and best_of(self.rows, self.config.drift_limit) is newest:
            save_checkpoint(self.best, self.trainer.trained, self._card(step))

    def _card(self, step: int) -> dict[str, Any]:
        sets = {"synthetic": self.trainer.synthetic, "real": self.trainer.real}
        return {
            "config": self.config.to_data(),
            "phase": self.trainer.position[0],
            "step": step,
            "data": {name: {"pictures": len(s.pictures), "fingerprint": s.fingerprint} for name, s in sets.items()},
            "metrics": self.rows[-1] if self.rows else {},
            "advice": list(self.notes.values()),
            "about": "Label drift is measured again on every frame that is refined.",
            **self.trainer.about,
            "made_with": {"facewright": facewright.__version__, "torch": torch.__version__, "numpy": np.__version__},
        }


def best_of(rows: Sequence[Row], limit: float) -> Row | None:
    """Return the row of the checkpoint to take: the most real one that keeps the drift limit, px; None without one."""
    kept = [row for row in rows if row.get("realism") is not None and row["drift"] <= limit]
    return min(kept, key=lambda row: row["realism"], default=None)


def advice(rows: Sequence[Row]) -> dict[str, str]:
    """Return what the newest rows of metrics tell a user to do, by kind; one sentence each."""
    window = [row for row in rows if row["phase"] == "both"][-WINDOW:]
    if len(window) < WINDOW:
        return {}
    before = next((row["change"] for row in reversed(rows) if row["phase"] == "refiner"), 0.0)
    change = max(row["change"] for row in window)
    found: dict[str, str] = {}
    driven = window[-1].get("lam") is not None
    falling = driven and window[-1]["lam"] < window[0]["lam"]
    if change < max(LITTLE_CHANGE, before) and not falling:
        cure = "train longer, or raise lr" if driven else "lower lam, or take optimizer=adam"
        found["no change"] = (
            f"refined pictures differ from the rendered ones by {change:.1%} of full contrast, no more than before the "
            f"discriminator had a say: {cure}"
        )
    if min(row["change"] for row in window) > MUCH_CHANGE:
        found["much change"] = (
            f"refined pictures differ from the rendered ones by {change:.0%} of full contrast, so that labels may no "
            f"longer fit: {'lower the budget' if driven else 'raise lam'}, or stop at an earlier checkpoint"
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


@contextlib.contextmanager
def _together(device: str, config: Config) -> Iterator[tuple[int, str]]:
    """Join the processes that torchrun started, if it did; yield this one's number and its device."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield 0, device
        return
    if config.batch % world:
        raise UserError(f"{world} processes cannot share a batch of {config.batch}; give --set batch=... a multiple")
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield dist.get_rank(), device
    finally:
        dist.destroy_process_group()


def _follow(trainer: Trainer, folder: Path) -> None:
    """Take the same steps as the first process, which keeps the folder."""
    if (folder / STATE).is_file():
        trainer.restore(folder / STATE)
    while trainer.position[0] != "done":
        trainer.step()


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Make the folder and keep others out of it; raise OutputError where it is something else, or being trained in."""
    _make(folder)
    path = folder / LOCK
    if not claim.acquire(path):
        held = claim.holder(path)
        raise OutputError(
            f"{folder}: process {held.get('pid')} on {held.get('host')} trains there; wait, or give another folder"
        )
    try:
        yield
    finally:
        claim.release(path)


def _make(folder: Path) -> None:
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
