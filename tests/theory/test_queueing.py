"""Queueing theory tells what the scheduler must do in virtual time.

Poisson arrivals at `rate` per second, service of mean 1 s, `slots` servers, first come, first served.
Seeds are fixed, so a pass repeats; tolerances are three standard errors of the simulated mean or more.
"""

from math import factorial

import numpy as np
import pytest

from pointsman.admit.always import AlwaysAdmit
from pointsman.clock import VirtualClock
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.scheduler import Scheduler, SchedulerOptions
from pointsman.sim.driver import SimOptions, simulate
from pointsman.sim.service import FixedService
from pointsman.testing.fakes import make_endpoints, make_request, unknown_prior
from pointsman.types import Assignment, CostTable, Disposition

N = 20_000


class ToTheFirst:
    name = "to_the_first"

    def assign(self, requests, table, eligible, view):
        n = len(requests)
        return Assignment(eligible.argmax(axis=1), np.zeros(eligible.shape), ("the first",) * n)


class SaysNothing:
    """A predictor whose rows are the prior's."""

    name = "says_nothing"

    def __init__(self, endpoints):
        self.prior = unknown_prior(endpoints)

    def predict(self, requests, running) -> CostTable:
        return self.prior.take(np.zeros(len(requests), dtype=np.int64))


def queue(rate, slots, duration_s, *, n=N, max_queued=10_000, seed=1):
    endpoints = make_endpoints(1, max_concurrent=slots)
    scheduler = Scheduler(
        endpoints,
        AlwaysAdmit(),
        ToTheFirst(),
        FirstComeFirstServed(),
        unknown_prior(endpoints),
        SchedulerOptions(max_queued=max_queued),
    )
    times = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, n))
    arrivals = ((at_s, make_request(f"r{i}")) for i, at_s in enumerate(times.tolist()))
    return simulate(
        scheduler, SaysNothing(endpoints), None, arrivals, FixedService(duration_s), VirtualClock(),
        options=SimOptions(seed=seed),
    )  # fmt: skip


def exponential(rng):
    return rng.exponential()


def erlang_c(rate, slots):
    """The probability of having to wait, and the mean wait, in M/M/c with service of mean 1 s."""
    waiting = rate**slots / factorial(slots) * slots / (slots - rate)
    probability = waiting / (sum(rate**k / factorial(k) for k in range(slots)) + waiting)
    return probability, probability / (slots - rate)


@pytest.mark.parametrize(("rate", "slots"), [(0.5, 1), (0.7, 1), (2.8, 4)])
def test_mm1_and_mmc_wait_as_erlang_c_says(rate, slots):
    result = queue(rate, slots, exponential)
    probability, mean_wait_s = erlang_c(rate, slots)
    assert result.queue_s.mean() == pytest.approx(mean_wait_s, rel=0.10)
    assert (result.queue_s > 0).mean() == pytest.approx(probability, abs=0.02)
    assert result.utilisation["e0"] == pytest.approx(rate / slots, rel=0.03)
    assert result.throughput_per_s == pytest.approx(rate, rel=0.03)


def test_mm1_sojourn_is_exponential():
    """Theory tells us that E2E in M/M/1 is exponential with mean 1 / (mu - lambda)."""
    result = queue(0.5, 1, exponential)
    for q in (0.5, 0.9, 0.99):
        assert np.quantile(result.e2e_s, q) == pytest.approx(-np.log(1 - q) * 2.0, rel=0.10)


@pytest.mark.parametrize("rate", [0.5, 0.7])
def test_md1_waits_half_as_long(rate):
    """Pollaczek and Khinchine: rho / (2 (1 - rho)) for a constant service."""
    result = queue(rate, 1, lambda rng: 1.0)
    assert result.queue_s.mean() == pytest.approx(rate / (2 * (1 - rate)), rel=0.08)


@pytest.mark.parametrize(("rate", "slots"), [(0.8, 1), (3.0, 4)])
def test_littles_law(rate, slots):
    """L = lambda W, an identity for a run that starts and ends empty: the books are in order."""
    result = queue(rate, slots, exponential, n=2_000)
    arrival_rate = len(result.e2e_s) / result.horizon_s
    assert result.mean_alive == pytest.approx(arrival_rate * result.e2e_s.mean(), rel=1e-9)


@pytest.mark.parametrize(("rate", "slots"), [(1.0, 1), (3.0, 4)])
def test_without_a_queue_erlang_b_are_refused(rate, slots):
    """M/M/c/c: what finds all slots busy is refused at once."""
    result = queue(rate, slots, exponential, n=8_000, max_queued=0)
    blocked = (rate**slots / factorial(slots)) / sum(rate**k / factorial(k) for k in range(slots + 1))
    refused = result.disposition == list(Disposition).index(Disposition.REFUSED)
    assert refused.mean() == pytest.approx(blocked, rel=0.06)
    assert result.queue_s[~refused].max() == 0.0


def test_first_come_first_served_keeps_the_order():
    """Invariant 4: within an endpoint, starts are in order of arrival."""
    result = queue(2.7, 3, exponential, n=3_000)
    starts = result.arrived_s + result.queue_s
    assert (np.diff(starts) >= -1e-9).all()
