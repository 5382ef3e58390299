"""From predictions to a plan: chunks, limits, what-ifs, the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.assign.lagrangian import lagrangian
from pointsman.batch import what_if as module
from pointsman.batch.forecast import CHUNK, Forecast, check_memory, forecast
from pointsman.batch.limits import BatchLimits, problem_of
from pointsman.batch.plan_file import BAD, Expected, PlanHead, read_plan, write_plan
from pointsman.batch.requests import BadLine, BatchRequest, Fingerprint, Place
from pointsman.batch.what_if import what_ifs
from pointsman.errors import BadRequest
from pointsman.testing.fakes import make_endpoints, make_request, make_table
from pointsman.types import CostTable, Limits, Needs, Request, Slo

ENDPOINTS = make_endpoints(3)


class Drawn:
    """Predicts by a request's number, so that chunks don't matter; keeps the load it was told."""

    name = "drawn"

    def __init__(self, rows: int) -> None:
        self.table = make_table(ENDPOINTS, rows)
        self.running: set[tuple[int, ...]] = set()

    def predict(self, requests: Sequence[Request], running: Sequence[int]) -> CostTable:
        self.running.add(tuple(running))
        return self.table.take(np.array([int(request.id) for request in requests]))


def lines(count: int, bad: Sequence[int] = (), **fields: object) -> list[BatchRequest | BadLine]:
    return [
        BadLine(Place(i + 1, 10 * i), None, "invalid_json", "torn")
        if i in bad
        else BatchRequest(Place(i + 1, 10 * i), f"c{i}", make_request(str(i), **fields))
        for i in range(count)
    ]


def drawn(count: int, bad: Sequence[int] = ()) -> Forecast:
    return forecast(lines(count, bad), Drawn(count), ENDPOINTS)


def test_chunks_give_what_one_table_gives() -> None:
    count, predictor, told = 2 * CHUNK + 5, Drawn(2 * CHUNK + 5), []
    made = forecast(lines(count, bad=(0, CHUNK)), predictor, ENDPOINTS, on_lines=told.append)
    kept = np.delete(np.arange(count), [0, CHUNK])
    assert made.lines.tolist() == (kept + 1).tolist()
    assert made.offsets.tolist() == (10 * kept).tolist()
    assert made.time_s.dtype == np.float32
    np.testing.assert_array_equal(made.time_s, predictor.table.time_s.value[kept].astype(np.float32))
    assert told == [CHUNK, 2 * CHUNK, count]
    assert predictor.running == {(1, 1, 1)}, "with the other slots busy"
    assert [own.place.line for own in made.bad] == [1, CHUNK + 1]


def test_deadlines_and_needs_forbid_pairs_and_say_so() -> None:
    times_s = make_table(ENDPOINTS, 30).time_s.value
    limit_s = float(np.median(times_s))
    made = forecast(lines(30), Drawn(30), ENDPOINTS, deadline_s=limit_s)
    kept = (times_s <= limit_s).any(axis=1)
    np.testing.assert_array_equal(made.allowed, times_s[kept] <= limit_s)
    assert {own.code for own in made.bad} == {"deadline"}
    assert len(made.bad) == int((~kept).sum()) > 0
    by_class = forecast(lines(30, slo=Slo("fast", e2e_s=limit_s)), Drawn(30), ENDPOINTS)
    np.testing.assert_array_equal(by_class.allowed, made.allowed)
    assert by_class.service_classes == ("fast",)
    with pytest.raises(BadRequest, match="privacy tag mars"):
        forecast(lines(3, needs=Needs(privacy=frozenset({"mars"}))), Drawn(3), ENDPOINTS)


def test_a_line_s_limits_forbid_pairs_and_one_that_nobody_keeps_is_told_by_its_number() -> None:
    prices_usd = make_table(ENDPOINTS, 30).price_usd.value
    limit_usd = float(np.quantile(prices_usd, 0.2))
    made = forecast(lines(30, limits=Limits(max_price_usd=limit_usd)), Drawn(30), ENDPOINTS)
    kept = (prices_usd <= limit_usd).any(axis=1)
    np.testing.assert_array_equal(made.allowed, prices_usd[kept] <= limit_usd)
    assert [own.place.line for own in made.bad] == (np.flatnonzero(~kept) + 1).tolist()
    assert {own.code for own in made.bad} == {"limits_unmet"}
    assert "price at most $" in made.bad[0].message
    assert "the cheapest is $" in made.bad[0].message


def test_of_endpoints_within_the_limits_the_fastest_is_told_where_all_are_too_slow() -> None:
    times_s = make_table(ENDPOINTS, 1).time_s.value[0]
    quality = make_table(ENDPOINTS, 1).quality.value[0]
    best = int(quality.argmax())
    assert best != times_s.argmin()
    asked = lines(1, limits=Limits(min_quality=float(quality[best])))
    with pytest.raises(BadRequest, match=rf"{ENDPOINTS[best].name}, the fastest, takes about"):
        forecast(asked, Drawn(1), ENDPOINTS, deadline_s=1e-3)


def test_ten_million_rows_are_planned_where_they_fit_and_refused_where_not() -> None:
    check_memory(1_000_000, 20, 24 * 2**30)
    check_memory(10_000_000, 20, 24 * 2**30)
    with pytest.raises(
        BadRequest, match=r"10,000,000 requests with 100 choices each .* Split the file into parts of"
    ):
        check_memory(10_000_000, 100, 24 * 2**30)


def test_limits_become_a_problem_over_the_same_arrays() -> None:
    made = drawn(40)
    made = replace(made, tenants=("a", "b"), tenant=np.array([0, 1] * 20, dtype=np.int32))
    limits = BatchLimits(
        {"cost": 2.0, "energy": 0.5}, 0.4, {"b": 0.6}, {"default": 0.3}, {"e0": 10.0}, 100.0, 5.0, 1e6
    )  # fmt: skip
    problem = problem_of(made, ENDPOINTS, limits)
    np.testing.assert_allclose(problem.cost, 2 * made.price_usd + 0.5 * made.energy_j, rtol=1e-6)
    assert problem.quality is made.quality
    assert problem.allowed is None
    assert [floor.name for floor in problem.floors] == ["all", "tenant", "class"]
    assert problem.floors[1].group is not None
    assert problem.floors[1].group.tolist() == [-1, 0] * 20
    assert problem.loads[1].capacity.tolist() == [200.0] * 3
    assert [own.limit for own in problem.budgets] == [5.0, 1e6]
    assert [BatchLimits(own).unit for own in ({"energy": 1.0}, {"cost": 1.0}, {"cost": 2.0})] == [
        "J",
        "$",
        "weighted",
    ]
    plan = lagrangian(problem_of(made, ENDPOINTS, replace(limits, budget_usd=None)))
    chosen = made.quality[np.arange(40), plan.choice]
    assert plan.feasible
    assert chosen[1::2].mean() >= 0.6


@settings(max_examples=25)
@given(st.integers(0, 10), st.floats(0.3, 0.7))
def test_what_prices_say_bounds_what_a_new_solution_gives(seed: int, floor: float) -> None:
    made = drawn(60)
    made = replace(
        made, quality=np.random.default_rng(seed).uniform(0.2, 0.95, made.quality.shape).astype(np.float32)
    )
    problem = problem_of(made, ENDPOINTS, BatchLimits(min_quality=floor, max_share_requests={"e0": 25.0}))
    plan = lagrangian(problem)
    points = module.POINT * 60 * sum(own.dual for own in plan.limits if own.rows)
    tighter = lagrangian(
        problem_of(made, ENDPOINTS, BatchLimits(min_quality=floor + 0.01, max_share_requests={"e0": 25.0}))
    )
    assert plan.bound is not None
    if tighter.feasible:
        assert tighter.objective >= (plan.bound + points) * (1 - 1e-9)
    solved = what_ifs(problem, plan, lagrangian)
    assert [own.change for own in solved] == ["quality +1 point", "quality -1 point", "load limits +10%"]


def test_large_problems_are_priced_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    made = drawn(60)
    problem = problem_of(made, ENDPOINTS, BatchLimits(min_quality=0.7, max_share_requests={"e0": 10.0}))
    plan = lagrangian(problem)
    monkeypatch.setattr(module, "RESOLVED_PAIRS", 10)
    more, less, load = (own.effect for own in what_ifs(problem, plan, lagrangian))
    assert more.startswith("costs at least ")
    assert more.split()[3] == less.split()[3]
    assert less.startswith("saves at most ")
    assert load.startswith("saves at most ")


def test_a_plan_comes_back_with_its_bad_lines_in_order(tmp_path: Path) -> None:
    made = drawn(12, bad=(0, 5, 11))
    plan = lagrangian(problem_of(made, ENDPOINTS, BatchLimits(min_quality=0.5)))
    head = PlanHead(
        "r.jsonl", Fingerprint(1, "x", 12), None, made.endpoints, False, {}, {}, Expected(1.0, 2.0, 3.0), 12
    )
    write_plan(tmp_path / "p", head, made, plan)
    back = read_plan(tmp_path / "p")
    assert back.head == head
    assert back.lines.tolist() == [*range(1, 13)]
    assert back.offsets.tolist() == [10 * i for i in range(12)]
    assert sorted(back.unrun) == [0, 5, 11]
    assert back.endpoint[[0, 5, 11]].tolist() == [BAD] * 3
    assert np.delete(back.endpoint, [0, 5, 11]).tolist() == plan.choice.tolist()
    assert [path.name for path in tmp_path.iterdir()] == ["p"], "nothing half-written beside it"
    again = read_plan(tmp_path / "p")
    assert again.id == back.id
