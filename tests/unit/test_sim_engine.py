"""The simulated engine behind the real scheduler: times, memory, faults and bad lengths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pointsman.admit.always import AlwaysAdmit
from pointsman.assign.weighted import WeightedAssign
from pointsman.clock import VirtualClock
from pointsman.errors import BadRequest
from pointsman.events import Cancelled
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.order.iteration_orders import FcfsIteration
from pointsman.scheduler import Scheduler
from pointsman.sim.compare import over_seeds
from pointsman.sim.driver import simulate
from pointsman.sim.engine import SimulatedEngine
from pointsman.sim.engine_request import EngineLimits, Lengths
from pointsman.sim.measures import Goal, measures
from pointsman.sim.result import DISPOSITIONS
from pointsman.sim.served import ORDERS, OrderSettings, Serving, Site, serve
from pointsman.sim.service import FixedService
from pointsman.sim.step_times import StepTimes, shipped_times, times_named
from pointsman.sim.workload import Workload, WorkloadPredictor, gamma_arrivals
from pointsman.types import Endpoint, Weights

TIMES = StepTimes("test", "none", base_s=0.01, sequence_s=0.001, context_token_s=0.0, prefill_token_s=0.0001)
ENDPOINT = Endpoint("e", "m")


def workload(*rows: tuple[float, int, int], predicted: float = np.nan) -> Workload:
    at_s, prompt, output = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    return Workload(at_s, prompt, output, np.full(len(rows), predicted))


def run(work: Workload, *, slots: int = 4, times: StepTimes = TIMES, blocks: int = 1_000, **serving):
    limits = EngineLimits(slots, step_tokens=64, blocks=blocks)
    return serve(work, [Site(ENDPOINT, times, limits)], Serving(**serving))


def test_one_request_takes_its_steps():
    """100 tokens of prompt are two steps of at most 64, then two steps more bring tokens two and three."""
    result = run(workload((1.0, 100, 3)))
    first_s = 2 * 0.011 + 100 * 0.0001
    assert result.ttft_s[0] == pytest.approx(first_s)
    assert result.e2e_s[0] == pytest.approx(first_s + 2 * 0.011)
    assert result.tpot_s[0] == pytest.approx(0.011)
    assert result.longest_gap_s[0] == pytest.approx(0.011)
    assert np.isnan(run(workload((1.0, 100, 1))).tpot_s[0])


def test_who_comes_during_a_step_is_seen_after_it():
    result = run(workload((0.0, 1, 3), (0.0112, 1, 1)))
    assert result.e2e_s[1] == pytest.approx(0.0111 + 0.011 + 0.0121 - 0.0112)


def test_a_context_that_never_fits_fails_and_the_others_go_on():
    result = run(workload((0.0, 10, 20), (0.0, 10, 1_000_000), (0.0, 10, 20)), blocks=10)
    assert [DISPOSITIONS[kind] for kind in result.disposition] == ["answered", "failed", "answered"]


def test_lengths_of_zero_count_as_one():
    result = run(workload((0.0, 0, 0)))
    assert (result.output_tokens[0], bool(result.answered[0])) == (1, True)


def test_max_tokens_ends_an_answer():
    engine = SimulatedEngine(TIMES, EngineLimits(1), FcfsIteration(), lambda _: Lengths(1, 1_000_000))
    [(_, request)] = workload((0.0, 1, 1)).arrivals()
    engine.start(replace(request, max_tokens=3), 0.0, 0.0)
    ended = []
    while engine.due_s() < np.inf:
        ended += engine.advance(engine.due_s())
    assert [service.output_tokens for _, service in ended] == [3]


@pytest.mark.parametrize("order", ORDERS)
def test_short_memory_preempts_and_loses_nobody(order):
    rng = np.random.default_rng(1)
    rows = [(0.01 * n, int(rng.integers(1, 100)), int(rng.integers(1, 150))) for n in range(60)]
    result = run(workload(*rows, predicted=50.0), slots=8, blocks=40, order=order)
    assert result.answered.all()
    assert np.nansum(result.preemptions) > 0
    assert result.output_tokens.tolist() == [row[2] for row in rows]


def cancelled(at_s: float):
    work = workload((0.0, 1, 1_000), (0.0, 1, 10), predicted=5.0)
    endpoint = replace(ENDPOINT, max_concurrent=2)
    predictor = WorkloadPredictor(work, [endpoint], [TIMES])
    scheduler = Scheduler(
        [endpoint], AlwaysAdmit(), WeightedAssign(Weights(time=1)), FirstComeFirstServed(), predictor.prior_row()
    )  # fmt: skip
    engine = SimulatedEngine(TIMES, EngineLimits(1), FcfsIteration(), work.lengths)
    return simulate(
        scheduler, predictor, None, work.arrivals(), FixedService(lambda _: 0.0), VirtualClock(),
        engines={"e": engine}, also=[(at_s, Cancelled("0"))],
    )  # fmt: skip


def test_a_cancelled_request_leaves_the_engine_after_its_step():
    result = cancelled(0.5)
    assert [DISPOSITIONS[kind] for kind in result.disposition] == ["failed", "answered"]
    assert result.e2e_s[0] == pytest.approx(0.5)
    assert 0.5 < result.ttft_s[1] < 0.5 + 2 * 0.012


def test_ten_thousand_cancellations_in_the_engine_leave_it_empty():
    engine = SimulatedEngine(TIMES, EngineLimits(4), FcfsIteration(), lambda _: Lengths(1, 100))
    [(_, request)] = workload((0.0, 1, 1)).arrivals()
    for n in range(10_000):
        engine.start(replace(request, id=str(n)), 0.0, 0.001 * n)
        engine.stop(str(n), 0.001 * n)
        while engine.due_s() <= 0.001 * n:
            assert engine.advance(0.001 * n) == []
    while engine.due_s() < np.inf:
        assert engine.advance(engine.due_s()) == []
    assert len(engine) == 0


def test_energy_is_the_engines_and_is_shared():
    result = run(workload((0.0, 1, 50), (0.0, 1, 80)), times=replace(TIMES, power_w=100.0))
    assert result.energy_j.sum() == pytest.approx(100.0 * result.horizon_s)
    assert result.energy_j[1] > result.energy_j[0]


def test_the_gateway_keeps_what_is_beyond_slots_and_lead():
    rows = [(0.0, 1, 10)] * 8
    waits = {
        lead: np.sort(run(workload(*rows), slots=2, place="gateway", lead=lead).queue_s) for lead in (0, 3)
    }
    assert (waits[0] > 0).sum() == 6
    assert (waits[3] > 0).sum() == 3


@pytest.mark.parametrize(
    ("serving", "says"),
    [
        (Serving("lifo"), "there is no order 'lifo'"),
        (Serving("mlfq", "gateway"), "can't be placed in the gateway's queue"),
        (Serving("fcfs", "moon"), "can't be placed in 'moon'"),
    ],
)
def test_orders_that_can_not_be(serving, says):
    with pytest.raises(BadRequest, match=says):
        serving.check()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([(2.0, 1, 1), (1.0, 1, 1)], "row 1 comes at 1 s, after one at 2 s"),
        ([(0.0, 1, 1), (np.nan, 1, 1)], "row 1: arrival_s is nan"),
        ([(0.0, -3, 1)], "row 0: prompt_tokens is -3"),
        ([(0.0, 1, 1e12)], "row 0: output_tokens is 1e"),
    ],
)
def test_workloads_that_can_not_be(rows, says):
    with pytest.raises(BadRequest, match=says):
        workload(*rows)


def test_engines_and_arrivals_that_can_not_be():
    with pytest.raises(BadRequest, match="Give at least 1"):
        EngineLimits(0)
    with pytest.raises(BadRequest, match="as many tokens a step as slots"):
        EngineLimits(100, step_tokens=50)
    with pytest.raises(BadRequest, match="no times are known of an engine 'cray'"):
        times_named("cray")
    with pytest.raises(BadRequest, match="Give a rate and a variation above 0"):
        gamma_arrivals(10, 0.0, 1.0, np.random.default_rng(1))


def test_arrivals_have_the_rate_and_variation_asked_for():
    gaps = np.diff(gamma_arrivals(200_000, 4.0, 2.0, np.random.default_rng(1)))
    assert gaps.mean() == pytest.approx(0.25, rel=0.02)
    assert gaps.std() / gaps.mean() == pytest.approx(2.0, rel=0.02)


def test_what_is_shipped_is_plausible():
    assert len(shipped_times()) >= 8
    for times in shipped_times().values():
        coefficients = (times.base_s, times.sequence_s, times.context_token_s, times.prefill_token_s)
        assert min(coefficients) >= 0 < sum(coefficients)
        assert times.error is not None
        assert times.error < 0.15


def test_goals_count_those_that_keep_them():
    result = run(workload(*[(0.0, 1, 10)] * 4), slots=1)
    found = measures(result, Goal(ttft_s=0.2))
    assert found["good"] == 0.5
    assert found["goodput_per_s"] == pytest.approx(2 / result.horizon_s)
    assert found["max_waiting_s max"] == found["ttft_s max"]


def test_an_interval_over_seeds():
    """Three values 1, 2, 3: t is 4.303 with two degrees of freedom."""
    over = over_seeds([1.0, 2.0, 3.0])
    assert over.value == 2.0
    assert over.high == pytest.approx(2 + 4.303 / np.sqrt(3))
    assert np.isnan(over_seeds([1.0]).low)


def test_an_order_in_the_gateway_does_what_it_says():
    """One slot: the first runs, then the shorter of the two that wait."""
    work = replace(
        workload((0.0, 1, 30), (0.01, 1, 40), (0.02, 1, 10)), predicted_tokens=np.array([30.0, 40, 10])
    )
    ends = {}
    for order in ("fcfs", "ranked", "bounded"):
        settings = OrderSettings(stretch=100.0)
        result = run(work, slots=1, order=order, place="gateway", settings=settings)
        ends[order] = np.argsort(result.arrived_s + result.e2e_s).tolist()
    assert ends == {"fcfs": [0, 1, 2], "ranked": [0, 2, 1], "bounded": [0, 2, 1]}
