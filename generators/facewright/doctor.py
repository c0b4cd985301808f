"""What was found on this machine, and what to do about what is missing."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import facewright
from facewright.refining import PYTHON_VARIABLE

MIN_BLENDER = (4, 5, 0)
_PACKAGES = {
    "yaml": ("pyyaml", "reads the built-in recipes and .yaml files", True),
    "PIL": ("pillow", "reads pictures back: check, report, preview", True),
    "jinja2": ("jinja2", "writes the HTML report", False),
    "rich": ("rich", "draws progress bars and tables", False),
    "imageio": ("imageio", "reads real pictures", False),
    "safetensors": ("safetensors", "trains and applies learned refiners", False),
    "onnxruntime": ("onnxruntime", "applies learned refiners without torch", False),
    "h5py": ("h5py", "exports as mpiigaze and eth_xgaze", False),
    "scipy": ("scipy", "matching, sampling: sobol, exports as mpiigaze", False),
    "ray": ("ray", "renders on a cluster: generate --ray", False),
    "upath": ("universal-pathlib", "with fsspec and s3fs, reads and writes datasets at a URL", False),
    "s3fs": ("s3fs", "reads and writes datasets at s3://", False),
}


class Finding(NamedTuple):
    """One line of the doctor: `what` was looked for, what was `found`, and the `cure` where it is not `ok`."""

    what: str
    ok: bool
    found: str
    cure: str = ""
    needed: bool = True


def examine(refiner_python: str | None = None) -> list[Finding]:
    """Return what was found here: Python, Blender and its devices, packages, torch, disk. Never raises."""
    return [_python(), *_blender(), *_packages(), _torch(refiner_python), _disk()]


def show(findings: list[Finding]) -> None:
    """Print the findings, as a table where rich is installed."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        for finding in findings:
            cure = f" -> {finding.cure}" if finding.cure else ""
            print(f"{_mark(finding):4} {finding.what}: {finding.found}{cure}")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("", "what", "found", "what to do"):
        table.add_column(title)
    for finding in findings:
        colour = "green" if finding.ok else "red" if finding.needed else "yellow"
        table.add_row(f"[{colour}]{_mark(finding)}", finding.what, finding.found, finding.cure)
    Console().print(table)


def _mark(finding: Finding) -> str:
    return "ok" if finding.ok else "FIX" if finding.needed else "opt"


def _python() -> Finding:
    good = sys.version_info >= (3, 11)
    where = "Blender's own" if _inside_blender() else sys.executable
    return Finding(
        "Python",
        good,
        f"{platform.python_version()} ({where}), Facewright {facewright.__version__}",
        "" if good else "use Python 3.11 or newer",
    )


def _inside_blender() -> bool:
    return bool(getattr(getattr(sys.modules.get("bpy"), "app", None), "binary_path", ""))


def _blender() -> list[Finding]:
    try:
        bpy = importlib.import_module("bpy")
    except ImportError as error:
        other = shutil.which("blender")
        cure = (
            f"run `{other} --background --python generate.py -- ...`"
            if other
            else ("`python -m pip install bpy` (Python 3.11 or 3.13), or install Blender 4.5 or newer")
        )
        return [Finding("Blender", False, str(error), cure)]
    good = tuple(bpy.app.version) >= MIN_BLENDER
    kind = "program" if bpy.app.binary_path else "bpy package"
    wanted = ".".join(map(str, MIN_BLENDER[:2]))
    found = [
        Finding(
            "Blender",
            good,
            f"{bpy.app.version_string} ({kind})",
            "" if good else f"Facewright needs Blender {wanted} or newer",
        )
    ]
    return found + ([_devices(bpy), _denoiser()] if good else [])


def _devices(bpy: Any) -> Finding:
    try:
        preferences = bpy.context.preferences.addons["cycles"].preferences
        names = [
            f"{device.name} ({kind.lower()})"
            for kind in ("OPTIX", "CUDA", "HIP", "METAL", "ONEAPI")
            for device in preferences.get_devices_for_type(kind)
            if device.type == kind
        ]
    except (KeyError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        return Finding("devices", False, f"Cycles does not say ({error})", "the CPU is used", needed=False)
    cpu = f"CPU, {os.cpu_count()} threads"
    if names:
        return Finding("devices", True, "; ".join([*names, cpu]))
    return Finding("devices", False, cpu, "no GPU that Cycles can use; frames render on the CPU", needed=False)


def _denoiser() -> Finding:
    good = bool(getattr(importlib.import_module("_cycles"), "with_openimagedenoise", False))
    return Finding(
        "denoiser",
        good,
        "OpenImageDenoise" if good else "this Blender was built without one",
        "" if good else "pictures get more samples instead; blender.org's builds have it",
        needed=False,
    )


def _packages() -> list[Finding]:
    found = []
    for module, (name, use, needed) in _PACKAGES.items():
        good = importlib.util.find_spec(module) is not None
        version = _version(name) if good else f"missing: {use}"
        found.append(Finding(name, good, version, "" if good else f"`python -m pip install {name}`", needed))
    return found


def _torch(refiner_python: str | None) -> Finding:
    if importlib.util.find_spec("torch") and importlib.util.find_spec("kornia"):
        return Finding("refiner", True, f"torch {_version('torch')}, kornia {_version('kornia')}", needed=False)
    python = refiner_python or os.environ.get(PYTHON_VARIABLE)
    cure = "`python -m pip install torch kornia`, or name a Python that has them with --refiner-python"
    if not python:
        return Finding("refiner", False, "no torch and kornia here", cure, needed=False)
    code = "import torch, kornia; print('torch', torch.__version__ + ', kornia', kornia.__version__)"
    try:
        result = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("refiner", False, f"{python} does not run ({error})", cure, needed=False)
    good = result.returncode == 0
    last = (result.stdout if good else result.stderr).strip().splitlines()[-1:] or ["no answer"]
    return Finding("refiner", good, f"{last[0]} ({python})", "" if good else cure, needed=False)


def _disk() -> Finding:
    free = shutil.disk_usage(Path()).free / 1e9
    return Finding(
        "disk", free > 1, f"{free:,.0f} GB free in this folder", "" if free > 1 else "free some space", needed=False
    )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "version unknown"
