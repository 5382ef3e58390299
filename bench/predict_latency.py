"""How long features and a quality prediction take for 10 endpoints, and what share of an answer that is.

    core         the part of the prompt that is read
    features     surface, static embedding, hashed n-grams: one pass over the text
    hot          core, features and the forecast of the fitted model, one request: the hot path
    minilm       the same with MiniLM's embedding beside them
    batch        hot, for 10,000 prompts at once: prompts a second
    load         the model from its artifact, its features with it, each time by a new process: the slowest;
                 also for minilm and for `blend`, which keeps its training rows

Questions of outcomes/mmlu of 90 to 110 tokens (`prompt_tokens_cl100k`); the model is `trained` on other
questions, with the ten models that most of them know. Prompts come round again after some 1,500 calls.
CPU time stands beside wall time: where they differ, something else had the core. `answer_percent` is the
p50 over the mean time of an answer of the shipped fleet, all its models together.

    python bench/predict_latency.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pointsman.build.source import shipped
from pointsman.data.shared_outcomes import shared_outcomes
from pointsman.data.tables import read_columns
from pointsman.predict.features.core_text import core_text
from pointsman.predict.features.hot import HotFeatures
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.fit import FitOptions, fit_quality
from pointsman.predict.quality.learned_model import LearnedModel
from pointsman.report.bench import Cell, bench_parser, shared_data, write_results

ENDPOINTS = 10
TOKENS = range(90, 111)
TRAINED_ON, MINILM_TRAINED_ON = 3_000, 600
BATCH = 10_000
WARM_UP = 300
LOADS = 5
_LOAD = """
import sys, time
from pathlib import Path
from pointsman.predict.quality.learned_model import LearnedModel
start = time.perf_counter()
LearnedModel.read(Path(sys.argv[1]))
print(time.perf_counter() - start)
"""


def single(call: Callable[[str], object], prompts: Sequence[str], calls: int) -> dict[str, Cell]:
    """Microseconds of single calls, by the wall clock and by this thread's CPU time."""
    for prompt in prompts[: min(WARM_UP, calls)]:
        call(prompt)
    wall_us, cpu_us = np.empty(calls), np.empty(calls)
    for index in range(calls):
        prompt = prompts[index % len(prompts)]
        cpu_ns, start_ns = time.thread_time_ns(), time.perf_counter_ns()
        call(prompt)
        wall_us[index] = (time.perf_counter_ns() - start_ns) / 1e3
        cpu_us[index] = (time.thread_time_ns() - cpu_ns) / 1e3
    p50, p99 = np.percentile(wall_us, (50, 99)).tolist()
    cpu_p50, cpu_p99 = np.percentile(cpu_us, (50, 99)).tolist()
    return {"calls": calls, "p50_us": p50, "p99_us": p99, "cpu_p50_us": cpu_p50, "cpu_p99_us": cpu_p99}


def ten_models(folder: Path) -> tuple[OutcomeMatrix, list[str]]:
    """The outcomes of the ten models with most labels, and the prompts of about 100 tokens."""
    matrix = shared_outcomes(folder)
    labels = (~np.isnan(matrix.quality)).sum(axis=0)
    chosen = [matrix.endpoints[column] for column in np.argsort(-labels, kind="stable")[:ENDPOINTS]]
    queries = read_columns(folder / "queries.parquet", texts=("prompt",), numbers=("prompt_tokens_cl100k",))
    pairs = zip(queries["prompt"].tolist(), queries["prompt_tokens_cl100k"].tolist(), strict=True)
    return shared_outcomes(folder, endpoints=chosen), [text for text, tokens in pairs if tokens in TOKENS]


def fitted(matrix: OutcomeMatrix, features: str, seed: int, rows: int, kind: str = "trained") -> LearnedModel:
    picked = np.random.default_rng(seed).permutation(len(matrix.query_ids))[:rows]
    options = FitOptions(kind, features, folds=2, seed=seed)
    return fit_quality(matrix.take(picked), options).model


def forecast_of(model: LearnedModel) -> Callable[[str], Any]:
    return lambda prompt: model.forecast(Queries.without_task([core_text(prompt)]))


def batched(model: LearnedModel, prompts: Sequence[str]) -> float:
    """Prompts a second, all in one call."""
    start_ns = time.perf_counter_ns()
    model.forecast(Queries.without_task([core_text(prompt) for prompt in prompts]))
    return len(prompts) / ((time.perf_counter_ns() - start_ns) / 1e9)


def load_s(model: LearnedModel, times: int) -> float:
    """Seconds that a new process takes to read the artifact, its imports not counted; the slowest."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quality"
        model.write(path)
        command = [sys.executable, "-c", _LOAD, str(path)]
        runs = [subprocess.run(command, check=True, capture_output=True, text=True) for _ in range(times)]
    return max(float(run.stdout) for run in runs)


def main() -> None:
    parser = bench_parser(__doc__ or "")
    parser.add_argument("--no-minilm", action="store_true", help="without the extra embed")
    args = parser.parse_args()
    calls, rows, batch = (1_000, 150, 1_000) if args.quick else (20_000, TRAINED_ON, BATCH)
    matrix, prompts = ten_models(shared_data() / "outcomes" / "mmlu")
    answers = read_columns(
        shipped("fleet_profile.parquet"), texts=(), numbers=("e2e_s",), optional=("e2e_s",)
    )
    answer_s = float(np.nanmean(answers["e2e_s"]))
    hot = HotFeatures()
    model = fitted(matrix, "hot", args.seed, rows)
    parts: dict[str, tuple[Callable[[str], object], int]] = {
        "core": (core_text, calls),
        "features": (lambda prompt: hot.rows([prompt]), calls),
        "hot": (forecast_of(model), calls),
    }
    loaded = {"load": model, "load blend": fitted(matrix, "hot", args.seed, rows, "blend")}
    if not args.no_minilm:
        loaded["load minilm"] = fitted(matrix, "minilm", args.seed, min(rows, MINILM_TRAINED_ON))
        parts["minilm"] = (forecast_of(loaded["load minilm"]), calls // 20)
    results: list[dict[str, Cell]] = []
    for what, (call, times) in parts.items():
        row = {"what": what, "endpoints": ENDPOINTS, **single(call, prompts, times)}
        row["answer_percent"] = 100 * float(row["p50_us"] or 0) / 1e6 / answer_s
        results.append(row)
    many = [matrix.prompts[number % len(matrix.prompts)] for number in range(batch)]
    results.append({"what": "batch", "endpoints": ENDPOINTS, "prompts_per_s": batched(model, many)})
    for what, each in loaded.items():
        results.append(
            {"what": what, "endpoints": ENDPOINTS, "load_s": load_s(each, 1 if args.quick else LOADS)}
        )
    for row in results:
        row["answer_s"] = answer_s
    write_results("predict_latency", results, args, title="Features and prediction of one request")


if __name__ == "__main__":
    main()
