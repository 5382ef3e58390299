"""`pointsman calibrate`: the threshold that a budget allows, and what to expect of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pointsman.cli.calibrate_inputs import Given, read_predictions
from pointsman.errors import BadRequest
from pointsman.metrics.budget import (
    POLICIES,
    Curve,
    OperatingPoint,
    curve,
    operating_point,
    threshold_for_cost,
    threshold_for_run_share,
)
from pointsman.metrics.intervals import Interval

_UNITS = {"cost_usd": "$", "energy_j": "J"}


def calibrate(
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV or parquet: id, p (predicted), y (right, 0 to 1); endpoint, group, cost_usd, energy_j.",
        ),
    ] = None,
    outcomes: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Outcomes instead: a folder as `pointsman train` reads them."),
    ] = None,
    artifact: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="What `pointsman train` wrote, from other outcomes; else these are predicted out of fold.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A configuration with these endpoints: predicts dollars and joules.")
    ] = None,
    run_share: Annotated[
        float | None, typer.Option(help="Run at most this share of the queries, 0 to 1.")
    ] = None,
    max_cost_usd: Annotated[
        float | None, typer.Option(help="Spend at most so many dollars on --queries.")
    ] = None,
    max_energy_j: Annotated[
        float | None, typer.Option(help="Spend at most so many joules on --queries.")
    ] = None,
    queries: Annotated[int, typer.Option(min=1, help="How many queries a budget is for.")] = 1,
    policy: Annotated[
        str,
        typer.Option(help="threshold: skip what is below it; floor: the cheapest endpoint that reaches it."),
    ] = "threshold",
    seed: Annotated[int, typer.Option(min=0, help="Of the interval's draws, and of folds.")] = 1,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the curve; .png or .svg writes one, else both.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find the threshold that a budget allows, and the quality to expect with a 95% interval.

    The threshold is found on validation data, which the predictor must not have learnt. The last line is
    the model name that gives it in the gateway.

    For example:

        pointsman calibrate --predictions held_out.csv --run-share 0.4

        pointsman calibrate --outcomes validation/ --artifact quality --run-share 0.4 --plot plots/budget

        pointsman calibrate --predictions held_out.csv --policy floor --max-cost-usd 50 --queries 10000
    """
    cost = _cost_column(run_share, max_cost_usd, max_energy_j, policy)
    given = _given(predictions, outcomes, artifact, config, cost, policy, seed)
    found = curve(given.data, policy)
    if run_share is not None:
        threshold = threshold_for_run_share(found, run_share)
    else:
        threshold = threshold_for_cost(found, (max_cost_usd or max_energy_j or 0.0) / queries)
    point = operating_point(given.data, policy, threshold, np.random.default_rng(seed))
    if as_json:
        print(json.dumps(_document(given, found, point, cost), indent=2, allow_nan=False))
    else:
        _print(given, found, point, cost)
    if plot is not None:
        _draw(plot, given, found, point, cost, quiet=as_json)


def _cost_column(
    run_share: float | None, max_cost_usd: float | None, max_energy_j: float | None, policy: str
) -> str | None:
    """The cost that is needed. Raises: BadRequest unless one budget is given, which the policy can keep."""
    if policy not in POLICIES:
        raise BadRequest(f"there is no policy {policy!r}", remedy=f"Choose {' or '.join(POLICIES)}")
    if sum(budget is not None for budget in (run_share, max_cost_usd, max_energy_j)) != 1:
        raise BadRequest(
            "a budget is needed, once", remedy="Give --run-share, --max-cost-usd or --max-energy-j"
        )
    if run_share is not None:
        if policy == "floor":
            raise BadRequest(
                "the policy floor runs every query", remedy="Give --max-cost-usd or --max-energy-j"
            )
        return None
    return "cost_usd" if max_cost_usd is not None else "energy_j"


