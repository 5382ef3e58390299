"""Reading a curve of quality over cost, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pointsman.errors import DataError
from pointsman.metrics.quality_cost import cost_at_quality, quality_at_cost

QUALITY = np.array([[0.0, 0.5, 0.4, 0.9], [0.2, 0.5, 0.6, 0.7]])
COST = np.array([[1.0, 2.0, 3.0, 6.0], [1.0, 4.0, 5.0, 6.0]])
"""Means: quality .1, .5, .5, .8 at cost 1, 3, 4, 6."""
TARGET, UNIT = np.array([0.6, 0.7]), np.array([10.0, 10.0])
ONCE = np.ones((1, 2))


def test_between_two_settings_rows_are_shared_out() -> None:
    """.65 is half way from .5 at 4 to .8 at 6: 5 of 10."""
    assert cost_at_quality(QUALITY, COST, TARGET, UNIT)(ONCE) == pytest.approx([0.5])


def test_a_row_that_was_drawn_twice_counts_twice() -> None:
    """Row 0 alone: qualities 0, .5, .5, .9 and goal .6 at 3 + 3/4: .375."""
    drawn = np.array([[2.0, 0.0]])
    assert cost_at_quality(QUALITY, COST, TARGET, UNIT)(drawn) == pytest.approx([0.375])


def test_quality_at_a_share_of_the_cost() -> None:
    """At 2 of 10 the curve is half way from .1 to .5; at 9 it is at its best; at .5 there is none."""
    at = [quality_at_cost(QUALITY, COST, TARGET, UNIT, share)(ONCE)[0] for share in (0.2, 0.9, 0.05)]
    assert at[:2] == pytest.approx([0.3 / 0.65 - 1, 0.8 / 0.65 - 1])
    assert np.isnan(at[2])


def test_what_is_not_reached_has_no_cost() -> None:
    assert np.isnan(cost_at_quality(QUALITY, COST, np.array([0.9, 0.9]), UNIT)(ONCE)[0])


def test_shapes_must_fit() -> None:
    with pytest.raises(DataError, match="no curve"):
        cost_at_quality(QUALITY, COST[:, :2], TARGET, UNIT)
    with pytest.raises(DataError, match="no unit"):
        quality_at_cost(QUALITY, COST, TARGET, UNIT[:1], 0.5)
