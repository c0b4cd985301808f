"""Datasets in other datasets' layouts: one module for each format, `run.export` for all; see docs/exports.md."""

from __future__ import annotations

from facewright.dist import nearest
from facewright.errors import UserError
from facewright.exports import (
    attributes_table,
    celebamask_hq,
    coco,
    eth_xgaze,
    facesynthetics,
    huggingface,
    lapa,
    mpiigaze,
    nvgaze,
    openeds,
    teyed,
    unityeyes,
    w300_lp,
)
from facewright.exports.view import Format

FORMATS: dict[str, Format] = {
    "unityeyes": unityeyes.FORMAT,
    "mpiigaze": mpiigaze.FORMAT,
    "eth_xgaze": eth_xgaze.FORMAT,
    "openeds": openeds.FORMAT,
    "nvgaze": nvgaze.FORMAT,
    "teyed": teyed.FORMAT,
    "celebamask_hq": celebamask_hq.FORMAT,
    "lapa": lapa.FORMAT,
    "facesynthetics": facesynthetics.FORMAT,
    "coco": coco.FORMAT,
    "300w_lp": w300_lp.FORMAT,
    "huggingface": huggingface.FORMAT,
    "attributes": attributes_table.FORMAT,
}
"""Every format that `facewright export` writes, by name."""


def format_named(name: str) -> Format:
    """Return the format `name`. Raises UserError with the nearest name where there is none."""
    if name not in FORMATS:
        raise UserError(f"no format {name!r}{nearest(name, list(FORMATS))} (there are {', '.join(FORMATS)})")
    return FORMATS[name]
