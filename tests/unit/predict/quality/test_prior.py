"""What is said of an endpoint without reading the text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.prior import PriorQuality
from pointsman.testing.outcomes import EASY_SHARE, HARD_SHARE, made_outcomes

TOLD = Queries(["", ""], ["geography", "mathematics"])


def labelled(quality: np.ndarray, tasks: tuple[str, ...]) -> OutcomeMatrix:
    n, e = quality.shape
    ids = tuple(f"q{i}" for i in range(n))
    return OutcomeMatrix(ids, ids, tasks, tuple(f"m{i}" for i in range(e)), quality, np.full((n, e), np.nan))


def test_many_labels_say_their_own_share() -> None:
    prior = PriorQuality.fit(made_outcomes(np.random.default_rng(1), 4_000))
    quality = prior.forecast(TOLD).quality
    np.testing.assert_allclose(quality.value, [[EASY_SHARE] * 2, [EASY_SHARE, HARD_SHARE]], atol=0.03)
    assert (quality.high - quality.low < 0.06).all()


def test_a_task_that_is_not_told_has_the_mean_and_one_never_seen_a_wider_interval() -> None:
    matrix = made_outcomes(np.random.default_rng(1), 1_000)
    quality = PriorQuality.fit(matrix).forecast(Queries(["", ""], ["", "botany"])).quality
    np.testing.assert_allclose(quality.value[0], np.nanmean(matrix.quality, axis=0), atol=0.01)
    np.testing.assert_array_equal(quality.value[0], quality.value[1])
    width = quality.high - quality.low
    assert width[1, 1] > 3 * width[0, 1]


def test_few_labels_are_drawn_to_what_all_show() -> None:
    rng = np.random.default_rng(2)
    quality = np.column_stack([(rng.random((500, 5)) < 0.7).astype(float), np.full(500, np.nan)])
    quality[:3, 5] = 0.0
    prior = PriorQuality.fit(labelled(quality, ("",) * 500))
    assert 0.3 < prior.overall[5] < 0.68
    np.testing.assert_allclose(prior.overall[:5], 0.7, atol=0.06)


def test_a_task_hard_for_all_is_expected_to_be_hard_for_an_endpoint_not_tried_on_it() -> None:
    tasks = tuple("hard" if i % 2 else "easy" for i in range(400))
    hard = np.array([task == "hard" for task in tasks])
    rng = np.random.default_rng(3)
    quality = (rng.random((400, 4)) < np.where(hard, 0.3, 0.9)[:, None]).astype(float)
    quality[hard, 3] = np.nan
    forecast = PriorQuality.fit(labelled(quality, tasks)).forecast(Queries([""], ["hard"]))
    # Its mean is that of easy questions; the offset of the task is what it has in common with the others.
    assert forecast.quality.value[0, 3] < 0.8
    assert forecast.quality.high[0, 3] - forecast.quality.low[0, 3] > 0.1


def test_an_endpoint_without_labels_has_the_mean_of_all_and_a_wide_interval() -> None:
    matrix = made_outcomes(np.random.default_rng(1), 500, ("both", "capitals", "new"))
    matrix.quality[:, 2] = np.nan
    quality = PriorQuality.fit(matrix).forecast(Queries.without_task([""])).quality
    assert quality.value[0, 2] == pytest.approx(np.nanmean(matrix.quality), abs=0.02)
    assert quality.high[0, 2] - quality.low[0, 2] > 0.4


def test_without_any_label_everything_is_open() -> None:
    nothing = labelled(np.full((3, 2), np.nan), ("a", "", "b"))
    quality = PriorQuality.fit(nothing).forecast(Queries(["", ""], ["a", ""])).quality
    np.testing.assert_allclose(quality.value, 0.5)
    assert (quality.high - quality.low > 0.8).all()


def test_one_class_and_one_row_stay_inside_0_and_1() -> None:
    for n in (1, 5, 200):
        for label in (0.0, 1.0):
            quality = PriorQuality.fit(labelled(np.full((n, 2), label), ("a",) * n)).forecast(TOLD).quality
            assert ((quality.low > 0) & (quality.high < 1)).all()
            assert ((quality.low <= quality.value) & (quality.value <= quality.high)).all()


def test_arrays_give_the_same_model() -> None:
    prior = PriorQuality.fit(made_outcomes(np.random.default_rng(1), 100, missing=0.3))
    again = PriorQuality.from_arrays(*prior.to_arrays())
    assert again.endpoints == prior.endpoints
    np.testing.assert_array_equal(again.forecast(TOLD).quality.low, prior.forecast(TOLD).quality.low)


def test_the_order_of_rows_does_not_matter() -> None:
    matrix = made_outcomes(np.random.default_rng(1), 60, missing=0.2)
    back = matrix.take(np.arange(60)[::-1])
    np.testing.assert_allclose(PriorQuality.fit(back).mean, PriorQuality.fit(matrix).mean, rtol=1e-12)
    assert PriorQuality.fit(replace(matrix, tasks=("",) * 60)).tasks == ()
