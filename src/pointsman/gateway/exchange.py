"""One HTTP request and its answer over ASGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final

import msgspec

from pointsman.gateway.headers import Header, header_value
from pointsman.gateway.metrics import GatewayMetrics
from pointsman.gateway.options import request_id_of
from pointsman.gateway.refusals import BodyTooLarge, Refusal
from pointsman.live import Handle

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON: Final = (b"content-type", b"application/json")
_DISCARDED: Final = 8
"""A body over the limit is read and thrown away, up to so many limits, so that its sender reads our answer."""


class Exchange:
    """Reads a request and writes its answer.

    Attributes:
        headers: by name in lower case; of a repeated one the last.
        request_id: goes out with every answer as `x-request-id`.
        started: the answer's status has been sent.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        metrics: GatewayMetrics,
        is_alive: Callable[[str], bool],
    ) -> None:
        self.path: str = scope["path"]
        self.method: str = scope["method"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.request_id = request_id_of(self.headers, is_alive)
        self.started = False
        self._receive = receive
        self._send = send
        self._metrics = metrics

    async def read_body(self, limit: int) -> bytes | None:
        """The whole body; None if the caller went away. Raises: BodyTooLarge."""
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            body: bytes = message.get("body", b"")
            if len(body) > limit:
                raise _too_large(limit)
            return body
        parts: list[bytes] = []
        size = 0
        while message["type"] == "http.request":
            size += len(message.get("body", b""))
            if size <= limit:
                parts.append(message.get("body", b""))
            else:
                parts.clear()
            if not message.get("more_body") or size > _DISCARDED * limit:
                if size > limit:
                    raise _too_large(limit)
                return b"".join(parts)
            message = await self._receive()
        return None

    async def until_gone(self, handle: Handle) -> None:
        """Wait until the caller closes the connection, then give its request up."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        handle.cancel("the caller went away")

    async def start(self, status: int, headers: Sequence[Header]) -> None:
        """Send the status and the headers."""
        self.started = True
        self._metrics.responded(status)
        # A list, since servers may add their own.
        sent = [*headers, (b"x-request-id", header_value(self.request_id))]
        await self._send({"type": "http.response.start", "status": status, "headers": sent})

    async def more(self, data: bytes) -> None:
        """Send a part of the body; waits while the caller is slow."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        """Send the last part of the body."""
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def answer(self, status: int, body: bytes, headers: Sequence[Header]) -> None:
        """Send a whole answer."""
        await self.start(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self.end(body)

    async def answer_json(self, content: object, status: int = 200) -> None:
        """Send an object as JSON."""
        await self.answer(status, msgspec.json.encode(content), [JSON])

    async def refuse(self, refusal: Refusal, headers: Sequence[Header] = ()) -> None:
        """Send an error; an answer that has begun can only be broken off."""
        if self.started:
            return
        own = [JSON] if refusal.retry_after is None else [JSON, (b"retry-after", refusal.retry_after)]
        await self.answer(refusal.status, refusal.body, [*own, *headers])


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"the body is over the limit of {limit} bytes",
        remedy="Send less, or raise server.max_body_bytes",
    )
