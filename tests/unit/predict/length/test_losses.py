"""Ranking losses: their slopes are right, and the right order costs least."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pointsman.predict.length.losses import Loss, listmle, pairwise

LOSSES = [listmle, pairwise]


@pytest.mark.parametrize("made", LOSSES)
@pytest.mark.parametrize("n", [2, 7, 40])
def test_the_slope_is_the_derivative(made: Callable[..., Loss], n: int) -> None:
    rng = np.random.default_rng(n)
    loss = made(rng.standard_normal(n), rng)
    scores = rng.standard_normal(n)
    _, slope = loss(scores)
    for at in range(n):
        step = np.zeros(n)
        step[at] = 1e-6
        measured = (loss(scores + step)[0] - loss(scores - step)[0]) / 2e-6
        assert slope[at] == pytest.approx(measured, abs=1e-5)


@pytest.mark.parametrize("made", LOSSES)
def test_the_right_order_costs_least(made: Callable[..., Loss]) -> None:
    rng = np.random.default_rng(3)
    targets = rng.standard_normal(60)
    loss = made(targets, rng)
    assert loss(3 * targets)[0] < loss(np.zeros(60))[0] < loss(-3 * targets)[0]


def test_large_scores_stay_finite() -> None:
    rng = np.random.default_rng(4)
    loss = listmle(rng.standard_normal(50), rng)
    value, slope = loss(rng.standard_normal(50) * 200)
    assert np.isfinite(value)
    assert np.isfinite(slope).all()
