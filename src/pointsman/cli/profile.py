"""`pointsman profile`: run prompts on every endpoint and measure time, tokens and energy."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from pointsman.build import engines_of, fleet_of, meters_of, read_config
from pointsman.cli.group import number_list
from pointsman.cli.profile_table import print_summary
from pointsman.clock import RealClock
from pointsman.config import Config
from pointsman.data.profiles import ProfileRow, check_parquet, read_profile
from pointsman.data.scoring import score
from pointsman.engines.fleet_model import FleetEndpoint
from pointsman.errors import BadRequest, EngineError
from pointsman.profile.machine import machine
from pointsman.profile.prompts import profile_prompts
from pointsman.profile.runner import CONCURRENCY_CYCLE, RunOptions, Target, run_profile


def profile(
    out: Annotated[Path, typer.Option(help="The parquet file to write.")] = Path("profile.parquet"),
    config: Annotated[
        Path | None, typer.Option(help="Which endpoints; the embedded fleet by default.")
    ] = None,
    prompts: Annotated[int, typer.Option(min=1, max=1_000_000, help="Different prompts an endpoint.")] = 200,
    repeats: Annotated[
        int | None, typer.Option(min=0, help="Prompts asked again at the end, for drift; 20 by default.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds give equal prompts.")] = 20261121,
    concurrency: Annotated[
        str, typer.Option(help="Requests outstanding, of one block of 24 prompts after the other.")
    ] = ",".join(map(str, CONCURRENCY_CYCLE)),
) -> None:
    """Run a prompt set on every endpoint and write what was measured: one tidy parquet a run.

    Prompts are generated: arithmetic, facts, short reasoning and code with known answers, and a ramp
    over prompt and answer lengths. The concurrency cycles, so that load is in the profile. Stopped, it
    goes on where it was when run again with the same options.

    For example:

        pointsman profile --prompts 200 --out fleet.parquet

        pointsman profile --config config.yaml --prompts 2000 --repeats 100 --concurrency 1,2,4

        pointsman fit fleet.parquet --out fit.json
    """
    if repeats is None:
        repeats = min(20, prompts)
    if repeats > prompts:
        raise BadRequest(
            f"--repeats {repeats} is above --prompts {prompts}", remedy="Repeat at most all of them"
        )
    cycle = tuple(int(n) for n in number_list("--concurrency", concurrency, 1, 256))
    made = read_config(config)
    check_parquet()
    with ExitStack() as stack:
        running = stack.enter_context(fleet_of(made)).endpoints() if made.fleet.models else ()
        asyncio.run(_measure(made, running, out, prompts, repeats, seed, cycle))
    run = read_profile(out)
    print_summary(run)
    if not any(run.measured(name) for name in run.endpoints()):
        raise EngineError(
            f"no request was answered; the last one: {run.rows[-1].error}",
            remedy="Correct that and run again: it goes on where it was",
        )
    typer.echo(f"written: {out}; next: pointsman fit {out} --out fit.json")


async def _measure(
    config: Config,
    running: Sequence[FleetEndpoint],
    out: Path,
    prompts: int,
    repeats: int,
    seed: int,
    cycle: tuple[int, ...],
) -> None:
    engines, meters = engines_of(config, running), meters_of(config, running)
    targets = [Target(name, engine, meters.get(name)) for name, engine in engines.items()]
    options = RunOptions(
        judge=_judge,
        seed=seed,
        concurrency_cycle=cycle,
        # llama.cpp would otherwise skip the part of a prompt that it has seen before.
        extra_body={"cache_prompt": False} if running else None,
    )
    done: Counter[str] = Counter()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    try:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            tasks = {t.name: progress.add_task(t.name, total=prompts + repeats) for t in targets}

            def on_row(row: ProfileRow) -> None:
                done[row.endpoint] += 1
                failed = " (failing: " + row.error[:60] + ")" if row.error else ""
                progress.update(
                    tasks[row.endpoint], completed=done[row.endpoint], description=row.endpoint + failed
                )

            await run_profile(
                targets,
                profile_prompts(prompts, seed, repeats=repeats),
                out,
                RealClock(),
                options=options,
                metadata=_metadata(running, targets, prompts, repeats),
                on_row=on_row,
            )
    finally:
        for engine in engines.values():
            await engine.close()
        for meter in set(meters.values()):
            meter.close()


def _judge(spec: Mapping[str, Any], text: str) -> float:
    return score(spec, text).value


def _metadata(
    running: Sequence[FleetEndpoint], targets: Sequence[Target], prompts: int, repeats: int
) -> dict[str, Any]:
    return {
        "command": "pointsman profile",
        "machine": machine(),
        "prompts": prompts,
        "repeats": repeats,
        "fleet": {
            m.name: {"threads": m.threads, "slots": m.slots, "context_tokens": m.context_tokens}
            for m in running
        },
        "meters": {
            t.name: {"name": t.meter.name, "modelled": t.meter.modelled, "description": t.meter.description}
            for t in targets
            if t.meter
        },
    }
