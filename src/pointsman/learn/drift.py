"""Learns drift: compares what requests took with what the fit says for their true token counts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pointsman.predict.drift import ENERGY, TIME, Drift
from pointsman.predict.model_profile import CostCurve, ModelProfile
from pointsman.types import Disposition, Outcome


class DriftLearner:
    """Implements `Learner`; updates the `Drift` that a predictor reads.

    Args:
        endpoints: names, in the column order of `drift`.
        profiles: their fits, in the same order.
        drift: shared with the predictor.

    Concurrency comes from `Outcome.running`; where that is None the request counts as alone.
    """

    def __init__(self, endpoints: Sequence[str], profiles: Sequence[ModelProfile], drift: Drift) -> None:
        self._column = {name: index for index, name in enumerate(endpoints)}
        self._profiles = tuple(profiles)
        self.drift = drift

    def learn(self, outcomes: Sequence[Outcome]) -> None:
        """Take in answered requests with token counts; others, and unknown endpoints, are passed over."""
        for outcome in outcomes:
            column = self._column.get(outcome.endpoint)
            if (
                column is None
                or outcome.disposition is not Disposition.ANSWERED
                or outcome.input_tokens is None
                or outcome.output_tokens is None
            ):
                continue
            profile = self._profiles[column]
            for quantity, curve, measured in (
                (TIME, profile.time, outcome.e2e_s),
                (ENERGY, profile.energy, outcome.energy_j),
            ):
                if measured is not None and math.isfinite(measured) and measured > 0:
                    self._update(column, quantity, curve, outcome, measured)

    def _update(
        self, column: int, quantity: int, curve: CostCurve, outcome: Outcome, measured: float
    ) -> None:
        concurrency = np.array(1.0 + (outcome.running or 0))
        computed = max((outcome.input_tokens or 0) - (outcome.cached_tokens or 0), 0)
        predicted = curve.predict(
            np.array(float(computed)), np.array(float(outcome.output_tokens or 0)), concurrency
        )
        below, above = curve.spread.at(concurrency)
        self.drift.update(
            column,
            quantity,
            math.log(measured / float(predicted)),
            below=float(below),
            above=float(above),
            trust=float(curve.spread.trust(concurrency)),
        )
