"""Skipping and waiting: chosen where they are worth it, counted in the floors as they should be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pointsman.batch.forecast import Forecast, forecast
from pointsman.batch.limits import Action, BatchLimits
from pointsman.batch.planning import BatchPlan, plan_batch
from pointsman.batch.requests import BatchRequest, Place
from pointsman.errors import Infeasible
from pointsman.predict.endpoint import ProfilePredictor
from pointsman.testing.fakes import make_endpoints, make_request
from pointsman.types import Floats

ENDPOINTS = make_endpoints(3)


def drawn(count: int, seed: int) -> Forecast:
    """Quality and price of no relation; every third request of tenant b."""
    lines = [
        BatchRequest(Place(i + 1, i), f"c{i}", make_request(str(i), tenant="b" if i % 3 == 0 else "a"))
        for i in range(count)
    ]
    made = forecast(lines, ProfilePredictor(ENDPOINTS), ENDPOINTS)
    rng = np.random.default_rng(seed)
    quality, price = (rng.uniform(low, 1, made.quality.shape).astype(np.float32) for low in (0.2, 0.05))
    return replace(made, quality=quality, price_usd=price)


def planned(made: Forecast, **limits: Any) -> BatchPlan:
    return plan_batch(made, ENDPOINTS, BatchLimits(**limits))


def chosen(plan: BatchPlan) -> Floats:
    """Quality of each request as it is expected: 0 where it is skipped, NaN where it waits."""
    of_action = {Action.SKIP: 0.0, Action.WAIT: np.nan}
    columns = np.array([of_action[action] for action in plan.actions])
    rows = len(plan.made.quality)
    wide = np.hstack([plan.made.quality, np.tile(columns, (rows, 1))])
    made: Floats = wide[np.arange(rows), plan.plan.choice]
    return made


@pytest.mark.parametrize("seed", range(8))
def test_the_best_mix_of_answers_skips_and_waits_is_found(seed: int) -> None:
    """Against every possible plan of seven requests."""
    made, count = drawn(7, seed), 7
    plan = planned(made, min_quality=0.6, skip_cost=0.02, wait_cost=0.2)
    cost = np.hstack([made.price_usd, np.full((count, 1), 0.02), np.full((count, 1), 0.2)])
    quality = np.hstack([made.quality, np.zeros((count, 1)), np.full((count, 1), np.nan)])
    every = np.indices((5,) * count).reshape(count, -1).T
    rows = np.arange(count)
    reached = np.nansum(quality[rows, every] - 0.6, axis=1) >= 0
    assert plan.plan.objective == pytest.approx(cost[rows, every[reached]].sum(axis=1).min(), rel=1e-5)
    assert np.nansum(chosen(plan) - 0.6) >= -1e-6


def test_skipping_counts_with_quality_0_and_only_where_it_has_a_cost() -> None:
    made = drawn(200, 1)
    without = planned(made, min_quality=0.5)
    assert without.actions == ()
    with_skips = planned(made, min_quality=0.5, skip_cost=0.0)
    assert 20 < with_skips.count(Action.SKIP) < 150
    assert chosen(with_skips).mean() >= 0.5 - 1e-6
    assert with_skips.plan.objective < without.plan.objective
    assert planned(made, min_quality=0.5, skip_cost=1e6).count(Action.SKIP) == 0
    assert planned(made, skip_cost=0.0).count(Action.SKIP) == 200, "nothing asks for answers"


def test_what_does_not_fit_waits_and_has_no_part_in_the_floors() -> None:
    made = drawn(300, 2)
    limits: dict[str, Any] = {"max_share_requests": {"e0": 40.0, "e1": 40.0, "e2": 20.0}}
    floors: dict[str, Any] = {"min_quality": 0.7, "min_quality_of_tenant": {"b": 0.8}}
    with pytest.raises(Infeasible):
        planned(made, **limits)
    plan = planned(made, **limits, **floors, wait_cost=10.0)
    assert plan.count(Action.WAIT) == 200
    answered, tenant = chosen(plan), made.tenant
    assert np.nanmean(answered) >= 0.7 - 1e-6
    assert np.nanmean(answered[tenant == made.tenants.index("b")]) >= 0.8 - 1e-6
    assert {own.change: own.effect for own in plan.changes}["load limits +10%"].startswith("saves ")
    assert planned(made, wait_cost=0.0, min_quality=0.9).count(Action.WAIT) == 300


@pytest.mark.parametrize("asked", [0.1, 0.333, 0.7, 0.9])
def test_where_all_wait_a_floor_of_more_digits_than_a_float32_is_kept(asked: float) -> None:
    made = drawn(50, 3)
    poor = replace(made, quality=made.quality * np.float32(0.05))
    plan = planned(poor, min_quality=asked, wait_cost=5.0, skip_cost=50.0)
    assert plan.count(Action.WAIT) > 40
    assert "no plan was found" not in [own.effect for own in plan.changes]
