"""Every plan of least cost under one floor, from the cheapest to the best: no other limits, exact but for a row.

Each row climbs the lower convex hull of its (quality, cost) points; the steps of all rows, in order of what
a unit of quality costs in them, are the frontier. At a price of quality the rows have taken the steps that
cost no more: the choice argmin_j cost - price x quality.
Source: the relaxation of the multiple-choice knapsack, Sinha and Zoltners 1979.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointsman.assign.problem import Values
from pointsman.types import Bools, Floats


@dataclass(frozen=True, slots=True, eq=False)
class Frontier:
    """Where rows begin, and the steps they take as quality is worth more.

    Attributes:
        start: shape (R,), each row's cheapest column; of equally cheap ones the best.
        row, column: shape (S,), who steps where; a row's steps are in order.
        price: shape (S,), what a unit of quality costs in the step, ascending.
    """

    start: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    price: Floats

    def choice(self, steps: int) -> NDArray[np.int64]:
        """The plan after so many steps, shape (R,)."""
        made = self.start.copy()
        made[self.row[:steps]] = self.column[:steps]
        return made

    def means(self, values: Floats) -> Floats:
        """The mean over rows of some value of the chosen pairs after 0, 1 ... S steps, shape (S + 1,).

        Args:
            values: shape (R, E), finite for all pairs that may be chosen.
        """
        rows = np.arange(len(self.start))
        first = values[rows, self.start]
        before = np.empty(len(self.row))
        order = np.argsort(self.row, kind="stable")
        own, at = self.row[order], values[self.row, self.column][order]
        opens = np.concatenate([[True], own[1:] != own[:-1]]) if len(own) else np.empty(0, dtype=bool)
        before[order] = np.where(opens, first[own], np.concatenate([[0.0], at[:-1]])) if len(own) else 0.0
        gained = np.cumsum(values[self.row, self.column] - before)
        means: Floats = (first.sum() + np.concatenate([[0.0], gained])) / len(rows)
        return means


def frontier(cost: Values, quality: Values, allowed: Bools | None = None) -> Frontier:
    """All plans of least cost for a floor on mean quality.

    Args:
        cost: shape (R, E), at least 0.
        quality: shape (R, E), predicted, in [0, 1].
        allowed: shape (R, E); None where every pair is; each row has one.

    Cost: O(E) looks at all pairs, and a sort of the steps.
    """
    price_of = np.where(allowed, cost, np.inf) if allowed is not None else np.asarray(cost, dtype=float)
    worth = np.asarray(quality, dtype=float)
    every = np.arange(len(price_of))
    cheapest = price_of == price_of.min(axis=1, keepdims=True)
    start = np.where(cheapest, worth, -np.inf).argmax(axis=1)
    at, steps = start.copy(), []
    climbing = every
    while len(climbing):
        here = at[climbing]
        rise = worth[climbing] - worth[climbing, here][:, None]
        run = price_of[climbing] - price_of[climbing, here][:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where(rise > 0, run / rise, np.inf)
        least = slope.min(axis=1)
        to = np.where(slope == least[:, None], rise, -np.inf).argmax(axis=1)
        goes = np.isfinite(least)
        climbing, to, least = climbing[goes], to[goes], least[goes]
        at[climbing] = to
        steps.append((climbing, to, least))
    row, column, price = (np.concatenate(part) for part in zip(*steps, strict=True))
    order = np.argsort(price, kind="stable")
    return Frontier(start, row[order], column[order], price[order])
