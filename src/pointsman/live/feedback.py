"""What is learnt of an answer after it was given: labels, on their way to the log and to what learns from them.

label()     from the gateway's route    -> the log
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from pointsman.store.decision_log import DecisionLog
from pointsman.types import Kept, Label


class Feedback:
    """Takes in labels. Its methods may be called from any thread; none waits, none raises.

    Args:
        log: keeps the labels.

    Attributes:
        kept: what became of all labels so far.
        lost: labels that could not be kept.
    """

    def __init__(self, log: DecisionLog) -> None:
        self._log = log
        self.kept = Kept()
        self.lost = 0

    def label(self, labels: Sequence[Label]) -> Future[Kept]:
        """Keep labels, all or none; see `DecisionLog.label`."""
        kept = self._log.label(labels)
        kept.add_done_callback(lambda done: self._written(labels, done))
        return kept

    def _written(self, labels: Sequence[Label], done: Future[Kept]) -> None:
        if done.exception() is not None:
            self.lost += len(labels)
        else:
            self.kept += done.result()
