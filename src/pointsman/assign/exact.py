"""The best plan of a tiny problem, by looking at all that could be it, row by row.

A partial plan is dropped when what it uses, with the least that the other rows can use, breaks a limit, or
when its regrets alone cost more than the best plan known. If too many are left, the search gives up.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.assign.prices import Block
from pointsman.types import Floats

LARGEST_ROWS: Final = 24
_VALUES: Final = 1_000_000
_SLIVER: Final = 1e-9


def exact(block: Block, bound: Floats, prices: Floats, highest: float) -> NDArray[np.int32] | None:
    """The plan of least cost.

    Args:
        block: n rows.
        bound: shape (M,).
        prices: shape (M,), at least 0; the better they are, the fewer plans are looked at.
        highest: how far above the dual's value the plan may cost; inf where no plan is known.

    Returns: shape (n,); None where no plan keeps the limits and costs no more, or where too many could.
    """
    free = np.isfinite(bound)
    bound = bound[free]
    regret = block.reduced(prices)
    regret -= regret.min(axis=1, keepdims=True)
    n, columns = regret.shape
    use = block.use_of(*(own.ravel() for own in np.indices((n, columns))))[:, free].reshape(
        n, columns, len(bound)
    )
    least = np.where(np.isfinite(regret)[:, :, np.newaxis], use, np.inf).min(axis=1)
    rest = np.vstack([np.cumsum(least[::-1], axis=0)[::-1], np.zeros(len(bound))])
    highest += _SLIVER * float(np.abs(block.cost[np.isfinite(block.cost)]).max(initial=0.0))
    plans, used, above = np.zeros((1, 0), dtype=np.int32), np.zeros((1, len(bound))), np.zeros(1)
    for row in range(n):
        column = np.flatnonzero(np.isfinite(regret[row]))
        above = (above[:, np.newaxis] + regret[row, column]).ravel()
        used = (used[:, np.newaxis] + use[row, column]).reshape(len(above), len(bound))
        plans = np.hstack([np.repeat(plans, len(column), axis=0), np.tile(column, len(plans))[:, np.newaxis]])
        kept = (above <= highest) & (used + rest[row + 1] <= bound + _SLIVER * np.abs(bound)).all(axis=1)
        above, used, plans = above[kept], used[kept], plans[kept]
        if plans.size + used.size > _VALUES // columns or not len(plans):
            return None
    cost = block.cost[np.arange(n), plans].sum(axis=1)
    best: NDArray[np.int32] = plans[cost.argmin()].astype(np.int32)
    return best
