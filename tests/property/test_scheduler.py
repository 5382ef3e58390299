"""The scheduler under a hostile driver, which does whatever the events allow, in any order.

Some answers are held and judged: kept, asked for again elsewhere, or met by a policy that is at fault.

Checks invariants 1 to 5 (docs/invariants.md) on what the scheduler says alone, and that an illegal
event raises and changes nothing.
"""

from __future__ import annotations

import copyreg
import pickle
from collections import Counter
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pointsman.admit.answer import Verdict
from pointsman.errors import IllegalTransition
from pointsman.events import (
    Abort,
    Arrived,
    Cancelled,
    CapacityChanged,
    Completed,
    Dispatch,
    Failed,
    Finish,
    Learn,
    LoadObserved,
    Predict,
    Predicted,
    PredictFailed,
    Record,
    Wake,
    Woke,
)
from pointsman.lifecycle import State
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.scheduler import Scheduler, SchedulerOptions
from pointsman.testing.fakes import make_endpoints, make_request, make_table, unknown_prior
from pointsman.testing.recording import Recording
from pointsman.types import (
    BATCH,
    UNASSIGNED,
    Admission,
    Admit,
    AnswerSignals,
    Assignment,
    Disposition,
    EndpointLoad,
    Needs,
    Outcome,
)

copyreg.pickle(MappingProxyType, lambda proxy: (dict, (dict(proxy),)))

TEXTS = (
    "run",
    "run",
    "run",
    "skip",
    "refuse",
    "defer 2",
    "defer 30",
    "picky",
    "held",
    "held",
    "sampled",
    "sampled",
    "holding raises",
    "admit raises",
    "assign raises",
)


class ByText:
    """Admits and assigns as the prompt says: to the quickest endpoint, or only to a free one, or not."""

    name = "by_text"

    def admit(self, requests, table, eligible, now):
        return [self._admit(request.prompt.text.split(), now) for request in requests]

    def _admit(self, words, now):
        match words:
            case ["skip"]:
                return Admit(Admission.SKIP, "asked to")
            case ["refuse"]:
                return Admit(Admission.REFUSE, "asked to")
            case ["defer", until] if now < float(until):
                return Admit(Admission.DEFER, "asked to", float(until))
            case ["admit", "raises"]:
                raise ValueError("a plugin's fault")
        return Admit(Admission.RUN, "asked to")

    def assign(self, requests, table, eligible, view):
        score = np.where(eligible, table.time_s.value, np.inf)
        chosen = score.argmin(axis=1)
        free = any(e.healthy and e.running + e.queued < e.max_concurrent for e in view)
        for row, request in enumerate(requests):
            if request.prompt.text == "picky" and not free:
                chosen[row] = UNASSIGNED
            if request.prompt.text == "assign raises":
                chosen[row] = 99
        return Assignment(chosen, score, ("the quickest",) * len(requests))


MAX_PUT_OFF = 3
SAMPLE = "a further sample"
KEEP, ESCALATE, RAISE, CHOOSE_WRONGLY = (AnswerSignals(mean_logprob=-float(n)) for n in range(4))


class BySignals:
    """Judges the held answers as the driver says: it writes its will into the signals."""

    name = "by_signals"

    def holds(self, request, decision):
        if request.prompt.text == "holding raises":
            raise ValueError("a plugin's fault")
        return {"held": 1, "sampled": 3}.get(request.prompt.text, 0)

    def judge(self, request, table, column, signals, eligible):
        if signals == RAISE:
            raise ValueError("a plugin's fault")
        chosen = UNASSIGNED
        if signals == CHOOSE_WRONGLY:
            chosen = column
        elif signals == ESCALATE and eligible.any():
            chosen = int(eligible.argmax())
        return Verdict(chosen, "as it was told", np.where(eligible, 1.0, np.inf))


def build(endpoints, max_queued):
    policy = ByText()
    options = SchedulerOptions(
        predict_deadline_s=0.5, max_queued=max_queued, retry_assignment_s=1.0, max_put_off=MAX_PUT_OFF
    )
    return Scheduler(
        endpoints,
        policy,
        policy,
        FirstComeFirstServed(),
        unknown_prior(endpoints),
        options,
        answers=BySignals(),
    )


