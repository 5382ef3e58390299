"""Forecasts from neighbours, each against what can be counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pointsman.errors import DataError
from pointsman.predict.features.hot import HotFeatures
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.knn import KnnQuality, KnnSettings
from pointsman.predict.quality.neighbours import Neighbours
from pointsman.testing.outcomes import capital_question, made_outcomes, proof_question

HOT = HotFeatures()
NEW = Queries.without_task([capital_question(7_001), proof_question(7_002)])


class OnLine:
    """Puts a text that is a number of degrees on the circle."""

    name = "line"
    width = 2

    def encode(self, texts: list[str]) -> np.ndarray:
        angle = np.radians([float(text) for text in texts])
        return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)

    def fingerprint(self) -> str:
        return "line"


def on_line(quality: list[list[float]], tokens: list[list[float]] | None = None) -> OutcomeMatrix:
    n = len(quality)
    names = tuple(str(i) for i in range(n))
    lengths = np.full((n, len(quality[0])), np.nan) if tokens is None else np.array(tokens, float)
    endpoints = tuple(f"m{i}" for i in range(len(quality[0])))
    return OutcomeMatrix(names, names, ("",) * n, endpoints, np.array(quality, float), lengths)


PLAIN = KnnSettings(k=2, temperature=None, shrink=0.0, surface=0.0, same_task=0.0)


def test_the_plain_mean_is_over_the_k_nearest_that_have_a_label() -> None:
    nan = float("nan")
    matrix = on_line([[1, nan], [0, 1], [1, 0], [0, 0.5]], [[10, nan], [20, 5], [30, 6], [40, 7]])
    knn = KnnQuality.fit(matrix, HOT, OnLine(), settings=PLAIN)
    forecast = knn.forecast(Queries.without_task(["0", "3"]))
    np.testing.assert_allclose(forecast.quality.value, [[0.5, 0.5], [0.5, 0.25]])
    # Nearest to 0 are 0 and 1 for the first endpoint, 1 and 2 for the second, which has no label at 0.
    np.testing.assert_array_equal(forecast.output_tokens[0, 0, [0, 9, 10, 19]], [10, 10, 20, 20])
    np.testing.assert_array_equal(forecast.output_tokens[0, 1, [0, 9, 10, 19]], [5, 5, 6, 6])


def test_of_equally_near_neighbours_the_earlier_counts() -> None:
    matrix = replace(on_line([[1.0], [0.0], [0.0], [0.0]]), prompts=("5", "5", "5", "5"))
    knn = KnnQuality.fit(matrix, HOT, OnLine(), settings=replace(PLAIN, k=1))
    assert knn.forecast(Queries.without_task(["9"])).quality.value[0, 0] == pytest.approx(1.0, abs=1e-5)


def test_nearer_neighbours_weigh_more_and_the_prior_counts_beside_them() -> None:
    matrix = on_line([[1.0]] + [[0.0]] * 59)
    near = Queries.without_task(["0"])
    flat = KnnQuality.fit(matrix, HOT, OnLine(), settings=replace(PLAIN, k=60))
    steep = KnnQuality.fit(matrix, HOT, OnLine(), settings=replace(PLAIN, k=60, temperature=0.0005))
    held = KnnQuality.fit(matrix, HOT, OnLine(), settings=replace(PLAIN, k=1, shrink=1.0))
    assert flat.forecast(near).quality.value[0, 0] == pytest.approx(1 / 60)
    assert steep.forecast(near).quality.value[0, 0] > 0.2
    prior = held.prior.overall[0]
    assert held.forecast(near).quality.value[0, 0] == pytest.approx((1 + prior) / 2)


def test_the_task_draws_neighbours_where_it_is_told() -> None:
    matrix = replace(on_line([[1.0], [1.0], [0.0], [0.0]]), tasks=("a", "a", "b", "b"))
    knn = KnnQuality.fit(matrix, HOT, OnLine(), settings=replace(PLAIN, same_task=1.0))
    forecast = knn.forecast(Queries(["1", "1", "1", "1"], ["a", "b", "", "never seen"]))
    assert forecast.quality.value[:, 0] == pytest.approx([1.0, 0.0, 0.5, 0.5], abs=1e-5)


def test_an_endpoint_without_labels_has_its_prior_and_no_lengths() -> None:
    matrix = made_outcomes(np.random.default_rng(1), 100)
    quality, tokens = matrix.quality.copy(), matrix.output_tokens.copy()
    quality[:, 1] = tokens[:, 1] = np.nan
    knn = KnnQuality.fit(replace(matrix, quality=quality, output_tokens=tokens), HOT)
    forecast = knn.forecast(NEW)
    np.testing.assert_array_equal(forecast.quality.value[:, 1], knn.prior.overall[1])
    assert (forecast.quality.high[:, 1] - forecast.quality.low[:, 1] > 0.4).all()
    assert np.isnan(forecast.output_tokens[:, 1]).all()
    assert np.isfinite(forecast.output_tokens[:, 0]).all()
    assert (
        KnnQuality.fit(replace(matrix, output_tokens=np.full_like(tokens, np.nan)), HOT)
        .forecast(NEW)
        .output_tokens
        is None
    )


@pytest.mark.parametrize("settings", [KnnSettings(), KnnSettings.eccos()])
@pytest.mark.parametrize("rows", [1, 5])
def test_few_rows_and_odd_texts_give_a_usable_forecast(settings: KnnSettings, rows: int) -> None:
    matrix = made_outcomes(np.random.default_rng(1), rows)
    knn = KnnQuality.fit(replace(matrix, quality=np.ones_like(matrix.quality)), HOT, settings=settings)
    quality = knn.forecast(Queries.without_task(["", "x" * 100_000, "\U0001f682\u4e16"])).quality
    assert ((quality.low >= 0) & (quality.low <= quality.value) & (quality.value <= quality.high)).all()
    assert (quality.high <= 1).all()


def test_one_query_gives_what_it_gives_in_a_batch_and_arrays_give_the_same_model() -> None:
    matrix = made_outcomes(np.random.default_rng(1), 300, missing=0.3)
    knn = KnnQuality.fit(matrix, HOT)
    texts = Queries(matrix.prompts[:150], matrix.tasks[:150])
    batch = knn.forecast(texts)
    alone = knn.forecast(texts.take(np.array([140])))
    np.testing.assert_array_equal(alone.quality.value[0], batch.quality.value[140])
    np.testing.assert_array_equal(alone.output_tokens[0], batch.output_tokens[140])
    again = KnnQuality.from_arrays(*knn.to_arrays(), HOT)
    np.testing.assert_allclose(again.forecast(texts).quality.value, batch.quality.value, atol=1e-12)


@pytest.mark.parametrize("wrong", [{"k": 0}, {"temperature": 0.0}, {"shrink": -1.0}])
def test_settings_that_no_mean_can_be_taken_with(wrong: dict[str, float]) -> None:
    with pytest.raises(DataError, match="k is at least 1"):
        KnnSettings(**wrong)


def parts(matrix: OutcomeMatrix, first: int) -> tuple[OutcomeMatrix, OutcomeMatrix]:
    rows = np.arange(len(matrix.prompts))
    return matrix.take(rows[:first]), matrix.take(rows[first:])


def grown(knn: KnnQuality, later: OutcomeMatrix) -> KnnQuality:
    encoded = knn.space.rows(Queries(later.prompts, later.tasks))
    return knn.grown(encoded, later.tasks, later.quality, later.output_tokens)


def same(one: KnnQuality, other: KnnQuality, texts: Queries) -> None:
    made, expected = one.forecast(texts), other.forecast(texts)
    np.testing.assert_allclose(made.log_odds, expected.log_odds, atol=1e-4)
    np.testing.assert_array_equal(made.output_tokens, expected.output_tokens)


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_grown_it_is_what_a_fit_to_all_outcomes_gives(missing: float) -> None:
    """Without surface features nothing of the space is fitted, so that a fit anew is the same."""
    matrix = made_outcomes(np.random.default_rng(4), 400, missing=missing)
    first, later = parts(matrix, 250)
    settings = KnnSettings(surface=0.0)
    texts = Queries((*matrix.prompts[::7], *NEW.texts), (*matrix.tasks[::7], "", "mathematics"))
    knn, expected = (KnnQuality.fit(known, HOT, settings=settings) for known in (first, matrix))
    same(grown(knn, later), expected, texts)
    same(grown(grown(knn, parts(later, 70)[0]), parts(later, 70)[1]), expected, texts)


def test_grown_with_surface_features_it_is_the_fit_to_all_in_the_space_of_the_first() -> None:
    matrix = made_outcomes(np.random.default_rng(5), 400, missing=0.3)
    first, later = parts(matrix, 250)
    texts = Queries(matrix.prompts[::7], matrix.tasks[::7])
    knn = KnnQuality.fit(first, HOT)
    encoded = knn.space.rows(Queries(matrix.prompts, matrix.tasks))
    expected = replace(KnnQuality.fit(matrix, HOT), space=knn.space, rows=Neighbours.build(encoded, 0))
    same(grown(knn, later), expected, texts)
    before, after = knn.forecast(texts).log_odds, expected.forecast(texts).log_odds
    assert np.abs(before - after).max() > 0.1, "and that differs from the first"


def test_a_task_that_was_not_known_counts_as_not_told() -> None:
    first, later = parts(made_outcomes(np.random.default_rng(6), 200), 150)
    knn = KnnQuality.fit(first, HOT)
    strange = replace(later, tasks=tuple(f"task {n}" for n in range(50)))
    made = grown(knn, strange)
    assert made.prior.tasks == knn.prior.tasks
    same(made, grown(knn, replace(later, tasks=("",) * 50)), NEW)


def test_answers_without_a_label_teach_their_length_alone() -> None:
    first, later = parts(made_outcomes(np.random.default_rng(7), 300), 100)
    knn = KnnQuality.fit(first, HOT)
    unlabelled = replace(
        later, quality=np.full_like(later.quality, np.nan), output_tokens=later.output_tokens + 500
    )
    made = grown(knn, unlabelled)
    np.testing.assert_array_equal(made.forecast(NEW).log_odds, knn.forecast(NEW).log_odds)
    assert (made.forecast(NEW).output_tokens[..., 10] > knn.forecast(NEW).output_tokens[..., 10] + 100).all()
