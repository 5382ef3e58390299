"""A predictor says, before a request runs, what it will cost and give on every endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from pointsman.types import CostTable, Floats, Request


class Predictor(Protocol):
    """Predicts for a batch of requests, over a fixed list of endpoints."""

    name: str

    def predict(self, requests: Sequence[Request], running: Sequence[int]) -> CostTable:
        """Predict for R requests.

        Args:
            requests: R of them; R = 1 gives the same numbers as any batch that holds the request.
            running: requests outstanding now on each endpoint, shape (E,); time depends on it.

        Returns: arrays of shape (R, E), finite, times and energies above 0. Changes nothing.
        """
        ...


def is_slow(predictor: Predictor) -> bool:
    """Whether a prediction takes milliseconds, so that a driver makes it beside its loop.

    A predictor says so by the attribute `slow`; one that has none is fast.
    """
    return bool(getattr(predictor, "slow", False))


def quality_sources(predictor: Predictor) -> Mapping[str, str]:
    """Endpoint -> one sentence on where its quality is from, if not from a profile.

    A predictor says so by the attribute `quality_sources`.
    """
    said: Mapping[str, str] = getattr(predictor, "quality_sources", {})
    return said


class CostModel(Protocol):
    """Time or energy of one request from its token counts; the static part of a prediction."""

    @property
    def name(self) -> str:
        """`ols`, `shape` or `refined`."""
        ...

    @property
    def terms(self) -> tuple[str, ...]:
        """The terms by their formulas."""
        ...

    @property
    def coefficients(self) -> Floats:
        """As fitted, in the order of `terms`."""
        ...

    def predict(self, input_tokens: Floats, output_tokens: Floats) -> Floats:
        """Seconds or joules for arrays of one shape; changes nothing."""
        ...
