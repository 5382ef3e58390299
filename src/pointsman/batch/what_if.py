"""What the plan would cost if a limit were another.

Small problems are solved again. Of large ones the prices tell: the cost is convex in a limit, so a price
times the change is the least that a tighter limit costs, and the most that a looser one saves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pointsman.assign.plan import Plan, money
from pointsman.assign.problem import LimitKind, Problem

RESOLVED_PAIRS: Final = 1_000_000
POINT: Final = 0.01
MORE_LOAD: Final = 0.1
_NOTHING: Final = 1e-9
_LOADS: Final = (LimitKind.SHARE, LimitKind.WORK)

Solve = Callable[[Problem], Plan]


@dataclass(frozen=True, slots=True)
class WhatIf:
    """One change and what comes of it."""

    change: str
    effect: str


def what_ifs(problem: Problem, plan: Plan, solve: Solve) -> tuple[WhatIf, ...]:
    """Every floor one point higher and lower, every load limit a tenth higher; those that there are.

    Args:
        problem: as planned.
        plan: that keeps all limits.
        solve: what made it.
    """
    changes: list[tuple[str, Problem, float]] = []
    if problem.floors:
        for points in (1, -1):
            floors = tuple(
                replace(floor, minimum=np.clip(floor.minimum + POINT * points, 0.0, 1.0))
                for floor in problem.floors
            )
            moved = sum(limit.dual * limit.rows * POINT * points for limit in plan.limits)
            changes.append((f"quality {points:+d} point", replace(problem, floors=floors), moved))
    if problem.loads:
        loads = tuple(replace(load, capacity=load.capacity * (1 + MORE_LOAD)) for load in problem.loads)
        saved = sum(limit.dual * limit.limit * MORE_LOAD for limit in plan.limits if limit.kind in _LOADS)
        changes.append((f"load limits +{MORE_LOAD:.0%}", replace(problem, loads=loads), -saved))
    again = problem.cost.size <= RESOLVED_PAIRS
    return tuple(
        WhatIf(
            change,
            _solved(plan, solve(changed), problem.cost_unit) if again else _priced(moved, problem.cost_unit),
        )
        for change, changed, moved in changes
    )


def _solved(plan: Plan, other: Plan, unit: str) -> str:
    if not other.feasible:
        return f"can't be kept: {other.shortfall.words}" if other.shortfall else "no plan was found"
    moved = other.objective - plan.objective
    if abs(moved) <= _NOTHING * plan.objective:
        return "changes nothing"
    share = f" ({moved / plan.objective:+.2%})" if plan.objective else ""
    return f"costs {money(moved, unit)} more{share}" if moved > 0 else f"saves {money(-moved, unit)}{share}"


def _priced(moved: float, unit: str) -> str:
    if moved > 0:
        return f"costs at least {money(moved, unit)} more, by the plan's prices"
    return f"saves at most {money(-moved, unit)}, by the plan's prices"
