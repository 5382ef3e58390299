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
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointsman.admit.cascade import escalation_costs
from pointsman.data.answer_table import AnswerTable
from pointsman.data.outcomes import read_outcome_rows
from pointsman.errors import DataError
from pointsman.metrics.cascades import Ask, Played, play_cascade, play_choice
from pointsman.metrics.intervals import mean_of, paired_interval
from pointsman.metrics.run_or_skip import SKIP, Stakes, decide
from pointsman.metrics.splits import grouped_folds
from pointsman.predict.judge import AnswerJudge
from pointsman.predict.logistic import Logistic
from pointsman.predict.quality.odds import sigmoid
from pointsman.report.bench import Cell, bench_parser, write_results
from pointsman.report.cascade_plot import Line, Point, plot_cascade
from pointsman.report.figure import save
from pointsman.types import Bools, Floats

DATA = Path("bench") / "data"
SETS = ("gsm8k", "mbpp")
PLOT = Path("docs") / "cascade.png"
SHARE, FOLDS, SEEDS = 0.2, 5, 5
ANSWER, MAY_SKIP = "must answer", "may skip"
PAID = ("measured time", "modelled energy")
HIDDEN: Mapping[str, tuple[str, ...]] = {
    "logprob": ("agreement",),
    "agreement": ("chosen_logprob", "mean_logprob", "min_logprob"),
    "both": (),
}
"""Signs that a judge of this name does not see."""

THRESHOLDS = np.concatenate([[0.0], sigmoid(np.linspace(-5.0, 5.0, 41)), [1.01]])

Ways = defaultdict[str, list[Played]]
"""What came of each way of deciding, one a seed."""


@dataclass(frozen=True, slots=True)
class Problem:
    """N questions of which every model's answer is known.

    Attributes:
        sets: the data set of each question, shape (N,).
        input_tokens: of the prompt, shape (N,).
        c_run: of each run, shape (K, N, E), NaN where there is no such sample.
    """

    table: AnswerTable
    sets: NDArray[np.str_]
    input_tokens: Floats
    c_run: Floats

    @property
    def n(self) -> int:
        """N."""
        return len(self.sets)


def load(paths: Sequence[Path], *, energy: bool, limit: int | None) -> Problem:
    """Questions that all models of the files answered, at most `limit` of each set."""
    found = [(_set_of(path), row) for path in paths for row in read_outcome_rows(path).rows]
    table = AnswerTable.of([row for _, row in found], _by_size({row.model for _, row in found}))
    of_query = {row.query_id: (name, float(row.input_tokens or np.nan)) for name, row in found}
    names = np.array([of_query[query_id][0] for query_id in table.query_ids])
    whole = np.isfinite(table.right).all(axis=1)
    rows = np.concatenate([np.flatnonzero(whole & (names == name))[:limit] for name in np.unique(names)])
    table = table.take(rows)
    took = table.energy_j if energy else table.time_s
    return Problem(
        table,
        names[rows],
        np.array([of_query[query_id][1] for query_id in table.query_ids]),
        SHARE * took / np.nanmean(took[0, :, -1]),
    )


def _set_of(path: Path) -> str:
    return next((name for name in SETS if name in path.stem), path.stem)


def _by_size(models: set[str]) -> list[str]:
    """Smallest first, by the parameters in their names: 135m, 0.5b, 1.5b."""

    def size(name: str) -> float:
        word = name.rpartition("-")[2]
        return float(word[:-1]) * {"m": 1e6, "b": 1e9}[word[-1]]

    return sorted(models, key=size)


# What the other folds teach


def by_set(values: Floats, sets: NDArray[np.str_], train: Bools) -> Floats:
    """The training rows' mean of each set, for all rows, shape (N, E); smoothed by one row of the whole mean."""
    whole = np.nanmean(values[train], axis=0)
    made = np.empty_like(values)
    for name in np.unique(sets):
        own = train & (sets == name)
        made[sets == name] = (np.nansum(values[own], axis=0) + whole) / (own.sum() + 1)
    return made


def by_prompt(problem: Problem, train: Bools) -> Floats:
    """P(right) by set and prompt length, shape (N, E)."""
    dummies = [problem.sets == name for name in np.unique(problem.sets)[1:]]
    signs = np.column_stack([np.log(problem.input_tokens), *dummies])
    right = problem.table.right
    return np.column_stack(
        [Logistic.fit(signs[train], right[train, e]).probability(signs) for e in range(right.shape[1])]
    )


