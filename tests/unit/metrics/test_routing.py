"""The routing field's measures against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pointsman.errors import DataError
from pointsman.metrics.routing import aiq, apgr, arena_score, cpt, rising_hull, strong_shares


def test_the_hull_keeps_what_no_mixture_of_others_beats() -> None:
    cost = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 1.0])
    quality = np.array([0.2, 0.6, 0.5, 0.7, 0.65, 0.1])
    at, height = rising_hull(cost, quality)
    assert at.tolist() == [1.0, 2.0, 4.0]
    assert height.tolist() == [0.2, 0.6, 0.7]


def test_a_point_under_the_line_between_its_neighbours_is_no_corner() -> None:
    at, _ = rising_hull(np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.4, 1.0]))
    assert at.tolist() == [0.0, 2.0]


def test_aiq_is_the_mean_height_of_the_hull() -> None:
    """By hand, from 1 to 5: (.2 + .6) / 2 x 1 + (.6 + .7) / 2 x 2 + .7 x 1 = 2.4, over 4."""
    cost, quality = np.array([1.0, 2.0, 4.0]), np.array([0.2, 0.6, 0.7])
    assert aiq(cost, quality, 1.0, 5.0) == pytest.approx(0.6)
    assert aiq(cost, quality, 1.5, 2.0) == pytest.approx(0.5)


def test_aiq_of_one_model_is_its_quality() -> None:
    assert aiq(np.array([2.0]), np.array([0.7]), 2.0, 9.0) == pytest.approx(0.7)


@pytest.mark.parametrize(("low", "high"), [(0.5, 2.0), (2.0, 2.0), (3.0, 2.0)])
def test_aiq_refuses_a_range_that_the_hull_does_not_cover(low: float, high: float) -> None:
    with pytest.raises(DataError, match="no mean height"):
        aiq(np.array([1.0]), np.array([0.5]), low, high)


def test_gap_recovered_by_the_rows_of_most_gain_first() -> None:
    """Gap 2 over 4 rows: the order 2, 0, 3, 1 recovers 1, 1, 2 and 2 of it."""
    weak = np.array([1.0, 0.0, 0.0, 0.0])
    strong = np.array([1.0, 0.0, 1.0, 1.0])
    shares = strong_shares(weak, strong, np.array([0.5, 0.1, 0.9, 0.4]))
    assert shares.share.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert shares.recovered.tolist() == [0.0, 0.5, 0.5, 1.0, 1.0]
    assert apgr(shares) == pytest.approx((0.25 + 0.5 + 0.75 + 1.0) / 4)
    assert cpt(shares, 0.5) == 0.25
    assert cpt(shares, 0.8) == 0.75
    with pytest.raises(DataError, match=r"CPT of 1\.5"):
        cpt(shares, 1.5)


def test_equal_gains_recover_by_chance() -> None:
    n = 10
    shares = strong_shares(np.zeros(n), np.ones(n), np.zeros(n))
    assert apgr(shares) == pytest.approx(0.5)
    assert cpt(shares, 0.8) == pytest.approx(0.8)


def test_a_weaker_strong_model_is_refused() -> None:
    with pytest.raises(DataError, match="is not above"):
        strong_shares(np.ones(3), np.zeros(3), np.zeros(3))


def test_arena_score() -> None:
    """Cheapest: C = 1, so S = 1.1 A / (.1 A + 1); dearest: C = 0, so S = 0; half way down the scale C = .5."""
    assert arena_score(0.5, 0.0044) == pytest.approx(0.55 / 1.05)
    assert arena_score(1.0, 0.0001) == pytest.approx(1.0)
    assert arena_score(0.9, 200.0) == 0.0
    assert arena_score(0.0, 200.0) == 0.0
    middle = math.sqrt(200.0 * 0.0044)
    assert arena_score(0.8, middle) == pytest.approx(1.1 * 0.8 * 0.5 / (0.08 + 0.5))
    with pytest.raises(DataError, match="has no score"):
        arena_score(1.2, 1.0)
