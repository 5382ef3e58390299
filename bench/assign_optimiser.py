"""The optimiser of plans: gap to the bound, time and memory, beside HiGHS where that is possible.

    loose      one quality floor, shares of twice the even part
    tight      shares of 1.05 times the even part: nearly every endpoint is full
    ties       ten levels of quality, prices in steps, a fifth of them free: most rows have equals
    tenants    tight, and floors for eight tenants beside the one for all
    all        tenants, work limits on every endpoint, an energy budget, a tenth of the pairs forbidden

Cost and quality are correlated: a dearer endpoint is better, a longer request dearer everywhere. The gap
of `lagrangian` is to its own dual bound, which is at most the relaxation's value; up to 100,000 x 20 that
value stands beside it (`lp_value`). Times are CPU seconds of one thread and wall seconds; each case runs
in a process of its own, whose peak memory is given (`start_mib`: the arrays alone). HiGHS may take 20
minutes of CPU a case; one that was not done by then says so. `measured_at` is the commit of each case: with a
journal, a run that was cut off goes on where it was, and cases may be measured on different days.

    python bench/assign_optimiser.py
    python bench/assign_optimiser.py --journal runs/assign_optimiser.jsonl
    python bench/assign_optimiser.py --only 1000x10 --kinds tight ties
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from pointsman.assign.constrained import ConstrainedAssign
from pointsman.assign.lagrangian import lagrangian
from pointsman.assign.lp import lp
from pointsman.assign.plan import Plan
from pointsman.assign.problem import Budget, LoadLimit, Problem, QualityFloor
from pointsman.assign.stream_terms import ConstrainedTerms
from pointsman.assign.streaming import Duals, StreamLimits
from pointsman.errors import PointsmanError
from pointsman.report.bench import Cell, bench_parser, commit, write_results
from pointsman.testing.fakes import make_endpoints, make_request, make_table
from pointsman.types import EMPTY, Admission, Decision, EndpointView, Floats

SIZES = ("1000x10", "20000x20", "100000x20", "1000000x20", "10000000x4")
KINDS = ("loose", "tight", "ties", "tenants", "all")
KINDS_LARGEST = ("tenants",)
LARGEST_ROWS = 10_000_000
TENANTS = tuple("abcdefgh")
HIGHS_PAIRS = 2_000_000
HIGHS_QUICK_PAIRS = 10_000
HIGHS_CPU_S = 1200
CHUNK = 50_000


def instance(rows: int, columns: int, kind: str, seed: int) -> Problem:
    """A synthetic fleet of `columns` sizes and requests of many lengths and difficulties."""
    rng = np.random.default_rng(seed)
    size = np.geomspace(0.3, 12, columns).astype(np.float32)
    skill = np.linspace(-1, 1.5, columns, dtype=np.float32)
    cost, quality, seconds = (np.empty((rows, columns), np.float32) for _ in range(3))
    for start in range(0, rows, CHUNK):
        own = slice(start, min(rows, start + CHUNK))
        shape = (own.stop - start, columns)
        tokens = rng.lognormal(5, 0.8, (shape[0], 1)).astype(np.float32)
        hard = rng.standard_normal((shape[0], 1), dtype=np.float32)
        cost[own] = 1e-6 * tokens * size * np.exp(0.3 * rng.standard_normal(shape, dtype=np.float32))
        quality[own] = 1 / (1 + np.exp(hard - skill - 0.7 * rng.standard_normal(shape, dtype=np.float32)))
        seconds[own] = 0.01 * tokens * (0.3 + size / size[-1])
    if kind == "ties":
        cost, quality = (
            np.floor(cost / np.float32(5e-5)) * np.float32(5e-5),
            np.round(quality * 10) / np.float32(10),
        )
    names = tuple(f"e{j}" for j in range(columns))
    part = {"loose": 2.0, "ties": 2.0, "all": 1.3}.get(kind, 1.05)
    loads = [LoadLimit.share(names, dict.fromkeys(names, float(np.ceil(part * rows / columns))))]
    floors, budgets, allowed = [QualityFloor.overall(0.65 if part == 2.0 else 0.58)], [], None
    if kind in {"tenants", "all"}:
        share = np.arange(1, 9) / 36
        group = rng.choice(8, rows, p=share).astype(np.int32)
        floors.append(QualityFloor("tenant", TENANTS, np.linspace(0.45, 0.62, 8), group))
    if kind == "all":
        makespan = 1.3 * float(seconds.mean()) * rows / columns
        loads.append(LoadLimit.work(names, dict.fromkeys(names, 1), makespan, seconds))
        energy = seconds * (50 * size)
        budgets.append(Budget("energy_j", energy, 0.8 * float(energy.mean(dtype=np.float64)) * rows))
        allowed = rng.random((rows, columns), dtype=np.float32) < 0.9
        allowed[~allowed.any(axis=1), -1] = True
    return Problem(names, cost, quality, allowed, tuple(floors), tuple(loads), tuple(budgets))


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def solved(problem: Problem, policy: str, seed: int) -> Plan:
    if policy == "lp":
        resource.setrlimit(resource.RLIMIT_CPU, (HIGHS_CPU_S, HIGHS_CPU_S + 5))
        return lp(problem, seed=seed, time_limit_s=math.inf)
    return lagrangian(problem, seed=seed)


def measure(rows: int, columns: int, kind: str, policy: str, seed: int) -> dict[str, Cell]:
    """One case, in this process."""
    problem = instance(rows, columns, kind, seed)
    case: dict[str, Cell] = {"requests": rows, "endpoints": columns, "kind": kind, "policy": policy}
    start_mib, cpu, wall = peak_mib(), time.process_time(), time.perf_counter()
    plan = solved(problem, policy, seed)
    return case | {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "start_mib": start_mib,
        "peak_mib": peak_mib(),
        "measured_at": commit(),
        "limits": len(plan.limits),
        "kept": plan.feasible,
        "objective": plan.objective,
        "bound": plan.bound,
        "gap_percent": None if plan.gap is None else 100 * plan.gap,
    }


def apart(
    rows: int, columns: int, kind: str, policy: str, seed: int, journal: Path | None
) -> dict[str, Cell]:
    """One case in a process of its own, so that its peak memory is its own; from the journal if it is there."""
    wanted = {"requests": rows, "endpoints": columns, "kind": kind, "policy": policy}
    for known in journal_cases(journal):
        if known["seed"] == seed and wanted.items() <= known["case"].items():
            found: dict[str, Cell] = known["case"]
            return found
    words = [sys.executable, __file__, "--case", str(rows), str(columns), kind, policy, "--seed", str(seed)]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode == -signal.SIGXCPU:
        note = f"not done in {HIGHS_CPU_S} s of CPU"
        done.stdout = json.dumps(wanted | {"cpu_s": HIGHS_CPU_S, "measured_at": commit(), "note": note})
    elif done.returncode:
        raise PointsmanError(f"the case {rows} x {columns} {kind} failed: {done.stderr[-2000:]}")
    case: dict[str, Cell] = json.loads(done.stdout)
    if journal is not None:
        with journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"seed": seed, "case": case}) + "\n")
    return case


def journal_cases(journal: Path | None) -> list[dict[str, Any]]:
    """What was measured before."""
    if journal is None or not journal.exists():
        return []
    return [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]


def streaming(calls: int, seed: int) -> dict[str, Cell]:
    """One arrival at a time, 20 endpoints, two floors, shares and two budgets: microseconds of CPU."""
    rng = np.random.default_rng(seed)
    duals = Duals(
        StreamLimits(20, (np.array([0.6]), np.full(8, 0.5)), np.full(20, 0.1), np.array([0.5, 0.5]))
    )
    chosen, whole = np.empty(calls), np.empty(calls)
    for i in range(calls):
        cost, quality, price, energy = rng.random((4, 20))
        start = time.thread_time_ns()
        row = duals.arrival(cost, quality, (0, i % 8), (price, energy))
        column = duals.choose(row)
        chosen[i] = time.thread_time_ns() - start
        duals.spend(row, column)
        whole[i] = time.thread_time_ns() - start
    return streaming_row("duals", chosen, whole)


def deciding(calls: int, seed: int) -> dict[str, Cell]:
    """The same by the gateway's policy `constrained`: waits, reasons and what explains it, then what it keeps."""
    endpoints = make_endpoints(20)
    names = [endpoint.name for endpoint in endpoints]
    terms = ConstrainedTerms(
        min_quality=0.6, by_tenant={f"t{k}": 0.5 for k in range(8)}, max_share=dict.fromkeys(names, 0.1),
        usd_per_request=1.0, j_per_request=1e3,
    )  # fmt: skip
    policy = ConstrainedAssign(names, terms)
    tables = [make_table(endpoints, seed=seed + k) for k in range(100)]
    view = [EndpointView(name, 1, 2, 2, healthy=True) for name in names]
    everyone = np.ones((1, 20), dtype=bool)
    chosen, whole = np.empty(calls), np.empty(calls)
    for i in range(calls):
        request, table = make_request(f"r{i}", tenant=f"t{i % 8}"), tables[i % 100]
        start = time.thread_time_ns()
        made = policy.assign([request], table, everyone, view)
        chosen[i] = time.thread_time_ns() - start
        decision = Decision(
            request.id, 0.0, Admission.RUN, made.reason[0], policy.name, table, 0, EMPTY, made.score[0],
            names[int(made.endpoint_index[0])], rates=made.rates[0],
        )  # fmt: skip
        start = time.thread_time_ns()
        policy.settled(request, decision)
        whole[i] = chosen[i] + time.thread_time_ns() - start
    return streaming_row(policy.name, chosen, whole)


