from __future__ import annotations

import numpy as np
import pytest

from pointsman.errors import DataError
from pointsman.metrics.intervals import auroc_of, mean_of, paired_interval
from pointsman.metrics.probability import auroc


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_weights_count_as_repeated_rows() -> None:
    chance = rng()
    labels, scores = chance.integers(0, 2, 60).astype(float), chance.integers(0, 12, 60).astype(float)
    weights = chance.integers(0, 4, (5, 60))
    repeated = [auroc(np.repeat(labels, row), np.repeat(scores, row)) for row in weights]
    assert auroc_of(labels, scores)(weights.astype(float)) == pytest.approx(repeated)
    assert mean_of(scores)(weights.astype(float)) == pytest.approx(
        [np.repeat(scores, row).mean() for row in weights]
    )


def test_folds_are_never_compared_with_each_other() -> None:
    labels, scores = np.array([0.0, 1, 0, 1]), np.array([0.1, 0.2, 0.8, 0.9])
    one = np.ones((1, 4))
    assert auroc_of(labels, scores)(one)[0] == 0.75
    assert auroc_of(labels, scores, np.array([0, 0, 1, 1]))(one)[0] == 1
    assert auroc_of(np.array([0.0, 1, 1, 1]), scores, np.array([0, 0, 1, 1]))(one)[0] == 1


def test_the_interval_of_a_mean_holds_the_truth_as_often_as_it_says() -> None:
    chance, hits = rng(7), 0
    for _ in range(200):
        made = paired_interval(
            [mean_of(chance.normal(3, 1, 60))], groups=np.arange(60), rng=chance, resamples=300
        )
        hits += made.low <= 3 <= made.high
    assert 0.88 <= hits / 200 <= 0.99


def test_groups_are_drawn_together() -> None:
    values = np.repeat(rng(2).normal(0, 1, 40), 25)
    apart = paired_interval([mean_of(values)], groups=np.arange(1000), rng=rng())
    together = paired_interval([mean_of(values)], groups=np.repeat(np.arange(40), 25), rng=rng())
    assert together.high - together.low > 3 * (apart.high - apart.low)


def test_a_difference_on_the_same_rows_is_sharper_than_its_parts() -> None:
    chance = rng(3)
    first = chance.normal(0, 1, 500)
    second = first - 0.05 + chance.normal(0, 0.1, 500)
    groups = np.arange(500)
    made = paired_interval([mean_of(first)], [mean_of(second)], groups=groups, rng=chance)
    assert made.value == pytest.approx((first - second).mean())
    assert 0 < made.low < 0.05 < made.high < 0.08


def test_seeds_that_differ_widen_the_interval() -> None:
    values = rng(4).normal(0, 1, 200)
    groups = np.arange(200)
    equal = paired_interval([mean_of(values)] * 4, groups=groups, rng=rng())
    spread = paired_interval(
        [mean_of(values + shift) for shift in (-1, -0.5, 0.5, 1)], groups=groups, rng=rng()
    )
    assert spread.value == pytest.approx(equal.value)
    assert spread.high - spread.low > 2 * (equal.high - equal.low)


def test_equal_seeds_give_equal_intervals() -> None:
    measure = [mean_of(np.arange(50.0))]
    groups = np.arange(50)
    assert paired_interval(measure, groups=groups, rng=rng(1)) == paired_interval(
        measure, groups=groups, rng=rng(1)
    )


def test_unequal_seeds_and_levels_are_refused() -> None:
    measure = mean_of(np.arange(3.0))
    with pytest.raises(DataError, match="as many seeds"):
        paired_interval([measure], [], groups=np.arange(3), rng=rng())
    with pytest.raises(DataError, match="level of 2"):
        paired_interval([measure], groups=np.arange(3), rng=rng(), level=2)
