"""Limits of one request over real sockets: said in three places, kept under every policy, refused with what can be had."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import openai
import pytest

from pointsman.build import build_gateway, read_config
from pointsman.clock import RealClock
from pointsman.events import CapacityChanged
from pointsman.predict.judge import SIGNS, AnswerJudge
from pointsman.predict.logistic import Logistic
from pointsman.store.decision_log import read_decisions
from pointsman.testing.serving import served
from pointsman.testing.upstream import Upstream
from pointsman.types import Decision

CONFIG = """
model_list:
  - model_name: small
    litellm_params: {{model: hosted_vllm/up-small, api_base: "{small}"}}
    model_info: {{accuracy: 0.5, accuracy_source: a test, output_cost_per_token: 1.0e-6}}
  - model_name: large
    litellm_params: {{model: hosted_vllm/up-large, api_base: "{large}"}}
    model_info: {{accuracy: 0.9, accuracy_source: a test, output_cost_per_token: 1.0e-5}}
pointsman:
  log: {{path: log.db}}
  policy: {policy}
"""
MESSAGES: Any = [{"role": "user", "content": "one two"}]
CHEAPEST, BEST = "{name: cheapest}", "{name: weighted, weights: {accuracy: 1}}"


class World:
    """A gateway before two servers: the small one is cheap, the large one right."""

    def __init__(
        self, gateway: Any, url: str, http: aiohttp.ClientSession, log: Path, *servers: Upstream
    ) -> None:
        self.gateway, self.url, self.http, self.log, self.servers = gateway, url, http, log, servers

    def client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=self.url, api_key="any", max_retries=0)

    async def post(self, headers: dict[str, str] | None = None, **fields: Any) -> tuple[int, Any, Any]:
        body = {"model": "auto", "messages": MESSAGES, **fields}
        async with self.http.post(self.url + "/chat/completions", json=body, headers=headers) as answer:
            text = await answer.text()
            is_json = answer.headers["content-type"].startswith("application/json")
            return answer.status, json.loads(text) if is_json else text, answer.headers

    async def decisions(self, count: int) -> list[Decision]:
        """What the log holds, once there are so many."""
        while len(found := list(read_decisions(self.log))) < count:
            await asyncio.sleep(0.01)
        return found

    @property
    def asked(self) -> tuple[int, ...]:
        return tuple(len(server.bodies) for server in self.servers)


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    async with contextlib.AsyncExitStack() as stack:

        async def made(policy: str = CHEAPEST) -> World:
            small, large = [await stack.enter_async_context(Upstream()) for _ in range(2)]
            file = tmp_path / "config.yaml"
            file.write_text(CONFIG.format(small=small.base_url, large=large.base_url, policy=policy))
            gateway = build_gateway(read_config(file), (), RealClock())
            url = await stack.enter_async_context(served(gateway))
            http = await stack.enter_async_context(aiohttp.ClientSession())
            return World(gateway, url, http, tmp_path / "log.db", small, large)

        yield made


@pytest.mark.parametrize(
    "said",
    [
        {"headers": {"x-pointsman-min-quality": "0.8"}},
        {"pointsman": {"min_quality": 0.8}},
        {"metadata": {"pointsman_min_quality": "0.8"}},
    ],
)
async def test_a_floor_in_each_place_leaves_the_cheap_one_out(start, said):
    world = await start()
    assert (await world.post())[2]["x-pointsman-endpoint"] == "small"
    status, answer, headers = await world.post(**said)
    assert (status, headers["x-pointsman-endpoint"], world.asked) == (200, "large", (1, 1))
    assert answer["choices"][0]["message"]["content"] == "two one"
    assert "pointsman" not in world.servers[1].bodies[0]
    _, decision = await world.decisions(2)
    assert decision.excluded == {"small": "its predicted quality 0.5 is below the request's 0.8"}


@pytest.mark.parametrize(
    "policy",
    [
        BEST,
        "{name: random, seed: 1}",
        "{name: floor, threshold: 0.7}",
        "{name: single, model: large}",
        "{name: value}",
        "{name: constrained, limits: {min_quality: 0.9}}",
    ],
)
async def test_what_a_request_may_cost_holds_under_every_policy(start, policy):
    world = await start(policy)
    for request in range(4):
        headers = {"x-pointsman-max-price-usd": "0.0001", "x-request-id": f"r{request}"}
        status, _, told = await world.post(headers, stream=request % 2 == 1)
        assert (status, told["x-pointsman-endpoint"]) == (200, "small")
        assert float(told["x-pointsman-predicted-cost-usd"].partition(";")[0]) <= 0.0001
    assert world.asked == (4, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_limits_that_nobody_keeps_are_refused_with_the_best_there_is(start, stream):
    world = await start()
    async with world.client() as client:
        with pytest.raises(openai.UnprocessableEntityError) as caught:
            await client.chat.completions.create(
                model="auto",
                messages=MESSAGES,
                stream=stream,
                extra_headers={"x-pointsman-min-quality": "0.95"},
            )
    error = caught.value
    assert (error.code, error.type) == ("limits_unmet", "invalid_request_error")
    assert error.body["message"] == (
        "no endpoint can serve this request within its limits, quality at least 0.95: "
        "the best predicted quality is 0.9, by large"
    )
    headers = error.response.headers
    assert headers["x-pointsman-action"] == "refuse"
    assert "retry-after" not in headers
    assert world.asked == (0, 0)
    [decision] = await world.decisions(1)
    assert (decision.policy, set(decision.excluded)) == ("limits", {"small", "large"})
    async with world.http.get(world.url.removesuffix("/v1") + "/metrics") as answer:
        counted = await answer.text()
    assert 'pointsman_not_run_total{policy="limits",action="refuse"} 1' in counted


async def test_limits_that_exclude_one_another_say_what_each_leaves(start):
    world = await start()
    own = {"min_quality": 0.8, "max_price_usd": 0.0001}
    status, said, _ = await world.post(pointsman=own)
    assert (status, said["error"]["code"]) == (422, "limits_unmet")
    message = said["error"]["message"]
    assert "within the other limits the best predicted quality is 0.5, by small" in message
    assert "within the other limits the cheapest is $" in message
    offered = message.partition("the cheapest is $")[2].partition(",")[0]
    status, _, headers = await world.post(pointsman=own | {"max_price_usd": float(offered)})
    assert (status, headers["x-pointsman-endpoint"]) == (200, "large"), "what it offers can be had"


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [("small", 422, "limits_unmet"), ("large", 200, None), ("router-floor-0.2", 200, None)],
)
async def test_they_hold_for_pinned_models_and_policies_by_name(start, model, status, code):
    world = await start()
    found, said, headers = await world.post(model=model, pointsman={"min_quality": 0.8})
    assert (found, said.get("error", {}).get("code")) == (status, code)
    if status == 200:
        assert headers["x-pointsman-endpoint"] == "large"
    else:
        assert "large: the request names model small" in said["error"]["message"]


@pytest.mark.parametrize("value", ["nan", "-0.1", "1.5", "high", ""])
async def test_what_is_no_limit_is_a_bad_request(start, value):
    world = await start()
    status, said, _ = await world.post({"x-pointsman-min-quality": value})
    assert (status, said["error"]["code"], said["error"]["param"]) == (400, "invalid_value", "min_quality")
    assert said["error"]["message"].startswith("min_quality is ")
    assert (await world.post())[0] == 200, "the next request is unharmed"


async def test_one_that_keeps_the_limits_but_is_down_may_come_back(start):
    world = await start()
    world.gateway._driver.observe(CapacityChanged("large", 4, healthy=False))
    status, said, headers = await world.post(pointsman={"min_quality": 0.8})
    assert (status, said["error"]["code"], headers["retry-after"]) == (503, "endpoint_down", "1")
    assert "large: it is down" in said["error"]["message"]


def write_judge(path: Path) -> None:
    """Surer tokens, righter answers of the small one; whatever it says, the large one is right."""
    nothing, ones = np.zeros(len(SIGNS)), np.ones(len(SIGNS))
    weights = nothing.copy()
    weights[SIGNS.index("mean_logprob")] = 2.0
    models = {
        ("small", "small"): Logistic(-3.0, nothing, ones, weights),
        ("small", "large"): Logistic(3.0, nothing, ones, nothing),
    }
    path.write_text(AnswerJudge(("small", "large"), models).to_json())


CASCADE = "{name: cascade, endpoints: [small, large], judge: judge.json}"


async def test_a_cascade_goes_no_further_than_the_limits_pay_for(start, tmp_path):
    write_judge(tmp_path / "judge.json")
    world = await start(CASCADE)
    _, _, headers = await world.post()
    assert (headers["x-pointsman-endpoint"], headers["x-pointsman-steps"]) == ("large", "2")
    large_usd = float(headers["x-pointsman-predicted-cost-usd"].partition(";")[0])
    status, _, headers = await world.post(pointsman={"max_price_usd": 1.001 * large_usd})
    assert (status, headers["x-pointsman-endpoint"]) == (200, "small"), "nothing is left for the large one"
    assert "no other can be asked now" in headers["x-pointsman-verdict"]
    _, _, headers = await world.post(pointsman={"max_price_usd": 2 * large_usd})
    assert headers["x-pointsman-endpoint"] == "large"
    _, _, headers = await world.post(pointsman={"min_quality": 0.8})
    assert headers["x-pointsman-endpoint"] == "large"
    assert world.asked == (3, 3)
