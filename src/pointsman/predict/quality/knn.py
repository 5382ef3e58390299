"""Quality and length from the past outcomes of the most similar queries.

Similarity is the cosine in `retrieval_space`, and `same_task` more where both queries name one task. Of the
rows that have a label for an endpoint, the k most similar are its neighbours; of equally similar ones the
earlier row. Their labels are averaged:

    similarity  weights exp((s - s_max) / temperature), k = 64, beside `shrink` pseudo-labels at the
                endpoint's prior for the query's task
    mean        `KnnSettings.eccos()`: plain mean of k = 16 by the embedding alone, as in ECCOS (the
                retrieval of OmniRouter)

Lengths are the weighted quantiles of the same kind, beside `shrink` pseudo-labels at the endpoint's own
quantiles. An endpoint without labels has its prior. Cost: one product of (R, width) and (width, N); above
`INDEX_ROWS` rows an index of coarse cells is searched instead (`neighbours.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.errors import DataError
from pointsman.predict.features.base import Encoding, TextEncoder
from pointsman.predict.features.hot import HotFeatures
from pointsman.predict.length import LEVELS
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries, RawForecast, arrays_under
from pointsman.predict.quality.length_levels import endpoint_quantiles, row_quantiles
from pointsman.predict.quality.neighbours import FARTHEST, Neighbours, nearest
from pointsman.predict.quality.odds import beta_interval
from pointsman.predict.quality.prior import PriorQuality
from pointsman.predict.quality.retrieval_space import RetrievalSpace
from pointsman.types import Bools, Estimate, Floats

_ROWS_AT_ONCE: Final = 128
_NO_WEIGHT: Final = 1e-9
"""For a row the index did not compare: it counts only where nothing else does."""
_LEAST_LABELS: Final = 1.0


@dataclass(frozen=True, slots=True)
class KnnSettings:
    """How neighbours are counted.

    Attributes:
        k: neighbours per endpoint; fewer where fewer labels are there.
        temperature: of the weights, in cosine; None for a plain mean.
        shrink: pseudo-labels at the prior; 0 for none.
        surface: weight of what the text looks like beside what it means; 0 for none.
        same_task: added to the cosine where the tasks are known and the same.
    """

    k: int = 64
    temperature: float | None = 0.12
    shrink: float = 8.0
    surface: float = 0.7
    same_task: float = 0.17

    def __post_init__(self) -> None:
        """Raises DataError for values that no mean can be taken with."""
        if self.k < 1 or (self.temperature is not None and not self.temperature > 0) or not self.shrink >= 0:
            raise DataError(
                f"k={self.k}, temperature={self.temperature}, shrink={self.shrink} can't be used",
                remedy="k is at least 1, the temperature above 0, shrink at least 0",
            )

    @classmethod
    def eccos(cls) -> Self:
        """The plain mean of 16 neighbours."""
        return cls(k=16, temperature=None, shrink=0.0, surface=0.0, same_task=0.0)


@dataclass(frozen=True, slots=True)
class KnnQuality:
    """Past outcomes, as kept for retrieval.

    Attributes:
        space: where neighbours are sought.
        rows: the N past queries in it.
        tasks: shape (N,): their tasks as numbers of `prior.tasks`, -1 where not told.
        quality, output_tokens: shape (N, E), NaN where missing.
        own_tokens: shape (E, QUANTILES): quantiles of each endpoint's lengths, NaN without any.
    """

    name: ClassVar[str] = "knn"
    settings: KnnSettings
    space: RetrievalSpace
    prior: PriorQuality
    rows: Neighbours
    tasks: NDArray[np.int64]
    quality: Floats
    output_tokens: Floats
    own_tokens: Floats

    @classmethod
    def fit(
        cls,
        outcomes: OutcomeMatrix,
        hot: HotFeatures,
        encoder: TextEncoder | None = None,
        *,
        queries: Queries | None = None,
        settings: KnnSettings | None = None,
        seed: int = 0,
    ) -> Self:
        """Remember the outcomes.

        Args:
            outcomes: N queries.
            hot: the cheap features.
            encoder: a sentence embedding in place of the static one, or None.
            queries: those of the outcomes, where something of them is encoded.
            settings: how neighbours are counted.
            seed: draws the first centres of an index.
        """
        how = settings or KnnSettings()
        texts = queries or Queries(outcomes.prompts, outcomes.tasks)
        space = RetrievalSpace.fit(texts, hot, encoder, how.surface)
        prior = PriorQuality.fit(outcomes)
        return cls(
            how,
            space,
            prior,
            Neighbours.build(space.rows(texts), seed),
            prior.task_numbers(outcomes.tasks),
            outcomes.quality,
            outcomes.output_tokens,
            endpoint_quantiles(outcomes.output_tokens),
        )

    def grown(self, encoded: Encoding, tasks: Sequence[str], quality: Floats, output_tokens: Floats) -> Self:
        """With M later outcomes: what a fit to all of them gives, in the space of the first.

        Args:
            encoded: the later queries in `space`, shape (M, width).
            tasks: theirs; one that the first had not counts as not told, so that callers can't add tasks
                without end.
            quality: shape (M, E), NaN where missing.
            output_tokens: shape (M, E), NaN where missing.
        """
        known = self.prior.tasks
        later = self.prior.task_numbers(tasks)
        numbers = np.concatenate([self.tasks, np.where(later < 0, -1, later)])
        labels = np.concatenate([self.quality, quality])
        lengths = np.concatenate([self.output_tokens, output_tokens])
        named = [known[number] if number >= 0 else "" for number in numbers.tolist()]
        return type(self)(
            self.settings,
            self.space,
            PriorQuality.of_labels(self.endpoints, named, labels),
            self.rows.followed_by(encoded),
            numbers,
            labels,
            lengths,
            endpoint_quantiles(lengths),
        )

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Those of the outcomes."""
        return self.prior.endpoints

    def forecast(self, queries: Queries) -> RawForecast:
        """Means and quantiles over the neighbours; see the module."""
        quality = self.prior.forecast(queries).quality
        lengths = np.full((queries.n, len(self.endpoints), len(LEVELS)), np.nan)
        encoded = self.space.rows(queries)
        tasks = self.prior.task_numbers(queries.tasks)
        for start in range(0, queries.n, _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            self._fill(encoded[part], tasks[part], quality.take(part), lengths[part])
        return RawForecast.of(quality, lengths if np.isfinite(self.own_tokens).any() else None)

    def _fill(self, encoded: Encoding, tasks: NDArray[np.int64], quality: Estimate, lengths: Floats) -> None:
        """Replace the priors in `quality` and the gaps in `lengths` by what neighbours say."""
        similarity = self.rows.similarity(encoded)
        similarity += np.float32(self.settings.same_task) * (
            (tasks[:, None] == self.tasks) & (tasks >= 0)[:, None]
        )
        for known, endpoints in _columns_alike(np.isfinite(self.quality)):
            index, weight = self._neighbours(similarity, known)
            total = weight.sum(axis=1)
            effective = total**2 / (weight**2).sum(axis=1)
            for endpoint in endpoints:
                right = (weight * self.quality[index, endpoint]).sum(axis=1)
                mean = (right + self.settings.shrink * quality.value[:, endpoint]) / (
                    total + self.settings.shrink
                )
                quality.value[:, endpoint] = mean
                bounds = beta_interval(mean, effective + max(self.settings.shrink, _LEAST_LABELS))
                quality.low[:, endpoint], quality.high[:, endpoint] = bounds
        for known, endpoints in _columns_alike(np.isfinite(self.output_tokens)):
            index, weight = self._neighbours(similarity, known)
            for endpoint in endpoints:
                lengths[:, endpoint] = row_quantiles(
                    self.output_tokens[index, endpoint],
                    weight,
                    self.own_tokens[endpoint],
                    self.settings.shrink,
                )

    def _neighbours(self, similarity: Encoding, known: Bools) -> tuple[NDArray[np.int64], Floats]:
        """Rows among `known` and their weights, shape (R, k)."""
        index, cosine = nearest(similarity, known, self.settings.k)
        nearer = cosine.astype(np.float64) - cosine[:, :1]
        slope = 0.0 if self.settings.temperature is None else 1.0 / self.settings.temperature
        return index, np.where(cosine > FARTHEST + 1, np.exp(nearer * slope), _NO_WEIGHT)

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays, and what JSON holds; the encoder is not in them."""
        prior, rest = self.prior.to_arrays()
        arrays = {f"prior_{name}": array for name, array in prior.items()}
        arrays |= {f"rows_{name}": array for name, array in self.rows.to_arrays().items()}
        arrays |= {f"space_{name}": array for name, array in self.space.to_arrays().items()}
        arrays |= {
            "tasks": self.tasks,
            "quality": self.quality.astype(np.float32),
            "output_tokens": self.output_tokens.astype(np.float32),
        }
        return arrays, {"prior": rest, "settings": asdict(self.settings)}

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, NDArray[Any]],
        rest: Mapping[str, Any],
        hot: HotFeatures,
        encoder: TextEncoder | None = None,
    ) -> Self:
        """What `to_arrays` gave, with the features it was fitted with."""
        settings = KnnSettings(**rest["settings"])
        output_tokens = arrays["output_tokens"].astype(np.float64)
        return cls(
            settings,
            RetrievalSpace.from_arrays(arrays_under(arrays, "space_"), hot, encoder, settings.surface),
            PriorQuality.from_arrays(arrays_under(arrays, "prior_"), rest["prior"]),
            Neighbours.from_arrays(arrays_under(arrays, "rows_")),
            arrays["tasks"],
            arrays["quality"].astype(np.float64),
            output_tokens,
            endpoint_quantiles(output_tokens),
        )


def _columns_alike(known: Bools) -> list[tuple[Bools, list[int]]]:
    """Columns grouped by the rows they have, those without any left out."""
    groups: dict[bytes, tuple[Bools, list[int]]] = {}
    for column, rows in enumerate(known.T):
        if rows.any():
            groups.setdefault(np.packbits(rows).tobytes(), (rows, []))[1].append(column)
    return list(groups.values())
