"""Whether a table of predictions can be used: a predictor may be anybody's code."""

from __future__ import annotations

import math
from typing import Final

from pointsman.types import CostTable

_ESTIMATES: Final = ("quality", "output_tokens", "time_s", "energy_j", "price_usd")


def fault_of(table: CostTable, endpoints: tuple[str, ...], n_requests: int) -> str | None:
    """What is wrong with predictions for R requests on E endpoints; None if nothing is.

    Every value must be there, as an array of shape (R, E), and finite; carbon may be NaN where the
    grid's intensity is not known. Cost: one pass over each array.
    """
    if table.endpoints != endpoints:
        return f"predictions are for the endpoints {table.endpoints}, not {endpoints}"
    shape = (n_requests, len(endpoints))
    values = {name: getattr(table, name).value for name in _ESTIMATES}
    values["input_tokens"] = table.input_tokens
    for name, value in values.items():
        if value.shape != shape:
            return f"predicted {name} has shape {value.shape}, not {shape}"
        # A sum is finite if every term is (these numbers don't overflow), and is one pass without a copy.
        if not math.isfinite(float(value.sum())):
            return f"predicted {name} is not finite"
    if table.carbon_g.value.shape != shape:
        return f"predicted carbon_g has shape {table.carbon_g.value.shape}, not {shape}"
    return None
