"""The asyncio driver: feeds events to `Scheduler.step` in real time and carries out its commands.

    submit, engine tasks, timers --> inbox --> step --> commands
                                                          Predict   inline, or in a thread if the predictor is slow
                                                          Wake      a timer of the event loop
                                                          Dispatch  a task that runs the engine and gives its
                                                                    answer to the handle, or holds it back
                                                          Abort     cancels that task
                                                          Record    to the decision log
                                                          Learn     to the learner
                                                          Finish    to the caller's handle

Everything but a slow prediction happens on one event loop, so there are no locks. Requests that arrive
in one turn of the loop are predicted and decided as one batch. What a plugin raises (predictor, policy,
learner, log, meter) is logged and counted in `faults`, and harms no other request.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from pointsman.assign.base import Adaptive
from pointsman.clock import Clock
from pointsman.engines.base import Engine, Usage
from pointsman.errors import InternalError, origin
from pointsman.events import (
    Abort,
    Arrived,
    Cancelled,
    CapacityChanged,
    Command,
    Deferred,
    Dispatch,
    Event,
    Failed,
    Finish,
    Learn,
    LoadObserved,
    Predict,
    Predicted,
    PredictFailed,
    PredictionDue,
    Record,
    Wake,
    Woke,
    requests_of,
)
from pointsman.learn.base import Learner
from pointsman.live.beside import PredictionThread
from pointsman.live.breaker import Breaker, BreakerOptions
from pointsman.live.feedback import Feedback
from pointsman.live.graders import AnswerCopy
from pointsman.live.handle import Handle
from pointsman.live.metering import EnergyShares
from pointsman.live.parts import Parts
from pointsman.live.run import Run
from pointsman.predict.base import Predictor, is_slow
from pointsman.scheduler import Scheduler
from pointsman.store.base import DecisionSink
from pointsman.types import Decision, Disposition, EndpointView, LimitState, Outcome, Request

_log: Final = logging.getLogger(__name__)
CLOSING: Final = "Pointsman is shutting down"


class LiveDriver:
    """Runs a scheduler in real time. Make and use it on one event loop.

    Args:
        scheduler: decides; nobody else may call its `step`.
        predictor, learner: called inline, between the turns of the event loop; a slow predictor in a
            thread (see `live/beside.py`).
        engines: one for each of the scheduler's endpoints, by name; closed by `close`.
        clock: gives `now` to the scheduler.
        log: where decisions and outcomes go.
        shares: the energy meters of the endpoints that have one.
        feedback: told of every answer, once it was given.
        breaker: when endpoints that fail are taken out of the choice; None leaves them in.

    Attributes:
        faults: how often a part raised: predict, step, learn, log, meter.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        predictor: Predictor,
        learner: Learner | None,
        engines: Mapping[str, Engine],
        clock: Clock,
        *,
        log: DecisionSink | None = None,
        shares: EnergyShares | None = None,
        feedback: Feedback | None = None,
        breaker: BreakerOptions | None = None,
    ) -> None:
        self._endpoints = {endpoint.name: endpoint for endpoint in scheduler.endpoints}
        if missing := self._endpoints.keys() - engines.keys():
            raise InternalError(f"no engine for endpoint {', '.join(sorted(missing))}")
        self._shares = shares or EnergyShares({})
        self.faults: Counter[str] = self._shares.faults
        self._parts = Parts(predictor, learner, log, tuple(self._endpoints), self.faults)
        self._scheduler = scheduler
        self._engines = dict(engines)
        self._clock = clock
        self._feedback = feedback
        self._handles: dict[str, Handle] = {}
        self._tasks: dict[str, asyncio.Task[Usage]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._inbox: deque[Event] = deque()
        self._turn_asked = False
        self._closing = False
        self._breaker = None if breaker is None else Breaker(scheduler.endpoints, breaker, self._post)
        self._beside = PredictionThread(self._parts, clock, self._post) if is_slow(predictor) else None

    def submit(self, request: Request, *, arrived_s: float | None = None) -> Handle:
        """Take a request in; it goes on at the next turn of the event loop.

        Args:
            request: its id must not be that of a living one (see `is_alive`).
            arrived_s: when it came, on the driver's clock, for the overhead; now if None.

        Raises: InternalError if the id is alive. A closing driver refuses, with code `shutting_down`.
        """
        if self.is_alive(request.id):
            raise InternalError(f"request {request.id!r} is alive already; ids of living requests are unique")
        now = self._clock.now() if arrived_s is None else arrived_s
        handle = Handle(request, now, partial(self._cancel, request.id))
        if self._closing:
            handle.ended(Outcome(request.id, "", Disposition.REFUSED, CLOSING), "shutting_down")
            return handle
        if self._feedback is not None:
            self._feedback.listen(self._post)
            handle.copy = AnswerCopy() if self._feedback.wants(request) else None
        self._handles[request.id] = handle
        self._post(Arrived(request))
        return handle

    def is_alive(self, request_id: str) -> bool:
        """Whether a request of that id has been submitted and not ended."""
        return request_id in self._handles

    def limits(self) -> Sequence[LimitState]:
        """Where the limits of the assign policy stand; none where it has no state."""
        policy = self._scheduler.decider.assign
        return policy.limits() if isinstance(policy, Adaptive) else ()

    def observe(self, event: CapacityChanged | LoadObserved) -> None:
        """Tell the scheduler what was seen of an endpoint."""
        self._post(event)

    def view(self) -> tuple[EndpointView, ...]:
        """The endpoints' states now."""
        return self._scheduler.view()

    @property
    def closing(self) -> bool:
        """Whether `close` has been called."""
        return self._closing

    async def close(self, grace_s: float = 30.0) -> None:
        """Take nothing more, end what waits, give running ones `grace_s` seconds, then stop them.

        Every handle has its outcome when this returns. Closes the engines.
        """
        self._closing = True
        for request_id in [name for name in self._handles if name not in self._tasks]:
            self._cancel(request_id, CLOSING, gone=False)
        self._turn()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + grace_s
        while self._tasks and (left_s := until_s - loop.time()) > 0:  # again, since an answer may escalate
            await asyncio.wait(list(self._tasks.values()), timeout=left_s)
        for request_id in list(self._handles):
            self._cancel(request_id, CLOSING, gone=False)
        self._turn()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()))
        if self._beside is not None:
            self._beside.close()
        if self._breaker is not None:
            self._breaker.close()
        for engine in self._engines.values():
            await engine.close()

    # Events in

    def _post(self, event: Event) -> None:
        """Put an event in the inbox, to be applied with all others of this turn of the event loop."""
        self._inbox.append(event)
        if not self._turn_asked:
            self._turn_asked = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Step until the inbox is empty."""
        self._turn_asked = True  # what the commands post is taken in by this loop
        while self._inbox:
            events = self._next_events()
            try:
                commands = self._scheduler.step(events, self._clock.now())
            except Exception as error:  # noqa: BLE001 - a policy's fault must stay with the requests it decided on
                self._step_failed(events, error)
            else:
                for command in commands:
                    self._carry_out(command)
        self._turn_asked = False

    def _next_events(self) -> tuple[Event, ...]:
        """Arrivals as one batch; any other event alone, so that a fault concerns only that one."""
        events = [self._inbox.popleft()]
        while isinstance(events[-1], Arrived) and self._inbox and isinstance(self._inbox[0], Arrived):
            events.append(self._inbox.popleft())
        return tuple(events)

    def _step_failed(self, events: Sequence[Event], error: Exception) -> None:
        """End the requests that the failed step was about; the others go on."""
        self.faults["step"] += 1
        _log.error("the scheduler raised %s, given %s", origin(error), type(events[0]).__name__)
        for request_id in requests_of(events):
            handle = self._handles.get(request_id)
            if handle is None:
                continue
            handle.error = handle.error or InternalError(f"the decision failed: {type(error).__name__}")
            if isinstance(events[0], Predicted | PredictFailed | Woke):
                self._inbox.append(Cancelled(request_id, handle.error.message))
            else:
                self._finish(
                    Outcome(request_id, "", Disposition.FAILED, handle.error.message), "internal_error"
                )

    def _cancel(self, request_id: str, reason: str, *, gone: bool = True) -> None:
        handle = self._handles[request_id]
        handle.cancel_reason = handle.cancel_reason or reason
        self._post(Cancelled(request_id, handle.cancel_reason, gone))

    # Commands out

    def _carry_out(self, command: Command) -> None:
        match command:
            case Predict() if self._beside:
                self._beside.start(command)
            case Predict():
                self._inbox.append(self._parts.predict(command))
            case Wake(at_s, timer):
                self._set_timer(at_s, timer)
            case Record(decision):
                self._record(decision)
            case Dispatch():
                self._dispatch(command)
            case Abort(request_id):
                if task := self._tasks.get(request_id):
                    task.cancel()
            case Finish(outcome, code, unused):
                self._finish(outcome, code, unused)
            case Learn(outcomes):
                self._parts.learn(outcomes)

    def _set_timer(self, at_s: float, timer: PredictionDue | Deferred) -> None:
        if isinstance(timer, PredictionDue):
            return  # inline predictions are there before this is due; a thread watches the time itself
        delay_s = max(0.0, at_s - self._clock.now())
        loop = asyncio.get_running_loop()
        self._timers[timer.request_id] = loop.call_later(delay_s, self._post, Woke(timer))

    def _record(self, decision: Decision) -> None:
        handle = self._handles[decision.request_id]
        handle.decided(decision, self._clock.now())
        self._parts.record(decision, handle.request)

    def _dispatch(self, command: Dispatch) -> None:
        handle = self._handles[command.request_id]
        handle.dispatched_s = self._clock.now()
        if self._breaker is not None:
            self._breaker.started(command.endpoint)
        self._ask(Run(handle, self._endpoints[command.endpoint], command.held, command.turn))

    def _ask(self, run: Run) -> None:
        """Ask the run's endpoint for its answer, or for a further sample."""
        request_id, name = run.handle.request.id, run.endpoint.name
        self._shares.start(request_id, name)
        task = asyncio.get_running_loop().create_task(run.ask(self._engines[name], self._clock))
        self._tasks[request_id] = task
        # A callback, since a task that is cancelled before its first turn never runs its own code.
        task.add_done_callback(partial(self._asked, run))

    def _asked(self, run: Run, task: asyncio.Task[Usage]) -> None:
        """It ended, one way or another."""
        request_id = run.handle.request.id
        del self._tasks[request_id]
        event = run.ended(task, self._shares.end(request_id, run.endpoint.name))
        if event is None:
            self._ask(run)
            return
        self._inbox.append(event)
        if self._breaker is not None:
            failed = isinstance(event, Failed) and not task.cancelled()
            self._breaker.ended(run.endpoint.name, event, run.handle.error if failed else None)
        self._turn()

    def _finish(self, outcome: Outcome, code: str, unused: tuple[Outcome, ...] = ()) -> None:
        handle = self._handles.pop(outcome.request_id)
        if timer := self._timers.pop(outcome.request_id, None):
            timer.cancel()
        handle.ended(outcome, code, unused)
        for run in (*unused, outcome):
            self._parts.finish(run)
        if self._feedback is not None and outcome.disposition is Disposition.ANSWERED:
            self._feedback.answered(handle.request, outcome, handle.copy)
