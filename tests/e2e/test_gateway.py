"""The gateway over real sockets: the official client in front, real servers behind, every fault between."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import aiohttp
import openai
import pytest

from pointsman.admit.always import AlwaysAdmit
from pointsman.assign.weighted import WeightedAssign
from pointsman.clock import RealClock
from pointsman.engines.base import Timeouts
from pointsman.engines.openai_http import OpenAIEngine
from pointsman.errors import BadRequest
from pointsman.events import CapacityChanged
from pointsman.gateway import Edge, Gateway, GatewayMetrics
from pointsman.gateway.server import bind, check_host, how_to_talk
from pointsman.live import LiveDriver
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.scheduler import Scheduler, SchedulerOptions
from pointsman.testing.fakes import make_table, unknown_prior
from pointsman.testing.serving import served
from pointsman.testing.upstream import SSE, End, Reply, Upstream
from pointsman.types import Capabilities, CostTable, Endpoint, Slo, Weights

KEY = "sk-secret-of-the-gateway-0123456789"
LIMIT = 100_000
TEXT = b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"u","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'


class TablePredictor:
    """Equal predictions for every request: the first endpoint is the best at everything."""

    name = "table"

    def __init__(self, endpoints: tuple[Endpoint, ...]) -> None:
        self._row = make_table(endpoints, seed=3)

    def predict(self, requests, running) -> CostTable:
        return CostTable.stack([self._row] * len(requests))


class World:
    """A gateway on a free port before two upstreams, one with the model `small`, one with `large`."""

    def __init__(self, small: Upstream, large: Upstream, *, max_queued: int = 10, slots: int = 2) -> None:
        self.small, self.large = small, large
        plain = Capabilities(tools=False, context_tokens=4096, privacy=frozenset({"eu"}))
        self.endpoints = (
            Endpoint("small-0", "small", max_concurrent=slots, capabilities=plain),
            Endpoint(
                "large-0", "large", max_concurrent=slots, capabilities=Capabilities(context_tokens=4096)
            ),
        )
        self.metrics = GatewayMetrics(self.endpoints)
        clock = RealClock()
        self.scheduler = Scheduler(
            self.endpoints,
            AlwaysAdmit(),
            WeightedAssign(Weights(energy=1.0)),
            FirstComeFirstServed(),
            unknown_prior(self.endpoints),
            SchedulerOptions(max_queued=max_queued),
            self.metrics,
        )
        self.engines = {
            "small-0": OpenAIEngine("small-0", small.base_url, "up-small", api_key=KEY),
            "large-0": OpenAIEngine("large-0", large.base_url, "up-large"),
        }
        self.driver = LiveDriver(
            self.scheduler,
            TablePredictor(self.endpoints),
            None,
            self.engines,
            clock,
        )
        edge = Edge(("small", "large"), {"default": Slo(), "flex": Slo("flex")})
        self.gateway = Gateway(
            self.driver,
            self.endpoints,
            clock,
            self.metrics,
            edge=edge,
            max_body_bytes=LIMIT,
            energy_modelled={"large-0": False},
            close=partial(self.driver.close, 0.1),
        )
        self.url = ""

    @contextlib.asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        async with served(self.gateway) as self.url, aiohttp.ClientSession() as self.http:
            yield

    def client(self, **options: Any) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=self.url, api_key="any", max_retries=0, **options)

    async def post(self, body: Any, path: str = "/chat/completions", **headers: str) -> tuple[int, Any, Any]:
        """Status, decoded JSON (or text) and headers of a raw request."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.http.post(self.url + path, data=data, headers=headers) as answer:
            text = await answer.text()
            is_json = answer.headers["content-type"].startswith("application/json")
            return answer.status, json.loads(text) if is_json else text, answer.headers

    @contextlib.contextmanager
    def impatient(self, reply: Reply) -> Iterator[None]:
        """Nobody waits long for an upstream that hangs."""
        engine = self.engines["small-0"]
        patient = engine._timeouts
        if reply.end is End.HANG:
            engine._timeouts = Timeouts(first_byte_s=0.2, between_chunks_s=0.05)
        yield
        engine._timeouts = patient

    async def get(self, path: str) -> tuple[int, str]:
        async with self.http.get(self.url.removesuffix("/v1") + path) as answer:
            return answer.status, await answer.text()

    async def idle(self) -> None:
        """Wait until every slot is free."""
        while any(view.running or view.queued for view in self.driver.view()):
            await asyncio.sleep(0.001)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with Upstream() as small, Upstream() as large:
        made = World(small, large)
        async with made.up():
            yield made
            # Whatever the test did to it, it works.
            status, said, _ = await made.post(CHAT)
            assert (status, said["choices"][0]["message"]["content"]) == (200, "two one")
            await made.idle()
            assert len(made.scheduler.ledger) == 0


