"""Answers that are held, judged, kept or asked for again: the loop's side, command by command."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from pointsman.admit.always import AlwaysAdmit
from pointsman.admit.answer import Verdict
from pointsman.assign.first import FirstAssign
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
    Predicted,
    Record,
)
from pointsman.hooks import Hooks
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.review import ANSWERED_ALREADY
from pointsman.scheduler import Scheduler, SchedulerOptions
from pointsman.testing.fakes import make_endpoints, make_request, make_table, unknown_prior
from pointsman.types import UNASSIGNED, AnswerSignals, Disposition, Estimate, Limits, Outcome

ENDPOINTS = make_endpoints(3, max_concurrent=1)
NAMES = tuple(endpoint.name for endpoint in ENDPOINTS)
GOOD, BAD = AnswerSignals(mean_logprob=-0.1), AnswerSignals(mean_logprob=-5.0)


class Strict:
    """Asks the next endpoint after every bad answer."""

    name = "strict"

    def __init__(self, fault=None):
        self.fault = fault

    def holds(self, request, decision):
        return decision.endpoint != NAMES[-1]

    def judge(self, request, table, column, signals, eligible):
        if self.fault:
            raise self.fault
        chosen = UNASSIGNED if signals == GOOD or not eligible.any() else int(eligible.argmax())
        return Verdict(chosen, "good" if signals == GOOD else "bad", np.ones(len(NAMES)))


class Heard(Hooks):
    def __init__(self):
        self.unused_runs, self.faults = [], []

    def unused(self, outcome):
        self.unused_runs.append(outcome)

    def policy_raised(self, policy, error):
        self.faults.append((policy, error))


def build(answers=None, *, hooks=None, order=None, max_queued=10):
    return Scheduler(
        ENDPOINTS, AlwaysAdmit(), FirstAssign(NAMES, NAMES), order or FirstComeFirstServed(),
        unknown_prior(ENDPOINTS), SchedulerOptions(max_queued=max_queued), hooks, answers or Strict(),
    )  # fmt: skip


def arrive(scheduler, *ids, now=0.0):
    scheduler.step([Arrived(make_request(i)) for i in ids], now)
    return scheduler.step([Predicted(ids, make_table(ENDPOINTS, len(ids)))], now)


def answered(request_id, endpoint, signals=BAD, *, samples=(), **fields):
    outcome = Outcome(request_id, endpoint, Disposition.ANSWERED, **fields)
    return Completed(request_id, outcome, signals, tuple(samples))


def sample(request_id, endpoint, disposition=Disposition.ANSWERED, **fields):
    return Outcome(request_id, endpoint, disposition, **fields)


def failed(request_id, endpoint, *, given=False, reason="it broke"):
    return Failed(request_id, Outcome(request_id, endpoint, Disposition.FAILED, reason), given)


def kinds(commands):
    return [type(command).__name__ for command in commands]


def test_a_good_answer_is_kept_with_its_reason():
    scheduler = build()
    assert arrive(scheduler, "a")[-1] == Dispatch("a", "e0", held=True)
    finish, learn = scheduler.step([answered("a", "e0", GOOD)], 1.0)
    assert (finish.outcome.endpoint, finish.outcome.reason, finish.unused) == ("e0", "good", ())
    assert len(learn.outcomes) == 1


def test_bad_answers_are_asked_for_again_until_the_last_endpoint():
    scheduler, now = build(), 0.0
    arrive(scheduler, "a")
    for number, (name, following) in enumerate(pairwise(NAMES)):
        now += 2.0
        record, dispatch, learn = scheduler.step([answered("a", name, e2e_s=2.0)], now)
        decision = record.decision
        assert (decision.endpoint, decision.reason, decision.policy, decision.at_s) == (
            following, "bad", "strict", now,
        )  # fmt: skip
        assert dict(decision.excluded) == dict.fromkeys(NAMES[: number + 1], ANSWERED_ALREADY)
        assert dispatch == Dispatch("a", following, held=following != NAMES[-1])
        assert [run.disposition for run in learn.outcomes] == [Disposition.ANSWERED]
    finish, learn = scheduler.step([answered("a", "e2", None)], 9.0)
    assert (finish.outcome.endpoint, finish.outcome.disposition) == ("e2", Disposition.ANSWERED)
    assert [(run.endpoint, run.disposition, run.reason) for run in finish.unused] == [
        ("e0", Disposition.ESCALATED, "bad"), ("e1", Disposition.ESCALATED, "bad"),
    ]  # fmt: skip
    assert len(learn.outcomes) == 1
    assert len(scheduler.ledger) == 0


def test_waiting_is_counted_for_each_run_and_an_old_request_goes_first():
    scheduler = build()
    arrive(scheduler, "a")
    scheduler.step([answered("a", "e0")], 1.0)
    arrive(scheduler, "b", now=1.5)
    arrive(scheduler, "c", now=1.6)
    commands = scheduler.step([answered("b", "e0")], 3.0)  # waits for e1, where a runs; c begins on e0
    assert Dispatch("c", "e0", held=True) in commands
    commands = scheduler.step([answered("a", "e1")], 5.0)
    assert Dispatch("b", "e1", held=True) in commands
    commands = scheduler.step([answered("b", "e1", GOOD)], 6.0)
    [finish] = [command for command in commands if isinstance(command, Finish)]
    assert finish.outcome.queue_s == 2.0
    assert [run.queue_s for run in finish.unused] == [0.0]


@pytest.mark.parametrize("given", [False, True])
def test_when_the_next_endpoint_fails_the_held_answer_is_given_unless_a_part_of_another_is_out(given):
    scheduler = build()
    arrive(scheduler, "a")
    scheduler.step([answered("a", "e0", price_usd=1.0)], 1.0)
    finish, learn = scheduler.step([failed("a", "e1", given=given)], 2.0)
    if given:
        assert (finish.outcome.disposition, finish.code) == (Disposition.FAILED, "upstream_error")
        assert [run.endpoint for run in finish.unused] == ["e0"]
    else:
        assert (finish.outcome.endpoint, finish.outcome.price_usd, finish.code) == ("e0", 1.0, "")
        assert finish.outcome.disposition is Disposition.ANSWERED
        assert finish.outcome.reason == "e1 did not answer: it broke"
        assert [(run.endpoint, run.disposition) for run in finish.unused] == [("e1", Disposition.FAILED)]
    assert [run.endpoint for run in learn.outcomes] == ["e1"]


def test_without_a_held_answer_a_failure_is_one():
    scheduler = build()
    arrive(scheduler, "a")
    finish, _ = scheduler.step([failed("a", "e0")], 1.0)
    assert (finish.outcome.disposition, finish.code) == (Disposition.FAILED, "upstream_error")


def test_one_whose_next_endpoint_goes_down_while_it_waits_gets_the_held_answer():
    scheduler = build()
    arrive(scheduler, "a")
    scheduler.step([CapacityChanged("e1", 0)], 0.5)
    assert kinds(scheduler.step([answered("a", "e0")], 1.0)) == ["Record", "Learn"]
    [finish] = scheduler.step([CapacityChanged("e1", 0, healthy=False)], 2.0)
    assert (finish.outcome.endpoint, finish.outcome.reason) == ("e0", "e1 went down")
    assert finish.unused == ()


def test_endpoints_that_are_down_or_full_are_passed_over_and_with_none_left_the_answer_is_kept():
    scheduler = build(max_queued=0)
    arrive(scheduler, "a")
    scheduler.step([CapacityChanged("e1", 1, healthy=False)], 0.5)
    assert scheduler.step([answered("a", "e0")], 1.0)[1] == Dispatch("a", "e2")
    arrive(scheduler, "b", now=1.0)
    finish, _ = scheduler.step([answered("b", "e0")], 2.0)
    assert (finish.outcome.endpoint, finish.outcome.reason) == ("e0", "bad")


def test_a_cancelled_one_is_not_asked_for_again():
    scheduler = build()
    arrive(scheduler, "a")
    assert scheduler.step([Cancelled("a")], 1.0) == [Abort("a", "e0")]
    finish, _ = scheduler.step([answered("a", "e0")], 2.0)
    assert (finish.outcome.disposition, finish.code) == (Disposition.ANSWERED, "")


@pytest.mark.parametrize("running", [False, True])
def test_one_that_is_cancelled_after_the_first_step_ends_with_its_runs_told(running):
    scheduler = build()
    arrive(scheduler, "a")
    if not running:
        scheduler.step([CapacityChanged("e1", 0)], 0.5)
    scheduler.step([answered("a", "e0")], 1.0)
    commands = scheduler.step([Cancelled("a", "gone")], 2.0)
    if running:
        assert commands == [Abort("a", "e1")]
        commands = scheduler.step([failed("a", "e1", reason="gone")], 3.0)
    finish = commands[0]
    assert (finish.outcome.disposition, finish.code) == (Disposition.FAILED, "cancelled")
    assert [run.endpoint for run in finish.unused] == ["e0"]


@pytest.mark.parametrize("running", [False, True])
def test_one_that_pointsman_gives_up_gets_the_answer_that_is_held(running):
    scheduler = build()
    arrive(scheduler, "a")
    if not running:
        scheduler.step([CapacityChanged("e1", 0)], 0.5)
    scheduler.step([answered("a", "e0")], 1.0)
    commands = scheduler.step([Cancelled("a", "closing", gone=False)], 2.0)
    if running:
        assert commands == [Abort("a", "e1")]
        commands = scheduler.step([failed("a", "e1", reason="closing")], 3.0)
    finish = commands[0]
    assert (finish.outcome.endpoint, finish.outcome.disposition, finish.code) == (
        "e0",
        Disposition.ANSWERED,
        "",
    )
    assert "closing" in finish.outcome.reason
    assert [run.endpoint for run in finish.unused] == (["e1"] if running else [])


@pytest.mark.parametrize("given", [False, True])
def test_one_that_pointsman_gives_up_without_a_held_answer_or_after_a_part_of_another_fails(given):
    scheduler = build()
    arrive(scheduler, "a")
    if given:
        scheduler.step([answered("a", "e0")], 1.0)
    scheduler.step([Cancelled("a", "closing", gone=False)], 2.0)
    finish, _ = scheduler.step([failed("a", "e1" if given else "e0", given=given)], 3.0)
    assert (finish.outcome.disposition, finish.code) == (Disposition.FAILED, "cancelled")


def test_a_policy_at_fault_lets_the_answer_out():
    heard = Heard()
    scheduler = build(Strict(ValueError("a secret")), hooks=heard)
    arrive(scheduler, "a")
    finish, _ = scheduler.step([answered("a", "e0")], 1.0)
    assert finish.outcome.reason == "policy strict raised ValueError"
    assert [policy for policy, _ in heard.faults] == ["strict"]


def test_an_order_at_fault_gives_the_held_answer_out():
    class Moody(FirstComeFirstServed):
        def key(self, request, decision, arrived_s):
            return np.nan if decision.endpoint == "e1" else 0.0

    heard = Heard()
    scheduler = build(order=Moody(), hooks=heard)
    arrive(scheduler, "a")
    commands = scheduler.step([answered("a", "e0")], 1.0)
    assert kinds(commands) == ["Record", "Finish", "Learn"]
    assert commands[1].outcome.endpoint == "e0"
    assert len(heard.faults) == 1


def test_hooks_hear_of_every_run_whose_answer_is_not_given():
    heard = Heard()
    scheduler = build(hooks=heard)
    arrive(scheduler, "a")
    scheduler.step([answered("a", "e0")], 1.0)
    assert heard.unused_runs == []
    scheduler.step([answered("a", "e1", GOOD)], 2.0)
    assert [run.endpoint for run in heard.unused_runs] == ["e0"]


def test_after_a_held_answer_the_request_is_alive_for_the_rest_of_the_batch():
    scheduler = build()
    arrive(scheduler, "a")
    for illegal in (Arrived(make_request("a")), answered("a", "e0"), failed("a", "e0")):
        with pytest.raises(IllegalTransition):
            scheduler.step([answered("a", "e0"), illegal], 1.0)
    commands = scheduler.step([answered("a", "e0"), Cancelled("a")], 1.0)
    assert [type(command) for command in commands] == [Record, Finish, Learn]
    assert commands[1].code == "cancelled"


def test_samples_are_told_of_before_the_answer_they_were_compared_with_and_not_learnt_from():
    heard = Heard()
    scheduler = build(hooks=heard)
    arrive(scheduler, "a")
    broken = sample("a", "e0", Disposition.FAILED, reason="it broke", energy_j=1.0)
    *_, learn = scheduler.step([answered("a", "e0", samples=[sample("a", "e0", price_usd=2.0), broken])], 1.0)
    assert [run.price_usd for run in learn.outcomes] == [None]
    commands = scheduler.step([answered("a", "e1", GOOD, samples=[sample("a", "e1")])], 2.0)
    [finish] = [command for command in commands if isinstance(command, Finish)]
    assert [(run.endpoint, run.disposition) for run in finish.unused] == [
        ("e0", Disposition.SAMPLED), ("e0", Disposition.FAILED), ("e0", Disposition.ESCALATED),
        ("e1", Disposition.SAMPLED),
    ]  # fmt: skip
    assert heard.unused_runs == list(finish.unused)
    assert finish.unused[1].reason == "it broke"


@pytest.mark.parametrize("failing", ["e1", "e2"])
def test_the_answer_itself_is_given_out_in_need_and_not_a_sample_of_it(failing):
    scheduler = build()
    arrive(scheduler, "a")
    scheduler.step([answered("a", "e0", samples=[sample("a", "e0")] * 2, e2e_s=5.0)], 1.0)
    if failing == "e2":
        scheduler.step([answered("a", "e1", samples=[sample("a", "e1")] * 2, e2e_s=6.0)], 2.0)
    finish, _ = scheduler.step([failed("a", failing)], 3.0)
    held = NAMES[NAMES.index(failing) - 1]
    assert (finish.outcome.endpoint, finish.outcome.disposition) == (held, Disposition.ANSWERED)
    assert finish.outcome.e2e_s == {"e0": 5.0, "e1": 6.0}[held]
    assert sum(run.disposition is Disposition.SAMPLED for run in finish.unused) == 2 * NAMES.index(failing)


@pytest.mark.parametrize("wrong", [sample("a", "e1"), sample("b", "e0")])
def test_samples_of_another_run_are_illegal(wrong):
    scheduler = build()
    arrive(scheduler, "a")
    with pytest.raises(IllegalTransition, match="of another run"):
        scheduler.step([answered("a", "e0", samples=[wrong])], 1.0)
    assert len(scheduler.ledger) == 1


def priced(n_requests=1):
    """A dollar, two and four a run; every answer is as good."""
    table = make_table(ENDPOINTS, n_requests)
    price_usd = Estimate.exact(np.tile([1.0, 2.0, 4.0], (n_requests, 1)))
    return replace(table, price_usd=price_usd)


def begin(scheduler, **limits):
    scheduler.step([Arrived(make_request("a", limits=Limits(**limits)))], 0.0)
    return scheduler.step([Predicted(("a",), priced())], 0.0)


def test_what_an_answer_took_is_taken_off_the_limits_for_the_next():
    scheduler = build()
    begin(scheduler, max_price_usd=5.0)
    record, *_ = scheduler.step([answered("a", "e0", price_usd=0.5)], 1.0)
    assert (record.decision.endpoint, dict(record.decision.excluded)) == ("e1", {"e0": ANSWERED_ALREADY})
    finish, _ = scheduler.step([answered("a", "e1", price_usd=2.5)], 2.0)
    assert (finish.outcome.endpoint, finish.outcome.reason) == ("e1", "bad"), "$2 are left, and e2 takes $4"
    assert finish.outcome.disposition is Disposition.ANSWERED


def test_an_endpoint_that_what_is_left_does_not_pay_for_is_passed_over_with_the_reason():
    scheduler = build()
    begin(scheduler, max_price_usd=5.5)
    samples = [sample("a", "e0", price_usd=1.0), sample("a", "e0", Disposition.FAILED)]
    record, *_ = scheduler.step([answered("a", "e0", samples=samples)], 1.0)
    assert record.decision.endpoint == "e1"
    assert record.decision.excluded["e2"] == (
        "its predicted price $4 is above $2.5, what is left of the request's $5.5"
    ), "two runs of e0 were not measured, and count as predicted"


@pytest.mark.parametrize(
    ("limits", "held"),
    [
        ({}, 3),
        ({"min_quality": 0.0}, 3),
        ({"max_price_usd": 3.0}, 3),
        ({"max_price_usd": 2.9}, 2),
        ({"max_price_usd": 1.0}, 1),
    ],
)
def test_no_more_samples_are_compared_than_the_limits_pay_for(limits, held):
    class Sampling(Strict):
        def holds(self, request, decision):
            return 3

    *_, dispatch = begin(build(Sampling()), **limits)
    assert dispatch == Dispatch("a", "e0", held=held)


def test_limits_do_not_hold_back_what_no_policy_holds():
    class Open(Strict):
        def holds(self, request, decision):
            return 0

    *_, dispatch = begin(build(Open()), max_price_usd=3.0)
    assert dispatch == Dispatch("a", "e0", held=0)
