"""The threshold of a budget: against every threshold tried by hand, and with intervals that hold the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import BadRequest, DataError
from pointsman.metrics.budget import (
    SKIP,
    Validation,
    choices,
    curve,
    operating_point,
    threshold_for_cost,
    threshold_for_run_share,
)


def data(seed=0, n=400, endpoints=1, *, costs=True):
    """Calibrated predictions: labels are drawn with the probabilities that are predicted."""
    rng = np.random.default_rng(seed)
    probability = rng.random((n, endpoints))
    right = (rng.random((n, endpoints)) < probability).astype(float)
    cost = rng.uniform(0.5, 1.5, (n, endpoints)) * 10.0 ** np.arange(endpoints) if costs else None
    return Validation(probability, right, cost, np.arange(n))


def test_a_share_of_runs_is_kept_and_taken_to_the_full():
    made = data(n=2000)
    found = curve(made, "threshold")
    for share in (0.05, 0.4, 0.8):
        threshold = threshold_for_run_share(found, share)
        runs = (choices(made, "threshold", threshold) != SKIP).mean()
        assert share - 0.01 < runs <= share


def test_the_best_are_run_first():
    made = data()
    threshold = threshold_for_run_share(curve(made, "threshold"), 0.3)
    runs = choices(made, "threshold", threshold) != SKIP
    assert made.probability[runs].min() >= threshold > made.probability[~runs].max()


@given(st.integers(0, 1000), st.sampled_from(["threshold", "floor"]), st.floats(0.3, 20.0))
def test_no_other_threshold_is_better_within_the_budget(seed, policy, limit):
    made = data(seed, n=40, endpoints=2)
    found = curve(made, policy)

    def by_hand(threshold):
        chosen = choices(made, policy, threshold)
        rows = np.flatnonzero(chosen != SKIP)
        cost = made.cost[rows, chosen[rows]].sum() / 40
        return made.right[rows, chosen[rows]].sum() / 40, cost

    told = {t: by_hand(t) for t in found.threshold.tolist()}
    assert found.quality == pytest.approx([quality for quality, _ in told.values()])
    assert found.cost == pytest.approx([cost for _, cost in told.values()])
    within = [quality for quality, cost in told.values() if cost <= limit]
    if not within:
        with pytest.raises(DataError, match="the least is"):
            threshold_for_cost(found, limit)
        return
    chosen = threshold_for_cost(found, limit)
    assert told[chosen][1] <= limit * (1 + 1e-9)
    assert told[chosen][0] == pytest.approx(max(within))


def test_the_floor_goes_by_its_order_whatever_the_budget_is_of():
    probability = np.array([[0.9, 0.8, 0.7], [0.9, 0.8, 0.2], [0.1, 0.2, 0.3]])
    dollars = np.tile([2.0, 1.0, 1.0], (3, 1))
    joules = np.tile([1.0, 9.0, 5.0], (3, 1))
    right = np.ones((3, 3))
    by_cost = Validation(probability, right, joules, np.arange(3))
    assert choices(by_cost, "floor", 0.5).tolist() == [0, 0, 2]
    as_the_gateway = Validation(probability, right, joules, np.arange(3), (dollars, joules))
    assert choices(as_the_gateway, "floor", 0.5).tolist() == [2, 1, 2]
    assert curve(as_the_gateway, "floor").cost[0] == pytest.approx(5.0)
    with pytest.raises(DataError, match="no finite number"):
        Validation(probability, right, joules, np.arange(3), (dollars * np.nan,))


def test_thresholds_are_those_that_a_model_name_can_hold():
    made = data(n=3000)
    threshold = threshold_for_run_share(curve(made, "threshold"), 0.4)
    point = operating_point(made, "threshold", threshold, np.random.default_rng(0))
    assert float(point.model_name.removeprefix("router-threshold-")) == threshold
    assert len(f"{threshold:g}") <= 6


def test_the_interval_holds_what_other_queries_of_the_same_kind_give():
    held = 0
    for seed in range(20):
        made = data(seed)
        threshold = threshold_for_run_share(curve(made, "threshold"), 0.4)
        point = operating_point(made, "threshold", threshold, np.random.default_rng(seed))
        truth = (
            1 - threshold**2
        ) / 2  # p uniform, so the expected right answers are the integral of p from t
        held += point.quality.low <= truth <= point.quality.high
    assert held >= 16


def test_queries_of_one_group_make_the_interval_wider():
    one = data(n=300)
    tenfold = Validation(
        *(np.repeat(a, 10, axis=0) for a in (one.probability, one.right, one.cost, one.groups))
    )
    alone = Validation(tenfold.probability, tenfold.right, tenfold.cost, np.arange(3000))

    def width(made):
        point = operating_point(made, "threshold", 0.5, np.random.default_rng(0))
        return point.quality.high - point.quality.low

    assert width(tenfold) > 2.5 * width(alone)
    assert width(tenfold) == pytest.approx(width(one), rel=0.15)


def test_what_to_expect_is_told_beside_chance():
    made = data(n=4000)
    point = operating_point(made, "threshold", 0.6, np.random.default_rng(0))
    assert point.run_share.value == pytest.approx(0.4, abs=0.03)
    assert point.accuracy.value == pytest.approx(0.8, abs=0.03)
    assert point.quality.value == pytest.approx(0.32, abs=0.03)
    assert point.by_chance == pytest.approx(0.2, abs=0.03)
    assert point.cost.value == pytest.approx(0.4, abs=0.03)
    nothing = operating_point(data(costs=False), "threshold", 1.0, np.random.default_rng(0))
    assert (nothing.accuracy, nothing.cost, nothing.quality.value) == (None, None, 0.0)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(BadRequest, match="above 0, at most 1"):
        threshold_for_run_share(curve(data(), "threshold"), share)


def test_what_can_not_be_calibrated_is_refused():
    made = data(costs=False)
    with pytest.raises(BadRequest, match="needs the costs"):
        choices(made, "floor", 0.5)
    with pytest.raises(BadRequest, match="no budget is known"):
        curve(made, "cheapest")
    with pytest.raises(BadRequest, match="no cost is known"):
        threshold_for_cost(curve(made, "threshold"), 1.0)
    certain = Validation(np.ones((3, 1)), np.ones((3, 1)), None, np.arange(3))
    with pytest.raises(DataError, match=r"no threshold has a run share of at most 0\.5; the least is 1"):
        threshold_for_run_share(curve(certain, "threshold"), 0.5)
    for bad in (
        (np.full((2, 1), 1.5), np.ones((2, 1)), None),
        (np.ones((2, 1)), np.full((2, 1), -1.0), None),
        (np.ones((2, 1)), np.ones((2, 2)), None),
        (np.ones((2, 1)), np.ones((2, 1)), np.full((2, 1), np.nan)),
        (np.ones((0, 1)), np.ones((0, 1)), None),
    ):
        with pytest.raises(DataError):
            Validation(*bad, np.arange(2))
