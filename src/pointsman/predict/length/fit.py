"""From outcomes to lengths: a score of texts, heads for endpoints, levels from prompts held out.

folds by prompt --> a score for each, on the others' rows --> held-out scores
held-out scores --> heads and spread, again on the others' rows --> residuals --> conformal levels
all rows --> the score that is kept
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.errors import BadRequest, DataError
from pointsman.metrics.splits import grouped_folds
from pointsman.predict.length.design import LengthDesign, ScoreWeights, TextRows
from pointsman.predict.length.heads import LengthHeads, Scale, curves, features_of, fit_location
from pointsman.predict.length.learned import LearnedLengths, design_parts
from pointsman.predict.length.score_fit import SCORES, fit_score
from pointsman.predict.length.spread import Spread, conformal_levels, fit_spread
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.fit import MIN_GROUPS, fingerprint
from pointsman.predict.quality.kinds import FEATURES
from pointsman.predict.quality.shared_fit import Singles
from pointsman.types import Floats

_SHARED_NOISE: Final = 0.5
"""How much of what a text's answers depart from its score is common to all endpoints: so many answers of
one text teach less than as many of different texts."""
_NORMAL: Final = 1e6
"""Degrees of freedom at which a t is a normal distribution."""

Ints = NDArray[np.int64]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LengthOptions:
    """How lengths are learnt.

    Attributes:
        score: one of `score_fit.SCORES`.
        features: one of `kinds.FEATURES`.
        folds: grouped folds for held-out forecasts, 2 or more; with few, intervals are those of a model that
            learnt from fewer rows, and hold more than they say.
        seed: of the folds and the fit.
    """

    score: str = "regression"
    features: str = "hot"
    folds: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises BadRequest for what is not known."""
        if self.score not in SCORES or self.features not in FEATURES:
            raise BadRequest(
                f"a score by {self.score!r} with features {self.features!r} can't be fitted",
                remedy=f"Scores: {', '.join(SCORES)}; features: {', '.join(FEATURES)}",
            )
        if self.folds < 2:  # noqa: PLR2004
            raise BadRequest(f"{self.folds} folds", remedy="Give 2 or more")


@dataclass(frozen=True, slots=True)
class FittedLengths:
    """Lengths learnt, and what is said of the queries they were learnt from without having learnt them.

    Attributes:
        model: fitted on all rows.
        curves: shape (N, E, QUANTILES), held out; None where there was too little to hold out.
        folds: shape (N,): the fold of each query, or None.
        notes: what the caller should know, such as a fallback.
    """

    model: LearnedLengths
    curves: Floats | None
    folds: Ints | None
    notes: tuple[str, ...] = ()


