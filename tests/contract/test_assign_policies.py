"""Every assign policy crossed with every check: pure, seeded, right shape, batch equals single, eligible."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.assign.asked import AskedAssign
from pointsman.assign.base import AssignPolicy
from pointsman.assign.baselines import CheapestAssign, RandomAssign, SingleAssign
from pointsman.assign.floor import FloorAssign
from pointsman.assign.value import ValueAssign
from pointsman.assign.weighted import WeightedAssign
from pointsman.types import (
    UNASSIGNED,
    Bools,
    CostTable,
    EndpointView,
    Estimate,
    Prompt,
    Request,
    Router,
    RunCost,
    ValueTerms,
    Weights,
)

NAMES = ("a", "b", "c", "d", "e")
POLICIES: dict[str, Callable[[], AssignPolicy]] = {
    "weighted": lambda: WeightedAssign(Weights(accuracy=0.5, energy=0.2, time=0.2, price=0.1)),
    "weighted-energy": lambda: WeightedAssign(Weights(energy=3)),
    "single": lambda: SingleAssign("b"),
    "random": lambda: RandomAssign(seed=7),
    "cheapest": CheapestAssign,
    "value": lambda: ValueAssign(ValueTerms(RunCost(constant=0.1, per_usd=100.0, per_s=0.05))),
    "floor": lambda: FloorAssign(0.6),
    "asked": lambda: AskedAssign(WeightedAssign(Weights(energy=1))),
}


def make_case(
    seed: int, n_requests: int, n_endpoints: int
) -> tuple[list[Request], CostTable, Bools, list[EndpointView]]:
    rng = np.random.default_rng(seed)
    shape = (n_requests, n_endpoints)

    def estimate(scale: float) -> Estimate:
        # Rounding makes ties; a rare NaN is a predictor's fault that a policy must live with.
        value = np.round(rng.random(shape), 1) * scale
        value[rng.random(shape) < 0.02] = np.nan
        return Estimate.without_interval(value)

    table = CostTable(
        endpoints=NAMES[:n_endpoints],
        input_tokens=np.full(shape, 10.0),
        quality=estimate(1),
        output_tokens=estimate(100),
        time_s=estimate(10),
        energy_j=estimate(100),
        price_usd=estimate(1e-4),
        carbon_g=estimate(1e-2),
    )
    eligible = rng.random(shape) < 0.7
    eligible[np.arange(n_requests), rng.integers(n_endpoints, size=n_requests)] = True
    some = [None, Weights(accuracy=1), Weights(time=2, energy=1), Weights(price=1)]
    routers = [None, None, Router("floor", 0.5), Router("floor", 0.8), Router("threshold", 0.5)]
    requests = [
        Request(
            f"r{i}",
            Prompt("x"),
            weights=some[int(rng.integers(len(some)))],
            router=routers[int(rng.integers(len(routers)))],
        )
        for i in range(n_requests)
    ]
    view = [EndpointView(name, 0, 0, 4, healthy=True) for name in table.endpoints]
    return requests, table, eligible, view


cases = st.builds(make_case, st.integers(0, 10_000), st.integers(1, 12), st.integers(2, 5))
each_policy = pytest.mark.parametrize("name", POLICIES)


@each_policy
@given(case=cases)
def test_chooses_an_eligible_endpoint_of_lowest_score(name: str, case: tuple) -> None:
    requests, table, eligible, view = case
    made = POLICIES[name]().assign(requests, table, eligible, view)
    rows = np.arange(len(requests))
    assert made.endpoint_index.shape == (len(requests),)
    assert np.issubdtype(made.endpoint_index.dtype, np.integer)
    assert made.score.shape == eligible.shape
    assert eligible[rows, made.endpoint_index].all()
    assert np.isinf(made.score[~eligible]).all()
    assert np.isfinite(made.score[rows, made.endpoint_index]).all()
    assert (made.score[rows, made.endpoint_index] == made.score.min(axis=1)).all()
    assert len(made.reason) == len(requests)
    assert all(made.reason)
    assert len(made.weights) in (0, len(requests))


@each_policy
@given(case=cases)
def test_batch_equals_single(name: str, case: tuple) -> None:
    requests, table, eligible, view = case
    policy = POLICIES[name]()
    batch = policy.assign(requests, table, eligible, view)
    for row, request in enumerate(requests):
        alone = policy.assign([request], table.row(row), eligible[row : row + 1], view)
        assert alone.endpoint_index[0] == batch.endpoint_index[row]
        assert np.array_equal(alone.score[0], batch.score[row])
        assert alone.reason[0] == batch.reason[row]
        assert (alone.weights or (None,)) == (batch.weights[row : row + 1] or (None,))
        assert (alone.policy or (policy.name,)) == (batch.policy[row : row + 1] or (policy.name,))


@each_policy
@given(case=cases)
def test_changes_nothing_and_repeats(name: str, case: tuple) -> None:
    requests, table, eligible, view = case
    before = [np.copy(e.value) for e in (table.quality, table.energy_j, table.time_s, table.price_usd)]
    eligible_before = eligible.copy()
    first, second = POLICIES[name](), POLICIES[name]()
    made = [policy.assign(requests, table, eligible, view) for policy in (first, first, second)]
    after = [e.value for e in (table.quality, table.energy_j, table.time_s, table.price_usd)]
    assert all(np.array_equal(b, a, equal_nan=True) for b, a in zip(before, after, strict=True))
    assert np.array_equal(eligible_before, eligible)
    for other in made[1:]:
        assert np.array_equal(made[0].endpoint_index, other.endpoint_index)
        assert np.array_equal(made[0].score, other.score)
        assert made[0].reason == other.reason


@each_policy
def test_a_row_without_eligible_endpoint_waits(name: str) -> None:
    requests, table, eligible, view = make_case(3, 4, 5)
    eligible[2] = False
    made = POLICIES[name]().assign(requests, table, eligible, view)
    assert made.endpoint_index[2] == UNASSIGNED
    assert (made.endpoint_index[[0, 1, 3]] != UNASSIGNED).all()
