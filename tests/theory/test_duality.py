"""Theory tells us: what duality, scaling and large numbers say of plans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pointsman.assign.lagrangian import lagrangian
from pointsman.assign.lp import lp
from pointsman.assign.plan_baselines import BASELINES, oracle, perception_only
from pointsman.assign.prices import JITTER, Block, Layout, jitter, sweep
from pointsman.assign.problem import Budget, LimitKind, LoadLimit, Problem, QualityFloor
from pointsman.errors import BadRequest


def fleet(rows: int, columns: int = 6, seed: int = 0, *, tenants: bool = True, scale: float = 1.0) -> Problem:
    """Dearer is better; tight shares, a budget, floors overall and for three tenants."""
    rng = np.random.default_rng(seed)
    size = np.geomspace(1, 30, columns)
    tokens = rng.lognormal(0, 0.8, (rows, 1))
    cost = tokens * size * rng.lognormal(0, 0.3, (rows, columns))
    ability = np.linspace(-1, 2, columns) - rng.normal(0, 1, (rows, 1)) + rng.normal(0, 0.5, (rows, columns))
    names = tuple(f"e{j}" for j in range(columns))
    floors = [QualityFloor.overall(0.6)]
    if tenants:
        group = rng.choice(3, rows, p=[0.6, 0.3, 0.1])
        floors.append(QualityFloor("tenant", ("a", "b", "c"), np.array([0.55, 0.6, 0.7]), group))
    return Problem(
        names,
        (scale * cost).astype(np.float32),
        (1 / (1 + np.exp(-ability))).astype(np.float32),
        floors=tuple(floors),
        loads=(LoadLimit.share(names, dict.fromkeys(names, rows * 1.3 // columns)),),
        budgets=(Budget("energy_j", (tokens * size**1.2).astype(np.float32), 10.0 * rows),),
    )


def test_the_gap_is_small_and_the_bound_the_relaxations() -> None:
    problem = fleet(1000)
    plan, exact = lagrangian(problem), lp(problem)
    assert plan.feasible
    assert exact.feasible
    assert plan.gap is not None
    assert exact.bound is not None
    assert plan.bound is not None
    assert plan.gap < 1e-3
    assert exact.bound * (1 - 1e-5) <= plan.bound <= exact.bound * (1 + 1e-7)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_sample_and_the_undecided_rows_reach_the_optimum_of_many(seed: int) -> None:
    """60,000 rows, of which 16,384 are climbed first and the rest only where undecided."""
    plan = lagrangian(fleet(60_000, seed=seed))
    assert plan.feasible
    assert plan.gap is not None
    assert plan.gap < 1e-4


def test_ties_among_many_rows_are_settled() -> None:
    """Four kinds of request, thousands alike, an endpoint that is free."""
    rng = np.random.default_rng(3)
    kind = rng.integers(4, size=40_000)
    cost = np.array([[0, 1, 2], [0, 2, 3], [0, 1, 3], [0, 2, 4]], dtype=np.float32)[kind]
    quality = np.array(
        [[0.2, 0.6, 0.8], [0.4, 0.5, 0.9], [0.1, 0.3, 0.7], [0.3, 0.6, 0.7]], dtype=np.float32
    )[kind]
    names = ("free", "small", "large")
    loads = (LoadLimit.share(names, {"large": 10_000, "small": 20_000}),)
    plan = lagrangian(Problem(names, cost, quality, floors=(QualityFloor.overall(0.55),), loads=loads))
    assert plan.feasible
    assert plan.gap is not None
    assert plan.gap < 1e-3


def test_more_ties_than_are_climbed_at_once_are_settled() -> None:
    """In four fifths of 50,000 rows each column is dearer by what its quality is worth."""
    rows, step, names = 50_000, np.arange(4, dtype=np.float32), tuple("abcd")
    cost = np.random.default_rng(5).random((rows, 4), dtype=np.float32)
    quality = np.full((rows, 4), 0.3, dtype=np.float32)
    tied = np.arange(rows) % 5 > 0
    cost[tied], quality[tied] = step, 0.2 + step / 10
    loads = (LoadLimit.share(names, {"a": 0.2 * rows, "b": 0.3 * rows, "c": 0.24 * rows, "d": 0.3 * rows}),)
    problem = Problem(names, cost, quality, floors=(QualityFloor.overall(0.34),), loads=loads)
    plan = lagrangian(problem)
    assert plan.feasible
    assert plan.gap is not None
    assert plan.gap < 1e-5
    at_best = sweep(problem, Layout.of(problem), np.array([limit.dual for limit in plan.limits]))
    assert (at_best.margin < 1e-3).sum() > 35_000


@pytest.mark.parametrize("seed", [1, 2])
def test_where_no_plan_keeps_all_limits_it_keeps_all_but_the_tightest_and_comes_near_that(seed: int) -> None:
    problem = fleet(20_000, seed=seed)
    asked = replace(problem, floors=(QualityFloor.overall(0.99), problem.floors[1]))
    plan = lagrangian(asked)
    assert [limit.name for limit in plan.broken] == ["all"]
    assert plan.shortfall is not None
    assert plan.shortfall.reachable is not None
    assert 0 <= plan.shortfall.reachable - plan.broken[0].used < 1e-5


def test_complementary_slackness() -> None:
    """A limit with a price is used up: what is left of it, priced, is within the gap."""
    plan = lagrangian(fleet(2000))
    assert plan.bound is not None
    scale = {"quality floor": 1}
    left = sum(
        limit.dual * max(0.0, limit.slack) * (limit.rows or scale.get(limit.kind, 1)) for limit in plan.limits
    )
    assert left <= plan.objective - plan.bound + 1e-4 * plan.objective
    assert any(limit.dual > 0 for limit in plan.limits)
    for limit in plan.limits:
        if limit.slack > 0.05 * abs(limit.limit):
            assert limit.dual * (limit.rows or limit.limit) < 1e-3 * plan.objective


def test_costs_in_another_unit_scale_the_prices_and_change_no_choice() -> None:
    plan, scaled = lagrangian(fleet(500)), lagrangian(fleet(500, scale=1024.0))
    assert scaled.choice.tolist() == plan.choice.tolist()
    assert scaled.objective == pytest.approx(1024 * plan.objective)
    assert [limit.dual for limit in scaled.limits] == pytest.approx(
        [1024 * limit.dual for limit in plan.limits], rel=1e-3, abs=1e-6
    )


def test_a_dual_is_what_one_more_point_costs() -> None:
    rows = 4000
    problem = fleet(rows, tenants=False)
    plan = lagrangian(problem)
    asked = float(problem.floors[0].minimum[0]) + 0.001
    names, cost, quality = problem.endpoints, problem.cost, problem.quality
    more = lagrangian(
        Problem(names, cost, quality, None, (QualityFloor.overall(asked),), problem.loads, problem.budgets)
    )
    assert more.bound is not None
    assert plan.bound is not None
    assert more.bound - plan.bound == pytest.approx(plan.limits[0].dual * 0.001 * rows, rel=0.05)


def test_equal_arguments_give_equal_plans() -> None:
    one, other = lagrangian(fleet(20_000, seed=4)), lagrangian(fleet(20_000, seed=4))
    assert (one.choice == other.choice).all()
    assert one.limits == other.limits


def test_the_best_quality_there_is_can_nearly_be_asked_for_and_no_more() -> None:
    problem = fleet(1000, tenants=False)
    names, cost, quality = problem.endpoints, problem.cost, problem.quality

    def asked(minimum: float) -> Problem:
        return Problem(
            names, cost, quality, None, (QualityFloor.overall(minimum),), problem.loads, problem.budgets
        )

    most = lagrangian(asked(1.0)).shortfall
    assert most is not None
    best = most.reachable
    assert best is not None
    assert lagrangian(asked(best - 0.002)).feasible
    beyond = lagrangian(asked(best + 0.002))
    assert beyond.shortfall is not None
    assert beyond.shortfall.limit == "quality floor all"
    assert beyond.shortfall.reachable == pytest.approx(best, abs=1e-4)


def test_baselines_choose_allowed_columns_and_none_beats_the_bound() -> None:
    base = fleet(400)
    allowed = np.random.default_rng(1).random(base.shape) < 0.7
    allowed[~allowed.any(axis=1), 0] = True
    cost = np.where(allowed, base.cost, np.nan)
    problem = Problem(base.endpoints, cost, base.quality, allowed, base.floors, base.loads, base.budgets)
    best = lagrangian(problem)
    assert best.bound is not None
    for name, baseline in BASELINES.items():
        plan = baseline(problem)
        assert allowed[np.arange(400), plan.choice].all()
        assert plan.policy == name
        assert np.isfinite(plan.objective)
        assert not plan.feasible or plan.objective >= best.bound


def test_length_first_and_perception_only_even_out_the_work_that_they_believe_in() -> None:
    """Where all columns are alike, each holds within one row's work of any other; lengths not said count as usual."""
    rng = np.random.default_rng(6)
    work = rng.integers(1, 50, (300, 1)).repeat(3, axis=1).astype(float)
    flat = np.ones((300, 3))
    by_work = LoadLimit(LimitKind.WORK, ("a", "b", "c"), np.full(3, np.inf), np.arange(3), work)
    problem = Problem(("a", "b", "c"), flat, flat / 2, loads=(by_work,))
    for plan in (BASELINES["length_first"](problem), perception_only(problem, work)):
        held = np.bincount(plan.choice, work[:, 0], 3)
        assert np.ptp(held) <= 50
    said = work.copy()
    said[:, 1] = np.nan
    said[::2] = np.nan
    plan = perception_only(replace(problem, loads=()), said)
    usual = np.where(np.isnan(said), np.nanmedian(said), said)
    assert np.ptp(np.bincount(plan.choice, usual[np.arange(300), plan.choice], 3)) <= 50
    with pytest.raises(BadRequest, match="no model has said"):
        perception_only(problem, np.full((300, 3), np.nan))


