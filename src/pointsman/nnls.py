"""Least squares under the condition that no coefficient is negative, for a few columns.

Source: Lawson and Hanson, Solving Least Squares Problems (1974), chapter 23, the active-set method.
Differs in: columns are scaled to unit length first, so that the tolerance means the same for all.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from pointsman.types import Floats

_TOLERANCE: Final = 1e-10
_STEPS_A_COLUMN: Final = 30


def nnls(matrix: Floats, target: Floats) -> Floats:
    """The x >= 0 that minimises |matrix @ x - target|.

    Args:
        matrix: shape (N, K), finite. A column of zeros gets the coefficient 0.
        target: shape (N,), finite.

    Returns: shape (K,), each 0 or above. Where the minimum is reached by many x, one of them.
    Cost: at most 30 K small least-squares solutions.
    """
    length = np.linalg.norm(matrix, axis=0)
    scale = np.where(length > 0, length, 1.0)
    columns = matrix / scale
    count = columns.shape[1]
    tolerance = _TOLERANCE * max(1.0, float(np.linalg.norm(target)))
    free = np.zeros(count, dtype=bool)
    x = np.zeros(count)
    for _ in range(_STEPS_A_COLUMN * count):
        gain = np.where(free, -np.inf, columns.T @ (target - columns @ x))
        entering = int(np.argmax(gain))
        if gain[entering] <= tolerance:
            break
        free[entering] = True
        step = _solve(columns, target, free)
        if step[entering] <= 0:  # rounding alone made it look useful
            free[entering] = False
            break
        while (step[free] <= 0).any():
            blocking = free & (step <= 0)
            share = np.min(x[blocking] / (x[blocking] - step[blocking]))
            x += share * (step - x)
            free &= ~(blocking & (x <= tolerance))
            x[~free] = 0.0
            step = _solve(columns, target, free)
        x = step
    return x / scale


def _solve(columns: Floats, target: Floats, free: np.typing.NDArray[np.bool_]) -> Floats:
    x = np.zeros(columns.shape[1])
    if free.any():
        x[free] = np.linalg.lstsq(columns[:, free], target, rcond=None)[0]
    return x
