"""How much work a request is predicted to be, for orders that go by it."""

from __future__ import annotations

import math

from pointsman.types import Decision, Estimate


def predicted_time_s(decision: Decision) -> float | None:
    """Seconds on the endpoint that was chosen; None where no finite number is predicted, or only a prior."""
    return _predicted(decision, decision.table.time_s)


def predicted_tokens(decision: Decision) -> float | None:
    """Tokens of the answer there; None likewise."""
    return _predicted(decision, decision.table.output_tokens)


def _predicted(decision: Decision, estimate: Estimate) -> float | None:
    table = decision.table
    if decision.endpoint is None or table.bypassed:
        return None
    value = float(estimate.value[decision.index, table.endpoints.index(decision.endpoint)])
    return max(0.0, value) if math.isfinite(value) else None
