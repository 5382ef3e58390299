"""What a problem refuses and says, and what a plan says of its limits."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from pointsman.assign.lagrangian import lagrangian
from pointsman.assign.lp import lp
from pointsman.assign.plan import LimitUse, money
from pointsman.assign.prices import Layout
from pointsman.assign.problem import (
    Budget,
    LimitKind,
    LoadLimit,
    Problem,
    QualityFloor,
    weighted_cost,
)
from pointsman.assign.relaxation import LARGEST_PAIRS, relax
from pointsman.errors import BadRequest, Infeasible, MissingError

NAMES = ("small", "large")
COST = np.array([[1.0, 4.0], [2.0, 6.0], [1.0, 9.0], [2.0, 5.0]])
QUALITY = np.array([[0.2, 0.9], [0.6, 0.8], [0.1, 0.7], [0.5, 0.6]])


def problem(**changes: object) -> Problem:
    return replace(Problem(NAMES, COST, QUALITY), **changes)


def put(array: np.ndarray, value: float, place: tuple[int, int] = (2, 1)) -> np.ndarray:
    changed = array.copy()
    changed[place] = value
    return changed


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cost": put(COST, np.nan)}, "cost of request 2 on endpoint 1 is nan"),
        ({"cost": put(COST, -1)}, "is -1; it must be a finite number of at least 0"),
        ({"cost": put(COST, np.inf)}, "is inf"),
        ({"quality": put(QUALITY, 1.5)}, "quality of request 2 on endpoint 1 is 1.5; .* from 0 to 1"),
        ({"quality": QUALITY[:3]}, r"shape \(3, 2\)"),
        ({"cost": COST.astype(int)}, "type int64"),
        ({"allowed": np.array([[1, 1], [0, 0], [1, 0], [0, 0]], dtype=bool)}, "2 of 4 requests .*: 1, 3"),
        ({"allowed": np.ones((4, 3), dtype=bool)}, r"shape \(4, 3\)"),
        ({"floors": (QualityFloor.overall(1.2),)}, "quality floor of all all is 1.2"),
        ({"floors": (QualityFloor.overall(float("nan")),)}, "nan"),
        ({"floors": (QualityFloor("tenant", ("a",), np.array([0.5]), np.array([0, 0, 1, 0])),)}, "-1 to 0"),
        ({"floors": (QualityFloor("tenant", ("a", "b"), np.array([0.5, 0.5])),)}, "2 groups"),
        ({"loads": (LoadLimit.share(NAMES, {"small": -1}),)}, "max_share_requests of small is -1"),
        ({"loads": (LoadLimit.work(NAMES, {"small": 1}, 10, put(COST, -2)),)}, "use of work_s .* is -2"),
        ({"budgets": (Budget("price_usd", COST, -5),)}, "budget price_usd is -5"),
        ({"budgets": (Budget("price_usd", put(COST, np.nan), 5),)}, "budget price_usd .* is nan"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(changes: dict, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        problem(**changes)


def test_nothing_to_choose_is_refused() -> None:
    with pytest.raises(BadRequest, match="0 requests and 2 endpoints"):
        Problem(NAMES, COST[:0], QUALITY[:0])


def test_limits_on_what_is_not_there_are_refused() -> None:
    with pytest.raises(BadRequest, match="'huge', which is no endpoint"):
        LoadLimit.share(NAMES, {"huge": 3})
    with pytest.raises(BadRequest, match="makespan_s is -1"):
        LoadLimit.work(NAMES, {"small": 1}, -1, COST)


def test_what_a_forbidden_pair_holds_does_not_matter() -> None:
    allowed = np.ones((4, 2), dtype=bool)
    allowed[2, 1] = False
    clean = lagrangian(problem(allowed=allowed, floors=(QualityFloor.overall(0.5),)))
    broken = lagrangian(
        problem(
            allowed=allowed,
            floors=(QualityFloor.overall(0.5),),
            cost=put(COST, np.nan),
            quality=put(QUALITY, -np.inf),
        )
    )
    assert clean.choice.tolist() == broken.choice.tolist()
    assert clean.objective == broken.objective


def test_weighted_cost_is_the_weighted_sum() -> None:
    made = weighted_cost([(1.0, COST), (0.5, QUALITY)])
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, COST + 0.5 * QUALITY, rtol=1e-6)
    with pytest.raises(BadRequest, match="weight of the objective is -1"):
        weighted_cost([(-1.0, COST)])
    with pytest.raises(BadRequest, match="at least one term"):
        weighted_cost([])


def test_skipping_is_a_choice_that_uses_nothing() -> None:
    tight = problem(
        loads=(
            LoadLimit.share(NAMES, {"small": 1, "large": 1}),
            LoadLimit.work(NAMES, {"large": 1}, 9, COST),
        ),
        budgets=(Budget("price_usd", COST, 8.0),),
    )
    assert lagrangian(tight).shortfall is not None
    plan = lagrangian(tight.with_choice("skip", np.full(4, 20.0)))
    assert plan.feasible
    assert sorted(plan.choice.tolist()) == [0, 1, 2, 2]


def test_columns_of_one_endpoint_share_its_pool() -> None:
    """Two output budgets of `small` and one of `large`: at most one request on `small`, whichever budget."""
    cost = np.hstack([COST[:, :1], COST[:, :1] + 0.5, COST[:, 1:]])
    quality = np.hstack([QUALITY[:, :1], QUALITY[:, :1], QUALITY[:, 1:]])
    load = LoadLimit(LimitKind.SHARE, NAMES, np.array([1.0, np.inf]), np.array([0, 0, 1]))
    plan = lagrangian(Problem(("small 64", "small 256", "large"), cost, quality, loads=(load,)))
    assert plan.feasible
    assert (plan.choice < 2).sum() == 1
    assert [limit.name for limit in plan.limits] == ["small"]


def test_floors_by_tenant_are_kept_and_others_have_none() -> None:
    floor = QualityFloor.each("tenant", ["a", "b", "a", "z"], {"a": 0.8, "b": 0.1})
    plan = lagrangian(problem(floors=(floor,)))
    assert plan.choice.tolist() == [1, 0, 1, 0]
    assert [limit.name for limit in plan.limits] == ["tenant a", "tenant b"]
    assert [limit.rows for limit in plan.limits] == [2, 1]


@pytest.mark.parametrize(
    ("changes", "limit", "reachable"),
    [
        ({"floors": (QualityFloor.overall(0.9),)}, "quality floor all", 0.75),
        ({"floors": (QualityFloor.overall(1.0),)}, "quality floor all", 0.75),
        (
            {"floors": (QualityFloor.overall(0.7),), "loads": (LoadLimit.share(NAMES, {"large": 2}),)},
            "quality floor all",
            (0.9 + 0.6 + 0.7 + 0.5) / 4,
        ),
        ({"loads": (LoadLimit.share(NAMES, {"small": 0, "large": 3}),)}, "max_share_requests", None),
        ({"budgets": (Budget("energy_j", COST, 0.0),)}, "budget energy_j", 6.0),
        ({"budgets": (Budget("energy_j", COST, 5.0),)}, "budget energy_j", 6.0),
    ],
)
def test_limits_that_exclude_one_another_name_the_tightest(
    changes: dict, limit: str, reachable: float | None
) -> None:
    plan = lagrangian(problem(**changes))
    assert plan.shortfall is not None
    assert plan.shortfall.limit.startswith(limit)
    if reachable is not None:
        assert plan.shortfall.reachable == pytest.approx(reachable, abs=1e-4)
    assert not plan.feasible
    assert plan.broken
    assert plan.gap is None
    with pytest.raises(Infeasible, match="no plan keeps all limits: "):
        plan.required()


def test_a_floor_of_one_can_be_kept_where_quality_is_one() -> None:
    plan = lagrangian(problem(quality=np.array([[0.5, 1.0]] * 4), floors=(QualityFloor.overall(1.0),)))
    assert plan.required() is plan
    assert plan.choice.tolist() == [1, 1, 1, 1]


def test_a_budget_of_nothing_leaves_what_is_free() -> None:
    use = np.array([[0.0, 1.0]] * 4)
    plan = lagrangian(problem(budgets=(Budget("price_usd", use, 0.0),)))
    assert plan.feasible
    assert plan.choice.tolist() == [0, 0, 0, 0]


def test_limits_say_use_limit_and_price() -> None:
    floor = LimitUse(LimitKind.FLOOR, "all", 0.81, 0.8, dual=8e-4, rows=100)
    assert floor.words == (
        "quality floor all: 0.81 of 0.8; one more point of quality costs 0.8 cents a thousand requests"
    )
    share = LimitUse(LimitKind.SHARE, "large", 40, 40, dual=0.02)
    assert share.words == "max_share_requests large: 40 of 40; one more request saves 2 cents"
    assert LimitUse(LimitKind.BUDGET, "energy_j", 3, 5).words == "budget energy_j: 3 of 5"
    assert [floor.holds, share.holds, replace(share, used=40.1).holds] == [True, True, False]
    assert not replace(floor, used=0.79).holds
    told = replace(floor, objective=0.2)
    assert (told.price, told.binding, told.words) == (8e-4, True, floor.words)
    noise = replace(told, dual=1e-8)
    assert (noise.price, noise.binding) == (0.0, False)
    assert noise.words == "quality floor all: 0.81 of 0.8"
    assert replace(noise, used=0.8).binding, "used up, whatever its price"
    assert money(12.5, "$") == "$12.50"
    assert money(0.5, "J") == "0.5 J"


def test_too_many_pairs_for_highs_are_refused_before_it_starts() -> None:
    rows = LARGEST_PAIRS // 2 + 1
    large = Problem(NAMES, np.ones((rows, 2), np.float32), np.ones((rows, 2), np.float32))
    with pytest.raises(BadRequest, match="Use `lagrangian`"):
        relax(large, Layout.of(large))


def test_without_highspy_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "highspy", None)
    with pytest.raises(MissingError, match=r"pointsman\[plan\]"):
        lp(problem())
