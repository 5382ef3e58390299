"""The best dual bound of a problem of any size: a sample of rows, then the rows that are undecided.

Up to `SAMPLE` rows are climbed as they are. Of more, a sample gives prices that are off by chance alone.
At these prices most rows have one column far below the others and keep it through any small change of
the prices: what they use is a constant. The undecided ones, those of least margin, are climbed again with
the limits that the others leave: some of them where they are many, then all. Each round looks at all rows
once (`sweep`), which gives a true bound, and leaves some hundredths of its rows undecided; where the bound
fell, more than it had. A few rounds reach the optimum to machine precision, however many rows nearly tie
there.
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
_CLIMBED: Final = 2 * SAMPLE
"""Undecided rows that are climbed together at most; a part of them, drawn by chance, where there are more."""

_ROUNDS: Final = 8
_UNDECIDED: Final = 0.25
"""Of the rows, how many the first sample leaves undecided."""

_FEWER: Final = 0.05
_MORE: Final = 2
"""Of the rows of a round, how many are undecided in the next: where the bound rose, and where it fell."""

_SETTLED: Final = 1e-7
_FLAT: Final = 1e-6
_ROUNDING: Final = 1e-9
_START: Final = 0.1
_END: Final = 1e-7
_WIDE: Final = 0.05
_NARROW: Final = 0.003
"""From where to where a round goes: the margin below which so many of its rows are."""

_FINEST: Final = 1e-13


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
    if best.value <= 2 * highest:
        best = _settled(problem, layout, best, spread, highest, rng)
    return _maximum(problem, layout, best, highest)


def _settled(
    problem: Problem, layout: Layout, best: Sweep, spread: float, highest: float, rng: np.random.Generator
) -> Sweep:
    """The best prices near those of a sample, by rounds over the rows that they leave undecided."""
    choosing = int(np.isfinite(best.margin).sum())
    if not choosing:
        return best
    fewest, count = CORE, max(CORE, int(_UNDECIDED * choosing))
    for _ in range(_ROUNDS):
        count = min(count, choosing)
        rows = undecided(best.margin, count)
        start, end = np.quantile(best.margin[rows], (_WIDE, _NARROW)).tolist()
        if whole := count <= _CLIMBED:
            end = min(_END * spread, float(best.margin[rows].max()) / count)
        else:
            rows = np.sort(rng.choice(rows, _CLIMBED, replace=False))
        core = core_of(problem, layout, rows, best.choice, best.used, len(rows) / count)
        end = max(end, _FINEST * spread)
        start = max(end, min(start, _START * spread))
        prices = climb(core.block, core.bound, best.prices, start=start, end=end, ceiling=2 * highest)
        found = sweep(problem, layout, prices)
        gain = found.value - best.value
        best = max(best, found, key=lambda own: own.value)
        if whole and abs(gain) <= _SETTLED * abs(best.value):
            break
        if gain <= 0:
            fewest = count = _MORE * count
        elif not whole:
            count = max(fewest, int(_FEWER * count))
    return best


def undecided(margin: Floats, count: int) -> NDArray[np.int64]:
    """The `count` rows of least margin, or all, rising."""
    if count >= len(margin):
        return np.arange(len(margin))
    return np.sort(np.argpartition(margin, count)[:count])


def core_of(
    problem: Problem, layout: Layout, rows: NDArray[np.int64], choice: Ints, used: Floats, part: float = 1.0
) -> Core:
    """Some rows, and what the others leave of each limit.

    Args:
        problem: R requests on E endpoints.
        layout: of its limits.
        rows: rising.
        choice: shape (R,), what the other rows keep.
        used: of each limit by the choices, shape (M,).
        part: how many of the undecided rows these are; what all of them are to free or may use is scaled to it.
    """
    block = Block.of(problem, layout, rows)
    return Core(rows, block, part * (layout.bound - used) + block.used(choice[rows]))


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
