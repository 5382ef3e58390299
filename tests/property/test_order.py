"""Every order holds the bound that it states, whatever comes and whatever is predicted (invariant 4)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.lifecycle import Ledger
from pointsman.order.base import OrderPolicy
from pointsman.order.bounded import BoundedOrder
from pointsman.order.deadline import DeadlineOrder
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.order.head_start import HeadStart
from pointsman.order.queue import EndpointQueue
from pointsman.order.ranked import ShortestPredicted
from pointsman.testing.fakes import make_endpoints, make_request, make_table
from pointsman.types import EMPTY, Admission, Decision, Estimate, Slo

[ENDPOINT] = make_endpoints(1, max_concurrent=1)
TABLE = make_table([ENDPOINT])
STRETCH, CAP_S, WITHOUT_S = 3.0, 20.0, 15.0
TINY_S = 1e-6


@dataclass(frozen=True)
class Job:
    """What comes: when, how long it is predicted to take (None: not at all), its class and deadline."""

    arrived_s: float
    time_s: float | None
    service_class: str
    e2e_s: float | None

    @property
    def work_s(self) -> float:
        """As `bounded` counts it."""
        return CAP_S if self.time_s is None else min(self.time_s, CAP_S)

    @property
    def within_s(self) -> float:
        return self.e2e_s or WITHOUT_S


times = st.one_of(st.none(), st.sampled_from([0.0, 1.0, 1e6]), st.floats(0.0, 60.0))
jobs = st.builds(
    Job,
    st.floats(0.0, 100.0),
    times,
    st.sampled_from(["default", "priority", "flex"]),
    st.one_of(st.none(), st.floats(0.5, 40.0)),
)
streams = st.lists(jobs, min_size=2, max_size=25)


def order_of(policy: OrderPolicy, stream: list[Job], picks: list[float]) -> tuple[list[Job], list[int]]:
    """The jobs in order of arrival, and their numbers in the order in which they ran from one queue.

    `picks` says at which times a slot comes free; the rest runs at the end.
    """
    arriving = sorted(stream, key=lambda job: job.arrived_s)
    queue, ledger, ran = EndpointQueue(ENDPOINT, 1), Ledger(), []
    left, free = list(enumerate(arriving)), sorted(picks)
    while left or len(queue):
        if left and not (free and free[0] < left[0][1].arrived_s):
            number, job = left.pop(0)
            queue.push(
                policy.key(*parts(number, job), job.arrived_s), ledger.arrive(parts(number, job)[0], 0.0)
            )
            continue
        if free:
            free.pop(0)
        if (entry := queue.start_next()) is not None:
            ran.append(int(entry.request.id))
            queue.release()
    return arriving, ran


def parts(number: int, job: Job):
    request = make_request(str(number), slo=Slo(job.service_class, e2e_s=job.e2e_s))
    time_s = Estimate.without_interval(np.array([[np.nan if job.time_s is None else job.time_s]]))
    table = replace(TABLE, time_s=time_s)
    return request, Decision(
        request.id, 0.0, Admission.RUN, "", "test", table, 0, EMPTY, None, ENDPOINT.name
    )  # fmt: skip


def overtakings(policy: OrderPolicy, stream: list[Job], picks: list[float]):
    """Pairs (overtaken, overtaker): the second arrived later and ran before, while the first waited."""
    arriving, ran = order_of(policy, stream, picks)
    place = {number: at for at, number in enumerate(ran)}
    assert sorted(ran) == list(range(len(arriving))), "nothing lost, nothing twice"
    for i, first in enumerate(arriving):
        for j in range(i + 1, len(arriving)):
            if place[j] < place[i]:
                yield first, arriving[j]


picks = st.lists(st.floats(0.0, 120.0), max_size=25)


@given(stream=streams, picks=picks)
def test_fcfs(stream, picks):
    assert not list(overtakings(FirstComeFirstServed(), stream, picks))


@given(stream=streams, picks=picks)
def test_bounded(stream, picks):
    for first, other in overtakings(BoundedOrder(STRETCH, CAP_S), stream, picks):
        assert other.work_s < first.work_s
        assert other.arrived_s - first.arrived_s <= STRETCH * (first.work_s - other.work_s) + TINY_S


@given(stream=streams, picks=picks)
def test_edf(stream, picks):
    for first, other in overtakings(DeadlineOrder(WITHOUT_S), stream, picks):
        assert other.arrived_s + other.within_s < first.arrived_s + first.within_s + TINY_S
        assert other.arrived_s < first.arrived_s + first.within_s + TINY_S


@given(stream=streams, picks=picks)
def test_slack(stream, picks):
    for first, other in overtakings(DeadlineOrder(WITHOUT_S, slack=True), stream, picks):
        assert other.arrived_s <= first.arrived_s + first.within_s + TINY_S


@given(stream=streams, picks=picks)
def test_head_starts_widen_the_bound_by_their_difference(stream, picks):
    seconds = {"priority": 8.0, "flex": -4.0}
    for first, other in overtakings(HeadStart(BoundedOrder(STRETCH, CAP_S), seconds), stream, picks):
        ahead_s = seconds.get(other.service_class, 0.0) - seconds.get(first.service_class, 0.0)
        allowed_s = STRETCH * (first.work_s - other.work_s) + ahead_s
        assert other.arrived_s - first.arrived_s <= allowed_s + TINY_S
        assert other.arrived_s - first.arrived_s <= STRETCH * CAP_S + 12.0 + TINY_S


@given(stream=streams, picks=picks)
def test_ranked_overtakes_by_predicted_time_alone(stream, picks):
    for first, other in overtakings(ShortestPredicted(), stream, picks):
        assert other.time_s is not None
        assert first.time_s is None or other.time_s < first.time_s


def test_ranked_starves_where_bounded_does_not():
    """A long one first, then a short one each second for a slot that comes free as often."""
    stream = [Job(0.0, 20.0, "default", None), *(Job(0.5 + k, 0.5, "default", None) for k in range(99))]
    slots = [1.0 + k for k in range(99)]
    assert order_of(ShortestPredicted(), stream, slots)[1].index(0) == 99
    assert order_of(BoundedOrder(STRETCH, CAP_S), stream, slots)[1].index(0) < STRETCH * CAP_S


def test_bounds_are_said_in_numbers():
    bound = HeadStart(BoundedOrder(STRETCH, CAP_S), {"priority": 8.0, "flex": -4.0}).bound
    assert "within 3 times its predicted time after it, at most 60 s" in bound
    assert bound.endswith("between classes up to 12 s more")
    assert "15 s" in DeadlineOrder(WITHOUT_S).bound


@pytest.mark.parametrize("stretch", [0.0])
def test_without_stretch_bounded_is_first_come_first_served(stretch):
    stream = [Job(float(k), 60.0 - k, "default", None) for k in range(20)]
    assert order_of(BoundedOrder(stretch, CAP_S), stream, [])[1] == list(range(20))
