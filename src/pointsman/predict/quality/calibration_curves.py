"""Two rising curves from a predicted log-odds to a calibrated one: Platt's line and isotonic blocks.

Both take labels in [0, 1], one a row, and give values at the log-odds of `GRID`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointsman.predict.quality.logistic_fit import fit_logistic
from pointsman.predict.quality.odds import logit, sigmoid
from pointsman.types import Floats

REACH: Final = 8.0
STEPS: Final = 256
GRID: Final = np.linspace(-REACH, REACH, STEPS + 1)
"""Log-odds at which a curve is kept; predictions beyond count as at the end, p = .00034 from 0 or 1."""

BIN_ROWS: Final = 25
MOST_BINS: Final = 100
FEWEST_BINS: Final = 4

_PULL: Final = np.array([16.0, 4.0])
_LEAST: Final = np.array([0.05, -np.inf])


class Line(NamedTuple):
    """Calibrated log-odds = slope * predicted log-odds + offset; `slope` is above 0."""

    slope: float
    offset: float

    def on_grid(self) -> Floats:
        """Shape (STEPS + 1,)."""
        return self.slope * GRID + self.offset


IDENTITY: Final = Line(1.0, 0.0)


def fit_line(odds: Floats, labels: Floats, start: Line = IDENTITY) -> Line:
    """Platt's line by maximum posterior; without rows it is `start`.

    Slope and offset are normal around those of `start` with standard deviations of 1/4 and 1/2, so that
    few labels move them little; a slope that would fall is held just above 0.
    Source: Platt 1999. Differs in: the pull instead of smoothed labels.
    """
    design = np.column_stack([odds, np.ones_like(odds)])
    slope, offset = fit_logistic(design, labels, np.array(start), _PULL, least=_LEAST).tolist()
    return Line(slope, offset)


def fit_isotonic(odds: Floats, labels: Floats) -> Floats | None:
    """A rising curve through the means of blocks, shape (STEPS + 1,); None for fewer than 100 rows.

    Equal-mass bins of 25 rows or more are pooled where they fall (pool adjacent violators), each with
    one more label at its own prediction; between the blocks' centres the curve is straight in log-odds,
    beyond the outer ones it runs on with slope 1. So order is kept and nothing reaches 0 or 1.
    Source: Oron and Flournoy 2017 (centred isotonic regression). Differs in: bins, the extra label.
    """
    bins = min(MOST_BINS, len(odds) // BIN_ROWS)
    if bins < FEWEST_BINS:
        return None
    order = np.argsort(odds, kind="stable")
    edges = np.linspace(0, len(odds), bins + 1).astype(np.int64)[:-1]
    size = np.diff(np.append(edges, len(odds))).astype(np.float64)
    place = np.add.reduceat(odds[order], edges) / size
    chance = (np.add.reduceat(labels[order], edges) + sigmoid(place)) / (size + 1)
    block, value = pool_adjacent(chance, size + 1)
    weight = np.bincount(block, size)
    x, y = np.bincount(block, size * place) / weight, logit(value)
    inside = np.interp(GRID, x, y)
    return np.asarray(inside + np.minimum(GRID - x[0], 0) + np.maximum(GRID - x[-1], 0))


def pool_adjacent(values: Floats, weights: Floats) -> tuple[NDArray[np.int64], Floats]:
    """The block of each value, and the blocks' weighted means, which rise: least squares under order."""
    means: list[float] = []
    masses: list[float] = []
    sizes: list[int] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        mean, mass, size = value, weight, 1
        while means and means[-1] >= mean:
            last, before = masses.pop(), means.pop()
            mean = (mean * mass + before * last) / (mass + last)
            mass, size = mass + last, size + sizes.pop()
        means.append(mean)
        masses.append(mass)
        sizes.append(size)
    return np.repeat(np.arange(len(sizes)), sizes), np.array(means)
