from __future__ import annotations

import math

import numpy as np
import pytest

from pointsman.errors import DataError
from pointsman.metrics.probability import (
    auroc,
    brier,
    calibration_error,
    calibration_error_floor,
    log_loss,
    reliability_bins,
)

LABELS = np.array([0.0, 0.0, 1.0, 1.0])


def by_pairs(labels: np.ndarray, scores: np.ndarray) -> float:
    right, wrong = scores[labels == 1], scores[labels == 0]
    return float(np.mean([(a > b) + 0.5 * (a == b) for a in right for b in wrong]))


def test_by_hand() -> None:
    predicted = np.array([0.1, 0.6, 0.4, 0.9])
    assert auroc(LABELS, predicted) == 0.75
    assert brier(LABELS, predicted) == pytest.approx((0.01 + 0.36 + 0.36 + 0.01) / 4)
    assert log_loss(LABELS, predicted) == pytest.approx(-(2 * math.log(0.9) + 2 * math.log(0.4)) / 4)
    assert calibration_error(LABELS, predicted, bins=2) == pytest.approx(0.25)


def test_auroc_counts_pairs_and_half_of_ties() -> None:
    rng = np.random.default_rng(2)
    labels, scores = rng.integers(0, 2, 80).astype(float), rng.integers(0, 9, 80).astype(float)
    assert auroc(labels, scores) == pytest.approx(by_pairs(labels, scores))
    assert auroc(labels, np.zeros(80)) == 0.5


def test_one_class_has_no_auroc() -> None:
    assert math.isnan(auroc(np.ones(5), np.arange(5.0)))


def test_sure_and_wrong_is_a_large_but_finite_loss() -> None:
    assert 20 < log_loss(np.array([1.0]), np.array([0.0])) < 30


def test_bins_hold_equal_mass_and_keep_ties_together() -> None:
    predicted = np.linspace(0, 1, 1000)
    assert reliability_bins(np.zeros(1000), predicted).rows.tolist() == [100.0] * 10
    tied = np.repeat([0.2, 0.7], [900, 100])
    made = reliability_bins(np.zeros(1000), tied)
    assert made.rows.tolist() == [900.0, 100.0]
    assert made.predicted.tolist() == pytest.approx([0.2, 0.7])


def test_the_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    predicted = rng.choice([0.1, 0.3, 0.35, 0.8], 500)
    labels = (rng.random(500) < predicted).astype(float)
    mixed = rng.permutation(500)
    assert calibration_error(labels, predicted) == pytest.approx(
        calibration_error(labels[mixed], predicted[mixed])
    )


def test_a_calibrated_predictor_is_at_its_floor_and_an_overconfident_one_above() -> None:
    rng = np.random.default_rng(5)
    predicted = rng.beta(4, 2, 3000)
    floor = calibration_error_floor(predicted, rng)
    errors = [calibration_error((rng.random(3000) < predicted).astype(float), predicted) for _ in range(200)]
    assert np.mean(errors) == pytest.approx(floor.mean, rel=0.1)
    assert np.mean(np.array(errors) > floor.p95) == pytest.approx(0.05, abs=0.05)
    labels = (rng.random(3000) < 0.5 + 0.5 * (predicted - 0.5)).astype(float)
    assert calibration_error(labels, predicted) > 2 * floor.p95


def test_the_floor_falls_with_the_root_of_the_sample() -> None:
    rng = np.random.default_rng(6)
    small, large = (calibration_error_floor(rng.random(n), rng, draws=300).mean for n in (500, 8000))
    assert small / large == pytest.approx(4, rel=0.15)


@pytest.mark.parametrize(
    ("labels", "predicted", "words"),
    [
        (np.array([0.5, 1.0]), np.ones(2), "neither 0 nor 1"),
        (np.array([0.0, np.nan]), np.ones(2), "NaN"),
        (np.array([]), np.array([]), "at least one row"),
    ],
)
def test_bad_labels_have_no_auroc(labels: np.ndarray, predicted: np.ndarray, words: str) -> None:
    with pytest.raises(DataError, match=words):
        auroc(labels, predicted)


def test_a_prediction_above_1_is_refused() -> None:
    with pytest.raises(DataError, match=r"prediction 1 is 1\.5"):
        brier(np.ones(2), np.array([0.5, 1.5]))
    with pytest.raises(DataError, match="label 0 is -1"):
        calibration_error(np.array([-1.0]), np.array([0.5]))
