"""A batch's floors with a confidence: told higher by what chosen forecasts overstate, so that they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from pointsman.batch.confidence import calibrated
from pointsman.batch.forecast import Forecast, forecast
from pointsman.batch.limits import BatchLimits
from pointsman.batch.planning import BatchPlan, plan_batch
from pointsman.batch.requests import BatchRequest, Place
from pointsman.errors import BadRequest, Infeasible
from pointsman.predict.endpoint import ProfilePredictor
from pointsman.predict.quality.held_out_rows import HeldOutRows
from pointsman.testing.fakes import make_endpoints, make_request
from pointsman.types import CostTable, Estimate, Floats, Request

ENDPOINTS = tuple(
    replace(endpoint, usd_per_input_token=usd, usd_per_output_token=usd)
    for endpoint, usd in zip(make_endpoints(3), (1e-6, 2e-6, 5e-6), strict=True)
)
PROFILES = ProfilePredictor(ENDPOINTS)
FLOOR = 0.57
ROWS = 6_000


class World(NamedTuple):
    """The chance of being right, and forecasts of it that are noisy, each on its own."""

    real: Floats
    forecast: Floats


def world(rows: int, seed: int) -> World:
    rng = np.random.default_rng(seed)
    ease = rng.normal(0, 0.1, (rows, 1))
    real = np.clip(np.array([0.5, 0.55, 0.6]) + ease + rng.normal(0, 0.1, (rows, 3)), 0.02, 0.98)
    return World(real, np.clip(real + rng.normal(0, 0.15, (rows, 3)), 0, 1))


def held_out(seed: int, rows: int = 4_000) -> HeldOutRows:
    made = world(rows, seed)
    labels = (np.random.default_rng(seed + 1).random((rows, 3)) < made.real).astype(float)
    return HeldOutRows(
        tuple(endpoint.name for endpoint in ENDPOINTS),
        ("",) * rows,
        ("fact",) * rows,
        np.full(rows, 100.0),
        made.forecast,
        labels,
        np.full((rows, 3), 40.0),
        np.arange(rows),
        np.arange(rows) % 5,
    )


class Noisy:
    """Predicts quality by a request's number, all else by profiles."""

    name = "noisy"

    def __init__(self, quality: Floats) -> None:
        self.quality = quality

    def predict(self, requests: Sequence[Request], running: Sequence[int]) -> CostTable:
        rows = [int(request.id) for request in requests]
        table = PROFILES.predict(requests, running)
        return replace(table, quality=Estimate.without_interval(self.quality[rows]))


def batch(quality: Floats, **fields: object) -> Forecast:
    lines = [
        BatchRequest(Place(i + 1, 10 * i), f"c{i}", make_request(str(i), "x" * 100, **fields))
        for i in range(len(quality))
    ]
    return forecast(lines, Noisy(quality), ENDPOINTS)


def planned(made: Forecast, rows: HeldOutRows, limits: BatchLimits) -> BatchPlan:
    calibration = None
    if limits.confidence is not None:
        calibration = calibrated(rows, PROFILES, made, ENDPOINTS, limits.objective)
    return plan_batch(made, ENDPOINTS, limits, calibration)


def really(plan: BatchPlan, real: Floats) -> float:
    return float(real[np.arange(len(real)), plan.plan.choice].mean())


def test_a_plan_by_forecasts_alone_falls_short_and_one_with_a_confidence_does_not() -> None:
    short = kept = 0
    for seed in range(3):
        new = world(ROWS, 100 + seed)
        made, rows = batch(new.forecast), held_out(seed)
        plain = planned(made, rows, BatchLimits(min_quality=FLOOR))
        sure = planned(made, rows, BatchLimits(min_quality=FLOOR, confidence=0.95))
        short += really(plain, new.real) < FLOOR - 0.01
        kept += really(sure, new.real) >= FLOOR
        assert plain.promises == ()
        (promise,) = sure.promises
        assert (promise.floor, promise.asked, promise.requests) == ("all", FLOOR, ROWS)
        assert promise.told > FLOOR
        assert promise.predicted == pytest.approx(promise.told, abs=2e-3)
        assert promise.expected == pytest.approx(really(sure, new.real), abs=0.025)
        shown = sure.made.quality[np.arange(ROWS), sure.plan.choice].mean()
        assert shown == pytest.approx(promise.predicted, abs=1e-5), "rows show what was planned by"
    assert (short, kept) == (3, 3)


def test_what_a_unit_of_quality_costs_follows_the_limits_on_answers_of_the_batch() -> None:
    """Half the limit, about half the price; so the calibration's prices are those of the batch."""
    quality, rows = world(200, 7).forecast, held_out(7)
    made = [batch(quality, max_tokens=limit) for limit in (10, 20)]
    low, high = (calibrated(rows, PROFILES, own, ENDPOINTS, {"cost": 1.0}).price[-1] for own in made)
    tokens = float(PROFILES.predict([make_request("0", "x" * 100)], [0, 0, 0]).input_tokens[0, 0])
    assert high / low == pytest.approx((tokens + 20) / (tokens + 10), rel=1e-3)


def test_each_tenant_s_floor_is_promised_by_its_own_size() -> None:
    new = world(ROWS, 200)
    made = batch(new.forecast)
    made = replace(made, tenants=("a", "b"), tenant=np.array([0] * 5_600 + [1] * 400, dtype=np.int32))
    limits = BatchLimits(min_quality=0.5, min_quality_of_tenant={"a": 0.52, "b": 0.52}, confidence=0.9)
    promises = {own.floor: own for own in planned(made, held_out(9), limits).promises}
    assert set(promises) == {"all", "tenant a", "tenant b"}
    assert promises["tenant b"].told > promises["tenant a"].told + 0.02
    one = planned(made, held_out(9), BatchLimits(min_quality_of_tenant={"b": 0.52}, confidence=0.9))
    assert [own.floor for own in one.promises] == ["tenant b"]
    assert [limit.name for limit in one.plan.limits] == ["tenant b"]


def test_what_can_t_be_promised_is_said() -> None:
    made, rows = batch(world(300, 300).forecast), held_out(11)
    with pytest.raises(
        Infeasible, match=r"at least 0\.9 with 95% over 300 requests can't be promised: at most 0\.[56]"
    ):
        planned(made, rows, BatchLimits(min_quality=0.9, confidence=0.95))
    free = [replace(own, usd_per_input_token=0.0, usd_per_output_token=0.0) for own in ENDPOINTS]
    with pytest.raises(BadRequest, match="every predicted cost is 0"):
        calibrated(rows, ProfilePredictor(free), made, free, {"cost": 1.0})
