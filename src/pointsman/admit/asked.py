"""Who may be skipped: the configured admission decides, unless the caller asked otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from pointsman.admit.always import AlwaysAdmit
from pointsman.admit.base import AdmitPolicy
from pointsman.admit.random import RandomAdmit
from pointsman.admit.threshold import ThresholdAdmit
from pointsman.types import Admit, Bools, CostTable, Request, Router

ADMISSIONS: Final = {"threshold": ThresholdAdmit, "random": RandomAdmit}
"""Admissions that a model name `router-<policy>-<threshold>` may choose."""


class AskedAdmit:
    """Asks for each request the admission that its caller chose.

    A request that must not be skipped runs; one whose model name chooses an admission gets that; one that
    allows skipping gets `opted_in`; every other one gets `configured`.
    """

    def __init__(self, configured: AdmitPolicy, opted_in: AdmitPolicy) -> None:
        self.name = configured.name
        self._configured, self._opted_in = configured, opted_in
        self._always = AlwaysAdmit()

    def admit(
        self, requests: Sequence[Request], table: CostTable, eligible: Bools, now: float
    ) -> Sequence[Admit]:
        """One admission for each request; see `AdmitPolicy`."""
        named: dict[Router, AdmitPolicy] = {}
        policies = [self._policy(request, named) for request in requests]
        if all(policy is self._configured for policy in policies):
            return self._configured.admit(requests, table, eligible, now)
        admits: list[Admit | None] = [None] * len(requests)
        for policy in {id(policy): policy for policy in policies}.values():
            own = [row for row, asked in enumerate(policies) if asked is policy]
            some = policy.admit([requests[row] for row in own], table.take(np.array(own)), eligible[own], now)
            for row, admit in zip(own, some, strict=True):
                admits[row] = replace(admit, policy=policy.name)
        return [admit for admit in admits if admit is not None]

    def _policy(self, request: Request, named: dict[Router, AdmitPolicy]) -> AdmitPolicy:
        """Whom to ask; `named` keeps one policy for each model name of the batch."""
        router = request.router
        if request.allow_skip is False:
            return self._always
        if router is not None and router.policy in ADMISSIONS:
            return named.setdefault(router, ADMISSIONS[router.policy](router.threshold))
        return self._opted_in if request.allow_skip else self._configured
