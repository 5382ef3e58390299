"""A predictor says, before a request runs, what it will cost and give on every endpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
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


def predict_within(
    predictor: Predictor,
    requests: Sequence[Request],
    running: Sequence[int],
    limits_tokens: Sequence[int | None],
) -> list[CostTable]:
    """Predictions of the same requests with answers cut off, one table for each limit.

    A predictor may have a method of this name, without its first argument, to read the requests once only.

    Args:
        predictor: over E endpoints.
        requests: R of them.
        running: shape (E,), see `Predictor.predict`.
        limits_tokens: see `at_most`.
    """
    own: Callable[..., list[CostTable]] | None = getattr(predictor, "predict_within", None)
    if own is not None:
        return own(requests, running, limits_tokens)
    return [predictor.predict(at_most(requests, limit), running) for limit in limits_tokens]


def at_most(requests: Sequence[Request], limit_tokens: int | None) -> Sequence[Request]:
    """The requests with a limit on the answer, where their own is not lower; None: as they are."""
    if limit_tokens is None:
        return requests
    return [
        replace(request, max_tokens=min(limit_tokens, request.max_tokens or limit_tokens))
        for request in requests
    ]


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
