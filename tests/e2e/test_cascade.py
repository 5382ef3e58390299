"""The cascade over real sockets: a configuration with a judge, the gateway, the official client, two servers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import openai
import pytest

from pointsman.build import build_gateway, read_config
from pointsman.clock import RealClock
from pointsman.errors import ConfigError
from pointsman.events import CapacityChanged
from pointsman.predict.judge import SIGNS, AnswerJudge
from pointsman.predict.logistic import Logistic
from pointsman.store.decision_log import read_decisions, read_outcomes
from pointsman.testing.serving import served
from pointsman.testing.upstream import SSE, End, Reply, Upstream
from pointsman.types import Disposition

CONFIG = """
model_list:
  - model_name: small
    litellm_params: {{model: hosted_vllm/up-small, api_base: "{small}", max_parallel_requests: 2}}
    model_info: {{accuracy: 0.5, accuracy_source: a test, output_cost_per_token: 1.0e-6}}
  - model_name: large
    litellm_params: {{model: hosted_vllm/up-large, api_base: "{large}"}}
    model_info: {{accuracy: 0.9, accuracy_source: a test, output_cost_per_token: 1.0e-5}}
pointsman:
  policy: {{name: {policy}, endpoints: [small, large], judge: judge.json, samples: {samples}}}
  log: {{path: log.db}}
