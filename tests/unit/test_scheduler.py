from dataclasses import replace

import numpy as np
import pytest

from pointsman.admit.always import AlwaysAdmit
from pointsman.admit.put_off import Patience, PutOffAdmit
from pointsman.admit.threshold import ThresholdAdmit
from pointsman.errors import InternalError
from pointsman.events import (
    Abort,
    Arrived,
    Cancelled,
    CapacityChanged,
    Completed,
    Deferred,
    Dispatch,
    Failed,
    Finish,
    Learn,
    LoadObserved,
    Predict,
    Predicted,
    PredictFailed,
    PredictionDue,
    Record,
    Wake,
    Woke,
)
from pointsman.hooks import Hooks
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.scheduler import Scheduler, SchedulerOptions
from pointsman.testing.fakes import make_endpoints, make_request, make_table, unknown_prior
from pointsman.types import (
    Admission,
    Admit,
    Assignment,
    Disposition,
    EndpointLoad,
    Estimate,
    Limits,
    Outcome,
)

ENDPOINTS = make_endpoints(2, max_concurrent=1)


class Quickest:
    name = "quickest"

    def __init__(self):
        self.asked = []

    def assign(self, requests, table, eligible, view):
        self.asked.append((len(requests), view))
        score = np.where(eligible, table.time_s.value, np.inf)
        return Assignment(score.argmin(axis=1), score, ("least time",) * len(requests))


def build(*, admit=None, assign=None, order=None, max_queued=100, hooks=None, endpoints=ENDPOINTS):
    return Scheduler(
        endpoints,
        admit or AlwaysAdmit(),
        assign or Quickest(),
        order or FirstComeFirstServed(),
        unknown_prior(endpoints),
        SchedulerOptions(predict_deadline_s=0.25, max_queued=max_queued, retry_assignment_s=0.1),
        hooks,
    )


def arrive(scheduler, *ids, now=0.0):
    """Requests arrive and are predicted at once; gives what came of the predictions."""
    scheduler.step([Arrived(make_request(i)) for i in ids], now)
    return scheduler.step([Predicted(ids, make_table(scheduler.endpoints, len(ids)))], now)


def of_kind(commands, kind):
    return [command for command in commands if isinstance(command, kind)]


def answered(command, **fields):
    outcome = Outcome(command.request_id, command.endpoint, Disposition.ANSWERED, **fields)
    return Completed(command.request_id, outcome)


def test_a_life_in_commands():
    scheduler = build()
    request = make_request("a")
    predict, wake = scheduler.step([Arrived(request)], 1.0)
    assert predict == Predict((request,), (0, 0), 1.25)
    assert wake == Wake(1.25, PredictionDue(("a",)))
    record, dispatch = scheduler.step([Predicted(("a",), make_table(ENDPOINTS))], 1.5)
    assert isinstance(record, Record)
    assert dispatch == Dispatch("a", record.decision.endpoint)
    finish, learn = scheduler.step([answered(dispatch, e2e_s=2.0)], 3.5)
    assert finish.outcome == Outcome(
        "a", dispatch.endpoint, Disposition.ANSWERED, e2e_s=2.0, queue_s=0.5, running=0
    )
    assert finish.code == ""
    assert learn == Learn((finish.outcome,))
    assert scheduler.step([Woke(PredictionDue(("a",)))], 4.0) == []
    assert len(scheduler.ledger) == 0


def test_arrivals_of_one_step_are_predicted_as_one_batch():
    commands = build().step([Arrived(make_request(i)) for i in "abc"], 0.0)
    assert [[r.id for r in predict.requests] for predict in of_kind(commands, Predict)] == [["a", "b", "c"]]


def test_one_that_arrives_and_is_cancelled_in_a_step_is_not_predicted():
    [finish] = build().step([Arrived(make_request("a")), Cancelled("a")], 0.0)
    assert (finish.outcome.disposition, finish.code) == (Disposition.FAILED, "cancelled")


