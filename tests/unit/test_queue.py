import pytest

from pointsman.errors import InternalError
from pointsman.lifecycle import Entry
from pointsman.order.queue import EndpointQueue
from pointsman.testing.fakes import make_endpoints, make_request
from pointsman.types import EndpointLoad


def queue(slots=1):
    return EndpointQueue(make_endpoints(1)[0], slots)


def entry(seq):
    return Entry(make_request(f"r{seq}"), seq, float(seq))


def test_starts_by_key_then_by_arrival_up_to_its_slots():
    q = queue(slots=3)
    for key, seq in ((2.0, 0), (1.0, 2), (1.0, 1), (0.5, 3)):
        q.push(key, entry(seq))
    assert [q.start_next().seq for _ in range(3)] == [3, 1, 2]
    assert q.start_next() is None
    assert (len(q), q.running) == (1, 3)
    q.release()
    assert q.start_next().seq == 0


def test_starts_nothing_while_down_or_lowered_below_what_runs():
    q = queue(slots=2)
    for seq in range(4):
        q.push(0.0, entry(seq))
    q.set_capacity(2, healthy=False)
    assert q.start_next() is None
    q.set_capacity(2, healthy=True)
    assert q.start_next()
    assert q.start_next()
    q.set_capacity(1, healthy=True)
    q.release()
    assert q.start_next() is None
    q.release()
    assert q.start_next().seq == 2


def test_one_that_left_is_never_started_and_its_place_is_given_back():
    q = queue(slots=1000)
    entries = [entry(seq) for seq in range(500)]
    for one in entries:
        q.push(0.0, one)
    for one in entries[:499]:
        q.remove(one)
    assert len(q) == 1
    assert len(q._heap) <= 2 + 64
    assert q.start_next() is entries[499]
    assert q.start_next() is None


def test_drain_gives_all_that_wait_in_order():
    q = queue()
    entries = [entry(seq) for seq in range(5)]
    for one in entries:
        q.push(-float(one.seq), one)
    q.remove(entries[2])
    assert [one.seq for one in q.drain()] == [4, 3, 1, 0]
    assert (len(q), q.start_next()) == (0, None)
    q.push(0.0, entries[0])
    assert q.start_next() is entries[0]


def test_refuses_what_can_only_be_a_fault():
    q, one = queue(), entry(0)
    with pytest.raises(InternalError, match="key nan"):
        q.push(float("nan"), one)
    q.push(1.0, one)
    with pytest.raises(InternalError, match="can't join e0"):
        q.push(1.0, one)
    with pytest.raises(InternalError, match="does not wait for e0"):
        q.remove(entry(7))
    with pytest.raises(InternalError, match="a slot that nobody held"):
        q.release()
    assert len(q) == 1


def test_policies_see_counts_and_what_the_endpoint_said():
    q = queue(slots=2)
    q.push(0.0, entry(0))
    q.push(0.0, entry(1))
    q.start_next()
    q.observe(EndpointLoad(running=5, observed_at_s=3.0))
    view = q.view()
    assert q.view() is view
    assert (view.name, view.queued, view.running, view.max_concurrent, view.healthy) == ("e0", 1, 1, 2, True)
    assert view.load == EndpointLoad(running=5, observed_at_s=3.0)
