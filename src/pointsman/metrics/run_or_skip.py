"""What running or skipping costs, for one model or several; every measure of the run-or-skip task once.

With y = 1 where the model would answer rightly:

    cost of running m   c_run_m + c_wrong (1 - y_m)
    cost of skipping    c_miss max_m y_m
    run one model iff   P(y = 1) >= t* = (c_run + c_wrong) / (c_miss + c_wrong)
    normalised score    (best constant - score) / (best constant - oracle); 0: a constant, 1: the oracle

Labels `right` have shape (N,) for one model or (N, E) for several, in [0, 1]. A choice is the model's
column, or `SKIP`. Source: the run-or-skip competition on MMLU; Chow 1970; Elkan 2001.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointsman.errors import DataError
from pointsman.metrics.columns import check_columns, check_right_or_wrong, check_shares
from pointsman.metrics.intervals import Weighted, quotient
from pointsman.metrics.splits import Ints
from pointsman.types import Bools, Floats

SKIP: Final = -1
THRESHOLDS: Final = np.arange(1, 100) / 100
_LARGEST: Final = 1e100
"""A cost beyond can't be summed over queries, or squared, in a float."""
_ROUNDING: Final = 1e-12
"""By how much of what is at stake a tie may seem to be none."""


@dataclass(frozen=True, slots=True)
class Stakes:
    """What is at stake for each query, in one unit.

    Attributes:
        c_run: of running: one number; for one model shape (N,); for several (E,) or (N, E).
        c_wrong: of an answer that is wrong.
        c_miss: of skipping what would have been answered rightly.
    """

    c_run: float | Floats = 0.2
    c_wrong: float = 1.0
    c_miss: float = 1.0

    def __post_init__(self) -> None:
        """Raises DataError for a cost that is negative, not finite or absurd."""
        for name in ("c_run", "c_wrong", "c_miss"):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if not (np.isfinite(value) & (value >= 0)).all():
                raise DataError(f"{name} = {value} can't be a cost", remedy="Give finite numbers from 0")
            if (value > _LARGEST).any():
                raise DataError(f"{name} = {value.max():g} is too large", remedy=f"Give at most {_LARGEST:g}")

    @property
    def threshold(self) -> Floats:
        """t*, with the shape of `c_run`; above 1 running never pays, infinity where nothing is at stake."""
        at_stake = self.c_miss + self.c_wrong
        cost = np.asarray(self.c_run, dtype=np.float64) + self.c_wrong
        return cost / at_stake if at_stake > 0 else np.full_like(cost, np.inf)


def decide(probability: Floats, stakes: Stakes) -> Ints:
    """The choice of least expected cost for each query, shape (N,); ties run, of equals the first.

    Args:
        probability: of being right, shape (N,) or (N, E). With several models the chance that any is
            right is taken as the largest of them: exact if what a weaker model solves, a stronger does.
        stakes: as told.
    """
    costs = _costs(probability, stakes)
    skip = costs.shape[1] - 1
    costs[:, skip] += _ROUNDING * (stakes.c_wrong + stakes.c_miss)
    best = costs.argmin(axis=1)
    return np.where(best == skip, SKIP, best)


def score(choice: Ints | Bools, right: Floats, stakes: Stakes) -> float:
    """Mean cost of the choices; lower is better.

    Args:
        choice: shape (N,): a column of `right`, or `SKIP`; for one model also True to run.
        right: shape (N,) or (N, E).
        stakes: as told.
    """
    return float(costs_of(choice, right, stakes).mean())


def costs_of(choice: Ints | Bools, right: Floats, stakes: Stakes) -> Floats:
    """The cost of each query, shape (N,), for paired intervals of `score`."""
    costs = _costs(right, stakes)
    column: Ints = np.where(choice, 0, SKIP) if choice.dtype == bool else choice.astype(np.int64)
    models = costs.shape[1] - 1
    if column.shape != (len(costs),) or not ((column >= SKIP) & (column < models)).all():
        raise DataError(f"choices must be {len(costs)} numbers from {SKIP} to {models - 1}")
    picked: Floats = costs[np.arange(len(costs)), column]
    return picked


