"""How good a fit is, with whole prompts held out and with drift followed one request at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointsman.metrics.regression import coverage, mape, mean_relative_width, median_ape, r2
from pointsman.predict.drift import NOMINAL, TIME, Drift
from pointsman.predict.load_fit import interval
from pointsman.predict.model_profile import CostCurve, Spread
from pointsman.predict.profile_fit import fit_cost, fit_length, lengths_by_task
from pointsman.predict.profile_rows import ProfileRows, folds
from pointsman.types import Floats

HELD_OUT_FOLDS = 5


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One quantity of N requests, each predicted by a fit that had not seen its prompt.

    Attributes:
        quantity: `time_s`, `energy_j` or `output_tokens`.
        measured, known_tokens: what was measured; what is predicted from the true token counts
            (NaN for `output_tokens`).
        arrival, low, high: predicted before the answer's length was known, with its interval.
        index: the rows' positions among the endpoint's, in order of time.
    """

    quantity: str
    measured: Floats
    known_tokens: Floats
    arrival: Floats
    low: Floats
    high: Floats
    index: NDArray[np.int64]

    def figures(self) -> dict[str, float]:
        """R2, MAPE and the like, as shares of 1; for one table row."""
        has_known = bool(np.isfinite(self.known_tokens).all())
        known = self.known_tokens if has_known else self.arrival
        return {
            "r2": r2(self.measured, known),
            "mape": mape(self.measured, known),
            "median_ape": median_ape(self.measured, known),
            "mape_at_arrival": mape(self.measured, self.arrival),
            "coverage": coverage(self.measured, self.low, self.high),
            "nominal_coverage": NOMINAL,
            "relative_width": mean_relative_width(self.low, self.high, self.arrival),
        }


def hold_out(rows: ProfileRows, cost: str, length: str | None, seed: int) -> Iterator[HeldOut]:
    """Time, energy (where measured) and length (where modelled) of held-out prompts.

    Folds here are not those that calibrated the intervals: the inner fit makes its own.
    """
    metered = np.isfinite(rows.energy_j)
    if length is not None:
        yield _lengths(rows, length, seed)
    yield _costs("time_s", rows, rows.time_s, cost, length, seed)
    if metered.any():
        at = np.asarray(np.flatnonzero(metered), dtype=np.int64)
        held = _costs("energy_j", rows.take(at), rows.energy_j[at], cost, length, seed)
        yield HeldOut(held.quantity, held.measured, held.known_tokens, held.arrival, held.low, held.high, at)


def _costs(
    quantity: str, rows: ProfileRows, measured: Floats, cost: str, length: str | None, seed: int
) -> HeldOut:
    fold = folds(rows.prompt, HELD_OUT_FOLDS, seed)
    known, arrival, low, high = (np.full(len(rows), np.nan) for _ in range(4))
    for index in range(int(fold.max()) + 1):
        train, test = rows.take(fold != index), fold == index
        curve = fit_cost(
            cost, length, train, measured[fold != index], grows=quantity == "time_s", seed=seed + 1
        )
        held = rows.take(test)
        known[test] = curve.predict(held.input_tokens, held.output_tokens, held.concurrency)
        out = held.output_tokens
        lengths = (out, out, out) if length is None else lengths_by_task(fit_length(length, train), held)
        arrival[test], below, above = interval(curve, held.input_tokens, lengths, held.concurrency)
        low[test], high[test] = arrival[test] * np.exp(-below), arrival[test] * np.exp(above)
    return HeldOut(quantity, measured, known, arrival, low, high, np.arange(len(rows)))


def _lengths(rows: ProfileRows, length: str, seed: int) -> HeldOut:
    fold = folds(rows.prompt, HELD_OUT_FOLDS, seed)
    mean, low, high = (np.full(len(rows), np.nan) for _ in range(3))
    for index in range(int(fold.max()) + 1):
        test = fold == index
        model = fit_length(length, rows.take(~test))
        mean[test], low[test], high[test] = lengths_by_task(model, rows.take(test))
    some = np.asarray(np.flatnonzero(rows.output_tokens > 0), dtype=np.int64)
    nothing = np.full(len(some), np.nan)
    return HeldOut(
        "output_tokens", rows.output_tokens[some], nothing, mean[some], low[some], high[some], some
    )


def follow_drift(log_ratio: Floats, spread: Spread, concurrency: Floats) -> tuple[Floats, Floats]:
    """Factor and width that a `Drift` gives before it learns from each row; shape (N,).

    Args:
        log_ratio: ln(measured / predicted without drift), in order of time.
        spread: of the fit.
        concurrency: of each row, shape (N,).
    """
    drift = Drift(1)
    factor, width = np.empty_like(log_ratio), np.empty_like(log_ratio)
    (below, above), trust = spread.at(concurrency), spread.trust(concurrency)
    for index, ratio in enumerate(log_ratio.tolist()):
        factor[index], width[index] = drift.factor[0, TIME], drift.width[0, TIME]
        drift.update(
            0, TIME, ratio, below=float(below[index]), above=float(above[index]), trust=float(trust[index])
        )
    return factor, width


@dataclass(frozen=True, slots=True)
class Prequential:
    """Costs predicted one request ahead, by a fit to the requests before `start` only; shape (N,)."""

    start: int
    measured: Floats
    static: Floats
    factor: Floats
    arrival: Floats
    low: Floats
    high: Floats


def prequential(
    rows: ProfileRows, measured: Floats, cost: str, length: str, *, grows: bool, share: float, seed: int
) -> Prequential:
    """Fit to the first `share` of the rows, then predict each of the others before learning from it."""
    start = int(len(rows) * share)
    head = rows.take(np.arange(start))
    curve = fit_cost(cost, length, head, measured[:start], grows=grows, seed=seed)
    static = curve.predict(rows.input_tokens, rows.output_tokens, rows.concurrency)
    factor, width = np.ones(len(rows)), np.ones(len(rows))
    rest = slice(start, None)
    factor[rest], width[rest] = follow_drift(
        np.log(measured / static)[rest], curve.spread, rows.concurrency[rest]
    )
    lengths = lengths_by_task(fit_length(length, head), rows)
    arrival, down, up = interval(curve, rows.input_tokens, lengths, rows.concurrency)
    return Prequential(
        start,
        measured[rest],
        static[rest],
        factor[rest],
        (arrival * factor)[rest],
        (arrival * factor * np.exp(-down * width))[rest],
        (arrival * factor * np.exp(up * width))[rest],
    )


def coefficient_rows(curve: CostCurve) -> list[tuple[str, float, str]]:
    """Term, coefficient and a remark for each term of a cost model."""
    lost = getattr(curve.model, "unidentified", ())
    return [
        (term, float(value), "not identifiable from these rows: 0" if term in lost else "")
        for term, value in zip(curve.model.terms, curve.model.coefficients, strict=True)
    ]
