from __future__ import annotations

import json

import numpy as np
import pytest

from pointsman.errors import DataError
from pointsman.metrics.probability import calibration_error, calibration_error_floor, log_loss
from pointsman.predict.quality.base import RawForecast
from pointsman.predict.quality.calibration import KINDS, Calibration
from pointsman.predict.quality.calibration_curves import (
    GRID,
    IDENTITY,
    Line,
    fit_isotonic,
    fit_line,
    pool_adjacent,
)
from pointsman.predict.quality.odds import logit, sigmoid
from pointsman.types import Estimate, Floats

N = 4000


def drawn(seed: int, true_odds, n: int = N) -> tuple[Floats, Floats]:
    """Predictions, and labels whose true log-odds are a function of the predicted ones."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(0.5, 1.3, n)
    return sigmoid(odds), (rng.random(n) < sigmoid(true_odds(odds))).astype(float)


def fitted(*columns: tuple[Floats, Floats], seed: int = 1) -> Calibration:
    predicted, labels = (np.column_stack(parts) for parts in zip(*columns, strict=True))
    names = [f"e{column}" for column in range(predicted.shape[1])]
    return Calibration.fit(names, predicted, labels, np.arange(len(predicted)), seed)


def _calibrated(calibration: Calibration, quality: Estimate) -> Estimate:
    return calibration.calibrate(RawForecast.of(quality).log_odds)


def stairs(odds: Floats) -> Floats:
    """Far from any straight line in log-odds."""
    return np.where(odds < 0, -0.2, np.where(odds < 1, 0.0, 3.0)) + 0.05 * odds


def test_the_kind_is_what_the_data_ask_for() -> None:
    made = fitted(drawn(1, lambda odds: 0.4 * odds - 0.7), drawn(2, stairs))
    assert made.kinds == ("platt", "isotonic")
    assert set(made.kinds) <= set(KINDS)


def test_what_is_miscalibrated_is_met_on_new_rows() -> None:
    for true_odds in (lambda odds: 0.4 * odds - 0.7, stairs):
        made = fitted(drawn(1, true_odds))
        predicted, labels = drawn(9, true_odds)
        after = made.apply(predicted[:, None])[:, 0]
        floor = calibration_error_floor(after, np.random.default_rng(1))
        assert calibration_error(labels, predicted) > 4 * floor.p95
        assert calibration_error(labels, after) < 1.5 * floor.p95
        assert log_loss(labels, after) < log_loss(labels, predicted)


def test_order_is_kept_and_values_stay_inside() -> None:
    made = fitted(drawn(1, stairs), drawn(2, lambda odds: -0.5 * odds))
    predicted = np.linspace(0, 1, 2001)
    after = made.apply(np.column_stack([predicted, predicted]))
    assert ((after > 0) & (after < 1)).all()
    assert (np.diff(after, axis=0) >= 0).all()


def test_few_labels_take_the_line_of_all() -> None:
    many, few = drawn(1, lambda odds: 0.4 * odds - 1), drawn(2, lambda odds: 0.4 * odds - 1)
    few[1][8:] = np.nan
    none = few[0], np.full(N, np.nan)
    made = fitted(many, few, none)
    assert made.kinds[1:] == ("platt", "platt")
    expected = fit_line(logit(many[0]), many[1])
    assert np.abs(made.curve[2] - expected.on_grid()).max() < 0.15
    near = np.abs(GRID) < 2
    assert np.abs(made.curve[1] - made.curve[2])[near].max() < 0.8


def test_no_labels_change_nothing_and_say_nothing() -> None:
    made = Calibration.fit(["e"], np.full((3, 1), 0.3), np.full((3, 1), np.nan), np.arange(3), 1)
    assert made.kinds == ("identity",)
    estimate = _calibrated(made, Estimate.exact(np.array([[0.3]])))
    assert estimate.value[0, 0] == pytest.approx(0.3, abs=1e-4)
    assert (estimate.low[0, 0], estimate.high[0, 0]) == pytest.approx((0, 1), abs=1e-6)
    assert 0 <= estimate.low[0, 0] <= estimate.high[0, 0] <= 1


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_stays_inside(label: float) -> None:
    predicted, _ = drawn(1, lambda odds: odds, 500)
    after = fitted((predicted, np.full(500, label))).apply(predicted[:, None])
    assert ((after > 0) & (after < 1)).all()
    assert abs(after - label).mean() < 0.05


def test_shares_are_labels_too() -> None:
    predicted, _ = drawn(1, lambda odds: odds)
    shares = sigmoid(0.5 * logit(predicted) - 1)
    made = fitted((predicted, shares))
    assert np.abs(made.apply(predicted[:, None])[:, 0] - shares).mean() < 0.01


def test_the_band_holds_the_true_share_and_narrows_with_labels() -> None:
    odds = np.linspace(-1, 2, 40)
    held, widths = [], []
    for n in (500, 8000):
        for seed in range(12):
            made = fitted(drawn(seed, stairs if seed % 2 else (lambda odds: 0.4 * odds - 0.7), n))
            true = stairs(odds) if seed % 2 else 0.4 * odds - 0.7
            band = _calibrated(made, Estimate.exact(sigmoid(odds)[:, None]))
            held.append(((band.low[:, 0] <= sigmoid(true)) & (sigmoid(true) <= band.high[:, 0])).mean())
            widths.append((n, float((band.high - band.low).mean())))
    assert np.mean(held) > 0.85
    narrow, wide = (np.mean([width for n, width in widths if n == size]) for size in (8000, 500))
    assert narrow < 0.4 * wide


def test_an_interval_of_the_model_is_carried_through() -> None:
    made = fitted(drawn(1, lambda odds: 0.4 * odds - 0.7))
    column = np.array([[0.6]])
    wide = _calibrated(made, Estimate(column, np.array([[0.1]]), np.array([[0.95]])))
    assert wide.low[0, 0] == pytest.approx(made.apply(np.array([[0.1]]))[0, 0])
    assert wide.low[0, 0] <= wide.value[0, 0] <= wide.high[0, 0]


def test_equal_in_equal_out_and_through_arrays() -> None:
    columns = drawn(1, stairs), drawn(2, lambda odds: odds)
    made = fitted(*columns)
    assert (made.curve == fitted(*columns).curve).all()
    arrays, rest = made.to_arrays()
    again = Calibration.from_arrays(arrays, json.loads(json.dumps(rest)))
    rows = np.random.default_rng(1).random((50, 2))
    assert (again.apply(rows) == made.apply(rows)).all()
    assert (made.apply(rows[:1]) == made.apply(rows)[:1]).all()


def test_damaged_arrays_are_refused() -> None:
    arrays, rest = Calibration.identity(["a", "b"]).to_arrays()
    with pytest.raises(DataError, match="shape"):
        Calibration.from_arrays(arrays | {"curve": arrays["curve"][:1]}, rest)
    with pytest.raises(DataError, match="falls"):
        Calibration.from_arrays(arrays | {"curve": -arrays["curve"]}, rest)


def test_labels_without_predictions_are_refused() -> None:
    with pytest.raises(DataError, match="no prediction"):
        Calibration.fit(["e"], np.array([[np.nan]]), np.ones((1, 1)), np.arange(1), 1)
    with pytest.raises(DataError, match="2 endpoints"):
        Calibration.fit(["a", "b"], np.ones((1, 1)), np.ones((1, 1)), np.arange(1), 1)


def test_a_line_without_rows_is_where_it_started() -> None:
    nothing = np.empty(0)
    assert fit_line(nothing, nothing) == IDENTITY
    assert fit_line(nothing, nothing, Line(0.5, 1.0)) == Line(0.5, 1.0)


def test_a_falling_line_is_held_above_0() -> None:
    predicted, labels = drawn(1, lambda odds: -odds)
    assert fit_line(logit(predicted), labels).slope == pytest.approx(0.05)


def test_pool_adjacent_by_hand() -> None:
    block, means = pool_adjacent(np.array([0.1, 0.5, 0.3, 0.9]), np.array([1.0, 1, 3, 1]))
    assert block.tolist() == [0, 1, 1, 2]
    assert means.tolist() == pytest.approx([0.1, 0.35, 0.9])


def test_isotonic_needs_a_hundred_rows_and_rises() -> None:
    predicted, labels = drawn(1, stairs, 300)
    assert fit_isotonic(logit(predicted[:99]), labels[:99]) is None
    curve = fit_isotonic(logit(predicted), labels)
    assert curve is not None
    assert curve.shape == GRID.shape
    assert (np.diff(curve) > 0).all()
