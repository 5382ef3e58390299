"""`pointsman assign`: plan where the requests of a batch run, within limits, at least cost."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import Progress

from pointsman.assign.problem import LoadLimit
from pointsman.batch.confidence import calibrated
from pointsman.batch.forecast import Forecast, check_memory, forecast
from pointsman.batch.limits import Action, BatchLimits
from pointsman.batch.parquet_requests import rewrite
from pointsman.batch.plan_file import Expected, PlanHead, write_plan
from pointsman.batch.planning import BatchPlan, plan_batch
from pointsman.batch.requests import Fingerprint, ParseBody, fingerprint, read_requests
from pointsman.build import body_reader_of, endpoints_of, held_out_of, predictor_of, read_config
from pointsman.cli.assign_table import endpoint_shares, print_bad, print_plan, print_sources, together
from pointsman.cli.assign_words import floors_of, loads_of, objective_of
from pointsman.cli.collect import COLUMNS
from pointsman.cli.collect_inputs import only_endpoints
from pointsman.cli.group import number_list
from pointsman.cli.progress import progress
from pointsman.clock import RealClock
from pointsman.errors import BadRequest, ConfigError
from pointsman.predict.base import Predictor, quality_sources
from pointsman.types import Endpoint

_MOST_TOKENS: Final = 1_000_000
MEMORY_SHARE: Final = 0.8
"""Of the machine's memory, what a plan may take."""


