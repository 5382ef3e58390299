"""Words to objects: the one place where a name in a configuration becomes a class.

Plugins come in through entry points: `pointsman.admit`, `pointsman.assign` and `pointsman.order`
name factories that take the configuration's section for their stage and give a policy.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import entry_points
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final, cast

from pointsman.admit.always import AlwaysAdmit
from pointsman.admit.base import AdmitPolicy
from pointsman.assign.base import AssignPolicy
from pointsman.assign.baselines import CheapestAssign, RandomAssign, SingleAssign
from pointsman.assign.weighted import WeightedAssign
from pointsman.config import (
    POLICIES,
    Config,
    EndpointConfig,
    FleetModelConfig,
    MeterConfig,
    TimeoutsConfig,
    load_config,
)
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
from pointsman.order.base import OrderPolicy
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.types import Capabilities, Endpoint

ENTRY_POINTS: Final = ("pointsman.admit", "pointsman.assign", "pointsman.order")


def read_config(path: Path | None) -> Config:
    """The configuration at `path`, or the shipped one: the embedded fleet. Raises: ConfigError."""
    plugins = {entry.name for entry in entry_points(group="pointsman.assign")}
    if path is not None:
        return load_config(path, os.environ, policies=(*POLICIES, *plugins))
    with as_file(files("pointsman.data") / "fleet.yaml") as shipped:
        return load_config(shipped, os.environ)


def shipped(name: str) -> Path:
    """The path of a file of the package's data, such as `fleet_fit.json`."""
    return Path(str(files("pointsman.data") / name))


# Policies


def assign_policy_of(config: Config, endpoints: Sequence[Endpoint]) -> AssignPolicy:
    """The configured choice of endpoints. Raises: ConfigError."""
    made = config.policy
    match made.name:
        case "weighted":
            return WeightedAssign(made.weights)
        case "random":
            return RandomAssign(made.seed)
        case "cheapest":
            return CheapestAssign()
        case "single":
            named = [endpoint.name for endpoint in endpoints if made.model in (endpoint.name, endpoint.model)]
            if not named:
                raise ConfigError(
                    f"the policy 'single' names {made.model!r}, which no endpoint serves",
                    remedy=f"Name one of {', '.join(endpoint.name for endpoint in endpoints)}",
                )
            return SingleAssign(named[0])
    return cast(AssignPolicy, _plugin("pointsman.assign", made.name)(made, endpoints))


def _plugin(group: str, name: str) -> Callable[..., Any]:
    """What a package declares under an entry point. Raises: ConfigError."""
    found = {entry.name: entry for entry in entry_points(group=group)}
    if name not in found:
        raise ConfigError(
            f"no policy is called {name!r}",
            remedy=f"Plugins of {group}: {', '.join(found) or 'none installed'}",
        )
    return cast(Callable[..., Any], found[name].load())


def admit_policy_of(config: Config) -> AdmitPolicy:
    """The configured admission. Raises: ConfigError."""
    made = config.admission
    if made.name == AlwaysAdmit.name:
        return AlwaysAdmit()
    return cast(AdmitPolicy, _plugin("pointsman.admit", made.name)(made))


def order_policy_of(config: Config) -> OrderPolicy:
    """The configured order of queues. Raises: ConfigError."""
    made = config.order
    if made.name == FirstComeFirstServed.name:
        return FirstComeFirstServed()
    return cast(OrderPolicy, _plugin("pointsman.order", made.name)(made))


# The fleet


def fleet_of(config: Config) -> Fleet:
    """The configured fleet, not started. Raises: MissingError if weights are not pulled."""
    return Fleet([_fleet_model(model) for model in config.fleet.models])


def _fleet_model(model: FleetModelConfig) -> FleetModel:
    if model.path is not None:
        return FleetModel(
            model.name, model.path, model.port, model.threads, model.slots, model.context_tokens
        )
    return pulled_model(
        model.weights or model.name,
        port=model.port,
        threads=model.threads,
        slots=model.slots,
        context_tokens=model.context_tokens,
    )


def fleet_endpoint(model: FleetModelConfig) -> Endpoint:
    """What a fleet model declares; it runs on this machine, so it carries the tag `on-premises`."""
    return Endpoint(
        name=model.name,
        model=model.name,
        upstream_model=model.name,
        max_concurrent=model.slots,
        capabilities=Capabilities(
            context_tokens=model.context_tokens,
            tools=False,
            privacy=frozenset({"on-premises", *model.privacy}),
        ),
    )


def endpoints_of(config: Config) -> tuple[Endpoint, ...]:
    """Every endpoint in column order: the fleet's, then those of `model_list`."""
    fleet = tuple(fleet_endpoint(model) for model in config.fleet.models)
    return fleet + tuple(made.endpoint for made in config.endpoints)


# Engines and meters


def timeouts_of(made: TimeoutsConfig) -> Timeouts:
    """The engine's limits from the configuration's."""
    return Timeouts(made.connect_s, made.first_byte_s, made.between_chunks_s, made.total_s)


def engines_of(config: Config, running: Iterable[FleetEndpoint]) -> dict[str, Engine]:
    """One engine an endpoint; `running` are the fleet's addresses."""
    engines: dict[str, Engine] = {
        model.name: OpenAIEngine(
            model.name, f"{model.base_url}/v1", model.name, timeouts=timeouts_of(config.timeouts)
        )
        for model in running
    }
    for made in config.endpoints:
        engines[made.endpoint.name] = _hosted_engine(made)
    return engines


def _hosted_engine(made: EndpointConfig) -> OpenAIEngine:
    return OpenAIEngine(
        made.endpoint.name,
        made.base_url,
        made.endpoint.upstream_model or made.endpoint.model,
        api_key=made.api_key.reveal() if made.api_key else None,
        timeouts=timeouts_of(made.timeouts),
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
    return dict.fromkeys((model.name for model in running), _machine_meter(made))


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
