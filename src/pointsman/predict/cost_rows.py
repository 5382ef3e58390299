"""The measurements that a cost model is fitted to, checked once at the edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from pointsman.errors import DataError
from pointsman.types import Floats

MIN_ROWS: Final = 5
"""Fewer rows than this don't tell the terms of a cost model apart."""


@dataclass(frozen=True, slots=True)
class CostRows:
    """Token counts with a measured cost, all of shape (N,).

    Attributes:
        input_tokens, output_tokens: 0 or above.
        cost: seconds or joules, above 0.
        weights: above 0; how much a row counts.
    """

    input_tokens: Floats
    output_tokens: Floats
    cost: Floats
    weights: Floats

    @classmethod
    def check(
        cls, input_tokens: Floats, output_tokens: Floats, cost: Floats, weights: Floats | None = None
    ) -> CostRows:
        """Rows that a model can be fitted to.

        Raises: DataError for unequal lengths, fewer than `MIN_ROWS` rows, NaN or infinity, negative
        tokens, a cost or weight that is not above 0; it names the column, the row and the value.
        """
        columns = {
            "input_tokens": np.asarray(input_tokens, dtype=np.float64),
            "output_tokens": np.asarray(output_tokens, dtype=np.float64),
            "cost": np.asarray(cost, dtype=np.float64),
        }
        columns["weights"] = (
            np.ones_like(columns["cost"]) if weights is None else np.asarray(weights, dtype=np.float64)
        )
        shapes = {name: column.shape for name, column in columns.items()}
        if len(set(shapes.values())) > 1 or columns["cost"].ndim != 1:
            raise DataError(f"columns of one length are needed, not {shapes}")
        if len(columns["cost"]) < MIN_ROWS:
            raise DataError(
                f"{len(columns['cost'])} row(s) can't determine a cost model; at least {MIN_ROWS} are needed",
                remedy="Measure more prompts of different lengths: pointsman profile",
            )
        for name, column in columns.items():
            positive = name in {"cost", "weights"}
            good = np.isfinite(column) & ((column > 0) if positive else (column >= 0))
            if not good.all():
                row = int(np.argmin(good))
                raise DataError(
                    f"column {name}, row {row}: {column[row]} is not {'above 0' if positive else '0 or above'}",
                    remedy="Remove the row, or measure it again",
                )
        return cls(**columns)

    def by_cell(self) -> CostRows:
        """One row for each (input, output) pair: the median cost, weighted by the root of its weight.

        Repeats of a pair tell of drift, not of shape; the root keeps a pair repeated a hundred times
        from drowning the others.
        """
        cells = np.stack([self.input_tokens, self.output_tokens], axis=1)
        unique, member = np.unique(cells, axis=0, return_inverse=True)
        member = member.reshape(-1)
        if len(unique) == len(cells):
            return CostRows(self.input_tokens, self.output_tokens, self.cost, np.sqrt(self.weights))
        order = np.argsort(member, kind="stable")
        groups = np.split(self.cost[order], np.cumsum(np.bincount(member))[:-1])
        median = np.array([np.median(group) for group in groups])
        weight = np.sqrt(np.bincount(member, weights=self.weights))
        return CostRows(unique[:, 0], unique[:, 1], median, weight)


def dependent_columns(matrix: Floats) -> tuple[int, ...]:
    """Columns that add nothing to those before them: what the rows can't tell apart."""
    kept: list[int] = []
    lost: list[int] = []
    length = np.linalg.norm(matrix, axis=0)
    unit = matrix / np.where(length > 0, length, 1.0)
    for index in range(matrix.shape[1]):
        if np.linalg.matrix_rank(unit[:, [*kept, index]], tol=1e-9) > len(kept):
            kept.append(index)
        else:
            lost.append(index)
    return tuple(lost)
