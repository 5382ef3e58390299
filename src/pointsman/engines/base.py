"""An engine runs a request on one endpoint and gives what comes back, piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator
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


class Engine(Protocol):
    """Runs requests on one endpoint."""

    def run(self, request: Request) -> AsyncIterator[Chunk | Usage]:
        """Give the chunks of the answer in order, then exactly one `Usage` as the last item.

        Closing the iterator cancels the request upstream.
        Raises: EngineError (one of its kinds); `started` tells whether a chunk had been given.
        """
        ...

    async def load(self) -> EndpointLoad | None:
        """The load the endpoint reports of itself, or None if it reports none."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...
