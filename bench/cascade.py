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
    cascade at random  as often as `cascade by both`, whatever the answer
    oracle cascade     a judge that knows which answers are right; oracle: knows it before anything has run

`must answer`: every question is run. `may skip`: first the admission by value decides, and a skipped
question costs c_miss if any model would have been right. The last columns are the difference from the
best model alone (the best in hindsight), with its 95% interval over questions and seeds.

    python bench/cascade.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointsman.admit.cascade import escalation_costs
from pointsman.data.answer_table import AnswerTable
from pointsman.data.outcomes import read_outcome_rows
from pointsman.errors import DataError
from pointsman.metrics.intervals import mean_of, paired_interval
from pointsman.metrics.run_or_skip import SKIP, Stakes, decide
from pointsman.metrics.splits import grouped_folds
from pointsman.predict.judge import AnswerJudge
from pointsman.predict.logistic import Logistic
from pointsman.report.bench import Cell, bench_parser, write_results
from pointsman.report.cascade_plot import Line, Point, plot_cascade
from pointsman.report.figure import save
from pointsman.types import Bools, Floats

DATA = Path("bench") / "data"
SETS = ("gsm8k", "mbpp")
PLOT = Path("docs") / "cascade.png"
SHARE, FOLDS, SEEDS = 0.2, 5, 5
ANSWER, MAY_SKIP = "must answer", "may skip"
HIDDEN: Mapping[str, tuple[str, ...]] = {
    "logprob": ("agreement",),
    "agreement": ("chosen_logprob", "mean_logprob", "min_logprob"),
    "both": (),
}
"""Signs that a judge of this name does not see."""

THRESHOLDS = np.concatenate([[0.0], np.linspace(0.02, 0.98, 25), [1.01]])


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


@dataclass(slots=True)
class Played:
    """What came of one way of deciding, one array of shape (N,) a seed."""

    cost: list[Floats] = field(default_factory=list)
    right: list[Floats] = field(default_factory=list)
    run: list[Floats] = field(default_factory=list)
    escalated: list[Floats] = field(default_factory=list)
    skipped: list[Floats] = field(default_factory=list)

    def add(self, problem: Problem, run: Floats, right: Floats, escalated: Floats, skipped: Floats) -> None:
        """One seed; c_wrong = c_miss = 1."""
        missed = problem.table.right.max(axis=1)
        self.cost.append(run + np.where(skipped > 0, missed * skipped, 1.0 - right))
        for kept, values in zip(
            (self.right, self.run, self.escalated, self.skipped),
            (right, run, escalated, skipped),
            strict=True,
        ):
            kept.append(values)


def load(paths: Sequence[Path], *, energy: bool, limit: int | None) -> Problem:
    """Questions that all models of the files answered; c_run from measured time or modelled energy."""
    rows = [row for path in paths for row in read_outcome_rows(path).rows]
    table = AnswerTable.of(rows, _by_size({row.model for row in rows}))
    whole = np.flatnonzero(np.isfinite(table.right).all(axis=1))
    table = table.take(whole[:limit] if limit is None else _spread(table.query_ids, whole, limit))
    took = table.energy_j if energy else table.time_s
    tokens = {row.query_id: float(row.input_tokens or np.nan) for row in rows if row.sample == 0}
    return Problem(
        table,
        np.array([query_id.split("-")[0] for query_id in table.query_ids]),
        np.array([tokens[query_id] for query_id in table.query_ids]),
        SHARE * took / np.nanmean(took[0, :, -1]),
    )


def _by_size(models: set[str]) -> list[str]:
    """Smallest first, by the parameters in their names: 135m, 0.5b, 1.5b."""

    def size(name: str) -> float:
        word = name.rpartition("-")[2]
        return float(word[:-1]) * {"m": 1e6, "b": 1e9}[word[-1]]

    return sorted(models, key=size)


