from itertools import product

import numpy as np
import pytest

from pointsman.admit.cascade import CascadeAnswers, escalation_costs
from pointsman.assign.first import FirstAssign
from pointsman.testing.contract import check_assign_policy
from pointsman.testing.fakes import make_endpoints, make_request, make_table
from pointsman.types import (
    UNASSIGNED,
    Admission,
    AnswerSignals,
    Decision,
    Penalties,
    Router,
    RunCost,
    Slo,
    ValueTerms,
)

ENDPOINTS = make_endpoints(3)
NAMES = tuple(endpoint.name for endpoint in ENDPOINTS)
ALL = np.array([True, True, True])


class SaysSo:
    """Knows P(right) of every endpoint, whatever the answer."""

    def __init__(self, *right):
        self.said = np.array(right)
        self.asked = []

    def right(self, names, column, signals, quality, expected_tokens):
        self.asked.append((tuple(names), column, signals))
        return self.said.copy()

    def heeds_agreement(self, judged):
        return judged != "e0"


def policy(judge, chain=NAMES, c_run=0.2, **options):
    terms = ValueTerms(RunCost(constant=c_run), Penalties(1.0, 1.0), {"dear": Penalties(10.0, 10.0)})
    return CascadeAnswers(NAMES, chain, judge, terms, **options)


def judged(made, column=0, request=None, eligible=ALL, signals=None):
    request = request or make_request()
    return made.judge(request, make_table(ENDPOINTS, 1), column, signals or AnswerSignals(), eligible)


def decision(endpoint="e0", excluded=(), action=Admission.RUN):
    table = make_table(ENDPOINTS, 1)
    return Decision(
        "r0", 0.0, action, "", "cascade", table, 0, dict.fromkeys(excluded, "down"), None, endpoint
    )


def brute_force(p_this, p_next, c_run, c_wrong):
    """Expected cost of keeping and of asking again, over both answers being right or wrong."""
    kept = asked = 0.0
    for this, following in product((0, 1), (0, 1)):
        chance = (p_this if this else 1 - p_this) * (p_next if following else 1 - p_next)
        kept += chance * c_wrong * (1 - this)
        asked += chance * (c_run + c_wrong * (1 - following))
    return kept, asked


@pytest.mark.parametrize("seed", range(30))
def test_the_rule_is_the_least_expected_cost_by_brute_force(seed):
    rng = np.random.default_rng(seed)
    right, c_run, c_wrong = rng.random((4, 3)), rng.uniform(0, 0.8, (4, 3)), rng.uniform(0.2, 3.0)
    costs = escalation_costs(right, 0, c_run, c_wrong, np.array([False, True, True]))
    for row, column in product(range(4), (1, 2)):
        kept, asked = brute_force(right[row, 0], right[row, column], c_run[row, column], c_wrong)
        assert costs[row, [0, column]] == pytest.approx([kept, asked])


def test_it_asks_the_endpoint_that_pays_most_and_keeps_when_none_does():
    assert judged(policy(SaysSo(0.3, 0.55, 0.9))).column == 2
    assert judged(policy(SaysSo(0.3, 0.9, 0.9))).column == 1, "equal costs: the earlier"
    kept = judged(policy(SaysSo(0.7, 0.85, 0.85)))
    assert kept.column == UNASSIGNED
    assert "right with probability 0.700" in kept.reason
    assert judged(policy(SaysSo(0.5, 0.0, 0.75), c_run=0.25)).column == UNASSIGNED, "equal costs keep"


def test_what_was_spent_is_spent():
    """The small one's own cost of running doesn't count once it has run."""
    terms = ValueTerms(RunCost(per_s=1e9))
    table = make_table(ENDPOINTS, 1)
    made = CascadeAnswers(NAMES, NAMES, SaysSo(0.1, 1.0, 1.0), terms)
    verdict = made.judge(make_request(), table, 0, AnswerSignals(), ALL)
    assert verdict.column == UNASSIGNED
    assert verdict.score[0] == pytest.approx(0.9)


def test_only_later_endpoints_that_can_be_asked_are():
    judge = SaysSo(0.9, 0.1, 0.9)
    assert judged(policy(judge), column=1).column == 2, "e0, which is earlier, would have done as well"
    blocked = judged(policy(judge), column=1, eligible=np.array([True, False, False]))
    assert blocked.column == UNASSIGNED
    assert "no other can be asked" in blocked.reason
    assert judged(policy(judge, chain=("e1", "e0")), column=1).column == 0


