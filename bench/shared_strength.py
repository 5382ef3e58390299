"""What do labels of other models give to a model that has few of its own?

The 19 models of outcomes/mmlu with all their gaps. For each model, n of its labels on the training
prompts, drawn at random (more labels contain the fewer):

    shared    `trained` on all models together; the model in question has n labels, and so have the four or
              five of its group (models are dealt into four groups, each measured apart); the others have all
    alone     `trained` on that model's n labels, with the same training texts
    prior     without labels: what `prior` says of a model that no outcome names, the mean of all others;
              `prior_task` is told the subject, which no other is

AUROC within held-out folds, grouped by prompt text, mean over folds and seeds; intervals of 95% by
bootstrap over prompts and seeds. 0, 100 and all labels are measured with every seed, the points between
with the first. `gain 90%`: labels until .5 + 90% of (shared's AUROC with all labels - .5), on straight
lines between the points. Writes docs/learning_curve.png as well.

    python bench/shared_strength.py --keep DIR      DIR: finished seeds are kept there, and read again
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointsman.data.shared_outcomes import shared_outcomes
from pointsman.metrics.intervals import Interval, Weighted, auroc_of, mean_of, paired_interval
from pointsman.metrics.splits import grouped_folds
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.kinds import FEATURES, fit_model
from pointsman.report.bench import Cell, bench_parser, print_rows, shared_data, write_results
from pointsman.report.certainty_plots import Curve, LearningPanel, plot_learning_curves
from pointsman.report.figure import save
from pointsman.types import Floats

ALL = 1_000_000
EVERY_SEED = (0, 100, ALL)
BETWEEN = (25, 50, 200, 400, 800, 1600)
GROUPS = 4
FOLDS = 5
QUICK_ROWS = 3_000
RESAMPLES = 500
PLOT = Path("docs") / "learning_curve.png"

Key = tuple[str, int]
"""`shared`, `alone`, `prior` or `prior_task`, and how many labels."""


class Seed(NamedTuple):
    """Held-out predictions of one seed, shape (N, E) each, and the fold of each prompt."""

    predicted: dict[Key, Floats]
    folds: NDArray[np.int64]


class Task(NamedTuple):
    """What is measured: outcomes, their encoded texts, how."""

    matrix: OutcomeMatrix
    queries: Queries
    features: str


def measure_seed(task: Task, seed: int, labels: Sequence[int]) -> Seed:
    folds = grouped_folds(task.matrix.groups, FOLDS, seed)
    predicted: dict[Key, Floats] = {}
    for fold in range(FOLDS):
        train, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        for key, values in measure_fold(task, train, held, labels, (seed, fold)):
            whole = predicted.setdefault(key, np.full(task.matrix.quality.shape, np.nan))
            whole[held] = values
        print(f"seed {seed}, fold {fold + 1} of {FOLDS}", flush=True)
    return Seed(predicted, folds)


def measure_fold(
    task: Task,
    train: NDArray[np.int64],
    held: NDArray[np.int64],
    labels: Sequence[int],
    seed: tuple[int, int],
) -> Iterator[tuple[Key, Floats]]:
    """Predictions of the held-out prompts, shape (len(held), E), for each way and number of labels."""
    matrix, queries, asked = task.matrix.take(train), task.queries.take(train), task.queries.take(held)
    endpoints = len(matrix.endpoints)
    rng = np.random.default_rng(seed)
    group = rng.permutation(endpoints) % GROUPS
    orders = [rng.permutation(np.flatnonzero(~np.isnan(column))) for column in matrix.quality.T]

    def limited(columns: NDArray[np.int64], n: int) -> OutcomeMatrix:
        quality = matrix.quality.copy()
        for column in columns:
            quality[orders[column][n:], column] = np.nan
        return replace(matrix, quality=quality)

    def forecast(kind: str, outcomes: OutcomeMatrix, known: Queries, of: Queries) -> Floats:
        model = fit_model(kind, outcomes, known, task.features, seed[0])
        return model.forecast(of).quality.value

    for n in labels:
        shared, alone = np.empty((len(held), endpoints)), np.empty((len(held), endpoints))
        for number in range(GROUPS if n < ALL else 1):
            columns = np.flatnonzero(group == number) if n < ALL else np.arange(endpoints)
            shared[:, columns] = forecast("trained", limited(columns, n), queries, asked)[:, columns]
        yield ("shared", n), shared
        if n == 0:
            for name, tasks, of in (
                ("prior", ("",) * queries.n, asked),
                ("prior_task", matrix.tasks, asked.with_tasks([task.matrix.tasks[row] for row in held])),
            ):
                columns_of = (
                    forecast("prior", limited(np.array([e]), 0), queries.with_tasks(tasks), of)[:, e]
                    for e in range(endpoints)
                )
                yield (name, 0), np.column_stack(list(columns_of))
            continue
        for e in range(endpoints):
            one = replace(
                matrix,
                endpoints=(matrix.endpoints[e],),
                quality=limited(np.array([e]), n).quality[:, [e]],
                output_tokens=matrix.output_tokens[:, [e]],
            )
            alone[:, e] = forecast("trained", one, queries, asked)[:, 0]
        yield ("alone", n), alone


def row_of(task: Task, e: int, n: int, seeds: Sequence[Seed]) -> dict[str, Cell]:
    """Measures of one model with n labels, over the seeds that have them."""
    known = np.flatnonzero(~np.isnan(task.matrix.quality[:, e]))
    labels, groups = task.matrix.quality[known, e], task.matrix.groups[known]
    have = [seed for seed in seeds if ("shared", n) in seed.predicted]
    rng = np.random.default_rng((e, n))

    def order(way: str) -> list[Weighted]:
        return [auroc_of(labels, seed.predicted[way, n][known, e], seed.folds[known]) for seed in have]

    def error(way: str) -> list[Weighted]:
        return [mean_of((labels - seed.predicted[way, n][known, e]) ** 2) for seed in have]

    def interval(first: list[Weighted], second: list[Weighted] | None = None) -> Interval:
        return paired_interval(first, second, groups=groups, rng=rng, resamples=RESAMPLES)

    row: dict[str, Cell] = {"model": task.matrix.endpoints[e], "labels": "all" if n == ALL else n}
    row["seeds"] = len(have)
    others = ("prior", "prior_task") if n == 0 else ("alone",)
    for way in ("shared", *others):
        made = interval(order(way))
        row |= {f"{way}_auroc": made.value, f"{way}_auroc_low": made.low, f"{way}_auroc_high": made.high}
        row[f"{way}_brier"] = interval(error(way)).value
    made = interval(order("shared"), order(others[0]))
    row |= {"gain": made.value, "gain_low": made.low, "gain_high": made.high}
    made = interval(error("shared"), error(others[0]))
    return row | {"brier_gain": -made.value, "brier_gain_low": -made.high, "brier_gain_high": -made.low}


def number(row: dict[str, Cell], column: str) -> float:
    value = row.get(column)
    assert isinstance(value, int | float)
    return float(value)


def labels_needed(rows: Sequence[dict[str, Cell]], way: str, all_labels: float) -> float | None:
    """Labels until 90% of what shared gains with all of them, over a coin's .5; None: not with all."""
    wanted = 0.5 + 0.9 * (number(rows[-1], "shared_auroc") - 0.5)
    points = [
        (all_labels if row["labels"] == "all" else number(row, "labels"), number(row, f"{way}_auroc"))
        for row in rows
        if f"{way}_auroc" in row
    ]
    points = points if way == "shared" else [(0.0, 0.5), *points]
    for at, (n, value) in enumerate(points):
        if value >= wanted:
            if at == 0:
                return n
            before, low = points[at - 1]
            return before + (n - before) * (wanted - low) / (value - low)
    return None


