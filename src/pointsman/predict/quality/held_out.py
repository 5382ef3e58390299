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

RESAMPLES: Final = 400
_FLOOR_DRAWS: Final = 200


@dataclass(frozen=True, slots=True)
class EndpointMeasures:
    """Of one endpoint; None where there is nothing to measure.

    Attributes:
        labels, right: how many labels, and their mean.
        auroc: of labels 0 and 1, both of which occur.
        brier: mean squared error of the quality.
        calibration_error, calibration_floor: in ten equal-mass bins, and what perfect ones would show.
        lengths: how many answers have a length; `length_mae` in tokens; `length_coverage` of the 90% range.
    """

    endpoint: str
    labels: int
    right: float
    auroc: Interval | None
    brier: Interval | None
    calibration_error: float | None
    calibration_floor: CalibrationFloor | None
    lengths: int
    length_mae: Interval | None
    length_coverage: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for a manifest, without intervals."""
        return {
            "labels": self.labels,
            "right": self.right,
            "auroc": self.auroc and self.auroc.value,
            "brier": self.brier and self.brier.value,
            "calibration_error": self.calibration_error,
            "length_mae_tokens": self.length_mae and self.length_mae.value,
            "length_coverage": self.length_coverage,
        }


def measure(
    matrix: OutcomeMatrix, forecast: QualityForecast, folds: NDArray[np.int64], seed: int = 0
) -> tuple[EndpointMeasures, ...]:
    """Measures of forecasts for the matrix's queries, one an endpoint; 95% intervals over prompts.

    Order is judged within folds (shape (N,)), since their forecasts are those of different models.
    Cost: `RESAMPLES` draws of the rows an endpoint.
    """
    return tuple(
        _measured(matrix, forecast, folds, column, np.random.default_rng((seed, column)))
        for column in range(len(matrix.endpoints))
    )


def _measured(
    matrix: OutcomeMatrix,
    forecast: QualityForecast,
    folds: NDArray[np.int64],
    column: int,
    rng: np.random.Generator,
) -> EndpointMeasures:
    labels, groups = matrix.quality[:, column], matrix.groups
    rows = np.flatnonzero(~np.isnan(labels))
    own, predicted = labels[rows], forecast.quality.value[rows, column]
    binary = bool(len(rows)) and set(np.unique(own)) == {0.0, 1.0}
    tokens, mae, covered = _lengths(matrix, forecast, column, rng)
    return EndpointMeasures(
        matrix.endpoints[column],
        len(rows),
        float(own.mean()) if len(rows) else float("nan"),
        _interval(auroc_of(own, predicted, folds[rows]), groups[rows], rng) if binary else None,
        _interval(mean_of((own - predicted) ** 2), groups[rows], rng) if len(rows) else None,
        calibration_error(own, predicted) if len(rows) else None,
        calibration_error_floor(predicted, rng, draws=_FLOOR_DRAWS) if len(rows) else None,
        tokens,
        mae,
        covered,
    )


def _lengths(
    matrix: OutcomeMatrix, forecast: QualityForecast, column: int, rng: np.random.Generator
) -> tuple[int, Interval | None, float | None]:
    """Answers with a known and a forecast length: their number, mean absolute error and coverage."""
    measured = matrix.output_tokens[:, column]
    if forecast.output_tokens is None:
        return 0, None, None
    curve = forecast.output_tokens[:, column]
    rows = np.flatnonzero(~np.isnan(measured) & ~np.isnan(curve).any(axis=1))
    if not len(rows):
        return 0, None, None
    own, curve = measured[rows], curve[rows]
    mae = _interval(mean_of(np.abs(own - curve.mean(axis=1))), matrix.groups[rows], rng)
    return len(rows), mae, coverage(own, curve[:, :2].mean(axis=1), curve[:, -2:].mean(axis=1))


def _interval(weighted: Weighted, groups: NDArray[np.int64], rng: np.random.Generator) -> Interval:
    return paired_interval([weighted], groups=groups, rng=rng, resamples=RESAMPLES)
