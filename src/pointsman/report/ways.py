"""Ways to choose an endpoint for each row, over their settings, where every endpoint's outcome is known.

played = by_choice(data, by_price(cost, forecast, levels=60))      a multiplier
played = by_floor(data, problem, greedy, floors=12)                a plan told a range of floors
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.assign.frontier import frontier
from pointsman.assign.plan import Plan
from pointsman.assign.problem import LimitKind, LoadLimit, Problem, QualityFloor
from pointsman.data.routing_sets import RoutingSet
from pointsman.types import Floats

_ABOVE: Final = 1 + 1e-9


@dataclass(frozen=True, slots=True)
class Played:
    """Quality and cost of each row under each of L settings by rising mean cost, shape (N, L)."""

    quality: Floats
    cost: Floats


def ends(data: RoutingSet) -> tuple[int, int]:
    """The cheapest endpoint, of equally cheap ones the best, and the best."""
    cost, quality = data.cost.mean(axis=0), data.matrix.quality.mean(axis=0)
    cheap = cost <= cost.min() * _ABOVE
    return int(np.where(cheap, quality, -1.0).argmax()), int(quality.argmax())


def by_price(cost: Floats, forecast: Floats, levels: int) -> NDArray[np.int64]:
    """Choices at prices of quality spread over the frontier, shape (N, L)."""
    steps = frontier(cost, forecast).price
    prices = np.quantile(steps, np.linspace(0, 1, levels)) * _ABOVE
    prices[0] = steps[0] / 2
    return np.stack([(cost - price * forecast).argmin(axis=1) for price in prices], axis=1)


def by_threshold(data: RoutingSet, forecast: Floats, levels: int) -> NDArray[np.int64]:
    """RouteLLM's: the best endpoint where it promises most above the cheapest, shape (N, L)."""
    weak, strong = ends(data)
    gain = forecast[:, strong] - forecast[:, weak]
    limits = np.quantile(gain, np.linspace(1, 0, levels))
    limits[0] = np.inf
    return np.where(gain[:, None] >= limits, strong, weak)


def by_plan(problem: Problem, plans: Sequence[Callable[[Problem], Plan]]) -> NDArray[np.int64]:
    """The choices of each plan over all rows at once, shape (N, L)."""
    return np.stack([plan(problem).choice.astype(np.int64) for plan in plans], axis=1)


def by_floor(problem: Problem, plan: Callable[[Problem], Plan], levels: int) -> NDArray[np.int64]:
    """The choices of a plan told floors spread over the forecasts, shape (N, L)."""

    def told(floor: float) -> Callable[[Problem], Plan]:
        return lambda asked: plan(replace(asked, floors=(QualityFloor.overall(floor),)))

    floors = np.quantile(problem.quality, np.linspace(0, 1, levels)).tolist()
    return by_plan(problem, [told(floor) for floor in floors])


def by_choice(data: RoutingSet, choice: NDArray[np.int64]) -> Played:
    """What choices of shape (N, L) come to, in order of their cost."""
    quality = np.take_along_axis(data.matrix.quality, choice, axis=1)
    cost = np.take_along_axis(data.cost, choice, axis=1)
    order = np.argsort(cost.mean(axis=0), kind="stable")
    return Played(quality[:, order], cost[:, order])


def problem_of(data: RoutingSet, cost: Floats, forecast: Floats, tokens: Floats | None = None) -> Problem:
    """All rows as one window without limits.

    Args:
        data: the set.
        cost: that plans go by, shape (N, E).
        forecast: quality, shape (N, E), cut to [0, 1].
        tokens: predicted length of the answers, the work that plans by load go by, shape (N, E).
    """
    names = data.matrix.endpoints
    each = np.arange(len(names))
    work = LoadLimit(LimitKind.WORK, names, np.full(len(names), np.inf), each, tokens)
    return Problem(
        names, cost, forecast.clip(0.0, 1.0), loads=() if tokens is None else (work,), cost_unit=data.unit
    )


def cost_of_length(data: RoutingSet, folds: NDArray[np.int64], tokens: Floats) -> Floats:
    """What answers of predicted lengths cost by lines fitted to the other folds, shape (N, E), at least 0.

    Args:
        data: with the real lengths and costs.
        folds: shape (N,).
        tokens: shape (N, E).
    """
    made = np.empty_like(data.cost)
    for fold in np.unique(folds):
        rest, own = folds != fold, folds == fold
        for column in range(made.shape[1]):
            line = np.polynomial.Polynomial.fit(
                data.matrix.output_tokens[rest, column], data.cost[rest, column], 1
            )
            made[own, column] = line(tokens[own, column])
    return made.clip(0.0)
