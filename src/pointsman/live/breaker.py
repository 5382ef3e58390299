"""Takes an endpoint out of the choice while it can't be used, and lets one request at a time find out whether it can.

    closed       all its slots
      -> open    after `failures` in a row that are the endpoint's fault: it is down for `rest_s`, and requests
                 that wait there are decided anew
    open
      -> trial   when its rest is over: one slot
    trial
      -> closed  at the first answer
      -> open    at the first failure, for twice as long as before, at most `most_rest_s`

What was out when it opened ends as it does; its failures count no further, also not during a trial.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from pointsman.errors import (
    EngineCut,
    EngineGarbage,
    EngineRejected,
    EngineTimeout,
    EngineUnreachable,
    InternalError,
)
from pointsman.events import CapacityChanged, Completed, Failed
from pointsman.types import Endpoint

_FAULTS: Final = (EngineUnreachable, EngineTimeout, EngineCut, EngineGarbage, InternalError)
_NOT_OURS: Final = frozenset({401, 403, 404})
"""Statuses below 500 by which an endpoint refuses whoever asks: a key or a model that it does not know."""


@dataclass(frozen=True, slots=True)
class BreakerOptions:
    """When an endpoint is out.

    Attributes:
        failures: in a row, at least 1.
        rest_s: until the first trial; most_rest_s: until any.
    """

    failures: int = 3
    rest_s: float = 5.0
    most_rest_s: float = 60.0


class Timer(Protocol):
    """What `call_later` of an event loop gives."""

    def cancel(self) -> None:
        """It does not fire any more."""


class _State(Enum):
    CLOSED = "closed"
    OPEN = "open"
    TRIAL = "trial"


@dataclass(slots=True)
class _Circuit:
    """`out` are its runs, `older` those of them that began before the trial; the trial's own begins after them."""

    endpoint: Endpoint
    rest_s: float
    state: _State = _State.CLOSED
    failures: int = 0
    out: int = 0
    older: int = 0
    timer: Timer | None = None


class Breaker:
    """Watches how runs end.

    Args:
        endpoints: those that may be taken out.
        options: when.
        post: takes the events.
        call_later: sets a timer: seconds, and what to call; None: of the running event loop.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        options: BreakerOptions,
        post: Callable[[CapacityChanged], object],
        call_later: Callable[[float, Callable[[], None]], Timer] | None = None,
    ) -> None:
        self._options, self._post, self._call_later = options, post, call_later or _by_the_loop
        self._circuits = {endpoint.name: _Circuit(endpoint, options.rest_s) for endpoint in endpoints}

    def started(self, endpoint: str) -> None:
        """A run begins."""
        self._circuits[endpoint].out += 1

    def ended(self, endpoint: str, event: Completed | Failed, error: Exception | None) -> None:
        """A run ended; without an error a failed one was stopped, which says nothing of its endpoint."""
        circuit = self._circuits[endpoint]
        older = circuit.older > 0
        circuit.out, circuit.older = circuit.out - 1, max(0, circuit.older - 1)
        if isinstance(event, Completed):
            self._answered(circuit)
        elif circuit.state is not _State.OPEN and not older and at_fault(error):
            self._failed(circuit)

    def close(self) -> None:
        """Set no more timers off."""
        for circuit in self._circuits.values():
            if circuit.timer is not None:
                circuit.timer.cancel()

    def _answered(self, circuit: _Circuit) -> None:
        circuit.failures = 0
        if circuit.state is _State.TRIAL:
            circuit.state, circuit.rest_s, circuit.older = _State.CLOSED, self._options.rest_s, 0
            self._post(CapacityChanged(circuit.endpoint.name, circuit.endpoint.max_concurrent))

    def _failed(self, circuit: _Circuit) -> None:
        circuit.failures += 1
        if circuit.state is _State.TRIAL:
            circuit.rest_s = min(2.0 * circuit.rest_s, self._options.most_rest_s)
        elif circuit.failures < self._options.failures:
            return
        circuit.state = _State.OPEN
        circuit.timer = self._call_later(circuit.rest_s, lambda: self._try(circuit))
        self._post(CapacityChanged(circuit.endpoint.name, circuit.endpoint.max_concurrent, healthy=False))

    def _try(self, circuit: _Circuit) -> None:
        circuit.state, circuit.older = _State.TRIAL, circuit.out
        self._post(CapacityChanged(circuit.endpoint.name, 1))


def at_fault(error: Exception | None) -> bool:
    """Whether an error says that its endpoint can't be used, whatever the request."""
    if isinstance(error, EngineRejected):
        return error.status in _NOT_OURS or error.status >= 500  # noqa: PLR2004
    return isinstance(error, _FAULTS)


def _by_the_loop(delay_s: float, call: Callable[[], None]) -> Timer:
    return asyncio.get_running_loop().call_later(delay_s, call)
