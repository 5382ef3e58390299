"""The nearest weights against brute force, and that they flip the choice while less does not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pointsman.assign.counterfactual import (
    MARGIN,
    NearestWeights,
    NoWeights,
    dominators,
    nearest_weights,
    smallest_factor,
    telling_columns,
)

unit = st.integers(0, 1000).map(lambda n: n / 1000)


@st.composite
def problems(draw: st.DrawFn, largest_k: int = 5) -> tuple[np.ndarray, int, np.ndarray]:
    n, k = draw(st.integers(2, 12)), draw(st.integers(2, largest_k))
    costs = draw(arrays(np.float64, (n, k), elements=unit))
    weights = draw(arrays(np.float64, k, elements=unit).filter(lambda w: w.sum() > 0))
    return costs, draw(st.integers(0, n - 1)), weights / weights.sum()


def lead(costs: np.ndarray, target: int, weights: np.ndarray) -> float:
    """How far the target's score is below the best other; negative where it is not chosen."""
    score = costs @ weights
    return float(np.delete(score, target).min() - score[target])


@settings(max_examples=400)
@given(problems())
def test_nearest_weights_flip_and_a_smaller_change_does_not(problem: tuple) -> None:
    costs, target, weights = problem
    found = nearest_weights(costs, target, weights)
    if isinstance(found, NoWeights):
        return
    assert found.weights.min() >= 0
    assert found.weights.sum() == pytest.approx(1)
    assert lead(costs, target, found.weights) > 0.99 * MARGIN
    if found.distance > 1e-6:
        closer = weights + 0.999 * (found.weights - weights)
        assert lead(costs, target, closer) < MARGIN


@settings(max_examples=60, deadline=None)
@given(problems(largest_k=3))
def test_no_grid_point_is_nearer(problem: tuple) -> None:
    costs, target, weights = problem
    k, fine = costs.shape[1], 100
    grid = np.array([p for p in itertools.product(range(fine + 1), repeat=k) if sum(p) == fine]) / fine
    score = grid @ costs.T
    wins = np.delete(score, target, axis=1).min(axis=1) - score[:, target] > MARGIN
    found = nearest_weights(costs, target, weights)
    if isinstance(found, NoWeights):
        assert not wins.any()
    elif wins.any():
        nearest = np.linalg.norm(grid[wins] - weights, axis=1).min()
        assert found.distance <= nearest + 1e-9


@settings(max_examples=400)
@given(problems())
@example((np.array([[0.0, 1.0], [1.0, 0.0], [0.6, 0.6]]), 2, np.array([0.5, 0.5])))
def test_where_no_weights_choose_it_the_named_mix_is_as_good_everywhere(problem: tuple) -> None:
    costs, target, weights = problem
    found = nearest_weights(costs, target, weights)
    if isinstance(found, NearestWeights):
        return
    assert sum(found.shares.values()) == pytest.approx(1)
    assert target not in found.shares
    mix = sum(share * costs[row] for row, share in found.shares.items())
    assert (mix <= costs[target] + 2 * MARGIN).all()


def test_weights_that_choose_it_already_stay() -> None:
    costs = np.array([[0.0, 1.0], [1.0, 0.0]])
    found = nearest_weights(costs, 0, np.array([0.8, 0.2]))
    assert isinstance(found, NearestWeights)
    assert found.distance == pytest.approx(0, abs=1e-12)


def test_two_endpoints_meet_halfway() -> None:
    costs = np.array([[0.0, 1.0], [1.0, 0.0]])
    found = nearest_weights(costs, 1, np.array([0.8, 0.2]))
    assert isinstance(found, NearestWeights)
    np.testing.assert_allclose(found.weights, [0.5, 0.5], atol=1e-5)
    assert found.distance == pytest.approx(0.3 * np.sqrt(2), rel=1e-4)


@given(st.floats(0, 0.999))
def test_smallest_factor_finds_the_edge(edge: float) -> None:
    assert smallest_factor(lambda factor: factor <= edge) == pytest.approx(edge, abs=1e-12)
    assert smallest_factor(lambda _: False) is None


@given(arrays(np.float64, st.tuples(st.integers(1, 7), st.integers(1, 4)), elements=st.integers(0, 4)))
def test_dominators_by_definition(costs: np.ndarray) -> None:
    found = dominators(costs)
    for i, j in itertools.product(range(len(costs)), repeat=2):
        pairs = list(zip(costs[j], costs[i], strict=True))
        assert found[i, j] == (all(b <= a for b, a in pairs) and any(b < a for b, a in pairs))


def test_telling_columns() -> None:
    energy = np.array([0.0, 0.5, 1.0])
    costs = np.column_stack([[0.1, 0.2, 0.3], energy, np.zeros(3), energy, [1.0, 0.0, 0.3]])
    np.testing.assert_array_equal(telling_columns(costs, np.array([1.0, 0, 0, 0, 0])), [1, 1, 0, 0, 1])
    np.testing.assert_array_equal(telling_columns(costs, np.array([0.5, 0, 0, 0.5, 0])), [1, 0, 0, 1, 1])
    np.testing.assert_array_equal(telling_columns(costs, np.array([0.5, 0, 0.5, 0, 0])), [1, 1, 1, 0, 1])
