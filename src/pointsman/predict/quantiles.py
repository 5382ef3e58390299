"""Quantiles of what was seen in part: weighted, and with values known only to be above a limit."""

from __future__ import annotations

import numpy as np

from pointsman.types import Bools, Floats


def weighted_quantiles(values: Floats, weights: Floats, levels: Floats) -> Floats:
    """The smallest values that at least a share `levels` of the weight does not exceed."""
    return censored_quantiles(values, np.zeros(len(values), dtype=bool), weights, levels)


def censored_quantiles(values: Floats, censored: Bools, weights: Floats, levels: Floats) -> Floats:
    """Quantiles where some values are only known to be above what was seen (a cut answer).

    Args:
        values: shape (N,), N at least 1.
        censored: shape (N,), True where the value is only a lower bound.
        weights: shape (N,), above 0.
        levels: in (0, 1).

    Returns: shape of `levels`. A level past all that was seen gives the largest value: a lower bound.
    Source: Kaplan and Meier (1958), with weights; at ties the uncensored come first.
    """
    order = np.lexsort((censored, values))
    sorted_values, cut, weight = values[order], censored[order], weights[order]
    at_risk = np.cumsum(weight[::-1])[::-1]
    survive = np.cumprod(np.where(cut, 1.0, np.maximum(1.0 - weight / at_risk, 0.0)))
    index = np.searchsorted(-survive, -(1.0 - levels) - 1e-12, side="left")
    return np.asarray(sorted_values[np.minimum(index, len(values) - 1)], dtype=np.float64)
