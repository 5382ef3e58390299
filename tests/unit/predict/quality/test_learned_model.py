"""A learned model is one object: fitted, calibrated, written and read back to the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointsman.errors import DataError
from pointsman.predict.quality.base import QualityForecast, Queries
from pointsman.predict.quality.bundle import Bundle
from pointsman.predict.quality.fit import FitOptions, FittedQuality, fit_quality
from pointsman.predict.quality.kinds import MODELS
from pointsman.predict.quality.learned_model import LearnedModel
from pointsman.testing.outcomes import capital_question, made_outcomes, proof_question

ODD = (
    "",
    " ",
    "x" * 100_000,
    "\ud800\x00\U0001f600",
    "\N{GREEK SMALL LETTER LAMDA} \N{CJK UNIFIED IDEOGRAPH-4E16}",
    capital_question(5_000),
    proof_question(5_001),
)


@pytest.fixture(scope="module", params=MODELS)
def fitted(request: pytest.FixtureRequest) -> FittedQuality:
    matrix = made_outcomes(np.random.default_rng(1), 200, missing=0.2)
    return fit_quality(matrix, FitOptions(request.param, folds=2))


@pytest.fixture
def path(fitted: FittedQuality, tmp_path: Path) -> Path:
    fitted.model.write(tmp_path / "artifact", {"created": "2026-01-01"})
    return tmp_path / "artifact"


def arrays_of(forecast: QualityForecast) -> list[np.ndarray[Any, Any]]:
    quality = forecast.quality
    tokens = [] if forecast.output_tokens is None else [forecast.output_tokens]
    return [quality.value, quality.low, quality.high, *tokens]


def test_what_is_read_forecasts_the_same_to_the_last_bit(fitted: FittedQuality, path: Path) -> None:
    read = LearnedModel.read(path)
    queries = Queries.without_task(ODD)
    for one, other in zip(
        arrays_of(fitted.model.forecast(queries)), arrays_of(read.forecast(queries)), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert read.about == dict(fitted.model.about) | {"created": "2026-01-01"}
    assert (read.name, read.endpoints) == (fitted.model.name, ("both", "capitals"))


def test_a_forecast_is_a_probability_within_its_interval_for_any_text(fitted: FittedQuality) -> None:
    value, low, high, *tokens = arrays_of(fitted.model.forecast(Queries.without_task(ODD)))
    assert ((low >= 0) & (low <= value) & (value <= high) & (high <= 1)).all()
    for quantiles in tokens:
        assert (np.diff(quantiles, axis=-1) >= 0).all()
        assert (quantiles >= 0).all()


def test_a_batch_equals_its_rows_alone(fitted: FittedQuality) -> None:
    batch = arrays_of(fitted.model.forecast(Queries.without_task(ODD)))
    for row, text in enumerate(ODD):
        alone = arrays_of(fitted.model.forecast(Queries.without_task([text])))
        for whole, one in zip(batch, alone, strict=True):
            np.testing.assert_allclose(one[0], whole[row], rtol=1e-9)


def test_prediction_sets_hold_the_label_as_often_as_they_say() -> None:
    matrix = made_outcomes(np.random.default_rng(2), 600)
    fitted = fit_quality(matrix, FitOptions("prior", tasks=True))
    sets = fitted.model.prediction_sets(fitted.held_out)
    assert sets.covers(matrix.quality).mean() == pytest.approx(0.9, abs=0.03)


def test_labels_between_0_and_1_have_ranges_in_place_of_sets(tmp_path: Path) -> None:
    matrix = made_outcomes(np.random.default_rng(3), 100)
    graded = replace(matrix, quality=matrix.quality * 0.5 + 0.2)
    model = fit_quality(graded, FitOptions("prior")).model
    model.write(tmp_path / "artifact")
    read = LearnedModel.read(tmp_path / "artifact")
    forecast = read.forecast(Queries.without_task(["x"]))
    assert read.prediction_sets(forecast) is None
    low, high = read.score_range(forecast)
    assert ((low >= 0) & (low < forecast.quality.value) & (forecast.quality.value < high)).all()


def test_lengths_are_those_of_the_model_inside_with_other_ends(fitted: FittedQuality) -> None:
    queries = Queries.without_task(ODD)
    inside = fitted.model.model.forecast(queries).output_tokens
    lengths = fitted.model.limits.lengths
    if inside is None:
        assert lengths is None
        return
    np.testing.assert_array_equal(fitted.model.forecast(queries).output_tokens, lengths.moved(inside))
    assert lengths.margin.any()


# Artifacts that are whole, and yet can't be used


def change(path: Path, edit: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Write the artifact again with other contents, so that its hashes are right."""
    bundle = Bundle.read(path)
    model, arrays = dict(bundle.model), dict(bundle.arrays)
    edit(model, arrays)
    Bundle(bundle.about, model, arrays).write(path)


