"""The run-or-skip competition on real outcomes: is a question worth the embedded fleet's largest model?

Labels, times and energy are those of qwen2.5-coder-1.5b on 1,539 questions of MMLU, 27 a subject
(`bench/data`, where the run is described); texts come from the shared data by id. To ask the model again:

    pointsman collect --set mmlu --data ../shared/data --per-task 27 --seed 0 --out DIR

Running costs .2 x the question's own time over the mean time (or energy, which is modelled); a wrong
answer 1; skipping what would have been right 1. Before the run neither is known: every predictor decides
by its probability and by the cost expected from the prompt's length, fitted on the other folds.

    score        mean cost; 95% intervals are of questions and seeds
    normalised   0: the best constant, 1: the oracle

Grouped 5-fold cross-validation by prompt text, five seeds, calibrated on the other folds. `+ subject`: the
predictor is told the subject. `+ others`: it has also learnt what the 19 models of `outcomes/mmlu` made of
the other folds' questions. Writes docs/cost_curve.png as well.

    python bench/compete_mmlu.py --all --keep DIR      DIR: finished forecasts, read again when there
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointsman.data.outcome_folders import joined
from pointsman.data.shared_outcomes import shared_outcomes
from pointsman.data.tables import read_columns
from pointsman.metrics.intervals import auroc_of, mean_of, paired_interval
from pointsman.metrics.probability import calibration_error, calibration_error_floor
from pointsman.metrics.run_or_skip import SKIP, Stakes, cost_curve, costs_of, decide, normalised_of
from pointsman.metrics.selective import aurc
from pointsman.metrics.splits import grouped_folds
from pointsman.predict.features.core_text import core_text
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.fit import FitOptions, fit_quality
from pointsman.report.bench import Cell, bench_parser, interval_cells, shared_data, write_results
from pointsman.report.cost_plot import plot_cost_curve
from pointsman.report.figure import save
from pointsman.types import Bools, Floats

OUTCOMES = Path("bench") / "data" / "fleet_mmlu.parquet"
PLOT = Path("docs") / "cost_curve.png"
MODEL = "qwen2.5-coder-1.5b"
C_RUN, FOLDS, RESAMPLES = 0.2, 5, 400
PLOTTED = ("subject prior", "trained + subject", "trained + subject + others")
LONG_CHARS, NUMERIC_OPTIONS = 700, 2
_OPTION = re.compile(r"^[A-D]\. (.*)$", re.MULTILINE)
_NUMERIC = re.compile(r"^[\s$(-]*[\d.,/%^+*() -]*\d[\d.,/%^+*() -]*\w{0,4}[).]?$")
_FORMULA = re.compile(r"\d\s*[-+*/^=<>]\s*\d|[a-z]\s*\^\s*\d|[a-z]\([a-z]\)|√|∫|\bsqrt\b")


class Case(NamedTuple):
    """The questions: one column of labels, what each took, its prompt's length; and all of the shared set."""

    matrix: OutcomeMatrix
    taken: dict[str, Floats]
    length: Floats
    shared: OutcomeMatrix

    @property
    def right(self) -> Floats:
        """Shape (N,)."""
        column: Floats = self.matrix.quality[:, 0]
        return column


class Predictor(NamedTuple):
    """A row of the table: what is fitted, and whether to the other models' outcomes too."""

    name: str
    options: FitOptions
    others: bool = False


class Forecast(NamedTuple):
    """Of one seed: the probability of a right answer and the fold of each question, shapes (N,)."""

    probability: Floats
    folds: NDArray[np.int64]


class Terms(NamedTuple):
    """Stakes as they were, and as each seed expected them before the run."""

    real: Stakes
    expected: list[Stakes]


def written_rule(text: str) -> bool:
    """Whether to run: what one would write without data. A small model fails at sums, formulas and length."""
    options = _OPTION.findall(text)
    numeric = sum(bool(_NUMERIC.match(option)) for option in options)
    return len(text) <= LONG_CHARS and numeric < NUMERIC_OPTIONS and not _FORMULA.search(text)


