"""What the gateway costs: the same requests to the same canned upstream, directly and through it.

Three processes: a client, `pointsman serve` with three endpoints (weighted policy, the shipped fit), and an
upstream that answers at once with canned bytes. So the ratios are the worst case: beside a model that
computes for seconds the same milliseconds vanish. The body is a chat of about 2 KB; a streamed answer
has 32 events, each written by itself. Latency is to the last byte, at a fixed number of requests in flight.
CPU is user and system time of the processes, a request; `requests_s_core` is what one core gives if the
gateway has it for itself. Directly and through the gateway alternate, so that a drift meets both.

    python bench/gateway_overhead.py
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil

from pointsman.report.bench import Cell, bench_parser, write_results

CONCURRENCY = (1, 32, 128)
EVENTS = 32
SLOTS = 256
PROMPT = "A train leaves the yard at noon. " * 56
CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "canned"}


def canned_whole() -> bytes:
    body = {
        **CHUNK,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "At one. " * 40},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 450, "completion_tokens": 120, "total_tokens": 570},
    }
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    return head.encode() + data


def canned_stream() -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    deltas: list[dict[str, object]] = [{"delta": {"content": "word "}, "finish_reason": None}] * (EVENTS - 1)
    events: list[object] = [{**CHUNK, "choices": [{"index": 0, **delta}]} for delta in deltas]
    events.append({**CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    events.append({**CHUNK, "choices": [], "usage": {"prompt_tokens": 450, "completion_tokens": EVENTS - 1}})
    data = [f"data: {json.dumps(event)}\n\n".encode() for event in events] + [b"data: [DONE]\n\n"]
    return [head] + [b"%x\r\n%s\r\n" % (len(d), d) for d in data] + [b"0\r\n\r\n"]


class Canned(asyncio.Protocol):
    """Answers every request with the same bytes; a stream's events go out one a turn of the loop."""

    whole, stream = canned_whole(), canned_stream()

    def connection_made(self, transport: Any) -> None:
        """A caller is there."""
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        """Answer as soon as the whole request is there."""
        self.buffer += data
        head, blank, rest = self.buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])  # type: ignore[index]
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        if re.search(rb'"stream": ?true', rest):
            self._write(0)
        else:
            self.transport.write(self.whole)

    def _write(self, index: int) -> None:
        self.transport.write(self.stream[index])
        if index + 1 < len(self.stream):
            asyncio.get_running_loop().call_soon(self._write, index + 1)


def serve_canned(ready: Connection) -> None:
    """The upstream's process."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    _run(run())


def _run(main: Any) -> Any:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


@contextmanager
def upstream() -> Iterator[tuple[int, int]]:
    """Pid and port of the canned upstream."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve_canned, args=(there,), daemon=True)
    process.start()
    port = here.recv()
    try:
        yield process.pid or 0, port
    finally:
        process.terminate()
        process.join()


