"""Where a request runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from pointsman.types import (
    Assignment,
    Bools,
    CostTable,
    Decision,
    EndpointView,
    Label,
    LimitState,
    Outcome,
    Request,
)


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

        Returns: indices of shape (R,), `UNASSIGNED` where the request waits, `SKIPPED` where it is skipped;
            scores of shape (R, E).
        Changes nothing, and equal arguments give equal assignments while no event comes between them.
        """
        ...


@runtime_checkable
class Adaptive(Protocol):
    """An assign policy with a state, which moves by what is decided and by what comes of it.

    The scheduler tells it, in the order of events, so that a recorded run replays.
    """

    def settled(self, request: Request, decision: Decision) -> None:
        """A decision was taken; one for the same request may have come before, and counts no more."""
        ...

    def ended(self, outcome: Outcome) -> None:
        """A request ended, once, whatever became of it."""
        ...

    def labelled(self, labels: Sequence[Label]) -> None:
        """Labels came, of requests that it may not know any more."""
        ...

    def capacity_changed(self) -> None:
        """What the endpoints can take is not what it was."""
        ...

    def limits(self) -> Sequence[LimitState]:
        """Where the limits stand now."""
        ...
