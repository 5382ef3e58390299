"""How long a simulated request takes on an endpoint, and what comes of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from pointsman.predict.base import Predictor
from pointsman.types import AnswerSignals, Disposition, Endpoint, Estimate, Outcome, Request
from pointsman.units import price_usd

METER: Final = "simulated"
_Z90: Final = 1.6448536269514722
"""An interval holds 90%: from the 5% to the 95% quantile, each so many standard deviations away."""


@dataclass(frozen=True, slots=True)
class Service:
    """What running one request takes and gives.

    Attributes:
        duration_s: in the slot; 0 or above.
        output_tokens, energy_j: for the whole request.
        fails: the endpoint gives an error after `duration_s`.
        input_tokens, quality: None where the model does not say.
        signals: by which an answer that is held is judged, if it has any.
        ttft_s: to the first token, from the dispatch; tpot_s: a token after it, on the mean; None where the model
            has no tokens.
        longest_gap_s: between two tokens.
        preemptions: how often it lost its place in the engine.
    """

    duration_s: float
    output_tokens: int
    energy_j: float
    fails: bool = False
    input_tokens: int | None = None
    quality: float | None = None
    signals: AnswerSignals | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None
    longest_gap_s: float | None = None
    preemptions: int | None = None


class ServiceModel(Protocol):
    """Draws the service of one request."""

    def serve(self, request: Request, endpoint: Endpoint, running: int, rng: np.random.Generator) -> Service:
        """The service of a request that starts now; `running` counts it and those beside it.

        All chance comes from `rng`, so that a simulation repeats under its seed.
        """
        ...


class EngineModel(Protocol):
    """An endpoint whose requests share what they run on, so that each one's time depends on the others."""

    def start(self, request: Request, arrived_s: float, now_s: float) -> None:
        """A request that arrived at the gateway at `arrived_s` is sent to it now."""
        ...

    def stop(self, request_id: str, now_s: float) -> None:
        """A request that it may still hold is given up."""
        ...

    def due_s(self) -> float:
        """When to call `advance`, unless something is started or stopped before; inf for never."""
        ...

    def advance(self, now_s: float) -> list[tuple[str, Service]]:
        """Go on to that time; gives the requests that have ended, except those given up."""
        ...


class FixedService:
    """Durations from a function, for theory and tests; no tokens, no energy.

    Args:
        duration_s: seconds for a request, drawn from the given generator if at all.
    """

    def __init__(self, duration_s: Callable[[np.random.Generator], float]) -> None:
        self._duration_s = duration_s

    def serve(self, request: Request, endpoint: Endpoint, running: int, rng: np.random.Generator) -> Service:
        """A duration of the function."""
        del request, endpoint, running
        return Service(self._duration_s(rng), output_tokens=0, energy_j=0.0)


class PredictedService:
    """Services as a predictor foresees them, with noise as wide as its intervals.

    A draw is log-normal around the prediction, its 5% and 95% quantiles at the interval's ends; one
    draw moves length, time and energy together, since a longer answer takes longer. A quantity
    without interval has no noise. The answer is right with the predicted probability.

    Args:
        predictor: a static one: a simulation that learns must not move what it is measured against.
        endpoints: in the predictor's column order.
        failure_rate: the share of requests that fail, in [0, 1].
    """

    def __init__(
        self, predictor: Predictor, endpoints: Sequence[Endpoint], failure_rate: float = 0.0
    ) -> None:
        self._predictor = predictor
        self._column = {endpoint.name: column for column, endpoint in enumerate(endpoints)}
        self._failure_rate = failure_rate

    def serve(self, request: Request, endpoint: Endpoint, running: int, rng: np.random.Generator) -> Service:
        """One draw; costs one prediction."""
        column = self._column[endpoint.name]
        table = self._predictor.predict([request], [max(0, running - 1)] * len(self._column))
        deviation = float(rng.standard_normal())
        output_tokens = max(1, round(_draw(table.output_tokens, column, deviation)))
        if request.max_tokens is not None:
            output_tokens = min(output_tokens, request.max_tokens)
        return Service(
            duration_s=_draw(table.time_s, column, deviation),
            output_tokens=output_tokens,
            energy_j=_draw(table.energy_j, column, deviation),
            fails=bool(rng.random() < self._failure_rate),
            input_tokens=round(float(table.input_tokens[0, column])),
            quality=float(rng.random() < table.quality.value[0, column]),
        )


def _draw(estimate: Estimate, column: int, deviation: float) -> float:
    """The value times `exp(deviation * sigma)`, each side as wide as its half of the interval."""
    value = float(estimate.value[0, column])
    end = float((estimate.high if deviation > 0 else estimate.low)[0, column])
    if not (value > 0 and end > 0):
        return value
    return value * math.exp(abs(deviation) * math.log(end / value) / _Z90)


def outcome_of(request_id: str, endpoint: Endpoint, service: Service) -> Outcome:
    """What the scheduler gets to know of a run."""
    if service.fails:
        return Outcome(request_id, endpoint.name, Disposition.FAILED, "the simulated endpoint failed")
    return Outcome(
        request_id=request_id,
        endpoint=endpoint.name,
        disposition=Disposition.ANSWERED,
        input_tokens=service.input_tokens,
        output_tokens=service.output_tokens,
        ttft_s=service.ttft_s,
        tpot_s=service.tpot_s,
        e2e_s=service.duration_s,
        energy_j=service.energy_j,
        energy_modelled=True,
        meter=METER,
        price_usd=price_usd(
            service.input_tokens or 0,
            service.output_tokens,
            endpoint.usd_per_input_token,
            endpoint.usd_per_output_token,
        ),
        quality=service.quality,
    )
