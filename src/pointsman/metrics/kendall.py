"""Kendall's tau, the measure of an order: how many more pairs are in order than out of it.

    tau-b = (concordant - discordant) / sqrt(pairs not tied in one * pairs not tied in the other)

Pairs are counted, not listed: O(n log n). Counts of parts add and subtract, so that pairs across data sets
are all pairs less those within each.
Source: Kendall (1945) for ties; Knight (1966) for counting by sorting, here bit by bit over ranks.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointsman.metrics.columns import check_columns
from pointsman.types import Floats

Ints = NDArray[np.int64]


class PairCounts(NamedTuple):
    """Counts of pairs of rows.

    Attributes:
        pairs: all.
        tied_first, tied_second: equal in one column, whether or not in the other.
        margin: concordant less discordant ones.
    """

    pairs: int
    tied_first: int
    tied_second: int
    margin: int

    def plus(self, other: PairCounts) -> PairCounts:
        """Both together."""
        return PairCounts(*(mine + its for mine, its in zip(self, other, strict=True)))

    def less(self, other: PairCounts) -> PairCounts:
        """What is left without the other's pairs."""
        return PairCounts(*(mine - its for mine, its in zip(self, other, strict=True)))

    @property
    def tau(self) -> float:
        """Tau-b, in [-1, 1]; NaN where a column does not tell any two rows apart."""
        told = (self.pairs - self.tied_first) * (self.pairs - self.tied_second)
        return self.margin / math.sqrt(told) if told > 0 else math.nan


def kendall_tau(first: Floats, second: Floats) -> float:
    """Tau-b of two columns, shape (N,); NaN for a constant one. Raises: DataError as `pair_counts`."""
    return pair_counts(first, second).tau


def pair_counts(first: Floats, second: Floats) -> PairCounts:
    """Pairs of N rows by how two columns order them.

    Raises: DataError for columns of unequal length, none at all, NaN or infinity.
    """
    check_columns(first, second)
    a, b = _ranks(first), _ranks(second)
    n = len(a)
    order = np.lexsort((b, a))
    joint = _tied(a * n + b)
    tied_first, tied_second = _tied(a), _tied(b)
    pairs = n * (n - 1) // 2
    discordant = _inversions(b[order])
    untied = pairs - tied_first - tied_second + joint
    return PairCounts(pairs, tied_first, tied_second, untied - 2 * discordant)


def pairs_within(first: Floats, second: Floats, groups: NDArray[np.int64]) -> PairCounts:
    """Pairs whose rows are of one group, added up over the groups, shape (N,)."""
    total = PairCounts(0, 0, 0, 0)
    for group in np.unique(groups):
        rows = groups == group
        total = total.plus(pair_counts(first[rows], second[rows]))
    return total


def _ranks(values: Floats) -> Ints:
    """0 for the smallest; equal ones share a rank."""
    made: Ints = np.unique(values, return_inverse=True)[1].ravel().astype(np.int64)
    return made


def _tied(keys: Ints) -> int:
    counts = np.unique(keys, return_counts=True)[1].astype(np.int64)
    return int((counts * (counts - 1) // 2).sum())


def _inversions(ranks: Ints) -> int:
    """Pairs in which a larger rank stands before a smaller one.

    Rows that agree in all higher bits are kept side by side, in their first order: of them a pair is an
    inversion at this bit if a 1 stands before a 0. Cost: one pass a bit.
    """
    total = 0
    for bit in range(int(ranks.max(initial=0)).bit_length() - 1, -1, -1):
        higher = ranks >> (bit + 1)
        one = (ranks >> bit) & 1
        starts = np.flatnonzero(np.concatenate([[True], np.diff(higher) != 0]))
        sizes = np.diff(np.append(starts, len(ranks)))
        ones_before = np.cumsum(one) - one
        inside = ones_before - np.repeat(ones_before[starts], sizes)
        total += int(inside[one == 0].sum())
        start = np.repeat(starts, sizes)
        zeros = np.repeat(sizes - np.add.reduceat(one, starts), sizes)
        place = np.where(one == 1, start + zeros + inside, np.arange(len(ranks)) - inside)
        moved = np.empty_like(ranks)
        moved[place] = ranks
        ranks = moved
    return total
