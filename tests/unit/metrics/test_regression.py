from __future__ import annotations

import math

import numpy as np
import pytest

from pointsman.errors import DataError
from pointsman.metrics.regression import (
    bootstrap,
    coverage,
    mape,
    mean_relative_width,
    median_ape,
    quantile_loss,
    r2,
    rank_correlation,
)

MEASURED = np.array([1.0, 2.0, 4.0])


def test_by_hand() -> None:
    predicted = np.array([1.1, 2.0, 2.0])
    assert mape(MEASURED, predicted) == pytest.approx((0.1 + 0 + 0.5) / 3)
    assert median_ape(MEASURED, predicted) == pytest.approx(0.1)
    assert r2(MEASURED, predicted) == pytest.approx(1 - 4.01 / (14 / 3))
    assert r2(MEASURED, np.full(3, MEASURED.mean())) == pytest.approx(0)
    assert coverage(MEASURED, np.array([1.0, 2.1, np.nan]), np.array([1.0, 3.0, np.nan])) == pytest.approx(
        1 / 3
    )
    assert mean_relative_width(np.ones(2), np.full(2, 3.0), np.full(2, 2.0)) == 1.0


def test_a_constant_has_no_r2() -> None:
    assert math.isnan(r2(np.ones(3), np.ones(3)))


def test_rank_correlation_heeds_order_alone() -> None:
    assert rank_correlation(MEASURED, np.exp(MEASURED)) == pytest.approx(1)
    assert rank_correlation(MEASURED, -MEASURED) == pytest.approx(-1)
    assert rank_correlation(MEASURED, np.ones(3)) == 0
    tied = rank_correlation(np.array([1.0, 2.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert tied == pytest.approx(np.corrcoef([1, 2.5, 2.5, 4], [1, 2, 3, 4])[0, 1])


def test_bootstrap_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(200):
        sample = rng.normal(3.0, 1.0, 60)
        low, high = bootstrap(lambda values: float(values.mean()), sample, rng=rng, resamples=200)
        hits += low <= 3.0 <= high
    assert 0.88 <= hits / 200 <= 0.99


@pytest.mark.parametrize(
    ("measured", "predicted", "words"),
    [
        (np.array([]), np.array([]), "at least one row"),
        (np.ones(2), np.ones(3), "one length"),
        (np.array([1.0, np.nan]), np.ones(2), "NaN"),
        (np.array([1.0, 0.0]), np.ones(2), "above 0"),
    ],
)
def test_bad_columns_are_refused(measured: np.ndarray, predicted: np.ndarray, words: str) -> None:
    with pytest.raises(DataError, match=words):
        mape(measured, predicted)


def test_quantile_loss_is_least_at_the_quantiles() -> None:
    rng = np.random.default_rng(5)
    measured, levels = rng.exponential(10.0, 4_000), np.array([0.1, 0.5, 0.9])
    best = np.quantile(measured, levels)
    least = quantile_loss(measured, best, levels)
    for factor in (0.9, 1.1):
        assert quantile_loss(measured, best * factor, levels) > least
    assert quantile_loss(np.array([4.0]), np.array([[1.0, 4.0, 9.0]]), levels) == pytest.approx(
        (0.3 + 0 + 0.5) / 3
    )
