"""Whether a request runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pointsman.types import Admit, Bools, CostTable, Request


class AdmitPolicy(Protocol):
    """Decides for each request: run, skip, defer or refuse."""

    name: str

    def admit(
        self, requests: Sequence[Request], table: CostTable, eligible: Bools, now: float
    ) -> Sequence[Admit]:
        """One admission a request, in order.

        Args:
            requests: R of them; each has at least one eligible endpoint.
            table: arrays of shape (R, E).
            eligible: shape (R, E), True where the pair passed every hard filter.
            now: the driver's time in seconds.

        Changes nothing. Raises nothing: a refusal is a value with a reason.
        """
        ...
