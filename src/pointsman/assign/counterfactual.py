"""What would have changed a choice by weights: the nearest weights, the smallest change of a prediction.

The nearest weights solve a small quadratic programme: the least |w' - w| on the simplex for which the
endpoint's score is below every other's. On the plane where weights sum to 1 this is a least-distance
problem, which becomes one non-negative least-squares problem; the multipliers of a problem without
solution name the mix of endpoints that no weights can beat.

Source: Lawson and Hanson, Solving Least Squares Problems (1974), chapter 23.5. Nothing of it runs while
a request waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from pointsman.nnls import nnls
from pointsman.types import Bools, Floats

MARGIN: Final = 1e-6
"""By how much a changed score must be below the others; less would be a tie."""

_NO_SOLUTION: Final = 1e-3
_BISECTIONS: Final = 60


@dataclass(frozen=True, slots=True)
class NearestWeights:
    """Weights under which an endpoint is chosen, shape (K,) with sum 1, at least distance from the given."""

    weights: Floats
    distance: float


@dataclass(frozen=True, slots=True)
class NoWeights:
    """No weights choose the endpoint: this mix of the others costs no more on any term.

    `shares` are by row index, above 0, with sum 1; one of share 1 dominates alone.
    """

    shares: Mapping[int, float]


def nearest_weights(costs: Floats, target: int, weights: Floats) -> NearestWeights | NoWeights:
    """The weights nearest to `weights` under which row `target` costs least.

    Args:
        costs: normalised, shape (E, K), finite.
        target: the row to be chosen.
        weights: shape (K,), at least 0, with sum 1.

    Cost: one non-negative least-squares problem of K + 1 rows and E + K columns.
    """
    others = np.flatnonzero(np.arange(len(costs)) != target)
    advantage = costs[others] - costs[target]
    for row in np.flatnonzero((advantage < MARGIN).all(axis=1)).tolist()[:1]:
        return NoWeights({int(others[row]): 1.0})
    k = costs.shape[1]
    limits = np.vstack([advantage, np.eye(k)])
    least = np.concatenate([np.full(len(others), MARGIN), np.zeros(k)])
    # Moves along `plane` keep the sum of the weights: an orthonormal basis of sum 0.
    plane = np.linalg.svd(np.ones((1, k)))[2][1:].T
    problem = np.vstack([(limits @ plane).T, least - limits @ weights])
    unit = np.zeros(k)
    unit[-1] = 1.0
    multipliers = nnls(problem, unit)
    residual = problem @ multipliers - unit
    if -residual[-1] < _NO_SOLUTION:
        mix = multipliers[: len(others)]
        shares = {int(others[row]): float(mix[row] / mix.sum()) for row in np.flatnonzero(mix > 0).tolist()}
        return NoWeights(shares)
    moved = np.maximum(weights + plane @ (residual[:-1] / -residual[-1]), 0.0)
    moved /= moved.sum()
    return NearestWeights(moved, float(np.linalg.norm(moved - weights)))


def smallest_factor(wins: Callable[[float], bool]) -> float | None:
    """How far a value must fall, as a factor in [0, 1) of it, until `wins` of the factor holds.

    `wins` must hold for every factor below one for which it holds, which is so for an endpoint's own
    cost: against each other one its normalised score only falls with it.

    Returns: the largest factor found by halving, accurate to 1e-15; None if even 0 is not enough.
    """
    if not wins(0.0):
        return None
    enough, too_much = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (enough + too_much) / 2
        if wins(middle):
            enough = middle
        else:
            too_much = middle
    return enough


def dominators(costs: Floats) -> Bools:
    """Which rows dominate which: shape (E, E), [i, j] where j is nowhere worse than i and somewhere better.

    Args:
        costs: lower is better, shape (E, K); a row with NaN neither dominates nor is dominated.
    """
    no_worse = (costs[np.newaxis] <= costs[:, np.newaxis]).all(axis=2)
    better = (costs[np.newaxis] < costs[:, np.newaxis]).any(axis=2)
    return np.logical_and(no_worse, better)


def telling_columns(costs: Floats, weights: Floats) -> Bools:
    """Which of the K objectives a change of weights may use, shape (K,).

    Those that bear a weight, and of the others those whose costs differ between endpoints and do not
    repeat an earlier column's: weight moved to carbon that only follows energy would say nothing.
    """
    telling = weights > 0
    for k in range(costs.shape[1]):
        if telling[k] or np.ptp(costs[:, k]) < MARGIN:
            continue
        telling[k] = not any(
            np.abs(costs[:, k] - costs[:, other]).max() < MARGIN for other in np.flatnonzero(telling).tolist()
        )
    return telling
