from __future__ import annotations

import numpy as np
import pytest

from pointsman.errors import DataError
from pointsman.predict.cost import OlsCost, ShapeCost
from pointsman.predict.refined import RefinedCost

KINDS = (OlsCost, ShapeCost, RefinedCost)
INPUTS, OUTPUTS = (
    grid.ravel()
    for grid in np.meshgrid([8.0, 32.0, 128.0, 512.0, 2048.0], [1.0, 8.0, 64.0, 512.0], indexing="ij")
)


def test_ols_finds_its_own_coefficients() -> None:
    truth = np.array([0.5, 0.01, 0.03, 2e-5])
    cost = OlsCost(truth).predict(INPUTS, OUTPUTS)
    np.testing.assert_allclose(OlsCost.fit(INPUTS, OUTPUTS, cost).coefficients, truth, rtol=1e-8)


@pytest.mark.parametrize("kind", [ShapeCost, RefinedCost])
def test_non_negative_kinds_find_their_own_coefficients(kind: type[ShapeCost | RefinedCost]) -> None:
    truth = np.array([0.5, 0.01, 0.03, 2e-5, 3e-9][: len(kind.terms)])
    cost = kind(truth).predict(INPUTS, OUTPUTS)
    fitted = kind.fit(INPUTS, OUTPUTS, cost)
    np.testing.assert_allclose(fitted.predict(INPUTS, OUTPUTS), cost, rtol=1e-5)
    np.testing.assert_allclose(fitted.coefficients, truth, rtol=1e-3)


def test_ols_goes_below_zero_where_shape_does_not() -> None:
    cost = 0.1 + 1e-4 * OUTPUTS * (INPUTS + OUTPUTS / 2)
    assert OlsCost.fit(INPUTS, OUTPUTS, cost).predict(np.array([1.0]), np.array([1.0]))[0] < 0
    assert ShapeCost.fit(INPUTS, OUTPUTS, cost).predict(np.array([1.0]), np.array([1.0]))[0] > 0


def test_the_correction_follows_cells_and_fades_away_from_them() -> None:
    cost = ShapeCost(np.array([0.5, 0.01, 0.03, 2e-5])).predict(INPUTS, OUTPUTS)
    bumped = np.where(INPUTS == 128, 1.3, 1.0) * cost
    repeat = np.tile(np.arange(len(cost)), 9)
    fitted = RefinedCost.fit(INPUTS[repeat], OUTPUTS[repeat], bumped[repeat])
    plain = RefinedCost(fitted.coefficients)
    at = INPUTS == 128
    error = np.abs(fitted.predict(INPUTS, OUTPUTS) / bumped - 1)[at].mean()
    assert error < 0.6 * np.abs(plain.predict(INPUTS, OUTPUTS) / bumped - 1)[at].mean()
    far = (np.array([1e6]), np.array([1e6]))
    np.testing.assert_allclose(fitted.predict(*far), plain.predict(*far), rtol=1e-9)


def test_many_cells_are_joined_into_a_few_knots() -> None:
    rng = np.random.default_rng(1)
    inputs, outputs = rng.uniform(1, 4000, 900), rng.uniform(1, 900, 900)
    fitted = RefinedCost.fit(inputs, outputs, 0.1 + 0.01 * inputs + 0.05 * outputs)
    assert 1 < len(fitted.knots) <= 48


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_input_is_named_and_its_term_left_out(kind: type[OlsCost]) -> None:
    fitted = kind.fit(np.full(20, 50.0), np.arange(1.0, 21.0), 1 + 0.1 * np.arange(1.0, 21.0))
    assert "in" in fitted.unidentified
    assert fitted.coefficients[1] == 0
    assert fitted.predict(np.array([50.0]), np.array([10.0]))[0] == pytest.approx(2.0, rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("column", "row", "value", "words"),
    [
        ("cost", 3, np.nan, "column cost, row 3: nan"),
        ("cost", 0, 0.0, "column cost, row 0: 0.0 is not above 0"),
        ("cost", 5, -1.0, "row 5: -1.0"),
        ("input_tokens", 2, np.inf, "column input_tokens, row 2: inf"),
        ("output_tokens", 1, -4.0, "column output_tokens, row 1: -4.0"),
        ("weights", 1, 0.0, "column weights, row 1: 0.0"),
    ],
)
def test_bad_rows_are_named(kind: type[OlsCost], column: str, row: int, value: float, words: str) -> None:
    rows = {
        "input_tokens": INPUTS.copy(),
        "output_tokens": OUTPUTS.copy(),
        "cost": 1 + INPUTS,
        "weights": np.ones_like(INPUTS),
    }
    rows[column][row] = value
    with pytest.raises(DataError, match=words):
        kind.fit(**rows)


@pytest.mark.parametrize("kind", KINDS)
def test_one_row_is_too_few(kind: type[OlsCost]) -> None:
    with pytest.raises(DataError, match=r"1 row\(s\).*at least 5"):
        kind.fit(np.ones(1), np.ones(1), np.ones(1))
    with pytest.raises(DataError, match="one length"):
        kind.fit(np.ones(6), np.ones(7), np.ones(6))


def test_repeats_of_a_cell_count_by_the_root_and_by_their_median() -> None:
    inputs, outputs = np.append(INPUTS, np.full(50, 8.0)), np.append(OUTPUTS, np.full(50, 1.0))
    cost = np.append(1 + 0.01 * INPUTS, np.where(np.arange(50) < 10, 100.0, 1.08))
    fitted = ShapeCost.fit(inputs, outputs, cost)
    assert fitted.predict(np.array([8.0]), np.array([1.0]))[0] == pytest.approx(1.08, rel=0.02)
