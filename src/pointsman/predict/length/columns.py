"""Learnt lengths in the order of the endpoints in use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from pointsman.errors import DataError
from pointsman.predict.length.learned import LearnedLengths
from pointsman.predict.quality.base import QualityForecast, Queries
from pointsman.types import Endpoint, Estimate, Floats

_UNKNOWN: Final = -1


class EndpointLengths:
    """Curves of lengths with a column for each of E endpoints.

    Args:
        endpoints: in column order.
        model: its endpoints are found by an endpoint's name, else by its model's name.

    Attributes:
        sentences: endpoint -> where its lengths are from; those that were learnt alone.
        slow: a forecast takes milliseconds.

    Raises: DataError where the model knows none of the endpoints.
    """

    def __init__(self, endpoints: Sequence[Endpoint], model: LearnedLengths) -> None:
        self.model, self.slow = model, model.slow
        column_of = {name: column for column, name in enumerate(model.endpoints)}
        names = [(endpoint.name, endpoint.model, endpoint.upstream_model) for endpoint in endpoints]
        found = [next((column_of[name] for name in own if name in column_of), _UNKNOWN) for own in names]
        self._columns = np.array(found)
        self._known = self._columns != _UNKNOWN
        if not self._known.any():
            raise DataError(
                f"lengths were learnt for {', '.join(model.endpoints)}, and for none of the endpoints "
                f"{', '.join(endpoint.name for endpoint in endpoints)}",
                remedy="Train them on answers of these endpoints, or name them alike",
            )
        self.sentences: Mapping[str, str] = {
            endpoint.name: model.sentence(model.endpoints[column])
            for endpoint, column in zip(endpoints, found, strict=True)
            if column != _UNKNOWN
        }

    def curves(self, texts: Sequence[str]) -> Floats:
        """Quantiles of R answers, shape (R, E, QUANTILES); NaN for an endpoint that was not learnt."""
        made = self.model.forecast(Queries.without_task(texts))
        picked: Floats = made[:, self._columns]
        picked[:, ~self._known] = np.nan
        return picked

    def joined(self, learned: QualityForecast | None, texts: Sequence[str]) -> QualityForecast:
        """A forecast with these lengths in the place of its own, where they are known."""
        own = self.curves(texts)
        if learned is None:
            unknown = np.full(own.shape[:2], np.nan)
            return QualityForecast(Estimate(unknown, unknown, unknown), own)
        if learned.output_tokens is not None:
            own = np.where(np.isnan(own), learned.output_tokens, own)
        return QualityForecast(learned.quality, own)