def fit_lengths(
    matrix: OutcomeMatrix,
    options: LengthOptions | None = None,
    queries: Queries | None = None,
    progress: Say = lambda _: None,
) -> FittedLengths:
    """Learn how long answers are. Cost: `folds` + 1 fits of the score.

    Args:
        matrix: N queries, each with a length on some endpoint; quality is not looked at.
        options: how.
        queries: the matrix's queries with encodings that were made before.
        progress: told what is done next, one line each.

    Raises: DataError for a query without any length; MissingError.
    """
    options = options or LengthOptions()
    tokens = matrix.output_tokens
    if not np.isfinite(tokens).any(axis=1).all():
        raise DataError("a query has no length on any endpoint", remedy="Leave it out")
    hot, encoder = design_parts(options.features)
    texts = queries or Queries(matrix.prompts, matrix.tasks)
    progress(f"encoding {texts.n:,} prompts")
    design = LengthDesign.fit(texts, hot, encoder)
    rows = design.rows(texts)
    scale = Scale.of(tokens)
    standard = scale.standard(tokens)
    groups = matrix.groups
    about = {
        "data": fingerprint(matrix),
        "queries": len(groups),
        "labels": dict(zip(matrix.endpoints, np.isfinite(tokens).sum(axis=0).tolist(), strict=True)),
        "settings": asdict(options),
    }

    def made(score: ScoreWeights, heads: LengthHeads) -> LearnedLengths:
        return LearnedLengths(matrix.endpoints, options.features, design, score, heads, about)

    n_groups = len(np.unique(groups))
    if n_groups < MIN_GROUPS or np.ptp(tokens[np.isfinite(tokens)]) == 0:
        score, heads = ScoreWeights.zero(rows.dense.shape[1]), _without_text(scale, standard, rows)
        few = f"{n_groups} different prompts are too few to learn from (at least {MIN_GROUPS})"
        why = few if n_groups < MIN_GROUPS else "all answers are of one length"
        return FittedLengths(made(score, heads), None, None, (f"{why}: texts are not looked at",))
    folds = grouped_folds(groups, options.folds, options.seed)
    target, weight = targets_of(standard)
    held_out = np.empty(len(groups))
    for fold in range(options.folds):
        progress(f"fitting the score, fold {fold + 1} of {options.folds}")
        rest, own = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        part = fit_score(rows.take(rest), target[rest], weight[rest], options.score, options.seed)
        held_out[own] = part.scores(rows.take(own))[:, 0]
    progress(f"fitting the score on all {len(groups):,} queries")
    score = fit_score(rows, target, weight, options.score, options.seed)
    progress("fitting heads, spread and levels")
    heads, forecast = _calibrated(scale, standard, features_of(held_out, rows.dense), folds, options.seed)
    return FittedLengths(made(score, heads), forecast, folds)


def targets_of(standard: Floats) -> tuple[Floats, Floats]:
    """What a score of texts is fitted to: each text's mean over endpoints, and how much it counts, shape (N,)."""
    known = np.isfinite(standard)
    count = known.sum(axis=1)
    target = np.where(known, standard, 0).sum(axis=1) / count
    return target, count / (1 + (count - 1) * _SHARED_NOISE)


def _calibrated(
    scale: Scale, standard: Floats, features: Singles, folds: Ints, seed: int
) -> tuple[LengthHeads, Floats]:
    """Heads on all rows with levels from held-out residuals, and the held-out curves themselves."""
    ends = (float(np.nanmin(standard)), float(np.nanmax(standard)))
    location, spread = np.empty(standard.shape), np.empty(len(folds))
    parts = [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in np.unique(folds)]
    for rest, own in parts:
        weights, offsets = fit_location(features[rest], standard[rest])
        location[own] = np.clip(features[own] @ weights + offsets, *ends)
    residual = standard - location
    for rest, own in parts:
        spread[own] = _spread_of(features[rest], residual[rest], seed).at(features[own])
    units = residual / spread[:, None]
    forecast = np.empty((*standard.shape, conformal_levels(units).shape[1]))
    for rest, own in parts:
        forecast[own] = curves(scale, location[own], spread[own], conformal_levels(units[rest]))
    weights, offsets = fit_location(features, standard)
    whole = _spread_of(features, residual, seed)
    return LengthHeads(scale, weights, offsets, ends, whole, conformal_levels(units)), forecast


def _spread_of(features: Singles, residual: Floats, seed: int) -> Spread:
    row, column = np.nonzero(np.isfinite(residual))
    return fit_spread(features[row].astype(np.float64), residual[row, column], np.random.default_rng(seed))


def _without_text(scale: Scale, standard: Floats, rows: TextRows) -> LengthHeads:
    """The lengths seen, whatever the text."""
    width, n_endpoints = 1 + rows.dense.shape[1], standard.shape[1]
    return LengthHeads(
        scale,
        np.zeros((width, n_endpoints), np.float32),
        np.zeros(n_endpoints, np.float32),
        (float(np.nanmin(standard)), float(np.nanmax(standard))),
        Spread(np.zeros(1 + width), _NORMAL),
        conformal_levels(standard),
    )
