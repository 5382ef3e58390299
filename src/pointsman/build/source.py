"""The configuration, and the endpoints that it makes."""

from __future__ import annotations

import os
from importlib.resources import as_file, files
from pathlib import Path

from pointsman.build.plugins import plugin_names
from pointsman.config import Config, FleetModelConfig, load_config
from pointsman.types import Capabilities, Endpoint


def read_config(path: Path | None) -> Config:
    """The configuration at `path`, or the shipped one: the embedded fleet. Raises: ConfigError."""
    if path is not None:
        return load_config(path, os.environ, plugins=plugin_names())
    with as_file(files("pointsman.data") / "fleet.yaml") as shipped:
        return load_config(shipped, os.environ)


def shipped(name: str) -> Path:
    """The path of a file of the package's data, such as `fleet_fit.json`."""
    return Path(str(files("pointsman.data") / name))


def fleet_endpoint(model: FleetModelConfig) -> Endpoint:
    """What a fleet model declares; it runs on this machine, so it carries the tag `on-premises`."""
    return Endpoint(
        name=model.name,
        model=model.name,
        upstream_model=model.weights or model.name,
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
