"""The words of Pointsman as types: values that never change once made.

A request is described by what predictors may see (`Prompt`) and by what it needs (`Needs`). The
table of predictions that every policy reads is `CostTable`: arrays of shape (R, E) for R requests
and E endpoints. A decision is kept as one row of that table with the reasons beside it; words are
built from it only when asked (`assign/explain.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pointsman.errors import BadRequest

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

AUTO: Final = "auto"
"""The model name that lets the policy choose."""

MAX_WEIGHT: Final = 1e6
"""The largest weight that can be given, before weights are normalised."""

UNASSIGNED: Final = -1
"""Endpoint index of a request that waits."""


class Modality(StrEnum):
    """What kind of content a request carries or an endpoint reads."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"


class Api(StrEnum):
    """Which OpenAI interface a request came through."""

    CHAT = "chat"
    COMPLETIONS = "completions"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What predictors see of a request: never the whole history's text.

    Attributes:
        text: the last user turn (or the completion prompt).
        system: the system prompt, of which predictors use features only.
        history_turns: messages before the last user turn, without the system prompt.
        history_bytes: their UTF-8 length.
        total_bytes: UTF-8 length of everything that is sent, this turn included.
    """

    text: str
    system: str = ""
    history_turns: int = 0
    history_bytes: int = 0
    total_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Needs:
    """What an endpoint must be able to do to serve a request (see `assign/eligibility.py`)."""

    modalities: frozenset[Modality] = frozenset({Modality.TEXT})
    tools: bool = False
    response_format: str = "text"  # text | json_object | json_schema
    logprobs: bool = False
    n: int = 1
    privacy: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Weights:
    """What a caller cares about; any non-negative numbers, normalised to sum 1 by `normalised()`.

    The names are those of the energy, time and correctness aware scheduler, plus price and carbon.
    """

    accuracy: float = 0.0
    energy: float = 0.0
    time: float = 0.0
    price: float = 0.0
    carbon: float = 0.0

    def as_tuple(self) -> tuple[float, float, float, float, float]:
        """The five weights in the order of `OBJECTIVES`."""
        return (self.accuracy, self.energy, self.time, self.price, self.carbon)

    def normalised(self) -> Weights:
        """The same proportions with sum 1.

        Raises: BadRequest if a weight is not in [0, `MAX_WEIGHT`], or if all are 0.
        """
        for name, value in zip(OBJECTIVES, self.as_tuple(), strict=True):
            if not 0.0 <= value <= MAX_WEIGHT:
                raise BadRequest(
                    f"the weight of {name} is {value:g}",
                    remedy=f"Give each weight a number from 0 to {MAX_WEIGHT:.0f}",
                    param="weights",
                )
        # Rounded once, so that .7, .2 and .1 sum to 1.
        total = math.fsum(self.as_tuple())
        if total == 0.0:
            raise BadRequest(
                "the weights sum to 0", remedy="Give at least one weight above 0", param="weights"
            )
        return Weights(*(value / total for value in self.as_tuple()))


OBJECTIVES: Final = ("accuracy", "energy", "time", "price", "carbon")
"""The order in which weights and score terms stand in arrays."""


@dataclass(frozen=True, slots=True)
class Slo:
    """Service class and deadlines, in seconds from arrival; None where there is none."""

    service_class: str = "default"
    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One query. `payload` is what the engine sends; no stage below the engines reads it."""

    id: str
    prompt: Prompt
    max_tokens: int | None = None
    model: str = AUTO
    api: Api = Api.CHAT
    needs: Needs = field(default_factory=Needs)
    weights: Weights | None = None
    slo: Slo = field(default_factory=Slo)
    tenant: str = "default"
    session: str | None = None
    stream: bool = False
    payload: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an endpoint declares it can do; a need that is not declared excludes it."""

    context_tokens: int | None = None  # prompt + max_tokens; None: not declared, not checked
    max_output_tokens: int | None = None
    modalities: frozenset[Modality] = frozenset({Modality.TEXT})
    tools: bool = True
    response_formats: frozenset[str] = frozenset({"text", "json_object", "json_schema"})
    logprobs: bool = True
    max_n: int = 1
    privacy: frozenset[str] = frozenset()
    apis: frozenset[Api] = frozenset({Api.CHAT, Api.COMPLETIONS})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model served somewhere, with capacity and prices.

    Attributes:
        name: unique; what metrics, headers and the log call it.
        model: the public model name a caller may pin; several endpoints may share it.
        upstream_model: the name sent to the server.
        max_concurrent: L_j, the most requests outstanding at any instant.
        usd_per_input_token, usd_per_output_token: dollars a token.
    """

    name: str
    model: str
    upstream_model: str = ""
    max_concurrent: int = 4
    usd_per_input_token: float = 0.0
    usd_per_output_token: float = 0.0
    capabilities: Capabilities = field(default_factory=Capabilities)


