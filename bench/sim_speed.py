"""How many requests a minute the simulator takes through the real scheduler, on one core.

One engine of 128 slots at a load of .95 (Poisson), geometric answers of 200 tokens on the mean, prompts of 100, predictions
precomputed; KV memory that is short at times, so that requests are preempted. CPU seconds of this process, and how much its
peak memory grew from 1/10 of the requests to all of them (both runs in one process, the small one first).

    python bench/sim_speed.py
"""

from __future__ import annotations

import resource
import time

import numpy as np

from pointsman.report.bench import Cell, bench_parser, write_results
from pointsman.sim.engine_request import EngineLimits
from pointsman.sim.served import Serving, Site, serve
from pointsman.sim.step_times import times_named
from pointsman.sim.workload import Workload, gamma_arrivals
from pointsman.types import Endpoint

SLOTS, LOAD, MEAN_TOKENS, PROMPT_TOKENS, REQUESTS = 128, 0.95, 200.0, 100.0, 30_000
BLOCKS = 2_600
ENGINE = "llama2-70b-a100-x8"
CASES = (("fcfs", "gateway"), ("bounded", "gateway"), ("ranked", "both"), ("fcfs", "engine"))


def arriving(count: int, seed: int) -> Workload:
    """Requests at the load."""
    rng = np.random.default_rng(seed)
    output = rng.geometric(1 / MEAN_TOKENS, count).astype(np.float64)
    prompt = np.full(count, PROMPT_TOKENS)
    most_per_s = 1 / float(times_named(ENGINE).share_s(prompt, output, SLOTS).mean())
    times = gamma_arrivals(count, LOAD * most_per_s, 1.0, rng)
    return Workload(times, prompt, output, output * rng.lognormal(0.0, 0.5, count))


def measured(order: str, place: str, count: int, seed: int) -> dict[str, Cell]:
    """One run."""
    site = Site(Endpoint("engine", ENGINE), times_named(ENGINE), EngineLimits(SLOTS, blocks=BLOCKS))
    work = arriving(count, seed)
    before = time.process_time()
    result = serve(work, [site], Serving(order, place), seed=seed)
    took_s = time.process_time() - before
    return {
        "order": order,
        "place": place,
        "requests": count,
        "cpu_us_a_request": took_s / count * 1e6,
        "requests_a_minute": count / took_s * 60,
        "mean_here": result.mean_alive,
        "preemptions_a_request": float(np.nansum(result.preemptions)) / count,
    }


def main() -> None:
    """Measure, print, write."""
    args = bench_parser(str(__doc__).partition("\n")[0]).parse_args()
    count = 3_000 if args.quick else REQUESTS
    rows = []
    for order, place in CASES:
        measured(order, place, count // 10, args.seed)
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        row = measured(order, place, count, args.seed)
        row["peak_grew_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - peak_mib
        rows.append(row)
    write_results("sim_speed", rows, args, title="Simulated requests a minute, one core")


if __name__ == "__main__":
    main()