def _spread(ids: Sequence[str], whole: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """The first so many of each set."""
    names = np.array([ids[row].split("-")[0] for row in whole.tolist()])
    return np.concatenate([whole[names == name][:limit] for name in np.unique(names)])


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
        prior, tokens = (
            by_set(table.right, problem.sets, train),
            by_set(table.output_tokens[0], problem.sets, train),
        )
        judges = {
            by: AnswerJudge.fit(
                table.endpoints,
                {name: signs.take(train).without(*hidden) for name, signs in table.signs.items()},
                table.right[train], prior[train], tokens[train],
            )
            for by, hidden in HIDDEN.items()
        }  # fmt: skip
        c_run = by_set(problem.c_run[0], problem.sets, train)
        yield Fold(np.flatnonzero(~train), prior, by_prompt(problem, train), c_run, tokens, judges)


# Ways of deciding


def choose(problem: Problem, choice: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Run cost, score and skipped of one chosen column (or SKIP) a question, each of shape (N,)."""
    rows = np.arange(problem.n)
    skipped = choice == SKIP
    run = np.where(skipped, 0.0, problem.c_run[0, rows, choice])
    return run, np.where(skipped, 0.0, problem.table.right[rows, choice]), skipped.astype(float)


Ask = Callable[[int, NDArray[np.int64]], NDArray[np.int64]]
"""(column that answered, rows) -> the column asked next for each of the rows, or the same to keep."""


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


def cascade(
    problem: Problem, chain: Sequence[int], ask: Ask, rows: NDArray[np.int64], *, samples: bool
) -> tuple[Floats, Floats, Floats]:
    """Run cost, score and whether it was escalated, of each of some rows.

    With `samples` the further samples of an answer that is judged are paid for.
    """
    run, right, escalated = (np.zeros(len(rows)) for _ in range(3))
    at = np.full(len(rows), chain[0])
    for column in chain:
        here = np.flatnonzero(at == column)
        paid = problem.c_run[: None if samples and column != chain[-1] else 1, rows[here], column]
        run[here] += np.nansum(paid, axis=0)
        right[here] = problem.table.right[rows[here], column]
        if column != chain[-1]:
            following = ask(column, rows[here])
            escalated[here] = np.maximum(escalated[here], following != column)
            at[here] = np.where(following == column, -1, following)
    return run, right, escalated


def chains(n_models: int) -> list[tuple[int, ...]]:
    """The two largest, and all."""
    pair = (n_models - 2, n_models - 1)
    return [pair, tuple(range(n_models))] if n_models > 2 else [pair]


def play(problem: Problem, folds: Sequence[Fold], ways: dict[str, Played]) -> None:
    """Decide every question by what was fitted on the other folds; one seed."""
    made: dict[str, Floats] = {}

    def keep(name: str, fold: Fold, run: Floats, right: Floats, escalated: Floats, skipped: Floats) -> None:
        made.setdefault(name, np.zeros((4, problem.n)))[:, fold.test] = [run, right, escalated, skipped]

    for fold in folds:
        none = np.zeros(len(fold.test))
        for name, expected in (("prior", fold.prior), ("prompt", fold.prompt)):
            cheapest = (fold.c_run + 1.0 - expected).argmin(axis=1)
            for mode, choice in ((ANSWER, cheapest), (MAY_SKIP, decide(expected, Stakes(fold.c_run)))):
                run, right, skipped = (column[fold.test] for column in choose(problem, choice))
                keep(f"{mode}: route by {name}", fold, run, right, none, skipped)
        ran = decide(fold.prior, Stakes(fold.c_run))[fold.test] != SKIP
        for by, chain in product(HIDDEN, chains(len(problem.table.endpoints))):
            ask = judged(problem, fold, by, chain)
            run, right, up = cascade(problem, chain, ask, fold.test, samples=by != "logprob")
            name = f"cascade by {by}, {len(chain)} models"
            keep(f"{ANSWER}: {name}", fold, run, right, up, none)
            keep(f"{MAY_SKIP}: {name}", fold, run * ran, right * ran, up * ran, (~ran).astype(float))
    for name, (run, right, escalated, skipped) in made.items():
        ways.setdefault(name, Played()).add(problem, run, right, escalated, skipped)


def hindsight(problem: Problem, seeds: int, ways: dict[str, Played]) -> None:
    """What needs no fit: models alone, all-skip, oracles, and escalation by chance."""
    right, rows = problem.table.right, np.arange(problem.n)
    none = np.zeros(problem.n)

    def add(name: str, run: Floats, score: Floats, escalated: Floats, skipped: Floats) -> None:
        for _ in range(seeds):
            ways.setdefault(name, Played()).add(problem, run, score, escalated, skipped)

    def chosen(name: str, choice: NDArray[np.int64]) -> None:
        run, score, skipped = choose(problem, choice)
        add(name, run, score, none, skipped)

    for e, name in enumerate(problem.table.endpoints):
        chosen(f"{ANSWER}: {name} alone", np.full(problem.n, e))
    chosen(f"{MAY_SKIP}: all-skip", np.full(problem.n, SKIP))
    chosen(f"{ANSWER}: oracle", (problem.c_run[0] + 1.0 - right).argmin(axis=1))
    chosen(f"{MAY_SKIP}: oracle", decide(right, Stakes(problem.c_run[0])))
    small, large = pair = chains(right.shape[1])[0]
    pays = problem.c_run[0, :, large] + 1.0 - right[:, large] < 1.0 - right[:, small]
    add(
        f"{ANSWER}: oracle cascade, 2 models",
        *cascade(problem, pair, lambda _, some: np.where(pays[some], large, small), rows, samples=False),
        none,
    )
    like = ways[f"{ANSWER}: cascade by both, 2 models"]
    for escalated in like.escalated:
        rate = by_set(escalated[:, None], problem.sets, np.full(problem.n, True))[:, 0]
        run = problem.c_run[0, :, small] + rate * problem.c_run[0, :, large]
        score = (1 - rate) * right[:, small] + rate * right[:, large]
        ways.setdefault(f"{ANSWER}: cascade at random, 2 models", Played()).add(
            problem, run, score, rate, none
        )


def summary(problem: Problem, ways: Mapping[str, Played], paid: str, seed: int) -> Iterator[dict[str, Cell]]:
    """One row a way and set of questions, with intervals."""
    for part in (*SETS, "both"):
        rows = np.flatnonzero((problem.sets == part) | (part == "both"))
        if not len(rows):
            continue
        alone = {
            name: np.mean([c[rows].mean() for c in way.cost]) for name, way in ways.items() if "alone" in name
        }
        best = ways[min(alone, key=alone.__getitem__)]
        for name, way in ways.items():
            mode, _, said = name.partition(": ")
            costs = [mean_of(cost[rows]) for cost in way.cost]
            rng = np.random.default_rng(seed)
            cost = paired_interval(costs, groups=rows, rng=rng)
            versus = paired_interval(costs, [mean_of(c[rows]) for c in best.cost], groups=rows, rng=rng)
            yield {
                "questions": part,
                "n": len(rows),
                "c_run": paid,
                "mode": mode,
                "policy": said,
                "cost": cost.value,
                "cost_low": cost.low,
                "cost_high": cost.high,
                "quality": float(np.mean([right[rows].mean() for right in way.right])),
                "run_cost": float(np.mean([run[rows].mean() for run in way.run])),
                "escalated": float(np.mean([share[rows].mean() for share in way.escalated])),
                "skipped": float(np.mean([share[rows].mean() for share in way.skipped])),
                "less_best_alone": versus.value,
                "less_low": versus.low,
                "less_high": versus.high,
            }


def sweep(problem: Problem, folds: Sequence[Fold]) -> list[Line]:
    """Quality against run cost as the threshold on P(right) moves; two models."""
    chain = chains(len(problem.table.endpoints))[0]
    lines = []
    for by in HIDDEN:
        sums = np.zeros((2, len(THRESHOLDS)))
        for fold, (at, threshold) in product(folds, enumerate(THRESHOLDS.tolist())):
            ask = judged(problem, fold, by, chain, threshold)
            run, right, _ = cascade(problem, chain, ask, fold.test, samples=by != "logprob")
            sums[:, at] += (run.sum(), right.sum())
        asked = sum(len(fold.test) for fold in folds)
        lines.append(Line(f"cascade by {by}", *(sums / asked)))
    return lines


def draw(problem: Problem, rows: Sequence[Mapping[str, Cell]], folds: Sequence[Fold], path: Path) -> None:
    """All sets together, every question answered, c_run from measured time."""
    points = {
        str(row["policy"]): Point(str(row["policy"]), float(row["run_cost"] or 0), float(row["quality"] or 0))
        for row in rows
        if (row["questions"], row["mode"], row["c_run"]) == ("both", ANSWER, "measured time")
    }
    chain = chains(len(problem.table.endpoints))[0]
    small, large = (points[f"{problem.table.endpoints[column]} alone"] for column in chain)
    shown = [point for name, point in points.items() if "alone" in name or "oracle cascade" in name]
    about = (
        f"{problem.n} questions of {' and '.join(sorted(set(problem.sets.tolist())))}; c_run = {SHARE} x measured time "
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
    for paid in ("modelled energy", "measured time"):
        problem = load(paths, energy=paid == "modelled energy", limit=60 if args.quick else None)
        ways: dict[str, Played] = {}
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
