"""One submitted request, as its caller sees it: the decision, the answer's chunks, the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Final, Self

from pointsman.engines.base import Chunk
from pointsman.errors import PointsmanError
from pointsman.live.graders import AnswerCopy
from pointsman.live.held import HeldAnswer
from pointsman.types import Decision, Disposition, Outcome, Request

BUFFER_BYTES: Final = 256 * 1024
"""What may wait for a slow caller; beyond it the endpoint is not read any further."""


class Handle:
    """A request on its way. For one reader, on the event loop of its driver.

    Use it as an async context manager: leaving the block cancels a request that still lives.

        async with driver.submit(request) as handle:
            decision = await handle.settled()
            async for chunk in handle:
                ...
        handle.outcome

    Attributes:
        request: as submitted.
        decision: the last one; None until there is one.
        outcome: None until the request has ended.
        unused: its other runs, once it has ended; their answers were not given out.
        runs: how often it has been sent to an endpoint.
        held: answers held back, by their endpoint, until the request ends.
        given: a piece of an answer has been handed over.
        copy: of what is handed over, where somebody wants it.
        code: why it ended, as a word for error bodies; empty if it was answered.
        error: what its endpoint, or Pointsman, raised.
        cancel_reason: why it was given up; empty if it was not.
        arrived_s, decided_s, dispatched_s, sent_s: the driver's clock; None for what has not happened.
            `decided_s` is the first decision, `sent_s` when the engine was called.
    """

    def __init__(self, request: Request, arrived_s: float, cancel: Callable[[str], None]) -> None:
        self.request = request
        self.decision: Decision | None = None
        self.outcome: Outcome | None = None
        self.unused: tuple[Outcome, ...] = ()
        self.runs = 0
        self.held: dict[str, HeldAnswer] = {}
        self.given = False
        self.copy: AnswerCopy | None = None
        self.code = ""
        self.error: PointsmanError | None = None
        self.arrived_s = arrived_s
        self.decided_s: float | None = None
        self.dispatched_s: float | None = None
        self.sent_s: float | None = None
        self.cancel_reason = ""
        self._cancel = cancel
        self._chunks: list[Chunk] = []
        self._buffered_bytes = 0
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None

    # The caller's side

    @property
    def overhead_s(self) -> float:
        """Seconds spent in Pointsman before sending, without waiting in a queue."""
        if self.decided_s is None:
            return 0.0
        deciding_s = self.decided_s - self.arrived_s
        if self.dispatched_s is None or self.sent_s is None:
            return deciding_s
        return deciding_s + self.sent_s - self.dispatched_s

    async def settled(self) -> Decision | None:
        """Wait until the request is sent to its endpoint or has ended.

        Returns: the decision in force; None if it ended before there was one.
        """
        while self.sent_s is None and self.outcome is None:
            await self._news()
        return self.decision

    async def next_chunks(self) -> list[Chunk]:
        """All chunks that came since the last call, at least one; empty when the request has ended."""
        while not self._chunks:
            if self.outcome is not None:
                return []
            await self._news()
        chunks, self._chunks = self._chunks, []
        self._buffered_bytes = 0
        _wake(self._writer)
        return chunks

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        while chunks := await self.next_chunks():
            for chunk in chunks:
                yield chunk

    def cancel(self, reason: str = "the caller cancelled it") -> None:
        """Give the request up, wherever it is; nothing happens if it has ended."""
        if self.outcome is None:
            self._cancel(reason)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    async def _news(self) -> None:
        self._reader = asyncio.get_running_loop().create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    # The driver's side

    def decided(self, decision: Decision, now: float) -> None:
        """A decision was made."""
        self.decision = decision
        if self.decided_s is None:
            self.decided_s = now

    def sent(self, now: float) -> None:
        """The engine is called now."""
        self.sent_s = now
        self.runs += 1
        _wake(self._reader)

    async def give(self, chunk: Chunk) -> None:
        """Hand a chunk over; waits while the reader is `BUFFER_BYTES` behind."""
        self.given = True
        self._chunks.append(chunk)
        if self.copy is not None:
            self.copy.add(chunk.data)
        self._buffered_bytes += len(chunk.data)
        _wake(self._reader)
        while self._buffered_bytes > BUFFER_BYTES:
            self._writer = asyncio.get_running_loop().create_future()
            try:
                await self._writer
            finally:
                self._writer = None

    def ended(self, outcome: Outcome, code: str, unused: tuple[Outcome, ...] = ()) -> None:
        """The request has ended, by a held answer or without; chunks not yet read can still be."""
        if outcome.disposition is Disposition.ANSWERED and outcome.endpoint in self.held:
            released = self.held[outcome.endpoint].release()
            self._chunks.extend(released)
            if self.copy is not None:
                for chunk in released:
                    self.copy.add(chunk.data)
        self.held.clear()
        self.outcome, self.code, self.unused = outcome, code, unused
        _wake(self._reader)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
