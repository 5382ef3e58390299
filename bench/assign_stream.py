"""The policy `constrained` on requests that come one by one: does the floor hold, and what does not knowing cost?

Sets of real outcomes (`data/routing_sets.py`), their requests in a random order, held-out forecasts of a model that has
learnt the other folds (`knn`, hot features, the task told). Floors stand evenly from the cheapest endpoint's quality to
98% of the best that a plan by the forecasts really reaches. Endpoints are idle: waits have no price here.

    labels       the share of answers whose quality is told, 50 requests late
    kept         share of (floor, seed) whose mean real quality is at or above the floor
    short        mean points below the floor where it is not; worst: the most
    overshoot    mean points above the floor, all of them
    cost         of all streams over that of a plan that sees all requests at once, told the floor, uncorrected
    cost_oracle  the same over that of the same forecasts' multiplier stopped where the real labels reach the floor
    plan_kept    the share of those plans that keep the floor

    python bench/assign_stream.py
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Final

import numpy as np
from rich.console import Console

from pointsman.assign.constrained import ConstrainedAssign
from pointsman.assign.lagrangian import lagrangian
from pointsman.assign.problem import Ints, Problem, QualityFloor
from pointsman.assign.stream_terms import ConstrainedTerms
from pointsman.data.routing_sets import SHARED_SETS, RoutingSet, expected_cost, routing_set
from pointsman.predict.quality.fit import FitOptions, fit_quality
from pointsman.report.bench import Cell, bench_parser, shared_data, write_results
from pointsman.types import (
    Admission,
    CostTable,
    Decision,
    EndpointView,
    Estimate,
    Floats,
    Label,
    Prompt,
    Request,
)

SEEDS, FLOORS, MOST_REQUESTS, LATE = 5, 5, 4_000, 50
LABELLED: Final = (0.0, 0.1, 1.0)
LEVELS: Final = 400
_REACHABLE: Final = 0.98


@dataclass(frozen=True, slots=True)
class Stream:
    """Requests in the order in which they come; arrays of shape (N, E)."""

    endpoints: tuple[str, ...]
    planned: Floats
    cost: Floats
    forecast: Floats
    quality: Floats


def stream_of(data: RoutingSet, seed: int) -> Stream:
    """The set's requests with held-out forecasts, in an order of the seed's."""
    matrix = data.matrix
    fitted = fit_quality(matrix, FitOptions("knn", "hot", seed=seed, tasks=True))
    assert fitted.held_out is not None
    assert fitted.folds is not None
    planned = data.cost.copy()
    for fold in np.unique(fitted.folds) if data.measured else ():
        own = fitted.folds == fold
        planned[own] = expected_cost(data.cost, matrix.tasks, np.flatnonzero(~own))[own]
    order = np.random.default_rng(seed).permutation(len(planned))[:MOST_REQUESTS]
    parts = planned, data.cost, fitted.held_out.quality.value, matrix.quality
    return Stream(matrix.endpoints, *(part[order] for part in parts))


def floors_of(made: Stream) -> Floats:
    """From the cheapest endpoint's quality to 98% of what the best forecast really reaches."""
    cheapest = made.quality[:, made.planned.mean(axis=0).argmin()].mean()
    best = made.quality[np.arange(len(made.quality)), made.forecast.argmax(axis=1)].mean()
    return np.linspace(min(cheapest, _REACHABLE * best), _REACHABLE * best, FLOORS)


def streamed(made: Stream, floor: float, labelled: float, seed: int) -> Ints:
    """The columns that the policy chooses, one request after another."""
    policy = ConstrainedAssign(made.endpoints, ConstrainedTerms(min_quality=floor))
    rng = np.random.default_rng((seed, 7))
    told = rng.random(len(made.cost)) < labelled
    table, everyone = _table(made), np.ones((1, len(made.endpoints)), dtype=bool)
    idle = [EndpointView(name, 0, 0, 4, healthy=True) for name in made.endpoints]
    columns = np.zeros(len(made.cost), dtype=np.int64)
    for k in range(len(columns)):
        request = Request(f"r{k}", Prompt(""))
        answer = policy.assign([request], table.row(k), everyone, idle)
        columns[k] = column = int(answer.endpoint_index[0])
        policy.settled(
            request,
            Decision(
                request.id, 0.0, Admission.RUN, "", policy.name, table, k, {}, answer.score[0],
                made.endpoints[column], rates=answer.rates[0],
            ),
        )  # fmt: skip
        late = k - LATE
        if late >= 0 and told[late]:
            policy.labelled([Label(f"r{late}", float(made.quality[late, columns[late]]), "set")])
    return columns


