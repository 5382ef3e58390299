"""Held-out error and interval coverage on the embedded fleet's own profile.

By cross-validation with whole prompts held out (a repeat stays with its original), and prequentially: fit
to the first third of the run, then predict each request before learning its drift.

    python bench/fleet_fit.py                                       the shipped profile
    python bench/fleet_fit.py --profile runs/mine.parquet
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pointsman.data.fit_rows import endpoint_rows
from pointsman.data.profiles import ProfileRun, read_profile
from pointsman.metrics.regression import bootstrap, coverage, mape, r2
from pointsman.predict.profile_fit import COST_KINDS
from pointsman.predict.profile_rows import ProfileRows
from pointsman.report.bench import Cell, bench_parser, write_results
from pointsman.report.fit_report import hold_out, prequential

SHIPPED = Path(__file__).resolve().parents[1] / "src" / "pointsman" / "data" / "fleet_profile.parquet"
QUICK_ROWS = 500
FIRST_SHARE = 1 / 3


def by_cross_validation(
    endpoint: str, rows: ProfileRows, cost: str, length: str, seed: int
) -> list[dict[str, Cell]]:
    table: list[dict[str, Cell]] = []
    for held in hold_out(rows, cost, length, seed):
        known = held.arrival if held.quantity == "output_tokens" else held.known_tokens
        low, high = bootstrap(mape, held.measured, known, rng=np.random.default_rng(seed), resamples=300)
        table.append(
            {
                "endpoint": endpoint,
                "how": "cross-validation by prompt",
                "cost": cost,
                "length": length,
                "quantity": held.quantity,
                "n": len(held.measured),
                **held.figures(),
                "mape_low": low,
                "mape_high": high,
            }
        )
        for level in np.unique(rows.concurrency):
            at = rows.concurrency[held.index] == level
            if held.quantity == "time_s" and at.any():
                table[-1][f"mape at concurrency {level:.0f}"] = mape(held.measured[at], known[at])
    return table


def one_step_ahead(
    endpoint: str, rows: ProfileRows, cost: str, length: str, seed: int
) -> list[dict[str, Cell]]:
    table: list[dict[str, Cell]] = []
    for quantity, values in (("time_s", rows.time_s), ("energy_j", rows.energy_j)):
        if not np.isfinite(values).all():
            continue
        run = prequential(
            rows, values, cost, length, grows=quantity == "time_s", share=FIRST_SHARE, seed=seed
        )
        for how, known in (("with drift", run.static * run.factor), ("without drift", run.static)):
            drifting = how == "with drift"
            table.append(
                {
                    "endpoint": endpoint,
                    "how": f"one step ahead, {how}",
                    "cost": cost,
                    "length": length,
                    "quantity": quantity,
                    "n": len(run.measured),
                    "r2": r2(run.measured, known),
                    "mape": mape(run.measured, known),
                    "mape_at_arrival": mape(run.measured, run.arrival) if drifting else None,
                    "coverage": coverage(run.measured, run.low, run.high) if drifting else None,
                    "nominal_coverage": 0.9 if drifting else None,
                }
            )
    return table


def main() -> None:
    parser = bench_parser(__doc__ or "")
    parser.add_argument("--profile", type=Path, default=SHIPPED)
    args = parser.parse_args()
    run: ProfileRun = read_profile(args.profile)
    table: list[dict[str, Cell]] = []
    for endpoint in run.endpoints():
        rows = endpoint_rows(run, endpoint)
        if args.quick:
            rows = rows.take(np.arange(min(len(rows), QUICK_ROWS)))
        for cost in COST_KINDS:
            table += by_cross_validation(endpoint, rows, cost, "task_mean", args.seed)
        table += one_step_ahead(endpoint, rows, "shape", "task_mean", args.seed)
    write_results("fleet_fit", table, args, title="Our own fleet")


if __name__ == "__main__":
    main()
