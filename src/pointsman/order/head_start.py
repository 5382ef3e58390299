"""Service classes in one queue: a class's requests count as if they had come some seconds earlier.

A head start is priority that ages away: a class of 30 s goes before what arrived up to 30 s earlier, never before
what has waited longer. The bound of the order within holds, wider by the largest difference of head starts.
"""

from __future__ import annotations

from collections.abc import Mapping

from pointsman.order.base import OrderPolicy
from pointsman.types import Decision, Request


class HeadStart:
    """Another order whose keys are times, with head starts by service class.

    Args:
        inner: orders requests of one class.
        seconds: by class; others have none. Below 0 a class stands back.
    """

    def __init__(self, inner: OrderPolicy, seconds: Mapping[str, float]) -> None:
        self._inner, self._seconds = inner, dict(seconds)
        self.name = inner.name
        most_s = max(0.0, *self._seconds.values()) - min(0.0, *self._seconds.values())
        self.bound = f"{inner.bound}; between classes up to {most_s:g} s more"

    def key(self, request: Request, decision: Decision, arrived_s: float) -> float:
        """The inner key, earlier by the class's head start."""
        seconds = self._seconds.get(request.slo.service_class, 0.0)
        return self._inner.key(request, decision, arrived_s) - seconds
