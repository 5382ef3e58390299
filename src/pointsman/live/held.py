"""An answer that is held back until it has been judged: its pieces, and the signs it is judged by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

from pointsman.engines.base import Chunk, Usage
from pointsman.engines.logprobs import (
    Tokens,
    event_without_logprobs,
    read_logprobs,
    with_logprobs,
    without_logprobs,
)
from pointsman.engines.samples import read_text
from pointsman.engines.sse import data_of
from pointsman.errors import EngineGarbage
from pointsman.types import AnswerSignals, Endpoint, Request

MAX_HELD_BYTES: Final = 16 * 2**20
_NATURAL_ENDS: Final = frozenset({"stop", "tool_calls", "function_call"})


class HeldAnswer:
    """Asks for log-probabilities where the caller did not, and gives the answer out without them.

    Args:
        request: as the caller sent it.
        endpoint: asked for log-probabilities only if it declares that it gives them.

    Attributes:
        request: as it is sent to the endpoint.
    """

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        payload = request.payload
        asks = endpoint.capabilities.logprobs and isinstance(payload, bytes)
        body = with_logprobs(payload, request.api) if asks else None
        self.request = request if body is None else replace(request, payload=body)
        self._hide = body is not None
        self._endpoint = endpoint.name
        self._chunks: list[Chunk] = []
        self._size = 0

    def add(self, chunk: Chunk) -> None:
        """Keep a piece. Raises: EngineGarbage if the answer is over `MAX_HELD_BYTES`."""
        self._size += len(chunk.data)
        if self._size > MAX_HELD_BYTES:
            raise EngineGarbage(
                f"endpoint {self._endpoint} sent an answer of over {MAX_HELD_BYTES} bytes, too long to be judged",
                endpoint=self._endpoint,
                remedy="Lower max_tokens, or name the model",
            )
        self._chunks.append(chunk)

    def signals(self, usage: Usage) -> AnswerSignals:
        """What the answer tells of itself."""
        tokens: Tokens = []
        for data in self._data():
            tokens += read_logprobs(data)
        values = [value for _, value in tokens]
        return AnswerSignals(
            chosen_logprob=tokens[0][1] if tokens and _names_option(tokens[0][0]) else None,
            mean_logprob=sum(values) / len(values) if values else None,
            min_logprob=min(values) if values else None,
            output_tokens=len(values) or None if usage.output_tokens is None else usage.output_tokens,
            finished=None if usage.finish_reason is None else usage.finish_reason in _NATURAL_ENDS,
        )

    def text(self) -> str:
        """What its first choice says."""
        return "".join([read_text(data) for data in self._data()])

    def release(self) -> list[Chunk]:
        """The pieces as the caller would have got them."""
        if not self._hide:
            return self._chunks
        take_out = event_without_logprobs if self.request.stream else without_logprobs
        return [replace(chunk, data=take_out(chunk.data)) for chunk in self._chunks]

    def _data(self) -> Iterator[bytes]:
        """The JSON of each piece; an engine of other make may frame its own, which tell nothing."""
        for chunk in self._chunks:
            with suppress(ValueError):
                yield data_of(chunk.data) if self.request.stream else chunk.data


def _names_option(token: str) -> bool:
    """Whether a token is one capital letter, as the options of a multiple choice are named."""
    letter = token.strip()
    return len(letter) == 1 and "A" <= letter <= "Z"
