"""What trainers of every family share: the networks of a run, their optimizers and its counters, saved and restored.

Whatever is random is drawn from named streams by the counters, so that the counters are all the state that randomness
has.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from facewright.errors import OutputError, TrainingError
from facewright_refiner.checkpoint import read_tensors, write_tensors
from facewright_refiner.presets import Config
from facewright_refiner.training_set import PictureSet

VERSION = 1
PROBES = 32
"""Synthetic pictures on which change and spread are measured, always the same."""

Row = dict[str, Any]


class Trainer:
    """The networks of a run, their optimizers and counters; `step` takes it on. Families fill in the rest.

    `networks` are saved; those among `optimizers` are trained. A phase's updates are the methods of `_plan`.
    """

    averaged = False
    """Whether pictures are refined by an average of the refiner's weights (`networks["average"]`)."""

    def __init__(self, config: Config, synthetic: PictureSet, real: PictureSet, device: str = "cpu") -> None:
        self.config, self.synthetic, self.real = config, synthetic, real
        self.rank, self.world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        self.about: dict[str, Any] = {}  # goes to the model card
        self.device = torch.device(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.networks = {name: network.to(self.device) for name, network in self._build().items()}
        self.optimizers = {
            name: _optimizer(config, network) for name, network in self.networks.items() if name != "average"
        }
        self.counters = {"n": 0, "synthetic": 0, "real": 0}
        self.probe_places = synthetic.series(config.seed, 0, PROBES, "probe")
        self.probes = synthetic.pictures[self.probe_places].float().to(self.device)

    @property
    def refiner(self) -> nn.Module:
        """The refiner that is being trained."""
        return self.networks["refiner"]

    @property
    def discriminator(self) -> nn.Module:
        """Its adversary."""
        return self.networks["discriminator"]

    @property
    def trained(self) -> nn.Module:
        """The refiner that is saved and shown."""
        return self.networks["average" if self.averaged else "refiner"]

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
        row |= self._update(phase)
        for name, value in row.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise TrainingError(f"the {name} loss of {phase} step {done + 1} is {value}")
        self.counters["n"] += 1
        return row

    def probed(self) -> dict[str, float]:
        """Return `change` and `spread` of the probes, see train.COLUMNS."""
        refined = self.refine_probes()
        change = float((refined - self.probes).abs().mean()) / 2
        spread = float(refined.std(0).mean() / self.probes.std(0).mean().clamp(min=1e-6))
        return {"change": change, "spread": spread}

    def refine_probes(self) -> Tensor:
        """Return the probes refined, (PROBES, C, H, W) in [-1, 1]."""
        raise NotImplementedError

    def shown(self, pictures: Tensor) -> Tensor:
        """Return probes as they are compared with real pictures, (PROBES, C, H, W) in [-1, 1]."""
        return pictures

    def _build(self) -> dict[str, nn.Module]:
        raise NotImplementedError

    def _update(self, phase: str) -> Row:
        raise NotImplementedError

    def _places(self, pictures: PictureSet, name: str) -> Tensor:
        """Return the numbers of the next mini-batch of a set: this process's part of it."""
        start, count = self.counters[name], self.config.batch // self.world
        self.counters[name] += count * self.world
        return pictures.series(self.config.seed, start + self.rank * count, count, name)

    def _descend(self, network: str, loss: Tensor) -> None:
        """Take one step of a network down the gradient of `loss`."""
        self.optimizers[network].zero_grad()
        loss.backward()
        self._step(network)

    def _step(self, network: str) -> None:
        """Take one step of a network by the gradients it holds, averaged over all processes."""
        if self.world > 1:
            for parameter in self.networks[network].parameters():
                if parameter.grad is not None:
                    dist.all_reduce(parameter.grad)
                    parameter.grad.div_(self.world)
        self.optimizers[network].step()

    def _mean(self, value: float) -> float:
        """Return the mean of a number over all processes."""
        if self.world == 1:
            return value
        total = torch.tensor(value, device=self.device)
        dist.all_reduce(total)
        return float(total) / self.world

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors and plain data beside networks and optimizers, for `_resume`."""
        return {}, {}

    def _resume(self, tensors: dict[str, Tensor], data: dict[str, Any]) -> None:
        pass

    def save(self, path: Path) -> None:
        """Write all that `restore` needs to `path`. Raises TrainingError where a weight is no longer finite."""
        tensors, data = self._state()
        for name, network in self.networks.items():
            weights = network.state_dict()
            if not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
                raise TrainingError(f"a weight of the {name} is no longer finite after step {self.counters['n']}")
            tensors |= {f"{name}.{key}": tensor for key, tensor in weights.items()}
        for name, optimizer in self.optimizers.items():
            for number, values in optimizer.state_dict()["state"].items():
                tensors |= {f"{name} optimizer.{number}.{key}": value for key, value in values.items()}
        write_tensors(path, tensors, {"kind": "state", "version": VERSION, "counters": self.counters, **data})

    def restore(self, path: Path) -> None:
        """Continue from what `save` wrote."""
        tensors, card = read_tensors(path)
        try:
            self.counters = {name: int(card["counters"][name]) for name in self.counters}
            self._resume(tensors, card)
            for name, network in self.networks.items():
                network.load_state_dict(under(tensors, name))
            for name, optimizer in self.optimizers.items():
                state: dict[int, dict[str, Tensor]] = {}
                for key, value in under(tensors, f"{name} optimizer").items():
                    number, _, field = key.partition(".")
                    state.setdefault(int(number), {})[field] = value
                optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise OutputError(f"{path}: does not fit this run ({error}); delete it to train anew") from None


def under(tensors: dict[str, Tensor], head: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `head` and a dot, without it."""
    return {name.removeprefix(f"{head}."): tensor for name, tensor in tensors.items() if name.startswith(f"{head}.")}


@contextlib.contextmanager
def frozen(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the network with gradients to its input only."""
    network.requires_grad_(False)
    try:
        yield network
    finally:
        network.requires_grad_(True)


def _optimizer(config: Config, network: nn.Module) -> torch.optim.Optimizer:
    if config.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), config.lr, betas=(0.5, 0.999))
    return torch.optim.SGD(network.parameters(), config.lr)
