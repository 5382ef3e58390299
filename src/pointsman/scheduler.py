"""The loop: `step(events, now) -> commands`. No I/O, no clock, no model.

    step(events, now):
        check the events against the ledger        an illegal one raises; nothing has changed
        apply them one by one                      those predicted: filter, admit, assign, queue
        ask for predictions of the new requests    one Predict, one batch
        dispatch from every queue that changed     up to its endpoint's max_concurrent
        return the commands

Its state is the ledger and, for each endpoint, a queue with its count of running requests (`queues.py`).
A step costs O(what changed): a queue is touched only when something joined or left it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np

from pointsman.adapting import Adapting
from pointsman.admit.answer import AnswerPolicy
from pointsman.admit.base import AdmitPolicy
from pointsman.assign.base import AssignPolicy
from pointsman.decide import Decided, Decider, refusal_code
from pointsman.deferrals import Deferrals
from pointsman.errors import InternalError
from pointsman.events import (
    Abort,
    Arrived,
    Cancelled,
    CapacityChanged,
    Command,
    Completed,
    Deferred,
    Event,
    Failed,
    Learn,
    LoadObserved,
    Predict,
    Predicted,
    PredictFailed,
    PredictionDue,
    Wake,
    Woke,
)
from pointsman.hooks import GuardedHooks, Hooks
from pointsman.legality import check_events
from pointsman.lifecycle import Entry, Ledger, Move, State
from pointsman.order.base import OrderPolicy
from pointsman.queues import Queues
from pointsman.review import Review
from pointsman.step import Step
from pointsman.types import (
    UNASSIGNED,
    Admission,
    CostTable,
    Endpoint,
    EndpointView,
)

_REDECIDED_AT_ONCE: Final = 1_000
"""Rows of one table when a queue is emptied; its arrays live as long as any of their requests."""


@dataclass(frozen=True, slots=True)
class SchedulerOptions:
    """Settings of the loop.

    Attributes:
        predict_deadline_s: predictions later than this are replaced by priors.
        max_queued: the longest queue of one endpoint, beyond its free slots; 0 lets none wait. A
            request that finds all full is refused.
        retry_assignment_s: when a request that a policy left waiting is looked at again.
        max_put_off: most requests that admission puts off at once; a further one is refused.
    """

    predict_deadline_s: float = 0.25
    max_queued: int = 10_000
    retry_assignment_s: float = 0.1
    max_put_off: int = 1_000


class Scheduler:
    """Decides whether, where and when each request runs. See the module for the loop.

    Args:
        endpoints: E of them, in the column order of every table.
        admit, assign, order: the three policies.
        prior: predictions with R = 1 that stand in when a predictor fails or is late.
        options: settings of the loop.
        hooks: calls out, for metrics.
        answers: judges answers before they are given out; None gives every answer out as it comes.
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
        answers: AnswerPolicy | None = None,
    ) -> None:
        names = tuple(endpoint.name for endpoint in endpoints)
        if prior.endpoints != names or prior.n_requests != 1:
            raise InternalError(f"the prior must have one row for {names}, not {prior.endpoints}")
        self.ledger = Ledger()
        self.endpoints = tuple(endpoints)
        self._prior = prior
        self._options = options or SchedulerOptions()
        self._hooks = GuardedHooks(hooks) if hooks else Hooks()
        self._adapting = Adapting(assign, self._hooks)
        self.decider = Decider(endpoints, admit, assign, max_queued=self._options.max_queued)
        self._review = Review(answers, self.decider, names)
        self._queues = Queues(endpoints, order, self._review)
        made = self._options
        self._deferrals = Deferrals(self.ledger, made.retry_assignment_s, made.max_put_off)
        self._names = names
        self._column = {name: column for column, name in enumerate(names)}

    def view(self) -> tuple[EndpointView, ...]:
        """The endpoints' states now."""
        return self._queues.view()

    def step(self, events: Sequence[Event], now: float) -> list[Command]:
        """Apply `events` at time `now` and say what to do.

        Raises: IllegalTransition if an event does not fit the ledger; then nothing has changed.
        Cost: O(len(events) * (E + log of the queue)).
        """
        check_events(events, self.ledger, self._names)
        step = Step(now, self.ledger, self._hooks)
        for event in events:
            self._apply(event, step)
        if step.arrived:
            self._ask_predictions(step)
        self._queues.dispatch(step)
        if step.outcomes:
            step.commands.append(Learn(tuple(step.outcomes)))
        self._adapting.ended(step.commands)
        return step.commands

    def _apply(self, event: Event, step: Step) -> None:
        self._adapting.seen(event)
        match event:
            case Arrived(request):
                step.arrived.append(self.ledger.arrive(request, step.now))
                self._hooks.arrived(request)
            case Predicted(request_ids, table):
                self._take_predictions(request_ids, table, step)
            case PredictFailed(request_ids, reason):
                self._bypass(request_ids, reason, step)
            case Completed():
                self._complete(self.ledger.entry(event.request_id), event, step)
            case Failed(request_id, outcome, given):
                entry = self.ledger.entry(request_id)
                self._queues.release(entry, step)
                self._review.failed(entry, outcome, given, step)
            case Cancelled():
                self._cancel(event, step)
            case CapacityChanged(endpoint, max_concurrent, healthy):
                self._change_capacity(self._column[endpoint], max_concurrent, healthy, step)
            case LoadObserved(endpoint, load):
                self._queues.observe(self._column[endpoint], load)
            case Woke(PredictionDue(request_ids)):
                self._bypass(request_ids, "predictions were late", step)
            case Woke(Deferred(request_id)):
                deferred = self.ledger.get(request_id)
                if deferred and deferred.state is State.DEFERRED:
                    self._look_again(deferred, step)

    def _look_again(self, entry: Entry, step: Step) -> None:
        """A deferred request is due: one that was put off is predicted anew, since load and grid have changed."""
        if entry.request.put_off_s is not None:
            self.ledger.move(entry, Move.PREDICT)
            step.arrived.append(entry)
        elif entry.decision:
            self._decide(entry.decision.predictions, [entry], step)

    # Predictions

    def _ask_predictions(self, step: Step) -> None:
        waiting = (entry for entry in step.arrived if self.ledger.get(entry.request.id) is entry)
        requests = tuple(entry.request for entry in waiting if entry.state is State.PREDICTING)
        if not requests:
            return
        deadline_s = step.now + self._options.predict_deadline_s
        step.commands.append(Predict(requests, self._queues.running(), deadline_s))
        step.commands.append(Wake(deadline_s, PredictionDue(tuple(request.id for request in requests))))

    def _take_predictions(self, request_ids: Sequence[str], table: CostTable, step: Step) -> None:
        """Predictions of requests that no longer wait for them (cancelled, bypassed) are dropped."""
        rows, entries = self.ledger.predicting(request_ids)
        if not rows:
            return
        if len(rows) < len(request_ids):
            table = table.take(np.array(rows, dtype=np.int64))
        self._decide(table, entries, step)

    def _bypass(self, request_ids: Sequence[str], reason: str, step: Step) -> None:
        """Requests that still wait for predictions go on with the prior."""
        _, entries = self.ledger.predicting(request_ids)
        if entries:
            self._hooks.bypassed(len(entries), reason)
            self._decide(self._prior.take(np.zeros(len(entries), dtype=np.int64)), entries, step)

    # Decisions

    def _decide(self, table: CostTable, entries: Sequence[Entry], step: Step) -> None:
        """Decide for the rows of `table`, at least one, and settle them in order, until one finds its queue full.

        What is left is then decided anew without that endpoint, so at most E times.
        """
        while True:
            requests = [entry.request for entry in entries]
            answers = self.decider.try_decide(requests, table, self.view(), step.now)
            done = 0
            for entry, answer in zip(entries, answers, strict=True):
                if isinstance(answer, Exception):
                    step.fail(entry, self.decider.assign.name, answer)
                elif (
                    done and answer.column >= 0 and self.decider.closed(self._queues.endpoint(answer.column))
                ):
                    break
                else:
                    self._settle(entry, answer, step)
                done += 1
            if done == len(entries):
                return
            entries, table = entries[done:], table.take(slice(done, None))

    def _settle(self, entry: Entry, decided: Decided, step: Step) -> None:
        """Keep the decision and carry it out."""
        admit, column, decision = self._deferrals.checked(entry, decided, step.now)
        entry.decision = decision
        step.record(decision)
        self._adapting.settled(entry.request, decision)
        match admit.action:
            case Admission.RUN:
                self._queues.join(entry, column, decision, step)
            case Admission.DEFER:
                self._deferrals.wait(entry, admit, step)
            case Admission.SKIP:
                step.end(entry, Move.SKIP, admit.reason, "skipped")
            case Admission.REFUSE:
                code = refusal_code(decision)
                step.end(entry, Move.REFUSE, admit.reason, code)

    # What follows an answer, a cancellation, a fault

    def _complete(self, entry: Entry, done: Completed, step: Step) -> None:
        """An endpoint answered: that ends the request, or another endpoint is asked."""
        self._queues.release(entry, step)
        view = self.view()
        decision = self._review.answered(entry, done.outcome, done.signals, done.samples, view, step)
        if decision is not None and decision.endpoint is not None:
            self._queues.join(entry, self._column[decision.endpoint], decision, step, Move.ESCALATE)

    def _cancel(self, cancelled: Cancelled, step: Step) -> None:
        entry = self.ledger.get(cancelled.request_id)
        if entry is None or entry.aborting:
            return  # it ended by itself while the news was on its way
        if entry.state is State.RUNNING:
            entry.aborting, entry.gone = True, cancelled.gone
            step.commands.append(Abort(entry.request.id, self.endpoints[entry.endpoint].name))
            return
        if entry.state is State.QUEUED:
            self._queues.leave(entry)
        if entry.runs and not cancelled.gone:
            step.fall_back(entry, cancelled.reason)
        else:
            step.end(entry, Move.FAIL, cancelled.reason, "cancelled")

    def _change_capacity(self, column: int, max_concurrent: int, healthy: bool, step: Step) -> None:
        left = self._queues.change_capacity(column, max_concurrent, healthy, step)
        if left:
            self._move_elsewhere(left, step)

    def _move_elsewhere(self, entries: Sequence[Entry], step: Step) -> None:
        """New decisions, from the predictions that were made once, for those whose endpoint went down.

        Those of whom an answer is held get that.
        """
        undecided = []
        for entry in entries:
            if entry.runs:
                step.fall_back(entry, f"{self._names[entry.endpoint]} went down")
            else:
                entry.endpoint = UNASSIGNED
                undecided.append(entry)
        for start in range(0, len(undecided), _REDECIDED_AT_ONCE):
            some = undecided[start : start + _REDECIDED_AT_ONCE]
            for _, alike in groupby(some, key=_bypassed):
                group = list(alike)
                rows = [entry.decision.predictions for entry in group if entry.decision]
                self._decide(CostTable.stack(rows), group, step)


def _bypassed(entry: Entry) -> bool:
    return entry.decision is not None and entry.decision.table.bypassed
