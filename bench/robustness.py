"""How often words that ask nothing change what a learned predictor decides, with and without a defence.

65 suffixes and 16 paraphrase rules of `pointsman.testing`, a fifth of each held out: written before any
defence, and no defence is trained on those held out. The two models of `outcomes/mmlu` with all questions:

    upgrade   of the questions that go to Mixtral, the share that goes to gpt-4-1106-preview once attacked.
              `by_floor`: Mixtral where its predicted quality reaches a floor. `by_value`: the lower expected
              cost at list prices, which the words of a long attack raise. Floor and the value of a right
              answer are set so that half of the clean questions go to each model
    flip      share of decisions to run or skip a model (c_run .2, c_wrong = c_miss = 1) that change
    loss      AUROC of the undefended less that of the defended on clean questions, mean of both models

Attacks are appended (`suffix`), and, beyond what they were written for, put before (`prefix`) or into the
last line (`inline`). Defences:

    none      the predictor reads all of the text
    core      it reads `core_text`, in training and in use: nothing behind the options, blanks folded
    trained   as none, but half of the training questions carry a training suffix, anywhere

Models are fitted on grouped folds and decide on questions of the fold left out; intervals are of questions
and seeds. With --minilm the blend with sentence embeddings is attacked as well, on fewer questions.

    python bench/robustness.py
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointsman.data.shared_outcomes import shared_outcomes
from pointsman.data.tables import read_columns
from pointsman.metrics.intervals import Interval, Weighted, auroc_of, paired_interval, ratio_of
from pointsman.metrics.run_or_skip import SKIP, Stakes, decide
from pointsman.metrics.splits import grouped_folds
from pointsman.predict.features.base import TextEncoder
from pointsman.predict.features.cache import CachedEncoder
from pointsman.predict.features.core_text import core_text
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.fit import FitOptions, fit_quality
from pointsman.predict.quality.kinds import SLOW, encoders_of
from pointsman.report.bench import Cell, bench_parser, interval_cells, shared_data, write_results
from pointsman.testing.attacks import PLACES, Attack, attacked_in_part, attacks_of
from pointsman.types import Bools, Floats

CHEAP, DEAR = 0, 1
MODELS = ("mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview")
LISTED = ("mistralai/mixtral-8x7b-instruct", "gpt-4-1106-preview")
PRICES = Path("prices") / "router_model_prices.parquet"
BYTES_A_TOKEN, ANSWER_TOKENS, PER_MILLION = 4.0, 5.0, 1e-6
FOLDS, RESAMPLES = 5, 400
STAKES = Stakes(0.2)
DEFENCES = ("none", "core", "trained")


class Predictor(NamedTuple):
    """What is attacked, on how many of the questions, in which ways, and how it is defended."""

    name: str
    options: FitOptions
    questions: int
    ways: tuple[str, ...]
    defences: tuple[str, ...]


class Predicted(NamedTuple):
    """By one defended predictor and one seed: clean (N, 2), attacked (A, Q, 2); folds (N,)."""

    clean: Floats
    attacked: Floats
    folds: NDArray[np.int64]


class Case(NamedTuple):
    """The questions, those attacked, what the attacks make of them, and prices a token, shape (2, 2)."""

    matrix: OutcomeMatrix
    sample: NDArray[np.int64]
    attacks: tuple[Attack, ...]
    texts: tuple[str, ...]
    usd_per_token: Floats


def queries_of(texts: Sequence[str], options: FitOptions, cache: Path) -> Queries:
    """The texts with all their encodings; slow ones are kept on disk."""
    queries = Queries.without_task(texts)
    for encoder in encoders_of(options.features):
        kept: TextEncoder = CachedEncoder(encoder, cache) if encoder.name in SLOW else encoder
        queries.encoded(kept)
    return queries


def predict(
    case: Case, predictor: Predictor, defence: str, seeds: Sequence[int], cache: Path
) -> list[Predicted]:
    """What the defended predictor says of clean and attacked questions, out of fold, once a seed."""
    read = core_text if defence == "core" else str
    matrix, made = case.matrix, []
    clean = queries_of([read(text) for text in matrix.prompts], predictor.options, cache)
    attacked = queries_of([read(text) for text in case.texts], predictor.options, cache)
    shape = (len(case.attacks), len(case.sample))
    for seed in seeds:
        print(f"{predictor.name}, {defence}: seed {seed}", flush=True)
        folds = grouped_folds(matrix.groups, FOLDS, seed)
        learnt = clean
        if defence == "trained":
            texts = attacked_in_part(matrix.prompts, np.random.default_rng(seed))
            learnt = queries_of([read(text) for text in texts], predictor.options, cache)
        found = Predicted(np.empty((len(folds), 2)), np.empty((*shape, 2)), folds)
        for fold in range(FOLDS):
            rest, own = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            options = replace(predictor.options, seed=seed)
            model = fit_quality(matrix.take(rest), options, learnt.take(rest)).model
            found.clean[own] = model.forecast(clean.take(own)).quality.value
            columns = np.flatnonzero(folds[case.sample] == fold)
            rows = (np.arange(shape[0])[:, None] * shape[1] + columns).ravel()
            values = model.forecast(attacked.take(rows)).quality.value
            found.attacked[:, columns] = values.reshape(shape[0], len(columns), 2)
        made.append(found)
    return made


def costs_usd(texts: Sequence[str], usd_per_token: Floats) -> Floats:
    """What a question costs on each model, shape (len(texts), 2)."""
    tokens = np.array([[len(text.encode()) / BYTES_A_TOKEN, ANSWER_TOKENS] for text in texts])
    return tokens @ usd_per_token.T


def goes_dear(probability: Floats, usd: Floats, usd_per_right: float) -> Bools:
    """Whether the dear model is expected to cost less, a right answer being worth `usd_per_right`."""
    expected = usd + usd_per_right * (1 - probability)
    chosen: Bools = expected[..., DEAR] < expected[..., CHEAP]
    return chosen


def value_of_half(probability: Floats, usd: Floats) -> float:
    """The value of a right answer at which half of the questions go to the dear model."""
    gain = probability[:, DEAR] - probability[:, CHEAP]
    return 1 / float(np.median(gain / (usd[:, DEAR] - usd[:, CHEAP])))


class Changed(NamedTuple):
    """Of one seed: who goes to the cheap model (Q,) by floor and by value, and of them the upgraded (A, Q).

    `flipped`, shape (A, Q), is the share of the two models' decisions to run or skip that changed.
    """

    cheap: dict[str, Bools]
    upgraded: dict[str, Bools]
    flipped: Floats


def changes(case: Case, found: Predicted) -> Changed:
    usd = costs_usd(case.matrix.prompts, case.usd_per_token)
    usd_attacked = costs_usd(case.texts, case.usd_per_token).reshape(found.attacked.shape)
    worth = value_of_half(found.clean, usd)
    floor = float(np.median(found.clean[:, CHEAP]))
    clean = found.clean[case.sample]
    cheap = {
        "by_floor": clean[:, CHEAP] >= floor,
        "by_value": ~goes_dear(clean, usd[case.sample], worth),
    }
    dear = {
        "by_floor": found.attacked[..., CHEAP] < floor,
        "by_value": goes_dear(found.attacked, usd_attacked, worth),
    }
    flips = [runs(found.attacked, model) != runs(clean, model) for model in (CHEAP, DEAR)]
    return Changed(cheap, {way: dear[way] & cheap[way] for way in cheap}, np.mean(flips, axis=0))


def runs(probability: Floats, model: int) -> Bools:
    made: Bools = decide(probability[..., model].ravel(), STAKES) != SKIP
    return made.reshape(probability.shape[:-1])


def rows_of(
    case: Case, predictor: str, by_defence: dict[str, list[Predicted]], seed: int
) -> list[dict[str, Cell]]:
    """A row for each defence and group of attacks."""
    groups = case.matrix.groups[case.sample]
    rows: list[dict[str, Cell]] = []
    for defence, seeds in by_defence.items():
        changed = [changes(case, found) for found in seeds]
        lost = loss(case.matrix, by_defence["none"], seeds, seed)
        for label, chosen in groups_of(case.attacks):
            own = np.array(chosen)
            every = np.ones(len(groups))
            measures = {
                f"upgrade_{way}": [
                    ratio_of(each.upgraded[way][own].mean(axis=0), each.cheap[way].astype(np.float64))
                    for each in changed
                ]
                for way in ("by_floor", "by_value")
            }
            measures["flip"] = [ratio_of(each.flipped[own].mean(axis=0), every) for each in changed]
            row: dict[str, Cell] = {"predictor": predictor, "defence": defence, **label}
            row |= {"attacks": len(own), "questions": len(groups)}
            for name, by_seed in measures.items():
                rng = np.random.default_rng(seed)
                row |= interval_cells(
                    name, paired_interval(by_seed, groups=groups, rng=rng, resamples=RESAMPLES)
                )
            row |= interval_cells("loss", lost)
            rows.append(row)
    return rows


def groups_of(attacks: Sequence[Attack]) -> list[tuple[dict[str, Cell], list[int]]]:
    """Training and held-out attacks of each way, then each kind of suffix and each rule."""
    made: dict[tuple[str, str, str], list[int]] = {}
    for index, attack in enumerate(attacks):
        half = "held out" if attack.held_out else "training"
        made.setdefault((attack.way, half, ""), []).append(index)
    for index, attack in enumerate(attacks):
        if attack.way in {"suffix", "paraphrase"}:
            half = "held out" if attack.held_out else "training"
            key = (attack.way, half if attack.way == "paraphrase" else "all", attack.kind)
            made.setdefault(key, []).append(index)
    return [({"way": way, "set": half, "kind": kind}, rows) for (way, half, kind), rows in made.items()]


def loss(matrix: OutcomeMatrix, none: list[Predicted], defended: list[Predicted], seed: int) -> Interval:
    """AUROC of the undefended less that of the defended, mean of both models, on clean questions."""
    labels = [matrix.quality[:, model] for model in (CHEAP, DEAR)]

    def both(found: Predicted) -> Weighted:
        measures = [auroc_of(y, found.clean[:, model], found.folds) for model, y in enumerate(labels)]
        return lambda weights: np.mean([measure(weights) for measure in measures], axis=0)

    rng = np.random.default_rng(seed)
    first, second = [both(found) for found in none], [both(found) for found in defended]
    return paired_interval(first, second, groups=matrix.groups, rng=rng, resamples=RESAMPLES)


def prices() -> Floats:
    """Dollars a token in and out of both models, shape (2, 2)."""
    columns = read_columns(
        shared_data() / PRICES, texts=("source", "model"), numbers=("usd_per_mtok_in", "usd_per_mtok_out")
    )
    listed = [(columns["source"] == "RouterArena") & (columns["model"] == name) for name in LISTED]
    found = [[columns[f"usd_per_mtok_{way}"][rows][0] for way in ("in", "out")] for rows in listed]
    return np.array(found) * PER_MILLION


def measure(predictor: Predictor, args: argparse.Namespace) -> list[dict[str, Cell]]:
    rng = np.random.default_rng(args.seed)
    matrix = shared_outcomes(shared_data() / "outcomes" / "mmlu", endpoints=MODELS)
    whole = np.flatnonzero(~np.isnan(matrix.quality).any(axis=1))
    matrix = matrix.take(np.sort(rng.choice(whole, min(args.questions, len(whole)), replace=False)))
    sample = np.sort(rng.choice(len(matrix.query_ids), predictor.questions, replace=False))
    attacks = attacks_of(predictor.ways)
    texts = tuple(attack.rewrite(matrix.prompts[row]) for attack in attacks for row in sample.tolist())
    case = Case(matrix, sample, attacks, texts, prices())
    seeds = range(args.seed, args.seed + args.seeds)
    by_defence = {
        defence: predict(case, predictor, defence, seeds, args.cache) for defence in predictor.defences
    }
    return rows_of(case, predictor.name, by_defence, args.seed)


def main() -> None:
    parser = bench_parser(__doc__ or "")
    parser.add_argument("--seeds", type=int, default=5, help="how many; default 5")
    parser.add_argument("--questions", type=int, default=3_000, help="of the set's 14,031; default 3,000")
    parser.add_argument("--minilm", action="store_true", help="the blend with sentence embeddings too")
    parser.add_argument(
        "--cache", type=Path, default=Path(".cache") / "minilm.sqlite", help="where embeddings are kept"
    )
    args = parser.parse_args()
    hot = FitOptions(model="trained", features="hot", folds=0)
    predictors = [Predictor("trained, hot", hot, 100, (*PLACES, "paraphrase"), DEFENCES)]
    if args.quick:
        args.seeds, args.questions = 1, 1_000
        predictors = [
            predictors[0]._replace(questions=40, ways=("suffix", "paraphrase"), defences=("none", "core"))
        ]
    if args.minilm:
        slow = FitOptions(model="blend", features="minilm", folds=0)
        predictors.append(Predictor("blend, minilm", slow, 30, ("suffix", "paraphrase"), ("none", "core")))
    rows = [row for predictor in predictors for row in measure(predictor, args)]
    write_results("robustness", rows, args, title="Decisions changed by words that ask nothing")


if __name__ == "__main__":
    main()