class HostileDriver(RuleBasedStateMachine):
    @initialize(n_endpoints=st.integers(1, 3), max_concurrent=st.integers(1, 3), max_queued=st.integers(0, 4))
    def start(self, n_endpoints, max_concurrent, max_queued):
        self.endpoints = make_endpoints(n_endpoints, max_concurrent=max_concurrent)
        self.max_queued = max_queued
        self.scheduler = build(self.endpoints, max_queued)
        self.recording = Recording()
        self.now = 0.0
        self.batch = []
        self.limit = {e.name: max_concurrent for e in self.endpoints}
        self.healthy = {e.name: True for e in self.endpoints}
        self.ids = []
        self.arrived, self.finished = Counter(), Counter()
        self.arrival_order = {}
        self.queued = {e.name: [] for e in self.endpoints}
        self.running, self.aborting = {}, set()
        self.samples, self.sampled, self.gone = {}, Counter(), set()
        self.held, self.asked_of, self.answered_by, self.given = set(), {}, {}, set()
        self.predicts, self.timers, self.asked = [], [], Counter()

    # What the driver may do: each rule adds events to the batch, or steps.

    @rule(texts=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4), needs_image=st.booleans())
    def arrive(self, texts, needs_image):
        for text in texts:
            request_id = f"r{len(self.ids)}"
            self.ids.append(request_id)
            needs = Needs(modalities=frozenset({"image"})) if needs_image and text == "run" else Needs()
            self.batch.append(Arrived(make_request(request_id, text, needs=needs)))

    @rule(texts=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=6), seed=st.integers(0, 99))
    def arrive_and_predict(self, texts, seed):
        """What a good driver does, so that queues fill."""
        self.arrive(texts, needs_image=False)
        self.step(0.0)
        if self.predicts:
            ids = self.predicts[-1]
            self.batch.append(Predicted(ids, make_table(self.endpoints, len(ids), seed=seed)))
            self.step(0.0)

    @precondition(lambda self: self.ended)
    @rule(data=st.data())
    def arrive_again(self, data):
        request_id = data.draw(st.sampled_from(sorted(self.ended)))
        if request_id not in self._in_batch():
            self.batch.append(Arrived(make_request(request_id, "run")))

    @precondition(lambda self: self.predicts)
    @rule(data=st.data(), seed=st.integers(0, 99))
    def predict(self, data, seed):
        """Some of a Predict's requests, in any order; those left out may come later, or twice."""
        ids = data.draw(st.sampled_from(self.predicts))
        some = data.draw(st.lists(st.sampled_from(ids), unique=True))
        if data.draw(st.booleans()):
            self.batch.append(PredictFailed(tuple(some), "the predictor broke"))
        else:
            self.batch.append(Predicted(tuple(some), make_table(self.endpoints, len(some), seed=seed)))

    @precondition(lambda self: self.timers)
    @rule(data=st.data(), again=st.booleans())
    def wake(self, data, again):
        timer = data.draw(st.sampled_from(self.timers))
        if not again:
            self.timers.remove(timer)
        self.batch.append(Woke(timer))

    @precondition(lambda self: self.running)
    @rule(
        data=st.data(),
        answered=st.booleans(),
        signals=st.sampled_from([KEEP, ESCALATE, ESCALATE, ESCALATE, RAISE, CHOOSE_WRONGLY]),
        given=st.booleans(),
    )
    def end(self, data, answered, signals, given):
        request_id = data.draw(st.sampled_from(sorted(self.running)))
        ending = {e.request_id for e in self.batch if isinstance(e, Completed | Failed)}
        if request_id not in ending:
            self.batch.append(self._end(request_id, answered=answered, signals=signals, given=given))

    @precondition(lambda self: self.held & self.running.keys())
    @rule(data=st.data(), following=st.sampled_from(["waits", "answers", "fails", "breaks off", "given up"]))
    def escalate(self, data, following):
        """A held answer is asked for again, and what comes of that, so that all ways are walked."""
        ending = {e.request_id for e in self.batch if isinstance(e, Completed | Failed)}
        some = sorted((self.held & self.running.keys()) - ending)
        if not some:
            return
        request_id = data.draw(st.sampled_from(some))
        self.batch.append(self._end(request_id, answered=True, signals=ESCALATE))
        self.step(0.0)
        if following == "given up":
            self.batch.append(Cancelled(request_id, "closing", gone=False))
            self.step(0.0)
        if request_id in self.running and following != "waits":
            end = self._end(request_id, answered=following == "answers", given=following == "breaks off")
            self.batch.append(end)
            self.step(0.0)

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), gone=st.booleans())
    def cancel(self, data, gone):
        waiting = [request_id for ids in self.queued.values() for request_id in ids]
        some = data.draw(
            st.sampled_from([waiting or self.ids, list(self.running) or self.ids, self.ids, ["?"]])
        )
        self.batch.append(Cancelled(data.draw(st.sampled_from(some)), gone=gone))

    @rule(data=st.data(), max_concurrent=st.integers(0, 4), healthy=st.booleans())
    def change_capacity(self, data, max_concurrent, healthy):
        name = data.draw(st.sampled_from(self.endpoints)).name
        self.batch.append(CapacityChanged(name, max_concurrent, healthy))

    @rule(data=st.data())
    def observe(self, data):
        name = data.draw(st.sampled_from(self.endpoints)).name
        self.batch.append(LoadObserved(name, EndpointLoad(running=1, observed_at_s=self.now)))

    @rule(seconds=st.sampled_from([0.0, 0.0, 0.3, 1.0, 10.0]))
    def step(self, seconds):
        self.now += seconds
        events, self.batch = self.batch, []
        self._step(events)

    @rule()
    def step_illegally(self):
        """Whatever legal events stand before the illegal one, nothing changes."""
        before = pickle.dumps(self.scheduler)
        for illegal in self._illegal():
            with pytest.raises(IllegalTransition):
                self.scheduler.step([*self.batch, *illegal], self.now)
            assert pickle.dumps(self.scheduler) == before

    # What must hold

    @invariant()
    def counts_agree(self):
        if not hasattr(self, "scheduler"):
            return
        ledger = self.scheduler.ledger
        alive = self.arrived - self.finished
        assert max(alive.values(), default=0) <= 1
        assert max((self.finished - self.arrived).values(), default=0) == 0, "invariant 1: ended twice"
        assert len(ledger) == alive.total()
        assert len(ledger.put_off) <= MAX_PUT_OFF
        for request_id in ledger.put_off:
            entry = ledger.entry(request_id)
            assert (entry.state in {State.DEFERRED, State.PREDICTING}) == (
                entry.request.put_off_s is not None
            )
        assert ledger.arrivals == self.arrived.total() == len(ledger) + sum(ledger.ended.values())
        for view in self.scheduler.view():
            on_it = sum(endpoint == view.name for endpoint in self.running.values())
            assert (view.running, view.queued) == (on_it, len(self.queued[view.name]))
            if view.healthy:
                free = view.max_concurrent - view.running
                assert free <= 0 or view.queued == 0, "a slot is idle while requests wait for it"
            else:
                assert view.queued == 0, "requests wait for an endpoint that is down"

    def teardown(self):
        """Let everything end: then each arrival has exactly one Finish, and a replay is the same."""
        if not hasattr(self, "scheduler"):
            return
        events, self.batch = self.batch, []
        self._step([*events, *(CapacityChanged(e.name, 2) for e in self.endpoints)])
        for _ in range(50):
            timers, self.timers = self.timers, []
            self.now += 40.0
            self._step([Woke(timer) for timer in timers])
            self._step([self._end(request_id, answered=True) for request_id in sorted(self.running)])
            if not self.scheduler.ledger:
                break
        assert self.finished == self.arrived, "invariant 1: a request was lost"
        self.recording.replay(build(self.endpoints, self.max_queued))  # invariant 5

    # The driver's books, kept from commands alone

    @property
    def ended(self):
        return {i for i in self.finished if self.finished[i] == self.arrived[i]}

    def _in_batch(self):
        return {event.request.id for event in self.batch if isinstance(event, Arrived)}

    def _end(self, request_id, *, answered, signals=KEEP, given=False):
        disposition = Disposition.ANSWERED if answered else Disposition.FAILED
        outcome = Outcome(request_id, self.running[request_id], disposition, e2e_s=1.0)
        if answered:
            samples = self.samples[request_id] if request_id in self.held else 0
            kinds = (Disposition.ANSWERED, Disposition.FAILED)[:samples]
            further = tuple(Outcome(request_id, outcome.endpoint, kind, SAMPLE) for kind in kinds)
            return Completed(request_id, outcome, signals, further)
        return Failed(request_id, outcome, given and request_id not in self.held)

    def _step(self, events):
        longest = {view.name: max(self.max_queued, view.queued) for view in self.scheduler.view()}
        self._carry_out(events)
        if not any(isinstance(event, CapacityChanged) for event in events):
            assert all(view.queued <= longest[view.name] for view in self.scheduler.view()), "queue too long"

    def _carry_out(self, events):
        for event in events:
            if isinstance(event, Arrived):
                self.arrived[event.request.id] += 1
                self.arrival_order[event.request.id] = self.arrived.total()
            if isinstance(event, CapacityChanged):
                self.limit[event.endpoint] = event.max_concurrent
                self.healthy[event.endpoint] = event.healthy
            if isinstance(event, Completed):
                self.answered_by.setdefault(event.request_id, []).append(event.outcome.endpoint)
                self.sampled[event.request_id] += len(event.samples)
            if isinstance(event, Cancelled) and event.gone:
                self.gone.add(event.request_id)
            if isinstance(event, Failed) and event.given:
                self.given.add(event.request_id)
        self.ending = {event.request_id for event in events if isinstance(event, Completed | Failed)}
        for command in self.recording.step(self.scheduler, events, self.now):
            self._take(command)

    def _take(self, command):
        match command:
            case Predict(requests, running, deadline_s):
                ids = tuple(request.id for request in requests)
                self.asked.update(request.id for request in requests if request.put_off_s is None)
                assert all(self.asked[i] <= self.arrived[i] for i in ids), "predictions are made once"
                assert all(r.put_off_s is None or r.slo.service_class == BATCH for r in requests)
                assert deadline_s == self.now + 0.5
                assert len(running) == len(self.endpoints)
                self.predicts.append(ids)
            case Wake(at_s, timer):
                assert at_s > self.now
                self.timers.append(timer)
            case Record(decision):
                self._leave_queues(decision.request_id)
                if decision.request_id in self.ending & self.held:
                    self.running.pop(decision.request_id, None)  # its answer is held, another is asked for
                assert decision.request_id not in self.running
                if decision.action is Admission.RUN:
                    assert decision.endpoint not in decision.excluded
                    self.queued[decision.endpoint].append(decision.request_id)
            case Dispatch(request_id, endpoint, held):
                assert request_id not in self.running, "invariant 2: dispatched twice at once"
                assert endpoint not in self.asked_of.setdefault(request_id, []), "asked twice"
                self.asked_of[request_id].append(endpoint)
                (self.held.add if held else self.held.discard)(request_id)
                self.samples[request_id] = max(held - 1, 0)
                first = min(self.queued[endpoint], key=self.arrival_order.get)
                assert request_id == first, "invariant 4: overtaken by one that arrived later"
                self.queued[endpoint].remove(request_id)
                self.running[request_id] = endpoint
                on_it = sum(other == endpoint for other in self.running.values())
                assert self.healthy[endpoint]
                assert on_it <= self.limit[endpoint], "invariant 3: more than its slots"
            case Abort(request_id, endpoint):
                assert self.running[request_id] == endpoint
                assert request_id not in self.aborting
                self.aborting.add(request_id)
            case Finish(outcome, code, unused):
                self._leave_queues(outcome.request_id)
                self.running.pop(outcome.request_id, None)
                self._check_runs(outcome, unused, code)
                self.aborting.discard(outcome.request_id)
                self.finished[outcome.request_id] += 1
                assert (code == "") == (outcome.disposition is Disposition.ANSWERED)
                assert outcome.endpoint or outcome.reason, "invariant 1: it ended without a reason"
            case Learn(outcomes):
                assert outcomes

    def _check_runs(self, outcome, unused, code):
        """Every run is told of once; an answer that came is lost only if the caller went or has a part of another."""
        samples = [run for run in unused if run.reason == SAMPLE]
        assert len(samples) == self.sampled.pop(outcome.request_id, 0), "every sample is told of once"
        assert {run.disposition for run in samples} <= {Disposition.SAMPLED, Disposition.FAILED}
        runs = [run.endpoint for run in (*unused, outcome) if run.endpoint and run.reason != SAMPLE]
        assert sorted(runs) == sorted(self.asked_of.pop(outcome.request_id, []))
        came = self.answered_by.pop(outcome.request_id, [])
        assert {run.endpoint for run in unused if run.disposition is Disposition.ESCALATED} <= set(came)
        if outcome.disposition is Disposition.ANSWERED:
            assert outcome.endpoint in came
        elif came:
            assert outcome.request_id in self.given | self.gone, "a held answer was lost"
        self.given.discard(outcome.request_id)
        self.gone.discard(outcome.request_id)
        self.held.discard(outcome.request_id)

    def _leave_queues(self, request_id):
        for waiting in self.queued.values():
            if request_id in waiting:
                waiting.remove(request_id)

    def _illegal(self):
        """Events that don't fit, whatever the batch before them does."""
        table = make_table(self.endpoints, 1)
        name = self.endpoints[0].name
        fresh = Arrived(make_request("fresh"))
        never = Completed("nobody", Outcome("nobody", name, Disposition.ANSWERED))
        illegal = [
            [fresh, fresh],
            [never],
            [fresh, Failed("fresh", Outcome("fresh", name, Disposition.FAILED))],
            [Predicted(("a", "b"), table)],
            [Predicted(("a", "a"), make_table(self.endpoints, 2))],
            [Predicted(("a",), make_table(make_endpoints(7), 1))],
            [PredictFailed(("a", "a"), "twice")],
            [CapacityChanged("nowhere", 1)],
            [CapacityChanged(name, -1)],
            [LoadObserved("nowhere", EndpointLoad())],
        ]
        ending = {e.request_id for e in self.batch if isinstance(e, Completed | Failed)}
        for request_id in sorted(set(self.running) - ending):
            end = self._end(request_id, answered=True)
            wrong = Outcome(request_id, self.running[request_id], Disposition.FAILED)
            illegal += [[end, end], [Completed(request_id, wrong)], [Completed(request_id, never.outcome)]]
            illegal += [[Arrived(make_request(request_id))]]
        return illegal


HostileDriver.TestCase.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestHostileDriver = HostileDriver.TestCase