def test_the_oracle_keeps_limits_in_truth() -> None:
    problem = fleet(500, tenants=False)
    happened = (np.random.default_rng(2).random(problem.shape) < problem.quality).astype(np.float32)
    plan = oracle(problem, problem.cost, happened)
    assert plan.feasible
    assert happened[np.arange(500), plan.choice].mean() >= 0.6
    assert plan.objective <= lagrangian(problem).objective


def test_jitter_is_within_its_size_and_the_same_for_the_same_pair() -> None:
    whole = jitter(np.arange(1000), 45)
    assert (whole >= 1).all()
    assert (whole < 1 + JITTER).all()
    assert (jitter(np.array([7, 500]), 45) == whole[[7, 500]]).all()
    for one in range(45):
        for other in range(one):
            assert abs(np.corrcoef(whole[:, one], whole[:, other])[0, 1]) < 0.35


def test_a_sweep_sums_what_blocks_give() -> None:
    problem = fleet(30_000)  # more than one chunk
    layout = Layout.of(problem)
    prices = np.where(layout.free, 0.5, 0.0)
    at, whole = sweep(problem, layout, prices), Block.of(problem, layout, slice(None))
    reduced = whole.reduced(prices)
    assert at.value == pytest.approx(reduced.min(axis=1).sum() - layout.credit(prices))
    assert (at.choice == reduced.argmin(axis=1)).all()
    np.testing.assert_allclose(at.used, whole.used(at.choice))
    assert (at.margin >= 0).all()


def test_limits_that_always_move_together_have_prices_too() -> None:
    free = np.zeros((2, 2), np.float32)
    load = LoadLimit(LimitKind.SHARE, ("a", "b"), np.array([1.0, 1.0]), np.array([0, 1]))
    plan = lagrangian(Problem(("a", "b"), free, free, loads=(load,)))
    assert plan.feasible
    assert sorted(plan.choice.tolist()) == [0, 1]
