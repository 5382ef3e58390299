"""`assign --output-budgets`, then `run`: an endpoint is told the limit that the plan chose."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pointsman.cli.app import app
from pointsman.predict.quality.fit import FitOptions, fit_quality
from pointsman.testing.outcomes import capital_question, made_outcomes, proof_question
from pointsman.testing.upstream import Upstream

CONFIG = """
model_list:
  - model_name: both
    litellm_params: {model: hosted_vllm/a, api_base: "URL", input_cost_per_token: 1.0e-6, output_cost_per_token: 1.0e-5}
  - model_name: capitals
    litellm_params: {model: hosted_vllm/b, api_base: "URL", input_cost_per_token: 1.0e-7, output_cost_per_token: 1.0e-6}
pointsman: {predictor: {name: learned, artifact: quality}}
"""


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
def here(tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "two.yaml").write_text(CONFIG.replace("URL", upstream.base_url))
    matrix = made_outcomes(np.random.default_rng(1), 200)
    fit_quality(matrix, FitOptions("knn", folds=2)).model.write(tmp_path / "quality")
    lines: list[dict[str, Any]] = []
    for i in range(60):
        text = proof_question(1000 + i) if i % 2 else capital_question(1000 + i)
        own = {"max_completion_tokens": 50} if i % 3 == 0 else {}
        body = {"model": "auto", "messages": [{"role": "user", "content": text}], "user": f"u{i}", **own}
        lines.append({"custom_id": f"q{i}", "url": "/v1/chat/completions", "body": body})
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def pointsman(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, words)


async def assign(*words: str) -> Result:
    return await pointsman("assign", "r.jsonl", "--endpoints", "two.yaml", *words)


async def test_the_endpoint_is_told_the_limit_that_was_chosen(here: Path, upstream: Upstream) -> None:
    made = await assign("--min-quality", "0.45", "--output-budgets", "60,6,6")
    assert made.exit_code == 0, made.output
    head, *rows = [json.loads(line) for line in (here / "r.plan.jsonl").read_text().splitlines()]
    chosen = {f"u{row['custom_id'][1:]}": row.get("max_tokens") for row in rows}
    counts = {6: [*chosen.values()].count(6), 60: [*chosen.values()].count(60)}
    assert head["settings"]["output_budgets"] == [6, 60]
    assert head["summary"]["within_tokens"] == {str(budget): count for budget, count in counts.items()}
    assert f"output budgets: {counts[6]} within 6 tokens, {counts[60]} within 60 tokens" in made.stdout
    assert min(counts.values()) > 0
    assert None in chosen.values()
    ran = await pointsman("run", "r.plan.jsonl")
    assert ran.exit_code == 0, ran.output
    assert len(upstream.bodies) == 60
    for body in upstream.bodies:
        own = int(body["user"][1:]) % 3 == 0
        limit = chosen[body["user"]] or (50 if own else None)
        told = {name: body[name] for name in ("max_tokens", "max_completion_tokens") if name in body}
        assert told == ({} if limit is None else {"max_completion_tokens" if own else "max_tokens": limit})


async def test_what_can_t_be_asked_is_refused(here: Path) -> None:
    assert "Give whole numbers from 1 to 1000000" in (await assign("--output-budgets", "0,5")).output
    words = ("--min-quality", "0.5", "--confidence", "0.9", "--output-budgets", "60")
    assert "--output-budgets cuts some off" in (await assign(*words)).output
    none = await assign("--output-budgets", "999999")
    assert none.exit_code == 0, none.output
    assert "no output budget is a choice on both, capitals" in " ".join(none.stdout.split())
