"""The refiner as a child process, for hosts without torch (Blender). `facewright.refining` is its only user.

Jobs come as JSON lines on stdin, answers go as JSON lines to what was stdout; arrays travel as .npy files in a folder
that the parent names. Whatever libraries print goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np

from facewright.errors import FacewrightError, MissingPackage
from facewright.render import Check, Frame
from facewright.sample import Sample
from facewright.truth import Truth


def main(spec: str) -> None:
    """Serve refiner `spec` until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        from facewright_refiner.apply import load_refiner

        refiner = load_refiner(spec)
    except ImportError as error:
        _say(answers, {"error": {"kind": MissingPackage.__name__, "message": f"{sys.executable}: {error}"}})
        return
    except FacewrightError as error:
        _say(answers, {"error": {"kind": type(error).__name__, "message": str(error)}})
        return
    _say(answers, {"about": refiner.about, "needs": list(refiner.needs)})
    for line in sys.stdin:
        try:
            answer = _serve(refiner, json.loads(line))
        except FacewrightError as error:
            answer = {"error": {"kind": type(error).__name__, "message": str(error)}}
        _say(answers, answer)


def _serve(refiner: Any, job: dict[str, Any]) -> dict[str, Any]:
    layers = {name: np.load(path) for name, path in job["layers"].items()}
    frame = Frame(
        Sample.from_data(job["sample"]),
        layers,
        Truth.from_data(job["truth"]),
        [Check(*check) for check in job["checks"]],
        job["seconds"],
        job["about"],
    )
    (refined,) = refiner.refine([frame])
    if "refined" in refined.layers:
        np.save(Path(job["refined"]), refined.layers["refined"])
    return {"checks": [list(check) for check in refined.checks], "seconds": refined.seconds, "about": refined.about}


def _say(stream: IO[str], message: dict[str, Any]) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


if __name__ == "__main__":
    main(sys.argv[1])
