from itertools import count

import numpy as np
import pytest

from pointsman.admit.always import AlwaysAdmit
from pointsman.assign.weighted import WeightedAssign
from pointsman.clock import VirtualClock
from pointsman.errors import BadRequest
from pointsman.events import Cancelled, CapacityChanged
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.scheduler import Scheduler
from pointsman.sim.driver import SimOptions, simulate
from pointsman.sim.result import DISPOSITIONS
from pointsman.sim.service import FixedService, PredictedService
from pointsman.testing.fakes import make_endpoints, make_request, make_table, unknown_prior
from pointsman.types import CostTable, Weights

ENDPOINTS = make_endpoints(1, max_concurrent=1)


class Same:
    """One row for every request."""

    name = "same"

    def __init__(self, endpoints=ENDPOINTS):
        self.table = make_table(endpoints, seed=5)

    def predict(self, requests, running):
        return self.table.take(np.zeros(len(requests), dtype=np.int64))


class Kept:
    """A sink and a learner that keep what they get."""

    def __init__(self):
        self.decisions, self.outcomes, self.learned = [], [], []

    def record(self, decision, request):
        self.decisions.append((decision.request_id, request.id))

    def finish(self, outcome):
        self.outcomes.append(outcome)

    def learn(self, outcomes):
        self.learned += outcomes


def run(arrivals, *, predictor=None, service=None, endpoints=ENDPOINTS, clock=None, learner=None, **rest):
    scheduler = Scheduler(
        endpoints,
        AlwaysAdmit(),
        WeightedAssign(Weights(time=1)),
        FirstComeFirstServed(),
        unknown_prior(endpoints),
    )
    return simulate(
        scheduler, predictor or Same(endpoints), learner, arrivals, service or FixedService(lambda rng: 2.0),
        clock or VirtualClock(), **rest,
    )  # fmt: skip


def at(*times):
    return [(at_s, make_request(f"r{n}")) for n, at_s in enumerate(times)]


def test_one_slot_serves_one_after_the_other():
    clock, kept = VirtualClock(), Kept()
    result = run(at(0.0, 0.5, 10.0), clock=clock, sink=kept, learner=kept)
    assert result.queue_s.tolist() == [0.0, 1.5, 0.0]
    assert result.e2e_s.tolist() == [2.0, 3.5, 2.0]
    assert (result.horizon_s, clock.now()) == (12.0, 12.0)
    assert result.utilisation == {"e0": 0.5}
    assert result.throughput_per_s == 0.25
    assert kept.decisions == [(f"r{n}", f"r{n}") for n in range(3)]
    assert kept.learned == kept.outcomes
    assert {outcome.meter for outcome in kept.outcomes} == {"simulated"}
    assert [row["endpoint"] for row in result.rows()] == ["e0"] * 3


def test_a_cancelled_request_gives_its_slot_back_at_once():
    result = run(at(0.0, 0.5), also=[(1.0, Cancelled("r0"))])
    assert [DISPOSITIONS[d] for d in result.disposition] == ["failed", "answered"]
    assert result.e2e_s.tolist() == [1.0, 2.5]


def test_nothing_comes_after_the_end_that_was_asked_for():
    result = run(at(0.0, 1.0, 2.0), options=SimOptions(until_s=3.0))
    assert (result.unfinished, result.horizon_s, len(result.e2e_s)) == (2, 3.0, 1)
    assert result.utilisation == {"e0": 1.0}


def test_arrivals_are_read_one_ahead():
    endless = ((float(n), make_request(f"r{n}")) for n in count())
    result = run(endless, options=SimOptions(until_s=5.5), service=FixedService(lambda rng: 0.5))
    assert len(result.e2e_s) == 6
    assert next(endless)[0] == 7.0


@pytest.mark.parametrize("times", [(1.0, 0.5), (float("nan"),), (float("inf"),)])
def test_times_that_fall_or_are_no_times_are_refused(times):
    with pytest.raises(BadRequest, match="Sort the arrivals"):
        run(at(*times))


def test_a_predictor_that_is_slow_or_broken_is_bypassed():
    """Invariant 9: the prior decides after the deadline, and nothing is lost."""

    class Broken(Same):
        def predict(self, requests, running):
            raise RuntimeError

    class NotFinite(Same):
        def predict(self, requests, running) -> CostTable:
            table = super().predict(requests, running)
            return CostTable(
                table.endpoints, table.input_tokens * np.nan, table.quality, table.output_tokens,
                table.time_s, table.energy_j, table.price_usd, table.carbon_g,
            )  # fmt: skip

    assert run(at(0.0), options=SimOptions(predict_s=9.0)).queue_s.tolist() == [0.25]
    assert run(at(0.0), predictor=Broken()).queue_s.tolist() == [0.0]
    assert run(at(0.0), predictor=NotFinite()).queue_s.tolist() == [0.0]


def test_capacity_that_was_away_is_not_counted_as_offered():
    away = [(0.0, CapacityChanged("e0", 0, healthy=False)), (6.0, CapacityChanged("e0", 1))]
    result = run(at(6.0), also=away)
    assert result.horizon_s == 8.0
    assert result.utilisation == {"e0": 1.0}


def test_an_empty_simulation_is_a_result():
    result = run([])
    assert (len(result.e2e_s), result.horizon_s, result.throughput_per_s) == (0, 0.0, 0.0)
    assert np.isnan(result.summary()["e2e_p50_s"])


def test_predicted_services_spread_as_their_intervals_say():
    service, rng = PredictedService(Same(), ENDPOINTS, failure_rate=0.2), np.random.default_rng(1)
    request = make_request()
    drawn = [service.serve(request, ENDPOINTS[0], 1, rng) for _ in range(4_000)]
    times = np.array([one.duration_s for one in drawn])
    row = Same().table
    assert np.median(times) == pytest.approx(row.time_s.value[0, 0], rel=0.02)
    assert (times < row.time_s.low[0, 0]).mean() == pytest.approx(0.05, abs=0.015)
    assert (times > row.time_s.high[0, 0]).mean() == pytest.approx(0.05, abs=0.015)
    assert np.mean([one.fails for one in drawn]) == pytest.approx(0.2, abs=0.03)
    assert np.mean([one.quality for one in drawn]) == pytest.approx(row.quality.value[0, 0], abs=0.03)


def test_a_predicted_answer_keeps_within_max_tokens():
    rng = np.random.default_rng(1)
    service = PredictedService(Same(), ENDPOINTS)
    drawn = [service.serve(make_request(max_tokens=3), ENDPOINTS[0], 1, rng) for _ in range(50)]
    assert {one.output_tokens for one in drawn} <= {1, 2, 3}