@pytest.mark.parametrize(
    "event", [PredictFailed(("a",), "it broke"), Woke(PredictionDue(("a",)))], ids=["failed", "late"]
)
def test_without_predictions_the_prior_decides_and_the_bypass_is_seen(event):
    """Invariant 9."""
    seen = []

    class Seen(Hooks):
        def bypassed(self, n_requests, reason):
            seen.append((n_requests, reason))

    scheduler = build(hooks=Seen())
    scheduler.step([Arrived(make_request("a"))], 0.0)
    record, dispatch = scheduler.step([event], 0.25)
    assert record.decision.table.bypassed
    assert dispatch.endpoint == "e0"
    assert seen in ([(1, "it broke")], [(1, "predictions were late")])
    assert scheduler.step([Predicted(("a",), make_table(ENDPOINTS))], 0.3) == [], "too late: it runs"


def test_a_batch_never_makes_a_queue_longer_than_its_limit():
    policy = Quickest()
    scheduler = build(assign=policy, max_queued=3)
    ids = [f"r{i}" for i in range(20)]
    commands = arrive(scheduler, *ids)
    assert [view.queued for view in scheduler.view()] == [3, 3]
    assert len(of_kind(commands, Dispatch)) == 2
    assert [finish.code for finish in of_kind(commands, Finish)] == ["queue_full"] * 12
    assert [record.decision.request_id for record in of_kind(commands, Record)] == ids
    assert len(policy.asked) <= 3, "decided anew only when a queue became full"


def test_requests_move_when_their_endpoint_goes_down_and_keep_their_places():
    """Invariant 4 holds across the move: the order is that of arrival at the scheduler."""
    scheduler = build(max_queued=3)
    arrive(scheduler, *"abcdefgh")
    up, down = sorted(scheduler.view(), key=lambda view: view.name)
    commands = scheduler.step(
        [CapacityChanged(down.name, 1, healthy=False), CapacityChanged(up.name, 0)], 1.0
    )
    records = of_kind(commands, Record)
    assert {record.decision.excluded.get(down.name) for record in records} == {"it is down"}
    assert {finish.code for finish in of_kind(commands, Finish)} <= {"queue_full"}
    arrive(scheduler, "z", now=1.5)
    started = of_kind(scheduler.step([CapacityChanged(up.name, 9)], 2.0), Dispatch)
    ids = [dispatch.request_id for dispatch in started]
    assert ids == sorted(ids)
    assert len(ids) >= 3


def test_all_down_refuses_those_that_waited():
    scheduler = build()
    arrive(scheduler, "a", "b", "c", "d", "e")
    downs = [CapacityChanged(e.name, 1, healthy=False) for e in ENDPOINTS]
    finishes = of_kind(scheduler.step(downs, 1.0), Finish)
    assert {finish.code for finish in finishes} == {"endpoint_down"}
    assert len(finishes) + sum(view.running for view in scheduler.view()) == 5


def test_capacity_that_comes_back_starts_those_that_wait():
    scheduler = build(endpoints=ENDPOINTS[:1])
    commands = arrive(scheduler, "a", "b", "c")
    assert [d.request_id for d in of_kind(commands, Dispatch)] == ["a"]
    assert scheduler.step([CapacityChanged("e0", 3)], 1.0) == [Dispatch("b", "e0"), Dispatch("c", "e0")]


def test_a_running_request_that_is_cancelled_is_aborted_once_and_ends_as_cancelled():
    scheduler = build()
    [dispatch] = of_kind(arrive(scheduler, "a"), Dispatch)
    assert scheduler.step([Cancelled("a"), Cancelled("a")], 1.0) == [Abort("a", dispatch.endpoint)]
    assert sum(view.running for view in scheduler.view()) == 1, (
        "its slot is free only when the engine says so"
    )
    outcome = Outcome("a", dispatch.endpoint, Disposition.FAILED, "stopped")
    finish, _ = scheduler.step([Failed("a", outcome)], 2.0)
    assert finish.code == "cancelled"
    assert scheduler.step([Cancelled("a")], 3.0) == []


