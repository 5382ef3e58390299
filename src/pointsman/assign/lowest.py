"""The lowest score of each row, with ties broken the same way by every policy that has one."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.types import UNASSIGNED, Bools, CostTable, Floats

_LARGEST: Final = float(np.finfo(np.float64).max)


def finite(values: Floats) -> Floats:
    """The values, with the largest number there is in place of what is not finite."""
    return np.nan_to_num(values, nan=_LARGEST, posinf=_LARGEST)


def lowest(score: Floats, eligible: Bools) -> tuple[NDArray[np.int64], Floats]:
    """The first lowest column of each row, `UNASSIGNED` where none is eligible; and the masked scores."""
    masked = np.where(eligible, score, np.inf)
    return np.where(eligible.any(axis=1), masked.argmin(axis=1), UNASSIGNED), masked


def cheapest(score: Floats, table: CostTable, eligible: Bools) -> tuple[NDArray[np.int64], Floats]:
    """The lowest column of each row by a finite score, and the masked scores, both as `lowest`.

    Ties go to the lower energy, then to the earlier column.
    """
    _, masked = lowest(score, eligible)
    tied = eligible & (masked == masked.min(axis=1, keepdims=True))
    return lowest(finite(table.energy_j.value), tied)[0], masked
