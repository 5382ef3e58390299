"""Reading of OpenAI answers: just as much as times and token counts need.

Rules of the event stream: events end with a blank line; a `data:` line holds a JSON chunk or
`[DONE]`. Events are given on byte for byte; only the usage chunk that the engine asked for itself is
held back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

MAX_EVENT_BYTES: Final = 8 * 2**20
"""An event longer than this is garbage: no engine sends one."""


_BLANK_LINE: Final = re.compile(rb"\r?\n\r?\n")
_OTHER_FIELDS: Final = (b"", b"event", b"id", b"retry")  # a comment begins with the colon


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[msgspec.Raw] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class Answer(msgspec.Struct):
    """The parts of a chunk, or of a whole answer, that are read."""

    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: msgspec.Raw | None = None

    def has_text(self) -> bool:
        """Whether any choice carries generated text or a tool call."""
        return any(
            choice.text
            or (
                choice.delta
                and (choice.delta.content or choice.delta.reasoning_content or choice.delta.tool_calls)
            )
            for choice in self.choices
        )

    def finish_reason(self) -> str | None:
        """The first finish reason given."""
        return next((choice.finish_reason for choice in self.choices if choice.finish_reason), None)

    def cached_tokens(self) -> int | None:
        """Prompt tokens the server reports as cached."""
        details = self.usage.prompt_tokens_details if self.usage else None
        return details.cached_tokens if details else None


decode_answer = msgspec.json.Decoder(Answer).decode


class EventSplitter:
    """Cuts a byte stream into whole events, each with its closing blank line; no byte is changed.

    Lines end with LF or CRLF. `feed` holds back an incomplete tail; `rest` is what was left when the
    stream ended.
    """

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give the events completed by `data`. Raises ValueError on an event over the limit."""
        buffer = self.rest + data if self.rest else data
        # The old tail holds no whole separator, but its last three bytes may begin one.
        searched = max(0, len(self.rest) - 3)
        start = 0
        if b"\r" in buffer:
            for blank in _BLANK_LINE.finditer(buffer, searched):
                yield buffer[start : blank.end()]
                start = blank.end()
        else:
            while (end := buffer.find(b"\n\n", searched)) >= 0:
                yield buffer[start : end + 2]
                start = searched = end + 2
        self.rest = buffer[start:]
        if len(self.rest) > MAX_EVENT_BYTES:
            raise ValueError(f"an event of over {MAX_EVENT_BYTES} bytes")


def data_of(event: bytes) -> bytes:
    """The payload of an event: its `data:` lines joined; empty for comments and pings.

    Raises: ValueError if it is no event, but e.g. a page of HTML.
    """
    if event.startswith(b"data:"):
        first_end = event.find(b"\n")
        if first_end < 0 or not event[first_end:].strip():  # the common case: one line and a blank one
            return event[5:].strip()
    data = []
    for line in event.splitlines():
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.strip())
        elif line and field not in _OTHER_FIELDS:
            raise ValueError(f"a line that is no event's: {line[:40]!r}")
    return b"\n".join(data)
