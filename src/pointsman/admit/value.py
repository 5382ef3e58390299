"""Run what is worth it: if and only if the least expected cost of running is no more than that of skipping.

Source: Chow's reject rule and Elkan's cost-sensitive threshold. Differs in: many endpoints, of which any
may be the one that runs it, and costs of a run that follow from the request itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from pointsman.types import Admission, Admit, Bools, CostTable, Request, Valuation, ValueTerms
from pointsman.types.value import running_costs, skipping_costs

_PRIORS: Final = Admit(Admission.RUN, "it runs, since a prior alone is no ground for skipping")
_UNKNOWN: Final = Admit(Admission.RUN, "it runs, since what running costs is not known of any endpoint")


class ValueAdmit:
    """Weighs running against skipping by expected costs; equal costs run.

    Where predictions were bypassed (invariant 9), or no endpoint's costs are finite, the request runs.

    Args:
        terms: what runs, wrong answers and missed ones cost.
    """

    name = "value"

    def __init__(self, terms: ValueTerms) -> None:
        self._terms = terms

    def admit(
        self, requests: Sequence[Request], table: CostTable, eligible: Bools, now: float
    ) -> Sequence[Admit]:
        """`run` or `skip` for each of R requests; see `AdmitPolicy`. Cost: O(R E)."""
        del now
        if table.bypassed:
            return [_PRIORS] * len(requests)
        running = running_costs(requests, table, self._terms)
        running = np.where(eligible & np.isfinite(running), running, np.inf)
        best = running.argmin(axis=1)
        skipping = skipping_costs(requests, table, eligible, self._terms)
        return [
            _admit(table, row, column, float(running[row, column]), float(skipping[row]))
            for row, column in enumerate(best.tolist())
        ]


def _admit(table: CostTable, row: int, column: int, run_cost: float, skip_cost: float) -> Admit:
    if not np.isfinite(run_cost):
        return _UNKNOWN
    quality = float(table.quality.value[row, column])
    valuation = Valuation(column, quality, run_cost, skip_cost)
    running = (
        f"running is expected to cost {run_cost:.3g} (on {table.endpoints[column]}, quality {quality:.3f})"
    )
    if run_cost <= skip_cost:
        return Admit(Admission.RUN, f"{running}, skipping {skip_cost:.3g}", valuation=valuation)
    return Admit(Admission.SKIP, f"{running}, skipping only {skip_cost:.3g}", valuation=valuation)
