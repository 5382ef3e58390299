"""How good predicted probabilities are: order, squared error, log loss, calibration.

Labels and predictions have shape (N,), N at least 1; predictions lie in [0, 1]. `brier` and
`log_loss` take labels in [0, 1] (a share of right answers), the others 0 or 1 where they say so.
Intervals of a measure: `metrics/intervals.py`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from pointsman.metrics.columns import check_columns, check_right_or_wrong, check_shares
from pointsman.metrics.proportion import wilson_interval
from pointsman.metrics.splits import Ints
from pointsman.types import Floats

BINS: Final = 10
FLOOR_DRAWS: Final = 1000
_EPSILON: Final = 1e-12


def auroc(labels: Floats, scores: Floats) -> float:
    """The probability that a right answer has a higher score than a wrong one; ties count half.

    NaN where all labels are equal: there is no such pair. Scores may be any finite numbers.
    Raises: DataError for labels other than 0 and 1.
    """
    check_columns(labels, scores)
    check_right_or_wrong(labels)
    right = float(labels.sum())
    wrong = len(labels) - right
    if right == 0 or wrong == 0:
        return float("nan")
    _, level, count = np.unique(scores, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - 0.5 * (count - 1)
    won = float(rank[level.ravel()] @ labels) - right * (right + 1) / 2
    return won / (right * wrong)


def brier(labels: Floats, predicted: Floats) -> float:
    """Mean squared difference; a constant at the labels' mean reaches their variance."""
    _check(labels, predicted)
    return float(((predicted - labels) ** 2).mean())


def log_loss(labels: Floats, predicted: Floats) -> float:
    """Mean negative log-likelihood in nats; predictions are kept 1e-12 away from 0 and 1."""
    _check(labels, predicted)
    sure = np.clip(predicted, _EPSILON, 1 - _EPSILON)
    return float(-(labels * np.log(sure) + (1 - labels) * np.log1p(-sure)).mean())


class ReliabilityBins(NamedTuple):
    """Equal-mass bins of the predictions, arrays of shape (B,); `low` and `high` are Wilson's 95%."""

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    rows: Floats


def reliability_bins(labels: Floats, predicted: Floats, bins: int = BINS) -> ReliabilityBins:
    """Mean prediction and share of right answers in each bin, from low to high predictions.

    Equal predictions share a bin, so many ties give fewer or unequal bins, and the order of the rows
    never matters.
    """
    _check(labels, predicted)
    of_row, _ = _bins(predicted, bins)
    count = np.bincount(of_row).astype(float)
    sums = np.bincount(of_row, labels)
    ends = np.array([wilson_interval(*pair) for pair in zip(sums.tolist(), count.tolist(), strict=True)])
    return ReliabilityBins(
        np.bincount(of_row, predicted) / count, sums / count, ends[:, 0], ends[:, 1], count
    )


def calibration_error(labels: Floats, predicted: Floats, bins: int = BINS) -> float:
    """Expected calibration error: mean |observed - predicted| over equal-mass bins, weighted by rows."""
    _check(labels, predicted)
    of_row, _ = _bins(predicted, bins)
    return float(np.abs(np.bincount(of_row, labels - predicted)).sum()) / len(labels)


class CalibrationFloor(NamedTuple):
    """The calibration error that perfectly calibrated predictions would show."""

    mean: float
    p95: float


def calibration_error_floor(
    predicted: Floats, rng: np.random.Generator, bins: int = BINS, draws: int = FLOOR_DRAWS
) -> CalibrationFloor:
    """What `calibration_error` would be if each prediction were the true probability of its 0/1 label.

    Labels are drawn from the predictions `draws` times; the error is above 0 by chance alone, about
    as 1/sqrt(N). Cost: O(draws * N).
    """
    _check(predicted, predicted)
    of_row, starts = _bins(predicted, bins)
    ordered = predicted[np.argsort(of_row, kind="stable")]
    errors = np.empty(draws)
    for draw in range(draws):
        gaps = (rng.random(len(ordered)) < ordered) - ordered
        errors[draw] = np.abs(np.add.reduceat(gaps, starts)).sum() / len(ordered)
    return CalibrationFloor(float(errors.mean()), float(np.quantile(errors, 0.95)))


def _bins(predicted: Floats, bins: int) -> tuple[Ints, Ints]:
    """The bin of each row, without empty ones, and where each bin starts once rows are sorted by bin."""
    _, level, count = np.unique(predicted, return_inverse=True, return_counts=True)
    middle = (np.cumsum(count) - 0.5 * count) / len(predicted)
    of_level = np.minimum((bins * middle).astype(np.int64), bins - 1)
    of_row = np.unique(of_level, return_inverse=True)[1].ravel()[level.ravel()]
    size = np.bincount(of_row)
    return of_row, np.cumsum(size) - size


def _check(labels: Floats, predicted: Floats) -> None:
    check_columns(labels, predicted)
    check_shares("label", labels)
    check_shares("prediction", predicted)
