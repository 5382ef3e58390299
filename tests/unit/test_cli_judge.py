"""`pointsman judge`: collected answers become the file by which a cascade judges, or one line says why not."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from pointsman.cli.group import ErrorGroup
from pointsman.cli.judge import judge
from pointsman.data.answers import NumberAnswer
from pointsman.data.outcomes import OutcomeRow, write_outcomes
from pointsman.data.question_sets import SetQuestion
from pointsman.predict.judge import AnswerJudge
from pointsman.types import AnswerSignals

pytest.importorskip("pyarrow")


def collected(folder: Path, n: int, samples: int = 1, text: str = "What is {} + {}?") -> Path:
    """Sure answers of `small` are right; `large` is right wherever it is, and at times beyond.

    Further samples agree with a right answer, and at times with a wrong one.
    """
    rng = np.random.default_rng(0)
    questions, rows = [], []
    for number in range(n):
        asked = text.format(number, number)
        questions.append(SetQuestion(f"q{number}", "sums", "", asked, asked, 50, NumberAnswer(2 * number)))
        right = rng.random() < 0.5
        for model, score in (("small", right), ("large", right or rng.random() < 0.5)):
            fields = dict.fromkeys(OutcomeRow.__dataclass_fields__) | {
                "query_id": f"q{number}", "model": model, "sample": 0, "method": "generation",
                "score": float(score), "generation_score": float(score), "parsed": True,
                "finish_reason": "stop", "output_tokens": 9, "output_chars": 30, "concurrency": 1,
                "started_unix_s": 0.0, "mean_logprob": -0.2 - 0.5 * (not right) + rng.normal(0, 0.1),
            }  # fmt: skip
            for sample in range(samples):
                same = sample == 0 or score or rng.random() < 0.2
                rows.append(OutcomeRow(**fields | {"sample": sample, "answer_key": f"{same}"}))
    write_outcomes(folder, questions, rows, {})
    return folder


@pytest.fixture
def run() -> Callable[..., Result]:
    app = typer.Typer(cls=ErrorGroup, pretty_exceptions_enable=False)
    app.command()(judge)
    app.callback()(lambda: None)
    return lambda *words: CliRunner().invoke(app, ["judge", *map(str, words)])


def test_it_writes_a_judge_that_tells_right_from_wrong(run, tmp_path):
    out = tmp_path / "judge.json"
    result = run(collected(tmp_path / "outcomes", 120), "--out", out)
    assert result.exit_code == 0, result.output
    assert "AUROC" in result.output
    made = AnswerJudge.read(out)
    assert sorted(made.endpoints) == ["large", "small"]
    assert "240 answers to 120 questions" in made.source
    quality, tokens = np.array([0.5, 0.75]), np.array([9.0, 9.0])
    sure, unsure = (
        made.right(("small", "large"), 0, AnswerSignals(mean_logprob=value, output_tokens=9), quality, tokens)
        for value in (-0.2, -0.7)
    )
    assert (sure[0] > 0.9, unsure[0] < 0.1) == (True, True)
    assert unsure[1] < sure[1], "what stumps one stumps the other"
    assert unsure[1] > unsure[0] + 0.2, "but less"


def test_it_heeds_the_agreement_of_samples_only_where_the_gateway_will_ask_for_them(run, tmp_path):
    folder = collected(tmp_path / "outcomes", 120, samples=4)
    for samples, heeds in ((1, False), (3, True)):
        result = run(folder, "--out", tmp_path / "judge.json", "--samples", samples)
        assert result.exit_code == 0, result.output
        made = AnswerJudge.read(tmp_path / "judge.json")
        assert (made.heeds_agreement("small"), made.heeds_agreement("unheard of")) == (heeds, False)
        assert f"{240 * samples} answers to 120 questions" in made.source
    quality, tokens = np.array([0.5, 0.75]), np.array([9.0, 9.0])
    names = ("small", "large")
    alike, apart, unknown = (
        made.right(names, 0, AnswerSignals(agreement=value, output_tokens=9), quality, tokens)[0]
        for value in (1.0, 0.0, None)
    )
    assert apart < unknown < alike


def test_more_samples_than_were_collected_are_one_clear_line(run, tmp_path):
    result = run(
        collected(tmp_path / "outcomes", 30, samples=2), "--samples", 3, "--out", tmp_path / "judge.json"
    )
    assert result.exit_code == 4
    said = " ".join(result.output.split())
    assert "hold at most 2 samples of an answer, not 3" in said
    assert "pointsman collect --samples 3" in said


def test_code_is_not_compared_since_the_gateway_does_not_run_it(run, tmp_path):
    folder = collected(tmp_path / "outcomes", 120, samples=3, text="Write a Python function that returns {}")
    result = run(folder, "--out", tmp_path / "judge.json", "--samples", 3)
    assert result.exit_code == 0, result.output
    assert not AnswerJudge.read(tmp_path / "judge.json").heeds_agreement("small")


def test_too_few_questions_are_one_clear_line(run, tmp_path):
    result = run(collected(tmp_path / "outcomes", 5), "--out", tmp_path / "judge.json")
    assert result.exit_code == 4
    assert "5 different prompts are too few" in " ".join(result.output.split())
    assert not (tmp_path / "judge.json").exists()


def change(folder: Path, column: str, value: Any, row: int = 3) -> None:
    """Another value in one cell of the samples."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = pq.read_table(folder / "samples.parquet").to_pydict()
    columns[column][row] = value
    pq.write_table(pa.table(columns), folder / "samples.parquet")


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("score", 2.0, "row 3: a score of 2.0, not in [0, 1]"),
        ("score", math.nan, "row 3: a score of nan, not in [0, 1]"),
        ("score", None, "a row has no score"),
        ("query_id", None, "a row has no query_id"),
        ("query_id", "zz", "samples of the query 'zz', and no outcome of it"),
        ("model", None, "a row has no model"),
        ("output_tokens", -1, "row 3: -1 output tokens"),
    ],
)
def test_a_sample_that_can_not_be_is_named(run, tmp_path, column, value, why):
    folder = collected(tmp_path / "outcomes", 30)
    change(folder, column, value)
    result = run(folder, "--out", tmp_path / "judge.json")
    assert result.exit_code == 4, result.output
    assert why in " ".join(result.output.split())
    assert not (tmp_path / "judge.json").exists()


