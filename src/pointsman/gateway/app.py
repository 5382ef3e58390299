"""The OpenAI-compatible gateway as an ASGI application.

    body --> Request --> LiveDriver --> chunks, passed on as they come
      |                     |
      `-- 400, 404, 413     `-- refused or failed before the first byte: a status and OpenAI's error
                                failed later: an error event, and the stream ends without [DONE]

It is plain ASGI, since a framework's middleware costs more than everything else here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from pointsman.clock import Clock
from pointsman.errors import PointsmanError, origin
from pointsman.gateway.exchange import JSON, Exchange, Receive, Scope, Send
from pointsman.gateway.exposition import CONTENT_TYPE
from pointsman.gateway.headers import DecisionHeaders, Header
from pointsman.gateway.labels import FEEDBACK, take_labels
from pointsman.gateway.metrics import GatewayMetrics
from pointsman.gateway.parse import Edge, parse_request
from pointsman.gateway.refusals import (
    NotFound,
    WrongMethod,
    refusal_of_end,
    refusal_of_error,
    unexpected,
)
from pointsman.gateway.skipped import SkipError, can_reply, reply
from pointsman.live import Handle, LiveDriver
from pointsman.live.feedback import Feedback
from pointsman.types import AUTO, Api, Decision, Disposition, Endpoint

MAX_BODY_BYTES: Final = 10 * 2**20
_SSE: Final[list[Header]] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_APIS: Final = {"/v1/chat/completions": Api.CHAT, "/v1/completions": Api.COMPLETIONS}
_log: Final = logging.getLogger(__name__)


class Gateway:
    """The ASGI application.

    Args:
        driver: runs the requests.
        endpoints: those of the driver's scheduler.
        clock: the driver's.
        metrics: also given to the scheduler as its hooks.
        edge: what callers may name; the endpoints' models if None.
        max_body_bytes: larger bodies are refused with 413.
        energy_modelled: see `DecisionHeaders`.
        skip_reply: the text that a skipped request gets for an answer; None: it gets an error.
        feedback: takes in labels; None: there is no log that they could join.
        close: called when the server shuts down; the driver's if None.
    """

    def __init__(
        self,
        driver: LiveDriver,
        endpoints: tuple[Endpoint, ...],
        clock: Clock,
        metrics: GatewayMetrics,
        *,
        edge: Edge | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
        energy_modelled: Mapping[str, bool] | None = None,
        skip_reply: str | None = None,
        feedback: Feedback | None = None,
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._driver = driver
        self._clock = clock
        self._metrics = metrics
        models = tuple(dict.fromkeys(endpoint.model for endpoint in endpoints))
        self._edge = edge or Edge(models)
        self._max_body_bytes = max_body_bytes
        self._headers = DecisionHeaders({e.name: e for e in endpoints}, energy_modelled or {})
        self._skip_error = SkipError(endpoints, energy_modelled or {})
        self._skip_reply = skip_reply
        self._feedback = feedback
        self._close = close or driver.close
        created = int(clock.wall())
        self._models = {
            name: {"id": name, "object": "model", "created": created, "owned_by": "pointsman"}
            for name in (AUTO, *models)
        }
        self._pages: Mapping[str, Callable[[Exchange], Awaitable[None]]] = {
            "/v1/models": self._list_models,
            "/health": self._health,
            "/health/liveness": self._liveness,
            "/health/readiness": self._readiness,
            "/metrics": self._exposition,
        }

    @property
    def models(self) -> tuple[str, ...]:
        """The names that callers may use, `auto` first."""
        return tuple(self._models)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            exchange = Exchange(scope, receive, send, self._metrics, self._driver.is_alive)
            try:
                await self._serve(exchange)
            except PointsmanError as error:
                await exchange.refuse(refusal_of_error(error))
            except Exception as error:  # noqa: BLE001 - no stack trace ever reaches a caller
                _log.error("request %s: %s", exchange.request_id, origin(error))
                await exchange.refuse(unexpected(exchange.request_id))

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await self._close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, exchange: Exchange) -> None:
        path, method = exchange.path, exchange.method
        api = _APIS.get(path)
        if api is not None or path == FEEDBACK:
            if method != "POST":
                raise WrongMethod(f"{path} takes POST, not {method}")
            await (self._complete(api, exchange) if api else self._label(exchange))
            return
        page = self._pages.get(path)
        if page is None and not path.startswith("/v1/models/"):
            raise NotFound(f"there is nothing at {path[:128]}", remedy="See /v1/models and /health")
        if method not in ("GET", "HEAD"):
            raise WrongMethod(f"{path} takes GET, not {method}")
        await (page(exchange) if page else self._model(exchange))

    # Completions

    async def _complete(self, api: Api, exchange: Exchange) -> None:
        body = await exchange.read_body(self._max_body_bytes)
        if body is None:
            return  # the caller went away while sending it
        arrived_s = self._clock.now()
        request = parse_request(body, exchange.headers, api, exchange.request_id, self._edge)
        async with self._driver.submit(request, arrived_s=arrived_s) as handle:
            watch = asyncio.get_running_loop().create_task(exchange.until_gone(handle))
            try:
                await (self._stream if request.stream else self._whole)(handle, exchange)
            finally:
                watch.cancel()

    async def _whole(self, handle: Handle, exchange: Exchange) -> None:
        parts: list[bytes] = []
        while chunks := await handle.next_chunks():
            parts.extend(chunk.data for chunk in chunks)
        if handle.outcome is None or handle.outcome.disposition is not Disposition.ANSWERED:
            await self._refuse(handle, exchange)
            return
        self._metrics.overhead(handle.overhead_s)
        await exchange.answer(200, b"".join(parts), [JSON, *self._headers.of(handle)])

    async def _stream(self, handle: Handle, exchange: Exchange) -> None:
        chunks = await handle.next_chunks()
        if not chunks:
            await self._refuse(handle, exchange)
            return
        self._metrics.overhead(handle.overhead_s)
        await exchange.start(200, _SSE + self._headers.of(handle))
        while chunks:
            await exchange.more(b"".join([chunk.data for chunk in chunks]))
            chunks = await handle.next_chunks()
        if handle.outcome is None or handle.outcome.disposition is not Disposition.ANSWERED:
            await exchange.more(b"data: " + refusal_of_end(handle).body + b"\n\n")
        await exchange.end()

    async def _refuse(self, handle: Handle, exchange: Exchange) -> None:
        if handle.code == "skipped" and handle.decision is not None:
            await self._skip(handle, handle.decision, exchange)
        else:
            await exchange.refuse(refusal_of_end(handle), self._headers.of(handle))

    async def _skip(self, handle: Handle, decision: Decision, exchange: Exchange) -> None:
        """The fixed reply where there is one and the caller can read it, else the error."""
        request, headers = handle.request, self._headers.of(handle)
        if self._skip_reply is None or not can_reply(request):
            await exchange.refuse(self._skip_error.of(decision, decision.reason), headers)
            return
        body = reply(request, self._skip_reply, int(self._clock.wall()))
        if request.stream:
            await exchange.start(200, _SSE + headers)
            await exchange.end(body)
        else:
            await exchange.answer(200, body, [JSON, *headers])

    async def _label(self, exchange: Exchange) -> None:
        await take_labels(exchange, self._feedback, self._max_body_bytes)

    # Pages

    async def _list_models(self, exchange: Exchange) -> None:
        await exchange.answer_json({"object": "list", "data": list(self._models.values())})

    async def _model(self, exchange: Exchange) -> None:
        name = exchange.path.removeprefix("/v1/models/")
        _, router = self._edge.read_model(name)
        shown = self._models[name] if router is None else {**self._models[AUTO], "id": name}
        await exchange.answer_json(shown)

    async def _health(self, exchange: Exchange) -> None:
        view = self._driver.view()
        endpoints = {
            v.name: {
                "healthy": v.healthy,
                "queued": v.queued,
                "running": v.running,
                "slots": v.max_concurrent,
            }
            for v in view
        }
        status = "ok" if self._ready() else "unavailable"
        await exchange.answer_json({"status": status, "endpoints": endpoints})

    async def _liveness(self, exchange: Exchange) -> None:
        await exchange.answer_json({"status": "alive"})

    async def _readiness(self, exchange: Exchange) -> None:
        ready = self._ready()
        await exchange.answer_json({"status": "ready" if ready else "not ready"}, 200 if ready else 503)

    async def _exposition(self, exchange: Exchange) -> None:
        driver = self._driver
        text = self._metrics.exposition(driver.view(), driver.faults, driver.limits(), self._feedback)
        await exchange.answer(200, text, [(b"content-type", CONTENT_TYPE)])

    def _ready(self) -> bool:
        return not self._driver.closing and any(v.healthy for v in self._driver.view())
