"""The earliest deadline first, or the least slack: deadline less the predicted time.

A deadline is arrival plus the `e2e_s` of the request's class (or its `ttft_s`, if that is all it has); one without
any counts as if it had `without_s`. So that nothing waits for ever, every request has one.
"""

from __future__ import annotations

from pointsman.order.work import predicted_time_s
from pointsman.types import Decision, Request


class DeadlineOrder:
    """Requests run by their deadlines, or by when they must begin at the latest.

    Args:
        without_s: deadline of requests that have none, from their arrival, above 0.
        slack: take off the predicted time, up to that deadline.
    """

    def __init__(self, without_s: float, *, slack: bool = False) -> None:
        self._without_s, self._slack = without_s, slack
        self.name = "slack" if slack else "edf"
        earlier = "must begin earlier" if slack else "have an earlier deadline"
        self.bound = (
            f"a request is overtaken only by those that {earlier}, all of which arrive before its own deadline: "
            f"within its class's e2e_s, else ttft_s, else {without_s:g} s"
        )

    def key(self, request: Request, decision: Decision, arrived_s: float) -> float:
        """The deadline, or when it must begin."""
        slo = request.slo
        within_s = slo.e2e_s or slo.ttft_s or self._without_s
        if not self._slack:
            return arrived_s + within_s
        return arrived_s + within_s - min(predicted_time_s(decision) or 0.0, within_s)
