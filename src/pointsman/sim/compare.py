"""Figures over several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from pointsman.metrics.intervals import Interval

_T95: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Student's t, two-sided 95%, with 1 to 9 degrees of freedom."""

_NORMAL95: Final = 1.96


def over_seeds(values: Sequence[float]) -> Interval:
    """The mean over seeds with its 95% interval by Student's t; of one seed without, so NaN."""
    column = np.array(values, dtype=np.float64)
    mean = float(column.mean())
    degrees = len(column) - 1
    if not degrees:
        return Interval(mean, np.nan, np.nan)
    t = _T95[degrees - 1] if degrees <= len(_T95) else _NORMAL95 + 2.4 / degrees
    half = t * float(column.std(ddof=1)) / np.sqrt(len(column))
    return Interval(mean, mean - half, mean + half)
