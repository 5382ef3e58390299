"""Forecasts of rows that a fit has not seen, beside what that fit said of its own rows held out.

For whatever is learnt from held-out forecasts, such as a floor with a confidence, and is to be measured
on other rows: the outer fold is forecast as requests will be, and no label of it touches anything before.
(Held-out forecasts of one fit don't do: those of the other folds come from models that learnt this fold.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pointsman.metrics.splits import grouped_folds
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.fit import FitOptions, fit_quality
from pointsman.types import Floats


@dataclass(frozen=True, slots=True, eq=False)
class NestedForecasts:
    """Of N rows on E endpoints, over K outer folds.

    Attributes:
        outer: shape (N,), the fold in which a row is forecast.
        forecast: shape (N, E), by the fit on the rows of the other outer folds.
        inner: shape (K, N), the inner fold of each row in the fit without outer fold k; -1 in k itself.
        held_out: shape (K, N, E), that fit's held-out forecasts; NaN in k itself.
    """

    outer: NDArray[np.int64]
    forecast: Floats
    inner: NDArray[np.int64]
    held_out: Floats


def nested_forecasts(
    matrix: OutcomeMatrix,
    options: FitOptions,
    queries: Queries | None = None,
    folds: int = 5,
    progress: Callable[[str], None] = lambda _: None,
) -> NestedForecasts:
    """Forecast every row. Cost: `folds` calls of `fit_quality`.

    Args:
        matrix: N rows.
        options: of each fit; its seed also draws the outer folds.
        queries: the matrix's, with encodings that were made before.
        folds: outer ones, grouped by prompt.
        progress: told what is done next.

    Raises: DataError where a fit has too few prompts to hold any out.
    """
    texts = queries or Queries(matrix.prompts, matrix.tasks)
    seen = texts.with_tasks(matrix.tasks if options.tasks else ("",) * texts.n)
    shape = matrix.quality.shape
    outer = grouped_folds(matrix.groups, folds, options.seed)
    made = NestedForecasts(
        outer, np.empty(shape), np.full((folds, shape[0]), -1), np.full((folds, *shape), np.nan)
    )
    for fold in range(folds):
        progress(f"outer fold {fold + 1} of {folds}")
        rest, own = np.flatnonzero(outer != fold), np.flatnonzero(outer == fold)
        part = replace(matrix.take(rest), tasks=tuple(seen.take(rest).tasks))
        fitted = fit_quality(part, options, seen.take(rest))
        if fitted.held_out is not None and fitted.folds is not None:
            made.inner[fold, rest] = fitted.folds
            made.held_out[fold, rest] = fitted.held_out.quality.value
        made.forecast[own] = fitted.model.forecast(seen.take(own)).quality.value
    return made
