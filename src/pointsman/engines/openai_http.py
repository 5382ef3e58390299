"""Any endpoint that speaks OpenAI's chat and text completions over HTTP.

The body of a request is passed on as it came: only `model` is set to the upstream name and, for a
stream, `stream_options.include_usage`, since token counts are needed. One HTTP session is kept an
engine. Times are measured here, from sending to each byte, on the monotonic clock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import msgspec

from pointsman.engines.base import Chunk, Timeouts, Usage
from pointsman.engines.sse import Answer, EventSplitter, data_of, decode_answer
from pointsman.errors import (
    BadRequest,
    EngineCut,
    EngineError,
    EngineGarbage,
    EngineRejected,
    EngineTimeout,
    EngineUnreachable,
)
from pointsman.types import Api, EndpointLoad, Request

MAX_ANSWER_BYTES: Final = 64 * 2**20
_MAX_ERROR_BYTES: Final = 64 * 1024
_PATHS: Final = {Api.CHAT: "/chat/completions", Api.COMPLETIONS: "/completions"}
_OK: Final = 200
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.encode


@dataclass(slots=True)
class _Progress:
    """What has been seen of one answer."""

    sent_at_s: float
    started: bool = False
    done: bool = False
    first_token_at_s: float | None = None
    last_token_at_s: float | None = None
    answer: Answer = field(default_factory=Answer)
    finish_reason: str | None = None
    asked_for_usage: bool = True

    def usage(self, now_s: float) -> Usage:
        reported = self.answer.usage
        output_tokens = reported.completion_tokens if reported else None
        ttft_s = tpot_s = None
        if self.first_token_at_s is not None and self.last_token_at_s is not None:
            ttft_s = self.first_token_at_s - self.sent_at_s
            if output_tokens is not None and output_tokens > 1:
                tpot_s = (self.last_token_at_s - self.first_token_at_s) / (output_tokens - 1)
        return Usage(
            input_tokens=reported.prompt_tokens if reported else None,
            output_tokens=output_tokens,
            cached_tokens=self.answer.cached_tokens(),
            ttft_s=ttft_s,
            tpot_s=tpot_s,
            e2e_s=now_s - self.sent_at_s,
            finish_reason=self.finish_reason,
        )


def upstream_body(body: bytes, model: str, *, stream: bool) -> tuple[bytes, bool]:
    """The body to send on, and whether the caller asked for usage itself.

    Raises: BadRequest if `body` is not a JSON object.
    """
    try:
        fields = _decode_fields(body)
    except msgspec.DecodeError as error:
        raise BadRequest(f"the body is not a JSON object: {error}") from error
    fields["model"] = msgspec.Raw(_encode(model))
    asked = True
    if stream:
        options: dict[str, object] = msgspec.json.decode(fields.get("stream_options", b"{}"), type=dict | None) or {}
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
        api_key: sent as a bearer token; never logged.
        timeouts: limits on silence.
        headers: further headers to send.
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
    ) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._model = upstream_model
        self._timeouts = timeouts or Timeouts()
        self._headers = {"content-type": "application/json", **(headers or {})}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            limits = aiohttp.ClientTimeout(total=None, sock_connect=self._timeouts.connect_s)
            # The scheduler bounds what is outstanding, so the pool must not queue a second time.
            self._session = aiohttp.ClientSession(
                timeout=limits, connector=aiohttp.TCPConnector(limit=0), auto_decompress=True
            )
        return self._session

    async def run(self, request: Request) -> AsyncIterator[Chunk | Usage]:
        """Give the answer's chunks, then its usage. See `Engine.run`."""
        body, asked = upstream_body(request.payload, self._model, stream=request.stream)
        progress = _Progress(time.monotonic(), asked_for_usage=asked)
        try:
            async with await self._send(_PATHS[request.api], body) as response:
                await self._check_status(response, progress)
                pieces = self._stream(response, progress) if request.stream else self._whole(response, progress)
                async for piece in pieces:
                    progress.started = True
                    yield piece
        except (TimeoutError, aiohttp.ServerTimeoutError) as error:
            waited_s = time.monotonic() - progress.sent_at_s
            raise EngineTimeout(
                f"endpoint {self.name} gave no {'further' if progress.started else 'first'} byte in time "
                f"({waited_s:.1f} s after sending)",
                endpoint=self.name,
                started=progress.started,
                remedy="Raise the endpoint's timeouts or look whether it hangs",
            ) from error
        except aiohttp.ClientConnectorError as error:
            raise EngineUnreachable(
                f"endpoint {self.name} can't be reached: {error.os_error.strerror or type(error).__name__}",
                endpoint=self.name,
                remedy="Start it, or correct its api_base",
            ) from error
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, ConnectionError) as error:
            raise self._cut(progress) from error
        except aiohttp.ClientError as error:
            raise EngineGarbage(
                f"endpoint {self.name} does not answer in HTTP: {type(error).__name__}",
                endpoint=self.name,
                started=progress.started,
            ) from error
        yield progress.usage(time.monotonic())

    async def _send(self, path: str, body: bytes) -> aiohttp.ClientResponse:
        async with asyncio.timeout(min(self._timeouts.first_byte_s, self._timeouts.total_s)):
            return await self._open().post(self._base_url + path, data=body, headers=self._headers)

    async def _read(self, response: aiohttp.ClientResponse, progress: _Progress) -> bytes:
        """The next bytes, or empty at the end; the limits never span a `yield`."""
        left_s = progress.sent_at_s + self._timeouts.total_s - time.monotonic()
        async with asyncio.timeout(min(self._timeouts.between_chunks_s, left_s)):
            return await response.content.readany()

    async def _check_status(self, response: aiohttp.ClientResponse, progress: _Progress) -> None:
        if response.status != _OK:
            said = await self._read_at_most(response, _MAX_ERROR_BYTES, progress)
            raise EngineRejected(
                f"endpoint {self.name} answered with status {response.status}",
                endpoint=self.name,
                status=response.status,
                body=said,
            )

    async def _read_at_most(self, response: aiohttp.ClientResponse, limit: int, progress: _Progress) -> bytes:
        parts: list[bytes] = []
        size = 0
        while part := await self._read(response, progress):
            size += len(part)
            if size > limit:
                raise EngineGarbage(
                    f"endpoint {self.name} sent an answer of over {limit} bytes", endpoint=self.name
                )
            parts.append(part)
        return b"".join(parts)

    async def _whole(self, response: aiohttp.ClientResponse, progress: _Progress) -> AsyncIterator[Chunk]:
        body = await self._read_at_most(response, MAX_ANSWER_BYTES, progress)
        progress.answer = self._decode(body, progress)
        progress.finish_reason = progress.answer.finish_reason()
        yield Chunk(body, first_token=True)

    async def _stream(self, response: aiohttp.ClientResponse, progress: _Progress) -> AsyncIterator[Chunk]:
        splitter = EventSplitter()
        while data := await self._read(response, progress):
            try:
                events = list(splitter.feed(data))
            except ValueError as error:
                raise self._garbage(str(error), progress) from error
            for event in events:
                chunk = self._read_event(event, progress)
                if chunk is not None:
                    yield chunk
        if not progress.done and progress.finish_reason is None:
            raise self._cut(progress)

    def _read_event(self, event: bytes, progress: _Progress) -> Chunk | None:
        """One event: note its times and counts; None if it is our own usage chunk."""
        data = data_of(event)
        if not data:
            return Chunk(event)
        if data == b"[DONE]":
            progress.done = True
            return Chunk(event)
        answer = self._decode(data, progress)
        if answer.error is not None:
            raise self._garbage("it reported an error inside the stream", progress)
        if answer.usage is not None:
            progress.answer = answer
        progress.finish_reason = answer.finish_reason() or progress.finish_reason
        first = False
        if answer.has_text():
            progress.last_token_at_s = time.monotonic()
            if progress.first_token_at_s is None:
                progress.first_token_at_s = progress.last_token_at_s
                first = True
        if answer.usage is not None and not answer.choices and not progress.asked_for_usage:
            return None
        return Chunk(event, first_token=first)

    def _decode(self, data: bytes, progress: _Progress) -> Answer:
        try:
            return decode_answer(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._garbage(str(error), progress) from error

    def _garbage(self, what: str, progress: _Progress) -> EngineGarbage:
        return EngineGarbage(
            f"endpoint {self.name} sent what is no OpenAI answer: {what}",
            endpoint=self.name,
            started=progress.started,
            remedy="Check that api_base points at an OpenAI-compatible server",
        )

    def _cut(self, progress: _Progress) -> EngineError:
        when = "in the middle of the answer" if progress.started else "before any byte of the answer"
        return EngineCut(
            f"endpoint {self.name} closed the connection {when}", endpoint=self.name, started=progress.started
        )

    async def load(self) -> EndpointLoad | None:
        """None: an OpenAI endpoint reports no load of itself."""
        return None

    async def close(self) -> None:
        """Close the HTTP session."""
        if self._session is not None:
            await self._session.close()
