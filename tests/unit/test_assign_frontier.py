"""The frontier against every plan there is, and against the optimiser."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from pointsman.assign.frontier import frontier
from pointsman.assign.lagrangian import lagrangian
from pointsman.assign.problem import Problem, QualityFloor


def test_steps_go_up_the_hull_of_each_row() -> None:
    """Row 0 skips the middle column, which lies above the line; row 1 stays: nothing dearer is better."""
    cost = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    quality = np.array([[0.1, 0.2, 0.9], [0.5, 0.5, 0.4]])
    way = frontier(cost, quality)
    assert way.start.tolist() == [0, 0]
    assert way.row.tolist() == [0]
    assert way.column.tolist() == [2]
    assert way.price.tolist() == pytest.approx([2 / 0.8])
    assert way.means(cost).tolist() == [1.0, 2.0]
    assert way.means(quality).tolist() == pytest.approx([0.3, 0.7])


def test_of_equally_cheap_columns_the_best_comes_first() -> None:
    assert frontier(np.ones((1, 3)), np.array([[0.2, 0.6, 0.4]])).start.tolist() == [1]


def test_forbidden_pairs_are_never_chosen() -> None:
    cost, quality = np.array([[1.0, 2.0, 3.0]]), np.array([[0.1, 0.9, 0.8]])
    allowed = np.array([[False, True, True]])
    way = frontier(cost, quality, allowed)
    assert way.start.tolist() == [1]
    assert len(way.row) == 0


def test_nothing_cheaper_reaches_the_same_quality() -> None:
    """Every plan of 4 rows on 3 columns: none has more forecast quality at less cost than the frontier."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        cost, quality = rng.random((4, 3)), rng.random((4, 3))
        way = frontier(cost, quality)
        at, reached = way.means(cost), way.means(quality)
        rows = np.arange(4)
        for plan in product(range(3), repeat=4):
            spent, got = cost[rows, plan].mean(), quality[rows, plan].mean()
            assert got <= np.interp(spent, at, reached) + 1e-12 if spent >= at[0] else True


def test_the_optimiser_finds_the_same_plan_but_for_a_row() -> None:
    rng = np.random.default_rng(7)
    cost, quality = rng.random((300, 6)), rng.random((300, 6))
    way = frontier(cost, quality)
    floor = 0.7
    steps = int(np.searchsorted(way.means(quality), floor))
    above, below = way.means(cost)[steps], way.means(cost)[steps - 1]
    plan = lagrangian(
        Problem(tuple("abcdef"), cost, quality, floors=(QualityFloor.overall(floor),))
    ).required()
    assert below <= plan.objective / 300 <= above + 1e-12
    choice = way.choice(steps)
    assert quality[np.arange(300), choice].mean() == pytest.approx(way.means(quality)[steps])
    assert cost[np.arange(300), choice].mean() == pytest.approx(above)


def test_one_column_has_one_plan() -> None:
    way = frontier(np.ones((5, 1)), np.full((5, 1), 0.5))
    assert len(way.row) == 0
    assert way.means(np.full((5, 1), 2.0)).tolist() == [2.0]
