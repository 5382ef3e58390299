"""`pointsman route`: where a prompt would run, every term of why, and what would change it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pointsman.assign.explanation import (
    Explanation,
    Term,
    flip_text,
    limit_text,
    quantity,
    score_text,
    weights_text,
)
from pointsman.build import build_system, fleet_of
from pointsman.cli.preview import (
    AccuracyWeight,
    CarbonWeight,
    ConfigFile,
    EnergyWeight,
    FitFile,
    MaxEnergyJ,
    MaxPriceUsd,
    MaxTokens,
    MinQuality,
    Preview,
    PriceWeight,
    PromptFile,
    PromptText,
    TimeWeight,
    configured,
    given_limits,
    given_weights,
    preview,
    prompt_request,
    read_prompt,
)
from pointsman.clock import RealClock
from pointsman.config import AdmissionConfig, Config, PolicyConfig
from pointsman.engines.fleet_model import FleetEndpoint
from pointsman.errors import EngineError
from pointsman.types import AUTO, CostTable, Disposition, Outcome

_SHOWN_PROMPT = 72


def route(
    prompt: PromptText = None,
    prompt_file: PromptFile = None,
    weight_accuracy: AccuracyWeight = None,
    weight_energy: EnergyWeight = None,
    weight_time: TimeWeight = None,
    weight_price: PriceWeight = None,
    weight_carbon: CarbonWeight = None,
    min_quality: MinQuality = None,
    max_price_usd: MaxPriceUsd = None,
    max_energy_j: MaxEnergyJ = None,
    max_tokens: MaxTokens = None,
    model: Annotated[
        str,
        typer.Option(
            "--model", help="Pin a model; `auto` lets the policy choose; or a policy: router-floor-0.7."
        ),
    ] = AUTO,
    config: ConfigFile = None,
    fit: FitFile = None,
    run: Annotated[bool, typer.Option("--run", help="Run it on the chosen endpoint.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show where a prompt would run: the ranking, every term of every score, what would change it.

    Weights are any numbers from 0 up; their proportions count. Without any, those of the
    configuration hold. Endpoints that are predicted to break a limit are left out, whatever the policy.

    For example:

        pointsman route --prompt "Explain reinforcement learning" --weight-accuracy 0.7 \
--weight-energy 0.2 --weight-time 0.1

        pointsman route --prompt-file question.txt --weight-energy 1 --run

        pointsman route --prompt "What is 2 + 2?" --min-quality 0.4 --max-energy-j 20
    """
    text = read_prompt(prompt, prompt_file)
    weights = given_weights(weight_accuracy, weight_energy, weight_time, weight_price, weight_carbon)
    limits = given_limits(min_quality, max_price_usd, max_energy_j)
    made = configured(config, fit)
    seen = preview(made, prompt_request(text, max_tokens, weights, made, model, limits))
    explanation = seen.explanation()
    runs = run and seen.decision.endpoint is not None
    outcome, answer = _run(seen) if runs else (None, None)
    if as_json:
        print(json.dumps(_document(seen, explanation, outcome, answer), indent=2, allow_nan=False))
        return
    console = Console(highlight=False)
    _print_explanation(console, seen, explanation)
    if outcome is not None:
        _print_outcome(console, seen, outcome, answer or "")
    elif run:
        console.print("\nIt was not run.")


def _print_explanation(console: Console, seen: Preview, made: Explanation) -> None:
    console.print(f"[bold]{escape(_shortened(seen.request.prompt.text))}[/bold]")
    if made.endpoint:
        console.print(f"{made.action} on [bold green]{escape(made.endpoint)}[/]: {escape(made.reason)}")
    else:
        console.print(f"{made.action}: {escape(made.reason)}")
    if made.weighed is not None:
        console.print(f"admission: {escape(made.weighed.text())}")
    if made.weights is not None:
        console.print(f"weights {weights_text(made.weights)}")
    if made.bypassed:
        console.print("[yellow]A predictor failed or was late: these predictions are priors.[/]")
    for limit in made.limits:
        console.print(limit_text(limit))
    console.print(_ranking(made))
    console.print(_two_columns(_remarks(made)))
    if made.flips:
        console.print("\nWhat would have changed the choice")
        console.print(_two_columns([(flip.endpoint, flip_text(flip, made.weights)) for flip in made.flips]))


def _ranking(made: Explanation) -> Table:
    """One row an endpoint, one column an objective: value, interval, weight x cost = product."""
    terms = made.candidates[0].terms if made.candidates else ()
    shown = [k for k, term in enumerate(terms) if term.weight > 0 or _is_known(made, k)]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, leading=1)
    table.add_column("endpoint", overflow="fold")
    table.add_column("score")
    for k in shown:
        table.add_column(terms[k].objective)
    for rank, candidate in enumerate(made.candidates, start=1):
        name = f"{rank} {escape(candidate.endpoint)}" + ("\n[green]chosen[/]" if candidate.chosen else "")
        score = "-" if candidate.score is None else score_text(candidate.score)
        table.add_row(name, score, *(_cell(candidate.terms[k]) for k in shown))
    return table


def _is_known(made: Explanation, k: int) -> bool:
    return any(candidate.terms[k].value for candidate in made.candidates)


