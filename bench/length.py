"""How well are answers ordered by length before they are written, and how wide must the intervals be?

Kendall's tau-b with the real length; five folds by prompt, forecasts of the fold left out.

    alpaca    alpaca_davinci003, task `random` is what is ranked: it alone is unbiased. `train: random` learns
              from the other folds' prompts of that task, `train: all` from the other folds of the whole set
              (the same model's answers to prompts that others picked)
    ceiling   another sample of the same model, at other temperatures, ranks the answers of the first
    transfer  a score that never saw the set, nor a prompt that is in it: by alpaca alone, by all other sets,
              beside one by the set's own other folds. Tau is the mean over the set's endpoints

Ways: `input`, the prompt's size; `classes 10`, equal parts up to the longest answer, and `classes 100`, steps of
100 tokens (as the paper's baselines, the likeliest class ranks); `regression`, `pairwise`, `listmle`. The
distribution's 80% and 95% intervals and quantile loss are those of regression, `no text` the set's own
quantiles. MiniLM rows need the extra `embed`; `--cache` keeps its encodings.

    python bench/length.py --journal runs/length.jsonl
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pointsman.data.shared_outcomes import shared_outcomes
from pointsman.data.tables import read_columns
from pointsman.metrics.kendall import kendall_tau
from pointsman.metrics.regression import coverage, quantile_loss
from pointsman.metrics.splits import grouped_folds
from pointsman.predict.features.cache import CachedEncoder
from pointsman.predict.features.hot import HotFeatures
from pointsman.predict.length import LEVELS
from pointsman.predict.length.design import LengthDesign, TextRows
from pointsman.predict.length.fit import LengthOptions, fit_lengths, targets_of
from pointsman.predict.length.grams import text_buckets
from pointsman.predict.length.heads import Scale
from pointsman.predict.length.held_out import interval
from pointsman.predict.length.score_fit import SCORES, fit_classes, fit_score
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.kinds import encoders_of
from pointsman.report.bench import Cell, bench_parser, shared_data, write_results
from pointsman.types import Floats

FOLDS: Final = 5
QUICK_ROWS: Final = 3_000
LEAST_ANSWERS: Final = 50
NATURAL: Final = (
    "DeepSeek-Coder-V2",
    "Meta-Llama-3_1-70B-Instruct",
    "Meta-Llama-3_1-8B-Instruct",
    "mathstral-7B",
)
"""Models of mmlu_pro whose answers end by themselves or at 2,048 tokens."""
SETS: Final = {
    "alpaca_davinci003": "lengths",
    "gpteacher_gpt4": "lengths",
    "mixeval_gemma7b": "lengths",
    "instructwild_llama32_3b": "lengths",
    "arena_hard": "lengths",
    "ifeval_gpt4": "lengths",
    "vicuna7b_alpaca": "lengths",
    "alpaca_eval": "outcomes",
    "mmlu_pro": "outcomes",
}
HELD: Final = tuple(name for name in SETS if name not in ("alpaca_davinci003", "vicuna7b_alpaca"))

Ints = NDArray[np.int64]
Row = dict[str, Cell]


@cache
def matrix_of(name: str) -> OutcomeMatrix:
    """A set's answers; mmlu_pro by every fourth question, for its questions are alike."""
    own = "output_tokens" if name == "vicuna7b_alpaca" else "output_tokens_cl100k"
    endpoints = NATURAL if name == "mmlu_pro" else None
    made = shared_outcomes(shared_data() / SETS[name] / name, lengths=own, endpoints=endpoints)
    rows = np.flatnonzero(np.isfinite(made.output_tokens).any(axis=1))
    return made.take(rows[::4] if name == "mmlu_pro" else rows)


@cache
def queries_of(name: str) -> Queries:
    queries = Queries.without_task(matrix_of(name).prompts)
    queries.hot(HotFeatures())
    return queries


@cache
def buckets_of(name: str) -> list[NDArray[np.uint32]]:
    return [text_buckets(text) for text in matrix_of(name).prompts]


def folded(prompts: tuple[str, ...]) -> list[str]:
    return [" ".join(prompt.casefold().split()) for prompt in prompts]


def alpaca_folds(args: argparse.Namespace) -> tuple[Ints, Ints]:
    """The fold of every row of the set; the rows of task `random`."""
    matrix = matrix_of("alpaca_davinci003")
    folds = grouped_folds(matrix.groups, FOLDS, args.seed)
    random = np.flatnonzero(np.array(matrix.tasks) == "random")
    return folds, random[:QUICK_ROWS] if args.quick else random


