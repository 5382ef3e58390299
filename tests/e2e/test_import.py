"""From a public benchmark's file to a trained predictor and back out, by the commands alone."""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pointsman.cli.app import app

pq = pytest.importorskip("pyarrow.parquet")

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(app, [*map(str, words)])


def routerbench(path: Path, bad: str = "") -> Path:
    """Sums that both models do, and proofs that only the large one does."""
    rng = random.Random(5)
    with gzip.open(path, "wt", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        models = ["org/small", "org/large"]
        writer.writerow(
            ["sample_id", "prompt", "eval_name", *models, *(f"{name}|total_cost" for name in models)]
        )
        for number in range(120):
            proof = number % 2
            text = (
                f"Prove theorem {number} of ring {number * 7}."
                if proof
                else f"What is {number} plus {number + 3}?"
            )
            small = float(rng.random() < (0.1 if proof else 0.9))
            row = [f"s.{number}", repr([text]), "proof" if proof else "sum", small, float(rng.random() < 0.9)]
            writer.writerow([*row, 0.0001, 0.003])
        file.write(bad)
    return path


def test_a_routerbench_file_is_imported_trained_on_and_exported(run: Run, tmp_path: Path) -> None:
    given = routerbench(
        tmp_path / "bench.csv.gz", "s.0,again,sum,1,1,0,0\ns.900,short,sum\ns.901,x,sum,2,0,0,0\n"
    )
    result = run("import", "routerbench", given, "--out", "bench")
    assert result.exit_code == 0, result.output
    assert "imported: 120 queries, 2 models, 240 answers; lines refused: 3" in result.stdout
    assert "refused: bench.csv.gz, line 122: the query 's.0' says something else" in result.stderr
    assert "line 123: it has 3 cells, the first line 7" in result.stderr
    assert "line 124: org/small is '2', not a number from 0 to 1" in result.stderr
    assert len((tmp_path / "bench" / "refused.txt").read_text().splitlines()) == 3

    trained = run("train", "--outcomes", "bench", "--out", "quality", "--folds", 2, "--no-baselines")
    assert trained.exit_code == 0, trained.output
    assert "120 queries (120 different prompts), 2 endpoints, 240 labels" in " ".join(trained.stdout.split())
    about = json.loads((tmp_path / "quality" / "manifest.json").read_text())
    assert "org/small" in json.dumps(about)

    for name in ("routerbench", "llmrouter", "routellm"):
        exported = run("export", name, "bench", "--out", f"{name}.out")
        assert exported.exit_code == 0, exported.output
        again = run("import", name, f"{name}.out", "--out", f"{name}-again", "--strict")
        assert "imported: 120 queries, 2 models, 240 answers\n" in again.stdout
    _, first, *_ = csv.reader((tmp_path / "routerbench.out").read_text().splitlines())
    assert first[1] == "['What is 0 plus 3?']"


def test_what_stands_there_is_never_overwritten(run: Run, tmp_path: Path) -> None:
    given = routerbench(tmp_path / "bench.csv.gz")
    assert run("import", "routerbench", given).exit_code == 0
    before = (tmp_path / "routerbench" / "queries.parquet").read_bytes()
    for words in (
        ("import", "routerbench", given),
        ("export", "llmrouter", "routerbench", "--out", given),
        ("import", "azure", given, "--out", given),
    ):
        result = run(*words)
        assert result.exit_code == 2
        assert "is there already" in result.stderr
    assert (tmp_path / "routerbench" / "queries.parquet").read_bytes() == before


def test_a_trace_is_imported_to_the_file_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2024-05-10 00:00:00+00:00,5,6\r\nx,1,1\r\n"
        "2024-05-10 00:00:01+00:00,7,8\r\n"
    )
    result = run("import", "azure", "t.csv", "--out", "traces/t.parquet")
    assert result.exit_code == 0, result.output
    assert "imported: 2 requests; lines refused: 1" in result.stdout
    assert "t.csv, line 3: " in (tmp_path / "traces" / "t.parquet.refused.txt").read_text()
    assert pq.read_table(tmp_path / "traces" / "t.parquet")["arrival_s"].to_pylist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("import", "nothing", "t.csv"), 2, "no format 'nothing'. Known: routellm, routerbench"),
        (("export", "azure", "d", "--out", "x"), 2, "no format 'azure' to export to. Known: routellm"),
        (("import", "azure", "t.csv", "u.csv"), 2, "a trace is of one file, not of 2"),
        (("import", "azure", "t.csv", "--dataset", "x"), 2, "--dataset belongs to outcomes"),
        (("import", "azure", "t.csv", "--out", "."), 2, "is a folder"),
        (("import", "qaserve", "t.csv", "--filter", "x"), 2, "--filter belongs to lm-eval, not to qaserve"),
        (("import", "azure", "t.csv"), 4, "t.csv does not exist"),
        (("import", "routellm", "there.csv", "--strict"), 4, "there.csv, line 2: m is 'x'"),
        (("export", "routellm", "nowhere", "--out", "x"), 4, "nowhere"),
    ],
)
def test_a_wrong_word_is_one_line_and_an_exit_code(
    run: Run, tmp_path: Path, words: tuple[Any, ...], code: int, said: str
) -> None:
    (tmp_path / "there.csv").write_text("prompt,m\nWho?,x\nWho?,1\n")
    result = run(*words)
    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert not list(tmp_path.rglob("*.parquet*"))


def test_lm_eval_logs_take_their_names_from_the_command(run: Run, tmp_path: Path) -> None:
    record = {"doc_id": 0, "arguments": [["Q"]], "resps": [["a"]], "filter": "x", "acc": 1.0, "acc_norm": 0.0}
    (tmp_path / "log.jsonl").write_text(
        json.dumps(record) + "\n" + json.dumps(record | {"filter": "y"}) + "\n"
    )
    refused = run("import", "lm-eval", "log.jsonl", "--metric", "acc")
    assert refused.exit_code == 2
    assert "Name one with --filter" in refused.stderr
    result = run("import", "lm-eval", "log.jsonl", "--metric", "acc_norm", "--filter", "y", "--model", "m")
    assert result.exit_code == 0, result.output
    (row,) = pq.read_table(tmp_path / "lm-eval" / "outcomes.parquet").to_pylist()
    assert (row["model"], row["score"], row["query_id"]) == ("m", 0.0, "log:0")
