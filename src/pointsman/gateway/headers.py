"""The headers that say what was decided, in words that any HTTP client can show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from pointsman.live import Handle
from pointsman.types import Admission, Decision, Endpoint, Outcome

Header = tuple[bytes, bytes]
MAX_REASON_CHARS: Final = 400
_PREDICTED: Final = (
    (b"x-pointsman-predicted-time-s", "time_s"),
    (b"x-pointsman-predicted-energy-j", "energy_j"),
    (b"x-pointsman-predicted-carbon-g", "carbon_g"),
    (b"x-pointsman-predicted-cost-usd", "price_usd"),
    (b"x-pointsman-predicted-quality", "quality"),
)


class DecisionHeaders:
    """Makes the headers of one answer.

    Args:
        endpoints: by name.
        energy_modelled: whether an endpoint's predicted energy follows from a model with stated
            constants; endpoints that are not named count as modelled (invariant 7).
    """

    def __init__(self, endpoints: Mapping[str, Endpoint], energy_modelled: Mapping[str, bool]) -> None:
        self._models = {name: header_value(endpoint.model) for name, endpoint in endpoints.items()}
        self._columns = {name: column for column, name in enumerate(endpoints)}
        self._modelled = {name: energy_modelled.get(name, True) for name in endpoints}

    def of(self, handle: Handle) -> list[Header]:
        """What is known of the request now; predictions only where there were any."""
        decision = handle.decision
        headers = [
            (b"x-pointsman-overhead-ms", b"%.3f" % (handle.overhead_s * 1000)),
            (b"x-pointsman-service-class", header_value(handle.request.slo.service_class)),
        ]
        if decision is None:
            return headers
        headers.append((b"x-pointsman-action", decision.action.encode()))
        headers.append((b"x-pointsman-reason", header_value(decision.reason)))
        if decision.endpoint is not None and decision.action is Admission.RUN:
            headers.append((b"x-pointsman-model", self._models[decision.endpoint]))
            headers.append((b"x-pointsman-endpoint", header_value(decision.endpoint)))
            if not decision.table.bypassed:
                headers.extend(self._predictions(decision, decision.endpoint))
        if handle.outcome is not None:
            headers.extend(_measured(handle.outcome))
        return headers

    def _predictions(self, decision: Decision, endpoint: str) -> list[Header]:
        headers = []
        for name, attribute in _PREDICTED:
            value = float(getattr(decision.table, attribute).value[decision.index, self._columns[endpoint]])
            if math.isfinite(value):
                marked = attribute in ("energy_j", "carbon_g") and self._modelled[endpoint]
                headers.append((name, b"%.6g%s" % (value, b";modelled" if marked else b"")))
        return headers


def _measured(outcome: Outcome) -> list[Header]:
    """What an answer really took; only answers that are not streamed know it in time."""
    headers = []
    if outcome.e2e_s is not None:
        headers.append((b"x-pointsman-time-s", b"%.6g" % outcome.e2e_s))
    if outcome.energy_j is not None:
        mark = b";modelled" if outcome.energy_modelled else b""
        headers.append((b"x-pointsman-energy-j", b"%.6g%s" % (outcome.energy_j, mark)))
    if outcome.price_usd is not None:
        headers.append((b"x-pointsman-cost-usd", b"%.6g" % outcome.price_usd))
    return headers


def header_value(text: str) -> bytes:
    """Text as a header's value: one line of Latin-1, `?` for what it can't hold."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    return text.strip()[:MAX_REASON_CHARS].encode("latin-1", "replace")
