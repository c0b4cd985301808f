"""HDF5 data sets that grow row by row, so that no more than one row is held in memory."""

from __future__ import annotations

from typing import Any

import numpy as np


class Columns:
    """Data sets of equal length in an h5py `group`: name -> (shape of a row, dtype)."""

    def __init__(self, group: Any, rows: dict[str, tuple[tuple[int, ...], str]]) -> None:
        self._sets = {
            name: group.create_dataset(
                name,
                shape=(0, *shape),
                maxshape=(None, *shape),
                dtype=dtype,
                chunks=(max(1, 4096 // int(np.prod(shape))), *shape),
                compression="lzf",
            )
            for name, (shape, dtype) in rows.items()
        }

    def append(self, **row: Any) -> None:
        """Add one row to every data set."""
        for name, data in self._sets.items():
            data.resize(len(data) + 1, axis=0)
            data[-1] = row[name]
