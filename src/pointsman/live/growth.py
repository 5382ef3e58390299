"""A learned predictor grows while it serves: the outcomes of answered requests join those it looks up.

    answered, labelled -> bounded queue -> one thread: encode, once -> ring -> a grown model -> swapped in

A decision never waits for it and never sees half of it: the thread makes another model and then puts it in the
place of the former. Answers without a label teach their length alone. What is not encoded in time, or fails,
is dropped and counted. The thread makes models for at most a twentieth of the time.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from pointsman.clock import Clock
from pointsman.errors import DataError, origin
from pointsman.learn.recent import RecentOutcomes, RecentRow
from pointsman.predict.features.core_text import core_text
from pointsman.predict.learned import LearnedPredictor
from pointsman.predict.quality.base import Queries
from pointsman.predict.quality.knn import KnnQuality
from pointsman.predict.quality.learned_model import LearnedModel
from pointsman.store.labels import Served
from pointsman.types import Label

MAX_WAITING: Final = 1_000
_AT_ONCE: Final = 256
_REST: Final = 19.0
"""Seconds of rest for each second that a model took."""

_log: Final = logging.getLogger(__name__)

_Labelled = tuple[Sequence[Label], float]
_Item = Served | _Labelled | threading.Event | None


def check_growing(model: LearnedModel) -> KnnQuality:
    """The part of a model that can grow. Raises: DataError if it looks up no past outcomes."""
    if model.retrieval is None:
        raise DataError(
            f"a model of the kind {model.name} looks up no past outcomes, so it can't grow",
            remedy="Make one with: pointsman train --model knn (or blend); or remove `grow`",
        )
    return model.retrieval


class Growth:
    """Grows one predictor. Its methods but `flush` and `close` never wait and never raise; any thread may call them.

    Args:
        predictor: its model is replaced; it must look up past outcomes.
        most: outcomes kept; where there are more, the oldest go.
        clock: measures how long a model took.
        past: what to begin with: answered requests, the oldest first, and their labels.

    Attributes:
        dropped: outcomes and labels that were not taken in: no room, or a failure.
        rows: outcomes in the present model.

    Raises: DataError for a model that looks up nothing.
    """

    def __init__(
        self,
        predictor: LearnedPredictor,
        most: int,
        clock: Clock,
        past: tuple[Sequence[Served], Sequence[Label]] = ((), ()),
    ) -> None:
        self._predictor, self._clock = predictor, clock
        self._base = predictor.model
        self._space = check_growing(self._base).space
        self.dropped = self.rows = 0
        self._recent = RecentOutcomes(most, len(self._base.endpoints))
        self._closing = threading.Event()
        self._queue: queue.Queue[_Item] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._grow, args=past, name="pointsman-grow", daemon=True)
        self._thread.start()

    def answered(self, served: Served) -> None:
        """A request was answered."""
        self._put(served)

    def labelled(self, labels: Sequence[Label], unix_s: float) -> None:
        """Labels were taken in at `unix_s`."""
        self._put((labels, unix_s))

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until all that was put in is in the model, or dropped; False if that takes longer."""
        done = threading.Event()
        try:
            self._queue.put(done, timeout=timeout_s)
        except queue.Full:
            return False
        return done.wait(timeout_s)

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop; what waits is dropped."""
        self._closing.set()
        with suppress(queue.Full):  # else the thread has something to wake up for
            self._queue.put_nowait(None)
        self._thread.join(timeout_s)

    def _put(self, item: Served | _Labelled) -> None:
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            self.dropped += 1

    def _grow(self, served: Sequence[Served], labels: Sequence[Label]) -> None:
        for start in range(0, len(served), _AT_ONCE):
            self._take(served[start : start + _AT_ONCE])
        self._recent.label(labels, 0.0)  # those of the log have their times
        due_s, stale = self._swap(), False
        while not self._closing.is_set():
            batch = self._next(max(0.0, due_s - self._clock.now()) if stale else None)
            self._take([item for item in batch if isinstance(item, Served)])
            for item in batch:
                if isinstance(item, tuple):
                    self._recent.label(*item)
            waiting = [item for item in batch if isinstance(item, threading.Event)]
            stale = True
            if waiting or self._clock.now() >= due_s:
                due_s, stale = self._swap(), False
            for each in waiting:
                each.set()

    def _next(self, timeout_s: float | None) -> list[_Item]:
        """What has come, as soon as something has; nothing after `timeout_s`."""
        try:
            batch = [self._queue.get(timeout=timeout_s)]
        except queue.Empty:
            return []
        while len(batch) < _AT_ONCE and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        return batch

    def _take(self, served: Sequence[Served]) -> None:
        """Encode answers of endpoints that the model knows; none once it closes."""
        columns = [self._predictor.column_of(each.endpoint) for each in served]
        known = [(each, column) for each, column in zip(served, columns, strict=True) if column is not None]
        if not known or self._closing.is_set():
            return
        try:
            texts = [core_text(each.text) for each, _ in known]
            encoded = self._space.rows(Queries(texts, [each.task for each, _ in known]))
        except Exception as error:  # noqa: BLE001 - what can't be learnt must not end the learning
            self.dropped += len(known)
            _log.error("outcomes could not be encoded: %s", origin(error))
            return
        for (each, column), row in zip(known, encoded, strict=True):
            tokens = float("nan") if each.output_tokens is None else each.output_tokens
            self._recent.add(RecentRow(each.request_id, row.copy(), each.task, column, tokens))

    def _swap(self) -> float:
        """Put a model with all recent outcomes in the place of the former; when the next may be made."""
        if not len(self._recent) or self._closing.is_set():
            return self._clock.now()
        began_s = self._clock.now()
        made = self._recent.arrays()
        self._predictor.model = self._base.grown(made.encoded, made.tasks, made.quality, made.output_tokens)
        self.rows = len(made.tasks)
        ended_s = self._clock.now()
        return ended_s + _REST * (ended_s - began_s)
