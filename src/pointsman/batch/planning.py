"""From a batch's forecast and limits to its plan, with what it promises and what other limits would change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pointsman.assign.floor_calibration import FloorCalibration
from pointsman.assign.lagrangian import lagrangian
from pointsman.assign.plan import Plan
from pointsman.assign.problem import Problem
from pointsman.batch.confidence import Promise, promises, raised
from pointsman.batch.forecast import Forecast
from pointsman.batch.limits import Action, BatchLimits, problem_of, with_skipping, with_waiting
from pointsman.batch.what_if import WhatIf, what_ifs
from pointsman.types import Endpoint


@dataclass(frozen=True, slots=True, eq=False)
class BatchPlan:
    """A plan and what there is to say of it.

    Attributes:
        made: the forecast as it was planned by: shrunk where floors have a confidence.
        problem, plan: solved.
        changes: what other limits would give.
        promises: floors with a confidence.
    """

    made: Forecast
    problem: Problem
    plan: Plan
    changes: tuple[WhatIf, ...]
    promises: tuple[Promise, ...] = ()

    @property
    def actions(self) -> tuple[Action, ...]:
        """The choices after the endpoints."""
        return tuple(map(Action, self.problem.endpoints[len(self.made.columns) :]))

    @property
    def within_tokens(self) -> dict[int, int]:
        """How many requests are to be answered within each output budget."""
        width = len(self.made.endpoints)
        return {
            budget: int((self.plan.choice // width == number).sum())
            for number, budget in enumerate(self.made.budgets_tokens, 1)
        }

    def count(self, action: Action) -> int:
        """How many requests have it."""
        if action not in self.actions:
            return 0
        column = len(self.made.columns) + self.actions.index(action)
        return int((self.plan.choice == column).sum())


def plan_batch(
    made: Forecast,
    endpoints: Sequence[Endpoint],
    limits: BatchLimits,
    calibration: FloorCalibration | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> BatchPlan:
    """Plan it.

    Args:
        made: R requests on E endpoints.
        endpoints: E of them.
        limits: what is asked.
        calibration: of the floors, where `limits` gives a confidence.
        progress: told what is done next.

    Raises: Infeasible where limits exclude one another or a floor can't be promised; BadRequest for a limit
    that can't be used.
    """
    progress(f"planning {len(made.custom_ids):,} requests on {len(endpoints)} endpoints")
    bare, sure = with_skipping(problem_of(made, endpoints, limits), limits), None
    if calibration is not None and limits.confidence is not None:
        sure = raised(bare, calibration, made, limits.confidence)
        bare = sure.required()
        shrunk = bare.quality[:, : len(made.columns)]
        made = replace(made, quality=shrunk.astype(np.float32, copy=False))

    def solved(problem: Problem) -> Plan:
        return lagrangian(with_waiting(problem, limits))

    plan = solved(bare).required()
    progress("what if")
    return BatchPlan(
        made,
        with_waiting(bare, limits),
        plan,
        what_ifs(bare, plan, solved),
        () if sure is None else promises(sure, plan),
    )
