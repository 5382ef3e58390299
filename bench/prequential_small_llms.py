"""One-step-ahead error with drift correction, on 148,826 requests of three models on one GPU.

Each request is predicted before it is learnt from. The static part is fitted to the first `--warmup`
requests of the series only; the drift (a log-EWMA with a half-life of 10 requests) follows from there.
Beside it: the same without drift, and `ols` fitted to the whole series, which has seen the future.

    python bench/prequential_small_llms.py
"""

from __future__ import annotations

import numpy as np

from pointsman.data.shared_profiles import SMALL_LLMS, CostSeries, small_llms
from pointsman.metrics.regression import coverage, mape, mean_relative_width, r2
from pointsman.predict.cost import OlsCost, ShapeCost
from pointsman.predict.drift import NOMINAL
from pointsman.predict.load_fit import fit_spread
from pointsman.report.bench import Cell, bench_parser, shared_data, write_results
from pointsman.report.fit_report import follow_drift
from pointsman.types import Floats

QUICK_ROWS = 6000


def measure(series: CostSeries, quantity: str, warmup: int) -> list[dict[str, Cell]]:
    cost: Floats = getattr(series, quantity)
    head = slice(0, warmup)
    fitted = ShapeCost.fit(series.input_tokens[head], series.output_tokens[head], cost[head])
    static = fitted.predict(series.input_tokens, series.output_tokens)
    log_ratio = np.log(cost[head] / static[head])
    alone = np.ones_like(cost)
    spread = fit_spread(log_ratio, alone[head], (1,))
    factor, width = follow_drift(np.log(cost / static), spread, alone)
    below, above = spread.below[0], spread.above[0]
    predicted = static * factor
    low, high = predicted * np.exp(-below * width), predicted * np.exp(above * width)
    whole = OlsCost.fit(series.input_tokens, series.output_tokens, cost)
    rest = slice(warmup, None)
    rows: list[dict[str, Cell]] = []
    for name, values, bounds in (
        ("shape with drift", predicted, (low, high)),
        ("shape, first rows only", static, (static * np.exp(-below), static * np.exp(above))),
        ("ols, whole series", whole.predict(series.input_tokens, series.output_tokens), None),
    ):
        rows.append(
            {
                "series": series.name,
                "quantity": quantity,
                "prediction": name,
                "n": len(cost) - warmup,
                "r2": r2(cost[rest], values[rest]),
                "mape_percent": 100 * mape(cost[rest], values[rest]),
                "nominal_coverage": NOMINAL if bounds else None,
                "coverage": coverage(cost[rest], bounds[0][rest], bounds[1][rest]) if bounds else None,
                "relative_width": mean_relative_width(bounds[0][rest], bounds[1][rest], values[rest])
                if bounds
                else None,
            }
        )
    return rows


def main() -> None:
    parser = bench_parser(__doc__ or "")
    parser.add_argument("--warmup", type=int, default=500, help="requests the static part is fitted to")
    args = parser.parse_args()
    rows: list[dict[str, Cell]] = []
    for series in small_llms(shared_data() / "profiles" / SMALL_LLMS):
        part = series
        if args.quick:
            part = CostSeries(
                series.name,
                *(
                    getattr(series, name)[:QUICK_ROWS]
                    for name in ("input_tokens", "output_tokens", "time_s", "energy_j")
                ),
            )
        for quantity in ("time_s", "energy_j"):
            rows += measure(part, quantity, args.warmup)
    write_results("prequential_small_llms", rows, args, title="One step ahead")


if __name__ == "__main__":
    main()