class Bounds(NamedTuple):
    """Mean costs of what looks at no query, and of what knows all answers."""

    all_run: Floats
    """Shape (E,), or (1,) for one model."""
    all_skip: float
    oracle: float

    @property
    def constant(self) -> float:
        """The best that can be had without looking."""
        return min(float(self.all_run.min()), self.all_skip)


def bounds(right: Floats, stakes: Stakes) -> Bounds:
    """All-run, all-skip and oracle; the oracle skips a right answer where c_run is above c_miss."""
    costs = _costs(right, stakes)
    means = costs.mean(axis=0)
    return Bounds(means[:-1], float(means[-1]), float(costs.min(axis=1).mean()))


def normalised(choice: Ints | Bools, right: Floats, stakes: Stakes) -> float:
    """The share of the way from the best constant to the oracle; NaN where those cost the same."""
    edge = bounds(right, stakes)
    room = edge.constant - edge.oracle
    return (edge.constant - score(choice, right, stakes)) / room if room > 0 else float("nan")


def normalised_of(choice: Ints | Bools, right: Floats, stakes: Stakes) -> Weighted:
    """`normalised` under weights of the queries, for its intervals."""
    costs, chosen = _costs(right, stakes), costs_of(choice, right, stakes)
    oracle = costs.min(axis=1)

    def weighted(weights: Floats) -> Floats:
        constant = (weights @ costs).min(axis=1)
        return quotient(constant - weights @ chosen, constant - weights @ oracle)

    return weighted


class CostCurve(NamedTuple):
    """Regret at each threshold t*, in units of c_miss + c_wrong; the oracle's is 0. Shapes (T,)."""

    threshold: Floats
    model: Floats
    all_run: Floats
    all_skip: Floats


def cost_curve(probability: Floats, right: Floats, thresholds: NDArray[np.float64] = THRESHOLDS) -> CostCurve:
    """What a model of probabilities costs above the oracle, whatever the stakes are: they only set t*.

    A wrong answer that was run costs c_run + c_wrong more than the oracle, a right one that was skipped
    c_miss - c_run; over their sum these are t* and 1 - t*. The area under the curve is half the Brier
    score. Times c_miss + c_wrong, plus the oracle's cost, it is `score` of `decide`.

    Args:
        probability: shape (N,), of one model.
        right: shape (N,), 0 or 1.
        thresholds: shape (T,), in (0, 1).
    """
    check_columns(right, probability)
    check_right_or_wrong(right)
    order = np.argsort(probability)
    below = np.searchsorted(probability[order], thresholds, side="left")
    missed = np.concatenate([[0.0], np.cumsum(right[order])])[below]
    rights, n = float(right.sum()), len(right)
    wrong_run = (n - below) - (rights - missed)
    return CostCurve(
        thresholds,
        (thresholds * wrong_run + (1 - thresholds) * missed) / n,
        thresholds * (n - rights) / n,
        (1 - thresholds) * rights / n,
    )


def _costs(right: Floats, stakes: Stakes) -> Floats:
    """Shape (N, E + 1); the last column, which -1 also names, is the cost of skipping."""
    c_run = np.asarray(stakes.c_run, dtype=np.float64)
    if right.ndim == 1:
        right = right[:, np.newaxis]
        c_run = c_run[:, np.newaxis] if c_run.ndim == 1 else c_run
    if right.ndim != 2 or 0 in right.shape:  # noqa: PLR2004
        raise DataError(f"labels of shape {right.shape} can't be scored", remedy="Give (N,) or (N, E)")
    check_shares("label", right.ravel())
    try:
        run = np.broadcast_to(c_run, right.shape) + stakes.c_wrong * (1 - right)
    except ValueError as error:
        raise DataError(
            f"c_run of shape {np.shape(stakes.c_run)} doesn't fit labels of shape {right.shape}"
        ) from error
    return np.column_stack([run, stakes.c_miss * right.max(axis=1)])
