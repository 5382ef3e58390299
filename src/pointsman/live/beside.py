"""Predictions that take milliseconds are made in a thread, so that the event loop serves others meanwhile.

A predictor asks for it with the attribute `slow` (see `predict.base.is_slow`). One thread makes one batch
after another, so a predictor is never asked twice at once. What is not there at its deadline is bypassed
(invariant 9); what could only come too late is not begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from pointsman.clock import Clock
from pointsman.events import Event, Predict, Predicted, PredictFailed, PredictionDue, Woke
from pointsman.live.parts import Parts
from pointsman.types import Request

Answer = Predicted | PredictFailed


class PredictionThread:
    """Answers `Predict` commands through `post`, which is called on the event loop.

    Each request of a command is answered once: by its predictions, or at the deadline by `Woke`. An
    id that has come again meanwhile is another request and gets its own answer.
    """

    def __init__(self, parts: Parts, clock: Clock, post: Callable[[Event], None]) -> None:
        self._parts, self._clock, self._post = parts, clock, post
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="pointsman-predict")
        self._waiting: dict[str, Request] = {}

    def start(self, command: Predict) -> None:
        """Begin a batch."""
        self._waiting |= {request.id: request for request in command.requests}
        loop = asyncio.get_running_loop()
        delay_s = max(0.0, command.deadline_s - self._clock.now())
        deadline = loop.call_later(delay_s, self._late, command)
        future = loop.run_in_executor(self._executor, self._predict, command)
        future.add_done_callback(partial(self._made, command, deadline))

    def close(self) -> None:
        """Begin nothing more and answer nothing more; the thread ends with its present batch."""
        self._waiting.clear()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _predict(self, command: Predict) -> Answer:
        if self._clock.now() >= command.deadline_s:
            return PredictFailed(tuple(request.id for request in command.requests), "predictions were late")
        return self._parts.predict(command)

    def _late(self, command: Predict) -> None:
        if rows := self._claim(command):
            self._post(Woke(PredictionDue(tuple(command.requests[row].id for row in rows))))

    def _made(self, command: Predict, deadline: asyncio.TimerHandle, future: asyncio.Future[Answer]) -> None:
        deadline.cancel()
        rows = self._claim(command)
        if future.cancelled() or not rows:
            return
        answer = future.result()
        request_ids = tuple(answer.request_ids[row] for row in rows)
        if isinstance(answer, PredictFailed):
            self._post(PredictFailed(request_ids, answer.reason))
        elif len(rows) == len(answer.request_ids):
            self._post(answer)
        else:
            self._post(Predicted(request_ids, answer.table.take(np.array(rows))))

    def _claim(self, command: Predict) -> list[int]:
        """The rows of requests that still wait for this command; they wait no longer."""
        rows = [
            row for row, request in enumerate(command.requests) if self._waiting.get(request.id) is request
        ]
        for row in rows:
            del self._waiting[command.requests[row].id]
        return rows
