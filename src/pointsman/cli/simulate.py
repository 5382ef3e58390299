"""`pointsman simulate`: what orders of the queue would come to, in virtual time."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Annotated

import typer

from pointsman.build import endpoints_of, read_config
from pointsman.build.policies import admit_policy_of, assign_policy_of
from pointsman.cli.progress import progress
from pointsman.cli.simulate_inputs import Requests, Source, sites_of
from pointsman.cli.simulate_table import print_runs
from pointsman.errors import BadRequest, ConfigError
from pointsman.report.simulation_plot import Curve, LoadLine, draw_cdfs, draw_loads
from pointsman.sim.compare import Run, compare
from pointsman.sim.measures import Goal
from pointsman.sim.result import SimResult
from pointsman.sim.served import ORDERS, OrderSettings, Serving, serve
from pointsman.types import Endpoint


def simulate(
    config: Annotated[
        Path | None, typer.Argument(help="Endpoints and policies; the embedded fleet by default.")
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(help="Parquet with arrival_s, input_tokens, output_tokens (predicted_tokens)."),
    ] = None,
    burst: Annotated[int | None, typer.Option(min=1, max=1_000_000, help="So many requests at once.")] = None,
    rate: Annotated[float | None, typer.Option(help="Requests a second.")] = None,
    load: Annotated[
        str | None, typer.Option(help="Shares of what the engines can serve, with commas, as 0.7,0.9.")
    ] = None,
    cv: Annotated[
        float, typer.Option(help="Variation of the gaps of --rate and --load; 1 is Poisson.")
    ] = 1.0,
    requests: Annotated[
        int, typer.Option(min=1, max=10_000_000, help="How many, of --rate and --load.")
    ] = 2_000,
    lengths: Annotated[
        Path | None,
        typer.Option(help="Parquet with input_tokens, output_tokens (predicted_tokens) to draw from."),
    ] = None,
    prompt_tokens: Annotated[int, typer.Option(min=1, max=10_000_000, help="Without --lengths.")] = 100,
    output_tokens: Annotated[
        int, typer.Option(min=1, max=10_000_000, help="Mean of geometric answers, without --lengths.")
    ] = 200,
    noise: Annotated[
        float,
        typer.Option(
            min=0, max=10, help="Without predicted_tokens: they are the lengths times a log-normal of this."
        ),
    ] = 0.5,
    order: Annotated[
        str,
        typer.Option(
            "--compare",
            "--order",
            help="fcfs, sjf, ranked, ranked+preemption, ranked+promotion, bounded, mlfq.",
        ),
    ] = "fcfs,ranked,bounded,sjf",
    place: Annotated[str, typer.Option(help="Where the order is: gateway, engine or both.")] = "gateway",
    lead: Annotated[int, typer.Option(min=0, help="What the gateway sends beyond an engine's slots.")] = 0,
    engine: Annotated[
        list[str] | None, typer.Option(help="How fast an engine is: ENGINE, or NAME=ENGINE of an endpoint.")
    ] = None,
    slots: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="Of each engine; its max_concurrent by default.")
    ] = None,
    step_tokens: Annotated[
        int, typer.Option(min=1, help="What an engine computes in a step at most.")
    ] = 2048,
    kv_blocks: Annotated[int, typer.Option(min=1, help="Of 16 tokens, of each engine.")] = 60_000,
    stretch: Annotated[float, typer.Option(min=0, help="Of bounded.")] = 1.0,
    cap_tokens: Annotated[float, typer.Option(min=1, help="Of bounded: predicted tokens that count.")] = 4096,
    quantum_tokens: Annotated[int, typer.Option(min=1, help="Of mlfq, its first level's.")] = 32,
    ttft_s: Annotated[float, typer.Option(min=0, help="Goal: to the first token.")] = inf,
    tpot_s: Annotated[float, typer.Option(min=0, help="Goal: a token after it.")] = inf,
    e2e_s: Annotated[float, typer.Option(min=0, help="Goal: to the last.")] = inf,
    seeds: Annotated[int, typer.Option(min=1, max=1_000, help="Runs, each with other requests.")] = 1,
    out: Annotated[Path | None, typer.Option(help="CSV with every measure of every run.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="PNG and SVG: shares of requests by latency, or latency against load.")
    ] = None,
) -> None:
    """Simulate orders of the queue, with the scheduler that serves and an engine in virtual time.

    Says of each order how long first tokens, further tokens and answers take, what a token takes over all, and the
    longest wait for one; how many keep the goal; what is preempted. With --seeds means have 95% intervals. Choices of
    endpoints and admission are the configuration's; quality is not simulated, so that all answers count as alike.

    For example:

        pointsman simulate --engine llama2-70b-a100-x8 --slots 128 --burst 2000 --seeds 5

        pointsman simulate config.yaml --engine large=llama2-70b-h100-x8 --trace trace.parquet --compare fcfs,bounded

        pointsman simulate --load 0.5,0.7,0.9 --cv 2 --compare fcfs,ranked,bounded --plot load.png --out load.csv
    """
    loads = _loads(load)
    source = Source(
        trace, lengths, burst, rate, cv, requests, float(prompt_tokens), float(output_tokens), noise
    )
    source.check(loads)
    made = read_config(config)
    endpoints = endpoints_of(made)
    if not endpoints:
        raise ConfigError(f"{made.file} has no endpoint", remedy="Add one to model_list")
    if config is None and engine and not any("=" in word for word in engine):
        endpoints = (Endpoint("engine", engine[-1]),)  # none of the fleet's
    sites = sites_of(endpoints, engine or [], slots, step_tokens, kv_blocks)
    settings = OrderSettings(stretch=stretch, cap_tokens=cap_tokens, quantum_tokens=quantum_tokens)
    servings = {name: Serving(name, place, lead, settings) for name in _words(order)}
    if not servings:
        raise BadRequest(f"--compare names no order: {order!r}", remedy=f"Choose among {', '.join(ORDERS)}")
    for serving in servings.values():
        serving.check()
    drawn = Requests(source, sites)
    names = [site.endpoint for site in sites]

    def simulate_one(name: str, at_load: float | None, seed: int) -> SimResult:
        admit, assign = admit_policy_of(made), assign_policy_of(made, names)
        workload = drawn.draw(at_load, seed)
        return serve(workload, sites, servings[name], admit=admit, assign=assign, seed=seed)

    with progress() as say:
        goal = Goal(ttft_s, tpot_s, e2e_s)
        runs = compare(list(servings), loads or [None], range(1, seeds + 1), simulate_one, goal, say)
    print_runs(runs)
    if not drawn.predicted:
        typer.echo(f"predictions: the lengths themselves times a log-normal of {noise:g}")
    for site in sites:
        error = "" if site.times.error is None else f", fitted within {site.times.error:.1%}"
        typer.echo(
            f"{site.endpoint.name}: {site.limits.slots} slots, {site.times.name}{error}, {site.times.source}"
        )
    if out is not None:
        _write(runs, out)
        typer.echo(f"written: {out}")
    if plot is not None:
        for path in _draw(runs, plot):
            typer.echo(f"written: {path}")


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _loads(text: str | None) -> list[float | None]:
    found: list[float | None] = []
    for word in _words(text or ""):
        try:
            found.append(float(word))
        except ValueError:
            found.append(inf)
        if not 0 < (found[-1] or 0) <= 10:
            raise BadRequest(f"--load {word!r} is no load", remedy="Give shares above 0 up to 10, as 0.7,0.9")
    return found


def _write(runs: Sequence[Run], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["order", "load", "seed", *(name.replace(" ", "_") for name in runs[0].figures[0])])
        for run in runs:
            for seed, figures in enumerate(run.figures, 1):
                writer.writerow([run.order, "" if run.load is None else run.load, seed, *figures.values()])


def _draw(runs: Sequence[Run], path: Path) -> list[Path]:
    """Latency against load where there are several, else the shares of requests by latency."""
    if len({run.load for run in runs}) == 1:
        curves = [Curve(run.order, run.curves["ttft_s"], run.curves["token_s"]) for run in runs]
        return draw_cdfs(curves, path)
    lines = []
    for order in dict.fromkeys(run.order for run in runs):
        mine = [run for run in runs if run.order == order]
        lines.append(
            LoadLine(
                order,
                [run.load or 0.0 for run in mine],
                [run.over("e2e_s mean").value for run in mine],
                [run.over("max_waiting_s p99").value for run in mine],
            )
        )
    return draw_loads(lines, path)
