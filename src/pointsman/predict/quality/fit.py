"""From outcomes to a calibrated model, and what it says of queries that it has not learnt.

folds by prompt --> a model for each, on the others' rows --> held-out forecasts
held-out forecasts --> calibration --> conformal limits
all rows --> the model that is kept
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.errors import BadRequest
from pointsman.metrics.splits import grouped_folds
from pointsman.predict.length import QUANTILES
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import QualityForecast, Queries, RawForecast
from pointsman.predict.quality.calibration import Calibration
from pointsman.predict.quality.conformal_limits import ConformalLimits, LabelRegions, is_graded
from pointsman.predict.quality.kinds import FEATURES, MODELS, as_kept, check_fittable, encoders_of, fit_model
from pointsman.predict.quality.learned_model import LearnedModel
from pointsman.types import Estimate, Floats

MIN_GROUPS: Final = 20
"""Different prompts below which there is nothing to hold out: only the prior is fitted."""


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How a model is fitted.

    Attributes:
        model: one of `kinds.MODELS`.
        features: one of `kinds.FEATURES`.
        folds: grouped folds for held-out forecasts and calibration, 2 or more; 0: the bare model.
        seed: of the folds and the fit.
        tasks: callers will name the task, so the model may use it; else it is hidden from it.
    """

    model: str = "blend"
    features: str = "hot"
    folds: int = 5
    seed: int = 0
    tasks: bool = False

    def __post_init__(self) -> None:
        """Raises BadRequest for what is not known."""
        if self.model not in MODELS or self.features not in (*FEATURES, "none"):
            raise BadRequest(
                f"model {self.model!r} with features {self.features!r} can't be fitted",
                remedy=f"Models: {', '.join(MODELS)}; features: {', '.join(FEATURES)}",
            )
        if self.folds == 1 or self.folds < 0:
            raise BadRequest(f"{self.folds} folds", remedy="Give 2 or more, or 0 for none")


@dataclass(frozen=True, slots=True)
class FittedQuality:
    """A model, and what it says of the queries it was fitted to without having learnt them.

    Attributes:
        model: fitted on all rows, calibrated.
        held_out: shape (N, E): each query forecast by a model that saw no query of its group, calibrated
            by the other folds, ranges of length too; None without folds, as are the next three.
        raw: the same as that model says it.
        regions: of the held-out labels, with limits from the other folds.
        folds: shape (N,): the fold of each query.
        notes: what the caller should know, such as a fallback.
    """

    model: LearnedModel
    held_out: QualityForecast | None
    raw: RawForecast | None
    regions: LabelRegions | None
    folds: NDArray[np.int64] | None
    notes: tuple[str, ...] = ()


