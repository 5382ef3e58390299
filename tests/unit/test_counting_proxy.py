"""The proxy that counts, before a server that does what it is told."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from pointsman.testing.counting_proxy import CountingProxy
from pointsman.testing.upstream import End, Reply, Upstream


def body(text: str) -> dict[str, object]:
    return {"model": "m", "messages": [{"role": "user", "content": text}]}


async def ask(url: str, text: str = "one two") -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/chat/completions", json=body(text)) as reply,
    ):
        said = await reply.json()
        return reply.status, said["choices"][0]["message"]["content"] if reply.status == 200 else said[
            "error"
        ]


async def test_it_counts_what_the_server_has_to_do_and_passes_answers_on() -> None:
    async with Upstream() as upstream, CountingProxy(upstream.base_url) as proxy:
        upstream.gate.clear()
        asked = [asyncio.create_task(ask(proxy.base_url, f"{n} word")) for n in range(3)]
        await proxy.until(running=3)
        assert (proxy.running, proxy.most_running, proxy.answered) == (3, 3, [])
        upstream.gate.set()
        assert await asyncio.gather(*asked) == [(200, f"word {n}") for n in range(3)]
        await ask(proxy.base_url)
        assert (proxy.running, proxy.most_running, len(proxy.answered)) == (0, 3, 4)
        assert upstream.bodies == proxy.bodies


async def test_a_refusal_is_passed_on_and_is_no_answer() -> None:
    async with Upstream() as upstream, CountingProxy(upstream.base_url) as proxy:
        upstream.next(Reply([b'{"error": "no"}'], status=400))
        assert await ask(proxy.base_url) == (400, "no")
        assert (len(proxy.bodies), proxy.answered, proxy.cut, proxy.running) == (1, [], 0, 0)


async def test_a_server_that_breaks_off_or_is_gone_is_a_cut_and_frees_its_place() -> None:
    async with Upstream() as upstream, CountingProxy(upstream.base_url) as proxy:
        upstream.next(Reply(end=End.CUT))
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await ask(proxy.base_url)
        proxy.target = "http://127.0.0.1:1/v1"
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await ask(proxy.base_url)
        assert (proxy.cut, proxy.running, proxy.answered) == (2, 0, [])
        proxy.target = upstream.base_url
        assert await ask(proxy.base_url) == (200, "two one")
