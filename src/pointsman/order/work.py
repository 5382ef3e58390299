"""How much work a request is predicted to be, for orders that go by it."""

from __future__ import annotations

import math

from pointsman.types import Decision


def predicted_time_s(decision: Decision) -> float | None:
    """Seconds on the endpoint that was chosen; None where no finite number is predicted, or only a prior."""
    table = decision.table
    if decision.endpoint is None or table.bypassed:
        return None
    time_s = float(table.time_s.value[decision.index, table.endpoints.index(decision.endpoint)])
    return max(0.0, time_s) if math.isfinite(time_s) else None
