"""How far predicted numbers lie from measured ones; every measure once.

All take arrays of shape (N,) with N at least 1 and give a plain float. Relative measures need measured
values above 0. Intervals of a measure: `bootstrap`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from pointsman.errors import DataError
from pointsman.metrics.columns import check_columns
from pointsman.types import Floats

RESAMPLES: Final = 1000


def r2(measured: Floats, predicted: Floats) -> float:
    """1 - squared error over the variance's; 0 is as good as the mean, NaN where measured is constant."""
    check_columns(measured, predicted)
    total = float(((measured - measured.mean()) ** 2).sum())
    return 1.0 - float(((measured - predicted) ** 2).sum()) / total if total > 0 else float("nan")


def mape(measured: Floats, predicted: Floats) -> float:
    """Mean absolute percentage error, as a share: 0.1 is 10%."""
    return float(absolute_percentage_errors(measured, predicted).mean())


def median_ape(measured: Floats, predicted: Floats) -> float:
    """Median absolute percentage error, as a share."""
    return float(np.median(absolute_percentage_errors(measured, predicted)))


def absolute_percentage_errors(measured: Floats, predicted: Floats) -> Floats:
    """|predicted / measured - 1|, shape (N,). Raises DataError where measured is not above 0."""
    check_columns(measured, predicted)
    if not (measured > 0).all():
        raise DataError(
            f"relative error needs measured values above 0, not {measured.min()}",
            remedy="Leave those rows out",
        )
    return np.abs(predicted / measured - 1.0)


def rank_correlation(measured: Floats, predicted: Floats) -> float:
    """Spearman's: 1 where both order the rows alike, 0 where one is constant; of equals the mean rank."""
    check_columns(measured, predicted)
    first, second = _centred_ranks(measured), _centred_ranks(predicted)
    both = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / both if both > 0 else 0.0


def coverage(measured: Floats, low: Floats, high: Floats) -> float:
    """Share of measured values inside their interval, bounds included; NaN bounds hold nothing."""
    check_columns(measured, low, high, finite=1)
    return float(((measured >= low) & (measured <= high)).mean())


def quantile_loss(measured: Floats, curves: Floats, levels: Floats) -> float:
    """Mean pinball loss of quantiles, in the unit of what is measured: the lower, the better the distribution.

    Args:
        measured: shape (N,).
        curves: shape (N, Q), or (Q,) for one curve for all.
        levels: shape (Q,), in (0, 1).
    """
    check_columns(measured)
    above = measured[:, None] - curves
    return float(np.maximum(levels * above, (levels - 1) * above).mean())


def mean_relative_width(low: Floats, high: Floats, predicted: Floats) -> float:
    """Mean of (high - low) / predicted."""
    check_columns(low, high, predicted)
    return float(((high - low) / predicted).mean())


def bootstrap(
    measure: Callable[..., float],
    *columns: Floats,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Percentile interval of a measure over rows drawn with replacement.

    Args:
        measure: takes the columns, gives a float.
        columns: shape (N,) each; a row is drawn from all at once.
        rng: the source of chance.
        level: the share the interval holds.
        resamples: how many draws.
    """
    check_columns(*columns)
    if not 0 < level < 1:
        raise DataError(f"a level of {level} can't be used", remedy="Give a number between 0 and 1")
    size = len(columns[0])
    values = []
    for _ in range(resamples):
        rows = rng.integers(0, size, size)
        values.append(measure(*(column[rows] for column in columns)))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _centred_ranks(values: Floats) -> Floats:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    means: Floats = (np.cumsum(count) - (count - 1) / 2)[place]
    means -= means.mean()
    return means
