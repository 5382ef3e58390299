"""How many tokens an answer has: curves of quantiles from profiles, and what is learnt from texts."""

from __future__ import annotations

from pointsman.predict.length.curves import (
    LEVELS,
    QUANTILES,
    LengthModel,
    LengthRows,
    LinearLength,
    TaskMeanLength,
    capped,
    predict_length,
)

__all__ = [
    "LEVELS",
    "QUANTILES",
    "LengthModel",
    "LengthRows",
    "LinearLength",
    "TaskMeanLength",
    "capped",
    "predict_length",
]
