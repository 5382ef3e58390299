"""How good forecasts of queries that a model has not learnt are, endpoint by endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pointsman.metrics.intervals import Interval, Weighted, auroc_of, mean_of, paired_interval
from pointsman.metrics.probability import (
    CalibrationFloor,
    calibration_error,
    calibration_error_floor,
)
from pointsman.metrics.regression import coverage
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import QualityForecast
from pointsman.predict.quality.conformal_limits import LabelRegions, is_graded
from pointsman.predict.quality.fit import FittedQuality
from pointsman.predict.quality.length_levels import range_ends

RESAMPLES: Final = 400
_FLOOR_DRAWS: Final = 200


@dataclass(frozen=True, slots=True)
class EndpointMeasures:
    """Of one endpoint; None where there is nothing to measure.

    Attributes:
        labels, right: how many labels, and their mean, NaN of none.
        auroc: of labels 0 and 1, both of which occur.
        brier: mean squared error of the quality.
        calibration_error, calibration_floor: in ten equal-mass bins, and what perfect ones would show.
        label_coverage: how many labels are in their conformal set or interval.
        set_size, score_width: the mean of those sets over {wrong, right}, or of those intervals.
        lengths: how many answers have a length; `length_mae` in tokens; `length_coverage` of the 90% range
            and its mean width, `length_width` in tokens.
    """

    endpoint: str
    labels: int
    right: float
    auroc: Interval | None
    brier: Interval | None
    calibration_error: float | None
    calibration_floor: CalibrationFloor | None
    label_coverage: float | None
    set_size: float | None
    score_width: float | None
    lengths: int
    length_mae: Interval | None
    length_coverage: float | None
    length_width: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for a manifest, without intervals."""
        return {
            "labels": self.labels,
            "right": self.right if self.labels else None,
            "auroc": self.auroc and self.auroc.value,
            "brier": self.brier and self.brier.value,
            "calibration_error": self.calibration_error,
            "length_mae_tokens": self.length_mae and self.length_mae.value,
            "label_coverage": self.label_coverage,
            "set_size": self.set_size,
            "score_width": self.score_width,
            "length_coverage": self.length_coverage,
            "length_width_tokens": self.length_width,
        }


def measure(matrix: OutcomeMatrix, fitted: FittedQuality, seed: int = 0) -> tuple[EndpointMeasures, ...]:
    """Measures of held-out forecasts, one an endpoint; 95% intervals over prompts. None without folds.

    Order is judged within folds, since their forecasts are those of different models.
    Cost: `RESAMPLES` draws of the rows an endpoint.
    """
    if fitted.held_out is None or fitted.folds is None or fitted.regions is None:
        return ()
    return tuple(
        _measured(
            matrix,
            fitted.held_out,
            fitted.regions,
            fitted.folds,
            column,
            np.random.default_rng((seed, column)),
        )
        for column in range(len(matrix.endpoints))
    )


def _measured(
    matrix: OutcomeMatrix,
    forecast: QualityForecast,
    regions: LabelRegions,
    folds: NDArray[np.int64],
    column: int,
    rng: np.random.Generator,
) -> EndpointMeasures:
    labels, groups = matrix.quality[:, column], matrix.groups
    rows = np.flatnonzero(~np.isnan(labels))
    own, predicted = labels[rows], forecast.quality.value[rows, column]
    binary = bool(len(rows)) and set(np.unique(own)) == {0.0, 1.0}
    size = float(regions.size[rows, column].mean()) if len(rows) else None
    graded = is_graded(matrix.quality)
    return EndpointMeasures(
        matrix.endpoints[column],
        len(rows),
        float(own.mean()) if len(rows) else float("nan"),
        _interval(auroc_of(own, predicted, folds[rows]), groups[rows], rng) if binary else None,
        _interval(mean_of((own - predicted) ** 2), groups[rows], rng) if len(rows) else None,
        calibration_error(own, predicted) if len(rows) else None,
        calibration_error_floor(predicted, rng, draws=_FLOOR_DRAWS) if len(rows) else None,
        float(regions.covered[rows, column].mean()) if len(rows) else None,
        None if graded else size,
        size if graded else None,
        *_lengths(matrix, forecast, column, rng),
    )


def _lengths(
    matrix: OutcomeMatrix, forecast: QualityForecast, column: int, rng: np.random.Generator
) -> tuple[int, Interval | None, float | None, float | None]:
    """Answers with a known and a forecast length: number, mean absolute error, coverage, mean width."""
    measured = matrix.output_tokens[:, column]
    if forecast.output_tokens is None:
        return 0, None, None, None
    curve = forecast.output_tokens[:, column]
    rows = np.flatnonzero(~np.isnan(measured) & ~np.isnan(curve).any(axis=1))
    if not len(rows):
        return 0, None, None, None
    own, curve = measured[rows], curve[rows]
    mae = _interval(mean_of(np.abs(own - curve.mean(axis=1))), matrix.groups[rows], rng)
    low, high = range_ends(curve)
    return len(rows), mae, coverage(own, low, high), float((high - low).mean())


def _interval(weighted: Weighted, groups: NDArray[np.int64], rng: np.random.Generator) -> Interval:
    return paired_interval([weighted], groups=groups, rng=rng, resamples=RESAMPLES)
