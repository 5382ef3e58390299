"""Where decisions and outcomes go."""

from __future__ import annotations

from typing import Protocol

from pointsman.types import Decision, Outcome, Request


class DecisionSink(Protocol):
    """Keeps decisions and outcomes. Called in the loop, so it must be quick and must not raise."""

    def record(self, decision: Decision, request: Request) -> None:
        """A decision was made; a request that was deferred or moved has several."""
        ...

    def finish(self, outcome: Outcome) -> None:
        """A request ended; its runs whose answers were not given out come just before."""
        ...
