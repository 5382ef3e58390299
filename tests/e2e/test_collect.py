"""`pointsman collect` from questions to a folder that `pointsman train` reads, and what it refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pointsman.cli.app import app
from pointsman.data.outcome_folders import read_outcomes
from pointsman.data.outcomes import read_outcome_rows
from pointsman.engines.fleet_launch import require_extra
from pointsman.errors import MissingError
from pointsman.testing.tiny_gguf import write_tiny_gguf
from pointsman.testing.upstream import End, Reply, Upstream

CALLER, DATA, ENGINE = 2, 4, 6
CONFIG = """
model_list:
  - model_name: small
    litellm_params: {model: hosted_vllm/small, api_base: "URL"}
pointsman: {policy: weighted}
"""
QUESTIONS = 'id,question,choices,subject,answer\na,Which?,"[""x"", ""y""]",s,A\nb,How many?,,s,3\n'


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
def here(tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "one.yaml").write_text(CONFIG.replace("URL", upstream.base_url))
    (tmp_path / "mine.csv").write_text(QUESTIONS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pointsman(*words: str) -> Result:
    return CliRunner().invoke(app, ["collect", "--config", "one.yaml", "--out", "got", *words])


def says(text: str) -> Reply:
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    return Reply([json.dumps({"choices": [choice], "usage": {"completion_tokens": 2}}).encode()])


async def test_from_a_csv_to_outcomes(here: Path, upstream: Upstream) -> None:
    upstream.next(*[says("A. The answer is 3.")] * 2)  # right for both, in whatever order
    result = await asyncio.to_thread(pointsman, "mine.csv", "--endpoint", "small")
    assert result.exit_code == 0, result.output
    assert "gives no log-probabilities" in result.output
    assert {row.query_id: row.score for row in read_outcome_rows(here / "got/samples.parquet").rows} == {
        "a": 1.0,
        "b": 1.0,
    }
    assert read_outcomes([here / "got"]).endpoints == ("small",)
    asked = len(upstream.bodies)
    again = await asyncio.to_thread(pointsman, "mine.csv")
    assert again.exit_code == 0
    assert len(upstream.bodies) == asked, "everything was there"


async def test_outcomes_that_name_questions_by_id_get_their_texts_back(
    here: Path, upstream: Upstream
) -> None:
    upstream.next(*[says("A. The answer is 3.")] * 2)
    await asyncio.to_thread(pointsman, "mine.csv", "--endpoint", "small")
    (here / "got/samples.parquet").rename(here / "figures.parquet")
    (here / "mine.csv").write_text(QUESTIONS + "c,Where?,,s,there\n")
    again = pointsman("mine.csv", "--answered", "figures.parquet", "--out", "again")
    assert again.exit_code == 0, again.output
    assert set(read_outcomes([here / "again"]).query_ids) == {"a", "b"}
    assert read_outcome_rows(here / "again/samples.parquet").metadata["set"] == "mine.csv"
    (here / "mine.csv").write_text("id,question,answer\nd,Why?,so\n")
    other = pointsman("mine.csv", "--answered", "figures.parquet", "--out", "other")
    assert other.exit_code == DATA
    assert "no answer to these 1 questions" in " ".join(other.output.split())
    assert not (here / "other").exists()


async def test_a_dead_endpoint_is_named_and_what_came_is_exported(here: Path, upstream: Upstream) -> None:
    upstream.next(says("A"), Reply(end=End.CUT))
    first = await asyncio.to_thread(pointsman, "mine.csv")
    assert first.exit_code == 0
    assert "small" in first.output
    upstream.next(Reply([b"overloaded"], status=503))
    other = ("mine.csv", "--out", "other", "--limit", "1")
    failed = await asyncio.to_thread(pointsman, *other)
    assert failed.exit_code == ENGINE
    assert "overloaded" in failed.output
    assert (await asyncio.to_thread(pointsman, *other, "--export-partial")).exit_code == ENGINE


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), CALLER, "either a file of questions or --set"),
        (("mine.csv", "--set", "mmlu"), CALLER, "either a file of questions or --set"),
        (("--set", "trivia"), CALLER, "mmlu, gsm8k, mbpp"),
        (("mine.csv", "--endpoint", "huge"), CALLER, "Configured: small"),
        (("mine.csv", "--scorer", "mine"), CALLER, "no scorer is called"),
        (("mine.csv", "--limit", "0"), CALLER, "Give a number from 1"),
        (("none.csv",), DATA, "none.csv does not exist"),
        (("empty.jsonl",), DATA, "holds no question"),
        (("mine.csv", "--export-partial"), DATA, "can't be read as a journal"),
    ],
)
async def test_bad_input_is_refused_before_anything_is_asked(
    here: Path, upstream: Upstream, words: tuple[str, ...], code: int, said: str
) -> None:
    (here / "empty.jsonl").write_text("\n")
    result = await asyncio.to_thread(pointsman, *words)
    assert (result.exit_code, said in result.output) == (code, True), result.output
    assert upstream.bodies == []


async def test_a_real_server_s_log_probabilities_judge_the_options(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        require_extra()
    except MissingError as error:
        pytest.skip(str(error))
    monkeypatch.setenv("POINTSMAN_CACHE", str(here / "cache"))
    model = write_tiny_gguf(here / "tiny.gguf")
    (here / "one.yaml").write_text(
        f"pointsman: {{fleet: {{models: [{{name: tiny, path: {model}, threads: 1, slots: 2}}]}}}}"
    )
    result = await asyncio.to_thread(
        pointsman, "mine.csv", "--samples", "2", "--concurrency", "2", "--max-tokens", "4"
    )
    assert result.exit_code == 0, result.output
    rows, metadata = (table := read_outcome_rows(here / "got/samples.parquet")).rows, table.metadata
    assert len(rows) == 4
    assert list(metadata["meters"]) == ["tiny"]
    assert (metadata["seed"], metadata["set"]) == (0, "mine.csv")
    assert all(row.mean_logprob is not None and row.mean_logprob <= 0 for row in rows)
    assert all(row.energy_j is not None and row.latency_s for row in rows)