def test_an_abort_that_came_too_late_is_an_answer():
    scheduler = build()
    [dispatch] = of_kind(arrive(scheduler, "a"), Dispatch)
    scheduler.step([Cancelled("a")], 1.0)
    finish, _ = scheduler.step([answered(dispatch)], 2.0)
    assert (finish.outcome.disposition, finish.code) == (Disposition.ANSWERED, "")


class DeferUntil(AlwaysAdmit):
    def __init__(self, until_s):
        self.until_s = until_s

    def admit(self, requests, table, eligible, now):
        if now < 5.0:
            return [Admit(Admission.DEFER, "later", self.until_s) for _ in requests]
        return super().admit(requests, table, eligible, now)


@pytest.mark.parametrize(
    ("until_s", "woken_s"),
    [(5.0, 5.0), (None, 1.1), (0.5, 1.1), (float("nan"), 1.1), (float("inf"), 1.1)],
)
def test_a_deferred_request_wakes_later_and_never_in_the_past(until_s, woken_s):
    scheduler = build(admit=DeferUntil(until_s))
    _, wake = arrive(scheduler, "a", now=1.0)
    assert wake == Wake(pytest.approx(woken_s), Deferred("a"))
    woken = scheduler.step([Woke(wake.timer)], 6.0)
    if until_s == 5.0:  # its admission put it off, so it is predicted anew, in the class of such requests
        predict, _ = woken
        assert (predict.requests[0].slo.service_class, predict.requests[0].put_off_s) == ("batch", 1.0)
        woken = scheduler.step([Predicted(("a",), make_table(ENDPOINTS))], 6.0)
    record, dispatch = woken
    assert dispatch.request_id == "a"
    assert record.decision.service_class == ("batch" if until_s == 5.0 else "default")
    assert record.decision.predictions.time_s.value.tolist() == make_table(ENDPOINTS).time_s.value.tolist()


def test_more_than_may_be_put_off_at_once_are_refused_until_one_goes():
    options = SchedulerOptions(max_put_off=2)
    scheduler = Scheduler(
        ENDPOINTS,
        DeferUntil(3.0),
        Quickest(),
        FirstComeFirstServed(),
        unknown_prior(ENDPOINTS),
        options,
    )
    commands = arrive(scheduler, "a", "b", "c", now=1.0)
    [refused] = of_kind(commands, Finish)
    assert (refused.outcome.request_id, refused.outcome.disposition) == ("c", Disposition.REFUSED)
    assert refused.code == "refused"
    assert refused.outcome.reason == (
        "2 requests are put off already, the limit: send it again later, or raise admission.defer.max_waiting"
    )
    [_, _, decision] = [command.decision for command in of_kind(commands, Record)]
    assert (decision.action, decision.reason) == (Admission.REFUSE, refused.outcome.reason)
    scheduler.step([Woke(Deferred("a")), Woke(Deferred("b"))], 2.0)
    again = scheduler.step([Predicted(("a", "b"), make_table(ENDPOINTS, 2))], 2.0)
    assert len(of_kind(again, Wake)) == 2, "those that wait are put off again"
    scheduler.step([Cancelled("a")], 2.1)
    assert not of_kind(arrive(scheduler, "d", now=2.2), Finish)
    assert of_kind(arrive(scheduler, "e", now=2.3), Finish)
    scheduler.step([Woke(Deferred("b"))], 6.0)
    scheduler.step([Predicted(("b",), make_table(ENDPOINTS))], 6.0)
    assert scheduler.ledger.put_off == {"d"}, "what runs is put off no longer"