def _given(
    predictions: Path | None,
    outcomes: list[Path] | None,
    artifact: Path | None,
    config: Path | None,
    cost: str | None,
    policy: str,
    seed: int,
) -> Given:
    if (predictions is None) == (not outcomes):
        raise BadRequest(
            "validation data is needed, once", remedy="Give --predictions FILE or --outcomes DIR"
        )
    if predictions is not None:
        if artifact is not None or config is not None:
            raise BadRequest(
                "--predictions holds its own predictions", remedy="Leave --artifact and --config out"
            )
        return read_predictions(predictions, cost, floor=policy == "floor")
    from pointsman.cli.calibrate_outcomes import from_outcomes

    return from_outcomes(outcomes or [], artifact, config, cost, seed)


def _print(given: Given, found: Curve, point: OperatingPoint, cost: str | None) -> None:
    console = Console(highlight=False)
    console.print(escape(given.about), soft_wrap=True)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "expected", "95% interval"):
        table.add_column(heading)
    _row(table, "queries that run", point.run_share, "{:.1%}")
    _row(table, "of all queries, answered rightly", point.quality, "{:.1%}")
    if point.accuracy is not None:
        _row(table, "of the answers, right", point.accuracy, "{:.1%}")
    if cost is not None and point.cost is not None:
        _row(table, f"{_UNITS[cost]} a query", point.cost, "{:.4g}")
    console.print(table)
    if point.run_share.value == 0:
        console.print(
            "[yellow]note: no threshold runs any query within the budget[/]: the fewest that one runs are "
            f"{_fewest(found):.1%}, as equal predictions run together. Raise the budget, or train on more"
        )
    if point.policy == "threshold":
        console.print(
            f"The same share drawn by chance: {point.by_chance:.1%} of all queries answered rightly; "
            f"everything run: {found.quality[0]:.1%}"
        )
    if (condition := _holds_where(given, point, cost)) is not None:
        console.print(f"This holds where {condition}.")
    console.print(f"model name: [bold]{point.model_name}[/]")


def _holds_where(given: Given, point: OperatingPoint, cost: str | None) -> str | None:
    """What the gateway must do besides for the expectation to hold."""
    if point.policy == "threshold":
        several = given.data.probability.shape[1] > 1
        return "requests go to the best predicted endpoint" if several else None
    if cost == "energy_j" and len(given.data.floor_order) == 1:
        return "prices are equal: the floor takes the cheapest endpoint in dollars, and none are given"
    return None


def _fewest(found: Curve) -> float:
    """The least share above 0 that a threshold runs."""
    return float(np.min(found.run_share, where=found.run_share > 0, initial=1.0))


def _row(table: Table, name: str, found: Interval, form: str) -> None:
    table.add_row(name, form.format(found.value), f"{form.format(found.low)} to {form.format(found.high)}")


def _document(given: Given, found: Curve, point: OperatingPoint, cost: str | None) -> dict[str, Any]:
    values = {name: getattr(point, name) for name in OperatingPoint.__slots__}
    shown = {
        name: value._asdict() if isinstance(value, Interval) else value for name, value in values.items()
    }
    columns = {name: values.tolist() for name, values in found._asdict().items()}
    if cost is None:
        del columns["cost"], shown["cost"]
    return {
        "model": point.model_name,
        "data": given.about,
        "budget": cost or "run_share",
        "holds_where": _holds_where(given, point, cost),
        **shown,
        "curve": columns,
    }


def _draw(
    target: Path, given: Given, found: Curve, point: OperatingPoint, cost: str | None, *, quiet: bool
) -> None:
    from pointsman.report.budget_plot import plot_budget
    from pointsman.report.figure import FORMATS, save

    suffix = target.suffix.removeprefix(".")
    unit = "" if cost is None else _UNITS[cost]
    figure = plot_budget(found, point, f"{given.about}.", unit=unit)
    for path in save(figure, target, [suffix] if suffix else FORMATS):
        typer.echo(f"written: {path}", err=quiet)
