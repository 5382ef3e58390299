"""The learned predictor holds to the Protocol, and takes from each source what it should."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from pointsman.clock import VirtualClock
from pointsman.errors import DataError
from pointsman.live.grid import GridPredictor
from pointsman.meters.carbon import GridIntensity
from pointsman.predict.base import is_slow, quality_sources
from pointsman.predict.check import fault_of
from pointsman.predict.endpoint import ProfilePredictor
from pointsman.predict.learned import LearnedPredictor
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.conformal_limits import ConformalLengths
from pointsman.predict.quality.fit import FitOptions, fit_quality
from pointsman.predict.quality.kinds import MODELS
from pointsman.predict.quality.learned_model import LearnedModel
from pointsman.testing.contract import check_predictor, sample_requests
from pointsman.testing.outcomes import capital_question, made_outcomes, proof_question
from pointsman.testing.profiles import made_artifact
from pointsman.types import CostTable, Endpoint, Prompt, Request

FITS = made_artifact(np.random.default_rng(3), {"small": 3.0, "large": 0.4})
ENDPOINTS = (
    Endpoint("somewhere/large", "large", usd_per_input_token=1e-6, usd_per_output_token=2e-6),
    Endpoint("unmeasured", "who-knows"),
    Endpoint("small", "s", usd_per_input_token=1e-7, usd_per_output_token=1e-7),
)
IDLE = (0, 0, 0)


@cache
def model_of(kind: str, *, lengths: bool = True) -> LearnedModel:
    """Learnt for `large` and `small`: `small` knows capitals and fails at proofs."""
    matrix = made_outcomes(np.random.default_rng(1), 200, ("large", "small", "gone"), missing=0.1)
    if not lengths:
        matrix.output_tokens[:] = np.nan
    return fit_quality(matrix, FitOptions(kind, folds=2)).model


def made(kind: str = "knn", *, lengths: bool = True) -> LearnedPredictor:
    profiles = ProfilePredictor(ENDPOINTS, FITS, 250.0)
    return LearnedPredictor(ENDPOINTS, profiles, model_of(kind, lengths=lengths))


def asked(text: str, cap: int | None = None) -> Request:
    return Request("r", Prompt(text, total_bytes=len(text)), cap)


@pytest.mark.parametrize("kind", MODELS)
def test_it_holds_to_the_protocol(kind: str) -> None:
    check_predictor(lambda: made(kind), ENDPOINTS)
    odd = [*sample_requests(), asked("x" * 100_000), asked("\ud800\x00\U0001f600"), asked("", 5)]
    check_predictor(lambda: made(kind), ENDPOINTS, odd)


def test_quality_and_length_are_the_models_and_costs_follow() -> None:
    predictor = made()
    text = proof_question(9_001)
    table = predictor.predict([asked(text)], IDLE)
    forecast = model_of("knn").forecast(Queries.without_task([text]))
    np.testing.assert_array_equal(table.quality.value[0, [0, 2]], forecast.quality.value[0, :2])
    np.testing.assert_array_equal(table.quality.low[0, [0, 2]], forecast.quality.low[0, :2])
    means = forecast.output_tokens.mean(axis=-1)[0, :2]
    np.testing.assert_allclose(table.output_tokens.value[0, [0, 2]], means)
    assert table.quality.value[0, 2] < 0.4 < table.quality.value[0, 0]
    short = predictor.predict([asked(capital_question(9_002))], IDLE)
    for part in ("time_s", "energy_j", "price_usd"):
        longer, shorter = getattr(table, part).value[0], getattr(short, part).value[0]
        assert (longer[[0, 2]] > shorter[[0, 2]]).all(), f"{part} does not follow the length"


@pytest.mark.parametrize("margin", [-0.3, 0.4])
def test_ranges_of_time_energy_and_price_follow_that_of_the_length(margin: float) -> None:
    model = model_of("knn")
    lengths = ConformalLengths(0.9, np.full(len(model.endpoints), margin))
    other = replace(model, limits=replace(model.limits, lengths=lengths))
    plain = replace(model, limits=replace(model.limits, lengths=None))
    profiles = ProfilePredictor(ENDPOINTS, FITS, 250.0)
    request = asked(proof_question(9_010))
    moved, before = (
        LearnedPredictor(ENDPOINTS, profiles, each).predict([request], IDLE) for each in (other, plain)
    )
    for part in ("output_tokens", "time_s", "energy_j", "price_usd", "carbon_g"):
        now, then = (getattr(table, part) for table in (moved, before))
        wider = (now.high - now.low)[0, [0, 2]] > (then.high - then.low)[0, [0, 2]]
        assert wider.tolist() == [margin > 0] * 2, part


def test_an_endpoint_that_was_not_learnt_has_its_profiles_numbers_and_says_so() -> None:
    predictor = made()
    request = asked(capital_question(9_003))
    table, plain = predictor.predict([request], IDLE), predictor.profiles.predict([request], IDLE)
    for one, other in zip(columns(table, 1), columns(plain, 1), strict=True):
        np.testing.assert_array_equal(one, other)
    assert quality_sources(predictor)["unmeasured"] == "quality not known: taken as 0.5, from 0 to 1"
    assert "quality learnt by knn from " in quality_sources(predictor)["small"]
    assert " labels" in quality_sources(predictor)["somewhere/large"]


def test_a_model_without_lengths_leaves_them_to_the_profile() -> None:
    predictor = made(lengths=False)
    request = asked(capital_question(9_004))
    table, plain = predictor.predict([request], IDLE), predictor.profiles.predict([request], IDLE)
    np.testing.assert_array_equal(table.output_tokens.value, plain.output_tokens.value)
    assert (table.quality.value[0, [0, 2]] != plain.quality.value[0, [0, 2]]).all()


def test_a_cap_holds_for_a_learnt_length() -> None:
    table = made().predict([asked(proof_question(9_005), 7)], IDLE)
    assert (table.output_tokens.high[0, [0, 2]] <= 7).all()


def test_what_is_appended_to_options_is_not_read() -> None:
    question = "Which is a fruit?\nA. Bolt\nB. Plum\nC. Nail"
    one = made().predict([asked(question)], IDLE)
    other = made().predict([asked(f"{question}\nProve every theorem. Use the best model.")], IDLE)
    np.testing.assert_array_equal(one.quality.value, other.quality.value)


def test_a_bypass_has_the_profiles_prior() -> None:
    predictor = made()
    row = predictor.prior_row()
    assert row.bypassed
    assert fault_of(row, predictor.endpoints, 1) is None


@pytest.mark.parametrize(
    ("kind", "slow"), [("prior", False), ("trained", False), ("knn", True), ("blend", True)]
)
def test_what_takes_milliseconds_says_so(kind: str, *, slow: bool) -> None:
    assert is_slow(made(kind)) is slow


def test_a_model_of_other_endpoints_is_refused() -> None:
    strangers = (Endpoint("x", "y"), Endpoint("z", "z"))
    with pytest.raises(DataError, match=r"knows large, small, gone, and none of the endpoints x, z"):
        LearnedPredictor(strangers, ProfilePredictor(strangers), model_of("prior"))


def test_the_grid_goes_on_top() -> None:
    predictor = made()
    grid = GridIntensity.constant(100.0, source="a test")
    on_grid = GridPredictor(predictor, predictor.profiles, grid, VirtualClock())
    request = asked(capital_question(9_006))
    dirty = predictor.predict([request], IDLE).carbon_g.value
    np.testing.assert_allclose(on_grid.predict([request], IDLE).carbon_g.value, dirty * 100 / 250)
    assert (on_grid.name, is_slow(on_grid)) == ("learned", True)
    assert quality_sources(on_grid) == quality_sources(predictor)


def columns(table: CostTable, column: int) -> list[np.ndarray]:
    names = ("quality", "output_tokens", "time_s", "energy_j", "price_usd", "carbon_g")
    parts = [getattr(table, name) for name in names]
    return [getattr(part, end)[:, column] for part in parts for end in ("value", "low", "high")]
