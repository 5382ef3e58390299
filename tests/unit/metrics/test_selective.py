from __future__ import annotations

import numpy as np
import pytest

from pointsman.metrics.selective import aurc, excess_aurc, risk_coverage


def test_by_hand() -> None:
    curve = risk_coverage(np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.9, 0.8, 0.7, 0.1]))
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.risk.tolist() == pytest.approx([0, 1 / 2, 1 / 3, 2 / 4])


def test_ties_take_the_mean_of_all_their_orders() -> None:
    labels, trust = np.array([1.0, 0.0, 0.0, 1.0]), np.array([0.5, 0.5, 0.5, 0.1])
    rng = np.random.default_rng(1)
    mixed = [aurc(labels, trust + 1e-6 * rng.random(4)) for _ in range(4000)]
    assert aurc(labels, trust) == pytest.approx(np.mean(mixed), abs=0.01)


def test_no_trust_costs_the_mean_risk_and_the_best_order_has_no_excess() -> None:
    labels = (np.arange(1000) % 4 > 0).astype(float)
    assert aurc(labels, np.zeros(1000)) == pytest.approx(0.25)
    assert excess_aurc(labels, labels) == 0
    assert excess_aurc(labels, -labels) > excess_aurc(labels, np.zeros(1000)) > 0
