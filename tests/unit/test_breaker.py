"""The circuit breaker: when an endpoint is out, when it is tried, when it is back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pointsman.errors import (
    EngineCut,
    EngineGarbage,
    EngineRejected,
    EngineTimeout,
    EngineUnreachable,
    InternalError,
)
from pointsman.events import CapacityChanged, Completed, Failed
from pointsman.live.breaker import Breaker, BreakerOptions, at_fault
from pointsman.testing.fakes import make_endpoints
from pointsman.types import Disposition, Outcome

ENDPOINTS = make_endpoints(2, max_concurrent=4)
DOWN, TRIAL, BACK = (
    CapacityChanged("e0", 4, healthy=False), CapacityChanged("e0", 1), CapacityChanged("e0", 4),
)  # fmt: skip
REFUSED = EngineUnreachable("refused")


class Timers:
    def __init__(self) -> None:
        self.set: list[tuple[float, Callable[[], None]]] = []
        self.cancelled = 0

    def call_later(self, delay_s: float, call: Callable[[], None]) -> Timers:
        self.set.append((delay_s, call))
        return self

    def cancel(self) -> None:
        self.cancelled += 1


class Watched:
    def __init__(self, **options: float) -> None:
        self.timers, self.events = Timers(), []
        self.breaker = Breaker(
            ENDPOINTS, BreakerOptions(**options), self.events.append, self.timers.call_later
        )

    def fail(self, error: Exception | None = REFUSED, name: str = "e0", *, begun: bool = False) -> None:
        if not begun:
            self.breaker.started(name)
        self.breaker.ended(name, Failed("r", Outcome("r", name, Disposition.FAILED)), error)

    def answer(self, name: str = "e0") -> None:
        self.breaker.started(name)
        self.breaker.ended(name, Completed("r", Outcome("r", name, Disposition.ANSWERED)), None)


def test_so_many_failures_in_a_row_take_an_endpoint_out():
    seen = Watched(failures=3)
    for _ in range(2):
        seen.fail()
        seen.fail()
        seen.answer()
    seen.fail(name="e1")
    assert seen.events == []
    for _ in range(3):
        seen.fail()
    assert seen.events == [DOWN]
    assert [delay_s for delay_s, _ in seen.timers.set] == [5.0]


def test_a_trial_that_is_answered_gives_all_slots_back():
    seen = Watched(failures=1)
    seen.fail()
    seen.fail()  # it was out already when this one was sent
    seen.timers.set[0][1]()
    seen.answer()
    seen.answer()
    assert seen.events == [DOWN, TRIAL, BACK]
    seen.fail()
    assert seen.timers.set[-1][0] == 5.0, "the rest is short again"


def test_trials_that_fail_come_ever_later_up_to_a_limit():
    seen = Watched(failures=1, rest_s=2.0, most_rest_s=7.0)
    seen.fail()
    for _ in range(3):
        seen.timers.set[-1][1]()
        seen.fail()
    assert [delay_s for delay_s, _ in seen.timers.set] == [2.0, 4.0, 7.0, 7.0]
    assert seen.events == [DOWN, TRIAL, DOWN, TRIAL, DOWN, TRIAL, DOWN]


def test_what_began_before_a_trial_does_not_fail_it():
    seen = Watched(failures=2)
    seen.breaker.started("e0")
    seen.fail()
    seen.fail()
    seen.timers.set[0][1]()
    seen.fail(begun=True)  # a time-out, from before it opened
    assert seen.events == [DOWN, TRIAL]
    seen.fail()
    assert seen.events == [DOWN, TRIAL, DOWN]
    assert [delay_s for delay_s, _ in seen.timers.set] == [5.0, 10.0]


def test_what_was_stopped_says_nothing_and_closing_stops_the_timers():
    seen = Watched(failures=1)
    seen.fail(error=None)
    assert seen.events == []
    seen.fail()
    seen.breaker.close()
    assert seen.timers.cancelled == 1


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (EngineUnreachable("x"), True),
        (EngineTimeout("x"), True),
        (EngineCut("x"), True),
        (EngineGarbage("x"), True),
        (InternalError("a plugin's engine raised"), True),
        (EngineRejected("x", status=500), True),
        (EngineRejected("x", status=503), True),
        (EngineRejected("x", status=401), True),
        (EngineRejected("x", status=400), False),
        (EngineRejected("x", status=422), False),
        (EngineRejected("x", status=429), False),
        (None, False),
    ],
)
def test_whose_fault_an_error_is(error, fault):
    assert at_fault(error) is fault
