from __future__ import annotations

import numpy as np
import pytest

from pointsman.errors import BadRequest
from pointsman.learn.drift import DriftLearner
from pointsman.predict.drift import ENERGY, TIME
from pointsman.predict.endpoint import ProfilePredictor
from pointsman.testing.profiles import made_artifact, true_time_s
from pointsman.types import Capabilities, Disposition, Endpoint, Outcome, Prompt, Request
from pointsman.units import gco2e, price_usd

SPEEDS = {"fast": 2.0, "slow": 0.5}
ARTIFACT = made_artifact(np.random.default_rng(1), SPEEDS)
ENDPOINTS = tuple(Endpoint(f"{name}-1", name, "", 4, 1e-6, 3e-6) for name in SPEEDS)


def request(text: str = "What is 2 + 2?", cap: int | None = None, size: int = 400) -> Request:
    return Request("r", Prompt(text, total_bytes=size), cap)


def test_predictions_follow_the_rule_the_rows_were_made_by() -> None:
    table = ProfilePredictor(ENDPOINTS, ARTIFACT, 360.0).predict([request()], (0, 1))
    inputs = 12 + 0.25 * 400
    assert table.input_tokens[0] == pytest.approx(inputs, rel=0.02)
    outputs = table.output_tokens.value
    assert outputs[0] == pytest.approx(6.0, rel=0.25)  # 5 for the task, shrunk to 20 for all
    alone = true_time_s(table.input_tokens, outputs)[0] / np.array(list(SPEEDS.values()))
    assert table.time_s.value[0] == pytest.approx(alone * (1.0, 1.5), rel=0.06)
    assert table.energy_j.value[0] == pytest.approx(40 * alone, rel=0.06)
    assert table.quality.value[0] == pytest.approx(0.8, abs=0.15)
    energy, price = float(table.energy_j.value[0, 0]), float(table.price_usd.value[0, 0])
    assert table.carbon_g.value[0, 0] == pytest.approx(gco2e(energy, 360.0))
    assert price == pytest.approx(
        price_usd(float(table.input_tokens[0, 0]), float(outputs[0, 0]), 1e-6, 3e-6)
    )


def test_intervals_hold_about_nine_of_ten() -> None:
    rng = np.random.default_rng(9)
    curve = ARTIFACT.profiles[0].time
    below, above = curve.spread.at(np.ones(1))
    noise = rng.normal(0, 0.05, 4000)
    inside = ((noise >= -below) & (noise <= above)).mean()
    assert 0.84 <= inside <= 0.96


def test_an_endpoint_without_a_fit_says_so() -> None:
    predictor = ProfilePredictor([*ENDPOINTS, Endpoint("new", "new")], ARTIFACT)
    assert "documented defaults" in predictor.provenance["new"]
    assert "modelled by made" in predictor.provenance["fast-1"]
    table = predictor.predict([request(size=400)], (0, 0, 0))
    assert table.output_tokens.value[0, 2] == pytest.approx(1.028 * 110 + 44.12)
    assert (table.quality.value[0, 2], table.quality.low[0, 2], table.quality.high[0, 2]) == (0.5, 0.0, 1.0)
    assert np.isnan(table.time_s.low[0, 2])
    assert np.isnan(table.carbon_g.value).all()


def test_context_and_output_limits_cap_the_answer() -> None:
    limits = Capabilities(context_tokens=120, max_output_tokens=7)
    predictor = ProfilePredictor([Endpoint("a", "fast", capabilities=limits)], ARTIFACT)
    story = request("Tell me a long story", size=100)
    assert predictor.predict([story], [0]).output_tokens.high[0, 0] <= 7
    assert predictor.predict([request("Tell me a story", size=5000)], [0]).output_tokens.value[
        0, 0
    ] == pytest.approx(1)


def test_drift_multiplies_time_and_energy_on_its_own_endpoint() -> None:
    predictor = ProfilePredictor(ENDPOINTS, ARTIFACT)
    before = predictor.predict([request()], (0, 0))
    prior = predictor.prior_row()
    learner = DriftLearner(predictor.endpoints, predictor.profiles, predictor.drift)
    time_s = float(predictor.profiles[1].time.predict(*(np.array(x) for x in (50.0, 10.0, 1.0))))
    energy_j = float(predictor.profiles[1].energy.predict(*(np.array(x) for x in (50.0, 10.0, 1.0))))
    for _ in range(200):
        learner.learn(
            [
                Outcome(
                    "r", "slow-1", Disposition.ANSWERED, input_tokens=60, output_tokens=10, cached_tokens=10,
                    e2e_s=2 * time_s, energy_j=0.5 * energy_j,
                )
            ]
        )  # fmt: skip
    assert predictor.drift.factor[1] == pytest.approx([2.0, 0.5], rel=1e-3)
    after = predictor.predict([request()], (0, 0))
    assert after.time_s.value[0] == pytest.approx(before.time_s.value[0] * (1.0, 2.0), rel=1e-3)
    assert after.energy_j.value[0] == pytest.approx(before.energy_j.value[0] * (1.0, 0.5), rel=1e-3)
    np.testing.assert_array_equal(predictor.prior_row().time_s.value, prior.time_s.value)


def test_what_teaches_nothing_is_passed_over() -> None:
    predictor = ProfilePredictor(ENDPOINTS, ARTIFACT)
    learner = DriftLearner(predictor.endpoints, predictor.profiles, predictor.drift)
    good = {"input_tokens": 50, "output_tokens": 10, "e2e_s": 9.0}
    learner.learn(
        [
            Outcome("1", "fast-1", Disposition.FAILED, **good),
            Outcome("2", "unknown", Disposition.ANSWERED, **good),
            Outcome("3", "fast-1", Disposition.ANSWERED, output_tokens=10, e2e_s=9.0),
            Outcome("4", "fast-1", Disposition.ANSWERED, **{**good, "e2e_s": float("nan")}),
            Outcome("5", "fast-1", Disposition.ANSWERED, **{**good, "e2e_s": 0.0}),
            Outcome("6", "fast-1", Disposition.ANSWERED, energy_j=-1.0, **{**good, "e2e_s": None}),
        ]
    )
    assert (predictor.drift.factor == 1).all()
    assert (predictor.drift.seen == 0).all()
    learner.learn([Outcome("7", "fast-1", Disposition.ANSWERED, **good)])
    assert predictor.drift.seen[0, TIME] == 1
    assert predictor.drift.seen[0, ENERGY] == 0


@pytest.mark.parametrize("grid", [-1.0, float("nan"), float("inf")])
def test_a_bad_grid_is_refused(grid: float) -> None:
    with pytest.raises(BadRequest, match="grid intensity"):
        ProfilePredictor(ENDPOINTS, ARTIFACT, grid)


def test_nothing_to_predict_is_refused() -> None:
    with pytest.raises(BadRequest, match="no endpoints"):
        ProfilePredictor([])
    with pytest.raises(BadRequest, match="no requests"):
        ProfilePredictor(ENDPOINTS).predict([], (0, 0))
