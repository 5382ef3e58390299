"""Why no plan keeps all limits: the tightest one, the best of it that the others leave, and how to come near.

Where the limits exclude one another the dual has no maximum: prices grow for ever, and those that weigh most
name the limits at odds. For the tightest a second problem is solved: without the limit, at the cost of what
it limits. Among plans that use alike of it the given cost decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pointsman.assign.maximise import Maximum, maximise
from pointsman.assign.plan import Shortfall
from pointsman.assign.prices import Layout, chunks, dual_value
from pointsman.assign.problem import LimitKind, LoadLimit, Problem, QualityFloor, Values
from pointsman.types import Floats

_AT_ODDS: Final = 1e-3
_TRIED: Final = 3
_LEANING: Final = 1e-6
"""What the given cost weighs in the second problem, of what is limited."""


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """What is left of a problem that has no plan, without its tightest limit.

    Attributes:
        shortfall: the limit.
        problem: the others, at the cost of what it limits.
        found: the prices of this problem.
    """

    shortfall: Shortfall
    problem: Problem
    found: Maximum


@dataclass(frozen=True, slots=True, eq=False)
class _Relieved:
    """A problem without one of its limits, whose use is the cost; `rows` of a floor, which limits what is lost."""

    limit: str
    asked: float
    problem: Problem
    rows: int = 0


def nearest(problem: Problem, layout: Layout, found: Maximum, rng: np.random.Generator) -> Nearest | None:
    """The tightest limit of a problem that has no plan; floors first, since they are what is asked for.

    Args:
        problem: R requests on E endpoints.
        layout: of its limits.
        found: prices that prove it.
        rng: for the second problem.

    Returns: what the limit leaves; None where no limit has a price. Its `reachable` is within `JITTER` of what
        splitting rows could reach, in units of the highest use (of quality: 1).
    Cost: that of solving one to three problems, without their repair.
    """
    extent = np.maximum(np.abs(np.where(layout.free, layout.bound, 0.0)), np.abs(found.sweep.used))
    weight = found.sweep.prices * extent
    at_odds = np.flatnonzero(weight > _AT_ODDS * weight.max(initial=0.0))
    floors = layout.floors[-1].stop if layout.floors else 0
    ranked = sorted(at_odds.tolist(), key=lambda k: (k >= floors, -weight[k]))[:_TRIED]
    first: Nearest | None = None
    for k in ranked:
        near = _solved(_without(problem, layout, k), problem.cost, rng)
        first = first or near
        if near.shortfall.reachable is not None:
            return near
    return first


def _solved(relieved: _Relieved, cost: Values, rng: np.random.Generator) -> Nearest:
    """The second problem, leaning to the given cost, and what it says of the first."""
    pure = relieved.problem
    problem = replace(pure, cost=_leaning(pure, cost))
    layout = Layout.of(problem)
    found = maximise(problem, layout, rng)
    reachable = None
    if not found.infeasible:
        least = max(0.0, dual_value(pure, layout, found.sweep.prices))
        reachable = 1.0 - least / relieved.rows if relieved.rows else least
    return Nearest(Shortfall(relieved.limit, relieved.asked, reachable), problem, found)


def _leaning(problem: Problem, cost: Values) -> Values:
    """The problem's cost, and so little of the other that in all it counts for `_LEANING` of it."""
    most = other = 0.0
    for chunk in chunks(problem):
        allowed = True if problem.allowed is None else problem.allowed[chunk]
        most += float(np.max(problem.cost[chunk], axis=1, where=allowed, initial=0.0).sum())
        other += float(np.max(cost[chunk], axis=1, where=allowed, initial=0.0).sum())
    leaning: Values = problem.cost + np.float32(_LEANING * most / other if other else 0.0) * cost
    return leaning


def _without(problem: Problem, layout: Layout, k: int) -> _Relieved:
    """The problem without limit `k`."""
    for number, (own, floor) in enumerate(zip(layout.floors, problem.floors, strict=True)):
        if own.start <= k < own.stop:
            return _without_floor(problem, number, floor, k - own.start)
    for number, (own, load) in enumerate(zip(layout.loads, problem.loads, strict=True)):
        if own.start <= k < own.stop:
            return _without_load(problem, number, load, k - own.start)
    number = k - layout.budgets.start
    budget = problem.budgets[number]
    others = (*problem.budgets[:number], *problem.budgets[number + 1 :])
    relieved = replace(problem, cost=budget.use, budgets=others)
    return _Relieved(f"{LimitKind.BUDGET} {budget.name}", budget.limit, relieved)


def _without_floor(problem: Problem, number: int, floor: QualityFloor, group: int) -> _Relieved:
    eased = replace(floor, minimum=_set(floor.minimum, group, 0.0))
    floors = (*problem.floors[:number], eased, *problem.floors[number + 1 :])
    lost = np.float32(1.0) - problem.quality.astype(np.float32)
    rows = len(lost)
    if floor.group is not None:
        lost[floor.group != group] = 0.0
        rows = int((floor.group == group).sum())
    name = floor.name if len(floor.groups) == 1 else f"{floor.name} {floor.groups[group]}"
    relieved = replace(problem, cost=lost, floors=floors)
    return _Relieved(f"{LimitKind.FLOOR} {name}", float(floor.minimum[group]), relieved, rows)


def _without_load(problem: Problem, number: int, load: LoadLimit, pool: int) -> _Relieved:
    eased = replace(load, capacity=_set(load.capacity, pool, np.inf))
    loads = (*problem.loads[:number], eased, *problem.loads[number + 1 :])
    own = (load.pool == pool).astype(np.float32)
    use = np.broadcast_to(own, problem.shape) if load.use is None else load.use * own
    relieved = replace(problem, cost=use, loads=loads)
    return _Relieved(f"{load.kind} {load.pools[pool]}", float(load.capacity[pool]), relieved)


def _set(values: Floats, index: int, value: float) -> Floats:
    changed = values.copy()
    changed[index] = value
    return changed
