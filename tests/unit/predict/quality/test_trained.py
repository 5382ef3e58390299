"""The model over all endpoints: what it learns, shares, and says where it knows little."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from pointsman.errors import DataError
from pointsman.metrics.splits import grouped_folds
from pointsman.predict.features.hot import HotFeatures
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.shared_fit import fit_shared, posterior_deviation
from pointsman.predict.quality.text_design import TextDesign
from pointsman.predict.quality.trained import TrainedQuality
from pointsman.predict.quality.trained_head import TrainedSettings
from pointsman.testing.outcomes import EASY_SHARE, HARD_SHARE, capital_question, made_outcomes, proof_question

HOT = HotFeatures()
NEW = Queries.without_task([capital_question(7_001), proof_question(7_002)])


@cache
def fitted() -> TrainedQuality:
    return TrainedQuality.fit(made_outcomes(np.random.default_rng(1), 400, missing=0.2), HOT)


def test_told_or_not_the_rule_is_learnt() -> None:
    for tasks in (["", ""], ["geography", "mathematics"], ["never seen", ""]):
        value = fitted().forecast(NEW.with_tasks(tasks)).quality.value
        np.testing.assert_allclose(value, [[EASY_SHARE] * 2, [EASY_SHARE, HARD_SHARE]], atol=0.12)


def test_a_mixed_batch_is_its_rows_alone() -> None:
    texts = NEW.with_tasks(["geography", ""])
    batch = fitted().forecast(texts)
    for row in range(2):
        alone = fitted().forecast(texts.take(np.array([row])))
        np.testing.assert_array_equal(alone.quality.value[0], batch.quality.value[row])
        np.testing.assert_array_equal(alone.output_tokens[0], batch.output_tokens[row])


def test_quantiles_rise_and_hold_nine_tenths() -> None:
    forecast = fitted().forecast(Queries.without_task(made_outcomes(np.random.default_rng(2), 400).prompts))
    seen = made_outcomes(np.random.default_rng(2), 400).output_tokens
    levels = forecast.output_tokens
    assert (np.diff(levels, axis=-1) >= 0).all()
    inside = (seen >= levels[..., :2].mean(axis=-1)) & (seen <= levels[..., -2:].mean(axis=-1))
    assert inside.mean() == pytest.approx(0.9, abs=0.07)


@pytest.mark.parametrize("known", [0, 1])
def test_lengths_known_on_one_side_of_the_split_alone(known: int) -> None:
    outcomes = made_outcomes(np.random.default_rng(3), 40)
    side = (grouped_folds(outcomes.groups, 5, 0) == 0) == known
    tokens = np.where(side[:, None], outcomes.output_tokens, np.nan)
    lengths = TrainedQuality.fit(replace(outcomes, output_tokens=tokens), HOT).forecast(NEW).output_tokens
    assert lengths is not None
    assert np.isfinite(lengths).all()


def test_labels_of_others_help_an_endpoint_that_has_few() -> None:
    matrix = made_outcomes(np.random.default_rng(3), 600, ("a", "b", "c", "d"))
    quality = matrix.quality[:, [1, 2, 3]].copy()  # all are right on capitals, wrong on proofs
    quality[8:, 2] = np.nan
    few = replace(
        matrix, endpoints=("b", "c", "d"), quality=quality, output_tokens=np.full_like(quality, np.nan)
    )
    alone = replace(few, endpoints=("d",), quality=quality[:, 2:], output_tokens=few.output_tokens[:, 2:])
    truth = made_outcomes(np.random.default_rng(4), 400, ("a", "d"))
    asked = Queries.without_task(truth.prompts)
    together = TrainedQuality.fit(few, HOT).forecast(asked).quality.value[:, 2]
    by_itself = TrainedQuality.fit(alone, HOT).forecast(asked).quality.value[:, 0]
    shares = np.where(np.arange(400) % 2 == 1, HARD_SHARE, EASY_SHARE)
    assert np.abs(together - shares).mean() < 0.5 * np.abs(by_itself - shares).mean()


def test_an_endpoint_never_tried_has_what_all_share_and_a_wide_interval() -> None:
    matrix = made_outcomes(np.random.default_rng(3), 400, ("a", "b", "new"))
    quality, tokens = matrix.quality.copy(), matrix.output_tokens.copy()
    quality[:, 2] = tokens[:, 2] = np.nan
    forecast = TrainedQuality.fit(replace(matrix, quality=quality, output_tokens=tokens), HOT).forecast(NEW)
    value, width = forecast.quality.value, forecast.quality.high - forecast.quality.low
    assert 0.2 < value[1, 2] < value[0, 2] < 0.95
    assert (width[:, 2] > 1.5 * width[:, 1]).all()
    assert np.isfinite(forecast.output_tokens[:, :2]).all()


@pytest.mark.parametrize("label", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("rows", [1, 5, 60])
def test_one_class_and_few_rows(label: float, rows: int) -> None:
    matrix = made_outcomes(np.random.default_rng(1), rows)
    model = TrainedQuality.fit(replace(matrix, quality=np.full_like(matrix.quality, label)), HOT)
    quality = model.forecast(Queries.without_task(["", "x" * 100_000, "\U0001f682\u4e16", "What?"])).quality
    assert ((quality.low >= 0) & (quality.low <= quality.value) & (quality.value <= quality.high)).all()
    assert (quality.high <= 1).all()
    if rows == 60:
        assert quality.value[3] == pytest.approx(label, abs=0.2)


def test_arrays_give_the_same_model() -> None:
    texts = NEW.with_tasks(["", "mathematics"])
    again = TrainedQuality.from_arrays(*fitted().to_arrays(), HOT)
    np.testing.assert_array_equal(again.forecast(texts).quality.low, fitted().forecast(texts).quality.low)
    np.testing.assert_array_equal(again.forecast(texts).output_tokens, fitted().forecast(texts).output_tokens)


def test_weights_folded_onto_the_text_give_the_product_with_its_row() -> None:
    matrix = made_outcomes(np.random.default_rng(1), 50)
    texts = Queries.without_task([*matrix.prompts, "", "new words of another kind"])
    design = TextDesign.fit(Queries.without_task(matrix.prompts), HOT, None, seed=1)
    rows = design.matrix(texts)
    weights = np.random.default_rng(2).standard_normal((rows.shape[1], 3)).astype(np.float32)
    offset = np.array([0.5, -1.0, 0.0], np.float32)
    folded, rest = design.fold(weights, offset)
    scores = folded.scores(texts.hot(HOT), None) + rest
    np.testing.assert_allclose(scores, rows @ weights + offset, atol=2e-3)


def test_the_shared_fit_is_ridge_regression_where_nothing_is_shared() -> None:
    rng = np.random.default_rng(1)
    features = rng.standard_normal((80, 5)).astype(np.float32)
    targets = features @ rng.standard_normal((5, 2)) + 0.1 * rng.standard_normal((80, 2))
    targets[:30, 1] = np.nan
    found = fit_shared(features, targets, np.zeros(2), share=0.0, precision=3.0, logistic=False, rounds=500)
    for column, known in enumerate(np.isfinite(targets).T):
        wide = np.column_stack([features[known], np.ones(known.sum())])
        normal = wide.T @ wide + np.diag([3.0] * 5 + [2.0])
        wanted = np.linalg.solve(normal, wide.T @ targets[known, column])
        np.testing.assert_allclose(found.weights[:, column], wanted[:5], atol=0.02)
        np.testing.assert_allclose(found.offsets[column], wanted[5], atol=0.02)


def test_deviation_falls_with_labels_and_is_the_prior_without() -> None:
    features = np.random.default_rng(1).standard_normal((500, 4)).astype(np.float32)
    labels, curvature = np.array([0.0, 100.0, 1e6]), np.full(3, 0.25)
    wide, narrower, narrow = posterior_deviation(features, labels, curvature, share=0.0, precision=2.0)
    prior = np.sqrt((features**2).sum(axis=1).mean() / 2.0 + 1 / 2.0)
    assert wide == pytest.approx(prior, rel=1e-4)
    assert wide > narrower > narrow
    assert narrow < 0.01


@pytest.mark.parametrize("wrong", [{"share": 1.0}, {"share": -0.1}, {"precision": 0.0}])
def test_settings_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(DataError, match="share is in"):
        TrainedSettings(**wrong)
