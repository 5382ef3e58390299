"""Sets and intervals that hold the truth as often as they say, whatever the model is: split conformal.

Fit on predictions of rows that the model has not learnt from; then a new row drawn like them is covered
with at least `level`, and at most 1 / (n + 1) more unless scores tie. Each endpoint has limits of its
own where it has enough labels, else those of all endpoints together (covered on average over them).
Source: Vovk, Gammerman and Shafer 2005; Sadinle, Lei and Wasserman 2019 (per class); Romano, Patterson
and Candes 2019 (quantiles).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.errors import DataError
from pointsman.types import Bools, Floats

ALONE_FROM: Final = 100
"""Labels (of a class) from which an endpoint has its own limit."""


class PredictionSets(NamedTuple):
    """Which of the two labels are possible, shape (R, E) each."""

    right: Bools
    wrong: Bools

    @property
    def size(self) -> NDArray[np.int64]:
        """0, 1 or 2."""
        return self.right.astype(np.int64) + self.wrong

    def covers(self, labels: Floats) -> Bools:
        """Whether the set holds the label (0 or 1)."""
        return np.where(labels == 1, self.right, self.wrong)


@dataclass(frozen=True, slots=True)
class ConformalSets:
    """Sets over {wrong, right}.

    Attributes:
        level: the share of rows covered; where `per_class`, of the right ones and of the wrong ones.
        least_right: shape (E,): "right" is possible where the probability is at least this.
        most_right: shape (E,): "wrong" is possible where it is at most this.
    """

    level: float
    least_right: Floats
    most_right: Floats

    @classmethod
    def fit(cls, predicted: Floats, labels: Floats, level: float = 0.9, *, per_class: bool = False) -> Self:
        """Limits from probabilities and labels (0, 1, NaN where missing) of shape (N, E).

        Per class a rare class is covered as often as the other, at the price of larger sets.
        """
        right, wrong = labels == 1, labels == 0
        if not (right | wrong | np.isnan(labels)).all():
            raise DataError("prediction sets need labels of 0 and 1", remedy="Use intervals for scores")
        surprise = np.where(right, 1 - predicted, predicted)
        if per_class:
            limits = [_limits(surprise, rows, level) for rows in (right, wrong)]
        else:
            limits = [_limits(surprise, right | wrong, level)] * 2
        return cls(level, 1 - limits[0], limits[1])

    def sets(self, predicted: Floats) -> PredictionSets:
        """For probabilities of shape (R, E)."""
        return PredictionSets(predicted >= self.least_right, predicted <= self.most_right)


@dataclass(frozen=True, slots=True)
class ConformalIntervals:
    """Intervals of a score, a length or a time.

    A predicted range is moved out (or in) at both ends by `margin` times a scale. With low = high = the
    prediction and no scale these are absolute residuals; with a scale, normalised ones; with two
    quantiles, conformal quantile regression.

    Attributes:
        level: the share of rows covered.
        margin: shape (E,); may be below 0 where the range was too wide; infinite without labels.
    """

    level: float
    margin: Floats

    @classmethod
    def fit(
        cls, measured: Floats, low: Floats, high: Floats, level: float = 0.9, scale: Floats | float = 1.0
    ) -> Self:
        """Margins from shape (N, E) each; `measured` is NaN where missing, `scale` above 0."""
        known = ~np.isnan(measured)
        outside = np.maximum(low - measured, measured - high) / scale
        return cls(level, _limits(outside, known, level))

    def interval(self, low: Floats, high: Floats, scale: Floats | float = 1.0) -> tuple[Floats, Floats]:
        """Both ends, shape (R, E); ranges that would cross meet in their middle."""
        move = np.maximum(self.margin * scale, (low - high) / 2)
        return low - move, high + move


def _limits(scores: Floats, rows: Bools, level: float) -> Floats:
    """The score that `level` of new rows won't exceed, for each column, shape (E,)."""
    if not 0 < level < 1:
        raise DataError(f"a level of {level} can't be used", remedy="Give a number between 0 and 1")
    if not np.isfinite(scores[rows]).all():
        raise DataError("a label has no prediction", remedy="Predict all labelled rows out of fold")
    pooled = _limit(scores[rows], level)
    return np.array(
        [
            _limit(column[known], level) if known.sum() >= ALONE_FROM else pooled
            for column, known in zip(scores.T, rows.T, strict=True)
        ]
    )


def _limit(scores: Floats, level: float) -> float:
    """The ceil((n + 1) level)-th smallest of n scores; infinity where n is too small for the level."""
    rank = int(np.ceil((len(scores) + 1) * level))
    return float(np.partition(scores, rank - 1)[rank - 1]) if rank <= len(scores) else float("inf")
