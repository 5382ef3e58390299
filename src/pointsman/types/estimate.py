"""Predictions as arrays: a quantity with its interval, and the table that policies read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A predicted quantity with its interval, as arrays of one shape.

    `low` and `high` are NaN where the estimate has no interval (it then says so). `modelled` tells
    that the quantity was never measured but follows from a model with stated constants.
    """

    value: Floats
    low: Floats
    high: Floats

    @classmethod
    def exact(cls, value: Floats) -> Estimate:
        """A known quantity: the interval is the value."""
        return cls(value, value, value)

    @classmethod
    def without_interval(cls, value: Floats) -> Estimate:
        """An estimate that has no interval."""
        none = np.full_like(value, np.nan)
        return cls(value, none, none)

    def take(self, rows: slice | NDArray[np.int64]) -> Estimate:
        """The estimates of some requests, in that order."""
        return Estimate(self.value[rows], self.low[rows], self.high[rows])


@dataclass(frozen=True, slots=True)
class CostTable:
    """Predictions for R requests on E endpoints; every array has shape (R, E).

    Attributes:
        endpoints: names, in column order.
        input_tokens: tokens of the prompt in each endpoint's tokenizer.
        quality: probability that the answer is right, in [0, 1].
        output_tokens, time_s, energy_j, price_usd, carbon_g: for the whole request.
        bypassed: a predictor failed or was late, so these are priors (invariant 9).
    """

    endpoints: tuple[str, ...]
    input_tokens: Floats
    quality: Estimate
    output_tokens: Estimate
    time_s: Estimate
    energy_j: Estimate
    price_usd: Estimate
    carbon_g: Estimate
    bypassed: bool = False

    @classmethod
    def stack(cls, tables: Sequence[CostTable]) -> CostTable:
        """The rows of tables over the same endpoints, one below the other; at least one table.

        The result counts as bypassed if any of them is.
        """
        if len(tables) == 1:
            return tables[0]

        def estimate(name: str) -> Estimate:
            columns: list[Estimate] = [getattr(table, name) for table in tables]
            return Estimate(
                np.concatenate([column.value for column in columns]),
                np.concatenate([column.low for column in columns]),
                np.concatenate([column.high for column in columns]),
            )

        return cls(
            tables[0].endpoints,
            np.concatenate([table.input_tokens for table in tables]),
            estimate("quality"),
            estimate("output_tokens"),
            estimate("time_s"),
            estimate("energy_j"),
            estimate("price_usd"),
            estimate("carbon_g"),
            any(table.bypassed for table in tables),
        )

    @property
    def n_requests(self) -> int:
        """R."""
        return int(self.quality.value.shape[0])

    def row(self, index: int) -> CostTable:
        """The predictions of one request as a table with R = 1 (views, no copy)."""
        return self.take(slice(index, index + 1))

    def take(self, rows: slice | NDArray[np.int64]) -> CostTable:
        """The predictions of some requests, in that order."""
        return CostTable(
            self.endpoints,
            self.input_tokens[rows],
            self.quality.take(rows),
            self.output_tokens.take(rows),
            self.time_s.take(rows),
            self.energy_j.take(rows),
            self.price_usd.take(rows),
            self.carbon_g.take(rows),
            self.bypassed,
        )
