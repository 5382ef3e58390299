"""Bootstrap intervals of a measure, or of the difference of two on the same rows.

A measure is given as a function of row weights (how often each row was drawn), so that a thousand
draws cost one sort, not a thousand:

    paired_interval([auroc_of(y, a)], [auroc_of(y, b)], groups=groups, rng=rng)

Rows of one group are drawn together. Of several seeds, one function each, the mean is taken; seeds
are drawn as well, so that the interval holds their spread too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from pointsman.errors import DataError
from pointsman.metrics.columns import check_columns, check_right_or_wrong
from pointsman.metrics.regression import RESAMPLES
from pointsman.metrics.splits import Ints
from pointsman.types import Floats

Weighted = Callable[[Floats], Floats]
"""Weights of shape (B, N) -> the measure under each, shape (B,)."""

_WEIGHTS_AT_ONCE: Final = 2_000_000


class Interval(NamedTuple):
    """The measure on the rows as they are, and its percentile interval."""

    value: float
    low: float
    high: float


def mean_of(values: Floats) -> Weighted:
    """The mean of per-row values, shape (N,): costs, squared errors, hits."""
    check_columns(values)

    def weighted(weights: Floats) -> Floats:
        mean: Floats = (weights @ values) / weights.sum(axis=1)
        return mean

    return weighted


def ratio_of(over: Floats, under: Floats) -> Weighted:
    """The sum of one column over that of another, shape (N,) each; NaN where that is 0."""
    check_columns(over, under)
    return lambda weights: quotient(weights @ over, weights @ under)


def auroc_of(labels: Floats, scores: Floats, folds: Ints | None = None) -> Weighted:
    """`probability.auroc`; with `folds`, the mean of the folds' own, each weighted by its rows.

    Scores of models trained on different folds are then never compared with each other. A fold in
    which all labels are equal is left out; NaN where all are.
    """
    check_columns(labels, scores)
    check_right_or_wrong(labels)
    if folds is not None:
        parts = [np.flatnonzero(folds == fold) for fold in np.unique(folds)]
        return _mean_over(parts, [auroc_of(labels[part], scores[part]) for part in parts])
    order = np.argsort(scores, kind="stable")
    right = labels[order]
    starts = np.flatnonzero(np.concatenate([[True], np.diff(scores[order]) != 0]))

    def weighted(weights: Floats) -> Floats:
        drawn = weights[:, order]
        rights = np.add.reduceat(drawn * right, starts, axis=1)
        wrongs = np.add.reduceat(drawn * (1 - right), starts, axis=1)
        below = np.cumsum(wrongs, axis=1) - 0.5 * wrongs
        pairs = rights.sum(axis=1) * wrongs.sum(axis=1)
        won = (rights * below).sum(axis=1)
        return quotient(won, pairs)

    return weighted


def paired_interval(
    first: Sequence[Weighted],
    second: Sequence[Weighted] | None = None,
    *,
    groups: Ints,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """The mean over seeds of first - second (or of first alone), with its interval.

    Args:
        first: one function a seed, all of the same N rows.
        second: as many, in the same order of seeds.
        groups: shape (N,): rows drawn together.
        rng: the source of chance.
        level: the share the interval holds.
        resamples: how many draws.

    Raises: DataError for unequal numbers of seeds, or a level outside (0, 1).
    """
    if not first or (second is not None and len(second) != len(first)):
        raise DataError("a paired interval needs as many seeds of the second as of the first, and one")
    if not 0 < level < 1:
        raise DataError(f"a level of {level} can't be used", remedy="Give a number between 0 and 1")

    def values(weights: Floats) -> Floats:
        made = np.array([measure(weights) for measure in first])
        return made if second is None else made - np.array([measure(weights) for measure in second])

    of_row = np.unique(groups, return_inverse=True)[1].ravel()
    n_groups, seeds = int(of_row.max()) + 1, len(first)
    at_once = max(1, _WEIGHTS_AT_ONCE // len(of_row))
    draws = []
    for start in range(0, resamples, at_once):
        size = min(at_once, resamples - start)
        counts = np.array([_counts(n_groups, rng) for _ in range(size)])
        by_seed = values(counts[:, of_row])
        drawn = np.array([_counts(seeds, rng) for _ in range(size)]).T
        draws.append((by_seed * drawn).sum(axis=0) / seeds)
    value = float(values(np.ones((1, len(of_row)))).mean())
    low, high = np.nanquantile(np.concatenate(draws), [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def _counts(n: int, rng: np.random.Generator) -> Floats:
    """How often each of n things was drawn in n draws."""
    return np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)


def _mean_over(parts: Sequence[Ints], measures: Sequence[Weighted]) -> Weighted:
    size = np.array([[len(part)] for part in parts], dtype=np.float64)

    def weighted(weights: Floats) -> Floats:
        values = np.array([measure(weights[:, part]) for part, measure in zip(parts, measures, strict=True)])
        known = size * np.isfinite(values)
        total = known.sum(axis=0)
        summed = np.nansum(size * values, axis=0)
        return quotient(summed, total)

    return weighted


def quotient(over: Floats, under: Floats) -> Floats:
    """NaN where nothing is to be divided by."""
    return np.asarray(np.divide(over, under, out=np.full_like(over, np.nan), where=under > 0))
