"""`pointsman demo`: the main job, end to end on real models."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pointsman.build import System, build_system, fleet_of, read_config
from pointsman.cli.fleet import pull_models
from pointsman.clock import Clock, RealClock
from pointsman.config import Config
from pointsman.data.questions import Question, load_questions, sample_questions
from pointsman.data.scoring import score
from pointsman.engines.fleet_launch import require_extra
from pointsman.engines.fleet_model import FleetEndpoint
from pointsman.errors import EngineError
from pointsman.live import LiveDriver
from pointsman.profile.prompts import ProfilePrompt, profile_prompts
from pointsman.report.comparison import (
    Answered,
    answer_line,
    choice_in_words,
    prediction_error,
    summary_table,
    write_answers,
)
from pointsman.types import AUTO, Decision, Disposition, Outcome, Prompt, Request, Weights

WEIGHTINGS: Final[Mapping[str, Weights]] = {
    "accuracy first": Weights(accuracy=0.8, energy=0.1, time=0.1),
    "energy first": Weights(accuracy=0.1, energy=0.8, time=0.1),
    "time first": Weights(accuracy=0.1, energy=0.1, time=0.8),
    "balanced": Weights(accuracy=4, energy=1, time=1),  # being right against both costs, 2 to 1
}
WARM_UP: Final = 6
"""Prompts a model before the questions: they tell how fast this machine is beside the profiled one."""

Questions = Annotated[int, typer.Option(min=1, max=153, help="How many of the shipped questions.")]
Budget = Annotated[float, typer.Option(min=1, help="Start no further question after this many seconds.")]


def demo(
    questions: Questions = 20,
    budget_s: Budget = 210.0,
    seed: Annotated[int, typer.Option(min=0, help="Which questions; equal seeds draw equal ones.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Four questions, to see that it works.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write every answer to this CSV file.")] = None,
) -> None:
    """Route real questions with known answers over three real models, under four weightings.

    Pulls the models (1.7 GB, once), starts them, sees how fast this machine is, then has each question
    answered for real: by whatever each weighting chooses, and by the largest and the smallest model
    always. Shows choice, reason, tokens, time, energy and whether it was right.

    For example:

        pointsman demo

        pointsman demo --questions 60 --budget-s 1200 --out answers.csv
    """
    # The summary is 88 wide; a pipe has no width of its own.
    console = Console(width=None if sys.stdout.isatty() else 100)
    config = read_config(None)
    require_extra()  # before 1.7 GB are pulled for nothing
    pull_models([model.weights for model in config.fleet.models if model.weights])
    console.print("[bold]Starting the fleet[/bold] (llama.cpp, one process a model, on this machine)")
    chosen = sample_questions(load_questions(), 4 if quick else questions, random.Random(seed))  # noqa: S311
    with fleet_of(config) as fleet:
        running = fleet.endpoints()
        for model in running:
            console.print(
                f"  {model.name} answers at {model.base_url}/v1, {model.threads} thread(s)", highlight=False
            )
        rows = asyncio.run(_route_all(config, running, chosen, budget_s, console))
    _conclude(console, rows, len(chosen), [model.name for model in config.fleet.models])
    if out:
        write_answers(out, rows)
        console.print(f"written: {out}")


async def _route_all(
    config: Config,
    running: Sequence[FleetEndpoint],
    questions: Sequence[Question],
    budget_s: float,
    console: Console,
) -> list[Answered]:
    clock = RealClock()
    system = build_system(config, running, clock)
    try:
        await _warm_up(system, console)
        console.print(f"\n[bold]Answering {len(questions)} questions[/bold], each under every strategy\n")
        return await _answer_all(system, questions, clock.now() + budget_s, clock, console)
    finally:
        await system.close()


async def _warm_up(system: System, console: Console) -> None:
    """Ask each model a few prompts of the profile's kind; the drift correction learns from them."""
    prompts = list(profile_prompts(WARM_UP, seed=0))
    ratios = []
    for endpoint in system.endpoints:
        measured = predicted = 0.0
        for number, prompt in enumerate(prompts):
            request = _request(f"warm-{endpoint.name}-{number}", prompt, endpoint.model, None)
            decision, outcome, _ = await _ask(system.driver, request)
            column = system.names.index(endpoint.name)
            measured += outcome.e2e_s or 0.0
            predicted += float(decision.predictions.time_s.value[0, column])
        ratios.append(f"{endpoint.name} {measured / predicted:.2f}x")
    console.print(
        f"\nPredictions: {system.predictor.provenance[system.names[0]]}; the others alike.\n"
        f"This machine, {WARM_UP} prompts a model: measured over predicted time "
        f"{', '.join(ratios)}; predictions are corrected as answers come.",
        highlight=False,
        soft_wrap=True,
    )


