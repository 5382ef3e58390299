"""How long a request would wait for a slot, by the queues as they stand.

    wait = (before it - slots + 1) / slots * time of an answer        0 while a slot is free

Before it are those that wait and run, and those of other callers that the endpoint reports itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pointsman.types import EndpointView, Floats


class Waits:
    """Of E endpoints; requests may be added as they are given out.

    Args:
        view: the endpoints' states.
        time_s: the usual time of an answer of each, shape (E,); NaN where that is not known.
    """

    def __init__(self, view: Sequence[EndpointView], time_s: Floats) -> None:
        self._before = np.array([_before(each) for each in view], dtype=float)
        self._slots = np.array([each.max_concurrent for each in view], dtype=float)
        self._time_s = time_s

    def of(self, time_s: Floats) -> Floats:
        """Seconds until a slot is free, shape (E,); inf where there are no slots.

        Args:
            time_s: predicted for the request, for endpoints whose usual time is not known.
        """
        usual_s = np.where(
            np.isfinite(self._time_s), self._time_s, np.nan_to_num(time_s, nan=0.0, posinf=0.0)
        )
        rounds = np.maximum(self._before - self._slots + 1.0, 0.0) / np.maximum(self._slots, 1.0)
        waits_s = np.where(np.isfinite(usual_s), rounds * usual_s, 0.0)
        return np.where(self._slots > 0, waits_s, np.inf)

    def join(self, column: int) -> None:
        """A request was given to an endpoint; a column beyond them is none."""
        if column < len(self._before):
            self._before[column] += 1.0


def _before(view: EndpointView) -> float:
    """Requests that wait and run there."""
    others = 0 if view.load is None else view.load.queued + view.load.running - view.running
    return float(view.queued + view.running + max(0, others))
