"""Where a cascade begins: at the first endpoint of its chain that can serve the request."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pointsman.assign.lowest import lowest
from pointsman.types import Assignment, Bools, CostTable, EndpointView, Request


class FirstAssign:
    """Chooses the first eligible endpoint of a chain, then any other; the score is its place.

    What follows its answer is the matter of `admit/cascade.py`.

    Args:
        endpoints: names in column order.
        chain: names, in the order in which they are tried.
    """

    name = "cascade"

    def __init__(self, endpoints: Sequence[str], chain: Sequence[str]) -> None:
        places = {name: float(place) for place, name in enumerate(chain)}
        self._place = np.array([places.get(name, float(len(chain))) for name in endpoints])
        self._chained = self._place < len(chain)

    def assign(
        self, requests: Sequence[Request], table: CostTable, eligible: Bools, view: Sequence[EndpointView]
    ) -> Assignment:
        """Choose for R requests over E endpoints; see `AssignPolicy`."""
        del requests, view
        chosen, score = lowest(np.broadcast_to(self._place, eligible.shape), eligible)
        serving = (eligible & self._chained).sum(axis=1)
        reasons = tuple(
            self._reason(table.endpoints[column], count)
            for column, count in zip(chosen.tolist(), serving.tolist(), strict=True)
        )
        return Assignment(chosen, score, reasons)

    def _reason(self, name: str, serving: int) -> str:
        """Why that one, where so many endpoints of the cascade can serve the request."""
        if serving > 1:
            return f"the cascade begins with {name}"
        if serving == 1:
            return f"{name} alone of the cascade can serve it"
        return f"{name}, since no endpoint of the cascade can serve it"