def test_the_service_class_has_its_own_penalties():
    made = policy(SaysSo(0.7, 0.75, 0.75))
    assert judged(made).column == UNASSIGNED
    assert judged(made, request=make_request(slo=Slo("dear"))).column == 1


@pytest.mark.parametrize(("threshold", "column"), [(0.6, UNASSIGNED), (0.61, 1), (0.0, UNASSIGNED), (1.0, 1)])
def test_a_threshold_of_the_callers_replaces_the_costs(threshold, column):
    request = make_request(router=Router("cascade", threshold))
    verdict = judged(policy(SaysSo(0.6, 0.1, 0.2)), request=request)
    assert verdict.column == column
    down = judged(policy(SaysSo(0.6, 0.1, 0.2)), request=request, eligible=np.array([False, False, True]))
    assert down.column == (UNASSIGNED if column == UNASSIGNED else 2)


def test_answers_are_held_only_where_another_can_follow():
    made = policy(SaysSo(), chain=("e0", "e1"))
    request = make_request()
    assert made.holds(request, decision())
    assert not made.holds(request, decision("e1"))
    assert not made.holds(request, decision("e2"))
    assert not made.holds(request, decision(excluded=["e1"]))
    assert not made.holds(request, decision(None, action=Admission.DEFER))


def test_samples_are_asked_for_where_their_agreement_is_heeded_and_another_can_follow():
    made = policy(SaysSo(), samples=3)
    assert [made.holds(make_request(), decision(name)) for name in NAMES] == [1, 3, 0]
    assert made.holds(make_request(), decision("e1", excluded=["e2"])) == 0
    assert policy(SaysSo()).holds(make_request(), decision("e1")) == 1


def test_the_samples_that_would_be_asked_for_are_a_part_of_what_asking_costs():
    assert judged(policy(SaysSo(0.5, 0.9, 0.6))).column == 1
    verdict = judged(policy(SaysSo(0.5, 0.9, 0.6), samples=3))
    assert verdict.column == UNASSIGNED
    assert verdict.score.tolist() == pytest.approx([0.5, 3 * 0.2 + 0.1, 0.2 + 0.4])


def test_what_samples_said_is_told():
    verdict = judged(policy(SaysSo(0.7, 0.7, 0.7)), signals=AnswerSignals(agreement=0.5))
    assert "right with probability 0.700 (of its further samples 50% agree)" in verdict.reason


def test_it_can_be_for_those_alone_who_ask_for_it():
    made = policy(SaysSo(), always=False)
    assert not made.holds(make_request(), decision())
    assert made.holds(make_request(router=Router("cascade", 0.5)), decision())
    assert not policy(SaysSo()).holds(make_request(router=Router("floor", 0.5)), decision())


@pytest.mark.parametrize("admission", ["threshold", "random"])
def test_a_model_name_that_only_asks_whether_leaves_the_cascade_as_it_is(admission):
    request = make_request(router=Router(admission, 0.5))
    assert policy(SaysSo()).holds(request, decision())
    assert not policy(SaysSo(), always=False).holds(request, decision())
    assert judged(policy(SaysSo(0.6, 0.9, 0.9)), request=request).column == 1, "by costs, not by its T"


def test_it_begins_with_the_first_of_the_chain_that_can_serve():
    made = FirstAssign(NAMES, ("e2", "e0"))
    eligible = np.array([[True, True, True], [True, True, False], [False, True, False]])
    chosen = made.assign([make_request()] * 3, make_table(ENDPOINTS, 3), eligible, ())
    assert chosen.endpoint_index.tolist() == [2, 0, 1]
    assert chosen.reason[0] == "the cascade begins with e2"
    assert chosen.reason[1] == "e0 alone of the cascade can serve it"
    assert "no endpoint of the cascade" in chosen.reason[2]


def test_the_first_step_keeps_the_contract_of_assign_policies():
    names = tuple(endpoint.name for endpoint in make_endpoints(4))
    check_assign_policy(lambda: FirstAssign(names, names[::-1]))
