"""Serving the gateway with uvicorn: one process, one event loop."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pointsman.errors import BadRequest

_STOP: Final = (signal.SIGINT, signal.SIGTERM)
BACKLOG: Final = 2048
GRACE_S: Final = 40
"""Connections still open so long after a stop was asked for are closed; longer than the driver's grace."""


def check_host(host: str, *, insecure_bind: bool) -> None:
    """Raise BadRequest if `host` can be reached from other machines and that was not asked for.

    The gateway asks its callers for no key, so whoever reaches it can spend the endpoints' money.
    """
    if not insecure_bind and not _is_loopback(host):
        raise BadRequest(
            f"{host} can be reached from other machines, and the gateway asks its callers for no key",
            remedy="Listen on 127.0.0.1, or say --insecure-bind if something in front checks who calls",
            param="host",
        )


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens on the address. Raises: BadRequest saying why it can't be had."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, OverflowError) as error:
        raise BadRequest(
            f"{host}:{port} is no address to listen on: {error}",
            remedy="Give an address of this machine, such as 127.0.0.1",
            param="host",
        ) from error
    try:
        if os.name == "posix":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(BACKLOG)  # callers wait from now on, though nobody answers yet
    except OSError as error:
        bound.close()
        raise BadRequest(
            f"can't listen on {host}:{port}: {error.strerror or error}",
            remedy="Stop what listens there, or choose another with --port (0 takes any free one)",
            param="port",
        ) from error
    return bound


def serve(app: Any, bound: socket.socket) -> None:
    """Serve an ASGI application on a bound socket until SIGINT or SIGTERM, then end what runs and return.

    uvloop and httptools are used if they are installed.
    """
    import uvicorn

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Stop at a signal, without raising it again afterwards: its sender asked for just that."""
            before = {number: signal.signal(number, self.handle_exit) for number in _STOP}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        ws="none",
        backlog=BACKLOG,
        lifespan="on",
        timeout_graceful_shutdown=GRACE_S,
    )
    with bound:
        Server(config).run(sockets=[bound])


def base_url(bound: socket.socket) -> str:
    """Where clients find the gateway, e.g. `http://127.0.0.1:8080/v1`."""
    host, port = bound.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "127.0.0.1" if bound.family == socket.AF_INET else "::1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"


def how_to_talk(url: str) -> str:
    """Lines that a user can paste, for curl and for the openai client."""
    return f"""\
With curl:
  curl {url}/chat/completions -H 'content-type: application/json' \\
    -d '{{"model": "auto", "messages": [{{"role": "user", "content": "What is 17 * 23?"}}]}}'

With the openai client (pip install openai):
  from openai import OpenAI
  client = OpenAI(base_url="{url}", api_key="not-needed")
  answer = client.chat.completions.create(
      model="auto", messages=[{{"role": "user", "content": "What is 17 * 23?"}}]
  )
  print(answer.choices[0].message.content)"""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
