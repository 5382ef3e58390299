"""First come, first served."""

from __future__ import annotations

from pointsman.types import Decision, Request


class FirstComeFirstServed:
    """Requests run in the order in which they arrived at the scheduler."""

    name = "fcfs"
    bound = "no request is overtaken by one that arrived later"

    def key(self, request: Request, decision: Decision, arrived_s: float) -> float:
        """The time of arrival."""
        del request, decision
        return arrived_s
