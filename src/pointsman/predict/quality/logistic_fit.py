"""Logistic regression around a prior: the one fit behind calibration, stacking and the judge."""

from __future__ import annotations

from typing import Final

import numpy as np

from pointsman.predict.quality.odds import sigmoid
from pointsman.types import Floats

_ROUNDS: Final = 100
_TOLERANCE: Final = 1e-9
_LONGEST_STEP: Final = 2.0


def fit_logistic(
    design: Floats,
    labels: Floats,
    centre: Floats,
    precision: Floats,
    *,
    offset: Floats | float = 0.0,
    least: float | Floats = -np.inf,
) -> Floats:
    """The weights w of greatest posterior, shape (F,), where log-odds = offset + design w.

    Newton's method from `centre`, with steps of at most 2; a weight at its bound that would fall is held.

    Args:
        design: shape (N, F).
        labels: in [0, 1], shape (N,).
        centre: mean of the weights' normal prior, shape (F,).
        precision: of that prior, shape (F,), in labels; 0: the weight is free.
        offset: one number, or shape (N,).
        least: the weights' lower bounds, one number or shape (F,), none above `centre`.
    """
    found = np.array(centre, dtype=np.float64)
    for _ in range(_ROUNDS):
        chance = sigmoid(offset + design @ found)
        slope = design.T @ (labels - chance) - precision * (found - centre)
        free = (found > least) | (slope > 0)
        used = design[:, free]
        curve = (used * (chance * (1.0 - chance))[:, None]).T @ used + np.diag(precision[free] + _TOLERANCE)
        step = np.zeros_like(found)
        step[free] = np.linalg.solve(curve, slope[free])
        step *= min(1.0, _LONGEST_STEP / (float(np.abs(step).max()) + _TOLERANCE))
        moved = np.maximum(found + step, least)
        if np.abs(moved - found).max() < _TOLERANCE:
            return moved
        found = moved
    return found
