"""Is L_j ever exceeded, and does everything end exactly once? The virtual-time driver, with arrivals of real traces.

Four endpoints of different L_j, speed, price and quality; the scheduler, queues and policies are those of the gateway. A
request keeps its trace's arrival, prompt and answer tokens. Its service is the time to the first token of a call that
llmperf measured (profiles/llmperf_api_latency, drawn at random among that endpoint's) plus the answer's tokens times that
call's inter-token latency. `load` is the rate of arrivals over the most that all slots can serve; arrivals are stretched to
it. Prices are the list's of November 2024, quality is declared (Llama 2's published MMLU) and spread from request to request.

    at 1/3     llama-70b dies: what runs there fails, and so does what is sent there until, 5 s later, it is noticed
    at 1/2     llama-7b has half its slots
    at 2/3     both are as before

Peaks are counted from the driver's Dispatch, Completed and Failed alone (`testing/witness.py`): `peak` beside `limit`, over all
seeds; `over_limit` counts dispatches beyond the limit of that moment. Each seed takes another window of the trace.

    python bench/load_limits.py
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pointsman.admit.always import AlwaysAdmit
from pointsman.assign.base import AssignPolicy
from pointsman.assign.baselines import CheapestAssign, RandomAssign
from pointsman.assign.constrained import ConstrainedAssign
from pointsman.assign.lowest import lowest
from pointsman.assign.stream_terms import ConstrainedTerms
from pointsman.assign.value import ValueAssign
from pointsman.assign.weighted import WeightedAssign
from pointsman.clock import VirtualClock
from pointsman.data.tables import read_columns
from pointsman.data.traces import Trace
from pointsman.events import CapacityChanged
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.report.bench import Cell, bench_parser, shared_data, write_results
from pointsman.scheduler import SchedulerOptions
from pointsman.sim.driver import SimOptions, simulate
from pointsman.sim.result import SimResult
from pointsman.sim.service import Service
from pointsman.testing.fakes import unknown_prior
from pointsman.testing.witness import Witness, WitnessedScheduler
from pointsman.types import (
    Assignment,
    Bools,
    CostTable,
    Disposition,
    Endpoint,
    EndpointView,
    Estimate,
    Floats,
    Penalties,
    Request,
    RunCost,
    ValueTerms,
    Weights,
)

TRACES = ("azure_2023_conv", "azure_2023_code", "mooncake_synthetic")
LOADS = (0.7, 1.0, 1.5)
REQUESTS, SEEDS = 4_000, 5
MAX_QUEUED = 200
NOTICE_S, REFUSAL_S = 5.0, 0.01
DYING, SHRINKING = "llama-70b", "llama-7b"


@dataclass(frozen=True, slots=True)
class Server:
    """An endpoint, whose calls of llmperf it takes, and its declared quality."""

    endpoint: Endpoint
    provider: str
    model: str
    quality: float


SERVERS = (
    Server(Endpoint("llama-7b", "7b", "", 24, 0.15e-6, 0.15e-6), "anyscale", "llama-2-7b-chat", 0.453),
    Server(Endpoint("llama-13b", "13b", "", 12, 0.25e-6, 0.25e-6), "anyscale", "llama-2-13b-chat", 0.548),
    Server(Endpoint("llama-70b", "70b", "", 32, 1e-6, 1e-6), "anyscale", "llama-2-70b-chat", 0.689),
    Server(Endpoint("llama-70b-slow", "70b", "", 8, 0.7e-6, 2.8e-6), "perplexity", "llama-2-70b-chat", 0.689),
)
ENDPOINTS = tuple(own.endpoint for own in SERVERS)
NAMES = tuple(own.endpoint.name for own in SERVERS)


class RoundRobin:
    """The endpoints in turn; one that can't take a request is passed over."""

    name = "round robin"

    def __init__(self) -> None:
        self._turn = 0

    def assign(
        self, requests: Sequence[Request], table: CostTable, eligible: Bools, view: Sequence[EndpointView]
    ) -> Assignment:
        """Choose for R requests over E endpoints; see `AssignPolicy`."""
        del table, view
        n = eligible.shape[1]
        turns = self._turn + np.arange(len(requests))[:, None]
        self._turn += len(requests)
        chosen, score = lowest((np.arange(n) - turns) % n * 1.0, eligible)
        return Assignment(chosen, score, ("its turn",) * len(requests))


