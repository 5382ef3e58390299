"""Optional calls out of the loop, for metrics and traces: every method does nothing by default."""

from __future__ import annotations

from pointsman.types import Decision, Outcome, Request


class Hooks:
    """Override what you need. A hook must be quick and must not raise."""

    def arrived(self, request: Request) -> None:
        """A request entered the scheduler."""

    def decided(self, decision: Decision) -> None:
        """A decision was made, with its reason."""

    def dispatched(self, request: Request, endpoint: str, queue_s: float) -> None:
        """A request was sent to an endpoint after `queue_s` seconds."""

    def finished(self, outcome: Outcome) -> None:
        """A request ended."""

    def bypassed(self, n_requests: int, reason: str) -> None:
        """Predictions failed or were late; priors were used."""
