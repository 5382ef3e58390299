"""A plan on the terminal: what each endpoint gets, how good the plan is, what shapes it, what would change it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pointsman.assign.plan import LimitUse, Plan, money
from pointsman.assign.problem import Problem
from pointsman.batch.forecast import Forecast
from pointsman.batch.limits import Action
from pointsman.batch.planning import BatchPlan
from pointsman.batch.requests import BadLine
from pointsman.types import Endpoint

SHOWN: Final = 20
_HEADS: Final = ("endpoint", "requests", "share", "quality", "$", "J", "slot s", "makespan s")


@dataclass(frozen=True, slots=True)
class EndpointShare:
    """What an endpoint gets of a plan, as predicted: sums, and the mean quality, None where there is none.

    Attributes:
        time_s: seconds in its slots.
        makespan_s: these by its slots, or the longest request's time where that is more.
    """

    endpoint: str
    requests: int
    share: float
    quality: float | None
    price_usd: float
    energy_j: float
    time_s: float
    makespan_s: float


def print_plan(planned: BatchPlan, shares: Sequence[EndpointShare]) -> None:
    """Print it; one row for each of `shares`."""
    plan = planned.plan
    table = Table(title="Planned, as predicted", title_justify="left", box=None, padding=(0, 1, 0, 0))
    for head in _HEADS:
        table.add_column(head, justify="left" if head == "endpoint" else "right", no_wrap=head == "endpoint")
    for row in shares:
        table.add_row(
            escape(row.endpoint),
            f"{row.requests:,}",
            f"{row.share:.1%}",
            "-" if row.quality is None else f"{row.quality:.3f}",
            *(f"{value:,.3g}" for value in (row.price_usd, row.energy_j, row.time_s, row.makespan_s)),
        )
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(_worth(planned.problem, plan), markup=False)
    if planned.within_tokens:
        said = (f"{count:,} within {budget:,} tokens" for budget, count in planned.within_tokens.items())
        console.print("output budgets: " + ", ".join(said), markup=False)
    if unlimited := planned.made.without_budgets:
        why = "lengths of answers are not known there, or none would be cut"
        console.print(f"no output budget is a choice on {', '.join(unlimited)}: {why}", markup=False)
    for promise in planned.promises:
        console.print(promise.words, markup=False)
    shaping = [limit for limit in plan.limits if limit.binding]
    console.print("limits that shape it: " + (_words(shaping) or "none"), markup=False)
    if loose := [limit for limit in plan.limits if limit not in shaping]:
        console.print("not used up: " + _words(loose), markup=False)
    for change in planned.changes:
        console.print(f"what if {change.change}: {change.effect}", markup=False)


def print_sources(provenance: Mapping[str, str], quality: Mapping[str, str]) -> None:
    """Where the predictions are from; endpoints of which the same is to be said share a line."""
    said: dict[str, list[str]] = {}
    for name, sentence in provenance.items():
        said.setdefault("; ".join(filter(None, (sentence, quality.get(name)))), []).append(name)
    console = Console(highlight=False, soft_wrap=True)
    for sentence, names in said.items():
        console.print(f"predicted of {', '.join(names)}: {sentence}", markup=False)


def _words(limits: Iterable[LimitUse]) -> str:
    return "; ".join(limit.words for limit in limits)


def _worth(problem: Problem, plan: Plan) -> str:
    """The objective, its bound and gap."""
    actions = [name for name in Action if name in problem.endpoints]
    with_them = f", with what it costs to {' or '.join(actions)}" if actions else ""
    cost = f"in sum {money(plan.objective, problem.cost_unit)}{with_them}"
    if plan.bound is None or plan.gap is None:
        return cost
    return f"{cost}; no plan costs less than {money(plan.bound, problem.cost_unit)} (gap {plan.gap:.3%})"


def endpoint_shares(planned: BatchPlan, endpoints: Sequence[Endpoint]) -> list[EndpointShare]:
    """What each endpoint gets, and what is skipped or waits."""
    made, plan = planned.made, planned.plan
    slots = {endpoint.name: endpoint.max_concurrent for endpoint in endpoints}
    shares = [_share(made, plan, index, slots[name]) for index, name in enumerate(made.endpoints)]
    for action, quality in ((Action.SKIP, 0.0), (Action.WAIT, None)):
        if count := planned.count(action):
            rows = len(plan.choice)
            shares.append(EndpointShare(f"({action})", count, count / rows, quality, 0.0, 0.0, 0.0, 0.0))
    return shares


def _share(made: Forecast, plan: Plan, index: int, slots: int) -> EndpointShare:
    """What the endpoint of that index gets, within output budgets and without."""
    width = len(made.endpoints)
    own = np.flatnonzero((plan.choice % width == index) & (plan.choice < len(made.columns)))
    quality, price_usd, energy_j, time_s = (
        values[own, plan.choice[own]].astype(np.float64)
        for values in (made.quality, made.price_usd, made.energy_j, made.time_s)
    )
    return EndpointShare(
        endpoint=made.endpoints[index],
        requests=len(own),
        share=len(own) / len(plan.choice),
        quality=float(quality.mean()) if len(own) else None,
        price_usd=float(price_usd.sum()),
        energy_j=float(energy_j.sum()),
        time_s=float(time_s.sum()),
        makespan_s=max(float(time_s.sum()) / slots, float(time_s.max(initial=0.0))),
    )


def together(shares: Sequence[EndpointShare]) -> EndpointShare:
    """All as one; the quality is of those that don't wait."""
    counted = [(row.requests, row.quality) for row in shares if row.quality is not None]
    weight = sum(requests for requests, _ in counted)
    return EndpointShare(
        endpoint="all",
        requests=sum(row.requests for row in shares),
        share=1.0,
        quality=math.fsum(requests * quality for requests, quality in counted) / weight if weight else None,
        price_usd=math.fsum(row.price_usd for row in shares),
        energy_j=math.fsum(row.energy_j for row in shares),
        time_s=math.fsum(row.time_s for row in shares),
        makespan_s=max(row.makespan_s for row in shares),
    )


def print_bad(path: Path, bad: Sequence[BadLine]) -> None:
    """On stderr, the first of them by number."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for line in bad[:SHOWN]:
        console.print(f"{path}, line {line.place.line}: {line.message}", markup=False)
    if len(bad) > SHOWN:
        console.print(f"... and {len(bad) - SHOWN:,} more; the plan names every one")
