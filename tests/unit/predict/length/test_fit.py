"""Lengths are learnt from texts: order, intervals, few rows, odd values, the artifact."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from pointsman.errors import BadRequest, DataError
from pointsman.metrics.kendall import kendall_tau
from pointsman.predict.length import LEVELS, QUANTILES
from pointsman.predict.length.fit import FittedLengths, LengthOptions, fit_lengths
from pointsman.predict.length.held_out import LengthMeasures, interval
from pointsman.predict.length.learned import FORMAT, LearnedLengths
from pointsman.predict.length.score_fit import SCORES
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.bundle import Bundle
from pointsman.testing.outcomes import capital_question, proof_question

ODD = ["", "   ", "?" * 10_000, "\ud800\x00", "word " * 20_000, "\N{PILE OF POO}"]


def worded(n: int, seed: int, endpoints: tuple[str, ...] = ("brief", "wordy")) -> OutcomeMatrix:
    """Lengths are log-normal around what the prompt asks for; `wordy` answers three times as long."""
    rng = np.random.default_rng(seed)
    asked = rng.choice([10, 40, 160], n)
    words = {10: "Name one", 40: "Describe the", 160: "Write an essay about the"}
    prompts = tuple(f"{words[size]} thing number {number}." for number, size in enumerate(asked.tolist()))
    means = asked[:, None] * np.array([1.0, 3.0])[: len(endpoints)]
    tokens = np.round(means * np.exp(0.3 * rng.standard_normal(means.shape)))
    unknown = np.full(tokens.shape, np.nan)
    return OutcomeMatrix(tuple(map(str, range(n))), prompts, ("",) * n, endpoints, unknown, tokens)


@cache
def fitted(score: str = "regression") -> FittedLengths:
    return fit_lengths(worded(600, 1), LengthOptions(score))


@pytest.mark.parametrize("score", SCORES)
def test_new_prompts_are_ordered_and_scaled(score: str) -> None:
    fresh = worded(300, 2)
    model = fitted(score).model
    queries = Queries.without_task(fresh.prompts)
    curves = model.forecast(queries)
    assert curves.shape == (300, 2, QUANTILES)
    median = curves[..., 9:11].mean(axis=-1)
    for column in range(2):
        assert kendall_tau(model.scores(queries), fresh.output_tokens[:, column]) > 0.6
        np.testing.assert_allclose(
            np.median(median[:, column]), np.median(fresh.output_tokens[:, column]), rtol=0.25
        )


def test_intervals_of_new_prompts_hold_what_they_say() -> None:
    fresh = worded(1_000, 3)
    curves = fitted().model.forecast(Queries.without_task(fresh.prompts))
    for share in (0.8, 0.95):
        low, high = interval(curves, share)
        held = (fresh.output_tokens >= low) & (fresh.output_tokens <= high)
        assert held.mean() == pytest.approx(share, abs=0.03)


def test_the_report_tells_text_from_none() -> None:
    made = fitted()
    assert made.curves is not None
    matrix = worded(600, 1)
    measures = LengthMeasures.of(matrix, made.curves, np.arange(600) % 2, ("even", "odd"))
    assert [each.name for each in measures.sets] == ["even", "odd"]
    assert measures.whole.answers == sum(each.answers for each in measures.sets) == 1_200
    assert measures.tau_within > 0.6
    assert measures.whole.loss < 0.6 * measures.whole.loss_plain
    assert measures.whole.held_80 == pytest.approx(0.8, abs=0.03)
    assert measures.whole.held_95 == pytest.approx(0.95, abs=0.02)
    assert set(measures.to_dict()["sets"]) == {"even", "odd"}


def test_a_text_alone_gives_what_it_gives_in_a_batch() -> None:
    texts = [capital_question(3), *ODD, proof_question(4)]
    model = fitted().model
    batch = model.forecast(Queries.without_task(texts))
    assert np.isfinite(batch).all()
    assert (np.diff(batch, axis=-1) >= 0).all()
    for row, text in enumerate(texts):
        np.testing.assert_array_equal(model.forecast(Queries.without_task([text]))[0], batch[row])


def test_equal_data_give_equal_models_whatever_ran_before() -> None:
    queries = Queries.without_task(ODD)
    again = fit_lengths(worded(600, 1), LengthOptions()).model
    np.testing.assert_array_equal(again.forecast(queries), fitted().model.forecast(queries))


def test_an_endpoint_with_few_answers_rests_on_the_others() -> None:
    matrix = worded(300, 4)
    matrix.output_tokens[12:, 1] = np.nan
    model = fit_lengths(matrix).model
    fresh = worded(300, 5)
    curves = model.forecast(Queries.without_task(fresh.prompts))
    tau = kendall_tau(curves[:, 1, 9:11].mean(axis=-1), fresh.output_tokens[:, 1])
    assert tau > 0.5
    ratio = curves[:, 1, 9:11].mean(axis=-1) / curves[:, 0, 9:11].mean(axis=-1)
    assert 2 < np.median(ratio) < 4.5


def test_five_rows_give_the_lengths_seen_and_say_so() -> None:
    matrix = worded(5, 6)
    made = fit_lengths(matrix)
    assert "5 different prompts are too few" in made.notes[0]
    curves = made.model.forecast(Queries.without_task(["anything", ""]))
    np.testing.assert_array_equal(curves[0], curves[1])
    seen = matrix.output_tokens.max(axis=0)
    assert (curves[0, :, -1] <= 3 * seen).all()
    assert (curves[0, :, 0] >= 0).all()


def test_one_value_alone_is_what_is_forecast() -> None:
    matrix = worded(60, 7)
    matrix.output_tokens[:] = 17
    made = fit_lengths(matrix)
    assert "all answers are of one length" in made.notes[0]
    np.testing.assert_allclose(made.model.forecast(Queries.without_task(ODD)), 17, atol=0.1)


def test_lengths_of_nothing_and_of_a_million_are_learnt_from() -> None:
    matrix = worded(200, 8)
    matrix.output_tokens[::7] = 0
    matrix.output_tokens[3::50] = 1_000_000
    curves = fit_lengths(matrix).model.forecast(Queries.without_task([*matrix.prompts, *ODD]))
    assert np.isfinite(curves).all()
    assert (curves >= 0).all()
    assert np.median(curves[:200, :, 9]) < 1_000


def test_a_query_without_a_length_is_refused() -> None:
    matrix = worded(30, 9)
    matrix.output_tokens[4] = np.nan
    with pytest.raises(DataError, match="has no length"):
        fit_lengths(matrix)


@pytest.mark.parametrize("wrong", [{"score": "luck"}, {"features": "none"}, {"folds": 1}])
def test_unknown_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadRequest):
        LengthOptions(**wrong)  # type: ignore[arg-type]


def test_an_interval_is_drawn_between_quantiles() -> None:
    low, high = interval(100 * LEVELS, 0.8)
    assert (low, high) == (pytest.approx(10, abs=0.3), pytest.approx(90, abs=0.3))
    assert interval(100 * LEVELS, 0.95) == (pytest.approx(2.5), pytest.approx(97.5))


def test_the_artifact_gives_the_same_numbers(tmp_path: Path) -> None:
    model = fitted().model
    model.write(tmp_path / "length", {"created": "today"})
    read = LearnedLengths.read(tmp_path / "length")
    queries = Queries.without_task(ODD)
    np.testing.assert_array_equal(read.forecast(queries), model.forecast(queries))
    assert read.about["created"] == "today"
    assert read.sentence("brief") == "length learnt from 600 answers"


def test_an_artifact_that_can_not_be_used_says_why(tmp_path: Path) -> None:
    path = tmp_path / "length"
    model = fitted().model
    model.write(path)
    bundle = Bundle.read(path, FORMAT)
    broken = [
        {"heads/levels": -bundle.arrays["heads/levels"]},
        {"score/buckets": np.zeros((8, 1), np.float32)},
        {"heads/levels": bundle.arrays["heads/levels"][:, :3]},
    ]
    for arrays in broken:
        dataclasses.replace(bundle, arrays={**bundle.arrays, **arrays}).write(path)
        with pytest.raises(DataError, match="holds no usable lengths"):
            LearnedLengths.read(path)
    dataclasses.replace(bundle, model={**bundle.model, "reads": {}}).write(path)
    with pytest.raises(DataError, match="fitted with other features"):
        LearnedLengths.read(path)
    with pytest.raises(DataError, match="is of no pointsman-quality"):
        Bundle.read(path)
