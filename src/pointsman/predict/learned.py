"""Predictions with quality and answer length learnt from outcomes; all else from fitted profiles.

text of the last user turn -> its core -> quality and length quantiles on every endpoint it learnt
-> tokens, time, energy, price, carbon by the profiles, with that length
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from pointsman.errors import BadRequest, DataError
from pointsman.predict.base import at_most
from pointsman.predict.endpoint import ProfilePredictor
from pointsman.predict.features.core_text import core_text
from pointsman.predict.model_profile import NO_PRIOR, ModelProfile
from pointsman.predict.quality.base import QualityForecast, Queries
from pointsman.predict.quality.held_out_rows import HeldOutRows
from pointsman.predict.quality.learned_model import LearnedModel
from pointsman.types import CostTable, Endpoint, Estimate, Floats, Request

_UNKNOWN: Final = -1


class LearnedPredictor:
    """Implements `Predictor`. Changes nothing but what `profiles` shares with a learner.

    `model` may be replaced by another of the same endpoints, from any thread: a batch is predicted by one model.

    Args:
        endpoints: in column order, those of `profiles`.
        profiles: predicts the rest, and the quality and length of endpoints that the model does not know.
        model: its endpoints are found by an endpoint's name, else by its model's name.

    Attributes:
        slow: a prediction takes milliseconds.
        quality_sources: endpoint -> one sentence on where its quality is from.

    Raises: DataError where the model knows none of the endpoints.
    """

    name: str = "learned"

    def __init__(
        self, endpoints: Sequence[Endpoint], profiles: ProfilePredictor, model: LearnedModel
    ) -> None:
        self.profiles, self.model, self.slow = profiles, model, model.slow or profiles.slow
        self.endpoints = profiles.endpoints
        column_of = {name: column for column, name in enumerate(model.endpoints)}
        names = [(endpoint.name, endpoint.model, endpoint.upstream_model) for endpoint in endpoints]
        found = [next((column_of[name] for name in own if name in column_of), _UNKNOWN) for own in names]
        self._columns = np.array(found)
        self._known = self._columns != _UNKNOWN
        if not self._known.any():
            raise DataError(
                f"the quality model knows {', '.join(model.endpoints)}, and none of the endpoints "
                f"{', '.join(self.endpoints)}",
                remedy="Train it on outcomes of these endpoints, or name them alike",
            )
        self.quality_sources: Mapping[str, str] = MappingProxyType(
            {
                name: _of_profile(profile) if column == _UNKNOWN else model.sentence(model.endpoints[column])
                for name, column, profile in zip(self.endpoints, found, profiles.profiles, strict=True)
            }
        )

    def predict(self, requests: Sequence[Request], running: Sequence[int]) -> CostTable:
        """For R requests and E endpoints; see `Predictor`."""
        return self.profiles.predict(requests, running, self._forecast(requests))

    def predict_within(
        self, requests: Sequence[Request], running: Sequence[int], limits_tokens: Sequence[int | None]
    ) -> list[CostTable]:
        """See `base.predict_within`; texts are read once."""
        made = self._forecast(requests)
        return [self.profiles.predict(at_most(requests, limit), running, made) for limit in limits_tokens]

    def matched(self, rows: HeldOutRows) -> HeldOutRows:
        """What the model's fit held out, with a column for each endpoint.

        Args:
            rows: of the model's endpoints.

        Raises: BadRequest for an endpoint that the model does not know, or rows of other endpoints.
        """
        if rows.endpoints != self.model.endpoints:
            raise BadRequest(
                f"held-out prompts of {', '.join(rows.endpoints)}, and a model of {', '.join(self.model.endpoints)}",
                remedy="Give those that the model was fitted with",
            )
        if not self._known.all():
            unknown = [name for name, known in zip(self.endpoints, self._known, strict=True) if not known]
            raise BadRequest(
                f"the quality of {', '.join(unknown)} was not learnt, so nothing held out tells how far it is off",
                remedy="Leave it out, or train on its outcomes too",
            )
        return rows.of_columns(self._columns.tolist(), self.endpoints)

    def column_of(self, endpoint: str) -> int | None:
        """The model's column for an endpoint; None if the model does not know it."""
        if endpoint not in self.endpoints:
            return None
        column = int(self._columns[self.endpoints.index(endpoint)])
        return None if column == _UNKNOWN else column

    def prior_row(self) -> CostTable:
        """What is expected of a request of which nothing is known: the profiles'."""
        return self.profiles.prior_row()

    def _forecast(self, requests: Sequence[Request]) -> QualityForecast:
        texts = [core_text(request.prompt.text) for request in requests]
        made = self.model.forecast(Queries(texts, [request.prompt.task for request in requests]))
        return self._of_endpoints(made)

    def _of_endpoints(self, made: QualityForecast) -> QualityForecast:
        """The model's columns in the order of the endpoints, NaN for those it does not know."""
        quality = made.quality
        return QualityForecast(
            Estimate(self._picked(quality.value), self._picked(quality.low), self._picked(quality.high)),
            None if made.output_tokens is None else self._picked(made.output_tokens),
        )

    def _picked(self, values: Floats) -> Floats:
        picked: Floats = values[:, self._columns]
        if not self._known.all():
            picked[:, ~self._known] = np.nan
        return picked


def _of_profile(profile: ModelProfile) -> str:
    if set(profile.quality.values()) == {NO_PRIOR}:
        return f"quality not known: taken as {NO_PRIOR.mean:g}, from {NO_PRIOR.low:g} to {NO_PRIOR.high:g}"
    return "quality not learnt: the profile's"
