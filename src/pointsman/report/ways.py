"""Ways to choose an endpoint for each row, over their settings, where every endpoint's outcome is known.

Over all settings:

    ours                forecasts with shrunk contrasts (`assign/contrasts.py`), tuned multiplier
    as forecast         the same forecasts as they are
    weighted, greedy    `assign/plan_baselines.py`, on the same forecasts
    nearest neighbours  plain mean of the 16 nearest, as in ECCOS; tuned multiplier
    threshold           RouteLLM's: the best single endpoint where it promises most above the cheapest
    balance aware       evens out requests among endpoints that promise enough
    lengths learned, lengths asked, lengths foreseen
                        ours, where plans go by the joules of that length instead of the task's mean
    oracle              chooses by the labels

Points: random; round robin; length first (by the mean length of the 16 nearest); perception only (by the length
that each model, asked, says).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.assign.frontier import frontier
from pointsman.assign.plan import Plan
from pointsman.assign.plan_baselines import (
    as_said,
    balance_aware,
    greedy,
    length_first,
    perception_only,
    round_robin,
    weighted,
)
from pointsman.assign.problem import LimitKind, LoadLimit, Problem, QualityFloor
from pointsman.data.routing_sets import RoutingSet
from pointsman.metrics.regression import rank_correlation
from pointsman.report.held_out_case import NEAREST, OURS, RAW, Case
from pointsman.types import Floats

WEIGHTED, GREEDY, THRESHOLD, BALANCED, ORACLE = "weighted", "greedy", "threshold", "balance aware", "oracle"
LEARNED, ASKED, FORESEEN = "lengths learned", "lengths asked", "lengths foreseen"
LENGTHS_TOLD: Final = (LEARNED, ASKED, FORESEEN)
RANDOM, ROBIN, SHORTEST, PERCEIVED = "random", "round robin", "length first", "perception only"
GOES_BY: Final = dict.fromkeys((WEIGHTED, GREEDY, THRESHOLD, BALANCED), RAW) | dict.fromkeys(
    LENGTHS_TOLD, OURS
)
"""Whose forecasts of quality a way goes by, where it has none of its own."""
EXISTING: Final = (NEAREST, THRESHOLD, BALANCED)
"""Curves of others."""

_LEVELS: Final = 60
_PLANS: Final = 13
_ABOVE: Final = 1 + 1e-9


@dataclass(frozen=True, slots=True)
class Played:
    """Quality and cost of each row under each of L settings by rising mean cost, shape (N, L)."""

    quality: Floats
    cost: Floats


def played(case: Case) -> dict[str, Played]:
    """Every way with a setting, over its settings."""
    data, raw = case.data, case.forecasts[RAW]
    told = problem_of(data, case.planned, raw)
    weights = np.linspace(0, 1, _PLANS).tolist()
    choices = {name: by_price(case.planned, forecast, _LEVELS) for name, forecast in case.forecasts.items()}
    choices[WEIGHTED] = by_plan(told, [partial(weighted, quality_weight=weight) for weight in weights])
    choices[GREEDY] = by_floor(told, greedy, _PLANS)
    choices[THRESHOLD] = by_threshold(data, raw, _LEVELS)
    choices[BALANCED] = by_floor(told, balance_aware, _PLANS)
    if data.said_tokens is not None and case.tokens is not None:
        lengths = {
            LEARNED: case.tokens,
            ASKED: as_said(data.said_tokens),
            FORESEEN: data.matrix.output_tokens,
        }
        for name, tokens in lengths.items():
            choices[name] = by_price(cost_of_length(data, case.folds, tokens), case.forecasts[OURS], _LEVELS)
    choices[ORACLE] = by_price(data.cost, data.matrix.quality, _LEVELS)
    return {name: by_choice(data, choice) for name, choice in choices.items()}


def placed(case: Case) -> dict[str, tuple[float, float, float]]:
    """Ways without a setting: mean cost and quality, and the rank correlation of the lengths they go by."""
    data, matrix = case.data, case.data.matrix
    told = problem_of(data, case.planned, case.forecasts[RAW], case.tokens)
    plans = {ROBIN: round_robin(told)}
    lengths: dict[str, Floats] = {}
    if case.tokens is not None:
        plans[SHORTEST], lengths[SHORTEST] = length_first(told), case.tokens
    if data.said_tokens is not None:
        plans[PERCEIVED] = perception_only(told, data.said_tokens)
        lengths[PERCEIVED] = as_said(data.said_tokens)
    made = {RANDOM: (float(data.cost.mean()), float(matrix.quality.mean()), np.nan)}
    rows = np.arange(len(data.cost))
    for name, plan in plans.items():
        rank = _length_rank(matrix.output_tokens, lengths[name]) if name in lengths else np.nan
        cost, quality = (values[rows, plan.choice].mean() for values in (data.cost, matrix.quality))
        made[name] = (float(cost), float(quality), rank)
    return made


def _length_rank(tokens: Floats, forecast: Floats) -> float:
    """Mean over endpoints."""
    each = zip(tokens.T, forecast.T, strict=True)
    return float(
        np.mean([rank_correlation(own[np.isfinite(own)], told[np.isfinite(own)]) for own, told in each])
    )


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
