"""The loop: `step(events, now) -> commands`. No I/O, no clock, no model.

    step(events, now):
        check the events against the ledger        an illegal one raises; nothing has changed
        apply them one by one                      those predicted: filter, admit, assign, queue
        ask for predictions of the new requests    one Predict, one batch
        dispatch from every queue that changed     up to its endpoint's max_concurrent
        return the commands

Its state is the ledger and, for each endpoint, a queue with its count of running ones. A steps. A step costs O(what changed): a queue is touched only when something joined or left it. A
cancelled request stays in its heap as a dead item and is dropped when it comes to the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pointsman.admit.base import AdmitPolicy
from pointsman.assign.base import AssignPolicy
from pointsman.decide import Decider, refusal_code
from pointsman.errors import IllegalTransition, InternalError
from pointsman.events import (
    Abort,
    Arrived,
    Cancelled,
    CapacityChanged,
    Command,
    Completed,
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
)
from pointsman.hooks import Hooks
from pointsman.lifecycle import Entry, Ledger, Move, State
from pointsman.order.base import OrderPolicy
from pointsman.order.queue import EndpointQueue
from pointsman.types import (
    Admission,
    Admit,
    CostTable,
    Decision,
    Disposition,
    Endpoint,
    EndpointView,
    Outcome,
)


@dataclass(frozen=True, slots=True)
class SchedulerOptions:
    """Settings of the loop.

    Attributes:
        predict_deadline_s: predictions later than this are replaced by priors.
        max_queued: the longest queue of one endpoint; a request that finds all full is refused.
        retry_assignment_s: when a request that a policy left waiting is looked at again.
    """

    predict_deadline_s: float = 0.25
    max_queued: int = 10_000
    retry_assignment_s: float = 0.1


class Scheduler:
    """Decides whether, where and when each request runs. See the module for the loop.

    Args:
        endpoints: E of them, in the column order of every table.
        admit, assign, order: the three policies.
        prior: predictions with R = 1 that stand in when a predictor fails or is late.
        options: settings of the loop.
        hooks: calls out, for metrics.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        admit: AdmitPolicy,
        assign: AssignPolicy,
        order: OrderPolicy,
        prior: CostTable,
        options: SchedulerOptions | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        names = tuple(endpoint.name for endpoint in endpoints)
        if prior.endpoints != names or prior.n_requests != 1:
            raise InternalError(f"the prior must have one row for {names}, not {prior.endpoints}")
        self.ledger = Ledger()
        self.endpoints = tuple(endpoints)
        self.order = order
        self._prior = prior
        self._options = options or SchedulerOptions()
        self._hooks = hooks or Hooks()
        self.decider = Decider(endpoints, admit, assign, max_queued=self._options.max_queued)
        self._queues = [EndpointQueue(endpoint, endpoint.max_concurrent) for endpoint in endpoints]
        self._index = {name: index for index, name in enumerate(names)}

    def view(self) -> tuple[EndpointView, ...]:
        """The endpoints' states now."""
        return tuple(queue.view() for queue in self._queues)

    def step(self, events: Sequence[Event], now: float) -> list[Command]:
        """Apply `events` at time `now` and say what to do.

        Raises: IllegalTransition if an event does not fit the ledger; then nothing has changed.
        Cost: O(len(events) * (E + log of the queue)).
        """
        self._check(events)
        step = _Step(now)
        for event in events:
            self._apply(event, step)
        if step.arrived:
            self._ask_predictions(step)
        for index in sorted(step.changed):
            self._dispatch(index, step)
        if step.outcomes:
            step.commands.append(Learn(tuple(step.outcomes)))
        return step.commands

    def _check(self, events: Sequence[Event]) -> None:
        """Raise for the first event that does not fit, before any is applied."""
        born: set[str] = set()
        dead: set[str] = set()
        for event in events:
            if isinstance(event, Arrived):
                request_id = event.request.id
                if request_id in born or (request_id not in dead and self.ledger.get(request_id)):
                    raise IllegalTransition(f"request {request_id!r} arrived twice")
                born.add(request_id)
            elif isinstance(event, Completed | Failed):
                entry = None if event.request_id in dead else self.ledger.entry(event.request_id)
                if entry is None or entry.state is not State.RUNNING:
                    was = entry.state if entry else "ended"
                    raise IllegalTransition(
                        f"request {event.request_id!r} is {was}, so it can't end on an endpoint"
                    )
                dead.add(event.request_id)
            elif isinstance(event, CapacityChanged | LoadObserved) and event.endpoint not in self._index:
                raise IllegalTransition(f"endpoint {event.endpoint!r} is unknown")
            elif isinstance(event, Predicted) and event.table.n_requests != len(event.request_ids):
                raise IllegalTransition(
                    f"{event.table.n_requests} rows of predictions for {len(event.request_ids)} requests"
                )

    def _apply(self, event: Event, step: _Step) -> None:
        match event:
            case Arrived(request):
                step.arrived.append(self.ledger.arrive(request, step.now))
                self._hooks.arrived(request)
            case Predicted(request_ids, table):
                self._take_predictions(request_ids, table, step)
            case PredictFailed(request_ids, reason):
                self._bypass(request_ids, reason, step)
            case Completed(request_id, outcome):
                self._leave(self.ledger.entry(request_id), Move.ANSWER, outcome, step)
            case Failed(request_id, outcome):
                self._leave(self.ledger.entry(request_id), Move.FAIL, outcome, step)
            case Cancelled(request_id):
                self._cancel(request_id, step)
            case CapacityChanged(endpoint, max_concurrent, healthy):
                self._change_capacity(self._index[endpoint], max_concurrent, healthy, step)
            case LoadObserved(endpoint, load):
                self._queues[self._index[endpoint]].load = load
            case Woke(PredictionDue(request_ids)):
                self._bypass(request_ids, "predictions were late", step)
            case Woke(Deferred(request_id)):
                entry = self.ledger.get(request_id)
                if entry and entry.state is State.DEFERRED and entry.decision:
                    self._decide_again([entry], step)

    # Predictions

    def _ask_predictions(self, step: _Step) -> None:
        alive = (entry for entry in step.arrived if self.ledger.get(entry.request.id) is entry)
        requests = tuple(entry.request for entry in alive)
        if not requests:
            return
        deadline_s = step.now + self._options.predict_deadline_s
        running = tuple(queue.running for queue in self._queues)
        step.commands.append(Predict(requests, running, deadline_s))
        step.commands.append(Wake(deadline_s, PredictionDue(tuple(request.id for request in requests))))

    def _take_predictions(self, request_ids: Sequence[str], table: CostTable, step: _Step) -> None:
        """Predictions of requests that no longer wait for them (cancelled, bypassed) are dropped."""
        waiting = [
            (row, entry)
            for row, request_id in enumerate(request_ids)
            if (entry := self.ledger.get(request_id)) and entry.state is State.PREDICTING
        ]
        if len(waiting) == len(request_ids):
            self._decide(table, [entry for _, entry in waiting], step)
        else:
            for row, entry in waiting:
                self._decide(table.row(row), [entry], step)

    def _bypass(self, request_ids: Sequence[str], reason: str, step: _Step) -> None:
        late = [
            entry
            for request_id in request_ids
            if (entry := self.ledger.get(request_id)) and entry.state is State.PREDICTING
        ]
        if late:
            self._hooks.bypassed(len(late), reason)
        for entry in late:
            self._decide(self._prior, [entry], step)

    # Decisions

    def _decide_again(self, entries: Sequence[Entry], step: _Step) -> None:
        """A new decision from the predictions that were made once."""
        for entry in entries:
            if entry.decision:
                self._decide(entry.decision.predictions, [entry], step)

    def _decide(self, table: CostTable, entries: Sequence[Entry], step: _Step) -> None:
        """Decide for the rows of `table`, whose entries must be alive."""
        requests = [entry.request for entry in entries]
        decided = self.decider.decide(requests, table, self.view(), step.now)
        for entry, (admit, index, decision) in zip(entries, decided, strict=True):
            self._settle(entry, admit, index, decision, step)

    def _settle(self, entry: Entry, admit: Admit, index: int, decision: Decision, step: _Step) -> None:
        """Keep the decision and carry it out."""
        entry.decision = decision
        step.commands.append(Record(decision))
        self._hooks.decided(decision)
        match admit.action:
            case Admission.RUN:
                self._enqueue(entry, index, decision, step)
            case Admission.DEFER:
                until_s = admit.until_s
                if until_s is None:
                    until_s = step.now + self._options.retry_assignment_s
                self.ledger.move(entry, Move.DEFER)
                step.commands.append(Wake(until_s, Deferred(entry.request.id)))
            case Admission.SKIP:
                self._end(entry, Move.SKIP, Disposition.SKIPPED, admit.reason, "skipped", step)
            case Admission.REFUSE:
                code = refusal_code(decision)
                self._end(entry, Move.REFUSE, Disposition.REFUSED, admit.reason, code, step)

    # Queues and slots

    def _enqueue(self, entry: Entry, index: int, decision: Decision, step: _Step) -> None:
        key = self.order.key(entry.request, decision, entry.arrived_s)
        self.ledger.move(entry, Move.QUEUE)
        entry.endpoint = index
        self._queues[index].push(key, entry)
        step.changed.add(index)

    def _dispatch(self, index: int, step: _Step) -> None:
        """Fill the endpoint's free slots from its queue, in order."""
        queue = self._queues[index]
        while (entry := queue.start_next()) is not None:
            self.ledger.move(entry, Move.DISPATCH)
            entry.dispatched_s = step.now
            step.commands.append(Dispatch(entry.request.id, queue.endpoint.name))
            self._hooks.dispatched(entry.request, queue.endpoint.name, step.now - entry.arrived_s)

    def _leave(self, entry: Entry, move: Move, outcome: Outcome, step: _Step) -> None:
        """A running request ended on its endpoint."""
        self.ledger.move(entry, move)
        self._queues[entry.endpoint].release()
        step.changed.add(entry.endpoint)
        if entry.dispatched_s is not None:
            outcome = replace(outcome, queue_s=entry.dispatched_s - entry.arrived_s)
        step.commands.append(Finish(outcome, "" if move is Move.ANSWER else "upstream_error"))
        step.outcomes.append(outcome)
        self._hooks.finished(outcome)

    def _cancel(self, request_id: str, step: _Step) -> None:
        entry = self.ledger.get(request_id)
        if entry is None or entry.aborting:
            return  # it ended by itself while the news was on its way
        if entry.state is State.RUNNING:
            entry.aborting = True
            step.commands.append(Abort(request_id, self.endpoints[entry.endpoint].name))
            return
        if entry.state is State.QUEUED:
            self._queues[entry.endpoint].remove(entry)
        self._end(entry, Move.FAIL, Disposition.FAILED, "the caller cancelled it", "cancelled", step)

    def _end(
        self, entry: Entry, move: Move, disposition: Disposition, reason: str, code: str, step: _Step
    ) -> None:
        """A request ends without having run."""
        self.ledger.move(entry, move)
        outcome = Outcome(entry.request.id, "", disposition, reason)
        step.commands.append(Finish(outcome, code))
        self._hooks.finished(outcome)

    def _change_capacity(self, index: int, max_concurrent: int, healthy: bool, step: _Step) -> None:
        queue = self._queues[index]
        queue.max_concurrent, queue.healthy = max_concurrent, healthy
        step.changed.add(index)
        if not healthy:
            self._decide_again(queue.drain(), step)


@dataclass(slots=True)
class _Step:
    """What one call of `step` gathers."""

    now: float
    commands: list[Command] = field(default_factory=list)
    arrived: list[Entry] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    changed: set[int] = field(default_factory=set)
