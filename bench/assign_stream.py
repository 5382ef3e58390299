"""The policy `constrained` on requests that come one by one: does the floor hold, and what does not knowing cost?

Sets of real outcomes (`data/routing_sets.py`). Three fifths of the prompts are learnt from (`knn`, hot features, the task
told, five folds), the others come one by one in a random order: as a gateway meets them. Floors stand evenly from the
cheapest endpoint's quality to 98% of the best that a plan by the forecasts really reaches. Endpoints are idle, so that
waits have no price here.

    way          as predicted: prices begin at 0. 95%: with `confidence: 0.95` over so many requests, where that can
                 be promised, else as predicted
    labels       the share of answers whose quality is told, 50 requests late
    promised     share of (floor, seed) that can be promised with 95%
    kept         share of (floor, seed) whose mean real quality is at or above the floor; kept_promised: of those that
                 can be promised
    short, worst mean points below the floor where it is not, and the most
    overshoot    mean points above the floor, all of them
    cost         of all streams over that of a plan that sees all requests at once, told the floor, uncorrected
    cost_oracle  the same over that of the same forecasts' multiplier stopped where the real labels reach the floor
    plan_kept    the share of those plans that keep the floor

    python bench/assign_stream.py
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from rich.console import Console

from pointsman.assign.constrained import ConstrainedAssign
from pointsman.assign.floor_calibration import FloorCalibration
from pointsman.assign.lagrangian import lagrangian
from pointsman.assign.problem import Ints, Problem, QualityFloor
from pointsman.assign.stream_terms import ConstrainedTerms, floor_name
from pointsman.data.routing_sets import SHARED_SETS, RoutingSet, expected_cost, routing_set
from pointsman.metrics.splits import grouped_folds
from pointsman.predict.quality.base import Queries
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

SEEDS, FLOORS, MOST_REQUESTS, LATE, FIFTHS = 5, 5, 4_000, 50, 3
LABELLED: Final = (0.0, 0.1, 1.0)
LEVELS: Final = 400
PLAIN, SURE, CONFIDENCE = "as predicted", "95%", 0.95
_REACHABLE: Final = 0.98


@dataclass(frozen=True, slots=True)
class Stream:
    """Requests in the order in which they come; arrays of shape (N, E).

    Attributes:
        planned, cost: what a request is expected to cost, and what it does.
        calibration: of floors, on prompts that were learnt from, held out.
    """

    endpoints: tuple[str, ...]
    tasks: tuple[str, ...]
    planned: Floats
    cost: Floats
    forecast: Floats
    quality: Floats
    calibration: FloorCalibration


def stream_of(data: RoutingSet, seed: int) -> Stream:
    """Two fifths of the set's requests, in an order of the seed's, forecast by what was learnt from the others."""
    matrix = data.matrix
    learnt = grouped_folds(matrix.groups, 5, seed) < FIFTHS
    rest, own = np.flatnonzero(learnt), np.flatnonzero(~learnt)
    own = np.random.default_rng(seed).permutation(own)[:MOST_REQUESTS]
    past = matrix.take(rest)
    fitted = fit_quality(past, FitOptions("knn", "hot", seed=seed, tasks=True))
    assert fitted.held_out is not None
    assert fitted.folds is not None
    planned = expected_cost(data.cost, matrix.tasks, rest) if data.measured else data.cost
    calibration = FloorCalibration.fit(
        matrix.endpoints, planned[rest], fitted.held_out.quality.value, past.quality,
        tasks=past.tasks, groups=past.groups, folds=fitted.folds,
    )  # fmt: skip
    coming = Queries(matrix.prompts, matrix.tasks).take(own)
    forecast = fitted.model.forecast(coming).quality.value
    return Stream(
        matrix.endpoints, tuple(matrix.tasks[row] for row in own.tolist()), planned[own], data.cost[own],
        forecast, matrix.quality[own], calibration,
    )  # fmt: skip


def floors_of(made: Stream) -> list[float]:
    """From the cheapest endpoint's quality to 98% of what the best forecast really reaches."""
    cheapest = made.quality[:, made.planned.mean(axis=0).argmin()].mean()
    best = _REACHABLE * made.quality[np.arange(len(made.quality)), _best(made)].mean()
    return [float(floor) for floor in np.linspace(min(cheapest, best), best, FLOORS)]


