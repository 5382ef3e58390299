"""Why no plan keeps all limits: the tightest one, and the best of it that the others leave.

Where the limits exclude one another the dual has no maximum: prices grow for ever, and those that weigh most
name the limits at odds. For the tightest a second problem is solved, with what it limits as the cost and
without the limit itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from pointsman.assign.maximise import Maximum, maximise
from pointsman.assign.plan import Shortfall
from pointsman.assign.prices import Layout
from pointsman.assign.problem import LimitKind, LoadLimit, Problem, QualityFloor
from pointsman.types import Floats

_AT_ODDS: Final = 1e-3
_TRIED: Final = 3


def shortfall(problem: Problem, layout: Layout, found: Maximum, rng: np.random.Generator) -> Shortfall | None:
    """The tightest limit of a problem that has no plan; floors first, since they are what is asked for.

    Args:
        problem: R requests on E endpoints.
        layout: of its limits.
        found: prices that prove it.
        rng: for the second problem.

    Cost: that of solving one to three problems.
    """
    extent = np.maximum(np.abs(np.where(layout.free, layout.bound, 0.0)), np.abs(found.sweep.used))
    weight = found.sweep.prices * extent
    at_odds = np.flatnonzero(weight > _AT_ODDS * weight.max(initial=0.0))
    floors = layout.floors[-1].stop if layout.floors else 0
    ranked = sorted(at_odds.tolist(), key=lambda k: (k >= floors, -weight[k]))[:_TRIED]
    first: Shortfall | None = None
    for k in ranked:
        said = _without(problem, layout, k, rng)
        first = first or said
        if said.reachable is not None:
            return said
    return first


def best_quality(
    problem: Problem, rng: np.random.Generator, rows: np.typing.NDArray[np.bool_] | None = None
) -> float | None:
    """The highest mean quality that the limits leave, over some rows or all; None where they can't be kept.

    A bound: nothing above it can be reached, and plans come within a few rows of it.
    """
    count = problem.shape[0] if rows is None else int(rows.sum())
    lost = np.float32(1.0) - problem.quality.astype(np.float32)
    if rows is not None:
        lost[~rows] = 0.0
    reached = maximise_of(replace(problem, cost=lost), rng)
    return None if reached is None else 1.0 - reached / count


def maximise_of(problem: Problem, rng: np.random.Generator) -> float | None:
    """The bound on the cost; None where the limits can't be kept."""
    found = maximise(problem, Layout.of(problem), rng)
    return None if found.infeasible else found.bound


def _without(problem: Problem, layout: Layout, k: int, rng: np.random.Generator) -> Shortfall:
    """Limit `k`, and the best of it that the others leave."""
    for number, (own, floor) in enumerate(zip(layout.floors, problem.floors, strict=True)):
        if own.start <= k < own.stop:
            group = k - own.start
            eased = replace(floor, minimum=_set(floor.minimum, group, 0.0))
            floors = (*problem.floors[:number], eased, *problem.floors[number + 1 :])
            rows = None if floor.group is None else floor.group == group
            reachable = best_quality(replace(problem, floors=floors), rng, rows)
            return Shortfall(_named(floor, group), float(floor.minimum[group]), reachable)
    for number, (own, load) in enumerate(zip(layout.loads, problem.loads, strict=True)):
        if own.start <= k < own.stop:
            return _without_load(problem, number, load, k - own.start, rng)
    number = k - layout.budgets.start
    budget = problem.budgets[number]
    others = (*problem.budgets[:number], *problem.budgets[number + 1 :])
    reachable = maximise_of(replace(problem, cost=budget.use, budgets=others), rng)
    return Shortfall(f"{LimitKind.BUDGET} {budget.name}", budget.limit, reachable)


def _without_load(
    problem: Problem, number: int, load: LoadLimit, pool: int, rng: np.random.Generator
) -> Shortfall:
    eased = replace(load, capacity=_set(load.capacity, pool, np.inf))
    loads = (*problem.loads[:number], eased, *problem.loads[number + 1 :])
    own = (load.pool == pool).astype(np.float32)
    use = np.broadcast_to(own, problem.shape) if load.use is None else load.use * own
    reachable = maximise_of(replace(problem, cost=use, loads=loads), rng)
    return Shortfall(f"{load.kind} {load.pools[pool]}", float(load.capacity[pool]), reachable)


def _named(floor: QualityFloor, group: int) -> str:
    name = floor.name if len(floor.groups) == 1 else f"{floor.name} {floor.groups[group]}"
    return f"{LimitKind.FLOOR} {name}"


def _set(values: Floats, index: int, value: float) -> Floats:
    changed = values.copy()
    changed[index] = value
    return changed
