"""What follows an endpoint's answer: it is given out, or held while another endpoint is asked.

A policy judges the answer; here it is asked with care. An endpoint answers a request at most once, so
there are at most E steps; a policy that raises, or chooses what it may not, lets the answer out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from pointsman.admit.answer import AnswerPolicy
from pointsman.decide import Decider
from pointsman.errors import InternalError
from pointsman.lifecycle import Entry
from pointsman.step import Step
from pointsman.types import UNASSIGNED, Admission, AnswerSignals, Bools, Decision, EndpointView

ANSWERED_ALREADY: Final = "it has answered already"


class Review:
    """Asks an answer policy over a fixed list of E endpoints.

    Args:
        decider: says which endpoints can be asked now.
        names: of the endpoints, in column order.
    """

    def __init__(self, policy: AnswerPolicy, decider: Decider, names: tuple[str, ...]) -> None:
        self.policy = policy
        self._decider, self._names = decider, names

    def holds(self, entry: Entry, step: Step) -> bool:
        """Whether the answer of the run that begins now is held back."""
        if entry.decision is None:
            return False
        try:
            return self.policy.holds(entry.request, entry.decision)
        except Exception as error:  # noqa: BLE001 - policies may be anyone's; the loop must go on
            step.hooks.policy_raised(self.policy.name, error)
            return False

    def judge(
        self, entry: Entry, signals: AnswerSignals | None, view: Sequence[EndpointView], step: Step
    ) -> Decision | str:
        """The decision to ask another endpoint, or why the answer is given out. Changes nothing."""
        decision = entry.decision
        if decision is None:
            return "it was never predicted"
        table = decision.predictions
        mask, excluded = self._decider.eligible(entry.request, table, view)
        reasons = dict(excluded)
        for name in (*(run.endpoint for run in entry.runs), self._names[entry.endpoint]):
            reasons[name] = ANSWERED_ALREADY
            mask[self._names.index(name)] = False
        try:
            verdict = self.policy.judge(entry.request, table, entry.endpoint, signals, mask)
            self._check(verdict.column, mask)
        except Exception as error:  # noqa: BLE001 - as above
            step.hooks.policy_raised(self.policy.name, error)
            return f"policy {self.policy.name} raised {type(error).__name__}"
        if verdict.column == UNASSIGNED:
            return verdict.reason
        return replace(
            decision,
            at_s=step.now,
            action=Admission.RUN,
            reason=verdict.reason,
            policy=self.policy.name,
            excluded=reasons,
            score=verdict.score,
            endpoint=self._names[verdict.column],
            weights=None,
        )

    def column(self, decision: Decision) -> int:
        """The column of the decision's endpoint."""
        return UNASSIGNED if decision.endpoint is None else self._names.index(decision.endpoint)

    def _check(self, column: int, eligible: Bools) -> None:
        if column != UNASSIGNED and not (0 <= column < len(eligible) and eligible[column]):
            raise InternalError(
                f"policy {self.policy.name} chose endpoint no. {column}, which can't be asked"
            )
