"""Servers with a queue of their own get the order of ours with each request, as configured: in either sign."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

from pointsman.build import build_gateway, read_config
from pointsman.clock import RealClock
from pointsman.testing.serving import served
from pointsman.testing.upstream import Upstream

CONFIG = """
model_list:
  - model_name: m
    litellm_params: {{model: hosted_vllm/m, api_base: "{url}"}}
    model_info: {{priority: {telling}}}
pointsman:
  service_classes: [priority]
  order: {{name: fcfs, head_start_s: {{priority: 3600}}}}
"""
SAYS: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "one two"}]}


@pytest.mark.parametrize(("telling", "sign"), [("lower_first", 1), ("higher_first", -1)])
async def test_the_server_s_number_follows_the_key_of_our_queue(
    tmp_path: Path, telling: str, sign: int
) -> None:
    async with Upstream() as upstream:
        file = tmp_path / "config.yaml"
        file.write_text(CONFIG.format(url=upstream.base_url, telling=telling))
        gateway = build_gateway(read_config(file), (), RealClock())
        async with (
            served(gateway) as url,
            openai.AsyncOpenAI(base_url=url, api_key="any", max_retries=0) as client,
        ):
            for tier in ("default", "priority", "default"):
                await client.chat.completions.create(**SAYS, service_tier=tier)
            with pytest.raises(openai.BadRequestError, match="priority is set by this gateway") as caught:
                await client.chat.completions.create(**SAYS, extra_body={"priority": 1})
        first, ahead, last = (sign * body["priority"] for body in upstream.bodies)
    assert ahead < first <= last
    assert 3_500_000 < last - ahead <= 3_600_000 + (last - first)
    assert caught.value.param == "priority"