@dataclass(frozen=True, slots=True)
class Fold:
    """What was fitted on the other folds, for the questions of this one, shape (N, E) each.

    Attributes:
        test: rows of the fold.
        prior, prompt: P(right) before any has run.
        c_run, tokens: expected of a run.
        judges: by what they see.
    """

    test: NDArray[np.int64]
    prior: Floats
    prompt: Floats
    c_run: Floats
    tokens: Floats
    judges: Mapping[str, AnswerJudge]


def fitted_folds(problem: Problem, seed: int) -> Iterator[Fold]:
    table = problem.table
    folds = grouped_folds(list(table.query_ids), FOLDS, seed, strata=problem.sets.tolist())
    for fold in range(FOLDS):
        train = folds != fold
        prior, tokens, c_run = (
            by_set(values, problem.sets, train)
            for values in (table.right, table.output_tokens[0], problem.c_run[0])
        )
        judges = {
            by: AnswerJudge.fit(
                table.endpoints,
                {name: signs.take(train).without(*hidden) for name, signs in table.signs.items()},
                table.right[train], prior[train], tokens[train],
            )
            for by, hidden in HIDDEN.items()
        }  # fmt: skip
        yield Fold(np.flatnonzero(~train), prior, by_prompt(problem, train), c_run, tokens, judges)


# Ways of deciding


