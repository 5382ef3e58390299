"""A plan from choices: what they cost, and what they make of each limit."""

from __future__ import annotations

import numpy as np

from pointsman.assign.plan import LimitUse, Plan, Shortfall
from pointsman.assign.prices import Layout, chunks, group_sizes, measure
from pointsman.assign.problem import Ints, LimitKind, Problem
from pointsman.types import Floats


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
    used = measure(problem, layout, choice)
    limits = limit_uses(problem, layout, used, np.zeros(len(used)) if prices is None else prices)
    return Plan(policy, choice.astype(np.int32), total_cost(problem, choice), bound, limits, shortfall)


def limit_uses(problem: Problem, layout: Layout, used: Floats, prices: Floats) -> tuple[LimitUse, ...]:
    """Every finite limit, in the order of the layout; a floor without rows is left out."""
    made: list[LimitUse] = []
    for own, floor in zip(layout.floors, problem.floors, strict=True):
        sizes = group_sizes(floor, problem.shape[0]).tolist()
        named = zip(
            floor.groups, sizes, used[own].tolist(), floor.minimum.tolist(), prices[own].tolist(), strict=True
        )
        for group, rows, negative, minimum, dual in named:
            name = floor.name if len(floor.groups) == 1 else f"{floor.name} {group}"
            if rows:
                mean = -negative / rows
                made.append(
                    LimitUse(LimitKind.FLOOR, name, mean, minimum, dual, int(rows), problem.cost_unit)
                )
    for own, load in zip(layout.loads, problem.loads, strict=True):
        named_pools = zip(
            load.pools, used[own].tolist(), load.capacity.tolist(), prices[own].tolist(), strict=True
        )
        made += [
            LimitUse(load.kind, pool, total, capacity, dual, 0, problem.cost_unit)
            for pool, total, capacity, dual in named_pools
            if capacity < np.inf
        ]
    for budget, total, dual in zip(
        problem.budgets, used[layout.budgets].tolist(), prices[layout.budgets].tolist(), strict=True
    ):
        made.append(LimitUse(LimitKind.BUDGET, budget.name, total, budget.limit, dual, 0, problem.cost_unit))
    return tuple(made)


def total_cost(problem: Problem, choice: Ints) -> float:
    """The sum of the chosen costs, as given."""
    return sum(
        float(problem.cost[chunk][np.arange(chunk.stop - chunk.start), choice[chunk]].sum(dtype=np.float64))
        for chunk in chunks(problem)
    )
