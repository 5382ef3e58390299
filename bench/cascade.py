"""Does judging a small model's answer pay, before a larger one is asked?

Real answers of the embedded fleet to code (MBPP) and mathematics (GSM8K), each to its natural end or its limit, with
further samples of some models. Every question is decided by models fitted on other questions (grouped
5-fold cross-fitting, five seeds); c_wrong = c_miss = 1, c_run = .2 x the run's time (or modelled energy)
over its mean on the largest model. What is paid is what the runs really took, further samples included.

    model alone        always this model
    route by ...       the model of least expected cost, before any has run: by the share of right answers
                       in the set (prior), or by a regression on it and the prompt's length (prompt)
    cascade by ...     the small model; then, if it pays, a larger one. Its answer is judged by log-probabilities
                       and length (logprob), by agreement among its samples (agreement), or by both
                       "chain by data": the chain, or model alone, that cost least on the other folds
    cascade at random  as often as `cascade by both`, whatever the answer
    oracle cascade     a judge that knows which answers are right; oracle: knows it before anything has run

`must answer`: every question is run. `may skip`: first the admission by value decides, and a skipped
question costs c_miss if any model would have been right. The last columns are the difference from the
best model alone (the best in hindsight), with its 95% interval over questions and seeds.

    python bench/cascade.py
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointsman.admit.cascade import escalation_costs
from pointsman.data.answer_folds import FOLDS, HIDDEN, AnsweredSets, Fold, by_set, fitted_folds
from pointsman.errors import DataError
from pointsman.metrics.cascades import Ask, Played, play_cascade, play_choice
from pointsman.metrics.intervals import mean_of, paired_interval
from pointsman.metrics.run_or_skip import SKIP, Stakes, decide
from pointsman.predict.quality.odds import sigmoid
from pointsman.report.bench import Cell, bench_parser, write_results
from pointsman.report.cascade_plot import Line, Point, plot_cascade
from pointsman.report.figure import save
from pointsman.types import Floats

DATA = Path("bench") / "data"
SETS = ("gsm8k", "mbpp")
PLOT = Path("docs") / "cascade.png"
SHARE, SEEDS = 0.2, 5
ANSWER, MAY_SKIP = "must answer", "may skip"
PAID = ("measured time", "modelled energy")
THRESHOLDS = np.concatenate([[0.0], sigmoid(np.linspace(-5.0, 5.0, 41)), [1.01]])

Ways = defaultdict[str, list[Played]]
"""What came of each way of deciding, one a seed."""


def _parameters(model: str) -> float:
    """By its name: 135m, 0.5b, 1.5b."""
    word = model.rpartition("-")[2]
    return float(word[:-1]) * {"m": 1e6, "b": 1e9}[word[-1]]


# Ways of deciding


def judged(
    asked: AnsweredSets, fold: Fold, by: str, chain: Sequence[int], threshold: float | None = None
) -> Ask:
    """The live rule: the lowest expected cost over the rest of the chain, or P(right) under a threshold."""

    def ask(column: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        name = asked.table.endpoints[column]
        signs = asked.table.signs[name].take(rows).without(*HIDDEN[by])
        right = fold.judges[by].right_rows(name, signs, fold.prior[rows], fold.tokens[rows])
        later = chain[chain.index(column) + 1 :]
        if threshold is not None:
            return np.where(right[:, column] >= threshold, column, later[0])
        may_ask = np.isin(np.arange(right.shape[1]), later)
        costs = escalation_costs(right, column, fold.c_run[rows], 1.0, may_ask)
        pays = costs.min(axis=1) < costs[:, column]
        return np.where(pays, costs.argmin(axis=1), column)

    return ask


def best_chains(asked: AnsweredSets, fold: Fold, by: str, *, samples: bool) -> Played:
    """Of the fold's questions: for each set the chain, or the model alone, that cost least on the other folds."""
    right, c_run = asked.table.right, asked.c_run
    n_models = right.shape[1]
    made = np.zeros((4, asked.n))
    train = np.setdiff1d(np.arange(asked.n), fold.test)
    for name in np.unique(asked.sets):
        own, test = (rows[asked.sets[rows] == name] for rows in (train, fold.test))

        def played(chain: Sequence[int], rows: NDArray[np.int64]) -> Played:
            return play_cascade(chain, judged(asked, fold, by, chain), right, c_run, rows, samples=samples)

        best = min(
            [(column,) for column in range(n_models)] + chains(n_models),
            key=lambda chain: float(played(chain, own).cost(right[own]).mean()),
        )
        made[:, test] = played(best, test)
    return Played(*made[:, fold.test])


