"""Whether an answer is good enough to be given out, or another endpoint is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pointsman.types import AnswerSignals, Bools, CostTable, Decision, Floats, Request


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of an answer.

    Attributes:
        column: the endpoint to ask next, or `UNASSIGNED`: the answer is given out.
        reason: one sentence, shown in headers and the log.
        score: expected cost of each choice, shape (E,): of giving the answer out at its own endpoint, of asking at
            the others; inf where that is no choice.
    """

    column: int
    reason: str
    score: Floats


class AnswerPolicy(Protocol):
    """Judges answers before they are given out."""

    name: str

    def holds(self, request: Request, decision: Decision) -> int:
        """How many samples of the endpoint's answer are asked for, to judge the first; 0: it is given out as it comes."""
        ...

    def judge(
        self,
        request: Request,
        table: CostTable,
        column: int,
        signals: AnswerSignals | None,
        eligible: Bools,
    ) -> Verdict:
        """Give the answer out, or ask one of the eligible endpoints.

        Args:
            request: whose answer it is.
            table: its predictions, R = 1.
            column: the endpoint that answered.
            signals: of the answer, None where nothing is known.
            eligible: shape (E,), True where an endpoint can be asked now and has not answered yet.

        Changes nothing, and equal arguments give equal verdicts.
        """
        ...
