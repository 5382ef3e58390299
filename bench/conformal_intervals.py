"""How wide must an interval be to hold nine of ten scores, lengths or times?

Predictions out of fold (grouped by prompt text) by the chosen quality model; conformal margins from the
other folds, per model of the set.

    score, absolute     alpaca_eval: the judge's score, the predicted one plus and minus a margin
    score, conformal    the same, the margin in units of sqrt(p (1 - p)) + .05: what an artifact holds
    length, as predicted    the predicted 5% and 95% quantiles as they are
    length, conformal       the same, moved in log tokens: what an artifact gives
    time, by length     bfcl_2024_08: conformal lengths through each model's own time curve, fitted on
                        the other folds to measured times
    time, conformal     the same, moved in log seconds

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
from pointsman.predict.quality.base import QualityForecast, RawForecast
from pointsman.predict.quality.conformal import ConformalIntervals
from pointsman.predict.quality.conformal_limits import LEVEL, LabelRegions, Range
from pointsman.predict.quality.fit import FitOptions, FittedQuality, fit_quality
from pointsman.predict.quality.kinds import FEATURES, MODELS
from pointsman.predict.quality.length_levels import range_ends
from pointsman.report.bench import Cell, bench_parser, shared_data, write_results
from pointsman.types import Floats

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


def across(measured: Floats, ends: Range, folds: NDArray[np.int64]) -> Range:
    """Conformal ends of every row, with margins from the other folds."""
    low, high = np.empty_like(measured), np.empty_like(measured)
    for fold in np.unique(folds):
        own = folds == fold
        made = ConformalIntervals.fit(measured[~own], ends[0][~own], ends[1][~own], LEVEL)
        low[own], high[own] = made.interval(ends[0][own], ends[1][own])
    return low, high


def found(measured: Floats, ends: Range) -> LabelRegions:
    return LabelRegions((measured >= ends[0]) & (measured <= ends[1]), ends[1] - ends[0])


def row_of(
    quantity: str, how: str, source: str, measured: Floats, regions: LabelRegions, *, ratio: bool
) -> dict[str, Cell]:
    """Coverage overall and of the models apart, and mean width; of logarithms where `ratio`."""
    known = ~np.isnan(measured)
    inside, width = regions.covered, regions.size[known]
    models = [float(inside[rows, e].mean()) for e, rows in enumerate(known.T) if rows.any()]
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
    assert fitted.held_out is not None
    assert fitted.folds is not None
    assert fitted.regions is not None
    predicted = fitted.held_out.quality.value
    low, high = across(matrix.quality, (predicted, predicted), fitted.folds)
    absolute = found(matrix.quality, (np.maximum(low, 0.0), np.minimum(high, 1.0)))
    for how, regions in (("absolute", absolute), ("conformal", fitted.regions)):
        yield row_of("score", how, folder.name, matrix.quality, regions, ratio=False)
    yield from lengths(matrix, fitted, folder.name)


def lengths(matrix: OutcomeMatrix, fitted: FittedQuality, source: str) -> Iterator[dict[str, Cell]]:
    for how, made in (("as predicted", fitted.raw), ("conformal", fitted.held_out)):
        low, high = quantile_ends(made)
        measured = np.where(np.isnan(low), np.nan, matrix.output_tokens)
        inside = (measured >= low) & (measured <= high)
        regions = LabelRegions(inside, np.log1p(high) - np.log1p(low))
        yield row_of("length", how, source, measured, regions, ratio=True)


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
    tokens, folds = quantile_ends(fitted.held_out), fitted.folds
    assert folds is not None
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
    for how, made in (("by length", ends), ("conformal", across(measured, ends, folds))):
        yield row_of("time", how, folder.name, measured, found(measured, made), ratio=True)


def scored(folder: Path, args: argparse.Namespace) -> OutcomeMatrix:
    """The models that have scores, with lengths by the common yardstick."""
    matrix = shared_outcomes(folder, lengths="output_tokens_cl100k")
    columns = np.flatnonzero((~np.isnan(matrix.quality)).any(axis=0))
    columns = columns[:QUICK_MODELS] if args.quick else columns
    return matrix.of_endpoints(columns).take(drawn(len(matrix.query_ids), args))


def drawn(n: int, args: argparse.Namespace) -> NDArray[np.int64]:
    order = np.random.default_rng(args.seed).permutation(n)
    return np.sort(order[:QUICK_ROWS] if args.quick else order)


def quantile_ends(forecast: QualityForecast | RawForecast | None) -> Range:
    """The 5% and 95% quantiles of length, in tokens."""
    assert forecast is not None
    assert forecast.output_tokens is not None
    return range_ends(forecast.output_tokens)


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
