"""Whether the numbers of a problem can be used: each refusal names the field, the place and the limit."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pointsman.errors import BadRequest
from pointsman.types import Bools

_CHUNK_VALUES: Final = 1 << 18


def check_number(what: str, value: float, low: float, high: float = math.inf) -> None:
    """Raise BadRequest unless `value` is finite and in [low, high]."""
    if not (math.isfinite(value) and low <= value <= high):
        raise BadRequest(
            f"{what} is {value:g}; it must be a finite number {_range(low, high)}", remedy="Correct it"
        )


def check_array(
    what: str, values: NDArray[Any], shape: tuple[int, int], allowed: Bools | None, high: float = math.inf
) -> None:
    """Raise BadRequest unless allowed pairs are floats in [0, high], naming the first that is not."""
    if values.shape != shape or values.dtype not in {np.dtype(np.float32), np.dtype(np.float64)}:
        raise BadRequest(
            f"{what} has shape {values.shape} and type {values.dtype}; "
            f"it must have shape {shape} and type float32 or float64",
            remedy="Give one number for each request and endpoint",
        )
    rows = max(1, _CHUNK_VALUES // shape[1])
    for start in range(0, shape[0], rows):
        chunk = slice(start, start + rows)
        with np.errstate(invalid="ignore"):
            bad = ~((values[chunk] >= 0) & (values[chunk] <= high) & (values[chunk] < np.inf))
        if allowed is not None:
            bad &= allowed[chunk]
        if bad.any():
            row, column = np.unravel_index(int(bad.argmax()), bad.shape)
            raise BadRequest(
                f"{what} of request {start + row} on endpoint {column} is {values[start + row, column]:g}; "
                f"it must be a finite number {_range(0.0, high)}",
                remedy="Correct the prediction, or mark the pair as not allowed",
            )


def check_allowed(allowed: Bools | None, shape: tuple[int, int]) -> None:
    """Raise BadRequest unless every row has an allowed pair."""
    if allowed is None:
        return
    if allowed.shape != shape or allowed.dtype != np.bool_:
        raise BadRequest(
            f"allowed has shape {allowed.shape} and type {allowed.dtype}; it must have shape {shape} and type bool",
            remedy="Say of each request and endpoint whether it may run there",
        )
    none = np.flatnonzero(~allowed.any(axis=1))
    if len(none):
        named = ", ".join(map(str, none[:5].tolist())) + (", ..." if len(none) > 5 else "")  # noqa: PLR2004
        raise BadRequest(
            f"{len(none)} of {shape[0]} requests may run on no endpoint: {named}",
            remedy="Take them out, or add a choice that is always allowed, such as to skip",
        )


def _range(low: float, high: float) -> str:
    return f"of at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
