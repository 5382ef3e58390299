"""The prices of a problem's limits: how they are laid out, what rows cost at them, what rows use.

Every limit is written as  sum a_ij x_ij <= b  (a floor with a = -quality, b = -minimum x rows), and has one
price y >= 0, the dual. At prices y the reduced cost of a pair is  r_ij = cost_ij + sum_k y_k a_kij, each row
takes its least, and

    D(y) = sum_i min_j r_ij - y b

is at most the cost of any plan that keeps all limits (weak duality), and at most that of the relaxation in
which rows are split.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.assign.problem import Ints, LoadLimit, Problem, QualityFloor
from pointsman.types import Floats

CHUNK_VALUES: Final = 1 << 17
"""Pairs that are looked at together: about what the second-level cache holds as float64."""

JITTER: Final = 1e-5
"""Costs, and what quality is worth, are raised by up to this share, differently in every pair, so that no two
pairs tie: among ties no prices can say how many rows go where. Plans are measured without it. A bound is
lowered by it: it holds since the raised problem has costs at most so much higher, and floors easier to keep."""

_PRIMES: Final = np.array([2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71])

Rows = slice | NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where the price of each limit stands in a vector of M: floors by group, loads by pool, budgets.

    Attributes:
        floors, loads, budgets: the slice of each.
        bound: shape (M,), inf where a pool has no limit.
    """

    floors: tuple[slice, ...]
    loads: tuple[slice, ...]
    budgets: slice
    bound: Floats

    @classmethod
    def of(cls, problem: Problem) -> Layout:
        """The layout of a problem's limits."""
        lengths = [len(own.groups) for own in problem.floors] + [len(own.pools) for own in problem.loads]
        ends = np.cumsum([0, *lengths]).tolist()
        slices = tuple(slice(*pair) for pair in pairwise(ends))
        bound = [-own.minimum * group_sizes(own, problem.shape[0]) for own in problem.floors]
        bound += [own.capacity for own in problem.loads]
        bound.append(np.array([own.limit for own in problem.budgets], dtype=float))
        count = len(problem.floors)
        last = slice(ends[-1], ends[-1] + len(problem.budgets))
        return cls(slices[:count], slices[count:], last, np.concatenate(bound))

    @property
    def free(self) -> NDArray[np.bool_]:
        """Limits that can bind at all."""
        return np.isfinite(self.bound)

    def credit(self, prices: Floats) -> float:
        """Y b."""
        free = self.free
        return float(prices[free] @ self.bound[free])


