"""Short answers first, but never far out of turn: key = arrival + stretch * min(predicted time, cap).

Let i and j wait for one endpoint, and j arrive later. j runs before i only if

    a_j + stretch w_j < a_i + stretch w_i,    so    a_j - a_i < stretch (w_i - w_j) <= stretch min(w_i, cap)

with w the predicted times up to `cap`. So i is overtaken only by requests that are predicted shorter and that
arrive within `stretch` times its own predicted time after it; in no case after `stretch` times `cap`, however wrong
the predictions are. A static key: a queue of n costs O(log n) a request, and needs no second look.

stretch 0 is first come, first served; as it grows the order becomes the shortest predicted first.
"""

from __future__ import annotations

from pointsman.order.work import predicted_time_s
from pointsman.types import Decision, Request


class BoundedOrder:
    """See the module.

    Args:
        stretch: seconds of turn given up for each predicted second, at least 0.
        cap_s: the most predicted seconds that count, above 0. One without a prediction counts as that long.
    """

    name = "bounded"

    def __init__(self, stretch: float, cap_s: float) -> None:
        self._stretch, self._cap_s = stretch, cap_s
        self.bound = (
            f"a request is overtaken only by those predicted shorter that arrive within {stretch:g} times its "
            f"predicted time after it, at most {stretch * cap_s:g} s"
        )

    def key(self, request: Request, decision: Decision, arrived_s: float) -> float:
        """Arrival, moved back by the predicted time."""
        del request
        time_s = predicted_time_s(decision)
        return arrived_s + self._stretch * (self._cap_s if time_s is None else min(time_s, self._cap_s))
