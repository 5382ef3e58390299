"""The blend of trained model and neighbours, and its weights."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from pointsman.predict.features.hot import HotFeatures
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.blend import BlendQuality
from pointsman.predict.quality.odds import logit, sigmoid
from pointsman.predict.quality.stack import stack_weights
from pointsman.testing.outcomes import EASY_SHARE, HARD_SHARE, capital_question, made_outcomes, proof_question

HOT = HotFeatures()
NEW = Queries([capital_question(7_001), proof_question(7_002)], ["", "mathematics"])


@cache
def fitted() -> BlendQuality:
    return BlendQuality.fit(made_outcomes(np.random.default_rng(1), 200, missing=0.2), HOT)


def test_the_rule_is_learnt() -> None:
    forecast = fitted().forecast(NEW)
    np.testing.assert_allclose(
        forecast.quality.value, [[EASY_SHARE] * 2, [EASY_SHARE, HARD_SHARE]], atol=0.12
    )
    assert (forecast.quality.low <= forecast.quality.value).all()
    assert (forecast.quality.value <= forecast.quality.high).all()
    assert (fitted().weights[..., 1:] >= 0).all()


def test_lengths_are_the_mean_of_the_members() -> None:
    members = [model.forecast(NEW).output_tokens for model in (fitted().trained, fitted().knn)]
    np.testing.assert_allclose(fitted().forecast(NEW).output_tokens, np.mean(members, axis=0))


def test_a_row_alone_and_arrays_give_the_same() -> None:
    batch = fitted().forecast(NEW).quality.value
    alone = fitted().forecast(NEW.take(np.array([1]))).quality.value
    np.testing.assert_array_equal(alone[0], batch[1])
    again = BlendQuality.from_arrays(*fitted().to_arrays(), HOT)
    np.testing.assert_allclose(again.forecast(NEW).quality.value, batch, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 5])
def test_few_rows_and_a_column_without_labels(rows: int) -> None:
    matrix = made_outcomes(np.random.default_rng(1), rows)
    quality = np.ones_like(matrix.quality)
    quality[:, 1] = np.nan
    made = BlendQuality.fit(replace(matrix, quality=quality), HOT).forecast(
        Queries.without_task(["", "What?"])
    )
    assert np.isfinite(made.quality.value).all()
    assert ((made.quality.low >= 0) & (made.quality.high <= 1)).all()


def test_the_better_member_weighs_more_and_a_misleading_one_nothing() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(0, 1.5, (4_000, 2))
    labels = (rng.random(truth.shape) < sigmoid(truth)).astype(float)
    labels[rng.random(truth.shape) < 0.3] = np.nan
    base = np.zeros(2)
    weights = stack_weights(np.stack([truth, rng.normal(0, 1, truth.shape)]), labels, base)
    np.testing.assert_allclose(weights, [[0, 1, 0], [0, 1, 0]], atol=0.12)
    noise = rng.normal(0, 1, truth.shape)
    weights = stack_weights(np.stack([truth + noise, noise]), labels, base)  # best would be 1 and -1
    assert (weights[:, 2] == 0).all()


def test_without_labels_the_members_keep_their_prior_weights() -> None:
    weights = stack_weights(np.empty((2, 0, 1)), np.empty((0, 1)), logit(np.array([0.3])))
    np.testing.assert_allclose(weights, [[0.0, 0.6, 0.5]])


def test_grown_its_neighbours_are_grown_and_the_rest_stays() -> None:
    later = made_outcomes(np.random.default_rng(8), 80)
    knn = fitted().knn
    more = (
        knn.space.rows(Queries(later.prompts, later.tasks)),
        later.tasks,
        later.quality,
        later.output_tokens,
    )
    made = fitted().grown(*more)
    assert made.trained is fitted().trained
    np.testing.assert_array_equal(made.knn.forecast(NEW).log_odds, knn.grown(*more).forecast(NEW).log_odds)
    np.testing.assert_array_equal(made.weights, fitted().weights)
