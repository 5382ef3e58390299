from __future__ import annotations

import math

import numpy as np
import pytest

from pointsman.errors import DataError
from pointsman.metrics.probability import brier
from pointsman.metrics.run_or_skip import (
    SKIP,
    Stakes,
    bounds,
    cost_curve,
    decide,
    normalised,
    normalised_of,
    score,
)

RIGHT = np.array([1.0, 0.0, 1.0, 0.0])
STAKES = Stakes(c_run=0.2)


def test_one_model_by_hand() -> None:
    run = np.array([True, True, False, False])
    assert score(run, RIGHT, STAKES) == pytest.approx((0.2 + 1.2 + 1 + 0) / 4)
    edge = bounds(RIGHT, STAKES)
    assert edge.all_run.tolist() == pytest.approx([0.2 + 0.5])
    assert edge.all_skip == 0.5
    assert edge.oracle == pytest.approx(0.2 * 0.5)
    assert normalised(run, RIGHT, STAKES) == pytest.approx((0.5 - 0.6) / (0.5 - 0.1))
    assert normalised(RIGHT > 0, RIGHT, STAKES) == pytest.approx(1)
    assert normalised(np.zeros(4, dtype=bool), RIGHT, STAKES) == 0


def test_the_normalised_score_under_weights_is_that_of_the_rows_repeated() -> None:
    rng = np.random.default_rng(1)
    right, run = (rng.random((2, 50)) < 0.5).astype(float)
    weights = rng.integers(0, 3, (4, 50))
    expected = [normalised(np.repeat(run > 0, each), np.repeat(right, each), STAKES) for each in weights]
    found = normalised_of(run > 0, right, STAKES)(weights.astype(float))
    np.testing.assert_allclose(found, expected)


def test_the_threshold_is_where_running_pays() -> None:
    assert float(STAKES.threshold) == pytest.approx(0.6)
    assert decide(np.array([0.59, 0.61]), STAKES).tolist() == [SKIP, 0]
    uneven = Stakes(c_run=0.1, c_wrong=0.5, c_miss=2)
    edge = float(uneven.threshold)
    assert edge == pytest.approx(0.6 / 2.5)
    assert decide(np.array([edge - 1e-9, edge + 1e-9]), uneven).tolist() == [SKIP, 0]
    assert float(Stakes(c_run=0.1, c_wrong=0, c_miss=0).threshold) == math.inf


def test_at_the_threshold_it_runs_however_the_costs_are_rounded() -> None:
    percent = np.arange(100)
    stakes = Stakes(c_run=percent / 100)
    assert (decide((percent + 100) / 200, stakes) == 0).all()


def test_each_query_may_have_its_own_cost_of_running() -> None:
    stakes = Stakes(c_run=np.array([0.0, 0.2, 0.9, 2.0]))
    assert decide(np.full(4, 0.7), stakes).tolist() == [0, 0, SKIP, SKIP]
    assert score(np.ones(4, dtype=bool), RIGHT, stakes) == pytest.approx((0 + 1.2 + 0.9 + 3) / 4)
    assert bounds(np.ones(4), stakes).oracle == pytest.approx((0 + 0.2 + 0.9 + 1) / 4)


def test_several_models_by_hand() -> None:
    right = np.array([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
    stakes = Stakes(c_run=np.array([0.1, 0.4]))
    assert score(np.array([0, 1, SKIP]), right, stakes) == pytest.approx((0.1 + 0.4 + 0) / 3)
    assert score(np.array([SKIP, 0, 1]), right, stakes) == pytest.approx((1 + 1.1 + 1.4) / 3)
    edge = bounds(right, stakes)
    assert edge.all_run.tolist() == pytest.approx([0.1 + 2 / 3, 0.4 + 1 / 3])
    assert edge.all_skip == pytest.approx(2 / 3)
    assert edge.oracle == pytest.approx(0.5 / 3)
    chances = np.array([[0.9, 0.95], [0.2, 0.9], [0.1, 0.2]])
    assert decide(chances, stakes).tolist() == [0, 1, SKIP]


def test_deciding_by_true_probabilities_is_never_beaten_by_another_threshold() -> None:
    rng = np.random.default_rng(3)
    chance = rng.random(200_000)
    right = (rng.random(200_000) < chance).astype(float)
    best = score(decide(chance, STAKES), right, STAKES)
    for threshold in (0.3, 0.5, 0.55, 0.65, 0.8):
        assert best < score(chance >= threshold, right, STAKES)


def test_the_cost_curve_is_the_score_above_the_oracle() -> None:
    rng = np.random.default_rng(4)
    chance = rng.random(500)
    right = (rng.random(500) < chance).astype(float)
    curve = cost_curve(chance, right, np.array([0.6]))
    edge = bounds(right, STAKES)
    assert 2 * curve.model[0] + edge.oracle == pytest.approx(score(decide(chance, STAKES), right, STAKES))
    assert 2 * curve.all_run[0] + edge.oracle == pytest.approx(edge.all_run[0])
    assert 2 * curve.all_skip[0] + edge.oracle == pytest.approx(edge.all_skip)


def test_the_area_under_the_cost_curve_is_half_the_brier_score() -> None:
    rng = np.random.default_rng(5)
    chance = rng.random(400)
    right = (rng.random(400) < 0.5).astype(float)
    fine = (np.arange(20_000) + 0.5) / 20_000
    assert cost_curve(chance, right, fine).model.mean() == pytest.approx(brier(right, chance) / 2, abs=1e-4)


def test_nothing_to_gain_has_no_normalised_score() -> None:
    assert math.isnan(normalised(np.zeros(3, dtype=bool), np.zeros(3), STAKES))


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: Stakes(c_run=-0.1), "c_run = -0.1"),
        (lambda: Stakes(c_wrong=math.inf), "c_wrong = inf"),
        (lambda: score(np.array([2, 0, 0, 0]), RIGHT, STAKES), "numbers from -1 to 0"),
        (lambda: score(np.array([True]), RIGHT, STAKES), "4 numbers"),
        (lambda: bounds(RIGHT, Stakes(c_run=np.ones(3))), "doesn't fit"),
        (lambda: bounds(np.array([0.0, 2.0]), STAKES), "label 1 is 2"),
        (lambda: bounds(np.array([0.0, np.nan]), STAKES), "label 1 is nan"),
        (lambda: bounds(np.empty((0, 2)), STAKES), "can't be scored"),
    ],
)
def test_bad_input_is_refused(act, words: str) -> None:
    with pytest.raises(DataError, match=words):
        act()