@pytest.mark.parametrize("fitted", ["prior"], indirect=True)
@pytest.mark.parametrize(
    "edit",
    [
        lambda model, _: model.pop("kind"),
        lambda model, _: model.update(kind="unheard-of"),
        lambda model, _: model.update(features="unheard-of"),
        lambda model, _: model.pop("calibration"),
        lambda model, _: model["calibration"].update(endpoints=["both", "other"]),
        lambda model, _: model["model"].update(endpoints=["both"]),
        lambda model, _: model["model"].update(endpoints=5),
        lambda _, arrays: arrays.pop("model/mean"),
        lambda _, arrays: arrays.update({"surplus/x": np.zeros(1)}),
        lambda _, arrays: arrays.update({"model/mean": np.zeros(3)}),
        lambda _, arrays: arrays.update({"model/mean": np.array(["x"])}),
        lambda _, arrays: arrays.update({"model/mean": np.full_like(arrays["model/mean"], np.nan)}),
        lambda _, arrays: arrays.update({"calibration/curve": -arrays["calibration/curve"]}),
    ],
)
def test_a_whole_artifact_of_a_broken_model_is_refused(path: Path, edit: Any) -> None:
    change(path, edit)
    with pytest.raises(DataError, match=r"pointsman train|[Tt]rain (it )?again|Make it again"):
        LearnedModel.read(path)


def test_swapped_arrays_are_refused_or_give_a_usable_forecast(path: Path) -> None:
    """Every array in the place of each of its neighbours in the file, with hashes that are right."""
    whole = Bundle.read(path)
    names = sorted(whole.arrays)
    refused = 0
    for one, other in pairwise(names):
        swapped = dict(whole.arrays)
        swapped[one], swapped[other] = swapped[other], swapped[one]
        Bundle(whole.about, whole.model, swapped).write(path)
        alike = whole.arrays[one].shape == whole.arrays[other].shape
        try:
            model = LearnedModel.read(path)
        except DataError as error:
            assert "pointsman train" in str(error)  # noqa: PT017
            refused += 1
        else:
            assert alike, f"{one} and {other} were taken for each other"
            value = model.forecast(Queries.without_task(ODD)).quality.value
            assert ((value >= 0) & (value <= 1)).all()
    assert refused >= len(names) // 2


@pytest.mark.parametrize("fitted", ["prior"], indirect=True)
@pytest.mark.parametrize("name", ["model.json", "arrays.npz", "manifest.json"])
def test_a_file_of_another_artifact_is_refused(path: Path, tmp_path: Path, name: str) -> None:
    other = fit_quality(made_outcomes(np.random.default_rng(9), 60), FitOptions("prior", folds=2)).model
    other.write(tmp_path / "other", {"created": "2026-02-02"})
    changed = (tmp_path / "other" / name).read_bytes() != (path / name).read_bytes()
    (path / name).write_bytes((tmp_path / "other" / name).read_bytes())
    if not changed:
        assert LearnedModel.read(path).name == "prior"
        return
    with pytest.raises(DataError, match="altered or cut short"):
        LearnedModel.read(path)


@pytest.mark.parametrize("fitted", ["knn"], indirect=True)
@pytest.mark.parametrize(
    ("place", "array", "why"),
    [
        ("lengths/margin", np.zeros(3), r"limits of lengths have the shape \(3,\), not \(2,\)"),
        ("lengths/margin", np.full(2, np.inf), "not finite"),
        ("sets/most_right", np.zeros(1), r"limits of sets have the shape \(1,\)"),
        ("sets/unheard", np.zeros(2), "unheard"),
    ],
)
def test_limits_that_do_not_fit_are_refused(path: Path, place: str, array: Any, why: str) -> None:
    change(path, lambda _, arrays: arrays.update({place: array}))
    with pytest.raises(DataError, match=why):
        LearnedModel.read(path)


@pytest.mark.parametrize("fitted", ["knn"], indirect=True)
def test_other_features_are_refused(path: Path) -> None:
    change(path, lambda model, _: model["encoders"].update(hot="sha256:other"))
    with pytest.raises(DataError, match="fitted with other features 'hot'"):
        LearnedModel.read(path)
