"""Are predicted probabilities met as often as they say, and do prediction sets hold the truth?

Each model of each set is predicted out of fold (grouped by prompt text) by `predictor` and calibrated on
the other folds, once a seed. Of all predictions of a seed together:

    error       expected calibration error in ten equal-mass bins; the mean and the worst of the seeds
    by_chance   what perfectly calibrated predictions would show at this sample size, and its 95% quantile
    coverage    share of answers whose truth is in the conformal set over {wrong, right}, limits from the
                other folds; per class: limits for right and for wrong answers apart
    size        mean labels in a set: 1 is a sure word, 2 says nothing

Tasks whose scores are no 0 or 1 are left out; the task's name is hidden from the predictor. Writes
docs/reliability.png as well. `confidence` of the shared data is never read.

    python bench/calibration.py
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointsman.data.shared_outcomes import shared_outcomes
from pointsman.metrics.intervals import Interval, auroc_of, mean_of, paired_interval
from pointsman.metrics.probability import calibration_error, calibration_error_floor
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.conformal import ConformalSets
from pointsman.predict.quality.fit import FitOptions, fit_quality
from pointsman.predict.quality.kinds import FEATURES
from pointsman.report.bench import Cell, bench_parser, shared_data, write_results
from pointsman.report.certainty_plots import Reliability, plot_reliability
from pointsman.report.figure import save
from pointsman.types import Bools, Floats

RUNS = (
    ("mmlu", "trained", 5),
    ("mmlu", "blend", 1),
    ("mmlu_pro", "trained", 1),
    ("llmrouter9", "trained", 1),
)
"""Set, predictor, seeds."""
PLOTTED = ("mmlu", "blend")
PLOT = Path("docs") / "reliability.png"
LEVEL = 0.9
QUICK_ROWS = 1_500
LEAST_LABELS = 2_000


class Seed(NamedTuple):
    """What one seed says of all queries, shape (N, E): probabilities, whether sets cover, their size."""

    predicted: Floats
    folds: NDArray[np.int64]
    covered: Bools
    size: Floats
    covered_by_class: Bools
    size_by_class: Floats


def zero_or_one(matrix: OutcomeMatrix) -> OutcomeMatrix:
    """The queries of tasks in which every score is 0 or 1."""
    tasks = np.array(matrix.tasks)
    graded = (~np.isnan(matrix.quality) & (matrix.quality != 0) & (matrix.quality != 1)).any(axis=1)
    return matrix.take(np.flatnonzero(~np.isin(tasks, np.unique(tasks[graded]))))


def predict(matrix: OutcomeMatrix, queries: Queries, options: FitOptions, seeds: int) -> Iterator[Seed]:
    for seed in range(options.seed, options.seed + seeds):
        print(f"{options.model}, {len(matrix.endpoints)} models: seed {seed}", flush=True)
        fitted = fit_quality(matrix, replace(options, seed=seed), queries)
        assert fitted.held_out is not None
        assert fitted.folds is not None
        predicted = fitted.held_out.quality.value
        made = {
            by_class: sets_across(matrix, predicted, fitted.folds, by_class) for by_class in (False, True)
        }
        yield Seed(predicted, fitted.folds, *made[False], *made[True])


def sets_across(
    matrix: OutcomeMatrix, predicted: Floats, folds: NDArray[np.int64], by_class: bool
) -> tuple[Bools, Floats]:
    """Whether each set covers its label, and its size, with limits from the other folds; shape (N, E)."""
    covered = np.zeros(predicted.shape, dtype=bool)
    size = np.zeros(predicted.shape)
    for fold in np.unique(folds):
        own = folds == fold
        limits = ConformalSets.fit(predicted[~own], matrix.quality[~own], LEVEL, per_class=by_class)
        sets = limits.sets(predicted[own])
        covered[own] = sets.covers(matrix.quality[own])
        size[own] = sets.size
    return covered, size


def row_of(name: str, matrix: OutcomeMatrix, column: int, seeds: list[Seed]) -> dict[str, Cell]:
    """Every measure of one model."""
    rng = np.random.default_rng(column)
    known = np.flatnonzero(~np.isnan(matrix.quality[:, column]))
    labels, groups = matrix.quality[known, column], matrix.groups[known]
    columns = [seed.predicted[known, column] for seed in seeds]
    errors = [calibration_error(labels, predicted) for predicted in columns]
    floors = [calibration_error_floor(predicted, rng, draws=200) for predicted in columns]
    auroc = paired_interval(
        [auroc_of(labels, each, seed.folds[known]) for each, seed in zip(columns, seeds, strict=True)],
        groups=groups, rng=rng, resamples=200,
    )  # fmt: skip

    def mean(values: list[Floats] | list[Bools]) -> Interval:
        columns = [mean_of(each[known, column].astype(float)) for each in values]
        return paired_interval(columns, groups=groups, rng=rng, resamples=200)

    coverage = mean([seed.covered for seed in seeds])
    by_class = np.mean([seed.covered_by_class[known, column] for seed in seeds], axis=0)
    return {
        "set": name,
        "model": matrix.endpoints[column],
        "labels": len(known),
        "right": float(labels.mean()),
        "auroc": auroc.value,
        "error": float(np.mean(errors)),
        "worst_error": max(errors),
        "by_chance": float(np.mean([floor.mean for floor in floors])),
        "by_chance_p95": float(np.mean([floor.p95 for floor in floors])),
        "coverage": coverage.value,
        "coverage_low": coverage.low,
        "coverage_high": coverage.high,
        "size": mean([seed.size for seed in seeds]).value,
        "empty": mean([seed.size == 0 for seed in seeds]).value,
        "coverage_right": float(by_class[labels == 1].mean()),
        "coverage_wrong": float(by_class[labels == 0].mean()),
        "size_by_class": mean([seed.size_by_class for seed in seeds]).value,
    }


def total(name: str, rows: list[dict[str, Cell]]) -> dict[str, Cell]:
    """Labels of all models together; errors: the worst model of those with enough labels."""
    labels = np.array([float(row["labels"] or 0) for row in rows])
    pooled = ("coverage", "size", "empty", "size_by_class")
    made: dict[str, Cell] = {"set": name, "model": f"all {len(rows)}", "labels": int(labels.sum())}
    for column in pooled:
        made[column] = float(np.average([float(row[column] or 0) for row in rows], weights=labels))
    for column in ("error", "worst_error"):
        enough = [float(row[column] or 0) for row in rows if int(row["labels"] or 0) >= LEAST_LABELS]
        made[column] = max(enough, default=None)
    return made


def matrix_of(name: str, args: argparse.Namespace) -> OutcomeMatrix:
    """Without lengths: nothing here reads them."""
    matrix = zero_or_one(shared_outcomes(shared_data() / "outcomes" / name))
    if args.quick:
        drawn = np.random.default_rng(args.seed).permutation(len(matrix.query_ids))[:QUICK_ROWS]
        matrix = matrix.take(np.sort(drawn))
    return replace(matrix, output_tokens=np.full_like(matrix.quality, np.nan))


def panels_of(matrix: OutcomeMatrix, seed: Seed) -> list[Reliability]:
    panels = []
    for column, endpoint in enumerate(matrix.endpoints):
        known = ~np.isnan(matrix.quality[:, column])
        predicted = seed.predicted[known, column]
        floor = calibration_error_floor(predicted, np.random.default_rng(column), draws=200)
        panels.append(Reliability(endpoint, matrix.quality[known, column], predicted, floor))
    return panels


def measure(args: argparse.Namespace) -> list[dict[str, Cell]]:
    rows: list[dict[str, Cell]] = []
    for name, predictor, seeds in RUNS[:1] if args.quick else RUNS:
        matrix = matrix_of(name, args)
        options = FitOptions(model=predictor, features=args.features, seed=args.seed)
        queries = Queries(matrix.prompts, matrix.tasks)
        made = list(predict(matrix, queries, options, 1 if args.quick else seeds))
        own = [row_of(name, matrix, column, made) for column in range(len(matrix.endpoints))]
        origin: dict[str, Cell] = {"predictor": predictor, "seeds": len(made)}
        rows += [origin | row for row in (*own, total(name, own))]
        if (name, predictor) == PLOTTED and not args.quick:
            about = f"outcomes/{name}, grouped 5-fold predictions of `{predictor}`, seed {args.seed}."
            save(plot_reliability(panels_of(matrix, made[0]), about), PLOT, ["png"])
    return rows


def main() -> None:
    parser = bench_parser(__doc__ or "")
    parser.add_argument("--features", choices=FEATURES, default="hot", help="default hot")
    args = parser.parse_args()
    write_results("calibration", measure(args), args, title="Calibration and conformal sets, out of fold")


if __name__ == "__main__":
    main()
