"""The outside world: the fleet, engines, meters."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pointsman.build.plugins import plugin
from pointsman.config import METERS, Config, EndpointConfig, FleetModelConfig, MeterConfig, TimeoutsConfig
from pointsman.engines.base import Engine, Timeouts
from pointsman.engines.fleet import Fleet
from pointsman.engines.fleet_model import FleetEndpoint, FleetModel, pulled_model
from pointsman.engines.openai_http import OpenAIEngine
from pointsman.errors import ConfigError
from pointsman.meters.base import Meter
from pointsman.meters.choose import best_meter
from pointsman.meters.cpu_time import CpuTimeMeter
from pointsman.meters.external import ExternalMeter, Quantity
from pointsman.meters.nvml import NvmlMeter
from pointsman.meters.rapl import RaplMeter
from pointsman.meters.reading_command import CommandReading
from pointsman.meters.reading_url import UrlReading
from pointsman.meters.replay import ReplayMeter


def fleet_of(config: Config) -> Fleet:
    """The configured fleet, not started. Raises: MissingError if weights are not pulled."""
    return Fleet([_fleet_model(model) for model in config.fleet.models])


def _fleet_model(model: FleetModelConfig) -> FleetModel:
    if model.path is not None:
        return FleetModel(
            model.name, model.path, model.port, model.threads, model.slots, model.context_tokens
        )
    pulled = pulled_model(
        model.weights or model.name,
        port=model.port,
        threads=model.threads,
        slots=model.slots,
        context_tokens=model.context_tokens,
    )
    return replace(pulled, name=model.name)


def timeouts_of(made: TimeoutsConfig) -> Timeouts:
    """The engine's limits from the configuration's."""
    return Timeouts(made.connect_s, made.first_byte_s, made.between_chunks_s, made.total_s)


def engines_of(config: Config, running: Iterable[FleetEndpoint]) -> dict[str, Engine]:
    """One engine an endpoint; `running` are the fleet's addresses."""
    engines: dict[str, Engine] = {
        model.name: OpenAIEngine(
            model.name,
            f"{model.base_url}/v1",
            model.name,
            timeouts=timeouts_of(config.timeouts),
            llama_cpp=True,
        )
        for model in running
    }
    for made in config.endpoints:
        own = made.engine == "openai"
        engines[made.endpoint.name] = _hosted_engine(made) if own else plugin("engine", made.engine)(made)
    return engines


def _hosted_engine(made: EndpointConfig) -> OpenAIEngine:
    return OpenAIEngine(
        made.endpoint.name,
        made.base_url,
        made.endpoint.upstream_model or made.endpoint.model,
        api_key=made.api_key.reveal() if made.api_key else None,
        timeouts=timeouts_of(made.timeouts),
        priority=made.priority,
    )


def meters_of(config: Config, running: Sequence[FleetEndpoint]) -> dict[str, Meter]:
    """The meter that sees each endpoint's energy; endpoints that none sees are left out.

    A CPU-time meter watches one model's process; every other kind sees the whole machine, so the
    fleet's models share it. Hosted endpoints have none. Raises: ConfigError, MissingError.
    """
    made = config.energy.meter
    if made.kind == "none" or not running:
        return {}
    if made.kind in ("auto", "cpu_time"):
        if made.kind == "auto":
            best = best_meter(
                [running[0].pid],
                gpu=False,
                watts_per_core=made.watts_per_core,
                watts_per_gib=made.watts_per_gib,
            ).meter
            if not best.modelled:
                return dict.fromkeys((model.name for model in running), best)
        return {
            model.name: CpuTimeMeter(
                [model.pid], watts_per_core=made.watts_per_core, watts_per_gib=made.watts_per_gib
            )
            for model in running
        }
    pids = [model.pid for model in running]
    meter = _machine_meter(made) if made.kind in METERS else plugin("meter", made.kind)(made, pids)
    return dict.fromkeys((model.name for model in running), meter)


def _machine_meter(made: MeterConfig) -> Meter:
    external: dict[str, Any] = {"scale": made.scale, "period_s": made.period_s, "idle_w": made.idle_w}
    match made.kind:
        case "rapl":
            return RaplMeter()
        case "nvml":
            return NvmlMeter(made.gpu_indices or None)
        case "command":
            reading = CommandReading(made.command, made.key, made.timeout_s)
            return ExternalMeter(reading, Quantity(made.quantity), **external)
        case "url":
            headers = {"Authorization": made.authorization.reveal()} if made.authorization else {}
            asked = UrlReading(made.url or "", made.key, headers, made.timeout_s)
            return ExternalMeter(asked, Quantity(made.quantity), **external)
        case "replay":
            modelled_as = "as the configuration says" if made.modelled else ""
            return ReplayMeter(Path(made.file or ""), time.monotonic, modelled_as=modelled_as)
    raise ConfigError(f"no meter is called {made.kind!r}", remedy="See: pointsman config show")
