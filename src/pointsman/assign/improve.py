"""From choices that nearly keep the limits to a plan that does, at the least cost above the bound.

What a plan costs above the bound is the sum of its regrets (how far each chosen pair's reduced cost is
above its row's least) and of the limits that have a price and are not used up. So only pairs of little
regret are candidates, and a step costs the same however many rows there are. Moves of one row, then of
two rows at once, are taken while they help: they lower the cost, or the breach of a limit, which counts
far more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.assign.prices import Block
from pointsman.assign.problem import Ints
from pointsman.types import Bools, Floats

_VALUES: Final = 2_000_000
"""Numbers held for the candidates: pairs times limits."""

_PAIR_VALUES: Final = 500_000
_MOVES_PAIRED: Final = 400
_PENALTY: Final = 10.0
_KICKED: Final = 3
_RISE: Final = 10.0
_SLIVER: Final = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Pairs that rows may move to, the current ones among them, in the order of rows.

    Attributes:
        row: shape (C,), of the block; rising.
        column: shape (C,).
        cost: shape (C,).
        regret: shape (C,).
        use: of each limit, shape (C, M).
        current: shape (C,), whether the row has this pair now.
    """

    row: Ints
    column: Ints
    cost: Floats
    regret: Floats
    use: Floats
    current: Bools


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to look.

    Attributes:
        moves: of one row in a descent, at most.
        pairs: moves of two rows at once in a descent, at most.
        kicks: how often a few rows are moved by chance and the descent begins again, at most.
        rises: how often what is still broken may count ten times as much, at most.
        target: the cost above the bound at which there is no need to go on.
    """

    moves: int = 5000
    pairs: int = 40
    kicks: int = 0
    rises: int = 6
    target: float = 0.0


def improve(
    block: Block, bound: Floats, prices: Floats, choice: Ints, effort: Effort, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Better choices for the rows of a block.

    Args:
        block: n rows.
        bound: shape (M,), what other rows use taken off.
        prices: shape (M,), at least 0.
        choice: shape (n,), where to begin.
        effort: how long to look.
        rng: for kicks.

    Returns: shape (n,): less of the limits is broken, or as little at no more cost. Not a proof that none
        could be kept.
    """
    improved = choice.astype(np.int32)
    free = np.isfinite(bound)
    highest, kicks = math.inf, 0
    while True:
        candidates = _candidates(block, prices, improved, free, highest)
        search = _Search(candidates, (bound - block.used(improved))[free], prices[free])
        search.descend(effort)
        search.kick(kicks, effort, rng)
        improved[candidates.row[search.current]] = candidates.column[search.current]
        above = search.above
        if above <= effort.target or kicks == effort.kicks:
            return improved
        highest, kicks = above, effort.kicks  # a pair of more regret is in no better plan


def above(block: Block, bound: Floats, prices: Floats, choice: Ints) -> float:
    """What a plan costs above the dual's value; inf where it breaks a limit."""
    free = np.isfinite(bound)
    slack = (bound - block.used(choice))[free]
    if (slack < 0).any():
        return math.inf
    regret = block.reduced(prices)
    chosen = regret[np.arange(len(choice)), choice] - regret.min(axis=1)
    return float(chosen.sum() + prices[free] @ slack)


