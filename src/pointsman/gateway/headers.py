"""The headers that say what was decided, in words that any HTTP client can show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from pointsman.live import Handle
from pointsman.types import (
    Admission,
    Decision,
    Disposition,
    Endpoint,
    Outcome,
    Valuation,
    with_all_runs,
)

Header = tuple[bytes, bytes]
MAX_REASON_CHARS: Final = 400
_PREDICTED: Final = (
    (b"x-pointsman-predicted-time-s", "time_s"),
    (b"x-pointsman-predicted-energy-j", "energy_j"),
    (b"x-pointsman-predicted-carbon-g", "carbon_g"),
    (b"x-pointsman-predicted-cost-usd", "price_usd"),
    (b"x-pointsman-predicted-quality", "quality"),
)

_COSTS: Final = (
    (b"x-pointsman-expected-run-cost", "run_cost"),
    (b"x-pointsman-expected-skip-cost", "skip_cost"),
    (b"x-pointsman-threshold", "threshold"),
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
        ]
        if decision is None:
            headers.append((b"x-pointsman-service-class", header_value(handle.request.slo.service_class)))
            return headers
        headers.append((b"x-pointsman-service-class", header_value(decision.service_class)))
        headers.append((b"x-pointsman-action", decision.action.encode()))
        headers.append((b"x-pointsman-reason", header_value(decision.reason)))
        outcome = handle.outcome
        answered = outcome is not None and outcome.disposition is Disposition.ANSWERED
        endpoint = outcome.endpoint if outcome is not None and answered else decision.endpoint
        if endpoint is not None and decision.action is Admission.RUN:
            headers.append((b"x-pointsman-model", self._models[endpoint]))
            headers.append((b"x-pointsman-endpoint", header_value(endpoint)))
            if not decision.table.bypassed:
                headers.extend(self._predictions(decision, endpoint))
        if decision.valuation is not None:
            headers.extend(self._valuation(decision, decision.valuation))
        headers.extend(_judged(handle, decision))
        if outcome is not None:
            headers.extend(_measured(with_all_runs(outcome, handle.unused)))
        return headers

    def _valuation(self, decision: Decision, weighed: Valuation) -> list[Header]:
        """What the admission weighed, and of a request that does not run what it was judged by."""
        headers = []
        if decision.action is not Admission.RUN:
            endpoint = decision.table.endpoints[weighed.endpoint]
            headers.append((b"x-pointsman-judged-by", header_value(endpoint)))
            headers.extend(self._predictions(decision, endpoint))
        for name, cost in _COSTS:
            value: float | None = getattr(weighed, cost)
            if value is not None:
                headers.append((name, b"%.6g" % value))
        return headers

    def _predictions(self, decision: Decision, endpoint: str) -> list[Header]:
        headers = []
        for name, attribute in _PREDICTED:
            value = float(getattr(decision.table, attribute).value[decision.index, self._columns[endpoint]])
            if math.isfinite(value):
                marked = attribute in ("energy_j", "carbon_g") and self._modelled[endpoint]
                headers.append((name, b"%.6g%s" % (value, b";modelled" if marked else b"")))
        return headers


def _judged(handle: Handle, decision: Decision) -> list[Header]:
    """Of an answer that was judged: how many endpoints were asked, why it was kept, and whether in need.

    While a larger endpoint's answer streams, the reason is that of the decision to ask it.
    """
    outcome = handle.outcome
    kept = outcome is not None and outcome.disposition is Disposition.ANSWERED and outcome.reason
    if handle.runs < 2 and not kept:  # noqa: PLR2004 - one run is no cascade
        return []
    headers = [(b"x-pointsman-steps", b"%d" % handle.runs)]
    if outcome is not None and kept:
        headers.append((b"x-pointsman-verdict", header_value(outcome.reason)))
        if outcome.endpoint != decision.endpoint:  # another one was to answer
            headers.append((b"x-pointsman-degraded", b"true"))
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
