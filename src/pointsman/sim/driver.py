"""The scheduler in virtual time: the same `step`, with a heap of events in place of sockets.

    arrivals (one ahead) --> heap --> step --> commands
                                                 Predict   the predictor, at once or after `predict_s`
                                                 Wake      an event of the heap
                                                 Dispatch  a service is drawn; its end goes to the heap
                                                           or the endpoint's engine gets it; when that is due goes there
                                                 Abort     that end is forgotten; the failure comes now
                                                 Record, Learn, Finish

The heap's key is (time, priority, sequence): at one instant ends come first, then predictions, timers
and what comes from outside, and all of them make one batch. Memory follows what is alive; a finished
request leaves one row of numbers.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from math import inf
from typing import Final

import numpy as np

from pointsman.clock import VirtualClock
from pointsman.events import (
    Abort,
    Arrived,
    CapacityChanged,
    Command,
    Completed,
    Dispatch,
    Event,
    Failed,
    Finish,
    Learn,
    Predict,
    Predicted,
    PredictFailed,
    Record,
    Wake,
    Woke,
)
from pointsman.learn.base import Learner
from pointsman.predict.base import Predictor
from pointsman.predict.check import fault_of
from pointsman.scheduler import Scheduler
from pointsman.sim.outside import outside_events
from pointsman.sim.result import SimResult, Tally
from pointsman.sim.service import EngineModel, Service, ServiceModel, outcome_of
from pointsman.store.base import DecisionSink
from pointsman.types import Disposition, Endpoint, Outcome, Request, with_all_runs

_STREAM: Final = 0x53494D
"""Keeps the services' draws apart from arrivals that a caller drew under the same seed."""


class _Priority(IntEnum):
    END = 0
    PREDICTION = 1
    TIMER = 2
    OUTSIDE = 3


@dataclass(slots=True)
class _Alive:
    """A request in the system.

    Attributes:
        end: the heap's number of its end while it runs; -1 while it does not, or an engine has it.
        service: of its last run in an engine.
    """

    request: Request
    number: int
    arrived_s: float
    end: int = -1
    service: Service | None = None


@dataclass(frozen=True, slots=True)
class _EngineDue:
    """An engine has something to do."""

    endpoint: str


@dataclass(frozen=True, slots=True)
class SimOptions:
    """Settings of a simulation.

    Attributes:
        seed: of the services.
        predict_s: how long a prediction takes; late ones are bypassed as in real time.
        until_s: stop then, whatever is still alive.
    """

    seed: int = 0
    predict_s: float = 0.0
    until_s: float = inf


def simulate(
    scheduler: Scheduler,
    predictor: Predictor,
    learner: Learner | None,
    arrivals: Iterable[tuple[float, Request]],
    service: ServiceModel,
    clock: VirtualClock,
    *,
    engines: Mapping[str, EngineModel] | None = None,
    options: SimOptions | None = None,
    also: Iterable[tuple[float, Event]] = (),
    sink: DecisionSink | None = None,
) -> SimResult:
    """Run requests through a scheduler until all have ended.

    Args:
        scheduler: fresh; it is stepped to the end.
        predictor: asked for each batch. What it raises becomes a bypass (invariant 9).
        learner: gets every outcome of a request that ran, or None.
        arrivals: (time in seconds, request), not falling; read one ahead.
        service: draws what each dispatched request takes.
        clock: moved along; it must not lie past the first arrival.
        engines: by endpoint, instead of `service`; of a held answer they draw no further samples.
        options: seed, prediction latency, end.
        also: other events with their times, not falling: cancellations, capacity, load.
        sink: keeps decisions and outcomes, or None.

    Raises: BadRequest if times fall. Equal arguments give equal results (invariant 5).
    Cost: O(log of what is alive) an event besides the scheduler's own.
    """
    outside = outside_events(arrivals, also)
    options = options or SimOptions()
    engines = engines or {}
    return _Simulation(scheduler, predictor, learner, outside, service, engines, clock, options, sink).run()


