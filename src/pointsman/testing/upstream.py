"""An OpenAI-compatible server on loopback that does what a test tells it: answers well, or fails.

    async with Upstream() as upstream:
        engine = OpenAIEngine("e0", upstream.base_url, "model")
        upstream.next(Reply(pieces=[b"data: {"], end=End.CUT))     the next request meets a cut stream
        ...                                                       those after it a good answer

Without a script it answers every request in the words of its prompt, turned round, with usage.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, Final, Self

import msgspec
from aiohttp import web

SSE: Final = "text/event-stream"
_ID: Final = {"id": "x", "created": 1}


class End(StrEnum):
    """How an answer ends."""

    DONE = "done"
    CUT = "cut"  # the connection closes
    HANG = "hang"  # nothing more comes until the client goes


@dataclass(frozen=True, slots=True)
class Reply:
    """What a scripted request gets.

    Attributes:
        pieces: written one by one, each as it stands.
        end: what follows the pieces; with no pieces and not `DONE`, no byte at all is sent.
        content_type: `text/event-stream` for a stream.
    """

    pieces: Sequence[bytes] = ()
    status: int = 200
    end: End = End.DONE
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Upstream:
    """A server on a free port of 127.0.0.1.

    Attributes:
        bodies: the JSON bodies of the requests, in order; `headers` beside them.
        gone: how many requests ended because the client closed the connection.
        running, most_running: requests being answered now, and at most so far.
        gate: cleared, requests without a script wait for it before any byte.
        logprob: of every token, where log-probabilities are asked for.
    """

    def __init__(self, *, port: int = 0) -> None:
        self._port = port
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.gone = 0
        self.running = 0
        self.most_running = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.logprob = -0.1
        self._script: deque[Reply] = deque()
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self.base_url = ""

    def next(self, *replies: Reply) -> None:
        """What the next requests get."""
        self._script.extend(replies)

    async def until(self, *, received: int = 0, gone: int = 0) -> None:
        """Wait until so many requests have been received, and so many broken off by their client."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.bodies) >= received and self.gone >= gone)

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**30)
        app.router.add_post("/v1/chat/completions", self._serve)
        app.router.add_post("/v1/completions", self._serve)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(msgspec.json.decode(await request.read()))
        self.headers.append(dict(request.headers))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await self._notify()
        try:
            reply = self._script.popleft() if self._script else await self._good(request.path)
            return await _send(request, reply)
        except (asyncio.CancelledError, ConnectionError):
            self.gone += 1
            raise
        finally:
            self.running -= 1
            await asyncio.shield(self._notify())

    async def _good(self, path: str) -> Reply:
        body = self.bodies[-1]
        await self.gate.wait()
        return good_reply(body, chat=path.endswith("/chat/completions"), logprob=self.logprob)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def good_reply(body: Mapping[str, Any], *, chat: bool, logprob: float = -0.1) -> Reply:
    """What an honest server answers: the words of the last prompt in reverse order, with usage.

    Where the body asks for log-probabilities every token (word) has `logprob`.
    """
    prompt = body["messages"][-1]["content"] if chat else body["prompt"]
    words = str(prompt).split()[::-1] or ["nothing"]
    usage = {"prompt_tokens": len(words), "completion_tokens": len(words)}
    usage["total_tokens"] = 2 * len(words)
    tell = partial(_logprobs, body, logprob)
    common = {**_ID, "object": "chat.completion" if chat else "text_completion", "model": body["model"]}
    if not body.get("stream"):
        text = " ".join(words)
        said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        choice = {"index": 0, "finish_reason": "stop", **said, **tell(words)}
        return Reply([msgspec.json.encode({**common, "choices": [choice], "usage": usage})])
    if chat:
        common["object"] = "chat.completion.chunk"
    pieces = [_event({**common, "choices": [_delta(word + " ", chat=chat) | tell([word])]}) for word in words]
    pieces.append(_event({**common, "choices": [_delta("", chat=chat, finish="stop")]}))
    if (body.get("stream_options") or {}).get("include_usage"):
        pieces.append(_event({**common, "choices": [], "usage": usage}))
    return Reply([*pieces, b"data: [DONE]\n\n"], content_type=SSE)


def _delta(text: str, *, chat: bool, finish: str | None = None) -> dict[str, Any]:
    said = {"delta": {"content": text} if text else {}} if chat else {"text": text}
    return {"index": 0, "finish_reason": finish, **said}


def _logprobs(body: Mapping[str, Any], logprob: float, words: Sequence[str]) -> dict[str, Any]:
    if not body.get("logprobs"):
        return {}
    return {"logprobs": {"content": [{"token": word, "logprob": logprob} for word in words]}}


def _event(content: object) -> bytes:
    return b"data: " + msgspec.json.encode(content) + b"\n\n"


async def _send(request: web.Request, reply: Reply) -> web.StreamResponse:
    if not reply.pieces and reply.end is not End.DONE:
        await _end(request, reply.end)
    headers = {"content-type": reply.content_type, **reply.headers}
    response = web.StreamResponse(status=reply.status, headers=headers)
    if reply.content_type != SSE and reply.end is End.DONE:
        response.content_length = sum(map(len, reply.pieces))
    await response.prepare(request)
    for piece in reply.pieces:
        await response.write(piece)
    await _end(request, reply.end)
    await response.write_eof()
    return response


async def _end(request: web.Request, end: End) -> None:
    if end is End.HANG:
        await asyncio.Event().wait()
    elif end is End.CUT:
        if request.transport is not None:
            request.transport.close()
        await asyncio.Event().wait()  # until the server notices, and cancels