def read_case(path: Path, questions: int, rng: np.random.Generator) -> Case:
    """The outcomes with their texts; at most so many questions."""
    columns = read_columns(path, texts=("query_id", "model"), numbers=("score", "latency_s", "energy_j"))
    rows = np.flatnonzero(columns["model"] == MODEL)
    if questions < len(rows):
        rows = np.sort(rng.choice(rows, questions, replace=False))
    shared = shared_outcomes(shared_data() / "outcomes" / "mmlu")
    shared = replace(shared, prompts=tuple(core_text(text) for text in shared.prompts))
    place = {name: at for at, name in enumerate(shared.query_ids)}
    asked = shared.take(np.array([place[name] for name in columns["query_id"][rows].tolist()]))
    score = columns["score"][rows][:, None]
    matrix = replace(asked, endpoints=(MODEL,), quality=score, output_tokens=np.full_like(score, np.nan))
    length = np.array([float(len(text)) for text in matrix.prompts])
    taken = {"time, measured": columns["latency_s"][rows], "energy, modelled": columns["energy_j"][rows]}
    return Case(matrix, taken, length, shared)


def forecasts(case: Case, predictor: Predictor, seeds: Sequence[int], keep: Path | None) -> list[Forecast]:
    """Once a seed; every question by a model that has seen no question of the same text."""
    matrix = joined([case.matrix, case.shared]) if predictor.others else case.matrix
    queries, made = Queries(matrix.prompts, matrix.tasks), []
    for seed in seeds:
        print(f"{predictor.name}: seed {seed}", flush=True)
        name = f"{predictor.name.replace(' ', '_')}_{len(case.right)}_{seed}.npz"
        path = None if keep is None else keep / name
        made.append(kept_forecast(path) or forecast(matrix, queries, predictor.options, seed, path))
    n = len(case.right)
    return [Forecast(each.probability[:n], each.folds[:n]) for each in made]


def forecast(
    matrix: OutcomeMatrix, queries: Queries, options: FitOptions, seed: int, path: Path | None
) -> Forecast:
    """Of all questions of the matrix; written to the path where there is one."""
    fitted = fit_quality(matrix, replace(options, seed=seed), queries)
    assert fitted.held_out is not None
    assert fitted.folds is not None
    made = Forecast(fitted.held_out.quality.value[:, matrix.endpoints.index(MODEL)], fitted.folds)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        np.savez(part, probability=made.probability, folds=made.folds)
        part.replace(path)
    return made


def kept_forecast(path: Path | None) -> Forecast | None:
    """What an earlier run has left there."""
    if path is None or not path.exists():
        return None
    with np.load(path) as arrays:
        return Forecast(arrays["probability"], arrays["folds"])


def terms_of(case: Case, taken: Floats, seeds: Sequence[int]) -> Terms:
    """c_run from what each question took, and from what its length let expect on the other folds."""
    expected = []
    for seed in seeds:
        folds = grouped_folds(case.matrix.groups, FOLDS, seed)
        relative = np.empty(len(taken))
        for fold in range(FOLDS):
            rest, own = folds != fold, folds == fold
            slope, intercept = np.polyfit(case.length[rest], taken[rest], 1)
            relative[own] = np.maximum(intercept + slope * case.length[own], 0) / taken[rest].mean()
        expected.append(Stakes(C_RUN * relative))
    return Terms(Stakes(C_RUN * taken / taken.mean()), expected)


def decision_row(case: Case, name: str, runs: list[Bools], stakes: Stakes, seed: int) -> dict[str, Cell]:
    """What decisions cost, one array a seed."""
    groups = case.matrix.groups
    row: dict[str, Cell] = {"policy": name, "run_share": float(np.mean(runs))}
    measures = {
        "score": [mean_of(costs_of(run, case.right, stakes)) for run in runs],
        "normalised": [normalised_of(run, case.right, stakes) for run in runs],
    }
    for measure, by_seed in measures.items():
        rng = np.random.default_rng(seed)
        row |= interval_cells(measure, paired_interval(by_seed, groups=groups, rng=rng, resamples=RESAMPLES))
    return row


