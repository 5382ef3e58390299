"""Code that may be anybody's, called with care: what it raises is logged, counted, and goes no further."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Final

from pointsman.errors import origin
from pointsman.events import Predict, Predicted, PredictFailed
from pointsman.learn.base import Learner
from pointsman.predict.base import Predictor
from pointsman.predict.check import fault_of
from pointsman.store.base import DecisionSink
from pointsman.types import Decision, Outcome, Request

_log: Final = logging.getLogger(__name__)


class Parts:
    """The predictor, the learner and the log of a driver.

    Args:
        endpoints: the names that predictions must be for, in column order.
        faults: counts what was caught, by part: predict, learn, log.
    """

    def __init__(
        self,
        predictor: Predictor,
        learner: Learner | None,
        log: DecisionSink | None,
        endpoints: tuple[str, ...],
        faults: Counter[str],
    ) -> None:
        self._predictor, self._learner, self._log = predictor, learner, log
        self._endpoints = endpoints
        self._faults = faults

    def predict(self, command: Predict) -> Predicted | PredictFailed:
        """Predictions that can be used, or why there are none (invariant 9)."""
        request_ids = tuple(request.id for request in command.requests)
        try:
            table = self._predictor.predict(command.requests, command.running)
            fault = fault_of(table, self._endpoints, len(request_ids))
        except Exception as error:  # noqa: BLE001 - see the module
            self._caught("predict", error)
            return PredictFailed(request_ids, f"the predictor raised {type(error).__name__}")
        if fault is None:
            return Predicted(request_ids, table)
        self._faults["predict"] += 1
        _log.error("predictor %s: %s", self._predictor.name, fault)
        return PredictFailed(request_ids, fault)

    def record(self, decision: Decision, request: Request) -> None:
        """Keep a decision."""
        if self._log is not None:
            try:
                self._log.record(decision, request)
            except Exception as error:  # noqa: BLE001 - see the module
                self._caught("log", error)

    def finish(self, outcome: Outcome) -> None:
        """Keep an outcome."""
        if self._log is not None:
            try:
                self._log.finish(outcome)
            except Exception as error:  # noqa: BLE001 - see the module
                self._caught("log", error)

    def learn(self, outcomes: Sequence[Outcome]) -> None:
        """Learn from outcomes."""
        if self._learner is not None:
            try:
                self._learner.learn(outcomes)
            except Exception as error:  # noqa: BLE001 - see the module
                self._caught("learn", error)

    def _caught(self, part: str, error: Exception) -> None:
        self._faults[part] += 1
        _log.error("%s raised %s", part, origin(error))
