"""Plans against brute force and against the linear relaxation: limits kept, bounds that hold, tiny ones best."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pointsman.assign.lagrangian import lagrangian
from pointsman.assign.prices import Layout, dual_value, measure
from pointsman.assign.problem import Budget, LimitKind, LoadLimit, Problem, QualityFloor
from pointsman.assign.relaxation import relax

# Exact in float32: what rounding makes of a floor that is only just met is for who asks (`batch.limits.ROUNDING`).
levels = st.integers(0, 16).map(lambda n: n / 16)
costs = st.one_of(st.integers(0, 3).map(float), st.integers(0, 1000).map(lambda n: n / 64))


@st.composite
def problems(draw: st.DrawFn, rows: int = 5, columns: int = 4) -> Problem:
    """Small ones with ties, free endpoints, forbidden pairs, and limits from loose to impossible."""
    n, e = draw(st.integers(1, rows)), draw(st.integers(1, columns))
    names = tuple(f"e{j}" for j in range(e))
    kind = draw(st.sampled_from([np.float32, np.float64]))

    def table(elements: st.SearchStrategy) -> np.ndarray:
        return draw(arrays(np.float64, (n, e), elements=elements)).astype(kind)

    allowed = None
    if draw(st.booleans()):
        allowed = draw(arrays(np.bool_, (n, e)))
        allowed[np.arange(n), draw(arrays(np.int64, n, elements=st.integers(0, e - 1)))] = True
    floors = []
    if draw(st.booleans()):
        floors.append(QualityFloor.overall(draw(levels)))
    if draw(st.booleans()):
        group = draw(arrays(np.int32, n, elements=st.integers(-1, 1)))
        floors.append(QualityFloor("tenant", ("a", "b"), draw(arrays(np.float64, 2, elements=levels)), group))
    loads = []
    if draw(st.booleans()):
        shared = draw(st.booleans())  # two columns, one pool
        pool = np.minimum(np.arange(e), e - 2) if shared and e > 1 else np.arange(e)
        pools = tuple(f"p{k}" for k in range(int(pool.max()) + 1))
        capacity = st.one_of(st.integers(0, n).map(float), st.just(np.inf))
        loads.append(
            LoadLimit(LimitKind.SHARE, pools, draw(arrays(np.float64, len(pools), elements=capacity)), pool)
        )
    if draw(st.booleans()):
        slots = {name: draw(st.integers(0, 4)) for name in names}
        loads.append(LoadLimit.work(names, slots, draw(st.integers(0, 20)), table(costs)))
    budgets = []
    if draw(st.booleans()):
        budgets.append(Budget("energy_j", table(costs), draw(costs) * n))
    return Problem(names, table(costs), table(levels), allowed, tuple(floors), tuple(loads), tuple(budgets))


def brute_force(problem: Problem) -> float | None:
    """The least cost of a plan that keeps all limits, by looking at every plan; None where none does."""
    rows, columns = problem.shape
    layout, best = Layout.of(problem), None
    for choice in itertools.product(range(columns), repeat=rows):
        if problem.allowed is not None and not problem.allowed[np.arange(rows), choice].all():
            continue
        used = measure(problem, layout, np.array(choice))
        if (used <= layout.bound + 1e-9 * np.maximum(1.0, np.abs(layout.bound)))[layout.free].all():
            cost = float(problem.cost[np.arange(rows), choice].sum(dtype=np.float64))
            best = cost if best is None else min(best, cost)
    return best


@settings(max_examples=120, deadline=None)
@given(problems())
def test_a_tiny_plan_is_the_best_there_is(problem: Problem) -> None:
    best, plan = brute_force(problem), lagrangian(problem)
    if best is None:
        assert not plan.feasible
        return
    assert plan.feasible
    assert plan.shortfall is None
    assert plan.objective == pytest.approx(best, rel=1e-4, abs=1e-9)
    assert plan.bound is not None
    assert plan.bound <= best * (1 + 1e-9) + 1e-9


@settings(max_examples=25, deadline=None)
@given(problems(rows=30, columns=6), st.integers(0, 2**32))
def test_any_prices_give_a_bound(problem: Problem, seed: int) -> None:
    """Weak duality: D(y) <= the relaxation's optimum, whatever y."""
    layout = Layout.of(problem)
    relaxed = relax(problem, layout)
    assume(relaxed is not None)
    assert relaxed is not None
    rng = np.random.default_rng(seed)
    tolerance = 1e-7 * max(1.0, abs(relaxed.value))
    for scale in (0.01, 1.0, 100.0):
        prices = np.where(layout.free, scale * rng.exponential(size=len(layout.bound)), 0.0)
        assert dual_value(problem, layout, prices) <= relaxed.value + tolerance
    assert dual_value(problem, layout, relaxed.prices) == pytest.approx(relaxed.value, rel=1e-6, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(problems(rows=30, columns=6))
def test_the_bound_is_the_relaxations(problem: Problem) -> None:
    relaxed, plan = relax(problem, Layout.of(problem)), lagrangian(problem)
    if relaxed is None:
        assert plan.shortfall is not None
        assert not plan.feasible
        return
    assert plan.shortfall is None
    assert plan.bound is not None
    assert plan.bound <= relaxed.value + 1e-6 * max(1.0, relaxed.value)
    assert plan.bound >= relaxed.value - 1e-4 * max(1.0, relaxed.value)
    if plan.feasible:
        assert plan.objective >= relaxed.value - 1e-6 * max(1.0, relaxed.value)


@settings(max_examples=50, deadline=None)
@given(problems(rows=30, columns=6))
def test_the_best_that_can_be_reached_is_the_relaxations(problem: Problem) -> None:
    """Of a floor of 1: what quality the other limits leave, and which of them the plan keeps."""
    others = replace(problem, floors=(), cost=1 - problem.quality)
    relaxed = relax(others, Layout.of(others))
    assume(relaxed is not None)
    assert relaxed is not None
    assume(relaxed.value > 1e-3)
    plan = lagrangian(replace(problem, floors=(QualityFloor.overall(1.0),)))
    assert plan.shortfall is not None
    assert plan.bound is None
    best = 1 - relaxed.value / problem.shape[0]
    if plan.shortfall.limit == "quality floor all":
        assert plan.shortfall.reachable is not None
        assert plan.shortfall.reachable == pytest.approx(best, abs=1e-4)
        assert plan.shortfall.reachable >= best - 1e-6
    assert plan.limits[0].used <= best + 1e-6 or len(plan.broken) > 1
