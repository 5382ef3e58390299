"""The trained model and the neighbours together, weighted by how each did on queries it had not seen.

    log-odds = base_e + c_e + sum over members of w_em (log-odds of m - base_e)        w_em >= 0

`base_e` is the endpoint's mean. Weights are a logistic regression on out-of-fold forecasts: first one for
all endpoints, then one for each, held to it by `_TO_ALL` pseudo-labels; one set for queries whose task is
told and one for the others. Folds are grouped by prompt and rotated until `_ENOUGH` queries were forecast.
Lengths are the mean of the members' quantiles.

Source: stacked generalisation (Wolpert, 1992), with Breiman's non-negative weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.metrics.splits import grouped_folds
from pointsman.predict.features.base import Encoding, TextEncoder
from pointsman.predict.features.hot import HotFeatures
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries, RawForecast, arrays_under
from pointsman.predict.quality.knn import KnnQuality
from pointsman.predict.quality.odds import logit
from pointsman.predict.quality.stack import stack_weights
from pointsman.predict.quality.trained import TrainedQuality
from pointsman.types import Floats

_FOLDS: Final = 5
_ENOUGH: Final = 2000


@dataclass(frozen=True, slots=True)
class BlendQuality:
    """A fitted blend.

    Attributes:
        trained, knn: the members, fitted to all outcomes.
        base: shape (E,): log-odds of each endpoint's mean.
        weights: shape (2, E, 3): c_e, then the members' weights; first for queries without a task.
    """

    name: ClassVar[str] = "blend"
    trained: TrainedQuality
    knn: KnnQuality
    base: Floats
    weights: Floats

    @classmethod
    def fit(
        cls,
        outcomes: OutcomeMatrix,
        hot: HotFeatures,
        encoder: TextEncoder | None = None,
        *,
        queries: Queries | None = None,
        seed: int = 0,
    ) -> Self:
        """Fit members and weights; arguments as of `TrainedQuality.fit`.

        Cost: up to six fits of the members, two for 10,000 queries and more.
        """
        texts = queries or Queries(outcomes.prompts, outcomes.tasks)
        texts.hot(hot)  # once, before parts are taken of it
        if encoder is not None:
            texts.encoded(encoder)
        members = _fit_members(outcomes, texts, hot, encoder, seed)
        base = logit(members[1].prior.overall)
        rows, forecasts = _held_out(outcomes, texts, hot, encoder, seed)
        told = np.array([bool(task) for task in outcomes.tasks])[rows]
        labels = outcomes.quality[rows]
        weights = [
            stack_weights(odds - base, np.where(mask[:, None], labels, np.nan), base)
            for odds, mask in zip(forecasts, (np.ones_like(told), told), strict=True)
        ]
        return cls(*members, base, np.array(weights))

    def grown(self, encoded: Encoding, tasks: Sequence[str], quality: Floats, output_tokens: Floats) -> Self:
        """With later outcomes among the neighbours (see `KnnQuality.grown`); weights and the other member stay."""
        return replace(self, knn=self.knn.grown(encoded, tasks, quality, output_tokens))

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Those of the outcomes."""
        return self.trained.endpoints

    def forecast(self, queries: Queries) -> RawForecast:
        """See the module."""
        made = [self.trained.forecast(queries), self.knn.forecast(queries)]
        known = set(self.trained.tasks)
        weights = self.weights[[int(task in known) for task in queries.tasks]]
        odds = self.base + weights[..., 0]
        half = np.zeros_like(odds)
        for forecast, weight in zip(made, (weights[..., 1], weights[..., 2]), strict=True):
            value, low, high = forecast.log_odds
            odds += weight * (value - self.base)
            half += weight * 0.5 * (high - low)
        lengths = [forecast.output_tokens for forecast in made if forecast.output_tokens is not None]
        return RawForecast(
            np.array((odds, odds - half, odds + half)), np.mean(lengths, axis=0) if lengths else None
        )

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays, and what JSON holds; features and encoder are not in them."""
        arrays: dict[str, NDArray[Any]] = {"base": self.base, "weights": self.weights}
        rest: dict[str, Any] = {}
        for member in (self.trained, self.knn):
            own, rest[member.name] = member.to_arrays()
            arrays |= {f"{member.name}_{name}": array for name, array in own.items()}
        return arrays, rest

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, NDArray[Any]],
        rest: Mapping[str, Any],
        hot: HotFeatures,
        encoder: TextEncoder | None = None,
    ) -> Self:
        """What `to_arrays` gave, with the features it was fitted with."""
        return cls(
            TrainedQuality.from_arrays(arrays_under(arrays, "trained_"), rest["trained"], hot, encoder),
            KnnQuality.from_arrays(arrays_under(arrays, "knn_"), rest["knn"], hot, encoder),
            arrays["base"],
            arrays["weights"],
        )


def _fit_members(
    outcomes: OutcomeMatrix, texts: Queries, hot: HotFeatures, encoder: TextEncoder | None, seed: int
) -> tuple[TrainedQuality, KnnQuality]:
    return (
        TrainedQuality.fit(outcomes, hot, encoder, queries=texts, seed=seed),
        KnnQuality.fit(outcomes, hot, encoder, queries=texts, seed=seed),
    )


def _held_out(
    outcomes: OutcomeMatrix, texts: Queries, hot: HotFeatures, encoder: TextEncoder | None, seed: int
) -> tuple[NDArray[np.int64], tuple[Floats, Floats]]:
    """Rows that were held out, and the members' log-odds for them, shape (2, rows, E).

    They are given twice: by forecasts that were not told the tasks, and by such that were.
    """
    groups = outcomes.groups
    folds = min(_FOLDS, len(np.unique(groups)))
    rows: list[NDArray[np.int64]] = []
    odds: tuple[list[Floats], list[Floats]] = ([], [])
    fold = grouped_folds(groups, folds, seed) if folds > 1 else np.zeros(len(groups), np.int64)
    # Lengths are not stacked, so they are not fitted either.
    quality_only = replace(outcomes, output_tokens=np.full_like(outcomes.quality, np.nan))
    for number in range(folds if folds > 1 else 0):
        if sum(map(len, rows)) >= _ENOUGH:
            break
        inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        members = _fit_members(quality_only.take(inside), texts.take(inside), hot, encoder, seed)
        asked = texts.take(outside)
        rows.append(outside)
        for made, seen in zip(odds, (asked.with_tasks([""] * len(outside)), asked), strict=True):
            made.append(np.array([member.forecast(seen).log_odds[0] for member in members]))
    if not rows:
        none = np.empty((2, 0, len(outcomes.endpoints)))
        return np.empty(0, np.int64), (none, none)
    return np.concatenate(rows), (np.concatenate(odds[0], axis=1), np.concatenate(odds[1], axis=1))
