"""The plan of least cost within the limits, from the dual: any size, any limits, with its bound and gap.

    plan = lagrangian(problem)

The dual gives prices (`maximise`); at these each row's cheapest column is a plan that is off the limits by
a few rows; local search over undecided rows repairs it and uses up what is left (`improve`); tiny
problems are searched to the end (`exact`).
Source: OmniRouter / ECCOS, the Lagrangian. Differs in: prices by Newton steps, so that they converge;
repair; every limit is kept; the gap is said.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.assign.exact import LARGEST_ROWS, exact
from pointsman.assign.improve import Effort, above, improve
from pointsman.assign.maximise import Core, Maximum, core_of, maximise, undecided
from pointsman.assign.measured import measured
from pointsman.assign.plan import TOLERANCE, Plan
from pointsman.assign.prices import Layout, group_sizes, measure
from pointsman.assign.problem import Ints, Problem
from pointsman.assign.shortfall import nearest
from pointsman.types import Floats

NAME: Final = "lagrangian"
_CORES: Final = (8_192, 131_072)
_KICKED_ROWS: Final = 5_000
_KICKS: Final = 400
_MOVES_BROKEN: Final = 1000
_TARGET: Final = 1e-4


def lagrangian(problem: Problem, *, seed: int = 0) -> Plan:
    """Choose a column for each row at least cost, within the limits.

    Args:
        problem: R requests on E endpoints.
        seed: of the sample of rows and of the local search; equal arguments give equal plans.

    Returns: a plan that keeps all limits wherever one was found. Where the limits exclude one another it
        comes near them, is without bound and prices, and has a `shortfall`; `Plan.required` makes that an error.
    Cost: a second at 1,000 x 10, 7 to 21 s at 1,000,000 x 20: bench/assign_optimiser.py.
    """
    layout, rng = Layout.of(problem), np.random.default_rng(seed)
    found = maximise(problem, layout, rng)
    if found.infeasible:
        return _near(problem, layout, found, rng)
    choice = repaired(problem, layout, found, found.sweep.choice, rng)
    return measured(problem, layout, NAME, choice, found.bound, found.sweep.prices)


def _near(problem: Problem, layout: Layout, found: Maximum, rng: np.random.Generator) -> Plan:
    """Where no plan keeps all limits: one that keeps all but the tightest, and comes nearest to that."""
    near = nearest(problem, layout, found, rng)
    aim = problem
    if near is not None and not near.found.infeasible:
        aim, found = near.problem, near.found
    choice = repaired(aim, Layout.of(aim), found, found.sweep.choice, rng)
    plan = measured(problem, layout, NAME, choice)
    return plan if plan.feasible or near is None else replace(plan, shortfall=near.shortfall)


def repaired(
    problem: Problem, layout: Layout, found: Maximum, choice: Ints, rng: np.random.Generator
) -> NDArray[np.int32]:
    """The plan nearby that keeps the limits at the least cost, as far as local search finds it.

    Args:
        problem: R requests on E endpoints.
        layout: of its limits.
        found: prices, and what rows do at them.
        choice: shape (R,), where to begin; better near to what rows do at the prices.
        rng: of the local search.

    Cost: seconds, however many rows there are, once few limits are broken by few rows.
    """
    rows = problem.shape[0]
    effort = Effort(kicks=_KICKS if rows <= _KICKED_ROWS else 0, target=_TARGET * found.bound)
    if found.infeasible:
        effort = Effort(moves=_MOVES_BROKEN, pairs=0, rises=1)
    bound = _eased(problem, layout)
    margin = np.where(choice == found.sweep.choice, found.sweep.margin, -1.0)
    made = choice.astype(np.int32)
    for count in _CORES:
        used = measure(problem, layout, made)
        core = core_of(problem, layout, undecided(margin, count), made, used)
        left = core.bound + np.where(layout.free, bound - np.where(layout.free, layout.bound, 0.0), 0.0)
        made[core.rows] = _searched(core, left, found.sweep.prices, made[core.rows], effort, rng)
        if count >= rows or (measure(problem, layout, made) <= bound)[layout.free].all():
            break
    return made


def _searched(
    core: Core, bound: Floats, prices: Floats, choice: Ints, effort: Effort, rng: np.random.Generator
) -> NDArray[np.int32]:
    """By local search; where the rows are few, by looking at all that could be better."""
    made = improve(core.block, bound, prices, choice, effort, rng)
    if len(core.rows) > LARGEST_ROWS:
        return made
    best = exact(core.block, bound, prices, above(core.block, bound, prices, made))
    return made if best is None else best


def _eased(problem: Problem, layout: Layout) -> Floats:
    """The limits with what the rounding of a sum is allowed (`LimitUse.holds`), half of it."""
    scale = np.maximum(1.0, np.abs(np.where(layout.free, layout.bound, 0.0)))
    for own, floor in zip(layout.floors, problem.floors, strict=True):
        scale[own] = group_sizes(floor, problem.shape[0])
    eased: Floats = layout.bound + 0.5 * TOLERANCE * scale
    return eased
