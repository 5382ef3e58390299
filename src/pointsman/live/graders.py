"""Graders: plug-ins that score a share of the answers, after they were given, in a thread of their own.

    answered -> bounded queue -> one thread: judge(prompt, answer) -> a label of the grader's name

No request waits for a grader. Where the queue is full, or an answer is longer than is kept for grading, it is
not graded; what a grader raises, or a score that is none, is counted and logged. A grader that hangs stops
the grading alone.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from pointsman.engines.samples import text_of
from pointsman.errors import origin
from pointsman.types import Label, Request

MAX_ANSWER_BYTES: Final = 2**20
"""Longer answers, as they come over the wire, are not graded."""

Judge = Callable[[str, str], float | None]
"""The last user turn and the answer's text to a score in [0, 1]; None where it can't tell."""

_HASH_BYTES: Final = 7
_HASH_RANGE: Final = 2.0 ** (8 * _HASH_BYTES)
_RESULTS: Final = ("scored", "no_score", "failed")
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Grader:
    """A judge, and the share of answers that it is asked about.

    Attributes:
        name: the source of its labels.
        share: in [0, 1]; a request's id decides.
    """

    name: str
    share: float
    judge: Judge

    def samples(self, request_id: str) -> bool:
        """Whether it grades the answer to this request."""
        key = f"{self.name}\0grade\0{request_id}".encode(errors="replace")
        drawn = int.from_bytes(blake2b(key, digest_size=_HASH_BYTES).digest(), "big")
        return drawn / _HASH_RANGE < self.share


class AnswerCopy:
    """The pieces of one answer as they are given out, up to `MAX_ANSWER_BYTES`."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self._left_bytes = MAX_ANSWER_BYTES

    @property
    def whole(self) -> bool:
        """Whether nothing was left out."""
        return self._left_bytes >= 0

    def add(self, data: bytes) -> None:
        """Keep a piece; once it is too long, nothing is kept."""
        self._left_bytes -= len(data)
        if self.whole:
            self.pieces.append(data)
        else:
            self.pieces.clear()


class GraderThread:
    """Asks graders, one answer after another.

    Args:
        graders: names unique.
        label: takes their labels in.
        max_waiting: answers that may wait.

    Attributes:
        dropped: answers that were not graded, for want of room or for their length.
        graded: by (grader, how it went): scored, no_score, failed.
    """

    def __init__(
        self, graders: Sequence[Grader], label: Callable[[Sequence[Label]], object], max_waiting: int
    ) -> None:
        self.dropped = 0
        # Complete from the start: it is read while the thread counts.
        self.graded = {(grader.name, result): 0 for grader in graders for result in _RESULTS}
        self._graders, self._label = tuple(graders), label
        self._queue: queue.Queue[tuple[Request, AnswerCopy] | None] = queue.Queue(max_waiting)
        self._thread = threading.Thread(target=self._grade_all, name="pointsman-grade", daemon=True)
        self._thread.start()

    def wants(self, request: Request) -> bool:
        """Whether the answer to it is to be copied and handed over."""
        return any(grader.samples(request.id) for grader in self._graders)

    def answered(self, request: Request, answer: AnswerCopy) -> None:
        """Grade an answer some time. Never waits, never raises."""
        if not answer.whole:
            self.dropped += 1
            return
        try:
            self._queue.put_nowait((request, answer))
        except queue.Full:
            self.dropped += 1

    def close(self, timeout_s: float = 5.0) -> None:
        """Grade what waits, for so long at most."""
        try:
            self._queue.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _grade_all(self) -> None:
        while (waiting := self._queue.get()) is not None:
            request, answer = waiting
            text = text_of(answer.pieces, streamed=request.stream)
            for grader in self._graders:
                if grader.samples(request.id):
                    self._grade(grader, request, text)

    def _grade(self, grader: Grader, request: Request, text: str) -> None:
        try:
            score = grader.judge(request.prompt.text, text)
            score = None if score is None else float(score)
        except Exception as error:  # noqa: BLE001 - a plug-in's fault is counted, and harms no request
            self._failed(grader, f"raised {origin(error)}")
            return
        if score is None:
            self.graded[grader.name, "no_score"] += 1
        elif not (math.isfinite(score) and 0 <= score <= 1):
            self._failed(grader, f"gave {score}, not a share in [0, 1]")
        else:
            self.graded[grader.name, "scored"] += 1
            self._label([Label(request.id, score, grader.name)])

    def _failed(self, grader: Grader, why: str) -> None:
        self.graded[grader.name, "failed"] += 1
        _log.error("grader %s %s", grader.name, why)
