"""The best dual bound of a problem of any size: a sample of rows, then the rows that are undecided.

Up to `SAMPLE` rows are climbed as they are. Of more, a sample gives prices that are off by chance alone.
At these prices most rows have one column far below the others and keep it through any small change of
the prices: what they use is a constant. The undecided ones, those of least margin, are climbed again with
the limits that the others leave. Each round looks at all rows once (`sweep`), which gives a true bound;
two or three rounds reach the optimum to machine precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.assign.ascent import climb
from pointsman.assign.prices import JITTER, Block, Layout, Sweep, chunks, dual_value, grouped, sweep
from pointsman.assign.problem import Ints, Problem
from pointsman.types import Floats

SAMPLE: Final = 16_384
CORE: Final = 8_192
_CORE_SHARES: Final = (0.25, 0.03, 0.0, 0.0)
"""Of the rows, how many are undecided in each round; at least `CORE`. The last rounds go down to the end."""

_FLAT: Final = 1e-6
_ROUNDING: Final = 1e-9
_START: Final = 0.1
_END: Final = 1e-7
_WIDE: Final = 0.05
_NARROW: Final = 0.003
"""From where to where a round goes, in units of the largest margin among its rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Core:
    """The undecided rows.

    Attributes:
        rows: rising.
        block: their numbers.
        bound: what the others leave of each limit, shape (M,).
    """

    rows: NDArray[np.int64]
    block: Block
    bound: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Maximum:
    """The best prices found, and what rows do at them.

    Attributes:
        bound: on the cost of any plan that keeps all limits, at least 0.
        infeasible: whether it is above every cost there is: then no plan keeps all limits.
    """

    sweep: Sweep
    bound: float
    infeasible: bool


def maximise(problem: Problem, layout: Layout, rng: np.random.Generator) -> Maximum:
    """Prices at which the dual is highest.

    Args:
        problem: R requests on E endpoints.
        layout: of its limits.
        rng: draws the sample.

    Cost: about 6 looks at all rows, and a few hundred at 16,384 of them.
    """
    spread, highest = _scale(problem)
    rows = problem.shape[0]
    zero = np.zeros(len(layout.bound))
    if rows <= SAMPLE:
        block = Block.of(problem, layout, slice(None))
        prices = climb(
            block, layout.bound, zero, start=_START * spread, end=_END * spread, ceiling=2 * highest
        )
        return _maximum(problem, layout, sweep(problem, layout, prices), highest)
    best = sweep(problem, layout, _sampled(problem, layout, rng, spread))
    if best.value > 2 * highest:
        return _maximum(problem, layout, best, highest)
    for share in _CORE_SHARES:
        count = min(rows, max(CORE, int(share * rows)))
        core = core_of(problem, layout, best.margin, best.choice, best.used, count)
        widest = max(float(best.margin[core.rows].max()), _END * spread)
        prices = climb(
            core.block,
            core.bound,
            best.prices,
            start=min(_WIDE * widest, _START * spread),
            end=_END * spread if share == 0 else _NARROW * widest,
            ceiling=2 * highest,
        )
        found = sweep(problem, layout, prices)
        best = max(best, found, key=lambda own: own.value)
    return _maximum(problem, layout, best, highest)


def core_of(problem: Problem, layout: Layout, margin: Floats, choice: Ints, used: Floats, count: int) -> Core:
    """The `count` rows of least margin, or all.

    Args:
        problem: R requests on E endpoints.
        layout: of its limits.
        margin: shape (R,).
        choice: shape (R,), what the other rows keep.
        used: of each limit by the choices, shape (M,).
        count: of rows.
    """
    rows = np.arange(problem.shape[0])
    if count < len(rows):
        rows = np.sort(np.argpartition(margin, count)[:count])
    block = Block.of(problem, layout, rows)
    return Core(rows, block, layout.bound - (used - block.used(choice[rows])))


def _sampled(problem: Problem, layout: Layout, rng: np.random.Generator, spread: float) -> Floats:
    """Prices that are best for a sample of rows, each limit scaled to it."""
    rows = np.sort(rng.choice(problem.shape[0], SAMPLE, replace=False))
    block = Block.of(problem, layout, rows)
    bound = layout.bound * (SAMPLE / problem.shape[0])
    for own, floor, group in zip(layout.floors, problem.floors, block.group, strict=True):
        bound[own] = -floor.minimum * grouped(group, None, len(floor.groups))
    highest = float(np.max(block.cost, axis=1, where=np.isfinite(block.cost), initial=0.0).sum())
    zero = np.zeros(len(bound))
    return climb(block, bound, zero, start=_START * spread, end=10 * _END * spread, ceiling=2 * highest)


def _scale(problem: Problem) -> tuple[float, float]:
    """What costs differ by, above 0: the mean over rows of highest less lowest; and the sum of the highest."""
    low = high = 0.0
    for chunk in chunks(problem):
        cost = problem.cost[chunk].astype(np.float64)
        allowed = True if problem.allowed is None else problem.allowed[chunk]
        high += float(np.max(cost, axis=1, where=allowed, initial=0.0).sum())
        low += float(np.min(cost, axis=1, where=allowed, initial=np.inf).sum())
    spread = (high - low) / problem.shape[0]
    mean = high / problem.shape[0]
    return (spread if spread > _FLAT * mean else mean or 1.0), high


def _maximum(problem: Problem, layout: Layout, best: Sweep, highest: float) -> Maximum:
    bound = max(0.0, best.value / (1.0 + JITTER), dual_value(problem, layout, best.prices))
    extent = float(best.prices[layout.free] @ np.abs(layout.bound[layout.free]))
    return Maximum(best, bound, infeasible=bound > highest * (1.0 + JITTER) + _ROUNDING * extent)