"""
MESSAGES: Any = [{"role": "user", "content": "one two"}]
SURE, UNSURE = -0.1, -3.0


def judge(agreement: float = 0.0) -> AnswerJudge:
    """Surer tokens, righter answers: P(right) = sigmoid(2 + 2 mean log-probability); the large one's is .88.

    `agreement`: what it adds to these odds if all samples agree, and takes from them if none does.
    """
    nothing, ones = np.zeros(len(SIGNS)), np.ones(len(SIGNS))
    weights, centre = nothing.copy(), nothing.copy()
    weights[SIGNS.index("mean_logprob")] = 2.0
    weights[SIGNS.index("agreement")], centre[SIGNS.index("agreement")] = 2.0 * agreement, 0.5
    models = {
        ("small", "small"): Logistic(2.0, centre, ones, weights),
        ("small", "large"): Logistic(2.0, nothing, ones, nothing),
    }
    return AnswerJudge(("small", "large"), models)


class World:
    """A gateway with a cascade before a small server and a large one."""

    def __init__(self, gateway: Any, url: str, http: aiohttp.ClientSession, log: Path) -> None:
        self.gateway, self.url, self.http, self.log = gateway, url, http, log
        self.small, self.large = Upstream(), Upstream()

    def client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=self.url, api_key="any", max_retries=0)

    async def post(self, path: str = "/chat/completions", **fields: Any) -> tuple[int, Any, Any]:
        body = {"model": "auto", "messages": MESSAGES, **fields}
        async with self.http.post(self.url + path, json=body) as answer:
            text = await answer.text()
            is_json = answer.headers["content-type"].startswith("application/json")
            return answer.status, json.loads(text) if is_json else text, answer.headers

    async def idle(self) -> None:
        while any(view.running or view.queued for view in self.gateway._driver.view()):
            await asyncio.sleep(0.001)
        assert len(self.gateway._driver._scheduler.ledger) == 0

    @property
    def asked(self) -> tuple[int, int]:
        return len(self.small.bodies), len(self.large.bodies)


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    async with contextlib.AsyncExitStack() as stack:

        async def made(policy: str = "cascade", samples: int = 1, agreement: float = 0.0) -> World:
            small, large = [await stack.enter_async_context(Upstream()) for _ in range(2)]
            file = tmp_path / "config.yaml"
            urls = {"small": small.base_url, "large": large.base_url}
            file.write_text(CONFIG.format(**urls, policy=policy, samples=samples))
            (tmp_path / "judge.json").write_text(judge(agreement).to_json())
            gateway = build_gateway(read_config(file), (), RealClock())
            url = await stack.enter_async_context(served(gateway))
            http = await stack.enter_async_context(aiohttp.ClientSession())
            world = World(gateway, url, http, tmp_path / "log.db")
            world.small, world.large = small, large
            return world

        yield made


async def test_a_sure_answer_of_the_small_model_is_kept(start):
    world = await start()
    status, said, headers = await world.post()
    assert (status, world.asked) == (200, (1, 0))
    assert said["choices"][0]["message"]["content"] == "two one"
    assert said["model"] == "up-small"
    assert (headers["x-pointsman-endpoint"], headers["x-pointsman-steps"]) == ("small", "1")
    assert "right with probability 0.858" in headers["x-pointsman-verdict"]
    assert "x-pointsman-degraded" not in headers
    assert world.small.bodies[0]["logprobs"] is True
    assert "logprobs" not in said["choices"][0], "the caller didn't ask for them"


async def test_an_unsure_one_is_asked_for_again_of_the_large_model(start):
    world = await start()
    world.small.logprob = UNSURE
    status, said, headers = await world.post()
    assert (status, world.asked, said["model"]) == (200, (1, 1), "up-large")
    assert (headers["x-pointsman-endpoint"], headers["x-pointsman-steps"]) == ("large", "2")
    assert "escalated: the answer of small is right with probability 0.018" in headers["x-pointsman-reason"]
    assert "logprobs" not in world.large.bodies[0], "nothing follows it, so it isn't judged"
    assert float(headers["x-pointsman-cost-usd"]) == pytest.approx(2 * 1e-6 + 2 * 1e-5)
    await world.idle()
    world.gateway._driver._parts._log.flush()
    escalated, answered = read_outcomes(world.log)
    assert (escalated.endpoint, escalated.disposition) == ("small", Disposition.ESCALATED)
    assert (answered.endpoint, answered.disposition) == ("large", Disposition.ANSWERED)
    assert [decision.endpoint for decision in read_decisions(world.log)] == ["small", "large"]
    async with world.http.get(world.url.removesuffix("/v1") + "/metrics") as page:
        metrics = await page.text()
    assert 'pointsman_unused_runs_total{endpoint="small",disposition="escalated"} 1' in metrics
    assert 'pointsman_requests_total{disposition="answered"} 1' in metrics


@pytest.mark.parametrize("logprob", [SURE, UNSURE])
async def test_a_stream_comes_only_after_the_judgement_and_is_a_proper_one(start, logprob):
    world = await start()
    world.small.logprob = logprob
    async with world.client() as client:
        stream = await client.chat.completions.create(
            model="auto", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "two one "
    assert {chunk.model for chunk in chunks} == {"up-small" if logprob == SURE else "up-large"}
    assert all(choice.logprobs is None for chunk in chunks for choice in chunk.choices)
    assert chunks[-1].usage.completion_tokens == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_who_asks_for_log_probabilities_keeps_them(start, stream):
    world = await start()
    status, said, _ = await world.post(logprobs=True, stream=stream)
    assert status == 200
    text = said if stream else json.dumps(said)
    assert '"logprob":-0.1' in text.replace(" ", "")


async def test_no_byte_is_given_out_before_the_judgement(start):
    world = await start()
    piece = b'data: {"choices":[{"index":0,"delta":{"content":"early"}}]}\n\n'
    world.small.next(Reply([piece], end=End.HANG, content_type=SSE))
    call = asyncio.ensure_future(world.post(stream=True))
    await world.small.until(received=1)
    [handle] = world.gateway._driver._handles.values()
    await asyncio.sleep(0.02)
    assert (handle.given, handle._chunks) == (False, [])
    call.cancel()
    await world.small.until(gone=1)
    await world.idle()


FAULTS = [
    Reply([b"nonsense"]),
    Reply([b'{"error": "overloaded"}'], status=500),
    Reply([b'{"error": "too many"}'], status=429),
    Reply(end=End.CUT),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
async def test_where_the_large_model_fails_the_held_answer_is_given_out_and_marked(start, fault, stream):
    world = await start()
    world.small.logprob = UNSURE
    world.large.next(fault)
    status, said, headers = await world.post(stream=stream)
    assert (status, world.asked) == (200, (1, 1))
    assert (headers["x-pointsman-endpoint"], headers["x-pointsman-steps"]) == ("small", "2")
    assert headers["x-pointsman-degraded"] == "true"
    assert headers["x-pointsman-verdict"].startswith("large did not answer: ")
    if stream:
        assert said.endswith("data: [DONE]\n\n")
        assert '"two "' in said
        assert '"logprobs"' not in said
    else:
        assert said["choices"][0]["message"]["content"] == "two one"


async def test_a_large_model_that_breaks_off_its_stream_breaks_it_for_the_caller(start):
    """Invariant 2: once a part of an answer is out, no other can follow."""
    world = await start()
    world.small.logprob = UNSURE
    piece = b'data: {"choices":[{"index":0,"delta":{"content":"early"}}]}\n\n'
    world.large.next(Reply([piece], end=End.CUT, content_type=SSE))
    status, said, _ = await world.post(stream=True)
    assert status == 200
    assert "upstream_cut" in said
    assert '"two "' not in said
    assert "[DONE]" not in said


async def test_while_the_large_model_is_down_answers_come_as_they_are(start):
    world = await start()
    world.small.logprob = UNSURE
    world.gateway._driver.observe(CapacityChanged("large", 4, healthy=False))
    status, said, headers = await world.post()
    assert (status, said["model"], world.asked) == (200, "up-small", (1, 0))
    assert "x-pointsman-steps" not in headers
    assert "logprobs" not in world.small.bodies[0]


async def test_going_down_while_it_is_waited_for_gives_out_what_is_held(start):
    world = await start()
    world.small.logprob = UNSURE
    world.gateway._driver.observe(CapacityChanged("large", 0))
    call = asyncio.ensure_future(world.post())
    while world.gateway._driver.view()[1].queued == 0:
        await asyncio.sleep(0.001)
    world.gateway._driver.observe(CapacityChanged("large", 0, healthy=False))
    status, said, headers = await call
    assert (status, said["model"]) == (200, "up-small")
    assert headers["x-pointsman-verdict"] == "large went down"
    assert headers["x-pointsman-degraded"] == "true"


@pytest.mark.parametrize("step", ["small", "large", "queue"])
async def test_a_caller_that_goes_cancels_the_cascade_at_any_step(start, step):
    world = await start()
    world.small.logprob = UNSURE
    {"small": world.small, "large": world.large, "queue": world.large}[step].gate.clear()
    if step == "queue":
        world.gateway._driver.observe(CapacityChanged("large", 0))
    call = asyncio.ensure_future(world.post())
    if step == "queue":
        while world.gateway._driver.view()[1].queued == 0:
            await asyncio.sleep(0.001)
    else:
        await getattr(world, step).until(received=1)
    call.cancel()
    if step != "queue":
        await getattr(world, step).until(gone=1)
    await world.idle()
    assert world.asked == {"small": (1, 0), "large": (1, 1), "queue": (1, 0)}[step]


async def test_a_pinned_model_is_no_cascade(start):
    world = await start()
    world.small.logprob = UNSURE
    status, said, headers = await world.post(model="small")
    assert (status, said["model"], world.asked) == (200, "up-small", (1, 0))
    assert "x-pointsman-steps" not in headers
    assert "logprobs" not in world.small.bodies[0]


@pytest.mark.parametrize(("threshold", "model"), [("0.85", "up-small"), ("0.87", "up-large")])
async def test_a_model_name_sets_the_threshold_under_any_policy(start, threshold, model):
    world = await start("cheapest")
    status, said, headers = await world.post(model=f"router-cascade-{threshold}")
    assert (status, said["model"]) == (200, model)
    assert headers["x-pointsman-steps"] == ("1" if model == "up-small" else "2")
    _, said, headers = await world.post()
    assert said["model"] == "up-small"
    assert "x-pointsman-steps" not in headers, "other requests aren't judged"


async def test_a_server_that_gives_no_log_probabilities_is_judged_by_the_rest(start):
    world = await start()
    answer = {"choices": [{"index": 0, "message": {"content": "two"}, "finish_reason": "stop"}]}
    world.small.next(Reply([json.dumps(answer).encode()]))
    status, _, headers = await world.post()
    assert (status, headers["x-pointsman-steps"]) == (200, "1")
    assert "probability 0.777" in headers["x-pointsman-verdict"]


async def test_text_completions_cascade_too(start):
    world = await start()
    world.small.logprob = UNSURE
    status, said, _ = await world.post("/completions", prompt="one two", messages=None)
    assert (status, said["model"]) == (200, "up-large")
    assert world.small.bodies[0]["logprobs"] == 1


async def test_an_answer_that_is_asked_for_again_while_closing_has_the_grace_too(start):
    world = await start()
    world.small.logprob = UNSURE
    world.small.gate.clear()
    call = asyncio.ensure_future(world.post())
    await world.small.until(received=1)
    world.large.gate.clear()
    closing = asyncio.ensure_future(world.gateway._driver.close(grace_s=20.0))
    world.small.gate.set()
    await world.large.until(received=1)
    world.large.gate.set()
    status, said, _ = await call
    assert (status, said["model"]) == (200, "up-large")
    await closing


@pytest.mark.parametrize("step", ["large", "queue"])
@pytest.mark.parametrize("stream", [False, True])
async def test_closing_gives_out_the_answer_that_is_held(start, step, stream):
    world = await start()
    world.small.logprob = UNSURE
    world.large.gate.clear()
    if step == "queue":
        world.gateway._driver.observe(CapacityChanged("large", 0))
    call = asyncio.ensure_future(world.post(stream=stream))
    if step == "queue":
        while world.gateway._driver.view()[1].queued == 0:
            await asyncio.sleep(0.001)
    else:
        await world.large.until(received=1)
    await world.gateway._driver.close(grace_s=0.01)
    status, said, headers = await call
    assert status == 200
    assert "two" in (said if stream else said["choices"][0]["message"]["content"])
    assert headers["x-pointsman-endpoint"] == "small"
    assert headers["x-pointsman-degraded"] == "true"
    assert "shutting down" in headers["x-pointsman-verdict"]


# Self-consistency: the first answer is compared with further samples


def says(text: str, *, tokens: int = 2) -> Reply:
    choice = {"index": 0, "message": {"content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": tokens}
    return Reply([json.dumps({"model": "up-small", "choices": [choice], "usage": usage}).encode()])


async def outcomes(world: World) -> list[tuple[str, Disposition]]:
    await world.idle()
    world.gateway._driver._parts._log.flush()
    return [(outcome.endpoint, outcome.disposition) for outcome in read_outcomes(world.log)]


async def test_samples_that_agree_keep_the_answer_and_all_of_them_are_paid_for(start):
    world = await start(samples=3, agreement=2.0)
    world.small.next(says("The answer is 7"), says("7", tokens=5), says("3 + 4 = 7"))
    question = [{"role": "user", "content": "How many are 3 and 4?"}]
    status, said, headers = await world.post(messages=question, temperature=0, seed=40)
    assert (status, world.asked) == (200, (3, 0))
    assert said["choices"][0]["message"]["content"] == "The answer is 7"
    assert said["usage"]["completion_tokens"] == 2, "of the answer that is given"
    assert headers["x-pointsman-steps"] == "1"
    assert "of its further samples 100% agree" in headers["x-pointsman-verdict"]
    assert float(headers["x-pointsman-cost-usd"]) == pytest.approx((2 + 5 + 2) * 1e-6)
    bodies = world.small.bodies
    assert [(body["temperature"], body["seed"]) for body in bodies] == [(0, 40), (0.7, 41), (0.7, 42)]
    sampled, answered = ("small", Disposition.SAMPLED), ("small", Disposition.ANSWERED)
    assert await outcomes(world) == [sampled, sampled, answered]
    async with world.http.get(world.url.removesuffix("/v1") + "/metrics") as page:
        metrics = await page.text()
    assert 'pointsman_unused_runs_total{endpoint="small",disposition="sampled"} 2' in metrics
    assert 'pointsman_requests_total{disposition="answered"} 1' in metrics
    assert 'disposition="sampled"} 0' not in metrics
    [paid] = re.findall(r'pointsman_cost_usd_total{endpoint="small"} (\S+)', metrics)
    assert float(paid) == pytest.approx(9e-6)


async def test_samples_that_disagree_make_the_large_model_answer(start):
    world = await start(samples=3, agreement=2.0)
    world.small.next(says("7"), says("8"), says("about 9"))
    question = [{"role": "user", "content": "How many are 3 and 4?"}]
    status, said, headers = await world.post(messages=question)
    assert (status, said["model"], world.asked) == (200, "up-large", (3, 1))
    assert "of its further samples 0% agree" in headers["x-pointsman-reason"]
    assert "temperature" not in world.small.bodies[0]
    assert "temperature" not in world.large.bodies[0]
    sampled = [("small", Disposition.SAMPLED)] * 2
    assert await outcomes(world) == [
        *sampled, ("small", Disposition.ESCALATED), ("large", Disposition.ANSWERED),
    ]  # fmt: skip


@pytest.mark.parametrize("logprob", [SURE, UNSURE])
async def test_a_streaming_caller_gets_one_proper_stream_of_several_samples(start, logprob):
    world = await start(samples=3, agreement=1.0)
    world.small.logprob = logprob
    async with world.client() as client:
        stream = await client.chat.completions.create(
            model="auto", messages=MESSAGES, stream=True, temperature=0.3, n=1
        )
        chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "two one "
    assert {chunk.model for chunk in chunks} == {"up-small" if logprob == SURE else "up-large"}
    assert world.asked == (3, 0 if logprob == SURE else 1)
    assert [body["temperature"] for body in world.small.bodies] == [0.3] * 3
    assert ["n" in body for body in world.small.bodies] == [True, False, False]
    assert all("seed" not in body for body in world.small.bodies)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("at", [1, 2])
async def test_where_a_sample_fails_the_answer_is_judged_by_what_there_is(start, fault, at):
    world = await start(samples=3, agreement=0.5)
    world.small.next(*[says("two one")] * at, fault)
    status, said, headers = await world.post()
    assert (status, said["choices"][0]["message"]["content"], world.asked) == (200, "two one", (at + 1, 0))
    assert ("of its further samples 100% agree" in headers["x-pointsman-verdict"]) == (at == 2)
    assert "x-pointsman-degraded" not in headers
    assert "x-pointsman-cost-usd" not in headers, "what the failed run cost is not known"
    found = await outcomes(world)
    assert found[-2:] == [("small", Disposition.FAILED), ("small", Disposition.ANSWERED)]


async def test_a_caller_that_goes_ends_the_sampling(start):
    world = await start(samples=3, agreement=2.0)
    world.small.next(says("two one"), Reply(end=End.HANG))
    call = asyncio.ensure_future(world.post())
    await world.small.until(received=2)
    call.cancel()
    await world.small.until(gone=1)
    assert (await outcomes(world))[0] == ("small", Disposition.FAILED)
    assert world.asked == (2, 0)


async def test_closing_gives_out_the_answer_whose_samples_are_not_there_in_time(start):
    world = await start(samples=3, agreement=2.0)
    world.small.next(says("two one"), Reply(end=End.HANG))
    call = asyncio.ensure_future(world.post())
    await world.small.until(received=2)
    closing = asyncio.ensure_future(world.gateway._driver.close(grace_s=0.01))
    status, said, _ = await call
    assert (status, said["choices"][0]["message"]["content"]) == (200, "two one")
    await closing
    assert world.asked == (2, 0)


async def test_samples_keep_to_the_slots_of_their_endpoint(start):
    world = await start(samples=3, agreement=2.0)
    world.small.gate.clear()
    calls = [asyncio.ensure_future(world.post()) for _ in range(6)]
    await world.small.until(received=2)
    world.small.gate.set()
    assert [(await call)[0] for call in calls] == [200] * 6
    assert world.asked == (18, 0)
    assert world.small.most_running == 2


PROSE = "Once upon a time there was a king who had three daughters, and each of them was fair."
CODE = "```python\ndef f(n):\n    return n\n```"


@pytest.mark.parametrize(
    ("question", "answer"),
    [("Tell me a story", PROSE), ("Write a function f", CODE), ("Say nothing", "")],
)
async def test_what_can_not_be_compared_is_asked_for_once(start, question, answer):
    world = await start(samples=3, agreement=0.5)
    world.small.next(says(answer))
    status, _, headers = await world.post(messages=[{"role": "user", "content": question}])
    assert (status, world.asked) == (200, (1, 0))
    assert "samples" not in headers["x-pointsman-verdict"]


async def test_an_answer_without_the_number_that_was_asked_for_agrees_with_none(start):
    world = await start(samples=3, agreement=2.0)
    world.small.next(says("I can't tell"))
    question = [{"role": "user", "content": "How many are 3 and 4?"}]
    status, said, headers = await world.post(messages=question)
    assert (status, said["model"], world.asked) == (200, "up-large", (1, 1))
    assert "0% agree" in headers["x-pointsman-reason"]


async def test_a_judge_of_samples_does_without_where_one_is_configured(start):
    world = await start(samples=1, agreement=0.5)
    status, _, headers = await world.post()
    assert (status, world.asked) == (200, (1, 0))
    assert "samples" not in headers["x-pointsman-verdict"]


async def test_samples_that_no_judge_heeds_are_refused_at_the_start(start):
    with pytest.raises(ConfigError, match=r"`samples` is 3, but the judge .* heeds no agreement") as caught:
        await start(samples=3)
    assert "pointsman judge --samples 3" in str(caught.value)


async def test_a_model_name_that_asks_for_a_cascade_has_samples_too_and_others_none(start):
    world = await start("cheapest", samples=2, agreement=2.0)
    assert (await world.post(model="router-cascade-0.85"))[0] == 200
    assert world.asked == (2, 0)
    assert (await world.post())[0] == 200
    assert world.asked == (3, 0)
