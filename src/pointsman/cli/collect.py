"""`pointsman collect`: ask real endpoints questions with known answers and keep the outcomes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
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
from pointsman.cli.collect_table import print_summary
from pointsman.clock import RealClock
from pointsman.collect.ask import Sampling
from pointsman.collect.judge import judge_records
from pointsman.collect.plugin_scorer import scorer_named
from pointsman.collect.runner import CollectOptions, Target, collect_answers
from pointsman.config import Config
from pointsman.data.draw import draw
from pointsman.data.journal import read_records
from pointsman.data.outcomes import write_outcomes
from pointsman.data.parquet import pyarrow
from pointsman.data.question_files import read_question_file
from pointsman.data.question_sets import SetQuestion, load_set
from pointsman.engines.fleet_model import FleetEndpoint
from pointsman.errors import BadRequest, EngineError
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
            help="Your own questions: .jsonl, or .csv with id, question, choices, subject, answer."
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

        pointsman train --outcomes collected --out quality
    """
    made = read_config(config)
    pyarrow()
    judge_text = scorer_named(scorer) if scorer else None
    asked = _questions(questions, named_set, data, per_task, limit, seed)
    options = CollectOptions(samples, concurrency, Sampling(temperature, seed, max_tokens))
    if not partial:
        identity = {
            "set": named_set or (questions.name if questions else None),
            "seed": seed,
            "temperature": temperature,
            "max_tokens": max_tokens,
        }
        with ExitStack() as stack:
            chosen = _chosen(made, endpoint or [])
            running = stack.enter_context(fleet_of(chosen)).endpoints() if chosen.fleet.models else ()
            asyncio.run(_collect(chosen, running, asked, out, options, identity))
    head, records = read_records(out / JOURNAL)
    cpu = machine()["cpu"]
    with Progress(*COLUMNS, console=Console(stderr=True)) as progress:
        task = progress.add_task("judging", total=sum("error" not in record for record in records))
        rows = judge_records(records, asked, cpu, scorer=judge_text, on_row=lambda: progress.advance(task))
    if not rows:
        last = next((record["error"] for record in reversed(records) if "error" in record), "none was asked")
        raise EngineError(
            f"no question was answered; the last one: {last}",
            remedy="Correct that and run again: it goes on where it was",
        )
    metadata = {
        "command": "pointsman collect",
        "machine": machine(),
        "scorer": scorer,
        "began_unix_s": head["origin_unix_s"],
        **head["run"],
    }
    write_outcomes(out, asked, rows, metadata)
    print_summary(rows, len(asked), samples)
    typer.echo(f"written: {out}; next: pointsman train --outcomes {out}")


def _questions(
    path: Path | None, named_set: str | None, data: Path, per_task: int | None, limit: int | None, seed: int
) -> tuple[SetQuestion, ...]:
    if (path is None) == (named_set is None):
        raise BadRequest(
            "give either a file of questions or --set", remedy="For example: pointsman collect --set mmlu"
        )
    found = read_question_file(path) if path else load_set(named_set or "", data)
    return draw(found, per_task=per_task, limit=limit, seed=seed)


def _chosen(config: Config, names: Sequence[str]) -> Config:
    """The configuration with the named endpoints alone, so that no other model is started."""
    if not names:
        return config
    known = [
        *(model.name for model in config.fleet.models),
        *(made.endpoint.name for made in config.endpoints),
    ]
    if unknown := [name for name in names if name not in known]:
        raise BadRequest(
            f"there is no endpoint {unknown[0]!r}", remedy=f"Configured: {', '.join(known) or 'none'}"
        )
    models = tuple(model for model in config.fleet.models if model.name in names)
    hosted = tuple(made for made in config.endpoints if made.endpoint.name in names)
    return replace(config, fleet=replace(config.fleet, models=models), endpoints=hosted)


async def _collect(
    config: Config,
    running: Sequence[FleetEndpoint],
    questions: Sequence[SetQuestion],
    out: Path,
    options: CollectOptions,
    identity: Mapping[str, Any],
) -> None:
    engines, meters = engines_of(config, running), meters_of(config, running)
    targets = [Target(name, engine, meters.get(name)) for name, engine in engines.items()]
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
