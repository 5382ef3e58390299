"""`pointsman config check | show`: look at a configuration file without starting anything."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pointsman.build import decider_of, graders_of, predictor_of, read_config
from pointsman.cli.group import ErrorGroup
from pointsman.clock import RealClock
from pointsman.config import Config, ConfigProblems, EndpointConfig, render_config
from pointsman.units import TOKENS_PER_MILLION

app = typer.Typer(
    cls=ErrorGroup, help="Check a configuration file, or show it with every default.", no_args_is_help=True
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The YAML file.")]


@app.command()
def check(file: File) -> None:
    """Report everything wrong with FILE (exit code 3), or the endpoints that it makes.

    The fit that it names is read too, if it is there (exit code 4).
    """
    config = _loaded(file)
    decider_of(config)
    graders_of(config)
    if config.fit is None or config.fit.exists():
        predictor_of(config, RealClock())
    for warning in config.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for made in config.endpoints:
        print(_endpoint_line(made))
    for model in config.fleet.models:
        source = model.weights or model.path
        print(f"{model.name}: embedded, {source}, {model.slots} slots of {model.context_tokens} tokens")
    count = len(config.endpoints) + len(config.fleet.models)
    print(
        f"{file}: ok; {_many(count, 'endpoint')}, {_many(len(config.warnings), 'warning')}; "
        f"policy {config.policy.name}; listens on {config.server.host}:{config.server.port}"
    )


@app.command()
def show(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="The shipped one by default.")] = None,
) -> None:
    """Print FILE as YAML with every default, credentials masked."""
    print(render_config(_loaded(file)), end="")


def _loaded(file: Path | None) -> Config:
    try:
        return read_config(file)
    except ConfigProblems as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        print(f"{file}: {_many(len(error.problems), 'problem')}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None


def _endpoint_line(made: EndpointConfig) -> str:
    endpoint = made.endpoint
    usd_in = endpoint.usd_per_input_token * TOKENS_PER_MILLION
    usd_out = endpoint.usd_per_output_token * TOKENS_PER_MILLION
    accuracy = "not declared" if made.accuracy is None else f"{made.accuracy:g}"
    return (
        f"{endpoint.name}: {made.provider}/{endpoint.upstream_model} for model {endpoint.model!r}, "
        f"at most {endpoint.max_concurrent} at once, ${usd_in:g} in and ${usd_out:g} out a million tokens, "
        f"accuracy {accuracy}, key {made.api_key or 'none'}"
    )


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
