"""Can a model say how long its answer will be, before it answers? Asked of the embedded fleet, for real.

The 200 questions of GSM8K that the fleet has answered (`bench/data/fleet_gsm8k.parquet`), each model asked
zero-shot and greedily for one number of at most 12 tokens; what they said is in `fleet_lengths.parquet`. A number
counts if it is from 0 to 2,048, the context. Beside it the mean length of the 16 nearest questions' answers, five
folds by prompt, five seeds.

    said               share of questions to which the model said a number
    median_said, median_took     tokens
    rank               rank correlation of said and took, 95% interval; nearest_rank: of the neighbours'
    error              mean |forecast - took| over the mean of took; nearest_error
    asking_share       joules of asking, over those of the answer (both modelled)

    python bench/perception.py
    python bench/perception.py --write-questions lengths.jsonl     and to collect them again:
    pointsman collect lengths.jsonl --concurrency 4 --out lengths
    python bench/perception.py --read-collected lengths
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from pointsman.data.outcomes import SAMPLES, OutcomeRow, read_outcome_rows
from pointsman.data.parquet import pyarrow
from pointsman.data.question_sets import load_set
from pointsman.data.routing_sets import RoutingSet, asked_lengths, fleet_set
from pointsman.data.tables import read_columns
from pointsman.metrics.regression import bootstrap, rank_correlation
from pointsman.metrics.splits import grouped_folds
from pointsman.predict.features.hot import HotFeatures
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.knn import KnnQuality, KnnSettings
from pointsman.report.bench import Cell, bench_parser, shared_data, write_results
from pointsman.types import Floats

DATA = Path("bench") / "data"
LENGTHS = DATA / "fleet_lengths.parquet"
PROMPT: Final = (
    "Guess the length of an answer. Do not solve the task; reply with one whole number, the tokens that your "
    "worked answer would have.\n\nTask: {text}\n\nTokens of the answer:"
)
MAX_TOKENS, CONTEXT_TOKENS = 12, 2048
FOLDS, SEEDS = 5, 5


def write_questions(path: Path) -> None:
    """A file for `pointsman collect`. The answer that a question needs there has no meaning."""
    answered = {row.query_id for row in read_outcome_rows(DATA / "fleet_gsm8k.parquet").rows}
    asked = [
        {
            "id": question.id, "task": "reasoning", "prompt": PROMPT.format(text=question.text),
            "max_tokens": MAX_TOKENS, "answer": {"kind": "number", "value": 0},
        }
        for question in load_set("gsm8k", shared_data()) if question.id in answered
    ]  # fmt: skip
    path.write_text("".join(f"{json.dumps(line)}\n" for line in asked), encoding="utf-8")


def said_tokens(row: OutcomeRow) -> float | None:
    """The number that the answer gives, if it can be a length."""
    said = None if row.answer_key is None else float(Fraction(row.answer_key))
    return said if said is not None and 0 <= said <= CONTEXT_TOKENS else None


def read_collected(folder: Path) -> None:
    """Ids and figures of what was collected, as `LENGTHS`."""
    table = read_outcome_rows(folder / SAMPLES)
    kept = ("query_id", "model", "input_tokens", "output_tokens", "latency_s", "energy_j", "energy_modelled")
    columns = {name: [getattr(row, name) for row in table.rows] for name in kept}
    columns["said_tokens"] = [said_tokens(row) for row in table.rows]
    about = {name: table.metadata[name] for name in ("machine", "meters", "began_unix_s", "seed")}
    about |= {"prompt": PROMPT, "command": "pointsman collect lengths.jsonl --concurrency 4 --seed 0"}
    about["note"] = "cores shared with other work: energy follows from CPU time, latency_s says little"
    pa, pq = pyarrow()
    made = pa.table(columns).replace_schema_metadata({b"pointsman": json.dumps(about).encode()})
    pq.write_table(made, LENGTHS, compression="zstd")


def nearest_tokens(data: RoutingSet, seed: int) -> Floats:
    """The mean length of the 16 nearest questions' answers in the other folds, shape (N, E)."""
    matrix, hot = data.matrix, HotFeatures()
    queries = Queries.without_task(matrix.prompts)
    folds = grouped_folds(matrix.groups, FOLDS, seed)
    made = np.empty_like(matrix.output_tokens)
    for fold in range(FOLDS):
        rest, own = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        model = KnnQuality.fit(
            matrix.take(rest), hot, queries=queries.take(rest), settings=KnnSettings.eccos()
        )
        found = model.forecast(queries.take(own)).output_tokens
        assert found is not None
        made[own] = found.mean(axis=-1)
    return made


def rows_of(data: RoutingSet, asking_j: Floats, seeds: range) -> list[dict[str, Cell]]:
    """One row a model; `asking_j` of each."""
    assert data.said_tokens is not None
    nearest = [nearest_tokens(data, seed) for seed in seeds]
    rows: list[dict[str, Cell]] = []
    for column, name in enumerate(data.matrix.endpoints):
        took, said = data.matrix.output_tokens[:, column], data.said_tokens[:, column]
        known = np.isfinite(said)
        by_seed = [made[:, column] for made in nearest]
        row: dict[str, Cell] = {"model": name, "questions": len(took), "said": float(known.mean())}
        row |= {"median_said": float(np.median(said[known])), "median_took": float(np.median(took))}
        both = took[known], said[known]
        low, high = bootstrap(rank_correlation, *both, rng=np.random.default_rng(seeds.start))
        row |= {"rank": rank_correlation(*both), "rank_low": low, "rank_high": high}
        row["nearest_rank"] = float(np.mean([rank_correlation(took, made) for made in by_seed]))
        row["error"] = float(np.abs(both[1] - both[0]).mean() / both[0].mean())
        row["nearest_error"] = float(np.mean([np.abs(made - took).mean() for made in by_seed]) / took.mean())
        row["asking_share"] = float(asking_j[column] / data.cost[:, column].mean())
        rows.append(row)
    return rows


def main() -> None:
    parser = bench_parser(__doc__ or "")
    parser.add_argument("--write-questions", type=Path, default=None, help="only write what is to be asked")
    parser.add_argument("--read-collected", type=Path, default=None, help="take a collected folder first")
    args: argparse.Namespace = parser.parse_args()
    if args.write_questions is not None:
        write_questions(args.write_questions)
        return
    if args.read_collected is not None:
        read_collected(args.read_collected)
    data = asked_lengths(fleet_set(DATA, shared_data()), LENGTHS)
    asked = read_columns(LENGTHS, texts=("model",), numbers=("energy_j",))
    asking_j = np.array([asked["energy_j"][asked["model"] == name].mean() for name in data.matrix.endpoints])
    seeds = range(args.seed, args.seed + (1 if args.quick else SEEDS))
    write_results(
        "perception", rows_of(data, asking_j, seeds), args, title="Can a model foresee its answer's length?"
    )


if __name__ == "__main__":
    main()
