"""What is learnt of an answer after it was given: labels, on their way to the log and to what learns from them.

wants()     from the driver, before a request runs    is its answer to be copied, for graders?
answered()  from the driver, once it was answered     -> graders
label()     from the gateway's route and from graders -> the log
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

from pointsman.live.graders import AnswerCopy, Grader, GraderThread
from pointsman.store.decision_log import DecisionLog
from pointsman.types import Kept, Label, Outcome, Request

MAX_WAITING = 100


class Feedback:
    """Takes in labels and answers. None of its methods but `close` waits, none raises; `label` is for any thread.

    Args:
        log: keeps the labels.
        graders: score a share of the answers.
        max_waiting: answers that may wait for them.

    Attributes:
        kept: what became of all labels so far.
        lost: labels that could not be kept.
        graders: their thread, if there are any.
    """

    def __init__(
        self, log: DecisionLog, graders: Sequence[Grader] = (), *, max_waiting: int = MAX_WAITING
    ) -> None:
        self._log = log
        self.kept = Kept()
        self.lost = 0
        self.graders = GraderThread(graders, self.label, max_waiting) if graders else None

    def wants(self, request: Request) -> bool:
        """Whether its answer is to be copied for `answered`."""
        return self.graders is not None and self.graders.wants(request)

    def answered(self, request: Request, outcome: Outcome, answer: AnswerCopy | None) -> None:
        """An answer was given out; the copy is there if it was wanted."""
        del outcome
        if self.graders is not None and answer is not None:
            self.graders.answered(request, answer)

    def label(self, labels: Sequence[Label]) -> Future[Kept]:
        """Keep labels, all or none; see `DecisionLog.label`."""
        kept = self._log.label(labels)
        kept.add_done_callback(partial(self._written, labels))
        return kept

    def close(self) -> None:
        """Grade what waits, for a few seconds at most; the log is closed by its owner, later."""
        if self.graders is not None:
            self.graders.close()

    def _written(self, labels: Sequence[Label], done: Future[Kept]) -> None:
        if done.exception() is not None:
            self.lost += len(labels)
        else:
            self.kept += done.result()
