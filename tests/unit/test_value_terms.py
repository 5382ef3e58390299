"""The terms of a decision by value agree with the competition's own (sources.md, section 1)."""

import math
from dataclasses import replace

import numpy as np
import pytest

from pointsman.admit.put_off import Patience, PutOffAdmit
from pointsman.admit.random import RandomAdmit
from pointsman.admit.threshold import ThresholdAdmit
from pointsman.admit.value import ValueAdmit
from pointsman.assign.floor import FloorAssign
from pointsman.assign.value import ValueAssign
from pointsman.metrics import run_or_skip
from pointsman.testing.fakes import make_endpoints, make_request, make_table
from pointsman.types import Admission, Estimate, Penalties, RunCost, Slo, ValueTerms
from pointsman.types.value import running_costs, skipping_costs

ENDPOINTS = make_endpoints(3)
ALL = np.ones((1, 3), dtype=bool)


def table_of(quality, **columns):
    """One row over as many endpoints as there are qualities."""
    made = make_table(make_endpoints(len(quality)))
    changes = {"quality": quality, **columns}
    exact = {name: Estimate.exact(np.array([values], dtype=float)) for name, values in changes.items()}
    return replace(made, **exact)


def actions(policy, table, requests=None):
    n = table.n_requests
    eligible = np.ones((n, len(table.endpoints)), dtype=bool)
    requests = requests or [make_request(f"r{i}") for i in range(n)]
    return [admit.action for admit in policy.admit(requests, table, eligible, 0.0)]


@pytest.mark.parametrize(
    ("c_run", "c_wrong", "c_miss"), [(0.2, 1, 1), (0.05, 2, 1), (0.1, 0.5, 3), (0.9, 1, 1)]
)
def test_for_one_model_it_is_the_threshold_of_the_competition(c_run, c_wrong, c_miss):
    penalties = Penalties(c_wrong, c_miss)
    theirs = run_or_skip.Stakes(c_run, c_wrong, c_miss)
    t = penalties.threshold(c_run)
    assert t == pytest.approx((c_run + c_wrong) / (c_miss + c_wrong))
    assert t == pytest.approx(float(theirs.threshold))
    policy = ValueAdmit(ValueTerms(RunCost(constant=c_run), penalties))
    for q in np.linspace(0, 1, 101):
        if abs(q - t) > 1e-9:
            [action] = actions(policy, table_of([q]))
            assert (action is Admission.RUN) == (q >= t)
            assert (action is Admission.RUN) == (run_or_skip.decide(np.array([q]), theirs)[0] >= 0)


def test_nothing_at_stake_has_no_threshold():
    assert Penalties(0.0, 0.0).threshold(0.1) == math.inf


def test_equal_costs_run():
    policy = ValueAdmit(ValueTerms(RunCost(constant=0.5), Penalties(1.0, 1.0)))
    assert actions(policy, table_of([0.75])) == [Admission.RUN]  # 0.5 + 0.25 = 0.75, exactly
    assert actions(policy, table_of([np.nextafter(0.75, 0.0)])) == [Admission.SKIP]


def test_what_a_run_costs_follows_from_the_request():
    rates = RunCost(constant=0.1, per_usd=100.0, per_s=0.05, per_j=0.001)
    table = table_of([0.5, 0.5], price_usd=[0.001, 0.002], time_s=[2.0, 4.0], energy_j=[10.0, 20.0])
    assert rates.of(table)[0] == pytest.approx([0.1 + 0.1 + 0.1 + 0.01, 0.1 + 0.2 + 0.2 + 0.02])


def test_skipping_is_measured_by_the_best_that_could_have_run():
    terms = ValueTerms(RunCost(), Penalties(1.0, 2.0))
    table = table_of([0.3, 0.9, 0.6])
    asked = [make_request()]
    assert skipping_costs(asked, table, ALL, terms) == pytest.approx([1.8])
    assert skipping_costs(asked, table, np.array([[True, False, True]]), terms) == pytest.approx([1.2])
    assert running_costs(asked, table, terms)[0] == pytest.approx([0.7, 0.1, 0.4])


def test_a_service_class_has_its_own_penalties():
    terms = ValueTerms(RunCost(constant=0.3), Penalties(), {"priority": Penalties(1.0, 9.0)})
    requests = [make_request("a"), make_request("b", slo=Slo("priority"))]
    table = make_table(ENDPOINTS, 2)
    table = replace(table, quality=Estimate.exact(np.full((2, 3), 0.4)))
    assert actions(ValueAdmit(terms), table, requests) == [Admission.SKIP, Admission.RUN]


def test_a_dear_endpoint_may_still_be_worth_it_where_a_cheap_one_is_not():
    terms = ValueTerms(RunCost(per_usd=100.0))
    table = table_of([0.4, 0.95], price_usd=[0.0, 0.002])
    [admit] = ValueAdmit(terms).admit([make_request()], table, ALL[:, :2], 0.0)
    assert admit.action is Admission.RUN
    weighed = admit.valuation
    assert (weighed.endpoint, weighed.quality) == (1, 0.95)
    assert (weighed.run_cost, weighed.skip_cost) == pytest.approx((0.25, 0.95))
    assert admit.reason == "running is expected to cost 0.25 (on e1, quality 0.950), skipping 0.95"


