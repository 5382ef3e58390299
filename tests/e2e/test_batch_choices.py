"""Requests that a plan skips or lets wait: in the plan, its table, the results, and the next batch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pointsman.cli.app import app
from pointsman.testing.upstream import Upstream

CONFIG = """
model_list:
  - model_name: small
    litellm_params: {model: hosted_vllm/small-1, api_base: "URL", input_cost_per_token: 1.0e-6, output_cost_per_token: 1.0e-6}
    model_info: {max_concurrent: 3, accuracy: 0.5}
  - model_name: large
    litellm_params: {model: hosted_vllm/large-1, api_base: "URL", input_cost_per_token: 1.0e-5, output_cost_per_token: 1.0e-5}
    model_info: {max_concurrent: 2, accuracy: 0.9}
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


async def assign(*words: str, requests: str = "r.jsonl") -> Result:
    return await pointsman("assign", requests, "--endpoints", "two.yaml", *words)


def write(path: Path, count: int) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "one two"}], "max_tokens": 32}
    lines = [{"custom_id": f"q{i}", "url": "/v1/chat/completions", "body": body} for i in range(count)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_what_is_skipped_has_the_gateway_s_answer_as_its_result(here: Path, upstream: Upstream) -> None:
    write(here / "r.jsonl", 40)
    made = await assign("--min-quality", "0.45", "--skip-cost", "1e-9")
    assert made.exit_code == 0, made.output
    said = " ".join(made.stdout.split())
    assert "(skip) 4 10.0% 0.000" in said, "36 at .5 are .45 of 40"
    assert "all 40 100.0% 0.450" in said
    assert "with what it costs to skip" in said
    head, *rows = read(here / "r.plan.jsonl")
    assert (head["summary"]["skipped"], head["summary"]["waiting"]) == (4, 0)
    skipped = [row["custom_id"] for row in rows if row.get("action") == "skip"]
    assert len(skipped) == 4
    ran = await pointsman("run", "r.plan.jsonl")
    assert ran.exit_code == 0, ran.output
    assert "4 were skipped, as planned; their results say so" in ran.stdout
    results = read(here / "r.results.jsonl")
    assert [own["custom_id"] for own in results] == [f"q{i}" for i in range(40)]
    for own in results:
        status, body = own["response"]["status_code"], own["response"]["body"]
        assert (status == 422) == (own["custom_id"] in skipped)
        if status == 422:
            assert body["error"]["type"] == body["error"]["code"] == "skipped"
            assert "1e-09 $ that skipping costs" in body["error"]["message"]
            assert body["error"]["expected_skip_cost"] == 1e-9
            assert "pointsman" not in own
    assert len(upstream.bodies) == 36


async def test_what_waits_is_a_batch_of_its_own_for_later(here: Path, upstream: Upstream) -> None:
    write(here / "r.jsonl", 30)
    made = await assign("--max-load", "small=10", "--max-load", "large=5", "--wait-cost", "1")
    assert made.exit_code == 0, made.output
    assert "(wait) 15 50.0% -" in " ".join(made.stdout.split())
    ran = await pointsman("run", "r.plan.jsonl", "--waiting-out", "later.jsonl")
    assert ran.exit_code == 0, ran.output
    assert "15 wait for a later batch" in ran.stdout
    assert "written: later.jsonl, 15 requests; next: pointsman assign later.jsonl" in ran.stdout
    done = {own["custom_id"] for own in read(here / "r.results.jsonl")}
    later = [own["custom_id"] for own in read(here / "later.jsonl")]
    assert len(done) == len(later) == 15
    assert done | {*later} == {f"q{i}" for i in range(30)}
    assert (await assign(requests="later.jsonl")).exit_code == 0
    assert (await pointsman("run", "later.plan.jsonl")).exit_code == 0
    assert [own["custom_id"] for own in read(here / "later.results.jsonl")] == later
    assert len(upstream.bodies) == 30
    partial = await pointsman("run", "r.plan.jsonl", "--export-partial", "--waiting-out", "again.jsonl")
    assert partial.exit_code == 0
    assert (here / "again.jsonl").read_bytes() == (here / "later.jsonl").read_bytes()
    write(here / "r.jsonl", 31)
    changed = await pointsman("run", "r.plan.jsonl", "--export-partial", "--waiting-out", "x.jsonl")
    assert "is not the file that was planned" in changed.output
    assert not (here / "x.jsonl").exists()


async def test_a_confidence_and_waiting_are_refused_together(here: Path) -> None:
    write(here / "r.jsonl", 3)
    made = await assign("--min-quality", "0.5", "--confidence", "0.9", "--wait-cost", "1")
    assert (made.exit_code, "--wait-cost leaves that open" in made.output) == (2, True), made.output


async def test_free_endpoints_give_a_hint_and_limits_far_away_have_no_price(here: Path) -> None:
    write(here / "r.jsonl", 40)
    words = ("--min-quality", "0.7", "--budget-usd", "9", "--makespan-s", "1e7", "--max-load", "small=1e6")
    made = await assign(*words)
    assert made.exit_code == 0, made.output
    assert "every predicted price is 0" not in made.stdout
    limits = read(here / "r.plan.jsonl")[0]["summary"]["limits"]
    assert len(limits) == 5
    assert [limit for limit in limits if ";" in limit] == [limits[0]], "the floor alone has a price"
    assert limits[0].startswith("quality floor all: 0.7 of 0.7; one more point of quality costs ")
    config = (here / "two.yaml").read_text()
    for name in ("input", "output"):
        config = config.replace(f"{name}_cost_per_token: 1.0e-6", f"{name}_cost_per_token: 0")
        config = config.replace(f"{name}_cost_per_token: 1.0e-5", f"{name}_cost_per_token: 0")
    (here / "two.yaml").write_text(config)
    free = await assign("--min-quality", "0.7")
    assert "every predicted price is 0, so that all plans cost the same: --objective energy" in free.stdout
    by_energy = await assign("--min-quality", "0.7", "--objective", "energy")
    assert "every predicted price is 0" not in by_energy.stdout
