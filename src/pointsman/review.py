"""What follows an endpoint's answer: it is given out, or held while another endpoint is asked.

    Completed --not held, or kept--> ANSWERED
              --escalated----------> QUEUED elsewhere; the answer is held
    Failed ----nothing is held, or a part of an answer is out, or the caller went--> FAILED
              --an answer is held--> ANSWERED by that

A policy judges the answers; here it is asked with care. An endpoint answers a request at most once, so
there are at most E steps; a policy that raises, or chooses what it may not, lets the answer out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from pointsman.admit.answer import AnswerPolicy, Verdict
from pointsman.assign.request_limits import runs_within
from pointsman.decide import Decider
from pointsman.errors import InternalError
from pointsman.lifecycle import Entry, Move
from pointsman.step import Step
from pointsman.types import UNASSIGNED, Admission, AnswerSignals, Bools, Decision, EndpointView, Outcome

ANSWERED_ALREADY: Final = "it has answered already"


class Review:
    """Ends what ran on an endpoint, as an answer policy says.

    Args:
        policy: None lets every answer out as it comes.
        decider: says which endpoints can be asked now.
        names: of the endpoints, in column order.
    """

    def __init__(self, policy: AnswerPolicy | None, decider: Decider, names: tuple[str, ...]) -> None:
        self._policy, self._decider, self._names = policy, decider, names

    def holds(self, entry: Entry, step: Step) -> int:
        """By how many samples the answer of the run that begins now is judged; 0: it is not held back."""
        policy = self._policy
        if policy is None or entry.decision is None:
            return 0
        try:
            samples = policy.holds(entry.request, entry.decision)
        except Exception as error:  # noqa: BLE001 - policies may be anyone's; the loop must go on
            step.hooks.policy_raised(policy.name, error)
            return 0
        limits, decision = entry.request.limits, entry.decision
        if limits is None:
            return samples
        within = runs_within(limits, decision.table, decision.index, entry.endpoint, entry.runs)
        return int(min(samples, max(1.0, within)))

    def answered(
        self,
        entry: Entry,
        outcome: Outcome,
        signals: AnswerSignals | None,
        samples: Sequence[Outcome],
        view: Sequence[EndpointView],
        step: Step,
    ) -> Decision | None:
        """A run brought an answer: the request ends, or the decision to ask another endpoint is given back."""
        step.sampled(entry, samples)
        policy, before = self._policy, entry.decision
        if policy is None or before is None or not entry.held or entry.aborting:
            step.end_on_endpoint(entry, Move.ANSWER, outcome)
            return None
        verdict, excluded = self._verdict(policy, entry, before, outcome, signals, view, step)
        if verdict.column == UNASSIGNED:
            step.end_on_endpoint(entry, Move.ANSWER, replace(outcome, reason=verdict.reason))
            return None
        step.hold(entry, outcome, verdict.reason)
        entry.waits_from_s = step.now
        entry.decision = replace(
            before,
            at_s=step.now,
            action=Admission.RUN,
            reason=verdict.reason,
            policy=policy.name,
            excluded=excluded,
            score=verdict.score,
            endpoint=self._names[verdict.column],
            weights=None,
            valuation=None,
        )
        step.record(entry.decision)
        return entry.decision

    def failed(self, entry: Entry, outcome: Outcome, given: bool, step: Step) -> None:
        """A run brought none: a held answer takes its place, unless a part of another is out."""
        if entry.runs and not (given or entry.gone):
            step.fall_back(entry, f"{outcome.endpoint} did not answer: {outcome.reason}", outcome)
        else:
            step.end_on_endpoint(entry, Move.FAIL, outcome)

    def _verdict(
        self,
        policy: AnswerPolicy,
        entry: Entry,
        decision: Decision,
        outcome: Outcome,
        signals: AnswerSignals | None,
        view: Sequence[EndpointView],
        step: Step,
    ) -> tuple[Verdict, dict[str, str]]:
        """What the policy says, and why endpoints could not be asked. Changes nothing."""
        table = decision.predictions
        eligible, reasons = self._decider.eligible(entry.request, table, view, (*entry.runs, outcome))
        excluded = dict(reasons)
        for name in (*(run.endpoint for run in entry.runs), self._names[entry.endpoint]):
            excluded[name] = ANSWERED_ALREADY
            eligible[self._names.index(name)] = False
        try:
            verdict = policy.judge(entry.request, table, entry.endpoint, signals, eligible)
            _check(policy, verdict.column, eligible)
        except Exception as error:  # noqa: BLE001 - as above
            step.hooks.policy_raised(policy.name, error)
            said = f"policy {policy.name} raised {type(error).__name__}"
            return Verdict(UNASSIGNED, said, np.full(len(eligible), np.inf)), excluded
        return verdict, excluded


def _check(policy: AnswerPolicy, column: int, eligible: Bools) -> None:
    if column != UNASSIGNED and not (0 <= column < len(eligible) and eligible[column]):
        raise InternalError(f"policy {policy.name} chose endpoint no. {column}, which can't be asked")
