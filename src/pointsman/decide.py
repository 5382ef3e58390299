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
from pointsman.assign.request_limits import LIMITS_UNMET, unmet
from pointsman.errors import InternalError
from pointsman.types import (
    EMPTY,
    SKIPPED,
    UNASSIGNED,
    Admission,
    Admit,
    Assignment,
    Bools,
    CostTable,
    Decision,
    Endpoint,
    EndpointView,
    Outcome,
    Request,
)

DOWN: Final = "it is down"
QUEUE_FULL: Final = "its queue is full"
_ACTIONS: Final = {UNASSIGNED: Admission.DEFER, SKIPPED: Admission.SKIP}
"""What becomes of a request for which no endpoint was chosen."""
LIMITS: Final = "limits"
"""Who refused a request, as the policy of its decision, where an endpoint is out for the request's limits."""


class Decided(NamedTuple):
    """What becomes of one request; `column` is that of its endpoint, or -1."""

    admit: Admit
    column: int
    decision: Decision


class Decider:
    """The three stages over a fixed list of E endpoints.

    Args:
        max_queued: an endpoint takes no more when so many wait beyond those its free slots will take.
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

        Raises: what a policy raises; InternalError if a policy answers what it may not.
        """
        closed = [self.closed(endpoint) for endpoint in view]
        mask, excluded = self._eligibility.filter(requests, table, closed)
        if self._names and all(reasons is EMPTY for reasons in excluded):
            return self._with_policies(requests, table, mask, excluded, view, now)
        reachable: list[bool] = np.asarray(mask.any(axis=1)).tolist()
        if all(reachable):
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

    def try_decide(
        self, requests: Sequence[Request], table: CostTable, view: Sequence[EndpointView], now: float
    ) -> Sequence[Decided | Exception]:
        """The same, with the error in place of a decision at which a policy raised.

        Policies that raise at a batch are asked for each request alone, so that one harms no other.
        """
        try:
            return self.decide(requests, table, view, now)
        except Exception as error:  # noqa: BLE001 - policies may be anyone's; the loop must go on
            if len(requests) == 1:
                return [error]
        return [
            self.try_decide([request], table.row(row), view, now)[0] for row, request in enumerate(requests)
        ]

    def eligible(
        self, request: Request, table: CostTable, view: Sequence[EndpointView], runs: Sequence[Outcome]
    ) -> tuple[Bools, Mapping[str, str]]:
        """Which endpoints can take one request (R = 1) now that it has run `runs`, shape (E,), and why others can't."""
        closed = [self.closed(endpoint) for endpoint in view]
        mask, excluded = self._eligibility.filter([request], table, closed, runs)
        return mask[0], excluded[0]

    def closed(self, endpoint: EndpointView) -> str | None:
        """Why an endpoint takes nothing now, or None."""
        if not endpoint.healthy:
            return DOWN
        if endpoint.queued < self._max_queued:
            return None
        free = max(0, endpoint.max_concurrent - endpoint.running)
        if endpoint.queued < self._max_queued + free:
            return None
        return f"{QUEUE_FULL} (limit {self._max_queued})"

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
        columns = self._columns(assignment, admits, excluded)
        weights = assignment.weights or (None,) * len(requests)
        policies = assignment.policy or (self.assign.name,) * len(requests)
        score, reasons = assignment.score, assignment.reason
        all_rates = assignment.rates or (None,) * len(requests)
        decided = []
        for row, request in enumerate(requests):
            admit, column, policy, rates = admits[row], UNASSIGNED, policies[row], None
            if admit.action is Admission.RUN:
                action = _ACTIONS.get(columns[row], Admission.RUN)
                column = max(columns[row], UNASSIGNED)
                admit = Admit(action, reasons[row], valuation=admit.valuation)
                rates = all_rates[row]
            else:
                policy = admit.policy or self.admit.name
            decision = Decision(
                request.id,
                now,
                admit.action,
                admit.reason,
                policy,
                table,
                row,
                excluded[row],
                score[row],
                None if column == UNASSIGNED else self._names[column],
                weights[row],
                admit.valuation,
                request.slo.service_class,
                rates,
            )
            decided.append(Decided(admit, column, decision))
        return decided

    def _columns(
        self, assignment: Assignment, admits: Sequence[Admit], excluded: Sequence[Mapping[str, str]]
    ) -> list[int]:
        """The chosen columns. Raises InternalError unless the policies answered what they may."""
        columns: list[int] = assignment.endpoint_index.tolist()
        n, names = len(excluded), self._names
        if not n == len(columns) == len(admits) == len(assignment.reason) == len(assignment.score):
            raise InternalError(
                f"policies {self.admit.name} and {self.assign.name} did not answer for all {n} requests"
            )
        for column, reasons in zip(columns, excluded, strict=True):
            if column not in _ACTIONS and (not 0 <= column < len(names) or names[column] in reasons):
                name = names[column] if 0 <= column < len(names) else f"no. {column}"
                raise InternalError(f"policy {self.assign.name} chose endpoint {name}, which is not eligible")
        return columns

    def _refused(
        self, request: Request, table: CostTable, row: int, excluded: Mapping[str, str], now: float
    ) -> Decided:
        limits = unmet(request, table, row, excluded)
        admit = Admit(Admission.REFUSE, limits or refusal(excluded))
        decision = Decision(
            request_id=request.id,
            at_s=now,
            action=admit.action,
            reason=admit.reason,
            policy=LIMITS if limits else "eligibility",
            table=table,
            index=row,
            excluded=excluded,
            score=None,
            endpoint=None,
            service_class=request.slo.service_class,
        )
        return Decided(admit, UNASSIGNED, decision)


def refusal_code(decision: Decision) -> str:
    """Why a request was refused, as a word for error bodies.

    `refused`: a policy said so; `queue_full`, `endpoint_down`: it may be served later;
    `limits_unmet`, `no_eligible_endpoint`: it can't be served as it is.
    """
    if decision.score is not None:
        return "refused"
    reasons = decision.excluded.values()
    if any(reason.startswith(QUEUE_FULL) for reason in reasons):
        return "queue_full"
    if DOWN in reasons:
        return "endpoint_down"
    return LIMITS_UNMET if decision.policy == LIMITS else "no_eligible_endpoint"