def chains(n_models: int) -> list[tuple[int, ...]]:
    """The two largest, and all."""
    pair = (n_models - 2, n_models - 1)
    return [pair, tuple(range(n_models))] if n_models > 2 else [pair]


def play(asked: AnsweredSets, folds: Sequence[Fold], ways: Ways) -> None:
    """Decide every question by what was fitted on the other folds; one seed."""
    right, c_run = asked.table.right, asked.c_run
    made: dict[str, Floats] = {}
    for fold in folds:
        parts: dict[str, Played] = {}
        for name, expected in (("prior", fold.prior), ("prompt", fold.prompt)):
            cheapest = (fold.c_run + 1.0 - expected).argmin(axis=1)
            for mode, choice in ((ANSWER, cheapest), (MAY_SKIP, decide(expected, Stakes(fold.c_run)))):
                played = play_choice(choice, right, c_run)
                parts[f"{mode}: route by {name}"] = Played(*(column[fold.test] for column in played))
        ran = decide(fold.prior, Stakes(fold.c_run))[fold.test] != SKIP
        for by, chain in product(HIDDEN, chains(right.shape[1])):
            ask = judged(asked, fold, by, chain)
            played = play_cascade(chain, ask, right, c_run, fold.test, samples=by != "logprob")
            name = f"cascade by {by}, {len(chain)} models"
            parts[f"{ANSWER}: {name}"] = played
            parts[f"{MAY_SKIP}: {name}"] = Played(
                played.run * ran, played.right * ran, played.escalated * ran, (~ran).astype(float)
            )
        for by in HIDDEN:
            chosen = best_chains(asked, fold, by, samples=by != "logprob")
            parts[f"{ANSWER}: cascade by {by}, chain by data"] = chosen
        for name, played in parts.items():
            made.setdefault(name, np.zeros((4, asked.n)))[:, fold.test] = played
    for name, columns in made.items():
        ways[name].append(Played(*columns))


def hindsight(asked: AnsweredSets, seeds: int, ways: Ways) -> None:
    """What needs no fit: models alone, all-skip, oracles, and escalation by chance."""
    right, c_run, rows = asked.table.right, asked.c_run, np.arange(asked.n)
    chosen = {
        f"{ANSWER}: {name} alone": np.full(asked.n, column)
        for column, name in enumerate(asked.table.endpoints)
    }
    chosen[f"{MAY_SKIP}: all-skip"] = np.full(asked.n, SKIP)
    chosen[f"{ANSWER}: oracle"] = (c_run[0] + 1.0 - right).argmin(axis=1)
    chosen[f"{MAY_SKIP}: oracle"] = decide(right, Stakes(c_run[0]))
    for name, choice in chosen.items():
        ways[name] = [play_choice(choice, right, c_run)] * seeds
    small, large = pair = chains(right.shape[1])[0]
    pays = c_run[0, :, large] + 1.0 - right[:, large] < 1.0 - right[:, small]
    knows = play_cascade(pair, lambda _, some: np.where(pays[some], large, small), right, c_run, rows)
    ways[f"{ANSWER}: oracle cascade, 2 models"] = [knows] * seeds
    for like in ways[f"{ANSWER}: cascade by both, 2 models"]:
        rate = by_set(like.escalated[:, None], asked.sets, np.full(asked.n, True))[:, 0]
        run = c_run[0, :, small] + rate * c_run[0, :, large]
        score = (1 - rate) * right[:, small] + rate * right[:, large]
        by_chance = Played(run, score, rate, np.zeros(asked.n))
        ways[f"{ANSWER}: cascade at random, 2 models"].append(by_chance)


