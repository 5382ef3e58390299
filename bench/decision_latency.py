"""How long one decision takes with 3, 10 and 100 endpoints: `weighted` alone, and the whole path to it.

    assign             the policy, on predictions that are there
    decide             filter, admit, assign: what the scheduler calls for each request
    predict and decide the same with the predictions made first, from fitted profiles

One request a call, as they come one by one. The profiles are those of the shipped fleet, each endpoint's
costs scaled by a random factor so that no two are equal. The promise to beat is 1 ms. CPU time stands
beside wall time: where they differ, something else had the core.

    python bench/decision_latency.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pointsman.admit.always import AlwaysAdmit
from pointsman.assign.weighted import WeightedAssign
from pointsman.build.source import shipped
from pointsman.data.questions import load_questions
from pointsman.decide import Decider
from pointsman.predict.artifact import FitArtifact
from pointsman.predict.cost import ShapeCost
from pointsman.predict.endpoint import ProfilePredictor
from pointsman.predict.model_profile import CostCurve, ModelProfile, QualityPrior
from pointsman.predict.refined import RefinedCost
from pointsman.report.bench import Cell, bench_parser, write_results
from pointsman.types import Endpoint, EndpointView, Prompt, Request, Weights

COUNTS = (3, 10, 100)
WEIGHTS = Weights(accuracy=0.7, energy=0.2, time=0.1)
WARM_UP = 500


def scaled(profile: ModelProfile, name: str, rng: np.random.Generator) -> ModelProfile:
    """The profile under another name, with other costs and another accuracy."""

    def curve(made: CostCurve) -> CostCurve:
        factor = float(rng.uniform(0.5, 2))
        assert isinstance(made.model, ShapeCost | RefinedCost)
        return replace(made, model=replace(made.model, coefficients=made.model.coefficients * factor))

    accuracy = float(rng.uniform(0.2, 0.9))
    return replace(
        profile,
        endpoint=name,
        time=curve(profile.time),
        energy=curve(profile.energy),
        quality={"": QualityPrior(accuracy, accuracy - 0.05, accuracy + 0.05, 100)},
    )


def fleet(count: int, rng: np.random.Generator) -> tuple[list[Endpoint], FitArtifact]:
    fitted = FitArtifact.read(shipped("fleet_fit.json"))
    names = [f"endpoint-{number}" for number in range(count)]
    profiles = tuple(
        scaled(fitted.profiles[number % len(fitted.profiles)], name, rng) for number, name in enumerate(names)
    )
    endpoints = [Endpoint(name, name, usd_per_output_token=float(rng.uniform(0, 1e-6))) for name in names]
    return endpoints, replace(fitted, profiles=profiles)


def timed(call: Callable[[Request], object], requests: list[Request], calls: int) -> dict[str, Cell]:
    """Microseconds of single calls, by the wall clock and by this thread's CPU time."""
    for request in requests[:WARM_UP]:
        call(request)
    wall_us, cpu_us = np.empty(calls), np.empty(calls)
    for index in range(calls):
        request = requests[index % len(requests)]
        cpu_ns, start_ns = time.thread_time_ns(), time.perf_counter_ns()
        call(request)
        wall_us[index] = (time.perf_counter_ns() - start_ns) / 1e3
        cpu_us[index] = (time.thread_time_ns() - cpu_ns) / 1e3
    p50, p90, p99 = np.percentile(wall_us, (50, 90, 99)).tolist()
    cpu_p50, cpu_p99 = np.percentile(cpu_us, (50, 99)).tolist()
    return {
        "p50_us": p50,
        "p90_us": p90,
        "p99_us": p99,
        "under_1_ms_percent": 100 * float((wall_us < 1e3).mean()),
        "cpu_p50_us": cpu_p50,
        "cpu_p99_us": cpu_p99,
    }


def measure(count: int, calls: int, seed: int) -> list[dict[str, Cell]]:
    endpoints, artifact = fleet(count, np.random.default_rng(seed))
    predictor = ProfilePredictor(endpoints, artifact)
    policy = WeightedAssign(WEIGHTS)
    decider = Decider(endpoints, AlwaysAdmit(), policy, max_queued=1000)
    view = [EndpointView(e.name, 0, 0, e.max_concurrent, healthy=True) for e in endpoints]
    idle = [0] * count
    requests = [
        Request(question.id, Prompt(question.prompt, total_bytes=len(question.prompt.encode())), 256)
        for question in load_questions()
    ]
    tables = {request.id: predictor.predict([request], idle) for request in requests}
    everything = np.ones((1, count), dtype=bool)
    calls_of: dict[str, Callable[[Request], object]] = {
        "assign": lambda r: policy.assign([r], tables[r.id], everything, view),
        "decide": lambda r: decider.decide([r], tables[r.id], view, 0.0),
        "predict and decide": lambda r: decider.decide([r], predictor.predict([r], idle), view, 0.0),
    }
    rows: list[dict[str, Cell]] = []
    for what, call in calls_of.items():
        rows.append({"endpoints": count, "what": what, "calls": calls, **timed(call, requests, calls)})
    return rows


def main() -> None:
    args = bench_parser(__doc__ or "").parse_args()
    calls = 2_000 if args.quick else 50_000
    rows = [row for count in COUNTS for row in measure(count, calls, args.seed)]
    write_results("decision_latency", rows, args, title="One decision of the weighted policy")


if __name__ == "__main__":
    main()
