"""The plan from the linear relaxation: HiGHS, each row to its largest share, the few split ones repaired.

Needs the extra `plan`. The same repair as `lagrangian`, and the exact bound; many times slower.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from pointsman.assign.lagrangian import lagrangian, repaired
from pointsman.assign.maximise import Maximum
from pointsman.assign.measured import measured
from pointsman.assign.plan import Plan
from pointsman.assign.prices import Layout, sweep
from pointsman.assign.problem import Problem
from pointsman.assign.relaxation import relax

NAME: Final = "lp"


def lp(problem: Problem, *, seed: int = 0, time_limit_s: float = 1200.0) -> Plan:
    """Choose a column for each row at least cost, within the limits.

    Args:
        problem: R requests on E endpoints.
        seed: of the local search.
        time_limit_s: what HiGHS may take.

    Returns: as `lagrangian`, with the relaxation's value as the bound.
    Raises: as `relax`.
    """
    layout = Layout.of(problem)
    relaxed = relax(problem, layout, time_limit_s=time_limit_s)
    if relaxed is None:
        return replace(lagrangian(problem, seed=seed), policy=NAME)
    found = Maximum(sweep(problem, layout, relaxed.prices), relaxed.value, infeasible=False)
    largest = relaxed.shares.argmax(axis=1)
    choice = repaired(problem, layout, found, largest, np.random.default_rng(seed))
    return measured(problem, layout, NAME, choice, relaxed.value, relaxed.prices)
