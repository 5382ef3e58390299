"""The shortest predicted answer first, without a bound: the learned order of "Learning to Rank", in a queue.

With predictions that are the truth this is shortest job first, the oracle of that paper.
"""

from __future__ import annotations

from pointsman.order.work import predicted_time_s
from pointsman.types import Decision, Request


class ShortestPredicted:
    """Requests run by their predicted time; one without a prediction after all that have one, as they came."""

    name = "ranked"
    bound = "none: a long request waits for as long as shorter ones keep coming; `bounded` limits that"

    def key(self, request: Request, decision: Decision, arrived_s: float) -> float:
        """The predicted seconds."""
        del request
        time_s = predicted_time_s(decision)
        return _UNKNOWN_S + arrived_s if time_s is None else min(time_s, _LONGEST_S)


_LONGEST_S = 1e9
_UNKNOWN_S = 2e9
"""Above every prediction; arrivals keep a resolution of under a microsecond beside it."""
