"""One set of weights of the trained model: fitted, and folded onto what is in a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pointsman.errors import DataError
from pointsman.metrics.splits import grouped_folds
from pointsman.predict.length import QUANTILES
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.length_levels import endpoint_quantiles, row_quantiles
from pointsman.predict.quality.odds import Z_90, logit
from pointsman.predict.quality.prior import PriorQuality
from pointsman.predict.quality.shared_fit import SharedWeights, Singles, fit_shared, posterior_deviation
from pointsman.predict.quality.text_design import FoldedWeights, TextDesign
from pointsman.types import Floats

_SIDES: Final = np.array([0.0, -Z_90, Z_90])
_TASK_SCALE: Final = 0.7
_POOLED_RESIDUALS: Final = 20.0
"""Residuals of all endpoints that count beside an endpoint's own."""
_LENGTH_FOLDS: Final = 5
_FEWEST_GROUPS: Final = 20
"""Different prompts below which lengths are not held out to see how far they depart."""


@dataclass(frozen=True, slots=True)
class TrainedSettings:
    """How strength is shared; see `fit_shared`.

    The defaults were chosen on one held-out fold of outcomes/mmlu (fold 0 of seed 1, which
    bench/shared_strength.py measures too); on its other folds they are no better than their neighbours,
    and no worse beyond .002 AUROC (`docs/log.md`).

    Attributes:
        share: how much endpoints have in common, in [0, 1).
        precision: of the prior on weights, above 0, in labels.
    """

    share: float = 0.8
    precision: float = 4.0

    def __post_init__(self) -> None:
        """Raises DataError for values outside their range."""
        if not 0 <= self.share < 1 or not self.precision > 0:
            raise DataError(
                f"share={self.share}, precision={self.precision} can't be used",
                remedy="share is in [0, 1), precision above 0",
            )


@dataclass(frozen=True, slots=True)
class Head:
    """Weights for queries whose task is told, or for those where it is not.

    Attributes:
        text: outputs are E log-odds and then E logarithms of 1 + tokens, or the first E alone.
        tasks: shape (T + 1, outputs): what a task adds, the last row for an unknown one.
        sides: shape (3, 1, E): to be added to the log-odds, for their value, low and high end.
        length_levels: shape (E, QUANTILES): to be added to the logarithms; NaN where unknown.
    """

    text: FoldedWeights
    tasks: Singles
    sides: Floats
    length_levels: Floats


def fit_head(
    outcomes: OutcomeMatrix,
    design: TextDesign,
    texts: Singles,
    tasks: Sequence[str],
    settings: TrainedSettings,
    seed: int,
) -> Head:
    """Fit quality, and lengths where there are any.

    Args:
        outcomes: N queries.
        design: which made their rows.
        texts: those rows, shape (N, F).
        tasks: those that get a weight; none: tasks are not looked at.
        settings: how strength is shared.
        seed: of the split that shows how far lengths depart.
    """
    row_of = {task: row for row, task in enumerate(tasks)}
    at = np.array([row_of.get(task, len(tasks)) for task in outcomes.tasks])
    one_hot = (at[:, None] == np.arange(len(tasks))).astype(np.float32) * np.float32(_TASK_SCALE)
    rows = np.concatenate([texts, one_hot], axis=1)
    mean = PriorQuality.fit(outcomes).overall
    start = logit(mean)
    share, precision = settings.share, settings.precision
    fitted = fit_shared(rows, outcomes.quality, start, share=share, precision=precision, logistic=True)
    labels = np.isfinite(outcomes.quality).sum(axis=0)
    deviation = posterior_deviation(rows, labels, mean * (1 - mean), share=share, precision=precision)
    weights, offset = fitted.weights, (start + fitted.offsets).astype(np.float32)
    levels = np.full((len(outcomes.endpoints), QUANTILES), np.nan)
    if np.isfinite(outcomes.output_tokens).any():
        lengths, levels = _fit_lengths(outcomes, rows, settings, seed)
        weights = np.concatenate([weights, lengths.weights], axis=1)
        offset = np.concatenate([offset, lengths.offsets])
    text, task = weights[: texts.shape[1]], weights[texts.shape[1] :] * np.float32(_TASK_SCALE)
    unknown = np.zeros((1, weights.shape[1]), np.float32)
    folded, offset = design.fold(text, offset)
    e = len(outcomes.endpoints)
    sides = offset[:e] + np.multiply.outer(_SIDES, deviation)[:, None]
    if len(offset) > e:
        levels += offset[e:, None]
    return Head(folded, np.concatenate([task, unknown]), sides, levels)


def _fit_lengths(
    outcomes: OutcomeMatrix, rows: Singles, settings: TrainedSettings, seed: int
) -> tuple[SharedWeights, Floats]:
    """Weights for log(1 + tokens), and the levels to add: quantiles of what held-out answers departed."""
    logs = np.log1p(outcomes.output_tokens)
    whole = _length_model(rows, logs, settings)
    departed: Floats = logs - whole.predict(rows)
    groups = outcomes.groups
    if len(np.unique(groups)) >= _FEWEST_GROUPS:
        held = grouped_folds(groups, _LENGTH_FOLDS, seed) == 0
        if all(np.isfinite(logs[part]).any() for part in (held, ~held)):
            others = _length_model(rows[~held], logs[~held], settings)
            departed = logs[held] - others.predict(rows[held])
    pooled = endpoint_quantiles(departed.reshape(-1, 1).astype(np.float64))[0]
    levels = np.full((logs.shape[1], QUANTILES), np.nan)
    for column in np.flatnonzero(np.isfinite(logs).any(axis=0)):
        own = departed[np.isfinite(departed[:, column]), column]
        levels[column] = row_quantiles(own[None], np.ones((1, len(own))), pooled, _POOLED_RESIDUALS)[0]
    return whole, levels


def _length_model(rows: Singles, logs: Floats, settings: TrainedSettings) -> SharedWeights:
    """Least squares of the logs, in units of their spread within an endpoint."""
    known = np.isfinite(logs)
    count = known.sum(axis=0)
    mean = np.where(known, logs, 0).sum(axis=0) / np.maximum(count, 1)
    spread = max(float(np.sqrt(np.nanmean((logs - mean) ** 2))), 1e-3)
    fitted = fit_shared(
        rows,
        (logs - mean) / spread,
        np.zeros(len(mean)),
        share=settings.share,
        precision=settings.precision,
        logistic=False,
    )
    return SharedWeights(
        fitted.weights * np.float32(spread), (mean + spread * fitted.offsets).astype(np.float32)
    )
