"""Stands before one OpenAI-compatible server and counts what that server has to do, at its side of the wire.

    async with CountingProxy(server_url) as proxy:
        ... requests to proxy.base_url ...
    proxy.most_running, proxy.answered

A request counts from its last byte until its answer is complete, or the server is gone: then the caller's connection is
closed without an answer. Whole answers only: `stream` is not passed on.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Self

import aiohttp
import msgspec
from aiohttp import web

_OK: Final = 200


class CountingProxy:
    """A server on a free port of 127.0.0.1, passing POST requests on.

    Attributes:
        target: the server's base URL, with the version; may change when the server was started again.
        bodies: of all requests, in order; `answered`: of those that got an answer with status 200.
        running, most_running: requests with the server now, and at most so far.
        cut: requests that the server did not answer.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.bodies: list[dict[str, Any]] = []
        self.answered: list[dict[str, Any]] = []
        self.running = self.most_running = self.cut = 0
        self.base_url = ""
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    async def until(self, *, answered: int = 0, running: int = 0, cut: int = 0) -> None:
        """Wait until so many requests have been answered, are with the server now, and were cut."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: len(self.answered) >= answered and self.running >= running and self.cut >= cut
            )

    async def __aenter__(self) -> Self:
        # No connection is kept: one that the server is about to close would count as the server's failure.
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
        app = web.Application(client_max_size=2**30)
        app.router.add_post("/v1/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        data = await request.read()
        body = msgspec.json.decode(data)
        self.bodies.append(body)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await self._notify()
        try:
            status, said = await self._ask(request.match_info["path"], data)
        except aiohttp.ClientError:
            status, said = 0, b""
        finally:
            self.running -= 1
        self.cut += status == 0
        if status == _OK:
            self.answered.append(body)
        await self._notify()
        if status == 0 and request.transport is not None:
            request.transport.close()
            await asyncio.Event().wait()  # until the server of this proxy notices, and cancels
        return web.Response(body=said, status=status, content_type="application/json")

    async def _ask(self, path: str, data: bytes) -> tuple[int, bytes]:
        assert self._session is not None
        headers = {"content-type": "application/json"}
        async with self._session.post(f"{self.target}/{path}", data=data, headers=headers) as response:
            return response.status, await response.read()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
