"""The scheduler class for vLLM: its order over an engine that is one, options, versions; the class itself where vLLM is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pointsman.engines.vllm
from pointsman.engines.vllm.lengths import PromptLengths
from pointsman.engines.vllm.line import Line, Places, Seen
from pointsman.engines.vllm.options import options_of, predicted_of, waited_of
from pointsman.engines.vllm.version import SUPPORTED, check_version, installed_version
from pointsman.errors import ConfigError, MissingError
from pointsman.order.iteration import IterationOrder
from pointsman.order.iteration_orders import (
    ITERATION_ORDERS,
    BoundedIteration,
    FcfsIteration,
    IterationSettings,
    MlfqIteration,
    RankedIteration,
    iteration_order,
)
from pointsman.predict.length.fit import LengthOptions, fit_lengths
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.testing.outcomes import capital_question, proof_question

THRESHOLD, QUANTUM, STRETCH_S, CAP = 5, 2, 0.5, 8.0
NEEDS_VLLM = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed (docs/engines.md)")


@dataclass
class Job:
    """A request of the toy engine, whose prompt takes a step."""

    request_id: str
    arrives: int
    length: int
    predicted: float | None
    done: int = 0
    prefilled: bool = False
    preemptions: int = 0
    since: int = 0

    def seen(self) -> Seen:
        return Seen(
            float(self.arrives), self.predicted, self.done, 0 if self.prefilled else 4, self.preemptions
        )


class Toy:
    """An engine of some slots that takes a line's order at its word, and keeps what it did."""

    def __init__(self, order: IterationOrder, slots: int, jobs: list[Job], most_preemptions: int = 1) -> None:
        self.line = Line(order, slots, 100, most_preemptions, Job.seen)
        self.slots, self.jobs = slots, sorted(jobs, key=lambda job: job.arrives)
        self.running: list[Job] = []
        self.waiting: list[Job] = []
        self.let_in: list[tuple[Job, list[Job]]] = []
        self.waited: list[tuple[int, list[int]]] = []
        self.step = 0

    def run(self) -> None:
        left = list(self.jobs)
        while left or self.running or self.waiting:
            while left and left[0].arrives <= self.step:
                left[0].since = self.step
                self.waiting.append(left.pop(0))
            self._one(self.line.place(self.running, self.waiting))
            self.step += 1

    def _one(self, places: Places[Job]) -> None:
        assert sorted(job.request_id for job in (*places.running, *places.preempt)) == sorted(
            job.request_id for job in self.running
        )
        assert sorted(job.request_id for job in places.waiting) == sorted(
            job.request_id for job in self.waiting
        )
        self.running, self.waiting = places.running, places.waiting
        for job in places.preempt:
            job.preemptions, job.prefilled, job.since = job.preemptions + 1, False, self.step
            self.waiting.append(job)
        while self.waiting and len(self.running) < self.slots:
            job = self.waiting.pop(0)
            self.let_in.append((job, list(self.waiting)))
            self.waited.append((self.step - job.since, [self.step - other.since for other in self.waiting]))
            self.running.append(job)
        assert len(self.running) == min(self.slots, len(self.running) + len(self.waiting)), (
            "no slot lies idle"
        )
        for job in self.running:
            job.done, job.prefilled = job.done + job.prefilled, True
        self.running = [job for job in self.running if job.done < job.length]


jobs = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 9), st.one_of(st.none(), st.integers(0, 12).map(float))),
    min_size=1,
    max_size=15,
).map(lambda rows: [Job(str(number), *row) for number, row in enumerate(rows)])
slots = st.integers(1, 4)


def by_arrival(toy: Toy) -> dict[str, int]:
    return {job.request_id: place for place, job in enumerate(toy.jobs)}


@given(jobs, slots)
def test_fcfs_lets_in_by_arrival(found: list[Job], n: int) -> None:
    toy = Toy(FcfsIteration(), n, found)
    toy.run()
    assert [job for job, _ in toy.let_in] == toy.jobs


@given(jobs, slots)
def test_ranked_lets_in_the_shortest_predicted_that_waits(found: list[Job], n: int) -> None:
    toy = Toy(RankedIteration(), n, found)
    toy.run()
    place = by_arrival(toy)

    def key(job: Job) -> tuple[float, int]:
        return 1e9 if job.predicted is None else job.predicted, place[job.request_id]

    assert len(toy.let_in) == len(found)
    for job, left in toy.let_in:
        assert all(key(job) < key(other) for other in left)


@given(jobs, slots)
def test_bounded_lets_nobody_be_overtaken_by_more_than_the_bound(found: list[Job], n: int) -> None:
    toy = Toy(BoundedIteration(STRETCH_S, CAP), n, found)
    toy.run()
    for job, left in toy.let_in:
        for other in left:
            own = CAP if other.predicted is None else min(other.predicted, CAP)
            assert job.arrives <= other.arrives + STRETCH_S * own


@given(jobs, slots)
def test_who_has_waited_the_threshold_goes_before_all_who_have_not(found: list[Job], n: int) -> None:
    toy = Toy(RankedIteration(threshold_steps=THRESHOLD, quantum_steps=QUANTUM), n, found)
    toy.run()
    for waited, others in toy.waited:
        if waited < THRESHOLD:
            assert all(steps < THRESHOLD for steps in others)


