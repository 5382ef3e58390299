"""Logistic regression on a few signs, some of which may be missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from pointsman.errors import DataError
from pointsman.predict.quality.logistic_fit import fit_logistic
from pointsman.predict.quality.odds import logit, sigmoid
from pointsman.types import Floats

MIN_ROWS: Final = 20
MIN_OF_EACH: Final = 3
"""With fewer rows, or fewer of either label, signs are not learnt from, only the share of ones."""

_LEAST_SPREAD: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Logistic:
    """P(1 | signs) = sigmoid(intercept + sum of weights * (sign - centre) / scale).

    A sign that is NaN counts as average, and the log-odds are drawn in by what it might have been: it is
    averaged over as if standard normal. All arrays have shape (F,).
    Source of that average: MacKay 1992, sigmoid(odds / sqrt(1 + pi variance / 8)).
    """

    intercept: float
    centre: Floats
    scale: Floats
    weights: Floats

    @classmethod
    def fit(cls, signs: Floats, labels: Floats, ridge: float = 1.0) -> Self:
        """Fit N rows of F signs by maximum penalised likelihood.

        Args:
            signs: shape (N, F), NaN where unknown.
            labels: shape (N,), 0 or 1, or between.
            ridge: half the penalty on a squared weight of a standardised sign; above 0.

        Returns: of few rows (`MIN_ROWS`, `MIN_OF_EACH`) the share of ones, smoothed to (k + 1) / (N + 2).
        Raises: DataError for a label outside [0, 1].
        """
        if not ((labels >= 0) & (labels <= 1)).all():
            raise DataError(f"labels lie in [0, 1], and one is {labels[~((labels >= 0) & (labels <= 1))][0]}")
        known = np.isfinite(signs)
        count = np.maximum(known.sum(axis=0), 1)
        centre = np.where(known, signs, 0.0).sum(axis=0) / count
        away = np.where(known, signs - centre, 0.0)
        spread = np.sqrt((away**2).sum(axis=0) / count)
        scale = np.where(spread > _LEAST_SPREAD, spread, 1.0)
        ones = float(labels.sum())
        start = float(logit(np.array((ones + 1.0) / (len(labels) + 2.0))))
        if len(labels) < MIN_ROWS or min(ones, len(labels) - ones) < MIN_OF_EACH:
            return cls(start, centre, scale, np.zeros(signs.shape[1]))
        design = np.column_stack([np.ones(len(labels)), away / scale])
        none = np.zeros(signs.shape[1])
        # The intercept is free: its prior weighs nothing, and only says where the search begins.
        found = fit_logistic(design, labels, np.array([start, *none]), np.array([0.0, *(none + ridge)]))
        return cls(float(found[0]), centre, scale, found[1:])

    def probability(self, signs: Floats) -> Floats:
        """P(1), shape (N,), for signs of shape (N, F). Changes nothing."""
        away = (signs - self.centre) / self.scale
        odds = self.intercept + np.nan_to_num(away, nan=0.0) @ self.weights
        variance = np.isnan(away) @ self.weights**2
        return sigmoid(odds / np.sqrt(1.0 + np.pi * variance / 8.0))
