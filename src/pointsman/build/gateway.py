"""The gateway over one configuration."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.admit.cascade import NAME as CASCADE
from pointsman.build.source import endpoints_of
from pointsman.build.system import build_system
from pointsman.clock import Clock
from pointsman.config import Config
from pointsman.engines.fleet_model import FleetEndpoint
from pointsman.gateway import Edge, Gateway, GatewayMetrics
from pointsman.live.breaker import BreakerOptions
from pointsman.types.router import ROUTERS


def edge_of(config: Config) -> Edge:
    """What callers may name under a configuration."""
    return Edge(
        models=tuple(dict.fromkeys(endpoint.model for endpoint in endpoints_of(config))),
        service_classes={slo.service_class: slo for slo in config.service_classes},
        tenants=frozenset(config.tenants),
        routers=(*ROUTERS, *([CASCADE] if config.policy.judge else [])),
    )


def build_gateway(config: Config, running: Sequence[FleetEndpoint], clock: Clock) -> Gateway:
    """The ASGI application; `running` are the started fleet's addresses. It closes what it opened.

    Raises: ConfigError, DataError, MissingError.
    """
    metrics = GatewayMetrics(endpoints_of(config))
    out = config.breaker
    system = build_system(
        config, running, clock, metrics, BreakerOptions(out.failures, out.rest_s, out.most_rest_s)
    )
    # Energy that nobody measured is an assumption, so it is marked like what a model gives.
    modelled = {
        name: profile.provenance.energy_modelled or not profile.provenance.meter
        for name, profile in zip(system.names, system.predictor.profiles, strict=True)
    }
    return Gateway(
        system.driver,
        system.endpoints,
        clock,
        metrics,
        edge=edge_of(config),
        max_body_bytes=config.server.max_body_bytes,
        energy_modelled=modelled,
        skip_reply=config.admission.reply if config.admission.on_skip == "reply" else None,
        feedback=system.feedback,
        close=system.close,
    )
