"""Predictions that say nothing, for endpoints without a profile and for predictors that failed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pointsman.types import CostTable, Endpoint, Estimate


def unknown_prior(endpoints: Sequence[Endpoint]) -> CostTable:
    """One row (R = 1) for E endpoints: quality 0.5 in [0, 1], all costs equal, without interval.

    A policy that reads it chooses by its tie rule. Price and carbon are 0.
    """
    shape = (1, len(endpoints))
    zeros, ones = np.zeros(shape), np.ones(shape)
    flat = Estimate.without_interval(ones)
    return CostTable(
        endpoints=tuple(endpoint.name for endpoint in endpoints),
        input_tokens=zeros,
        quality=Estimate(np.full(shape, 0.5), zeros, ones),
        output_tokens=flat,
        time_s=flat,
        energy_j=flat,
        price_usd=Estimate.without_interval(zeros),
        carbon_g=Estimate.without_interval(zeros),
        bypassed=True,
    )
