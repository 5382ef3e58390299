"""Whether and where, for a batch: filter, admit, assign. Pure: nothing is queued or sent here.

The scheduler calls it for every batch of predictions; the command line calls it to show what would
be decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from pointsman.admit.base import AdmitPolicy
from pointsman.assign.base import AssignPolicy
from pointsman.assign.eligibility import Eligibility, refusal
from pointsman.types import (
    UNASSIGNED,
    Admission,
    Admit,
    Bools,
    CostTable,
    Decision,
    Endpoint,
    EndpointView,
    Request,
)

DOWN: Final = "it is down"
QUEUE_FULL: Final = "its queue is full"


class Decided(NamedTuple):
    """What becomes of one request; `index` is the endpoint's column, or -1."""

    admit: Admit
    index: int
    decision: Decision


class Decider:
    """The three stages over a fixed list of E endpoints.

    Args:
        max_queued: an endpoint with so many waiting takes no more.
    """

    def __init__(
        self, endpoints: Sequence[Endpoint], admit: AdmitPolicy, assign: AssignPolicy, *, max_queued: int
    ) -> None:
        self.admit, self.assign = admit, assign
        self._names = tuple(endpoint.name for endpoint in endpoints)
        self._eligibility = Eligibility(endpoints)
        self._max_queued = max_queued

    def decide(
        self, requests: Sequence[Request], table: CostTable, view: Sequence[EndpointView], now: float
    ) -> list[Decided]:
        """Decide for the rows of `table`, in order. Changes nothing.

        A request without an eligible endpoint is refused before any policy sees it; one that the
        assignment leaves waiting is deferred without a time.
        """
        mask, excluded = self._eligibility.filter(requests, table.input_tokens, self._closed(view))
        reachable = mask.any(axis=1)
        if reachable.all():
            return self._with_policies(requests, table, mask, excluded, view, now)
        rows = np.flatnonzero(reachable)
        some = self._with_policies(
            [requests[row] for row in rows.tolist()],
            table.take(rows),
            mask[rows],
            [excluded[row] for row in rows.tolist()],
            view,
            now,
        )
        taken = iter(some)
        return [
            next(taken) if reachable[row] else self._refused(request, table, row, excluded[row], now)
            for row, request in enumerate(requests)
        ]

    def _with_policies(
        self,
        requests: Sequence[Request],
        table: CostTable,
        mask: Bools,
        excluded: Sequence[Mapping[str, str]],
        view: Sequence[EndpointView],
        now: float,
    ) -> list[Decided]:
        if not requests:
            return []
        admits = self.admit.admit(requests, table, mask, now)
        assignment = self.assign.assign(requests, table, mask, view)
        chosen = assignment.endpoint_index.tolist()
        decided = []
        for row, request in enumerate(requests):
            admit, index = admits[row], UNASSIGNED
            if admit.action is Admission.RUN:
                index = chosen[row]
                action = Admission.DEFER if index == UNASSIGNED else Admission.RUN
                admit = Admit(action, assignment.reason[row])
            decision = Decision(
                request_id=request.id,
                at_s=now,
                action=admit.action,
                reason=admit.reason,
                policy=self.assign.name,
                table=table,
                index=row,
                excluded=excluded[row],
                score=assignment.score[row],
                endpoint=None if index == UNASSIGNED else self._names[index],
                weights=assignment.weights[row] if assignment.weights else None,
            )
            decided.append(Decided(admit, index, decision))
        return decided

    def _refused(
        self, request: Request, table: CostTable, row: int, excluded: Mapping[str, str], now: float
    ) -> Decided:
        admit = Admit(Admission.REFUSE, refusal(excluded))
        decision = Decision(
            request_id=request.id,
            at_s=now,
            action=admit.action,
            reason=admit.reason,
            policy="eligibility",
            table=table,
            index=row,
            excluded=excluded,
            score=None,
            endpoint=None,
        )
        return Decided(admit, UNASSIGNED, decision)

    def _closed(self, view: Sequence[EndpointView]) -> list[str | None]:
        """For each endpoint why it takes nothing now, or None."""
        full = f"{QUEUE_FULL} (limit {self._max_queued})"
        return [
            DOWN if not endpoint.healthy else (full if endpoint.queued >= self._max_queued else None)
            for endpoint in view
        ]


def refusal_code(decision: Decision) -> str:
    """Why a request was refused, as a word for error bodies.

    `refused`: a policy said so; `queue_full`, `endpoint_down`: it may be served later;
    `no_eligible_endpoint`: it can't be served as it is.
    """
    if decision.score is not None:
        return "refused"
    reasons = decision.excluded.values()
    if any(reason.startswith(QUEUE_FULL) for reason in reasons):
        return "queue_full"
    return "endpoint_down" if DOWN in reasons else "no_eligible_endpoint"
