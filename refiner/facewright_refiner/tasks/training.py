"""A fixed budget of steps, the same for every row of a comparison; processor or GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from facewright.errors import TrainingError
from facewright_refiner.tasks.base import Array, Prepared, Task


@dataclass(frozen=True)
class Budget:
    """What every network gets: `steps` of `batch` pictures, AdamW, its learning rate rising to `rate`, then falling."""

    steps: int = 600
    batch: int = 12
    rate: float = 3e-3

    @property
    def adapter_steps(self) -> int:
        """Steps of a label adapter: a quarter of a network's."""
        return max(1, self.steps // 4)

    def about(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return asdict(self)


@contextmanager
def seeded(seed: int, device: str) -> Iterator[None]:
    """Seed torch's own randomness inside, and leave it outside as it was."""
    devices = [torch.cuda.current_device()] if device == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def device_named(name: str) -> str:
    """Return torch's device of "auto", "cpu" or a GPU: the GPU where there is one and it is not refused."""
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def train(task: Task, data: Prepared, budget: Budget, seed: int, device: str = "cpu") -> nn.Module:
    """Return a network trained on `data`: on a processor a pure function of the arguments. Raises TrainingError."""
    with seeded(seed, device):
        net = task.network().to(device)
        augment = task.augment()
        optimiser = torch.optim.AdamW(net.parameters(), lr=budget.rate, weight_decay=1e-3)
        plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, budget.rate, total_steps=budget.steps + 1, pct_start=0.1)
        for places in _batches(len(data), budget):
            pictures = data.pictures[places].to(device).float() / 255
            pictures, targets = augment(pictures, data.targets[places].to(device))
            loss = task.loss(net(pictures), targets)
            if not torch.isfinite(loss):
                raise TrainingError(f"the task {task.name} diverged (loss {loss.item()}); lower its learning rate")
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimiser.step()
            plan.step()
    return net.eval()


def predict(net: nn.Module, pictures: Tensor, device: str = "cpu", batch: int = 32) -> Tensor:
    """Return the outputs (N, ...) of a network for pictures (N, 3, H, W) uint8, on the processor."""
    with torch.inference_mode():
        return torch.cat([net(part.to(device).float() / 255).cpu() for part in pictures.split(batch)])


def marks(task: Task, net: nn.Module, data: Prepared, device: str = "cpu") -> Array:
    """Return the marks (N, M) of a network on `data`."""
    return task.marks(predict(net, data.pictures, device), data.targets)


def _batches(count: int, budget: Budget) -> Iterator[Tensor]:
    """Yield the places of each step's batch: shuffled epochs, whole batches across their ends."""
    waiting = torch.empty(0, dtype=torch.long)
    for _ in range(budget.steps):
        while len(waiting) < budget.batch:
            waiting = torch.cat([waiting, torch.randperm(count)])
        places, waiting = waiting[: budget.batch], waiting[budget.batch :]
        yield places
