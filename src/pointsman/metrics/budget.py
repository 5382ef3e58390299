"""The threshold that a budget allows, found on validation data, and what to expect of it.

    threshold   a query runs, on its best predicted endpoint, if that quality reaches t; else it is skipped
    floor       every query runs: on the cheapest endpoint whose predicted quality reaches t, else on the best

Quality is the share of all queries that get a right answer, so a skipped query counts as none. Of the
thresholds within the budget that of the best quality is taken, and of equals the one that runs less.
Source: RouteLLM's calibration of a share of strong calls. Differs in: budgets of dollars and joules, any
number of endpoints, and an interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pointsman.errors import BadRequest, DataError
from pointsman.metrics.columns import check_shares
from pointsman.metrics.intervals import Interval, Weighted, mean_of, paired_interval, ratio_of
from pointsman.metrics.splits import Ints
from pointsman.types import Floats

POLICIES: Final = ("threshold", "floor")
SKIP: Final = -1
MAX_THRESHOLDS: Final = 401
_DIGITS: Final = 4
_TINY: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Validation:
    """Held-out predictions and what came of them, N queries on E endpoints.

    Attributes:
        probability: predicted of being right, shape (N, E), in [0, 1].
        right: shape (N, E), in [0, 1].
        cost: of a run, shape (N, E), in the unit of the budget; None where no cost is known.
        groups: shape (N,): queries that are drawn together, such as those of one prompt.
        floor_order: what `floor` goes by, shapes (N, E): the first decides, ties go to the next; empty: the
            cost. The gateway's goes by dollars, then by joules, whatever the budget is of.
    """

    probability: Floats
    right: Floats
    cost: Floats | None
    groups: Ints
    floor_order: tuple[Floats, ...] = ()

    def __post_init__(self) -> None:
        """Raises DataError for wrong shapes, values out of range, and costs that are no finite numbers."""
        shape = self.probability.shape
        cost = self.right if self.cost is None else self.cost
        if len(shape) != 2 or 0 in shape or not shape == self.right.shape == cost.shape:  # noqa: PLR2004
            raise DataError(
                f"predictions {shape}, labels {self.right.shape} and costs {cost.shape} don't fit"
            )
        check_shares("probability", self.probability.ravel())
        check_shares("label", self.right.ravel())
        for given in (cost, *self.floor_order):
            if not (np.isfinite(given) & (given >= 0)).all():
                raise DataError("a cost is negative or no finite number", remedy="Leave those rows out")


class Curve(NamedTuple):
    """What each threshold gives, shapes (T,), thresholds rising; cost is a query's mean, NaN if not known."""

    threshold: Floats
    run_share: Floats
    quality: Floats
    cost: Floats


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What to expect at a threshold; intervals are of 95%, over groups.

    Attributes:
        accuracy: of the answers that are given; None where none are.
        cost: mean of a query; None where no cost is known.
        by_chance: the quality if the same share ran, drawn by chance (policy `threshold`).
    """

    policy: str
    threshold: float
    run_share: Interval
    quality: Interval
    accuracy: Interval | None
    cost: Interval | None
    by_chance: float

    @property
    def model_name(self) -> str:
        """The name that a request gives to get it."""
        return f"router-{self.policy}-{self.threshold:g}"


def choices(data: Validation, policy: str, threshold: float) -> Ints:
    """The endpoint of each query, shape (N,): a column, or `SKIP`."""
    probability = data.probability
    if policy == "threshold":
        best: Ints = probability.argmax(axis=1)
        return np.where(probability.max(axis=1) >= threshold, best, SKIP)
    if data.cost is None:
        raise BadRequest(
            "the policy floor needs the costs of runs", remedy="Give a column cost_usd or energy_j"
        )
    reaches = probability >= threshold
    reached = reaches.any(axis=1, keepdims=True)
    left = reaches | ~reached
    first, *then = data.floor_order or (data.cost,)
    for cost in (np.where(reached, first, 1.0 - probability), *then):
        masked = np.where(left, cost, np.inf)
        left &= masked == masked.min(axis=1, keepdims=True)
    chosen: Ints = left.argmax(axis=1)
    return chosen


def curve(data: Validation, policy: str) -> Curve:
    """What the thresholds that tell queries apart give. Cost: O(T N E), with T at most `MAX_THRESHOLDS`."""
    _check_policy(policy)
    thresholds = _thresholds(data.probability if policy == "floor" else data.probability.max(axis=1))
    columns = np.array([_means(data, choices(data, policy, t)) for t in thresholds.tolist()]).T
    return Curve(thresholds, *columns)


def threshold_for_run_share(found: Curve, share: float) -> float:
    """The threshold of best quality that runs at most this share. Raises: BadRequest, DataError."""
    if not 0.0 < share <= 1.0:
        raise BadRequest(f"a run share of {share:g} can't be used", remedy="Give a share above 0, at most 1")
    return _best(found, found.run_share, share, "run share")


def threshold_for_cost(found: Curve, limit: float) -> float:
    """The threshold of best quality whose mean cost of a query is at most `limit`.

    Raises: BadRequest, DataError.
    """
    if not 0.0 < limit < np.inf:
        raise BadRequest(f"a budget of {limit:g} can't be used", remedy="Give a number above 0")
    if np.isnan(found.cost).all():
        raise BadRequest("no cost is known", remedy="Give a column cost_usd or energy_j")
    return _best(found, found.cost, limit, "mean cost of a query")


def operating_point(
    data: Validation, policy: str, threshold: float, rng: np.random.Generator
) -> OperatingPoint:
    """What to expect at a threshold, with intervals from draws of whole groups."""
    chosen = choices(data, policy, threshold)
    runs, right, cost = _per_query(data, chosen)

    def interval(measure: Weighted) -> Interval:
        return paired_interval([measure], groups=data.groups, rng=rng)

    return OperatingPoint(
        policy,
        threshold,
        interval(mean_of(runs)),
        interval(mean_of(right)),
        interval(ratio_of(right, runs)) if runs.any() else None,
        None if data.cost is None else interval(mean_of(cost)),
        float(runs.mean() * _best_right(data).mean()),
    )


def _check_policy(policy: str) -> None:
    if policy not in POLICIES:
        raise BadRequest(
            f"no budget is known for the policy {policy!r}", remedy=f"Choose {', '.join(POLICIES)}"
        )


def _thresholds(probability: Floats) -> Floats:
    """Values of few digits, as model names hold them, that tell the predictions apart; 0 and 1 with them."""
    rounded = np.round(probability.ravel(), _DIGITS)
    told = np.unique(rounded)
    if len(told) > MAX_THRESHOLDS:
        told = np.quantile(rounded, np.linspace(0, 1, MAX_THRESHOLDS), method="nearest")
    return np.unique(np.concatenate([[0.0], told, [1.0]]))


def _per_query(data: Validation, chosen: Ints) -> tuple[Floats, Floats, Floats]:
    """Whether each query runs, whether it is answered rightly, and its cost, shapes (N,)."""
    runs = (chosen != SKIP).astype(np.float64)
    rows = np.arange(len(chosen))
    cost = np.full(len(chosen), np.nan) if data.cost is None else data.cost[rows, chosen] * runs
    return runs, data.right[rows, chosen] * runs, cost


def _means(data: Validation, chosen: Ints) -> Sequence[float]:
    return [float(values.mean()) for values in _per_query(data, chosen)]


def _best_right(data: Validation) -> Floats:
    """Whether the best predicted endpoint is right, shape (N,)."""
    right: Floats = data.right[np.arange(len(data.right)), data.probability.argmax(axis=1)]
    return right


def _best(found: Curve, spent: Floats, limit: float, what: str) -> float:
    within = spent <= limit * (1 + _TINY)
    if not within.any():
        raise DataError(
            f"no threshold has a {what} of at most {limit:g}; the least is {spent.min():.4g}",
            remedy="Raise the budget",
        )
    rows = np.flatnonzero(within)
    order = np.lexsort((-found.threshold[rows], spent[rows], -found.quality[rows]))
    return float(found.threshold[rows[order[0]]])
