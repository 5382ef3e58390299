"""A gateway before two endpoints of which the cheaper can't be reached: it is left alone, and tried again."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import openai

from pointsman.build import build_gateway, read_config
from pointsman.clock import RealClock
from pointsman.testing.serving import served
from pointsman.testing.upstream import Upstream

CONFIG = """
model_list:
  - model_name: cheap
    litellm_params: {{model: hosted_vllm/cheap, api_base: "http://127.0.0.1:{port}/v1"}}
    model_info: {{id: cheap, output_cost_per_token: 1.0e-7}}
  - model_name: dear
    litellm_params: {{model: hosted_vllm/dear, api_base: "{dear}"}}
    model_info: {{id: dear, output_cost_per_token: 1.0e-5}}
pointsman: {{policy: cheapest, breaker: {{failures: 2, rest_s: 0.05, most_rest_s: 0.05}}}}
"""


async def asked(client: openai.AsyncOpenAI) -> str:
    """Which endpoint answered, or the code of the error."""
    messages = [{"role": "user", "content": "one two"}]
    try:
        answer = await client.chat.completions.with_raw_response.create(model="auto", messages=messages)
    except openai.APIStatusError as error:
        return error.body["code"]
    return answer.headers["x-pointsman-endpoint"]


async def test_an_endpoint_that_can_t_be_reached_is_left_alone_and_comes_back(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with Upstream() as dear:
        file = tmp_path / "config.yaml"
        file.write_text(CONFIG.format(port=port, dear=dear.base_url))
        gateway = build_gateway(read_config(file), (), RealClock())
        async with (
            served(gateway) as url,
            openai.AsyncOpenAI(base_url=url, api_key="any", max_retries=0) as client,
        ):
            assert [await asked(client) for _ in range(3)] == [*["upstream_unreachable"] * 2, "dear"]
            async with Upstream(port=port):
                found = [await asked(client)]
                while found[-1] != "cheap":
                    await asyncio.sleep(0.01)
                    found.append(await asked(client))
            assert set(found) <= {"dear", "cheap"}
            assert all([(await asked(client)).startswith("upstream_") for _ in range(2)])
            assert await asked(client) == "dear"
