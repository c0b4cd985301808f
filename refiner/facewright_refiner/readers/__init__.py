"""Readers of labelled pictures: one module for each data set, all through `open_real`; see docs/gap.md. No torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from facewright.dist import nearest
from facewright.errors import DatasetError, UserError
from facewright_refiner.readers import (
    celebamask_hq,
    eth_xgaze,
    helen,
    lapa,
    masks,
    mpiifacegaze,
    mpiigaze,
    nvgaze,
    openeds,
    ours,
    pts,
    unityeyes,
)
from facewright_refiner.readers.base import CONVENTIONS, Entry, Labelled, Real

__all__ = ["CONVENTIONS", "READERS", "Entry", "Labelled", "Reader", "Real", "open_real"]


class Reader(NamedTuple):
    """How a layout is recognised and read; `own_ids` says that the caller must name the convention of its ids."""

    doc: str
    found: Callable[[Path], bool]
    read: Callable[..., Real]
    own_ids: bool = False


READERS: dict[str, Reader] = {
    "facewright": Reader("one of our datasets", ours.found, ours.read, own_ids=True),
    "mpiigaze": Reader("Data/Normalized/pXX/dayYY.mat", mpiigaze.found, mpiigaze.read),
    "mpiifacegaze": Reader("pXX.mat, normalised faces", mpiifacegaze.found, mpiifacegaze.read),
    "eth_xgaze": Reader("train/subjectNNNN.h5", eth_xgaze.found, eth_xgaze.read),
    "unityeyes": Reader("imgs/N.jpg and .json", unityeyes.found, unityeyes.read),
    "openeds": Reader("SPLIT/images/N.png, SPLIT/labels/N.npy", openeds.found, openeds.read),
    "nvgaze": Reader("type_img_frame_N.png and masks; RIT-Eyes too", nvgaze.found, nvgaze.read),
    "celebamask_hq": Reader("CelebA-HQ-img, CelebAMask-HQ-mask-anno", celebamask_hq.found, celebamask_hq.read),
    "helen": Reader("images, labels/NAME/NAME_lblNN.png", helen.found, helen.read),
    "lapa": Reader("SPLIT/images, SPLIT/labels", lapa.found, lapa.read),
    "masks": Reader("images and masks of ids, masks:CONVENTION", masks.found, masks.read, own_ids=True),
    "300w": Reader("pictures with .pts files", pts.found, pts.read),
}
"""Every layout that is read, by name; tried in this order where none is named."""


def open_real(folder: str | Path, format_name: str = "", *, convention: str = "") -> Real:
    """Return the labelled pictures of `folder`: a layout of READERS, recognised where `format_name` is "".

    `convention` names the ids of layouts that could hold any; "masks:lapa" as format says the same.
    Raises DatasetError, UserError, MissingPackage.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; give the folder of a data set")
    name, _, named = format_name.partition(":")
    if name and name not in READERS:
        raise UserError(f"no format {name!r}{nearest(name, list(READERS))} (there are {', '.join(READERS)})")
    name = name or next((key for key, reader in READERS.items() if reader.found(folder)), "")
    if not name or not READERS[name].found(folder):
        layouts = f"{READERS[name].doc}" if name else "; ".join(f"{k}: {r.doc}" for k, r in READERS.items())
        raise DatasetError(f"{folder}: is not laid out as {name or 'any data set known'} ({layouts})")
    chosen = named or convention
    if chosen and chosen not in CONVENTIONS:
        raise UserError(
            f"no convention {chosen!r}{nearest(chosen, list(CONVENTIONS))}; known: {', '.join(CONVENTIONS)}"
        )
    reader = READERS[name]
    if reader.own_ids and name == "masks" and not chosen:
        raise UserError(
            f"{folder}: say what its ids mean, as in --format masks:celebamask_hq ({', '.join(CONVENTIONS)})"
        )
    real = reader.read(folder, chosen) if reader.own_ids else reader.read(folder)
    if not real.entries:
        raise DatasetError(f"{folder}: holds no labelled picture of the layout {name} ({reader.doc})")
    return real
