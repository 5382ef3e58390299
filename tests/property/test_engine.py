"""Stretches of the simulated engine give what its steps one by one would, and its orders hold their bounds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.order.iteration import EngineBudget, EngineSequence, IterationOrder, Plan, plan
from pointsman.order.iteration_orders import (
    BoundedIteration,
    FcfsIteration,
    MlfqIteration,
    RankedIteration,
)
from pointsman.sim.engine import SimulatedEngine
from pointsman.sim.engine_request import EngineLimits, Lengths
from pointsman.sim.step_times import PS, StepTimes
from pointsman.sim.stretch import picoseconds
from pointsman.testing.fakes import make_request

TIMES = StepTimes("test", "none", 0.01, 0.001, 1e-5, 1e-4)
BASE, SEQUENCE, CONTEXT, PREFILL = 10**10, 10**9, 10**7, 10**8
STRETCH_S, CAP_TOKENS, THRESHOLD, QUANTUM = 0.05, 30.0, 7, 3

ORDERS = [
    FcfsIteration(),
    RankedIteration(),
    RankedIteration(preempts=True),
    RankedIteration(threshold_steps=THRESHOLD, quantum_steps=QUANTUM),
    BoundedIteration(STRETCH_S, CAP_TOKENS),
    MlfqIteration(4),
]


@dataclass(frozen=True)
class Job:
    at_s: float
    prompt: int
    output: int
    predicted: float | None


jobs = st.builds(
    Job,
    st.one_of(st.just(0.0), st.floats(0.0, 3.0)),
    st.integers(1, 60),
    st.integers(1, 40),
    st.one_of(st.none(), st.integers(1, 45).map(float)),
)
streams = st.lists(jobs, min_size=1, max_size=14).map(lambda found: sorted(found, key=lambda job: job.at_s))
limits = st.builds(EngineLimits, st.integers(1, 6), st.integers(8, 64), st.integers(25, 60), st.just(4))


@dataclass
class Plain:
    """A sequence of the plain engine."""

    job: Job
    seen: EngineSequence
    context: int = 0
    first_ps: int = -1
    last_ps: int = -1
    gap_ps: int = 0
    preemptions: int = 0


@dataclass
class PlainEngine:
    """The same engine without any shortcut: `plan` over everything before every single step."""

    limits: EngineLimits
    order: IterationOrder
    jobs: list[Job]
    steps: list[tuple[list[EngineSequence], Plan]] = field(default_factory=list)

    def run(self) -> dict[int, tuple[float, float, float, int, float]]:
        """By number: end, first token, longest gap, preemptions."""
        here: dict[int, Plain] = {}
        coming, ended = list(enumerate(self.jobs)), {}
        now_ps, step = 0, 0
        while coming or here:
            if not here:
                now_ps = max(now_ps, picoseconds(coming[0][1].at_s))
            while coming and coming[0][1].at_s <= now_ps / PS:
                number, job = coming.pop(0)
                here[number] = Plain(job, _waiting(number, job, step, 0))
            now_ps = self._step(here, ended, now_ps, step)
            step += 1
        return ended

    def _step(self, here: dict[int, Plain], ended: dict, now_ps: int, step: int) -> int:
        views = [self._view(one) for one in here.values()]
        used = sum(view.blocks_held for view in views)
        assert used <= self.limits.blocks, "more memory than there is"
        budget = EngineBudget(self.limits.slots, self.limits.step_tokens, self.limits.blocks - used)
        chosen = plan(self.order, views, budget, step)
        self.steps.append((views, chosen))
        assert len(chosen.run) <= self.limits.slots
        assert sum(tokens for _, tokens in chosen.run) <= self.limits.step_tokens
        for number in chosen.preempt:
            one = here[number]
            one.preemptions += 1
            one.seen = _waiting(number, one.job, step, one.seen.served_tokens)
        active = [(here[number], tokens) for number, tokens in chosen.run if tokens]
        for number, _ in chosen.run:
            one = here[number]
            if not one.seen.running:
                waited = step - one.seen.since_step
                one.seen = replace(one.seen, running=True, since_step=step, waited_steps=waited)
        decodes = [one for one, _ in active if not one.seen.prefill_tokens]
        now_ps += BASE + SEQUENCE * len(active)
        now_ps += CONTEXT * sum(one.job.prompt + one.seen.served_tokens for one in decodes)
        now_ps += PREFILL * sum(tokens for one, tokens in active if one.seen.prefill_tokens)
        for one, tokens in active:
            self._advance(one, tokens, now_ps, step + 1)
        for number in [number for number, one in here.items() if one.seen.served_tokens == one.job.output]:
            one = here.pop(number)
            ended[number] = (now_ps / PS, one.first_ps / PS, one.gap_ps / PS, one.preemptions)
        return now_ps

    def _advance(self, one: Plain, tokens: int, now_ps: int, step: int) -> None:
        left = max(0, one.seen.prefill_tokens - tokens)
        gives = not left
        if one.seen.prefill_tokens and gives:
            one.seen = replace(one.seen, since_step=step)
        one.seen = replace(one.seen, prefill_tokens=left, served_tokens=one.seen.served_tokens + gives)
        if not gives:
            return
        if one.first_ps < 0:
            one.first_ps = now_ps
        else:
            one.gap_ps = max(one.gap_ps, now_ps - one.last_ps)
        one.last_ps = now_ps

    def _view(self, one: Plain) -> EngineSequence:
        context = one.job.prompt + one.seen.served_tokens
        grown = self.limits.blocks_of(context + 1)
        held = grown if one.seen.prefill_tokens else self.limits.blocks_of(context)
        return replace(one.seen, blocks_held=held if one.seen.running else 0, blocks_needed=grown)


def _waiting(number: int, job: Job, step: int, served: int) -> EngineSequence:
    return EngineSequence(number, job.at_s, job.predicted, served, job.prompt + served, 0, 0, False, step)


def drive(engine: SimulatedEngine, stream: list[Job]) -> dict[int, tuple]:
    """What a driver does."""
    events = [(job.at_s, number) for number, job in enumerate(stream)]
    ended = {}
    while events or engine.due_s() < inf:
        now = min(engine.due_s(), events[0][0] if events else inf)
        if not events or events[0][0] > now:
            for request_id, service in engine.advance(now):
                assert int(request_id) not in ended
                job = stream[int(request_id)]
                ended[int(request_id)] = (
                    job.at_s + service.duration_s, job.at_s + service.ttft_s, service.longest_gap_s,
                    service.preemptions,
                )  # fmt: skip
            continue
        at_s, number = events.pop(0)
        engine.start(make_request(str(number)), at_s, at_s)
    return ended


def engine_of(own: EngineLimits, order: IterationOrder, stream: list[Job]) -> SimulatedEngine:
    def lengths(request):
        job = stream[int(request.id)]
        return Lengths(job.prompt, job.output, job.predicted)

    return SimulatedEngine(TIMES, own, order, lengths)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.name)
@settings(max_examples=40)
@given(stream=streams, own=limits)
def test_stretches_end_when_their_steps_would(order, stream, own):
    expected = PlainEngine(own, order, stream).run()
    found = drive(engine_of(own, order, stream), stream)
    assert found.keys() == expected.keys(), "nothing lost, nothing twice"
    for number, figures in expected.items():
        assert found[number] == pytest.approx(figures, abs=1e-12, rel=1e-12)


def let_in_before(engine: PlainEngine):
    """(passed, let in, step): pairs of which the second was let in while the first waited on."""
    for step, (views, chosen) in enumerate(engine.steps):
        runs = {number for number, _ in chosen.run}
        waiting = [view for view in views if not view.running]
        for other in waiting:
            for passed in waiting:
                if other.number in runs and passed.number not in runs:
                    yield passed, other, step


bounds = settings(max_examples=30)


@bounds
@given(stream=streams, own=limits)
def test_fcfs_lets_nobody_in_before_an_earlier_one(stream, own):
    engine = PlainEngine(own, FcfsIteration(), stream)
    engine.run()
    assert all(other.number < passed.number for passed, other, _ in let_in_before(engine))


@bounds
@given(stream=streams, own=limits)
def test_bounded_lets_in_later_ones_only_within_its_bound(stream, own):
    engine = PlainEngine(own, BoundedIteration(STRETCH_S, CAP_TOKENS), stream)
    engine.run()

    def tokens(view):
        return CAP_TOKENS if view.predicted_tokens is None else min(view.predicted_tokens, CAP_TOKENS)

    for passed, other, _ in let_in_before(engine):
        if other.number > passed.number:
            allowed_s = STRETCH_S * (tokens(passed) - tokens(other))
            assert 0 <= other.arrived_s - passed.arrived_s <= allowed_s + 1e-9


@bounds
@given(stream=streams, own=limits, preempts=st.booleans())
def test_ranked_lets_in_later_ones_only_if_predicted_shorter(stream, own, preempts):
    engine = PlainEngine(own, RankedIteration(preempts=preempts), stream)
    engine.run()
    for passed, other, _ in let_in_before(engine):
        if other.number > passed.number:
            assert other.predicted_tokens is not None
            assert passed.predicted_tokens is None or other.predicted_tokens < passed.predicted_tokens


@bounds
@given(stream=streams, own=limits)
def test_promoted_ones_are_passed_only_by_those_that_waited_longer(stream, own):
    engine = PlainEngine(own, ORDERS[3], stream)
    engine.run()
    for passed, other, step in let_in_before(engine):
        if step - passed.since_step >= THRESHOLD:
            assert step - other.since_step >= step - passed.since_step


@bounds
@given(stream=streams, own=limits)
def test_mlfq_lets_in_only_those_served_less_or_earlier(stream, own):
    engine = PlainEngine(own, MlfqIteration(4), stream)
    engine.run()
    for passed, other, _ in let_in_before(engine):
        levels = [(view.served_tokens // 4 + 1).bit_length() for view in (other, passed)]
        assert (levels[0], other.number) < (levels[1], passed.number)


def test_promotion_ends_the_starvation_that_ranking_alone_allows():
    """Short ones that keep one slot busy, and a long one that comes with the first."""
    stream = [Job(0.022 * k, 1, 2, 2.0) for k in range(60)]
    stream.insert(1, Job(0.001, 1, 30, 30.0))
    first_s = {}
    for order in (RankedIteration(preempts=True), ORDERS[3]):
        first_s[order.name] = drive(engine_of(EngineLimits(1, 8, 100, 4), order, stream), stream)[1][1]
    step_s = 0.012
    assert first_s["ranked+preemption"] > 60 * 0.022
    assert first_s["ranked+promotion"] < (THRESHOLD + 3) * step_s


def test_bounds_are_said_in_numbers():
    assert "waited 7 steps" in ORDERS[3].bound
    assert "got 3 tokens" in ORDERS[3].bound
    assert "at most 1.5 s" in ORDERS[4].bound
    assert "ends at 4 tokens" in ORDERS[5].bound
    assert all(order.bound for order in ORDERS)
