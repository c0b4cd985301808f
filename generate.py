"""Facewright from a clone, nothing installed: `python generate.py ...` or `blender -b --python generate.py -- ...`."""

import sys
from pathlib import Path

root = Path(__file__).resolve().parent
sys.path[:0] = [str(root / "generators"), str(root / "refiner")]

from facewright.__main__ import run  # noqa: E402

run()