class _Search:
    """Local search; the state is which candidate each row has, and what is left of each limit."""

    def __init__(self, candidates: Candidates, slack: Floats, prices: Floats) -> None:
        self._all, self._slack, self._prices = candidates, slack, prices
        rows = candidates.row
        self._first = np.searchsorted(rows, rows)
        self._end = np.searchsorted(rows, rows, side="right")
        self._now = np.empty(len(rows), dtype=np.int64)  # each candidate's row has this one
        self._highest = math.inf  # a plan that costs more above the bound is of no interest
        held = np.flatnonzero(candidates.current)
        self._now[:] = held[np.searchsorted(rows[held], rows)]
        self._change = candidates.use - candidates.use[self._now]
        self._dearer = candidates.cost - candidates.cost[self._now]
        unit = np.abs(candidates.use).sum(axis=0) / max(1, len(rows))
        unit[unit == 0] = 1.0  # nobody uses it, or nobody can move
        highest = float(candidates.cost.max(initial=0.0)) or 1.0
        self._sliver = _SLIVER * highest
        self._penalty = self._base = _PENALTY * highest / unit + prices

    @property
    def current(self) -> NDArray[np.int64]:
        """The candidate that each row has."""
        return np.flatnonzero(self._now == np.arange(len(self._now)))

    @property
    def above(self) -> float:
        """The cost above the bound; inf where a limit is broken. Rows without candidates have no regret."""
        if self._broken(self._slack) > 0:
            return math.inf
        return float(self._all.regret[self.current].sum() + self._prices @ self._slack)

    def descend(self, effort: Effort) -> None:
        """Moves of one row, then of two, while they help; what stays broken, however little, counts ever more."""
        self._penalty = self._base
        for _ in range(effort.rises):
            left = self.singles(effort.moves)
            for _ in range(effort.pairs):
                if not self.pair():
                    break
                left = self.singles(left)
            broken = self._slack < 0
            if not broken.any():
                break
            self._penalty = np.where(broken, _RISE * self._penalty, self._penalty)
        self._penalty = self._base

    def kick(self, kicks: int, effort: Effort, rng: np.random.Generator) -> None:
        """Move a few rows by chance, descend, and go back unless that was better."""
        for _ in range(kicks):
            self._highest = self.above
            if self._highest <= effort.target or not len(self._now):
                return
            best = self._merit()
            kept = self._slack, self._now.copy(), self._change.copy(), self._dearer.copy()
            for candidate in rng.integers(len(self._now), size=_KICKED):
                self._move(int(candidate))
            self.descend(replace(effort, rises=2) if math.isfinite(self._highest) else effort)
            if self._merit() >= best:
                self._slack, self._now, self._change, self._dearer = kept

    def _merit(self) -> tuple[bool, float]:
        """What is lowered: whether a limit is broken; the cost, and the breaches priced."""
        broken = self._broken(self._slack)
        return broken > 0, float(self._all.cost[self.current].sum()) + broken

    def singles(self, moves: int) -> int:
        """Move one row at a time, the best move first, while that helps; gives how many moves are left."""
        for left in range(moves, 0, -1):
            broken = self._broken(self._slack)
            some = np.flatnonzero(self._dearer < broken)  # none of the others can help
            gain = broken - self._breaches(self._change[some]) - self._dearer[some]
            if not gain.size or gain.max() <= self._sliver:
                return left
            self._move(int(some[gain.argmax()]))
        return 0

    def pair(self) -> bool:
        """Move two rows at once, the best of the pairs of little regret; False where none helps."""
        one, other = self._hopeful()
        broken = self._broken(self._slack)
        gain = broken - self._breaches(self._change[one] + self._change[other])
        gain -= self._dearer[one] + self._dearer[other]
        if not gain.size or gain.max() <= self._sliver:
            return False
        best = int(gain.argmax())
        self._move(int(one[best]))
        self._move(int(other[best]))
        return True

    def _hopeful(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pairs of moves of two rows that could help, those of least regret if there are too many."""
        further = self._all.regret - self._all.regret[self._now]
        further[self.current] = np.inf
        some = np.argsort(further, kind="stable")[:_MOVES_PAIRED]
        some = some[np.isfinite(further[some])]
        one, other = np.triu_indices(len(some), 1)
        one, other = some[one], some[other]
        broken = self._broken(self._slack)
        could = self._dearer[one] + self._dearer[other] < broken
        could &= self._all.row[one] != self._all.row[other]
        regret = further[one] + further[other]
        could &= regret < self._highest - self._all.regret[self.current].sum()
        if not broken:
            could &= regret < self._prices @ self._slack
        one, other, regret = one[could], other[could], regret[could]
        count = _PAIR_VALUES // max(1, len(self._slack))
        if count < len(regret):
            least = np.argpartition(regret, count)[:count]
            one, other = one[least], other[least]
        return one, other

    def _move(self, candidate: int) -> None:
        own = slice(int(self._first[candidate]), int(self._end[candidate]))
        self._slack = self._slack - self._change[candidate]
        self._now[own] = candidate
        self._change[own] = self._all.use[own] - self._all.use[candidate]
        self._dearer[own] = self._all.cost[own] - self._all.cost[candidate]

    def _broken(self, slack: Floats) -> float:
        return float(np.maximum(-slack, 0.0) @ self._penalty)

    def _breaches(self, change: Floats) -> Floats:
        """What would be broken after each change, priced."""
        short = change - self._slack
        np.maximum(short, 0.0, out=short)
        breaches: Floats = short @ self._penalty
        return breaches


def _candidates(block: Block, prices: Floats, choice: Ints, free: Bools, highest: float) -> Candidates:
    """The pairs of least regret, and what their rows have now."""
    regret = block.reduced(prices)
    regret -= regret.min(axis=1, keepdims=True)
    rows = np.arange(len(choice))
    count = max(1, _VALUES // max(1, int(free.sum())))
    wanted = np.isfinite(regret) & (regret <= highest)
    if count < regret.size:
        wanted &= regret <= np.partition(regret, count, axis=None)[count]
    wanted[rows, choice] = False
    own = np.flatnonzero(wanted.any(axis=1))
    wanted[own, choice[own]] = True
    row, column = np.nonzero(wanted)
    return Candidates(
        row,
        column,
        block.cost[row, column],
        regret[row, column],
        block.use_of(row, column)[:, free],
        column == choice[row],
    )