CHAT = {"model": "small", "messages": [{"role": "user", "content": "one two"}]}
MESSAGES: Any = [{"role": "user", "content": "one two three"}]


# The official client


async def test_the_async_client_gets_an_answer_and_the_decision(world):
    async with world.client() as client:
        raw = await client.chat.completions.with_raw_response.create(
            model="auto", messages=MESSAGES, extra_headers={"x-request-id": "mine"}
        )
    answer = raw.parse()
    assert answer.choices[0].message.content == "three two one"
    assert answer.usage.completion_tokens == 3
    headers = raw.headers
    assert headers["x-request-id"] == "mine"
    assert headers["x-pointsman-action"] == "run"
    chosen = headers["x-pointsman-model"]
    assert headers["x-pointsman-endpoint"] == f"{chosen}-0"
    assert answer.model == f"up-{chosen}"
    assert headers["x-pointsman-reason"]
    assert headers["x-pointsman-service-class"] == "default"
    assert 0 < float(headers["x-pointsman-overhead-ms"]) < 1000
    table = make_table(world.endpoints, seed=3)
    column = ["small", "large"].index(chosen)
    joules, _, mark = headers["x-pointsman-predicted-energy-j"].partition(";")
    assert float(joules) == pytest.approx(table.energy_j.value[0, column], rel=1e-5)
    assert mark == ("modelled" if chosen == "small" else "")
    for name, value in (("time-s", table.time_s), ("cost-usd", table.price_usd), ("quality", table.quality)):
        said = float(headers[f"x-pointsman-predicted-{name}"])
        assert said == pytest.approx(value.value[0, column], rel=1e-5)
    assert float(headers["x-pointsman-time-s"]) > 0
    assert float(headers["x-pointsman-cost-usd"]) == 0


def sync_calls(url: str) -> tuple[str, str, str, list[str]]:
    with openai.OpenAI(base_url=url, api_key="any", max_retries=0) as client:
        answer = client.chat.completions.create(model="small", messages=MESSAGES)
        text = client.completions.create(model="large", prompt="one two")
        stream = client.chat.completions.create(model="auto", messages=MESSAGES, stream=True)
        parts = [chunk.choices[0].delta.content or "" for chunk in stream]
        names = [model.id for model in client.models.list()]
        assert client.models.retrieve("small").id == "small"
    return answer.choices[0].message.content or "", text.choices[0].text, "".join(parts), names


async def test_the_sync_client(world):
    answer, text, streamed, names = await asyncio.to_thread(sync_calls, world.url)
    assert (answer, text, streamed) == ("three two one", "two one", "three two one ")
    assert names == ["auto", "small", "large"]


async def test_a_model_name_pins_it(world):
    async with world.client() as client:
        for name in ("small", "large"):
            raw = await client.chat.completions.with_raw_response.create(model=name, messages=MESSAGES)
            assert raw.headers["x-pointsman-model"] == name
            assert raw.parse().model == f"up-{name}"


@pytest.mark.parametrize("asked", [False, True])
async def test_a_stream_has_its_usage_chunk_only_if_asked_for(world, asked):
    options: Any = {"stream_options": {"include_usage": True}} if asked else {}
    async with world.client() as client:
        stream = await client.chat.completions.create(
            model="small", messages=MESSAGES, stream=True, **options
        )
        assert stream.response.headers["cache-control"] == "no-cache"
        assert stream.response.headers["x-accel-buffering"] == "no"
        assert stream.response.headers["x-pointsman-endpoint"] == "small-0"
        chunks = [chunk async for chunk in stream]
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    assert [usage.completion_tokens for usage in usages] == ([3] if asked else [])
    assert [chunk for chunk in chunks if not chunk.choices and not chunk.usage] == []