def _cell(term: Term) -> str:
    """Four short lines, so that three objectives fit into 80 columns."""
    value, _, interval = term.value_text().partition(" (")
    lines = [value, f"[dim]{interval.rstrip(')')}[/]"]
    if term.product is not None and term.weight > 0:
        cost = f"{term.normalised:.3g}" if term.raw else f"{term.normalised:.3f}"
        lines += [f"{term.weight:.3g} x {cost}", f"= {score_text(term.product)}"]
    return "\n".join(lines)


def _remarks(made: Explanation) -> list[tuple[str, str]]:
    """(endpoints, what to know of them); endpoints of which the same is to be said share a line."""
    said: dict[str, list[str]] = {}
    for candidate in made.candidates:
        if candidate.dominated_by:
            by = ", ".join(candidate.dominated_by)
            said.setdefault(f"Pareto-dominated by {by} (accuracy, energy, time, price)", []).append(
                candidate.endpoint
            )
    for candidate in made.candidates:
        for note in candidate.notes:
            said.setdefault(note, []).append(candidate.endpoint)
    for endpoint, why in made.excluded:
        said.setdefault(f"excluded: {why}", []).append(endpoint)
    everyone = [candidate.endpoint for candidate in made.candidates]
    return [("all" if names == everyone else ", ".join(names), remark) for remark, names in said.items()]


def _two_columns(rows: Sequence[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", max_width=24, overflow="fold")
    grid.add_column()
    for name, text in rows:
        grid.add_row(escape(name), escape(text))
    return grid


def _shortened(text: str) -> str:
    line = " ".join(text[: 4 * _SHOWN_PROMPT].split())
    return line if len(line) <= _SHOWN_PROMPT else line[: _SHOWN_PROMPT - 1] + "…"


def _document(
    seen: Preview, made: Explanation, outcome: Outcome | None, answer: str | None
) -> dict[str, Any]:
    table = seen.decision.predictions
    tokens = {
        name: {"input_tokens": table.input_tokens[0, e], "output_tokens": table.output_tokens.value[0, e]}
        for e, name in enumerate(table.endpoints)
    }
    document = made.to_dict() | {"tokens": tokens}
    if outcome is not None:
        fields = (
            "endpoint",
            "input_tokens",
            "output_tokens",
            "ttft_s",
            "e2e_s",
            "energy_j",
            "energy_modelled",
        )
        document["outcome"] = {name: getattr(outcome, name) for name in fields} | {"answer": answer}
    return document


# Running it


def _run(seen: Preview) -> tuple[Outcome, str]:
    """Start what is needed, run the request, stop what was started. Raises: EngineError, MissingError."""
    chosen = seen.decision.endpoint
    config = seen.config
    alone = replace(
        config,
        policy=PolicyConfig(),  # one endpoint is left, whatever the policy was
        admission=AdmissionConfig(),
        fleet=replace(config.fleet, models=tuple(m for m in config.fleet.models if m.name == chosen)),
        endpoints=tuple(made for made in config.endpoints if made.endpoint.name == chosen),
    )
    if not alone.fleet.models:
        return asyncio.run(_ask(seen, alone, ()))
    with Console(stderr=True).status(f"starting {chosen}"), fleet_of(alone) as fleet:
        return asyncio.run(_ask(seen, alone, fleet.endpoints()))


async def _ask(seen: Preview, alone: Config, running: tuple[FleetEndpoint, ...]) -> tuple[Outcome, str]:
    system = build_system(alone, running, RealClock())
    body = b""
    try:
        # Whether and where it runs has been decided, over all endpoints; one alone might be skipped.
        async with system.driver.submit(replace(seen.request, router=None, limits=None)) as handle:
            await handle.settled()
            async for chunk in handle:
                body += chunk.data
        outcome = handle.outcome
    finally:
        await system.close()
    if handle.error is not None:
        raise handle.error
    if outcome is None or outcome.disposition is not Disposition.ANSWERED:
        raise EngineError(f"not answered: {outcome.reason if outcome else 'no outcome'}")
    return outcome, json.loads(body)["choices"][0]["message"]["content"] or ""


def _print_outcome(console: Console, seen: Preview, outcome: Outcome, answer: str) -> None:
    table = seen.decision.predictions
    column = table.endpoints.index(outcome.endpoint)
    console.print(f"\n[bold]{escape(outcome.endpoint)} answers[/bold]\n{escape(answer)}\n")
    shown = Table("", "measured", "predicted", box=None, pad_edge=False)
    shown.add_row("input tokens", str(outcome.input_tokens), f"{table.input_tokens[0, column]:.0f}")
    shown.add_row("output tokens", str(outcome.output_tokens), _predicted(table, "output_tokens", column, ""))
    shown.add_row("time", _measured(outcome.e2e_s, "s"), _predicted(table, "time_s", column, "s"))
    energy = _measured(outcome.energy_j, "J") + (", modelled" if outcome.energy_modelled else "")
    shown.add_row("energy", energy, _predicted(table, "energy_j", column, "J"))
    console.print(shown)


def _measured(value: float | None, unit: str) -> str:
    return "not measured" if value is None else quantity(value, unit)


def _predicted(table: CostTable, field: str, column: int, unit: str) -> str:
    estimate = getattr(table, field)
    value, low, high = (float(part[0, column]) for part in (estimate.value, estimate.low, estimate.high))
    if low != low:  # noqa: PLR0124 - NaN: it has no interval
        return f"{quantity(value, unit)} (no interval)"
    return f"{quantity(value, unit)} ({low:.3g} to {high:.3g})"
