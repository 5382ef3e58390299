"""What do labels of other models give to a model that has few of its own?

The 19 models of outcomes/mmlu with all their gaps. For each model, n of its labels on the training
prompts, drawn at random (more labels contain the fewer):

    shared    `trained` on all models together; the model in question has n labels, and so have the four or
              five of its group (models are dealt into four groups, each measured apart); the others have all
    alone     `trained` on that model's n labels; what its features are, it has learnt from the same texts
    prior     without labels: what `prior` says of a model that no outcome names, the mean of all others
    +task     the same where training prompts and requests name their subject; without labels only

AUROC within held-out folds, grouped by prompt text, mean over folds and seeds; intervals of 95% by
bootstrap over prompts and seeds. 0 and 100 labels are measured with every seed, all else with the first. `gain90_labels`: labels until .5 + 90% of (shared's AUROC with all labels - .5), on straight
lines between the points. Writes docs/learning_curve.png as well.

    python bench/shared_strength.py --keep DIR      DIR: finished folds are kept there, and read again
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointsman.data.shared_outcomes import shared_outcomes
from pointsman.metrics.intervals import Weighted, auroc_of, mean_of, paired_interval
from pointsman.metrics.splits import grouped_folds
from pointsman.predict.features.hot import HotFeatures
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.kinds import FEATURES, encoders_of
from pointsman.predict.quality.prior import PriorQuality
from pointsman.predict.quality.text_design import TextDesign
from pointsman.predict.quality.trained import TrainedQuality
from pointsman.predict.quality.trained_head import TrainedSettings, fit_head
from pointsman.report.bench import Cell, bench_parser, print_rows, shared_data, write_results
from pointsman.report.certainty_plots import Curve, LearningPanel, plot_learning_curves
from pointsman.report.figure import save
from pointsman.types import Bools, Floats

ALL = 1_000_000
EVERY_SEED = (0, 100)
FIRST_SEED = (0, 25, 50, 100, 200, 400, 800, 1600, ALL)
QUICK = (0, 100, ALL)
GROUPS = 4
FOLDS = 5
QUICK_ROWS = 800
RESAMPLES = 300
PLOT = Path("docs") / "learning_curve.png"
ABOUT = (
    "outcomes/mmlu, held-out folds grouped by prompt text. "
    "Dashed: shared has 90% of what all labels give it over a coin's 0.5."
)

Key = tuple[str, int]
"""`shared`, `alone` or `prior`, with or without `+task`, and how many labels."""


class Seed(NamedTuple):
    """Held-out predictions of one seed, shape (N, E) each, and the fold of each prompt."""

    predicted: dict[Key, Floats]
    folds: NDArray[np.int64]


class Task(NamedTuple):
    """What is measured: outcomes, their encoded texts, how."""

    matrix: OutcomeMatrix
    queries: Queries
    features: str


def measure_seed(task: Task, seed: int, labels: Sequence[int], keep: Path | None) -> Seed:
    folds = grouped_folds(task.matrix.groups, FOLDS, seed)
    predicted: dict[Key, Floats] = {}
    for fold in range(FOLDS):
        held = folds == fold
        path = None if keep is None else keep / f"{task.features}_{len(labels)}_{seed}_{fold}.npz"
        for key, values in kept_fold(path, task, held, labels, (seed, fold)).items():
            whole = predicted.setdefault(key, np.full(task.matrix.quality.shape, np.nan))
            whole[held] = values
        print(f"seed {seed}, fold {fold + 1} of {FOLDS}", flush=True)
    return Seed(predicted, folds)


def kept_fold(
    path: Path | None, task: Task, held: Bools, labels: Sequence[int], seed: tuple[int, int]
) -> dict[Key, Floats]:
    """A fold's predictions, from the file where an earlier run left them."""
    if path is not None and path.exists():
        with np.load(path) as arrays:
            places = [(name, *name.rsplit(".", 1)) for name in arrays.files]
            return {(way, int(n)): arrays[name].astype(np.float64) for name, way, n in places}
    made = dict(measure_fold(task, np.flatnonzero(~held), np.flatnonzero(held), labels, seed))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        columns: dict[str, Any] = {f"{way}.{n}": kept.astype(np.float32) for (way, n), kept in made.items()}
        np.savez(part, **columns)
        part.replace(path)
    return made


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

    hot, *encoders = encoders_of(task.features)
    assert isinstance(hot, HotFeatures)
    encoder = encoders[0] if encoders else None
    design = TextDesign.fit(queries, hot, encoder, seed[0])
    texts = design.matrix(queries)

    def trained(outcomes: OutcomeMatrix, of: Queries = asked, tasks: tuple[str, ...] = ()) -> Floats:
        rows = np.flatnonzero((~np.isnan(outcomes.quality)).any(axis=1))
        head = fit_head(outcomes.take(rows), design, texts[rows], tasks, TrainedSettings(), seed[0])
        heads = (head, head) if tasks else (head,)
        model = TrainedQuality(outcomes.endpoints, tasks, hot, encoder, heads)
        return model.forecast(of).quality.value

    def by_groups(n: int, of: Queries = asked, tasks: tuple[str, ...] = ()) -> Floats:
        made = np.empty((len(held), endpoints))
        for number in range(GROUPS):
            columns = np.flatnonzero(group == number)
            made[:, columns] = trained(limited(columns, n), of, tasks)[:, columns]
        return made

    def alone(e: int, n: int) -> Floats:
        own = limited(np.array([e]), n)
        quality, output_tokens = own.quality[:, [e]], own.output_tokens[:, [e]]
        return trained(
            replace(own, endpoints=(own.endpoints[e],), quality=quality, output_tokens=output_tokens)
        )[:, 0]

    def unseen(outcomes: OutcomeMatrix, of: Queries) -> Floats:
        made = np.empty((len(held), endpoints))
        for e in range(endpoints):
            quality = limited(np.array([e]), 0).quality
            made[:, e] = PriorQuality.fit(replace(outcomes, quality=quality)).forecast(of).quality.value[:, e]
        return made

    for n in labels:
        yield ("shared", n), trained(matrix) if n == ALL else by_groups(n)
        if n > 0:
            yield ("alone", n), np.column_stack([alone(e, n) for e in range(endpoints)])
    yield ("prior", 0), unseen(replace(matrix, tasks=("",) * len(train)), asked)
    if labels == EVERY_SEED:
        return
    told = asked.with_tasks([task.matrix.tasks[row] for row in held])
    yield ("shared+task", 0), by_groups(0, told, tuple(sorted(set(matrix.tasks))))
    yield ("prior+task", 0), unseen(matrix, told)


