"""From one endpoint's measured requests to its `ModelProfile`.

1 tokens    input tokens against bytes of the prompt, least squares
2 length    a curve of quantiles for each task (or one line)
3 cost      a cost model from the requests that ran alone; factors for those that did not
4 spread    residuals of step 3 with whole prompts held out; then scaled until the intervals of
step 2 and 3 together hold 90% of the held-out requests
5 quality   how often each task was answered right, shrunk to the endpoint's mean
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.errors import BadRequest, DataError
from pointsman.metrics.proportion import wilson_interval
from pointsman.predict.base import CostModel
from pointsman.predict.cost import OlsCost, ShapeCost
from pointsman.predict.length import LengthModel, LengthRows, LinearLength, TaskMeanLength, predict_length
from pointsman.predict.load_fit import calibrate, fit_load, fit_spread, interval, levels
from pointsman.predict.model_profile import (
    DEFAULT_ENERGY,
    CostCurve,
    ModelProfile,
    Provenance,
    QualityPrior,
    TokenCount,
)
from pointsman.predict.profile_rows import ProfileRows, folds
from pointsman.predict.refined import RefinedCost
from pointsman.types import Floats

Indices = NDArray[np.int64]

COST_KINDS: Final[dict[str, type[OlsCost | ShapeCost | RefinedCost]]] = {
    "ols": OlsCost,
    "shape": ShapeCost,
    "refined": RefinedCost,
}
LENGTH_KINDS: Final[dict[str, Callable[[LengthRows], LengthModel]]] = {
    "linear": LinearLength.fit,
    "task_mean": TaskMeanLength.fit,
}
FOLDS: Final = 5
_QUALITY_ROWS: Final = 8.0
_Z_90: Final = 1.6449
_FLOOR: Final = 0.1


def fit_profile(
    endpoint: str,
    rows: ProfileRows,
    provenance: Provenance,
    *,
    cost: str = "shape",
    length: str = "task_mean",
    seed: int = 1,
) -> ModelProfile:
    """Fit everything; `seed` decides the folds. Takes about 0.2 s for 2,000 rows.

    Without any measured energy the documented default stands for it, without interval.
    Raises: BadRequest for an unknown kind, DataError for rows that can't be used.
    """
    _check_kinds(cost, length)
    time = fit_cost(cost, length, rows, rows.time_s, grows=True, seed=seed)
    energy = DEFAULT_ENERGY
    metered = np.isfinite(rows.energy_j)
    if metered.any():
        energy_rows = rows.take(metered)
        energy = fit_cost(cost, length, energy_rows, energy_rows.energy_j, grows=False, seed=seed)
    return ModelProfile(
        endpoint,
        fit_tokens(rows),
        fit_length(length, rows),
        time,
        energy,
        fit_quality(rows),
        replace(provenance, rows=len(rows)),
    )


def fit_series(
    name: str,
    rows: ProfileRows,
    provenance: Provenance,
    *,
    cost: str = "shape",
    seed: int = 1,
    computed: bool = False,
) -> ModelProfile:
    """Fit time and energy alone, where lengths were forced and answers not judged.

    Tokens, length and quality keep their documented defaults, and so does energy where none was
    measured. `computed` rows, points of another's curve, count as no measurement and give no interval.
    Raises as `fit_profile`.
    """
    _check_kinds(cost, "linear")
    metered = np.isfinite(rows.energy_j)

    def curve(part: ProfileRows, values: Floats, *, grows: bool) -> CostCurve:
        if computed:
            return fit_curve(cost, part, values, grows=grows)
        return fit_cost(cost, None, part, values, grows=grows, seed=seed)

    return ModelProfile(
        name,
        TokenCount(),
        LinearLength(),
        curve(rows, rows.time_s, grows=True),
        curve(rows.take(metered), rows.energy_j[metered], grows=False) if metered.any() else DEFAULT_ENERGY,
        {"": QualityPrior()},
        replace(provenance, rows=0 if computed else len(rows)),
    )


def _check_kinds(cost: str, length: str) -> None:
    if cost not in COST_KINDS or length not in LENGTH_KINDS:
        raise BadRequest(
            f"unknown model {cost!r} with length {length!r}",
            remedy=f"Cost is one of {', '.join(COST_KINDS)}; length of {', '.join(LENGTH_KINDS)}",
        )


def fit_tokens(rows: ProfileRows) -> TokenCount:
    """Least squares; where prompts don't differ in bytes, the default's bytes a token."""
    spread = rows.prompt_bytes - rows.prompt_bytes.mean()
    variance = float(spread @ spread)
    slope = float(spread @ rows.input_tokens) / variance if variance > 0 else TokenCount().per_byte
    slope = max(slope, 0.0)
    return TokenCount(slope, float(rows.input_tokens.mean() - slope * rows.prompt_bytes.mean()))


def fit_length(kind: str, rows: ProfileRows) -> LengthModel:
    """A length model of one of `LENGTH_KINDS`."""
    return LENGTH_KINDS[kind](LengthRows(rows.input_tokens, rows.output_tokens, rows.cut, rows.task.tolist()))


def fit_curve(kind: str, rows: ProfileRows, cost: Floats, *, grows: bool) -> CostCurve:
    """Cost model and load factors, without spread.

    The model is fitted to rows that ran alone; where none did, to those of least concurrency.
    """
    alone = rows.concurrency == rows.concurrency.min()
    model: CostModel = COST_KINDS[kind].fit(rows.input_tokens[alone], rows.output_tokens[alone], cost[alone])
    load = fit_load(model, rows.input_tokens, rows.output_tokens, cost, rows.concurrency, grows=grows)
    return CostCurve(model, _FLOOR * float(cost.min()), load)


def fit_cost(
    kind: str, length_kind: str | None, rows: ProfileRows, cost: Floats, *, grows: bool, seed: int
) -> CostCurve:
    """Cost model, load factors and the spread of held-out prompts.

    Without a length model the interval is that of known token counts.
    """
    curve = fit_curve(kind, rows, cost, grows=grows)
    known = np.full(len(rows), np.nan)
    fold = folds(rows.prompt, FOLDS, seed)
    parts: list[tuple[CostCurve, ProfileRows, Indices]] = []
    for index in range(int(fold.max()) + 1):
        train, test = fold != index, np.asarray(np.flatnonzero(fold == index), dtype=np.int64)
        try:
            part = fit_curve(kind, rows.take(train), cost[train], grows=grows)
        except DataError:  # too few rows to hold any out: the interval then comes from the fit itself
            part, train = curve, np.ones(len(rows), dtype=bool)
        held = rows.take(test)
        known[test] = np.log(
            cost[test] / part.predict(held.input_tokens, held.output_tokens, held.concurrency)
        )
        parts.append((part, rows.take(train), test))
    spread = fit_spread(known, rows.concurrency, levels(rows.concurrency))
    if length_kind is None:
        return replace(curve, spread=spread)
    arrival, below, above = (np.full(len(rows), np.nan) for _ in range(3))
    for part, trained, test in parts:
        held = rows.take(test)
        lengths = lengths_by_task(fit_length(length_kind, trained), held)
        value, below[test], above[test] = interval(
            replace(part, spread=spread), held.input_tokens, lengths, held.concurrency
        )
        arrival[test] = np.log(cost[test] / value)
    return replace(curve, spread=calibrate(spread, arrival, below, above))


def lengths_by_task(model: LengthModel, rows: ProfileRows) -> tuple[Floats, Floats, Floats]:
    """Mean, low and high of each row's answer as predicted at arrival, under its cap."""
    mean, low, high = (np.empty(len(rows)) for _ in range(3))
    for task in np.unique(rows.task):
        at = rows.task == task
        mean[at], low[at], high[at] = predict_length(
            model, str(task), rows.input_tokens[at], rows.max_tokens[at]
        )
    return mean, low, high


def fit_quality(rows: ProfileRows) -> dict[str, QualityPrior]:
    """Share of right answers for each task, shrunk by `_QUALITY_ROWS` answers of the endpoint's mean."""
    judged = np.isfinite(rows.score)
    if not judged.any():
        return {"": QualityPrior()}
    score, task = rows.score[judged], rows.task[judged]
    overall = (score.sum() + 0.5) / (len(score) + 1.0)
    priors = {"": _prior(float(overall), len(score), len(score))}
    for name in np.unique(task):
        own = score[task == name]
        n = len(own) + _QUALITY_ROWS
        priors[str(name)] = _prior(float((own.sum() + _QUALITY_ROWS * overall) / n), n, len(own))
    return priors


def _prior(mean: float, n: float, judged: int) -> QualityPrior:
    """A share with Wilson's 90% interval for `n` answers."""
    low, high = wilson_interval(mean * n, n, _Z_90)
    return QualityPrior(mean, low, high, judged)
