"""A batch: planned within limits, run on endpoints, killed and gone on with, every line with one result."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pointsman.cli.app import app
from pointsman.data.parquet import pyarrow
from pointsman.engines.fleet_launch import require_extra
from pointsman.errors import MissingError
from pointsman.testing.tiny_gguf import write_tiny_gguf
from pointsman.testing.upstream import End, Reply, Upstream

CALLER, DATA, ENGINE, INTERRUPTED = 2, 4, 6, 130
LARGE_BYTES = 2**36
CONFIG = """
model_list:
  - model_name: small
    litellm_params: {model: hosted_vllm/small-1, api_base: "URL", input_cost_per_token: 1.0e-6, output_cost_per_token: 1.0e-6}
    model_info: {max_concurrent: 3, accuracy: 0.5}
  - model_name: large
    litellm_params: {model: hosted_vllm/large-1, api_base: "URL", input_cost_per_token: 1.0e-5, output_cost_per_token: 1.0e-5}
    model_info: {max_concurrent: 2, accuracy: 0.9}
pointsman: {tenants: [default, acme]}
"""


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
def here(tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "two.yaml").write_text(CONFIG.replace("URL", upstream.base_url))
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def pointsman(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, words)


async def assign(*words: str) -> Result:
    return await pointsman("assign", "r.jsonl", "--endpoints", "two.yaml", *words)


def ask(custom_id: str, text: str = "one two three", **body: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "auto", "messages": messages, "max_tokens": 32, **body},
    }


def write(path: Path, lines: Sequence[object]) -> None:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def planned(path: Path) -> dict[str, Counter[str | None]]:
    return Counter(row.get("endpoint") for row in read(path)[1:])


async def test_a_batch_is_planned_at_the_floor_and_run_where_the_plan_says(
    here: Path, upstream: Upstream
) -> None:
    write(here / "r.jsonl", [ask(f"q{i}", f"word{i} and more") for i in range(40)])
    made = await assign("--min-quality", "0.7")
    assert made.exit_code == 0, made.output
    assert planned(here / "r.plan.jsonl") == {"small": 20, "large": 20}
    assert "what if quality +1 point: costs" in made.stdout
    assert "one more point of quality costs" in made.stdout
    assert "(gap 0.0" in made.stdout
    assert "predicted of small, large: from defaults; accuracy declared" in made.stdout
    ran = await pointsman("run", "r.plan.jsonl")
    assert ran.exit_code == 0, ran.output
    results = read(here / "r.results.jsonl")
    assert [own["custom_id"] for own in results] == [f"q{i}" for i in range(40)]
    where = {row["custom_id"]: row["endpoint"] for row in read(here / "r.plan.jsonl")[1:]}
    for own in results:
        assert own["error"] is None
        assert own["response"]["status_code"] == 200
        number = own["custom_id"][1:]
        assert own["response"]["body"]["choices"][0]["message"]["content"] == f"more and word{number}"
        assert own["response"]["body"]["model"] == f"{where[own['custom_id']]}-1"
        assert own["pointsman"]["endpoint"] == where[own["custom_id"]]
    assert upstream.most_running <= 5
    assert Counter(body["model"] for body in upstream.bodies) == {"small-1": 20, "large-1": 20}
    again = await pointsman("run", "r.plan.jsonl")
    assert again.exit_code == 0
    assert len(upstream.bodies) == 40, "everything was there"


async def test_bad_lines_are_told_by_number_and_the_rest_runs(here: Path) -> None:
    streamed = ask("s", stream=True)
    lines = [
        ask("a"), "{broken", ask("a"), ask("p", pointsman={"privacy": ["here"]}), "", ask("m", model="gpt-9"),
        {"custom_id": "n", "url": "/v1/embeddings", "body": {}}, streamed, {"custom_id": 7}, ask("t", pointsman={"tenant": "x"}),
        ask("", "no id"), ask("b"),
    ]  # fmt: skip
    write(here / "r.jsonl", lines)
    (here / "r.jsonl").write_bytes((here / "r.jsonl").read_bytes() + b'{"custom_id":"u","body":"\xff"}\n')
    made = await assign()
    assert made.exit_code == 0, made.output
    for number, said in {
        2: "it is no JSON", 3: "stands in line 1 already", 4: "it lacks the privacy tag here", 6: "no endpoint serves the model",
        7: "'/v1/embeddings' can't be run", 8: "stream is true", 9: "Expected `str`", 10: "the tenant 'x' is not configured",
        11: "custom_id has 0 characters", 13: "url",
    }.items():  # fmt: skip
        assert f"r.jsonl, line {number}: " in made.stderr
        assert said in made.stderr
    assert "without 10 lines that can't be run" in made.stdout
    assert (await pointsman("run", "r.plan.jsonl")).exit_code == 0
    results = read(here / "r.results.jsonl")
    assert [own["custom_id"] for own in results] == [
        "a",
        None,
        "a",
        "p",
        "m",
        "n",
        "s",
        None,
        "t",
        "",
        "b",
        "u",
    ]
    assert [own["custom_id"] for own in results if own["response"]] == ["a", "b"]
    assert results[1]["error"]["code"] == "invalid_json"
    assert "line 2" in results[1]["error"]["message"]
    free = await assign("--any-model")
    assert "line 6" not in free.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--min-quality", "0.95"), CALLER, "with the other limits kept, 0.9 can be reached"),
        (("--min-quality", "1.0"), CALLER, "with the other limits kept, 0.9 can be reached"),
        (("--min-quality", "0.6", "--budget-usd", "0"), CALLER, "no plan keeps all limits"),
        (("--max-load", "small=3", "--max-load", "large=3"), CALLER, "no plan keeps all limits"),
        (("--max-load", "huge=3"), CALLER, "Choose among small, large"),
        (("--max-load", "small"), CALLER, "Give ENDPOINT=REQUESTS"),
        (("--min-quality", "1.5"), CALLER, "Give a number from 0 to 1"),
        (("--min-quality", "team:a=.5"), CALLER, "tenant:NAME=0.8"),
        (("--min-quality", "tenant:acme=.5"), CALLER, "of which the batch has no request"),
        (("--objective", "speed"), CALLER, "Choose cost, energy, time"),
        (("--objective", "cost=0"), CALLER, "weighs nothing"),
        (("--only", "huge"), CALLER, "Configured: small, large"),
        (("--deadline-s", "0.0001"), CALLER, "before its deadline"),
        (("--privacy", "mars"), CALLER, "it lacks the privacy tag mars"),
    ],
)
async def test_what_can_t_be_is_refused_and_nothing_is_written(
    here: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    write(here / "r.jsonl", [ask(f"q{i}") for i in range(10)])
    made = await assign(*words)
    assert (made.exit_code, said in made.output) == (code, True), made.output
    assert not (here / "r.plan.jsonl").exists()


async def test_limits_and_floors_by_tenant_shape_the_plan(here: Path) -> None:
    lines = [ask(f"q{i}", pointsman={"tenant": "acme"} if i < 10 else {}) for i in range(40)]
    write(here / "r.jsonl", lines)
    made = await assign(
        "--min-quality", "tenant:acme=0.9", "--max-load", "large=25", "--only", "large", "--only", "small"
    )
    assert made.exit_code == 0, made.output
    rows = read(here / "r.plan.jsonl")[1:]
    assert {row["endpoint"] for row in rows[:10]} == {"large"}
    assert {row["endpoint"] for row in rows[10:]} == {"small"}
    capped = await assign("--max-load", "small=15")
    assert planned(here / "r.plan.jsonl") == {"small": 15, "large": 25}
    assert "max_share_requests small: 15 of 15" in capped.stdout
    assert "what if load limits +10%: saves" in capped.stdout
    weighed = await assign("--objective", "cost=1,time=1e-6", "--budget-j", "1e9", "--makespan-s", "1e6")
    assert weighed.exit_code == 0, weighed.output
    assert planned(here / "r.plan.jsonl") == {"small": 40}


async def test_limits_of_a_line_hold_in_the_plan_and_are_not_decided_anew(
    here: Path, upstream: Upstream
) -> None:
    lines = [
        ask("good", pointsman={"min_quality": 0.8}),
        ask("cheap", metadata={"pointsman_max_price_usd": "0.0001"}),
        ask("best", pointsman={"min_quality": 0.95}),
        ask("odd", metadata={"pointsman_max_energy_j": "much"}),
        ask("any"),
    ]
    write(here / "r.jsonl", lines)
    made = await assign()
    assert made.exit_code == 0, made.output
    assert "r.jsonl, line 3: no endpoint can serve this request within its limits" in made.stderr
    assert "the best predicted quality is 0.9, by large" in made.stderr
    assert "r.jsonl, line 4: max_energy_j is 'much', which is no number" in made.stderr
    where = {row["custom_id"]: row.get("endpoint") for row in read(here / "r.plan.jsonl")[1:]}
    assert (where["good"], where["cheap"], where["any"]) == ("large", "small", "small")
    config = here / "two.yaml"
    config.write_text(config.read_text().replace("accuracy: 0.9", "accuracy: 0.1"))
    assert (await pointsman("run", "r.plan.jsonl")).exit_code == 0
    results = {own["custom_id"]: own for own in read(here / "r.results.jsonl")}
    assert results["good"]["pointsman"]["endpoint"] == "large", "the plan has decided it"
    assert [results[name]["error"]["code"] for name in ("best", "odd")] == ["limits_unmet", "invalid_value"]
    assert not any("pointsman" in body for body in upstream.bodies)


async def test_more_lines_than_memory_holds_are_refused_before_anything_is_predicted(here: Path) -> None:
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if memory_bytes > LARGE_BYTES:
        pytest.skip("so many lines are too large a file here")
    line_count = memory_bytes // 400
    with (here / "r.jsonl").open("wb") as file:
        for _ in range(line_count // 10_000 + 1):
            file.write(b"\n" * 10_000)
    refused = await assign()
    assert refused.exit_code == CALLER
    assert re.search(
        r"a plan of [\d,]+ requests with 2 choices each takes about .* GiB may be used", refused.output
    )
    most = re.search(r"Split the file into parts of at most ([\d,]+) lines", refused.output)
    assert most is not None
    assert line_count / 3 < int(most[1].replace(",", "")) < line_count
    assert not (here / "r.plan.jsonl").exists()


async def test_what_is_no_batch_is_refused(here: Path) -> None:
    write(here / "r.jsonl", ["nothing", "here"])
    assert "no line is left to plan; line 1: it is no JSON" in (await assign()).output
    (here / "r.jsonl").write_bytes(b"")
    assert "r.jsonl is empty" in (await assign()).output
    (here / "r.jsonl").unlink()
    assert "does not exist" in (await assign()).output
    for name, text in {"x.plan.jsonl": "{}\n", "y.plan.jsonl": "nothing\n"}.items():
        (here / name).write_text(text)
        ran = await pointsman("run", name)
        assert (ran.exit_code, "line 1 is no line of a plan" in ran.output) == (DATA, True), ran.output


async def test_a_plan_or_a_batch_that_has_changed_is_refused(here: Path, upstream: Upstream) -> None:
    write(here / "r.jsonl", [ask("a"), ask("b")])
    await assign()
    whole = (here / "r.plan.jsonl").read_text()
    (here / "r.plan.jsonl").write_text("".join(whole.splitlines(keepends=True)[:-1]))
    cut = await pointsman("run", "r.plan.jsonl")
    assert (cut.exit_code, "1 of its 2 rows" in cut.output) == (DATA, True)
    (here / "r.plan.jsonl").write_text(whole)
    write(here / "r.jsonl", [ask("a"), ask("c")])
    other = await pointsman("run", "r.plan.jsonl")
    assert (other.exit_code, "is not the file that was planned" in other.output) == (DATA, True)
    write(here / "moved.jsonl", [ask("a"), ask("b")])
    assert (await pointsman("run", "r.plan.jsonl", "--requests", "moved.jsonl")).exit_code == 0
    assert len(upstream.bodies) == 2
    write(here / "r.jsonl", [ask("a"), ask("b"), ask("c")])
    await assign()
    mixed = await pointsman("run", "r.plan.jsonl")
    assert (mixed.exit_code, "belongs to another plan" in mixed.output) == (DATA, True)


async def test_failures_are_retried_when_run_again_and_refusals_when_asked_for(
    here: Path, upstream: Upstream
) -> None:
    write(here / "r.jsonl", [ask(f"q{i}") for i in range(6)])
    await assign("--only", "large")
    upstream.next(
        Reply(end=End.CUT),
        Reply([b'{"error": {"message":\n "too long"}}'], status=400),
        Reply([b"try later"], status=500),
        Reply([b"busy"], status=429, headers={"retry-after": "0"}),  # it is asked again at once
    )
    ran = await pointsman("run", "r.plan.jsonl")
    assert (ran.exit_code, "2 requests failed" in ran.output) == (ENGINE, True), ran.output
    results = read(here / "r.results.jsonl")
    assert len(results) == len({own["custom_id"] for own in results}) == 6
    ends = Counter(
        own["response"]["status_code"] if own["response"] else own["error"]["code"] for own in results
    )
    assert ends == {200: 3, 400: 1, 500: 1, "upstream_cut": 1}
    assert upstream.most_running <= 2, "large's slots"
    assert len(upstream.bodies) == 7
    assert (await pointsman("run", "r.plan.jsonl")).exit_code == 0
    assert len(upstream.bodies) == 9, "the cut one and the 500"
    ends = Counter(own["response"]["status_code"] for own in read(here / "r.results.jsonl"))
    assert ends == {200: 5, 400: 1}
    last = await pointsman("run", "r.plan.jsonl", "--retry-failed")
    assert last.exit_code == 0
    assert [own["response"]["status_code"] for own in read(here / "r.results.jsonl")] == [200] * 6


async def test_a_dead_endpoint_stops_alone_and_the_run_goes_on_later(here: Path, upstream: Upstream) -> None:
    config = (here / "two.yaml").read_text()
    broken = config.replace(upstream.base_url, "http://127.0.0.1:1/v1", 1)  # small's
    (here / "two.yaml").write_text(broken)
    write(here / "r.jsonl", [ask(f"q{i}") for i in range(40)])
    await assign("--max-load", "small=20")
    ran = await pointsman("run", "r.plan.jsonl")
    assert (ran.exit_code, "small failed" in ran.output) == (ENGINE, True), ran.output
    results = read(here / "r.results.jsonl")
    assert sum(own["error"] is None for own in results) == 20, "large has done its part"
    assert 28 <= len(results) < 40, "small's others are still open"
    (here / "two.yaml").write_text(config)
    assert (await pointsman("run", "r.plan.jsonl")).exit_code == 0
    results = read(here / "r.results.jsonl")
    assert [own["custom_id"] for own in results] == [f"q{i}" for i in range(40)]
    assert all(own["error"] is None for own in results)
    assert len(upstream.bodies) == 40


async def started(*words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pointsman", *words,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip


async def received(upstream: Upstream, count: int, process: asyncio.subprocess.Process) -> None:
    """Wait until the server has so many requests; a process that ends before fails."""
    waits = [asyncio.ensure_future(upstream.until(received=count)), asyncio.ensure_future(process.wait())]
    done, left = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in left:
        wait.cancel()
    assert waits[0] in done, f"it ended with {process.returncode}"


async def test_killed_at_any_point_nothing_is_lost_and_nothing_answered_is_asked_again(
    here: Path, upstream: Upstream
) -> None:
    count, slots = 120, 5
    write(here / "r.jsonl", [ask(f"q{i}", f"w{i}") for i in range(count)])
    assert (await assign("--min-quality", "0.7")).exit_code == 0
    journal = here / "r.results.jsonl.journal"
    rng = np.random.default_rng(0)
    for _ in range(5):
        process = await started("run", "r.plan.jsonl")
        more = len(upstream.bodies) + int(rng.integers(1, 20))
        await received(upstream, more, process)
        process.kill()
        assert await process.wait() == -signal.SIGKILL
        torn = journal.read_bytes()[: -int(rng.integers(1, 9))]  # as if a write was cut, too
        if torn.count(b"\n") > 1:
            journal.write_bytes(torn)
    assert not (here / "r.results.jsonl").exists()
    held = journal.read_text().count('"end":"answered"')
    assert 0 < held < count
    assert (await pointsman("run", "r.plan.jsonl")).exit_code == 0
    results = read(here / "r.results.jsonl")
    assert [own["custom_id"] for own in results] == [f"q{i}" for i in range(count)]
    assert [own["response"]["body"]["choices"][0]["message"]["content"] for own in results] == [
        f"w{i}" for i in range(count)
    ]
    ended = [json.loads(line)["row"] for line in journal.read_text().splitlines()[1:]]
    assert sorted(ended) == [*range(count)], "each row has one record"
    assert len(upstream.bodies) <= count + 5 * (slots + 1), "those that were out, and the torn record"
    assert len({own["id"] for own in results}) == count


async def test_ctrl_c_keeps_what_came_and_a_second_run_at_once_is_refused(
    here: Path, upstream: Upstream
) -> None:
    write(here / "r.jsonl", [ask(f"q{i}") for i in range(10)])
    await assign("--only", "large")
    upstream.next(*[Reply([b'{"choices": [{"message": {"content": "x"}}]}'])] * 2, *[Reply(end=End.HANG)] * 2)
    process = await started("run", "r.plan.jsonl")
    await received(upstream, 4, process)
    second = await pointsman("run", "r.plan.jsonl")
    assert (second.exit_code, "another run of this plan" in second.output) == (CALLER, True)
    process.send_signal(signal.SIGINT)
    assert await process.wait() == INTERRUPTED
    await upstream.until(gone=2)
    part = await pointsman("run", "r.plan.jsonl", "--export-partial")
    assert part.exit_code == 0
    assert len(read(here / "r.results.jsonl")) == 2
    assert (await pointsman("run", "r.plan.jsonl")).exit_code == 0
    assert len(read(here / "r.results.jsonl")) == 10
    assert len(upstream.bodies) == 12


async def test_two_deployments_of_one_model_each_get_their_own(here: Path, upstream: Upstream) -> None:
    (here / "two.yaml").write_text(
        (here / "two.yaml").read_text().replace("model_name: large", "model_name: small")
    )
    write(here / "r.jsonl", [ask(f"q{i}", model="small") for i in range(10)])
    await assign("--max-load", "small=6")
    assert planned(here / "r.plan.jsonl") == {"small": 6, "small#2": 4}
    assert (await pointsman("run", "r.plan.jsonl")).exit_code == 0
    assert Counter(body["model"] for body in upstream.bodies) == {"small-1": 6, "large-1": 4}


async def test_a_parquet_file_of_prompts_becomes_a_batch(here: Path, upstream: Upstream) -> None:
    pa, pq = pyarrow()
    table = pa.table(
        {
            "id": [1, 2, 3],
            "prompt": ["a b", "c d", None],
            "system": ["s", None, None],
            "max_tokens": [5, None, 5],
            "tenant": ["acme", None, None],
            "max_price_usd": [None, 0.0001, None],
            "min_quality": [0.8, float("nan"), None],
        }
    )
    pq.write_table(table, here / "p.parquet")
    made = await pointsman(
        "assign", "p.parquet", "--endpoints", "two.yaml", "--min-quality", "tenant:acme=0.9"
    )
    assert made.exit_code == 0, made.output
    assert "line 3: " in made.stderr
    assert (await pointsman("run", "p.plan.jsonl")).exit_code == 0
    results = read(here / "p.results.jsonl")
    assert [own["custom_id"] for own in results] == ["1", "2", "3"]
    assert [own["pointsman"]["endpoint"] for own in results[:2]] == ["large", "small"]
    assert results[2]["error"]["code"] == "invalid_value"
    assert {len(body["messages"]) for body in upstream.bodies} == {1, 2}
    pq.write_table(table.drop_columns(["prompt"]), here / "q.parquet")
    assert (
        "has no column prompt" in (await pointsman("assign", "q.parquet", "--endpoints", "two.yaml")).output
    )


async def test_a_real_server_answers_a_batch(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        require_extra()
    except MissingError as error:
        pytest.skip(str(error))
    monkeypatch.setenv("POINTSMAN_CACHE", str(here / "cache"))
    model = write_tiny_gguf(here / "tiny.gguf")
    (here / "two.yaml").write_text(
        f"pointsman: {{fleet: {{models: [{{name: tiny, path: {model}, threads: 1, slots: 2}}]}}}}"
    )
    write(here / "r.jsonl", [ask(f"q{i}", max_tokens=4) for i in range(5)])
    assert (await assign("--objective", "energy")).exit_code == 0
    ran = await pointsman("run", "r.plan.jsonl")
    assert ran.exit_code == 0, ran.output
    results = read(here / "r.results.jsonl")
    assert [own["response"]["status_code"] for own in results] == [200] * 5
    assert all(own["pointsman"]["output_tokens"] <= 4 and own["pointsman"]["e2e_s"] > 0 for own in results)