POLICIES: dict[str, Callable[[int], AssignPolicy]] = {
    "weighted": lambda _: WeightedAssign(Weights(accuracy=2, time=1, price=1)),
    "value": lambda _: ValueAssign(ValueTerms(RunCost(per_usd=100, per_s=0.02), Penalties(1.0, 1.0))),
    "constrained": lambda _: ConstrainedAssign(NAMES, ConstrainedTerms(min_quality=0.6)),
    "round robin": lambda _: RoundRobin(),
    "random": RandomAssign,
    "cheapest": lambda _: CheapestAssign(),
}


class Calls:
    """Measured calls: seconds to the first token and a token, shape (M, 2), of each endpoint."""

    def __init__(self, path: Path) -> None:
        names = ("ttft_s", "inter_token_latency_s")
        rows = read_columns(path, texts=("provider", "model", "error_code"), numbers=names)
        times, good = np.stack([rows[name] for name in names], axis=1), rows["error_code"] == ""
        self.of = {
            own.endpoint.name: times[good & (rows["provider"] == own.provider) & (rows["model"] == own.model)]
            for own in SERVERS
        }

    def mean_s(self, endpoint: str, output_tokens: Floats) -> float:
        """Of a request with so many tokens, on the mean."""
        first_s, token_s = self.of[endpoint].mean(axis=0)
        return float(first_s + token_s * output_tokens.mean())


def at_load(trace: Trace, load: float, calls: Calls) -> Trace:
    """The same requests, arriving at so much of what all slots can serve."""
    most_per_s = sum(own.max_concurrent / calls.mean_s(own.name, trace.output_tokens) for own in ENDPOINTS)
    return trace.at_rate(load * most_per_s)


class Foreseen:
    """Predicts what may be known before: the mean call and the mean answer; quality differs by request, shape (N, E)."""

    name = "foreseen"

    def __init__(self, calls: Calls, trace: Trace, rng: np.random.Generator) -> None:
        self._trace = trace
        n, mean = len(trace.arrival_s), float(trace.output_tokens.mean())
        self._time_s = np.array([calls.mean_s(name, trace.output_tokens) for name in NAMES])
        self._output = np.full(len(NAMES), mean)
        self._usd = np.array([(own.usd_per_input_token, own.usd_per_output_token) for own in ENDPOINTS])
        hardness = rng.normal(0, 0.15, (n, 1)) + rng.normal(0, 0.05, (n, len(NAMES)))
        self.quality = np.clip(np.array([own.quality for own in SERVERS]) + hardness, 0.01, 0.99)

    def predict(self, requests: Sequence[Request], running: Sequence[int]) -> CostTable:
        """For R requests and E endpoints; see `Predictor`."""
        del running
        rows = [int(request.id) for request in requests]
        shape = (len(rows), len(NAMES))
        tokens = np.broadcast_to(self._trace.input_tokens[rows][:, None], shape)
        none = np.full(shape, np.nan)

        def plain(value: Floats) -> Estimate:
            return Estimate(np.broadcast_to(value, shape), none, none)

        price_usd = tokens * self._usd[:, 0] + self._output * self._usd[:, 1]
        return CostTable(
            NAMES,
            tokens,
            plain(self.quality[rows]),
            plain(self._output),
            plain(self._time_s),
            plain(self._time_s),
            plain(price_usd),
            plain(np.zeros(len(NAMES))),
        )


class Served:
    """The service of a call drawn at random; one that meets its endpoint's death fails then."""

    def __init__(
        self, calls: Calls, trace: Trace, quality: Floats, clock: VirtualClock, dead_s: tuple[float, float]
    ) -> None:
        self._calls, self._trace, self._quality = calls, trace, quality
        self._clock, self._dead_s = clock, dead_s

    def serve(self, request: Request, endpoint: Endpoint, running: int, rng: np.random.Generator) -> Service:
        """One draw."""
        del running
        row, calls = int(request.id), self._calls.of[endpoint.name]
        first_s, token_s = calls[rng.integers(len(calls))].tolist()
        tokens = int(self._trace.output_tokens[row])
        lasts_s, now, (dies_s, back_s) = first_s + token_s * tokens, self._clock.now(), self._dead_s
        if endpoint.name == DYING and now < back_s and now + lasts_s > dies_s:
            return Service(max(REFUSAL_S, dies_s - now), 0, 0.0, fails=True)
        right = rng.random() < self._quality[row, NAMES.index(endpoint.name)]
        input_tokens = int(self._trace.input_tokens[row])
        return Service(lasts_s, tokens, 0.0, input_tokens=input_tokens, quality=float(right))