@dataclass(frozen=True, slots=True)
class EndpointLoad:
    """How busy an endpoint was at `observed_at_s` (the driver's clock)."""

    queued: int = 0
    running: int = 0
    kv_use: float | None = None
    observed_at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A predicted quantity with its interval, as arrays of one shape.

    `low` and `high` are NaN where the estimate has no interval (it then says so). `modelled` tells
    that the quantity was never measured but follows from a model with stated constants.
    """

    value: Floats
    low: Floats
    high: Floats

    @classmethod
    def exact(cls, value: Floats) -> Estimate:
        """A known quantity: the interval is the value."""
        return cls(value, value, value)

    @classmethod
    def without_interval(cls, value: Floats) -> Estimate:
        """An estimate that has no interval."""
        none = np.full_like(value, np.nan)
        return cls(value, none, none)

    def take(self, rows: slice | NDArray[np.int64]) -> Estimate:
        """The estimates of some requests, in that order."""
        return Estimate(self.value[rows], self.low[rows], self.high[rows])


@dataclass(frozen=True, slots=True)
class CostTable:
    """Predictions for R requests on E endpoints; every array has shape (R, E).

    Attributes:
        endpoints: names, in column order.
        input_tokens: tokens of the prompt in each endpoint's tokenizer.
        quality: probability that the answer is right, in [0, 1].
        output_tokens, time_s, energy_j, price_usd, carbon_g: for the whole request.
        bypassed: a predictor failed or was late, so these are priors (invariant 9).
    """

    endpoints: tuple[str, ...]
    input_tokens: Floats
    quality: Estimate
    output_tokens: Estimate
    time_s: Estimate
    energy_j: Estimate
    price_usd: Estimate
    carbon_g: Estimate
    bypassed: bool = False

    @classmethod
    def stack(cls, tables: Sequence[CostTable]) -> CostTable:
        """The rows of tables over the same endpoints, one below the other; at least one table.

        The result counts as bypassed if any of them is.
        """
        if len(tables) == 1:
            return tables[0]

        def estimate(name: str) -> Estimate:
            columns: list[Estimate] = [getattr(table, name) for table in tables]
            return Estimate(
                np.concatenate([column.value for column in columns]),
                np.concatenate([column.low for column in columns]),
                np.concatenate([column.high for column in columns]),
            )

        return cls(
            tables[0].endpoints,
            np.concatenate([table.input_tokens for table in tables]),
            estimate("quality"),
            estimate("output_tokens"),
            estimate("time_s"),
            estimate("energy_j"),
            estimate("price_usd"),
            estimate("carbon_g"),
            any(table.bypassed for table in tables),
        )

    @property
    def n_requests(self) -> int:
        """R."""
        return int(self.quality.value.shape[0])

    def row(self, index: int) -> CostTable:
        """The predictions of one request as a table with R = 1 (views, no copy)."""
        return self.take(slice(index, index + 1))

    def take(self, rows: slice | NDArray[np.int64]) -> CostTable:
        """The predictions of some requests, in that order."""
        return CostTable(
            self.endpoints,
            self.input_tokens[rows],
            self.quality.take(rows),
            self.output_tokens.take(rows),
            self.time_s.take(rows),
            self.energy_j.take(rows),
            self.price_usd.take(rows),
            self.carbon_g.take(rows),
            self.bypassed,
        )


class Admission(StrEnum):
    """Whether: what becomes of a request before an endpoint is chosen."""

    RUN = "run"
    SKIP = "skip"
    DEFER = "defer"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Admit:
    """One admission with its reason; `until_s` is when a deferred request is looked at again."""

    action: Admission
    reason: str
    until_s: float | None = None


@dataclass(frozen=True, slots=True)
class EndpointView:
    """What a policy may know of an endpoint's state: a snapshot, no more.

    `load` is what the endpoint last said of itself, None where it says nothing.
    """

    name: str
    queued: int
    running: int
    max_concurrent: int
    healthy: bool
    load: EndpointLoad | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where: an endpoint for each of R requests.

    Attributes:
        endpoint_index: shape (R,), -1 where the request waits.
        score: shape (R, E), lower is better; inf where the pair cannot run.
        reason: one sentence a request, shown in headers and the log.
        weights: those used for each request, or empty where the policy uses none.
    """

    endpoint_index: NDArray[np.int64]
    score: Floats
    reason: tuple[str, ...]
    weights: tuple[Weights, ...] = ()


class Disposition(StrEnum):
    """How a request ended."""

    ANSWERED = "answered"
    SKIPPED = "skipped"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What really happened when a request ran; None where it was not measured.

    Attributes:
        input_tokens, output_tokens: from the server's `usage`.
        cached_tokens: prompt tokens the server did not have to compute.
        ttft_s: time to first token, from sending; e2e_s: to the last byte.
        tpot_s: mean time per output token after the first.
        energy_j: energy of this request, by the meter named in `meter`.
        energy_modelled: True if it follows from CPU time and stated watts, not from a meter.
        quality: in [0, 1], when a label is known.
        running: other requests that ran on the endpoint when this one was sent.
    """

    request_id: str
    endpoint: str
    disposition: Disposition
    reason: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None
    queue_s: float | None = None
    energy_j: float | None = None
    energy_modelled: bool | None = None
    meter: str | None = None
    price_usd: float | None = None
    quality: float | None = None
    finish_reason: str | None = None
    running: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision, kept as references to arrays: enough to explain it later, cheap to make.

    Attributes:
        table, index: the predictions it was made from are row `index` of `table`.
        excluded: endpoint name -> why a hard filter took it out.
        score: shape (E,), lower is better; None where no policy scored.
        endpoint: the chosen one, or None.
        weights: those the policy used, or None where it uses none.
    """

    request_id: str
    at_s: float
    action: Admission
    reason: str
    policy: str
    table: CostTable
    index: int
    excluded: Mapping[str, str]
    score: Floats | None
    endpoint: str | None
    weights: Weights | None = None

    @property
    def predictions(self) -> CostTable:
        """The predictions of this request, R = 1."""
        return self.table.row(self.index)


EMPTY: Final[Mapping[str, str]] = MappingProxyType({})
