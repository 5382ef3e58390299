"""Small values for tests: requests, endpoints and tables of plausible numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pointsman.types import Capabilities, CostTable, Endpoint, Estimate, Floats, Prompt, Request


def make_request(request_id: str = "r0", text: str = "How far is the moon?", **fields: Any) -> Request:
    """A request for any model; `fields` are those of `Request`."""
    return Request(request_id, Prompt(text, total_bytes=len(text.encode())), **fields)


def make_endpoints(
    n_endpoints: int = 3, *, max_concurrent: int = 2, capabilities: Capabilities | None = None
) -> tuple[Endpoint, ...]:
    """Endpoints `e0`, `e1`, ... with models `m0`, `m1`, ..., dearer from one to the next."""
    return tuple(
        Endpoint(
            f"e{e}",
            f"m{e}",
            max_concurrent=max_concurrent,
            usd_per_input_token=1e-6 * (e + 1),
            usd_per_output_token=3e-6 * (e + 1),
            capabilities=capabilities or Capabilities(),
        )
        for e in range(n_endpoints)
    )


def make_table(
    endpoints: Sequence[Endpoint], n_requests: int = 1, *, seed: int = 0, frozen: bool = False
) -> CostTable:
    """Predictions for R requests: tokens in the hundreds, seconds, joules, each with an interval.

    Args:
        endpoints: E of them, the columns.
        n_requests: R, the rows.
        seed: of the numbers.
        frozen: the arrays can't be written to, so that whoever tries is found out.
    """
    rng = np.random.default_rng(seed)
    shape = (n_requests, len(endpoints))
    input_tokens = np.round(rng.uniform(20, 400, shape))
    output_tokens = np.round(rng.lognormal(4.5, 0.6, shape)) + 1.0
    time_s = 0.2 + output_tokens * rng.uniform(0.005, 0.05, shape)
    prices = np.array([[e.usd_per_input_token, e.usd_per_output_token] for e in endpoints]).reshape(-1, 2)
    energy_j = time_s * rng.uniform(5, 60, shape)
    table = CostTable(
        tuple(endpoint.name for endpoint in endpoints),
        input_tokens,
        _estimate(rng.uniform(0.2, 0.95, shape), 0.05),
        _estimate(output_tokens, 0.5),
        _estimate(time_s, 0.2),
        _estimate(energy_j, 0.2),
        Estimate.exact(input_tokens * prices[:, 0] + output_tokens * prices[:, 1]),
        _estimate(energy_j / 3.6e6 * 400.0, 0.2),
    )
    if frozen:
        for array in arrays_of(table):
            array.flags.writeable = False
    return table


def arrays_of(table: CostTable) -> list[Floats]:
    """Every array of a table, in the order of its fields."""
    arrays = [table.input_tokens]
    for name in ESTIMATES:
        estimate: Estimate = getattr(table, name)
        arrays += [estimate.value, estimate.low, estimate.high]
    return arrays


ESTIMATES = ("quality", "output_tokens", "time_s", "energy_j", "price_usd", "carbon_g")
"""The predicted quantities of a table."""


def _estimate(value: Floats, spread: float) -> Estimate:
    return Estimate(value, value * (1 - spread), value * (1 + spread))


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
