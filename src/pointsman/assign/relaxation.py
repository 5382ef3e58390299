"""The linear relaxation of a problem, in which rows may be split, solved by HiGHS.

Needs the extra `plan` (highspy). Its value is the best bound there is on the cost of a plan, and at a
vertex no more rows are split than there are limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pointsman.assign.prices import Block, Layout
from pointsman.assign.problem import Problem
from pointsman.errors import BadRequest, InternalError, MissingError
from pointsman.types import Floats

if TYPE_CHECKING:
    import highspy

LARGEST_PAIRS: Final = 4_000_000
"""Above this a relaxation takes tens of minutes and many GB; the dual's own bound serves."""


@dataclass(frozen=True, slots=True, eq=False)
class Relaxed:
    """The relaxation's optimum.

    Attributes:
        value: the least cost.
        shares: how each row splits, shape (R, E).
        prices: of the limits, shape (M,), at least 0, as `Layout` orders them.
    """

    value: float
    shares: Floats
    prices: Floats


def relax(problem: Problem, layout: Layout, *, time_limit_s: float = 1200.0) -> Relaxed | None:
    """Solve the relaxation; None where even that can't keep all limits.

    Raises: MissingError without highspy; BadRequest above `LARGEST_PAIRS`, or where the time is up;
        InternalError where HiGHS gives up.
    Cost: see bench/assign_optimiser.py; among ties, many times more.
    """
    if problem.cost.size > LARGEST_PAIRS:
        raise BadRequest(
            f"a linear programme of {problem.cost.size} pairs is above {LARGEST_PAIRS}",
            remedy="Use `lagrangian`, which has no such limit",
        )
    solver = _solver()
    solver.setOptionValue("time_limit", time_limit_s)
    allowed, rows, columns = _pairs(problem)
    lp = _program(problem, layout, rows, columns)
    solver.passModel(lp)
    solver.run()
    status = solver.getModelStatus()
    if status.name == "kInfeasible":
        return None
    if status.name == "kTimeLimit":
        raise BadRequest(
            f"HiGHS was not done with {problem.cost.size} pairs in {time_limit_s:g} s",
            remedy="Give it more time, or use `lagrangian`",
            param="time_limit_s",
        )
    if status.name != "kOptimal":
        raise InternalError(
            f"HiGHS ended with {solver.modelStatusToString(status)}", remedy="Use `lagrangian`"
        )
    solution = solver.getSolution()
    shares = np.zeros(allowed.shape)
    shares[allowed] = solution.col_value
    prices = np.zeros(len(layout.bound))
    prices[layout.free] = np.maximum(-np.array(solution.row_dual[problem.shape[0] :]), 0.0)
    return Relaxed(float(solver.getInfo().objective_function_value), shares, prices)


def _solver() -> highspy.Highs:
    try:
        import highspy
    except ImportError as error:
        raise MissingError(
            "the policy `lp` needs highspy, which is not installed",
            remedy="Run: pip install 'pointsman[plan]', or use `lagrangian`, which needs nothing",
        ) from error
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("solver", "ipm")  # 10 times faster here than simplex; crossover then gives a vertex
    return solver


def _pairs(problem: Problem) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Allowed pairs, which are the variables: as a mask, and their rows and columns."""
    allowed = np.ones(problem.shape, dtype=bool) if problem.allowed is None else problem.allowed
    rows, columns = np.nonzero(allowed)
    return allowed, rows, columns


def _program(problem: Problem, layout: Layout, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Any:
    """One equality a row, one inequality a finite limit."""
    import highspy

    count = problem.shape[0]
    number = np.full(len(layout.bound) + 1, -1)
    number[:-1][layout.free] = count + np.arange(int(layout.free.sum()))
    block = Block.of(problem, layout, slice(None), raised=False)
    index, value = [rows], [np.ones(len(rows))]
    for own, group in zip(layout.floors, block.group, strict=True):
        index.append(_numbers(number, own, group[rows]))
        value.append(-block.quality[rows, columns])
    for own, pool, use in zip(layout.loads, block.pools, block.uses, strict=True):
        index.append(_numbers(number, own, pool[columns]))
        value.append(np.ones(len(rows)) if use is None else use[rows, columns])
    for k, spent in enumerate(block.spent):
        index.append(np.full(len(rows), number[layout.budgets][k]))
        value.append(spent[rows, columns])
    indices, values = np.stack(index, axis=1), np.stack(value, axis=1)
    used = indices >= 0
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(rows), count + int(layout.free.sum())
    lp.col_cost_ = block.cost[rows, columns]
    lp.col_lower_, lp.col_upper_ = np.zeros(len(rows)), np.full(len(rows), np.inf)
    limit = layout.bound[layout.free]
    lp.row_lower_ = np.append(np.ones(count), np.full(len(limit), -np.inf))
    lp.row_upper_ = np.append(np.ones(count), limit)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.append(0, np.cumsum(used.sum(axis=1)))
    lp.a_matrix_.index_, lp.a_matrix_.value_ = indices[used], values[used]
    return lp


def _numbers(number: NDArray[np.int64], own: slice, group: NDArray[Any]) -> NDArray[np.int64]:
    """The program's row of each pair's limit, -1 for none."""
    numbers: NDArray[np.int64] = np.append(number[own], -1)[group]
    return numbers
