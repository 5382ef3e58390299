"""What a driver was told to do and what came of it, counted from events and commands alone.

    scheduler = WitnessedScheduler(endpoints, admit, assign, order, prior)
    simulate(scheduler, ...)
    scheduler.witness.faults()      nothing: no request lost, ended or run twice, no endpoint over its limit

It keeps books of its own, so that what it finds does not hang on the scheduler's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pointsman.events import Arrived, CapacityChanged, Command, Completed, Dispatch, Event, Failed, Finish
from pointsman.scheduler import Scheduler
from pointsman.types import Disposition, Endpoint


@dataclass(slots=True)
class Witness:
    """Counts of one run.

    Attributes:
        limit: the most outstanding on each endpoint now; 0 while it is down.
        peak: the most outstanding there so far.
        arrived, ended: by request id.
        dispositions: of all that ended.
        ran: dispatches; ran_twice: those of a request that was outstanding already.
        over: dispatches beyond the limit of that moment.
    """

    limit: dict[str, int]
    peak: dict[str, int] = field(init=False)
    arrived: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    dispositions: Counter[Disposition] = field(default_factory=Counter)
    ran: int = 0
    ran_twice: int = 0
    over: int = 0
    _outstanding: dict[str, str] = field(default_factory=dict)
    _running: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """No endpoint has had anything yet."""
        self.peak = dict.fromkeys(self.limit, 0)

    @classmethod
    def of(cls, endpoints: Iterable[Endpoint]) -> Witness:
        """One for endpoints that are all up."""
        return cls({endpoint.name: endpoint.max_concurrent for endpoint in endpoints})

    def saw(self, events: Sequence[Event], commands: Sequence[Command]) -> None:
        """A step took these events and gave these commands."""
        for event in events:
            match event:
                case Arrived(request):
                    self.arrived[request.id] += 1
                case Completed(request_id) | Failed(request_id):
                    self._running[self._outstanding.pop(request_id)] -= 1
                case CapacityChanged(endpoint, max_concurrent, healthy):
                    self.limit[endpoint] = max_concurrent if healthy else 0
        for command in commands:
            match command:
                case Dispatch(request_id, endpoint):
                    self._dispatched(request_id, endpoint)
                case Finish(outcome):
                    self.ended[outcome.request_id] += 1
                    self.dispositions[outcome.disposition] += 1

    def _dispatched(self, request_id: str, endpoint: str) -> None:
        self.ran += 1
        self.ran_twice += request_id in self._outstanding
        self._outstanding[request_id] = endpoint
        self._running[endpoint] += 1
        self.peak[endpoint] = max(self.peak[endpoint], self._running[endpoint])
        self.over += self._running[endpoint] > self.limit[endpoint]

    def faults(self) -> dict[str, int]:
        """What must not have happened, each with how often it did; empty where all is well."""
        found = {
            "lost": (self.arrived - self.ended).total(),
            "ended twice": (self.ended - self.arrived).total(),
            "ran twice": self.ran_twice,
            "over the limit": self.over,
            "still outstanding": len(self._outstanding),
        }
        return {what: times for what, times in found.items() if times}


class WitnessedScheduler(Scheduler):
    """A scheduler whose steps are watched; made as `Scheduler` is.

    Attributes:
        witness: has seen every step.
    """

    def __init__(self, endpoints: Sequence[Endpoint], *stages: Any, **settings: Any) -> None:
        super().__init__(endpoints, *stages, **settings)
        self.witness = Witness.of(endpoints)

    def step(self, events: Sequence[Event], now: float) -> list[Command]:
        """See `Scheduler.step`."""
        commands = super().step(events, now)
        self.witness.saw(events, commands)
        return commands