def probability_row(case: Case, made: Sequence[Forecast], seed: int) -> dict[str, Cell]:
    """How good the probabilities are, whatever the costs."""
    right, groups = case.right, case.matrix.groups
    row: dict[str, Cell] = {}
    measures = {
        "auroc": [auroc_of(right, each.probability, each.folds) for each in made],
        "brier": [mean_of((each.probability - right) ** 2) for each in made],
    }
    for measure, by_seed in measures.items():
        rng = np.random.default_rng(seed)
        row |= interval_cells(measure, paired_interval(by_seed, groups=groups, rng=rng, resamples=RESAMPLES))
    rng = np.random.default_rng(seed)
    row["ece"] = float(np.mean([calibration_error(right, each.probability) for each in made]))
    row["ece_by_chance"] = float(
        np.mean([calibration_error_floor(each.probability, rng).mean for each in made])
    )
    row["aurc"] = float(np.mean([aurc(right, each.probability) for each in made]))
    return row


def rows_of(case: Case, made: dict[str, list[Forecast]], seeds: Sequence[int]) -> list[dict[str, Cell]]:
    rows: list[dict[str, Cell]] = []
    n, seed = len(case.right), seeds[0]
    rule = np.array([written_rule(text) for text in case.matrix.prompts])
    for cost, taken in case.taken.items():
        about: dict[str, Cell] = {"cost": cost, "questions": n}
        terms = terms_of(case, taken, seeds)
        plain = {
            "run all": np.ones(n, dtype=bool),
            "skip all": np.zeros(n, dtype=bool),
            "oracle": costs_of(np.ones(n, dtype=bool), case.right, terms.real)
            < costs_of(np.zeros(n, dtype=bool), case.right, terms.real),
            "written rule": rule,
        }
        for name, run in plain.items():
            rows.append(about | decision_row(case, name, [run], terms.real, seed))
        for name, seen in made.items():
            runs = [
                decide(each.probability, stakes) != SKIP
                for each, stakes in zip(seen, terms.expected, strict=True)
            ]
            row = decision_row(case, name, runs, terms.real, seed) | probability_row(case, seen, seed)
            rows.append(about | row)
    return rows


def draw(case: Case, made: dict[str, list[Forecast]]) -> None:
    curves = {name: cost_curve(made[name][0].probability, case.right) for name in PLOTTED if name in made}
    about = f"{MODEL} on {len(case.right):,} questions of MMLU, out of fold, one seed; bench/compete_mmlu.py."
    threshold = float(np.mean(Stakes(C_RUN).threshold))
    for path in save(plot_cost_curve(curves, about, threshold=threshold), PLOT, ["png"]):
        print(f"written: {path}")


def predictors(*, every: bool) -> list[Predictor]:
    prior = FitOptions(model="prior", features="none", folds=FOLDS, tasks=True)
    trained = FitOptions(model="trained", features="hot", folds=FOLDS)
    chosen = [
        Predictor("subject prior", prior),
        Predictor("knn", replace(trained, model="knn")),
        Predictor("trained", trained),
        Predictor("trained + subject", replace(trained, tasks=True)),
    ]
    if not every:
        return chosen
    blend = replace(trained, model="blend")
    return [
        *chosen,
        Predictor("blend", blend),
        Predictor("blend + subject", replace(blend, tasks=True)),
        Predictor("trained + subject + others", replace(trained, tasks=True), others=True),
    ]


def main() -> None:
    parser = bench_parser(__doc__ or "")
    parser.add_argument("--outcomes", type=Path, default=OUTCOMES, help=f"default {OUTCOMES}")
    parser.add_argument("--seeds", type=int, default=5, help="how many; default 5")
    parser.add_argument("--all", action="store_true", help="blends and `+ others` too: ten minutes more")
    parser.add_argument("--keep", type=Path, help="folder of finished forecasts")
    args: argparse.Namespace = parser.parse_args()
    questions, n_seeds = (300, 1) if args.quick else (1 << 30, args.seeds)
    case = read_case(args.outcomes, questions, np.random.default_rng(args.seed))
    seeds = range(args.seed, args.seed + n_seeds)
    made = {each.name: forecasts(case, each, seeds, args.keep) for each in predictors(every=args.all)}
    if not args.quick:
        draw(case, made)
    write_results("compete_mmlu", rows_of(case, made, seeds), args, title=f"Run or skip: {MODEL} on MMLU")


if __name__ == "__main__":
    main()
