"""Time or energy of one request from its token counts.

Three kinds, told apart by `name`:

    ols      b0 + b1 in + b2 out + b3 in*out, ordinary least squares; can go below zero
    shape    terms 1, in, out, out*(in + out/2), none negative, least squares on relative error
    refined  shape with one more term and a smooth correction (`predict/refined.py`)

`out*(in + out/2)` is the sum of the context length over the decoding steps: what attention reads.
Source: `ols` and `shape` follow the workload-based energy models of Wilkins, Keshav and Mortier,
`shape` with relative error and the signs that physics allows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from pointsman.nnls import nnls
from pointsman.predict.cost_rows import CostRows, dependent_columns
from pointsman.types import Floats

TERMS: Final[dict[str, Callable[[Floats, Floats], Floats]]] = {
    "1": lambda i, o: np.ones_like(i + o),
    "in": lambda i, o: i + 0.0 * o,
    "out": lambda i, o: o + 0.0 * i,
    "in*out": lambda i, o: i * o,
    "out*(in+out/2)": lambda i, o: o * (i + 0.5 * o),
    "((in+out)^3-in^3)/3": lambda i, o: ((i + o) ** 3 - i**3) / 3.0,
}
"""Every term a cost model may have; the last is the sum of squared context over decoding steps."""


def design(terms: tuple[str, ...], input_tokens: Floats, output_tokens: Floats) -> Floats:
    """The terms' values, shape (..., K)."""
    return np.stack([TERMS[term](input_tokens, output_tokens) for term in terms], axis=-1)


@dataclass(frozen=True, slots=True)
class OlsCost:
    """Exactly `b0 + b1 in + b2 out + b3 in*out`, as fitted by ordinary least squares.

    Attributes:
        coefficients: b0, b1, b2, b3.
        unidentified: terms that the rows could not tell from those before them (a constant input,
            say); their coefficient is 0.
    """

    name: ClassVar[str] = "ols"
    terms: ClassVar[tuple[str, ...]] = ("1", "in", "out", "in*out")
    coefficients: Floats
    unidentified: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls, input_tokens: Floats, output_tokens: Floats, cost: Floats, weights: Floats | None = None
    ) -> OlsCost:
        """Fit to N rows. Raises DataError (see `CostRows.check`)."""
        rows = CostRows.check(input_tokens, output_tokens, cost, weights)
        matrix = design(cls.terms, rows.input_tokens, rows.output_tokens)
        lost = dependent_columns(matrix)
        kept = [index for index in range(matrix.shape[1]) if index not in lost]
        root = np.sqrt(rows.weights)
        coefficients = np.zeros(matrix.shape[1])
        coefficients[kept] = np.linalg.lstsq(matrix[:, kept] * root[:, None], rows.cost * root, rcond=None)[0]
        return cls(coefficients, tuple(cls.terms[index] for index in lost))

    def predict(self, input_tokens: Floats, output_tokens: Floats) -> Floats:
        """Seconds or joules; below zero where the plane goes there."""
        return design(self.terms, input_tokens, output_tokens) @ self.coefficients


@dataclass(frozen=True, slots=True)
class ShapeCost:
    """`c0 + c1 in + c2 out + c3 out*(in + out/2)` with no negative coefficient.

    Minimises the squared relative error of the cells' medians (`CostRows.by_cell`). Never negative,
    and above zero wherever one of its terms with a coefficient is.
    """

    name: ClassVar[str] = "shape"
    terms: ClassVar[tuple[str, ...]] = ("1", "in", "out", "out*(in+out/2)")
    coefficients: Floats
    unidentified: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls, input_tokens: Floats, output_tokens: Floats, cost: Floats, weights: Floats | None = None
    ) -> ShapeCost:
        """Fit to N rows. Raises DataError (see `CostRows.check`)."""
        rows = CostRows.check(input_tokens, output_tokens, cost, weights)
        return cls(*fit_relative(cls.terms, rows.by_cell()))

    def predict(self, input_tokens: Floats, output_tokens: Floats) -> Floats:
        """Seconds or joules, 0 or above."""
        return design(self.terms, input_tokens, output_tokens) @ self.coefficients


def fit_relative(terms: tuple[str, ...], rows: CostRows) -> tuple[Floats, tuple[str, ...]]:
    """Non-negative coefficients of least squared relative error, and the unidentified terms (0)."""
    matrix = design(terms, rows.input_tokens, rows.output_tokens)
    lost = dependent_columns(matrix)
    matrix[:, list(lost)] = 0.0
    root = np.sqrt(rows.weights)
    coefficients = nnls(matrix / rows.cost[:, None] * root[:, None], root)
    return coefficients, tuple(terms[index] for index in lost)
