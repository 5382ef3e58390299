"""Put off instead of skipping: what another admission would skip is asked again later, for a bounded time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pointsman.admit.base import AdmitPolicy
from pointsman.types import Admission, Admit, Bools, CostTable, Request


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request is put off.

    Attributes:
        retry_s: between two looks at it; above 0.
        max_s: since it was first put off; then it runs, or is refused where not `then_run`.
    """

    retry_s: float = 10.0
    max_s: float = 300.0
    then_run: bool = True


class PutOffAdmit:
    """Defers what `inner` would skip; at each look the request has fresh predictions and the class `batch`.

    It ends as other requests do (invariant 1): it runs once `inner` lets it, or when its time is up it
    runs or is refused.
    """

    def __init__(self, inner: AdmitPolicy, patience: Patience) -> None:
        self.name = inner.name
        self._inner, self._patience = inner, patience

    def admit(
        self, requests: Sequence[Request], table: CostTable, eligible: Bools, now: float
    ) -> Sequence[Admit]:
        """`run`, `defer` or `refuse` for each request; see `AdmitPolicy`."""
        admits = self._inner.admit(requests, table, eligible, now)
        return [
            self._instead(admit, request, now) if admit.action is Admission.SKIP else admit
            for request, admit in zip(requests, admits, strict=True)
        ]

    def _instead(self, skip: Admit, request: Request, now: float) -> Admit:
        since_s = now if request.put_off_s is None else request.put_off_s
        limit_s = since_s + self._patience.max_s
        if now < limit_s:
            until_s = min(now + self._patience.retry_s, limit_s)
            return Admit(Admission.DEFER, f"put off: {skip.reason}", until_s, skip.valuation, skip.policy)
        said = f"put off for {self._patience.max_s:g} s, the limit; {skip.reason}"
        action = Admission.RUN if self._patience.then_run else Admission.REFUSE
        return Admit(action, said, valuation=skip.valuation, policy=skip.policy)
