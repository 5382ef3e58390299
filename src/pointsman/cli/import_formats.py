"""`pointsman import`: public files of others become our tables."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pointsman.cli.progress import progress
from pointsman.clock import RealClock
from pointsman.data.formats.importing import import_outcomes, import_trace
from pointsman.data.formats.lm_eval import read as read_lm_eval
from pointsman.data.formats.output import Source, Tally
from pointsman.data.formats.registry import LM_EVAL, OUTCOME_READERS, TRACE_READERS
from pointsman.data.outcomes import OUTCOMES, QUERIES
from pointsman.errors import BadRequest


def import_(
    format_name: Annotated[
        str, typer.Argument(metavar="FORMAT", help=", ".join([*OUTCOME_READERS, *TRACE_READERS]) + ".")
    ],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Packed with gzip or not.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Outcomes: the folder to write; a trace: the parquet file."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="What the column `dataset` says; the format's name by default.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="lm-eval: whose log it is; its folder's name by default.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="lm-eval: the metric that is the score.")] = None,
    only: Annotated[
        str | None, typer.Option("--filter", help="lm-eval: the filter whose answers count.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="End at the first bad line; write nothing.")
    ] = False,
) -> None:
    """Read the field's public formats into outcomes to train on, or into a trace of arrivals.

    Outcomes of routers' benchmarks (routellm, routerbench, llmrouter, routerarena, qaserve, lm-eval) become a
    folder that `train`, `calibrate` and `export` read; several files of one format become one. Traces (azure,
    mooncake, vllm-bench) become a parquet file. docs/formats.md says what each field becomes and what is lost.

    A bad line is reported by its number and left out; all of them stand in refused.txt beside what was written.
    Calls that failed at the source are counted and left out. No pickle is ever loaded.

    For example:

        pointsman import routerbench routerbench_0shot.csv.gz --out routerbench

        pointsman import lm-eval logs/*/samples_gsm8k_*.jsonl --metric exact_match --filter strict-match

        pointsman import azure AzureLLMInferenceTrace_conv.csv --out traces/conv.parquet
    """
    console, errors = Console(highlight=False), Console(stderr=True, highlight=False)
    given = {"model": model, "metric": metric, "filter": only}
    if format_name not in OUTCOME_READERS and format_name not in TRACE_READERS:
        raise BadRequest(
            f"there is no format {format_name!r}",
            remedy=f"Known: {', '.join([*OUTCOME_READERS, *TRACE_READERS])}",
        )
    if format_name != LM_EVAL and (wrong := [name for name, value in given.items() if value is not None]):
        raise BadRequest(f"--{wrong[0]} belongs to {LM_EVAL}, not to {format_name}", remedy="Leave it out")
    today = datetime.fromtimestamp(RealClock().wall(), UTC).date().isoformat()
    source = Source(format_name, tuple(files), today, dataset or format_name, given, strict)
    with progress() as say:
        if format_name in TRACE_READERS:
            written = out or Path(f"{format_name}.parquet")
            _check_trace(files, written, dataset)
            tally = import_trace(*TRACE_READERS[format_name], source, written, say)
        else:
            written = out or Path(format_name)
            _check_free(written / QUERIES, written / OUTCOMES)
            reader = OUTCOME_READERS[format_name]
            if format_name == LM_EVAL:
                reader = partial(read_lm_eval, model=model, metric=metric, only=only)
            tally = import_outcomes(reader, source, written, say)
    _report_refused(errors, tally, written)
    console.print(_summary(tally))
    console.print(f"written: {written}", soft_wrap=True, markup=False)


def _check_trace(files: list[Path], path: Path, dataset: str | None) -> None:
    if len(files) > 1:
        raise BadRequest(f"a trace is of one file, not of {len(files)}", remedy="Import each by itself")
    if dataset is not None:
        raise BadRequest("--dataset belongs to outcomes, not to a trace", remedy="Leave it out")
    if path.is_dir():
        raise BadRequest(f"{path} is a folder", remedy="Name a parquet file with --out")
    _check_free(path)


def _check_free(*paths: Path) -> None:
    for path in paths:
        if path.exists():
            raise BadRequest(f"{path} is there already", remedy="Give another --out, or remove it first")


def _report_refused(errors: Console, tally: Tally, written: Path) -> None:
    if not tally.refused:
        return
    for line in tally.shown:
        errors.print(f"refused: {line}", markup=False, soft_wrap=True)
    log = written.with_name(written.name + ".refused.txt") if written.is_file() else written / "refused.txt"
    errors.print(f"refused: {tally.refused:,} in all; each stands in {log}", markup=False, soft_wrap=True)


def _summary(tally: Tally) -> str:
    if tally.queries:
        done = f"{tally.queries:,} queries, {tally.models:,} models, {tally.rows:,} answers"
    else:
        done = f"{tally.rows:,} requests"
    left = [
        f"{what}: {count:,}"
        for count, what in ((tally.refused, "lines refused"), (tally.failed_calls, "failed calls left out"))
        if count
    ]
    return "; ".join(["imported: " + done, *left])