def _table(made: Stream) -> CostTable:
    flat = Estimate.without_interval(np.ones(made.cost.shape))
    return CostTable(
        made.endpoints, np.ones(made.cost.shape), Estimate.without_interval(made.forecast), flat, flat, flat,
        Estimate.without_interval(made.planned), flat,
    )  # fmt: skip


def planned_at_once(made: Stream, floor: float) -> Ints:
    """The plan that sees all requests, told the floor; the best forecasts where it can't be reached by them."""
    plan = lagrangian(
        Problem(made.endpoints, made.planned, made.forecast, floors=(QualityFloor.overall(floor),))
    )
    return plan.choice if plan.feasible else _best(made)


def by_foresight(made: Stream, floor: float) -> Ints:
    """The cheapest multiplier at which the real labels reach the floor."""
    each = np.arange(len(made.cost))
    scale = float(np.ptp(made.planned, axis=1).mean())
    for price in scale * np.geomspace(1e-3, 1e3, LEVELS):
        choice: Ints = (made.planned - price * made.forecast).argmin(axis=1)
        if made.quality[each, choice].mean() >= floor:
            return choice
    return _best(made)


def _best(made: Stream) -> Ints:
    best: Ints = made.forecast.argmax(axis=1)
    return best


def measured(streams: list[Stream], name: str, args: argparse.Namespace) -> list[dict[str, Cell]]:
    """One row for each share of labels."""
    plans = [(made, floor, planned_at_once(made, floor), by_foresight(made, floor))
             for made in streams for floor in floors_of(made).tolist()]  # fmt: skip
    rows: list[dict[str, Cell]] = []
    for labelled in LABELLED:
        gaps, costs, plan_gaps, plan_costs, oracle_costs = [], [], [], [], []
        for number, (made, floor, plan, oracle) in enumerate(plans):
            each = np.arange(len(made.cost))
            choice = streamed(made, floor, labelled, args.seed + number)
            gaps.append(float(made.quality[each, choice].mean()) - floor)
            plan_gaps.append(float(made.quality[each, plan].mean()) - floor)
            costs.append(made.cost[each, choice].sum())
            plan_costs.append(made.cost[each, plan].sum())
            oracle_costs.append(made.cost[each, oracle].sum())
        points = 100 * np.array(gaps)
        rows.append(
            {
                "set": name, "n": len(streams[0].cost), "floors": FLOORS, "seeds": len(streams), "labels": labelled,
                "kept": float((points >= 0).mean()),
                "short": float(-points[points < 0].mean()) if (points < 0).any() else 0.0,
                "worst": float(max(0.0, -points.min())),
                "overshoot": float(points.mean()),
                "cost": float(np.sum(costs) / np.sum(plan_costs)),
                "cost_oracle": float(np.sum(costs) / np.sum(oracle_costs)),
                "plan_kept": float((np.array(plan_gaps) >= 0).mean()),
            }
        )  # fmt: skip
    return rows


def main() -> None:
    """Every set."""
    args = bench_parser(__doc__.partition("\n")[0]).parse_args()
    sets = {"bfcl_2024_08": 300} if args.quick else dict.fromkeys(SHARED_SETS)
    rows: list[dict[str, Cell]] = []
    for name, limit in sets.items():
        data = routing_set(name, shared_data(), limit)
        seeds = range(args.seed, args.seed + (1 if args.quick else SEEDS))
        rows += measured([stream_of(data, seed) for seed in seeds], name, args)
        Console(stderr=True).print(name, highlight=False)
    write_results("assign_stream", rows, args, title="Floors kept by requests that come one by one")


if __name__ == "__main__":
    main()
