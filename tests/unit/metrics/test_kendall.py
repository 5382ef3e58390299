"""Kendall's tau-b counts what SciPy counts, and its parts add up."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import DataError
from pointsman.metrics.kendall import kendall_tau, pair_counts, pairs_within

stats = pytest.importorskip("scipy.stats")

SMALL = st.integers(-3, 3).map(float)
ROWS = st.lists(st.tuples(SMALL, SMALL, st.integers(0, 2)), min_size=2, max_size=40)


@pytest.mark.parametrize(("n", "values"), [(2, 2), (50, 4), (1_000, 7), (5_000, 100_000)])
def test_it_agrees_with_scipy(n: int, values: int) -> None:
    rng = np.random.default_rng(n)
    first = rng.integers(0, values, n).astype(float)
    second = first + rng.integers(0, values, n)
    assert kendall_tau(first, second) == pytest.approx(stats.kendalltau(first, second).statistic, abs=1e-12)


@given(ROWS)
def test_every_pair_is_counted_once(rows: list[tuple[float, float, int]]) -> None:
    first, second, groups = (np.array(column) for column in zip(*rows, strict=True))
    margin = tied_first = tied_second = 0
    for one, other in combinations(range(len(rows)), 2):
        by_first, by_second = (np.sign(column[one] - column[other]) for column in (first, second))
        margin += int(by_first * by_second)
        tied_first += by_first == 0
        tied_second += by_second == 0
    counts = pair_counts(first, second)
    assert counts == (len(rows) * (len(rows) - 1) // 2, tied_first, tied_second, margin)
    across = counts.less(pairs_within(first, second, groups))
    assert across.pairs == sum(
        groups[one] != groups[other] for one, other in combinations(range(len(rows)), 2)
    )


def test_order_and_its_reverse() -> None:
    rising = np.arange(1_000.0)
    assert kendall_tau(rising, rising**3) == 1
    assert kendall_tau(rising, -rising) == -1


def test_a_constant_column_tells_nothing() -> None:
    assert math.isnan(kendall_tau(np.ones(5), np.arange(5.0)))
    assert math.isnan(kendall_tau(np.ones(1), np.ones(1)))


@pytest.mark.parametrize("wrong", [[1.0, math.nan], [1.0], [1.0, math.inf]])
def test_what_can_not_be_ordered_is_refused(wrong: list[float]) -> None:
    with pytest.raises(DataError):
        kendall_tau(np.array(wrong), np.array([1.0, 2.0]))
