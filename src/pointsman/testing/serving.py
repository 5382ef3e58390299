"""A gateway, or any ASGI application, on a free port of this machine, for as long as a test needs it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import uvicorn

from pointsman.gateway.server import base_url, bind


@contextlib.asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """Its address, with `/v1`; it is shut down at the end, as on SIGTERM."""
    bound = bind("127.0.0.1", 0)
    config = uvicorn.Config(app, log_config=None, access_log=False, ws="none", lifespan="on")
    server = uvicorn.Server(config)
    task = asyncio.ensure_future(server.serve(sockets=[bound]))
    while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn says it by a flag
        await asyncio.sleep(0.001)
    try:
        yield base_url(bound)
    finally:
        server.should_exit = True
        await task
        bound.close()
