"""Folds in which equal prompts stay together, so that no model is tested on a text it has learnt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pointsman.errors import DataError

Ints = NDArray[np.int64]


def grouped_folds(
    groups: Ints | Sequence[object], k: int, seed: int, *, strata: Ints | Sequence[object] | None = None
) -> Ints:
    """A fold number from 0 to k - 1 for each row; rows of one group are in one fold. Equal in, equal out.

    Groups are shuffled and the largest placed first, each in the fold that has fewest rows of its
    stratum so far, then fewest rows in all; so that sizes differ little, in all and in each stratum.

    Args:
        groups: shape (N,), such as `OutcomeMatrix.groups` or the texts themselves.
        k: at least 2.
        seed: of the shuffle; another seed gives another partition.
        strata: shape (N,), such as subjects; a group has the stratum of its first row.

    Returns: shape (N,).
    Raises: DataError for fewer than k groups, or columns of unequal length.
    """
    names, first, group, size = np.unique(
        np.asarray(groups), return_index=True, return_inverse=True, return_counts=True
    )
    if k < 2 or len(names) < k:  # noqa: PLR2004
        raise DataError(
            f"{len(names)} different groups can't be split into {k} folds", remedy="Use 2 folds or more rows"
        )
    kind = np.zeros(len(names), dtype=np.int64)
    if strata is not None:
        if len(strata) != len(group):
            raise DataError(f"{len(strata)} strata were given for {len(group)} rows")
        kind = np.unique(np.asarray(strata), return_inverse=True)[1].ravel()[first]
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-size[order], kind="stable")]
    rows = np.zeros((int(kind.max()) + 1, k), dtype=np.int64)
    total = np.zeros(k, dtype=np.int64)
    fold = np.empty(len(names), dtype=np.int64)
    for at in order.tolist():
        own = rows[kind[at]]
        chosen = int(np.lexsort((total, own))[0])
        fold[at] = chosen
        own[chosen] += size[at]
        total[chosen] += size[at]
    made: Ints = fold[group.ravel()]
    return made
