from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pointsman.nnls import nnls
from pointsman.types import Floats

SIZES = st.tuples(st.integers(1, 12), st.integers(1, 5))
PROBLEMS = SIZES.flatmap(
    lambda size: st.tuples(
        arrays(np.float64, size, elements=st.integers(-6, 6).map(float)),
        arrays(np.float64, size[0], elements=st.integers(-6, 6).map(float)),
    )
)


def by_enumeration(matrix: Floats, target: Floats) -> float:
    """The least squared error over all sets of free columns: exact, for a few columns."""
    best = float(target @ target)
    count = matrix.shape[1]
    for size in range(1, count + 1):
        for chosen in combinations(range(count), size):
            part = matrix[:, list(chosen)]
            x = np.linalg.lstsq(part, target, rcond=None)[0]
            if (x >= -1e-12).all():
                best = min(best, float(((part @ x - target) ** 2).sum()))
    return best


@given(PROBLEMS)
def test_equals_the_best_of_all_active_sets(problem: tuple[Floats, Floats]) -> None:
    matrix, target = problem
    x = nnls(matrix, target)
    assert (x >= 0).all()
    error = float(((matrix @ x - target) ** 2).sum())
    best = by_enumeration(matrix, target)
    assert abs(error - best) <= 1e-7 * max(1.0, best)


@given(PROBLEMS)
def test_meets_the_conditions_of_karush_kuhn_tucker(problem: tuple[Floats, Floats]) -> None:
    matrix, target = problem
    x = nnls(matrix, target)
    gain = matrix.T @ (target - matrix @ x)
    scale = max(1.0, float(np.abs(matrix).max() * np.abs(target).max()) * len(target))
    assert (gain <= 1e-7 * scale).all()
    assert (np.abs(gain * x) <= 1e-6 * scale * max(1.0, x.max())).all()


@given(PROBLEMS, st.floats(1e-6, 1e6))
def test_units_do_not_matter(problem: tuple[Floats, Floats], factor: float) -> None:
    matrix, target = problem
    np.testing.assert_allclose(
        matrix @ nnls(matrix * factor, target) * factor, matrix @ nnls(matrix, target), atol=1e-6
    )
