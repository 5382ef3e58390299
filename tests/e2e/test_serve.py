"""`pointsman serve` as a user starts it: a process, a configuration, Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest

from pointsman.gateway.server import bind
from pointsman.testing.upstream import Upstream

MESSAGES = [{"role": "user", "content": "one two"}]
COMMAND = [sys.executable, "-W", "error", "-m", "pointsman", "serve"]


def write_config(folder: Path, upstream: Upstream) -> Path:
    file = folder / "config.yaml"
    file.write_text(
        f"""\
model_list:
  - model_name: small
    litellm_params: {{model: openai/up-small, api_base: "{upstream.base_url}", api_key: os.environ/TEST_KEY}}
  - model_name: large
    litellm_params: {{model: openai/up-large, api_base: "{upstream.base_url}", api_key: os.environ/TEST_KEY}}
pointsman:
  log: {{path: "{folder / "decisions.sqlite"}"}}
"""
    )
    return file


@contextlib.asynccontextmanager
async def serving(config: Path, *options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        "--config",
        str(config),
        "--port",
        "0",
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TEST_KEY": "sk-secret-0123456789", "PYTHONUNBUFFERED": "1"},
    )
    try:
        said = b""
        while b"print(answer" not in said:
            line = await process.stdout.readline()
            assert line, (await process.stderr.read()).decode()
            said += line
        yield process, re.search(r"http://\S+/v1", said.decode())[0]
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
async def test_serve_answers_and_ends_at_a_signal(tmp_path, stop):
    async with Upstream() as upstream:
        config = write_config(tmp_path, upstream)
        async with serving(config) as (process, url):
            async with openai.AsyncOpenAI(base_url=url, api_key="any") as client:
                answer = await client.chat.completions.create(model="auto", messages=MESSAGES)
            assert answer.choices[0].message.content == "two one"
            assert upstream.headers[0]["Authorization"] == "Bearer sk-secret-0123456789"
            process.send_signal(stop)
            out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert b"sk-secret" not in out
    with contextlib.closing(sqlite3.connect(tmp_path / "decisions.sqlite")) as log:
        tables = [name for (name,) in log.execute("select name from sqlite_master where type = 'table'")]
        assert any(log.execute(f"select count(*) from {name}").fetchone()[0] == 1 for name in tables)


async def run_to_end(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TEST_KEY": "sk-secret-0123456789"},
    )
    _, err = await process.communicate()
    return process.returncode, err.decode()


async def test_a_port_in_use_ends_with_a_message(tmp_path):
    async with Upstream() as upstream:
        config = str(write_config(tmp_path, upstream))
        with bind("127.0.0.1", 0) as taken:
            code, err = await run_to_end("--config", config, "--port", str(taken.getsockname()[1]))
    assert code == 2
    assert "Address already in use" in err
    assert "--port" in err
    assert "Traceback" not in err


async def test_an_open_host_is_refused(tmp_path):
    async with Upstream() as upstream:
        code, err = await run_to_end("--config", str(write_config(tmp_path, upstream)), "--host", "0.0.0.0")
    assert code == 2
    assert "--insecure-bind" in err
