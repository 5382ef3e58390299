"""Load and spread of one endpoint's costs, from rows measured at several concurrencies."""

from __future__ import annotations

from typing import Final

import numpy as np

from pointsman.nnls import nnls
from pointsman.predict.base import CostModel
from pointsman.predict.model_profile import CostCurve, LoadFactors, Spread
from pointsman.predict.polynomial import sides
from pointsman.predict.quantiles import weighted_quantiles
from pointsman.types import Floats

MIN_LEVEL_ROWS: Final = 20
"""A concurrency with fewer rows than this has no factors of its own."""

_PRIOR_ROWS: Final = 3.0
_TAILS: Final = np.array([0.05, 0.95])
_LEAST_WIDTH: Final = 0.01


def levels(concurrency: Floats) -> tuple[int, ...]:
    """The concurrencies with enough rows, rising; 1 is always among them."""
    values, counts = np.unique(concurrency, return_counts=True)
    enough = {int(value) for value, count in zip(values, counts, strict=True) if count >= MIN_LEVEL_ROWS}
    return tuple(sorted(enough | {1}))


def fit_load(
    model: CostModel, inputs: Floats, outputs: Floats, cost: Floats, concurrency: Floats, *, grows: bool
) -> LoadFactors:
    """Factors on the prompt's and on decoding's cost at each concurrency, for a model of requests alone.

    Non-negative least squares on relative error, drawn to one common factor by `_PRIOR_ROWS` rows.
    """
    prompt, decoding = sides(model, inputs, outputs)
    on_input, on_output = [1.0], [1.0]
    measured = levels(concurrency)
    for level in measured[1:]:
        at = concurrency == level
        parts = np.stack([prompt[at], decoding[at]], axis=1) / cost[at, None]
        common = float(np.median(cost[at] / np.maximum(prompt[at] + decoding[at], 1e-12)))
        pull = np.sqrt(_PRIOR_ROWS) * np.eye(2) / max(common, 1e-12)
        both = nnls(np.vstack([parts, pull]), np.append(np.ones(at.sum()), np.full(2, np.sqrt(_PRIOR_ROWS))))
        on_input.append(float(both[0]))
        on_output.append(float(both[1]))
    return LoadFactors(measured, tuple(on_input), tuple(on_output), grows)


def fit_spread(log_ratio: Floats, concurrency: Floats, measured: tuple[int, ...]) -> Spread:
    """Tails of ln(measured / predicted), token counts known, at each concurrency."""
    below, above = [], []
    for level in measured:
        at = concurrency == level
        values = log_ratio[at] if at.sum() >= MIN_LEVEL_ROWS else log_ratio
        low, high = weighted_quantiles(values, np.ones(len(values)), _TAILS)
        below.append(max(-float(low), _LEAST_WIDTH))
        above.append(max(float(high), _LEAST_WIDTH))
    return Spread(measured, tuple(below), tuple(above))


def interval(
    curve: CostCurve, inputs: Floats, lengths: tuple[Floats, Floats, Floats], concurrency: Floats
) -> tuple[Floats, Floats, Floats]:
    """Value, and the widths below and above as logs, of a cost whose output length is uncertain.

    The width joins the spread at known tokens with that which the length's interval brings, as
    independent errors: the root of the sum of squares, times the scale of the spread.
    """
    mean, low, high = (curve.predict(inputs, length, concurrency) for length in lengths)
    below, above = curve.spread.at(concurrency)
    return (
        mean,
        curve.spread.scale_below * np.hypot(below, np.log(mean / low)),
        curve.spread.scale_above * np.hypot(above, np.log(high / mean)),
    )


def calibrate(spread: Spread, log_ratio: Floats, below: Floats, above: Floats) -> Spread:
    """Scale the widths so that 5% of held-out ratios fall under and 5% over the interval.

    Args:
        spread: with scales 1.
        log_ratio: ln(measured / predicted at arrival), held out, shape (N,).
        below: widths (`interval`) of the same rows with scales 1, shape (N,).
        above: the same, upwards.
    """
    ones = np.ones(len(log_ratio))
    down = weighted_quantiles(-log_ratio / below, ones, _TAILS)[1]
    up = weighted_quantiles(log_ratio / above, ones, _TAILS)[1]
    return Spread(spread.concurrency, spread.below, spread.above, max(float(down), 0.1), max(float(up), 0.1))