def row_of(task: Task, e: int, n: int, ways: tuple[str, str], seeds: Sequence[Seed]) -> dict[str, Cell]:
    """One model with n labels, one way of training against another, over the seeds that have both."""
    known = np.flatnonzero(~np.isnan(task.matrix.quality[:, e]))
    labels, groups = task.matrix.quality[known, e], task.matrix.groups[known]
    have = [seed for seed in seeds if (ways[0], n) in seed.predicted]
    rng = np.random.default_rng((e, n))

    def order(way: str) -> list[Weighted]:
        return [auroc_of(labels, seed.predicted[way, n][known, e], seed.folds[known]) for seed in have]

    def error(way: str) -> list[Weighted]:
        return [mean_of(-((labels - seed.predicted[way, n][known, e]) ** 2)) for seed in have]

    row: dict[str, Cell] = {"model": task.matrix.endpoints[e], "labels": "all" if n == ALL else n}
    row |= {"way": ways[0], "against": ways[1], "seeds": len(have)}
    for name, measure_of in (("auroc", order), ("brier", error)):
        first, second = measure_of(ways[0]), measure_of(ways[1])
        for who, of in (("way", (first, None)), ("against", (second, None)), ("gain", (first, second))):
            made = paired_interval(*of, groups=groups, rng=rng, resamples=RESAMPLES)
            sign = -1.0 if name == "brier" and who != "gain" else 1.0
            row[f"{name}_{who}"] = sign * made.value
            if who == "gain" or name == "auroc":
                row |= {f"{name}_{who}_low": made.low, f"{name}_{who}_high": made.high}
    return row


def number(row: dict[str, Cell], column: str) -> float:
    value = row.get(column)
    assert isinstance(value, int | float)
    return float(value)


