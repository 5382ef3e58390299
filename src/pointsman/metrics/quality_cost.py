"""What quality costs along a curve of settings: one mean read off where another reaches a level, with weights.

    paired_interval([cost_at_quality(q, c, target, unit) for ...], groups=groups, rng=rng)

Settings are ordered by rising cost. Between two neighbours rows may be shared out, so the curve is a line;
a setting that is no better than a cheaper one is not used.
"""

from __future__ import annotations

import numpy as np

from pointsman.errors import DataError
from pointsman.metrics.intervals import Weighted
from pointsman.types import Floats


def cost_at_quality(quality: Floats, cost: Floats, target: Floats, unit: Floats) -> Weighted:
    """The cost at which the curve reaches the target's mean quality, as a share of the unit's mean cost.

    Args:
        quality: shape (N, L), of each row under each setting.
        cost: shape (N, L).
        target: shape (N,), quality to reach: of the best single model.
        unit: shape (N,), cost to compare with: of that model.

    Returns: NaN where no setting reaches it.
    """
    _check(quality, cost, target, unit)

    def weighted(weights: Floats) -> Floats:
        goals, units = weights @ target, weights @ unit
        curves = zip(weights @ quality, weights @ cost, goals.tolist(), strict=True)
        return np.array([_reached(got, spent, goal) for got, spent, goal in curves]) / units

    return weighted


def quality_at_cost(quality: Floats, cost: Floats, target: Floats, unit: Floats, share: float) -> Weighted:
    """How far the curve's quality is above the target's, relative to it, at a share of the unit's cost.

    Args:
        quality: shape (N, L), of each row under each setting.
        cost: shape (N, L).
        target: shape (N,), quality to compare with.
        unit: shape (N,), cost to compare with.
        share: of the unit's mean cost.

    Returns: NaN where every setting costs more.
    """
    _check(quality, cost, target, unit)

    def weighted(weights: Floats) -> Floats:
        limits, goals = share * (weights @ unit), weights @ target
        curves = zip(weights @ quality, weights @ cost, limits.tolist(), strict=True)
        return np.array([_bought(got, spent, limit) for got, spent, limit in curves]) / goals - 1.0

    return weighted


def _reached(quality: Floats, cost: Floats, goal: float) -> float:
    best = np.maximum.accumulate(quality)
    at = int(np.searchsorted(best, goal))
    if at == len(best):
        return np.nan
    if at == 0 or best[at] == goal:
        return float(cost[at])
    return float(np.interp(goal, best[at - 1 : at + 1], cost[at - 1 : at + 1]))


def _bought(quality: Floats, cost: Floats, limit: float) -> float:
    best = np.maximum.accumulate(quality)
    return float(np.interp(limit, cost, best)) if cost[0] <= limit else np.nan


def _check(quality: Floats, cost: Floats, target: Floats, unit: Floats) -> None:
    if quality.ndim != 2 or not quality.shape == cost.shape == (len(target), quality.shape[1]):  # noqa: PLR2004
        raise DataError(f"quality of shape {quality.shape} has no curve over cost of shape {cost.shape}")
    if target.shape != unit.shape:
        raise DataError(f"a target of shape {target.shape} has no unit of shape {unit.shape}")
