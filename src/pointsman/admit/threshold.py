"""Run what is likely enough to be answered rightly: if the best predicted quality reaches a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from pointsman.types import Admission, Admit, Bools, CostTable, Request, Valuation

_PRIORS: Final = Admit(Admission.RUN, "it runs, since a prior alone is no ground for skipping")
_UNKNOWN: Final = Admit(Admission.RUN, "it runs, since no endpoint's quality is known")


class ThresholdAdmit:
    """Runs if and only if the best predicted quality of the eligible endpoints is at least `threshold`.

    Where predictions were bypassed (invariant 9), or no quality is finite, the request runs.

    Args:
        threshold: in [0, 1].
    """

    name = "threshold"

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold

    def admit(
        self, requests: Sequence[Request], table: CostTable, eligible: Bools, now: float
    ) -> Sequence[Admit]:
        """`run` or `skip` for each of R requests; see `AdmitPolicy`. Cost: O(R E)."""
        del now
        if table.bypassed:
            return [_PRIORS] * len(requests)
        quality = np.where(eligible & np.isfinite(table.quality.value), table.quality.value, -np.inf)
        best = quality.argmax(axis=1)
        return [
            self._one(table.endpoints[column], column, float(quality[row, column]))
            for row, column in enumerate(best.tolist())
        ]

    def _one(self, endpoint: str, column: int, quality: float) -> Admit:
        if not np.isfinite(quality):
            return _UNKNOWN
        valuation = Valuation(column, quality, threshold=self._threshold)
        best = f"the best predicted quality, {quality:.3f} on {endpoint},"
        if quality >= self._threshold:
            return Admit(Admission.RUN, f"{best} reaches {self._threshold:g}", valuation=valuation)
        return Admit(Admission.SKIP, f"{best} is below {self._threshold:g}", valuation=valuation)
