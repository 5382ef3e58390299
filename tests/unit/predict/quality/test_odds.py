"""Intervals of a share against the Beta distribution itself."""

from __future__ import annotations

import numpy as np
import pytest

from pointsman.predict.quality.odds import beta_interval, logit, sigmoid


@pytest.mark.parametrize(("mean", "labels"), [(0.5, 2.0), (0.5, 40.0), (0.9, 20.0), (0.2, 10.0), (0.75, 1e4)])
def test_beta_interval_is_that_of_draws(mean: float, labels: float) -> None:
    draws = np.random.default_rng(1).beta(mean * labels, (1 - mean) * labels, 400_000)
    low, high = beta_interval(np.array([mean]), np.array([labels]))
    np.testing.assert_allclose(
        [low[0], high[0]],
        np.quantile(draws, [0.05, 0.95]),
        atol=0.012 if min(mean, 1 - mean) * labels > 3 or mean == 0.5 else 0.04,
    )


def test_the_mean_is_inside_even_where_the_quantiles_are_not() -> None:
    mean = np.array([0.999, 0.001])
    low, high = beta_interval(mean, np.array([0.5, 0.5]))
    assert ((low <= mean) & (mean <= high) & (low >= 0) & (high <= 1)).all()


def test_log_odds_and_back() -> None:
    share = np.array([1e-5, 0.3, 0.5, 0.99999])
    np.testing.assert_allclose(sigmoid(logit(share)), share, rtol=1e-9)
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()
