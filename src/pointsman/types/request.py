"""A request: what predictors may see of it, what it needs, what its caller cares about."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Self

from pointsman.errors import BadRequest
from pointsman.types.router import Router

AUTO: Final = "auto"
"""The model name that lets the policy choose."""

BATCH: Final = "batch"
"""The service class of a request that was put off instead of being skipped."""

MAX_WEIGHT: Final = 1e6
"""The largest weight that can be given, before weights are normalised."""

OBJECTIVES: Final = ("accuracy", "energy", "time", "price", "carbon")
"""The order in which weights and score terms stand in arrays."""


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
        task: what the caller says it is about, such as a subject; "" if that was not said.
    """

    text: str
    system: str = ""
    history_turns: int = 0
    history_bytes: int = 0
    total_bytes: int = 0
    task: str = ""


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


@dataclass(frozen=True, slots=True)
class Limits:
    """What a caller demands of any endpoint that is to serve its request; None where it demands nothing.

    They are limits of predictions, and hold under every policy (see `assign/request_limits.py`).

    Attributes:
        min_quality: the least predicted probability of being right, in [0, 1].
        max_price_usd, max_energy_j: the most that it is predicted to take, all its runs together.
    """

    min_quality: float | None = None
    max_price_usd: float | None = None
    max_energy_j: float | None = None

    def checked(self) -> Limits:
        """The same limits. Raises: BadRequest for one that can't be used."""
        quality = self.min_quality
        if quality is not None and not 0.0 <= quality <= 1.0:
            raise BadRequest(
                f"min_quality is {quality:g}",
                remedy="Give a probability from 0 to 1, or leave it out",
                param="min_quality",
            )
        for name, unit in (("max_price_usd", "dollars"), ("max_energy_j", "joules")):
            most = getattr(self, name)
            if most is not None and not 0.0 <= most < math.inf:
                raise BadRequest(
                    f"{name} is {most:g}", remedy=f"Give {unit} from 0 up, or leave it out", param=name
                )
        return self


@dataclass(frozen=True, slots=True)
class Slo:
    """Service class and deadlines, in seconds from arrival; None where there is none."""

    service_class: str = "default"
    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """How a request stood in its endpoint's queue when it was sent on.

    Attributes:
        key: the order policy's; lower runs first.
        waited_s: since it arrived.
        predicted_tokens: of its answer there; None where none are predicted.
    """

    key: float
    waited_s: float = 0.0
    predicted_tokens: float | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One query.

    Attributes:
        router: replaces the configured admission or choice of endpoint for this request.
        limits: what the chosen endpoint must keep; None where nothing is demanded.
        allow_skip: it may be skipped, or must not be; None leaves that to the configured admission.
        put_off_s: when its admission first put it off, on the driver's clock; None if it did not.
        turn: set when it is sent to an endpoint by way of a queue, for engines that have a queue of their own.
        payload: what the engine sends; no stage below the engines reads it.
    """

    id: str
    prompt: Prompt
    max_tokens: int | None = None
    model: str = AUTO
    api: Api = Api.CHAT
    needs: Needs = field(default_factory=Needs)
    weights: Weights | None = None
    limits: Limits | None = None
    slo: Slo = field(default_factory=Slo)
    tenant: str = "default"
    session: str | None = None
    stream: bool = False
    router: Router | None = None
    allow_skip: bool | None = None
    put_off_s: float | None = None
    turn: Turn | None = None
    payload: Any = field(default=None, compare=False, repr=False)

    def put_off(self, now: float) -> Self:
        """The same request in the class `BATCH`, put off at `now`; itself if it has been put off before."""
        if self.put_off_s is not None:
            return self
        return replace(self, put_off_s=now, slo=replace(self.slo, service_class=BATCH))