def alpaca(args: argparse.Namespace, way: str, features: str, train: str) -> Row:
    """One way of ranking, over the folds."""
    matrix, queries = matrix_of("alpaca_davinci003"), queries_of("alpaca_davinci003")
    folds, random = alpaca_folds(args)
    tokens = matrix.output_tokens[:, 0]
    encoder = None
    if features == "minilm":
        encoder = CachedEncoder(encoders_of("minilm")[1], args.cache)
        rows = np.arange(len(folds)) if train == "all" else random
        encoded = np.zeros((len(folds), encoder.width), np.float32)
        encoded[rows] = encoder.encode([matrix.prompts[row] for row in rows])
        queries = queries.with_encoding(encoder, encoded)
    score, buckets = np.full(len(folds), np.nan), buckets_of("alpaca_davinci003")
    learnt_from = np.arange(len(folds)) if train == "all" else random
    for fold in range(FOLDS):
        rest, held = learnt_from[folds[learnt_from] != fold], random[folds[random] == fold]
        if way == "input":
            score[held] = [len(matrix.prompts[row].encode()) for row in held]
            continue
        design = LengthDesign.fit(queries.take(rest), HotFeatures(), encoder)
        rows, asked = (
            design.rows(queries.take(part), [buckets[row] for row in part]) for part in (rest, held)
        )
        score[held] = _ranked(way, rows, tokens[rest], asked, args.seed)
    taus = [
        kendall_tau(score[part], tokens[part]) for part in (random[folds[random] == f] for f in range(FOLDS))
    ]
    return {"part": "alpaca", "way": way, "features": features, "train": train, "n": len(random)} | {
        "tau": float(np.mean(taus)),
        "tau_low": min(taus),
        "tau_high": max(taus),
    }


