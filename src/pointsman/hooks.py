"""Optional calls out of the loop, for metrics and traces: every method does nothing by default."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from pointsman.errors import origin
from pointsman.types import Decision, Outcome, Request

_log: Final = logging.getLogger(__name__)


class Hooks:
    """Override what you need. A hook must be quick; what it raises is logged and goes no further."""

    def arrived(self, request: Request) -> None:
        """A request entered the scheduler."""

    def decided(self, decision: Decision) -> None:
        """A decision was made, with its reason."""

    def dispatched(self, request: Request, endpoint: str, queue_s: float) -> None:
        """A request was sent to an endpoint after `queue_s` seconds."""

    def finished(self, outcome: Outcome) -> None:
        """A request ended."""

    def unused(self, outcome: Outcome) -> None:
        """A run of a request whose answer was not given out; told just before the request's end."""

    def bypassed(self, n_requests: int, reason: str) -> None:
        """Predictions failed or were late; priors were used."""

    def policy_raised(self, policy: str, error: Exception) -> None:
        """A policy broke its promise not to raise; the request it was asked about fails."""


class GuardedHooks(Hooks):
    """Passes every call on; what a hook raises is logged and counted and goes no further.

    Attributes:
        failures: calls that raised.
    """

    def __init__(self, inner: Hooks) -> None:
        self.failures = 0
        self._inner = inner

    def arrived(self, request: Request) -> None:
        """See `Hooks`."""
        self._call(self._inner.arrived, request)

    def decided(self, decision: Decision) -> None:
        """See `Hooks`."""
        self._call(self._inner.decided, decision)

    def dispatched(self, request: Request, endpoint: str, queue_s: float) -> None:
        """See `Hooks`."""
        self._call(self._inner.dispatched, request, endpoint, queue_s)

    def finished(self, outcome: Outcome) -> None:
        """See `Hooks`."""
        self._call(self._inner.finished, outcome)

    def unused(self, outcome: Outcome) -> None:
        """See `Hooks`."""
        self._call(self._inner.unused, outcome)

    def bypassed(self, n_requests: int, reason: str) -> None:
        """See `Hooks`."""
        self._call(self._inner.bypassed, n_requests, reason)

    def policy_raised(self, policy: str, error: Exception) -> None:
        """See `Hooks`."""
        self._call(self._inner.policy_raised, policy, error)

    def _call(self, hook: Callable[..., None], *args: object) -> None:
        try:
            hook(*args)
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises must not reach the loop
            self.failures += 1
            _log.error("a hook raised %s", origin(error))