def panel(name: str, rows: Sequence[dict[str, Cell]], needed: float | None) -> LearningPanel:
    def curve(way: str) -> Curve:
        half = np.full(len(rows), 0.5)
        columns = [
            np.array(
                [number(row, column) if column in row else at for row, at in zip(rows, half, strict=True)]
            )
            for column in (f"{way}_auroc", f"{way}_auroc_low", f"{way}_auroc_high")
        ]
        return Curve(*columns)

    counts = [number(row, "labels") for row in rows[:-1]]
    mark = None
    if needed is not None and needed <= counts[-1]:
        mark = float(np.interp(needed, counts, np.arange(len(counts)))), f"90% at {needed:.0f}"
    return LearningPanel(
        name, [str(row["labels"]) for row in rows], {way: curve(way) for way in ("shared", "alone")}, mark
    )


def verdict(rows: Sequence[dict[str, Cell]]) -> list[dict[str, Cell]]:
    """How many models gain and how many lose, beyond their intervals."""
    return [
        {
            "labels": labels,
            "measure": "AUROC" if what == "gain" else "Brier score",
            "against": "prior" if labels == 0 else "alone",
            "better": sum(number(row, f"{what}_low") > 0 for row in some),
            "worse": sum(number(row, f"{what}_high") < 0 for row in some),
            "of": len(some),
            "mean gain": float(np.mean([number(row, what) for row in some])),
            "least gain": min(number(row, what) for row in some),
        }
        for labels in (0, 100, "all")
        for some in ([row for row in rows if row["labels"] == labels],)
        for what in ("gain", "brier_gain")
    ]


