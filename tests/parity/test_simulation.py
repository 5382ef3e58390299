"""What the simulator made the scheduler do, a fresh scheduler does from the recorded events (invariant 5)."""

from dataclasses import replace

import numpy as np
import pytest

from pointsman.admit.always import AlwaysAdmit
from pointsman.admit.cascade import CascadeAnswers
from pointsman.assign.weighted import WeightedAssign
from pointsman.clock import VirtualClock
from pointsman.events import Cancelled, CapacityChanged, LoadObserved
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.scheduler import Scheduler, SchedulerOptions
from pointsman.sim.driver import SimOptions, simulate
from pointsman.sim.service import PredictedService
from pointsman.testing.fakes import make_endpoints, make_request, make_table, unknown_prior
from pointsman.testing.recording import Recording, plain
from pointsman.types import (
    Admission,
    Admit,
    AnswerSignals,
    CostTable,
    Disposition,
    EndpointLoad,
    RunCost,
    ValueTerms,
    Weights,
)

ENDPOINTS = make_endpoints(3, max_concurrent=2)
N = 400


class ById:
    """A predictor that says the same of a request however often it is asked, and breaks at times."""

    name = "by_id"

    def __init__(self, broken_every=0):
        self.broken_every = broken_every

    def predict(self, requests, running):
        numbers = [int(request.id[1:]) for request in requests]
        if self.broken_every and any(n % self.broken_every == 0 for n in numbers):
            raise RuntimeError("the predictor broke")
        return CostTable.stack([make_table(ENDPOINTS, seed=n) for n in numbers])


class DefersSome(AlwaysAdmit):
    def admit(self, requests, table, eligible, now):
        return [self._one(request, now) for request in requests]

    def _one(self, request, now):
        hour = 100.0 * (1 + int(request.id[1:]) % 4)
        if request.id.endswith("7") and now < hour:
            return Admit(Admission.DEFER, "cheaper later", hour)
        return Admit(Admission.RUN, "now")


class SaysByTokens:
    """A judge: long answers are wrong, and the others' are as they were predicted."""

    def right(self, names, column, signals, quality, expected_tokens):
        said = quality.copy()
        said[column] = 1 / (1 + (signals.output_tokens or 0) / 100)
        return said

    def heeds_agreement(self, judged):
        return judged == "e0"


class SignalledService(PredictedService):
    """Tells of every answer how long it is."""

    def serve(self, request, endpoint, running, rng):
        service = super().serve(request, endpoint, running, rng)
        return replace(service, signals=AnswerSignals(output_tokens=service.output_tokens))


def build():
    names = tuple(endpoint.name for endpoint in ENDPOINTS)
    return Scheduler(
        ENDPOINTS, DefersSome(), WeightedAssign(Weights(accuracy=1, energy=1, time=1)), FirstComeFirstServed(),
        unknown_prior(ENDPOINTS), SchedulerOptions(max_queued=40),
        answers=CascadeAnswers(names, names, SaysByTokens(), ValueTerms(RunCost(0.1)), samples=2),
    )  # fmt: skip


def run(seed=3, **options):
    scheduler, recording = build(), Recording()
    recorded = Recorded(scheduler, recording)
    times = np.cumsum(np.random.default_rng(seed).exponential(0.4, N)).tolist()
    also = sorted(
        [(times[n] + 1.0, Cancelled(f"r{n}")) for n in range(0, N, 9)]
        + [(30.0, CapacityChanged("e0", 0, healthy=False)), (60.0, CapacityChanged("e0", 3))]
        + [(45.0, CapacityChanged("e1", 1)), (50.0, LoadObserved("e2", EndpointLoad(running=1)))],
        key=lambda item: item[0],
    )
    result = simulate(
        recorded, ById(broken_every=11), None, ((at_s, make_request(f"r{n}")) for n, at_s in enumerate(times)),
        SignalledService(ById(), ENDPOINTS, failure_rate=0.05), VirtualClock(),
        options=SimOptions(seed=seed, **options), also=also,
    )  # fmt: skip
    return result, recording


def finished(recording):
    """The Finish commands, as plain values."""
    return [command for _, _, commands in recording.steps for command in commands if command[0] == "Finish"]


class Recorded:
    def __init__(self, scheduler, recording):
        self.endpoints = scheduler.endpoints
        self.step = lambda events, now: recording.step(scheduler, events, now)


@pytest.mark.parametrize("predict_s", [0.0, 0.1, 0.5])
def test_a_fresh_scheduler_gives_the_same_commands(predict_s):
    result, recording = run(predict_s=predict_s)
    kinds = {type(event).__name__ for events, _, _ in recording.steps for event in events}
    assert kinds == {
        "Arrived", "Predicted", "PredictFailed", "Completed", "Failed", "Cancelled", "CapacityChanged",
        "LoadObserved", "Woke",
    }  # fmt: skip
    assert len(result.arrived_s) == N
    ways = {(outcome[3], *(run[3] for run in unused)) for _, outcome, _, unused in finished(recording)}
    answered, escalated, failed = Disposition.ANSWERED, Disposition.ESCALATED, Disposition.FAILED
    sampled = Disposition.SAMPLED
    assert {(answered,), (answered, escalated), (failed,)} <= ways
    assert {(answered, sampled), (answered, sampled, escalated), (answered, failed, escalated)} <= ways
    assert predict_s or (answered, failed) in ways, "a held answer stood in for one that failed"
    recording.replay(build())


def test_a_replay_finds_a_scheduler_that_does_otherwise():
    _, recording = run()
    other = build()
    other.decider.assign = WeightedAssign(Weights(price=1))
    with pytest.raises(AssertionError, match="recorded"):
        recording.replay(other)


def test_a_simulation_repeats_under_its_seed_and_differs_under_another():
    (first, _), (second, _), (third, _) = run(), run(), run(seed=4)
    assert plain(first) == plain(second)
    assert first.summary() != third.summary()