def judged(
    problem: Problem, fold: Fold, by: str, chain: Sequence[int], threshold: float | None = None
) -> Ask:
    """The live rule: the lowest expected cost over the rest of the chain, or P(right) under a threshold."""

    def ask(column: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        name = problem.table.endpoints[column]
        signs = problem.table.signs[name].take(rows).without(*HIDDEN[by])
        right = fold.judges[by].right_rows(name, signs, fold.prior[rows], fold.tokens[rows])
        later = chain[chain.index(column) + 1 :]
        if threshold is not None:
            return np.where(right[:, column] >= threshold, column, later[0])
        may_ask = np.isin(np.arange(right.shape[1]), later)
        costs = escalation_costs(right, column, fold.c_run[rows], 1.0, may_ask)
        pays = costs.min(axis=1) < costs[:, column]
        return np.where(pays, costs.argmin(axis=1), column)

    return ask


def best_chains(problem: Problem, fold: Fold, by: str, *, samples: bool) -> Played:
    """Of the fold's questions: for each set the chain, or the model alone, that cost least on the other folds."""
    right, c_run = problem.table.right, problem.c_run
    n_models = right.shape[1]
    made = np.zeros((4, problem.n))
    train = np.setdiff1d(np.arange(problem.n), fold.test)
    for name in np.unique(problem.sets):
        own, test = (rows[problem.sets[rows] == name] for rows in (train, fold.test))

        def played(chain: Sequence[int], rows: NDArray[np.int64]) -> Played:
            return play_cascade(chain, judged(problem, fold, by, chain), right, c_run, rows, samples=samples)

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


def play(problem: Problem, folds: Sequence[Fold], ways: Ways) -> None:
    """Decide every question by what was fitted on the other folds; one seed."""
    right, c_run = problem.table.right, problem.c_run
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
            ask = judged(problem, fold, by, chain)
            played = play_cascade(chain, ask, right, c_run, fold.test, samples=by != "logprob")
            name = f"cascade by {by}, {len(chain)} models"
            parts[f"{ANSWER}: {name}"] = played
            parts[f"{MAY_SKIP}: {name}"] = Played(
                played.run * ran, played.right * ran, played.escalated * ran, (~ran).astype(float)
            )
        for by in HIDDEN:
            chosen = best_chains(problem, fold, by, samples=by != "logprob")
            parts[f"{ANSWER}: cascade by {by}, chain by data"] = chosen
        for name, played in parts.items():
            made.setdefault(name, np.zeros((4, problem.n)))[:, fold.test] = played
    for name, columns in made.items():
        ways[name].append(Played(*columns))


def hindsight(problem: Problem, seeds: int, ways: Ways) -> None:
    """What needs no fit: models alone, all-skip, oracles, and escalation by chance."""
    right, c_run, rows = problem.table.right, problem.c_run, np.arange(problem.n)
    chosen = {
        f"{ANSWER}: {name} alone": np.full(problem.n, column)
        for column, name in enumerate(problem.table.endpoints)
    }
    chosen[f"{MAY_SKIP}: all-skip"] = np.full(problem.n, SKIP)
    chosen[f"{ANSWER}: oracle"] = (c_run[0] + 1.0 - right).argmin(axis=1)
    chosen[f"{MAY_SKIP}: oracle"] = decide(right, Stakes(c_run[0]))
    for name, choice in chosen.items():
        ways[name] = [play_choice(choice, right, c_run)] * seeds
    small, large = pair = chains(right.shape[1])[0]
    pays = c_run[0, :, large] + 1.0 - right[:, large] < 1.0 - right[:, small]
    knows = play_cascade(pair, lambda _, some: np.where(pays[some], large, small), right, c_run, rows)
    ways[f"{ANSWER}: oracle cascade, 2 models"] = [knows] * seeds
    for like in ways[f"{ANSWER}: cascade by both, 2 models"]:
        rate = by_set(like.escalated[:, None], problem.sets, np.full(problem.n, True))[:, 0]
        run = c_run[0, :, small] + rate * c_run[0, :, large]
        score = (1 - rate) * right[:, small] + rate * right[:, large]
        by_chance = Played(run, score, rate, np.zeros(problem.n))
        ways[f"{ANSWER}: cascade at random, 2 models"].append(by_chance)


def summary(problem: Problem, ways: Ways, paid: str, seed: int) -> Iterator[dict[str, Cell]]:
    """One row a way and set of questions, with intervals."""
    right = problem.table.right
    costs = {name: [played.cost(right) for played in seeds] for name, seeds in ways.items()}
    parts = [*np.unique(problem.sets).tolist(), "both"]
    for part in parts if len(parts) > 2 else parts[:1]:
        rows = np.flatnonzero((problem.sets == part) | (part == "both"))
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


def sweep(problem: Problem, folds: Sequence[Fold]) -> list[Line]:
    """Quality against run cost as the threshold on P(right) moves; two models."""
    chain = chains(len(problem.table.endpoints))[0]
    lines = []
    for by in HIDDEN:
        sums = np.zeros((2, len(THRESHOLDS)))
        for fold, (at, threshold) in product(folds, enumerate(THRESHOLDS.tolist())):
            ask = judged(problem, fold, by, chain, threshold)
            played = play_cascade(
                chain, ask, problem.table.right, problem.c_run, fold.test, samples=by != "logprob"
            )
            sums[:, at] += (played.run.sum(), played.right.sum())
        asked = sum(len(fold.test) for fold in folds)
        lines.append(Line(f"cascade by {by}", *(sums / asked)))
    return lines


def draw(problem: Problem, rows: Sequence[Mapping[str, Cell]], folds: Sequence[Fold], path: Path) -> None:
    """All sets together, every question answered, c_run from modelled energy."""
    points = {
        str(row["policy"]): Point(str(row["policy"]), float(row["run_cost"] or 0), float(row["quality"] or 0))
        for row in rows
        if (row["questions"], row["mode"], row["c_run"]) == (rows[-1]["questions"], ANSWER, PAID[-1])
    }
    chain = chains(len(problem.table.endpoints))[0]
    small, large = (points[f"{problem.table.endpoints[column]} alone"] for column in chain)
    shown = [point for name, point in points.items() if "alone" in name or "oracle cascade" in name]
    about = (
        f"{problem.n} questions of {' and '.join(sorted(set(problem.sets.tolist())))}; c_run = {SHARE} x {PAID[-1]} "
        "over its mean on the largest model. Lines: thresholds on P(right) from 0 to 1, cross-fitted."
    )
    save(plot_cascade(sweep(problem, folds), shown, (small, large), about), path)


def main() -> None:
    parser = bench_parser(__doc__ or "")
    parser.add_argument(
        "--data", type=Path, nargs="*", help=f"files of samples; default {DATA}/*gsm8k* and *mbpp*"
    )
    parser.add_argument("--plot", type=Path, default=None, help=f"default {PLOT}, with --quick none")
    args = parser.parse_args()
    paths = args.data or sorted(path for name in SETS for path in DATA.glob(f"*{name}*.parquet"))
    if not paths:
        raise DataError(
            f"{DATA} holds no answers to {' or '.join(SETS)}", remedy="Make them with: pointsman collect"
        )
    rows: list[dict[str, Cell]] = []
    for paid in PAID:
        problem = load(paths, energy=paid == PAID[-1], limit=60 if args.quick else None)
        ways: Ways = defaultdict(list)
        folds: list[Fold] = []
        for seed in range(args.seed, args.seed + (1 if args.quick else SEEDS)):
            folds += (fitted := list(fitted_folds(problem, seed)))
            play(problem, fitted, ways)
        hindsight(problem, len(folds) // FOLDS, ways)
        rows += summary(problem, ways, paid, args.seed)
    write_results("cascade", rows, args)
    if plot := args.plot or (None if args.quick else PLOT):
        draw(problem, rows, folds, plot)


if __name__ == "__main__":
    main()
