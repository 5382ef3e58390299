"""`pointsman serve`: the OpenAI-compatible gateway."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pointsman.build import build_gateway, fleet_of, read_config
from pointsman.cli.fleet import pull_models
from pointsman.clock import RealClock
from pointsman.engines.fleet_launch import require_extra
from pointsman.engines.fleet_model import FleetEndpoint
from pointsman.gateway import server


def serve(
    config_file: Annotated[
        Path | None, typer.Option("--config", help="A configuration; the embedded fleet by default.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; the configured one by default.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 takes any free one.")] = None,
    insecure_bind: Annotated[
        bool, typer.Option("--insecure-bind", help="Allow an address that other machines can reach.")
    ] = False,
) -> None:
    """Serve an OpenAI-compatible gateway that chooses the model for each request.

    Starts the configured fleet first, and stops it at the end. Ends at Ctrl-C: what runs may finish.

    For example:

        pointsman serve

        pointsman serve --config config.yaml --port 8081
    """
    config = read_config(config_file)
    host = config.server.host if host is None else host
    server.check_host(host, insecure_bind=insecure_bind)
    with ExitStack() as stack:
        # Before the fleet, which takes seconds to start: a port in use is known at once.
        bound = stack.enter_context(server.bind(host, config.server.port if port is None else port))
        running: Sequence[FleetEndpoint] = ()
        if config.fleet.models:
            require_extra()  # before weights are pulled for nothing
            pull_models([model.weights for model in config.fleet.models if model.weights])
            with Console(stderr=True).status(f"starting {', '.join(m.name for m in config.fleet.models)}"):
                running = stack.enter_context(fleet_of(config)).endpoints()
        gateway = build_gateway(config, running, RealClock())
        url = server.base_url(bound)
        models = ", ".join(gateway.models)
        typer.echo(f"Pointsman listens at {url} for the models {models}. Ctrl-C ends it.\n")
        typer.echo(server.how_to_talk(url))
        server.serve(gateway, bound)
