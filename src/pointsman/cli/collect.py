"""`pointsman collect`: ask real endpoints questions with known answers and keep the outcomes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Final

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
from pointsman.cli.collect_inputs import only_endpoints, questions_of
from pointsman.cli.collect_table import print_summary
from pointsman.clock import RealClock
from pointsman.collect.ask import Sampling
from pointsman.collect.judge import judge_records
from pointsman.collect.plugin_scorer import Scorer, scorer_named
from pointsman.collect.runner import CollectOptions, Target, collect_answers
from pointsman.config import Config
from pointsman.data.journal import read_records
from pointsman.data.outcomes import OutcomeRow, read_outcome_rows, write_outcomes
from pointsman.data.parquet import pyarrow
from pointsman.data.question_sets import SetQuestion
from pointsman.engines.fleet_model import FleetEndpoint
from pointsman.errors import DataError, EngineError
from pointsman.profile.machine import machine

JOURNAL: Final = "answers.journal"
COLUMNS: Final = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
    TimeRemainingColumn(),
)


def collect(
    questions: Annotated[
        Path | None,
        typer.Argument(
            help="Your own questions: .jsonl, or .csv with id, question, subject, answer and, for multiple choice, "
            "columns A, B, ... (or a JSON list in choices); answer is then a letter."
        ),
    ] = None,
    named_set: Annotated[
        str | None, typer.Option("--set", help="A set of the shared data instead: mmlu, gsm8k or mbpp.")
    ] = None,
    data: Annotated[
        Path, typer.Option(envvar="POINTSMAN_DATA", help="The shared data: the folder that holds `outcomes`.")
    ] = Path("data"),
    out: Annotated[Path, typer.Option(help="The folder to write.")] = Path("collected"),
    config: Annotated[
        Path | None, typer.Option(help="Which endpoints; the embedded fleet by default.")
    ] = None,
    endpoint: Annotated[
        list[str] | None, typer.Option(help="Ask only this one; may be given again. All by default.")
    ] = None,
    per_task: Annotated[int | None, typer.Option(help="At most so many questions of a task.")] = None,
    limit: Annotated[
        int | None, typer.Option(help="At most so many questions, over all tasks alike.")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1, max=100, help="Answers a question; the first is greedy.")
    ] = 1,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="Of the samples after the first.")] = 0.7,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest answer; by the kind of question by default.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds draw equal questions in equal order.")] = 0,
    concurrency: Annotated[
        int, typer.Option(min=1, max=256, help="Questions outstanding; 1 measures the time of one alone.")
    ] = 1,
    scorer: Annotated[
        str | None, typer.Option(help="Judge texts by this installed plugin of `pointsman.scorer`.")
    ] = None,
    answered: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ask nothing: take these outcomes, which name questions by id."),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--export-partial", help="Ask nothing: write what a running journal holds.")
    ] = False,
) -> None:
    """Ask real endpoints questions with known answers, and keep how well each did: data to learn from.

    Questions are asked zero-shot. Multiple choice is judged by the likeliest option at the first token and
    by the text, mathematics by the number, code by its tests in a sandbox. Stopped, it goes on where it
    was when run again. Writes queries.parquet and outcomes.parquet for `pointsman train`, and every sample
    with its log-probabilities, time and energy to samples.parquet.

    For example:

        pointsman collect my-questions.csv --out collected

        pointsman collect --set mmlu --data ../shared/data --per-task 27 --endpoint qwen2.5-coder-1.5b

        pointsman collect --set gsm8k --data ../shared/data --limit 200 --samples 3 --concurrency 4

        pointsman collect --set gsm8k --data ../shared/data --answered bench/data/fleet_gsm8k.parquet

        pointsman train --outcomes collected --out quality
    """
    made = only_endpoints(read_config(config), endpoint or [])
    pyarrow()  # before anything is asked
    judge_text = scorer_named(scorer) if scorer else None
    asked = questions_of(questions, named_set, data, per_task, limit, seed)
    if answered is not None:
        rows, asked = _taken(answered, asked, endpoint or [], out)
        print_summary(rows, len(asked), 1 + max(row.sample for row in rows))
        typer.echo(f"written: {out}; next: pointsman train --outcomes {out}")
        return
    met: dict[str, str] = {}
    if not partial:
        identity = {
            "set": named_set or (questions.name if questions else None),
            "seed": seed,
            "temperature": temperature,
            "max_tokens": max_tokens,
        }
        options = CollectOptions(samples, concurrency, Sampling(temperature, seed, max_tokens))
        with ExitStack() as stack:
            running = stack.enter_context(fleet_of(made)).endpoints() if made.fleet.models else ()
            met = asyncio.run(_collect(made, running, asked, out, options, identity))
    rows = _judged(out, asked, judge_text, {"scorer": scorer, "meters": met})
    print_summary(rows, len(asked), samples)
    typer.echo(f"written: {out}; next: pointsman train --outcomes {out}")


async def _collect(
    config: Config,
    running: Sequence[FleetEndpoint],
    questions: Sequence[SetQuestion],
    out: Path,
    options: CollectOptions,
    identity: Mapping[str, Any],
) -> dict[str, str]:
    """Ask; gives each endpoint's meter in words."""
    engines, meters = engines_of(config, running), meters_of(config, running)
    targets = [Target(name, engine, meters.get(name)) for name, engine in engines.items()]
    met = {target.name: target.meter.description for target in targets if target.meter}
    done: Counter[str] = Counter()
    try:
        with Progress(*COLUMNS, console=Console(stderr=True)) as progress:
            total = len(questions) * options.samples
            tasks = {target.name: progress.add_task(target.name, total=total) for target in targets}

            def on_record(record: Mapping[str, Any]) -> None:
                name, error = record["model"], record.get("error")
                done[name] += error is None
                failed = f" (failing: {error[:60]})" if error else ""
                progress.update(tasks[name], completed=done[name], description=name + failed)

            await collect_answers(
                targets, questions, out / JOURNAL, RealClock(), options, identity, on_record
            )
    finally:
        for engine in engines.values():
            await engine.close()
        for meter in set(meters.values()):
            meter.close()
    return met


