"""A batch on two real small models: within the load limit, in their slots, every request answered once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pointsman.cli.app import app
from pointsman.engines.catalogue import SMOLLM2_135M
from pointsman.engines.weights import pull
from pointsman.errors import MissingError

pytest.importorskip("xllamacpp", reason="the extra `fleet` is not installed")
pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

CONFIG = """
pointsman:
  fleet:
    models:
      - {{name: first, weights: {name}, slots: 2, threads: 1}}
      - {{name: second, weights: {name}, slots: 1, threads: 1}}
"""


async def pointsman(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, words)


async def test_a_batch_on_real_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        pull(SMOLLM2_135M)
    except MissingError as error:
        pytest.skip(f"the weights of {SMOLLM2_135M.name} can't be had here: {error}")
    monkeypatch.chdir(tmp_path)
    Path("two.yaml").write_text(CONFIG.format(name=SMOLLM2_135M.name))
    body = {"messages": [{"role": "user", "content": "Name a colour."}], "max_tokens": 8}
    lines = [{"custom_id": f"q{i}", "url": "/v1/chat/completions", "body": body} for i in range(9)]
    Path("r.jsonl").write_text("\n".join(map(json.dumps, lines)))
    made = await pointsman(
        "assign", "r.jsonl", "--endpoints", "two.yaml", "--objective", "energy", "--max-load", "first=6"
    )
    assert made.exit_code == 0, made.output
    ran = await pointsman("run", "r.plan.jsonl")
    assert ran.exit_code == 0, ran.output
    results = [json.loads(line) for line in Path("r.results.jsonl").read_text().splitlines()]
    assert [own["custom_id"] for own in results] == [f"q{i}" for i in range(9)]
    assert all(own["response"]["body"]["choices"][0]["message"]["content"] for own in results)
    assert Counter(own["pointsman"]["endpoint"] for own in results)["first"] <= 6
    assert all(own["pointsman"]["energy_j"] > 0 for own in results)
