"""The policy `constrained`: one decision, and a stream through the scheduler in virtual time."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from pointsman.admit.always import AlwaysAdmit
from pointsman.assign.constrained import ConstrainedAssign
from pointsman.assign.explain import explain
from pointsman.assign.stream_terms import ConstrainedTerms
from pointsman.clock import VirtualClock
from pointsman.decide import Decider
from pointsman.events import CapacityChanged, Labelled
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.scheduler import Scheduler, SchedulerOptions
from pointsman.sim.driver import simulate
from pointsman.sim.service import Service
from pointsman.testing.contract import check_assign_policy
from pointsman.testing.fakes import make_endpoints, make_request, make_table, unknown_prior
from pointsman.types import (
    SKIPPED,
    UNASSIGNED,
    Admission,
    CostTable,
    Disposition,
    EndpointLoad,
    EndpointView,
    Estimate,
    Label,
    Outcome,
    Slo,
)

ENDPOINTS = make_endpoints(3, max_concurrent=2)
NAMES = ("e0", "e1", "e2")
QUALITY, PRICE_USD, TIME_S = (0.5, 0.7, 0.9), (1e-4, 3e-4, 1e-3), (1.0, 2.0, 4.0)


def table(rows: int = 1, *, quality=QUALITY, price_usd=PRICE_USD, time_s=TIME_S) -> CostTable:
    """Every request alike: the dearer, the better, the slower."""

    def alike(values: tuple[float, ...]) -> Estimate:
        return Estimate.without_interval(np.tile(np.array(values), (rows, 1)))

    made = make_table(ENDPOINTS, rows)
    return replace(
        made, quality=alike(quality), price_usd=alike(price_usd), time_s=alike(time_s), energy_j=alike(time_s)
    )


def view(queued=(0, 0, 0), running=(0, 0, 0), slots=(2, 2, 2), load=(None, None, None)) -> list[EndpointView]:
    each = zip(NAMES, queued, running, slots, load, strict=True)
    return [EndpointView(name, q, r, s, healthy=True, load=own) for name, q, r, s, own in each]


def policy(**terms) -> ConstrainedAssign:
    return ConstrainedAssign(NAMES, ConstrainedTerms(**terms))


def choose(made: ConstrainedAssign, request=None, predicted=None, eligible=None, seen=None) -> int:
    allowed = np.ones((1, 3), dtype=bool) if eligible is None else np.array([eligible])
    answer = made.assign([request or make_request()], predicted or table(), allowed, seen or view())
    return int(answer.endpoint_index[0])


class TableOf:
    """The same predictions for every request."""

    name = "table"

    def __init__(self):
        self.row = table()

    def predict(self, requests, running):
        return self.row.take(np.zeros(len(requests), dtype=np.int64))


class Real:
    """Right as often as predicted, but for what is too much; takes and costs what is predicted, times `times`."""

    def __init__(self, too_much=0.0, times=1.0, labelled=1.0):
        self.too_much, self.times, self.labelled = too_much, times, labelled
        self.served: list[tuple[str, float]] = []

    def serve(self, request, endpoint, running, rng):
        e = NAMES.index(endpoint.name)
        right = float(rng.random() < QUALITY[e] - self.too_much)
        self.served.append((endpoint.name, right))
        return Service(
            TIME_S[e],
            input_tokens=10,
            output_tokens=10,
            energy_j=TIME_S[e] * self.times,
            quality=right if rng.random() < self.labelled else None,
        )


def scheduler_of(made: ConstrainedAssign, **options) -> Scheduler:
    return Scheduler(
        ENDPOINTS, AlwaysAdmit(), made, FirstComeFirstServed(), unknown_prior(ENDPOINTS),
        SchedulerOptions(**options),
    )  # fmt: skip


def stream(made: ConstrainedAssign, service: Real, *, n=1_500, gap_s=2.0, also=(), request=make_request):
    arrivals = ((k * gap_s, request(f"r{k}")) for k in range(n))
    scheduler = scheduler_of(made)
    result = simulate(scheduler, TableOf(), None, arrivals, service, VirtualClock(), also=also)
    assert len(result.e2e_s) == n
    return result


def share(service: Real, name: str, since: int = 0) -> float:
    rows = service.served[since:]
    return sum(endpoint == name for endpoint, _ in rows) / len(rows)


def quality(service: Real, since: int = 0) -> float:
    return float(np.mean([right for _, right in service.served[since:]]))


def test_it_keeps_the_contract_of_assign_policies():
    names = [endpoint.name for endpoint in make_endpoints(4)]
    terms = ConstrainedTerms(min_quality=0.6, max_share={"e0": 0.5}, usd_per_request=1.0)
    check_assign_policy(lambda: ConstrainedAssign(names, terms), batch_equals_single=False)


def test_a_batch_is_decided_as_if_its_requests_came_one_by_one():
    """Looking ahead in a batch moves the same prices as settling does."""
    together, apart = policy(min_quality=0.75), policy(min_quality=0.75)
    requests = [make_request(f"r{k}") for k in range(40)]
    at_once = together.assign(requests, table(40), np.ones((40, 3), dtype=bool), view())
    seen, decider = [0, 0, 0], Decider(ENDPOINTS, AlwaysAdmit(), apart, max_queued=1_000)
    for k, request in enumerate(requests):
        running = tuple(min(2, own) for own in seen)
        queued = tuple(max(0, own - 2) for own in seen)
        decided = decider.decide([request], table(), view(queued, running), 0.0)[0]
        assert decided.column == at_once.endpoint_index[k]
        apart.settled(request, decided.decision)
        seen[decided.column] += 1


def test_without_limits_it_takes_the_cheapest_and_with_a_floor_it_meets_it_at_least_cost():
    free = Real()
    stream(policy(), free, n=200, gap_s=10.0)
    assert share(free, "e0") == 1.0
    bound = Real()
    stream(policy(min_quality=0.75), bound)
    assert quality(bound) == pytest.approx(0.75, abs=0.02)
    # $ a point of quality is least from e0 to e1 (1e-5) and then to e2 (3.5e-5): the mix is of e1 and e2.
    assert share(bound, "e0", 500) < 0.1


def test_labels_make_up_for_predictions_that_are_too_high():
    believed, corrected = Real(too_much=0.1, labelled=0.0), Real(too_much=0.1, labelled=0.3)
    stream(policy(min_quality=0.7), believed)
    stream(policy(min_quality=0.7), corrected)
    assert quality(believed) == pytest.approx(0.6, abs=0.03)
    assert quality(corrected) >= 0.7 - 0.02


def test_budgets_count_what_answers_really_used():
    """Every answer takes twice the energy that was predicted: the mean still comes to the budget."""
    real = Real(times=2.0)
    made = policy(min_quality=0.6, j_per_request=3.0, per_usd=0.0, per_s=1.0)
    stream(made, real)
    used = np.mean([2.0 * TIME_S[NAMES.index(name)] for name, _ in real.served[300:]])
    assert used <= 3.0 * 1.05


def test_shares_hold_and_a_tenants_floor_is_its_own():
    real = Real()
    made = policy(by_tenant={"acme": 0.85}, max_share={"e0": 0.4})
    stream(
        made, real, request=lambda name: make_request(name, tenant="acme" if int(name[1:]) % 2 else "other")
    )
    assert share(real, "e0") <= 0.4 + 0.02
    [floor, limit] = made.limits()
    assert (floor.name, limit.name) == ("quality floor tenant:acme", "max_share_requests e0")
    assert floor.slack == pytest.approx(0.0, abs=0.02)
    assert floor.price > 0


def test_a_full_endpoint_is_a_choice_at_the_price_of_its_wait():
    made = policy()
    stream(made, Real(), n=100)
    assert choose(made) == 0
    assert choose(made, seen=view(running=(2, 0, 0), queued=(1, 0, 0))) == 0  # a second costs less than $2e-4
    assert choose(made, seen=view(running=(2, 0, 0), queued=(9, 0, 0))) == 1
    others = EndpointLoad(queued=9, running=2)
    assert choose(made, seen=view(load=(others, None, None))) == 1
    assert choose(made, seen=view(slots=(0, 2, 2))) == 1


def test_a_deadline_counts_the_wait_and_is_given_up_only_where_nobody_meets_it():
    hurried = make_request(slo=Slo(e2e_s=3.0))
    made = policy(min_quality=0.75)
    assert choose(made, hurried) == 0
    assert choose(made, hurried, seen=view(running=(2, 0, 0), queued=(4, 0, 0))) == 1
    assert choose(made, hurried, eligible=[False, False, True]) == 2


def test_skipping_is_a_choice_by_its_cost_and_only_where_the_caller_lets_it():
    made = policy(skip_cost=5e-5)
    decided = Decider(ENDPOINTS, AlwaysAdmit(), made, max_queued=10).decide(
        [make_request("a"), make_request("b", allow_skip=False)], table(2), view(), 0.0
    )
    assert [own.admit.action for own in decided] == [Admission.SKIP, Admission.RUN]
    assert decided[0].decision.policy == "constrained"
    assert "not answering costs less" in decided[0].admit.reason
    assert choose(policy(skip_cost=5e-4)) == 0
    held = policy(skip_cost=5e-5, min_quality=0.5)
    real = Real()
    stream(held, real)
    assert len(real.served) / 1_500 > 0.5  # the skipped count 0 in the floor, so that most are answered


def test_what_did_not_run_where_it_was_placed_is_owed_no_more():
    made = policy(min_quality=0.75)
    request = make_request()
    decider = Decider(ENDPOINTS, AlwaysAdmit(), made, max_queued=10)
    decision = decider.decide([request], table(), view(), 0.0)[0].decision
    before = made._duals._debt.copy()
    made.settled(request, decision)
    assert (made._duals._debt != before).any()
    made.settled(request, replace(decision, endpoint=None, action=Admission.DEFER, rates=None))
    assert made._duals._debt == pytest.approx(before)


def test_labels_count_once_a_source_and_change_with_it():
    made = policy(min_quality=0.75)
    request = make_request()
    decision = Decider(ENDPOINTS, AlwaysAdmit(), made, max_queued=10).decide([request], table(), view(), 0.0)[
        0
    ]
    made.settled(request, decision.decision)
    made.labelled([Label("r0", 1.0, "form")])
    after_one = made._duals._debt.copy()
    made.labelled([Label("r0", 1.0, "form"), Label("never", 0.0, "form")])
    assert (made._duals._debt == after_one).all()
    made.labelled([Label("r0", 0.0, "grader")])  # the mean of the two is .5
    assert made._duals._debt == pytest.approx(after_one + 0.5)


def test_events_drive_it_through_the_scheduler_and_a_replay_is_equal():
    def run():
        made, real = policy(min_quality=0.75), Real(labelled=0.0)
        late = [(600.0 + k, Labelled((Label(f"r{k}", float(k % 3 > 0), "form"),))) for k in range(300)]
        dies = [(500.0, CapacityChanged("e2", 2, healthy=False)), (900.0, CapacityChanged("e2", 2))]
        also = sorted(late + dies, key=lambda item: item[0])
        stream(made, real, n=600, also=also)
        return made, real

    (first, one), (second, two) = run(), run()
    assert one.served == two.served
    assert [own.price for own in first.limits()] == [own.price for own in second.limits()]
    assert first.limits()[0].mean < 0.75 + 0.1


def test_a_dead_endpoint_is_no_choice_and_its_quality_is_bought_back_later():
    real, made = Real(), policy(min_quality=0.8)
    dead = [(1000.0, CapacityChanged("e2", 2, healthy=False)), (2000.0, CapacityChanged("e2", 2))]
    stream(made, real, n=2_000, also=dead)
    names = [name for name, _ in real.served]
    assert "e2" not in names[510:990]
    assert quality(real) >= 0.8 - 0.02


def test_an_endpoint_without_figures_is_taken_only_where_there_is_no_other():
    unknown = table(price_usd=(np.nan, 3e-4, 1e-3), quality=(np.nan, np.nan, 0.9))
    assert choose(policy(), predicted=unknown) == 1
    assert choose(policy(), predicted=unknown, eligible=[True, False, False]) == 0
    nowhere = policy().assign([make_request()], table(), np.zeros((1, 3), dtype=bool), view())
    assert nowhere.endpoint_index[0] == UNASSIGNED
    assert SKIPPED not in nowhere.endpoint_index


def test_the_explanation_adds_up_and_says_what_would_change_it():
    made = policy(min_quality=0.75, max_share={"e1": 0.2}, patience_s=5.0)
    stream(made, Real(), n=300)
    decider = Decider(ENDPOINTS, AlwaysAdmit(), made, max_queued=100)
    busy = view(running=(2, 2, 2), queued=(5, 1, 0))
    decision = decider.decide([make_request()], table(), busy, 0.0)[0].decision
    shown = explain(decision)
    assert {term.objective for term in shown.candidates[0].terms} >= {"accuracy", "price", "wait"}
    for candidate in shown.candidates:
        assert sum(term.product for term in candidate.terms) == pytest.approx(candidate.score)
    assert {flip.endpoint for flip in shown.flips} == set(NAMES) - {decision.endpoint}
    assert "a point of quality costs" in decision.reason
    assert [limit.name for limit in shown.limits] == ["quality floor all", "max_share_requests e1"]
    assert f"slack {shown.limits[0].slack:.3g}" in shown.to_text()
    json.dumps(shown.to_dict(), allow_nan=False)
    fresh = Decider(ENDPOINTS, AlwaysAdmit(), policy(min_quality=0.75), max_queued=9)
    first = explain(fresh.decide([make_request()], table(), view(), 0.0)[0].decision)
    assert json.loads(json.dumps(first.to_dict(), allow_nan=False))["limits"][0]["mean"] is None
    assert "limit quality floor all: nothing yet of 0.75" in first.to_text()


@pytest.mark.parametrize(
    ("terms", "predicted"),
    [
        ({"min_quality": 0.75}, {"quality": (np.nan, 0.7, 0.9)}),
        ({"per_usd": 0.0, "per_j": 1.0, "usd_per_request": 5e-5}, {"price_usd": (np.nan, 3e-4, 1e-3)}),
        ({"min_quality": 0.75}, {"time_s": (np.inf, 2.0, 4.0)}),
    ],
)
def test_it_adds_up_where_predictions_are_missing(terms, predicted):
    made = policy(**terms)
    stream(made, Real(), n=100)
    decider = Decider(ENDPOINTS, AlwaysAdmit(), made, max_queued=100)
    decision = decider.decide([make_request()], table(**predicted), view(), 0.0)[0].decision
    assert decision.rates.limits.price[0] > 0
    for candidate in explain(decision).candidates:
        assert sum(term.product for term in candidate.terms) == pytest.approx(candidate.score)


@pytest.mark.parametrize("price_usd", [(1e-4, 1e-4, 1e-4), (0.0, 0.0, 0.0)])
def test_where_all_cost_the_same_limits_and_waits_still_count(price_usd):
    def settle(made, seen) -> list[int]:
        decider, columns = Decider(ENDPOINTS, AlwaysAdmit(), made, max_queued=1_000), []
        for k in range(1_000):
            request = make_request(f"r{k}")
            column, decision = decider.decide([request], table(price_usd=price_usd), seen, 0.0)[0][1:]
            made.settled(request, decision)
            columns.append(column)
        return columns

    assert np.mean([QUALITY[e] for e in settle(policy(min_quality=0.8), view())]) == pytest.approx(
        0.8, abs=0.01
    )
    assert settle(policy(max_share={"e0": 0.3}), view()).count(0) == pytest.approx(300, abs=20)
    assert set(settle(policy(), view(running=(2, 0, 2)))[1:]) == {1}, "it has free slots"


def test_old_requests_are_forgotten(monkeypatch):
    monkeypatch.setattr("pointsman.assign.constrained.REMEMBERED", 3)
    made, numbers = policy(min_quality=0.6), count()
    stream(made, Real(labelled=0.0), n=10, request=lambda name: make_request(f"{name}-{next(numbers)}"))
    assert len(made._placed) == 3


def test_an_id_that_comes_again_leaves_what_the_answered_request_used():
    def used(ids) -> list[int]:
        made, columns = policy(min_quality=0.75), []
        decider = Decider(ENDPOINTS, AlwaysAdmit(), made, max_queued=1_000)
        for k in range(300):
            request = make_request(ids(k))
            column, decision = decider.decide([request], table(), view(), 0.0)[0][1:]
            made.settled(request, decision)
            made.ended(Outcome(request.id, NAMES[column], Disposition.ANSWERED))
            columns.append(column)
        return columns

    assert used(lambda _: "same") == used(lambda k: f"r{k}")
