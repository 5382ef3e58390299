"""How well are answer lengths known beforehand, and what follows for price, time and energy?

Five folds grouped by prompt text, forecasts out of fold by text alone (no task, no MiniLM):

    mean        the lengths of the model's other answers, `task_mean` without tasks
    knn, eccos  quantiles of the 16 nearest, unweighted, by the static embedding
    knn         64 neighbours, weighted, beside the model's own quantiles
    trained     log length by the linear model over all endpoints

These are the predictors themselves; what an artifact adds to their ranges is in conformal_intervals.py.
`mae_tokens` is that of the median, with a 95% interval by bootstrap over prompts; `coverage`: answers between
the 5% and the 95% quantile; `width`: high over low, mean. Costs are those of the mean length, through curves
fitted to the other folds; each error is the mean absolute one over the mean cost, and beside it (`_known`) what
is left when the length is known:

    time    bfcl_2024_08, measured latency of each call
    price   bfcl_2024_08, cost of each call at list prices
    energy  modelled: the token counts through the energy curve of the embedded 1.5B

    python bench/quality_lengths.py
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointsman.build.source import shipped
from pointsman.data.shared_outcomes import shared_measure, shared_outcomes
from pointsman.metrics.intervals import mean_of, paired_interval
from pointsman.metrics.regression import coverage
from pointsman.metrics.splits import grouped_folds
from pointsman.predict.artifact import FitArtifact
from pointsman.predict.cost import OlsCost, ShapeCost
from pointsman.predict.features.hot import HotFeatures
from pointsman.predict.model_profile import CostCurve, TokenCount
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.knn import KnnQuality, KnnSettings
from pointsman.predict.quality.length_levels import endpoint_quantiles, range_ends
from pointsman.predict.quality.trained import TrainedQuality
from pointsman.report.bench import Cell, bench_parser, shared_data, write_results
from pointsman.types import Bools, Floats

NATURAL = (
    "DeepSeek-Coder-V2",
    "Meta-Llama-3_1-70B-Instruct",
    "Meta-Llama-3_1-8B-Instruct",
    "gemini-1.5-flash-002",
    "gemini-1.5-pro-002",
    "jamba-1.5-large",
    "mathstral-7B",
)
"""Models of mmlu_pro whose answers end by themselves or at 2,048 tokens."""
FOLDS = 5
ROWS, QUICK_ROWS = 4_000, 500
MODELS = 12
LEAST_ROWS = 700
ENERGY_OF = "qwen2.5-coder-1.5b"


class Part(NamedTuple):
    """A set of outcomes with lengths, and what a call cost where that is known; shapes (N, E)."""

    name: str
    matrix: OutcomeMatrix
    inputs: Floats
    time_s: Floats | None = None
    price_usd: Floats | None = None


def curves(part: Part, folds: NDArray[np.int64], seed: int) -> dict[str, Floats]:
    """Quantiles out of fold by each predictor, shape (N, E, QUANTILES)."""
    hot = HotFeatures()
    queries = Queries.without_task(part.matrix.prompts)
    queries.hot(hot)
    bare = replace(part.matrix, tasks=("",) * len(folds))
    made: dict[str, list[Floats]] = {}
    order = np.argsort(folds, kind="stable")
    for fold in range(FOLDS):
        train, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        seen, asked = queries.take(train), queries.take(held)
        outcomes = bare.take(train)
        own = endpoint_quantiles(outcomes.output_tokens)
        made.setdefault("mean", []).append(np.broadcast_to(own, (len(held), *own.shape)))
        for name, settings in (("knn, eccos", KnnSettings.eccos()), ("knn", KnnSettings())):
            knn = KnnQuality.fit(outcomes, hot, queries=seen, settings=settings, seed=seed)
            made.setdefault(name, []).append(_lengths(knn, asked))
        trained = TrainedQuality.fit(outcomes, hot, queries=seen, seed=seed)
        made.setdefault("trained", []).append(_lengths(trained, asked))
    back = np.argsort(order, kind="stable")
    return {name: np.concatenate(parts)[back] for name, parts in made.items()}


def _lengths(model: KnnQuality | TrainedQuality, asked: Queries) -> Floats:
    found = model.forecast(asked).output_tokens
    assert found is not None
    return found


def measure(part: Part, energy: CostCurve, seed: int) -> Iterator[dict[str, Cell]]:
    folds = grouped_folds(part.matrix.groups, FOLDS, seed)
    measured = part.matrix.output_tokens
    known = np.isfinite(measured) & np.isfinite(part.inputs)
    prompt = np.broadcast_to(part.matrix.groups[:, None], measured.shape)[known]
    joules = energy.predict(part.inputs, np.where(known, measured, 0), np.ones_like(measured))
    for name, curve in curves(part, folds, seed).items():
        median, mean = curve[..., 9:11].mean(axis=-1)[known], curve.mean(axis=-1)
        low, high = (end[known] for end in range_ends(curve))
        rng = np.random.default_rng(seed)
        error = paired_interval(
            [mean_of(np.abs(measured[known] - median))], groups=prompt, rng=rng, resamples=200
        )
        row: dict[str, Cell] = {
            "set": part.name,
            "predictor": name,
            "models": measured.shape[1],
            "n": int(known.sum()),
            "mae_tokens": error.value,
            "mae_low": error.low,
            "mae_high": error.high,
            "coverage": coverage(measured[known], low, high),
            "width": float(np.mean((high + 1) / (low + 1))),
        }
        for cost, values, kind in (("time", part.time_s, ShapeCost), ("price", part.price_usd, OlsCost)):
            if values is not None:
                row |= cost_cells(cost, kind, part, values, mean, folds)
        guessed = energy.predict(part.inputs, mean, np.ones_like(mean))
        yield row | {"energy_error": _relative(joules[known], guessed[known])}


def cost_cells(
    name: str,
    kind: type[ShapeCost | OlsCost],
    part: Part,
    cost: Floats,
    mean: Floats,
    folds: NDArray[np.int64],
) -> dict[str, Cell]:
    """Error of a cost by predicted length, and by the measured one."""
    tokens = part.matrix.output_tokens
    known = np.isfinite(tokens) & np.isfinite(part.inputs) & (cost > 0)
    guessed, told = np.full_like(cost, np.nan), np.full_like(cost, np.nan)
    for column in range(cost.shape[1]):
        for fold in range(FOLDS):
            train, held = (known[:, column] & mask for mask in (folds != fold, folds == fold))
            curve = kind.fit(part.inputs[train, column], tokens[train, column], cost[train, column])
            guessed[held, column] = curve.predict(part.inputs[held, column], mean[held, column])
            told[held, column] = curve.predict(part.inputs[held, column], tokens[held, column])
    return {
        f"{name}_error": _relative(cost[known], guessed[known]),
        f"{name}_error_known": _relative(cost[known], told[known]),
    }


def _relative(measured: Floats, predicted: Floats) -> float:
    return float(np.abs(measured - predicted).mean() / measured.mean())


def spaced(enough: Bools, models: int) -> NDArray[np.int64]:
    """So many of the columns that have enough rows, evenly spaced by name."""
    columns = np.flatnonzero(enough)
    return columns[np.linspace(0, len(columns) - 1, min(models, len(columns))).astype(np.int64)]


def parts(root: Path, args: argparse.Namespace) -> Iterator[Part]:
    rng = np.random.default_rng(args.seed)
    models = 4 if args.quick else MODELS

    def drawn(matrix: OutcomeMatrix) -> NDArray[np.int64]:
        n = len(matrix.query_ids)
        return np.sort(rng.choice(n, min(n, QUICK_ROWS if args.quick else ROWS), replace=False))

    for name, endpoints in (("mmlu_pro", NATURAL), ("alpaca_eval", None)):
        matrix = shared_outcomes(root / name, lengths="output_tokens_cl100k", endpoints=endpoints)
        columns = spaced(np.isfinite(matrix.output_tokens).sum(axis=0) >= LEAST_ROWS, models)
        matrix = matrix.of_endpoints(columns).take(drawn(matrix))
        size = np.array([float(len(prompt.encode())) for prompt in matrix.prompts])
        yield Part(name, matrix, np.repeat(TokenCount().predict(size)[:, None], len(columns), axis=1))
    matrix = shared_outcomes(root / "bfcl_2024_08")
    measures = [
        shared_measure(root / "bfcl_2024_08", column, matrix)
        for column in ("input_tokens", "latency_s", "cost_usd")
    ]
    whole = np.isfinite(np.stack([*measures, matrix.output_tokens])).all(axis=0)
    columns, rows = spaced(whole.sum(axis=0) >= LEAST_ROWS, models), drawn(matrix)
    inputs, time_s, price_usd = (values[np.ix_(rows, columns)] for values in measures)
    yield Part("bfcl_2024_08", matrix.of_endpoints(columns).take(rows), inputs, time_s, price_usd)


def main() -> None:
    args = bench_parser(__doc__ or "").parse_args()
    profile = FitArtifact.read(shipped("fleet_fit.json")).find(ENERGY_OF)
    assert profile is not None
    made = [
        row
        for part in parts(shared_data() / "outcomes", args)
        for row in measure(part, profile.energy, args.seed)
    ]
    write_results("quality_lengths", made, args, title="Lengths known beforehand")


if __name__ == "__main__":
    main()
