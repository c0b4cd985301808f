"""Label adapters: from our convention of a label to another data set's, learnt from a few of its labelled pictures.

They see predictions, never pictures: what they learn is where another annotator draws the line (the extent of a brow,
the size of an eye, the kappa of a gaze), and not how real pictures look. They can also correct habitual mistakes of a
network, which is no label gap; so their share is reported apart.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from facewright_refiner.tasks.base import Task
from facewright_refiner.tasks.landmarks import OUTER_CORNERS
from facewright_refiner.tasks.segmentation import SegmentationTask
from facewright_refiner.tasks.training import Budget, seeded

Adapter = Callable[[Tensor], Tensor]

BATCH, RATE = 4, 5e-3


class SegmentationAdapter(nn.Module):
    """Class logits to class logits: three dilated convolutions (a view of 15 px) added to what was predicted."""

    def __init__(self, classes: int, width: int = 16) -> None:
        super().__init__()
        self.net = nn.Sequential(
            *(nn.Conv2d(classes, width, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(width, width, 3, padding=2, dilation=2), nn.ReLU()),
            *(nn.Conv2d(width, width, 3, padding=4, dilation=4), nn.ReLU()),
            nn.Conv2d(width, classes, 1),
        )
        nn.init.zeros_(self.net[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.net[-1].bias)  # type: ignore[arg-type]

    def forward(self, logits: Tensor) -> Tensor:
        """Return adapted logits (N, C, H, W); before training they are the given ones."""
        return logits.log_softmax(1).clamp(min=-10) + self.net(logits.softmax(1))


def learn(task: Task, predicted: Tensor, targets: Tensor, budget: Budget, seed: int) -> Adapter:
    """Return what maps predictions of the task's network to `targets`, learnt from N pairs."""
    if isinstance(task, SegmentationTask):
        return _learn_classes(task, predicted, targets, budget.adapter_steps, seed)
    if task.name == "landmarks":
        return offsets(predicted, targets)
    return affine(predicted, targets)


def _learn_classes(task: SegmentationTask, predicted: Tensor, targets: Tensor, steps: int, seed: int) -> Adapter:
    with seeded(seed, "cpu"):
        net = SegmentationAdapter(len(task.classes))
        optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-2)
        plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps + 1, pct_start=0.1)
        for _ in range(steps):
            places = torch.randint(len(predicted), (BATCH,))
            logits, ids = predicted[places], targets[places]
            across = int(torch.randint(-8, 9, ()))
            down = int(torch.randint(-8, 9, ()))
            logits, ids = (x.roll((down, across), (-2, -1)) for x in (logits, ids))
            loss = task.loss(net(logits), ids)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            plan.step()
    net.eval().requires_grad_(False)
    return lambda logits: torch.cat([net(part) for part in logits.split(32)])


def affine(predicted: Tensor, targets: Tensor) -> Adapter:
    """Return the affine map of angles (N, 2) that fits best, held near the identity by as much as five pictures say."""
    ones = torch.ones(len(predicted), 1, dtype=torch.float64)
    x = torch.cat([predicted.double(), ones], 1)
    spread = predicted.double().var(0).mean().clamp(min=1e-6)
    hold = 5 * torch.diag(torch.stack([spread, spread, torch.ones((), dtype=torch.float64)]))
    same = torch.eye(3, 2, dtype=torch.float64)
    weight = torch.linalg.solve(x.T @ x + hold, x.T @ targets.double() + hold @ same)
    return lambda angles: (torch.cat([angles.double(), torch.ones(len(angles), 1)], 1) @ weight).float()


def offsets(predicted: Tensor, targets: Tensor) -> Adapter:
    """Return what moves each landmark (N, P, 2) by its mean offset in the face's own frame.

    The frame's x runs between the outer eye corners and its unit is their distance.
    """
    mean = _in_face(targets - predicted, predicted).mean(0)
    mean = mean * len(predicted) / (len(predicted) + 5)

    def adapt(points: Tensor) -> Tensor:
        x, y = _axes(points)
        return points + mean[:, 0:1] * x[:, None] + mean[:, 1:2] * y[:, None]

    return adapt


def _axes(points: Tensor) -> tuple[Tensor, Tensor]:
    right, left = OUTER_CORNERS
    x = points[:, left] - points[:, right]
    return x, torch.stack([-x[:, 1], x[:, 0]], 1)


def _in_face(vectors: Tensor, points: Tensor) -> Tensor:
    x, y = _axes(points)
    length = x.square().sum(1)[:, None]
    return torch.stack([(vectors * axis[:, None]).sum(-1) / length for axis in (x, y)], -1)
