"""Every predictor crossed with what the Protocol promises."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest

from pointsman.predict.base import Predictor
from pointsman.predict.check import fault_of
from pointsman.predict.endpoint import ProfilePredictor
from pointsman.testing.profiles import made_artifact
from pointsman.types import Capabilities, CostTable, Endpoint, Estimate, Prompt, Request

SPEEDS = {"small": 3.0, "middle": 1.0, "large": 0.4}
ENDPOINTS = (
    *(Endpoint(name, name, usd_per_input_token=1e-6, usd_per_output_token=2e-6) for name in SPEEDS),
    Endpoint("unmeasured", "who-knows", capabilities=Capabilities(context_tokens=512)),
)


def _of(cost: str, length: str = "task_mean") -> Callable[[], ProfilePredictor]:
    def make() -> ProfilePredictor:
        artifact = made_artifact(np.random.default_rng(3), SPEEDS, cost=cost, length=length)
        return ProfilePredictor(ENDPOINTS, artifact, 250.0)

    return make


PREDICTORS: dict[str, Callable[[], ProfilePredictor]] = {
    "ols": _of("ols"),
    "shape": _of("shape"),
    "refined": _of("refined"),
    "linear length": _of("shape", "linear"),
    "defaults": lambda: ProfilePredictor(ENDPOINTS),
}
REQUESTS = tuple(
    Request(str(index), Prompt(text, total_bytes=len(text.encode("utf-8", "surrogatepass"))), cap)
    for index, (text, cap) in enumerate(
        [
            ("What is 12 + 30?", 16),
            ("What is the capital of France?", None),
            ("Write a Python function that sorts.", 400),
            ("Tell me a story. " * 500, 1),
            ("", None),
            ("\ud800\x00\U0001f600", 5),
            ("x" * 10_000_000, 100),
        ]
    )
)
IDLE = (0, 0, 0, 0)


@pytest.fixture(scope="module", params=PREDICTORS)
def predictor(request: pytest.FixtureRequest) -> ProfilePredictor:
    return PREDICTORS[request.param]()


def estimates(table: CostTable) -> dict[str, Estimate]:
    return {
        field.name: value
        for field in fields(table)
        if isinstance(value := getattr(table, field.name), Estimate)
    }


def test_gives_what_the_protocol_promises(predictor: Predictor) -> None:
    table = predictor.predict(REQUESTS, IDLE)
    assert fault_of(table, tuple(endpoint.name for endpoint in ENDPOINTS), len(REQUESTS)) is None
    assert not table.bypassed
    for name, estimate in estimates(table).items():
        for part in (estimate.value, estimate.low, estimate.high):
            assert part.shape == (len(REQUESTS), len(ENDPOINTS)), name
        known = np.isfinite(estimate.low)
        slack = 1e-9 * np.abs(estimate.value[known])
        assert (estimate.low[known] <= estimate.value[known] + slack).all(), name
        assert (estimate.high[known] >= estimate.value[known] - slack).all(), name
    assert (table.time_s.value > 0).all()
    assert (table.energy_j.value > 0).all()
    assert ((table.quality.value >= 0) & (table.quality.value <= 1)).all()


def test_a_batch_equals_single_requests(predictor: Predictor) -> None:
    running = (0, 1, 3, 70)
    batch = predictor.predict(REQUESTS, running)
    for index, request in enumerate(REQUESTS):
        single = predictor.predict([request], running)
        np.testing.assert_array_equal(single.input_tokens, batch.input_tokens[index : index + 1])
        for name, estimate in estimates(batch.row(index)).items():
            for part in ("value", "low", "high"):
                np.testing.assert_array_equal(
                    getattr(getattr(single, name), part), getattr(estimate, part), err_msg=name
                )


def test_predicting_changes_nothing(predictor: ProfilePredictor) -> None:
    before = copy.deepcopy(predictor.drift.factor)
    first = predictor.predict(REQUESTS, IDLE)
    second = predictor.predict(REQUESTS, IDLE)
    for name, estimate in estimates(first).items():
        np.testing.assert_array_equal(estimate.value, estimates(second)[name].value)
    np.testing.assert_array_equal(predictor.drift.factor, before)


def test_a_cap_holds_for_the_whole_estimate(predictor: Predictor) -> None:
    table = predictor.predict(REQUESTS, IDLE)
    for index, request in enumerate(REQUESTS):
        if request.max_tokens is not None:
            for part in (table.output_tokens.value, table.output_tokens.low, table.output_tokens.high):
                known = part[index][np.isfinite(part[index])]
                assert (known <= request.max_tokens + 1e-9).all()


def test_more_running_is_never_faster(predictor: Predictor) -> None:
    times = [predictor.predict(REQUESTS, (n,) * 4).time_s.value for n in (0, 1, 3, 7, 63, 64, 1000)]
    for fewer, more in itertools.pairwise(times):
        assert (more >= fewer * (1 - 1e-9)).all()


def test_the_prior_is_one_marked_row(predictor: ProfilePredictor) -> None:
    row = predictor.prior_row()
    assert row.bypassed
    assert row.n_requests == 1
    assert fault_of(row, predictor.endpoints, 1) is None
    predictor_of_nothing = ProfilePredictor(ENDPOINTS)
    assert np.isnan(predictor_of_nothing.prior_row().time_s.low).all()