async def _answer_all(
    system: System, questions: Sequence[Question], until_s: float, clock: Clock, console: Console
) -> list[Answered]:
    largest, smallest = system.endpoints[-1].model, system.endpoints[0].model
    strategies: dict[str, tuple[str, Weights | None]] = {
        **{name: (AUTO, weights) for name, weights in WEIGHTINGS.items()},
        "always largest": (largest, None),
        "always smallest": (smallest, None),
    }
    rows: list[Answered] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("questions", total=len(questions))
        for question in questions:
            if clock.now() > until_s:
                break
            progress.console.print(
                f"[bold]{question.id}[/bold] {_first_line(question.prompt)}", highlight=False
            )
            for strategy, (model, weights) in strategies.items():
                request = _request(f"{question.id}-{strategy}", question, model, weights)
                decision, outcome, text = await _ask(system.driver, request)
                rows.append(await _judged(system, strategy, question, decision, outcome, text))
                progress.console.print(answer_line(rows[-1]))
            progress.advance(task)
    return rows


def _request(
    request_id: str, question: Question | ProfilePrompt, model: str, weights: Weights | None
) -> Request:
    text = question.prompt if isinstance(question, Question) else question.text
    body = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": question.max_tokens,
        "temperature": 0,
        "cache_prompt": False,  # every strategy pays for its own prompt
    }
    size = len(text.encode())
    return Request(
        request_id,
        Prompt(text, total_bytes=size),
        question.max_tokens,
        model=model,
        weights=weights,
        payload=json.dumps(body).encode(),
    )


async def _ask(driver: LiveDriver, request: Request) -> tuple[Decision, Outcome, str]:
    """Submit and read to the end. Raises: EngineError if it was not answered."""
    body = b""
    async with driver.submit(request) as handle:
        decision = await handle.settled()
        async for chunk in handle:
            body += chunk.data
    outcome = handle.outcome
    if decision is None or outcome is None or outcome.disposition is not Disposition.ANSWERED:
        raise EngineError(f"{request.id} was not answered: {outcome.reason if outcome else 'no outcome'}")
    return decision, outcome, json.loads(body)["choices"][0]["message"]["content"]


async def _judged(
    system: System, strategy: str, question: Question, decision: Decision, outcome: Outcome, text: str
) -> Answered:
    verdict = await asyncio.to_thread(score, question.answer, text)
    column = system.names.index(outcome.endpoint)
    predictions = decision.predictions
    pinned = strategy.startswith("always")
    return Answered(
        strategy=strategy,
        question_id=question.id,
        task=question.task,
        endpoint=outcome.endpoint,
        why="fixed" if pinned else choice_in_words(decision),
        input_tokens=outcome.input_tokens,
        output_tokens=outcome.output_tokens,
        predicted_time_s=float(predictions.time_s.value[0, column]),
        time_s=outcome.e2e_s,
        predicted_energy_j=float(predictions.energy_j.value[0, column]),
        energy_j=outcome.energy_j,
        energy_modelled=bool(outcome.energy_modelled),
        expected=float(predictions.quality.value[0, column]),
        correct=verdict.value,
        verdict=verdict.detail,
    )


def _first_line(text: str) -> str:
    line = text.strip().splitlines()[0]
    return line if len(line) <= 100 else line[:99] + "…"


def _conclude(console: Console, rows: Sequence[Answered], asked: int, endpoints: Sequence[str]) -> None:
    answered = len({row.question_id for row in rows})
    console.print()
    console.print(summary_table(rows, endpoints))
    console.print(
        f"{answered} of {asked} questions within the time budget. Times are measured, from sending to the last byte; "
        f"predicted times were off by {prediction_error(rows):.0%} on average.\n"
        f"{_energy_note(rows)}\n\n"
        "[bold]Talk to the same fleet[/bold] through any OpenAI client:\n\n"
        "    pointsman serve\n"
        "    curl http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \\\n"
        """      -d '{"model": "auto", "messages": [{"role": "user", "content": "What is 12 * 12?"}]}'\n\n"""
        "Ask why: [bold]pointsman route --prompt 'Explain reinforcement learning' --weight-accuracy 0.7 "
        "--weight-energy 0.2 --weight-time 0.1[/bold]",
        highlight=False,
        soft_wrap=True,
    )


def _energy_note(rows: Sequence[Answered]) -> str:
    if any(row.energy_modelled for row in rows):
        return (
            "Energy is modelled, not measured: no meter was found, so it is CPU seconds and memory times stated "
            "watts (pointsman config show)."
        )
    return "Energy is measured."
