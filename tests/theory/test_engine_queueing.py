"""What queueing theory tells us of an engine where it reduces to a textbook queue, through the real scheduler.

A step of one second gives each sequence a token, so a geometric answer of mean 1/p tokens is a service of 1/p seconds. The
same arrivals and services also go through the queue's own recursion: there only steps make a difference, so it is held to
3%; formulas hold in the long run, and are held to 20%, about three standard errors of these runs.
"""

from __future__ import annotations

import heapq
from math import inf

import numpy as np
import pytest

from pointsman.sim.engine_request import EngineLimits
from pointsman.sim.result import SimResult
from pointsman.sim.served import Serving, Site, serve
from pointsman.sim.step_times import StepTimes
from pointsman.sim.workload import Workload, gamma_arrivals
from pointsman.types import Endpoint

MEAN_TOKENS = 50.0
N = 3_000
CONSTANT = StepTimes("constant", "theory", 1.0, 0.0, 0.0, 0.0)
SHARED = StepTimes("shared", "theory", 0.0, 1.0, 0.0, 0.0)


def arriving(rate_per_s: float, output=None) -> Workload:
    rng = np.random.default_rng(3)
    times = gamma_arrivals(N, rate_per_s, 1.0, rng)
    drawn = output(rng) if output else rng.geometric(1 / MEAN_TOKENS, N).astype(float)
    return Workload(times, np.ones(N), drawn, np.full(N, np.nan))


def run(times: StepTimes, slots: int, workload: Workload) -> SimResult:
    site = Site(Endpoint("e", "m"), times, EngineLimits(slots, step_tokens=max(slots, 64)))
    return serve(workload, [site], Serving(place="gateway"))


def waits_in_turn(workload: Workload, slots: int) -> np.ndarray:
    """Kiefer and Wolfowitz: who comes takes the slot that is free first."""
    free, waits = [0.0] * slots, []
    for at_s, service_s in zip(workload.arrival_s, workload.output_tokens, strict=True):
        starts_s = max(at_s, heapq.heappop(free))
        waits.append(starts_s - at_s)
        heapq.heappush(free, starts_s + service_s)
    return np.array(waits)


def sojourns_shared(workload: Workload) -> np.ndarray:
    """Processor sharing: all that are here are served at 1/n each; `served` is what each has got since 0."""
    ends, served, now, left = np.zeros(N), 0.0, 0.0, []
    for number, at_s in enumerate([*workload.arrival_s, inf]):
        while left and now + (left[0][0] - served) * len(left) <= at_s:
            now += (left[0][0] - served) * len(left)
            served, ended = heapq.heappop(left)
            ends[ended] = now
        if number < N:
            served += (at_s - now) / len(left) if left else 0.0
            now = at_s
            heapq.heappush(left, (served + workload.output_tokens[number], number))
    return ends - workload.arrival_s


@pytest.mark.parametrize(("slots", "load"), [(1, 0.7), (4, 3.0)])
def test_slots_that_serve_alone_are_mgc(slots, load):
    """M/M/1 and M/M/c (Erlang C) with a geometric service."""
    workload = arriving(load / MEAN_TOKENS)
    result = run(CONSTANT, slots, workload)
    half_step_s = 0.5
    assert result.queue_s.mean() == pytest.approx(
        waits_in_turn(workload, slots).mean(), rel=0.03, abs=half_step_s
    )
    blocked = 1.0
    for k in range(1, slots + 1):
        blocked = load * blocked / (k + load * blocked)
    wait_s = blocked / (1 - load / slots * (1 - blocked)) / (slots - load) * MEAN_TOKENS
    assert result.queue_s.mean() == pytest.approx(wait_s, rel=0.20)


@pytest.mark.parametrize("kind", ["geometric", "two lengths"])
def test_a_step_as_long_as_it_has_sequences_is_processor_sharing(kind):
    """E[T] = E[S] / (1 - rho) for every distribution of service alike."""
    utilisation = 0.6
    outputs = {
        "geometric": None,
        "two lengths": lambda rng: np.where(rng.random(N) < 0.8, 10.0, 210.0),
    }
    workload = arriving(utilisation / MEAN_TOKENS, outputs[kind])
    result = run(SHARED, N, workload)
    assert result.e2e_s.mean() == pytest.approx(sojourns_shared(workload).mean(), rel=0.03)
    assert result.e2e_s.mean() == pytest.approx(MEAN_TOKENS / (1 - utilisation), rel=0.20)


def test_littles_law():
    """L = lambda W, an identity for a run that starts and ends empty."""
    result = run(SHARED, 8, arriving(0.7 / MEAN_TOKENS))
    arrival_rate = len(result.e2e_s) / result.horizon_s
    assert result.mean_alive == pytest.approx(arrival_rate * result.e2e_s.mean(), rel=1e-9)