@contextmanager
def gateway(port: int) -> Iterator[tuple[int, int]]:
    """Pid and port of `pointsman serve` in front of it."""
    models = "".join(
        f"""  - model_name: {name}
    litellm_params: {{model: openai/{name}, api_base: "http://127.0.0.1:{port}/v1"}}
    model_info: {{max_concurrent: {SLOTS}}}
    profile: {name}
"""
        for name in ("smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b")
    )
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(f"model_list:\n{models}", encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-m", "pointsman", "serve", "--config", str(config), "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+:(\d+)/v1", process.stdout.readline())
            assert found, "pointsman serve did not start"
            for line in process.stdout:
                if "print(answer" in line:
                    break
            yield process.pid, int(found[1])
        finally:
            process.terminate()
            process.wait()


@dataclass(slots=True)
class Side:
    """One way to the upstream and what was measured on it."""

    url: str
    pids: Sequence[int]
    latencies_s: list[float] = field(default_factory=list)
    wall_s: float = 0.0
    cpu_s: dict[int, float] = field(default_factory=dict)

    def cpu_ms(self, *pids: int) -> float:
        """CPU time a request, of these processes or of all."""
        return 1000 * sum(self.cpu_s.get(pid, 0.0) for pid in pids or self.cpu_s) / len(self.latencies_s)

    def p_ms(self, percent: float) -> float:
        """A percentile of the latencies."""
        return 1000 * float(np.percentile(self.latencies_s, percent))


async def load(side: Side, *, stream: bool, concurrency: int, seconds: float) -> None:
    """Keep `concurrency` requests in flight for `seconds`."""
    body = {"model": "auto", "stream": stream, "messages": [{"role": "user", "content": PROMPT}]}
    data = json.dumps(body).encode()
    host, port = urlsplit(side.url).hostname, urlsplit(side.url).port
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    asked = head.encode() + data
    before = {pid: _cpu_s(pid) for pid in side.pids}
    start_s = time.perf_counter()
    found = await asyncio.gather(
        *(_one_after_another(host, port, asked, start_s + seconds, stream=stream) for _ in range(concurrency))
    )
    side.wall_s += time.perf_counter() - start_s
    for pid in side.pids:
        side.cpu_s[pid] = side.cpu_s.get(pid, 0.0) + _cpu_s(pid) - before[pid]
    side.latencies_s += [latency for one in found for latency in one]


async def _one_after_another(
    host: str | None, port: int | None, asked: bytes, until_s: float, *, stream: bool
) -> list[float]:
    reader, writer = await asyncio.open_connection(host, port)
    latencies = []
    while (start_s := time.perf_counter()) < until_s:
        writer.write(asked)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        if stream:
            await reader.readuntil(b"0\r\n\r\n")
        else:
            await reader.readexactly(int(re.search(rb"(?i)content-length: *(\d+)", head)[1]))  # type: ignore[index]
        latencies.append(time.perf_counter() - start_s)
    writer.close()
    await writer.wait_closed()
    return latencies


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


async def measure(
    direct: Side, through: Side, gateway_pid: int, seconds: float, rounds: int
) -> list[dict[str, Cell]]:
    rows: list[dict[str, Cell]] = []
    for stream in (False, True):
        for concurrency in CONCURRENCY:
            sides = [Side(side.url, side.pids) for side in (direct, through)]
            for side in sides:
                await load(Side(side.url, side.pids), stream=stream, concurrency=concurrency, seconds=0.3)
            for _ in range(rounds):
                for side in sides:
                    await load(side, stream=stream, concurrency=concurrency, seconds=seconds)
            rows.append(_row(*sides, gateway_pid, stream=stream, concurrency=concurrency))
    return rows


def _row(direct: Side, through: Side, gateway_pid: int, *, stream: bool, concurrency: int) -> dict[str, Cell]:
    own_ms = through.cpu_ms(gateway_pid)
    return {
        "stream": stream,
        "concurrency": concurrency,
        "requests": len(through.latencies_s),
        "direct_p50_ms": direct.p_ms(50),
        "gateway_p50_ms": through.p_ms(50),
        "added_p50_ms": through.p_ms(50) - direct.p_ms(50),
        "latency_ratio": through.p_ms(50) / direct.p_ms(50),
        "gateway_p99_ms": through.p_ms(99),
        "direct_cpu_ms": direct.cpu_ms(),
        "gateway_cpu_ms": own_ms,
        "cpu_ratio": through.cpu_ms() / direct.cpu_ms(),
        "direct_requests_s": len(direct.latencies_s) / direct.wall_s,
        "requests_s": len(through.latencies_s) / through.wall_s,
        "requests_s_core": 1000 / own_ms,
    }


def main() -> None:
    """Measure, print, write."""
    args = bench_parser(str(__doc__).partition("\n")[0]).parse_args()
    seconds, rounds = (1.5, 1) if args.quick else (5.0, 4)
    with upstream() as (upstream_pid, upstream_port), gateway(upstream_port) as (gateway_pid, gateway_port):
        own = os.getpid()
        direct = Side(f"http://127.0.0.1:{upstream_port}", (own, upstream_pid))
        through = Side(f"http://127.0.0.1:{gateway_port}", (own, upstream_pid, gateway_pid))
        rows = _run(measure(direct, through, gateway_pid, seconds, rounds))
    write_results(
        "gateway_overhead", rows, args, title=f"gateway against a direct call; streams of {EVENTS} events"
    )


if __name__ == "__main__":
    main()
