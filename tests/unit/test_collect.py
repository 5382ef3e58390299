"""Collecting: every answer kept at once, resumed, judged, written; endpoints that fail are named."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pointsman.clock import VirtualClock
from pointsman.collect.judge import call_of, judge, judge_records, option_logprobs
from pointsman.collect.plugin_scorer import scorer_named
from pointsman.collect.runner import MAX_FAILURES_IN_A_ROW, CollectOptions, Target, collect_answers
from pointsman.data.answers import AnswerSpec, NumberAnswer, OptionAnswer, PythonAnswer, TextAnswer
from pointsman.data.journal import read_records
from pointsman.data.outcome_folders import read_outcomes
from pointsman.data.outcomes import read_outcome_rows, write_outcome_rows, write_outcomes
from pointsman.data.question_sets import SetQuestion
from pointsman.engines.base import Chunk, Usage
from pointsman.engines.openai_http import OpenAIEngine
from pointsman.errors import BadRequest, DataError, EngineCut, EngineError
from pointsman.testing.upstream import Reply, Upstream
from pointsman.types import EndpointLoad, Request

IDENTITY = {"set": "test", "seed": 0}
ONE = SetQuestion("q", "d", "t", "text", "prompt", 8, OptionAnswer("B"), "ABCD")
MANY = [replace(ONE, id=f"q{number}", prompt=f"prompt {number}") for number in range(30)]
CHOICE = [["B", -0.5], [" A", -1.5], ["A", -2.0], ["The", -3.0], ["C", -4.0]]


class Scripted:
    """An engine that says B with log-probabilities, except where it is cut."""

    def __init__(self, cut: tuple[str, ...] = ()) -> None:
        self.cut = cut
        self.asked: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.running = self.most_running = 0

    async def run(self, request: Request) -> AsyncIterator[Chunk | Usage]:
        self.asked.append(request.id)
        self.bodies.append(json.loads(request.payload))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        if request.id in self.cut:
            raise EngineCut("the connection closed", endpoint="e")
        tops = [{"token": token, "logprob": value} for token, value in CHOICE]
        tokens = [{"token": "B", "logprob": -0.5, "top_logprobs": tops}, {"token": "", "logprob": -0.1}]
        choice = {"message": {"content": "B"}, "logprobs": {"content": tokens}}
        yield Chunk(json.dumps({"choices": [choice]}).encode())
        yield Usage(input_tokens=9, output_tokens=2, e2e_s=0.25, finish_reason="stop")

    async def load(self) -> EndpointLoad | None:
        return None

    async def close(self) -> None:
        pass


async def collect(
    engine: Any, journal: Path, questions: list[SetQuestion] = MANY, **options: Any
) -> tuple[dict[str, Any], ...]:
    await collect_answers(
        [Target("e", engine)], questions, journal, VirtualClock(), CollectOptions(**options), IDENTITY
    )
    return read_records(journal)[1]


async def test_samples_are_asked_greedily_first_then_with_seeds(tmp_path: Path) -> None:
    engine = Scripted()
    records = await collect(engine, tmp_path / "j", samples=2, concurrency=4)
    assert len(records) == 60
    assert engine.most_running == 4
    greedy, sampled = engine.bodies[:30], engine.bodies[30:]
    assert all(body["temperature"] == 0 and "seed" not in body for body in greedy)
    assert all(body["temperature"] == 0.7 for body in sampled)
    assert len({body["seed"] for body in sampled}) == 30, "questions share the luck of a draw"
    assert all(body["logprobs"] and body["top_logprobs"] == 20 for body in engine.bodies)


async def test_a_stopped_run_goes_on_and_asks_failed_questions_again(tmp_path: Path) -> None:
    await collect(Scripted(cut=("q3#0",)), tmp_path / "j", MANY[:6])
    with (tmp_path / "j").open("a") as torn:
        torn.write('{"query_id": "q5", "mod')
    again = Scripted()
    records = await collect(again, tmp_path / "j", MANY[:8])
    assert again.asked == ["q3#0", "q6#0", "q7#0"]
    rows = judge_records(records, MANY[:8], "cpu")
    assert [row.query_id for row in rows] == [f"q{number}" for number in range(8)]


async def test_another_endpoint_and_more_samples_join_the_same_journal(tmp_path: Path) -> None:
    await collect(Scripted(), tmp_path / "j", MANY[:3])
    seen: list[str] = []
    await collect_answers(
        [Target("f", Scripted())],
        MANY[:2],
        tmp_path / "j",
        VirtualClock(),
        CollectOptions(samples=2),
        IDENTITY,
        lambda record: seen.append(record["model"]),
    )
    assert seen == ["f"] * 4
    rows = judge_records(read_records(tmp_path / "j")[1], MANY, None)
    assert [(row.query_id, row.model, row.sample) for row in rows if row.query_id == "q0"] == [
        ("q0", "e", 0),
        ("q0", "f", 0),
        ("q0", "f", 1),
    ]


async def test_a_dying_endpoint_stops_the_run_and_keeps_what_came(tmp_path: Path) -> None:
    dead = Scripted(cut=tuple(f"q{number}#0" for number in range(5, 30)))
    with pytest.raises(EngineError, match=r"e failed 8 times in a row.*the connection closed.*goes on"):
        await collect(dead, tmp_path / "j")
    records = read_records(tmp_path / "j")[1]
    assert sum("error" not in record for record in records) == 5
    assert sum("error" in record for record in records) == MAX_FAILURES_IN_A_ROW
    alive = Scripted()
    await collect(alive, tmp_path / "j")
    assert len(alive.asked) == 25


async def test_changed_questions_and_other_runs_are_refused(tmp_path: Path) -> None:
    await collect(Scripted(), tmp_path / "j", MANY[:2])
    changed = [replace(MANY[0], prompt="another"), MANY[1]]
    with pytest.raises(DataError, match="q0 was asked with another prompt"):
        await collect(Scripted(), tmp_path / "j", changed)
    with pytest.raises(DataError, match="another run: seed 0, not 1"):
        await collect_answers(
            [], MANY[:2], tmp_path / "j", VirtualClock(), CollectOptions(), {**IDENTITY, "seed": 1}
        )


async def test_a_server_that_refuses_or_ignores_logprobs_is_judged_by_its_text(tmp_path: Path) -> None:
    async with Upstream() as upstream:
        engine = OpenAIEngine("e", upstream.base_url, "m")
        refusal = Reply([b'{"error": {"message": "logprobs is not supported"}}'], status=400)
        said = {"choices": [{"message": {"content": "The answer is B."}, "finish_reason": "stop"}]}
        ignores = Reply([json.dumps(said).encode()])
        upstream.next(refusal, ignores, ignores)
        records = await collect(engine, tmp_path / "j", MANY[:2])
        await engine.close()
        assert ["logprobs" in body for body in upstream.bodies] == [True, False, True]
    rows = judge_records(records, MANY[:2], None)
    assert [(row.method, row.score, row.chosen_logprob) for row in rows] == [("generation", 1.0, None)] * 2
    assert rows[0].mean_logprob is None


async def test_a_body_that_is_no_completion_and_an_error_status_are_failures_with_words(
    tmp_path: Path,
) -> None:
    async with Upstream() as upstream:
        engine = OpenAIEngine("e", upstream.base_url, "m")
        odd = Reply([b'{"choices": [{"message": {"content": 7}}]}'])
        upstream.next(odd, Reply([b"no such model"], status=404))
        records = await collect(engine, tmp_path / "j", MANY[:2])
        await engine.close()
    assert "no chat completion" in records[0]["error"]
    assert "404" in records[1]["error"]
    assert "no such model" in records[1]["error"]


def answered(text: str = "B", **changes: Any) -> dict[str, Any]:
    return {
        "query_id": "q",
        "model": "e",
        "sample": 0,
        "text": text,
        "first_tokens": [],
        "token_logprobs": [-0.5, -1.5],
        "finish_reason": "stop",
        "input_tokens": 5,
        "output_tokens": 2,
        "cached_tokens": 0,
        "latency_s": 0.5,
        "energy_j": None,
        "energy_modelled": None,
        "meter": None,
        "concurrency": 1,
        "started_unix_s": 0.0,
        **changes,
    }


def test_multiple_choice_is_judged_by_the_likeliest_option_and_by_the_text() -> None:
    row = judge(answered("A", first_tokens=CHOICE), ONE, "cpu")
    assert (row.method, row.score, row.generation_score, row.answer_key) == ("logprob", 1.0, 0.0, "B")
    total = math.exp(-0.5) + math.exp(-1.5) + math.exp(-4.0)
    assert row.chosen_logprob == pytest.approx(-0.5 - math.log(total))
    assert row.option_logprobs == pytest.approx((-1.5, -0.5, -4.0, math.nan), nan_ok=True)
    assert (row.mean_logprob, row.min_logprob) == (-1.0, -1.5)
    later = judge(answered("A", first_tokens=CHOICE, sample=1), ONE, "cpu")
    assert (later.method, later.score, later.answer_key) == ("generation", 0.0, "A")
    assert later.chosen_logprob == pytest.approx(-1.5 - math.log(total))


def test_without_an_option_among_the_candidates_the_text_counts() -> None:
    assert option_logprobs("AB", [("The", -0.1), ("AB", -1.0)]) is None
    row = judge(answered("I can't say", first_tokens=[["The", -0.1]]), ONE, None)
    assert (row.method, row.parsed, row.answer_key, row.score) == ("generation", False, None, 0.0)


CODE = "```python\ndef f(n):\n    return [n, {}]\n```"


@pytest.mark.parametrize(
    ("answer", "text", "key", "score"),
    [
        (NumberAnswer(1200), "3 * 400 = 1,200\nThe answer is 1,200.", "1200", 1.0),
        (NumberAnswer(0.5), "The answer is 1/2", "1/2", 1.0),
        (NumberAnswer(3), "I don't know", None, 0.0),
        (TextAnswer(("Ada",)), "  ADA  wrote it", "ada wrote it", 1.0),
        (PythonAnswer("f", ("assert f(1) == [1, {}]",)), CODE, "[1, {}]", 1.0),
        (PythonAnswer("f", ("assert f(1) == 2",)), CODE, "[1, {}]", 0.0),
        (PythonAnswer("f", ("assert f(1) == 2",)), "def f(n):\n    return 1 / 0", None, 0.0),
        (PythonAnswer("g", ("assert g(1)",)), CODE, None, 0.0),
    ],
)
def test_what_an_answer_says_has_a_canonical_form(
    answer: AnswerSpec, text: str, key: str | None, score: float
) -> None:
    row = judge(answered(text), replace(ONE, answer=answer, options=""), None)
    assert (row.answer_key, row.score, row.parsed) == (key, score, key is not None)


def test_the_call_of_a_test_is_what_it_compares() -> None:
    assert call_of("assert set(f((1, 2))) == set((3,))") == "set(f((1, 2)))"
    assert call_of("assert not f(1)") == "not f(1)"


async def test_outcomes_are_written_in_the_schema_and_read_back(tmp_path: Path) -> None:
    records = await collect(Scripted(), tmp_path / "j", samples=2)
    rows = judge_records(records, MANY, "a processor")
    write_outcomes(tmp_path, MANY, rows, {"seed": 7})
    table = read_outcome_rows(tmp_path / "samples.parquet")
    assert len(table.rows) == 60
    assert table.metadata == {"seed": 7}
    assert [(row.query_id, row.sample) for row in table.rows] == [(row.query_id, row.sample) for row in rows]
    matrix = read_outcomes([tmp_path])
    assert matrix.quality.shape == (30, 1)
    assert set(matrix.quality[:, 0]) == {1.0}
    assert set(matrix.output_tokens[:, 0]) == {2.0}


async def test_an_outcome_file_that_is_not_as_written_is_refused(tmp_path: Path) -> None:
    rows = judge_records(await collect(Scripted(), tmp_path / "j", MANY[:2]), MANY[:2], None)
    path = tmp_path / "o.parquet"
    for wrong, said in (
        ([], "no rows"),
        ([rows[0], rows[0]], "there twice"),
        ([replace(rows[0], score=1.5)], r"a score of 1.5, not in \[0, 1\]"),
    ):
        write_outcome_rows(path, wrong, {})
        with pytest.raises(DataError, match=said):
            read_outcome_rows(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="no parquet"):
        read_outcome_rows(path)


PLUGIN = """
def share(question, text):
    return len(text) / 2
"""
ENTRY_POINTS = """
[pointsman.scorer]
length = my_scorer:share
gone = my_scorer:missing
"""


def test_a_plugin_judges_and_a_bad_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_scorer.py").write_text(PLUGIN)
    metadata = tmp_path / "my_scorer-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-scorer\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BadRequest, match=r"no scorer is called 'mine'.*gone, length"):
        scorer_named("mine")
    with pytest.raises(BadRequest, match=r"'gone' .* can't be loaded"):
        scorer_named("gone")
    length = scorer_named("length")
    assert judge(answered("A"), replace(ONE, options=""), None, length).score == 0.5
    with pytest.raises(DataError, match=r"gave 2\.0 for 'q'"):
        judge(answered("AAAA"), ONE, None, length)
