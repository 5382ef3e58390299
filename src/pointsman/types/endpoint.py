"""An endpoint: what it declares, and how busy it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from pointsman.types.request import Api, Modality


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
        upstream_model: the name sent to the server; of a fleet model its weights.
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