def policy_of(made: Stream, floor: float, way: str) -> tuple[ConstrainedAssign, bool]:
    """The policy, and whether its floor could be promised."""
    terms = ConstrainedTerms(min_quality=floor)
    sure = made.calibration.assurance(floor, CONFIDENCE, len(made.cost))
    if way == PLAIN or not sure.holds:
        return ConstrainedAssign(made.endpoints, terms), sure.holds
    start = {floor_name("all", "all"): sure.price}
    raised = replace(terms, min_quality=sure.effective)
    return ConstrainedAssign(made.endpoints, raised, made.calibration.contrasts, start), True


def streamed(made: Stream, policy: ConstrainedAssign, labelled: float, seed: int) -> Ints:
    """The columns that the policy chooses, one request after another."""
    told = np.random.default_rng((seed, 7)).random(len(made.cost)) < labelled
    table, everyone = _table(made), np.ones((1, len(made.endpoints)), dtype=bool)
    idle = [EndpointView(name, 0, 0, 4, healthy=True) for name in made.endpoints]
    columns = np.zeros(len(made.cost), dtype=np.int64)
    for k, task in enumerate(made.tasks):
        request = Request(f"r{k}", Prompt("", task=task))
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
    """One row for each way and share of labels."""
    plans = [
        (made, floor, planned_at_once(made, floor), by_foresight(made, floor))
        for made in streams
        for floor in floors_of(made)
    ]
    rows: list[dict[str, Cell]] = []
    for way in (PLAIN, SURE):
        for labelled in LABELLED:
            found = np.array(
                [_figures(*plan, way, labelled, args.seed + number) for number, plan in enumerate(plans)]
            )
            points, cost, plan_points, plan_cost, oracle_cost, promised = found.T
            rows.append(
                {
                    "set": name, "n": len(streams[0].cost), "floors": FLOORS, "seeds": len(streams), "way": way,
                    "labels": labelled, "promised": float(promised.mean()), "kept": float((points >= 0).mean()),
                    "kept_promised": float((points[promised > 0] >= 0).mean()) if promised.any() else None,
                    "short": float(-points[points < 0].mean()) if (points < 0).any() else 0.0,
                    "worst": float(max(0.0, -points.min())), "overshoot": float(points.mean()),
                    "cost": float(cost.sum() / plan_cost.sum()),
                    "cost_oracle": float(cost.sum() / oracle_cost.sum()),
                    "plan_kept": float((plan_points >= 0).mean()),
                }
            )  # fmt: skip
    return rows


def _figures(
    made: Stream, floor: float, plan: Ints, oracle: Ints, way: str, labelled: float, seed: int
) -> tuple[float, ...]:
    """Points above the floor, cost, the same of the plan, the oracle's cost, and whether it can be promised."""
    each = np.arange(len(made.cost))
    policy, promised = policy_of(made, floor, way)
    choice = streamed(made, policy, labelled, seed)
    above, plan_above = (
        100 * (float(made.quality[each, columns].mean()) - floor) for columns in (choice, plan)
    )
    cost, plan_cost, oracle_cost = (
        float(made.cost[each, columns].sum()) for columns in (choice, plan, oracle)
    )
    return above, cost, plan_above, plan_cost, oracle_cost, float(promised)


def main() -> None:
    """Every set."""
    args = bench_parser(__doc__.partition("\n")[0]).parse_args()
    sets = {"bfcl_2024_08": 400} if args.quick else dict.fromkeys(SHARED_SETS)
    rows: list[dict[str, Cell]] = []
    for name, limit in sets.items():
        data = routing_set(name, shared_data(), limit)
        seeds = range(args.seed, args.seed + (1 if args.quick else SEEDS))
        rows += measured([stream_of(data, seed) for seed in seeds], name, args)
        Console(stderr=True).print(name, highlight=False)
    write_results("assign_stream", rows, args, title="Floors kept by requests that come one by one")


if __name__ == "__main__":
    main()