class _Simulation:
    """One run: the heap, the requests that are alive, and the tally."""

    def __init__(
        self,
        scheduler: Scheduler,
        predictor: Predictor,
        learner: Learner | None,
        outside: Iterator[tuple[float, Event]],
        service: ServiceModel,
        engines: Mapping[str, EngineModel],
        clock: VirtualClock,
        options: SimOptions,
        sink: DecisionSink | None,
    ) -> None:
        self._scheduler, self._predictor, self._learner = scheduler, predictor, learner
        self._service, self._clock, self._options, self._sink = service, clock, options, sink
        self._rng = np.random.default_rng((_STREAM, options.seed))
        self._endpoints = {endpoint.name: endpoint for endpoint in scheduler.endpoints}
        slots = {name: endpoint.max_concurrent for name, endpoint in self._endpoints.items()}
        self._tally = Tally(slots, clock.now())
        self._engines, self._due = engines, dict.fromkeys(engines, (inf, 0))
        self._heap: list[tuple[float, int, int, Event | _EngineDue]] = []
        self._pushed = self._arrived = 0
        self._alive: dict[str, _Alive] = {}
        self._outside = outside
        self._outside_left = True

    def run(self) -> SimResult:
        """Take batch after batch until nothing is alive and nothing comes, or until `until_s`."""
        self._pull_outside()
        while self._heap and (self._alive or self._outside_left):
            at_s = self._heap[0][0]
            if at_s > self._options.until_s:
                self._advance(self._options.until_s)
                break
            self._advance(at_s)
            if batch := self._take_batch(at_s):
                for command in self._scheduler.step(batch, at_s):
                    self._carry_out(command, at_s)
        return self._tally.result()

    def _advance(self, at_s: float) -> None:
        self._clock.advance_to(at_s)
        self._tally.advance(at_s)

    def _push(self, at_s: float, priority: _Priority, event: Event | _EngineDue) -> int:
        """Put an event in the heap and give its number."""
        self._pushed += 1
        heapq.heappush(self._heap, (at_s, priority, self._pushed, event))
        return self._pushed

    def _pull_outside(self) -> None:
        """Keep one event from outside in the heap, as long as there are any."""
        following = next(self._outside, None)
        if following is None:
            self._outside_left = False
        else:
            self._push(following[0], _Priority.OUTSIDE, following[1])

    def _take_batch(self, now: float) -> list[Event]:
        """Every event of this instant."""
        batch: list[Event] = []
        while self._heap and self._heap[0][0] == now:
            _, priority, number, event = heapq.heappop(self._heap)
            if priority == _Priority.OUTSIDE:
                self._pull_outside()
            match event:
                case _EngineDue(endpoint):
                    if self._due[endpoint][1] == number:
                        batch += self._ended(endpoint, now)
                    continue
                case Arrived(request):
                    self._alive[request.id] = _Alive(request, self._arrived, now)
                    self._arrived += 1
                    self._tally.arrive()
                case Completed(request_id, outcome) | Failed(request_id, outcome):
                    running = self._alive.get(request_id)
                    if running is None or running.end != number:
                        continue  # it was aborted
                    self._tally.stop(outcome.endpoint)
                case CapacityChanged(endpoint, max_concurrent, healthy):
                    self._tally.offer(endpoint, max_concurrent if healthy else 0)
            batch.append(event)
        return batch

    def _carry_out(self, command: Command, now: float) -> None:
        match command:
            case Predict(requests, running):
                event = self._predict(requests, running)
                self._push(now + self._options.predict_s, _Priority.PREDICTION, event)
            case Wake(at_s, timer):
                self._push(at_s, _Priority.TIMER, Woke(timer))
            case Dispatch(request_id, endpoint, held):
                self._start(self._alive[request_id], self._endpoints[endpoint], held, now)
            case Abort(request_id, endpoint):
                self._abort(request_id, endpoint, now)
            case Record(decision):
                if self._sink:
                    self._sink.record(decision, self._alive[decision.request_id].request)
            case Learn(outcomes):
                if self._learner:
                    self._learner.learn(outcomes)
            case Finish(outcome, _, unused):
                ended = self._alive.pop(outcome.request_id)
                self._tally.end(ended.number, ended.arrived_s, with_all_runs(outcome, unused), ended.service)
                if self._sink:
                    for run in (*unused, outcome):
                        self._sink.finish(run)

    def _predict(self, requests: tuple[Request, ...], running: tuple[int, ...]) -> Event:
        ids = tuple(request.id for request in requests)
        try:
            table = self._predictor.predict(requests, running)
        except Exception as error:  # noqa: BLE001 - a predictor may be anyone's; its fault is a bypass
            return PredictFailed(ids, f"the predictor raised {type(error).__name__}")
        fault = fault_of(table, tuple(self._endpoints), len(requests))
        return PredictFailed(ids, fault) if fault else Predicted(ids, table)

    def _start(self, alive: _Alive, endpoint: Endpoint, held: int, now: float) -> None:
        """Draw the service and put its end in the heap; of a held answer draw its further samples too."""
        running = self._tally.start(endpoint.name)
        if endpoint.name in self._engines:
            self._engines[endpoint.name].start(alive.request, alive.arrived_s, now)
            self._await(endpoint.name, now)
            return
        services = [self._service.serve(alive.request, endpoint, running, self._rng)]
        while len(services) < held and not services[-1].fails:
            services.append(self._service.serve(alive.request, endpoint, running, self._rng))
        outcome, *samples = (outcome_of(alive.request.id, endpoint, service) for service in services)
        event: Event = Completed(alive.request.id, outcome, services[0].signals, tuple(samples))
        if services[0].fails:
            event = Failed(alive.request.id, outcome)
        duration_s = sum(service.duration_s for service in services)
        alive.end = self._push(now + duration_s, _Priority.END, event)

    def _abort(self, request_id: str, endpoint: str, now: float) -> None:
        """The end that was to come is forgotten; the failure comes now."""
        if endpoint in self._engines:
            self._engines[endpoint].stop(request_id, now)
            self._await(endpoint, now)
        outcome = Outcome(request_id, endpoint, Disposition.FAILED, "aborted")
        self._alive[request_id].end = self._push(now, _Priority.END, Failed(request_id, outcome))

    def _await(self, endpoint: str, now: float) -> None:
        """Have the heap say when an engine is due."""
        at_s = max(now, self._engines[endpoint].due_s())
        if at_s != self._due[endpoint][0]:
            number = self._push(at_s, _Priority.END, _EngineDue(endpoint)) if at_s < inf else 0
            self._due[endpoint] = at_s, number

    def _ended(self, name: str, now: float) -> Iterator[Event]:
        """What an engine that is due has brought to its end."""
        endpoint = self._endpoints[name]
        self._due[name] = inf, 0
        for request_id, service in self._engines[name].advance(now):
            outcome = outcome_of(request_id, endpoint, service)
            self._alive[request_id].service = service
            self._tally.stop(name)
            yield Failed(request_id, outcome) if service.fails else Completed(request_id, outcome)
        self._await(name, now)
