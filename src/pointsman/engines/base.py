"""An engine runs a request on one endpoint and gives what comes back, piece by piece."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from pointsman.types import EndpointLoad, Request


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer, exactly as the endpoint sent it.

    Attributes:
        data: raw bytes: of the event stream when the request streams, else of the JSON body.
        first_token: this piece holds the first generated text.
    """

    data: bytes
    first_token: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """What an endpoint reported at the end of an answer, and the times that were measured.

    Times are seconds from sending the request, on the engine's own monotonic clock. Token counts are
    None if the endpoint did not report them.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None
    finish_reason: str | None = None
    status: int = 200


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits on an endpoint's silence, in seconds.

    Attributes:
        connect_s: to open the connection.
        first_byte_s: from sending to the first byte of the answer; an answer that is not streamed
            sends its first byte when it is complete.
        between_chunks_s: longest silence after the first byte (a stalled stream).
        total_s: the whole request.
    """

    connect_s: float = 5.0
    first_byte_s: float = 300.0
    between_chunks_s: float = 60.0
    total_s: float = 900.0


class Engine(Protocol):
    """Runs requests on one endpoint."""

    def run(self, request: Request) -> AsyncGenerator[Chunk | Usage, None]:
        """Give the chunks of the answer in order, then exactly one `Usage` as the last item.

        Closing the generator cancels the request upstream.
        Raises: EngineError (one of its kinds); `started` tells whether a chunk had been given.
        """
        ...

    async def load(self) -> EndpointLoad | None:
        """The load the endpoint reports of itself, or None if it reports none."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...
