from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pointsman.predict.cost import ShapeCost
from pointsman.predict.cost_rows import CostRows, dependent_columns
from pointsman.predict.model_profile import CostCurve, LoadFactors
from pointsman.predict.polynomial import sides
from pointsman.predict.profile_fit import COST_KINDS
from pointsman.predict.refined import RefinedCost

ROW = st.tuples(st.integers(0, 5000), st.integers(0, 5000), st.floats(1e-6, 1e6))
ROWS = st.lists(ROW, min_size=5, max_size=40)
AT = (np.array([0.0, 1, 7, 500, 1e6]), np.array([0.0, 1, 300, 1, 1e6]))


def columns(rows: list[tuple[int, int, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    inputs, outputs, cost = np.array(rows, dtype=float).T
    return inputs, outputs, cost


@given(ROWS)
def test_shape_and_refined_are_never_negative(rows: list[tuple[int, int, float]]) -> None:
    for kind in (ShapeCost, RefinedCost):
        fitted = kind.fit(*columns(rows))
        assert (fitted.coefficients >= 0).all()
        predicted = fitted.predict(*AT)
        assert np.isfinite(predicted).all()
        assert (predicted >= 0).all()


@given(ROWS)
def test_every_kind_is_the_polynomial_it_claims_to_be(rows: list[tuple[int, int, float]]) -> None:
    for kind in COST_KINDS.values():
        fitted = kind.fit(*columns(rows))
        prompt, decoding = sides(fitted, *AT)
        whole = fitted.predict(*AT)
        scale = np.abs(prompt) + np.abs(decoding) + 1e-9
        assert (np.abs(prompt + decoding - whole) <= 1e-6 * scale).all()


@given(ROWS, st.lists(st.floats(0.5, 64.0), min_size=5, max_size=5))
def test_a_curve_is_above_its_floor(rows: list[tuple[int, int, float]], concurrency: list[float]) -> None:
    for kind in COST_KINDS.values():
        curve = CostCurve(kind.fit(*columns(rows)), 1e-3, LoadFactors((1, 4), (1.0, 3.0), (1.0, 2.0)))
        predicted = curve.predict(*AT, np.array(concurrency))
        assert np.isfinite(predicted).all()
        assert (predicted >= 1e-3).all()


@given(ROWS)
def test_cells_are_unique_and_keep_the_weight(rows: list[tuple[int, int, float]]) -> None:
    inputs, outputs, cost = columns(rows)
    cells = CostRows.check(inputs, outputs, cost).by_cell()
    pairs = {(row[0], row[1]) for row in rows}
    assert len(cells.cost) in {len(pairs), len(rows)}
    assert (cells.weights**2).sum() == np.float64(len(rows)).round(6) or np.isclose(
        (cells.weights**2).sum(), len(rows)
    )
    assert cells.cost.min() >= cost.min()
    assert cells.cost.max() <= cost.max()


def test_dependent_columns_are_the_later_ones() -> None:
    matrix = np.array([[1.0, 2.0, 0.0, 3.0], [1.0, 2.0, 0.0, 5.0], [1.0, 2.0, 0.0, 9.0]])
    assert dependent_columns(matrix) == (1, 2)