def test_the_choice_by_value_is_the_one_the_admission_judged_by():
    terms = ValueTerms(RunCost(per_usd=100.0, per_s=0.01))
    requests = [make_request(f"r{i}") for i in range(50)]
    table, eligible = make_table(ENDPOINTS, 50, seed=2), np.ones((50, 3), dtype=bool)
    judged = [a.valuation.endpoint for a in ValueAdmit(terms).admit(requests, table, eligible, 0.0)]
    made = ValueAssign(terms).assign(requests, table, eligible, [])
    assert made.endpoint_index.tolist() == judged
    assert len(set(judged)) > 1


def test_of_equal_costs_the_choice_by_value_takes_the_least_energy():
    table = table_of([0.5, 0.5, 0.5], energy_j=[3.0, 1.0, 2.0])
    made = ValueAssign(ValueTerms()).assign([make_request()], table, ALL, [])
    assert made.endpoint_index.tolist() == [1]


@pytest.mark.parametrize("policy", [ValueAdmit(ValueTerms(RunCost(constant=5.0))), ThresholdAdmit(1.0)])
def test_a_prior_alone_skips_nothing(policy):
    table = make_table(ENDPOINTS, 2)
    assert actions(policy, table) == [Admission.SKIP] * 2
    assert actions(policy, replace(table, bypassed=True)) == [Admission.RUN] * 2


@pytest.mark.parametrize("policy", [ValueAdmit(ValueTerms(RunCost(constant=5.0))), ThresholdAdmit(1.0)])
def test_what_is_unknown_runs_and_one_unknown_does_not_matter(policy):
    assert actions(policy, table_of([np.nan, np.nan])) == [Admission.RUN]
    assert actions(policy, table_of([np.nan, 0.3])) == [Admission.SKIP]


def test_a_threshold_is_reached_by_its_equal():
    policy = ThresholdAdmit(0.6)
    assert actions(policy, table_of([0.1, 0.6])) == [Admission.RUN]
    [admit] = policy.admit([make_request()], table_of([0.1, 0.59]), ALL[:, :2], 0.0)
    assert admit.reason == "the best predicted quality, 0.590 on e1, is below 0.6"
    assert (admit.valuation.quality, admit.valuation.threshold) == (0.59, 0.6)


def test_chance_runs_its_share_and_knows_its_own():
    n = 4000
    requests = [make_request(f"r{i}") for i in range(n)]
    table, eligible = make_table(ENDPOINTS, n), np.ones((n, 3), dtype=bool)
    runs = [a.action is Admission.RUN for a in RandomAdmit(0.4).admit(requests, table, eligible, 0.0)]
    assert abs(sum(runs) / n - 0.4) < 4 * math.sqrt(0.24 / n)
    backwards = RandomAdmit(0.4).admit(requests[::-1], table, eligible, 9.0)
    assert [a.action is Admission.RUN for a in backwards][::-1] == runs
    other = [
        a.action is Admission.RUN for a in RandomAdmit(0.4, seed=1).admit(requests, table, eligible, 0.0)
    ]
    assert other != runs
    assert all(a.action is Admission.SKIP for a in RandomAdmit(0.0).admit(requests, table, eligible, 0.0))
    assert all(a.action is Admission.RUN for a in RandomAdmit(1.0).admit(requests, table, eligible, 0.0))


def test_the_floor_takes_the_cheapest_that_reaches_it_and_else_the_best():
    table = table_of([0.6, 0.8, 0.9], price_usd=[1e-4, 2e-4, 3e-4])
    asked = [make_request()]

    def chosen(threshold, eligible=ALL):
        made = FloorAssign(threshold).assign(asked, table, eligible, [])
        return made.endpoint_index.item(), made.reason[0]

    assert chosen(0.5) == (0, "lowest predicted price $0.0001 of 3 with predicted quality from 0.5")
    assert chosen(0.8)[0] == 1
    assert chosen(0.8, np.array([[True, False, True]]))[0] == 2
    assert chosen(0.95) == (2, "no predicted quality reaches 0.95: the best, 0.900")
    assert chosen(0.95, np.array([[True, True, False]]))[0] == 1


def test_free_endpoints_at_the_floor_are_told_apart_by_energy():
    table = table_of([0.8, 0.8, 0.5], price_usd=[0.0] * 3, energy_j=[9.0, 5.0, 1.0])
    assert FloorAssign(0.7).assign([make_request()], table, ALL, []).endpoint_index.item() == 1


def test_what_is_put_off_is_looked_at_again_until_its_time_is_up():
    policy = PutOffAdmit(ThresholdAdmit(0.9), Patience(retry_s=10.0, max_s=25.0))
    table, request = table_of([0.5]), make_request()

    def look(request, now):
        [admit] = policy.admit([request], table, ALL[:, :1], now)
        return admit

    first = look(request, 100.0)
    assert (first.action, first.until_s) == (Admission.DEFER, 110.0)
    assert first.reason == "put off: the best predicted quality, 0.500 on e0, is below 0.9"
    later = request.put_off(100.0)
    assert (later.slo.service_class, later.put_off_s, later.put_off(105.0)) == ("batch", 100.0, later)
    assert look(later, 120.0).until_s == 125.0
    last = look(later, 125.0)
    assert last.action is Admission.RUN
    assert last.reason.startswith("put off for 25 s, the limit")
    refusing = PutOffAdmit(ThresholdAdmit(0.9), Patience(10.0, 25.0, then_run=False))
    assert refusing.admit([later], table, ALL[:, :1], 125.0)[0].action is Admission.REFUSE
    assert policy.admit([request], table_of([0.95]), ALL[:, :1], 0.0)[0].action is Admission.RUN
