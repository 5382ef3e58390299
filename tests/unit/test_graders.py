"""Graders score a share of the answers beside the loop; nothing that they do reaches a request."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from pointsman.engines.base import Chunk
from pointsman.live import Handle
from pointsman.live.graders import MAX_ANSWER_BYTES, AnswerCopy, Grader, GraderThread
from pointsman.live.held import HeldAnswer
from pointsman.testing.contract import ContractBroken
from pointsman.testing.fakes import make_endpoints, make_request
from pointsman.testing.graders import check_grader
from pointsman.types import Disposition, Label, Outcome

WAIT_S = 10


class Taken:
    """Labels as they were given."""

    def __init__(self) -> None:
        self.labels: list[Label] = []

    def __call__(self, labels: Sequence[Label]) -> None:
        self.labels += labels


def whole(text: str) -> AnswerCopy:
    copy = AnswerCopy()
    copy.add(f'{{"choices": [{{"message": {{"content": "{text}"}}}}]}}'.encode())
    return copy


def equal(prompt: str, answer: str) -> float:
    return float(prompt == answer)


def test_a_share_of_the_requests_is_sampled_and_the_same_each_time() -> None:
    grader = Grader("a", 0.2, equal)
    ids = [f"r{n}" for n in range(5_000)]
    sampled = [name for name in ids if grader.samples(name)]
    assert 850 < len(sampled) < 1_150
    assert [name for name in ids if Grader("a", 0.2, equal).samples(name)] == sampled
    assert sampled != [name for name in ids if Grader("b", 0.2, equal).samples(name)], "each draws its own"
    assert all(Grader("a", 1.0, equal).samples(name) for name in ids)
    assert not any(Grader("a", 0.0, equal).samples(name) for name in ids)


def test_scores_become_labels_and_faults_are_counted() -> None:
    taken = Taken()

    def raises(prompt: str, answer: str) -> float:
        raise ValueError(prompt)

    graders = [
        Grader("equal", 1, equal), Grader("raises", 1, raises), Grader("none", 1, lambda *_: None),
        Grader("nan", 1, lambda *_: float("nan")), Grader("text", 1, lambda *_: "good"),  # type: ignore[arg-type,return-value]
        Grader("never", 0, equal),
    ]  # fmt: skip
    thread = GraderThread(graders, taken, 10)
    for number in range(3):
        thread.answered(make_request(f"r{number}", f"say {number}"), whole("say 1"))
    thread.close(WAIT_S)
    assert taken.labels == [Label(f"r{n}", float(n == 1), "equal") for n in range(3)]
    assert {key: count for key, count in thread.graded.items() if count} == {
        ("equal", "scored"): 3, ("raises", "failed"): 3, ("none", "no_score"): 3,
        ("nan", "failed"): 3, ("text", "failed"): 3,
    }  # fmt: skip


def test_what_a_grader_raises_is_logged_without_the_prompt(caplog: pytest.LogCaptureFixture) -> None:
    def raises(prompt: str, answer: str) -> float:
        raise ValueError(prompt)

    thread = GraderThread([Grader("a", 1, raises)], Taken(), 10)
    thread.answered(make_request("r", "my secret"), whole("x"))
    thread.close(WAIT_S)
    assert "grader a raised ValueError" in caplog.text
    assert "secret" not in caplog.text


def test_a_slow_grader_is_waited_for_by_nobody_and_what_finds_no_room_is_dropped() -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(prompt: str, answer: str) -> float:
        begun.set()
        assert go.wait(WAIT_S)
        return 1.0

    taken = Taken()
    thread = GraderThread([Grader("slow", 1, slow)], taken, 2)
    thread.answered(make_request("r0"), whole("x"))
    assert begun.wait(WAIT_S)
    for number in range(1, 6):
        thread.answered(make_request(f"r{number}"), whole("x"))
    assert thread.dropped == 3
    go.set()
    thread.close(WAIT_S)
    assert [label.request_id for label in taken.labels] == ["r0", "r1", "r2"]


def test_a_grader_that_hangs_does_not_hold_up_the_end() -> None:
    go = threading.Event()
    thread = GraderThread([Grader("hangs", 1, lambda *_: float(go.wait(60)))], Taken(), 1)
    thread.answered(make_request("r0"), whole("x"))
    thread.close(timeout_s=0.05)
    assert not go.is_set()
    go.set()


def test_an_answer_that_is_too_long_is_not_graded_and_not_kept() -> None:
    taken, copy = Taken(), AnswerCopy()
    thread = GraderThread([Grader("equal", 1, equal)], taken, 10)
    for _ in range(3):
        copy.add(b"x" * (MAX_ANSWER_BYTES // 2))
    assert copy.pieces == []
    thread.answered(make_request("r0"), copy)
    thread.close(WAIT_S)
    assert (thread.dropped, taken.labels) == (1, [])


@pytest.mark.parametrize("copied", [False, True])
def test_an_answer_that_was_held_back_is_copied_as_it_is_given_out(copied: bool) -> None:
    request, endpoint = make_request("r0"), make_endpoints(1)[0]
    handle = Handle(request, 0.0, lambda _: None)
    handle.copy = AnswerCopy() if copied else None
    handle.held["e0"] = HeldAnswer(request, endpoint)
    handle.held["e0"].add(Chunk(b"{}"))
    handle.ended(Outcome("r0", "e0", Disposition.ANSWERED), "")
    assert (handle.copy.pieces if handle.copy else None) == ([b"{}"] if copied else None)


def test_the_contract_holds_a_grader_to_its_word() -> None:
    check_grader(equal, right=[("4", "4")], wrong=[("4", "5")])
    check_grader(lambda *_: None)
    drawn = iter(range(10**6))
    check_grader(lambda *_: next(drawn) % 2, repeatable=False)


@pytest.mark.parametrize(
    ("judge", "why"),
    [
        (lambda prompt, answer: 2.0, "it gave 2.0"),
        (lambda prompt, answer: float("nan"), "it gave nan"),
        (lambda prompt, answer: 1 / len(answer), "it raised ZeroDivisionError"),
        (lambda prompt, answer, seen=[]: seen.append(0) or len(seen) % 2, "it says otherwise"),
        (lambda prompt, answer: 0.5, "a right answer scores 0.5, a wrong one 0.5"),
        (lambda prompt, answer: None, "which it is said to know"),
    ],
)
def test_the_contract_says_what_is_broken(judge, why: str) -> None:
    with pytest.raises(ContractBroken, match=why):
        check_grader(judge, right=[("4", "4")], wrong=[("4", "5")])
