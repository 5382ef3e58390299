"""Where a request runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pointsman.types import Assignment, Bools, CostTable, EndpointView, Request


class AssignPolicy(Protocol):
    """Chooses an endpoint for each request, or leaves it waiting."""

    name: str

    def assign(
        self, requests: Sequence[Request], table: CostTable, eligible: Bools, view: Sequence[EndpointView]
    ) -> Assignment:
        """Choose for R requests over E endpoints.

        Args:
            requests: R of them; each has at least one eligible endpoint.
            table: predictions, arrays of shape (R, E).
            eligible: shape (R, E); a False pair must not be chosen.
            view: the state of the E endpoints.

        Returns: indices of shape (R,), `UNASSIGNED` where the request waits; scores of shape (R, E).
        Changes nothing, and equal arguments give equal assignments.
        """
        ...
