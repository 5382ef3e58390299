"""The one logistic fit: where its gradient ends, at a bound and inside."""

from __future__ import annotations

import numpy as np
import pytest

from pointsman.predict.quality.logistic_fit import fit_logistic
from pointsman.predict.quality.odds import sigmoid

CENTRE = np.array([0.3, 0.6, 0.5])
PRECISION = np.array([0.0, 10.0, 10.0])
LEAST = np.array([-np.inf, 0.0, 0.0])


@pytest.mark.parametrize("seed", range(8))
def test_it_ends_where_the_posterior_is_greatest_under_its_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    design = np.column_stack([np.ones(300), rng.normal(0, 1, (300, 2))])
    offset = rng.normal(0, 1, 300)
    true = np.array([0.2, 0.8, -0.6 if seed % 2 else 0.1])
    labels = (rng.random(300) < sigmoid(offset + design @ true)).astype(float)
    found = fit_logistic(design, labels, CENTRE, PRECISION, offset=offset, least=LEAST)
    slope = design.T @ (labels - sigmoid(offset + design @ found)) - PRECISION * (found - CENTRE)
    held = found == LEAST
    assert held.tolist() == [False, False, bool(seed % 2)]
    np.testing.assert_allclose(slope[~held], 0, atol=1e-6)
    assert (slope[held] <= 0).all()


def test_without_rows_the_prior_stays_and_separable_labels_are_finite() -> None:
    none = fit_logistic(np.zeros((0, 3)), np.zeros(0), CENTRE, PRECISION + 1)
    np.testing.assert_allclose(none, CENTRE)
    x = np.linspace(-1, 1, 50)
    found = fit_logistic(np.column_stack([x, x**2]), (x > 0).astype(float), np.zeros(2), np.ones(2))
    assert np.isfinite(found).all()
    assert found[0] > 1