def fit_quality(
    matrix: OutcomeMatrix,
    options: FitOptions | None = None,
    queries: Queries | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> FittedQuality:
    """Fit a model to outcomes. Cost: `folds` + 1 fits of the model.

    Args:
        matrix: N queries.
        options: how.
        queries: the matrix's queries with encodings that were made before; tasks are taken from the matrix.
        progress: told what is done next, one line each.

    Raises: DataError, MissingError.
    """
    options, notes = _possible(matrix, options or FitOptions())
    check_fittable(options.model)  # before anything is encoded
    texts = queries or Queries(matrix.prompts, matrix.tasks)
    seen = texts.with_tasks(matrix.tasks if options.tasks else ("",) * texts.n)
    raw = held_out = regions = folds = None
    calibration, limits = Calibration.identity(matrix.endpoints), ConformalLimits()
    if options.folds:
        folds = grouped_folds(matrix.groups, options.folds, options.seed)
        raw = _out_of_fold(matrix, seen, folds, options, progress)
        progress("calibrating")
        calibration = _calibration(matrix, raw.quality.value, options.seed)
        calibrated = _calibrated_across(matrix, raw, folds, options.seed)
        limits = ConformalLimits.fit(
            matrix.quality, matrix.output_tokens, calibrated, graded=is_graded(matrix.quality)
        )
        held_out, regions = _limited_across(matrix, calibrated, folds)
    progress(f"fitting {options.model} on all {len(matrix.query_ids)} queries")
    model = as_kept(fit_model(options.model, matrix, seen, options.features, options.seed), options.features)
    about = {
        "data": fingerprint(matrix),
        "queries": len(matrix.query_ids),
        "labels": dict(zip(matrix.endpoints, (~np.isnan(matrix.quality)).sum(axis=0).tolist(), strict=True)),
        "settings": asdict(options),
    }
    learned = LearnedModel(model, calibration, options.features, limits, about)
    return FittedQuality(learned, held_out, raw, regions, folds, notes)


def fingerprint(matrix: OutcomeMatrix) -> str:
    """A hash of queries, endpoints and labels, whatever the order of the queries."""
    order = sorted(range(len(matrix.query_ids)), key=matrix.query_ids.__getitem__)
    queries = [(matrix.query_ids[row], matrix.prompts[row], matrix.tasks[row]) for row in order]
    digest = hashlib.sha256(json.dumps([queries, matrix.endpoints]).encode())
    for values in (matrix.quality, matrix.output_tokens):
        digest.update(np.ascontiguousarray(values[order], dtype="<f8").tobytes())
    return f"sha256:{digest.hexdigest()}"


def _possible(matrix: OutcomeMatrix, options: FitOptions) -> tuple[FitOptions, tuple[str, ...]]:
    """The options, or those of the prior where nothing more can be learnt, and why."""
    n_groups = len(np.unique(matrix.groups))
    labels = matrix.quality[~np.isnan(matrix.quality)]
    if n_groups < MIN_GROUPS:
        note = f"{n_groups} different prompts are too few to learn from (at least {MIN_GROUPS})"
        return replace(options, model="prior", features="none", folds=0), (
            f"{note}: only the prior was fitted",
        )
    if not len(labels) or labels.min() == labels.max():
        said = f"all {len(labels)} labels are {labels[0]:g}" if len(labels) else "there is no label"
        return replace(options, model="prior", features="none"), (
            f"{said}, so nothing tells them apart: only the prior was fitted",
        )
    return (replace(options, features="none") if options.model == "prior" else options), ()


def _out_of_fold(
    matrix: OutcomeMatrix,
    seen: Queries,
    folds: NDArray[np.int64],
    options: FitOptions,
    progress: Callable[[str], None],
) -> RawForecast:
    """Each query forecast by a model of the other folds, shape (N, E)."""
    for encoder in encoders_of(options.features):
        progress(f"encoding {seen.n} prompts with {encoder.name}")
        seen.encoded(encoder)
    odds = np.empty((3, *matrix.quality.shape))
    tokens = np.full((*matrix.quality.shape, QUANTILES), np.nan)
    for fold in range(options.folds):
        progress(f"fitting {options.model}, fold {fold + 1} of {options.folds}")
        rest, own = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        model = fit_model(options.model, matrix.take(rest), seen.take(rest), options.features, options.seed)
        made = model.forecast(seen.take(own))
        odds[:, own] = made.log_odds
        if made.output_tokens is not None:
            tokens[own] = made.output_tokens
    return RawForecast(odds, None if np.isnan(tokens).all() else tokens)


def _calibrated_across(
    matrix: OutcomeMatrix, raw: RawForecast, folds: NDArray[np.int64], seed: int
) -> QualityForecast:
    """Each fold calibrated by the others, so that no label is calibrated on itself."""
    quality = [np.empty(matrix.quality.shape) for _ in range(3)]
    for fold in np.unique(folds):
        rest, own = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        calibration = _calibration(matrix.take(rest), raw.quality.value[rest], seed)
        for whole, part in zip(quality, _parts(calibration.calibrate(raw.log_odds[:, own])), strict=True):
            whole[own] = part
    return QualityForecast(Estimate(*quality), raw.output_tokens)


def _limited_across(
    matrix: OutcomeMatrix, calibrated: QualityForecast, folds: NDArray[np.int64]
) -> tuple[QualityForecast, LabelRegions]:
    """The range of each fold's lengths moved, and its labels looked for, by limits of the others."""
    labels, lengths = matrix.quality, matrix.output_tokens
    graded = is_graded(labels)
    tokens = None if calibrated.output_tokens is None else np.empty_like(calibrated.output_tokens)
    regions = LabelRegions(np.zeros(labels.shape, dtype=bool), np.zeros(labels.shape))
    for fold in np.unique(folds):
        rest, own = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        limits = ConformalLimits.fit(labels[rest], lengths[rest], calibrated.take(rest), graded=graded)
        asked = calibrated.take(own)
        moved = limits.applied(asked).output_tokens
        if tokens is not None and moved is not None:
            tokens[own] = moved
        for whole, part in zip(regions, limits.regions(labels[own], asked.quality.value), strict=True):
            whole[own] = part
    return QualityForecast(calibrated.quality, tokens), regions


def _calibration(matrix: OutcomeMatrix, predicted: Floats, seed: int) -> Calibration:
    return Calibration.fit(matrix.endpoints, predicted, matrix.quality, matrix.groups, seed)


def _parts(estimate: Estimate) -> tuple[Floats, Floats, Floats]:
    return estimate.value, estimate.low, estimate.high