def labels_needed(rows: Sequence[dict[str, Cell]], way: str, all_labels: float) -> float | None:
    """Labels until 90% of what shared gains with all of them, over a coin's .5; None: not with all."""
    wanted = 0.5 + 0.9 * (number(rows[-1], "auroc_way") - 0.5)
    before, low = 0.0, 0.5
    for row in rows:
        n = all_labels if row["labels"] == "all" else number(row, "labels")
        value = number(row, f"auroc_{way}") if n or way == "way" else 0.5
        if value >= wanted:
            return before + (n - before) * (wanted - low) / (value - low)
        before, low = n, value
    return None


def panel(name: str, rows: Sequence[dict[str, Cell]], needed: float | None) -> LearningPanel:
    def curve(who: str) -> Curve:
        ends = (f"auroc_{who}", f"auroc_{who}_low", f"auroc_{who}_high")
        return Curve(*(np.array([number(row, column) for row in rows]) for column in ends))

    counts = [number(row, "labels") for row in rows[:-1]]
    mark = None
    if needed is not None and needed <= counts[-1]:
        mark = float(np.interp(needed, counts, np.arange(len(counts)))), f"90% at {needed:.0f}"
    labels = [str(row["labels"]) for row in rows]
    return LearningPanel(name, labels, {"shared": curve("way"), "alone": curve("against")}, mark)


def verdict(rows: Sequence[dict[str, Cell]]) -> list[dict[str, Cell]]:
    """How many models gain and how many lose, beyond their intervals."""
    kinds = dict.fromkeys((row["labels"], row["way"], row["against"]) for row in rows)
    return [
        {
            "labels": labels,
            "way": way,
            "against": against,
            "measure": measure,
            "better": sum(number(row, f"{measure}_gain_low") > 0 for row in some),
            "worse": sum(number(row, f"{measure}_gain_high") < 0 for row in some),
            "of": len(some),
            "mean_gain": float(np.mean([number(row, f"{measure}_gain") for row in some])),
            "least_gain": min(number(row, f"{measure}_gain") for row in some),
        }
        for labels, way, against in kinds
        for some in ([row for row in rows if (row["labels"], row["way"]) == (labels, way)],)
        for measure in ("auroc", "brier")
    ]


def measure(args: argparse.Namespace) -> tuple[list[dict[str, Cell]], list[LearningPanel]]:
    matrix = shared_outcomes(shared_data() / "outcomes" / "mmlu")
    matrix = replace(matrix, output_tokens=np.full_like(matrix.quality, np.nan))
    if args.quick:
        drawn = np.random.default_rng(args.seed).permutation(len(matrix.query_ids))[:QUICK_ROWS]
        matrix = matrix.take(np.sort(drawn))
    task = Task(matrix, Queries.without_task(matrix.prompts), args.features)
    first = QUICK if args.quick else FIRST_SEED
    seeds = []
    for seed in range(args.seed, args.seed + (1 if args.quick else args.seeds)):
        labels = first if seed == args.seed else EVERY_SEED
        seeds.append(measure_seed(task, seed, labels, None if args.quick else args.keep))
    rows: list[dict[str, Cell]] = []
    panels = []
    for e, endpoint in enumerate(matrix.endpoints):
        ways = [("shared", "alone" if n else "prior") for n in first]
        own = [row_of(task, e, n, pair, seeds) for n, pair in zip(first, ways, strict=True)]
        every = float((~np.isnan(matrix.quality[:, e])).sum()) * (FOLDS - 1) / FOLDS
        shared, alone = labels_needed(own, "way", every), labels_needed(own, "against", every)
        panels.append(panel(endpoint, own, shared))
        own.append(row_of(task, e, 0, ("shared+task", "prior+task"), seeds))
        rows += [row | {"shared_gain90_labels": shared, "alone_gain90_labels": alone} for row in own]
    return rows, panels


def main() -> None:
    parser = bench_parser(__doc__ or "")
    parser.add_argument("--features", choices=FEATURES, default="hot", help="default hot")
    parser.add_argument("--seeds", type=int, default=5, help="default 5")
    parser.add_argument("--keep", type=Path, default=None, help="folder of finished folds; default none")
    args = parser.parse_args()
    rows, panels = measure(args)
    if not args.quick:
        save(plot_learning_curves(panels, "AUROC", ABOUT), PLOT, ["png"])
    write_results("shared_strength", rows, args, title="Shared against alone, by labels")
    print_rows(verdict(rows), title="Better and worse beyond their intervals")


if __name__ == "__main__":
    main()
