"""The equal split: by hand, and that it conserves joules whatever starts and ends when."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.errors import InternalError
from pointsman.meters.share import EnergyShare


class Counter:
    """A meter whose joules the test adds."""

    name = "counter"
    modelled = False
    description = "joules added by hand"

    def __init__(self, joules=0.0):
        self.joules = joules

    def read_j(self):
        return self.joules

    def close(self):
        pass


def test_overlapping_requests_pay_equal_parts_of_what_was_counted_while_both_ran():
    counter = Counter(1000.0)
    share = EnergyShare(counter)
    counter.joules += 5.0  # nobody runs
    share.start("a")
    counter.joules += 10.0  # a alone
    share.start("b")
    counter.joules += 8.0  # a and b
    assert share.end("a") == pytest.approx(14.0)
    counter.joules += 3.0  # b alone
    assert share.end("b") == pytest.approx(7.0)
    assert share.idle_j == pytest.approx(5.0)
    assert share.charged_j == pytest.approx(21.0)
    assert share.active == 0


def test_a_request_started_twice_or_ended_unstarted_changes_nothing():
    counter = Counter()
    share = EnergyShare(counter)
    share.start("a")
    counter.joules += 4.0
    with pytest.raises(InternalError, match="'a' was started twice"):
        share.start("a")
    with pytest.raises(InternalError, match="'b' was ended"):
        share.end("b")
    assert share.end("a") == pytest.approx(4.0)


@st.composite
def _runs(draw):
    """Alternate joules counted and the key whose state flips: it starts if idle, ends if active."""
    joules = st.floats(0.0, 1e9, allow_nan=False)
    return draw(st.lists(st.tuples(joules, st.integers(0, 7)), max_size=80))


@settings(deadline=None)
@given(_runs())
def test_parts_sum_to_the_counters_growth_while_a_request_was_active(runs):
    counter = Counter(12.5)
    share = EnergyShare(counter)
    active: set[int] = set()
    parts, busy_j, idle_j = [], [], []
    for joules, key in runs:
        before_j = counter.joules
        counter.joules += joules
        (busy_j if active else idle_j).append(counter.joules - before_j)
        if key in active:
            active.remove(key)
            parts.append(share.end(key))
        else:
            active.add(key)
            share.start(key)
        assert share.active == len(active)
    parts += [share.end(key) for key in sorted(active)]
    assert min(parts, default=0.0) >= 0.0
    assert math.fsum(parts) == pytest.approx(math.fsum(busy_j), rel=1e-9, abs=1e-6)
    assert share.charged_j == pytest.approx(math.fsum(busy_j), rel=1e-9, abs=1e-6)
    assert share.idle_j == pytest.approx(math.fsum(idle_j), rel=1e-9, abs=1e-6)


@settings(deadline=None)
@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=20), st.integers(1, 12))
def test_requests_that_run_together_from_start_to_end_pay_the_same(growth_j, n_requests):
    counter = Counter()
    share = EnergyShare(counter)
    for key in range(n_requests):
        share.start(key)
    counter.joules += math.fsum(growth_j)
    parts = [share.end(key) for key in range(n_requests)]
    assert parts == [parts[0]] * n_requests
    assert math.fsum(parts) == pytest.approx(counter.joules)