def test_texts_where_numbers_belong_and_a_truncated_file_are_refused(run, tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    folder = collected(tmp_path / "outcomes", 30)
    samples = folder / "samples.parquet"
    columns = pq.read_table(samples).to_pydict()
    pq.write_table(pa.table({**columns, "score": ["good"] * len(columns["score"])}), samples)
    assert "holds other values than it should" in " ".join(run(folder).output.split())
    samples.write_bytes(samples.read_bytes()[:500])
    result = run(folder)
    assert result.exit_code == 4
    assert "samples.parquet is no parquet file" in " ".join(result.output.split())


def test_unknown_signs_are_no_error_and_a_folder_counts_once(run, tmp_path):
    folder, out = collected(tmp_path / "outcomes", 30), tmp_path / "judge.json"
    for row, value in enumerate((None, math.nan)):
        change(folder, "mean_logprob", value, row)
    assert run(folder, "--out", out).exit_code == 0
    once = out.read_text()
    assert run(folder, folder, "--out", out).exit_code == 0
    assert (
        AnswerJudge.from_json(out.read_text(), "").models.keys()
        == AnswerJudge.from_json(once, "").models.keys()
    )
    assert "60 answers to 30 questions" in out.read_text()


def test_lengths_that_nobody_counted_are_no_error(run, tmp_path):
    folder = collected(tmp_path / "outcomes", 30)
    for row in range(60):
        change(folder, "output_tokens", None, row)
    result = run(folder, "--out", tmp_path / "judge.json")
    assert result.exit_code == 0, result.output
    assert AnswerJudge.read(tmp_path / "judge.json").models


def test_answers_that_are_all_right_have_no_auroc(run, tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    folder = collected(tmp_path / "outcomes", 30)
    for name in ("samples.parquet", "outcomes.parquet"):
        columns = pq.read_table(folder / name).to_pydict()
        pq.write_table(pa.table({**columns, "score": [1.0] * len(columns["score"])}), folder / name)
    result = run(folder, "--out", tmp_path / "judge.json")
    assert result.exit_code == 0, result.output
    assert "100.0%" in result.output
    assert "nan" not in result.output


def test_a_folder_without_samples_is_one_clear_line(run, tmp_path):
    folder = collected(tmp_path / "outcomes", 30)
    (folder / "samples.parquet").unlink()
    result = run(folder, "--out", tmp_path / "judge.json")
    assert result.exit_code == 4
    assert "pointsman collect" in result.output