def streaming_row(policy: str, chosen_ns: Floats, whole_ns: Floats) -> dict[str, Cell]:
    p50, p99 = np.percentile(chosen_ns / 1e3, (50, 99)).tolist()
    return {
        "requests": 1, "endpoints": 20, "kind": "streaming", "policy": policy, "choose_p50_us": p50,
        "choose_p99_us": p99, "choose_and_spend_p99_us": float(np.percentile(whole_ns / 1e3, 99)),
    }  # fmt: skip


def main() -> None:
    parser = bench_parser(__doc__ or "")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", nargs="+", default=None, help=f"sizes; default {' '.join(SIZES)}")
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument(
        "--highs-pairs", type=int, default=None, help="the largest problem for HiGHS; default 2,000,000"
    )
    parser.add_argument(
        "--journal", type=Path, default=None, help="each case as it ends; those in it are not measured again"
    )
    parser.add_argument("--case", nargs=4, default=None, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        rows, columns, kind, policy = args.case
        print(json.dumps(measure(int(rows), int(columns), kind, policy, args.seed)))
        return
    most = args.highs_pairs or (HIGHS_QUICK_PAIRS if args.quick else HIGHS_PAIRS)
    sizes = args.only or (("1000x10", "20000x20") if args.quick else SIZES)
    table = []
    for size in sizes:
        rows, columns = map(int, size.split("x"))
        kinds = KINDS_LARGEST if rows >= LARGEST_ROWS else KINDS[:4] if args.quick else args.kinds
        for kind in kinds:
            case = apart(rows, columns, kind, "lagrangian", args.seed, args.journal)
            if rows * columns <= most:
                beside = apart(rows, columns, kind, "lp", args.seed, args.journal)
                case["lp_value"] = beside.get("bound")
                table += [case, beside]
            else:
                table.append(case)
    calls = 2_000 if args.quick else 20_000
    table += [streaming(calls, args.seed), deciding(calls, args.seed)]
    write_results("assign_optimiser", table, args, title="Plans: gap, time, memory")


if __name__ == "__main__":
    main()