def _ranked(way: str, rows: TextRows, tokens: Floats, asked: TextRows, seed: int) -> Floats:
    """Scores of what is asked, by what the rows teach."""
    if way in SCORES:
        standard = Scale.of(tokens[:, None]).standard(tokens[:, None])[:, 0]
        weights = fit_score(rows, standard, np.ones(len(tokens)), way, seed)
        return weights.scores(asked)[:, 0].astype(np.float64)
    step = 100.0 if way == "classes 100" else float(tokens.max() + 1) / 10
    labels = (tokens // step).astype(np.int64)
    found = fit_classes(rows, labels, int(labels.max()) + 1).scores(asked)
    return found.argmax(axis=1).astype(np.float64)


def distribution(args: argparse.Namespace, features: str = "hot") -> Row:
    """Intervals and quantile loss of the whole model, each fold by one that never saw it."""
    matrix = matrix_of("alpaca_davinci003")
    folds, random = alpaca_folds(args)
    queries, tokens = queries_of("alpaca_davinci003"), matrix.output_tokens[:, 0]
    curves = np.full((len(folds), len(LEVELS)), np.nan)
    plain = curves.copy()
    options = LengthOptions(features=features, seed=args.seed)
    for fold in range(FOLDS):
        rest, held = random[folds[random] != fold], random[folds[random] == fold]
        model = fit_lengths(matrix.take(rest), options, queries.take(rest)).model
        curves[held] = model.forecast(queries.take(held))[:, 0]
        plain[held] = np.quantile(tokens[rest], LEVELS)
    measured, curves, plain = tokens[random], curves[random], plain[random]
    middle = curves[:, len(LEVELS) // 2 - 1 : len(LEVELS) // 2 + 1].mean(axis=1)
    row: Row = {"part": "alpaca", "way": "distribution", "features": features, "train": "random"}
    row |= {"n": len(random), "tau": kendall_tau(middle, measured)}
    row |= {f"held_{share:.0%}": coverage(measured, *interval(curves, share)) for share in (0.8, 0.95)}
    loss, loss_plain = (quantile_loss(measured, each, LEVELS) for each in (curves, plain))
    return row | {"loss_tokens": loss, "loss_no_text": loss_plain}


def ceiling(args: argparse.Namespace) -> Iterator[Row]:
    del args
    names = ("len_vicuna7b_t00", "len_vicuna7b_t03", "len_vicuna7b_t05", "len_vicuna7b_t07", "len_davinci003")
    table = read_columns(
        shared_data() / "lengths" / "vicuna7b_alpaca_temperatures.parquet", texts=(), numbers=names
    )
    first = table[names[0]]
    for name in names[1:]:
        known = np.isfinite(first) & np.isfinite(table[name])
        tau = kendall_tau(table[name][known], first[known])
        way = f"{name.removeprefix('len_')} ranks {names[0].removeprefix('len_')}"
        yield {"part": "ceiling", "way": way, "n": int(known.sum()), "tau": tau}


def transfer(args: argparse.Namespace, held: str, source: str) -> Row:
    """How well a score ranks the answers to a set's prompts."""
    matrix = matrix_of(held)
    size = len(matrix.query_ids)
    score = np.empty(size)
    if source == "itself":
        folds = grouped_folds(matrix.groups, FOLDS, args.seed)
        for fold in range(FOLDS):
            own = np.flatnonzero(folds == fold)
            score[own] = _by({held: np.flatnonzero(folds != fold)}, held, own, args.seed)
    else:
        here = set(folded(matrix.prompts))
        names = ["alpaca_davinci003"] if source == "alpaca" else [name for name in SETS if name != held]
        parts = {
            name: np.array(
                [row for row, text in enumerate(folded(matrix_of(name).prompts)) if text not in here]
            )
            for name in names
        }
        score = _by(parts, held, np.arange(size), args.seed)
    taus = [
        kendall_tau(score[known], tokens[known])
        for tokens in matrix.output_tokens.T
        if (known := np.isfinite(tokens)).sum() >= LEAST_ANSWERS
    ]
    return {
        "part": "transfer", "way": held, "features": "hot", "train": source, "n": size, "endpoints": len(taus),
        "tau": float(np.mean(taus)), "tau_low": min(taus), "tau_high": max(taus),
    }  # fmt: skip


def _by(parts: dict[str, Ints], held: str, asked: Ints, seed: int) -> Floats:
    """Scores of some of a set's texts by rows of other sets, or of its own."""
    hot = HotFeatures()
    taken = [queries_of(name).take(rows) for name, rows in parts.items()]
    designs = [LengthDesign.fit(each, hot, None) for each in taken]
    sizes = np.array([each.n for each in taken], dtype=np.float32)
    share = sizes / sizes.sum()
    mean = np.sum([weight * each.mean for weight, each in zip(share, designs, strict=True)], axis=0)
    scale = np.max([each.scale for each in designs], axis=0)
    design = LengthDesign(hot, None, mean.astype(np.float32), scale)
    buckets = [buckets_of(name)[row] for name, rows in parts.items() for row in rows.tolist()]
    rows = TextRows(np.concatenate([design.dense(each) for each in taken]), buckets)
    targets = [
        targets_of(Scale.of(matrix_of(name).output_tokens).standard(matrix_of(name).output_tokens[at]))
        for name, at in parts.items()
    ]
    target, weight = (np.concatenate(columns) for columns in zip(*targets, strict=True))
    fitted = fit_score(rows, target, weight, "regression", seed)
    own = design.rows(queries_of(held).take(asked), [buckets_of(held)[row] for row in asked.tolist()])
    return fitted.scores(own)[:, 0].astype(np.float64)


def cases(args: argparse.Namespace) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """Each case by its name."""
    ways = [("input", "none", "random"), *((way, "hot", "random") for way in SCORES)]
    if not args.quick:
        ways += [
            ("classes 10", "hot", "random"),
            ("classes 100", "hot", "random"),
            ("regression", "hot", "all"),
        ]
    if args.cache is not None:
        ways += [("regression", "minilm", "random"), ("regression", "minilm", "all")]
    for way, features, train in ways:
        name = f"alpaca {way} {features} {train}"
        yield name, lambda way=way, features=features, train=train: [alpaca(args, way, features, train)]  # type: ignore[misc]
    yield "distribution", lambda: [distribution(args)]
    yield "ceiling", lambda: list(ceiling(args))
    for held in () if args.quick else HELD:
        for source in ("alpaca", "all others", "itself"):
            yield f"{held} by {source}", lambda held=held, source=source: [transfer(args, held, source)]  # type: ignore[misc]


def main() -> None:
    parser = bench_parser(__doc__ or "")
    parser.add_argument(
        "--journal", type=Path, default=None, help="each case as it ends; those in it are not measured again"
    )
    parser.add_argument(
        "--cache", type=Path, default=None, help="measure MiniLM too, and keep its encodings in this file"
    )
    args = parser.parse_args()
    known: dict[str, Any] = {}
    if args.journal is not None and args.journal.exists():
        known = dict(map(json.loads, args.journal.read_text(encoding="utf-8").splitlines()))
    made: list[Row] = []
    for name, measured in cases(args):
        if name not in known:
            known[name] = measured()
            print(name, known[name], flush=True)
            if args.journal is not None:
                args.journal.parent.mkdir(parents=True, exist_ok=True)
                with args.journal.open("a", encoding="utf-8") as file:
                    file.write(json.dumps([name, known[name]]) + "\n")
        made += known[name]
    write_results("length", made, args, title="Answers ranked by length")


if __name__ == "__main__":
    main()
