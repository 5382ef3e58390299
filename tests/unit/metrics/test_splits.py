from __future__ import annotations

import numpy as np
import pytest

from pointsman.errors import DataError
from pointsman.metrics.splits import grouped_folds


def test_groups_stay_together_and_folds_are_even() -> None:
    rng = np.random.default_rng(1)
    groups = rng.integers(0, 300, 1000)
    folds = grouped_folds(groups, 5, seed=3)
    assert all(len(set(folds[groups == group].tolist())) == 1 for group in set(groups.tolist()))
    assert np.ptp(np.bincount(folds, minlength=5)) <= 1


def test_equal_seeds_give_equal_folds_and_others_other_ones() -> None:
    groups = np.arange(100)
    first = grouped_folds(groups, 5, seed=1)
    assert (first == grouped_folds(groups, 5, seed=1)).all()
    assert (first != grouped_folds(groups, 5, seed=2)).any()


def test_strata_are_spread_evenly() -> None:
    subjects = np.repeat(["law", "physics", "virology"], [500, 37, 103])
    folds = grouped_folds(np.arange(640), 5, seed=1, strata=subjects)
    for subject in set(subjects):
        assert np.ptp(np.bincount(folds[subjects == subject], minlength=5)) <= 1
    assert np.ptp(np.bincount(folds)) <= 2


def test_one_large_group_takes_a_fold_of_its_own() -> None:
    groups = np.concatenate([np.zeros(50, dtype=int), np.arange(1, 51)])
    folds = grouped_folds(groups, 3, seed=1)
    assert (folds == folds[0]).sum() == 50


def test_texts_are_groups_too() -> None:
    folds = grouped_folds(["a", "b", "a", "c"], 2, seed=1)
    assert folds[0] == folds[2]


@pytest.mark.parametrize(("groups", "k"), [([1, 1, 1], 2), ([1, 2, 3], 1), ([], 2)])
def test_too_few_groups_are_refused(groups: list[int], k: int) -> None:
    with pytest.raises(DataError, match="folds"):
        grouped_folds(groups, k, seed=1)


def test_strata_of_another_length_are_refused() -> None:
    with pytest.raises(DataError, match="3 strata"):
        grouped_folds([1, 2], 2, seed=1, strata=[1, 2, 3])