def test_what_is_put_off_again_and_again_is_asked_until_its_time_is_up():
    policy = PutOffAdmit(ThresholdAdmit(1.0), Patience(retry_s=2.0, max_s=5.0, then_run=False))
    scheduler = build(admit=policy)
    commands = arrive(scheduler, "a", now=1.0)
    looks = []
    while wakes := of_kind(commands, Wake):
        [wake] = wakes
        looks.append(wake.at_s)
        scheduler.step([Woke(wake.timer)], wake.at_s)
        commands = scheduler.step([Predicted(("a",), make_table(ENDPOINTS))], wake.at_s)
    record, finish = commands
    assert looks == [3.0, 5.0, 6.0]
    assert (finish.outcome.disposition, finish.code) == (Disposition.REFUSED, "refused")
    assert record.decision.reason.startswith("put off for 5 s, the limit")
    assert len(scheduler.ledger) == 0


class NoKey(FirstComeFirstServed):
    name = "no_key"

    def key(self, request, decision, arrived_s):
        return {"nan": float("nan"), "inf": float("inf")}[request.id]


@pytest.mark.parametrize("request_id", ["nan", "inf", "raises KeyError"])
def test_an_order_policy_at_fault_fails_its_request_alone(request_id):
    seen = []

    class Seen(Hooks):
        def policy_raised(self, policy, error):
            seen.append((policy, type(error)))

    scheduler = build(order=NoKey(), hooks=Seen())
    finish = arrive(scheduler, request_id)[-1]
    error = KeyError if "raises" in request_id else InternalError
    assert seen == [("no_key", error)]
    assert finish.code == "internal_error"
    assert finish.outcome.reason == f"policy no_key raised {error.__name__}"
    assert len(scheduler.ledger) == 0


def test_policies_see_the_load_that_an_endpoint_observed():
    policy = Quickest()
    scheduler = build(assign=policy)
    load = EndpointLoad(queued=4, running=2, kv_use=0.5, observed_at_s=0.5)
    assert scheduler.step([LoadObserved("e1", load)], 0.5) == []
    arrive(scheduler, "a", now=1.0)
    assert [view.load for view in policy.asked[-1][1]] == [None, load]


def test_a_prior_for_other_endpoints_is_refused():
    with pytest.raises(InternalError, match="one row for"):
        Scheduler(ENDPOINTS, AlwaysAdmit(), Quickest(), FirstComeFirstServed(), unknown_prior(ENDPOINTS[:1]))


def test_a_request_that_is_decided_again_keeps_its_limits():
    scheduler, ids = build(), ("runs", "waits", "open")
    limits = {"runs": Limits(0.5), "waits": Limits(0.5), "open": None}
    made = make_table(ENDPOINTS, 3)
    good = Estimate.without_interval(np.tile([0.4, 0.8], (3, 1)))
    slow = Estimate.without_interval(np.tile([9.0, 1.0], (3, 1)))
    scheduler.step([Arrived(make_request(i, limits=limits[i])) for i in ids], 0.0)
    scheduler.step([Predicted(ids, replace(made, quality=good, time_s=slow))], 0.0)
    assert [view.queued for view in scheduler.view()] == [0, 2]
    commands = scheduler.step([CapacityChanged("e1", 1, healthy=False)], 1.0)
    [finish] = of_kind(commands, Finish)
    assert (finish.outcome.request_id, finish.code) == ("waits", "endpoint_down")
    assert "e1: it is down" in finish.outcome.reason
    assert [command.request_id for command in of_kind(commands, Dispatch)] == ["open"]


def test_limits_are_of_priors_where_predictions_failed():
    """The prior of every endpoint is a quality of 0.5."""
    for least, code in ((0.5, None), (0.6, "limits_unmet")):
        scheduler = build()
        scheduler.step([Arrived(make_request("a", limits=Limits(least)))], 0.0)
        commands = scheduler.step([PredictFailed(("a",), "it broke")], 0.1)
        assert [finish.code for finish in of_kind(commands, Finish)] == ([code] if code else [])
        if code:
            assert "these are priors" in commands[-1].outcome.reason
