from __future__ import annotations

import numpy as np
import pytest

from pointsman.errors import DataError
from pointsman.predict.length import LengthRows, LinearLength, TaskMeanLength, predict_length
from pointsman.predict.quantiles import censored_quantiles, weighted_quantiles

ONES = np.ones(5)
INF = np.array(np.inf)


def rows(outputs: list[float], task: list[str] | None = None, cut: list[bool] | None = None) -> LengthRows:
    count = len(outputs)
    return LengthRows(
        np.arange(count, dtype=float),
        np.array(outputs),
        np.array(cut if cut is not None else [False] * count),
        task or ["fact"] * count,
    )


def test_quantiles_without_censoring_are_plain_ones() -> None:
    values = np.array([5.0, 1.0, 3.0, 2.0, 4.0])
    np.testing.assert_array_equal(
        weighted_quantiles(values, ONES, np.array([0.1, 0.5, 0.61, 0.99])), [1.0, 3.0, 4.0, 5.0]
    )
    np.testing.assert_array_equal(
        weighted_quantiles(values, np.array([1.0, 1, 1, 1, 96]), np.array([0.5])), [4.0]
    )


def test_cut_answers_push_the_tail_up() -> None:
    """Kaplan and Meier by hand: 2 of 4 at risk die at 10, the other two are cut; one more dies at 30."""
    values = np.array([10.0, 10.0, 10.0, 10.0, 30.0])
    cut = np.array([False, False, True, True, False])
    curve = censored_quantiles(values, cut, ONES, np.array([0.3, 0.39, 0.41, 0.9]))
    np.testing.assert_array_equal(curve, [10.0, 10.0, 30.0, 30.0])


def test_a_cap_gives_the_mean_of_capped_answers_not_a_cut_mean() -> None:
    model = TaskMeanLength.fit(rows([2.0] * 50 + [100.0] * 50))
    mean, low, high = predict_length(model, "fact", np.array(10.0), np.array(20.0))
    assert float(mean) == pytest.approx(11.0, rel=0.05)
    assert (float(low), float(high)) == (2.0, 20.0)


def test_a_task_is_shrunk_to_all_and_an_unknown_one_is_all() -> None:
    made = rows([4.0] * 90 + [40.0] * 3, ["fact"] * 90 + ["code"] * 3)
    model = TaskMeanLength.fit(made)
    means = {
        task: float(predict_length(model, task, np.array(0.0), INF)[0]) for task in ("fact", "code", "chat")
    }
    assert means["fact"] < means["chat"] < means["code"] < 40.0
    assert model.rows == {"fact": 90, "code": 3, "": 93}


def test_linear_fits_a_line_and_its_spread() -> None:
    rng = np.random.default_rng(4)
    inputs = rng.uniform(10, 500, 2000)
    outputs = (1.5 * inputs + 20) * rng.choice([0.5, 1.5], 2000)
    model = LinearLength.fit(LengthRows(inputs, outputs, np.zeros(2000, dtype=bool), ["chat"] * 2000))
    assert model.slope == pytest.approx(1.5, rel=0.1)
    mean, low, high = predict_length(model, "chat", np.array([100.0]), np.array([np.inf]))
    assert float(mean[0]) == pytest.approx(170, rel=0.1)
    assert (float(low[0]), float(high[0])) == pytest.approx((85, 255), rel=0.15)


def test_the_default_line_is_documented_and_has_no_interval() -> None:
    mean, low, high = predict_length(LinearLength(), "chat", np.array([100.0]), np.array([np.inf]))
    assert float(mean[0]) == pytest.approx(1.028 * 100 + 44.12)
    assert np.isnan(low).all()
    assert np.isnan(high).all()


def test_a_constant_input_gives_a_flat_line() -> None:
    made = LengthRows(np.full(4, 7.0), np.array([1.0, 2.0, 3.0, 4.0]), np.zeros(4, dtype=bool), ["x"] * 4)
    assert LinearLength.fit(made).slope == 0.0


@pytest.mark.parametrize("outputs", [[], [1.0, float("nan")], [-1.0]])
def test_bad_rows_are_refused(outputs: list[float]) -> None:
    with pytest.raises(DataError):
        rows(outputs)
