"""Held-out error of cost models on measured runs of seven models on A100 and V100 nodes.

5-fold, whole (input, output) cells held out, repeated over `--partitions` random partitions since which
cells are held out together matters. A series' error is its mean APE over all held-out rows and
partitions; the summary is the median and the worst over the series.

    python bench/fit_energy_inference.py
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pointsman.data.shared_profiles import ENERGY_INFERENCE, CostSeries, energy_inference
from pointsman.metrics.regression import absolute_percentage_errors
from pointsman.predict.profile_fit import COST_KINDS
from pointsman.predict.profile_rows import folds
from pointsman.report.bench import Cell, bench_parser, shared_data, write_results
from pointsman.types import Floats

FOLDS = 5


def held_out(kind: str, series: CostSeries, cost: Floats, seed: int) -> Floats:
    """Predictions of rows whose cell the model had not seen, shape (N,)."""
    fold = folds(series.cells(), FOLDS, seed)
    predicted = np.empty_like(cost)
    for index in range(FOLDS):
        train, test = fold != index, fold == index
        model = COST_KINDS[kind].fit(series.input_tokens[train], series.output_tokens[train], cost[train])
        predicted[test] = model.predict(series.input_tokens[test], series.output_tokens[test])
    return predicted


def measure(all_series: tuple[CostSeries, ...], partitions: int, seed: int) -> list[dict[str, Cell]]:
    rows: list[dict[str, Cell]] = []
    quantities: dict[str, Callable[[CostSeries], Floats]] = {
        "time_s": lambda series: series.time_s,
        "energy_j": lambda series: series.energy_j,
    }
    for kind in COST_KINDS:
        for quantity, column in quantities.items():
            for series in all_series:
                cost = column(series)
                predicted = np.stack([held_out(kind, series, cost, seed + i) for i in range(partitions)])
                errors = 100 * np.stack([absolute_percentage_errors(cost, row) for row in predicted])
                by_partition = errors.mean(axis=1)
                rows.append(
                    {
                        "model": kind,
                        "quantity": quantity,
                        "series": series.name,
                        "n_rows": len(cost),
                        "n_cells": len(np.unique(series.cells())),
                        "mean_ape_percent": float(errors.mean()),
                        "median_ape_percent": float(np.median(errors)),
                        "lowest_partition_percent": float(by_partition.min()),
                        "highest_partition_percent": float(by_partition.max()),
                        "negative_predictions": int((predicted < 0).sum()),
                    }
                )
    return rows


def summary(rows: list[dict[str, Cell]]) -> list[dict[str, Cell]]:
    """For each model and quantity the median and the worst of its series."""
    table: list[dict[str, Cell]] = []
    for kind, quantity in dict.fromkeys((row["model"], row["quantity"]) for row in rows):
        chosen = [row for row in rows if (row["model"], row["quantity"]) == (kind, quantity)]
        errors = [float(row["mean_ape_percent"] or 0) for row in chosen]
        negative = sum(int(row["negative_predictions"] or 0) for row in chosen)
        for name, error in (("median", float(np.median(errors))), ("worst", max(errors))):
            table.append(
                {
                    "model": kind,
                    "quantity": quantity,
                    "series": f"{name} of {len(chosen)} series",
                    "mean_ape_percent": error,
                    "negative_predictions": negative,
                }
            )
    return table


def main() -> None:
    parser = bench_parser(__doc__ or "")
    parser.add_argument("--partitions", type=int, default=20, help="random partitions into folds; default 20")
    args = parser.parse_args()
    partitions = 2 if args.quick else args.partitions
    series = energy_inference(shared_data() / "profiles" / ENERGY_INFERENCE)
    rows = measure(series, partitions, args.seed)
    title = f"Held-out cells, {FOLDS} folds, {partitions} partitions"
    write_results("fit_energy_inference", rows + summary(rows), args, title=title)


if __name__ == "__main__":
    main()