def _taken(
    path: Path, questions: Sequence[SetQuestion], endpoints: Sequence[str], out: Path
) -> tuple[list[OutcomeRow], tuple[SetQuestion, ...]]:
    """Write outcomes that were collected before, with the texts of those of these questions that they are of.

    Raises: DataError where there is none.
    """
    table = read_outcome_rows(path)
    known = {question.id for question in questions}
    rows = [row for row in table.rows if row.query_id in known and (not endpoints or row.model in endpoints)]
    if not rows:
        raise DataError(
            f"{path} holds no answer to these {len(questions)} questions",
            remedy="Name the --set or file whose ids it has",
        )
    there = {row.query_id for row in rows}
    own = tuple(question for question in questions if question.id in there)
    write_outcomes(out, own, rows, table.metadata)
    return rows, own


def _judged(
    out: Path, questions: Sequence[SetQuestion], judge_text: Scorer | None, notes: Mapping[str, Any]
) -> list[OutcomeRow]:
    """Judge what the journal holds and write it. Raises: EngineError where nothing was answered."""
    head, records = read_records(out / JOURNAL)
    this = machine()
    with Progress(*COLUMNS, console=Console(stderr=True)) as progress:
        task = progress.add_task("judging", total=len(records))
        rows = judge_records(
            records, questions, this["cpu"], scorer=judge_text, on_row=lambda: progress.advance(task)
        )
        progress.update(task, total=len(rows))
    if not rows:
        last = next((record["error"] for record in reversed(records) if "error" in record), "none was asked")
        raise EngineError(
            f"no question was answered; the last one: {last}",
            remedy="Correct that and run again: it goes on where it was",
        )
    metadata = {
        "command": "pointsman collect",
        "machine": this,
        **notes,
        "began_unix_s": head["origin_unix_s"],
        **head["run"],
    }
    write_outcomes(out, questions, rows, metadata)
    return rows
