"""The HTTP engine against a real server on loopback: bytes, times, and every way an endpoint fails."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from pointsman.engines.base import Chunk, Timeouts, Usage
from pointsman.engines.openai_http import OpenAIEngine, upstream_body
from pointsman.errors import (
    BadRequest,
    EngineCut,
    EngineError,
    EngineGarbage,
    EngineRejected,
    EngineTimeout,
    EngineUnreachable,
)
from pointsman.testing.upstream import SSE, End, Reply, Upstream
from pointsman.types import Api, Prompt, Request

KEY = "sk-very-secret-123"
TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":2}}}\n\n'
DONE = b"data: [DONE]\n\n"


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def engine(upstream: Upstream) -> AsyncIterator[OpenAIEngine]:
    made = OpenAIEngine("e0", upstream.base_url, "up-model", api_key=KEY)
    yield made
    await made.close()


def ask(*, stream: bool = True, api: Api = Api.CHAT, **fields: object) -> Request:
    said = (
        {"messages": [{"role": "user", "content": "one two"}]} if api is Api.CHAT else {"prompt": "one two"}
    )
    body = {"model": "auto", "stream": stream, **said, **fields}
    return Request("r", Prompt("one two"), api=api, stream=stream, payload=json.dumps(body).encode())


async def run_faulty(engine: OpenAIEngine, request: Request, reply: Reply) -> None:
    """A run that meets this reply; nobody waits long for one that hangs."""
    patient = engine._timeouts
    if reply.end is End.HANG:
        engine._timeouts = Timeouts(first_byte_s=0.2, between_chunks_s=0.05)
    try:
        await run(engine, request)
    finally:
        engine._timeouts = patient


async def run(engine: OpenAIEngine, request: Request) -> tuple[bytes, Usage]:
    parts, usages = [], []
    async with aclosing(engine.run(request)) as pieces:
        async for piece in pieces:
            (parts if isinstance(piece, Chunk) else usages).append(piece)
    assert len(usages) == 1
    return b"".join(chunk.data for chunk in parts), usages[0]


async def test_a_stream_passes_byte_for_byte_and_its_usage_chunk_is_hidden(upstream, engine):
    upstream.next(Reply([b": ping\n\n", TEXT, TEXT, FINISH, USAGE, DONE], content_type=SSE))
    data, usage = await run(engine, ask())
    assert data == b": ping\n\n" + TEXT + TEXT + FINISH + DONE
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens) == (7, 3, 2)
    assert usage.finish_reason == "stop"
    assert 0 < usage.ttft_s <= usage.e2e_s
    assert usage.tpot_s >= 0
    assert upstream.bodies[0]["stream_options"] == {"include_usage": True}
    assert upstream.bodies[0]["model"] == "up-model"
    assert upstream.headers[0]["Authorization"] == f"Bearer {KEY}"


async def test_the_usage_chunk_is_given_to_a_caller_who_asked(upstream, engine):
    upstream.next(Reply([TEXT, FINISH, USAGE, DONE], content_type=SSE))
    data, _ = await run(engine, ask(stream_options={"include_usage": True, "x": 1}))
    assert data == TEXT + FINISH + USAGE + DONE
    assert upstream.bodies[0]["stream_options"] == {"include_usage": True, "x": 1}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
async def test_events_survive_any_cut_of_the_bytes_and_crlf(upstream, engine, size):
    text = (TEXT + b"event: x\ndata: {}\n\n" + FINISH).replace(b"\n", b"\r\n") + USAGE + DONE
    upstream.next(Reply([text[i : i + size] for i in range(0, len(text), size)], content_type=SSE))
    data, usage = await run(engine, ask())
    assert data == text.replace(USAGE, b"")
    assert usage.output_tokens == 3


async def test_a_last_event_without_its_blank_line_is_given_on(upstream, engine):
    upstream.next(Reply([TEXT, FINISH, b"data: [DONE]"], content_type=SSE))
    data, usage = await run(engine, ask())
    assert data == TEXT + FINISH + b"data: [DONE]"
    assert usage.output_tokens is None


@pytest.mark.parametrize("api", list(Api))
@pytest.mark.parametrize("stream", [False, True])
async def test_both_interfaces_answer(upstream, engine, api, stream):
    data, usage = await run(engine, ask(stream=stream, api=api))
    assert b"two" in data
    assert data.endswith(DONE) is stream
    assert (usage.input_tokens, usage.output_tokens) == (2, 2)
    assert (usage.ttft_s is not None) is stream


@pytest.mark.parametrize(
    ("reply", "kind", "started"),
    [
        (Reply(end=End.CUT), EngineCut, False),
        (Reply(end=End.HANG), EngineTimeout, False),
        (Reply([TEXT], end=End.CUT, content_type=SSE), EngineCut, True),
        (Reply([TEXT, TEXT[:20]], end=End.CUT, content_type=SSE), EngineCut, True),
        (Reply([TEXT], content_type=SSE), EngineCut, True),
        (Reply([TEXT, TEXT[:20]], content_type=SSE), EngineCut, True),
        (Reply([TEXT], end=End.HANG, content_type=SSE), EngineTimeout, True),
        (Reply([b"<html>hello</html>"], content_type="text/html"), EngineGarbage, False),
        (Reply([b"<html>\n\n</html>\n\n"], content_type=SSE), EngineGarbage, False),
        (Reply([b"data: {nonsense}\n\n"], content_type=SSE), EngineGarbage, False),
        (Reply([TEXT, b"data: {nonsense}\n\n"], content_type=SSE), EngineGarbage, True),
        (
            Reply([TEXT, b'data: {"error": {"message": "out of memory"}}\n\n'], content_type=SSE),
            EngineGarbage,
            True,
        ),
        (Reply([b"data: " + b"[" * 100_000 + b"\n\n"], content_type=SSE), EngineGarbage, False),
        (Reply([], content_type=SSE), EngineCut, False),
        (Reply([b"{}"], status=500), EngineRejected, False),
        (Reply([b"{}"], status=302, headers={"location": "http://127.0.0.1:1/"}), EngineRejected, False),
    ],
)
async def test_a_faulty_stream_is_an_error_of_its_kind_and_the_next_request_works(
    upstream, engine, reply, kind, started
):
    upstream.next(reply)
    with pytest.raises(EngineError) as caught:
        await run_faulty(engine, ask(), reply)
    assert type(caught.value) is kind
    assert caught.value.started is started
    assert caught.value.endpoint == "e0"
    data, _ = await run(engine, ask())
    assert data.endswith(DONE)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply([b'{"choices": [{"mess'], end=End.CUT), EngineCut),
        (Reply([b'{"choices": [{"mess'], end=End.HANG), EngineTimeout),
        (Reply([b"<html>hello</html>"]), EngineGarbage),
        (Reply([b'{"hello": 1}']), EngineGarbage),
        (Reply([b"\xff\xfe"]), EngineGarbage),
    ],
)
async def test_a_faulty_answer_that_is_not_streamed(upstream, engine, reply, kind):
    upstream.next(reply)
    with pytest.raises(kind) as caught:
        await run_faulty(engine, ask(stream=False), reply)
    assert caught.value.started is False
    data, _ = await run(engine, ask(stream=False))
    assert b"two one" in data


async def test_a_rejection_keeps_status_body_and_retry_after_but_not_the_key(upstream, engine):
    said = json.dumps({"error": {"message": f"bad key {KEY}"}}).encode()
    upstream.next(Reply([said], status=429, headers={"retry-after": "7"}))
    with pytest.raises(EngineRejected) as caught:
        await run(engine, ask())
    assert (caught.value.status, caught.value.retry_after) == (429, "7")
    assert caught.value.body == said.replace(KEY.encode(), b"***")
    assert KEY not in f"{caught.value} {caught.value!r}"


async def test_nobody_listening_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    engine = OpenAIEngine("e0", f"http://127.0.0.1:{port}/v1", "m")
    with pytest.raises(EngineUnreachable, match="connection refused"):
        await run(engine, ask())
    await engine.close()


async def test_what_is_no_http_is_garbage():
    async def shout(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    engine = OpenAIEngine("e0", f"http://127.0.0.1:{port}/v1", "m")
    with pytest.raises(EngineGarbage, match="no HTTP"):
        await run(engine, ask())
    await engine.close()
    server.close()
    await server.wait_closed()


async def test_closing_the_generator_closes_the_connection(upstream, engine):
    upstream.next(Reply([TEXT], end=End.HANG, content_type=SSE))
    async with aclosing(engine.run(ask())) as pieces:
        async for piece in pieces:
            assert piece == Chunk(TEXT, first_token=True)
            break
    await upstream.until(gone=1)
    assert upstream.running == 0


async def test_a_prompt_may_take_longer_than_the_silence_between_chunks():
    """Headers come at once, the first event only after the prompt is computed."""
    headers_sent, computed = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        await writer.drain()
        headers_sent.set()
        await computed.wait()
        writer.write(TEXT + FINISH)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    engine = OpenAIEngine("e0", base_url, "m", timeouts=Timeouts(first_byte_s=5.0, between_chunks_s=0.005))
    task = asyncio.ensure_future(run(engine, ask()))
    await headers_sent.wait()
    await asyncio.sleep(0.03)
    computed.set()
    data, _ = await task
    assert data == TEXT + FINISH
    await engine.close()
    server.close()
    await server.wait_closed()


async def test_a_llama_cpp_server_is_asked_to_say_that_it_closes_after_a_stream():
    """It closes the connection a moment after a stream's end; without a word unless it is asked to."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).lower())
        writer.write(
            b"HTTP/1.1 200 OK\r\nserver: llama.cpp\r\ncontent-type: text/event-stream\r\n"
            b"connection: close\r\n\r\n" + TEXT + FINISH + DONE
        )
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    learns, knows = OpenAIEngine("e0", base_url, "m"), OpenAIEngine("e1", base_url, "m", llama_cpp=True)
    for engine in (learns, learns, knows):
        await run(engine, ask())
        await engine.close()
    assert [b"connection: close" in head for head in heads] == [False, True, True]
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("body", [b"", b"[]", b"nope", b"\xff", b'{"stream_options": 5}', b"[" * 100_000])
def test_a_body_that_can_not_be_sent_on_is_the_callers_fault(body):
    with pytest.raises(BadRequest):
        upstream_body(body, "m", stream=True)


def test_nothing_but_the_model_changes_in_a_body():
    body, asked = upstream_body(b'{"model":"auto","x":[1.50, 1e3],"n":1}', "real", stream=False)
    assert body == b'{"model":"real","x":[1.50, 1e3],"n":1}'
    assert asked
