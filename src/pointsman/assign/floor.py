"""The choice by a floor: the cheapest endpoint that is likely enough to be right.

Of the eligible endpoints whose predicted quality is at least the threshold the one of lowest predicted
price; ties go to the lower energy, then to the earlier column. Where none reaches it, the best predicted.

Source: RouteLLM's threshold between a weak and a strong model. Differs in: any number of endpoints, and a
threshold on the probability of being right, not on that of the weak model's winning.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pointsman.assign.lowest import cheapest, finite
from pointsman.types import Assignment, Bools, CostTable, EndpointView, Request


class FloorAssign:
    """Chooses the cheapest endpoint at or above a floor of quality.

    The score is the price in dollars at or above the floor, infinite below it; where none reaches it, the
    probability of being wrong.

    Args:
        threshold: the floor, in [0, 1].
    """

    name = "floor"

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold

    def assign(
        self, requests: Sequence[Request], table: CostTable, eligible: Bools, view: Sequence[EndpointView]
    ) -> Assignment:
        """Choose for R requests over E endpoints; see `AssignPolicy`. Cost: O(R E)."""
        del requests, view
        quality = np.nan_to_num(table.quality.value, nan=0.0)
        above: Bools = eligible & (quality >= self._threshold)
        reached = np.logical_or.reduce(above, axis=1, keepdims=True)
        allowed = np.where(reached, above, eligible)
        price_usd = finite(table.price_usd.value)
        chosen, score = cheapest(np.where(reached, price_usd, 1.0 - quality), table, allowed)
        reasons = tuple(
            self._reason(count, price, best)
            for count, price, best in zip(
                above.sum(axis=1).tolist(),
                score.min(axis=1).tolist(),
                np.max(quality, axis=1, where=eligible, initial=0.0).tolist(),
                strict=True,
            )
        )
        return Assignment(chosen, score, reasons)

    def _reason(self, count: int, price_usd: float, best: float) -> str:
        if count == 0:
            return f"no predicted quality reaches {self._threshold:g}: the best, {best:.3f}"
        return f"lowest predicted price ${price_usd:.3g} of {count} with predicted quality from {self._threshold:g}"
