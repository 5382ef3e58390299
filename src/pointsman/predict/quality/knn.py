"""Quality and length from the past outcomes of the most similar queries.

Of the rows that have a label for an endpoint, the k most similar by cosine are its neighbours; of equally
similar ones the earlier row. Their labels are averaged:

    mean        plain mean of k = 16, as in ECCOS (OmniRouter's retrieval): `KnnSettings.eccos()`
    similarity  weights exp((s - s_max) / temperature), k = 64, beside `shrink` pseudo-labels at the
                endpoint's prior for the query's task

Lengths are the weighted quantiles of the same kind, beside `shrink` pseudo-labels at the endpoint's own
quantiles. An endpoint without labels has its prior. Cost: one product of (R, width) and (width, N); above
`INDEX_ROWS` rows an index of coarse cells is searched instead (`neighbours.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.errors import DataError
from pointsman.predict.features.base import Encoding, TextEncoder
from pointsman.predict.length import LEVELS
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import QualityForecast, Queries, arrays_under
from pointsman.predict.quality.length_levels import endpoint_quantiles, row_quantiles
from pointsman.predict.quality.neighbours import FARTHEST, Neighbours, nearest
from pointsman.predict.quality.odds import beta_interval
from pointsman.predict.quality.prior import PriorQuality
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
    """

    k: int = 64
    temperature: float | None = 0.1
    shrink: float = 8.0

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
        return cls(k=16, temperature=None, shrink=0.0)


@dataclass(frozen=True, slots=True)
class KnnQuality:
    """Past outcomes, as kept for retrieval.

    Attributes:
        encoder: turns a text into the space where neighbours are sought.
        rows: encodings of the N past queries.
        quality, output_tokens: shape (N, E), NaN where missing.
        own_tokens: shape (E, QUANTILES): quantiles of each endpoint's lengths, NaN without any.
    """

    name: ClassVar[str] = "knn"
    settings: KnnSettings
    encoder: TextEncoder
    prior: PriorQuality
    rows: Neighbours
    quality: Floats
    output_tokens: Floats
    own_tokens: Floats

    @classmethod
    def fit(
        cls,
        outcomes: OutcomeMatrix,
        encoder: TextEncoder,
        *,
        settings: KnnSettings | None = None,
        encoding: Encoding | None = None,
        seed: int = 0,
    ) -> Self:
        """Remember the outcomes; `encoding` are their prompts where that was made before."""
        made = encoder.encode(outcomes.prompts) if encoding is None else encoding
        return cls(
            settings or KnnSettings(),
            encoder,
            PriorQuality.fit(outcomes),
            Neighbours.build(made, seed),
            outcomes.quality,
            outcomes.output_tokens,
            endpoint_quantiles(outcomes.output_tokens),
        )

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Those of the outcomes."""
        return self.prior.endpoints

    def forecast(self, queries: Queries) -> QualityForecast:
        """Means and quantiles over the neighbours; see the module."""
        quality = self.prior.forecast(queries).quality
        lengths = np.full((queries.n, len(self.endpoints), len(LEVELS)), np.nan)
        encoded = queries.encoded(self.encoder)
        for start in range(0, queries.n, _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            self._fill(encoded[part], quality.take(part), lengths[part])
        return QualityForecast(quality, lengths if np.isfinite(self.own_tokens).any() else None)

    def _fill(self, encoded: Encoding, quality: Estimate, lengths: Floats) -> None:
        """Replace the priors in `quality` and the gaps in `lengths` by what neighbours say."""
        similarity = self.rows.similarity(encoded)
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
        return index, np.where(cosine > FARTHEST, np.exp(nearer * slope), _NO_WEIGHT)

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays, and what JSON holds; the encoder is not in them."""
        prior, rest = self.prior.to_arrays()
        arrays = {f"prior_{name}": array for name, array in prior.items()}
        arrays |= {f"rows_{name}": array for name, array in self.rows.to_arrays().items()}
        arrays |= {
            "quality": self.quality.astype(np.float32),
            "output_tokens": self.output_tokens.astype(np.float32),
        }
        return arrays, {"prior": rest, "settings": asdict(self.settings)}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], rest: Mapping[str, Any], encoder: TextEncoder
    ) -> Self:
        """What `to_arrays` gave, with the encoder it was fitted with."""
        output_tokens = arrays["output_tokens"].astype(np.float64)
        return cls(
            KnnSettings(**rest["settings"]),
            encoder,
            PriorQuality.from_arrays(arrays_under(arrays, "prior_"), rest["prior"]),
            Neighbours.from_arrays(arrays_under(arrays, "rows_")),
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