def group_sizes(floor: QualityFloor, rows: int) -> Floats:
    """How many rows each group has."""
    if floor.group is None:
        return np.array([float(rows)])
    return np.bincount(floor.group[floor.group >= 0], minlength=len(floor.groups)).astype(float)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some rows of a problem as float64, ready for arithmetic.

    Attributes:
        cost: raised by `jitter`; inf where a pair is forbidden; what such a pair holds elsewhere is finite.
        worth: the quality that prices see, raised where the cost is not.
        group: of each floor, shape (n,), with G for rows without one.
        uses: of each load, shape (n, E), or None where each pair uses 1.
        pools: of each load, shape (E,), with P for columns without one.
        spent: of each budget.
    """

    layout: Layout
    cost: Floats
    worth: Floats
    quality: Floats
    group: tuple[Ints, ...]
    uses: tuple[Floats | None, ...]
    pools: tuple[Ints, ...]
    spent: tuple[Floats, ...]

    @classmethod
    def of(cls, problem: Problem, layout: Layout, rows: Rows, *, raised: bool = True) -> Block:
        """Those rows; with ties as they are unless `raised`."""
        allowed = None if problem.allowed is None else problem.allowed[rows]

        def taken(values: NDArray[np.floating], forbidden: float = 0.0) -> Floats:
            own = values[rows].astype(np.float64)
            if allowed is not None:
                own[~allowed] = forbidden
            return own

        cost = taken(problem.cost, np.inf)
        worth = quality = taken(problem.quality)
        if raised:
            factor = jitter(np.arange(problem.shape[0])[rows], problem.shape[1])
            cost *= factor
            worth = quality * (2.0 + JITTER - factor)
        return cls(
            layout,
            cost,
            worth,
            quality,
            tuple(_group(floor, rows, len(cost)) for floor in problem.floors),
            tuple(None if load.use is None else taken(load.use) for load in problem.loads),
            tuple(_shifted(load) for load in problem.loads),
            tuple(taken(budget.use) for budget in problem.budgets),
        )

    def reduced(self, prices: Floats) -> Floats:
        """Cost plus the prices of what each pair uses, shape (n, E)."""
        layout = self.layout
        reduced = self.cost.copy()
        price_of_quality = np.zeros(len(reduced))
        for own, group in zip(layout.floors, self.group, strict=True):
            price_of_quality += np.append(prices[own], 0.0)[group]
        if layout.floors:
            reduced -= price_of_quality[:, np.newaxis] * self.worth
        for own, pool, use in zip(layout.loads, self.pools, self.uses, strict=True):
            price = np.append(prices[own], 0.0)[pool]
            reduced += price if use is None else price * use
        for price, spent in zip(prices[layout.budgets].tolist(), self.spent, strict=True):
            reduced += price * spent
        return reduced

    def used(self, choice: Ints) -> Floats:
        """What the chosen pairs use of each limit, shape (M,); floors count negative."""
        layout, rows = self.layout, np.arange(len(choice))
        total = np.zeros(len(layout.bound))
        chosen_quality = self.quality[rows, choice]
        for own, group in zip(layout.floors, self.group, strict=True):
            total[own] = -grouped(group, chosen_quality, own.stop - own.start)
        for own, pool, use in zip(layout.loads, self.pools, self.uses, strict=True):
            weight = None if use is None else use[rows, choice]
            total[own] = grouped(pool[choice], weight, own.stop - own.start)
        total[layout.budgets] = [float(spent[rows, choice].sum()) for spent in self.spent]
        return total

    def use_of(self, row: Ints, column: Ints) -> Floats:
        """What single pairs use of each limit, shape (C, M)."""
        layout, each = self.layout, np.arange(len(row))
        use = np.zeros((len(row), len(layout.bound) + 1))  # the last is nobody's
        for own, group in zip(layout.floors, self.group, strict=True):
            use[each, _place(own, group[row])] = -self.quality[row, column]
        for own, pool, weight in zip(layout.loads, self.pools, self.uses, strict=True):
            use[each, _place(own, pool[column])] = 1.0 if weight is None else weight[row, column]
        for k, spent in enumerate(self.spent):
            use[:, layout.budgets.start + k] = spent[row, column]
        return use[:, :-1]


def _place(own: slice, group: Ints) -> Ints:
    """Where the limit of each group stands, -1 for none."""
    return np.where(group < own.stop - own.start, own.start + group, -1)


def jitter(rows: Ints, columns: int) -> Floats:
    """Factors from 1 to 1 + `JITTER`, the same for the same pair, shape (n, E); no two columns move together."""
    lap, place = np.divmod(np.arange(columns), len(_PRIMES))
    turn = np.sqrt(_PRIMES[place]) * (1.0 + 0.7548776662 * lap)
    factor: Floats = 1.0 + JITTER * ((rows[:, np.newaxis] + 1.0) * turn % 1.0)
    return factor


def grouped(group: Ints, weight: Floats | None, count: int) -> Floats:
    """Sums by group, shape (count,); group `count` is left out."""
    return np.bincount(group, weight, minlength=count + 1)[:count].astype(float)


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """Every row at some prices.

    Attributes:
        value: D(y).
        choice: the column of least reduced cost, the first of equals, shape (R,).
        margin: how far the next one is above it, shape (R,), inf where there is none.
        used: of each limit by the choices, shape (M,).
        cost: of the choices.
    """

    prices: Floats
    value: float
    choice: NDArray[np.int32]
    margin: Floats
    used: Floats
    cost: float


def sweep(problem: Problem, layout: Layout, prices: Floats) -> Sweep:
    """Look at every row once, a chunk at a time. Cost: O(R E), and some MB."""
    rows = problem.shape[0]
    choice, margin = np.empty(rows, np.int32), np.empty(rows)
    used = np.zeros(len(prices))
    value = cost = 0.0
    for chunk in chunks(problem):
        block = Block.of(problem, layout, chunk)
        reduced = block.reduced(prices)
        each = np.arange(len(reduced))
        best = reduced.argmin(axis=1)
        least = reduced[each, best]
        reduced[each, best] = np.inf
        choice[chunk], margin[chunk] = best, reduced.min(axis=1) - least
        used += block.used(best)
        value += float(least.sum())
        cost += float(block.cost[each, best].sum())
    return Sweep(prices, value - layout.credit(prices), choice, margin, used, cost)


def dual_value(problem: Problem, layout: Layout, prices: Floats) -> float:
    """D(y), ties as they are. Cost: as `sweep`."""
    value = 0.0
    for chunk in chunks(problem):
        reduced = Block.of(problem, layout, chunk, raised=False).reduced(prices)
        value += float(reduced.min(axis=1).sum())
    return value - layout.credit(prices)


def measure(problem: Problem, layout: Layout, choice: Ints) -> Floats:
    """What a plan uses of each limit, shape (M,)."""
    used = np.zeros(len(layout.bound))
    for chunk in chunks(problem):
        used += Block.of(problem, layout, chunk).used(choice[chunk])
    return used


def chunks(problem: Problem) -> Iterator[slice]:
    """All rows, in pieces of about `CHUNK_VALUES` pairs."""
    rows, columns = problem.shape
    step = max(1, CHUNK_VALUES // columns)
    for start in range(0, rows, step):
        yield slice(start, min(rows, start + step))


def _group(floor: QualityFloor, rows: Rows, count: int) -> Ints:
    if floor.group is None:
        return np.zeros(count, dtype=np.int64)
    own = floor.group[rows].astype(np.int64)
    own[own < 0] = len(floor.groups)
    return own


def _shifted(load: LoadLimit) -> Ints:
    return np.where(load.pool < 0, len(load.pools), load.pool).astype(np.int64)
