"""Who chooses: the configured policy, unless the caller's model name asks for another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pointsman.assign.base import AssignPolicy
from pointsman.assign.floor import FloorAssign
from pointsman.types import Assignment, Bools, CostTable, EndpointView, Request, Router


class AskedAssign:
    """Asks `FloorAssign` for requests with a model name `router-floor-<threshold>`, else `configured`."""

    def __init__(self, configured: AssignPolicy) -> None:
        self.name = configured.name
        self._configured = configured

    def assign(
        self, requests: Sequence[Request], table: CostTable, eligible: Bools, view: Sequence[EndpointView]
    ) -> Assignment:
        """Choose for R requests over E endpoints; see `AssignPolicy`."""
        rows: dict[Router | None, list[int]] = {}
        for row, request in enumerate(requests):
            router = request.router
            rows.setdefault(router if router and router.policy == FloorAssign.name else None, []).append(row)
        if list(rows) == [None]:
            return self._configured.assign(requests, table, eligible, view)
        parts = []
        for asked, own in rows.items():
            policy = FloorAssign(asked.threshold) if asked else self._configured
            some = [requests[row] for row in own]
            parts.append((own, policy, policy.assign(some, table.take(np.array(own)), eligible[own], view)))
        return _merged(parts)


def _merged(parts: Sequence[tuple[Sequence[int], AssignPolicy, Assignment]]) -> Assignment:
    """The answers of several policies, each for its own rows, as one."""
    order = np.argsort([row for own, _, _ in parts for row in own])
    answers = [
        (reason, weights, policy.name)
        for own, policy, made in parts
        for reason, weights in zip(made.reason, made.weights or (None,) * len(own), strict=True)
    ]
    reasons, weights, names = zip(*(answers[i] for i in order.tolist()), strict=True)
    return Assignment(
        np.concatenate([made.endpoint_index for _, _, made in parts])[order],
        np.concatenate([made.score for _, _, made in parts])[order],
        reasons,
        weights,
        names,
    )