async def test_bytes_of_a_stream_pass_untouched(world):
    pieces = [
        b": ping\r\n\r\n",
        TEXT,
        b'data: {"choices":[{"finish_reason":"stop"}], "odd":  1}\n\n',
        b"data: [DONE]\n\n",
    ]
    world.small.next(Reply(pieces, content_type=SSE))
    status, text, headers = await world.post({**CHAT, "stream": True})
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert text.encode() == b"".join(pieces)


async def test_chunks_arrive_while_the_answer_goes_on(world):
    world.small.next(Reply([TEXT], end=End.HANG, content_type=SSE))
    async with world.http.post(f"{world.url}/chat/completions", json={**CHAT, "stream": True}) as answer:
        assert await answer.content.readany() == TEXT


async def test_the_own_field_does_not_reach_the_upstream(world):
    async with world.client() as client:
        await client.chat.completions.create(
            model="auto", messages=MESSAGES, extra_body={"pointsman": {"weights": {"accuracy": 1}}}
        )
    body = (world.small.bodies + world.large.bodies)[0]
    assert "pointsman" not in body


async def test_weights_change_the_choice(world):
    table = make_table(world.endpoints, seed=3)
    best = {
        "accuracy": int(table.quality.value[0].argmax()),
        "time": int(table.time_s.value[0].argmin()),
        "energy": int(table.energy_j.value[0].argmin()),
    }
    assert len(set(best.values())) == 2
    for name, column in best.items():
        _, _, headers = await world.post({**CHAT, "model": "auto"}, **{"x-pointsman-weights": f"{name}=1"})
        assert headers["x-pointsman-endpoint"] == world.endpoints[column].name


# Bad input


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        (openai.BadRequestError, lambda c: c.chat.completions.create(model="auto", messages=[])),
        (openai.BadRequestError, lambda c: c.completions.create(model="auto", prompt="")),
        (
            openai.BadRequestError,
            lambda c: c.chat.completions.create(model="auto", messages=MESSAGES, max_tokens=-1),
        ),
        (
            openai.BadRequestError,
            lambda c: c.chat.completions.create(model="auto", messages=MESSAGES, max_tokens=10**12),
        ),
        (
            openai.BadRequestError,
            lambda c: c.chat.completions.create(
                model="auto", messages=MESSAGES, extra_headers={"x-pointsman-weights": "accuracy=nan"}
            ),
        ),
        (openai.NotFoundError, lambda c: c.chat.completions.create(model="huge", messages=MESSAGES)),
        (openai.NotFoundError, lambda c: c.models.retrieve("huge")),
        (openai.NotFoundError, lambda c: c.embeddings.create(model="auto", input="x")),
        (openai.APIStatusError, lambda c: c.completions.create(model="auto", prompt="x" * 10_000_000)),
    ],
)
async def test_bad_input_is_the_clients_own_error(
    world, kind: type[openai.APIStatusError], call: Callable[[Any], Awaitable[Any]]
):
    async with world.client() as client:
        with pytest.raises(kind) as caught:
            await call(client)
    error = caught.value
    assert error.type == "invalid_request_error"
    assert error.code
    assert error.request_id
    assert world.small.bodies == world.large.bodies == []
    if error.status_code == 413:
        assert str(LIMIT) in error.message


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'{"messages":' + b"[" * 50_000, b'{"messages": "\xe9"}']
)
async def test_broken_bodies(world, body):
    status, said, headers = await world.post(body)
    assert (status, said["error"]["type"]) == (400, "invalid_request_error")
    assert headers["x-request-id"]


async def test_a_chunked_body_over_the_limit(world):
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b" " * 10_000

    async with world.http.post(f"{world.url}/completions", data=pieces()) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (413, "body_too_large")


async def test_unknown_paths_and_methods(world):
    assert (await world.get("/nothing"))[0] == 404
    assert (await world.get("/v1/chat/completions"))[0] == 405
    async with world.http.post(f"{world.url}/models") as answer:
        assert answer.status == 405


