"""Labels over real sockets: the gateway's route, the command that feeds it, the log, the counters."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pointsman.build import build_gateway, read_config
from pointsman.cli import app
from pointsman.clock import RealClock
from pointsman.predict.quality.fit import FitOptions, fit_quality
from pointsman.store.decision_log import read_outcomes
from pointsman.store.labels import read_labels
from pointsman.testing.outcomes import made_outcomes, proof_question
from pointsman.testing.serving import served
from pointsman.testing.upstream import End, Reply, Upstream

CONFIG = """
model_list:
  - model_name: small
    litellm_params: {{model: hosted_vllm/small, api_base: "{small}"}}
pointsman:
  {ours}
"""
LOG = "log: {path: log.db}"
PRICED = """
model_list:
  - model_name: cheap
    litellm_params: {{model: hosted_vllm/cheap, api_base: "{small}"}}
    model_info: {{id: cheap, output_cost_per_token: 1.0e-6, accuracy: 0.8, accuracy_source: ours}}
  - model_name: dear
    litellm_params: {{model: hosted_vllm/dear, api_base: "{small}"}}
    model_info: {{id: dear, output_cost_per_token: 1.0e-5, accuracy: 0.9, accuracy_source: ours}}
pointsman:
  {ours}
"""


class World:
    """A gateway over a configuration file, before one server."""

    def __init__(self, url: str, http: aiohttp.ClientSession, log: Path, small: Upstream) -> None:
        self.url, self.http, self.log, self.small = url.removesuffix("/v1"), http, log, small

    async def ask(self, text: str = "one two", model: str = "small") -> str:
        """The id of a request that was answered."""
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        async with self.http.post(f"{self.url}/v1/chat/completions", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return answer.headers["x-request-id"]

    async def stream(self, text: str) -> str:
        """The same, streamed."""
        body = {"model": "small", "stream": True, "messages": [{"role": "user", "content": text}]}
        async with self.http.post(f"{self.url}/v1/chat/completions", json=body) as answer:
            await answer.read()
            return answer.headers["x-request-id"]

    async def predicted(self, text: str) -> float:
        """The quality that is predicted for a prompt; asked again where a busy machine was too late to predict."""
        body = {"model": "small", "messages": [{"role": "user", "content": text}]}
        while True:
            async with self.http.post(f"{self.url}/v1/chat/completions", json=body) as answer:
                if quality := answer.headers.get("x-pointsman-predicted-quality"):
                    return float(quality)

    async def until(self, name: str, value: float) -> None:
        """Wait until a counter is there."""
        while await self.metric(name) < value:
            await asyncio.sleep(0.001)

    async def label(self, body: Any, method: str = "POST") -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.http.request(method, f"{self.url}/pointsman/feedback", data=data) as answer:
            return answer.status, await answer.json()

    async def metric(self, name: str) -> float:
        async with self.http.get(f"{self.url}/metrics") as answer:
            text = await answer.text()
        return float(next(line for line in text.splitlines() if line.startswith(name)).rpartition(" ")[2])

    async def feedback(self, *words: object) -> Result:
        """Run the command beside the gateway."""
        return await asyncio.to_thread(CliRunner().invoke, app, ["feedback", *map(str, words)])

    def scores(self) -> dict[str, float | None]:
        return {outcome.request_id: outcome.quality for outcome in read_outcomes(self.log)}


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    async with contextlib.AsyncExitStack() as stack:

        async def made(ours: str = LOG, config: str = CONFIG) -> World:
            small = await stack.enter_async_context(Upstream())
            file = tmp_path / "config.yaml"
            file.write_text(config.format(small=small.base_url, ours=ours))
            gateway = build_gateway(read_config(file), (), RealClock())
            url = await stack.enter_async_context(served(gateway))
            http = await stack.enter_async_context(aiohttp.ClientSession())
            return World(url, http, tmp_path / "log.db", small)

        yield made


async def test_one_label_and_a_list_join_the_log(start) -> None:
    world = await start()
    ids = [await world.ask() for _ in range(3)]
    assert await world.label({"request_id": ids[0], "score": 1, "source": "form"}) == (
        200,
        {"new": 1, "repeated": 0, "unknown": 0},
    )
    many = [{"request_id": name, "score": 0.5, "source": "form"} for name in (*ids, "unheard-of")]
    assert await world.label(many) == (200, {"new": 4, "repeated": 0, "unknown": 1})
    assert await world.label(many) == (200, {"new": 0, "repeated": 4, "unknown": 1})
    assert world.scores() == dict.fromkeys(ids, 0.5)
    assert await world.metric('pointsman_labels_total{state="new"}') == 5
    assert await world.metric('pointsman_labels_total{state="repeated"}') == 4
    assert await world.metric('pointsman_labels_total{state="lost"}') == 0
    assert await world.metric("pointsman_unknown_labels_total") == 2


GOOD = {"request_id": "r", "score": 1, "source": "a"}


@pytest.mark.parametrize(
    ("body", "status", "code", "param", "why"),
    [
        (b"{", 400, "invalid_json", None, "not JSON"),
        (b"[]", 400, "invalid_value", None, "the list is empty"),
        (b'{"request_id": "\xff"}', 400, "invalid_encoding", None, "byte 0xff"),
        ({**GOOD, "score": "1"}, 400, "invalid_type", None, "Expected `float`"),
        ({**GOOD, "score": 1.5}, 400, "invalid_value", "score", "score is 1.5, not in [0, 1]. Divide"),
        ({**GOOD, "source": ""}, 400, "invalid_value", "source", "source is ''"),
        ({"request_id": "r", "score": 1}, 400, "invalid_value", "source", "source is missing"),
        ({**GOOD, "sorce": "b"}, 400, "invalid_type", None, "sorce"),
        ({**GOOD, "at": 1.7e12}, 400, "invalid_value", "at", "seconds since 1970"),
        ([GOOD, {**GOOD, "score": -1}], 400, "invalid_value", "[1].score", "[1]: score is -1"),
        ([GOOD] * 1_001, 413, "too_many_labels", None, "holds 1,001 labels, over the limit of 1,000"),
        (b" " * 2000 + b"{}", 413, "body_too_large", None, "over the limit of 1500 bytes"),
    ],
    ids=lambda value: None if isinstance(value, int) else str(value)[:20],
)  # fmt: skip
async def test_what_is_no_label_is_refused_and_nothing_is_kept(start, body, status, code, param, why) -> None:
    limit = 1_500 if code == "body_too_large" else 10**6
    world = await start(f"{LOG}\n  server: {{max_body_bytes: {limit}}}")
    found, said = await world.label(body)
    assert (found, said["error"]["code"]) == (status, code), said
    assert why in said["error"]["message"]
    if param:
        assert said["error"]["param"] == param
    assert await world.metric('pointsman_labels_total{state="new"}') == 0
    assert (await world.label(GOOD))[0] == 200, "the next one is unharmed"


async def test_without_a_log_there_is_nothing_to_join(start) -> None:
    world = await start("log: {}")
    status, said = await world.label(GOOD)
    assert (status, said["error"]["code"]) == (404, "no_decision_log")
    assert "pointsman.log.path" in said["error"]["message"]


async def test_the_route_takes_post_only(start) -> None:
    world = await start()
    status, said = await world.label(b"", "GET")
    assert (status, said["error"]["code"]) == (405, "method_not_allowed")


async def test_a_log_that_cant_be_written_is_told_to_who_sends_labels(start) -> None:
    world = await start()
    with sqlite3.connect(world.log) as other:
        other.execute("ALTER TABLE labels RENAME TO away")
    other.close()
    status, said = await world.label(GOOD)
    assert (status, said["error"]["code"]) == (503, "labels_not_kept")
    assert "Send them again later" in said["error"]["message"]
    assert await world.metric('pointsman_labels_total{state="lost"}') == 1
    assert await world.ask()


async def test_the_command_feeds_a_running_gateway(start, tmp_path: Path) -> None:
    world = await start()
    ids = [await world.ask() for _ in range(2)]
    file = tmp_path / "labels.csv"
    rows = [f"{name},1,review" for name in ids] + [f"other{n},0,review" for n in range(1_500)]
    file.write_text("\n".join(["request_id,score,source", *rows]))
    first = await world.feedback(file, "--url", f"{world.url}/v1")
    assert first.exit_code == 0, first.output
    assert (
        "1,502 labels: 1,502 new, 0 known before, 1,500 of requests that the log does not know"
        in first.stdout
    )
    again = await world.feedback(file, "--url", world.url)
    assert "1,502 labels: 0 new, 1,502 known before" in again.stdout
    assert world.scores() == dict.fromkeys(ids, 1)


async def test_the_command_says_what_the_gateway_said(start, tmp_path: Path) -> None:
    world = await start("log: {}")
    file = tmp_path / "labels.jsonl"
    file.write_text(json.dumps(GOOD))
    result = await world.feedback(file, "--url", world.url)
    assert result.exit_code == 6
    assert "answered 404: labels join the decision log" in " ".join(result.stderr.split())


PLUGIN = """
def good(prompt, answer):
    if "raise" in prompt: raise ValueError(prompt)
    if "many" in prompt: return 7
    return None if "pass" in prompt else float(answer.split() == prompt.split()[::-1])
