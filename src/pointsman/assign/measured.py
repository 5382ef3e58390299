"""A plan from choices: what they cost, and what they make of each limit."""

from __future__ import annotations

from typing import Final

import numpy as np

from pointsman.assign.plan import LimitUse, Plan, Shortfall
from pointsman.assign.prices import Layout, chunks, group_sizes, measure
from pointsman.assign.problem import Ints, LimitKind, Problem
from pointsman.types import Floats

_LOOSE: Final = 1e-3
_WORTHLESS: Final = 1e-5


def measured(
    problem: Problem,
    layout: Layout,
    policy: str,
    choice: Ints,
    bound: float | None = None,
    prices: Floats | None = None,
    shortfall: Shortfall | None = None,
) -> Plan:
    """The plan that these choices are.

    Args:
        problem: R requests on E endpoints.
        layout: of its limits.
        policy: who chose.
        choice: shape (R,), columns that are allowed.
        bound: on the cost of any plan that keeps all limits.
        prices: of the limits, shape (M,); 0 if None.
        shortfall: why no plan keeps them.
    """
    used, cost = measure(problem, layout, choice), total_cost(problem, choice)
    duals = np.zeros(len(used)) if prices is None else _telling(layout, used, prices, cost)
    return Plan(
        policy,
        choice.astype(np.int32),
        cost,
        bound,
        limit_uses(problem, layout, used, duals, cost),
        shortfall,
    )


def _telling(layout: Layout, used: Floats, prices: Floats, cost: float) -> Floats:
    """Prices without those of limits that are not used up: what the climb's barrier leaves of them."""
    left = np.where(layout.free, layout.bound - used, np.inf)
    loose = left > _LOOSE * np.abs(layout.bound)
    idle = loose & (prices * np.where(loose & layout.free, left, 0.0) <= _WORTHLESS * cost)
    return np.where(idle | ~layout.free, 0.0, prices)


def limit_uses(
    problem: Problem, layout: Layout, used: Floats, prices: Floats, cost: float
) -> tuple[LimitUse, ...]:
    """Every finite limit of a plan of that cost, in the order of the layout; a floor without rows is left out."""
    made: list[LimitUse] = []
    for own, floor in zip(layout.floors, problem.floors, strict=True):
        sizes = group_sizes(floor, problem.shape[0]).tolist()
        each = zip(sizes, used[own].tolist(), floor.minimum.tolist(), prices[own].tolist(), strict=True)
        made += [
            LimitUse(
                LimitKind.FLOOR,
                floor.named(at),
                -negative / rows,
                minimum,
                dual,
                int(rows),
                problem.cost_unit,
                cost,
            )
            for at, (rows, negative, minimum, dual) in enumerate(each)
            if rows
        ]
    for own, load in zip(layout.loads, problem.loads, strict=True):
        named_pools = zip(
            load.pools, used[own].tolist(), load.capacity.tolist(), prices[own].tolist(), strict=True
        )
        made += [
            LimitUse(load.kind, pool, total, capacity, dual, 0, problem.cost_unit, cost)
            for pool, total, capacity, dual in named_pools
            if capacity < np.inf
        ]
    for budget, total, dual in zip(
        problem.budgets, used[layout.budgets].tolist(), prices[layout.budgets].tolist(), strict=True
    ):
        made.append(
            LimitUse(LimitKind.BUDGET, budget.name, total, budget.limit, dual, 0, problem.cost_unit, cost)
        )
    return tuple(made)


def total_cost(problem: Problem, choice: Ints) -> float:
    """The sum of the chosen costs, as given."""
    return sum(
        float(problem.cost[chunk][np.arange(chunk.stop - chunk.start), choice[chunk]].sum(dtype=np.float64))
        for chunk in chunks(problem)
    )