@pytest.mark.parametrize(
    ("fields", "needs"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "it does not call tools"),
        ({"max_tokens": 5000}, "exceed its context of 4096"),
        ({"n": 5}, "it gives at most n = 1"),
        ({"pointsman": {"privacy": ["secret"]}}, "it lacks the privacy tag secret"),
    ],
)
async def test_no_eligible_endpoint_names_the_need(world, fields, needs):
    status, said, headers = await world.post({**CHAT, **fields})
    assert (status, said["error"]["code"]) == (400, "no_eligible_endpoint")
    assert needs in said["error"]["message"]
    assert headers["x-pointsman-action"] == "refuse"


# Faults of an upstream; the fixture makes sure that the next request works


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (Reply(end=End.CUT), 502, "upstream_cut"),
        (Reply(end=End.HANG), 504, "upstream_timeout"),
        (Reply([b"<html>"], content_type="text/html"), 502, "upstream_garbage"),
        (Reply([b"{}"], status=500), 502, "upstream_rejected"),
        (
            Reply([json.dumps({"error": {"message": f"bad key {KEY}"}}).encode()], status=401),
            502,
            "upstream_rejected",
        ),
        (
            Reply([b'{"error": {"message": "too long", "code": "context_length_exceeded"}}'], status=400),
            400,
            "context_length_exceeded",
        ),
        (
            Reply(
                [b'{"error": {"message": "slow down", "code": "rate"}}'],
                status=429,
                headers={"retry-after": "3"},
            ),
            429,
            "rate",
        ),
        (Reply([b"too many"], status=429), 429, "upstream_rejected"),
    ],
)
async def test_a_fault_before_the_first_byte_is_a_status(world, caplog, reply, status, code, stream):
    world.small.next(reply)
    with world.impatient(reply):
        found, said, headers = await world.post({**CHAT, "stream": stream})
    assert (found, said["error"]["code"]) == (status, code)
    assert headers["x-pointsman-endpoint"] == "small-0"
    assert headers.get("retry-after") == reply.headers.get("retry-after")
    for text in (json.dumps(said), str(headers), caplog.text):
        assert KEY not in text
        assert "Traceback" not in text


async def test_nobody_listening_is_503(world):
    engine = OpenAIEngine("small-0", "http://127.0.0.1:9/v1", "m")
    world.driver._engines["small-0"], working = engine, world.driver._engines["small-0"]
    async with world.client() as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model="small", messages=MESSAGES)
    assert (caught.value.status_code, caught.value.code) == (503, "upstream_unreachable")
    assert "Start it" in caught.value.message
    await engine.close()
    world.driver._engines["small-0"] = working


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply([TEXT], end=End.CUT, content_type=SSE), "upstream_cut"),
        (Reply([TEXT], end=End.HANG, content_type=SSE), "upstream_timeout"),
        (Reply([TEXT, b"data: {nonsense\n\n"], content_type=SSE), "upstream_garbage"),
        (Reply([TEXT, b'data: {"error": {"message": "boom"}}\n\n'], content_type=SSE), "upstream_garbage"),
    ],
)
async def test_a_fault_in_mid_stream_is_an_error_event_and_no_done(world, reply, code):
    world.small.next(reply, reply)
    with world.impatient(reply):
        status, text, _ = await world.post({**CHAT, "stream": True})
    assert status == 200
    assert text.encode().startswith(TEXT)
    last = text.removeprefix(TEXT.decode())
    assert last.startswith("data: ")
    assert json.loads(last[6:])["error"]["code"] == code
    assert "[DONE]" not in text
    with world.impatient(reply):
        async with world.client() as client:
            stream = await client.chat.completions.create(model="small", messages=MESSAGES, stream=True)
            with pytest.raises(openai.APIError, match="small-0"):
                async for _ in stream:
                    pass


