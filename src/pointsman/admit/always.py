"""Run everything: the baseline, and the default until a caller asks for more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pointsman.types import Admission, Admit, Bools, CostTable, Request

_RUN: Final = Admit(Admission.RUN, "every request runs")


class AlwaysAdmit:
    """Every request runs."""

    name = "always"

    def admit(
        self, requests: Sequence[Request], table: CostTable, eligible: Bools, now: float
    ) -> Sequence[Admit]:
        """`run` for each request."""
        del table, eligible, now
        return [_RUN] * len(requests)
