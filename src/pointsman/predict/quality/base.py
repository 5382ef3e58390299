"""A quality model says how likely each endpoint's answer is right, and how long it will be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.predict.features.base import TextEncoder
from pointsman.predict.features.hot import HotFeatures, HotRows
from pointsman.predict.quality.odds import logit, sigmoid
from pointsman.types import Estimate, Floats


@dataclass(slots=True)
class Queries:
    """What a quality model may see of R requests.

    Attributes:
        texts: the text of the last user turn; may be empty.
        tasks: what the caller says it is about, "" where the caller would not know.
    """

    texts: Sequence[str]
    tasks: Sequence[str]
    _encodings: dict[str, NDArray[np.float32]] = field(default_factory=dict, repr=False, compare=False)
    _hot: dict[str, HotRows] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def without_task(cls, texts: Sequence[str]) -> Queries:
        """Texts alone."""
        return cls(texts, [""] * len(texts))

    @property
    def n(self) -> int:
        """R."""
        return len(self.texts)

    def encoded(self, encoder: TextEncoder) -> NDArray[np.float32]:
        """The texts as this encoder gives them, shape (R, width); made once, shared by all models."""
        if isinstance(encoder, HotFeatures):
            return self.hot(encoder).dense
        found = self._encodings.get(encoder.name)
        if found is None:
            found = self._encodings[encoder.name] = encoder.encode(self.texts)
        return found

    def hot(self, features: HotFeatures) -> HotRows:
        """The cheap features of the texts, n-grams with them; made once, shared by all models."""
        found = self._hot.get(features.name)
        if found is None:
            found = self._hot[features.name] = features.rows(self.texts)
        return found

    def with_encoding(self, encoder: TextEncoder, values: NDArray[np.float32]) -> Queries:
        """These queries with an encoding that was made before, shape (R, width)."""
        return Queries(self.texts, self.tasks, self._encodings | {encoder.name: values}, self._hot)

    def with_tasks(self, tasks: Sequence[str]) -> Queries:
        """The same texts, with other tasks and all that is encoded of them."""
        return Queries(self.texts, tasks, self._encodings, self._hot)

    def take(self, rows: NDArray[np.int64]) -> Queries:
        """Some of the queries, in that order, with what is encoded of them."""
        return Queries(
            [self.texts[row] for row in rows],
            [self.tasks[row] for row in rows],
            {name: values[rows] for name, values in self._encodings.items()},
            {name: hot.take(rows) for name, hot in self._hot.items()},
        )


@dataclass(frozen=True, slots=True)
class RawForecast:
    """What a model expects of R requests on E endpoints, before it is calibrated.

    Attributes:
        log_odds: that the answer is right, or of its expected score: shape (3, R, E), the value and the
            ends of its interval, which is of that expectation and not of a single answer.
        output_tokens: as of `QualityForecast`.
    """

    log_odds: Floats
    output_tokens: Floats | None = None

    @classmethod
    def of(cls, quality: Estimate, output_tokens: Floats | None = None) -> Self:
        """From probabilities, arrays of shape (R, E)."""
        return cls(logit(np.array((quality.value, quality.low, quality.high))), output_tokens)

    @property
    def quality(self) -> Estimate:
        """The same as probabilities, arrays of shape (R, E)."""
        return Estimate(*sigmoid(self.log_odds))


@dataclass(frozen=True, slots=True)
class QualityForecast:
    """What is expected of R requests on E endpoints.

    Attributes:
        quality: arrays of shape (R, E): the probability that the answer is right, or its expected
            score; the interval is of that expectation, not of a single answer.
        output_tokens: quantiles of the answer's length at `predict.length.LEVELS`, shape
            (R, E, QUANTILES), rising, NaN where unknown; None if the model knows no lengths.
    """

    quality: Estimate
    output_tokens: Floats | None = None

    def take(self, rows: NDArray[np.int64]) -> QualityForecast:
        """Some of the requests, in that order."""
        tokens = self.output_tokens
        return QualityForecast(self.quality.take(rows), None if tokens is None else tokens[rows])


class QualityModel(Protocol):
    """Forecasts for a batch, over a fixed list of endpoints; kept as arrays and JSON, never as code."""

    @property
    def name(self) -> str:
        """`prior`, `knn`, `trained` or `blend`."""
        ...

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The columns of a forecast."""
        ...

    def forecast(self, queries: Queries) -> RawForecast:
        """Changes nothing. A query alone gives what it gives in any batch."""
        ...

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """The fitted model: arrays, and the rest as JSON can hold it."""
        ...


def arrays_under(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    """The arrays of a part that were kept under `prefix`, by their own names."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
