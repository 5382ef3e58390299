import numpy as np
import pytest

from pointsman.admit.always import AlwaysAdmit
from pointsman.decide import Decider, refusal_code
from pointsman.errors import InternalError
from pointsman.testing.fakes import make_endpoints, make_request, make_table
from pointsman.types import SKIPPED, UNASSIGNED, Admission, Admit, Assignment, EndpointView, Needs, Weights


class Quickest:
    name = "quickest"

    def assign(self, requests, table, eligible, view):
        score = np.where(eligible, table.time_s.value, np.inf)
        chosen = np.where([r.prompt.text == "wait" for r in requests], UNASSIGNED, score.argmin(axis=1))
        return Assignment(
            chosen, score, ("least time",) * len(requests), (Weights(time=1.0),) * len(requests)
        )


class Always(Quickest):
    """Answers the same index whatever is asked."""

    def __init__(self, index):
        self.index = index

    def assign(self, requests, table, eligible, view):
        return Assignment(
            np.full(len(requests), self.index), np.zeros(eligible.shape), ("so",) * len(requests)
        )


class ByText(AlwaysAdmit):
    def admit(self, requests, table, eligible, now):
        return [
            Admit(Admission(request.prompt.text), f"it says {request.prompt.text}") for request in requests
        ]


ENDPOINTS = make_endpoints(3)


def view(queued=(0, 0, 0), running=(0, 0, 0), healthy=(True, True, True)):
    return [
        EndpointView(e.name, *rest)
        for e, *rest in zip(ENDPOINTS, queued, running, (2, 2, 2), healthy, strict=True)
    ]


def decider(admit=None, assign=None, max_queued=5):
    return Decider(ENDPOINTS, admit or AlwaysAdmit(), assign or Quickest(), max_queued=max_queued)


def test_a_decision_holds_what_it_was_made_from():
    table = make_table(ENDPOINTS, 2)
    first, second = decider().decide([make_request("a"), make_request("b")], table, view(), 7.0)
    assert first.column == table.time_s.value[0].argmin()
    decision = second.decision
    assert (decision.request_id, decision.at_s, decision.policy) == ("b", 7.0, "quickest")
    assert (decision.table, decision.index, decision.excluded) == (table, 1, {})
    assert decision.score.tolist() == table.time_s.value[1].tolist()
    assert decision.weights == Weights(time=1.0)
    assert decision.endpoint == ENDPOINTS[second.column].name
    assert (decision.action, decision.reason) == (Admission.RUN, "least time")


def test_rows_without_an_endpoint_are_refused_and_the_others_decided_in_order():
    blind = Needs(modalities=frozenset({"image"}))
    requests = [
        make_request("a", needs=blind),
        make_request("b"),
        make_request("c", needs=blind),
        make_request("d"),
    ]
    table = make_table(ENDPOINTS, 4)
    decided = decider().decide(requests, table, view(), 0.0)
    assert [d.decision.request_id for d in decided] == ["a", "b", "c", "d"]
    assert [d.admit.action for d in decided] == [Admission.REFUSE, Admission.RUN] * 2
    for row in (1, 3):
        assert decided[row].decision.predictions.time_s.value.tolist() == [table.time_s.value[row].tolist()]
    refused = decided[0].decision
    assert (refused.policy, refused.score, refused.endpoint) == ("eligibility", None, None)
    assert set(refused.excluded) == {"e0", "e1", "e2"}
    assert refusal_code(refused) == "no_eligible_endpoint"


def test_down_and_full_endpoints_take_nothing_and_say_which():
    table = make_table(ENDPOINTS)
    seen = view(queued=(0, 5, 6), running=(0, 2, 1), healthy=(False, True, True))
    [refused] = decider().decide([make_request()], table, seen, 0.0)
    assert refused.decision.excluded == {
        "e0": "it is down",
        "e1": "its queue is full (limit 5)",
        "e2": "its queue is full (limit 5)",
    }
    assert refusal_code(refused.decision) == "queue_full"


def test_free_slots_count_beyond_the_queue():
    """With max_queued=0 a request is taken only if it can start at once."""
    table = make_table(ENDPOINTS)
    [taken] = decider(max_queued=0).decide([make_request()], table, view(running=(2, 1, 2)), 0.0)
    assert taken.decision.endpoint == "e1"
    [refused] = decider(max_queued=0).decide([make_request()], table, view(running=(2, 2, 2)), 0.0)
    assert refusal_code(refused.decision) == "queue_full"


def test_all_down_says_so():
    [refused] = decider().decide([make_request()], make_table(ENDPOINTS), view(healthy=(False,) * 3), 0.0)
    assert refusal_code(refused.decision) == "endpoint_down"
    assert "e0: it is down" in refused.admit.reason


def test_what_the_assignment_leaves_waiting_is_deferred_without_a_time():
    [waiting] = decider().decide([make_request(text="wait")], make_table(ENDPOINTS), view(), 0.0)
    assert (waiting.admit.action, waiting.admit.until_s, waiting.column) == (
        Admission.DEFER,
        None,
        UNASSIGNED,
    )
    assert waiting.decision.endpoint is None


def test_what_the_assignment_skips_is_skipped_by_its_name():
    [skipped] = decider(assign=Always(SKIPPED)).decide([make_request()], make_table(ENDPOINTS), view(), 0.0)
    assert (skipped.admit.action, skipped.column, skipped.decision.endpoint) == (
        Admission.SKIP,
        UNASSIGNED,
        None,
    )
    assert skipped.decision.policy == "quickest"


@pytest.mark.parametrize("text", ["skip", "refuse", "defer"])
def test_what_is_not_run_keeps_its_scores_and_has_no_endpoint(text):
    [decided] = decider(ByText()).decide([make_request(text=text)], make_table(ENDPOINTS), view(), 0.0)
    assert decided.admit == Admit(Admission(text), f"it says {text}")
    assert decided.column == UNASSIGNED
    assert decided.decision.endpoint is None
    assert np.isfinite(decided.decision.score).all()
    if text == "refuse":
        assert refusal_code(decided.decision) == "refused"


@pytest.mark.parametrize(("index", "named"), [(0, "e0"), (3, "no. 3"), (-3, "no. -3")])
def test_a_choice_that_is_not_eligible_is_the_policys_fault(index, named):
    request = make_request(model="m1")
    with pytest.raises(InternalError, match=f"quickest chose endpoint {named}, which is not eligible"):
        decider(assign=Always(index)).decide([request], make_table(ENDPOINTS), view(), 0.0)


def test_a_policy_that_raises_at_one_request_harms_no_other():
    requests = [make_request("a", "run"), make_request("b", "dance"), make_request("c", "skip")]
    answers = decider(ByText()).try_decide(requests, make_table(ENDPOINTS, 3), view(), 0.0)
    assert isinstance(answers[1], ValueError)
    assert [answers[0].admit.action, answers[2].admit.action] == [Admission.RUN, Admission.SKIP]


def test_no_endpoints_refuse_everything():
    nowhere = Decider([], AlwaysAdmit(), Quickest(), max_queued=1)
    [refused] = nowhere.decide([make_request()], make_table([]), [], 0.0)
    assert refused.admit.reason == "no endpoint is configured"