async def test_an_unexpected_exception_is_a_500_without_a_trace(world, caplog, monkeypatch):
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret prompt")

    with monkeypatch.context() as patch:
        patch.setattr("pointsman.gateway.app.parse_request", broken)
        status, said, headers = await world.post(CHAT, **{"x-request-id": "mine"})
    assert (status, said["error"]["code"], headers["x-request-id"]) == (500, "internal_error", "mine")
    assert "mine" in said["error"]["message"]
    assert "ZeroDivision" not in str(said)
    assert "ZeroDivisionError at" in caplog.text
    assert "secret" not in caplog.text


# Callers that go, and too many of them


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_that_goes_cancels_its_upstream_and_frees_the_slot(world, stream):
    world.small.next(Reply([TEXT] if stream else [], end=End.HANG, content_type=SSE))
    call = asyncio.ensure_future(world.post({**CHAT, "stream": stream}))
    await world.small.until(received=1)
    assert world.driver.view()[0].running == 1
    call.cancel()
    await world.small.until(gone=1)
    await world.idle()
    assert 'pointsman_requests_total{disposition="failed"} 1' in (await world.get("/metrics"))[1]


async def test_a_caller_that_goes_while_waiting_never_reaches_an_upstream(world):
    world.small.gate.clear()
    first = [asyncio.ensure_future(world.post(CHAT)) for _ in range(2)]
    await world.small.until(received=2)
    waiting = asyncio.ensure_future(world.post(CHAT))
    while world.driver.view()[0].queued == 0:
        await asyncio.sleep(0.001)
    waiting.cancel()
    while world.driver.view()[0].queued == 1:
        await asyncio.sleep(0.001)
    world.small.gate.set()
    assert [status for status, _, _ in await asyncio.gather(*first)] == [200, 200]
    assert len(world.small.bodies) == 2


async def test_many_at_once_never_overrun_the_slots():
    async with Upstream() as small, Upstream() as large:
        world = World(small, large, max_queued=1000)
        async with world.up():
            small.gate.clear()
            calls = [asyncio.ensure_future(world.post({**CHAT, "stream": i % 2 == 0})) for i in range(60)]
            await small.until(received=2)
            small.gate.set()
            assert {status for status, _, _ in await asyncio.gather(*calls)} == {200}
    assert small.most_running == 2


async def test_a_full_queue_is_429_and_an_endpoint_that_is_down_503():
    async with Upstream() as small, Upstream() as large:
        world = World(small, large, max_queued=1, slots=1)
        async with world.up(), world.client() as client:
            small.gate.clear()
            held = [asyncio.ensure_future(world.post(CHAT)) for _ in range(2)]
            while world.driver.view()[0].queued == 0:
                await asyncio.sleep(0.001)
            with pytest.raises(openai.RateLimitError) as full:
                await client.chat.completions.create(model="small", messages=MESSAGES)
            assert (full.value.code, full.value.response.headers["retry-after"]) == ("queue_full", "1")
            small.gate.set()
            assert [status for status, _, _ in await asyncio.gather(*held)] == [200, 200]
            world.driver.observe(CapacityChanged("small-0", 1, healthy=False))
            status, said, headers = await world.post(CHAT)
            assert (status, said["error"]["code"], headers["retry-after"]) == (503, "endpoint_down", "1")
            assert (await world.get("/health/readiness"))[0] == 200
            world.driver.observe(CapacityChanged("large-0", 1, healthy=False))
            await asyncio.sleep(0)
            assert (await world.get("/health/readiness"))[0] == 503
            assert (await world.get("/health/liveness"))[0] == 200


async def test_equal_ids_of_living_requests_are_told_apart(world):
    world.small.gate.clear()
    calls = [asyncio.ensure_future(world.post(CHAT, **{"x-request-id": "same"})) for _ in range(2)]
    await world.small.until(received=2)
    world.small.gate.set()
    ids = sorted(headers["x-request-id"] for _, _, headers in await asyncio.gather(*calls))
    assert ids[0] == "same"
    assert re.fullmatch(r"same-[0-9a-f]{12}", ids[1])