"""
GRADED = f"{LOG}\n  feedback: {{graders: [{{name: turned, share: 1}}]}}"


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "turned_plugin.py").write_text(PLUGIN)
    info = tmp_path / "turned_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: turned-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pointsman.grade]\nturned = turned_plugin:good\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "turned_plugin", raising=False)


@pytest.mark.usefixtures("plugin")
async def test_a_grader_labels_answers_after_they_were_given_whole_or_streamed(start) -> None:
    world = await start(GRADED)
    ids = [await world.ask("one two"), await world.stream("three four five"), await world.ask("pass")]
    bad = [await world.ask("raise"), await world.ask("many")]
    counted = 'pointsman_graded_answers_total{grader="turned",result='
    await world.until(f'{counted}"failed"', 2)
    assert await world.metric(f'{counted}"scored"') == 2
    assert await world.metric(f'{counted}"no_score"') == 1
    await world.until('pointsman_labels_total{state="new"', 2)
    assert world.scores() == {ids[0]: 1, ids[1]: 1, ids[2]: None, bad[0]: None, bad[1]: None}
    assert [label.source for label in read_labels(world.log)] == ["turned"] * 2


@pytest.mark.usefixtures("plugin")
async def test_only_answers_are_graded(start) -> None:
    world = await start(GRADED)
    world.small.next(Reply([b"{}"], status=500), Reply([b"{"], end=End.CUT))
    for _ in range(2):
        body = {"model": "small", "messages": [{"role": "user", "content": "one two"}]}
        async with world.http.post(f"{world.url}/v1/chat/completions", json=body) as answer:
            assert answer.status == 502
    name = await world.ask("one two")
    await world.until('pointsman_labels_total{state="new"', 1)
    assert [label.request_id for label in read_labels(world.log)] == [name]


@pytest.mark.usefixtures("plugin")
async def test_a_grader_and_a_caller_are_two_sources(start) -> None:
    world = await start(GRADED)
    name = await world.ask("one two")
    await world.until('pointsman_labels_total{state="new"', 1)
    await world.label({"request_id": name, "score": 0, "source": "form"})
    assert world.scores() == {name: 0.5}


GROWS = """predictor: {name: learned, artifact: quality, grow: {most: 500}}
  log: {path: log.db, store_prompts: true}"""


async def test_a_predictor_learns_from_labels_while_it_serves_and_again_after_a_restart(
    start, tmp_path: Path
) -> None:
    matrix = made_outcomes(np.random.default_rng(1), 60, ("large", "small"))
    fit_quality(matrix, FitOptions("knn", folds=2)).model.write(tmp_path / "quality")
    world = await start(GROWS)
    before = await world.predicted(proof_question(9_000))
    assert before < 0.4
    ids = [await world.ask(proof_question(8_000 + n)) for n in range(100)]
    status, _ = await world.label([{"request_id": name, "score": 1, "source": "form"} for name in ids])
    assert status == 200
    await world.until("pointsman_grown_outcomes", 101)
    while (after := await world.predicted(proof_question(9_000))) < before + 0.2:
        await asyncio.sleep(0.001)
    assert await world.metric("pointsman_ungrown_outcomes_total") == 0
    again = await start(GROWS)
    await again.until("pointsman_grown_outcomes", 101)
    assert await again.predicted(proof_question(9_000)) == pytest.approx(after, abs=0.02)


async def test_labels_move_the_prices_of_the_limits_and_metrics_show_them(start) -> None:
    """Answers that were predicted right in 80% turn out wrong: the floor gets a price, and the dear one a share."""
    world = await start(
        f"{LOG}\n  policy: {{name: constrained, limits: {{min_quality: 0.78}}}}", config=PRICED
    )
    price, slack = (f'pointsman_limit_{word}{{limit="quality floor all"}}' for word in ("price", "slack"))
    ids = [await world.ask(model="auto") for _ in range(20)]
    assert await world.metric(slack) == pytest.approx(0.02)
    assert await world.metric(price) == 0.0
    for request_id in ids:
        assert (await world.label({"request_id": request_id, "score": 0, "source": "form"}))[0] == 200
    await world.until(price, 1e-9)
    for _ in range(10):
        await world.ask(model="auto")
    assert await world.metric('pointsman_decisions_total{endpoint="dear",action="run"}') >= 9