def kept(path: Path | None, task: Task, seed: int, labels: Sequence[int]) -> Seed:
    """A seed's predictions, from the file where an earlier run left them."""
    if path is not None and path.exists():
        with np.load(path) as arrays:
            keys = [name.rpartition(".") for name in arrays.files if name != "folds"]
            predicted = {(way, int(n)): arrays[f"{way}.{n}"].astype(np.float64) for way, _, n in keys}
            if {n for way, n in predicted if way == "shared"} == set(labels):
                return Seed(predicted, arrays["folds"])
    made = measure_seed(task, seed, labels)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = {f"{way}.{n}": values.astype(np.float32) for (way, n), values in made.predicted.items()}
        np.savez(path, allow_pickle=False, folds=made.folds, **columns)
    return made


def measure(args: argparse.Namespace) -> tuple[list[dict[str, Cell]], list[LearningPanel]]:
    matrix = shared_outcomes(shared_data() / "outcomes" / "mmlu")
    matrix = replace(matrix, output_tokens=np.full_like(matrix.quality, np.nan))
    if args.quick:
        drawn = np.random.default_rng(args.seed).permutation(len(matrix.query_ids))[:QUICK_ROWS]
        matrix = matrix.take(np.sort(drawn))
    task = Task(matrix, Queries.without_task(matrix.prompts), args.features)
    first = EVERY_SEED if args.quick else tuple(sorted((*EVERY_SEED, *BETWEEN)))
    seeds = []
    for seed in range(args.seed, args.seed + (1 if args.quick else args.seeds)):
        path = args.keep / f"{args.features}_{seed}.npz" if args.keep and not args.quick else None
        seeds.append(kept(path, task, seed, first if seed == args.seed else EVERY_SEED))
    rows: list[dict[str, Cell]] = []
    panels = []
    for e, endpoint in enumerate(matrix.endpoints):
        own = [row_of(task, e, n, seeds) for n in first]
        every = float((~np.isnan(matrix.quality[:, e])).sum()) * (FOLDS - 1) / FOLDS
        needed = {way: labels_needed(own, way, every) for way in ("shared", "alone")}
        rows += [row | {f"{way}_labels_for_90%": at for way, at in needed.items()} for row in own]
        panels.append(panel(endpoint, own, needed["shared"]))
    return rows, panels


def main() -> None:
    parser = bench_parser(__doc__ or "")
    parser.add_argument("--features", choices=FEATURES, default="hot", help="default hot")
    parser.add_argument("--seeds", type=int, default=5, help="default 5")
    parser.add_argument("--keep", type=Path, default=None, help="folder of finished seeds; default none")
    args = parser.parse_args()
    rows, panels = measure(args)
    if not args.quick:
        about = "outcomes/mmlu, held-out folds grouped by prompt text."
        save(plot_learning_curves(panels, "AUROC", about), PLOT, ["png"])
    write_results("shared_strength", rows, args, title="Shared against alone, by labels")
    print_rows(verdict(rows), title="Better and worse beyond their intervals")


if __name__ == "__main__":
    main()