def run(policy: AssignPolicy, trace: Trace, calls: Calls, seed: int) -> tuple[SimResult, Witness]:
    """One simulation, with the death, the halving and the return of both."""
    slots = {own.name: own.max_concurrent for own in ENDPOINTS}
    horizon_s = float(trace.arrival_s[-1])
    dies_s, halved_s, back_s = horizon_s / 3, horizon_s / 2, horizon_s * 2 / 3
    noticed_s = min(dies_s + NOTICE_S, back_s)
    happens = sorted(
        [
            (noticed_s, CapacityChanged(DYING, slots[DYING], healthy=False)),
            (halved_s, CapacityChanged(SHRINKING, slots[SHRINKING] // 2)),
            (back_s, CapacityChanged(DYING, slots[DYING])),
            (back_s, CapacityChanged(SHRINKING, slots[SHRINKING])),
        ],
        key=lambda item: item[0],
    )
    clock = VirtualClock()
    scheduler = WitnessedScheduler(
        ENDPOINTS,
        AlwaysAdmit(),
        policy,
        FirstComeFirstServed(),
        unknown_prior(ENDPOINTS),
        SchedulerOptions(max_queued=MAX_QUEUED),
    )
    foreseen = Foreseen(calls, trace, np.random.default_rng((seed, 1)))
    result = simulate(
        scheduler,
        foreseen,
        None,
        trace.arrivals(),
        Served(calls, trace, foreseen.quality, clock, (dies_s, back_s)),
        clock,
        options=SimOptions(seed=seed),
        also=happens,
    )
    return result, scheduler.witness


def row(runs: Sequence[tuple[SimResult, Witness]]) -> dict[str, Cell]:
    """What came of the runs of one trace, load and policy."""
    results, witnesses = zip(*runs, strict=True)
    faults: Counter[str] = Counter()
    ends: Counter[Disposition] = Counter()
    for own in witnesses:
        faults.update(own.faults())
        ends.update(own.dispositions)
    answered = np.concatenate([own.queue_s[own.answered] for own in results])
    peaks = {name: max(own.peak[name] for own in witnesses) for name in NAMES}
    return {
        "requests": sum(own.arrived.total() for own in witnesses),
        "ended": sum(own.ended.total() for own in witnesses),
        "ended_twice": faults["ended twice"],
        "lost": faults["lost"],
        "ran_twice": faults["ran twice"],
        "over_limit": faults["over the limit"],
        **{str(kind): ends[kind] for kind in (Disposition.ANSWERED, Disposition.FAILED, Disposition.REFUSED)},
        **{f"peak {own.name}": f"{peaks[own.name]}/{own.max_concurrent}" for own in ENDPOINTS},
        "wait_p50_s": float(np.quantile(answered, 0.5)),
        "wait_p99_s": float(np.quantile(answered, 0.99)),
        "quality": float(np.nanmean(np.concatenate([own.quality for own in results]))),
        "usd": sum(float(np.nansum(own.price_usd)) for own in results),
    }


def main() -> None:
    """Simulate, print, write."""
    args = bench_parser(str(__doc__).partition("\n")[0]).parse_args()
    count, seeds, loads = (600, 1, LOADS[-1:]) if args.quick else (REQUESTS, SEEDS, LOADS)
    calls = Calls(shared_data() / "profiles" / "llmperf_api_latency.parquet")
    rows: list[dict[str, Cell]] = []
    for name in TRACES:
        whole = Trace.read(shared_data() / "traces" / f"{name}.parquet")
        for load in loads:
            for policy, make in POLICIES.items():
                runs = []
                for seed in range(args.seed, args.seed + seeds):
                    some = whole.window(count, np.random.default_rng(seed))
                    runs.append(run(make(seed), at_load(some, load, calls), calls, seed))
                rows.append({"trace": name, "load": load, "policy": policy, "seeds": seeds, **row(runs)})
    write_results("load_limits", rows, args, title="Most outstanding on each endpoint, of its limit")


if __name__ == "__main__":
    main()
