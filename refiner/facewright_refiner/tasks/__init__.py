"""Tasks that data is for, small enough to be trained many times: gaze, eye segmentation, face parsing, landmarks.

    task = task_named("parsing", classes=real.classes)
    data = task.prepare(real)
    net = train(task, data, Budget(steps=600), seed=0)
    task.score(marks(task, net, task.prepare(test)).sum(0))

See docs/gap.md.
"""

from __future__ import annotations

from facewright.dist import nearest
from facewright.errors import UserError
from facewright_refiner.readers.base import EYE
from facewright_refiner.tasks.base import Prepared, Task
from facewright_refiner.tasks.gaze import GazeTask
from facewright_refiner.tasks.landmarks import LandmarkTask
from facewright_refiner.tasks.segmentation import SegmentationTask
from facewright_refiner.tasks.training import Budget, marks, predict, train

__all__ = ["CONVENTION", "TASKS", "Budget", "Prepared", "Task", "marks", "predict", "task_named", "train"]

TASKS = ("parsing", "eyeseg", "gaze", "landmarks")
CONVENTION = {"parsing": "celebamask_hq", "eyeseg": "openeds"}
"""What class ids mean where the layout of a data set leaves it open."""


def task_named(name: str, *, classes: tuple[str, ...] = (), edge: int = 0, net: str = "lenet") -> Task:
    """Return a task; `classes` name the ids of segmentation, `edge` is the longer side in px (0: the task's own).

    Raises UserError.
    """
    if name == "gaze":
        return GazeTask(36 * edge // 60 if edge else 36, edge or 60, net)
    if name == "landmarks":
        return LandmarkTask(edge or 96, edge or 96)
    if name not in TASKS:
        raise UserError(f"no task {name!r}{nearest(name, list(TASKS))} (there are {', '.join(TASKS)})")
    edge = (edge or 96) // 8 * 8
    height = edge if name == "parsing" else edge * 3 // 4 // 8 * 8
    return SegmentationTask(height, edge, classes or tuple(EYE), (), name)
