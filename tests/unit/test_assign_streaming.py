"""A seeded stream: the floor is met by what really comes back, shares and budgets hold, capacity changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pointsman.assign.lagrangian import lagrangian
from pointsman.assign.problem import Budget, LoadLimit, Problem, QualityFloor
from pointsman.assign.streaming import Duals, StreamLimits
from pointsman.errors import BadRequest

COUNT, COLUMNS = 12_000, 6
TOO_HIGH = 0.05
"""By how much every prediction of quality is above the truth."""


def predictions(seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cost, quality and energy, shape (COUNT, COLUMNS): the dearer, the better."""
    rng = np.random.default_rng(seed)
    size = np.geomspace(1, 20, COLUMNS)
    cost = size * rng.lognormal(0, 0.6, (COUNT, 1)) * 1e-4
    ability = np.linspace(-0.5, 2, COLUMNS) - rng.normal(0, 1, (COUNT, 1))
    quality = 1 / (1 + np.exp(-(ability + rng.normal(0, 0.5, (COUNT, COLUMNS)))))
    return cost, quality, 3.0 * size * rng.lognormal(0, 0.3, (COUNT, 1))


def run(
    duals: Duals, seed: int = 1, *, labels: float = 0.3, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Columns, what really came back, costs and energies of a whole stream; labels come 50 requests late."""
    cost, quality, energy = predictions(seed)
    rng = np.random.default_rng(seed + 1)
    columns = np.zeros(COUNT, dtype=int)
    late: list[tuple[tuple[int], float, float]] = []
    realised = np.zeros(COUNT)
    for i in range(COUNT):
        group = 0 if groups is None else int(groups[i])
        spent = (energy[i],) if duals.limits.budget is not None else ()
        row = duals.arrival(cost[i], quality[i], (group,), spent)
        columns[i] = column = duals.choose(row)
        duals.spend(row, column)
        realised[i] = rng.random() < quality[i, column] - TOO_HIGH
        if rng.random() < labels:
            late.append(((group,), row.quality[0, column], realised[i]))
        if len(late) > 50:
            duals.label(*late.pop(0))
    each = np.arange(COUNT)
    return columns, realised, cost[each, columns], energy[each, columns]


def test_the_floor_holds_by_what_came_back_though_predictions_are_too_high() -> None:
    _, realised, cost, _ = run(Duals(StreamLimits(COLUMNS, (np.array([0.65]),))))
    assert realised.mean() >= 0.65 - 0.01
    assert realised[COUNT // 2 :].mean() >= 0.65 - 0.01
    table, quality, _ = predictions()
    best = lagrangian(
        Problem(
            tuple("abcdef"),
            table,
            quality - TOO_HIGH * (quality >= TOO_HIGH),
            floors=(QualityFloor.overall(0.65),),
        )
    )
    assert best.feasible
    assert cost.sum() < 1.15 * best.objective


def test_without_labels_predictions_are_believed() -> None:
    _, realised, _, _ = run(Duals(StreamLimits(COLUMNS, (np.array([0.65]),))), labels=0.0)
    assert realised.mean() == pytest.approx(0.65 - TOO_HIGH, abs=0.015)


def test_every_tenants_floor_holds_in_the_long_run() -> None:
    groups = np.random.default_rng(5).choice(3, COUNT, p=[0.6, 0.3, 0.1])
    minimum = np.array([0.5, 0.7, 0.72])
    _, realised, _, _ = run(Duals(StreamLimits(COLUMNS, (minimum,))), groups=groups, labels=1.0)
    for group, least in enumerate(minimum.tolist()):
        own = realised[groups == group]
        assert len(own) * (least - own.mean()) <= 40  # what is owed is bounded, so the mean gets there


def test_shares_hold_and_follow_a_capacity_that_changes() -> None:
    share = np.array([0.3, 0.3, np.inf, np.inf, np.inf, 0.1])
    limits = StreamLimits(COLUMNS, (np.array([0.6]),), share)
    duals = Duals(limits)
    cost, quality, _ = predictions()
    columns = np.zeros(COUNT, dtype=int)
    for i in range(COUNT):
        if i == COUNT // 2:
            duals.change(replace(limits, share=np.array([0.1, 0.5, np.inf, np.inf, np.inf, 0.1])))
        row = duals.arrival(cost[i], quality[i], (0,))
        columns[i] = duals.choose(row)
        duals.spend(row, columns[i])
    early, late = (np.bincount(half, minlength=COLUMNS) / len(half) for half in np.split(columns, 2))
    assert (early <= share + 0.02).all()
    assert late[0] <= 0.1 + 0.02
    assert late[1] > early[1]
    assert late[5] <= 0.1 + 0.02


def test_a_budget_holds() -> None:
    free = run(Duals(StreamLimits(COLUMNS, (np.array([0.5]),), budget=np.array([1e9]))))[3].mean()
    limit = 0.9 * free
    spent = run(Duals(StreamLimits(COLUMNS, (np.array([0.45]),), budget=np.array([limit]))))[3].mean()
    assert spent <= 1.01 * limit


def test_prices_of_a_plan_choose_as_the_plan_does() -> None:
    cost, quality, energy = predictions(3)
    names = tuple("abcdef")
    problem = Problem(
        names,
        cost,
        quality,
        floors=(QualityFloor.overall(0.7),),
        loads=(LoadLimit.share(names, dict.fromkeys(names, COUNT / 4)),),
        budgets=(Budget("energy_j", energy, 9.0 * COUNT * 3),),
    )
    plan = lagrangian(problem)
    assert plan.feasible
    limits = StreamLimits(COLUMNS, (np.array([0.7]),), np.full(COLUMNS, 0.25), np.array([27.0]))
    duals = Duals(limits, np.array([limit.dual for limit in plan.limits]))
    chosen = [duals.choose(duals.arrival(cost[i], quality[i], (0,), (energy[i],))) for i in range(COUNT)]
    assert (np.array(chosen) == plan.choice).mean() > 0.99


def test_a_request_that_may_run_nowhere_is_refused_and_nothing_moves() -> None:
    duals = Duals(StreamLimits(2, (np.array([0.5]),)))
    row = duals.arrival(np.ones(2), np.ones(2), (0,), allowed=np.zeros(2, dtype=bool))
    before = duals.prices
    with pytest.raises(BadRequest, match="no endpoint"):
        duals.choose(row)
    with pytest.raises(BadRequest, match="no endpoint"):
        duals.choose(duals.arrival(np.array([np.nan, 1.0]), np.ones(2), (0,)))
    assert (duals.prices == before).all()


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"minimum": (np.array([1.2]),)}, "1.2"),
        ({"share": np.array([-0.1, 1.0])}, "-0.1"),
        ({"share": np.ones(3)}, "2 endpoints"),
        ({"budget": np.array([np.nan])}, "nan"),
    ],
)
def test_limits_that_cannot_be_used_are_refused(limits: dict, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        StreamLimits(2, **limits)


def test_a_label_outside_its_range_is_refused() -> None:
    with pytest.raises(BadRequest, match="quality that came back is 3"):
        Duals(StreamLimits(2, (np.array([0.5]),))).label((0,), 0.5, 3.0)


def quality_after(first: tuple[float, float], rows: int = 4_000) -> float:
    """Mean quality of a stream under a floor of .7 after five rows with other predictions."""
    duals, rng = Duals(StreamLimits(2, (np.array([0.7]),))), np.random.default_rng(0)
    cost, reached = np.array([2.0, 1.0]), []
    for i in range(rows):
        quality = np.array(first) if i < 5 else np.array([0.9, 0.6]) + rng.normal(0, 0.05, 2)
        row = duals.arrival(cost, quality, (0,))
        column = duals.choose(row)
        duals.spend(row, column)
        reached.append(row.quality[0, column])
    return float(np.mean(reached))


@pytest.mark.parametrize("first", [(0.5, 0.5), (0.5, 0.5 + 1e-9), (0.0, 0.0)])
def test_rows_whose_columns_are_alike_do_not_make_a_price_without_bound(first: tuple[float, float]) -> None:
    """Such are priors, when a predictor was late: the floor must not cost more than it has to ever after."""
    assert quality_after(first) == pytest.approx(0.7, abs=0.01)


def test_where_a_floor_is_out_of_reach_and_all_are_alike_the_cheapest_is_chosen() -> None:
    duals = Duals(StreamLimits(2, (np.array([0.7]),)))
    for _ in range(500):
        row = duals.arrival(np.array([2.0, 1.0]), np.array([0.5, 0.5]), (0,))
        column = duals.choose(row)
        duals.spend(row, column)
        assert column == 1


def test_a_budget_that_all_columns_use_alike_at_first_has_no_price_that_lasts() -> None:
    duals, rng = Duals(StreamLimits(2, budget=np.array([100.0]))), np.random.default_rng(0)
    used = []
    for i in range(4_000):
        energy = np.array([500.0, 500.0]) if i < 5 else np.array([50.0, 150.0]) * rng.lognormal(0, 0.1, 2)
        row = duals.arrival(np.array([2.0, 1.0]), np.zeros(2), (), (energy,))
        column = duals.choose(row)
        duals.spend(row, column)
        used.append(energy[column])
    assert np.mean(used) == pytest.approx(100.0, rel=0.02)