def assign(
    requests: Annotated[
        Path,
        typer.Argument(help="Requests in OpenAI's batch format (JSONL), or parquet with id and prompt."),
    ],
    config: Annotated[
        Path | None,
        typer.Option("--endpoints", "--config", help="Which endpoints; the embedded fleet by default."),
    ] = None,
    objective: Annotated[
        str, typer.Option(help="What to minimise: cost, energy, time, or weights: cost=1,energy=1e-6.")
    ] = "cost",
    min_quality: Annotated[
        list[str] | None,
        typer.Option(help="Least mean quality: 0.8, tenant:NAME=0.9, class:NAME=0.7; may be given again."),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(
            min=0.5,
            max=0.9999,
            help="That the real means reach these floors, as 0.95; for a learned predictor.",
        ),
    ] = None,
    max_load: Annotated[
        list[str] | None, typer.Option(help="Most requests of an endpoint: NAME=5000; may be given again.")
    ] = None,
    makespan_s: Annotated[
        float | None, typer.Option(min=0, help="What the batch may take, with all slots busy.")
    ] = None,
    budget_usd: Annotated[float | None, typer.Option(min=0, help="The most that all may cost.")] = None,
    budget_j: Annotated[float | None, typer.Option(min=0, help="The most energy that all may take.")] = None,
    deadline_s: Annotated[
        float | None, typer.Option(min=0, help="The longest predicted time of one request.")
    ] = None,
    output_budgets: Annotated[
        str | None,
        typer.Option(
            help="Limits on an answer that the plan may choose, in tokens: 64,256,1024; for known lengths."
        ),
    ] = None,
    skip_cost: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="What not answering a request costs, in the objective's unit; none is skipped by default.",
        ),
    ] = None,
    wait_cost: Annotated[
        float | None,
        typer.Option(
            min=0, help="What leaving a request for a later batch costs, likewise; none waits by default."
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Use only this endpoint; may be given again. All by default.")
    ] = None,
    privacy: Annotated[
        list[str] | None, typer.Option(help="A tag that endpoints must have, such as on-premises.")
    ] = None,
    any_model: Annotated[
        bool, typer.Option("--any-model", help="Whatever model a request names, any may serve it.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="The plan; REQUESTS.plan.jsonl beside the requests by default.")
    ] = None,
) -> None:
    """Plan where the requests of a batch run: at least cost, within your limits.

    Prints what each endpoint gets, how far the plan is from the best possible, which limits shape it and
    what they cost, and what would come of others. Lines that can't be used are told by number; the rest is
    planned. Limits that exclude one another end it with exit code 2, the tightest, and what can be reached.
    Figures are predictions; `pointsman run` says what came of them.

    For example:

        pointsman assign requests.jsonl --endpoints config.yaml --min-quality 0.8

        pointsman assign requests.jsonl --objective energy --min-quality tenant:acme=0.7 --makespan-s 3600

        pointsman assign requests.jsonl --endpoints config.yaml --min-quality 0.65 --confidence 0.95

        pointsman assign requests.jsonl --min-quality 0.7 --output-budgets 64,256,1024

        pointsman assign requests.jsonl --min-quality 0.7 --makespan-s 3600 --skip-cost 0.01 --wait-cost 0.002

        pointsman assign prompts.parquet --max-load small=5000 --budget-usd 20 --out tonight.jsonl

        pointsman run requests.plan.jsonl
    """
    overall, of_tenant, of_class = floors_of(min_quality or [])
    limits = BatchLimits(
        objective_of(objective), overall, of_tenant, of_class,
        loads_of(max_load or []), makespan_s, budget_usd, budget_j, confidence,
        skip_cost, wait_cost,
    )  # fmt: skip
    budgets = (
        sorted({*number_list("--output-budgets", output_budgets, 1, _MOST_TOKENS)}) if output_budgets else []
    )
    _check(limits, budgets)
    made = only_endpoints(read_config(config), only or [])
    endpoints = endpoints_of(made)
    if not endpoints:
        raise ConfigError(
            f"{made.file} has no endpoint",
            remedy="Add one to model_list, or a model to pointsman.fleet.models",
        )
    names = [endpoint.name for endpoint in endpoints]
    LoadLimit.share(names, limits.max_share_requests)  # so that a slip is told before the long part
    out = out or requests.with_name(f"{requests.stem}.plan.jsonl")
    batch_file = _batch_file(requests, out)
    profiles, predictor = predictor_of(made, RealClock())
    held_out = None if confidence is None else held_out_of(made, predictor)
    parse = body_reader_of(made, any_model=any_model, privacy=frozenset(privacy or ()))
    actions = (skip_cost is not None) + (wait_cost is not None)
    file, expected = _forecast(batch_file, parse, predictor, endpoints, deadline_s, budgets, actions)
    print_bad(batch_file, expected.bad)
    with progress() as say:
        calibration = None
        if held_out is not None:
            say("calibrating the floor")
            calibration = calibrated(held_out, profiles, expected, endpoints, limits.objective)
        planned = plan_batch(expected, endpoints, limits, calibration, say)
    shares = endpoint_shares(planned, endpoints)
    sums = together(shares)
    print_plan(planned, [*shares, sums])
    if set(limits.objective) == {"cost"} and not expected.price_usd.any():
        typer.echo(
            "every predicted price is 0, so that all plans cost the same: --objective energy decides by joules"
        )
    print_sources(profiles.provenance, quality_sources(predictor))
    head = PlanHead(
        requests=str(batch_file.resolve()),
        file=file,
        config=str(config.resolve()) if config else None,
        endpoints=expected.endpoints,
        any_model=any_model,
        settings={
            **asdict(limits),
            "deadline_s": deadline_s,
            "privacy": privacy or [],
            "output_budgets": budgets,
        },
        summary=_summary(planned),
        expected=Expected(sums.price_usd, sums.energy_j, sums.time_s),
        rows=len(expected.custom_ids) + len(expected.bad),
    )
    write_plan(out, head, planned.made, planned.plan, planned.actions)
    left_out = f", without {len(expected.bad):,} lines that can't be run" if expected.bad else ""
    typer.echo(f"written: {out}{left_out}; next: pointsman run {out}")


def _check(limits: BatchLimits, budgets: Sequence[int]) -> None:
    """Raises: BadRequest for options that don't go together."""
    if limits.confidence is None:
        return
    if limits.min_quality is None and not limits.min_quality_of_tenant and not limits.min_quality_of_class:
        raise BadRequest("--confidence is of a floor, and there is none", remedy="Give --min-quality too")
    if limits.wait_cost is not None:
        raise BadRequest(
            "--confidence needs to know over how many requests a mean is, and --wait-cost leaves that open",
            remedy="Leave one of them out",
        )
    if budgets:
        raise BadRequest(
            "--confidence is learnt from whole answers, and --output-budgets cuts some off",
            remedy="Leave one of them out",
        )


def _batch_file(requests: Path, plan: Path) -> Path:
    """The requests; those of a parquet file are written beside the plan."""
    if requests.suffix.lower() != ".parquet":
        return requests
    rewritten = plan.with_name(f"{plan.name.removesuffix('.jsonl')}.requests.jsonl")
    rewrite(requests, rewritten)
    return rewritten


def _forecast(
    path: Path,
    parse: ParseBody,
    predictor: Predictor,
    endpoints: Sequence[Endpoint],
    deadline_s: float | None,
    budgets: Sequence[int],
    actions: int,
) -> tuple[Fingerprint, Forecast]:
    """What the batch file is, and what its requests are expected to give; the plan will have `actions` more choices."""
    with Progress(*COLUMNS, console=Console(stderr=True)) as shown:
        task = shown.add_task("reading", total=None)
        file = fingerprint(path)
        columns = len(endpoints) * (1 + len(budgets)) + actions
        check_memory(file.lines, columns, MEMORY_SHARE * _memory_bytes(), copied=actions > 0)
        shown.update(task, total=file.lines, description="predicting")
        made = forecast(
            read_requests(path, parse),
            predictor,
            endpoints,
            deadline_s=deadline_s,
            budgets_tokens=budgets,
            on_lines=lambda count: shown.update(task, completed=count),
        )
        shown.update(task, completed=file.lines)
    return file, made


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _summary(planned: BatchPlan) -> dict[str, Any]:
    plan = planned.plan
    return {
        "policy": plan.policy,
        "planned": len(planned.made.custom_ids),
        "bad_lines": len(planned.made.bad),
        "skipped": planned.count(Action.SKIP),
        "waiting": planned.count(Action.WAIT),
        "within_tokens": planned.within_tokens,
        "objective": plan.objective,
        "unit": planned.problem.cost_unit,
        "bound": plan.bound,
        "gap": plan.gap,
        "limits": [limit.words for limit in plan.limits],
        "promises": [asdict(promise) for promise in planned.promises],
    }
