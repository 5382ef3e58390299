"""What prompts that a fit held out would cost now: so that what a unit of quality costs there is what it costs here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from pointsman.predict.endpoint import ProfilePredictor
from pointsman.predict.length import QUANTILES
from pointsman.predict.quality.base import QualityForecast
from pointsman.predict.quality.held_out_rows import HeldOutRows
from pointsman.types import CostTable, Estimate, Floats

_AT_ONCE: Final = 1_024


def priced(
    rows: HeldOutRows, profiles: ProfilePredictor, cap_tokens: Floats, running: Sequence[int]
) -> CostTable:
    """Predictions for the N rows, of whose answers' lengths the mean alone is known.

    Args:
        rows: what the fit held out, a column for each endpoint.
        profiles: what prices requests, over E endpoints.
        cap_tokens: shape (N,), the most that an answer may have; inf for no limit.
        running: requests outstanding on each endpoint.
    """
    tables = []
    for start in range(0, len(rows.tasks), _AT_ONCE):
        own = slice(start, start + _AT_ONCE)
        quality, mean = rows.quality[own], rows.output_tokens[own, :, np.newaxis]
        learned = QualityForecast(
            Estimate.without_interval(quality), np.broadcast_to(mean, (*quality.shape, QUANTILES))
        )
        tables.append(
            profiles.predict_sizes(rows.kinds[own], rows.size_bytes[own], cap_tokens[own], running, learned)
        )
    return CostTable.stack(tables)
