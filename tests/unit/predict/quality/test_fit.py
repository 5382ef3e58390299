"""From outcomes to a model: what is learnt, what is held out, and what few or odd labels give."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from pointsman.errors import BadRequest, MissingError
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.conformal_limits import ConformalLimits
from pointsman.predict.quality.fit import FitOptions, FittedQuality, fingerprint, fit_quality
from pointsman.predict.quality.held_out import measure
from pointsman.predict.quality.kinds import MODELS
from pointsman.testing.outcomes import (
    EASY_SHARE,
    HARD_SHARE,
    LONG_TOKENS,
    SHORT_TOKENS,
    capital_question,
    made_outcomes,
    proof_question,
)

LEARNERS = tuple(name for name in MODELS if name != "prior")
NEW = Queries.without_task([capital_question(7_001), proof_question(7_002)])


@cache
def learnt(model: str) -> tuple[OutcomeMatrix, FittedQuality]:
    matrix = made_outcomes(np.random.default_rng(4), 300, missing=0.2)
    return matrix, fit_quality(matrix, FitOptions(model, folds=2))


@pytest.mark.parametrize("model", LEARNERS)
def test_the_rule_behind_the_outcomes_is_found(model: str) -> None:
    matrix, fitted = learnt(model)
    quality = fitted.model.forecast(NEW).quality.value
    np.testing.assert_allclose(quality, [[EASY_SHARE] * 2, [EASY_SHARE, HARD_SHARE]], atol=0.15)
    first, second = measure(matrix, fitted)
    assert second.auroc.low > 0.7
    assert first.labels + second.labels == (~np.isnan(matrix.quality)).sum()


@pytest.mark.parametrize("model", LEARNERS)
def test_lengths_are_learnt_too(model: str) -> None:
    matrix, fitted = learnt(model)
    tokens = fitted.model.forecast(NEW).output_tokens.mean(axis=-1)
    np.testing.assert_allclose(tokens, [[SHORT_TOKENS + 1] * 2, [LONG_TOKENS + 1] * 2], rtol=0.3, atol=6)
    for made in measure(matrix, fitted):
        assert made.length_mae.value < 0.5 * (LONG_TOKENS - SHORT_TOKENS) / 2
        assert made.length_coverage == pytest.approx(0.9, abs=0.1)


def test_held_out_forecasts_are_calibrated() -> None:
    matrix = made_outcomes(np.random.default_rng(5), 1_000)
    fitted = fit_quality(matrix, FitOptions("knn"))
    for made in measure(matrix, fitted):
        assert made.calibration_error < made.calibration_floor.p95 + 0.02


def test_every_query_is_held_out_from_the_model_that_forecasts_it() -> None:
    matrix = made_outcomes(np.random.default_rng(6), 60)
    prompts = ("The same question, twice?", "the same  question, TWICE?", *matrix.prompts[2:])
    quality = matrix.quality.copy()
    quality[:2], quality[2:] = 1.0, 0.0
    fitted = fit_quality(replace(matrix, prompts=prompts, quality=quality), FitOptions("knn"))
    assert fitted.folds[0] == fitted.folds[1]
    assert (fitted.held_out.quality.value[:2] < 0.3).all(), "an equal prompt was learnt from"


def test_tasks_are_used_only_where_callers_will_name_them() -> None:
    matrix = made_outcomes(np.random.default_rng(7), 300)
    asked = Queries(["x", "x"], ["geography", "mathematics"])
    blind = fit_quality(matrix, FitOptions("prior")).model.forecast(asked).quality.value[:, 1]
    told = fit_quality(matrix, FitOptions("prior", tasks=True)).model.forecast(asked).quality.value[:, 1]
    assert blind[0] == blind[1]
    assert told[0] > told[1] + 0.5


def test_encodings_made_before_are_used_and_give_the_same() -> None:
    matrix = made_outcomes(np.random.default_rng(8), 100)
    from pointsman.predict.quality.kinds import encoders_of

    (encoder,) = encoders_of("hot")
    queries = Queries(matrix.prompts, matrix.tasks)
    queries.encoded(encoder)
    one = fit_quality(matrix, FitOptions("knn", folds=2), queries)
    other = fit_quality(matrix, FitOptions("knn", folds=2))
    np.testing.assert_array_equal(one.held_out.quality.value, other.held_out.quality.value)


def test_without_folds_the_model_is_bare() -> None:
    fitted = fit_quality(made_outcomes(np.random.default_rng(9), 50), FitOptions("prior", folds=0))
    assert (fitted.held_out, fitted.folds, fitted.regions) == (None, None, None)
    assert fitted.model.limits == ConformalLimits()
    assert set(fitted.model.calibration.kinds) == {"identity"}


def test_five_rows_give_the_prior_and_say_so() -> None:
    matrix = made_outcomes(np.random.default_rng(10), 5)
    fitted = fit_quality(matrix)
    assert fitted.model.name == "prior"
    assert fitted.notes == (
        "5 different prompts are too few to learn from (at least 20): only the prior was fitted",
    )


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_labels_that_are_all_equal_give_the_prior_and_say_so(label: float) -> None:
    matrix = made_outcomes(np.random.default_rng(11), 40)
    fitted = fit_quality(replace(matrix, quality=np.full_like(matrix.quality, label)))
    assert fitted.model.name == "prior"
    assert f"all 80 labels are {label:g}" in fitted.notes[0]
    quality = fitted.model.forecast(NEW).quality.value
    assert (np.abs(quality - label) < 0.1).all()
    assert ((quality > 0) & (quality < 1)).all()


def test_no_labels_at_all_give_a_prior_that_knows_nothing() -> None:
    matrix = made_outcomes(np.random.default_rng(12), 40)
    fitted = fit_quality(replace(matrix, quality=np.full_like(matrix.quality, np.nan)))
    assert fitted.notes[0].startswith("there is no label")
    quality = fitted.model.forecast(NEW).quality
    assert (quality.value == pytest.approx(0.5)) or ((quality.high - quality.low) > 0.8).all()


@pytest.mark.parametrize("model", MODELS)
def test_an_endpoint_without_labels_has_the_others_prior_with_a_wide_interval(model: str) -> None:
    matrix = made_outcomes(np.random.default_rng(13), 100, ("a", "b", "new"))
    quality, tokens = matrix.quality.copy(), matrix.output_tokens.copy()
    quality[:, 2] = tokens[:, 2] = np.nan
    fitted = fit_quality(replace(matrix, quality=quality, output_tokens=tokens), FitOptions(model, folds=2))
    made = fitted.model.forecast(NEW).quality
    assert (made.value[:, 2] > 0.3).all()
    assert (made.high[:, 2] - made.low[:, 2] > made.high[:, 0] - made.low[:, 0]).all()


@pytest.mark.parametrize(
    "options",
    [{"model": "deep"}, {"features": "tea leaves"}, {"folds": 1}, {"folds": -1}],
)
def test_options_that_are_not_known_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(BadRequest):
        FitOptions(**options)


def test_the_fingerprint_is_of_the_data_not_of_its_order() -> None:
    matrix = made_outcomes(np.random.default_rng(14), 30)
    assert fingerprint(matrix) == fingerprint(matrix.take(np.arange(30)[::-1]))
    changed = matrix.quality.copy()
    changed[0, 0] = 1 - changed[0, 0]
    assert fingerprint(matrix) != fingerprint(replace(matrix, quality=changed))
    assert fingerprint(matrix) != fingerprint(replace(matrix, prompts=("Why?", *matrix.prompts[1:])))
    assert fingerprint(matrix) != fingerprint(replace(matrix, tasks=("history", *matrix.tasks[1:])))


@pytest.mark.parametrize("model", MODELS)
def test_without_scipy_it_is_said_before_anything_is_encoded(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    matrix = made_outcomes(np.random.default_rng(4), 60)
    said: list[str] = []
    if model in ("blend", "trained"):
        with pytest.raises(MissingError, match=r"needs scipy.*pointsman\[train\]"):
            fit_quality(matrix, FitOptions(model), progress=said.append)
        assert not said
    else:
        assert fit_quality(matrix, FitOptions(model, folds=2)).model.name == model
