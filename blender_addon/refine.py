"""Refining one rendered frame where the user looks: in a thread, with a worker in another Python that stays."""

import importlib.util
import threading
from contextlib import ExitStack

import bpy
import numpy as np

import facewright.dataset
from facewright.dataset import layout
from facewright.errors import FacewrightError, UserError
from facewright.refining import NEEDED, PORTABLE, open_refiner, split_spec

_open = ExitStack()
_refiners = {}


def rendered(jobs, sample):
    """Return the Frame of `sample` from the newest of `jobs` that has rendered it. Raises UserError."""
    for job in jobs:
        if (job.folder / layout.FRAMES / f"{layout.stem(sample.index)}.json").is_file():
            frame = facewright.dataset.open(job.folder).frame(sample.index)
            if frame.sample == sample:
                return frame
    raise UserError(f"frame {sample.index} is not rendered yet as the panel has it; press Render This Frame first")


class Work:
    """One frame on its way through a refiner."""

    def __init__(self, frame, spec, python):
        self._answer = None
        self.thread = threading.Thread(target=self._run, args=(frame, spec, python), daemon=True)
        self.thread.start()

    def _run(self, frame, spec, python):
        try:
            self._answer = _refiner(spec, python).refine(frame)
        except FacewrightError as error:
            self._answer = error

    def result(self):
        """Return the refined Frame, or raise what went wrong."""
        if isinstance(self._answer, FacewrightError):
            raise self._answer
        return self._answer


def portable(spec):
    """Return whether `spec` names an ONNX file, which runs in Blender itself."""
    return split_spec(spec)[0].lower().endswith(PORTABLE)


def in_process(spec):
    """Return whether this very Python can refine with `spec`."""
    return all(importlib.util.find_spec(name) for name in (("onnxruntime",) if portable(spec) else NEEDED))


def _refiner(spec, python):
    if (spec, python) not in _refiners:
        close()
        _refiners[spec, python] = _open.enter_context(open_refiner(spec, python or None))
    return _refiners[spec, python]


def close():
    """End the worker, if there is one."""
    _refiners.clear()
    _open.close()


def side_by_side(frame):
    """Return a Blender image: raw | refined."""
    both = np.concatenate([frame.layers["rgb"], frame.layers["refined"]], axis=1)[::-1]
    height, width = both.shape[:2]
    name = f"raw | refined {layout.stem(frame.sample.index)}"
    image = bpy.data.images.get(name)
    if image is None or tuple(image.size) != (width, height):
        image = bpy.data.images.new(name, width, height)
    rgba = np.ones((height, width, 4), np.float32)
    rgba[..., :3] = both / 255.0
    image.pixels.foreach_set(rgba.ravel())
    image.update()
    return image
