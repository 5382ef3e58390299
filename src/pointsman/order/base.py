"""When a request runs: the key by which an endpoint's queue is ordered."""

from __future__ import annotations

from typing import Protocol

from pointsman.types import Decision, Request


class OrderPolicy(Protocol):
    """A static key: it is computed once, when the request joins the queue.

    Attributes:
        name: for the config, metrics and the log.
        bound: one sentence that says how long, or by how much, a request can be overtaken
            (invariant 4); a property test holds the policy to it.
    """

    name: str
    bound: str

    def key(self, request: Request, decision: Decision, arrived_s: float) -> float:
        """The key; lower runs first, ties in order of arrival. Finite. Changes nothing."""
        ...
