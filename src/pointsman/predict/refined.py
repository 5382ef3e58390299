"""`refined`: the shape with a term of squared context, times a smooth correction learnt from cells.

The correction is the mean of a Gaussian process on the log residuals over (log2 in, log2 out): near
measured cells it follows them, an octave or two away it fades to 1 and the shape is alone.
What it gains over `shape`, with whole cells held out, is in `docs/log.md`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final

import numpy as np

from pointsman.predict.cost import ShapeCost, design, fit_relative
from pointsman.predict.cost_rows import CostRows
from pointsman.types import Floats

MAX_KNOTS: Final = 48
OCTAVES: Final = 1.5  # length scale
_NOISE: Final = 0.25  # variance of a cell's log residual that is not smooth, over that which is
_ROW_NOISE: Final = 1.0  # the same for one row, so that a cell measured once is trusted less
MAX_LOG: Final = float(np.log(2.0))


@dataclass(frozen=True, slots=True)
class RefinedCost:
    """A five-term shape times exp(smooth correction), never negative.

    Attributes:
        coefficients: of `terms`, none negative.
        knots: shape (C, 2): log2(in + 1), log2(out + 1) of the cells that carry the correction.
        knot_weights: shape (C,).
    """

    name: ClassVar[str] = "refined"
    terms: ClassVar[tuple[str, ...]] = (*ShapeCost.terms, "((in+out)^3-in^3)/3")
    coefficients: Floats
    knots: Floats = field(default_factory=lambda: np.zeros((0, 2)))
    knot_weights: Floats = field(default_factory=lambda: np.zeros(0))
    unidentified: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls, input_tokens: Floats, output_tokens: Floats, cost: Floats, weights: Floats | None = None
    ) -> RefinedCost:
        """Fit to N rows. Raises DataError (see `CostRows.check`)."""
        rows = CostRows.check(input_tokens, output_tokens, cost, weights)
        cells = rows.by_cell()
        coefficients, unidentified = fit_relative(cls.terms, cells)
        static = design(cls.terms, cells.input_tokens, cells.output_tokens) @ coefficients
        some = static > 0  # a factor can't correct a shape of nothing
        if not some.any():
            return cls(coefficients, unidentified=unidentified)
        at = places(cells.input_tokens, cells.output_tokens)[some]
        knots, residual, mass = _knots(at, np.log(cells.cost[some] / static[some]), cells.weights[some] ** 2)
        noise = _NOISE + _ROW_NOISE / mass
        knot_weights = np.linalg.solve(kernel(knots, knots) + np.diag(noise), residual)
        return cls(coefficients, knots, np.asarray(knot_weights, dtype=np.float64), unidentified)

    def predict(self, input_tokens: Floats, output_tokens: Floats) -> Floats:
        """Seconds or joules, 0 or above."""
        static = design(self.terms, input_tokens, output_tokens) @ self.coefficients
        return np.asarray(static * self.correction(input_tokens, output_tokens), dtype=np.float64)

    def correction(self, input_tokens: Floats, output_tokens: Floats) -> Floats:
        """The smooth factor on the five terms, from 1/2 to 2."""
        log = kernel(places(input_tokens, output_tokens), self.knots) @ self.knot_weights
        return np.asarray(np.exp(np.clip(log, -MAX_LOG, MAX_LOG)), dtype=np.float64)


def kernel(at: Floats, knots: Floats) -> Floats:
    """Likeness in (0, 1] of places (..., 2) and knots (C, 2), shape (..., C)."""
    distance = ((at[..., None, :] - knots) ** 2).sum(axis=-1)
    return np.asarray(np.exp(distance * (-0.5 / OCTAVES**2)), dtype=np.float64)


def places(input_tokens: Floats, output_tokens: Floats) -> Floats:
    """Where token counts lie in the space of the correction: octaves, shape (..., 2)."""
    both = np.broadcast_arrays(input_tokens, output_tokens)
    return np.log2(np.stack(both, axis=-1) + 1.0)


def _knots(at: Floats, residual: Floats, mass: Floats) -> tuple[Floats, Floats, Floats]:
    """Cells as knots; where there are too many, neighbours joined on the finest grid that fits."""
    for octaves in (0.0, 0.25, 0.5, 1.0, 2.0, 4.0):
        grid = np.round(at / octaves) if octaves else at
        unique, member = np.unique(grid, axis=0, return_inverse=True)
        if len(unique) <= MAX_KNOTS:
            break
    member = member.reshape(-1)
    total = np.bincount(member, weights=mass)
    centre = np.stack([np.bincount(member, weights=mass * axis) / total for axis in at.T], axis=1)
    return centre, np.bincount(member, weights=mass * residual) / total, np.asarray(total, dtype=np.float64)
