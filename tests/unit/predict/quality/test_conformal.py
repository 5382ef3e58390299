from __future__ import annotations

import math

import numpy as np
import pytest

from pointsman.errors import DataError
from pointsman.predict.quality.conformal import ConformalIntervals, ConformalSets


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


def test_the_limit_by_hand() -> None:
    measured = np.arange(1.0, 200)[:, None]
    zero = np.zeros_like(measured)
    assert ConformalIntervals.fit(measured, zero, zero, 0.9).margin[0] == 180
    low, high = ConformalIntervals.fit(measured, zero, zero, 0.9).interval(column(7), column(7))
    assert (low[0, 0], high[0, 0]) == (7 - 180, 7 + 180)


def test_too_few_labels_for_the_level_promise_nothing() -> None:
    made = ConformalIntervals.fit(column(1, 2, 3), column(0, 0, 0), column(0, 0, 0), 0.9)
    assert made.margin[0] == math.inf
    sets = ConformalSets.fit(column(0.9, 0.8), column(1, 0)).sets(column(0.5))
    assert sets.size.tolist() == [[2]]


def test_few_labels_take_the_limits_of_all() -> None:
    rng = np.random.default_rng(1)
    measured = rng.normal(0, 1, (500, 2))
    measured[50:, 1] = np.nan
    zero = np.zeros_like(measured)
    made = ConformalIntervals.fit(measured, zero, zero)
    assert made.margin[1] == pytest.approx(made.margin[0], rel=0.1)
    assert made.margin[1] != made.margin[0]


def test_a_range_that_was_too_wide_shrinks_and_never_crosses() -> None:
    measured = np.random.default_rng(1).normal(0, 1, (1000, 1))
    low, high = np.full_like(measured, -9), np.full_like(measured, 9)
    made = ConformalIntervals.fit(measured, low, high)
    assert made.margin[0] < -6
    low, high = made.interval(column(-1), column(3))
    assert low[0, 0] == high[0, 0] == 1


def test_a_scale_makes_wide_where_it_is_hard() -> None:
    rng = np.random.default_rng(2)
    scale = rng.uniform(0.5, 5, (4000, 1))
    measured = rng.normal(0, scale)
    zero = np.zeros_like(measured)
    made = ConformalIntervals.fit(measured, zero, zero, scale=scale)
    low, high = made.interval(zero, zero, scale)
    hard = scale[:, 0] > 4
    inside = ((measured >= low) & (measured <= high))[:, 0]
    assert inside[hard].mean() == pytest.approx(0.9, abs=0.03)
    assert made.margin[0] == pytest.approx(1.645, rel=0.06)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: ConformalSets.fit(column(0.5), column(0.5)), "labels of 0 and 1"),
        (lambda: ConformalSets.fit(column(np.nan), column(1)), "no prediction"),
        (lambda: ConformalSets.fit(column(0.5), column(1), 1.0), "level of 1"),
    ],
)
def test_bad_input_is_refused(act, words: str) -> None:
    with pytest.raises(DataError, match=words):
        act()
