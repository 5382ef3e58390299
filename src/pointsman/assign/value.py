"""The choice by value: the lowest expected cost of running, c_run + c_wrong (1 - quality).

Ties go to the lower energy, then to the earlier column. An endpoint whose cost is not a finite number is
chosen only if no other's is. With the admission `value` this is the endpoint that the admission judged by.
"""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.assign.lowest import cheapest, finite
from pointsman.types import Assignment, Bools, CostTable, EndpointView, Request, ValueTerms
from pointsman.types.value import running_costs


class ValueAssign:
    """Chooses the lowest expected cost; the score is that cost.

    Args:
        terms: what runs and wrong answers cost.
    """

    name = "value"

    def __init__(self, terms: ValueTerms) -> None:
        self._terms = terms

    def assign(
        self, requests: Sequence[Request], table: CostTable, eligible: Bools, view: Sequence[EndpointView]
    ) -> Assignment:
        """Choose for R requests over E endpoints; see `AssignPolicy`. Cost: O(R E)."""
        del view
        costs = finite(running_costs(requests, table, self._terms))
        chosen, score = cheapest(costs, table, eligible)
        counts = eligible.sum(axis=1).tolist()
        reasons = tuple(
            f"lowest expected cost {cost:.3g} of {count} endpoints"
            for cost, count in zip(score.min(axis=1).tolist(), counts, strict=True)
        )
        return Assignment(chosen, score, reasons)
