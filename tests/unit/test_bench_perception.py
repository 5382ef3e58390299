"""`bench/perception.py`: what counts as a length that was said, and what is made of it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pointsman.data.outcomes import read_outcome_rows
from pointsman.data.question_files import read_question_file
from pointsman.data.routing_sets import RoutingSet, asked_lengths, fleet_set
from pointsman.predict.outcomes import OutcomeMatrix

CHECKOUT = Path(__file__).resolve().parents[2]
N = 60


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_perception", CHECKOUT / "bench" / "perception.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_a_model_that_knows_its_lengths_has_no_error(bench: ModuleType) -> None:
    tokens = np.random.default_rng(1).integers(5, 90, (N, 2)).astype(float)
    said = tokens.copy()
    said[::3, 0] = np.nan
    said[:, 1] = 10.0
    prompts = tuple(f"what is {row} times {row + 3}?" for row in range(N))
    matrix = OutcomeMatrix(
        tuple(map(str, range(N))), prompts, ("sums",) * N, ("knows", "guesses"), np.ones((N, 2)), tokens
    )
    data = RoutingSet("made", matrix, np.full((N, 2), 8.0), "J", measured=True, said_tokens=said)
    knows, guesses = bench.rows_of(data, np.array([2.0, 4.0]), range(1, 2))
    assert (knows["said"], knows["error"], knows["asking_share"]) == (pytest.approx(2 / 3), 0.0, 0.25)
    assert knows["rank"] == pytest.approx(1)
    assert (guesses["said"], guesses["rank"], guesses["median_said"]) == (1.0, 0.0, 10.0)
    assert guesses["error"] == pytest.approx(np.abs(10 - tokens[:, 1]).mean() / tokens[:, 1].mean())


@pytest.mark.data
def test_the_questions_are_those_that_the_fleet_has_answered(
    bench: ModuleType, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(CHECKOUT)
    monkeypatch.setenv("POINTSMAN_DATA", str(shared_data))
    bench.write_questions(tmp_path / "lengths.jsonl")
    asked = read_question_file(tmp_path / "lengths.jsonl")
    assert len(asked) == 200
    assert {question.max_tokens for question in asked} == {12}
    answered = {row.query_id for row in read_outcome_rows(bench.DATA / "fleet_gsm8k.parquet").rows}
    assert {question.id for question in asked} == answered


@pytest.mark.data
def test_what_was_said_stands_beside_what_was_answered(bench: ModuleType, shared_data: Path) -> None:
    data = asked_lengths(fleet_set(CHECKOUT / bench.DATA, shared_data), CHECKOUT / bench.LENGTHS)
    assert data.matrix.quality.shape == (200, 3)
    assert data.said_tokens is not None
    known = np.isfinite(data.said_tokens)
    assert 0.5 < known.mean() < 1
    assert data.said_tokens[known].max() <= bench.CONTEXT_TOKENS
    assert set(data.matrix.tasks) == {"gsm8k"}
