"""What a batch needs of a configuration: how bodies are read, and a system that sends requests where a plan says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

from pointsman.build.gateway import edge_of
from pointsman.build.source import endpoints_of
from pointsman.build.system import System, build_system
from pointsman.clock import Clock
from pointsman.config import (
    AdmissionConfig,
    Config,
    EndpointConfig,
    OrderConfig,
    PolicyConfig,
    PredictorConfig,
)
from pointsman.engines.fleet_model import FleetEndpoint
from pointsman.errors import BadRequest
from pointsman.gateway import Edge
from pointsman.gateway.parse import parse_request
from pointsman.types import AUTO, Api, Request, Router


@dataclass(frozen=True, slots=True)
class AnyModel(Edge):
    """An edge at which the model that a body names does not count."""

    def read_model(self, name: str | None) -> tuple[str, Router | None]:
        """Let the plan choose."""
        del name
        return AUTO, None


def body_reader_of(
    config: Config, *, any_model: bool, privacy: frozenset[str] = frozenset()
) -> Callable[[bytes, Api, str], Request]:
    """Reads bodies as the gateway does: (body, interface, request id) -> request.

    Args:
        config: says which models, tenants and service classes there are.
        any_model: whatever model a body names, any may serve it.
        privacy: tags that the endpoint must satisfy, beside those of the body.
    """
    edge = edge_of(config)
    if any_model:
        edge = AnyModel(**{own.name: getattr(edge, own.name) for own in fields(edge)})

    def read(body: bytes, api: Api, request_id: str) -> Request:
        request = parse_request(body, {}, api, request_id, edge)
        if request.stream:
            raise BadRequest(
                "stream is true, and a batch has nobody to stream to", remedy="Leave it out", param="stream"
            )
        needs = replace(request.needs, privacy=request.needs.privacy | privacy) if privacy else request.needs
        return replace(request, needs=needs, router=None, allow_skip=False)

    return read


def build_batch(
    config: Config, running: Sequence[FleetEndpoint], clock: Clock
) -> tuple[System, dict[str, str]]:
    """The system, and by endpoint the model name that sends a request to it and to no other.

    Nothing is admitted or chosen anew: the plan has done that. Capacities, meters and the log hold.
    Raises: ConfigError, DataError, MissingError.
    """
    models = [endpoint.model for endpoint in endpoints_of(config)]
    alone = replace(
        config,
        endpoints=config.endpoints if len({*models}) == len(models) else _named_apart(config),
        policy=PolicyConfig(),
        admission=AdmissionConfig(),
        order=OrderConfig(),
        predictor=PredictorConfig(),
    )
    return build_system(alone, running, clock), {own.name: own.model for own in endpoints_of(alone)}


def _named_apart(config: Config) -> tuple[EndpointConfig, ...]:
    """The hosted endpoints, each with a model name of its own, which its server does not see."""
    return tuple(
        replace(
            made,
            endpoint=replace(
                made.endpoint,
                model=made.endpoint.name,
                upstream_model=made.endpoint.upstream_model or made.endpoint.model,
            ),
        )
        for made in config.endpoints
    )