def summary(asked: AnsweredSets, ways: Ways, paid: str, seed: int) -> Iterator[dict[str, Cell]]:
    """One row a way and set of questions, with intervals."""
    right = asked.table.right
    costs = {name: [played.cost(right) for played in seeds] for name, seeds in ways.items()}
    parts = [*np.unique(asked.sets).tolist(), "both"]
    for part in parts if len(parts) > 2 else parts[:1]:
        rows = np.flatnonzero((asked.sets == part) | (part == "both"))
        alone = [name for name in ways if "alone" in name]
        best = min(alone, key=lambda name: float(costs[name][0][rows].mean()))
        for name, seeds in ways.items():
            mode, _, said = name.partition(": ")
            own = [mean_of(cost[rows]) for cost in costs[name]]
            rng = np.random.default_rng(seed)
            cost = paired_interval(own, groups=rows, rng=rng)
            versus = paired_interval(own, [mean_of(c[rows]) for c in costs[best]], groups=rows, rng=rng)
            quality, run, escalated, skipped = (
                float(np.mean([column[rows].mean() for column in columns]))
                for columns in zip(*((p.right, p.run, p.escalated, p.skipped) for p in seeds), strict=True)
            )
            yield {
                "questions": part, "n": len(rows), "c_run": paid, "mode": mode, "policy": said,
                "cost": cost.value, "cost_low": cost.low, "cost_high": cost.high,
                "quality": quality, "run_cost": run, "escalated": escalated, "skipped": skipped,
                "less_best_alone": versus.value, "less_low": versus.low, "less_high": versus.high,
            }  # fmt: skip


def sweep(asked: AnsweredSets, folds: Sequence[Fold]) -> list[Line]:
    """Quality against run cost as the threshold on P(right) moves; two models."""
    chain = chains(len(asked.table.endpoints))[0]
    lines = []
    for by in HIDDEN:
        sums = np.zeros((2, len(THRESHOLDS)))
        for fold, (at, threshold) in product(folds, enumerate(THRESHOLDS.tolist())):
            ask = judged(asked, fold, by, chain, threshold)
            played = play_cascade(
                chain, ask, asked.table.right, asked.c_run, fold.test, samples=by != "logprob"
            )
            sums[:, at] += (played.run.sum(), played.right.sum())
        n_rows = sum(len(fold.test) for fold in folds)
        lines.append(Line(f"cascade by {by}", *(sums / n_rows)))
    return lines


def draw(asked: AnsweredSets, rows: Sequence[Mapping[str, Cell]], folds: Sequence[Fold], path: Path) -> None:
    """All sets together, every question answered, c_run from modelled energy."""
    points = {
        str(row["policy"]): Point(str(row["policy"]), float(row["run_cost"] or 0), float(row["quality"] or 0))
        for row in rows
        if (row["questions"], row["mode"], row["c_run"]) == (rows[-1]["questions"], ANSWER, PAID[-1])
    }
    chain = chains(len(asked.table.endpoints))[0]
    small, large = (points[f"{asked.table.endpoints[column]} alone"] for column in chain)
    shown = [point for name, point in points.items() if "alone" in name or "oracle cascade" in name]
    about = (
        f"{asked.n} questions of {' and '.join(sorted(set(asked.sets.tolist())))}; c_run = {SHARE} x {PAID[-1]} "
        "over its mean on the largest model. Lines: thresholds on P(right) from 0 to 1, cross-fitted."
    )
    save(plot_cascade(sweep(asked, folds), shown, (small, large), about), path)


def main() -> None:
    parser = bench_parser(__doc__ or "")
    parser.add_argument(
        "--data", type=Path, nargs="*", help=f"files of samples; default {DATA}/*gsm8k* and *mbpp*"
    )
    parser.add_argument("--plot", type=Path, default=None, help=f"default {PLOT}, with --quick none")
    args = parser.parse_args()
    files = args.data or sorted(path for name in SETS for path in DATA.glob(f"*{name}*.parquet"))
    paths = {path: next((name for name in SETS if name in path.stem), path.stem) for path in files}
    if not paths:
        raise DataError(
            f"{DATA} holds no answers to {' or '.join(SETS)}", remedy="Make them with: pointsman collect"
        )
    rows: list[dict[str, Cell]] = []
    for paid in PAID:
        limit = 60 if args.quick else None
        asked = AnsweredSets.read(paths, _parameters, share=SHARE, energy=paid == PAID[-1], limit=limit)
        ways: Ways = defaultdict(list)
        folds: list[Fold] = []
        for seed in range(args.seed, args.seed + (1 if args.quick else SEEDS)):
            folds += (fitted := list(fitted_folds(asked, seed)))
            play(asked, fitted, ways)
        hindsight(asked, len(folds) // FOLDS, ways)
        rows += summary(asked, ways, paid, args.seed)
    write_results("cascade", rows, args)
    if plot := args.plot or (None if args.quick else PLOT):
        draw(asked, rows, folds, plot)


if __name__ == "__main__":
    main()
