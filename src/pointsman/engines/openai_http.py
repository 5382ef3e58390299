"""Any endpoint that speaks OpenAI's chat and text completions over HTTP.

The body of a request is passed on as it came: only `model` is set to the upstream name, for a stream
`stream_options.include_usage`, since token counts are needed, and where the server is told of our order
what `engines/priority.py` says. One HTTP session is kept an engine. Times are measured here, from sending to each byte, on the monotonic clock.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import aiohttp
import msgspec

from pointsman.engines.answer import AnswerReader, Garbage
from pointsman.engines.base import Chunk, Timeouts, Usage
from pointsman.engines.priority import NOTHING, Telling, Told, add_told, told_of
from pointsman.errors import (
    BadRequest,
    EngineCut,
    EngineGarbage,
    EngineRejected,
    EngineTimeout,
    EngineUnreachable,
)
from pointsman.types import Api, EndpointLoad, Request

MAX_ANSWER_BYTES: Final = 64 * 2**20
KEEPALIVE_S: Final = 2.0
"""Idle connections are given up after this; servers (uvicorn, llama.cpp) close theirs after 5 s, and a
request that meets a closing connection would fail without having been read."""

_MAX_ERROR_BYTES: Final = 64 * 1024
_HIDDEN: Final = b"***"
_PATHS: Final = {Api.CHAT: "/chat/completions", Api.COMPLETIONS: "/completions"}
_OK: Final = 200
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_options = msgspec.json.Decoder(dict[str, Any] | None).decode
_encode = msgspec.json.encode


def upstream_body(
    body: bytes, model: str, *, stream: bool, told: Mapping[str, Told] = NOTHING
) -> tuple[bytes, bool]:
    """The body to send on, with the fields `told`, and whether the caller asked for usage itself.

    Raises: BadRequest if `body` is not a JSON object, or has one of the fields that are told.
    """
    try:
        fields = _decode_fields(body)
        fields["model"] = msgspec.Raw(_encode(model))
        add_told(fields, told)
        if not stream:
            return _encode(fields), True
        options = _decode_options(fields.get("stream_options", b"null")) or {}
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not a JSON object that can be sent on: {error}") from error
    asked = options.get("include_usage") is True
    if not asked:
        fields["stream_options"] = msgspec.Raw(_encode({**options, "include_usage": True}))
    return _encode(fields), asked


class OpenAIEngine:
    """Runs requests on one OpenAI-compatible endpoint.

    Args:
        name: the endpoint's name, used in errors.
        base_url: with the version, e.g. `http://127.0.0.1:8000/v1`.
        upstream_model: the name the server knows the model by.
        api_key: sent as a bearer token; never logged, and masked in what the endpoint says.
        timeouts: limits on silence.
        headers: further headers to send.
        llama_cpp: the server is llama.cpp, which closes the connection after a stream, and says so only
            if it is asked to; otherwise the next request could meet the closing connection. Learned
            from the first answer where it is not given.
        priority: how the server is told of the order of our queue; None: not at all.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        upstream_model: str,
        *,
        api_key: str | None = None,
        timeouts: Timeouts | None = None,
        headers: Mapping[str, str] | None = None,
        llama_cpp: bool = False,
        priority: Telling | None = None,
    ) -> None:
        self.name = name
        self._urls = {api: base_url.rstrip("/") + path for api, path in _PATHS.items()}
        self._model = upstream_model
        self._timeouts = timeouts or Timeouts()
        # Without compression an event is never held back by a compressor's buffer.
        self._headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",
            **(headers or {}),
        }
        self._key = (api_key or "").encode()
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._llama_cpp = llama_cpp
        self._priority = priority
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            limits = aiohttp.ClientTimeout(total=None, sock_connect=self._timeouts.connect_s)
            # The scheduler bounds what is outstanding, so the pool must not queue a second time.
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S)
            self._session = aiohttp.ClientSession(timeout=limits, connector=connector)
        return self._session

    async def run(self, request: Request) -> AsyncGenerator[Chunk | Usage, None]:
        """Give the answer's chunks, then its usage. See `Engine.run`."""
        told = told_of(request.turn, self._priority)
        body, asked = upstream_body(request.payload, self._model, stream=request.stream, told=told)
        reader = AnswerReader(time.monotonic(), hide_usage=not asked)
        with self._errors(reader):
            response = await self._send(self._urls[request.api], body, stream=request.stream)
            async with response:
                if response.status != _OK:
                    raise await self._rejected(response, reader)
                if not request.stream:
                    yield reader.whole(await self._read_at_most(response, MAX_ANSWER_BYTES, reader))
                else:
                    while not response.content.at_eof():
                        data = await self._read(response, reader)
                        for chunk in reader.feed(data):
                            yield chunk
                    for chunk in reader.finish():
                        yield chunk
        if request.stream and not reader.complete:
            raise self._cut(reader)
        yield reader.usage(time.monotonic())

    @contextmanager
    def _errors(self, reader: AnswerReader) -> Iterator[None]:
        """Say what went wrong as an EngineError, whatever the HTTP client calls it."""
        try:
            yield
        except aiohttp.ConnectionTimeoutError as error:
            raise self._unreachable(f"no connection within {self._timeouts.connect_s:g} s") from error
        except TimeoutError as error:
            raise EngineTimeout(
                f"endpoint {self.name} gave no {'further' if reader.started else 'first'} byte in time "
                f"({time.monotonic() - reader.sent_at_s:.1f} s after sending)",
                endpoint=self.name,
                started=reader.started,
                remedy="Raise the endpoint's timeouts or look whether it hangs",
            ) from error
        except aiohttp.ClientSSLError as error:
            raise self._unreachable("its TLS certificate or handshake was not accepted") from error
        except aiohttp.ClientConnectorError as error:
            raise self._unreachable(_why(error.os_error)) from error
        except (
            aiohttp.ClientPayloadError,
            aiohttp.ClientOSError,
            aiohttp.ServerDisconnectedError,
            ConnectionError,
        ) as error:
            raise self._cut(reader) from error
        except aiohttp.ClientError as error:
            raise self._garbage(f"no HTTP ({type(error).__name__})", reader) from error
        except Garbage as error:
            raise self._garbage(str(error), reader) from error

    async def _send(self, url: str, body: bytes, *, stream: bool) -> aiohttp.ClientResponse:
        headers = self._headers | {"connection": "close"} if stream and self._llama_cpp else self._headers
        async with asyncio.timeout(min(self._timeouts.first_byte_s, self._timeouts.total_s)):
            response = await self._open().post(url, data=body, headers=headers, allow_redirects=False)
        self._llama_cpp = self._llama_cpp or response.headers.get("server") == "llama.cpp"
        return response

    async def _read(self, response: aiohttp.ClientResponse, reader: AnswerReader) -> bytes:
        """The next bytes, or empty at the end; the limits never span a `yield`."""
        limits, spent_s = self._timeouts, time.monotonic() - reader.sent_at_s
        # A server may send headers at once and the first event only when the prompt is computed.
        silence_s = limits.between_chunks_s if reader.started else limits.first_byte_s - spent_s
        async with asyncio.timeout(min(silence_s, limits.total_s - spent_s)):
            return await response.content.readany()

    async def _rejected(self, response: aiohttp.ClientResponse, reader: AnswerReader) -> EngineRejected:
        said = await self._read_at_most(response, _MAX_ERROR_BYTES, reader)
        return EngineRejected(
            f"endpoint {self.name} answered with status {response.status}",
            endpoint=self.name,
            status=response.status,
            body=said.replace(self._key, _HIDDEN) if self._key else said,
            retry_after=response.headers.get("retry-after"),
        )

    async def _read_at_most(
        self, response: aiohttp.ClientResponse, limit: int, reader: AnswerReader
    ) -> bytes:
        parts: list[bytes] = []
        size = 0
        while not response.content.at_eof():
            part = await self._read(response, reader)
            size += len(part)
            if size > limit:
                raise Garbage(f"an answer of over {limit} bytes")
            parts.append(part)
        return b"".join(parts)

    def _unreachable(self, why: str) -> EngineUnreachable:
        return EngineUnreachable(
            f"endpoint {self.name} can't be reached: {why}",
            endpoint=self.name,
            remedy="Start it, or correct its api_base",
        )

    def _garbage(self, what: str, reader: AnswerReader) -> EngineGarbage:
        return EngineGarbage(
            f"endpoint {self.name} sent what is no OpenAI answer: {what}",
            endpoint=self.name,
            started=reader.started,
            remedy="Check that its api_base points at an OpenAI-compatible server",
        )

    def _cut(self, reader: AnswerReader) -> EngineCut:
        when = "in the middle of the answer" if reader.started else "before any byte of the answer"
        return EngineCut(
            f"endpoint {self.name} closed the connection {when}", endpoint=self.name, started=reader.started
        )

    async def load(self) -> EndpointLoad | None:
        """None: an OpenAI endpoint reports no load of itself."""
        return None

    async def close(self) -> None:
        """Close the HTTP session."""
        if self._session is not None:
            await self._session.close()


def _why(error: OSError) -> str:
    """Why a connection could not be made, without the address."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, socket.gaierror):
        return "its host name is unknown"
    return os.strerror(error.errno) if error.errno else type(error).__name__
