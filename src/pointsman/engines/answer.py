"""One answer as it comes in: its times, its token counts, and whether it is one at all."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec

from pointsman.engines.base import Chunk, Usage
from pointsman.engines.sse import Answer, EventSplitter, data_of, decode_answer

_NOTHING = Answer()


class Garbage(ValueError):
    """What came is no OpenAI answer; the text says why."""


class AnswerReader:
    """Turns the bytes of one answer into chunks and notes what `Usage` needs.

    Args:
        sent_at_s: when the request was sent, monotonic seconds.
        hide_usage: hold back a stream's usage chunk, which the caller did not ask for.

    Attributes:
        started: a chunk has been given.
        complete: the stream said its end, by `[DONE]` or a finish reason.
    """

    def __init__(self, sent_at_s: float, *, hide_usage: bool) -> None:
        self.sent_at_s = sent_at_s
        self.started = False
        self.complete = False
        self._hide_usage = hide_usage
        self._splitter = EventSplitter()
        self._reported = _NOTHING
        self._finish_reason: str | None = None
        self._first_token_at_s: float | None = None
        self._last_token_at_s: float | None = None

    def whole(self, body: bytes) -> Chunk:
        """An answer that was not streamed. Raises: Garbage."""
        self._reported = _decoded(body)
        if not self._reported.choices:
            raise Garbage("it holds no choices")
        self._finish_reason = self._reported.finish_reason()
        self.started = self.complete = True
        return Chunk(body, first_token=True)

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """The stream's next bytes; gives the events that they complete. Raises: Garbage."""
        try:
            for event in self._splitter.feed(data):
                if (chunk := self._event(event)) is not None:
                    self.started = True
                    yield chunk
        except ValueError as error:
            raise Garbage(str(error)) from error

    def finish(self) -> Iterator[Chunk]:
        """The stream has ended; gives what came without a closing blank line, if that is an event."""
        rest, self._splitter.rest = self._splitter.rest, b""
        if not rest.strip():
            return
        try:
            chunk = self._event(rest)
        except ValueError as error:
            if self.started:
                return  # an event cut in two: the stream is incomplete, not garbage
            raise Garbage(str(error)) from error
        if chunk is not None:
            self.started = True
            yield chunk

    def usage(self, now_s: float) -> Usage:
        """What was reported and measured, at the end of the answer."""
        reported = self._reported.usage
        output_tokens = reported.completion_tokens if reported else None
        ttft_s = tpot_s = None
        if self._first_token_at_s is not None and self._last_token_at_s is not None:
            ttft_s = self._first_token_at_s - self.sent_at_s
            if output_tokens is not None and output_tokens > 1:
                tpot_s = (self._last_token_at_s - self._first_token_at_s) / (output_tokens - 1)
        return Usage(
            input_tokens=reported.prompt_tokens if reported else None,
            output_tokens=output_tokens,
            cached_tokens=self._reported.cached_tokens(),
            ttft_s=ttft_s,
            tpot_s=tpot_s,
            e2e_s=now_s - self.sent_at_s,
            finish_reason=self._finish_reason,
        )

    def _event(self, event: bytes) -> Chunk | None:
        """One event: note its times and counts; None if it is the hidden usage chunk."""
        data = data_of(event)
        if not data:
            return Chunk(event)
        if data == b"[DONE]":
            self.complete = True
            return Chunk(event)
        answer = _decoded(data)
        if answer.error is not None:
            raise Garbage("an error inside the stream")
        if answer.usage is not None:
            self._reported = answer
        if reason := answer.finish_reason():
            self._finish_reason = reason
            self.complete = True
        first = False
        if answer.has_text():
            self._last_token_at_s = time.monotonic()
            if self._first_token_at_s is None:
                self._first_token_at_s = self._last_token_at_s
                first = True
        if self._hide_usage and answer.usage is not None and not answer.choices:
            return None
        return Chunk(event, first_token=first)


def _decoded(data: bytes) -> Answer:
    try:
        return decode_answer(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbage(str(error)) from error
