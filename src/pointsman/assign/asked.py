"""Who chooses: the configured policy, unless the caller's model name asks for another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from pointsman.assign.base import Adaptive, AssignPolicy
from pointsman.assign.first import FirstAssign
from pointsman.assign.floor import FloorAssign
from pointsman.types import (
    Assignment,
    Bools,
    CostTable,
    Decision,
    EndpointView,
    Label,
    LimitState,
    Outcome,
    Request,
    Router,
)

CHOOSE: Final = frozenset({FloorAssign.name, FirstAssign.name})
"""Policies that choose endpoints, among those that a model name may choose."""


class AskedAssign:
    """Asks the policy that a request's model name chooses: `router-floor-T`, `router-cascade-T`; else `configured`.

    Args:
        configured: of all other requests.
        cascade: where cascades begin; `configured` if None.
    """

    def __init__(self, configured: AssignPolicy, cascade: AssignPolicy | None = None) -> None:
        self.name = configured.name
        self._configured, self._cascade = configured, cascade or configured
        self._adaptive = configured if isinstance(configured, Adaptive) else None

    def assign(
        self, requests: Sequence[Request], table: CostTable, eligible: Bools, view: Sequence[EndpointView]
    ) -> Assignment:
        """Choose for R requests over E endpoints; see `AssignPolicy`."""
        rows: dict[Router | None, list[int]] = {}
        for row, request in enumerate(requests):
            router = request.router
            rows.setdefault(router if router and router.policy in CHOOSE else None, []).append(row)
        if list(rows) == [None]:
            return self._configured.assign(requests, table, eligible, view)
        parts = []
        for asked, own in rows.items():
            policy = self._policy(asked)
            some = [requests[row] for row in own]
            parts.append((own, policy, policy.assign(some, table.take(np.array(own)), eligible[own], view)))
        return _merged(parts)

    def settled(self, request: Request, decision: Decision) -> None:
        """See `Adaptive`, as the others: the configured policy may be one."""
        if self._adaptive:
            self._adaptive.settled(request, decision)

    def ended(self, outcome: Outcome) -> None:
        """See `Adaptive`."""
        if self._adaptive:
            self._adaptive.ended(outcome)

    def labelled(self, labels: Sequence[Label]) -> None:
        """See `Adaptive`."""
        if self._adaptive:
            self._adaptive.labelled(labels)

    def capacity_changed(self) -> None:
        """See `Adaptive`."""
        if self._adaptive:
            self._adaptive.capacity_changed()

    def limits(self) -> Sequence[LimitState]:
        """See `Adaptive`; none where the configured policy is not one."""
        return self._adaptive.limits() if self._adaptive else ()

    def _policy(self, asked: Router | None) -> AssignPolicy:
        if asked is None:
            return self._configured
        return FloorAssign(asked.threshold) if asked.policy == FloorAssign.name else self._cascade


def _merged(parts: Sequence[tuple[Sequence[int], AssignPolicy, Assignment]]) -> Assignment:
    """The answers of several policies, each for its own rows, as one."""
    order = np.argsort([row for own, _, _ in parts for row in own])
    answers = [
        (reason, weights, policy.name, rates)
        for own, policy, made in parts
        for reason, weights, rates in zip(
            made.reason, made.weights or (None,) * len(own), made.rates or (None,) * len(own), strict=True
        )
    ]
    reasons, weights, names, rates = zip(*(answers[i] for i in order.tolist()), strict=True)
    return Assignment(
        np.concatenate([made.endpoint_index for _, _, made in parts])[order],
        np.concatenate([made.score for _, _, made in parts])[order],
        reasons,
        weights,
        names,
        rates,
    )