async def test_a_slow_reader_slows_its_upstream(world):
    """What the upstream can write is bounded by the buffers between it and a caller that does not read."""
    piece = b": " + b"x" * 100_000 + b"\n\n"
    written = 0

    def pieces():
        nonlocal written
        for _ in range(500):
            written += 1
            yield piece

    world.small.next(Reply(pieces(), content_type=SSE))
    async with world.http.post(f"{world.url}/chat/completions", json={**CHAT, "stream": True}) as answer:
        last = -1
        while last != written:  # until nothing moves any more
            last = written
            await asyncio.sleep(0.05)
        assert 0 < written < 200
        read = 0
        async for data in answer.content.iter_any():
            read += len(data)
    assert written == 500
    assert read > 500 * len(piece)


# Health and metrics


async def test_health(world):
    status, text = await world.get("/health")
    assert status == 200
    slots = {name: e["slots"] for name, e in json.loads(text)["endpoints"].items()}
    assert slots == {"small-0": 2, "large-0": 2}
    assert world.small.bodies == []


async def test_metrics_are_well_formed_and_count(world):
    await world.post(CHAT)
    await world.post({**CHAT, "stream": True})
    world.small.next(Reply([b"{}"], status=500))
    await world.post(CHAT)
    await world.post({**CHAT, "messages": []})
    status, text = await world.get("/metrics")
    assert status == 200
    series = read_exposition(text)
    assert series['pointsman_requests_total{disposition="answered"}'] == 2
    assert series['pointsman_requests_total{disposition="failed"}'] == 1
    assert series['pointsman_decisions_total{endpoint="small-0",action="run"}'] == 3
    assert series['pointsman_http_responses_total{status="400"}'] == 1
    assert series['pointsman_http_responses_total{status="502"}'] == 1
    assert series["pointsman_decision_seconds_count"] == 2
    assert series['pointsman_running{endpoint="small-0"}'] == 0
    labels = 'gen_ai_operation_name="chat",gen_ai_response_model="small",pointsman_endpoint="small-0"'
    assert series[f"gen_ai_server_request_duration_seconds_count{{{labels}}}"] == 2
    assert series[f"gen_ai_server_time_to_first_token_seconds_count{{{labels}}}"] == 1
    assert series[f'gen_ai_client_token_usage_sum{{{labels},gen_ai_token_type="output"}}'] == 4


def read_exposition(text: str) -> dict[str, float]:
    """The samples by name and labels; every name has its HELP and TYPE, and buckets never fall."""
    samples: dict[str, float] = {}
    typed: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in typed
            typed[name] = kind
        elif not line.startswith("# HELP "):
            found = re.fullmatch(r'([a-z_]+)(\{(?:[a-z_]+="[^"\n]*",?)*\})? (\S+)', line)
            assert found, line
            family = re.sub(r"_(bucket|sum|count)$", "", found[1])
            assert found[1] in typed or typed[family] == "histogram"
            assert line.split(" ")[0] not in samples
            samples[line.rsplit(" ", 1)[0]] = float(found[3])
    previous: tuple[str, float] = ("", 0.0)
    for name, value in samples.items():
        if "_bucket{" in name:
            series = re.sub(r',?le="[^"]*"', "", name)
            assert value >= (previous[1] if previous[0] == series else 0)
            previous = (series, value)
    assert text.endswith("\n")
    return samples


# Starting it


def test_a_port_in_use_is_said_so():
    message = r"Address already in use.*--port"
    with bind("127.0.0.1", 0) as taken, pytest.raises(BadRequest, match=message) as caught:
        bind("127.0.0.1", taken.getsockname()[1])
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_an_open_host_is_refused_unless_asked_for(host):
    with pytest.raises(BadRequest, match="--insecure-bind"):
        check_host(host, insecure_bind=False)
    check_host(host, insecure_bind=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_loopback_needs_no_flag(host):
    check_host(host, insecure_bind=False)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_printed_curl_line_works(world):
    command = how_to_talk(world.url).partition("curl:\n")[2].partition("\n\n")[0]
    process = await asyncio.create_subprocess_shell(f"{command} -s", stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert json.loads(out)["choices"][0]["message"]["content"] == "23? * 17 is What"


async def test_the_printed_program_works(world):
    lines = how_to_talk(world.url).partition("openai):\n")[2]
    printed: list[str] = []
    await asyncio.to_thread(exec, textwrap.dedent(lines), {"print": printed.append})
    assert printed == ["23? * 17 is What"]
