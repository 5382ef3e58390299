"""Skipping over real sockets: a configuration file, the gateway, the official client in front, servers behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from pointsman.build import build_gateway, read_config
from pointsman.clock import RealClock
from pointsman.store.decision_log import read_decisions, read_outcomes
from pointsman.testing.serving import served
from pointsman.testing.upstream import Upstream
from pointsman.types import Admission, Disposition

CONFIG = """
model_list:
  - model_name: small
    litellm_params: {{model: hosted_vllm/up-small, api_base: "{small}"}}
    model_info: {{accuracy: 0.4, accuracy_source: a test, input_cost_per_token: 1.0e-7}}
  - model_name: large
    litellm_params: {{model: hosted_vllm/up-large, api_base: "{large}"}}
    model_info: {{accuracy: 0.8, accuracy_source: a test, input_cost_per_token: 1.0e-5}}
pointsman:
  policy: {{name: value}}
  log: {{path: log.db}}
  {ours}
"""
MESSAGES: Any = [{"role": "user", "content": "one two"}]
NEVER_WORTH_IT = "costs: {c_run: 2}"


class World:
    """A gateway over a configuration file, before two servers."""

    def __init__(self, url: str, http: aiohttp.ClientSession, log: Path, *servers: Upstream) -> None:
        self.url, self.http, self.log, self.servers = url, http, log, servers

    def client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=self.url, api_key="any", max_retries=0)

    async def post(self, path: str = "/chat/completions", **fields: Any) -> tuple[int, Any, Any]:
        headers = fields.pop("headers", {})
        body = {"model": "auto", "messages": MESSAGES, **fields}
        async with self.http.post(self.url + path, json=body, headers=headers) as answer:
            text = await answer.text()
            is_json = answer.headers["content-type"].startswith("application/json")
            return answer.status, json.loads(text) if is_json else text, answer.headers

    async def metrics(self) -> str:
        async with self.http.get(self.url.removesuffix("/v1") + "/metrics") as answer:
            return await answer.text()

    @property
    def asked(self) -> int:
        return sum(len(server.bodies) for server in self.servers)


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    async with contextlib.AsyncExitStack() as stack:

        async def made(ours: str = "") -> World:
            small, large = await stack.enter_async_context(Upstream()), Upstream()
            await stack.enter_async_context(large)
            file = tmp_path / "config.yaml"
            file.write_text(CONFIG.format(small=small.base_url, large=large.base_url, ours=ours))
            gateway = build_gateway(read_config(file), (), RealClock())
            url = await stack.enter_async_context(served(gateway))
            http = await stack.enter_async_context(aiohttp.ClientSession())
            return World(url, http, tmp_path / "log.db", small, large)

        yield made


async def test_nothing_is_skipped_unless_asked_for(start):
    world = await start(NEVER_WORTH_IT)
    status, said, headers = await world.post()
    assert (status, headers["x-pointsman-action"]) == (200, "run")
    assert said["choices"][0]["message"]["content"] == "two one"


@pytest.mark.parametrize(
    "opt_in",
    [
        {"headers": {"x-pointsman-allow-skip": "true"}},
        {"pointsman": {"allow_skip": True}},
        {"metadata": {"pointsman_allow_skip": "true"}},
    ],
)
async def test_a_caller_may_allow_skipping(start, opt_in):
    world = await start(NEVER_WORTH_IT)
    status, said, headers = await world.post(**opt_in)
    assert (status, headers["x-pointsman-action"], world.asked) == (422, "skip", 0)
    assert said["error"]["type"] == "skipped"


async def test_a_caller_may_forbid_skipping_where_the_configuration_skips(start):
    world = await start(NEVER_WORTH_IT + "\n  admission: value")
    assert (await world.post())[0] == 422
    status, _, headers = await world.post(headers={"x-pointsman-allow-skip": "false"})
    assert (status, headers["x-pointsman-action"]) == (200, "run")
    status, said, _ = await world.post(headers={"x-pointsman-allow-skip": "perhaps"})
    assert (status, said["error"]["param"]) == (400, "allow_skip")


async def test_the_official_client_reads_the_error_with_its_numbers(start):
    world = await start(NEVER_WORTH_IT + "\n  admission: value")
    async with world.client() as client:
        with pytest.raises(openai.UnprocessableEntityError) as caught:
            await client.chat.completions.create(model="auto", messages=MESSAGES)
        with pytest.raises(openai.UnprocessableEntityError):
            await client.chat.completions.create(model="auto", messages=MESSAGES, stream=True)
        with pytest.raises(openai.UnprocessableEntityError):
            await client.completions.create(model="auto", prompt="one two")
    error, body, headers = caught.value, caught.value.body, caught.value.response.headers
    assert (error.code, error.type, error.param) == ("skipped", "skipped", None)
    assert body["message"] == (
        "skipped: running is expected to cost 2.2 (on large, quality 0.800), skipping only 0.8"
    )
    assert (body["judged_by"], body["quality"]) == ("large", 0.8)
    assert (body["expected_run_cost"], body["expected_skip_cost"]) == pytest.approx((2.2, 0.8))
    assert set(body["predicted"]) == {"small", "large"}
    small, large = body["predicted"]["small"], body["predicted"]["large"]
    assert (small["model"], small["quality"], small["energy_modelled"]) == ("small", 0.4, True)
    assert 0 < small["cost_usd"] < large["cost_usd"]
    assert small["time_s"] > 0 < small["energy_j"]
    assert headers["x-pointsman-judged-by"] == "large"
    assert float(headers["x-pointsman-predicted-quality"]) == 0.8
    assert float(headers["x-pointsman-predicted-cost-usd"]) == pytest.approx(large["cost_usd"], rel=1e-5)
    assert float(headers["x-pointsman-expected-run-cost"]) == pytest.approx(2.2)
    assert float(headers["x-pointsman-expected-skip-cost"]) == pytest.approx(0.8)
    assert "x-pointsman-model" not in headers
    assert world.asked == 0


async def test_skips_are_counted_and_logged(start):
    world = await start(NEVER_WORTH_IT)
    assert (await world.post(headers={"x-pointsman-allow-skip": "true", "x-request-id": "mine"}))[0] == 422
    text = await world.metrics()
    assert 'pointsman_requests_total{disposition="skipped"} 1' in text
    assert 'pointsman_not_run_total{policy="value",action="skip"} 1' in text
    assert 'pointsman_http_responses_total{status="422"} 1' in text
    while not (found := list(read_outcomes(world.log))):
        await asyncio.sleep(0.01)
    assert [(o.request_id, o.disposition) for o in found] == [("mine", Disposition.SKIPPED)]
    (decision,) = read_decisions(world.log)
    assert (decision.action, decision.policy, decision.endpoint) == (Admission.SKIP, "value", None)
    assert decision.valuation.run_cost == pytest.approx(2.2)
    assert decision.reason == found[0].reason


REPLY = 'admission: {name: value, on_skip: reply, reply: "Not worth it."}'


async def test_a_fixed_reply_says_what_it_is(start):
    world = await start(f"{NEVER_WORTH_IT}\n  {REPLY}")
    async with world.client() as client:
        raw = await client.chat.completions.with_raw_response.create(model="auto", messages=MESSAGES, n=1)
        answer = raw.parse()
        text = await client.completions.create(model="auto", prompt="one two")
    assert answer.choices[0].message.content == "Not worth it."
    assert (answer.model, answer.choices[0].finish_reason) == ("pointsman-skip", "stop")
    assert answer.usage.total_tokens == 0
    assert raw.headers["x-pointsman-action"] == "skip"
    assert float(raw.headers["x-pointsman-predicted-quality"]) == 0.8
    assert (text.model, text.choices[0].text, text.choices[0].finish_reason) == (
        "pointsman-skip",
        "Not worth it.",
        "stop",
    )
    assert world.asked == 0


async def test_a_fixed_reply_streams(start):
    world = await start(f"{NEVER_WORTH_IT}\n  {REPLY}")
    async with world.client() as client:
        for usage in (False, True):
            stream = await client.chat.completions.create(
                model="auto", messages=MESSAGES, stream=True, stream_options={"include_usage": usage}
            )
            chunks = [chunk async for chunk in stream]
            choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
            assert "".join(choice.delta.content or "" for choice in choices) == "Not worth it."
            assert choices[0].delta.role == "assistant"
            assert [choice.finish_reason for choice in choices] == [None, "stop"]
            assert {chunk.model for chunk in chunks} == {"pointsman-skip"}
            assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == ([0] if usage else [])
        texts = await client.completions.create(model="auto", prompt="one two", stream=True)
        assert "".join([chunk.choices[0].text async for chunk in texts]) == "Not worth it."
    status, said, headers = await world.post(stream=True)
    assert (status, headers["x-pointsman-action"]) == (200, "skip")
    assert headers["content-type"].startswith("text/event-stream")
    assert said.endswith("data: [DONE]\n\n")


async def test_who_will_parse_json_gets_the_error_instead_of_a_text(start):
    world = await start(f"{NEVER_WORTH_IT}\n  {REPLY}")
    status, said, _ = await world.post(response_format={"type": "json_object"})
    assert (status, said["error"]["code"]) == (422, "skipped")


DEFER = "admission: {{name: value, on_skip: defer, defer: {{retry_s: 0.02, max_defer_s: 0.1, then: {then}}}}}"


async def test_what_is_put_off_runs_once_when_its_time_is_up(start):
    world = await start(f"{NEVER_WORTH_IT}\n  {DEFER.format(then='run')}")
    status, said, headers = await world.post(headers={"x-request-id": "mine"})
    assert (status, said["choices"][0]["message"]["content"]) == (200, "two one")
    assert headers["x-pointsman-service-class"] == "batch"
    assert world.asked == 1
    stream = await world.post(stream=True)
    assert stream[0] == 200
    assert stream[1].endswith("data: [DONE]\n\n")
    while len(outcomes := list(read_outcomes(world.log))) < 2:
        await asyncio.sleep(0.01)
    assert [o.disposition for o in outcomes] == [Disposition.ANSWERED] * 2
    mine = [d for d in read_decisions(world.log) if d.request_id == "mine"]
    assert [d.action for d in mine[:-1]] == [Admission.DEFER] * (len(mine) - 1)
    assert len(mine) > 2, "it was looked at more than once"
    assert [d.service_class for d in mine] == ["default"] + ["batch"] * (len(mine) - 1)
    assert mine[-1].action is Admission.RUN
    assert mine[-1].at_s - mine[0].at_s >= 0.1


async def test_what_is_put_off_is_refused_where_that_is_configured(start):
    world = await start(f"{NEVER_WORTH_IT}\n  {DEFER.format(then='refuse')}")
    status, said, headers = await world.post()
    assert (status, said["error"]["code"], headers["retry-after"]) == (429, "refused", "1")
    assert said["error"]["message"].startswith("put off for 0.1 s, the limit")
    assert world.asked == 0
    assert 'pointsman_requests_total{disposition="refused"} 1' in await world.metrics()


async def test_no_more_than_the_limit_are_put_off_at_once(start):
    defer = "defer: {retry_s: 0.05, max_defer_s: 3600, max_waiting: 2}"
    world = await start(f"{NEVER_WORTH_IT}\n  admission: {{name: value, on_skip: defer, {defer}}}")
    waiting = [asyncio.ensure_future(world.post()) for _ in range(2)]
    while 'action="defer"} 2' not in await world.metrics():
        await asyncio.sleep(0.001)
    for stream in (False, True):
        status, said, headers = await world.post(stream=stream)
        assert (status, said["error"]["code"], headers["retry-after"]) == (429, "refused", "1")
        assert said["error"]["message"].startswith("2 requests are put off already, the limit: send it again")
        assert "raise admission.defer.max_waiting" in said["error"]["message"]
    for call in waiting:
        call.cancel()
    assert world.asked == 0


async def test_what_is_put_off_runs_as_soon_as_its_class_makes_it_worth_it(start):
    costs = "costs: {c_run: 0.7, classes: {batch: {c_wrong: 0}}}"  # 0.7 + 0.2 against 0.8, then 0.7
    dear = "admission: {name: value, on_skip: defer, defer: {retry_s: 0.02, max_defer_s: 3600}}"
    world = await start(f"{costs}\n  {dear}")
    status, _, headers = await world.post()
    assert (status, headers["x-pointsman-service-class"]) == (200, "batch")


@pytest.mark.parametrize("ours", ["admission: always", "admission: value"])
async def test_a_model_name_chooses_the_policy(start, ours):
    world = await start(ours)

    async def ask(model: str) -> tuple[int, str | None, str]:
        status, said, headers = await world.post(model=model)
        answer = headers["x-pointsman-model"] if status == 200 else said["error"]["code"]
        return status, answer, headers["x-pointsman-reason"]

    assert (await ask("router-floor-0.3"))[:2] == (200, "small")
    assert (await ask("router-floor-0.7"))[:2] == (200, "large")
    status, model, reason = await ask("router-floor-0.95")
    assert (status, model, reason) == (200, "large", "no predicted quality reaches 0.95: the best, 0.800")
    assert (await ask("router-threshold-0.8"))[:2] == (200, "large")
    assert await ask("router-threshold-0.81") == (
        422, "skipped", "the best predicted quality, 0.800 on large, is below 0.81",
    )  # fmt: skip
    assert (await ask("router-random-0"))[:2] == (422, "skipped")
    _, said, _ = await world.post(model="router-random-0")
    assert [said["error"][name] for name in ("judged_by", "quality", "threshold")] == [None, None, None]
    assert (await ask("router-random-1"))[:2] == (200, "large")


async def test_bad_model_names_are_told_what_there_is(start):
    world = await start()
    status, said, _ = await world.post(model="router-best-0.5")
    assert (status, said["error"]["code"]) == (404, "model_not_found")
    assert "There are auto, small, large, router-floor-T, router-threshold-T" in said["error"]["message"]
    for model in (
        "router-floor-1.5",
        "router-floor-",
        "router-floor-nan",
        "router-floor-0.5x",
        "router-floor--1",
    ):
        status, said, _ = await world.post(model=model)
        assert (status, said["error"]["param"]) == (400, "model"), model
        assert "with a number T from 0 to 1" in said["error"]["message"]
    async with world.client() as client:
        assert (await client.models.retrieve("router-floor-0.7")).id == "router-floor-0.7"
        assert [model.id async for model in client.models.list()] == ["auto", "small", "large"]
        with pytest.raises(openai.NotFoundError, match="router-floor-T"):
            await client.models.retrieve("router-best-0.7")


async def test_pinned_models_are_judged_by_themselves(start):
    world = await start("costs: {c_run: 0.5}\n  admission: value")
    status, said, _ = await world.post(model="small")
    assert (status, said["error"]["judged_by"], list(said["error"]["predicted"])) == (422, "small", ["small"])
    assert (await world.post(model="large"))[0] == 200
