"""What is learnt of an answer after it was given: labels, on their way to the log and to what learns from them.

    wants()     from the driver, before a request runs    is its answer to be copied, for graders?
    answered()  from the driver, once it was answered     -> graders, and what grows
    label()     from the gateway's route and from graders -> the log, then what grows, and the loop

No request waits for any of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial

from pointsman.clock import Clock
from pointsman.events import Labelled
from pointsman.live.graders import AnswerCopy, Grader, GraderThread
from pointsman.live.growth import Growth
from pointsman.store.decision_log import DecisionLog
from pointsman.store.labels import Served
from pointsman.types import Kept, Label, Outcome, Request

MAX_WAITING = 100


class Feedback:
    """Takes in labels and answers. None of its methods but `close` waits, none raises; `label` is for any thread.

    Args:
        log: keeps the labels.
        clock: tells when a label came.
        graders: score a share of the answers.
        max_waiting: answers that may wait for them.
        growth: learns from answers and labels, or None.

    Attributes:
        kept: what became of all labels so far.
        lost: labels that could not be kept.
        graders: their thread, if there are any.
    """

    def __init__(
        self,
        log: DecisionLog,
        clock: Clock,
        graders: Sequence[Grader] = (),
        *,
        max_waiting: int = MAX_WAITING,
        growth: Growth | None = None,
    ) -> None:
        self._log, self._clock, self.growth = log, clock, growth
        self.kept = Kept()
        self.lost = 0
        self._told: Callable[[Labelled], object] | None = None
        self.graders = GraderThread(graders, self.label, max_waiting) if graders else None

    def listen(self, post: Callable[[Labelled], None]) -> None:
        """Tell of labels once they are kept, on the running event loop; the first who listens is told."""
        if self._told is None:
            loop = asyncio.get_running_loop()
            self._told = lambda event: loop.call_soon_threadsafe(post, event)

    def wants(self, request: Request) -> bool:
        """Whether its answer is to be copied for `answered`."""
        return self.graders is not None and self.graders.wants(request)

    def answered(self, request: Request, outcome: Outcome, answer: AnswerCopy | None) -> None:
        """An answer was given out; the copy is there if it was wanted."""
        if self.growth is not None:
            prompt = request.prompt
            self.growth.answered(
                Served(request.id, prompt.text, prompt.task, outcome.endpoint, outcome.output_tokens)
            )
        if self.graders is not None and answer is not None:
            self.graders.answered(request, answer)

    def label(self, labels: Sequence[Label]) -> Future[Kept]:
        """Keep labels, all or none; see `DecisionLog.label`."""
        kept = self._log.label(labels)
        kept.add_done_callback(partial(self._written, labels))
        return kept

    def close(self) -> None:
        """Grade what waits, for a few seconds at most, and stop growing; the log is closed by its owner, later."""
        if self.graders is not None:
            self.graders.close()
        if self.growth is not None:
            self.growth.close()

    def _written(self, labels: Sequence[Label], done: Future[Kept]) -> None:
        if done.exception() is not None:
            self.lost += len(labels)
            return
        self.kept += done.result()
        if self.growth is not None:
            self.growth.labelled(labels, self._clock.wall())
        if self._told is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._told(Labelled(tuple(labels)))
