"""`pointsman run`: execute a plan on its endpoints, within their limits, resumable."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from pointsman.batch.journal import End, ResultJournal, open_journal
from pointsman.batch.plan_file import BAD, SKIPPED, WAITING, PlannedRows, read_plan
from pointsman.batch.requests import fingerprint
from pointsman.batch.results import Spent, write_results, write_waiting
from pointsman.batch.runner import Work, open_rows, run_plan
from pointsman.build import body_reader_of, build_batch, fleet_of, read_config
from pointsman.cli.collect import COLUMNS
from pointsman.cli.collect_inputs import only_endpoints
from pointsman.clock import RealClock
from pointsman.config import Config
from pointsman.engines.fleet_model import FleetEndpoint
from pointsman.errors import DataError, EngineError

INTERRUPTED: Final = 130
_SHOWN_CHARS: Final = 60
_UNRUN: Final = {
    BAD: "lines could not be run; their results say why",
    SKIPPED: "were skipped, as planned; their results say so",
    WAITING: "wait for a later batch: --waiting-out FILE writes them as a batch file",
}


def run(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="What `pointsman assign` wrote.")],
    out: Annotated[
        Path | None, typer.Option(help="The results; beside the plan, as NAME.results.jsonl, by default.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--endpoints", "--config", help="Another configuration with the same endpoints."),
    ] = None,
    requests: Annotated[
        Path | None, typer.Option(help="The batch file, if it has moved since it was planned.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask again also what an endpoint refused as it is.")
    ] = False,
    waiting_out: Annotated[
        Path | None,
        typer.Option(
            help="Write the requests that wait for a later batch there, as a batch file to plan again."
        ),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--export-partial", help="Ask nothing: write the results that are there.")
    ] = False,
) -> None:
    """Execute a plan: each request on its endpoint, never more at once than the endpoint's slots.

    Stopped or killed at any point, it goes on where it was when run again: answers are kept in a journal
    (OUT.journal) as they come, and only a request that was out at that moment is asked again, as are those that
    failed. The results, one line for each line of the batch file in its order and in OpenAI's batch format,
    are written at the end. Exit code 6 says that requests failed, or that an endpoint is dead.
    Skipped requests have the gateway's answer to these as their result; those that wait have none.

    For example:

        pointsman run requests.plan.jsonl

        pointsman run requests.plan.jsonl --retry-failed

        pointsman run requests.plan.jsonl --waiting-out tomorrow.jsonl
    """
    planned = read_plan(plan)
    out = out or plan.with_name(f"{plan.name.removesuffix('.jsonl').removesuffix('.plan')}.results.jsonl")
    work_file = requests or Path(planned.head.requests)
    if (waiting_out or not partial) and fingerprint(work_file) != planned.head.file:
        raise DataError(
            f"{work_file} is not the file that was planned", remedy="Plan it anew with: pointsman assign"
        )
    failure: EngineError | None = None
    with open_journal(out.with_name(f"{out.name}.journal"), planned.id, planned.head.rows) as journal:
        wanted = open_rows(planned, journal, retry_refused=retry_failed)
        if not partial and wanted.any():
            made = _config(planned, config, wanted)
            with ExitStack() as stack:
                running = stack.enter_context(fleet_of(made)).endpoints() if made.fleet.models else ()
                try:
                    asyncio.run(_run(made, running, planned, work_file, journal, wanted))
                except EngineError as error:
                    failure = error
                except KeyboardInterrupt:
                    left = int(open_rows(planned, journal, retry_refused=False).sum())
                    typer.echo(f"stopped with {left:,} requests to go; the same command goes on", err=True)
                    raise typer.Exit(INTERRUPTED) from None
        spent = write_results(out, planned, journal)
    _print_spent(planned, spent)
    typer.echo(f"written: {out}")
    if waiting_out is not None:
        count = write_waiting(waiting_out, planned, work_file)
        typer.echo(f"written: {waiting_out}, {count:,} requests; next: pointsman assign {waiting_out}")
    if failure is not None:
        raise failure
    if failures := sum(own.ends[End.FAILED] for own in spent.values()):
        raise EngineError(
            f"{failures:,} requests failed", remedy="Run the same command again: it asks them again"
        )


def _config(planned: PlannedRows, path: Path | None, wanted: NDArray[np.bool_]) -> Config:
    """The configuration, with the endpoints alone that have something to do. Raises: BadRequest, ConfigError."""
    named = path or (Path(planned.head.config) if planned.head.config else None)
    used = [planned.head.endpoints[column] for column in np.unique(planned.endpoint[wanted]).tolist()]
    return only_endpoints(read_config(named), used)


async def _run(
    config: Config,
    running: Sequence[FleetEndpoint],
    planned: PlannedRows,
    requests: Path,
    journal: ResultJournal,
    wanted: NDArray[np.bool_],
) -> None:
    """Ask what is open, and show how it goes."""
    system, pin = build_batch(config, running, RealClock())
    parse = body_reader_of(config, any_model=planned.head.any_model)
    work = Work(planned, requests, parse, pin, system.endpoints)
    counts = {name: Counter[End]() for name in system.names}
    try:
        with Progress(*COLUMNS, console=Console(stderr=True)) as progress:
            tasks = {}
            for name in system.names:
                own = planned.endpoint == planned.head.endpoints.index(name)
                done, total = int((own & ~wanted).sum()), int(own.sum())
                tasks[name] = progress.add_task(escape(name), total=total, completed=done)

            def on_result(name: str, end: End, why: str) -> None:
                counts[name][end] += 1
                said = f"{name}{_failures(counts[name])}" + (f": {why[:_SHOWN_CHARS]}" if why else "")
                progress.update(tasks[name], advance=1, description=escape(said))

            await run_plan(work, system.driver, journal, wanted, on_result)
    finally:
        await system.close()


def _failures(ends: Counter[End]) -> str:
    said = [f"{ends[end]:,} {end}" for end in (End.FAILED, End.REFUSED) if ends[end]]
    return f" ({', '.join(said)})" if said else ""


def _print_spent(planned: PlannedRows, spent: Mapping[str, Spent]) -> None:
    """What each endpoint did, and what the whole plan expected."""
    table = Table(title="Ran", title_justify="left", box=None, padding=(0, 1, 0, 0))
    for head in ("endpoint", "answered", "failed", "refused", "open", "$", "J", "slot s"):
        table.add_column(head, justify="left" if head == "endpoint" else "right", no_wrap=head == "endpoint")
    for column, (name, own) in enumerate(spent.items()):
        rows = int((planned.endpoint == column).sum())
        table.add_row(
            escape(name),
            *(f"{own.ends[end]:,}" for end in (End.ANSWERED, End.FAILED, End.REFUSED)),
            f"{rows - own.ends.total():,}",
            _figure(own.price_usd),
            _figure(own.energy_j) + (" modelled" if own.energy_modelled else ""),
            _figure(own.slot_s),
        )
    expected = planned.head.expected
    sums = (expected.price_usd, expected.energy_j, expected.time_s)
    table.add_row("all, as planned", *[""] * 4, *map(_figure, sums))
    console = Console(highlight=False)
    console.print(table)
    if refused := sum(own.ends[End.REFUSED] for own in spent.values()):
        console.print(f"{refused:,} were refused as they are: --retry-failed asks them again")
    for column, said in _UNRUN.items():
        if count := int((planned.endpoint == column).sum()):
            console.print(f"{count:,} {said}")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:,.3g}"
