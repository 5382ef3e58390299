"""Output budgets as choices: what an answer that is cut is worth, which are offered, what they share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pointsman.batch.forecast import Forecast, forecast
from pointsman.batch.limits import BatchLimits
from pointsman.batch.output_budgets import limited, within_budgets
from pointsman.batch.planning import plan_batch
from pointsman.batch.requests import BatchRequest, Place
from pointsman.predict.base import at_most
from pointsman.predict.endpoint import ProfilePredictor
from pointsman.predict.learned import LearnedPredictor
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.fit import FitOptions, fit_quality
from pointsman.testing.fakes import arrays_of, make_endpoints, make_request
from pointsman.testing.outcomes import capital_question, made_outcomes, proof_question
from pointsman.types import Limits, Request

ENDPOINTS = make_endpoints(2)
IDLE = [0, 0]
MODEL = fit_quality(
    made_outcomes(np.random.default_rng(1), 200, ("e1", "e0")), FitOptions("knn", folds=2)
).model
LEARNED = LearnedPredictor(ENDPOINTS, ProfilePredictor(ENDPOINTS), MODEL)


def asked(count: int, **fields: Any) -> list[Request]:
    """Proofs take about 60 tokens, capitals about 5."""
    return [
        make_request(str(i), proof_question(i) if i % 2 else capital_question(i), **fields)
        for i in range(count)
    ]


def batch(requests: Sequence[Request], budgets: Sequence[int]) -> Forecast:
    lines = [BatchRequest(Place(i + 1, i), f"c{i}", own) for i, own in enumerate(requests)]
    return forecast(lines, LEARNED, ENDPOINTS, budgets_tokens=budgets)


def test_a_budget_is_worth_the_quality_times_the_share_of_lengths_that_fit() -> None:
    requests = asked(20)
    made = MODEL.forecast(Queries([own.prompt.text for own in requests], [""] * 20))
    assert made.output_tokens is not None
    curves = made.output_tokens[:, ::-1]
    bare, *cut = within_budgets(requests, (5, 60), LEARNED, IDLE)
    for budget, own in zip((5, 60), cut, strict=True):
        fits = np.clip(budget + 1 - curves, 0, 1).mean(axis=2)  # where a quantile lies between two numbers
        np.testing.assert_allclose(own.table.quality.value, bare.table.quality.value * fits, rtol=1e-9)
        np.testing.assert_array_equal(own.offered, (fits > 1e-9) & (fits < 1 - 1e-9))
        mean = np.minimum(curves, budget).mean(axis=2)
        np.testing.assert_allclose(own.table.output_tokens.value, mean)
        assert (own.table.price_usd.value <= bare.table.price_usd.value).all()
    share = cut[1].table.quality.value / bare.table.quality.value
    assert share[::2].min() > 0.9, "capitals fit into 60 tokens"
    assert share[1::2].max() < 0.7, "and many a proof does not"


def test_reading_texts_once_gives_what_one_prediction_each_gives() -> None:
    requests, limits = asked(6, max_tokens=40), (None, 3, 50)
    for table, limit in zip(LEARNED.predict_within(requests, IDLE, limits), limits, strict=True):
        alone = LEARNED.predict(at_most(requests, limit), IDLE)
        for one, other in zip(arrays_of(table), arrays_of(alone), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_request_s_own_limit_is_the_highest_and_unknown_lengths_have_no_budgets() -> None:
    made = batch(asked(20, max_tokens=50), (40, 50, 60))
    offered = made.allowed[:, 2:].reshape(20, 3, 2)
    assert offered[1::2, 0].any()
    assert not offered[:, 1:].any()
    assert made.without_budgets == ()
    profiles = ProfilePredictor(ENDPOINTS)
    assert not any(own.offered.any() for own in within_budgets(asked(4), (8,), profiles, IDLE)[1:])
    lines = [BatchRequest(Place(1, 0), "c", asked(1)[0])]
    unknown = forecast(lines, profiles, ENDPOINTS, budgets_tokens=(8,))
    assert unknown.without_budgets == ("e0", "e1")


def test_limits_of_a_request_hold_within_a_budget_too() -> None:
    """What is too dear whole may be cheap enough cut, and then is worth less than was asked."""
    whole = LEARNED.predict(asked(2), IDLE).price_usd.value[1]
    most = float(0.97 * whole[0])
    cheap = batch(asked(2, limits=Limits(max_price_usd=most)), (55,))
    assert cheap.allowed[-1].tolist() == [False, False, True, False]
    made = batch(asked(2, limits=Limits(min_quality=0.2)), (55,))
    assert (made.quality[made.allowed] >= 0.2 - 1e-6).all()


def test_budgets_of_an_endpoint_share_its_limits_and_cheapen_the_plan() -> None:
    made = batch(asked(40), (5, 60))
    assert made.columns[2:] == tuple(f"{name} within {b} tokens" for b in (5, 60) for name in ("e0", "e1"))
    assert [made.budget_of(column) for column in (0, 1, 2, 5)] == [None, None, 5, 60]
    floor = BatchLimits(min_quality=0.5)
    bare = plan_batch(batch(asked(40), ()), ENDPOINTS, floor)
    cut = plan_batch(made, ENDPOINTS, floor)
    assert cut.plan.objective < bare.plan.objective
    assert made.quality[np.arange(40), cut.plan.choice].mean() >= 0.5 - 1e-6
    assert sum(cut.within_tokens.values()) > 0
    limits = replace(floor, min_quality=0.4, max_share_requests={"e0": 25.0, "e1": 25.0}, makespan_s=300.0)
    shared = plan_batch(made, ENDPOINTS, limits)
    own = np.bincount(shared.plan.choice % 2, minlength=2)
    assert own.max() <= 25
    for endpoint in range(2):
        rows = np.flatnonzero(shared.plan.choice % 2 == endpoint)
        assert made.time_s[rows, shared.plan.choice[rows]].sum() <= 2 * 300.0


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"model": "m"}, "max_tokens"),
        ({"max_tokens": 900, "x": {"y": [1.5]}}, "max_tokens"),
        ({"max_completion_tokens": 900}, "max_completion_tokens"),
        ({"max_completion_tokens": 900, "max_tokens": None}, "max_completion_tokens"),
        ({"max_completion_tokens": None}, "max_tokens"),
    ],
)
def test_a_body_keeps_all_else(body: dict[str, Any], name: str) -> None:
    assert json.loads(limited(json.dumps(body).encode(), 64)) == body | {name: 64}
