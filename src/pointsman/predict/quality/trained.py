"""One linear model over all endpoints: how hard a text is for all, and how much harder for one.

Features are those of `text_design` (surface, static embedding, hashed n-grams; a sentence embedding where
one is given), the fit is that of `shared_fit`. Where outcomes name tasks there are two sets of weights: one
for queries whose task is told, with a weight per task beside those of the text, and one for the others.

Lengths are fitted in the same way: log(1 + tokens) per endpoint, with the quantiles of what held-out
answers departed from it. An endpoint without labels has what is shared, around the prior of an unseen
endpoint; one without lengths has none.

Intervals are sigmoid(z -+ 1.645 sd): sd is the posterior's (Laplace) for an average text, wide where an
endpoint has few labels. Cost of a forecast: a product and a lookup, see `FoldedWeights.scores`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.predict.features.base import TextEncoder
from pointsman.predict.features.hot import HotFeatures
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries, RawForecast, arrays_under
from pointsman.predict.quality.text_design import FoldedWeights, TextDesign
from pointsman.predict.quality.trained_head import Head, TrainedSettings, fit_head
from pointsman.types import Bools

_MOST_LOG_TOKENS: Final = 14.0


@dataclass(frozen=True, slots=True)
class TrainedQuality:
    """A fitted model.

    Attributes:
        heads: the one without tasks, and the one with them where outcomes name any.
        tasks: those of the second head.
    """

    name: ClassVar[str] = "trained"
    endpoints: tuple[str, ...]
    tasks: tuple[str, ...]
    hot: HotFeatures
    encoder: TextEncoder | None
    heads: tuple[Head, ...]

    @classmethod
    def fit(
        cls,
        outcomes: OutcomeMatrix,
        hot: HotFeatures,
        encoder: TextEncoder | None = None,
        *,
        queries: Queries | None = None,
        settings: TrainedSettings | None = None,
        seed: int = 0,
    ) -> Self:
        """Fit to any number of labels.

        Args:
            outcomes: N queries.
            hot: the cheap features.
            encoder: a sentence embedding beside them, or None.
            queries: those of the outcomes, where something of them is encoded.
            settings: how strength is shared.
            seed: of all that is drawn.

        Raises: MissingError without scipy.
        """
        texts = queries or Queries(outcomes.prompts, outcomes.tasks)
        design = TextDesign.fit(texts, hot, encoder, seed)
        known = tuple(sorted(set(outcomes.tasks) - {""}))
        how = settings or TrainedSettings()
        rows = design.matrix(texts)
        heads = tuple(
            fit_head(outcomes, design, rows, tasks, how, seed) for tasks in ((), *([known] if known else []))
        )
        return cls(outcomes.endpoints, known, hot, encoder, heads)

    def forecast(self, queries: Queries) -> RawForecast:
        """See the module; a task never seen counts as not told."""
        if len(self.heads) == 1 or not any(queries.tasks):
            return self._by(self.heads[0], queries, None)
        row_of = {task: row for row, task in enumerate(self.tasks)}
        task = np.array([row_of.get(name, -1) for name in queries.tasks], dtype=np.int64)
        told = task >= 0
        if told.all():
            return self._by(self.heads[1], queries, task)
        without = self._by(self.heads[0], queries, None)
        return _chosen(told, self._by(self.heads[1], queries, task), without) if told.any() else without

    def _by(self, head: Head, queries: Queries, task: NDArray[np.int64] | None) -> RawForecast:
        """The forecast by one head; `task` is a row of its `tasks`, the last where it is not told."""
        encoded = None if self.encoder is None else queries.encoded(self.encoder)
        made = head.text.scores(queries.hot(self.hot), encoded)
        if task is not None:
            made += head.tasks[task]
        e = len(self.endpoints)
        odds = made[:, :e] + head.sides
        if made.shape[1] == e:
            return RawForecast(odds)
        levels = made[:, e:, None] + head.length_levels
        return RawForecast(odds, np.expm1(np.minimum(np.maximum(levels, 0), _MOST_LOG_TOKENS)))

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays, and what JSON holds; features and encoder are not in them."""
        arrays: dict[str, NDArray[Any]] = {}
        for number, head in enumerate(self.heads):
            own: dict[str, NDArray[Any]] = {
                "tasks": head.tasks,
                "sides": head.sides,
                "length_levels": head.length_levels,
            }
            own |= {f"text_{name}": array for name, array in head.text.to_arrays().items()}
            arrays |= {f"head{number}_{name}": array for name, array in own.items()}
        rest = {"endpoints": list(self.endpoints), "tasks": list(self.tasks), "heads": len(self.heads)}
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
        heads = []
        for number in range(int(rest["heads"])):
            own = arrays_under(arrays, f"head{number}_")
            text = FoldedWeights.from_arrays(arrays_under(own, "text_"))
            heads.append(Head(text, own["tasks"], own["sides"], own["length_levels"]))
        return cls(tuple(rest["endpoints"]), tuple(rest["tasks"]), hot, encoder, tuple(heads))


def _chosen(first: Bools, yes: RawForecast, no: RawForecast) -> RawForecast:
    """Rows of `yes` where `first` is True, else of `no`."""
    column = first[:, None]
    odds = np.where(column, yes.log_odds, no.log_odds)
    if yes.output_tokens is None or no.output_tokens is None:
        return RawForecast(odds)
    return RawForecast(odds, np.where(column[:, :, None], yes.output_tokens, no.output_tokens))