@given(jobs, slots, st.integers(0, 3), st.sampled_from([RankedIteration(preempts=True), MlfqIteration(2)]))
def test_preemptions_of_a_request_are_limited_and_all_are_served(
    found: list[Job], n: int, most: int, order: IterationOrder
) -> None:
    toy = Toy(order, n, found, most)
    toy.run()
    assert all(job.preemptions <= most and job.done == job.length for job in found)


def test_a_shorter_one_takes_the_slot_of_the_longest_that_runs() -> None:
    long, longer, short = Job("long", 0, 50, 50.0), Job("longer", 0, 60, 60.0), Job("short", 3, 2, 2.0)
    Toy(RankedIteration(preempts=True), 2, [long, longer, short]).run()
    assert (long.preemptions, longer.preemptions, short.preemptions) == (0, 1, 0)


def test_what_has_ended_is_forgotten() -> None:
    toy = Toy(FcfsIteration(), 1, [Job(str(number), 4 * number, 1, None) for number in range(200)])
    toy.run()
    assert len(toy.line._members) <= 4


@pytest.mark.parametrize("name", ITERATION_ORDERS)
def test_orders_have_the_names_they_are_asked_for_by(name: str) -> None:
    assert options_of({"pointsman": {"order": name}}).order.name == name
    assert iteration_order(name, IterationSettings()).name == name


def test_without_options_the_order_is_ranked_with_promotion() -> None:
    options = options_of({"other": 1})
    assert (options.order.name, options.most_preemptions) == ("ranked+promotion", 1)


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        ({"order": "rnaked"}, "rnaked"),
        ({"ordre": "ranked"}, "ordre"),
        ({"threshold_steps": 0}, "threshold_steps is 0"),
        ({"most_preemptions": -1}, "most_preemptions is -1"),
        ({"stretch_s": -1.0}, "stretch_s"),
        ({"cap_tokens": 0.0}, "cap_tokens"),
        ("ranked", "object"),
    ],
)
def test_options_that_can_t_be_used_are_refused(given_: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        options_of({"pointsman": given_})


@pytest.mark.parametrize("value", ["12", None, True, float("nan"), float("inf"), -1.0, [1]])
def test_what_is_no_number_of_tokens_counts_as_no_prediction(value: object) -> None:
    arguments = {"pointsman_predicted_tokens": value, "pointsman_waited_s": value}
    assert predicted_of(arguments, 10) is None
    assert waited_of(arguments) == 0.0
    assert predicted_of(None, 10) is None


def test_no_answer_is_predicted_longer_than_it_may_be() -> None:
    assert predicted_of({"pointsman_predicted_tokens": 80}, 64) == 64.0
    assert predicted_of({"pointsman_predicted_tokens": 80}, 512) == 80.0


def lengths_of(endpoints: tuple[str, ...], folder: Path) -> Path:
    """Learnt lengths: proofs take long, capitals do not."""
    prompts = tuple(ask(number) for number in range(15) for ask in (capital_question, proof_question))
    tokens = np.tile(np.array([[10.0], [200.0]]), (15, len(endpoints)))
    ids = tuple(map(str, range(len(prompts))))
    unknown = np.full(tokens.shape, np.nan)
    matrix = OutcomeMatrix(ids, prompts, ("",) * len(prompts), endpoints, unknown, tokens)
    fit_lengths(matrix, LengthOptions(folds=2)).model.write(folder)
    return folder


def decode(ids: Sequence[int]) -> str:
    return "".join(map(chr, ids))


def test_lengths_are_predicted_from_token_ids(tmp_path: Path) -> None:
    folder = lengths_of(("a", "b"), tmp_path / "lengths")
    with pytest.raises(ConfigError, match="are of a, b, and not of None"):
        PromptLengths(folder, None, decode)
    made = PromptLengths(folder, "b", decode)
    short, long = ([ord(sign) for sign in ask(77)] for ask in (capital_question, proof_question))
    assert 5 * made.tokens(short, 512) < made.tokens(long, 512)
    assert made.tokens(long, 20) <= 20


def test_another_version_of_vllm_is_refused_with_what_to_do() -> None:
    check_version(SUPPORTED[0] + "+cpu")
    with pytest.raises(ConfigError, match=r"vLLM 0\.11\.0 is installed") as caught:
        check_version("0.11.0")
    assert "--scheduling-policy priority" in caught.value.remedy


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_without_vllm_the_class_says_what_to_install() -> None:
    with pytest.raises(MissingError, match="vLLM is not installed") as caught:
        _ = pointsman.engines.vllm.Scheduler
    assert f"vllm=={SUPPORTED[-1]}" in caught.value.remedy
    with pytest.raises(MissingError):
        installed_version()


def test_the_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="Schedular"):
        _ = pointsman.engines.vllm.Schedular


@NEEDS_VLLM
def test_the_class_is_a_scheduler_of_vllm_with_what_it_builds_on() -> None:
    from vllm.v1.core.sched.async_scheduler import AsyncScheduler

    made = pointsman.engines.vllm.Scheduler
    assert issubclass(made, AsyncScheduler)
    assert callable(made._preempt_request)
