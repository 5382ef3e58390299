"""How wide must an interval be to hold nine of ten scores, lengths or times?

Predictions out of fold (grouped by prompt text) by the chosen quality model; conformal margins from the
other folds, per model of the set.

    score, absolute     alpaca_eval: the judge's score, the predicted one plus and minus a margin
    score, normalised   the same, the margin in units of sqrt(p (1 - p)) + .05
    length, as predicted    the predicted 5% and 95% quantiles as they are
    length, conformal       the same, moved in log tokens (conformal quantile regression)
    time, ...           bfcl_2024_08: the quantiles of length through each model's own time curve, fitted on
                        the other folds to measured times

Width: mean of high - low for scores; mean of high / low for lengths (with one token more) and times.
Lengths are read where answers end by themselves or at 2,048 tokens (mmlu_pro), and of all answers of
alpaca_eval's scored models.

    python bench/conformal_intervals.py
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointsman.data.shared_outcomes import shared_measure, shared_outcomes
from pointsman.predict.cost import ShapeCost
from pointsman.predict.outcomes import OutcomeMatrix
from pointsman.predict.quality.conformal import ConformalIntervals
from pointsman.predict.quality.fit import FitOptions, FittedQuality, fit_quality
from pointsman.predict.quality.kinds import FEATURES, MODELS
from pointsman.report.bench import Cell, bench_parser, shared_data, write_results
from pointsman.types import Floats

LEVEL = 0.9
NATURAL = (
    "DeepSeek-Coder-V2",
    "Meta-Llama-3_1-70B",
    "Meta-Llama-3_1-70B-Instruct",
    "Meta-Llama-3_1-8B",
    "Meta-Llama-3_1-8B-Instruct",
    "gemini-1.5-flash-002",
    "gemini-1.5-pro-002",
    "jamba-1.5-large",
    "mathstral-7B",
)
LEAST_LABELS = 500
QUICK_ROWS = 700
QUICK_MODELS = 6

Range = tuple[Floats, Floats]
"""Low and high ends, shape (N, E) each."""


def across(measured: Floats, ends: Range, folds: NDArray[np.int64], scale: Floats | None = None) -> Range:
    """Conformal ends of every row, with margins from the other folds."""
    low, high = np.empty_like(measured), np.empty_like(measured)
    scale = np.ones_like(measured) if scale is None else scale
    for fold in np.unique(folds):
        own = folds == fold
        made = ConformalIntervals.fit(measured[~own], ends[0][~own], ends[1][~own], LEVEL, scale[~own])
        low[own], high[own] = made.interval(ends[0][own], ends[1][own], scale[own])
    return low, high


def row_of(
    quantity: str, how: str, source: str, measured: Floats, ends: Range, *, ratio: bool
) -> dict[str, Cell]:
    """Coverage overall and of the models apart, and mean width; `ends` of logarithms where `ratio`."""
    known = ~np.isnan(measured)
    inside = (measured >= ends[0]) & (measured <= ends[1])
    models = [float(inside[rows, e].mean()) for e, rows in enumerate(known.T) if rows.any()]
    width = (ends[1] - ends[0])[known]
    return {
        "quantity": quantity,
        "interval": how,
        "set": source,
        "models": len(models),
        "n": int(known.sum()),
        "coverage": float(inside[known].mean()),
        "lowest_model": min(models),
        "highest_model": max(models),
        "mean_width": float(np.exp(width).mean() if ratio else width.mean()),
        "median_width": float(np.exp(np.median(width)) if ratio else np.median(width)),
    }


def scores(folder: Path, options: FitOptions, args: argparse.Namespace) -> Iterator[dict[str, Cell]]:
    matrix = scored(folder, args)
    fitted = fit_quality(matrix, options)
    predicted, folds = out_of_fold(fitted)
    spread = np.sqrt(predicted * (1 - predicted)) + 0.05
    for how, scale in (("absolute", None), ("normalised", spread)):
        low, high = across(matrix.quality, (predicted, predicted), folds, scale)
        ends = np.maximum(low, 0.0), np.minimum(high, 1.0)
        yield row_of("score", how, folder.name, matrix.quality, ends, ratio=False)
    yield from lengths(matrix, fitted, folder.name)


def lengths(matrix: OutcomeMatrix, fitted: FittedQuality, source: str) -> Iterator[dict[str, Cell]]:
    ends, folds = quantile_ends(fitted)
    ends = np.log1p(ends[0]), np.log1p(ends[1])
    measured = np.where(np.isnan(ends[0]), np.nan, np.log1p(matrix.output_tokens))
    yield row_of("length", "as predicted", source, measured, ends, ratio=True)
    yield row_of("length", "conformal", source, measured, across(measured, ends, folds), ratio=True)


def times(folder: Path, options: FitOptions, args: argparse.Namespace) -> Iterator[dict[str, Cell]]:
    """Models whose tokens and times are both known."""
    matrix = shared_outcomes(folder)
    time_s = shared_measure(folder, "latency_s", matrix)
    inputs = shared_measure(folder, "input_tokens", matrix)
    known = ~np.isnan(time_s) & ~np.isnan(inputs) & ~np.isnan(matrix.output_tokens) & (time_s > 0)
    columns = np.flatnonzero(known.sum(axis=0) >= LEAST_LABELS)
    rows = drawn(len(matrix.query_ids), args)
    columns = columns[:QUICK_MODELS] if args.quick else columns
    matrix = matrix.of_endpoints(columns).take(rows)
    at = np.ix_(rows, columns)
    time_s, inputs, known = time_s[at], inputs[at], known[at]
    fitted = fit_quality(matrix, options)
    tokens, folds = quantile_ends(fitted)
    low, high = np.full_like(time_s, np.nan), np.full_like(time_s, np.nan)
    for column in range(len(columns)):
        for fold in np.unique(folds):
            train, own = known[:, column] & (folds != fold), known[:, column] & (folds == fold)
            curve = ShapeCost.fit(
                inputs[train, column], matrix.output_tokens[train, column], time_s[train, column]
            )
            low[own, column] = curve.predict(inputs[own, column], tokens[0][own, column])
            high[own, column] = curve.predict(inputs[own, column], tokens[1][own, column])
    measured = np.where(known & (low > 0), np.log(np.where(known, time_s, 1.0)), np.nan)
    ends = np.log(low), np.log(high)
    yield row_of("time", "as predicted", folder.name, measured, ends, ratio=True)
    yield row_of("time", "conformal", folder.name, measured, across(measured, ends, folds), ratio=True)


def scored(folder: Path, args: argparse.Namespace) -> OutcomeMatrix:
    """The models that have scores, with lengths by the common yardstick."""
    matrix = shared_outcomes(folder, lengths="output_tokens_cl100k")
    columns = np.flatnonzero((~np.isnan(matrix.quality)).any(axis=0))
    columns = columns[:QUICK_MODELS] if args.quick else columns
    return matrix.of_endpoints(columns).take(drawn(len(matrix.query_ids), args))


def drawn(n: int, args: argparse.Namespace) -> NDArray[np.int64]:
    order = np.random.default_rng(args.seed).permutation(n)
    return np.sort(order[:QUICK_ROWS] if args.quick else order)


def out_of_fold(fitted: FittedQuality) -> tuple[Floats, NDArray[np.int64]]:
    assert fitted.held_out is not None
    assert fitted.folds is not None
    return fitted.held_out.quality.value, fitted.folds


def quantile_ends(fitted: FittedQuality) -> tuple[Range, NDArray[np.int64]]:
    """The 5% and 95% quantiles of length, in tokens."""
    _, folds = out_of_fold(fitted)
    assert fitted.held_out is not None
    curve = fitted.held_out.output_tokens
    assert curve is not None
    return (curve[..., :2].mean(axis=-1), curve[..., -2:].mean(axis=-1)), folds


def measure(args: argparse.Namespace, natural: Sequence[str]) -> Iterator[dict[str, Cell]]:
    options = FitOptions(model=args.model, features=args.features, seed=args.seed)
    root = shared_data() / "outcomes"
    yield from scores(root / "alpaca_eval", options, args)
    matrix = shared_outcomes(root / "mmlu_pro", lengths="output_tokens_cl100k", endpoints=natural)
    matrix = matrix.take(drawn(len(matrix.query_ids), args))
    yield from lengths(matrix, fit_quality(matrix, options), "mmlu_pro")
    yield from times(root / "bfcl_2024_08", options, args)


def main() -> None:
    parser = bench_parser(__doc__ or "")
    parser.add_argument("--model", choices=MODELS, default="knn", help="default knn")
    parser.add_argument("--features", choices=FEATURES, default="hot", help="default hot")
    args = parser.parse_args()
    rows = list(measure(args, NATURAL[:2] if args.quick else NATURAL))
    write_results("conformal_intervals", rows, args, title="Intervals that hold nine of ten")


if __name__ == "__main__":
    main()
