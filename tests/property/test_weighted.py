"""What must hold of the choice by weights, whatever the numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pointsman.assign.weighted import WeightedAssign
from pointsman.types import CostTable, Estimate, Floats, Prompt, Request, Weights

E = 5
NAMES = tuple("abcde")
REQUEST = [Request("r", Prompt("x"))]
unit = st.floats(0, 1).map(lambda x: round(x, 3))
positive = st.floats(1e-3, 1e3, allow_nan=False)
masks = arrays(bool, (1, E)).filter(lambda mask: mask.any())
columns = arrays(np.float64, (1, E), elements=positive)
qualities = arrays(np.float64, (1, E), elements=unit)
weights = st.builds(Weights, *[unit] * 5).filter(lambda w: sum(w.as_tuple()) > 0)


def make_table(quality: Floats, energy: Floats, time: Floats, price: Floats, carbon: Floats) -> CostTable:
    quality, energy, time, price, carbon = (
        Estimate.without_interval(np.asarray(x, dtype=float)) for x in (quality, energy, time, price, carbon)
    )
    n = quality.value.shape[1]
    return CostTable(NAMES[:n], np.ones((1, n)), quality, energy, time, energy, price, carbon)


tables = st.builds(make_table, qualities, columns, columns, columns, columns)


@given(tables, masks, weights, st.permutations(range(E)))
def test_permuting_endpoints_permutes_scores(
    table: CostTable, mask: np.ndarray, w: Weights, order: list[int]
) -> None:
    made = WeightedAssign(w).assign(REQUEST, table, mask, ())

    def moved(estimate: Estimate) -> Estimate:
        return Estimate.without_interval(estimate.value[:, order])

    other = make_table(
        *(
            moved(e).value
            for e in (table.quality, table.energy_j, table.time_s, table.price_usd, table.carbon_g)
        )
    )
    permuted = WeightedAssign(w).assign(REQUEST, other, mask[:, order], ())
    assert np.array_equal(permuted.score, made.score[:, order])


@given(tables, masks, weights, st.floats(1e-15, 1e15))
def test_units_do_not_matter(table: CostTable, mask: np.ndarray, w: Weights, factor: float) -> None:
    scaled = replace(table, energy_j=Estimate.without_interval(table.energy_j.value * factor))
    before = WeightedAssign(w).assign(REQUEST, table, mask, ()).score
    after = WeightedAssign(w).assign(REQUEST, scaled, mask, ()).score
    np.testing.assert_allclose(after[mask], before[mask], atol=1e-6)


@given(tables, masks, weights, st.floats(1e-3, 1e3))
def test_only_the_proportions_of_weights_matter(
    table: CostTable, mask: np.ndarray, w: Weights, factor: float
) -> None:
    more = Weights(*(factor * value for value in w.as_tuple()))
    before = WeightedAssign(w).assign(REQUEST, table, mask, ()).score
    after = WeightedAssign(more).assign(REQUEST, table, mask, ()).score
    np.testing.assert_allclose(after[mask], before[mask], atol=1e-12)


@given(tables, masks, st.builds(Weights, *[st.floats(0.05, 1)] * 5))
def test_a_dominated_endpoint_never_wins(table: CostTable, mask: np.ndarray, w: Weights) -> None:
    chosen = int(WeightedAssign(w).assign(REQUEST, table, mask, ()).endpoint_index[0])
    costs = np.concatenate(
        [1 - table.quality.value]
        + [e.value for e in (table.energy_j, table.time_s, table.price_usd, table.carbon_g)]
    )
    # Differences that the relative eps of the normalisation treats as rounding noise do not count.
    clear = 1e-6 * np.abs(costs).max(axis=1)
    for other in np.flatnonzero(mask[0]).tolist():
        gap = costs[:, chosen] - costs[:, other]
        assert not ((gap >= 0).all() and (gap > clear).any())


@given(tables, masks, weights)
def test_ineligible_endpoints_do_not_matter(table: CostTable, mask: np.ndarray, w: Weights) -> None:
    assume(not mask.all())
    other = replace(table, energy_j=Estimate.without_interval(np.where(mask, table.energy_j.value, np.nan)))
    before = WeightedAssign(w).assign(REQUEST, table, mask, ())
    after = WeightedAssign(w).assign(REQUEST, other, mask, ())
    assert np.array_equal(before.score, after.score)
    assert before.reason == after.reason


@given(tables, masks, weights)
def test_scores_lie_between_0_and_1(table: CostTable, mask: np.ndarray, w: Weights) -> None:
    score = WeightedAssign(w).assign(REQUEST, table, mask, ()).score[mask]
    assert ((score >= 0) & (score <= 1 + 1e-12)).all()
