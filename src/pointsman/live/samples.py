"""A held answer and further samples of it: which are asked for, and how many say the same."""

from __future__ import annotations

from dataclasses import replace

from pointsman.data.answer_key import agreement, reading_of
from pointsman.engines.samples import sample_body
from pointsman.events import Completed
from pointsman.live.held import HeldAnswer
from pointsman.types import AnswerSignals, Disposition, Outcome, Request


class Samples:
    """Further samples of one answer.

    None is asked for where the answer can't be compared, where it says nothing that another could repeat, and
    after one has failed.

    Args:
        first: how the answer ended.
        answer: its text.
        request: as its caller sent it.
        further: how many to ask for at most.
    """

    def __init__(self, first: Completed, answer: HeldAnswer, request: Request, further: int) -> None:
        self._first, self._request, self._left = first, request, further
        text = answer.text() if further else ""
        self._reading = reading_of(request.prompt.text, text)
        self._said = self._reading(text) if self._reading else None
        self._further: list[str | None] = []
        self._outcomes: list[Outcome] = []

    def following(self) -> Request | None:
        """The next one, as it is sent; None if no more are wanted."""
        payload, number = self._request.payload, len(self._outcomes) + 1
        if self._said is None or number > self._left or not isinstance(payload, bytes):
            return None
        body = sample_body(payload, number)
        return None if body is None else replace(self._request, payload=body)

    def take(self, outcome: Outcome, answer: HeldAnswer) -> None:
        """One has ended; what it says is read if it was answered."""
        self._outcomes.append(outcome)
        if outcome.disposition is not Disposition.ANSWERED:
            self._left = 0
        elif self._reading:
            self._further.append(self._reading(answer.text()))

    def compared(self) -> Completed:
        """The answer with what is known of its samples."""
        signals = replace(self._first.signals or AnswerSignals(), agreement=self._agreement())
        return replace(self._first, signals=signals, samples=tuple(self._outcomes))

    def _agreement(self) -> float | None:
        """See `AnswerSignals`; 0 of an answer that was asked for an option or a number and gave none."""
        if self._reading is not None and self._said is None:
            return 0.0
        return agreement(self._said, self._further)
